"""WaveNet: its configuration and the model, one set of parameters run three ways.

    p(x) = prod_t p(x_t | x_<t, conditions)                       (equation 1)

* `__call__`: a whole recording, or a window of one, in parallel. For training.
* `step`: one sample, with each layer's past in a ring buffer. For generation.
* `prefill`: many samples in parallel, leaving the ring buffers as stepping
  through the same samples would. For priming, and for scoring in chunks.

Context stacks have a clock of their own: `step_context` is due before the `step` of
a sample at which one of their frames begins.

The output at t scores sample t given those before it, and before the first
sample there was silence: in all three, and nowhere is there another past.

A model with a recognizer (section 3.4) also classifies frames: `recognize` is `__call__`
with the logits of the frames beside the distributions of the samples, and `encode_frames` is
`prefill` that leaves the pooled frames, which `classify` takes.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from wavenet_jax import conditioning, distributions, layers
from wavenet_jax.conditioning import (
    ConditionConfig,
    Conditions,
    ConditionSequence,
    LocalConditionConfig,
)
from wavenet_jax.context import ContextStack, ContextStackConfig
from wavenet_jax.errors import InputError
from wavenet_jax.quantization import Quantizer
from wavenet_jax.recognition.recognizer import FrameClassifier, RecognizerConfig, pool

MAX_ONE_HOT_CLASSES = 4096
"""12 bits: beyond, a one-hot input or a categorical output is mostly table."""


@dataclasses.dataclass(frozen=True)
class WaveNetConfig:
    """All that the model reads.

    Attributes:
      dilations: of each layer, in samples.
      kernel_size: taps of the dilated convolutions, at least 2.
      input_kernel_size: taps of the causal convolution at the input. With 1
        the input is causal by the shift alone.
      residual_channels: R, width of the residual stream.
      gate_channels: G, width of a gate's output; the layer computes 2G.
      skip_channels: S, width of the summed skip connections.
      head_channels: width between the two 1x1 convolutions at the end.
      num_classes: codes a sample may have, 256 in the paper; 65,536 are 16 bits.
      companding: how codes are spaced, "mu_law" (the paper) or "linear".
      input: how a past sample enters: "one_hot" of its code (the paper), or
        "scalar", its value in [-1, 1).
      output: the distribution of a sample: "categorical" (the paper),
        "logistic_mixture", "gaussian_mixture" or "gaussian".
      num_components: of a mixture.
      dtype: in which the layers compute; parameters and outputs are float32.
      dropout: share of the gated activations that training drops, so that a small
        corpus is not learned by heart.
      rematerialize: whether the gradient computes each layer's activations anew
        instead of keeping them: less memory for longer windows, a third more work.
        (On a CPU it does nothing: XLA finds the second computation to be the first.)
      global_condition: of a whole recording, or None.
      local_condition: along a recording, or None.
      context_stacks: that see further at a lower rate (section 2.6). Each hop is a
        multiple of the shortest.
      recognizer: that classifies frames (section 3.4), or None. The model then takes no
        conditions: of what is to be recognised nothing else is known.
    """

    dilations: tuple[int, ...]
    kernel_size: int = 2
    input_kernel_size: int = 1
    residual_channels: int = 64
    gate_channels: int = 64
    skip_channels: int = 256
    head_channels: int = 256
    num_classes: int = 256
    companding: Literal["mu_law", "linear"] = "mu_law"
    input: Literal["one_hot", "scalar"] = "one_hot"
    output: Literal["categorical", "logistic_mixture", "gaussian_mixture", "gaussian"] = (
        "categorical"
    )
    num_components: int = 10
    dtype: Literal["float32", "bfloat16"] = "float32"
    dropout: float = 0.0
    rematerialize: bool = False
    global_condition: ConditionConfig | None = None
    local_condition: LocalConditionConfig | None = None
    context_stacks: tuple[ContextStackConfig, ...] = ()
    recognizer: RecognizerConfig | None = None

    def __post_init__(self):
        object.__setattr__(self, "dilations", tuple(self.dilations))
        object.__setattr__(self, "context_stacks", tuple(self.context_stacks))
        widths = ("residual_channels", "gate_channels", "skip_channels", "head_channels")
        names = ("input_kernel_size", "num_components", *widths)
        counts = {name: getattr(self, name) for name in names}
        counts |= {f"dilations[{i}]": d for i, d in enumerate(self.dilations)}
        minima = dict.fromkeys(counts, 1) | {"kernel_size": 2}
        counts |= {"kernel_size": self.kernel_size}
        for name, value in counts.items():
            if value < minima[name]:
                raise InputError(f"The model's {name} is {value}: give at least {minima[name]}.")
        if not self.dilations:
            raise InputError("The model has no layers: give at least one dilation.")
        for name, allowed in (
            ("input", ("one_hot", "scalar")),
            ("output", distributions.OUTPUTS),
            ("dtype", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"The model's {name} is {getattr(self, name)!r}: "
                    f"use one of {', '.join(allowed)}."
                )
        if not 0 <= self.dropout < 1:
            raise InputError(
                f"The model's dropout is {self.dropout}: give a number from 0 up to, "
                "not including, 1."
            )
        Quantizer(self.num_classes, self.companding)
        if self.num_classes > MAX_ONE_HOT_CLASSES:
            for name, value, instead in (
                ("input", "one_hot", "scalar"),
                ("output", "categorical", "logistic_mixture"),
            ):
                if getattr(self, name) == value:
                    raise InputError(
                        f"The model's {name} is {value!r} over {self.num_classes} classes: "
                        f"use {instead!r}, or at most {MAX_ONE_HOT_CLASSES} classes."
                    )
        for stack in self.context_stacks:
            if stack.hop_samples % self.frame_samples:
                raise InputError(
                    f"The context stacks' hops are {stack.hop_samples} and "
                    f"{self.frame_samples} samples: make each a multiple of the shortest."
                )
        if self.recognizer and (self.global_condition or self.local_condition):
            which = "global" if self.global_condition else "local"
            raise InputError(
                f"The model has a recognizer and a {which} condition: leave one of them out, for "
                "of what is to be recognised nothing else is known."
            )

    @property
    def quantizer(self) -> Quantizer:
        """From samples to codes and back."""
        return Quantizer(self.num_classes, self.companding)

    @property
    def distribution(self) -> distributions.Distribution:
        """Of a sample's code, from the model's outputs."""
        return distributions.make(self.output, self.num_classes, self.num_components)

    @property
    def frame_samples(self) -> int:
        """The shortest hop of the context stacks, 1 where there is none."""
        return min((stack.hop_samples for stack in self.context_stacks), default=1)

    @property
    def hop_samples(self) -> int:
        """The samples after which all frames begin anew, local, of context stacks and of
        the recognizer: where a recording may be cut."""
        parts = (self.local_condition, self.recognizer, *self.context_stacks)
        return math.lcm(*(part.hop_samples for part in parts if part is not None))


def config_from_dict(fields: Mapping[str, Any]) -> WaveNetConfig:
    """The inverse of `dataclasses.asdict`, such as a checkpoint's JSON.

    Raises:
      InputError: a field that the model does not have.
    """
    fields = dict(fields)
    for name, cls in (
        ("global_condition", ConditionConfig),
        ("local_condition", LocalConditionConfig),
        ("recognizer", RecognizerConfig),
    ):
        if fields.get(name) is not None:
            fields[name] = _from_dict(cls, f"{name} of the model", fields[name])
    stacks = fields.get("context_stacks", ())
    fields["context_stacks"] = tuple(
        _from_dict(ContextStackConfig, "context stack", stack) for stack in stacks
    )
    return _from_dict(WaveNetConfig, "model", fields)


def _from_dict(cls: Any, name: str, fields: Mapping[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(fields) - known):
        raise InputError(f"The {name} has no field {unknown[0]!r}: use {', '.join(sorted(known))}.")
    return cls(**fields)


def main_receptive_field(config: WaveNetConfig) -> int:
    """How many samples before t the main stack itself sees."""
    return config.input_kernel_size + (config.kernel_size - 1) * sum(config.dilations)


def receptive_field(config: WaveNetConfig) -> int:
    """How many samples before t the distribution at t depends on, context stacks included.

    Where these stand in their frames decides on up to a hop: this is the most.
    """
    later_layers = (config.kernel_size - 1) * sum(config.dilations[1:])
    fields = [
        later_layers + (c.left_context + 2) * c.hop_samples - 1 for c in config.context_stacks
    ]
    return max(main_receptive_field(config), *fields) if fields else main_receptive_field(config)


def receptive_field_ms(config: WaveNetConfig, sample_rate_hz: int) -> float:
    """The receptive field in milliseconds."""
    return 1000 * receptive_field(config) / sample_rate_hz


@flax.struct.dataclass
class ContextState:
    """What generation carries of a context stack.

    Attributes:
      rings: one ring `[past + 1, B, R]` a layer, in frames.
      output: `[B, C]`, what conditions the samples of this frame.
    """

    rings: tuple[layers.Ring, ...]
    output: jax.Array


@flax.struct.dataclass
class State:
    """What generation carries from sample to sample.

    Attributes:
      time: int32 scalar, the index of the sample to come.
      samples: int32 `[B, input_kernel_size]`, the newest samples, oldest first.
      rings: one ring `[past + 1, B, R]` a layer.
      recent: ring `[N, B]` of the newest samples, as many as the longest frame.
      contexts: one a context stack.
    """

    time: jax.Array
    samples: jax.Array
    rings: tuple[layers.Ring, ...]
    recent: layers.Ring
    contexts: tuple[ContextState, ...]

    def append(self, sample: jax.Array) -> "State":
        """The state after `sample`, int32 `[B]`, was said at `time`."""
        newest = jnp.concatenate([self.samples[:, 1:], sample[:, None]], axis=1)
        recent = self.recent
        if recent.shape[0]:
            recent = layers.ring_write(recent, self.time, sample)
        return dataclasses.replace(self, samples=newest, recent=recent, time=self.time + 1)

    def extend(self, samples: jax.Array) -> "State":
        """The state after `samples`, int32 `[T, B]`, were said from `time` on."""
        length, recent, time = len(samples), self.recent, self.time + len(samples)
        newest = jnp.concatenate([self.samples, samples.T], axis=1)[:, length:]
        if recent.shape[0]:
            history = jnp.concatenate([layers.ring_to_history(recent, self.time), samples])
            recent = layers.history_to_ring(history[length:], time)
        return dataclasses.replace(self, samples=newest, recent=recent, time=time)


class WaveNet(nn.Module):
    """The model. It holds no state and no parameters: `init` and `apply` it.

    Shapes: B recordings, T samples, F frames, P numbers of the output distribution
    (the logits of the codes, for a categorical one).
    """

    config: WaveNetConfig

    def setup(self):
        cfg, dtype = self.config, jnp.dtype(self.config.dtype)
        one_hot, has_global = cfg.input == "one_hot", cfg.global_condition is not None
        self.input = layers.InputConvolution(
            inputs=cfg.num_classes if one_hot else 1,
            channels=cfg.residual_channels,
            kernel_size=cfg.input_kernel_size,
            dtype=dtype,
        )
        self.stack = layers.Stack(
            dilations=cfg.dilations,
            kernel_size=cfg.kernel_size,
            residual_channels=cfg.residual_channels,
            gate_channels=cfg.gate_channels,
            has_global=has_global,
            num_series=(cfg.local_condition is not None) + len(cfg.context_stacks),
            dropout=cfg.dropout,
            rematerialize=cfg.rematerialize,
            dtype=dtype,
        )
        if cfg.global_condition is not None:
            self.global_embedding = conditioning.ConditionEmbedding(cfg.global_condition, dtype)
        if cfg.local_condition is not None:
            self.local_conditioning = conditioning.LocalConditioning(cfg.local_condition, dtype)
        self.context_stacks = [
            ContextStack(stack, cfg.quantizer, has_global, one_hot, dtype)
            for stack in cfg.context_stacks
        ]
        self.skip = nn.Dense(cfg.skip_channels, dtype=dtype)
        self.head = nn.Dense(cfg.head_channels, dtype=dtype)
        # Zeros make the first guess that of the bias: uniform, for a categorical output.
        # In float32 for the means of 16-bit samples, which bfloat16 cannot tell apart.
        first_bias = jnp.asarray(cfg.distribution.initial_bias())
        self.output = nn.Dense(
            cfg.distribution.num_parameters,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype: first_bias.astype(dtype),
        )
        if cfg.recognizer is not None:
            self.classifier = FrameClassifier(cfg.recognizer)

    def __call__(
        self,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        context: int = 0,
    ) -> jax.Array:
        """Scores a recording, or a window of one, in parallel.

        The main stack runs over the scored samples and its own field before them; a
        context stack over all that it sees.

        Args:
          samples: codes, shape `[B, context + T]`, or vectors `[B, .., A]`. The first
            stands where frames begin, if there are any.
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`: the frames
            that cover the samples, context included, and the condition's `context_frames` more
            on either side (`conditioning.frames_covering`).
          context: how many leading samples are only past, not scored. Where it
            is less than the receptive field, silence precedes them.

        Returns:
          float32 `[B, T, P]`; row t has the distribution of sample context + t.
        """
        skips = self._skips_of(samples, global_condition, local_condition, context)
        return jnp.swapaxes(self._distribution(skips), 0, 1)

    def recognize(
        self, samples: jax.Array, mask: jax.Array, *, context: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """Scores a recording, or a window of one, and classifies its frames.

        Args:
          samples: as for `__call__`; the frames begin after `context` of them, of which
            that is a multiple, and are whole.
          mask: bool `[B, F]`, true for the frames that the recording has.
          context: as for `__call__`.

        Returns:
          float32 `[B, T, P]` as from `__call__`, and the logits `[B, F, K]` as from
          `classify`.
        """
        skips = self._skips_of(samples, None, None, context)
        return jnp.swapaxes(self._distribution(skips), 0, 1), self.classify(self._pool(skips), mask)

    def classify(self, frames: jax.Array, mask: jax.Array) -> jax.Array:
        """Logits `[B, F, K]` of pooled frames `[F, B, S]` (`FrameClassifier`)."""
        return self.classifier(frames, mask)

    def _skips_of(
        self,
        samples: jax.Array,
        global_condition: jax.Array | None,
        local_condition: jax.Array | None,
        context: int,
    ) -> jax.Array:
        """The skip connections of a window's scored samples, `[T, B, S]`."""
        length = samples.shape[1]
        self._check(global_condition, local_condition, samples.shape[0], length)
        embedded = self._embed_global(global_condition)
        series = self._local_series(local_condition, phase=0)
        first = context - (self.config.kernel_size - 1) * sum(self.config.dilations[1:])
        for stack in self.context_stacks:
            series += (self._context_series(stack, samples, first, embedded),)
        begin = context - main_receptive_field(self.config)
        x = self.input(self._inputs(self._between(samples, begin, length - 1)))
        return self._skips(self.stack(x, Conditions(embedded, series), length))

    def prefill(
        self,
        state: State,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[jax.Array, State]:
        """Continues a recording by many known samples in parallel.

        Args:
          state: after the samples before.
          samples: codes, shape `[B, T]`.
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, as for
            `__call__`.
          phase: `state.time` modulo `config.hop_samples`.

        Returns:
          float32 `[B, T, P]`; row t has the distribution of sample t. And the state
          that stepping would leave.
        """
        skips, state = self._prefill(state, samples, global_condition, local_condition, phase)
        return jnp.swapaxes(self._distribution(skips), 0, 1), state

    def encode_frames(
        self, state: State, samples: jax.Array, phase: int = 0
    ) -> tuple[jax.Array, State]:
        """As `prefill`, from where a frame begins, for whole frames.

        Returns:
          The pooled frames, float32 `[F, B, S]`, and the state.
        """
        skips, state = self._prefill(state, samples, None, None, phase)
        return self._pool(skips), state

    def _prefill(
        self,
        state: State,
        samples: jax.Array,
        global_condition: jax.Array | None,
        local_condition: jax.Array | None,
        phase: int,
    ) -> tuple[jax.Array, State]:
        """The skip connections `[T, B, S]` of samples, and the state after them."""
        cfg, (batch, length) = self.config, samples.shape
        self._check(global_condition, local_condition, batch, length, phase)
        embedded = self._embed_global(global_condition)
        series = self._local_series(local_condition, phase)
        past_and_samples = jnp.concatenate([state.samples, samples], axis=1)
        recent = state.recent
        if self.context_stacks:
            recent = jnp.concatenate([layers.ring_to_history(recent, state.time), samples.T])
        contexts = []
        for stack, before in zip(self.context_stacks, state.contexts, strict=True):
            rows, after = self._prefill_context(stack, before, recent, state.time, phase, embedded)
            series += (rows,)
            contexts.append(after)
        x = self.input(self._inputs(past_and_samples[:, :-1].T))
        gated, rings = self.stack.prefill(x, state.rings, state.time, Conditions(embedded, series))
        time = state.time + length
        if self.context_stacks:
            recent = layers.history_to_ring(recent[length:], time)
        state = State(
            time=time,
            samples=past_and_samples[:, -cfg.input_kernel_size :],
            rings=rings,
            recent=recent,
            contexts=tuple(contexts),
        )
        return self._skips(gated), state

    def initial_state(self, batch: int, *, global_condition: jax.Array | None = None) -> State:
        """The state that an endless silence leaves, before sample 0.

        The global condition counts: silence sounds different to the layers of
        a model that knows who is silent. Local conditions begin with sample 0.
        """
        cfg = self.config
        embedded = self._embed_global(global_condition)
        longest = max((stack.hop_samples for stack in cfg.context_stacks), default=0)
        recent = self._silence(batch, longest).T
        contexts = []
        for stack in self.context_stacks:
            frame = stack.frames(self._inputs(recent[: stack.config.hop_samples]))
            output, rings = stack.steady_state(frame[0], embedded)
            contexts.append(ContextState(rings, jnp.broadcast_to(output, (batch, output.shape[1]))))
        samples = self._silence(batch, cfg.input_kernel_size)
        series = tuple(ConditionSequence(context.output[None], 1, 0) for context in contexts)
        if cfg.local_condition is not None:
            none = jnp.zeros((1, batch, cfg.local_condition.channels), jnp.dtype(cfg.dtype))
            series = (ConditionSequence(none, 1, 0), *series)
        x = self.input(self._inputs(samples.T))[0]
        _, rings = self.stack.steady_state(x, Conditions(embedded, series))
        return State(
            time=jnp.int32(0),
            samples=samples,
            rings=rings,
            recent=recent,
            contexts=tuple(contexts),
        )

    def project_conditions(
        self,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[jax.Array, int]:
        """What `step` needs of the given conditions, made once for many steps.

        Args:
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, as for
            `prefill`.
          phase: as for `prefill`.

        Returns:
          Shape `[N, L, B, 2G]`, L the layers; N is 1 without a local condition and B
          is 1 without any. And how many samples a row holds for, 0 for always: step i
          takes row `(i + phase) // samples_per_frame`, phase counted within the row.
        """
        steady = self.stack.project_global(self._embed_global(global_condition))[None]
        if local_condition is None:
            return steady, 0
        (series,) = self._local_series(local_condition, phase)
        return steady + self.stack.project_series(0, series.rows), series.hop

    def project_contexts(self, state: State) -> jax.Array:
        """What the outputs of the context stacks add to `step`'s conditions, until the
        next `step_context`: shape `[L, B, 2G]`. There must be some."""
        first = int(self.config.local_condition is not None)
        shares = [
            self.stack.project_series(first + i, context.output)
            for i, context in enumerate(state.contexts)
        ]
        return functools.reduce(jnp.add, shares)

    def step_context(
        self, state: State, index: int, global_condition: jax.Array | None = None
    ) -> State:
        """The step of a context stack, due where `state.time` is a multiple of its hop,
        before the sample of that time."""
        stack, before = self.context_stacks[index], state.contexts[index]
        hop = stack.config.hop_samples
        recent = layers.ring_to_history(state.recent, state.time)
        frame = stack.frames(self._inputs(recent[recent.shape[0] - hop :]))[0]
        embedded = self._embed_global(global_condition)
        output, rings = stack.step(frame, before.rings, state.time // hop, embedded)
        contexts = list(state.contexts)
        contexts[index] = ContextState(rings, output)
        return dataclasses.replace(state, contexts=tuple(contexts))

    def step_contexts(self, state: State, global_condition: jax.Array | None = None) -> State:
        """`step_context` of all that are due, where `frame_samples` divides `state.time`."""
        for index, stack in enumerate(self.config.context_stacks):

            def step(state: State, index: int = index) -> State:
                return self.step_context(state, index, global_condition)

            if stack.hop_samples == self.config.frame_samples:
                state = step(state)
            else:
                is_due = state.time % stack.hop_samples == 0
                state = jax.lax.cond(is_due, step, lambda state: state, state)
        return state

    def step(self, state: State, conditions: jax.Array) -> tuple[jax.Array, State]:
        """One sample's distribution.

        Args:
          state: after the samples before.
          conditions: this sample's row of `project_conditions`, and the sum of
            `project_contexts`, shape `[L, B, 2G]`.

        Returns:
          float32 `[B, P]`, and the state, which awaits the sample that is drawn from
          them: `state.append(sample)`.
        """
        x = self.input.step(self._inputs(state.samples.T))
        gated, rings = self.stack.step(x, state.rings, state.time, conditions)
        return self._distribution(self._skips(gated)), dataclasses.replace(state, rings=rings)

    # -- the pieces that the three ways share ---------------------------------

    def _between(self, samples: jax.Array, begin: int, end: int) -> jax.Array:
        """Samples [begin, end) with silence for those before 0, time first."""
        inside = jnp.swapaxes(samples[:, max(begin, 0) : end], 0, 1)
        if begin >= 0:
            return inside
        silence = self._silence(samples.shape[0], min(end, 0) - begin).T
        if samples.ndim > 2:  # vectors: the one-hot ones, or the scalar
            silence = self._as_vectors(silence, samples)
        return jnp.concatenate([silence, inside])

    def _inputs(self, samples: jax.Array) -> jax.Array:
        """Codes as the input layer takes them; vectors pass."""
        if self.config.input == "one_hot" or samples.ndim > 2:
            return samples
        return self.config.quantizer.values(samples)[..., None]

    def _as_vectors(self, codes: jax.Array, like: jax.Array) -> jax.Array:
        if self.config.input == "one_hot":
            return jax.nn.one_hot(codes, like.shape[-1], dtype=like.dtype)
        return self._inputs(codes).astype(like.dtype)

    def _silence(self, batch: int, length: int) -> jax.Array:
        return jnp.full((batch, length), self.config.quantizer.silence_code, jnp.int32)

    def _embed_global(self, condition: jax.Array | None) -> jax.Array | None:
        return None if condition is None else self.global_embedding(condition)

    def _local_series(self, frames: jax.Array | None, phase: int) -> tuple[ConditionSequence, ...]:
        local = self.config.local_condition
        if local is None or frames is None:
            return ()
        return (self.local_conditioning(frames, phase % local.hop_samples),)

    def _context_series(
        self, stack: ContextStack, samples: jax.Array, first: int, embedded: jax.Array | None
    ) -> ConditionSequence:
        """What a context stack tells the samples from `first` on."""
        hop, past = stack.config.hop_samples, stack.config.left_context
        first_row = first // hop
        last_row = (samples.shape[1] - 1) // hop
        begin = (first_row - 1 - past) * hop
        frames = stack.frames(self._inputs(self._between(samples, begin, last_row * hop)))
        return ConditionSequence(stack(frames, embedded), hop, first_row * hop)

    def _prefill_context(
        self,
        stack: ContextStack,
        before: ContextState,
        recent: jax.Array,
        time: jax.Array,
        phase: int,
        embedded: jax.Array | None,
    ) -> tuple[ConditionSequence, ContextState]:
        """What a context stack tells the samples from `time` on, and its state after.

        `recent` are the samples of the state's ring and the new ones, `[N + T, B]`.
        """
        hop = stack.config.hop_samples
        num_old = max(c.hop_samples for c in self.config.context_stacks)
        length = recent.shape[0] - num_old
        wait = -phase % hop  # until the next frame is complete
        num_frames = max(0, -(-(length - wait) // hop))
        if not num_frames:
            return ConditionSequence(before.output[None], hop, wait - hop), before
        begin = num_old + wait - hop
        frames = stack.frames(self._inputs(recent[begin : begin + num_frames * hop]))
        outputs, rings = stack.prefill(frames, before.rings, -(-time // hop), embedded)
        rows = jnp.concatenate([before.output[None], outputs])
        return ConditionSequence(rows, hop, wait - hop), ContextState(rings, outputs[-1])

    def _skips(self, gated: jax.Array) -> jax.Array:
        """Skip connections summed over layers, then ReLU: from the gated activations side
        by side, `[..., L G]`, to `[..., S]`."""
        return nn.relu(layers.flatten_batch_dims(self.skip, gated))

    def _distribution(self, skips: jax.Array) -> jax.Array:
        """1x1, ReLU, 1x1: from `_skips` to `[..., P]`."""
        hidden = nn.relu(layers.flatten_batch_dims(self.head, skips)).astype(jnp.float32)
        return layers.flatten_batch_dims(self.output, hidden)

    def _pool(self, skips: jax.Array) -> jax.Array:
        assert self.config.recognizer is not None
        return pool(skips, self.config.recognizer.hop_samples)

    def _check(self, global_condition, local_condition, batch: int, length: int, phase: int = 0):
        cfg = self.config
        conditioning.check(cfg.global_condition, global_condition, "global", (batch,))
        frames = 0
        if (local := cfg.local_condition) is not None:
            frames = -(-(phase % local.hop_samples + length) // local.hop_samples)
            frames += 2 * local.context_frames
        conditioning.check(cfg.local_condition, local_condition, "local", (batch, frames))
