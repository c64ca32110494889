"""Scoring whole recordings: every sample once, history carried across chunks."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping

import jax
import numpy as np

from wavenet_jax import conditioning, parallel
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import BATCH, REPLICATED
from wavenet_jax.wavenet import WaveNet, WaveNetConfig


@dataclasses.dataclass(frozen=True)
class Score:
    """What one recording scored.

    Attributes:
      recording: its name.
      bits: -log2 p of all its samples together.
      num_samples: how many they are.
    """

    recording: str
    bits: float
    num_samples: int


def bits_per_sample(scores: Iterable[Score]) -> float:
    """Mean over all samples of all recordings: a long recording counts for more."""
    scores = list(scores)
    return sum(s.bits for s in scores) / sum(s.num_samples for s in scores)


def score(
    config: WaveNetConfig,
    params,
    recordings: Iterable[Mapping],
    *,
    batch_size: int = 8,
    chunk_samples: int = 2000,
    devices: list[jax.Device] | None = None,
) -> Iterator[Score]:
    """Scores recordings of any length in bounded memory.

    Args:
      config: the model's.
      params: the model's variables.
      recordings: mappings with `samples` (int16 `[N]`), `recording` (its name)
        and, where the model takes them, `global` (a label or `[D]`) and `local`
        (`[F]` labels or `[F, D]`).
      batch_size: recordings scored side by side, at most.
      chunk_samples: samples of each at a time, made a whole number of frames.
      devices: over which the batch is spread; all of this process by default.

    Yields:
      A score for each recording, in no particular order.

    Raises:
      InputError: a recording without samples, or conditions that do not fit.
    """
    devices = devices or jax.local_devices()
    chunk = -(-chunk_samples // config.hop_samples) * config.hop_samples
    for batch, rows in parallel.batches(recordings, batch_size, len(devices)):
        yield from _score_batch(config, params, batch, rows, chunk, tuple(devices))


def _score_batch(config, params, batch, rows, chunk, devices):
    begin, advance = _programs(config, devices, len(rows))
    lengths = np.array([len(r["samples"]) for r in rows])
    if not lengths.min():
        name = rows[int(lengths.argmin())]["recording"]
        raise InputError(f"Recording {name} has 0 samples: there is nothing to score.")
    globals_ = None
    if config.global_condition is not None:
        globals_ = np.stack([r["global"] for r in rows])

    def frames(series: np.ndarray) -> np.ndarray:
        return conditioning.frames_covering(config.local_condition, series[None], start, chunk)

    bits = np.zeros(len(rows))
    state = begin(params, globals_)
    for start in range(0, int(lengths.max()), chunk):
        samples = np.stack([_slice(r["samples"], start, chunk) for r in rows])
        local = None
        if config.local_condition is not None:
            local = np.concatenate([frames(r["local"]) for r in rows])
        chunk_bits, state = advance(params, state, samples, globals_, local)
        exists = start + np.arange(chunk) < lengths[:, None]
        bits += np.sum(np.asarray(chunk_bits), axis=1, where=exists, dtype=np.float64)
    for row, row_bits in zip(batch, bits, strict=False):
        yield Score(row["recording"], float(row_bits), len(row["samples"]))


def _slice(series: np.ndarray, start: int, length: int) -> np.ndarray:
    """series[start : start + length], with zeros for what lies past its end."""
    part = series[start : start + length]
    pad = [(0, length - len(part))] + [(0, 0)] * (series.ndim - 1)
    return np.pad(part, pad)


@functools.lru_cache(maxsize=8)
def _programs(config: WaveNetConfig, devices: tuple[jax.Device, ...], batch_size: int):
    """(begin, advance): the state before a batch, and a chunk's bits and state."""
    model = WaveNet(config)
    spec = parallel.state_spec(config)

    def begin(params, globals_):
        rows = batch_size // len(devices)
        return model.apply(params, rows, global_condition=globals_, method="initial_state")

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
