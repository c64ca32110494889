"""One program at a time writes to a folder: who holds it, who waits, and who is taken for dead."""

import pathlib
import subprocess
import sys

import pytest

from experiments.common import in_use
from wavenet_jax import InputError

LEASE_S = 3
HOLD = """
import socket, sys, time
if sys.argv[2]:
    socket.gethostname = lambda: sys.argv[2]
from experiments.common import in_use
in_use.LEASE_S = float(sys.argv[3])
with in_use.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _a_short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_use, "LEASE_S", LEASE_S)


def holder(folder: pathlib.Path, host: str = "") -> subprocess.Popen[str]:
    """A process that holds a folder, of a host by this name."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, host, str(LEASE_S)],
        cwd=pathlib.Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n", process.communicate()
    return process


@pytest.mark.parametrize("host", ["", "another-host"])
def test_a_second_is_refused_and_a_killed_one_followed(
    host: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the same host at once, and on another once it has shown no sign of life."""
    process = holder(tmp_path, host)
    try:
        of = f"process {process.pid} of {host}"
        with (
            pytest.raises(InputError, match=f"{tmp_path.name} is in use by {of}"),
            in_use.held(tmp_path),
        ):
            pass
        assert ("waiting 3 s for a sign of life" in capsys.readouterr().err) == bool(host)
    finally:
        process.kill()
        process.communicate()
    with in_use.held(tmp_path):
        assert (tmp_path / in_use.MARKER).exists()
        assert ("waiting 3 s" in capsys.readouterr().err) == bool(host)
    assert not list(tmp_path.iterdir())


def test_one_whose_folder_was_taken_ends(tmp_path: pathlib.Path) -> None:
    """As after a suspension that was longer than the lease."""
    process = holder(tmp_path)
    (tmp_path / in_use.MARKER).unlink()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is no longer this process's" in errors
    assert "Traceback" not in errors
