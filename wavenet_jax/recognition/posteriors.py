"""What a recognizer thinks of whole recordings, in bounded memory (section 3.4)."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from wavenet_jax import parallel
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import BATCH, REPLICATED
from wavenet_jax.wavenet import WaveNet, WaveNetConfig

CHUNK_SAMPLES = 8000
"""Of each recording that are heard at a time: on a CPU, twice as fast as twice as many, which
no longer fit its cache."""

_FRAMES: PartitionSpec = PartitionSpec(None, "rows")


class Posteriors(NamedTuple):
    """Of one recording.

    Attributes:
      recording: its name.
      log_probs: natural logarithms, float32 `[F, K]`, of the classes of each frame; for
        CTC `[F, K + 1]`, of which the last is the blank's.
    """

    recording: str
    log_probs: np.ndarray


def posteriors(
    config: WaveNetConfig,
    params,
    recordings: Iterable[Mapping],
    *,
    batch_size: int = 8,
    chunk_samples: int = CHUNK_SAMPLES,
    devices: list[jax.Device] | None = None,
) -> Iterator[Posteriors]:
    """Classifies the frames of recordings of any length.

    A recording is heard chunk by chunk, with its past in the ring buffers and what the
    classifier sees on either side kept back, so that the result is that of the whole
    (`WaveNet.recognize`), whatever the chunks. Memory grows by the result alone: 70 MB for
    an hour and 48 classes.

    Args:
      config: the model's, with a recognizer.
      params: the model's variables.
      recordings: mappings with `samples` (int16 `[N]`) and `recording` (its name).
      batch_size: recordings heard side by side, at most.
      chunk_samples: samples of each at a time, made a whole number of frames.
      devices: over which the batch is spread; all of this process by default.

    Yields:
      One for each recording, in no particular order.

    Raises:
      InputError: the model has no recognizer, or a recording no samples.
    """
    if config.recognizer is None:
        raise InputError(
            "The model does not classify frames: train one with a recognizer, such as "
            "--config=experiments/configs/timit.py."
        )
    devices = devices or jax.local_devices()
    chunk = -(-chunk_samples // config.hop_samples) * config.hop_samples
    for batch, rows in parallel.batches(recordings, batch_size, len(devices)):
        yield from _of_batch(config, params, batch, rows, chunk, tuple(devices))


def _of_batch(config, params, batch, rows, chunk, devices):
    recognizer = config.recognizer
    lengths = np.array([len(row["samples"]) for row in rows])
    if not lengths.min():
        name = rows[int(lengths.argmin())]["recording"]
        raise InputError(f"Recording {name} has 0 samples: there is nothing to recognise.")
    begin, advance = _programs(config, devices, len(rows))
    num_frames = recognizer.num_frames(lengths)
    at_once, reach = chunk // recognizer.hop_samples, recognizer.context_frames
    state, kept = begin(params)
    parts = []
    # The classes of a frame are known once the `context_frames` frames after it are heard.
    for first in range(0, int(num_frames.max()) + reach, at_once):
        samples = np.zeros((len(rows), chunk), np.int16)
        for row, into in zip(rows, samples, strict=True):
            part = row["samples"][first * recognizer.hop_samples :][:chunk]
            into[: len(part)] = part
        frames = first - 2 * reach + np.arange(2 * reach + at_once)
        mask = (frames >= 0) & (frames < num_frames[:, None])
        log_probs, state, kept = advance(params, state, kept, samples, mask)
        parts.append(np.asarray(log_probs))
    whole = np.concatenate(parts, axis=1)[:, reach:]
    for row, number, log_probs in zip(batch, num_frames, whole, strict=False):
        yield Posteriors(row["recording"], log_probs[:number])


@functools.lru_cache(maxsize=8)
def _programs(config: WaveNetConfig, devices: tuple[jax.Device, ...], batch_size: int):
    """(begin, advance): what is kept before a batch, and what is known after a chunk of it."""
    model, recognizer = WaveNet(config), config.recognizer
    assert recognizer is not None
    reach = recognizer.context_frames
    spec = parallel.state_spec(config)

    def begin(params):
        rows = batch_size // len(devices)
        kept = jnp.zeros((2 * reach, rows, config.skip_channels))
        return model.apply(params, rows, method="initial_state"), kept

    def advance(params, state, kept, samples, mask):
        codes = config.quantizer.encode(samples)
        frames, state = model.apply(params, state, codes, method="encode_frames")
        frames = jnp.concatenate([kept, frames])
        logits: Any = model.apply(params, frames, mask, method="classify")
        log_probs = jax.nn.log_softmax(logits[:, reach : logits.shape[1] - reach])
        return log_probs, state, frames[frames.shape[0] - 2 * reach :]

    return (
        jax.jit(parallel.shard_over_batch(begin, devices, (REPLICATED,), (spec, _FRAMES))),
        jax.jit(
            parallel.shard_over_batch(
                advance, devices, (REPLICATED, spec, _FRAMES, BATCH, BATCH), (BATCH, spec, _FRAMES)
            ),
            donate_argnums=(1, 2),
        ),
    )
