"""WaveNet (van den Oord et al., 2016, arXiv:1609.03499) in JAX and Flax.

Letters in shapes, here and in every docstring of the package:

    B  rows of a batch            R  residual channels
    T  samples                    G  gate channels (2G before the gate)
    F  frames of a condition      S  skip channels
    L  layers                     C  channels of an embedded condition
    K  classes of the output      D  width of a condition given as vectors
    P  samples of a prime         N  slots of a ring buffer, or samples of a recording
"""

from wavenet_jax.conditioning import ConditionConfig, LocalConditionConfig
from wavenet_jax.context import ContextStackConfig
from wavenet_jax.errors import InputError
from wavenet_jax.sampling import generate, utterance_keys
from wavenet_jax.wavenet import (
    WaveNet,
    WaveNetConfig,
    receptive_field,
    receptive_field_ms,
)

__version__ = "0.2.0"

__all__ = [
    "ConditionConfig",
    "ContextStackConfig",
    "InputError",
    "LocalConditionConfig",
    "WaveNet",
    "WaveNetConfig",
    "generate",
    "receptive_field",
    "receptive_field_ms",
    "utterance_keys",
]
