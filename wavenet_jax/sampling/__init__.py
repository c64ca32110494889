"""Generation: one entry point, `generate`, and one file a backend.

* `scan`: plain JAX, on any device, for any model. What the others must agree with.
* `cpu`: the whole loop over samples in one compiled function, for rows on this machine's cores.
* `pallas`: likewise in one kernel, for GPU and TPU.

Randomness is an argument: one uniform number a sample, drawn from the key of
its utterance folded with the sample's index. So a waveform depends on its key
alone: not on the batch it was made in, the chunks, the devices or the backend.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import conditioning, parallel
from wavenet_jax.config import ConditionConfig, LocalConditionConfig, WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import BATCH, REPLICATED
from wavenet_jax.sampling import cpu, pallas, scan
from wavenet_jax.sampling.precision import PRECISIONS as PRECISIONS
from wavenet_jax.sampling.precision import Precision, quantize_weights
from wavenet_jax.wavenet import WaveNet

Backend = Literal["auto", "scan", "cpu", "pallas"]
BACKENDS: tuple[Backend, ...] = ("auto", "scan", "cpu", "pallas")

_ON_DEVICES: dict[Backend, Callable] = {
    "scan": scan.generate_chunk,
    "pallas": pallas.generate_chunk,
}

_PROJECTED_BYTES = 2**28
"""Of a chunk's local conditions, once projected for each layer: a chunk is cut shorter
where a frame is as short as a sample and they would be more."""


def utterance_keys(seed: int, indices) -> jax.Array:
    """Keys `[B]`: that of utterance i is `seed`'s folded with i."""
    key = jax.random.key(seed)
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.asarray(indices))


