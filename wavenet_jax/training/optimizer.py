"""Adam with clipped gradients, and its learning rate."""

import optax

from wavenet_jax.training.config import TrainingConfig


def learning_rate_schedule(config: TrainingConfig) -> optax.Schedule:
    """Linear warm-up to the peak, then half a cosine down to the end."""
    warmup_steps = min(config.warmup_steps, config.num_steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=config.num_steps,
        end_value=config.end_learning_rate,
    )


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam on gradients clipped to a norm of at most `clip_norm`."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adam(learning_rate_schedule(config), b2=config.beta2),
    )
