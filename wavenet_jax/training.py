"""Training: the state, the step of one replica, its pmap, and the loop."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.errors import InputError
from wavenet_jax.recognition.recognizer import (
    Recognizer,
    RecognizerConfig,
    frame_bits,
    sequence_bits,
)
from wavenet_jax.wavenet import WaveNet

ModelConfig = WaveNetConfig | RecognizerConfig

AXIS = "batch"
"""The name of the devices' axis in the pmapped step."""

Batch = Mapping[str, Any]
"""What a step trains on: `samples` int16 `[B, C + S]`, of which the first C are
context; `mask` bool `[B, S]`, true where a sample is scored; and where the model
takes conditions, `global` and `local`, of context and segment both.

For a recognizer `samples` are `[B, C + S + A]`, with its reach A = r h after the segment, and
in C at least as much before it beside the receptive field; `frames` bool `[B, r + F + r]` are
true for those that the recording has, F those of the segment; and `classes` int32 are of these,
`[B, F]`, or for CTC the recording's in their order, `[B, U]`; -1 where there is none."""


_LAST_KERNEL = "params/output/kernel"


class NonFiniteLossError(ArithmeticError):
    """The loss is no number any more; the message names the step."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How parameters are found.

    Attributes:
      num_steps: length of the run, and of the learning rate's schedule.
      learning_rate: Adam's at its peak.
      warmup_steps: over which it rises from 0.
      end_learning_rate: at the last step, reached along a cosine.
      clip_norm: longest gradient allowed; a longer one is scaled down to it.
      beta2: Adam's decay of the squared gradients.
      ema_decay: of the moving average of the parameters, which samples best.
      weight_normalization: whether each kernel is trained as a length and a direction
        for each output channel (Salimans and Kingma, 2016), all but the last layer's,
        which begins at zero. The average is that of the kernels themselves.
      generation_weight: of the bits per sample in the loss of a model with a recognizer,
        beside the bits per frame (or per phone, for CTC); 0 leaves the classifier's alone,
        and the samples unscored.
      input_noise: standard deviation of normal noise on the past that the model sees
        (not on what it scores), where codes span [-1, 1): practice for the errors
        of its own samples.
      seed: of the first parameters and the order of the data.
    """

    num_steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    end_learning_rate: float = 0.0
    clip_norm: float = 1.0
    beta2: float = 0.999
    ema_decay: float = 0.999
    weight_normalization: bool = False
    generation_weight: float = 1.0
    input_noise: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name, least in (("num_steps", 1), ("warmup_steps", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(
                    f"The training's {name} is {getattr(self, name)}: give at least {least}."
                )
        for name in ("generation_weight", "input_noise"):
            if not getattr(self, name) >= 0:
                raise InputError(
                    f"The training's {name} is {getattr(self, name)}: give 0 for none, or more."
                )
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"The training's {name} is {getattr(self, name)}: give a number above 0."
                )
        for name in ("beta2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"The training's {name} is {getattr(self, name)}: "
                    "give a number from 0 up to, not including, 1."
                )


@flax.struct.dataclass
class TrainState:
    """All that changes in training, and all that resuming it needs of the model.

    Attributes:
      step: int32 scalar, updates made.
      params: what is optimised: the model's variables, or with weight normalisation
        what `model_params` makes them of.
      ema_params: moving average of the model's variables, for scoring and sampling.
      opt_state: the optimiser's.
      key: data of the PRNG key for what is drawn at random on the way, together
        with the step.
    """

    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: Any
    key: jax.Array


def learning_rate_schedule(config: TrainingConfig) -> optax.Schedule:
    """Linear warm-up, then half a cosine down to the end."""
    warmup_steps = min(config.warmup_steps, config.num_steps - 1)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0 if warmup_steps else config.learning_rate,
        peak_value=config.learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=config.num_steps,
        end_value=config.end_learning_rate,
    )


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam on gradients of bounded length."""
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adam(learning_rate_schedule(config), b2=config.beta2),
    )


def init_state(
    model_config: ModelConfig, config: TrainingConfig, *, pretrained: Any = None
) -> TrainState:
    """The state before the first step; a function of the seed alone.

    Args:
      model_config: the model's.
      config: the training's.
      pretrained: variables of another model, of which those that this one has by the same
        names and shapes begin where they ended.

    Raises:
      InputError: it has none of them.
    """
    init_key, key = jax.random.split(jax.random.key(config.seed))
    if isinstance(model_config, RecognizerConfig):
        frame = jnp.zeros((1, model_config.hop_samples), jnp.int32)
        variables = jax.jit(Recognizer(model_config).init)(init_key, frame, jnp.ones((1, 1), bool))
    else:
        conditions = {}
        for name in ("global", "local"):
            condition = getattr(model_config, f"{name}_condition")
            if condition is not None:
                shape = (1,) if name == "global" else (1, 1 + 2 * condition.context_frames)
                is_labels = condition.kind == "labels"
                conditions[f"{name}_condition"] = jnp.zeros(
                    shape if is_labels else (*shape, condition.size),
                    jnp.float32 if condition.kind == "vectors" else jnp.int32,
                )
        init = jax.jit(WaveNet(model_config).init)
        variables = init(init_key, jnp.zeros((1, 1), jnp.int32), **conditions)
    if pretrained is not None:
        variables = _replaced(variables, pretrained)
    params = _split_kernels(variables) if config.weight_normalization else variables
    return TrainState(
        step=jnp.int32(0),
        params=params,
        ema_params=jax.tree.map(jnp.copy, variables),
        opt_state=make_optimizer(config).init(params),
        key=jax.random.key_data(key),
    )


def _replaced(variables, pretrained):
    """The variables, with those of another model where names and shapes are the same."""
    mine, others = (traverse_util.flatten_dict(tree, sep="/") for tree in (variables, pretrained))
    shared = [name for name in mine if name in others and mine[name].shape == others[name].shape]
    if not shared:
        raise InputError(
            "The pretrained model shares no parameters with this one: use one of the same "
            "channels, kernel size and number of layers."
        )
    mine |= {name: jnp.asarray(others[name]) for name in shared}
    return traverse_util.unflatten_dict(mine, sep="/")


def model_params(config: TrainingConfig, params):
    """The model's variables, of what is optimised."""
    if not config.weight_normalization:
        return params
    kernels = traverse_util.flatten_dict(params["directions"], sep="/")
    for name, lengths in params["lengths"].items():
        scale = lengths / _column_lengths(kernels[name])
        kernels[name] = kernels[name] * scale[(None,) * (kernels[name].ndim - 1)]
    return traverse_util.unflatten_dict(kernels, sep="/")


