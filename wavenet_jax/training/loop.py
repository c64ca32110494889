"""The training loop over all devices."""

import collections
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavenet_jax.errors import InputError
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training.config import TrainingConfig
from wavenet_jax.training.fusing import fused_precision
from wavenet_jax.training.loss import Batch
from wavenet_jax.training.state import TrainState
from wavenet_jax.training.step import AXIS, train_step
from wavenet_jax.training.variables import ModelConfig
from wavenet_jax.training.weight_norm import check_split

SPIKE_AFTER_STEPS = 100
"""A loss is compared with the mean of so many steps before it."""


class DivergenceError(ArithmeticError):
    """Raised when the loss is not finite or rises at once; the message names the step.

    Attributes:
      step: whose loss it is.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class NonFiniteLossError(DivergenceError):
    """Raised when the loss is not finite."""


class SpikeError(DivergenceError):
    """Raised when the loss is far above that of the steps before."""


def make_parallel_step(model_config: ModelConfig, config: TrainingConfig):
    """The pmapped step: `(state, batch [devices, B, ...])`, and of a student its teacher's
    variables, to the next state and metrics.

    The state is one for all devices, and donated.
    """
    precision = fused_precision(model_config, config)
    has_teacher = isinstance(model_config, StudentConfig)

    def step(state: TrainState, batch: Batch, *teacher: Any):
        return train_step(
            model_config,
            config,
            state,
            batch,
            fused_precision=precision,
            teacher=teacher[0] if teacher else None,
        )

    in_axes = (None, 0, None) if has_teacher else (None, 0)
    return jax.pmap(step, axis_name=AXIS, in_axes=in_axes, out_axes=None, donate_argnums=0)


def replicate(state: Any) -> Any:
    """The state, or a teacher's variables, on every device of every process, sharded as the
    parallel step returns the state.

    With another sharding, the step would be compiled twice: for its first call and for
    those that take what it returned.
    """
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def split_over_devices(batch: Batch, num_devices: int) -> Batch:
    """`[B, ...]` arrays as `[devices, B / devices, ...]`.

    Raises:
      InputError: B is not a multiple of the number of devices.
    """

    def split(x: np.ndarray) -> np.ndarray:
        if x.shape[0] % num_devices:
            raise InputError(
                f"The batch of {x.shape[0]} windows does not divide over {num_devices} "
                "devices: choose a batch size that is a multiple of them."
            )
        return x.reshape(num_devices, -1, *x.shape[1:])

    return {name: split(np.asarray(x)) for name, x in batch.items()}


def fit(
    model_config: ModelConfig,
    config: TrainingConfig,
    state: TrainState,
    batches: Iterator[Batch],
    *,
    on_metrics: Callable[[int, dict[str, float]], None],
    checkpoint_every: int,
    on_checkpoint: Callable[[TrainState], None],
    should_stop: Callable[[int], bool] = lambda step: False,
    is_preview_due: Callable[[int], bool] = lambda step: False,
    on_preview: Callable[[TrainState], None] = lambda state: None,
    on_times: Callable[[float, float], None] = lambda step_s, data_wait_s: None,
    max_spike: float | None = None,
    teacher: Any = None,
) -> TrainState:
    """Trains to `config.num_steps`, or until `should_stop`.

    The metrics of a step are read after the next one was dispatched, so that
    reading them never leaves the devices idle.

    Args:
      model_config: of the model.
      config: of the training.
      state: to begin from; its buffers are donated.
      batches: this process's share of each batch, from step `state.step` on.
      on_metrics: called with each step's number (from 1) and metrics.
      checkpoint_every: steps between calls of `on_checkpoint`.
      on_checkpoint: called with the state, every so often and at the end. By then all
        metrics up to its step are reported, and `batches` is positioned after it.
      should_stop: called after each step with its number.
      is_preview_due: called with the number of each step after which training goes on or ends
        as planned. Processes need not agree, if `on_preview` has nothing to do with the others.
      on_preview: called with the state where that is so, after `on_checkpoint`.
      on_times: called after each step with the seconds since the one before, without those of
        checkpoints and previews; and how many of them devices waited for the batch.
      max_spike: by how much a metric of the loss, in bits, may exceed its mean over the
        `SPIKE_AFTER_STEPS` steps before; None for any.
      teacher: the variables of a student's teacher.

    Returns:
      The last state.

    Raises:
      NonFiniteLossError: a metric is not finite; `on_metrics` and `on_checkpoint` were not
        called for that step.
      SpikeError: a loss exceeds those before by more than `max_spike`; likewise.
      InputError: the batch does not divide over the devices, the state was begun with
        another `weight_normalization`, or a student has no teacher.
    """
    check_split(config, state.params)
    if isinstance(model_config, StudentConfig) != (teacher is not None):
        raise InputError(
            "A student, and no other model, is trained with the variables of its teacher: give "
            "them for a student alone."
        )
    parallel_step = make_parallel_step(model_config, config)
    num_devices = jax.local_device_count()
    feed = _Feed(batches)
    state = replicate(state)
    beside = () if teacher is None else (replicate(teacher),)
    pending: list[tuple[int, dict[str, jax.Array]]] = []
    recent: dict[str, collections.deque[float]] = {}
    remedy = (
        f"resume from the last checkpoint with a lower learning rate than {config.learning_rate:g},"
        " or look for damaged recordings"
    )

    def report_pending():
        while pending:
            step, metrics = pending.pop(0)
            values = {name: float(value) for name, value in metrics.items()}
            for name in values:
                if not np.isfinite(values[name]):
                    raise NonFiniteLossError(
                        f"At step {step} the {name.replace('_', ' ')} is {values[name]}: {remedy}.",
                        step,
                    )
                if max_spike is not None and name.startswith("bits_per_"):
                    before = recent.setdefault(name, collections.deque(maxlen=SPIKE_AFTER_STEPS))
                    mean = sum(before) / max(1, len(before))
                    if len(before) == SPIKE_AFTER_STEPS and values[name] > mean + max_spike:
                        raise SpikeError(
                            f"At step {step} the {name.replace('_', ' ')} is {values[name]:.2f}, "
                            f"after {mean:.2f} in the {SPIKE_AFTER_STEPS} steps before: {remedy}.",
                            step,
                        )
                    before.append(values[name])
            on_metrics(step, values)

    for step in range(int(state.step) + 1, config.num_steps + 1):
        begun_s = time.monotonic()
        batch, data_wait_s = feed.next(pending[-1][1] if pending else {})
        state, metrics = parallel_step(state, split_over_devices(batch, num_devices), *beside)
        report_pending()
        pending.append((step, metrics))
        on_times(time.monotonic() - begun_s, data_wait_s)
        stopping = should_stop(step)
        if stopping or step % checkpoint_every == 0 or step == config.num_steps:
            report_pending()
            on_checkpoint(state)
        if not stopping and is_preview_due(step):
            report_pending()
            on_preview(state)
        if stopping:
            break
    return state


class _Feed:
    """Batches, and how long devices wait for them.

    Where a batch came after the end of the step before, the end of the next step is awaited before
    the next batch is: whichever comes first, the devices lose nothing by it, and how long the batch
    is awaited after that is how long they have nothing to do. So every other batch is timed, and
    counted twice; where batches come in time none is, and steps are dispatched in advance.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches, self._is_late = batches, False

    def next(self, running: dict[str, Any]) -> tuple[Batch, float]:
        """The next batch, and seconds that devices waited for batches since the last call.

        Args:
          running: metrics of the step that was dispatched last; empty before the first.
        """
        is_timed, self._is_late = self._is_late, False
        if is_timed:
            jax.block_until_ready(running)
        begun_s = time.monotonic()
        batch = next(self._batches)
        if is_timed:
            return batch, 2 * (time.monotonic() - begun_s)
        self._is_late = bool(running) and all(value.is_ready() for value in running.values())
        return batch, 0.0
