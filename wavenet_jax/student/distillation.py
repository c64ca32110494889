"""The loss by which a student learns from its teacher.

ClariNet (Ping et al., 2019, arXiv:1807.07281), section 3.3. A student's samples x are given to the
teacher, whose Gaussian p(x_t | x_<t) is compared with the student's q(x_t | z_<t): equation 7,

    KL(q || p) = ln(s_p / s_q) + (s_q^2 - s_p^2 + (m_p - m_q)^2) / (2 s_p^2)

for which no sample x_t is drawn, and with lambda times (ln s_p - ln s_q)^2 added to it, equation 8:
both are sharp, and where s_p is far below s_q the divergence alone is as steep as 1 / s_p^2. Beside
it the spectra of x are to be those of the recording that has the same conditions. All of it has
gradients through x, the teacher's inputs included; the teacher's parameters stay.

The error of a spectrum is the squared difference of its magnitudes, summed over frames and
frequencies, relative to the energy of the recordings: 1 for silence, 0 for the recordings.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import conditioning, fused
from wavenet_jax.distributions import Gaussian, gaussian_of
from wavenet_jax.errors import InputError
from wavenet_jax.student.flows import Generated, Student, StudentConfig
from wavenet_jax.wavenet import WaveNet

DIVERGENCE, SCALES, SPECTRA = "kl_per_sample", "log_scale_error", "spectral_error"
"""The terms of the loss: the divergence in nats, the squared difference of log scales, the error of
the spectra."""

_FLOOR = 1e-8
"""Added to the power of a frequency before its root, whose slope at 0 is infinite."""

_CHUNK_SAMPLES = 8000
"""Of recordings whose divergence is measured."""


def divergence(student: Gaussian, teacher: Gaussian) -> jax.Array:
    """KL(q || p) of Gaussians, in nats, `[...]` (equation 7)."""
    ratio = jnp.exp(2 * (student.log_scale - teacher.log_scale))
    apart = jnp.square((teacher.mean - student.mean) * jnp.exp(-teacher.log_scale))
    return teacher.log_scale - student.log_scale + (ratio - 1 + apart) / 2


def weights(config: StudentConfig) -> dict[str, float]:
    """The weights of the terms in the loss."""
    return {DIVERGENCE: 1.0, SCALES: config.scale_weight, SPECTRA: config.spectral_weight}


def losses(
    config: StudentConfig,
    params: Any,
    teacher: Any,
    batch: Mapping[str, Any],
    key: jax.Array | None,
    *,
    flow_precision: fused.Precision | None = None,
    teacher_precision: fused.Precision | None = None,
) -> dict[str, jax.Array]:
    """Loss terms, each by name as a sum, of `num_summands`.

    Args:
      config: of the student.
      params: its variables.
      teacher: the variables of its teacher.
      batch: as of `training.losses`.
      key: PRNG key of the noise; None for that of one key.
      flow_precision: with which fused layers compute the flows, as of `WaveNet`; None for XLA.
      teacher_precision: likewise of the teacher.

    Returns:
      The terms `DIVERGENCE` and `SCALES` of the scored samples, and `SPECTRA`, float32 scalars.
    """
    mask = batch["mask"]
    length = batch["samples"].shape[1]
    conditions: Any = {f"{name}_condition": batch.get(name) for name in ("global", "local")}
    key = jax.random.key(0) if key is None else key
    noise = jax.random.normal(key, batch["samples"].shape)
    generated: Any = Student(config, flow_precision).apply(params, noise, **conditions)
    num_context = length - mask.shape[1]
    outputs: Any = WaveNet(config.teacher, teacher_precision).apply(
        teacher, generated.values[..., None], context=num_context, **conditions
    )
    of_teacher = gaussian_of(config.teacher.distribution, outputs)
    of_student = jax.tree.map(lambda x: x[:, num_context:], generated.given_past)
    nats, apart = _compared(config, of_student, of_teacher)
    made = config.quantizer.amplitudes(generated.values[:, num_context:])
    return {
        DIVERGENCE: jnp.sum(nats, where=mask),
        SCALES: jnp.sum(jnp.square(apart), where=mask),
        SPECTRA: _spectral_error(config, jnp.where(mask, made, 0), _recorded(config, batch)),
    }


def num_summands(config: StudentConfig, batch: Mapping[str, Any]) -> dict[str, jax.Array]:
    """What the terms are divided by, float32 scalars, which the batch alone decides: the number of
    scored samples; of the spectra the energy of the recordings."""
    number = jnp.sum(batch["mask"], dtype=jnp.float32)
    silence = jnp.zeros(batch["mask"].shape)
    energy = _spectral_error(config, silence, _recorded(config, batch))
    return {DIVERGENCE: number, SCALES: number, SPECTRA: energy}


def divergence_of_recordings(
    config: StudentConfig,
    params: Any,
    teacher: Any,
    recordings: Iterable[Mapping[str, Any]],
) -> float:
    """Mean divergence, in nats a sample, of what a student generates with the conditions and the
    lengths of recordings, of noise that is the same at each call; in chunks, in bounded memory.

    Args:
      config: of the student.
      params: its variables.
      teacher: the variables of its teacher.
      recordings: as of `scoring.score`.

    Raises:
      InputError: there is no sample.
    """
    begin, advance = _programs(config)
    chunk = -(-_CHUNK_SAMPLES // config.hop_samples) * config.hop_samples
    total, number = 0.0, 0
    for index, recording in enumerate(recordings):
        global_condition = recording.get("global")
        if global_condition is not None:
            global_condition = np.asarray(global_condition)[None]
        states = begin(params, teacher, global_condition)
        noise_key = jax.random.fold_in(jax.random.key(0), index)
        length = len(recording["samples"])
        for start in range(0, length, chunk):
            local = None
            if config.local_condition is not None:
                local = conditioning.frames_covering(
                    config.local_condition, np.asarray(recording["local"])[None], start, chunk
                )
            key = jax.random.fold_in(noise_key, start)
            nats, states = advance(params, teacher, states, key, global_condition, local, chunk)
            total += float(np.sum(np.asarray(nats)[: length - start], dtype=np.float64))
        number += length
    if not number:
        raise InputError("There is no recording to measure the student on: give some samples.")
    return total / number


@functools.lru_cache(maxsize=8)
def _programs(config: StudentConfig):
    """(begin, advance): the states before a recording; the divergence `[T]` of a chunk, and the
    states after it."""
    student, teacher_model = Student(config), WaveNet(config.teacher)

    def begin(params, teacher, global_condition):
        options = {"global_condition": global_condition, "method": "initial_state"}
        of_teacher: Any = teacher_model.apply(teacher, 1, **options)
        silence = jnp.zeros((*of_teacher.samples.shape, 1))
        return student.apply(params, 1, **options), of_teacher.replace(samples=silence)

    def advance(params, teacher, states, key, global_condition, local_condition, length):
        conditions = {
            "global_condition": global_condition,
            "local_condition": local_condition,
            "method": "prefill",
        }
        of_student, of_teacher = states
        noise = jax.random.normal(key, (1, length))
        generated: Generated
        generated, of_student = student.apply(params, of_student, noise, **conditions)
        outputs, of_teacher = teacher_model.apply(
            teacher, of_teacher, generated.values[..., None], **conditions
        )
        found = gaussian_of(config.teacher.distribution, outputs)
        nats, _ = _compared(config, generated.given_past, found)
        return nats[0], (of_student, of_teacher)

    return jax.jit(begin), jax.jit(advance, static_argnums=6, donate_argnums=2)


def _compared(
    config: StudentConfig, student: Gaussian, teacher: Gaussian
) -> tuple[jax.Array, jax.Array]:
    """The divergence, and the difference of log scales, `[B, T]`, of scales above the least."""
    q, p = (
        each._replace(log_scale=jnp.maximum(each.log_scale, config.min_log_scale))
        for each in (student, teacher)
    )
    return divergence(q, p), p.log_scale - q.log_scale


def _recorded(config: StudentConfig, batch: Mapping[str, Any]) -> jax.Array:
    """The amplitudes of the scored samples of recordings, `[B, T]`, 0 for others."""
    mask = batch["mask"]
    scored = batch["samples"][:, batch["samples"].shape[1] - mask.shape[1] :]
    values = config.quantizer.values(config.quantizer.encode(scored))
    return jnp.where(mask, config.quantizer.amplitudes(values), 0)


def _spectral_error(config: StudentConfig, made: jax.Array, recorded: jax.Array) -> jax.Array:
    """The squared difference of the magnitudes of spectra of `[B, T]`, summed over all frames,
    frequencies and sizes of frames."""
    errors = [
        jnp.sum(jnp.square(magnitudes(made, size) - magnitudes(recorded, size)))
        for size in config.fft_sizes
    ]
    return functools.reduce(jnp.add, errors)


def magnitudes(samples: jax.Array, size: int) -> jax.Array:
    """Magnitudes of the spectra of Hann windows, a quarter of a window apart, beginning and ending
    with the samples' ends, which silence surrounds.

    Args:
      samples: `[B, T]`.
      size: samples of a window, a multiple of 4.

    Returns:
      `[B, F, size / 2 + 1]`, of which the mean square is the variance of white noise.
    """
    hop = size // 4
    length = samples.shape[1]
    end = size + -length % hop
    padded = jnp.pad(samples, ((0, 0), (size - hop, end - hop)))
    parts = padded.reshape(len(samples), -1, hop)
    number = parts.shape[1] - 3
    frames = jnp.concatenate([parts[:, i : i + number] for i in range(4)], axis=-1)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    window /= np.sqrt(np.sum(window**2))
    spectra = jnp.fft.rfft(frames * window[None, None])
    power = jnp.square(spectra.real) + jnp.square(spectra.imag)
    return jnp.sqrt(power + _FLOOR)
