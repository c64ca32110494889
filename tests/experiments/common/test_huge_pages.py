"""The programs run with the wish for huge pages, and as they were asked to run."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")

SHOW = """
import os, sys
print(os.environ.get("GLIBC_TUNABLES"), os.getpid(), sys.orig_argv[1:], sys.argv[1:])
"""


def run(folder, command, **variables):
    package = folder / "experiments"
    if not package.exists():
        package.mkdir()
        (package / "__init__.py").write_text(
            "from experiments import huge_pages\nhuge_pages.restart_with()\n"
        )
        with open(os.path.join("experiments", "huge_pages.py"), encoding="utf-8") as file:
            (package / "huge_pages.py").write_text(file.read())
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
    shown, _ = run(tmp_path, ["-c", "import experiments.show", "-m"])
    assert shown.startswith("None ")
