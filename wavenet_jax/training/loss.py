"""Loss terms of a batch."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from wavenet_jax import fused
from wavenet_jax.config import WaveNetConfig
from wavenet_jax.recognition.recognizer import (
    Recognizer,
    RecognizerConfig,
    frame_bits,
    sequence_bits,
)
from wavenet_jax.training.variables import ModelConfig
from wavenet_jax.wavenet import WaveNet

Batch = Mapping[str, Any]
"""The input of a step: `samples` int16 `[B, C + T]`, of which the first C are context;
`mask` bool `[B, T]`, true where a sample is scored; and where the model takes conditions,
`global` and `local`, those of context and segment both.

A recognizer with `context_frames` r and `hop_samples` h takes `samples` `[B, C + T + r h]`, where
C includes r h samples beside the receptive field; `frames` bool `[B, r + F + r]`, true for the
frames that the recording has, F of them those of the segment; and `classes` int32: those of the
segment's frames `[B, F]`, or for CTC those of the recording in their order `[B, U]`; -1 where
there is none."""

Losses = dict[str, tuple[jax.Array, jax.Array]]


def losses(
    model_config: ModelConfig,
    params: Any,
    batch: Batch,
    *,
    input_noise: float = 0.0,
    key: jax.Array | None = None,
    fused_precision: fused.Precision | None = None,
) -> Losses:
    """Loss terms, each by name as a sum and the number of its summands.

    Args:
      model_config: of the model.
      params: its variables.
      batch: of one replica.
      input_noise: as in `TrainingConfig`.
      key: PRNG key of the noise and the dropout; None for neither.
      fused_precision: as in `WaveNet`.

    Returns:
      `bits_per_sample`, the negative log-likelihood of the scored samples (equation 1);
      of a recognizer also `bits_per_frame` (`frame_bits`), or for CTC
      `bits_per_phone` (`sequence_bits`). float32 scalars.
    """
    if isinstance(model_config, RecognizerConfig):
        return _recognizer_losses(model_config, params, batch, input_noise, key)
    codes, inputs, rngs = _inputs(model_config, batch, input_noise, key)
    num_context = codes.shape[1] - batch["mask"].shape[1]
    outputs = WaveNet(model_config, fused_precision).apply(
        params,
        inputs,
        global_condition=batch.get("global"),
        local_condition=batch.get("local"),
        context=num_context,
        rngs=rngs,
    )
    scored = codes[:, num_context:]
    return {"bits_per_sample": _sample_bits(model_config, outputs, scored, batch["mask"])}


def _recognizer_losses(
    config: RecognizerConfig,
    params: Any,
    batch: Batch,
    input_noise: float,
    key: jax.Array | None,
) -> Losses:
    codes, inputs, rngs = _inputs(config.wavenet, batch, input_noise, key, config.dropout)
    mask, frames = batch["mask"], batch["frames"]
    num_scored, before = mask.shape[1], config.context_samples
    num_context = codes.shape[1] - num_scored - before
    results: Any = Recognizer(config).apply(
        params, inputs, frames, context=num_context - before, rngs=rngs
    )
    outputs, logits = results
    # The frames of the context on either side are not scored, nor are their samples.
    outputs = outputs[:, before : before + num_scored]
    inside = slice(config.context_frames, frames.shape[1] - config.context_frames)
    scored = codes[:, num_context : num_context + num_scored]
    terms = {"bits_per_sample": _sample_bits(config.wavenet, outputs, scored, mask)}
    if config.loss == "frames":
        terms["bits_per_frame"] = frame_bits(logits[:, inside], batch["classes"])
    else:
        terms["bits_per_phone"] = sequence_bits(
            logits[:, inside], frames[:, inside], batch["classes"]
        )
    return terms


def _inputs(
    config: WaveNetConfig,
    batch: Batch,
    input_noise: float,
    key: jax.Array | None,
    dropout: float = 0.0,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """The batch's codes, the same with noise for the model's input, and dropout's key."""
    codes = config.quantizer.encode(batch["samples"])
    if key is None:
        return codes, codes, {}
    noise_key, dropout_key = jax.random.split(key)
    inputs = codes
    if input_noise:
        half = config.num_classes / 2
        noise = jnp.round(input_noise * half * jax.random.normal(noise_key, codes.shape))
        inputs = jnp.clip(codes + noise.astype(jnp.int32), 0, config.num_classes - 1)
    return codes, inputs, {"dropout": dropout_key} if config.dropout or dropout else {}


def _sample_bits(
    config: WaveNetConfig, outputs: Any, codes: jax.Array, mask: jax.Array
) -> tuple[jax.Array, jax.Array]:
    bits = -config.distribution.log_prob_bits(outputs, codes)
    return jnp.sum(bits, where=mask), jnp.sum(mask, dtype=jnp.float32)
