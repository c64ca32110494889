"""The CPU's backend: the loop over samples is one compiled function, with no dispatch inside.

What `scan` has XLA do operation by operation, numba compiles into one pass here. A row's past is
one block of memory; a kernel lies in the order in which it is read, in blocks of `_WIDTH` outputs
whose sums stay in registers; and the rows are spread over the cores. A single row has one core:
that two share its outputs was tried, and waiting for one another each layer cost what it saved.

Weights may have fewer bits (`precision`). Those of int8 are multiplied by activations of 16 bits,
each vector of them on a scale of its own, and added as whole numbers, without rounding: an
activation's last bit is 256 times finer than a weight's.

numba's compiled functions are kept beside this file until it changes, so all of them are in it.
"""

import concurrent.futures
import functools
import itertools
import math
import os
from typing import Any, NamedTuple

import jax
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from wavenet_jax.config import WaveNetConfig
from wavenet_jax.distributions import MAX_LOG_SCALE, MAX_MEAN, MIN_WITHIN, Mixture
from wavenet_jax.sampling.precision import Precision, matrix
from wavenet_jax.state import State

_WIDTH = 32
"""Outputs whose sums are kept in registers: a kernel has a multiple of it, zeros at the end."""

_TILE = 2
"""Rows for which a weight is used once it is read."""

_LARGEST, _LARGEST_WEIGHT, _LARGEST_SUM = 2**15 - 1, 127, 2**31 - 1

_CATEGORICAL, _LOGISTIC, _GAUSSIAN = range(3)
_KINDS = {
    "categorical": _CATEGORICAL,
    "logistic_mixture": _LOGISTIC,
    "gaussian_mixture": _GAUSSIAN,
    "gaussian": _GAUSSIAN,
}

_compiled: Any = functools.partial(numba.njit, cache=True, nogil=True, error_model="numpy")
_fast: Any = functools.partial(_compiled, fastmath=True)


def unsupported_reason(config: WaveNetConfig) -> str | None:
    """What of a model this backend cannot do, or None."""
    if config.dtype != "float32":
        return f"layers that compute in {config.dtype}"
    return None


class Kernel(NamedTuple):
    """Kernels `[n, I, O]`, one for each layer or tap, in the order in which they are read.

    Attributes:
      values: `[n, blocks of outputs, pairs of inputs, 2 _WIDTH]`; of a pair in float32 first all
        outputs of the one input, then those of the other, else the two weights of each output.
      scales: `[n, O]`, of each output.
    """

    values: np.ndarray
    scales: np.ndarray


class Weights(NamedTuple):
    """What a step reads, of L layers; channels are made whole blocks, of zeros."""

    input: np.ndarray  # [k', inputs, R]
    input_bias: np.ndarray  # [R]
    values: np.ndarray  # [K] of the codes, for scalar input; none for one-hot
    taps: Kernel  # [L k, R, 2G]
    sums: Kernel  # [L, G, R + S], what a layer adds to x and to the skip connections
    residual_bias: np.ndarray  # [L, R]
    skip_bias: np.ndarray  # [S]
    head: Kernel  # [1, S, H]
    head_bias: np.ndarray  # [H]
    output: Kernel  # [1, H, P]
    output_bias: np.ndarray  # [P]
    dilations: np.ndarray  # [L]
    begins: np.ndarray  # [L + 1], of the rings in the past


class Vectors(NamedTuple):
    """Vectors `[n, M, C]` as products take them: `values` times `scales`, `[n, M]`."""

    values: np.ndarray
    scales: np.ndarray


class Past(NamedTuple):
    """What the loop keeps of M rows of a `State`, and changes; N are the rings' slots together."""

    time: int
    samples: np.ndarray  # [M, k']
    rings: Vectors  # [N, M, R]


