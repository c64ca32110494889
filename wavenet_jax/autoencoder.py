"""The WaveNet autoencoder: local conditions that the model learns to make of the sound itself.

    Z = encoder(x),      p(x | Z) = prod_t p(x_t | x_<t, Z, conditions)

After Engel et al. (2017), "Neural audio synthesis of musical notes with WaveNet autoencoders",
arXiv:1704.01279. The *encoder* is a stack of dilated convolutions that are not causal, each between
ReLUs and with a residual connection, whose outputs are averaged over the samples of a frame and
mapped to D channels: the frame's *embedding*. The *decoder* is a `WaveNet` of which the embeddings
are the local condition, and is trained together with the encoder on the likelihood of the samples
alone. To generate, embeddings are a local condition as any other: no sampler knows an encoder.

    x   <- x + W_residual relu(W_dilated * relu(x) + b) + b'         [.., C]
    z_j  = W (mean of x over the samples of frame j) + b             [.., D]

(The paper maps to D channels before it averages, which gives the same z.)

The embedding of a frame depends on `reach_samples` before its first sample and after its last one.
Beyond both ends of a recording there is silence, so that a window of a recording with enough of the
sound around it has the embeddings of the whole one.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from wavenet_jax import layers
from wavenet_jax.config import (
    MAX_CHANNELS,
    MAX_LAYERS,
    MAX_RECEPTIVE_FIELD,
    LocalConditionConfig,
    WaveNetConfig,
    check_max,
    check_min,
    check_not_empty,
    check_types,
)
from wavenet_jax.errors import ConfigError, InputError
from wavenet_jax.wavenet import WaveNet

CHUNK_SAMPLES = 16_000
"""Of a recording, encoded at a time, in whole frames."""


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """A WaveNet and the encoder that makes its local condition.

    Attributes:
      wavenet: the decoder. Its local condition, vectors, are the embeddings: their width D is the
        condition's `size`, and they are one each `hop_samples`.
      dilations: of each layer of the encoder, in samples.
      kernel_size: taps of its convolutions, an odd number of at least 3.
      channels: width of its layers.
    """

    wavenet: WaveNetConfig
    dilations: tuple[int, ...]
    kernel_size: int = 3
    channels: int = 128

    def __post_init__(self):
        owner = "The encoder"
        check_types(self, owner)
        check_not_empty(self, owner, "dilations")
        check_min(self, owner, dilations=1, kernel_size=3, channels=1)
        check_max(self, owner, channels=MAX_CHANNELS)
        if len(self.dilations) > MAX_LAYERS:
            remedy = f"give at most {MAX_LAYERS}"
            raise ConfigError(owner, "number of layers", len(self.dilations), remedy)
        if self.kernel_size % 2 == 0:
            remedy = "give an odd number, for as many samples after a sample as before it"
            raise ConfigError(owner, "kernel_size", self.kernel_size, remedy)
        condition = self.wavenet.local_condition
        if condition is None or condition.kind != "vectors":
            kind = None if condition is None else condition.kind
            remedy = "give one of vectors, which the embeddings are"
            raise ConfigError(owner, "wavenet.local_condition", kind, remedy)
        if self.reach_samples > MAX_RECEPTIVE_FIELD:
            remedy = f"give at most {MAX_RECEPTIVE_FIELD} samples"
            raise ConfigError(owner, "reach", self.reach_samples, remedy)

    @property
    def embeddings(self) -> LocalConditionConfig:
        """The local condition of the decoder."""
        assert self.wavenet.local_condition is not None
        return self.wavenet.local_condition

    @property
    def reach_samples(self) -> int:
        """Samples before a frame's first, and after its last, that its embedding depends on."""
        return (self.kernel_size - 1) // 2 * (1 + sum(self.dilations))

    @property
    def margin_samples(self) -> int:
        """Samples that a window has on either side of those that the decoder is given, for their
        embeddings: a multiple of `wavenet.hop_samples`."""
        samples = self.reach_samples + self.embeddings.context_frames * self.embeddings.hop_samples
        hop = self.wavenet.hop_samples
        return -(-samples // hop) * hop

    def num_frames(self, num_samples: int) -> int:
        """Embeddings of so many samples, the last of which may be partly beyond their end."""
        return -(-num_samples // self.embeddings.hop_samples)


class Encoder(nn.Module):
    """From samples to embeddings. Time comes first here, as in `layers`."""

    config: AutoencoderConfig

    def setup(self):
        cfg, dtype = self.config, jnp.dtype(self.config.wavenet.dtype)
        scaled = functools.partial(
            nn.initializers.variance_scaling, mode="fan_in", distribution="truncated_normal"
        )
        self.input = layers.InputConvolution(
            inputs=1, channels=cfg.channels, kernel_size=cfg.kernel_size, dtype=dtype
        )
        # Of its inputs' variance a ReLU leaves half; all layers together add about as much as
        # their input has, however many they are.
        self.convolutions = [
            nn.Dense(cfg.channels, dtype=dtype, kernel_init=scaled(2.0)) for _ in cfg.dilations
        ]
        self.residuals = [
            nn.Dense(cfg.channels, dtype=dtype, kernel_init=scaled(2.0 / len(cfg.dilations)))
            for _ in cfg.dilations
        ]
        self.output = nn.Dense(cfg.embeddings.size)

    def __call__(self, values: jax.Array) -> jax.Array:
        """Embeddings of frames.

        Args:
          values: of the samples in [-1, 1), float32 `[reach + F H + reach, B, 1]`.

        Returns:
          float32 `[F, B, D]`.
        """
        cfg = self.config
        x = self.input(values)
        for dilation, convolution, residual in zip(
            cfg.dilations, self.convolutions, self.residuals, strict=True
        ):
            # Taps side by side are one matrix product (`layers`).
            length = x.shape[0] - (cfg.kernel_size - 1) * dilation
            heard = nn.relu(x)
            taps = [heard[k * dilation : k * dilation + length] for k in range(cfg.kernel_size)]
            y = layers.flatten_batch_dims(convolution, jnp.concatenate(taps, axis=-1))
            begin = cfg.kernel_size // 2 * dilation
            x = x[begin : begin + length] + layers.flatten_batch_dims(residual, nn.relu(y))
        frames = x.reshape(-1, cfg.embeddings.hop_samples, *x.shape[1:])
        return self.output(jnp.mean(frames, axis=1, dtype=jnp.float32))


class Autoencoder(nn.Module):
    """An `Encoder` and the WaveNet that its embeddings condition.

    The parameters of the WaveNet have the names that they have without the encoder, so that those
    of an autoencoder generate as those of any other WaveNet.
    """

    config: AutoencoderConfig

    def setup(self):
        self.wavenet = WaveNet(self.config.wavenet)
        nn.share_scope(self, self.wavenet)
        self.encoder = Encoder(self.config)

    def __call__(
        self,
        samples: jax.Array,
        frames: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        context: int = 0,
    ) -> jax.Array:
        """Distributions of samples given those before them and the embeddings of them all.

        Args:
          samples, frames: as for `encode_window`; C of the samples are `context`.
          global_condition, context: as for `WaveNet.__call__`.

        Returns:
          float32 `[B, T, P]`, as from `WaveNet.__call__`.
        """
        return self.wavenet(
            without_margins(self.config, samples),
            global_condition=global_condition,
            local_condition=self.encode_window(samples, frames),
            context=context,
        )

    def encode(self, samples: jax.Array) -> jax.Array:
        """Embeddings, float32 `[B, F, D]`, of codes `[B, reach + F H + reach]`."""
        values = self.config.wavenet.quantizer.values(samples.T)[..., None]
        return jnp.swapaxes(self.encoder(values), 0, 1)

    def encode_window(self, samples: jax.Array, frames: jax.Array) -> jax.Array:
        """The local condition of a window.

        Args:
          samples: codes `[B, M + C + T + M]`, M being `config.margin_samples`; beyond the ends of
            the recording silence. The first is at the beginning of a frame, and of a frame of
            each context stack.
          frames: bool `[B, F']`, true for those of the frames of all these samples that the
            recording has; others have no embedding, as when a recording is generated.

        Returns:
          float32 `[B, F, D]`: the frames that cover C + T, and the condition's `context_frames`
          more on either side.
        """
        config, condition = self.config, self.config.embeddings
        beyond = config.margin_samples // condition.hop_samples - condition.context_frames
        begin = beyond * condition.hop_samples - config.reach_samples
        embeddings = self.encode(samples[:, begin : samples.shape[1] - begin])
        inside = frames[:, beyond : frames.shape[1] - beyond]
        return jnp.where(inside[..., None], embeddings, 0)


def without_margins(config: AutoencoderConfig, samples: jax.Array) -> jax.Array:
    """The samples of a window that the decoder is given, `[B, M + C + T + M]` to `[B, C + T]`."""
    return samples[:, config.margin_samples : samples.shape[1] - config.margin_samples]


def encode(config: AutoencoderConfig, params: Any, samples: np.ndarray) -> np.ndarray:
    """The embeddings of a recording of any length, in bounded memory.

    Args:
      config: of the model.
      params: its variables.
      samples: int16 `[N]`, as the model takes them.

    Returns:
      float32 `[ceil(N / H), D]`: a local condition to generate with.

    Raises:
      InputError: the config is of another kind, or there are no samples of one recording.
    """
    if not isinstance(config, AutoencoderConfig):
        raise InputError(
            f"The config to encode with is a {type(config).__name__}: give an AutoencoderConfig, "
            "such as that of experiments/configs/notes.py."
        )
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype != np.int16 or not len(samples):
        raise InputError(
            f"The recording to encode has shape {samples.shape} and type {samples.dtype}: give "
            "its samples as int16 [N], at least one."
        )
    hop, reach = config.embeddings.hop_samples, config.reach_samples
    chunk_frames = max(1, CHUNK_SAMPLES // hop)
    number = config.num_frames(len(samples))
    chunks = -(-number // chunk_frames)
    padded = np.zeros(chunks * chunk_frames * hop + 2 * reach, np.int16)
    padded[reach : reach + len(samples)] = samples
    parts = []
    for i in range(chunks):
        begin = i * chunk_frames * hop
        chunk = padded[begin : begin + chunk_frames * hop + 2 * reach]
        parts.append(np.asarray(_encoding(config)(params, chunk[None])[0]))
    return np.concatenate(parts)[:number]


@functools.lru_cache(maxsize=8)
def _encoding(config: AutoencoderConfig) -> Any:
    """From parameters and int16 samples `[B, reach + F H + reach]` to embeddings."""

    def run(params: Any, samples: jax.Array) -> Any:
        codes = config.wavenet.quantizer.encode(samples)
        return Autoencoder(config).apply(params, codes, method="encode")

    return jax.jit(run)
