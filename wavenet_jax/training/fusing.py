"""Whether a replica of the training computes with the fused layers of `wavenet_jax.fused`."""

import jax

from wavenet_jax import fused, layers
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.variables import ModelConfig, wavenet_of


def fused_precision(model_config: ModelConfig, config: TrainingConfig) -> fused.Precision | None:
    """The precision of the fused layers' products, or None where XLA computes the layers."""
    return None if config.fused == "off" else supported(config.fused, model_config)


def supported(
    precision: fused.Precision | None, model_config: ModelConfig
) -> fused.Precision | None:
    """The precision, or None where the fused layers cannot compute a model."""
    return None if unsupported_reason(model_config, jax.default_backend()) else precision


def unsupported_reason(model_config: ModelConfig, platform: str) -> str | None:
    """Why the fused layers cannot compute a model, or None if they can."""
    if platform != "cpu":
        return f"fused layers are for CPUs, and the device is of the platform {platform}"
    if isinstance(model_config, StudentConfig):  # the teacher, or the flows, or both
        reasons = [
            unsupported_reason(x, platform) for x in (model_config.teacher, model_config.flow)
        ]
        return reasons[0] if all(reasons) else None
    # What an encoder or a classifier of frames adds is XLA's in any case.
    model_config = wavenet_of(model_config)
    channels = (model_config.residual_channels, model_config.gate_channels)
    if any(each % fused.MULTIPLE for each in channels):
        return (
            f"fused layers take multiples of {fused.MULTIPLE}, and the residual and gate channels "
            f"are {channels[0]} and {channels[1]}"
        )
    if layers.BLOCKS[model_config.block] is not layers.GatedBlock:
        return (
            f"fused layers are those of the plain block, and the model's is {model_config.block!r}"
        )
    for name, plain in (("dtype", "float32"), ("dropout", 0.0)):
        if (value := getattr(model_config, name)) != plain:
            return f"fused layers have {name} {plain!r}, and the model's is {value!r}"
    if model_config.rematerialize:
        return "fused layers keep what rematerialize recomputes"
    return None
