"""The student: an inverse autoregressive flow of WaveNets.

Parallel WaveNet (van den Oord et al., 2017, arXiv:1711.10433, section 3), with the Gaussian of
ClariNet (Ping et al., 2019, arXiv:1807.07281, section 3.2):

    z^0_t ~ N(0, 1)
    z^i_t = z^{i-1}_t exp(s^i_t) + m^i_t,     m^i_t, s^i_t of z^{i-1}_<t and the conditions
    x_t   = z^n_t

A flow is a `WaveNet` of scalar input and Gaussian output, which is what gives m^i_t and s^i_t of
all t at once from the samples before each. Given the noise before t, x_t is Gaussian:

    mean_t = sum_i m^i_t prod_{j > i} exp(s^j_t),     log scale_t = sum_i s^i_t

Time is not reversed between flows: each is causal, so that chunks follow one another, each flow's
left context in its ring buffers. Before the first sample z^i is 0 in every flow.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from wavenet_jax import fused
from wavenet_jax.config import (
    MAX_LAYERS,
    ConditionConfig,
    LocalConditionConfig,
    WaveNetConfig,
    check_max,
    check_min,
    check_not_empty,
    check_types,
    main_receptive_field,
)
from wavenet_jax.distributions import Gaussian, gaussian_of
from wavenet_jax.errors import ConfigError
from wavenet_jax.quantization import Quantizer
from wavenet_jax.state import State
from wavenet_jax.wavenet import WaveNet


@dataclasses.dataclass(frozen=True)
class StudentConfig:
    """A student, and what it is distilled by.

    Attributes:
      teacher: the model that it is distilled from, of Gaussian output and scalar input. Its codes
        and conditions are the student's.
      num_flows: n.
      dilations: of the layers of each flow, in samples.
      kernel_size: taps of the dilated convolutions, at least 2.
      residual_channels: R of each flow.
      gate_channels: G of each flow.
      skip_channels: S of each flow.
      head_channels: of each flow, as of a WaveNet; 0 for none.
      scale_weight: lambda, weight of the squared difference of log scales (ClariNet, equation 8).
      min_log_scale: the least log scale of either that the loss reads: the teacher's are else so
        peaked that the divergence is a matter of the smallest of them.
      spectral_weight: of the spectral error in the loss.
      fft_sizes: samples of the frames of each spectrum, multiples of 4.
    """

    teacher: WaveNetConfig
    num_flows: int = 2
    dilations: tuple[int, ...] = (1, 3, 9, 27, 81)
    kernel_size: int = 3
    residual_channels: int = 32
    gate_channels: int = 32
    skip_channels: int = 32
    head_channels: int = 0
    scale_weight: float = 4.0
    min_log_scale: float = -7.0
    spectral_weight: float = 1.0
    fft_sizes: tuple[int, ...] = (512, 128)

    def __post_init__(self):
        owner = "The student"
        check_types(self, owner)
        check_not_empty(self, owner, "dilations", "fft_sizes")
        check_min(self, owner, num_flows=1, scale_weight=0, spectral_weight=0, fft_sizes=4)
        check_max(self, owner, num_flows=MAX_LAYERS // len(self.dilations))
        for i, size in enumerate(self.fft_sizes):
            if size % 4:
                raise ConfigError(owner, f"fft_sizes[{i}]", size, "give a multiple of 4")
        for field, value in (("output", "gaussian"), ("input", "scalar"), ("context_stacks", ())):
            if (given := getattr(self.teacher, field)) != value:
                remedy = f"distil from a model with {value!r} there, for no other has a student"
                raise ConfigError(owner, f"teacher.{field}", given, remedy)
        assert self.flow is not None  # its own checks

    @property
    def flow(self) -> WaveNetConfig:
        """The WaveNet of each flow."""
        return WaveNetConfig(
            dilations=self.dilations,
            kernel_size=self.kernel_size,
            residual_channels=self.residual_channels,
            gate_channels=self.gate_channels,
            skip_channels=self.skip_channels,
            head_channels=self.head_channels,
            num_classes=self.num_classes,
            companding=self.teacher.companding,
            input="scalar",
            output="gaussian",
            global_condition=self.global_condition,
            local_condition=self.local_condition,
        )

    # -- what callers read of any model that generates ------------------------------------

    @property
    def output(self) -> str:
        """The distribution of a sample, given the noise before it."""
        return self.teacher.output

    @property
    def num_classes(self) -> int:
        """K."""
        return self.teacher.num_classes

    @property
    def quantizer(self) -> Quantizer:
        """From samples to codes and back."""
        return self.teacher.quantizer

    @property
    def global_condition(self) -> ConditionConfig | None:
        """Of a whole recording, or None."""
        return self.teacher.global_condition

    @property
    def local_condition(self) -> LocalConditionConfig | None:
        """Along a recording, or None."""
        return self.teacher.local_condition

    @property
    def hop_samples(self) -> int:
        """Samples of a frame of the local condition, 1 without one."""
        return self.teacher.hop_samples

    @property
    def receptive_field(self) -> int:
        """Samples of noise before t that the distribution at t depends on."""
        return self.num_flows * main_receptive_field(self.flow)


GeneratorConfig = WaveNetConfig | StudentConfig
"""The configuration of a model that generates."""


def model_of(config: GeneratorConfig) -> "WaveNet | Student":
    """The model of a configuration."""
    return Student(config) if isinstance(config, StudentConfig) else WaveNet(config)


class Generated(NamedTuple):
    """Samples of a student and the distributions that they are of.

    Attributes:
      values: the samples, float32 `[B, T]`.
      given_past: of each, given the noise before it, `[B, T]`.
    """

    values: jax.Array
    given_past: Gaussian


class Student(nn.Module):
    """The flows. It holds neither state nor parameters: `init` and `apply` it.

    Attributes:
      config: of the student.
      fused_precision: of the flows, as of `WaveNet`.
    """

    config: StudentConfig
    fused_precision: fused.Precision | None = None

    def setup(self):
        flow = self.config.flow
        self.flows = [WaveNet(flow, self.fused_precision) for _ in range(self.config.num_flows)]

    def __call__(
        self,
        noise: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
    ) -> Generated:
        """Samples from their noise, in parallel.

        Args:
          noise: z^0, float32 `[B, T]`, of which the first is at the beginning of frames, if there
            are any.
          global_condition: labels `[B]`, or tags or vectors `[B, D]`.
          local_condition: labels `[B, F]`, or tags or vectors `[B, F, D]`, as for `WaveNet`.
        """
        flowing = _Flowing(self.config, noise)
        for flow in self.flows:
            parameters = flow(
                flowing.values[..., None],
                global_condition=global_condition,
                local_condition=local_condition,
            )
            flowing.transform(parameters)
        return flowing.generated

    def initial_state(
        self, batch: int, *, global_condition: jax.Array | None = None
    ) -> tuple[State, ...]:
        """The states of the flows before sample 0."""
        states = [
            flow.initial_state(batch, global_condition=global_condition) for flow in self.flows
        ]
        return tuple(
            dataclasses.replace(state, samples=jnp.zeros((*state.samples.shape, 1)))
            for state in states
        )

    def prefill(
        self,
        states: tuple[State, ...],
        noise: jax.Array,
        *,
        global_condition: jax.Array | None = None,
        local_condition: jax.Array | None = None,
        phase: int = 0,
    ) -> tuple[Generated, tuple[State, ...]]:
        """Samples that continue others, in parallel.

        Args:
          states: of the flows, after the samples before.
          noise, global_condition, local_condition: as for `__call__`.
          phase: the time of the first sample modulo `config.hop_samples`.

        Returns:
          The samples, and the states after them.
        """
        flowing, after = _Flowing(self.config, noise), []
        for flow, state in zip(self.flows, states, strict=True):
            parameters, state = flow.prefill(
                state,
                flowing.values[..., None],
                global_condition=global_condition,
                local_condition=local_condition,
                phase=phase,
            )
            flowing.transform(parameters)
            after.append(state)
        return flowing.generated, tuple(after)


class _Flowing:
    """Samples on their way through the flows."""

    def __init__(self, config: StudentConfig, noise: jax.Array) -> None:
        self._flow, self._remaining, self._noise = config.flow, config.num_flows, noise
        self._given_past = Gaussian(jnp.zeros_like(noise), jnp.zeros_like(noise))

    @property
    def values(self) -> jax.Array:
        """z^i, `[B, T]`."""
        mean, log_scale = self._given_past
        return self._noise * jnp.exp(log_scale) + mean

    @property
    def generated(self) -> Generated:
        return Generated(self.values, self._given_past)

    def transform(self, parameters: jax.Array) -> None:
        """Through one more flow, of the outputs `[B, T, 2]` of its WaveNet.

        The first outputs of a WaveNet are as wide as loud speech: of the last flow alone, so that
        the student begins with that scale, and all others as the identity.
        """
        self._remaining -= 1
        if self._remaining:
            parameters = parameters - self._flow.distribution.initial_bias()[None, None]
        shift, log_scale = gaussian_of(self._flow.distribution, parameters)
        mean, log_scale_before = self._given_past
        self._given_past = Gaussian(mean * jnp.exp(log_scale) + shift, log_scale_before + log_scale)
