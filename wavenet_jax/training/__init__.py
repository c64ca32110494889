"""Training: the state, the losses, the step of one replica, its pmap, and the loop."""

from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.loop import (
    DivergenceError,
    NonFiniteLossError,
    SpikeError,
    fit,
    make_parallel_step,
    replicate,
    split_over_devices,
)
from wavenet_jax.training.loss import Batch, losses, num_summands
from wavenet_jax.training.optimizer import learning_rate_schedule, make_optimizer
from wavenet_jax.training.state import TrainState, init_state
from wavenet_jax.training.step import train_step
from wavenet_jax.training.variables import (
    Adoption,
    ModelConfig,
    NamedAxis,
    adopt,
    init_variables,
    wavenet_of,
)
from wavenet_jax.training.weight_norm import model_params

__all__ = [
    "Adoption",
    "Batch",
    "DivergenceError",
    "ModelConfig",
    "NamedAxis",
    "NonFiniteLossError",
    "SpikeError",
    "TrainState",
    "TrainingConfig",
    "adopt",
    "fit",
    "init_state",
    "init_variables",
    "learning_rate_schedule",
    "losses",
    "make_optimizer",
    "make_parallel_step",
    "model_params",
    "num_summands",
    "replicate",
    "split_over_devices",
    "train_step",
    "wavenet_of",
]
