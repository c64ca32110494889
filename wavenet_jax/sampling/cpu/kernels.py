"""The compiled functions of the CPU's backend: the loop over samples, with no dispatch inside.

numba compiles into one pass what `scan` has XLA do operation by operation. A kernel lies in the
order in which it is read, in blocks of `WIDTH` outputs whose sums stay in registers. Batch items
are spread over the cores, and a single one has one core: two that share its outputs would wait for
one another each layer.

Weights of int8 are multiplied by activations of 16 bits, each vector of them on a scale of its own,
and added as whole numbers, without rounding: an activation's last bit is 256 times finer than a
weight's.

All functions that are compiled together are in this file, because numba invalidates its cache of
compiled functions by the file of the outermost one alone. The types of their arguments keep their
names, by which a cache that an earlier release wrote refers to them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from wavenet_jax.distributions import MIN_WEIGHT, NUCLEUS_STEPS

WIDTH = 32
"""Outputs whose sums are operands in registers: a kernel has a multiple of it, zeros at the end."""

_TILE = 2
"""Batch items for which a weight is used once it is read."""

_LARGEST, _LARGEST_WEIGHT, _LARGEST_SUM = 2**15 - 1, 127, 2**31 - 1

CATEGORICAL, LOGISTIC, GAUSSIAN = range(3)
GATED, FFTNET = range(2)


def _compiled(function: Callable, **options: Any) -> Any:
    """The function, compiled when it is first called, and cached on disk where that is possible."""
    compile_ = functools.partial(numba.njit, nogil=True, error_model="numpy", **options)
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # numba finds no folder to write to
        return compile_()(function)


_fast = functools.partial(_compiled, fastmath=True)


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
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * WIDTH))
    for k in range(2):
        at = builder.add(begin, ir.Constant(pair.type, k * WIDTH))
        weights = _load_vector(builder, builder.gep(kernel, [at]), _F32, WIDTH)
        sums = _add_products(builder, sums, weights, pair, inputs, k)
    return sums


def _add_pair_bfloat16(builder, sums, kernel, pair, inputs):
    """The same; the two weights of an output are the halves of a number of 32 bits."""
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * WIDTH))
    both = _load_vector(builder, builder.gep(kernel, [begin]), _I32, WIDTH)
    low = builder.shl(both, _constant(both.type, 16))
    high = builder.and_(both, _constant(both.type, 0xFFFF0000))
    for k, half in enumerate((low, high)):
        weights = builder.bitcast(half, ir.VectorType(_F32, WIDTH))
        sums = _add_products(builder, sums, weights, pair, inputs, k)
    return sums


def _add_products(builder, sums, weights, pair, inputs, k: int):
    at = builder.add(builder.mul(pair, ir.Constant(pair.type, 2)), ir.Constant(pair.type, k))
    added = []
    for total, vector in zip(sums, inputs, strict=True):
        x = _splat(builder, builder.load(builder.gep(vector, [at])), WIDTH)
        added.append(builder.fadd(total, builder.fmul(x, weights, ("fast",)), ("fast",)))
    return added


def _add_pair_int8(builder, sums, kernel, pair, inputs):
    """The same for whole numbers: of each output x0 w0 + x1 w1, one instruction (pmaddwd)."""
    begin = builder.mul(pair, ir.Constant(pair.type, 2 * WIDTH))
    weights = _load_vector(builder, builder.gep(kernel, [begin]), _I8, 2 * WIDTH)
    half, wide = ir.VectorType(_I32, WIDTH), ir.VectorType(_I32, 2 * WIDTH)
    weights = builder.sext(builder.sext(weights, ir.VectorType(_I16, 2 * WIDTH)), wide)
    nothing = ir.Constant(wide, ir.Undefined)
    added = []
    for total, vector in zip(sums, inputs, strict=True):
        both = builder.load(
            builder.gep(builder.bitcast(vector, _I32.as_pointer()), [pair]), align=2
        )
        x = builder.bitcast(_splat(builder, both, WIDTH), ir.VectorType(_I16, 2 * WIDTH))
        products = builder.mul(builder.sext(x, wide), weights)
        even, odd = (
            builder.shuffle_vector(products, nothing, ir.Constant(half, [*range(k, 2 * WIDTH, 2)]))
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


def _multiply_items(num_items: int):
    """Compiled for a number of items: a block of outputs += inputs times weights, scaled."""

    @intrinsic
    def multiply(typing, kernel, scales, which, block, inputs, in_scales, place, outputs, item):
        index = numba.types.int64
        signature = numba.types.void(
            kernel, scales, index, index, inputs, in_scales, index, outputs, index
        )

        def generate(context, builder, signature, arguments):
            of_weights, of_inputs, of_sums, add_pair = _BY_KIND[signature.args[0].dtype]
            which, block, place, item = (arguments[i] for i in (2, 3, 6, 8))

            def pointer(i: int, kind, *indices):
                """To an element of the argument i, a C-contiguous array of `kind`."""
                array = context.make_array(signature.args[i])(context, builder, arguments[i])
                shape = cgutils.unpack_tuple(builder, array.shape)
                offset = ir.Constant(shape[0].type, 0)
                for length, at in zip(shape, indices, strict=True):
                    offset = builder.add(builder.mul(offset, length), at)
                return builder.gep(builder.bitcast(array.data, kind.as_pointer()), [offset])

            zero, width = (ir.Constant(which.type, value) for value in (0, WIDTH))
            items = [builder.add(item, ir.Constant(item.type, i)) for i in range(num_items)]
            weights = pointer(0, of_weights, which, block, zero, zero)
            own_inputs = [pointer(4, of_inputs, place, i, zero) for i in items]
            totals = [cgutils.alloca_once(builder, ir.VectorType(of_sums, WIDTH)) for _ in items]
            for each in totals:
                builder.store(_constant(each.type.pointee, 0), each)
            kernel = context.make_array(signature.args[0])(context, builder, arguments[0])
            with cgutils.for_range(builder, builder.extract_value(kernel.shape, 2)) as loop:
                sums = [builder.load(each) for each in totals]
                sums = add_pair(builder, sums, weights, loop.index, own_inputs)
                for each, total in zip(totals, sums, strict=True):
                    builder.store(total, each)
            column = builder.mul(block, width)
            of_outputs = _load_vector(builder, pointer(1, _F32, which, column), _F32, WIDTH)
            for i, each in zip(items, totals, strict=True):
                total = builder.load(each)
                if of_sums is not _F32:
                    total = builder.sitofp(total, of_outputs.type)
                of_item = _splat(builder, builder.load(pointer(5, _F32, place, i)), WIDTH)
                total = builder.fmul(total, builder.fmul(of_item, of_outputs))
                begin = pointer(7, _F32, i, column)
                before = _load_vector(builder, begin, _F32, WIDTH)
                after = builder.bitcast(begin, of_outputs.type.as_pointer())
                builder.store(builder.fadd(before, total), after, align=4)
            return context.get_dummy_value()

        return signature, generate

    return multiply


_multiply_one, _multiply_tile = _multiply_items(1), _multiply_items(_TILE)


@_compiled
def _add_product(kernel, which, inputs, place, outputs):
    """outputs += inputs[place] kernel[which], `[M, I]` by `[I, O]`."""
    weights, scales = kernel.values, kernel.scales
    x, of_x = inputs.values, inputs.scales
    num_items = len(outputs)
    whole = num_items - num_items % _TILE
    for block in range(weights.shape[1]):
        for item in range(0, whole, _TILE):
            _multiply_tile(weights, scales, which, block, x, of_x, place, outputs, item)
        for item in range(whole, num_items):
            _multiply_one(weights, scales, which, block, x, of_x, place, outputs, item)


# -- the loop ------------------------------------------------------------------------------


@functools.partial(_fast, inline="always")
def _exp(x):
    """e^x in float32, for -80 < x < 80."""
    turns = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - turns * np.float32(0.693359375) + turns * np.float32(2.12194440e-4)
    p = np.float32(1 / 5040)
    for c in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = p * r + np.float32(c)
    return p * np.int32((np.int32(turns) + np.int32(127)) << np.int32(23)).view(np.float32)


def _converted(value, scale, like):
    """A number as products take it."""


@overload(_converted, inline="always")
def _converted_overload(value, scale, like):
    if like.dtype == numba.types.int16:
        return lambda value, scale, like: np.int16(np.rint(value * scale))
    return lambda value, scale, like: value


@_fast
def _store_operands(x, first, operands, to):
    """operands[to] = the channels of x from `first` on; in whole numbers as large as their products
    with the largest weights can be added."""
    values, scales = operands.values, operands.scales
    num_items, width = values.shape[1:]
    for item in range(num_items):
        scale = np.float32(1)
        if values.itemsize == 2:
            largest = np.float32(1e-20)
            for c in range(width):
                largest = max(largest, abs(x[item, first + c]))
            most = np.float32(min(_LARGEST, _LARGEST_SUM // (_LARGEST_WEIGHT * width)))
            scale = most / largest
            scales[to, item] = largest / most
        for c in range(width):
            values[to, item, c] = _converted(x[item, first + c], scale, values)


@_compiled
def store_all(vectors, operands):
    """operands = vectors, `[n, M, C]`."""
    for to in range(len(vectors)):
        _store_operands(vectors[to], 0, operands, to)


@_compiled
def _copy(operands, rings, slot):
    """rings[slot] = operands[0]."""
    for item in range(operands.values.shape[1]):
        rings.scales[slot, item] = operands.scales[0, item]
        for c in range(operands.values.shape[2]):
            rings.values[slot, item, c] = operands.values[0, item, c]


@_compiled
def _begin(w, samples, sums):
    """x of the newest samples, and no skip connections but their bias."""
    width, first_skip = len(w.input_bias), sums.shape[1] - len(w.skip_bias)
    for item in range(len(sums)):
        for c in range(len(w.skip_bias)):
            sums[item, first_skip + c] = w.skip_bias[c]
        for c in range(width):
            sums[item, c] = w.input_bias[c]
        for tap in range(w.input.shape[0]):
            code = samples[item, tap]
            if len(w.values):
                for c in range(width):
                    sums[item, c] += w.values[code] * w.input[tap, 0, c]
            else:
                for c in range(width):
                    sums[item, c] += w.input[tap, code, c]


@_compiled
def _condition(frames, frame, layer, z, parts):
    """What z begins with, in parts (filter and gate, or one) that have whole blocks each."""
    channels, width = frames.shape[3] // parts, z.shape[1] // parts
    for item in range(len(z)):
        of = item if frames.shape[2] > 1 else 0
        for part in range(parts):
            for c in range(channels):
                z[item, part * width + c] = frames[frame, layer, of, part * channels + c]


@_fast
def _gate(z, gated):
    """tanh(filter) sigmoid(gate), with one division."""
    half = gated.shape[1]
    for item in range(len(z)):
        for c in range(half):
            f = min(max(z[item, c], np.float32(-15)), np.float32(15))
            g = min(max(z[item, half + c], np.float32(-40)), np.float32(40))
            e, h = _exp(np.float32(-2) * f), _exp(-g)
            gated[item, c] = (1 - e) / ((1 + e) * (1 + h))


@_compiled
def _rectified(z, activated):
    """relu(z)."""
    for item in range(len(z)):
        for c in range(activated.shape[1]):
            activated[item, c] = max(np.float32(0), z[item, c])


@_compiled
def _set(x, bias):
    for item in range(len(x)):
        for c in range(len(bias)):
            x[item, c] = bias[c]


@_compiled
def _add(x, bias, layer):
    for item in range(len(x)):
        for c in range(bias.shape[1]):
            x[item, c] += bias[layer, c]


@_compiled
def _rectify(x, first):
    for item in range(len(x)):
        for c in range(first, x.shape[1]):
            x[item, c] = max(np.float32(0), x[item, c])


@_compiled
def generate(w, share, work, conditions, draws, codes):
    """All samples of a share of the batch."""
    num_layers, rings, samples = len(w.dilations), share.rings, share.samples
    num_taps, first_skip = len(w.taps.values) // num_layers, work.sums.shape[1] - len(w.skip_bias)
    samples_per_frame = conditions.samples_per_frame
    parts = work.z.shape[1] // work.gated.shape[1]
    for t in range(codes.shape[1]):
        frame = (t + conditions.phase) // samples_per_frame if samples_per_frame else 0
        _begin(w, samples, work.sums)
        for layer in range(num_layers):
            begin, size = w.begins[layer], w.begins[layer + 1] - w.begins[layer]
            _condition(conditions.frames, frame, layer, work.z, parts)
            for tap in range(num_taps - 1):
                lag = (num_taps - 1 - tap) * w.dilations[layer]
                slot = begin + (share.time + t - lag) % size
                _add_product(w.taps, layer * num_taps + tap, rings, slot, work.z)
            _store_operands(work.sums, 0, work.x, 0)
            _copy(work.x, rings, begin + (share.time + t) % size)
            _add_product(w.taps, (layer + 1) * num_taps - 1, work.x, 0, work.z)
            if w.block == FFTNET:
                _rectified(work.z, work.gated)
                _set(work.sums, w.residual_bias[layer])
            else:
                _gate(work.z, work.gated)
            _store_operands(work.gated, 0, work.gated_operands, 0)
            _add_product(w.sums, layer, work.gated_operands, 0, work.sums)
            if w.block == FFTNET:
                _rectify(work.sums, 0)
            else:
                _add(work.sums, w.residual_bias, layer)
        _rectify(work.sums, first_skip)
        _store_operands(work.sums, first_skip, work.skips, 0)
        _set(work.hidden, w.head_bias)
        _add_product(w.head, 0, work.skips, 0, work.hidden)
        _rectify(work.hidden, 0)
        _store_operands(work.hidden, 0, work.hidden_operands, 0)
        _set(work.out, w.output_bias)
        _add_product(w.output, 0, work.hidden_operands, 0, work.out)
        for item in range(len(samples)):
            code = _draw(
                work.out[item, : draws.output.parameters],
                work.weights[item],
                draws.uniforms[item, t],
                draws.temperatures[item, t],
                draws.top_p,
                draws.output,
            )
            codes[item, t] = code
            for tap in range(samples.shape[1] - 1):
                samples[item, tap] = samples[item, tap + 1]
            samples[item, samples.shape[1] - 1] = code


@_compiled
def _draw(out, weights, uniform, temperature, top_p, output):
    """The code at which the cumulative distribution passes a number; see `distributions`."""
    if output.kind == CATEGORICAL:
        return _pick(out, weights, uniform, temperature, top_p)[0]
    number = max(1, len(out) // 3)
    component, within = 0, uniform
    if number > 1 or len(out) == 3:
        component, within = _pick(out[:number], weights, uniform, temperature, np.float32(1))
    first = len(out) - 2 * number
    mean = min(max(out[first + component], -output.max_mean), output.max_mean)
    log_scale = out[first + number + component]
    log_scale = min(max(log_scale, output.min_log_scale), output.max_log_scale)
    within = min(max(np.float64(within), output.min_within), 1 - output.min_within)
    if output.kind == LOGISTIC:
        deviation = math.log(within) - math.log1p(-within)
    else:
        deviation = _normal(within)
    spread = np.float32(math.exp(log_scale)) * np.float32(deviation)
    value = np.float32(mean) + temperature * spread
    half = output.classes // 2
    value = min(max(value, np.float32(-2)), np.float32(2))
    return min(max(math.floor(value * half + np.float32(0.5)) + half, 0), output.classes - 1)


@_compiled
def _pick(logits, weights, uniform, temperature, top_p):
    """The class at which the cumulative softmax passes a number, and how far within it."""
    total = _weigh(logits, 1 / max(temperature, np.float32(1e-6)), weights)
    if top_p < 1:
        total = _keep_likeliest(weights[: len(logits)], top_p * total)
    place = uniform * total
    end = np.float32(0)
    index = len(logits) - 1
    for c in range(len(logits)):
        end += weights[c]
        if end > place:
            index = c
            break
    if weights[index] > MIN_WEIGHT:
        return index, 1 - (end - place) / weights[index]
    # Rounding of the sums led to an impossible class: the next possible one, or the last.
    for c in range(index + 1, len(logits)):
        if weights[c] > MIN_WEIGHT:
            return c, 0.0
    last = 0
    for c in range(index):
        if weights[c] > MIN_WEIGHT:
            last = c
    return last, 1.0


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


@_fast
def _keep_likeliest(weights, needed):
    """As `distributions.keep_likeliest`, of weights that are to have the sum `needed`; and the sum
    of those that are kept."""
    low, high = np.float32(0), np.float32(2)
    for _ in range(NUCLEUS_STEPS):
        middle = np.float32(0.5) * (low + high)
        kept = np.float32(0)
        for c in range(len(weights)):
            kept += weights[c] if weights[c] >= middle else np.float32(0)
        if kept >= needed:
            low = middle
        else:
            high = middle
    total = np.float32(0)
    for c in range(len(weights)):
        weights[c] = weights[c] if weights[c] >= low else np.float32(0)
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
