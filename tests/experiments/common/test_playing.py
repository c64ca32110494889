"""Sound that is heard while it is generated: a stand-in for the device, and a real pipe."""

import os
import subprocess
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from experiments.common import playing
from wavenet_jax import InputError

RATE_HZ = 1000


class Clock:
    """Time that passes as chunks are made."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made(clock: Clock, number: int, share: float, length: int = 100):
    """Chunks of 0.1 s, generated at a share of real time; the first takes long."""
    clock.now += 5
    for i in range(number):
        yield np.full(length, i, np.int16)
        clock.now += length / RATE_HZ / share


def begun_after(share: float, number: int = 50) -> float:
    """How much of the sound, in seconds, is there when the first of it is passed on."""
    clock = Clock()
    taken = []

    def counted():
        for chunk in made(clock, number, share):
            taken.append(len(chunk))
            yield chunk

    chunks = playing.gathered(counted(), RATE_HZ, 100 * number, clock=clock)
    first = next(chunks)
    seconds = sum(taken) / RATE_HZ
    rest = np.concatenate([first, *chunks])
    np.testing.assert_array_equal(rest, np.repeat(np.arange(number), 100))
    return seconds


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_slow_sound_is_gathered_until_the_rest_comes_in_time(share: float) -> None:
    seconds = begun_after(share)
    # Heard from then on, the last of 5 s comes in time, and not with seconds to spare.
    assert seconds + share * 5 >= 5
    assert seconds <= 5 * (1 - 0.8 * share)


def test_fast_sound_is_heard_at_once() -> None:
    assert begun_after(3.0) == pytest.approx(playing.LEAD_S, abs=0.11)


def test_what_is_shorter_than_the_lead_is_heard() -> None:
    assert begun_after(3.0, number=1) == 0.1
    assert not list(playing.gathered([], RATE_HZ, 1))


class Device:
    """A stand-in for `sounddevice.RawOutputStream`."""

    opened: ClassVar[list["Device"]] = []

    def __init__(self, **options) -> None:
        self.options, self.heard, self.ended = options, b"", None
        Device.opened.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.ended = self.ended or "played out"

    def write(self, content: bytes) -> bool:
        self.heard += content
        return len(self.heard) > 500

    def abort(self) -> None:
        self.ended = "aborted"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch):
    class PortAudioError(Exception):
        pass

    module = types.SimpleNamespace(RawOutputStream=Device, PortAudioError=PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    Device.opened.clear()
    return module


def test_plays_to_the_end(device) -> None:
    chunks = [np.full(100, i, np.int16) for i in range(4)]
    assert playing.play(iter(chunks), RATE_HZ, 400) == 2
    (opened,) = Device.opened
    assert (opened.options["samplerate"], opened.options["channels"]) == (RATE_HZ, 1)
    assert (opened.options["dtype"], opened.ended) == ("int16", "played out")
    np.testing.assert_array_equal(np.frombuffer(opened.heard, np.int16), np.concatenate(chunks))


def test_ctrl_c_stops_at_once(device) -> None:
    def stopped():
        yield np.zeros(1000, np.int16)
        yield np.zeros(1000, np.int16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        playing.play(stopped(), RATE_HZ, 3000)
    assert Device.opened[0].ended == "aborted"


def test_no_device_and_no_library(device, monkeypatch) -> None:
    def none(**options):
        raise device.PortAudioError("Error querying device -1")

    device.RawOutputStream = none
    with pytest.raises(InputError, match="No sound device plays 1000 Hz .Error querying device -1"):
        playing.play([np.zeros(10, np.int16)], RATE_HZ, 10)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(InputError, match="sounddevice is not installed, which --play needs: pip"):
        playing.play([], RATE_HZ, 10)


def test_a_pipe_has_each_chunk_as_it_comes() -> None:
    reader, writer = os.pipe()

    def chunks():
        yield np.array([1, -2], np.int16)
        assert os.read(reader, 100) == b"\x01\x00\xfe\xff"
        yield np.array([3], np.int16)

    assert playing.write_pcm(chunks(), writer)
    assert os.read(reader, 100) == b"\x03\x00"
    os.close(reader)
    os.close(writer)


GOES_ON = """
import numpy as np
from experiments.common import playing
made = []

def chunks():
    while True:
        made.append(1)
        yield np.zeros(1000, np.int16)

assert not playing.write_pcm(chunks())
import sys
print(len(made), file=sys.stderr)
"""


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GOES_ON], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.read(5000)
        program.stdout.close()
        errors = program.stderr.read()
    assert program.returncode == 0
    assert errors.strip().isdigit(), errors
