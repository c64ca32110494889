"""How programs end: bad input in one line on stderr, and an exit code that is not 0."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
CONFIG = "--config=experiments/configs/fsdd.py"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiments.train", CONFIG, "--workdir=w"], "--data_dir is missing"),
        (["experiments.train", CONFIG, "--workdir=w", "--data_dir=none"], "no prepared corpus"),
        (["experiments.train", "--config=no.py", "--workdir=w", "--data_dir=d"], "no.py"),
        (["experiments.train", CONFIG, "--config.nothing=1"], "nothing"),
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


@pytest.mark.parametrize(
    "program",
    ["prepare", "train", "sample", "evaluate", "copy_synthesis", "benchmark", "demo"],
)
def test_help_says_what_the_program_is_for(run, program):
    ended = run(f"experiments.{program}", "--help")
    assert "--" in ended.stdout
    assert len(ended.stdout.splitlines()) > 5
    assert not ended.stderr


def test_no_two_programs_define_one_flag() -> None:
    """Flags are one namespace: who imports two programs must not find one defined twice."""
    pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
    stems = [path.stem for path in sorted((ROOT / "experiments").glob("*.py"))]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(f"import experiments.{stem}" for stem in stems)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
