"""The campaign on a GPU: its commands exist, and whatever becomes of one, the others run."""

import importlib.util
import json
import os
import pathlib
import signal
import time

import pytest
from test_documents import test_commands_name_programs_flags_and_fields_that_exist as check_command

from experiments.tasks import campaign
from experiments.tasks.campaign import Command, Part
from wavenet_jax import InputError

STOPS_WELL = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
open("begun", "w").close()
time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a module that a command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return make


def ran(out: pathlib.Path, *parts: Part, seconds: float = 60.0) -> dict:
    return campaign.run(parts, out=out, seconds=seconds, on_progress=lambda line: None)


@pytest.mark.parametrize("rehearse", [False, True])
def test_every_command_exists(rehearse: bool) -> None:
    parts = campaign.plan(pathlib.Path("out"), pathlib.Path("corpora"), rehearse=rehearse)
    assert [part.name for part in parts] == ["tests", "benchmark", "text_to_speech", "vocoder"]
    files = {pathlib.Path(name).name for name in parts[0].commands[0].arguments[4:]}
    assert "test_benchmark.py" in files
    assert sum(part.share for part in parts) == pytest.approx(1)
    for part in parts:
        for command in part.commands:
            assert 0 < command.share <= 1
            arguments = [*command.arguments]
            if command.steps_of is not None:
                arguments += ["--config.num_steps=7", "--config.checkpoint_every=2"]
            if importlib.util.find_spec(arguments[0]) is None:
                assert arguments[0] == "experiments.export"  # not in every branch yet
                continue
            check_command("gpu_campaign", ["python", "-m", *arguments])
    trained = [each for part in parts for each in part.commands if each.steps_of is not None]
    assert len(trained) == (0 if rehearse else 2)


def test_a_failure_is_recorded_and_the_rest_runs(module, tmp_path):
    fails = Command([module("fails", "print('why'); raise SystemExit(3)")])
    works = Command([module("works", "import os; print(os.environ['COLOUR'])")])
    works = Command(works.arguments, environment={"COLOUR": "red"})
    summary = ran(
        tmp_path / "out",
        Part("first", 0.5, [fails, works, Command(["there_is_none"])]),
        Part("second", 0.5, [works]),
    )
    first, second = summary["parts"]["first"], summary["parts"]["second"]
    assert [each["outcome"] for each in first["commands"]] == ["failed", "done", "failed"]
    assert first["commands"][0]["error"] == "fails: exit code 3: why"
    assert first["commands"][2]["error"] == "There is no module there_is_none."
    assert (first["outcome"], second["outcome"]) == ("failed", "done")
    assert json.loads((tmp_path / "out" / "campaign.json").read_text()) == summary
    assert (tmp_path / "out" / "logs" / "second_0_works.log").read_text() == "red\n"
    table = (tmp_path / "out" / "campaign.md").read_text().splitlines()
    assert table[2].startswith("| first | failed | ")
    assert table[2].endswith(" | 30 | fails: exit code 3: why |")
    assert table[3].endswith(" | 30 |  |")


def test_what_needs_more_than_its_time_is_stopped(module, tmp_path, monkeypatch):
    """A training saves its state and is used; anything else has failed; nothing survives."""
    monkeypatch.setattr(campaign, "SAVING_S", 1.0)
    well = module("well", STOPS_WELL)
    code = "import os, signal, time\nopen('pid', 'w').write(str(os.getpid()))\n"
    deaf = module("deaf", code + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)")
    begun_s = time.monotonic()
    summary = ran(
        tmp_path / "out",
        Part("training", 0.05, [Command([well], is_training=True)]),
        Part("other", 0.05, [Command([deaf])]),
        Part("none", 0.0, [Command([well])]),
    )
    assert time.monotonic() - begun_s < 30
    parts = summary["parts"]
    assert (parts["training"]["outcome"], parts["other"]["outcome"]) == ("stopped", "failed")
    assert parts["other"]["commands"][0]["error"].startswith("deaf: stopped after 3 s: ")
    assert parts["none"]["commands"][0]["error"] == "No time is left for it."
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_runs_ends_with_the_campaign(module, tmp_path):
    def stop(*_: object) -> None:
        raise SystemExit

    code = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    endless = module("endless", code)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 3.0)
    try:
        with pytest.raises(SystemExit):
            ran(tmp_path / "out", Part("part", 1.0, [Command([endless])]))
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_steps_are_set_by_the_rate_of_the_trial(module, tmp_path):
    trial = tmp_path / "trial"
    trial.mkdir()
    rows = [  # compilation takes 20 s, a step 0.1 s
        {"step": step, "time_s": 20 + step / 10, "train/bits_per_sample": 5.0}
        for step in range(10, 101, 10)
    ]
    (trial / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert campaign.steps_within(trial, 200.0) == round(campaign.TRAINED_SHARE * 2000)
    train = module("train", "import sys; print(sys.argv[1:])")
    ran(tmp_path / "out", Part("p", 1.0, [Command([train], steps_of=trial, share=0.5)]))
    printed = (tmp_path / "out" / "logs" / "p_0_train.log").read_text()
    assert printed == "['--config.num_steps=210', '--config.checkpoint_every=53']\n"
    (trial / "history.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="logged no two steps: give it more --budget_minutes"):
        campaign.steps_within(trial, 200.0)


def test_corpora_that_do_not_travel_are_refused(tmp_path, monkeypatch):
    for name in ("espeak", "ljspeech", "another"):
        (tmp_path / name / "1.0.0").mkdir(parents=True)
        (tmp_path / name / "1.0.0" / "recordings").write_bytes(bytes(1000))
    assert campaign.check_corpora(tmp_path) == 2000
    monkeypatch.setattr(campaign, "MAX_CORPORA_BYTES", 1999)
    with pytest.raises(InputError, match="The corpora espeak, ljspeech in .* and at most 0 travel"):
        campaign.check_corpora(tmp_path)


def test_the_program_refuses_parts_that_do_not_exist(run, tmp_path):
    ended = run(
        "experiments.gpu_campaign",
        f"--data_dir={tmp_path}",
        f"--out={tmp_path / 'out'}",
        "--parts=tests,vocoders",
    )
    assert ended.returncode == 1
    assert "--parts has 'vocoders': use some of tests, benchmark, text_to_speech" in ended.stderr