def pack(config: WaveNetConfig, params: Any, precision: Precision) -> Weights:
    """A model's variables as the loop reads them."""
    tree = jax.tree.map(np.asarray, params["params"])
    layers = [tree["stack"][f"blocks_{i}"] for i in range(len(config.dilations))]
    width, gates = config.residual_channels, config.gate_channels
    none = {"kernel": np.zeros((gates, width), np.float32), "bias": np.zeros(width, np.float32)}
    residuals = [layer.get("residual", none) for layer in layers]
    taps = [layer["kernel"].reshape(-1, 2 * gates) for layer in layers]
    lengths = [(config.kernel_size - 1) * d + 1 for d in config.dilations]
    codes = np.arange(config.num_classes if config.input == "scalar" else 0)
    packed = functools.partial(_packed, precision=precision)
    return Weights(
        input=_whole_blocks(tree["input"]["kernel"]),
        input_bias=_whole_blocks(tree["input"]["bias"]),
        values=np.asarray(config.quantizer.values(codes), np.float32),
        taps=_beside(
            packed([tap[:, :gates] for tap in taps], width),
            packed([tap[:, gates:] for tap in taps], width),
        ),
        sums=_beside(
            packed([residual["kernel"] for residual in residuals], gates),
            packed([tree["skip"]["kernel"]], gates),
        ),
        residual_bias=_whole_blocks(np.stack([residual["bias"] for residual in residuals])),
        skip_bias=_whole_blocks(tree["skip"]["bias"]),
        head=packed([tree["head"]["kernel"]], config.skip_channels),
        head_bias=_whole_blocks(tree["head"]["bias"]),
        output=packed([tree["output"]["kernel"]], config.head_channels),
        output_bias=_whole_blocks(tree["output"]["bias"]),
        dilations=np.array(config.dilations),
        begins=np.cumsum([0, *lengths]),
    )


def _beside(*kernels: Kernel) -> Kernel:
    """The outputs of kernels of the same inputs, side by side."""
    return Kernel(*(np.concatenate(parts, axis=1) for parts in zip(*kernels, strict=True)))


def _packed(kernels: list[np.ndarray], inputs: int, precision: Precision) -> Kernel:
    """Each `[n inputs, O]`, n taps or layers whose outputs have one scale each."""
    made = [matrix(kernel, precision) for kernel in kernels]
    values = np.stack([each.values for each in made])
    values = _whole_blocks(values.reshape(-1, inputs, values.shape[-1]))
    scales = np.repeat([each.scale for each in made], len(values) // len(made), axis=0)
    values = np.pad(values, [(0, 0), (0, inputs % 2), (0, 0)])
    number, rows, columns = values.shape
    values = values.reshape(number, rows // 2, 2, columns // _WIDTH, _WIDTH)
    order = (0, 3, 1, 2, 4) if precision == "float32" else (0, 3, 1, 4, 2)
    values = values.transpose(order).reshape(number, -1, rows // 2, 2 * _WIDTH)
    return Kernel(np.ascontiguousarray(values), _whole_blocks(scales))


def _whole_blocks(values: np.ndarray) -> np.ndarray:
    """With zeros after its channels, the last axis."""
    more = -values.shape[-1] % _WIDTH
    return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, more)])


def pack_state(state: State, precision: Precision) -> list[Past]:
    """A state as the loop keeps it, for the rows of each thread."""
    rings = np.concatenate([np.asarray(ring, np.float32) for ring in state.rings])
    samples = np.array(state.samples)
    pasts = []
    for rows in _shares(len(samples)):
        own = _whole_blocks(rings[:, rows])
        kept = _vectors(*own.shape, precision=precision)
        for slot, inputs in enumerate(own):
            _keep(inputs, 0, kept, slot)
        pasts.append(Past(int(state.time), np.ascontiguousarray(samples[rows]), kept))
    return pasts


