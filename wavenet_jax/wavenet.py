"""WaveNet: one set of parameters that is run in three ways.

    p(x) = prod_t p(x_t | x_<t, conditions)                       (equation 1)

* `__call__`: a whole recording, or a window of one, in parallel. For training.
* `step`: one sample, each layer's left context in a ring buffer (`state`). For generation.
* `prefill`: many samples in parallel, leaving the ring buffers as stepping through the same
  samples would. For priming, and for scoring in chunks.

The frames of context stacks begin at their own multiples: `step_context` comes before the
`step` of a sample at which a frame of the stack begins.

The output at t scores sample t given those before it. Before the first sample there was
silence, in all three.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax import conditioning, fused, layers
from wavenet_jax.config import WaveNetConfig, main_receptive_field
from wavenet_jax.context import ContextStack
from wavenet_jax.layers import Conditions, ConditionSequence
from wavenet_jax.state import ContextState, State, history_to_ring, ring_to_history


class WaveNet(nn.Module):
    """The model. It holds neither state nor parameters: `init` and `apply` it.

    Shapes as in the table of `wavenet_jax`: P are the numbers of an output distribution (the
    logits of the codes, for a categorical one).

    Attributes:
      config: of the model.
      fused_precision: that with which `wavenet_jax.fused` computes whole sequences on one core of a
        CPU, or None for XLA: a matter of speed alone.
    """

    config: WaveNetConfig
    fused_precision: fused.Precision | None = None

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
            num_sequences=(cfg.local_condition is not None) + len(cfg.context_stacks),
            dtype=dtype,
            block=cfg.block,
            dropout=cfg.dropout,
            rematerialize=cfg.rematerialize,
            fused_precision=self.fused_precision,
        )
        if cfg.global_condition is not None:
            self.global_embedding = conditioning.ConditionEmbedding(cfg.global_condition, dtype)
        if cfg.local_condition is not None:
            self.local_conditioning = conditioning.LocalConditioning(cfg.local_condition, dtype)
        self.context_stacks = [
            ContextStack(stack, cfg.quantizer, has_global, one_hot, cfg.block, dtype)
            for stack in cfg.context_stacks
        ]
        product = fused.dot_general(self.fused_precision) if self.fused_precision else None
        self.skip = nn.Dense(cfg.skip_channels, dtype=dtype, dot_general=product)
        if cfg.head_channels:
            self.head = nn.Dense(cfg.head_channels, dtype=dtype, dot_general=product)
        # Zeros make the first output that of the bias: uniform, for a categorical one.
        # In float32 for the means of 16-bit samples, which bfloat16 cannot represent.
        first_bias = jnp.asarray(cfg.distribution.initial_bias())
        self.output = nn.Dense(
            cfg.distribution.num_parameters,
            kernel_init=nn.initializers.zeros,
            bias_init=lambda key, shape, dtype: first_bias.astype(dtype),
            dot_general=product if cfg.output == "categorical" else None,
        )

    # -- a whole sequence -------------------------------------------------------------

    def __call__(
        self,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        context: int = 0,
    ) -> jax.Array:
        """Distributions of the samples of a recording, or of a window of one, in parallel.

        The main stack runs over the scored samples and its own receptive field before them;
        a context stack over all samples that it depends on.

        Args:
          samples: codes, shape `[B, context + T]`, or vectors that stand for them, one-hot
            `[B, context + T, K]` or scalar `[B, context + T, 1]`. The first is at the
            beginning of frames, if there are any.
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`: the frames
            that cover the samples, context included, and the condition's `context_frames`
            more on either side (`conditioning.frames_covering`).
          context: how many leading samples are only left context, not scored. If it
            is less than the receptive field, silence precedes them.

        Returns:
          float32 `[B, T, P]`; at t the distribution of sample context + t.
        """
        skips = self.skip_activations(
            samples,
            global_condition=global_condition,
            local_condition=local_condition,
            context=context,
        )
        return self.distributions(skips)

    def skip_activations(
        self,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        context: int = 0,
    ) -> jax.Array:
        """The activations behind the skip connections, `[T, B, S]`, arguments as `__call__`."""
        length = samples.shape[1]
        conditions = self._conditions(global_condition, local_condition, samples.shape[0], length)
        first = context - (self.config.kernel_size - 1) * sum(self.config.dilations[1:])
        for stack in self.context_stacks:
            outputs = self._context_outputs(stack, samples, first, conditions.global_)
            conditions = _with_sequence(conditions, outputs)
        begin = context - main_receptive_field(self.config)
        x = self.input(self._inputs(self._between(samples, begin, length - 1)))
        return self._sum_skips(self.stack(x, conditions, length))

    def distributions(self, skips: jax.Array) -> jax.Array:
        """From `[T, B, S]` of `skip_activations` to the numbers of the samples' distributions,
        float32 `[B, T, P]`."""
        return jnp.swapaxes(self._head(skips), 0, 1)

    # -- from a state on --------------------------------------------------------------

    def initial_state(self, batch: int, *, global_condition: jax.Array | None = None) -> State:
        """The state before sample 0, after silence without end.

        The global condition matters to the layers even in silence. Local conditions begin with
        sample 0.
        """
        cfg = self.config
        embedded = self._embed_global(global_condition)
        longest = max((stack.hop_samples for stack in cfg.context_stacks), default=0)
        recent = self._silence(batch, longest).T
        contexts = tuple(
            stack.steady_state(
                stack.frames(self._inputs(recent[: stack.config.hop_samples]))[0], embedded
            )
            for stack in self.context_stacks
        )
        samples = self._silence(batch, cfg.input_kernel_size)
        outputs = [context.output for context in contexts]
        if (local := cfg.local_condition) is not None:
            outputs.insert(0, jnp.zeros((batch, local.channels), jnp.dtype(cfg.dtype)))
        sequences = tuple(ConditionSequence(output[None], 1, 0) for output in outputs)
        x = self.input(self._inputs(samples.T))[0]
        _, rings = self.stack.steady_state(x, Conditions(embedded, sequences))
        return State(
            time=jnp.int32(0), samples=samples, rings=rings, recent=recent, contexts=contexts
        )

    def prefill(
        self,
        state: State,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[jax.Array, State]:
        """Distributions of samples that continue a recording, in parallel.

        Args:
          state: after the samples before.
          samples: codes, shape `[B, T]`; or after a state whose samples are values, values
            `[B, T, 1]` of scalar input, without context stacks.
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, as for
            `__call__`.
          phase: `state.time` modulo `config.hop_samples`.

        Returns:
          float32 `[B, T, P]`; at t the distribution of sample t. And the state
          that stepping would leave.
        """
        skips, state = self.prefill_skip_activations(
            state,
            samples,
            global_condition=global_condition,
            local_condition=local_condition,
            phase=phase,
        )
        return self.distributions(skips), state

    def prefill_skip_activations(
        self,
        state: State,
        samples: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[jax.Array, State]:
        """The activations behind the skip connections, `[T, B, S]`, and the state after
        them, arguments as `prefill`."""
        batch, length = samples.shape[:2]
        conditions = self._conditions(global_condition, local_condition, batch, length, phase)
        newest = jnp.concatenate([state.samples, samples], axis=1)
        time, recent, contexts = state.time + length, state.recent, []
        if self.context_stacks:
            history = jnp.concatenate([ring_to_history(recent, state.time), samples.T])
            for stack, before in zip(self.context_stacks, state.contexts, strict=True):
                outputs, after = self._prefill_context(
                    stack, before, history, state.time, phase, conditions.global_
                )
                conditions = _with_sequence(conditions, outputs)
                contexts.append(after)
            recent = history_to_ring(history[length:], time)
        x = self.input(self._inputs(jnp.swapaxes(newest[:, :-1], 0, 1)))
        gated, rings = self.stack.prefill(x, state.rings, state.time, conditions)
        state = State(
            time=time,
            samples=newest[:, -self.config.input_kernel_size :],
            rings=rings,
            recent=recent,
            contexts=tuple(contexts),
        )
        return self._sum_skips(gated), state

    def step(self, state: State, conditions: jax.Array) -> tuple[jax.Array, State]:
        """The distribution of one sample.

        Args:
          state: after the samples before.
          conditions: this sample's frame of `project_conditions` plus
            `project_contexts`, shape `[L, B, 2G]`.

        Returns:
          float32 `[B, P]`, and the state without the sample that is drawn from
          them: `state.append(codes)` adds it.
        """
        x = self.input.step(self._inputs(state.samples.T))
        gated, rings = self.stack.step(x, state.rings, state.time, conditions)
        return self._head(self._sum_skips(gated)), dataclasses.replace(state, rings=rings)

    def project_conditions(
        self,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[jax.Array, int]:
        """The conditions of many calls of `step`, projected for every layer.

        Args:
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, as for
            `prefill`.
          phase: as for `prefill`.

        Returns:
          Shape `[F, L, B, 2G]`; F is 1 without a local condition, B is 1 without any. And
          `samples_per_frame`, for how many samples each holds, 0 for all: step i takes
          frame `(i + phase) // samples_per_frame`, phase modulo `samples_per_frame`.
        """
        steady = self.stack.project_global(self._embed_global(global_condition))[None]
        if local_condition is None:
            return steady, 0
        sequence = self._embed_local(local_condition, phase)
        ended = -sequence.start // sequence.samples_per_frame  # before the first sample
        frames = self.stack.project_sequence(0, sequence.frames[ended:])
        return steady + frames, sequence.samples_per_frame

    def project_contexts(self, state: State) -> jax.Array:
        """The outputs of the context stacks, projected for every layer: part of the conditions
        of `step` until the next `step_context`, shape `[L, B, 2G]`. There must be a stack."""
        first = int(self.config.local_condition is not None)
        projected = [
            self.stack.project_sequence(first + i, context.output)
            for i, context in enumerate(state.contexts)
        ]
        return functools.reduce(jnp.add, projected)

    def step_context(
        self, state: State, index: int, global_condition: jax.Array | None = None
    ) -> State:
        """The state after a step of a context stack, to be made where `state.time` is a
        multiple of its hop, before the sample of that time."""
        stack = self.context_stacks[index]
        hop = stack.config.hop_samples
        recent = ring_to_history(state.recent, state.time)
        frame = stack.frames(self._inputs(recent[recent.shape[0] - hop :]))[0]
        embedded = self._embed_global(global_condition)
        contexts = list(state.contexts)
        contexts[index] = stack.step(contexts[index], frame, state.time // hop, embedded)
        return dataclasses.replace(state, contexts=tuple(contexts))

    def step_contexts(self, state: State, global_condition: jax.Array | None = None) -> State:
        """`step_context` of all stacks of which a frame begins, to be made where
        `config.frame_samples` divides `state.time`."""
        for index, stack in enumerate(self.config.context_stacks):

            def step(state: State, index: int = index) -> State:
                return self.step_context(state, index, global_condition)

            if stack.hop_samples == self.config.frame_samples:
                state = step(state)
            else:
                begins = state.time % stack.hop_samples == 0
                state = jax.lax.cond(begins, step, lambda state: state, state)
        return state

    # -- shared by the three ways -----------------------------------------------------

    def _conditions(
        self,
        global_condition: jax.Array | None,
        local_condition: jax.Array | None,
        batch: int,
        length: int,
        phase: int = 0,
    ) -> Conditions:
        """The conditions of so many samples, checked and embedded, without context stacks."""
        cfg = self.config
        conditioning.check(cfg.global_condition, global_condition, "global", (batch,))
        frames = 0
        if (local := cfg.local_condition) is not None:
            frames = -(-(phase % local.hop_samples + length) // local.hop_samples)
            frames += 2 * local.context_frames
        conditioning.check(cfg.local_condition, local_condition, "local", (batch, frames))
        conditions = Conditions(self._embed_global(global_condition))
        if local_condition is None:
            return conditions
        return _with_sequence(conditions, self._embed_local(local_condition, phase))

    def _embed_global(self, condition: jax.Array | None) -> jax.Array | None:
        return None if condition is None else self.global_embedding(condition)

    def _embed_local(self, frames: jax.Array, phase: int) -> ConditionSequence:
        assert self.config.local_condition is not None
        return self.local_conditioning(frames, phase % self.config.local_condition.hop_samples)

    def _context_outputs(
        self, stack: ContextStack, samples: jax.Array, first: int, embedded: jax.Array | None
    ) -> ConditionSequence:
        """The outputs of a context stack that condition the samples from `first` on."""
        hop, context = stack.config.hop_samples, stack.config.left_context
        first_frame = first // hop
        last_frame = (samples.shape[1] - 1) // hop
        begin = (first_frame - 1 - context) * hop
        frames = stack.frames(self._inputs(self._between(samples, begin, last_frame * hop)))
        return ConditionSequence(stack(frames, embedded), hop, first_frame * hop)

    def _prefill_context(
        self,
        stack: ContextStack,
        before: ContextState,
        history: jax.Array,
        time: jax.Array,
        phase: int,
        embedded: jax.Array | None,
    ) -> tuple[ConditionSequence, ContextState]:
        """The outputs of a context stack that condition the samples from `time` on, and its
        state after them.

        `history` are the samples of the state's ring and the new ones, codes `[N + T, B]`.
        """
        hop = stack.config.hop_samples
        num_old = max(c.hop_samples for c in self.config.context_stacks)
        length = history.shape[0] - num_old
        wait = -phase % hop  # until the next frame is complete
        num_frames = max(0, -(-(length - wait) // hop))
        outputs, after = before.output[None], before
        if num_frames:
            begin = num_old + wait - hop
            frames = stack.frames(self._inputs(history[begin : begin + num_frames * hop]))
            new, after = stack.prefill(before, frames, -(-time // hop), embedded)
            outputs = jnp.concatenate([outputs, new])
        return ConditionSequence(outputs, hop, wait - hop), after

    def _between(self, samples: jax.Array, begin: int, end: int) -> jax.Array:
        """Samples [begin, end), `[T, B, ...]`, with silence for those before 0."""
        inside = jnp.swapaxes(samples[:, max(begin, 0) : end], 0, 1)
        if begin >= 0:
            return inside
        silence = self._silence(samples.shape[0], min(end, 0) - begin).T
        if samples.ndim > 2:
            silence = self._as_vectors(silence, samples)
        return jnp.concatenate([silence, inside])

    def _inputs(self, samples: jax.Array) -> jax.Array:
        """Codes as the input convolution takes them; vectors are returned as they are."""
        if self.config.input == "one_hot" or samples.ndim > 2:
            return samples
        return self.config.quantizer.values(samples)[..., None]

    def _as_vectors(self, codes: jax.Array, like: jax.Array) -> jax.Array:
        if self.config.input == "one_hot":
            return jax.nn.one_hot(codes, like.shape[-1], dtype=like.dtype)
        return self._inputs(codes).astype(like.dtype)

    def _silence(self, batch: int, length: int) -> jax.Array:
        return jnp.full((batch, length), self.config.quantizer.silence_code, jnp.int32)

    def _sum_skips(self, gated: jax.Array) -> jax.Array:
        """1x1 convolutions summed over layers, then ReLU: from the skip outputs side by side,
        `[..., L G]`, to `[..., S]`."""
        return nn.relu(layers.flatten_batch_dims(self.skip, gated))

    def _head(self, skips: jax.Array) -> jax.Array:
        """1x1, ReLU, 1x1, or the second 1x1 alone: `[..., S]` to `[..., P]`."""
        if self.config.head_channels:
            skips = nn.relu(layers.flatten_batch_dims(self.head, skips))
        return layers.flatten_batch_dims(self.output, skips.astype(jnp.float32))


def _with_sequence(conditions: Conditions, sequence: ConditionSequence) -> Conditions:
    return Conditions(conditions.global_, (*conditions.sequences, sequence))
