"""Sound that is heard while it is generated: on a device, or through a pipe."""

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from wavenet_jax import InputError

LEAD_S = 0.2
"""Sound that is there before any is heard: what a busy machine may be late by."""

SAFETY = 0.9
"""Share of the speed so far that the rest is expected to be generated with."""


def gathered(
    chunks: Iterable[np.ndarray],
    sample_rate_hz: int,
    num_samples: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[np.ndarray]:
    """Chunks, of which the first are held back until the others will come in time.

    Sound that is generated at a share s of real time has no gap if 1 - s of it is there first.

    Args:
      chunks: int16 `[N]` each.
      sample_rate_hz: at which they are heard.
      num_samples: of all.
      clock: in seconds.
    """
    held: list[np.ndarray] | None = []
    first, count, began_s = 0, 0, 0.0
    for chunk in chunks:
        if held is None:
            yield chunk
            continue
        if not held:  # what came before the first chunk says nothing of the speed
            first, began_s = len(chunk), clock()
        held.append(chunk)
        count += len(chunk)
        seconds = max(clock() - began_s, 1e-9)
        share = SAFETY * (count - first) / seconds / sample_rate_hz
        needed = max(LEAD_S * sample_rate_hz, (1 - share) * num_samples)
        if count >= needed and len(held) > 1:
            yield from held
            held = None
    yield from held or ()


def play(chunks: Iterable[np.ndarray], sample_rate_hz: int, num_samples: int) -> int:
    """Plays chunks on this machine's sound device, to their end.

    Args:
      chunks, sample_rate_hz, num_samples: as in `gathered`.

    Returns:
      How many of them came too late.

    Raises:
      InputError: there is no device, or no library for it.
    """
    try:
        import sounddevice
    except ImportError:
        raise InputError(
            "sounddevice is not installed, which --play needs: pip install -e '.[play]' has it; "
            "or write a file with --out=FILE."
        ) from None
    except OSError as error:
        raise InputError(
            f"sounddevice cannot be used ({error}): install PortAudio (Debian: libportaudio2), or "
            "write a file with --out=FILE."
        ) from None
    late = 0
    try:
        device = sounddevice.RawOutputStream(
            samplerate=sample_rate_hz, channels=1, dtype="int16", latency="high"
        )
        with device:
            try:
                for chunk in gathered(chunks, sample_rate_hz, num_samples):
                    late += bool(device.write(chunk.tobytes()))
            except BaseException:
                device.abort()  # what was not heard yet is not
                raise
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InputError(
            f"No sound device plays {sample_rate_hz} Hz ({' '.join(str(error).split())}): connect "
            "one, or write a file with --out=FILE."
        ) from None
    return late


def write_pcm(chunks: Iterable[np.ndarray], descriptor: int | None = None) -> bool:
    """Writes chunks as they come, 16 bits a sample, little-endian, without a header.

    Args:
      chunks: int16 `[N]` each.
      descriptor: of the file; stdout's by default.

    Returns:
      Whether all was read: False if the reader went away.
    """
    descriptor = sys.stdout.fileno() if descriptor is None else descriptor
    # Without a buffer: none is left to be written when the reader has gone.
    with io.FileIO(descriptor, "wb", closefd=False) as file:
        try:
            for chunk in chunks:
                left = memoryview(chunk.astype("<i2").tobytes())
                while left:
                    left = left[file.write(left) :]
        except BrokenPipeError:
            return False
    return True
