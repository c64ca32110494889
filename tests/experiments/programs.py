"""Programs as a user runs them, each in a process of its own, which begins in no time.

`python -m experiments.NAME` takes seconds to import what every program imports. Here a server
of `multiprocessing` imports that once, and each program is a fork of it.
"""

import atexit
import io
import multiprocessing
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable, Mapping

ROOT = pathlib.Path(__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["matplotlib.figure", "ml_collections.config_flags", "experiments.tasks.training"]
)


class Program:
    """A program that runs, with the names of `subprocess.Popen`."""

    def __init__(
        self, module: str, *arguments: str, devices: int = 1, variables: Mapping[str, str] = {}
    ) -> None:
        """Starts `python -m module *arguments` with so many CPU devices.

        Args:
          variables: of its environment, changes.
        """
        folder = pathlib.Path(tempfile.mkdtemp(prefix="wavenet_jax_program_"))
        weakref.finalize(self, shutil.rmtree, folder)
        out, errors = folder / "out", folder / "errors"
        self._printed = (out, errors)
        # Huge pages would start it over, without the server.
        variables = {"GLIBC_TUNABLES": "", **variables}
        self._process = _SERVER.Process(
            target=_run, args=(module, arguments, devices, variables, out, errors)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def read_line(self, limit_s: float = 60) -> str:
        """The first line that it prints on stdout.

        Raises:
          AssertionError: it ended without one, or has none after so many seconds.
        """
        deadline_s = time.monotonic() + limit_s
        out, errors = self._printed
        while time.monotonic() < deadline_s:
            ended = self.poll() is not None
            line, newline, _ = (out.read_text() if out.exists() else "").partition("\n")
            if newline:
                return line
            assert not ended, errors.read_text()
            time.sleep(0.02)
        raise AssertionError("no line came")

    def stdout_bytes(self) -> bytes:
        """Waits for its end; gives what it wrote on stdout, which need not be text."""
        self._process.join()
        path = self._printed[0]
        content = path.read_bytes()
        path.write_bytes(b"")
        return content

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for its end; gives what it printed on stdout and on stderr.

        Raises:
          subprocess.TimeoutExpired: it did not end within `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        out, errors = (path.read_text() if path.exists() else "" for path in self._printed)
        return out, errors


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `run("experiments.NAME", "--flag=value", ..)` to its end, as `subprocess.run` would."""
    program = Program(module, *arguments)
    out, errors = program.communicate()
    assert program.returncode is not None
    return subprocess.CompletedProcess((module, *arguments), program.returncode, out, errors)


def _run(
    module: str,
    arguments: tuple[str, ...],
    devices: int,
    variables: Mapping[str, str],
    out: pathlib.Path,
    errors: pathlib.Path,
) -> None:
    """What the fork does."""
    import jax

    for path, descriptor in ((out, 1), (errors, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    # The server's streams are bound to what were its descriptors; stdin is a closed file there.
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=False)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), write_through=True)
    os.chdir(ROOT)
    os.environ.update(variables)
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    sys.argv[:] = [module, *arguments]
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()  # JAX's waits for the other processes of a program
    os._exit(code if isinstance(code, int) else int(code is not None))
