"""How programs end: bad input in one line on stderr, and an exit code that is not 0."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
PROGRAMS = sorted(set((ROOT / "experiments").glob("[!_]*.py")))
CONFIG = "--config=experiments/configs/fsdd.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiments.train", CONFIG, "--workdir=w"], "--data_dir is missing"),
        (["experiments.train", CONFIG, "--workdir=w", "--data_dir=none"], "no prepared corpus"),
        (["experiments.train", "--config=no.py", "--workdir=w", "--data_dir=d"], "no.py"),
        (["experiments.train", CONFIG, "--config.nothing=1"], "nothing"),
        (["experiments.train", CONFIG, "--config.model.dropot=1"], 'Did you mean "dropout"'),
        (
            ["experiments.train", CONFIG, "--config.model.dropout=high"],
            "--config.model.dropout=high",
        ),
        (
            [
                "experiments.train",
                CONFIG,
                "--workdir=w",
                "--data_dir=d",
                "--config.model.dropout=2",
            ],
            "error: --config.model.dropout is 2.0: give a number from 0",
        ),
        (["experiments.train", CONFIG, "--temperature=1"], "Unknown command line flag 'temper"),
        (["experiments.sample", "--tune_on=test"], "Unknown command line flag 'tune_on'"),
        (["experiments.evaluate", "--seed=1"], "Unknown command line flag 'seed'"),
        (["experiments.sample", "--step=newest"], "--step=newest: give last, best or the number"),
        (["experiments.sample", "--num_samples=0"], "--num_samples=0"),
        (["experiments.sample", "--seconds=-1"], "--seconds=-1"),
        (["experiments.sample", "--temperature=-1"], "--temperature=-1"),
        (["experiments.sample", "--workdir=w"], "--out is missing"),
        (["experiments.sample", "--workdir=none", "--out=o", "--split=test"], "no work directory"),
        (["experiments.speak", "--workdir=w"], "Give either --out=FILE, - for a pipe, or --play"),
        (["experiments.train_prosody", "--workdir=w"], "--data_dir is missing"),
        (["experiments.evaluate_speech", "--workdir=w", "--data_dir=d"], "--split is missing"),
        (["experiments.describe_corpus", "--dataset=fsdd"], "--data_dir is missing"),
        (["experiments.prepare", "--data_dir=d"], "--dataset is missing"),
        (["experiments.sample", "runs/mine"], "'runs/mine' is no flag"),
        (["experiments.sample", "--workdir=none", "--out=o"], "no work directory none"),
        (["experiments.evaluate", "--workdir=w", "--data_dir=d"], "--split is missing"),
        (
            ["experiments.studies.copy_synthesis", "--workdir=w", "--data_dir=d"],
            "--split is missing",
        ),
        (["experiments.recognize", "--workdir=w"], "No recording is named"),
        (["experiments.recognize", "--workdir=w", "a.wav", "--format=json"], "--format is json"),
        (["experiments.recognize", "--workdir=w", "a", "b", "--phones=ah"], "there are 2"),
        (["experiments.benchmark", "--batches=0"], "--batches is '0'"),
        (["experiments.benchmark", "--repeats=many"], "many"),
    ],
)
def test_bad_input_ends_in_one_line(run, arguments, message):
    ended = run(*arguments)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr


CONFIG_ERRORS = {
    "config.model.layers = 3": (4, 'AttributeError: Key "layers" does not exist'),
    "config.num_steps = int('many')": (4, "ValueError: invalid literal for int()"),
    "config.num_steps = steps": (4, "NameError: name 'steps' is not defined"),
    "config.update(": (4, "SyntaxError: '(' was never closed"),
    "open('nothing')": (4, "FileNotFoundError: [Errno 2] No such file or directory: 'nothing'"),
}


@pytest.mark.parametrize("line", CONFIG_ERRORS)
def test_a_mistake_in_a_config_file_is_shown_where_it_is(run, tmp_path, line):
    number, message = CONFIG_ERRORS[line]
    path = tmp_path / "mine.py"
    head = (
        "from experiments.configs import fsdd\ndef get_config():\n    config = fsdd.get_config()\n"
    )
    path.write_text(f"{head}    {line}\n    return config\n")
    ended = run("experiments.train", f"--config={path}", "--workdir=w", "--data_dir=d")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {path}, line {number}: {message}")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "program",
    [*(path.stem for path in PROGRAMS), "studies.ablation", "studies.copy_synthesis"],
)
def test_help_says_what_the_program_is_for(run, program):
    ended = run(f"experiments.{program}", "--help")
    first = importlib.import_module(f"experiments.{program}").__doc__.splitlines()[0]
    assert first in ended.stdout
    assert len(ended.stdout.splitlines()) > 5
    assert not ended.stderr


def test_help_lists_the_flags_that_a_program_reads(run):
    listed = run("experiments.evaluate", "--help").stdout
    assert all(f"--{name}:" in listed for name in ("workdir", "step", "json", "tune_on"))
    assert "--temperature" not in listed


def test_no_two_programs_define_one_flag() -> None:
    """Flags are one namespace: who imports two programs must not find one defined twice."""
    pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(f"import experiments.{path.stem}" for path in PROGRAMS)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
