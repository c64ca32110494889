"""A program that asks for huge pages restarts with them, as it was asked to run."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")

ROOT = pathlib.Path(__file__).parents[3]
SHOW = """
import os, sys
from experiments import huge_pages

def main():
    huge_pages.restart()
    print(os.environ.get("GLIBC_TUNABLES"), os.getpid(), sys.orig_argv[1:], sys.argv[1:])

if __name__ == "__main__":
    main()
"""


def run(folder, command, **variables):
    package = folder / "experiments"
    if not package.exists():
        package.mkdir()
        (package / "__init__.py").write_text("")
        source = ROOT / "experiments" / "common" / "huge_pages.py"
        (package / "huge_pages.py").write_text(source.read_text())
        (package / "show.py").write_text(SHOW)
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"} | variables
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        shown = process.communicate(timeout=60)[0].strip()
    return shown, process.pid


def test_a_program_starts_over_in_the_same_process_with_its_arguments(tmp_path):
    arguments = ["-W", "ignore", "-m", "experiments.show", "--a=b c", "-m"]
    shown, pid = run(tmp_path, arguments)
    assert shown == f"glibc.malloc.hugetlb=1 {pid} {arguments} {arguments[4:]}"


def test_what_the_user_set_stays(tmp_path):
    shown, pid = run(tmp_path, ["-m", "experiments.show"], GLIBC_TUNABLES="")
    assert shown == f" {pid} ['-m', 'experiments.show'] []".strip()


def test_an_import_starts_nothing_over(tmp_path):
    command = "import experiments.show; print(experiments.show.os.environ.get('GLIBC_TUNABLES'))"
    assert run(tmp_path, ["-c", command, "-m", "experiments.show"])[0] == "None"
    command = "import experiments.show; experiments.show.main()"
    assert run(tmp_path, ["-c", command, "-m"])[0].startswith("None ")


@pytest.mark.parametrize(
    "program",
    [
        "train",
        "train_prosody",
        "benchmark",
        "studies/ablation",
        "studies/receptive_field",
        "studies/recognition",
    ],
)
def test_the_programs_that_train_ask_for_them(program):
    source = (ROOT / "experiments" / f"{program}.py").read_text()
    assert "huge_pages.restart()" in source.partition("def main(")[2]
