"""Networks that predict durations of phones, and F0 and spectra of frames (section 3.2).

In the paper external models predict the conditions of WaveNet beside the linguistic features:
durations (there by an LSTM) and log F0 (there by an autoregressive CNN). Both are here
non-causal networks over the whole sentence: convolutions over phones, or over frames, whose
dilations double, each followed by a ReLU and added to its input. A third predicts the mel
spectrogram of what such conditions are spoken as, by which generated speech is filtered.

Letters in shapes: `B` sentences, `T` phones or frames, `D` features of each, `O` outputs.
"""

import dataclasses
import functools
import math
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from wavenet_jax.config import (
    MAX_CHANNELS,
    MAX_LAYERS,
    check_max,
    check_min,
    check_share,
    check_types,
)
from wavenet_jax.errors import ConfigError
from wavenet_jax.training.config import check_seed
from wavenet_jax.training.variables import NamedAxis

DURATION_UNIT_S = 0.1
KERNEL_SIZE = 3
NUM_BANDS = 40
NUM_OUTPUTS = {"duration": 1, "pitch": 2, "spectrum": NUM_BANDS}
"""The kinds of networks, and their numbers of outputs."""
DEFAULT_DILATIONS = {
    "duration": (1, 2, 4),
    "pitch": (1, 2, 4, 8, 16, 32),
    "spectrum": (1, 2, 4, 8, 16, 32),
}


@dataclasses.dataclass(frozen=True)
class ProsodyConfig:
    """A network over a sequence, and its training.

    Attributes:
      kind: "duration" over phones, whose output is ln(duration / 0.1 s); "pitch" over
        frames, whose outputs are ln F0, in any unit, and the logit of being voiced; or "spectrum"
        over frames with their F0, whose outputs are the bands of a mel spectrogram.
      features: D.
      dilations: of the layers; by default those with a receptive field of about a word
        of phones, or half a second of frames of 5 ms.
      channels: of each.
      dropout: share of each layer's channels that training drops.
      context_dropout: share of the sentences in which training leaves out what is known of a
        neighbouring phone, each neighbour by itself, and the counts of what is around.
      input_noise: standard deviation of the Gaussian noise that training adds to the features.
      num_steps: length of the training.
      batch_size: sentences of a step.
      learning_rate: Adam's at the beginning, from which it falls along half a cosine to 0.
      seed: of the first parameters, the dropout and the order of the sentences.
    """

    kind: Literal["duration", "pitch", "spectrum"]
    features: int
    dilations: tuple[int, ...] = ()
    channels: int = 64
    dropout: float = 0.1
    context_dropout: float = 0.0
    input_noise: float = 0.0
    num_steps: int = 1000
    batch_size: int = 8
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self):
        owner = "The prosody"
        check_types(self, owner)
        if not self.dilations:
            object.__setattr__(self, "dilations", DEFAULT_DILATIONS[self.kind])
        check_min(self, owner, features=1, dilations=1, channels=1, num_steps=1, batch_size=1)
        check_max(self, owner, features=MAX_CHANNELS, channels=MAX_CHANNELS)
        if len(self.dilations) > MAX_LAYERS:
            remedy = f"give at most {MAX_LAYERS}"
            raise ConfigError(owner, "number of layers", len(self.dilations), remedy)
        check_share(self, owner, "dropout", "context_dropout")
        if not 0 <= self.input_noise < math.inf:
            raise ConfigError(owner, "input_noise", self.input_noise, "give a number from 0")
        check_seed(self, owner)
        if not self.learning_rate > 0:
            raise ConfigError(owner, "learning_rate", self.learning_rate, "give a number above 0")


class ProsodyNet(nn.Module):
    """Non-causal convolutions over a sequence, which is zero beyond its ends."""

    config: ProsodyConfig

    @nn.compact
    def __call__(self, features: jax.Array, mask: jax.Array, *, train: bool = False) -> jax.Array:
        """Outputs at each position.

        Args:
          features: float32 `[B, T, D]`.
          mask: bool `[B, T]`, false past a sentence's end; the features there change nothing.
          train: whether to drop channels, with the PRNG key `dropout`.

        Returns:
          Float32 `[B, T, O]`.
        """
        inside = mask[..., None]
        x = nn.Dense(self.config.channels, name="input")(features)
        for i, dilation in enumerate(self.config.dilations):
            convolution = nn.Conv(
                self.config.channels,
                (KERNEL_SIZE,),
                kernel_dilation=dilation,
                padding="SAME",
                name=f"layer_{i}",
            )
            layer = nn.relu(convolution(jnp.where(inside, x, 0)))
            x += nn.Dropout(self.config.dropout, deterministic=not train)(layer)
        return nn.Dense(NUM_OUTPUTS[self.config.kind], name="output")(nn.relu(x))


class Batch(NamedTuple):
    """Sentences padded to one length.

    Attributes:
      features: float32 `[B, T, D]`.
      targets: float32 `[B, T, O]`, as the outputs, with 1 for voiced and 0 for unvoiced
        instead of the logit.
      mask: bool `[B, T]`, false past a sentence's end.
    """

    features: np.ndarray
    targets: np.ndarray
    mask: np.ndarray


@flax.struct.dataclass
class ProsodyState:
    """All that a training step changes; `step` is an int32 scalar, the number of updates."""

    step: jax.Array
    params: Any
    opt_state: Any