def _shares(batch: int) -> list[slice]:
    """The rows of each thread."""
    edges = np.linspace(0, batch, min(batch, _num_cores()) + 1).astype(int).tolist()
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def _num_cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def generate_chunk(
    config: WaveNetConfig,
    weights: Weights,
    pasts: list[Past],
    uniforms: np.ndarray,
    temperature: float,
    conditions: np.ndarray,
    samples_per_frame: int,
    phase: int,
) -> tuple[np.ndarray, list[Past]]:
    """As `scan.generate_chunk`.

    Args:
      config: the model's.
      weights: of `pack`.
      pasts: of `pack_state`, or of the chunk before; they are changed.
      uniforms: in [0, 1), `[T, B]`.
      temperature: of the distribution.
      conditions: of `WaveNet.project_conditions`, `[N, L, B, 2G]`; or B is 1. With context
        stacks it is a call for each of their frames, with `project_contexts` added.
      samples_per_frame: for how many samples a row of them holds, likewise.
      phase: samples since the first of these rows began.

    Returns:
      int32 codes `[B, T]`, and the pasts after them.
    """
    uniforms = np.ascontiguousarray(np.asarray(uniforms).T)
    codes: np.ndarray = np.zeros(uniforms.shape, np.int32)
    shares, jobs = _shares(len(codes)), []
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as threads:
        for rows, past in zip(shares, pasts, strict=True):
            own = conditions[:, :, rows] if conditions.shape[2] > 1 else conditions
            arguments: tuple[Any, ...] = (
                weights,
                past,
                _workspace(weights, past),
                np.ascontiguousarray(own),
                samples_per_frame,
                phase % max(1, samples_per_frame),
                uniforms[rows],
                np.float32(temperature),
                _output(config),
                codes[rows],
            )
            jobs.append(threads.submit(_loop, *arguments))
        for job in jobs:
            job.result()
    return codes, [past._replace(time=past.time + codes.shape[1]) for past in pasts]


class _Output(NamedTuple):
    """What `distributions` says of the output."""

    kind: int
    classes: int
    parameters: int
    max_mean: float
    min_log_scale: float
    max_log_scale: float
    min_within: float


def _output(config: WaveNetConfig) -> _Output:
    given = config.distribution
    return _Output(
        _KINDS[config.output],
        config.num_classes,
        given.num_parameters,
        MAX_MEAN,
        given.min_log_scale if isinstance(given, Mixture) else 0.0,
        MAX_LOG_SCALE,
        MIN_WITHIN,
    )


class _Workspace(NamedTuple):
    """What is in the works for M rows, `[M, channels]`, and as products take it."""

    sums: np.ndarray  # x, and beside it the skip connections
    x: Vectors
    z: np.ndarray  # of the filter, and beside it of the gate
    gated: np.ndarray
    gated_kept: Vectors
    skips: Vectors
    hidden: np.ndarray
    hidden_kept: Vectors
    out: np.ndarray
    weights: np.ndarray  # of the classes, or of a mixture's components


def _workspace(weights: Weights, past: Past) -> _Workspace:
    rows = len(past.samples)
    precision: Precision = "int8" if past.rings.values.dtype == np.int16 else "float32"
    width, skips, head = (
        len(bias) for bias in (weights.input_bias, weights.skip_bias, weights.head_bias)
    )
    gates = weights.taps.scales.shape[1] // 2
    kept = functools.partial(_vectors, 1, rows, precision=precision)

    def plain(channels: int) -> np.ndarray:
        return np.zeros((rows, channels), np.float32)

    return _Workspace(
        sums=plain(width + skips),
        x=kept(width),
        z=plain(2 * gates),
        gated=plain(gates),
        gated_kept=kept(gates),
        skips=kept(skips),
        hidden=plain(head),
        hidden_kept=kept(head),
        out=plain(len(weights.output_bias)),
        weights=plain(len(weights.output_bias)),
    )


def _vectors(number: int, rows: int, channels: int, *, precision: Precision) -> Vectors:
    kind = np.int16 if precision == "int8" else np.float32
    return Vectors(np.zeros((number, rows, channels), kind), np.ones((number, rows), np.float32))


# -- products, in vectors ------------------------------------------------------------------

