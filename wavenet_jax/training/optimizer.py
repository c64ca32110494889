"""Optimisers on clipped gradients, and the learning rate's schedule."""

from typing import Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers, muon

from wavenet_jax.training.config import TrainingConfig

_FIRST_AND_LAST = ("input", "output", "embedding")
"""Layers with a kernel over codes or classes, whose rows or columns Adam scales one by one."""


def learning_rate_schedule(config: TrainingConfig, peak: float | None = None) -> optax.Schedule:
    """Linear warm-up to the peak, then `config.decay` down to the end.

    Args:
      config: of the training.
      peak: by default `learning_rate`; the end stays in proportion to it.
    """
    peak = config.learning_rate if peak is None else peak
    end = peak * config.end_learning_rate / config.learning_rate
    warmup_steps = min(config.warmup_steps, config.num_steps - 1)
    if config.decay == "linear":
        up = optax.linear_schedule(0.0, peak, warmup_steps)
        down = optax.linear_schedule(peak, end, config.num_steps - warmup_steps)
        return optax.join_schedules([up, down], [warmup_steps]) if warmup_steps else down
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else peak,
        peak_value=peak,
        warmup_steps=warmup_steps,
        decay_steps=config.num_steps,
        end_value=end,
    )


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """`config.optimizer` on gradients clipped to a norm of at most `clip_norm`.

    Adam (Kingma and Ba, 2015); Nadam (Dozat, 2016), with the same state; or Muon (Jordan, 2024),
    which replaces the momentum of a kernel by the nearest matrix with orthogonal columns or rows,
    so that all its directions are learned at one rate, whichever the gradient is largest in. It
    is for `inner_kernels`; Nadam does the rest.
    """
    clip, rates = optax.clip_by_global_norm(config.clip_norm), learning_rate_schedule(config)
    if config.optimizer != "muon":
        is_nadam = config.optimizer == "nadam"
        return optax.chain(clip, optax.adam(rates, b2=config.beta2, nesterov=is_nadam))
    return optax.chain(
        clip,
        muon(
            learning_rate_schedule(config, config.matrix_learning_rate),
            adam_learning_rate=rates,
            adam_b2=config.beta2,
            muon_weight_dimension_numbers=inner_kernels,
        ),
    )


def inner_kernels(params: Any) -> Any:
    """Which parameters are kernels between hidden layers, and which of their axes are inputs.

    Returns:
      A tree like `params`: for a kernel of the network's inside the axes that its sum runs over
      (the taps and inputs of a convolution) and its outputs, and None for any other parameter:
      biases, embeddings, and the kernels of the layers whose inputs or outputs are codes.
    """

    def axes(path: tuple[Any, ...], x: jax.Array) -> MuonDimensionNumbers | None:
        names = [key.key for key in path]
        if names[-1] != "kernel" or x.ndim not in (2, 3) or set(_FIRST_AND_LAST) & set(names):
            return None
        return MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1)

    return jax.tree_util.tree_map_with_path(axes, params)