def generate(
    config: WaveNetConfig,
    params,
    *,
    keys: jax.Array,
    num_samples: int | None = None,
    global_condition=None,
    local_condition=None,
    prime=None,
    temperature: float = 1.0,
    chunk_samples: int = 4000,
    devices: list[jax.Device] | None = None,
    backend: Backend = "auto",
    precision: Precision = "float32",
) -> Iterator[np.ndarray]:
    """Generates a batch of utterances, a chunk at a time.

    The state is carried from chunk to chunk on the devices, so that memory is
    bounded by a chunk whatever the length, and progress is there to be shown.
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
      prime: codes `[B, P]` to continue, or None to begin after silence.
      temperature: of the distribution; 0 takes the likeliest (see `distributions`).
      chunk_samples: at most so many samples at a time (made whole frames).
      devices: over which the batch is spread; all of this process by default. For `cpu` there
        is one, all of whose cores it takes.
      backend: `scan`, `cpu`, `pallas`, or `auto`: `cpu` where it can, else `scan` (`pallas` is
        proven to agree, but was not yet measured on the devices it is for).
      precision: of the weights (see `precision`): float32, bfloat16 or int8.

    Yields:
      int32 codes `[B, chunk]`, T in all; the prime is not among them.

    Raises:
      InputError: a count below 1, a negative temperature, a prime that is no codes,
        or conditions that do not fit the model or the length.
    """
    batch = keys.shape[0]
    _check(batch, num_samples, temperature, chunk_samples)
    _check_prime(config, prime, batch)
    num_primed = 0 if prime is None else np.shape(prime)[1]
    frames = None
    if local_condition is not None and config.local_condition is not None:
        frames = _Frames(config.local_condition, local_condition, batch)
    if num_samples is None and frames is not None and frames.has_ended:
        num_samples = frames.end * frames.hop_samples - num_primed
    if num_samples is None and frames is None:
        raise InputError("There is no number of samples to generate: give one.")
    if global_condition is not None:
        global_condition = np.asarray(global_condition)
    _check_condition(config.global_condition, global_condition, "global", (batch,))
    if frames is None:
        conditioning.check(config.local_condition, local_condition, "local", (batch, 0))
    elif frames.has_ended and num_samples is not None:
        frames.require(num_primed + num_samples)
    backend = choose(config, backend, devices)
    devices = (devices or jax.local_devices())[: 1 if backend == "cpu" else batch]
    params = quantize_weights(params, precision)
    run = _programs(config, tuple(devices), backend)

    rows = parallel.padded_indices(batch, len(devices))
    keys = keys[rows]
    if global_condition is not None:
        global_condition = global_condition[rows]

    def local(start: int, length: int):
        return None if frames is None else frames.covering(start, length)[rows]

    hop = config.hop_samples
    chunk = _chunk_length(min(chunk_samples, _samples_that_fit(config, len(rows))), num_samples)
    chunk = -(-chunk // hop) * hop

    state = run.begin(params, len(rows), global_condition)
    for start in range(0, num_primed, chunk):
        codes = np.asarray(prime)[rows, start : start + chunk]
        conditions = (global_condition, local(start, codes.shape[1]))
        state = run.prefill(params, state, codes, *conditions, phase=start % hop)

    arguments = (run, params, keys, temperature, chunk)
    if backend == "cpu":
        make = _on_cpu(config, precision, *arguments)
        state = cpu.pack_state(state, precision), dataclasses.replace(state, rings=())
    else:
        make = _on_devices(config, *arguments)

    done = 0
    while num_samples is None or done < num_samples:
        start = num_primed + done
        conditions = (global_condition, local(start, chunk))
        wanted = chunk
        if num_samples is not None:
            wanted = min(chunk, num_samples - done)
        if frames is not None and frames.has_ended:
            if num_samples is not None:
                frames.require(num_primed + num_samples)
            wanted = min(wanted, frames.end * frames.hop_samples - start)
            if wanted <= 0:
                break
        codes, state = make(state, conditions, start, wanted)
        done += wanted
        yield codes[:batch]


def _on_devices(
    config: WaveNetConfig, run: "_Programs", params, keys, temperature: float, chunk: int
):
    """What makes so many codes after a state, under the conditions of a chunk."""

    def make(state, conditions, start: int, wanted: int):
        codes, state = run.chunk(
            params,
            state,
            keys,
            jnp.float32(temperature),
            *conditions,
            phase=start % config.hop_samples,
            length=chunk,
        )
        return np.asarray(codes)[:, :wanted], state

    return make


def _on_cpu(
    config: WaveNetConfig,
    precision: Precision,
    run: "_Programs",
    params,
    keys,
    temperature: float,
    chunk: int,
):
    """The same in numpy's memory."""
    weights, samples_per_frame = cpu.pack(config, params, precision), _hold(config.local_condition)
    frame = config.frame_samples if config.context_stacks else None

    def make(state, conditions, start: int, wanted: int):
        pasts, contexts = state
        phase = start % config.hop_samples
        projected = np.asarray(run.project(params, *conditions, phase=phase))
        numbers = np.asarray(run.uniforms(keys, start, chunk))
        parts, done = [], 0
        while done < wanted:
            first, within = (
                divmod(phase % samples_per_frame + done, samples_per_frame)
                if samples_per_frame
                else (0, 0)
            )
            rows, length = projected[first:], wanted - done
            if frame:  # until the next step of a context stack
                is_due = not (phase + done) % frame
                contexts, shares = run.contexts(params, contexts, conditions[0], is_due=is_due)
                length = min(length, frame - (phase + done) % frame)
                rows = rows[
                    : -(-(within + length) // samples_per_frame) if samples_per_frame else 1
                ] + np.asarray(shares)
            codes, pasts = cpu.generate_chunk(
                config,
                weights,
                pasts,
                numbers[done : done + length],
                temperature,
                rows,
                samples_per_frame,
                within,
            )
            if frame:
                contexts = run.heard(contexts, codes)
            parts.append(codes)
            done += length
        return np.concatenate(parts, axis=1), (pasts, contexts)

    return make


class _Frames:
    """A local condition, whole or arriving, of which the part in use is kept."""

    def __init__(self, config: LocalConditionConfig, condition, batch: int):
        self._config, self._batch = config, batch
        self.hop_samples = config.hop_samples
        self.has_ended = not isinstance(condition, Iterator)
        self._arriving = iter(()) if self.has_ended else condition
        self._begin = 0  # index of the first frame that is kept
        self._kept = self._checked(condition) if self.has_ended else self._none()

    @property
    def end(self) -> int:
        """Index after the last frame that has arrived."""
        return self._begin + self._kept.shape[1]

    def require(self, num_samples: int) -> None:
        """Refuses to run out of frames before so many samples."""
        needed = -(-num_samples // self.hop_samples)
        if self.end < needed:
            raise InputError(
                f"The local condition has {self.end} frames of {self.hop_samples} samples, "
                f"too few for {num_samples} samples: give {needed} or ask for less."
            )

    def covering(self, start: int, length: int) -> np.ndarray:
        """As `conditioning.frames_covering`, once they are there."""
        hop, reach = self.hop_samples, self._config.context_frames
        needed = (start + length - 1) // hop + reach + 1
        while self.end < needed and not self.has_ended:
            self._take_more()
        unused = max(0, start // hop - reach - self._begin)
        self._kept = self._kept[:, unused:]
        self._begin += unused
        return conditioning.frames_covering(
            self._config, self._kept, start - self._begin * hop, length
        )

    def _take_more(self):
        try:
            arrived = self._checked(next(self._arriving))
        except StopIteration:
            self.has_ended = True
            return
        self._kept = np.concatenate([self._kept, arrived], axis=1)

    def _checked(self, condition) -> np.ndarray:
        condition = np.asarray(condition)
        _check_condition(self._config, condition, "local", (self._batch, 0))
        return condition

    def _none(self) -> np.ndarray:
        config = self._config
        if config.kind == "labels":
            return np.zeros((self._batch, 0), np.int32)
        dtype = np.int32 if config.kind == "tags" else np.float32
        return np.zeros((self._batch, 0, config.size), dtype)


class _Programs:
    """The compiled programs of `generate`, for one model on some devices."""

    def __init__(self, config: WaveNetConfig, devices: tuple[jax.Device, ...], backend: Backend):
        self._model = WaveNet(config)
        self._generate_chunk = _ON_DEVICES.get(backend, scan.generate_chunk)
        self._state_spec = parallel.state_spec(config)
        self._devices = devices
        self.begin = jax.jit(self._begin, static_argnums=1)
        self.prefill = jax.jit(self._prefill, static_argnames="phase", donate_argnums=1)
        self.chunk = jax.jit(self._chunk, static_argnames=("phase", "length"), donate_argnums=1)
        self.project = jax.jit(self._project, static_argnames="phase")
        self.uniforms = jax.jit(uniforms, static_argnums=2)
        self.contexts = jax.jit(self._contexts, static_argnames="is_due")
        self.heard = jax.jit(self._heard)

    def _begin(self, params, batch, global_condition):
        def begin(params, global_condition):
            return self._model.apply(
                params,
                batch // len(self._devices),
                global_condition=global_condition,
                method="initial_state",
            )

        return parallel.shard_over_batch(
            begin, self._devices, (REPLICATED, BATCH), self._state_spec
        )(params, global_condition)

    def _prefill(self, params, state, codes, global_condition, local, *, phase):
        def prefill(params, state, codes, global_condition, local):
            _, state = self._model.apply(
                params,
                state,
                codes,
                global_condition=global_condition,
                local_condition=local,
                phase=phase,
                method="prefill",
            )
            return state

        return parallel.shard_over_batch(
            prefill,
            self._devices,
            (REPLICATED, self._state_spec, BATCH, BATCH, BATCH),
            self._state_spec,
        )(params, state, codes, global_condition, local)

    def _project(self, params, global_condition, local, *, phase):
        arguments = (params, global_condition, local, phase)
        return self._model.apply(*arguments, method="project_conditions")[0]

    def _contexts(self, params, state, global_condition, *, is_due):
        if is_due:
            state = self._model.apply(params, state, global_condition, method="step_contexts")
        return state, self._model.apply(params, state, method="project_contexts")

    def _heard(self, state, codes):
        return state.extend(codes.T)

    def _chunk(self, params, state, keys, temperature, global_condition, local, *, phase, length):
        def chunk(params, state, keys, temperature, global_condition, local):
            codes, state = self._generate_chunk(
                self._model,
                params,
                state,
                uniforms(keys, state.time, length),
                temperature,
                global_condition=global_condition,
                local_condition=local,
                phase=phase,
            )
            return codes.T, state

        return parallel.shard_over_batch(
            chunk,
            self._devices,
            (REPLICATED, self._state_spec, BATCH, REPLICATED, BATCH, BATCH),
            (BATCH, self._state_spec),
        )(params, state, keys, temperature, global_condition, local)


def choose(
    config: WaveNetConfig, backend: Backend, devices: Sequence[jax.Device] | None
) -> Backend:
    """The backend by its name, or for `auto` the one that suits model and devices.

    Raises:
      InputError: there is none of that name, or it cannot do what is asked.
    """
    if backend not in BACKENDS:
        raise InputError(f"The backend is {backend!r}: use one of {', '.join(BACKENDS)}.")
    missing = _unsupported_reason(config, devices)
    if backend == "auto":
        return "scan" if missing["cpu"] else "cpu"
    if missing[backend]:
        able = next(name for name, lack in missing.items() if not lack)
        raise InputError(f"The {backend} backend does not do {missing[backend]}: use {able}.")
    return backend


def supports(config: WaveNetConfig, backend: Backend, devices: Sequence[jax.Device] | None) -> bool:
    """Whether a backend, by its name, can run a model on these devices, or on those there are."""
    return not _unsupported_reason(config, devices)[backend]


def _unsupported_reason(
    config: WaveNetConfig, devices: Sequence[jax.Device] | None
) -> dict[Backend, str | None]:
    """What each backend cannot do of a model on some devices, or None."""
    platform = (devices or jax.local_devices())[0].platform
    of_cpu, of_pallas = cpu.unsupported_reason(config), pallas.unsupported_reason(config)
    if platform != "cpu":
        of_cpu = of_cpu or f"a {platform}"
    elif devices is not None and len(devices) > 1:
        of_cpu = of_cpu or f"{len(devices)} devices"
    if platform == "cpu":
        of_pallas = of_pallas or "a cpu"
    return {"cpu": of_cpu, "pallas": of_pallas, "scan": None}


_programs = functools.lru_cache(maxsize=8)(_Programs)


def uniforms(keys: jax.Array, time: jax.Array, length: int) -> jax.Array:
    """One number in [0, 1) a sample, shape `[length, B]`, from sample `time` on.

    Args:
      keys: of the utterances, `[B]`.
      time: index of the first sample.
      length: how many samples.
    """

    def draw(index, key):
        return jax.random.uniform(jax.random.fold_in(key, index))

    over_keys = jax.vmap(draw, in_axes=(None, 0))
    return jax.vmap(over_keys, in_axes=(0, None))(time + jnp.arange(length), keys)


def _samples_that_fit(config: WaveNetConfig, rows: int) -> int:
    """For how many samples the projected conditions stay within the limit."""
    local = config.local_condition
    if local is None:
        return 2**31 - 1
    numbers = len(config.dilations) * rows * 2 * config.gate_channels
    return max(1, _PROJECTED_BYTES // (4 * numbers)) * _hold(local)


def _hold(local: LocalConditionConfig | None) -> int:
    """For how many samples a row of projected conditions holds, 0 for always."""
    if local is None:
        return 0
    return local.hop_samples if local.upsampling == "repeat" else 1


def _chunk_length(most: int, num_samples: int | None) -> int:
    """Of chunks that are of equal length, so that one program makes them all, with little to
    spare; and of few lengths (eight an octave), so that other utterances need no other."""
    if num_samples is None:
        return most
    length = -(-num_samples // -(-num_samples // most))
    step = max(1, 2 ** (length.bit_length() - 4))
    return min(most, -(-length // step) * step)


def _check(batch: int, num_samples: int | None, temperature: float, chunk_samples: int):
    for name, value in (
        ("batch", batch),
        ("number of samples", 1 if num_samples is None else num_samples),
        ("chunk length", chunk_samples),
    ):
        if value < 1:
            raise InputError(f"The {name} to generate is {value}: give at least 1.")
    if not temperature >= 0:
        raise InputError(
            f"The temperature is {temperature}: give 0 for the likeliest, 1 for the "
            "model's own distribution, or a number between."
        )


def _check_condition(config: ConditionConfig | None, condition, name: str, leading):
    conditioning.check(config, condition, name, leading)
    if config is None or not condition.size:
        return
    if config.kind == "labels" and condition.max() >= config.size:
        raise InputError(
            f"The {name} condition has the label {condition.max()}: "
            f"the model knows 0 to {config.size - 1}."
        )
    if config.kind == "tags" and not np.isin(condition, (0, 1)).all():
        raise InputError(
            f"The {name} condition has the tag value {condition.max()}: "
            "a tag is 1 where it holds and 0 where not."
        )


def _check_prime(config: WaveNetConfig, prime, batch: int):
    if prime is None:
        return
    prime = np.asarray(prime)
    if prime.ndim != 2 or prime.shape[0] != batch:
        raise InputError(f"The prime has shape {prime.shape}: give codes of shape ({batch}, P).")
    is_code = np.issubdtype(prime.dtype, np.integer) and (
        not prime.size or (prime.min() >= 0 and prime.max() < config.num_classes)
    )
    if not is_code:
        raise InputError(
            f"The prime is no codes from 0 to {config.num_classes - 1}: "
            "encode the samples with mulaw.encode first."
        )
