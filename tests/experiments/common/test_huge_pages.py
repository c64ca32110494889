"""Programs restart with huge pages, as they were asked to run."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")

ROOT = pathlib.Path(__file__).parents[3]
SHOW = """
import os, sys

if __name__ == "__main__":
    print(os.environ.get("GLIBC_TUNABLES"), os.getpid(), sys.orig_argv[1:], sys.argv[1:])
"""


def run(folder, command, **variables):
    package = folder / "experiments"
    if not package.exists():
        for name in ("__init__.py", "common/__init__.py", "common/huge_pages.py"):
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text((ROOT / "experiments" / name).read_text())
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
    (tmp_path / "other.py").write_text("import experiments, os; print(dict(os.environ))")
    imports = ["-c", "import experiments, os; print(dict(os.environ))"]
    for command in (imports, [*imports, "-m", "experiments.show"], ["-m", "other"]):
        shown, _ = run(tmp_path, command)
        assert shown and "GLIBC_TUNABLES" not in shown
