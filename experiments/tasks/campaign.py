"""A campaign on a GPU: its parts with their commands, and running them within a budget of time."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

from experiments.common import reporting
from experiments.configs import tts, vocoder
from wavenet_jax import InputError

ROOT = pathlib.Path(__file__).parents[2]
MAX_CORPORA_BYTES = 64 * 2**20
SAVING_S = 45.0
"""How long what was stopped may take to end: a training saves its state."""

TRAINED_SHARE = 0.7
"""Of a training's time, its steps; the rest imports, compiles, scores and saves."""

SPLIT = "validation"
TTS_ON_A_GPU = (
    "--config.batch_size=64",
    "--config.segment_samples=8000",
    "--config.model.residual_channels=96",
    "--config.model.gate_channels=96",
    "--config.model.skip_channels=128",
    "--config.model.head_channels=256",
)
VOCODER_ON_A_GPU = (
    "--config.batch_size=64",
    "--config.segment_samples=8192",
    "--config.model.residual_channels=64",
    "--config.model.gate_channels=64",
    "--config.training.learning_rate=2e-3",
)
"""What differs from the recipes: sizes that fill a GPU better; not measured on one yet."""

IN_A_REHEARSAL = (
    "--config.batch_size=2",
    "--config.num_steps=2",
    "--config.checkpoint_every=2",
    "--config.held_out_recordings=1",
    "--config.preview_s=0.0",
    "--config.prosody.num_steps=2",
)
TRIAL_STEPS = 10**6
"""More than a trial makes before it is stopped."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a part.

    Attributes:
      arguments: after `python -m`.
      share: of the time left to the part that it may take.
      is_training: whether it may be stopped at the end of its time, as it saves its state.
      steps_of: a trial's work directory, from whose rate `--config.num_steps` is set.
      environment: variables of its own.
    """

    arguments: Sequence[str]
    share: float = 1.0
    is_training: bool = False
    steps_of: pathlib.Path | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the campaign: its name, its share of the time, and its commands in order."""

    name: str
    share: float
    commands: Sequence[Command]


def plan(out: pathlib.Path, data_dir: pathlib.Path, *, rehearse: bool) -> list[Part]:
    """The parts of a campaign.

    Args:
      out: folder for what they write.
      data_dir: folder of the prepared corpora.
      rehearse: whether they are for a CPU, with few steps.
    """
    files = sorted((ROOT / "tests").rglob("test_*.py"))  # collecting all takes a minute
    marked = [str(path) for path in files if "pytest.mark.gpu" in path.read_text()]
    batches, repeats = ("1", "1") if rehearse else ("1,64,1024,4096", "3")
    # Tests compare a GPU with the CPU beside it.
    both = {} if rehearse else {"JAX_PLATFORMS": "cuda,cpu"}
    command_buffers = "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUSTOM_CALL,WHILE"
    flags_of_xla = {} if rehearse else {"XLA_FLAGS": command_buffers}
    benchmark = [
        "experiments.benchmark",
        f"--batches={batches}",
        f"--repeats={repeats}",
        f"--json={out / 'benchmark.json'}",
    ]
    if rehearse:
        benchmark += ["--config=experiments/configs/fsdd.py", "--config.model.dilations=(1, 2, 4)"]
        benchmark += ["--config.batch_size=2", "--config.segment_samples=500"]
    corpora = f"--data_dir={data_dir}"
    speech, voice = out / "text_to_speech", out / "vocoder"
    few = (
        ["--num_recordings=1", "--seconds=0.1"]
        if rehearse
        else ["--num_recordings=8", "--seconds=3"]
    )
    text = "hello" if rehearse else "the curious judge followed her shadow"
    return [
        Part("tests", 0.1, [Command(["pytest", "-q", "-m", "gpu", *marked], environment=both)]),
        Part("benchmark", 0.25, [Command(benchmark, environment=flags_of_xla)]),
        Part(
            "text_to_speech",
            0.35,
            [
                *_training(tts, speech, corpora, TTS_ON_A_GPU, rehearse=rehearse),
                Command(
                    ["experiments.train_prosody", f"--workdir={speech}", corpora],
                    share=0.8,
                    is_training=True,
                ),
                _export(speech),
                Command(
                    [
                        "experiments.speak",
                        f"--workdir={speech}",
                        f"--out={speech / 'sentence.wav'}",
                        f"--text={text}",
                    ]
                ),
            ],
        ),
        Part(
            "vocoder",
            0.3,
            [
                *_training(vocoder, voice, corpora, VOCODER_ON_A_GPU, rehearse=rehearse),
                _export(voice),
                Command(
                    [
                        "experiments.studies.copy_synthesis",
                        f"--workdir={voice}",
                        corpora,
                        f"--split={SPLIT}",
                        f"--out={voice / 'copies'}",
                        f"--json={voice / 'copies.json'}",
                        *few,
                    ]
                ),
            ],
        ),
    ]


def _training(
    recipe: types.ModuleType,
    workdir: pathlib.Path,
    corpora: str,
    on_a_gpu: Sequence[str],
    *,
    rehearse: bool,
) -> list[Command]:
    """A trial and the training whose steps it gives, or one short training in a rehearsal."""
    config = f"--config={recipe.__name__.replace('.', '/')}.py"

    def train(workdir: pathlib.Path, *settings: str) -> list[str]:
        return ["experiments.train", config, f"--workdir={workdir}", corpora, *on_a_gpu, *settings]

    if rehearse:  # of two settings of one field the last counts
        two_frames = 2 * recipe.get_config().local_condition.hop_samples
        short = f"--config.segment_samples={two_frames}"
        return [Command(train(workdir, *IN_A_REHEARSAL, short), is_training=True)]
    trial, many = workdir / "trial", f"--config.num_steps={TRIAL_STEPS}"
    never = f"--config.checkpoint_every={TRIAL_STEPS}"
    return [
        Command(train(trial, many, never, "--config.log_every=10"), share=0.15, is_training=True),
        Command(train(workdir), share=0.65, is_training=True, steps_of=trial),
    ]


def _export(workdir: pathlib.Path) -> Command:
    folder = f"--out={workdir / 'export'}"
    return Command(["experiments.export", f"--workdir={workdir}", folder, "--precision=bfloat16"])


def steps_within(trial: pathlib.Path, seconds: float) -> int:
    """Steps that a training makes in some time, at the rate of a trial's second half.

    Raises:
      InputError: the trial logged too little.
    """
    rows = [row for row in reporting.history(trial) if "train/bits_per_sample" in row]
    begin, end = rows[len(rows) // 2] if rows else None, rows[-1] if rows else None
    if begin is None or end is None or end["step"] <= begin["step"]:
        raise InputError(
            f"The trial in {trial} logged no two steps: give it more --budget_minutes."
        )
    rate = (end["step"] - begin["step"]) / (end["time_s"] - begin["time_s"])
    return max(100, round(TRAINED_SHARE * rate * seconds))


def check_corpora(data_dir: pathlib.Path) -> int:
    """The bytes of the corpora that the campaign takes along.

    Raises:
      InputError: there are more than `MAX_CORPORA_BYTES`.
    """
    names = {recipe.get_config().dataset for recipe in (tts, vocoder)}
    files = [path for name in names for path in (data_dir / name).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > MAX_CORPORA_BYTES:
        raise InputError(
            f"The corpora {', '.join(sorted(names))} in {data_dir} have {size / 2**20:.1f} MiB, "
            f"and at most {MAX_CORPORA_BYTES // 2**20} travel: prepare fewer recordings."
        )
    return size


def run(
    parts: Sequence[Part],
    *,
    out: pathlib.Path,
    seconds: float,
    on_progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Runs parts one after the other, whatever becomes of each.

    Args:
      parts: of `plan`.
      out: folder, which gets `campaign.json`, `campaign.md` and `logs/`.
      seconds: for all of them, when their shares add up to 1.
      on_progress: is given each command before it runs.

    Returns:
      What `campaign.json` has: `parts`, of each by its name the `outcome` (done, stopped or
      failed), `wall_s`, `limit_s`, and of each of its commands the same with its `command` and,
      where it failed, the `error`; and `wall_s` of all.
    """
    (out / "logs").mkdir(parents=True, exist_ok=True)
    begun_s = time.monotonic()
    done: dict[str, Any] = {}
    summary: dict[str, Any] = {"parts": done}
    for part in parts:
        done[part.name] = _run_part(part, part.share * seconds, out / "logs", on_progress)
        summary = {"parts": done, "wall_s": round(time.monotonic() - begun_s, 1)}
        (out / "campaign.json").write_text(json.dumps(summary, indent=2) + "\n")
        (out / "campaign.md").write_text(as_table(summary) + "\n")
    return summary


