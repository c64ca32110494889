"""`generate`: arguments are checked, and chunks made one after the other by a backend."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from wavenet_jax import conditioning
from wavenet_jax.errors import InputError
from wavenet_jax.sampling import arguments, backends, randomness
from wavenet_jax.sampling.precision import Precision
from wavenet_jax.sampling.protocol import (
    Backend,
    ChunkConditions,
    Draws,
    PreparedModel,
    make_draws,
    samples_per_projection,
)
from wavenet_jax.sampling.streaming import FrameStream
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig

_PROJECTED_BYTES = 2**28
"""Most memory of a chunk's local conditions, projected for each layer: a chunk is cut shorter
where a frame is as short as a sample and they would take more."""

STUDENT_SAMPLES = 2**15
"""Of a batch that a student makes at once: of many more a layer's activations leave the cache of a
CPU, and fewer start the layers more often."""


def generate(
    config: GeneratorConfig,
    params,
    *,
    keys: jax.Array,
    num_samples: int | None = None,
    global_condition=None,
    local_condition=None,
    prime=None,
    temperature: float | np.ndarray = 1.0,
    top_p: float = 1.0,
    chunk_samples: int = 4000,
    part_samples: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    backend: str = "auto",
    precision: Precision = "float32",
) -> Iterator[np.ndarray]:
    """Generates a batch of utterances, a chunk at a time.

    The state is carried from chunk to chunk on the devices, so that memory is
    bounded by a chunk whatever the length, and progress can be shown.
    `np.concatenate(list(generate(...)), axis=1)` is the whole.

    Args:
      config: the model's.
      params: the model's variables, such as a checkpoint's EMA parameters.
      keys: one PRNG key an utterance, shape `[B]` (see `utterance_keys`).
      num_samples: how many to generate, T; None for as long as the local condition.
      global_condition: labels `[B]`, or tags or vectors `[B, D]`.
      local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, frame 0
        beginning with the first sample, of the prime where there is one. Or an
        iterator of such arrays, the frames as they arrive: a chunk is made as soon as
        the frames that it depends on are there, and how they come changes nothing.
      prime: codes `[B, P]` to continue, or None to begin after silence. Not of a student.
      temperature: of the distribution; 0 takes the likeliest (see `distributions`). Or one of
        each frame of the local condition (of each sample, without one), `[B, F]`, from the
        first frame on, that of the prime where there is one.
      top_p: to draw among the fewest likeliest codes that have this probability together; 1
        among all. For the output "categorical".
      chunk_samples: at most so many samples at a time (made whole frames).
      part_samples: for who listens meanwhile, of a chunk at most so many at a time, where the
        backend can (`cpu`). The codes are the same; those of other chunks are so to rounding.
      devices: over which the batch is spread; all of this process by default.
      backend: a name of `backends.BACKENDS`, or `auto`: the first of them that supports model
        and devices, and whose numbers are those of `WaveNet.step`.
      precision: of the weights (see `precision`): float32, bfloat16 or int8.

    Returns:
      An iterator of int32 codes `[B, chunk]`, T in all, without the prime.

    Raises:
      InputError: at the call, for a count below 1, a temperature or top_p out of range, a prime
        that is no codes, more samples than can be counted, conditions that do not fit the model
        or the length, or a backend that cannot generate this. While iterating, for arriving frames
        that do not fit the model or end too soon.
    """
    arguments.check_keys(keys)
    batch = keys.shape[0]
    arguments.check_counts(batch, num_samples, chunk_samples, part_samples)
    temperature = np.asarray(temperature, float)
    arguments.check_temperature(temperature, batch)
    arguments.check_top_p(config, top_p)
    if prime is not None:
        prime = np.asarray(prime)
        arguments.check_prime(config, prime, batch)
    num_primed = 0 if prime is None else prime.shape[1]
    if global_condition is not None:
        global_condition = np.asarray(global_condition)
    arguments.check_condition(config.global_condition, global_condition, "global", (batch,))
    frames = None
    if local_condition is not None and config.local_condition is not None:
        frames = FrameStream(config.local_condition, local_condition, batch)
    else:
        conditioning.check(config.local_condition, local_condition, "local", (batch, 0))
    if num_samples is None and frames is None:
        raise InputError("There is no number of samples to generate: give one.")
    if frames is not None and frames.has_ended:
        if num_samples is None:
            num_samples = frames.num_samples - num_primed
            if num_samples < 1:
                raise InputError(
                    f"The local condition covers {frames.num_samples} samples, of which the prime "
                    f"has {num_primed}: give more frames."
                )
        frames.require(num_primed + num_samples)
    arguments.check_length(num_primed, num_samples or 0)
    hop = frames.hop_samples if frames is not None else 1
    arguments.check_temperatures_cover(temperature, hop, num_primed + (num_samples or 0))
    chosen = backends.choose_verified(
        config, params, backend, devices, precision, batch, has_top_p=top_p < 1
    )
    chunk = min(chunk_samples, _samples_that_fit(config, batch))
    chunk = chunk if num_samples is None else _chunk_length(chunk, num_samples)
    job = _Job(
        config=config,
        backend=chosen,
        model=chosen.prepare(config, params, precision, devices),
        keys=keys,
        global_condition=global_condition,
        frames=frames,
        temperature=temperature,
        top_p=top_p,
        chunk=-(-chunk // config.hop_samples) * config.hop_samples,
        part=part_samples,
    )
    return job.generate(prime, num_samples)


class _Job:
    """Utterances, generated chunk by chunk."""

    def __init__(
        self,
        *,
        config: GeneratorConfig,
        backend: Backend,
        model: PreparedModel,
        keys: jax.Array,
        global_condition: np.ndarray | None,
        frames: FrameStream | None,
        temperature: np.ndarray,
        top_p: float,
        chunk: int,
        part: int | None,
    ):
        self._config, self._backend, self._model = config, backend, model
        self._keys, self._chunk, self._part = keys, chunk, part or chunk
        self._temperature, self._top_p = temperature, top_p
        self._global_condition, self._frames = global_condition, frames

    def generate(self, prime: np.ndarray | None, num_samples: int | None) -> Iterator[np.ndarray]:
        model, chunk, frames = self._model, self._chunk, self._frames
        num_primed = 0 if prime is None else prime.shape[1]
        end = None if num_samples is None else num_primed + num_samples
        state = model.initial_state(len(self._keys), self._global_condition)
        for start in range(0, num_primed, chunk):
            codes = np.asarray(prime)[:, start : start + chunk]
            state = model.prefill(state, codes, self._conditions(start, codes.shape[1]))
        start = num_primed
        while end is None or start < end:
            conditions = self._conditions(start, chunk)
            if frames is not None and frames.has_ended:
                if end is not None:
                    frames.require(end)
                else:
                    end = frames.num_samples
                    if end <= start:
                        return
            length = chunk if end is None else min(chunk, end - start)
            arguments.check_length(start, length)
            made = chunk if self._backend.compiles_per_length else length
            draws = self._draws(start, length, made)
            parts = model.generate_parts(state, draws, conditions, self._part)
            left = length
            for codes, state in parts:  # noqa: B007, for the next chunk
                if left > 0:
                    yield codes[:, :left]
                left -= codes.shape[1]
            start += length

    def _draws(self, start: int, length: int, made: int) -> Draws:
        """Of `length` samples from `start` on, and of more that are not used, `made` in all."""
        if self._backend.compiles_per_length:
            uniforms = randomness.uniforms(self._keys, start, made)
        else:  # one program for chunks of many lengths, which numpy cuts
            longer = 1 << (self._chunk - 1).bit_length()
            uniforms = np.asarray(randomness.uniforms(self._keys, start, longer))[:made]
        temperature = self._temperature
        if temperature.ndim:
            hop = 1 if self._frames is None else self._frames.hop_samples
            arguments.check_temperatures_cover(temperature, hop, start + length)
            at = np.minimum((start + np.arange(made)) // hop, temperature.shape[1] - 1)
            temperature = temperature[:, at].T
        return make_draws(uniforms, temperature, self._top_p)

    def _conditions(self, start: int, length: int) -> ChunkConditions:
        local = None if self._frames is None else self._frames.covering(start, length)
        return ChunkConditions(self._global_condition, local, start % self._config.hop_samples)


def _samples_that_fit(config: GeneratorConfig, batch: int) -> int:
    """For how many samples the projected conditions, or a student's activations, stay within the
    limit."""
    if isinstance(config, StudentConfig):
        return max(1, STUDENT_SAMPLES // batch)
    local = config.local_condition
    if local is None:
        return arguments.MAX_SAMPLES
    numbers = len(config.dilations) * batch * 2 * config.gate_channels
    return max(1, _PROJECTED_BYTES // (4 * numbers)) * samples_per_projection(local)


def _chunk_length(longest: int, num_samples: int) -> int:
    """Length of chunks of which one program makes them all, with little to spare; one of few
    lengths (eight an octave), so that utterances of other lengths need no other program."""
    length = -(-num_samples // -(-num_samples // longest))
    step = max(1, 2 ** (length.bit_length() - 4))
    return min(longest, -(-length // step) * step)
