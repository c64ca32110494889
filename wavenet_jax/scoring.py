"""Bits per sample of whole recordings, in chunks that carry the left context."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np

from wavenet_jax import conditioning, parallel
from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import BATCH, REPLICATED
from wavenet_jax.wavenet import WaveNet


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of one recording.

    Attributes:
      recording: its name.
      bits: -log2 p of all its samples together.
      num_samples: the number of its samples.
      sample_bits: -log2 p of each sample, float32 `[num_samples]`, if they are asked for.
    """

    recording: str
    bits: float
    num_samples: int
    sample_bits: np.ndarray | None = dataclasses.field(default=None, compare=False)


def bits_per_sample(scores: Iterable[Score]) -> float:
    """Mean over all samples of all recordings, in whatever order: a long one counts for more."""
    scores = list(scores)
    return math.fsum(s.bits for s in scores) / sum(s.num_samples for s in scores)


def score(
    config: WaveNetConfig,
    params,
    recordings: Iterable[Mapping],
    *,
    batch_size: int = 8,
    chunk_samples: int = 2000,
    devices: list[jax.Device] | None = None,
    keep_sample_bits: bool = False,
) -> Iterator[Score]:
    """Scores recordings of any length in bounded memory.

    Args:
      config: of the model.
      params: its variables.
      recordings: mappings with `samples` (int16 `[T]`), `recording` (its name)
        and, where the model takes them, `global` (a label or `[D]`) and `local`
        (`[F]` labels or `[F, D]`).
      batch_size: recordings scored side by side, at most.
      chunk_samples: samples of each at a time, rounded up to whole frames.
      devices: over which a batch is divided; all of this process by default.
      keep_sample_bits: whether scores have the bits of each sample.

    Returns:
      An iterator over a score for each recording, in no particular order. It raises an
      `InputError` for a recording without samples, or whose conditions do not fit.

    Raises:
      InputError: a count below 1, no devices, or a config of another kind.
    """
    if not isinstance(config, WaveNetConfig):
        raise InputError(
            f"The config to score with is a {type(config).__name__}: give a WaveNetConfig, such as "
            "a recognizer's `wavenet`."
        )
    parallel.check_counts(batch_size=batch_size, chunk_samples=chunk_samples)
    return _scores(
        config,
        params,
        recordings,
        batch_size,
        chunk_samples,
        parallel.local_devices(devices),
        keep_sample_bits,
    )


def _scores(config, params, recordings, batch_size, chunk_samples, devices, keep_sample_bits):
    chunk = -(-chunk_samples // config.hop_samples) * config.hop_samples
    for batch, padded in parallel.batches(recordings, batch_size, len(devices)):
        yield from _score_batch(config, params, batch, padded, chunk, devices, keep_sample_bits)


def _score_batch(config, params, batch, padded, chunk, devices, keep_sample_bits):
    begin, advance = _programs(config, devices, len(padded))
    lengths = np.array([len(r["samples"]) for r in padded])
    if not lengths.min():
        name = padded[int(lengths.argmin())]["recording"]
        raise InputError(f"Recording {name} has 0 samples: there is nothing to score.")
    globals_ = None
    if config.global_condition is not None:
        globals_ = np.stack([_condition(r, "global") for r in padded])

    def local_frames(frames: np.ndarray) -> np.ndarray:
        return conditioning.frames_covering(config.local_condition, frames[None], start, chunk)

    bits, kept = np.zeros(len(padded)), []
    state = begin(params, globals_)
    for start in range(0, int(lengths.max()), chunk):
        samples = np.stack([_slice(r["samples"], start, chunk) for r in padded])
        local = None
        if config.local_condition is not None:
            local = np.concatenate([local_frames(_condition(r, "local")) for r in padded])
        chunk_bits, state = advance(params, state, samples, globals_, local)
        exists = start + np.arange(chunk) < lengths[:, None]
        bits += np.sum(np.asarray(chunk_bits), axis=1, where=exists, dtype=np.float64)
        kept += [np.asarray(chunk_bits)] if keep_sample_bits else []
    for i, recording in enumerate(batch):
        number = len(recording["samples"])
        sample_bits = np.concatenate([part[i] for part in kept])[:number] if kept else None
        yield Score(recording["recording"], float(bits[i]), number, sample_bits)


def _condition(recording: Mapping, name: str):
    if recording.get(name) is None:
        raise InputError(
            f"Recording {recording['recording']} has no {name} condition, and the model takes one: "
            f"give it as {name!r}."
        )
    return recording[name]


def _slice(samples: np.ndarray, start: int, length: int) -> np.ndarray:
    """samples[start : start + length], padded with zeros."""
    part = samples[start : start + length]
    return np.pad(part, (0, length - len(part)))


@functools.lru_cache(maxsize=8)
def _programs(config: WaveNetConfig, devices: tuple[jax.Device, ...], batch_size: int):
    """(begin, advance): the state before a batch, and a chunk's bits and state."""
    model = WaveNet(config)
    spec = parallel.state_spec(config)

    def begin(params, globals_):
        share = batch_size // len(devices)
        return model.apply(params, share, global_condition=globals_, method="initial_state")

    def advance(params, state, samples, globals_, local):
        codes = config.quantizer.encode(samples)
        outputs, state = model.apply(
            params,
            state,
            codes,
            global_condition=globals_,
            local_condition=local,
            method="prefill",
        )
        return -config.distribution.log_prob_bits(outputs, codes), state

    return (
        jax.jit(parallel.shard_over_batch(begin, devices, (REPLICATED, BATCH), spec)),
        jax.jit(
            parallel.shard_over_batch(
                advance, devices, (REPLICATED, spec, BATCH, BATCH, BATCH), (BATCH, spec)
            ),
            donate_argnums=1,
        ),
    )