def as_table(summary: dict[str, Any]) -> str:
    """The parts of a campaign in Markdown."""
    rows = ["| part | outcome | seconds | limit | what failed first |", "|---|---|---|---|---|"]
    for name, part in summary["parts"].items():
        errors = [each["error"] for each in part["commands"] if each["error"]]
        rows.append(
            f"| {name} | {part['outcome']} | {part['wall_s']:.0f} | {part['limit_s']:.0f} | "
            f"{errors[0].replace('|', '/') if errors else ''} |"
        )
    return "\n".join(rows)


def _run_part(
    part: Part, limit_s: float, logs: pathlib.Path, on_progress: Callable[[str], None]
) -> dict[str, Any]:
    """Runs the commands of a part, also those after one that failed."""
    begun_s = time.monotonic()
    ran: list[dict[str, Any]] = []
    for i, command in enumerate(part.commands):
        left_s = limit_s - (time.monotonic() - begun_s)
        log = logs / f"{part.name}_{i}_{command.arguments[0].rpartition('.')[2]}.log"
        ran.append(_run(command, command.share * left_s, log, on_progress))
    outcomes = [each["outcome"] for each in ran]
    worst = next((x for x in ("failed", "stopped") if x in outcomes), "done")
    return {
        "outcome": worst,
        "wall_s": round(time.monotonic() - begun_s, 1),
        "limit_s": round(limit_s, 1),
        "commands": ran,
    }


