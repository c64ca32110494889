"""Recognition: a WaveNet whose activations classify frames (section 3.4).

The paper's recognizer averages the activations after the dilated stack over frames of 10 ms,
and a few non-causal convolutions follow. Two losses train it at once: of the next sample, and
of the frame's class.

    u_t      = relu(sum over layers of the skip connections at t)      [S]
    v_j      = mean of u_t over the samples t of frame j               [S]
    y_j      = convolutions over ln(v + 1/100) of the frames around j  [K]

The logarithm, which the paper does not mention, is that of earlier raw-waveform front ends
(Sainath et al., 2015, "Learning the speech front-end with raw waveform CLDNNs"): classes
differ in the ratios of their activations.

Frame j covers the samples [j H, (j + 1) H). As u_t depends on the samples before t, v_j depends
on all of the frame but its last sample. Frames beyond the ends of a recording are zero in
every layer, so that a window with `context_frames` frames on either side of those it scores gives
the logits of the whole recording.
"""

import dataclasses
import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from wavenet_jax import fused
from wavenet_jax.conditioning import NO_LABEL
from wavenet_jax.config import (
    MAX_CHANNELS,
    MAX_LAYERS,
    MAX_RECEPTIVE_FIELD,
    WaveNetConfig,
    check_max,
    check_min,
    check_not_empty,
    check_share,
    check_types,
)
from wavenet_jax.errors import ConfigError
from wavenet_jax.state import State
from wavenet_jax.wavenet import WaveNet

LOG_EPSILON = 0.01
"""Added to the pooled activations, which may be zero, before the logarithm."""


