"""WaveNet (van den Oord et al., 2016, arXiv:1609.03499) in JAX and Flax.

Letters in shapes, here and in every docstring of the package:

    B  items of a batch           R  residual channels
    T  samples                    G  gate channels (2G before a gate)
    F  frames                     S  skip channels
    H  samples of a frame (hop)   C  channels of an embedded condition
    L  layers                     D  width of a condition, tags or vectors
    K  classes, or codes          N  slots of a ring buffer
    U  classes of a sequence      P  numbers of an output distribution
    M  components of a mixture

A letter with a prime (T') is another size of the same kind.
"""

from wavenet_jax.autoencoder import Autoencoder, AutoencoderConfig
from wavenet_jax.config import (
    ConditionConfig,
    ContextStackConfig,
    LocalConditionConfig,
    WaveNetConfig,
    receptive_field,
    receptive_field_ms,
)
from wavenet_jax.errors import ConfigError, InputError
from wavenet_jax.loading import Model, load
from wavenet_jax.recognition.recognizer import Recognizer, RecognizerConfig
from wavenet_jax.sampling import generate, utterance_keys
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.wavenet import WaveNet

__version__ = "0.2.0"

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "ConditionConfig",
    "ConfigError",
    "ContextStackConfig",
    "InputError",
    "LocalConditionConfig",
    "Model",
    "Recognizer",
    "RecognizerConfig",
    "StudentConfig",
    "WaveNet",
    "WaveNetConfig",
    "generate",
    "load",
    "receptive_field",
    "receptive_field_ms",
    "utterance_keys",
]
