"""The fused backend of GPU and TPU: one kernel launch makes a chunk.

`scan` dispatches some ten operations a layer and sample; here the loop over samples and layers is
inside one Pallas kernel, each program of which has a few batch items (`_ITEMS`). It has two forms:

* TPU (Mosaic): weights, rings and activations lie in VMEM for the whole chunk; the conditions stay
  in HBM, and a frame of them is copied when its turn comes.
* GPU (Triton): each program is a block of threads, its activations in registers; weights and rings
  are read from L2, which holds them. Mosaic GPU, which JAX recommends on Hopper, wants tiles of 64
  batch items and a pipeline written by hand: it is not used before there is a GPU to measure it on.

Vectors are made as wide as a power of two, with zeros. Products are of full float32, so that the
waveform is that of `scan`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.distributions import (
    MAX_LOG_SCALE,
    MAX_MEAN,
    MIN_WEIGHT,
    MIN_WITHIN,
    Mixture,
    keep_likeliest,
)
from wavenet_jax.sampling.on_devices import OnDevices
from wavenet_jax.sampling.protocol import ChunkConditions, Draws, unsupported_layers
from wavenet_jax.sampling.scan import over_frames
from wavenet_jax.state import State
from wavenet_jax.student.flows import GeneratorConfig
from wavenet_jax.wavenet import WaveNet

Form = Literal["tpu", "gpu"]

_ITEMS: dict[Form, int] = {"tpu": 8, "gpu": 16}
"""Batch items of a program: the fewest that its products take."""

_MIN_WIDTH = 16

_PARTS = {"gated": 2, "fftnet": 1}
"""Of a block's sums: filter and gate, or what goes through the ReLU."""


class Pallas(OnDevices):
    """A Pallas kernel for GPU and TPU.

    Args:
      form: of the kernel; that of the platform by default.
      interpret: how to run it without the device that it is for: `pl.pallas_call`'s.
    """

    name = "pallas"
    is_fused = True

    def __init__(self, form: Form | None = None, interpret: Any = False):
        self._form, self._interpret = form, interpret

    def unsupported_reason(
        self, config: GeneratorConfig, devices: Sequence[jax.Device] | None
    ) -> str | None:
        platform = (devices or jax.local_devices())[0].platform
        if platform == "cpu" and not self._interpret:
            return "a cpu"
        return unsupported_layers(config, _PARTS)

    def generate_chunk(
        self,
        model: WaveNet,
        params: Any,
        state: State,
        draws: Draws,
        conditions: ChunkConditions,
    ) -> tuple[jax.Array, State]:
        form: Form = self._form or ("tpu" if jax.default_backend() == "tpu" else "gpu")
        arguments = (model, params, state, draws, conditions)
        return generate_chunk(*arguments, form=form, interpret=self._interpret)


class Weights(NamedTuple):
    """What a step reads, of L layers with k taps; each channel count made a power of two."""

    input: jax.Array  # [k', inputs, R]
    input_bias: jax.Array  # [1, R]
    taps: jax.Array  # [parts, L k, R, G]
    residual: jax.Array  # [L, G, R]; of the last layer zeros
    residual_bias: jax.Array  # [L, 1, R]
    skip: jax.Array  # [L, G, S]; of FFTNet [1, G, S]
    skip_bias: jax.Array  # [1, S]
    head: jax.Array  # [S, H]
    head_bias: jax.Array  # [1, H]
    output: jax.Array  # [parts, H, P], the parts of a mixture's parameters
    output_bias: jax.Array  # [parts, 1, P]


def _wide(x: jax.Array, axes: Sequence[int]) -> jax.Array:
    """With zeros up to the next width along some axes."""
    more = [(0, 0)] * x.ndim
    for axis in axes:
        more[axis] = (0, _width(x.shape[axis]) - x.shape[axis])
    return jnp.pad(x, more)


def _width(channels: int) -> int:
    return max(_MIN_WIDTH, 2 ** math.ceil(math.log2(channels)))