_F32, _I8, _I16, _I32 = ir.FloatType(), ir.IntType(8), ir.IntType(16), ir.IntType(32)


def _splat(builder, value, width: int):
    """A vector of one number `width` times."""
    kind = ir.VectorType(value.type, width)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(_I32, width), [0] * width)
    )


def _constant(kind, value: int):
    return ir.Constant(kind, [value] * kind.count)


def _load_vector(builder, pointer, element, width: int):
    kind = ir.VectorType(element, width).as_pointer()
    return builder.load(builder.bitcast(pointer, kind), align=1)


def _add_pair_float32(builder, sums, kernel, pair, inputs):
    """sums + the two inputs of a pair times their weights, float32."""
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * _WIDTH))
    for k in range(2):
        at = builder.add(begin, ir.Constant(pair.type, k * _WIDTH))
        weights = _load_vector(builder, builder.gep(kernel, [at]), _F32, _WIDTH)
        sums = _add_products(builder, sums, weights, pair, inputs, k)
    return sums


def _add_pair_bfloat16(builder, sums, kernel, pair, inputs):
    """The same; the two weights of an output are the halves of a number of 32 bits."""
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * _WIDTH))
    both = _load_vector(builder, builder.gep(kernel, [begin]), _I32, _WIDTH)
    low = builder.shl(both, _constant(both.type, 16))
    high = builder.and_(both, _constant(both.type, 0xFFFF0000))
    for k, half in enumerate((low, high)):
        weights = builder.bitcast(half, ir.VectorType(_F32, _WIDTH))
        sums = _add_products(builder, sums, weights, pair, inputs, k)
    return sums


def _add_products(builder, sums, weights, pair, inputs, k: int):
    at = builder.add(builder.mul(pair, ir.Constant(pair.type, 2)), ir.Constant(pair.type, k))
    added = []
    for total, row in zip(sums, inputs, strict=True):
        x = _splat(builder, builder.load(builder.gep(row, [at])), _WIDTH)
        added.append(builder.fadd(total, builder.fmul(x, weights, ("fast",)), ("fast",)))
    return added


def _add_pair_int8(builder, sums, kernel, pair, inputs):
    """The same for whole numbers: of each output x0 w0 + x1 w1, one instruction (pmaddwd)."""
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * _WIDTH))
    weights = _load_vector(builder, builder.gep(kernel, [begin]), _I8, 2 * _WIDTH)
    half, wide = ir.VectorType(_I32, _WIDTH), ir.VectorType(_I32, 2 * _WIDTH)
    weights = builder.sext(builder.sext(weights, ir.VectorType(_I16, 2 * _WIDTH)), wide)
    nothing = ir.Constant(wide, ir.Undefined)
    added = []
    for total, row in zip(sums, inputs, strict=True):
        both = builder.load(builder.gep(builder.bitcast(row, _I32.as_pointer()), [pair]), align=2)
        x = builder.bitcast(_splat(builder, both, _WIDTH), ir.VectorType(_I16, 2 * _WIDTH))
        products = builder.mul(builder.sext(x, wide), weights)
        even, odd = (
            builder.shuffle_vector(products, nothing, ir.Constant(half, [*range(k, 2 * _WIDTH, 2)]))
            for k in range(2)
        )
        added.append(builder.add(total, builder.add(even, odd)))
    return added


_BY_KIND = {
    numba.types.float32: (_F32, _F32, _F32, _add_pair_float32),
    numba.types.uint16: (_I16, _F32, _F32, _add_pair_bfloat16),
    numba.types.int8: (_I8, _I16, _I32, _add_pair_int8),
}
"""By the type of the weights: they, what they are multiplied by, the sums, and how."""


