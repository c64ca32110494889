"""Export: what is done with a model's folder is what was done with its run."""

import dataclasses
import hashlib
import json
import pathlib
import re
import shlex
import subprocess

import jax
import numpy as np
import programs
import pytest
import soundfile
import tiny

from experiments.common import reporting, restore
from experiments.tasks import evaluation, exporting, generation, recognition, speech
from experiments.tasks.exporting import export
from experiments.tasks.training import train
from wavenet_jax import InputError

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def folder(trained_dir: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    export(trained_dir, out=path)
    return path


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_generates_what_the_run_generates(trained_dir, folder, tmp_path) -> None:
    options = {"num_samples": 2, "seconds": 0.02, "seed": 5, "labels": ["low"]}
    ours = generation.sample(restore.load(trained_dir), out=tmp_path / "run", **options)
    found = generation.sample(restore.load(folder), out=tmp_path / "folder", **options)
    for one, other in zip(ours, found, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_it_scores_what_the_run_scores(trained_dir, folder, fsdd_dir, tmp_path) -> None:
    export(trained_dir, out=tmp_path / "half", precision="bfloat16")
    bits = []
    for path in (trained_dir, folder, tmp_path / "half"):
        trained = restore.load(path)
        corpus = trained.run.load(fsdd_dir, "test")
        bits.append(evaluation.evaluate(trained, corpus)["bits_per_sample"])
    assert bits[0] == bits[1] != bits[2]
    assert bits[2] == pytest.approx(bits[0], abs=0.01)


def test_the_run_is_described(trained_dir, folder) -> None:
    assert restore.load(folder).run == restore.load(trained_dir).run
    config = json.loads((folder / "config.json").read_text())
    assert config["scores"].keys() == {"bits_per_sample"}
    assert sorted(content(folder)) == ["README.md", "config.json", "model.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_step_is_chosen(trained_dir, tmp_path) -> None:
    export(trained_dir, out=tmp_path / "at_15", step=15)
    assert restore.load(tmp_path / "at_15").step == 15
    with pytest.raises(InputError, match="^The step is 30, and the model in .* is of step 15"):
        restore.load(tmp_path / "at_15", 30)


def test_a_recognizer_of_version_1_is_exported_as_of_today(tmp_path) -> None:
    export(FIXTURES / "checkpoint_v1" / "recognizer", out=tmp_path / "model")
    recording = tmp_path / "noise.wav"
    soundfile.write(recording, np.random.default_rng(0).uniform(-0.1, 0.1, 800), 4000)
    found = []
    for path in (FIXTURES / "checkpoint_v1" / "recognizer", tmp_path / "model"):
        found += list(recognition.recognize(restore.load(path), [recording]))
    assert found[0] == found[1]
    assert "experiments.recognize" in (tmp_path / "model" / "README.md").read_text()


# -- the card ---------------------------------------------------------------------


def test_the_card_is_repeated_by_its_commands(run, trained_dir, fsdd_dir, tmp_path) -> None:
    out = tmp_path / "models" / "tiny"
    ended = run(
        "experiments.export",
        f"--workdir={trained_dir}",
        f"--out={out}",
        f"--data_dir={fsdd_dir}",
        "--about=Two hums.",
        "--limits=It does not sing.",
        "--hardware=eight devices",
        f"--measure=evaluate --data_dir='{fsdd_dir}' --split=test",
    )
    assert ended.returncode == 0, ended.stderr
    assert f"config.json, model.safetensors, in {out}" in ended.stdout
    card = (out / "README.md").read_text()
    for text in (
        "# tiny\n\nTwo hums.\n",
        "30 steps",
        "minutes on eight devices",
        "of at most 2 recordings of `validation`",
        "| its licence | CC BY-SA 4.0",
        "| speaker | high, low |",
        "It does not sing.",
        "--config=experiments/configs/fsdd.py",
        f"--config.pretrained={out}",
    ):
        assert text in card
    curve = [row for row in reporting.history(trained_dir) if "held_out/bits_per_sample" in row]
    assert [row["step"] for row in curve] == [15, 30]
    for row in curve:
        shown = f"{row['time_s'] / 60:.1f} | {row['held_out/bits_per_sample']:.3f}"
        assert f"| {row['step']} | {shown} |" in card
    for name in ("config.json", "model.safetensors"):
        digest = hashlib.sha256((out / name).read_bytes()).hexdigest()
        assert f"| `{name}` | {(out / name).stat().st_size:,} | {digest} |" in card
    blocks = re.findall(r"```(?:text)?\n(.*?)\n```", card, re.DOTALL)
    command, printed = blocks[2:]  # after those of use and of training
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "experiments.evaluate"]
    assert f"--workdir={out}" in words
    again = run(*words[2:])
    assert again.returncode == 0, again.stderr
    assert again.stdout.rstrip() == printed
    assert "bits per sample over" in printed


@pytest.mark.parametrize("name", ["digits", "tts"])
def test_the_text_of_a_published_card_can_be_spoken(name) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    folder = FIXTURES.parents[1] / "experiments" / "pretrained" / name
    lines = (folder / "README.md").read_text().splitlines()
    (line,) = (line for line in lines if "experiments.speak " in line)
    (text,) = (word for word in shlex.split(line) if word.startswith("--text="))
    said = text.removeprefix("--text=")
    example = speech.utterance(restore.load(folder).run, text=said)
    assert len(example["words"]) == len(said.split())


def test_figures_are_those_of_the_written_files(trained_dir, tmp_path, monkeypatch) -> None:
    """In their precision, and with the name that the folder will have."""
    measured = []

    def run(command: list[str], **options) -> subprocess.CompletedProcess[str]:
        folder = pathlib.Path(command[3].removeprefix("--workdir="))
        measured.append((folder / "model.safetensors").read_bytes())
        return subprocess.CompletedProcess(command, 0, stdout=f"{folder} has 2.5 bits\n")

    monkeypatch.setattr(subprocess, "run", run)
    out = tmp_path / "half"
    export(trained_dir, out=out, precision="bfloat16", measures=["evaluate --split=test"])
    assert measured == [(out / "model.safetensors").read_bytes()]
    assert f"```text\n{out} has 2.5 bits\n```" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ("evaluate --split=test", "--measure is 'evaluate --split=test', .* ended with code 1"),
        ("nothing", "--measure is 'nothing': begin with a program"),
        ("studies.nothing", "--measure is 'studies.nothing': begin with a program"),
        ("", "--measure is '': begin with a program"),
        ("evaluate --split='test", "No closing quotation.: close"),
        ("evaluate --workdir=runs/other", "leave out --workdir"),
    ],
)
def test_a_bad_measure_leaves_nothing(measure, message, trained_dir, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        export(trained_dir, out=tmp_path / "model", measures=[measure])
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(trained_dir, folder, tmp_path) -> None:
    before = content(folder)
    with pytest.raises(InputError, match=f"^{folder} is there already"):
        export(trained_dir, out=folder)
    assert content(folder) == before
    with pytest.raises(InputError, match="^The precision is 'int8'"):
        export(trained_dir, out=tmp_path / "model", precision="int8")
    assert not list(tmp_path.iterdir())


# -- training ---------------------------------------------------------------------


def test_another_run_begins_with_it(trained_dir, folder, fsdd_dir, tmp_path, capsys) -> None:
    states = []
    for name, path in (("run", trained_dir), ("folder", folder)):
        config = tiny.experiment(num_steps=1, checkpoint_every=1, pretrained=str(path))
        states += [train(config, workdir=tmp_path / name, data_dir=fsdd_dir).state]
        assert f"{path}, step 30: " in capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize(("current", "told"), [("", "models/tiny"), ("elsewhere", "tiny")])
def test_the_machine_of_a_pretrained_model_is_not_told(
    current, told, trained_dir, tmp_path, monkeypatch
) -> None:
    trained, begun_from = restore.load(trained_dir), tmp_path / "models" / "tiny"
    config = dataclasses.replace(trained.run.config, pretrained=str(begun_from))
    run = dataclasses.replace(trained.run, config=config)
    monkeypatch.setattr(exporting.restore, "load", lambda *_: trained._replace(run=run))
    (tmp_path / current).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / current)
    exporting.export(trained_dir, out=tmp_path / "exported")
    for name, written in content(tmp_path / "exported").items():
        assert str(begun_from).encode() not in written, name
    card = (tmp_path / "exported" / "README.md").read_text()
    assert f"--config.pretrained={told} " in card


def test_no_training_changes_it(folder, fsdd_dir) -> None:
    before = content(folder)
    message = f"--workdir is {folder}, the folder of a model.*--config.pretrained={folder}"
    with pytest.raises(InputError, match=message):
        train(tiny.experiment(), workdir=folder, data_dir=fsdd_dir)
    assert content(folder) == before


def test_a_damaged_file_ends_a_program_in_one_line(
    run: programs.Run, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "model").mkdir()
    for name, data in content(folder).items():
        (tmp_path / "model" / name).write_bytes(data[:-9] if name == "model.safetensors" else data)
    ended = run("experiments.sample", f"--workdir={tmp_path}/model", f"--out={tmp_path}/samples")
    assert ended.returncode == 1
    assert re.fullmatch(
        r"error: .*/model/model.safetensors has \d+ bytes of \d+: copy the model's folder again, "
        r"or export it again\.\n",
        ended.stderr,
    )
    assert not (tmp_path / "samples").exists()