def _weights(config: WaveNetConfig, params: Any) -> Weights:
    tree = params["params"]
    layers = [tree["stack"][f"blocks_{i}"] for i in range(len(config.dilations))]
    width, gates = config.residual_channels, config.gate_channels
    none = {"kernel": jnp.zeros((gates, width)), "bias": jnp.zeros(width)}
    residuals = [layer.get("residual", none) for layer in layers]
    taps = jnp.concatenate([layer["kernel"] for layer in layers])
    taps = jnp.stack(jnp.split(taps, _PARTS[config.block], axis=-1))
    skips = config.skip_channels
    unchanged = {"kernel": jnp.eye(skips), "bias": jnp.zeros(skips)}
    head = tree.get("head", unchanged)  # between two ReLUs
    parts, classes = _parts(config), config.distribution.num_parameters
    output, bias = tree["output"]["kernel"], tree["output"]["bias"]
    return Weights(
        input=_wide(tree["input"]["kernel"], (1, 2)),
        input_bias=_wide(tree["input"]["bias"][None], (1,)),
        taps=_wide(taps, (2, 3)),
        residual=_wide(jnp.stack([r["kernel"] for r in residuals]), (1, 2)),
        residual_bias=_wide(jnp.stack([r["bias"][None] for r in residuals]), (2,)),
        skip=_wide(tree["skip"]["kernel"].reshape(-1, gates, skips), (1, 2)),
        skip_bias=_wide(tree["skip"]["bias"][None], (1,)),
        head=_wide(head["kernel"], (0, 1)),
        head_bias=_wide(head["bias"][None], (1,)),
        output=_wide(output.reshape(-1, parts, classes // parts).transpose(1, 0, 2), (1, 2)),
        output_bias=_wide(bias.reshape(parts, 1, classes // parts), (2,)),
    )


def _parts(config: WaveNetConfig) -> int:
    """Vectors in which the parameters of a distribution come."""
    if config.output == "categorical":
        return 1
    return 2 if config.distribution.num_parameters == 2 else 3


def generate_chunk(
    model: WaveNet,
    params: Any,
    state: State,
    draws: Draws,
    conditions: ChunkConditions,
    *,
    form: Form,
    interpret: Any = False,
) -> tuple[jax.Array, State]:
    """As `OnDevices.generate_chunk`, by a kernel of that form."""
    config = model.config
    projected: Any
    samples_per_frame: int
    projected, samples_per_frame = model.apply(  # type: ignore[assignment]
        params,
        conditions.global_condition,
        conditions.local_condition,
        conditions.phase,
        method="project_conditions",
    )
    launch = _Launch(config, form, samples_per_frame, draws.top_p is not None, interpret)
    batch = draws.uniforms.shape[1]
    missing = -batch % _ITEMS[form]
    weights = _weights(config, params)
    begins = np.cumsum([0, *(ring.shape[0] for ring in state.rings)])

    def pad_batch(x: jax.Array, axis: int) -> jax.Array:
        more = [(0, 0)] * x.ndim
        more[axis] = (0, missing)
        return jnp.pad(x, more)

    def generate_between(
        state: State, first: Any, inputs: tuple[jax.Array, jax.Array]
    ) -> tuple[State, jax.Array]:
        """One launch, with conditions that no context stack changes in between."""
        uniforms, temperatures = inputs
        frames, offset = projected, first + conditions.phase % max(1, samples_per_frame)
        if config.context_stacks:
            contexts: Any = model.apply(params, state, method="project_contexts")
            frames, offset = _frames_of(projected, samples_per_frame, offset, len(uniforms))
            frames = frames + contexts[None]
        frames = jnp.broadcast_to(frames, (*frames.shape[:2], batch, frames.shape[3]))
        parts = [_wide(part, (3,)) for part in jnp.split(frames, _PARTS[config.block], axis=3)]
        codes, rings = _call(
            launch,
            _Inputs(
                time=state.time[None],
                offset=jnp.asarray(offset, jnp.int32)[None],
                top_p=jnp.ones(1) if draws.top_p is None else jnp.reshape(draws.top_p, 1),
                begins=jnp.asarray(begins, jnp.int32),
                dilations=jnp.asarray(config.dilations, jnp.int32),
                uniforms=pad_batch(uniforms, 1),
                temperatures=pad_batch(temperatures, 1),
                conditions=pad_batch(jnp.stack(parts, axis=2), 3),
                samples=pad_batch(state.samples.T, 1),
                rings=_wide(pad_batch(jnp.concatenate(state.rings), 1), (2,)),
            ),
            weights,
        )
        codes = codes[:, :batch]
        rings = rings[:, :batch, : config.residual_channels]
        state = dataclasses.replace(state, rings=tuple(jnp.split(rings, begins[1:-1])))
        return state.extend(codes), codes

    inputs = draws.uniforms, draws.temperatures
    return over_frames(model, params, state, inputs, conditions, generate_between)


def _frames_of(
    projected: jax.Array, samples_per_frame: int, first: Any, length: int
) -> tuple[jax.Array, jax.Array | int]:
    """The frames of projected conditions that cover `length` samples from `first` on, and the
    index of the first sample within them."""
    if not samples_per_frame:
        return projected, 0
    number = min(len(projected), (length + samples_per_frame - 2) // samples_per_frame + 1)
    begin = jnp.minimum(first // samples_per_frame, len(projected) - number)
    frames = jax.lax.dynamic_slice_in_dim(projected, begin, number)
    return frames, first - begin * samples_per_frame


class _Launch(NamedTuple):
    """Of what and how a kernel is built."""

    config: WaveNetConfig
    form: Form
    samples_per_frame: int  # of the projected conditions, 0 where one frame holds for all
    has_top_p: bool  # or draws among all codes
    interpret: Any


class _Inputs(NamedTuple):
    """What a kernel reads beside the weights, of T samples."""

    time: jax.Array  # [1]
    offset: jax.Array  # [1], samples since the first frame of the conditions began
    top_p: jax.Array  # [1]
    begins: jax.Array  # [L + 1]
    dilations: jax.Array  # [L]
    uniforms: jax.Array  # [T, B]
    temperatures: jax.Array  # [T, B]
    conditions: jax.Array  # [N, L, parts, B, G]
    samples: jax.Array  # [k', B]
    rings: jax.Array  # [slots, B, R]


def _call(launch: _Launch, given: _Inputs, weights: Weights) -> tuple[jax.Array, jax.Array]:
    """Codes `[T, B]` and the rings."""
    form, items = launch.form, _ITEMS[launch.form]
    scalars = pl.BlockSpec(memory_space=pltpu.SMEM) if form == "tpu" else pl.BlockSpec()
    whole = pl.BlockSpec(memory_space=pltpu.VMEM) if form == "tpu" else pl.BlockSpec()

    def per_items(x: jax.Array | jax.ShapeDtypeStruct, axis: int) -> pl.BlockSpec:
        block = [*x.shape]
        block[axis] = items
        return pl.BlockSpec(
            tuple(block), lambda i: tuple(i if k == axis else 0 for k in range(x.ndim))
        )

    conditions, rings = per_items(given.conditions, 3), per_items(given.rings, 1)
    scratch: list[Any] = []
    if form == "tpu":
        conditions = rings = pl.BlockSpec(memory_space=pl.ANY)
        shape = (*given.conditions.shape[1:3], items, given.conditions.shape[4])
        of_rings = (given.rings.shape[0], items, given.rings.shape[2])
        scratch = [pltpu.VMEM(shape, jnp.float32), pltpu.VMEM(of_rings, jnp.float32)]
    batched = {
        "uniforms": per_items(given.uniforms, 1),
        "temperatures": per_items(given.temperatures, 1),
        "conditions": conditions,
        "samples": per_items(given.samples, 1),
        "rings": rings,
    }
    specs = [batched.get(name, scalars) for name in _Inputs._fields] + [whole] * len(weights)
    made = (
        jax.ShapeDtypeStruct(given.uniforms.shape, jnp.int32),
        jax.ShapeDtypeStruct(given.samples.shape, jnp.int32),
        jax.ShapeDtypeStruct(given.rings.shape, jnp.float32),
    )
    call = pl.pallas_call(
        functools.partial(_kernel, launch=launch),
        grid=(given.uniforms.shape[1] // items,),
        in_specs=specs,
        out_specs=[per_items(made[0], 1), per_items(made[1], 1), rings],
        out_shape=made,
        scratch_shapes=scratch,
        input_output_aliases={
            _Inputs._fields.index("samples"): 1,
            _Inputs._fields.index("rings"): 2,
        },
        compiler_params=_compiler_params(form),
        interpret=launch.interpret,
    )
    codes, _, rings = call(*given, *weights)  # the newest samples are the kernel's own memory
    return codes, rings


def _compiler_params(form: Form) -> Any:
    if form == "tpu":
        return pltpu.CompilerParams(vmem_limit_bytes=100 * 2**20)
    return triton.CompilerParams(num_warps=8, num_stages=1)


def _kernel(*refs: Any, launch: _Launch) -> None:
    """All samples of a chunk, of the batch items of one program."""
    config, form, samples_per_frame, has_top_p, interpret = launch
    given = _Inputs(*refs[: len(_Inputs._fields)])
    weights = Weights(*refs[len(given) : len(given) + len(Weights._fields)])
    codes, samples, rings, *scratch = refs[len(given) + len(weights) :]
    length, items = codes.shape
    first = pl.program_id(0) * items
    samples[...] = given.samples[...]
    if form == "tpu":
        frame, history = scratch
        pltpu.sync_copy(given.rings.at[:, pl.ds(first, items)], history)
    else:
        history = rings  # which are `given.rings`: they share their memory
    taps, layers = config.kernel_size, len(config.dilations)
    dot = functools.partial(
        jnp.dot, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    time, offset = given.time[0], given.offset[0]
    top_p = given.top_p[0] if has_top_p else None
    diagonal = _iota((items, items), 0) == _iota((items, items), 1)

    def column(row: jax.Array) -> jax.Array:
        """`[1, items]` to `[items, 1]`."""
        return jnp.sum(jnp.where(diagonal, row, jnp.zeros_like(row)), axis=1, keepdims=True)

    def condition_at(t: Any) -> Callable[[Any, int], jax.Array]:
        at = jax.lax.div(t + offset, samples_per_frame) if samples_per_frame else 0
        if form == "gpu":
            return lambda layer, part: given.conditions[at, layer, part]

        def fetch() -> None:
            pltpu.sync_copy(given.conditions.at[at, :, :, pl.ds(first, items)], frame)

        is_new = (
            (t == 0) | (jax.lax.rem(t + offset, samples_per_frame) == 0)
            if samples_per_frame
            else t == 0
        )
        pl.when(is_new)(fetch)
        return lambda layer, part: frame[layer, part]

    def step(t: Any, carry: Any) -> Any:
        condition = condition_at(t)
        x = weights.input_bias[...]
        for tap in range(config.input_kernel_size):
            sample = column(samples[pl.ds(tap, 1), :])
            if config.input == "scalar":
                value = config.quantizer.values(sample)
                place = _iota((items, weights.input.shape[1]), 1)
                x = x + dot(jnp.where(place == 0, value, 0.0), weights.input[tap])
            else:
                hot = _iota((items, weights.input.shape[1]), 1) == sample
                x = x + dot(hot.astype(jnp.float32), weights.input[tap])

        def layer(i: Any, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            x, skips = carry
            begin = given.begins[i]
            size = given.begins[i + 1] - begin
            z = [condition(i, part) for part in range(_PARTS[config.block])]
            for tap in range(taps):
                lag = (taps - 1 - tap) * given.dilations[i]
                x_then = (
                    x
                    if tap == taps - 1
                    else history[begin + jax.lax.rem(time + t + size - lag, size)]
                )
                z = [
                    total + dot(x_then, weights.taps[part, i * taps + tap])
                    for part, total in enumerate(z)
                ]
            history[begin + jax.lax.rem(time + t, size)] = x
            if config.block == "fftnet":
                a = jax.nn.relu(z[0])
                return jax.nn.relu(dot(a, weights.residual[i]) + weights.residual_bias[i]), a
            gated = jnp.tanh(z[0]) * jax.nn.sigmoid(z[1])
            skips = skips + dot(gated, weights.skip[i])
            return x + dot(gated, weights.residual[i]) + weights.residual_bias[i], skips

        skips = jnp.broadcast_to(weights.skip_bias[...], (items, weights.skip.shape[2]))
        if config.block == "fftnet":  # of the last layer alone
            a = jnp.zeros((items, weights.skip.shape[1]))
            _, a = jax.lax.fori_loop(0, layers, layer, (x, a))
            skips = skips + dot(a, weights.skip[0])
        else:
            _, skips = jax.lax.fori_loop(0, layers, layer, (x, skips))
        hidden = jax.nn.relu(dot(jax.nn.relu(skips), weights.head[...]) + weights.head_bias[...])
        outputs = [
            dot(hidden, weights.output[part]) + weights.output_bias[part]
            for part in range(_parts(config))
        ]
        uniform = column(given.uniforms[pl.ds(t, 1), :])
        temperature = column(given.temperatures[pl.ds(t, 1), :])
        code = _draw(config, outputs, uniform, temperature, top_p)
        row = jnp.sum(jnp.where(diagonal, code, jnp.zeros_like(code)), axis=0, keepdims=True)
        codes[pl.ds(t, 1), :] = row
        for tap in range(config.input_kernel_size - 1):
            samples[pl.ds(tap, 1), :] = samples[pl.ds(tap + 1, 1), :]
        samples[pl.ds(config.input_kernel_size - 1, 1), :] = row
        if form == "gpu" and not interpret:
            triton.debug_barrier()  # what one thread wrote, another reads
        return carry

    jax.lax.fori_loop(0, length, step, 0)
    if form == "tpu":
        pltpu.sync_copy(history, rings.at[:, pl.ds(first, items)])


def _iota(shape: tuple[int, ...], axis: int) -> jax.Array:
    return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _draw(
    config: WaveNetConfig,
    outputs: list[jax.Array],
    uniform: jax.Array,
    temperature: jax.Array,
    top_p: jax.Array | None,
) -> jax.Array:
    """Codes `[items, 1]`, as `distributions` draws them."""
    distribution = config.distribution
    if config.output == "categorical":
        return _pick(outputs[0], distribution.num_parameters, uniform, temperature, top_p)[0]
    number = distribution.num_parameters // len(outputs)
    *logits, means, log_scales = outputs
    component = jnp.zeros_like(uniform, jnp.int32)
    within = uniform
    if logits:
        component, within = _pick(logits[0], number, uniform, temperature, None)
    chosen = _iota(means.shape, 1) == component

    def of_chosen(values: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(chosen, values, 0.0), axis=1, keepdims=True)

    assert isinstance(distribution, Mixture)
    mean = jnp.clip(of_chosen(means), -MAX_MEAN, MAX_MEAN)
    log_scale = of_chosen(log_scales)
    scale = jnp.exp(jnp.clip(log_scale, distribution.min_log_scale, MAX_LOG_SCALE))
    within = jnp.clip(within, MIN_WITHIN, 1 - MIN_WITHIN)
    if config.output == "logistic_mixture":
        deviation = jnp.log(within) - jnp.log1p(-within)
    else:
        deviation = _normal(within)
    half = config.num_classes // 2
    value = jnp.clip(mean + temperature * scale * deviation, -2, 2)
    steps = jnp.floor(value * half + 0.5).astype(jnp.int32)
    return jnp.clip(steps + half, 0, config.num_classes - 1)


def _pick(
    logits: jax.Array,
    number: int,
    uniform: jax.Array,
    temperature: jax.Array,
    top_p: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """The class `[items, 1]` at which the cumulative softmax passes a number, and how far."""
    place = _iota(logits.shape, 1)
    scaled = jnp.where(place < number, logits / jnp.maximum(temperature, 1e-6), -jnp.inf)
    likely = jnp.exp(scaled - jnp.max(scaled, axis=1, keepdims=True))
    if top_p is not None:
        likely = keep_likeliest(likely, top_p)
    width = logits.shape[1]
    before = (_iota((width, width), 0) <= _iota((width, width), 1)).astype(jnp.float32)
    ends = jnp.dot(
        likely, before, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    total = jnp.sum(likely, axis=1, keepdims=True)
    # Rounding of the sums may lead to an impossible class: the next possible one, or the last.
    possible = likely > MIN_WEIGHT
    passes = possible & (ends > uniform * total)
    first = jnp.min(jnp.where(passes, place, width), axis=1, keepdims=True)
    last = jnp.max(jnp.where(possible, place, 0), axis=1, keepdims=True)
    index = jnp.minimum(first, last)
    chosen = place == index
    end = jnp.sum(jnp.where(chosen, ends, 0.0), axis=1, keepdims=True)
    share = jnp.sum(jnp.where(chosen, likely, 0.0), axis=1, keepdims=True)
    return index, 1 - (end - uniform * total) / jnp.maximum(share, 1e-30)


_CENTRAL = (
    (3.3871327179, 50.434271938, 159.29113202, 59.109374720),
    (1.0, 17.895169469, 78.757757664, 67.187563600),
)
_TAIL = (
    (1.4234372777, 2.7568153900, 1.3067284816, 0.17023821103),
    (1.0, 0.73700164250, 0.12021132975),
)


def _normal(probability: jax.Array) -> jax.Array:
    """The inverse of the normal cumulative distribution, to seven digits from `MIN_WITHIN` on:
    algorithm AS 241, PPND7 (Wichura, 1988). jax's own takes tables, which a kernel cannot."""
    side = probability - 0.5
    near = side * _ratio(_CENTRAL, 0.180625 - side * side)
    tail = jnp.sqrt(-jnp.log(jnp.minimum(probability, 1 - probability))) - 1.6
    far = _ratio(_TAIL, tail)
    return jnp.where(jnp.abs(side) <= 0.425, near, jnp.where(side < 0, -far, far))


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: jax.Array) -> jax.Array:
    values = []
    for *lower, highest in polynomials:
        value = jnp.full_like(x, highest)
        for coefficient in reversed(lower):
            value = value * x + coefficient
        values.append(value)
    return values[0] / values[1]