@dataclasses.dataclass(frozen=True)
class RecognizerConfig:
    """A recognizer: a WaveNet and a classifier of frames.

    Attributes:
      wavenet: without conditions, since a recognizer is given nothing but the samples.
      num_classes: K, classes of a frame.
      hop_samples: H, samples of a frame: 160 are the paper's 10 ms at 16 kHz.
      channels: of the non-causal convolutions.
      kernel_size: of these, in frames; an odd number.
      dilations: of each of them, in frames.
      dropout: share of the channels that training drops.
      loss: "frames", where the class of each frame is known (the paper); or "ctc", where
        only the sequence of classes is (Graves et al., 2006): one more output, the last, is
        then the blank.
    """

    wavenet: WaveNetConfig
    num_classes: int
    hop_samples: int = 160
    channels: int = 128
    kernel_size: int = 5
    dilations: tuple[int, ...] = (1, 2, 3)
    dropout: float = 0.0
    loss: Literal["frames", "ctc"] = "frames"

    def __post_init__(self):
        owner = "The recognizer"
        check_types(self, owner)
        check_not_empty(self, owner, "dilations")
        check_min(self, owner, num_classes=2, hop_samples=1, channels=1, kernel_size=1, dilations=1)
        check_share(self, owner, "dropout")
        check_max(self, owner, hop_samples=MAX_RECEPTIVE_FIELD)
        check_max(self, owner, num_classes=MAX_CHANNELS, channels=MAX_CHANNELS)
        if len(self.dilations) > MAX_LAYERS:
            remedy = f"give at most {MAX_LAYERS}"
            raise ConfigError(owner, "number of layers", len(self.dilations), remedy)
        if self.context_samples > MAX_RECEPTIVE_FIELD:
            remedy = f"give at most {MAX_RECEPTIVE_FIELD} samples"
            raise ConfigError(owner, "context", self.context_samples, remedy)
        if self.kernel_size % 2 == 0:
            remedy = "give an odd number, for as many frames after a frame as before it"
            raise ConfigError(owner, "kernel_size", self.kernel_size, remedy)
        for name in ("global_condition", "local_condition"):
            if (condition := getattr(self.wavenet, name)) is not None:
                remedy = "leave it out, for a recognizer is given nothing but the samples"
                raise ConfigError(owner, f"wavenet.{name}", condition.kind, remedy)

    @property
    def context_frames(self) -> int:
        """Frames before and after its own that a frame's class depends on."""
        return (self.kernel_size - 1) // 2 * sum(self.dilations)

    @property
    def context_samples(self) -> int:
        """The samples of `context_frames`."""
        return self.context_frames * self.hop_samples

    @property
    def num_outputs(self) -> int:
        """K, and one more for the blank of CTC."""
        return self.num_classes + (self.loss == "ctc")

    @property
    def window_hop_samples(self) -> int:
        """Samples after which the frames of the recognizer and of all context stacks begin
        together: a recording may be cut at its multiples."""
        return math.lcm(self.hop_samples, self.wavenet.hop_samples)

    def num_frames(self, num_samples):
        """Frames of so many samples, the last of which may be partly beyond their end."""
        return -(-num_samples // self.hop_samples)


class Recognizer(nn.Module):
    """A WaveNet and a `FrameClassifier` over its pooled activations.

    The parameters of the WaveNet have the names that they have without the recognizer, so that
    a generator's parameters initialise a recognizer, and those of a recognizer generate.

    Attributes:
      config: of the recognizer.
      fused_precision: of the WaveNet, as there.
    """

    config: RecognizerConfig
    fused_precision: fused.Precision | None = None

    def setup(self):
        self.wavenet = WaveNet(self.config.wavenet, self.fused_precision)
        nn.share_scope(self, self.wavenet)
        self.classifier = FrameClassifier(self.config)

    def __call__(
        self, samples: jax.Array, mask: jax.Array, *, context: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """Distributions of samples and logits of frames, in parallel.

        Args:
          samples: as for `WaveNet.__call__`, `[B, context + F H]`; the frames begin after
            `context`, which is a multiple of H.
          mask: bool `[B, F]`, true for the frames that the recording has.
          context: as for `WaveNet.__call__`.

        Returns:
          float32 `[B, F H, P]` as from `WaveNet.__call__`, and the logits `[B, F, K]` as from
          `classify`.
        """
        skips = self.wavenet.skip_activations(samples, context=context)
        frames = pool(skips, self.config.hop_samples)
        return self.wavenet.distributions(skips), self.classify(frames, mask)

    def initial_state(self, batch: int) -> State:
        """The state before sample 0 (`WaveNet.initial_state`)."""
        return self.wavenet.initial_state(batch)

    def encode_frames(
        self, state: State, samples: jax.Array, phase: int = 0
    ) -> tuple[jax.Array, State]:
        """Pooled activations of frames that continue a recording.

        Args:
          state: after the samples before, whole frames.
          samples: codes, shape `[B, F H]`.
          phase: `state.time` modulo `config.wavenet.hop_samples`.

        Returns:
          Float32 `[F, B, S]`, and the state after them.
        """
        skips, state = self.wavenet.prefill_skip_activations(state, samples, phase=phase)
        return pool(skips, self.config.hop_samples), state

    def classify(self, frames: jax.Array, mask: jax.Array) -> jax.Array:
        """Logits `[B, F, K]` of pooled frames `[F, B, S]` (`FrameClassifier`)."""
        return self.classifier(frames, mask)


def pool(activations: jax.Array, hop_samples: int) -> jax.Array:
    """Means over frames: `[F H, B, S]` to `[F, B, S]`."""
    frames = activations.reshape(-1, hop_samples, *activations.shape[1:])
    return jnp.mean(frames, axis=1, dtype=jnp.float32)


class FrameClassifier(nn.Module):
    """Non-causal convolutions over the pooled frames, with residual connections."""

    config: RecognizerConfig

    def setup(self):
        cfg = self.config
        self.input = nn.Dense(cfg.channels)
        self.norms = [nn.LayerNorm() for _ in cfg.dilations]
        self.convolutions = [
            nn.Conv(cfg.channels, (cfg.kernel_size,), kernel_dilation=dilation, padding="SAME")
            for dilation in cfg.dilations
        ]
        self.drop = nn.Dropout(cfg.dropout)
        self.output = nn.Dense(cfg.num_outputs, kernel_init=nn.initializers.zeros)

    def __call__(self, frames: jax.Array, mask: jax.Array) -> jax.Array:
        """Logits of the classes of each frame.

        Args:
          frames: pooled, float32 `[F, B, S]`.
          mask: bool `[B, F]`, true for the frames that the recording has.

        Returns:
          Float32 `[B, F, K]`, or `[B, F, K + 1]` with the blank. The first and the last
          `context_frames` are those of the whole recording only at its beginning and end, and
          lack their context elsewhere.
        """
        inside = mask[..., None]
        x = self.input(jnp.swapaxes(jnp.log(frames + LOG_EPSILON), 0, 1))
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            layer = nn.relu(convolution(jnp.where(inside, norm(x), 0)))
            x = x + self.drop(layer, deterministic=not self.has_rng("dropout"))
        return self.output(nn.relu(x))


def frame_bits(logits: jax.Array, classes: jax.Array) -> jax.Array:
    """Cross-entropy of the frames that have a class.

    Args:
      logits: `[B, F, K]`.
      classes: int32 `[B, F]`, `NO_LABEL` for frames without.

    Returns:
      The sum of -log2 p over these frames, a float32 scalar.
    """
    is_class = classes != NO_LABEL
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(classes, 0))
    return jnp.sum(nats, where=is_class) / jnp.log(2.0)


def sequence_bits(logits: jax.Array, mask: jax.Array, classes: jax.Array) -> jax.Array:
    """-log2 p of sequences of classes, summed over their alignments (CTC).

    Args:
      logits: `[B, F, K + 1]`.
      mask: bool `[B, F]`, true for the frames that the recording has.
      classes: int32 `[B, U]`, `NO_LABEL` after the last.

    Returns:
      The sum over the batch, a float32 scalar.
    """
    is_class = classes != NO_LABEL
    nats = optax.ctc_loss(
        logits,
        jnp.where(mask, 0.0, 1.0),
        jnp.maximum(classes, 0),
        jnp.where(is_class, 0.0, 1.0),
        blank_id=logits.shape[-1] - 1,
    )
    return jnp.sum(nats) / jnp.log(2.0)
