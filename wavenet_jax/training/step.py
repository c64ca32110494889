"""The training step of one replica."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from wavenet_jax import fused
from wavenet_jax.errors import InputError
from wavenet_jax.recognition.recognizer import RecognizerConfig
from wavenet_jax.student import distillation
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.loss import Batch, losses, num_summands
from wavenet_jax.training.optimizer import learning_rate_schedule, make_optimizer
from wavenet_jax.training.state import TrainState
from wavenet_jax.training.variables import ModelConfig
from wavenet_jax.training.weight_norm import model_params

AXIS = "batch"
"""The name of the devices' axis in the pmapped step."""


def train_step(
    model_config: ModelConfig,
    config: TrainingConfig,
    state: TrainState,
    batch: Batch,
    axis: str | None = AXIS,
    fused_precision: fused.Precision | None = None,
    teacher: Any = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update, as one replica of `axis` computes it.

    Replicas may have different numbers of scored samples; every sample has the same
    weight, whichever replica it is on. With `axis` None there is one replica. `teacher` are the
    variables of a student's teacher, which stay as they are.

    Returns:
      The next state, and metrics of this one: the means of `losses`, `gradient_norm` (before
      clipping) and `learning_rate`.

    Raises:
      InputError: the batch does not divide into `config.num_microbatches`.
    """
    pmean = functools.partial(jax.lax.pmean, axis_name=axis) if axis else lambda x: x

    # A function of the step and the replica, so that a resumed run draws the same noise.
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    if axis:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))

    weights = dict.fromkeys(counts := num_summands(model_config, batch), 1.0)
    if isinstance(model_config, RecognizerConfig):
        weights["bits_per_sample"] = config.generation_weight
    if isinstance(model_config, StudentConfig):
        weights = distillation.weights(model_config)
    # A term without weight is left out, so that XLA does not compute it.
    summands = {name: jnp.maximum(pmean(counts[name]), 1) for name in counts if weights[name]}

    def loss(params: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        terms = losses(
            model_config,
            model_params(config, params),
            batch,
            input_noise=config.input_noise,
            input_gain_db=config.input_gain_db,
            input_gaps=config.input_gaps,
            scheduled_sampling=config.scheduled_sampling,
            key=key,
            fused_precision=fused_precision,
            teacher=teacher,
        )
        # Of a microbatch its share of the means: the number of summands is that of the batch.
        means = {name: terms[name] / summands[name] for name in summands}
        total = functools.reduce(jnp.add, [weights[name] * means[name] for name in means])
        return total, means

    def of_batch(batch: Batch, key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
        (_, means), gradients = jax.value_and_grad(loss, has_aux=True)(state.params, batch, key)
        return means, gradients

    if (number := config.num_microbatches) == 1:
        means, gradients = of_batch(batch, key)
    else:

        def add(sums: Any, part: tuple[Batch, jax.Array]) -> tuple[Any, None]:
            microbatch, index = part
            return jax.tree.map(
                jnp.add, sums, of_batch(microbatch, jax.random.fold_in(key, index))
            ), None

        nothing = jax.tree.map(jnp.zeros_like, (summands, state.params))
        parts = (_split(batch, number), jnp.arange(number))
        (means, gradients), _ = jax.lax.scan(add, nothing, parts)
    # As one vector: on a CPU replicas wait for one another at each array that is averaged.
    vector, unravel = ravel_pytree((means, gradients))
    means, gradients = unravel(pmean(vector))
    updates, opt_state = make_optimizer(config).update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The decay rises to its value, so that the first parameters are soon forgotten.
    decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
    ema_params = optax.incremental_update(
        model_params(config, params), state.ema_params, step_size=1 - decay
    )
    metrics = {
        **means,
        "gradient_norm": optax.tree.norm(gradients),
        "learning_rate": learning_rate_schedule(config)(state.step),
    }
    state = dataclasses.replace(
        state, step=state.step + 1, params=params, ema_params=ema_params, opt_state=opt_state
    )
    return state, metrics


def _split(batch: Batch, number: int) -> Batch:
    """`[B, ...]` arrays as `[number, B / number, ...]`.

    Raises:
      InputError: B is not a multiple of the number.
    """
    size = len(batch["samples"])
    if size % number:
        raise InputError(
            f"A device has {size} of the batch's windows, which do not divide into "
            f"num_microbatches={number}: choose a divisor of {size}, or another batch size."
        )
    return {name: x.reshape(number, size // number, *x.shape[1:]) for name, x in batch.items()}
