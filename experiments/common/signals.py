"""Stopping on Ctrl-C and SIGTERM, at the end of a training step."""

import contextlib
import signal

import jax
from jax.experimental import multihost_utils


@contextlib.contextmanager
def stop_on_signals():
    """Gives a function that says whether Ctrl-C or SIGTERM asked to stop.

    A second signal no longer waits for the step to end. Several hosts must stop
    at one step: there jax's own coordination of a SIGTERM decides.
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