def loss(config: ProsodyConfig, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Mean squared error of the logarithm over the batch's positions; for pitch over the voiced
    ones, plus the cross-entropy of voicing, in nats; for spectra the mean absolute error."""
    if config.kind == "spectrum":
        return jnp.mean(jnp.abs(outputs - batch.targets), where=batch.mask[..., None])
    errors = jnp.square(outputs[..., 0] - batch.targets[..., 0])
    if config.kind == "duration":
        return jnp.mean(errors, where=batch.mask)
    voiced = batch.targets[..., 1]
    entropies = optax.sigmoid_binary_cross_entropy(outputs[..., 1], voiced)
    num_voiced = jnp.maximum(jnp.sum(voiced, where=batch.mask), 1)
    return jnp.sum(errors * voiced, where=batch.mask) / num_voiced + jnp.mean(
        entropies, where=batch.mask
    )


def make_optimizer(config: ProsodyConfig) -> optax.GradientTransformation:
    """Adam along half a cosine, on gradients clipped to norm 1."""
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.num_steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def init_state(config: ProsodyConfig) -> ProsodyState:
    """The state before the first step; a function of the seed alone."""
    position = jnp.zeros((1, 1, config.features)), jnp.ones((1, 1), bool)
    params = ProsodyNet(config).init(jax.random.key(config.seed), *position)
    return ProsodyState(jnp.int32(0), params, make_optimizer(config).init(params))


def begin_with(
    config: ProsodyConfig,
    state: ProsodyState,
    other: ProsodyConfig,
    params: Any,
    features: NamedAxis,
    voices: NamedAxis,
) -> ProsodyState | None:
    """A first state with the parameters of another network.

    Args:
      config: of the network.
      state: of `init_state`, which features keep that the other network does not have.
      other: the other network's config.
      params: its parameters.
      features: the names of the columns of each but those of voices.
      voices: the names of the columns that follow, a global condition's. A new class of a label
        begins as the mean of the other network's, and all alike where that has none; of labels
        that are not here the mean is added to the bias.

    Returns:
      None if the other network is of another kind, or has other channels or layers.
    """
    if (config.kind, config.channels, config.dilations) != (
        other.kind,
        other.channels,
        other.dilations,
    ):
        return None
    there = {name: np.array(values) for name, values in params["params"]["input"].items()}
    kernel, bias = np.array(state.params["params"]["input"]["kernel"]), there["bias"]
    of_features, of_voices = np.split(
        there["kernel"], [other.features - len(voices.pretrained_names)]
    )
    own_features, own_voices = np.split(kernel, [config.features - len(voices.names)])  # views
    here, shared = features.shared
    own_features[here] = of_features[shared]
    own_voices[:] = 0
    here, shared = voices.shared
    own_voices[here] = of_voices[shared]
    for new, others in voices.alike.items():
        own_voices[voices.names.index(new)] = of_voices[others].mean(axis=0)
    for others in voices.lost:
        bias = bias + of_voices[others].mean(axis=0)
    params = jax.tree.map(jnp.asarray, params)
    params["params"]["input"] = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    return dataclasses.replace(state, params=params)


def make_step(config: ProsodyConfig):
    """The compiled step: `(state, batch)` to the next state and the loss before the update."""
    optimizer = make_optimizer(config)

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: ProsodyState, batch: Batch) -> tuple[ProsodyState, jax.Array]:
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)

        def loss_of(params):
            outputs: Any = ProsodyNet(config).apply(
                params, batch.features, batch.mask, train=True, rngs={"dropout": key}
            )
            return loss(config, outputs, batch)

        value, gradients = jax.value_and_grad(loss_of)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return ProsodyState(state.step + 1, params, opt_state), value

    return step


def predict(config: ProsodyConfig, params: Any, features: np.ndarray) -> np.ndarray:
    """The outputs for one sentence, `[T, D]` to `[T, O]`."""
    padded, mask = padded_features([features])
    outputs = _apply(config, params, padded, mask)
    return np.asarray(outputs)[0, : len(features)]


@functools.partial(jax.jit, static_argnums=0)
def _apply(config: ProsodyConfig, params: Any, features: jax.Array, mask: jax.Array) -> jax.Array:
    outputs: Any = ProsodyNet(config).apply(params, features, mask)
    return outputs


def batch_of(features: list[np.ndarray], targets: list[np.ndarray]) -> Batch:
    """Pads sentences, `[T, D]` and `[T, O]` each."""
    padded, mask = padded_features(features)
    length = mask.shape[1]
    return Batch(
        padded,
        np.stack([np.pad(x, ((0, length - len(x)), (0, 0))) for x in targets]),
        mask,
    )


def padded_features(features: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sentences padded to one of a few lengths, each of which is compiled for: features
    `[B, T, D]` and mask `[B, T]`."""
    length = _padded_length(max(map(len, features)))
    padded = np.stack([np.pad(x, ((0, length - len(x)), (0, 0))) for x in features])
    mask = np.arange(length) < np.array([[len(x)] for x in features])
    return padded.astype(np.float32), mask


def padded_lengths(longest: int) -> list[int]:
    """All lengths to which sentences of up to so many positions are padded."""
    return sorted({_padded_length(length) for length in range(1, longest + 1)})


def _padded_length(length: int) -> int:
    unit = 1 << max(5, length.bit_length() - 3)
    return -(-length // unit) * unit
