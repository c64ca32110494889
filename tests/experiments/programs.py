"""Programs as a user runs them, each in a process of its own, which begins in no time.

`python -m experiments.NAME` takes seconds to import what every program imports. Here one
process imports that once, and each program is a fork of it.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]

_SERVER = """
import json, os, runpy, sys, tempfile, traceback
import matplotlib.figure, ml_collections.config_flags, wavenet_jax.checkpoints, data

def run(module, *arguments):
    sys.argv[:] = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        if not (child := os.fork()):
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            code = run(*json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0), errors.seek(0)
        print(json.dumps([code, out.read(), errors.read()]), file=answers, flush=True)
"""


class Programs:
    """Runs `Programs()("experiments.NAME", "--flag=value", ..)` as `subprocess.run` would."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            cwd=ROOT,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        assert self._server.stdin is not None and self._server.stdout is not None
        print(json.dumps(command), file=self._server.stdin, flush=True)
        code, out, errors = json.loads(self._server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out, errors)

    def close(self) -> None:
        self._server.communicate()