def _multiply_rows(num_rows: int):
    """Compiled for so many rows: a block of outputs += inputs times their weights, scaled."""

    @intrinsic
    def multiply(typing, kernel, scales, which, block, inputs, in_scales, place, outputs, row):
        index = numba.types.int64
        signature = numba.types.void(
            kernel, scales, index, index, inputs, in_scales, index, outputs, index
        )

        def generate(context, builder, signature, arguments):
            of_weights, of_inputs, of_sums, add_pair = _BY_KIND[signature.args[0].dtype]
            which, block, place, row = (arguments[i] for i in (2, 3, 6, 8))

            def pointer(i: int, kind, *indices):
                """To an element of the argument i, a C-contiguous array of `kind`."""
                array = context.make_array(signature.args[i])(context, builder, arguments[i])
                shape = cgutils.unpack_tuple(builder, array.shape)
                offset = ir.Constant(shape[0].type, 0)
                for length, at in zip(shape, indices, strict=True):
                    offset = builder.add(builder.mul(offset, length), at)
                return builder.gep(builder.bitcast(array.data, kind.as_pointer()), [offset])

            zero, width = (ir.Constant(which.type, value) for value in (0, _WIDTH))
            rows = [builder.add(row, ir.Constant(row.type, i)) for i in range(num_rows)]
            weights = pointer(0, of_weights, which, block, zero, zero)
            own_inputs = [pointer(4, of_inputs, place, r, zero) for r in rows]
            held = [cgutils.alloca_once(builder, ir.VectorType(of_sums, _WIDTH)) for _ in rows]
            for each in held:
                builder.store(_constant(each.type.pointee, 0), each)
            kernel = context.make_array(signature.args[0])(context, builder, arguments[0])
            with cgutils.for_range(builder, builder.extract_value(kernel.shape, 2)) as loop:
                sums = [builder.load(each) for each in held]
                sums = add_pair(builder, sums, weights, loop.index, own_inputs)
                for each, total in zip(held, sums, strict=True):
                    builder.store(total, each)
            column = builder.mul(block, width)
            of_outputs = _load_vector(builder, pointer(1, _F32, which, column), _F32, _WIDTH)
            for r, each in zip(rows, held, strict=True):
                total = builder.load(each)
                if of_sums is not _F32:
                    total = builder.sitofp(total, of_outputs.type)
                of_row = _splat(builder, builder.load(pointer(5, _F32, place, r)), _WIDTH)
                total = builder.fmul(total, builder.fmul(of_row, of_outputs))
                begin = pointer(7, _F32, r, column)
                before = _load_vector(builder, begin, _F32, _WIDTH)
                after = builder.bitcast(begin, of_outputs.type.as_pointer())
                builder.store(builder.fadd(before, total), after, align=4)
            return context.get_dummy_value()

        return signature, generate

    return multiply


_multiply_one, _multiply_tile = _multiply_rows(1), _multiply_rows(_TILE)


@_compiled
def _add_product(kernel, which, inputs, place, outputs):
    """outputs += inputs[place] kernel[which], `[M, I]` by `[I, O]`."""
    weights, scales = kernel.values, kernel.scales
    x, of_x = inputs.values, inputs.scales
    num_rows = len(outputs)
    whole = num_rows - num_rows % _TILE
    for block in range(weights.shape[1]):
        for row in range(0, whole, _TILE):
            _multiply_tile(weights, scales, which, block, x, of_x, place, outputs, row)
        for row in range(whole, num_rows):
            _multiply_one(weights, scales, which, block, x, of_x, place, outputs, row)


# -- the loop ------------------------------------------------------------------------------


@_fast(inline="always")
def _exp(x):
    """e^x in float32, for -80 < x < 80."""
    turns = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - turns * np.float32(0.693359375) + turns * np.float32(2.12194440e-4)
    p = np.float32(1 / 5040)
    for c in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = p * r + np.float32(c)
    return p * np.int32((np.int32(turns) + np.int32(127)) << np.int32(23)).view(np.float32)


def _kept(value, scale, like):
    """A number as products take it."""


@overload(_kept, inline="always")
def _kept_overload(value, scale, like):
    if like.dtype == numba.types.int16:
        return lambda value, scale, like: np.int16(np.rint(value * scale))
    return lambda value, scale, like: value


