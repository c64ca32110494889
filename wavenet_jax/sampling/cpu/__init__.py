"""The CPU's backend: `packing` of parameters and state, and the `kernels` that numba compiles."""

from wavenet_jax.sampling.cpu.backend import Cpu as Cpu
