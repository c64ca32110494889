"""Stopping on Ctrl-C and SIGTERM, at the end of a training step."""

import contextlib
import signal

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def stop_on_signals():
    """A context in which Ctrl-C and SIGTERM ask to stop instead of stopping.

    A second signal stops at once. Several hosts must stop at the same step, which jax's
    coordination of a SIGTERM decides.

    Yields:
      A function from the number of the step to whether to stop after it.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    asked = []

    def ask(number, frame):
        asked.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda step: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
