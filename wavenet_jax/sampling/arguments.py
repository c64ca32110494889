"""Checks of what callers pass to `generate`."""

import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import conditioning
from wavenet_jax.config import ConditionConfig, WaveNetConfig
from wavenet_jax.errors import InputError

MAX_SAMPLES = 2**31 - 1
"""Of an utterance with its prime: a sample's index is an int32."""


def check_counts(batch: int, num_samples: int | None, temperature: float, chunk_samples: int):
    """Refuses counts below 1 and temperatures that are none."""
    for name, value in (
        ("batch", batch),
        ("number of samples", 1 if num_samples is None else num_samples),
        ("chunk length", chunk_samples),
    ):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise InputError(f"The {name} to generate is {value!r}: give a whole number.")
        if value < 1:
            raise InputError(f"The {name} to generate is {value}: give at least 1.")
    if not temperature >= 0:
        raise InputError(
            f"The temperature is {temperature}: give 0 for the likeliest, 1 for the "
            "model's own distribution, or a number between."
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


def check_prime(config: WaveNetConfig, prime: np.ndarray, batch: int):
    """Refuses a prime that is not codes `[B, P]`."""
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
