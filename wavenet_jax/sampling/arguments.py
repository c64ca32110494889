"""Checks of what callers pass to `generate`."""

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import conditioning
from wavenet_jax.config import ConditionConfig
from wavenet_jax.errors import InputError
from wavenet_jax.student.flows import GeneratorConfig, StudentConfig

MAX_SAMPLES = 2**31 - 1
"""Of an utterance with its prime: a sample's index is an int32."""


def check_counts(
    batch: int, num_samples: int | None, chunk_samples: int, part_samples: int | None = None
):
    """Refuses counts below 1."""
    for name, value in (
        ("batch", batch),
        ("number of samples", 1 if num_samples is None else num_samples),
        ("chunk length", chunk_samples),
        ("length of parts", 1 if part_samples is None else part_samples),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InputError(f"The {name} to generate is {value!r}: give a whole number.")
        if value < 1:
            raise InputError(f"The {name} to generate is {value}: give at least 1.")


def check_temperature(temperature: np.ndarray, batch: int):
    """Refuses temperatures below 0, and those of frames of another shape than `[B, F]`."""
    if not np.all(temperature >= 0):
        (wrong, *_) = temperature[~(temperature >= 0)]
        raise InputError(
            f"The temperature is {wrong}: give 0 for the likeliest, 1 for the "
            "model's own distribution, or a number between."
        )
    if temperature.ndim and (temperature.ndim != 2 or len(temperature) != batch):
        raise InputError(
            f"The temperature has shape {temperature.shape}: give a number, or one for each frame, "
            f"of shape ({batch}, F)."
        )


def check_temperatures_cover(temperature: np.ndarray, hop_samples: int, num_samples: int):
    """Refuses temperatures of fewer frames than so many samples have."""
    needed = -(-num_samples // hop_samples)
    if temperature.ndim and temperature.shape[1] < needed:
        raise InputError(
            f"The temperature has {temperature.shape[1]} frames of {hop_samples} samples, too few "
            f"for {num_samples} samples: give {needed} or ask for less."
        )


def check_top_p(config: GeneratorConfig, top_p: float):
    """Refuses what is no probability above 0, and restricting an output that has no classes."""
    if not 0 < top_p <= 1:
        raise InputError(
            f"top_p is {top_p}: give a probability above 0, or 1 to draw among all codes."
        )
    if top_p < 1 and config.output != "categorical":
        raise InputError(
            f"top_p is {top_p}, and the model's output is {config.output!r}: give 1, for top-p is "
            "for the output 'categorical'; a lower temperature sharpens this one."
        )


def check_length(num_primed: int, num_samples: int):
    """Refuses more samples than can be counted."""
    if num_primed + num_samples > MAX_SAMPLES:
        raise InputError(
            f"The utterance has {num_primed + num_samples} samples, its prime included: give at "
            f"most {MAX_SAMPLES}, and begin another after them."
        )


def check_keys(keys: jax.Array):
    """Refuses what is not a list of PRNG keys."""
    shape, dtype = np.shape(keys), getattr(keys, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key) or len(shape) != 1:
        raise InputError(
            f"The keys have shape {shape} and type {dtype}: give one PRNG key an utterance, "
            "such as those of `utterance_keys`."
        )


def check_condition(config: ConditionConfig | None, condition, name: str, leading: tuple[int, ...]):
    """Refuses a condition of a shape, or with labels or tags, that the model does not take."""
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


def check_prime(config: GeneratorConfig, prime: np.ndarray, batch: int):
    """Refuses a prime that is not codes `[B, P]`, and any of a student."""
    if isinstance(config, StudentConfig):
        raise InputError(
            "The model is a student, which makes sound of noise and cannot go on from a recording: "
            "leave the prime out, or use its teacher."
        )
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
