"""Frame posteriors of whole recordings in bounded memory (section 3.4)."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import parallel
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import BATCH, BATCH_SECOND, REPLICATED
from wavenet_jax.recognition.recognizer import Recognizer, RecognizerConfig

CHUNK_SAMPLES = 8000
"""Samples of each recording at a time: of twice as many, a CPU's cache no longer holds all."""


class Posteriors(NamedTuple):
    """Posteriors of one recording.

    Attributes:
      recording: its name.
      log_probs: natural logarithms, float32 `[F, K]`, of the classes of each frame; for
        CTC `[F, K + 1]`, of which the last is the blank's.
    """

    recording: str
    log_probs: np.ndarray


def posteriors(
    config: RecognizerConfig,
    params,
    recordings: Iterable[Mapping],
    *,
    batch_size: int = 8,
    chunk_samples: int = CHUNK_SAMPLES,
    devices: list[jax.Device] | None = None,
) -> Iterator[Posteriors]:
    """Classifies the frames of recordings of any length.

    Recordings are encoded in chunks. The ring buffers carry the left context of the WaveNet
    from chunk to chunk, and the pooled frames that the classifier needs are kept, so that the
    result does not depend on the chunks. Memory grows by the result alone.

    Args:
      config: of the recognizer.
      params: its variables.
      recordings: mappings with `samples` (int16 `[T]`) and `recording` (its name).
      batch_size: recordings encoded side by side, at most.
      chunk_samples: samples of each at a time, rounded up to whole frames.
      devices: over which a batch is divided; all of this process by default.

    Returns:
      An iterator over the posteriors of each recording, in no particular order. It raises an
      `InputError` for a recording without samples.

    Raises:
      InputError: a count below 1, no devices, or a config of another kind.
    """
    if not isinstance(config, RecognizerConfig):
        raise InputError(
            f"The config is a {type(config).__name__}, which does not classify frames: give a "
            "RecognizerConfig, such as that of experiments/configs/timit.py."
        )
    parallel.check_counts(batch_size=batch_size, chunk_samples=chunk_samples)
    return _posteriors(
        config, params, recordings, batch_size, chunk_samples, parallel.local_devices(devices)
    )


def _posteriors(config, params, recordings, batch_size, chunk_samples, devices):
    chunk = -(-chunk_samples // config.window_hop_samples) * config.window_hop_samples
    for batch, padded in parallel.batches(recordings, batch_size, len(devices)):
        yield from _of_batch(config, params, batch, padded, chunk, devices)


def _of_batch(config, params, batch, padded, chunk, devices):
    lengths = np.array([len(recording["samples"]) for recording in padded])
    if not lengths.min():
        name = padded[int(lengths.argmin())]["recording"]
        raise InputError(f"Recording {name} has 0 samples: there is nothing to recognise.")
    begin, advance = _programs(config, devices, len(padded))
    num_frames = config.num_frames(lengths)
    chunk_frames, context = chunk // config.hop_samples, config.context_frames
    state, kept = begin(params)
    parts = []
    # A frame is classified once the `context_frames` frames after it are encoded.
    for first in range(0, int(num_frames.max()) + context, chunk_frames):
        start = first * config.hop_samples
        samples = np.zeros((len(padded), chunk), np.int16)
        for recording, into in zip(padded, samples, strict=True):
            part = recording["samples"][start : start + chunk]
            into[: len(part)] = part
        frames = first - 2 * context + np.arange(2 * context + chunk_frames)
        mask = (frames >= 0) & (frames < num_frames[:, None])
        log_probs, state, kept = advance(params, state, kept, samples, mask)
        parts.append(np.asarray(log_probs))
    whole = np.concatenate(parts, axis=1)[:, context:]
    for recording, number, log_probs in zip(batch, num_frames, whole, strict=False):
        yield Posteriors(recording["recording"], log_probs[:number])


@functools.lru_cache(maxsize=8)
def _programs(config: RecognizerConfig, devices: tuple[jax.Device, ...], batch_size: int):
    """(begin, advance): the state and the kept frames `[F, B, S]` before a batch; and the
    posteriors, state and kept frames after a chunk of it."""
    model, context = Recognizer(config), config.context_frames
    spec = parallel.state_spec(config.wavenet)

    def begin(params):
        share = batch_size // len(devices)
        kept = jnp.zeros((2 * context, share, config.wavenet.skip_channels))
        return model.apply(params, share, method="initial_state"), kept

    def advance(params, state, kept, samples, mask):
        codes = config.wavenet.quantizer.encode(samples)
        frames, state = model.apply(params, state, codes, method="encode_frames")
        frames = jnp.concatenate([kept, frames])
        logits: Any = model.apply(params, frames, mask, method="classify")
        log_probs = jax.nn.log_softmax(logits[:, context : logits.shape[1] - context])
        return log_probs, state, frames[frames.shape[0] - 2 * context :]

    return (
        jax.jit(parallel.shard_over_batch(begin, devices, (REPLICATED,), (spec, BATCH_SECOND))),
        jax.jit(
            parallel.shard_over_batch(
                advance,
                devices,
                (REPLICATED, spec, BATCH_SECOND, BATCH, BATCH),
                (BATCH, spec, BATCH_SECOND),
            ),
            donate_argnums=(1, 2),
        ),
    )