def _split_kernels(variables) -> dict[str, Any]:
    """Each kernel as its direction and the lengths of its columns."""
    flat = traverse_util.flatten_dict(variables, sep="/")
    kernels = [name for name in flat if name.endswith("/kernel") and name != _LAST_KERNEL]
    lengths = {name: _column_lengths(flat[name]) for name in kernels}
    return {"directions": jax.tree.map(jnp.copy, variables), "lengths": lengths}


def _column_lengths(kernel: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(kernel**2, axis=tuple(range(kernel.ndim - 1))))


def losses(
    model_config: ModelConfig,
    params,
    batch: Batch,
    *,
    input_noise: float = 0.0,
    key: jax.Array | None = None,
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """What is to be made small, each by name as a sum and the number of its terms.

    Args:
      model_config: the model's.
      params: its variables.
      batch: of one replica.
      input_noise: as in `TrainingConfig`.
      key: for the noise and the dropout; None for neither.

    Returns:
      `bits_per_sample`, the negative log-likelihood over the scored samples (equation 1);
      of a recognizer also `bits_per_frame` (`frame_bits`), or for CTC
      `bits_per_phone` (`sequence_bits`). float32 scalars.
    """
    recognizer = model_config if isinstance(model_config, RecognizerConfig) else None
    model: Any = WaveNet(model_config) if recognizer is None else Recognizer(recognizer)
    wavenet = model_config if recognizer is None else recognizer.wavenet
    codes = wavenet.quantizer.encode(batch["samples"])
    mask = batch["mask"]
    past, rngs = codes, {}
    if key is not None:
        noise_key, dropout_key = jax.random.split(key)
        if input_noise:
            half = wavenet.num_classes / 2
            noise = jnp.round(input_noise * half * jax.random.normal(noise_key, codes.shape))
            past = jnp.clip(codes + noise.astype(jnp.int32), 0, wavenet.num_classes - 1)
        if wavenet.dropout or (recognizer and recognizer.dropout):
            rngs["dropout"] = dropout_key
    apply = functools.partial(model.apply, params, past, rngs=rngs)
    outputs: Any
    found = {}
    if recognizer is None:
        context = codes.shape[1] - mask.shape[1]
        outputs = apply(
            global_condition=batch.get("global"),
            local_condition=batch.get("local"),
            context=context,
        )
    else:
        reach = recognizer.context_frames
        ahead = reach * recognizer.hop_samples
        context = codes.shape[1] - mask.shape[1] - ahead
        scored_frames: Any = apply(batch["frames"], context=context - ahead)
        outputs, logits = scored_frames
        # As many as the mask has: the reach on either side is but heard.
        outputs = outputs[:, ahead : ahead + mask.shape[1]]
        logits, frames = (x[:, reach : x.shape[1] - reach] for x in (logits, batch["frames"]))
        if recognizer.loss == "frames":
            found["bits_per_frame"] = frame_bits(logits, batch["classes"])
        else:
            found["bits_per_phone"] = sequence_bits(logits, frames, batch["classes"])
    scored = codes[:, context : context + mask.shape[1]]
    bits = -wavenet.distribution.log_prob_bits(outputs, scored)
    samples = jnp.sum(bits, where=mask), jnp.sum(mask, dtype=jnp.float32)
    return {"bits_per_sample": samples, **found}


def train_step(
    model_config: ModelConfig,
    config: TrainingConfig,
    state: TrainState,
    batch: Batch,
    axis: str | None = AXIS,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update, as one replica of `axis` makes it.

    Replicas may have unequally many scored samples; every sample weighs the
    same, whichever replica it is on. With `axis` None there is one replica.

    Returns:
      The next state, and metrics of this one: the means of `losses`, `gradient_norm` (before
      clipping) and `learning_rate`.
    """
    pmean = functools.partial(jax.lax.pmean, axis_name=axis) if axis else lambda x: x

    # Each replica draws its own noise; a resumed run draws what it would have drawn.
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    if axis:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))

    def loss(params):
        variables = model_params(config, params)
        found = losses(model_config, variables, batch, input_noise=config.input_noise, key=key)
        if isinstance(model_config, RecognizerConfig) and not config.generation_weight:
            del found["bits_per_sample"]  # and nothing computes it
        means = {
            name: total / jnp.maximum(pmean(count), 1) for name, (total, count) in found.items()
        }
        if isinstance(model_config, WaveNetConfig):
            return means["bits_per_sample"], means
        weights = dict.fromkeys(means, 1.0) | {"bits_per_sample": config.generation_weight}
        return sum(weights[name] * mean for name, mean in means.items()), means

    (_, means), gradients = jax.value_and_grad(loss, has_aux=True)(state.params)
    means, gradients = pmean((means, gradients))
    updates, opt_state = make_optimizer(config).update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average forgets the first parameters quickly, then grows its memory.
    decay = jnp.minimum(config.ema_decay, (1 + state.step) / (10 + state.step))
    ema_params = jax.tree.map(
        lambda mean, new: decay * mean + (1 - decay) * new,
        state.ema_params,
        model_params(config, params),
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


def make_parallel_step(model_config: ModelConfig, config: TrainingConfig):
    """The step over all devices: `(state, batch [devices, B, ..])` to the same.

    The state is given and returned whole, one for all devices, and donated.
    """
    step = functools.partial(train_step, model_config, config)
    return jax.pmap(step, axis_name=AXIS, in_axes=(None, 0), out_axes=None, donate_argnums=0)


def replicate(state: TrainState) -> TrainState:
    """The state as the parallel step returns it, on every device of every process.

    Given another way, the step would be compiled twice: for its first call and
    for those that are given what it returned.
    """
    mesh = Mesh(np.array(jax.devices()), (AXIS,))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))


def split_over_devices(batch: Batch, num_devices: int) -> Batch:
    """`[B, ...]` arrays to `[devices, B / devices, ...]`.

    Raises:
      InputError: B is not a multiple of the number of devices.
    """

    def split(x: np.ndarray) -> np.ndarray:
        if x.shape[0] % num_devices:
            raise InputError(
                f"The batch of {x.shape[0]} rows does not divide over {num_devices} "
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
) -> TrainState:
    """Trains to `config.num_steps`, or until asked to stop.

    The metrics of a step are read after the next one was dispatched, so that
    reading them never leaves the devices idle.

    Args:
      model_config: the model's.
      config: the training's.
      state: where to begin; it is given up to the loop (donated).
      batches: this process's share of each batch, from step `state.step` on.
      on_metrics: told each step's number (from 1) and metrics.
      checkpoint_every: steps between calls of `on_checkpoint`.
      on_checkpoint: given the state, every so often and at the end. All
        metrics up to its step were reported, and `batches` stand after it.
      should_stop: asked after each step, given its number.

    Returns:
      The last state.

    Raises:
      NonFiniteLossError: before anything of the step is kept.
      InputError: the batch does not divide over the devices.
    """
    parallel_step = make_parallel_step(model_config, config)
    num_devices = jax.local_device_count()
    state = replicate(state)
    pending: list[tuple[int, dict[str, jax.Array]]] = []

    def report_pending():
        while pending:
            step, metrics = pending.pop(0)
            values = {name: float(value) for name, value in metrics.items()}
            for name in values:
                if not np.isfinite(values[name]):
                    raise NonFiniteLossError(
                        f"At step {step} the {name.replace('_', ' ')} is "
                        f"{values[name]}: resume from the last checkpoint with a "
                        f"lower learning rate than {config.learning_rate:g}, or "
                        "look for damaged recordings."
                    )
            on_metrics(step, values)

    for step in range(int(state.step) + 1, config.num_steps + 1):
        batch = split_over_devices(next(batches), num_devices)
        state, metrics = parallel_step(state, batch)
        report_pending()
        pending.append((step, metrics))
        stopping = should_stop(step)
        if stopping or step % checkpoint_every == 0 or step == config.num_steps:
            report_pending()
            on_checkpoint(state)
        if stopping:
            break
    return state
