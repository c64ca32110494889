"""Loss terms of a batch."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from wavenet_jax import fused
from wavenet_jax.autoencoder import Autoencoder, AutoencoderConfig, without_margins
from wavenet_jax.conditioning import NO_LABEL
from wavenet_jax.config import WaveNetConfig, receptive_field
from wavenet_jax.errors import ConfigError
from wavenet_jax.recognition.recognizer import (
    Recognizer,
    RecognizerConfig,
    frame_bits,
    sequence_bits,
)
from wavenet_jax.student import distillation
from wavenet_jax.student.flows import StudentConfig
from wavenet_jax.training import fusing
from wavenet_jax.training.variables import ModelConfig, wavenet_of
from wavenet_jax.wavenet import WaveNet

Batch = Mapping[str, Any]
"""The input of a step: `samples` int16 `[B, C + T]`, of which the first C are context;
`mask` bool `[B, T]`, true where a sample is scored; and where the model takes conditions,
`global` and `local`, those of context and segment both.

A recognizer with `context_frames` r and `hop_samples` h takes `samples` `[B, C + T + r h]`, where
C includes r h samples beside the receptive field; `frames` bool `[B, r + F + r]`, true for the
frames that the recording has, F of them those of the segment; and `classes` int32: those of the
segment's frames `[B, F]`, or for CTC those of the recording in their order `[B, U]`; -1 where
there is none.

