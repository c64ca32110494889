"""Generation: one entry point, `generate`, and one file a backend.

Randomness is an argument: one uniform number a sample, drawn from the key of
its utterance folded with the sample's index. So a waveform depends on its key
alone: not on the batch it was made in, the chunks, the devices or the backend.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import conditioning, parallel
from wavenet_jax.errors import InputError
from wavenet_jax.parallel import ROWS, WHOLE
from wavenet_jax.sampling import scan
from wavenet_jax.wavenet import WaveNet, WaveNetConfig

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
    num_samples: int,
    global_condition=None,
    local_condition=None,
    prime=None,
    temperature: float = 1.0,
    chunk_samples: int = 4000,
    devices: list[jax.Device] | None = None,
) -> Iterator[np.ndarray]:
    """Generates a batch of utterances, a chunk at a time.

    The state is carried from chunk to chunk on the devices, so that memory is
    bounded by a chunk whatever the length, and progress is there to be shown.
    `np.concatenate(list(generate(...)), axis=1)` is the whole.

    Args:
      config: the model's.
      params: the model's variables, such as a checkpoint's EMA parameters.
      keys: one PRNG key an utterance, shape `[B]` (see `utterance_keys`).
      num_samples: how many to generate, T.
      global_condition: labels `[B]` or vectors `[B, D]`.
      local_condition: labels `[B, F]` or vectors `[B, F, D]`, frame 0 beginning
        with the first sample, of the prime where there is one.
      prime: codes `[B, P]` to continue, or None to begin after silence.
      temperature: divides the logits; 0 takes the likeliest code each time.
      chunk_samples: at most so many samples at a time.
      devices: over which the batch is spread; all of this process by default.

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
    if global_condition is not None:
        global_condition = np.asarray(global_condition)
    if local_condition is not None:
        local_condition = np.asarray(local_condition)
    _check_conditions(config, global_condition, local_condition, batch, num_primed + num_samples)
    devices = (devices or jax.local_devices())[:batch]
    run = _programs(config, tuple(devices))

    rows = parallel.padded_rows(batch, len(devices))
    keys = keys[rows]
    if global_condition is not None:
        global_condition = global_condition[rows]
    if local_condition is not None:
        local_condition = local_condition[rows]

    hop = config.hop_samples
    if local_condition is not None:
        chunk_samples = min(chunk_samples, _frames_that_fit(config, len(rows)) * hop)

    def frames(start: int, length: int):
        if local_condition is None:
            return None
        return local_condition[:, start // hop : -(-(start + length) // hop)]

    state = run.begin(params, len(rows), global_condition)
    for start in range(0, num_primed, chunk_samples):
        codes = np.asarray(prime)[rows, start : start + chunk_samples]
        local = frames(start, codes.shape[1])
        state = run.prefill(params, state, codes, global_condition, local, offset=start % hop)

    # Chunks of equal length, in whole frames: one program, and little to spare.
    num_chunks = -(-num_samples // chunk_samples)
    chunk = -(-num_samples // (num_chunks * hop)) * hop
    for done in range(0, num_samples, chunk):
        start = num_primed + done
        local = frames(start, chunk)
        if local is not None:  # the last chunk's spare samples need some frame
            missing = -(-(start % hop + chunk) // hop) - local.shape[1]
            pad = [(0, 0), (0, missing)] + [(0, 0)] * (local.ndim - 2)
            local = np.pad(local, pad, mode="edge")
        codes, state = run.chunk(
            params,
            state,
            keys,
            jnp.float32(temperature),
            global_condition,
            local,
            offset=start % hop,
            length=chunk,
        )
        codes = np.asarray(codes)[:batch, : num_samples - done]
        yield codes


class _Programs:
    """The compiled programs of `generate`, for one model on some devices."""

    def __init__(self, config: WaveNetConfig, devices: tuple[jax.Device, ...]):
        self._model = WaveNet(config)
        self._state_spec = parallel.state_spec(config)
        self._devices = devices
        self.begin = jax.jit(self._begin, static_argnums=1)
        self.prefill = jax.jit(self._prefill, static_argnames="offset", donate_argnums=1)
        self.chunk = jax.jit(self._chunk, static_argnames=("offset", "length"), donate_argnums=1)

    def _begin(self, params, batch, global_condition):
        def begin(params, global_condition):
            return self._model.apply(
                params,
                batch // len(self._devices),
                global_condition=global_condition,
                method="initial_state",
            )

        return parallel.over_rows(begin, self._devices, (WHOLE, ROWS), self._state_spec)(
            params, global_condition
        )

    def _prefill(self, params, state, codes, global_condition, local, *, offset):
        def prefill(params, state, codes, global_condition, local):
            _, state = self._model.apply(
                params,
                state,
                codes,
                global_condition=global_condition,
                local_condition=local,
                local_offset=offset,
                method="prefill",
            )
            return state

        return parallel.over_rows(
            prefill,
            self._devices,
            (WHOLE, self._state_spec, ROWS, ROWS, ROWS),
            self._state_spec,
        )(params, state, codes, global_condition, local)

    def _chunk(self, params, state, keys, temperature, global_condition, local, *, offset, length):
        def chunk(params, state, keys, temperature, global_condition, local):
            codes, state = scan.generate_chunk(
                self._model,
                params,
                state,
                uniforms(keys, state.time, length),
                temperature,
                global_condition=global_condition,
                local_condition=local,
                local_offset=offset,
            )
            return codes.T, state

        return parallel.over_rows(
            chunk,
            self._devices,
            (WHOLE, self._state_spec, ROWS, WHOLE, ROWS, ROWS),
            (ROWS, self._state_spec),
        )(params, state, keys, temperature, global_condition, local)


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


def _frames_that_fit(config: WaveNetConfig, rows: int) -> int:
    """How many frames of projected conditions stay within the limit."""
    numbers = len(config.dilations) * rows * 2 * config.gate_channels
    return max(1, _PROJECTED_BYTES // (4 * numbers))


def _check(batch: int, num_samples: int, temperature: float, chunk_samples: int):
    for name, value in (
        ("batch", batch),
        ("number of samples", num_samples),
        ("chunk length", chunk_samples),
    ):
        if value < 1:
            raise InputError(f"The {name} to generate is {value}: give at least 1.")
    if not temperature >= 0:
        raise InputError(
            f"The temperature is {temperature}: give 0 for the likeliest, 1 for the "
            "model's own distribution, or a number between."
        )


def _check_conditions(
    config: WaveNetConfig, global_condition, local_condition, batch: int, num_samples: int
):
    hop = config.hop_samples
    frames = -(-num_samples // hop)
    if config.local_condition is not None and local_condition is not None:
        have = local_condition.shape[1] if local_condition.ndim > 1 else 0
        if have < frames:
            raise InputError(
                f"The local condition has {have} frames of {hop} samples, too few for "
                f"{num_samples} samples: give {frames} or ask for less."
            )
    for name, condition, leading in (
        ("global", global_condition, (batch,)),
        ("local", local_condition, (batch, frames)),
    ):
        wanted = getattr(config, f"{name}_condition")
        conditioning.check(wanted, condition, name, leading)
        if wanted is not None and wanted.kind == "labels" and condition.max() >= wanted.size:
            raise InputError(
                f"The {name} condition has the label {condition.max()}: "
                f"the model knows 0 to {wanted.size - 1}."
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
