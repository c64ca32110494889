"""Programs of `experiments`, run by others as a user would run them."""

import shlex
import signal
import subprocess
import sys


def command(program: str, *arguments: str) -> str:
    """The command line of a program, for people."""
    return shlex.join(["python", "-m", f"experiments.{program}", *arguments])


def run(program: str, *arguments: str, limit_s: float | None = None) -> None:
    """Prints a command line, and runs it.

    Args:
      program: its name within `experiments`.
      *arguments: of its command line.
      limit_s: a program that takes longer gets a SIGTERM, on which `train` saves its state.

    Raises:
      SystemExit: it fails, with its code; it has said why.
    """
    print(f"\n$ {command(program, *arguments)}", flush=True)
    with subprocess.Popen([sys.executable, "-m", f"experiments.{program}", *arguments]) as process:
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            code = process.wait()
        except KeyboardInterrupt:
            process.wait()  # the terminal sent it the signal too
            raise
    if code:
        sys.exit(code)