def _run(
    command: Command, limit_s: float, log: pathlib.Path, on_progress: Callable[[str], None]
) -> dict[str, Any]:
    """Runs one command into a log, in a process group of its own that ends with it."""
    begun_s, arguments = time.monotonic(), [*command.arguments]
    result: dict[str, Any] = {
        "command": "",
        "outcome": "failed",
        "error": "",
        "limit_s": round(limit_s, 1),
    }
    try:
        if limit_s <= 0:
            raise InputError("No time is left for it.")
        if command.steps_of is not None:
            steps = steps_within(command.steps_of, limit_s)
            every = f"--config.checkpoint_every={-(-steps // 4)}"
            arguments += [f"--config.num_steps={steps}", every]
        if importlib.util.find_spec(arguments[0]) is None:
            raise InputError(f"There is no module {arguments[0]}.")
        result["command"] = shlex.join(["python", "-m", *arguments])
        on_progress(f"$ {result['command']}  # at most {limit_s:.0f} s")
        result["outcome"], result["error"] = _outcome(command, arguments, limit_s, log)
    except (InputError, OSError) as error:
        result["error"] = str(error)
    return result | {"wall_s": round(time.monotonic() - begun_s, 1)}


def _outcome(
    command: Command, arguments: Sequence[str], limit_s: float, log: pathlib.Path
) -> tuple[str, str]:
    """How a command ended, and the last line of its log if it failed."""
    stopped = False
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | command.environment,
            start_new_session=True,
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            stopped = True
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(SAVING_S)
            except subprocess.TimeoutExpired:
                code = -signal.SIGKILL
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if stopped and command.is_training and code == 0:
        return "stopped", ""
    if code == 0:
        return "done", ""
    lines = log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
    reason = f"stopped after {limit_s:.0f} s" if stopped else f"exit code {code}"
    return "failed", f"{arguments[0]}: {reason}: {lines[-1][:200]}"