An autoencoder with `margin_samples` m makes `local` itself: it takes `samples`
`[B, m + C + T + m]`, and `frames`, true for those of their frames that the recording has."""

Losses = dict[str, jax.Array]


def losses(
    model_config: ModelConfig,
    params: Any,
    batch: Batch,
    *,
    input_noise: float = 0.0,
    input_gain_db: float = 0.0,
    input_gaps: float = 0.0,
    scheduled_sampling: float = 0.0,
    key: jax.Array | None = None,
    fused_precision: fused.Precision | None = None,
    teacher: Any = None,
) -> Losses:
    """Loss terms, each by name as a sum, of `num_summands`.

    Args:
      model_config: of the model.
      params: its variables.
      batch: of one replica.
      input_noise, input_gain_db, input_gaps, scheduled_sampling: as in `TrainingConfig`.
      key: PRNG key of noise, gains, gaps, samples and dropout; None for none of them, and for the
        same noise of a student each time.
      fused_precision: as in `WaveNet`.
      teacher: the variables of a student's teacher.

    Returns:
      `bits_per_sample`, the negative log-likelihood of the scored samples (equation 1);
      of a recognizer also `bits_per_frame` (`frame_bits`), or for CTC
      `bits_per_phone` (`sequence_bits`); of a student those of `distillation.losses`. float32
      scalars.

    Raises:
      ConfigError: scheduled sampling of a recognizer, or it, noise, a gain or gaps of a student; a
        gain or gaps without a local condition.
    """
    if isinstance(model_config, StudentConfig):
        for name, value in (
            ("scheduled_sampling", scheduled_sampling),
            ("input_noise", input_noise),
            ("input_gain_db", input_gain_db),
            ("input_gaps", input_gaps),
        ):
            if value:
                remedy = "give 0: a student's input is noise"
                raise ConfigError("The training", name, value, remedy)
        return distillation.losses(
            model_config,
            params,
            teacher,
            batch,
            key,
            flow_precision=fusing.supported(fused_precision, model_config.flow),
            teacher_precision=fusing.supported(fused_precision, model_config.teacher),
        )
    config = wavenet_of(model_config)
    if config.local_condition is None:
        for name, value in (("input_gain_db", input_gain_db), ("input_gaps", input_gaps)):
            if value:
                remedy = "give 0: what is not heard right needs a local condition that tells it"
                raise ConfigError("The training", name, value, remedy)
    if isinstance(model_config, RecognizerConfig):
        if scheduled_sampling:
            raise ConfigError(
                "The training",
                "scheduled_sampling",
                scheduled_sampling,
                "give 0: a recognizer hears recordings alone",
            )
        return _recognizer_losses(model_config, params, batch, input_noise, key, fused_precision)
    codes, inputs, rngs = _inputs(
        config, batch, key, noise=input_noise, gain_db=input_gain_db, gaps=input_gaps
    )
    local_condition: Any = batch.get("local")
    if isinstance(model_config, AutoencoderConfig):
        # Of the recording, whatever the decoder hears of it.
        local_condition = Autoencoder(model_config).apply(
            params, codes, batch["frames"], method="encode_window"
        )
        codes, inputs = (without_margins(model_config, each) for each in (codes, inputs))
    num_context = codes.shape[1] - batch["mask"].shape[1]
    outputs_of = functools.partial(
        WaveNet(config, fused_precision).apply,
        global_condition=batch.get("global"),
        local_condition=local_condition,
        context=num_context,
        rngs=rngs,
    )
    if scheduled_sampling and key is not None:
        first = outputs_of(jax.lax.stop_gradient(params), inputs)
        sampled = _some_sampled(
            config, first, inputs[:, num_context:], batch["mask"], scheduled_sampling, key
        )
        inputs = jnp.concatenate([inputs[:, :num_context], sampled], axis=1)
    outputs = outputs_of(params, inputs)
    scored = codes[:, num_context:]
    return {"bits_per_sample": _sample_bits(config, outputs, scored, batch["mask"])}


def num_summands(model_config: ModelConfig, batch: Batch) -> dict[str, jax.Array]:
    """The numbers of summands of `losses`, float32 scalars, which the batch alone decides.

    A sample counts where it is scored, a frame or phone where it has a class. Those of a student
    are `distillation.num_summands`.
    """
    if isinstance(model_config, StudentConfig):
        return distillation.num_summands(model_config, batch)
    counts = {"bits_per_sample": jnp.sum(batch["mask"], dtype=jnp.float32)}
    if isinstance(model_config, RecognizerConfig):
        name = "bits_per_frame" if model_config.loss == "frames" else "bits_per_phone"
        counts[name] = jnp.sum(batch["classes"] != NO_LABEL, dtype=jnp.float32)
    return counts


def _some_sampled(
    config: WaveNetConfig,
    outputs: Any,
    inputs: jax.Array,
    mask: jax.Array,
    share: float,
    key: jax.Array,
) -> jax.Array:
    """Codes `[B, T]` of which a share is drawn from the model's outputs, given the inputs before.

    This is parallel scheduled sampling with one pass (Duckworth et al., 2019, arXiv:1906.04331).
    """
    draw_key, which_key = jax.random.split(jax.random.fold_in(key, 1))
    uniforms = jax.random.uniform(draw_key, inputs.shape)
    drawn = config.distribution.sample(jax.lax.stop_gradient(outputs), uniforms)
    return jnp.where(mask & jax.random.bernoulli(which_key, share, inputs.shape), drawn, inputs)


def _recognizer_losses(
    config: RecognizerConfig,
    params: Any,
    batch: Batch,
    input_noise: float,
    key: jax.Array | None,
    fused_precision: fused.Precision | None,
) -> Losses:
    codes, inputs, rngs = _inputs(
        config.wavenet, batch, key, noise=input_noise, dropout=config.dropout
    )
    mask, frames = batch["mask"], batch["frames"]
    num_scored, before = mask.shape[1], config.context_samples
    num_context = codes.shape[1] - num_scored - before
    results: Any = Recognizer(config, fused_precision).apply(
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
    key: jax.Array | None,
    *,
    noise: float,
    gain_db: float = 0.0,
    gaps: float = 0.0,
    dropout: float = 0.0,
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """The batch's codes, those that the model hears of them, and dropout's key."""
    codes = config.quantizer.encode(batch["samples"])
    if key is None:
        return codes, codes, {}
    noise_key, dropout_key = jax.random.split(key)
    inputs = codes
    if gain_db:
        gain_key = jax.random.fold_in(key, 2)
        gains_db = gain_db * jax.random.normal(gain_key, (codes.shape[0], 1))
        heard = jnp.round(batch["samples"] * 10 ** (gains_db / 20))
        inputs = config.quantizer.encode(jnp.clip(heard, -(2**15), 2**15 - 1).astype(jnp.int16))
    if gaps:
        inputs = _with_gaps(config, inputs, gaps, jax.random.fold_in(key, 3))
    if noise:
        half = config.num_classes / 2
        errors = jnp.round(noise * half * jax.random.normal(noise_key, codes.shape))
        inputs = jnp.clip(inputs + errors.astype(jnp.int32), 0, config.num_classes - 1)
    return codes, inputs, {"dropout": dropout_key} if config.dropout or dropout else {}


def _with_gaps(config: WaveNetConfig, inputs: jax.Array, share: float, key: jax.Array) -> jax.Array:
    """Codes `[B, T]`, a share of windows with a silent gap of at most the receptive field."""
    number, length = inputs.shape
    used, where, wide = jax.random.uniform(key, (3, number, 1))
    last = jnp.floor(where * length)
    first = last - jnp.floor(wide * receptive_field(config))
    at = jnp.arange(length)[None]
    silence = config.quantizer.encode(jnp.zeros((), jnp.int16))
    return jnp.where((used < share) & (at >= first) & (at <= last), silence, inputs)


def _sample_bits(
    config: WaveNetConfig, outputs: Any, codes: jax.Array, mask: jax.Array
) -> jax.Array:
    return -jnp.sum(config.distribution.log_prob_bits(outputs, codes), where=mask)