@_fast
def _keep(x, first, kept, to):
    """kept[to] = the channels of x from `first` on; in whole numbers as large as their products
    with the largest weights can be added."""
    values, scales = kept.values, kept.scales
    num_rows, width = values.shape[1:]
    for row in range(num_rows):
        scale = np.float32(1)
        if values.itemsize == 2:
            largest = np.float32(1e-20)
            for c in range(width):
                largest = max(largest, abs(x[row, first + c]))
            most = np.float32(min(_LARGEST, _LARGEST_SUM // (_LARGEST_WEIGHT * width)))
            scale = most / largest
            scales[to, row] = largest / most
        for c in range(width):
            values[to, row, c] = _kept(x[row, first + c], scale, values)


@_compiled
def _copy(kept, rings, slot):
    """rings[slot] = kept[0]."""
    for row in range(kept.values.shape[1]):
        rings.scales[slot, row] = kept.scales[0, row]
        for c in range(kept.values.shape[2]):
            rings.values[slot, row, c] = kept.values[0, row, c]


@_compiled
def _begin(w, samples, sums):
    """x of the newest samples, and no skip connections but their bias."""
    width = len(w.input_bias)
    for row in range(len(sums)):
        for c in range(len(w.skip_bias)):
            sums[row, width + c] = w.skip_bias[c]
        for c in range(width):
            sums[row, c] = w.input_bias[c]
        for tap in range(w.input.shape[0]):
            code = samples[row, tap]
            if len(w.values):
                for c in range(width):
                    sums[row, c] += w.values[code] * w.input[tap, 0, c]
            else:
                for c in range(width):
                    sums[row, c] += w.input[tap, code, c]


@_compiled
def _condition(conditions, at, layer, z):
    """What the gates' sums begin with."""
    gates, half = conditions.shape[3] // 2, z.shape[1] // 2
    for row in range(len(z)):
        of = row if conditions.shape[2] > 1 else 0
        for c in range(gates):
            z[row, c] = conditions[at, layer, of, c]
        for c in range(gates):
            z[row, half + c] = conditions[at, layer, of, gates + c]


@_fast
def _gate(z, gated):
    """tanh(filter) sigmoid(gate), with one division."""
    half = gated.shape[1]
    for row in range(len(z)):
        for c in range(half):
            f = min(max(z[row, c], np.float32(-15)), np.float32(15))
            g = min(max(z[row, half + c], np.float32(-40)), np.float32(40))
            e, h = _exp(np.float32(-2) * f), _exp(-g)
            gated[row, c] = (1 - e) / ((1 + e) * (1 + h))


@_compiled
def _set(x, bias):
    for row in range(len(x)):
        for c in range(len(bias)):
            x[row, c] = bias[c]


@_compiled
def _add(x, bias, layer):
    for row in range(len(x)):
        for c in range(bias.shape[1]):
            x[row, c] += bias[layer, c]


@_compiled
def _rectify(x, first):
    for row in range(len(x)):
        for c in range(first, x.shape[1]):
            x[row, c] = max(np.float32(0), x[row, c])


@_compiled
def _loop(
    w, past, work, conditions, samples_per_frame, phase, uniforms, temperature, output, codes
):
    """All samples of some rows."""
    num_layers, rings, samples = len(w.dilations), past.rings, past.samples
    num_taps, width = len(w.taps.values) // num_layers, len(w.input_bias)
    for t in range(uniforms.shape[1]):
        at = (t + phase) // samples_per_frame if samples_per_frame else 0
        _begin(w, samples, work.sums)
        for layer in range(num_layers):
            begin, size = w.begins[layer], w.begins[layer + 1] - w.begins[layer]
            _condition(conditions, at, layer, work.z)
            for tap in range(num_taps - 1):
                lag = (num_taps - 1 - tap) * w.dilations[layer]
                slot = begin + (past.time + t - lag) % size
                _add_product(w.taps, layer * num_taps + tap, rings, slot, work.z)
            _keep(work.sums, 0, work.x, 0)
            _copy(work.x, rings, begin + (past.time + t) % size)
            _add_product(w.taps, (layer + 1) * num_taps - 1, work.x, 0, work.z)
            _gate(work.z, work.gated)
            _keep(work.gated, 0, work.gated_kept, 0)
            _add_product(w.sums, layer, work.gated_kept, 0, work.sums)
            _add(work.sums, w.residual_bias, layer)
        _rectify(work.sums, width)
        _keep(work.sums, width, work.skips, 0)
        _set(work.hidden, w.head_bias)
        _add_product(w.head, 0, work.skips, 0, work.hidden)
        _rectify(work.hidden, 0)
        _keep(work.hidden, 0, work.hidden_kept, 0)
        _set(work.out, w.output_bias)
        _add_product(w.output, 0, work.hidden_kept, 0, work.out)
        for row in range(len(samples)):
            code = _draw(
                work.out[row, : output.parameters],
                work.weights[row],
                uniforms[row, t],
                temperature,
                output,
            )
            codes[row, t] = code
            for tap in range(samples.shape[1] - 1):
                samples[row, tap] = samples[row, tap + 1]
            samples[row, samples.shape[1] - 1] = code


@_compiled
def _draw(out, weights, uniform, temperature, output):
    """The code at which the cumulative distribution passes a number; see `distributions`."""
    if output.kind == _CATEGORICAL:
        return _pick(out, weights, uniform, temperature)[0]
    number = max(1, len(out) // 3)
    component, within = 0, uniform
    if number > 1 or len(out) == 3:
        component, within = _pick(out[:number], weights, uniform, temperature)
    first = len(out) - 2 * number
    mean = min(max(out[first + component], -output.max_mean), output.max_mean)
    log_scale = out[first + number + component]
    log_scale = min(max(log_scale, output.min_log_scale), output.max_log_scale)
    within = min(max(np.float64(within), output.min_within), 1 - output.min_within)
    if output.kind == _LOGISTIC:
        deviation = math.log(within) - math.log1p(-within)
    else:
        deviation = _normal(within)
    spread = np.float32(math.exp(log_scale)) * np.float32(deviation)
    value = np.float32(mean) + temperature * spread
    half = output.classes // 2
    value = min(max(value, np.float32(-2)), np.float32(2))
    return min(max(math.floor(value * half + np.float32(0.5)) + half, 0), output.classes - 1)


@_compiled
def _pick(logits, weights, uniform, temperature):
    """The class at which the cumulative softmax passes a number, and how far within it."""
    place = uniform * _weigh(logits, 1 / max(temperature, np.float32(1e-6)), weights)
    end = np.float32(0)
    index = len(logits) - 1
    for c in range(len(logits)):
        end += weights[c]
        if end > place:
            index = c
            break
    return index, 1 - (end - place) / max(weights[index], np.float32(1e-30))


@_fast
def _weigh(logits, factor, weights):
    """weights = e^(factor logits), the largest 1; and their sum."""
    largest = logits[0]
    for c in range(len(logits)):
        largest = max(largest, logits[c])
    total = np.float32(0)
    for c in range(len(logits)):
        weights[c] = _exp(max((logits[c] - largest) * factor, np.float32(-80)))
        total += weights[c]
    return total


@_compiled
def _normal(probability):
    """The inverse of the normal cumulative distribution, by Newton's method."""
    upper = max(probability, 1 - probability)
    x = min(5.5, math.log(upper / (1 - upper)) / 1.702)
    for _ in range(20):
        tail = 0.5 * math.erfc(x / math.sqrt(2))
        density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        step = (tail - (1 - upper)) / density
        x += step / (1 - step * x / 2) if abs(step * x) < 1 else step / 2
        if abs(step) < 1e-12:
            break
    return x if probability >= 0.5 else -x
