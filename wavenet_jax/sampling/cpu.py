"""The CPU's backend: the loop over samples is one compiled function, with no dispatch inside.

What `scan` has XLA do operation by operation, numba compiles into one pass here. A row's past is
one block of memory, each kernel is read once a sample in the order in which it lies, and the rows
are spread over the threads. Weights may have fewer bits (`precision`).
"""

import concurrent.futures
import functools
import math
import os
import sys
from typing import Any, NamedTuple

import jax
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from wavenet_jax.sampling.precision import Matrix, Precision, matrix
from wavenet_jax.wavenet import State, WaveNet, WaveNetConfig

_AT_ONCE = 8
"""Inputs whose products are added at once: a kernel has a multiple of it, zeros at the end."""

_APART = 8
"""Numbers between the counters of two threads: a line of the cache each."""

_PATIENCE = 2000
"""Looks at another thread's counter before it may be that it has no core."""

_CATEGORICAL, _LOGISTIC, _GAUSSIAN = range(3)
_KINDS = {
    "categorical": _CATEGORICAL,
    "logistic_mixture": _LOGISTIC,
    "gaussian_mixture": _GAUSSIAN,
    "gaussian": _GAUSSIAN,
}
_MOST_SCALE = 7.0

_compiled = functools.partial(numba.njit, cache=True, nogil=True, error_model="numpy")
_fast = functools.partial(_compiled, fastmath=True)


def what_is_missing(config: WaveNetConfig) -> str | None:
    """What of a model this backend cannot do, or None."""
    if config.context_stacks:
        return "context stacks"
    if config.dtype != "float32":
        return f"layers that compute in {config.dtype}"
    return None


class Weights(NamedTuple):
    """What a step reads, L layers; `_padded` kernels."""

    input: np.ndarray  # [taps, inputs, R]
    input_bias: np.ndarray  # [R]
    values: np.ndarray  # [K] of the codes, for scalar input; none for one-hot
    taps: Matrix  # [L, kernel_size, R, 2G]
    residual: Matrix  # [L, G, R]
    residual_bias: np.ndarray  # [L, R], of the last layer zeros
    skip: Matrix  # [L, G, S]
    skip_bias: np.ndarray
    head: Matrix  # [S, H]
    head_bias: np.ndarray
    output: Matrix  # [H, P]
    output_bias: np.ndarray
    dilations: np.ndarray  # [L]
    begins: np.ndarray  # [L + 1], of the rings in a row's past
    silence: int


class Past(NamedTuple):
    """A `State` in numpy, which the loop changes."""

    time: int
    samples: np.ndarray  # [B, taps]
    rings: np.ndarray  # [B, sum of the rings' lengths, R]


def pack(config: WaveNetConfig, params: Any, precision: Precision) -> Weights:
    """A model's variables as the loop reads them."""
    tree = jax.tree.map(np.asarray, params["params"])
    blocks = [tree["stack"][f"blocks_{i}"] for i in range(len(config.dilations))]
    width, gates = config.residual_channels, config.gate_channels
    kernels = [matrix(b["kernel"].reshape(-1, 2 * gates), precision) for b in blocks]
    none = {"kernel": np.zeros((gates, width)), "bias": np.zeros(width)}
    residuals = [b.get("residual", none) for b in blocks]
    taps = Matrix(
        np.stack([k.values.reshape(-1, width, 2 * gates) for k in kernels]),
        np.stack([k.scale for k in kernels]),
    )
    skip = matrix(tree["skip"]["kernel"], precision)
    lengths = [(config.kernel_size - 1) * d + 1 for d in config.dilations]
    scalar = config.input == "scalar"
    codes = np.arange(config.num_classes)
    return Weights(
        input=tree["input"]["kernel"],
        input_bias=tree["input"]["bias"],
        values=np.asarray(config.quantizer.values(codes)) if scalar else np.zeros(0, np.float32),
        taps=_padded(taps),
        residual=_padded(_stacked([matrix(r["kernel"], precision) for r in residuals])),
        residual_bias=np.stack([r["bias"] for r in residuals]).astype(np.float32),
        skip=_padded(Matrix(skip.values.reshape(len(blocks), gates, -1), skip.scale)),
        skip_bias=tree["skip"]["bias"],
        head=_padded(matrix(tree["head"]["kernel"], precision)),
        head_bias=tree["head"]["bias"],
        output=_padded(matrix(tree["output"]["kernel"], precision)),
        output_bias=tree["output"]["bias"],
        dilations=np.array(config.dilations),
        begins=np.cumsum([0, *lengths]),
        silence=config.quantizer.silence_code,
    )


def _stacked(matrices: list[Matrix]) -> Matrix:
    return Matrix(*(np.stack(parts) for parts in zip(*matrices, strict=True)))


def _padded(kernel: Matrix) -> Matrix:
    """With a multiple of `_AT_ONCE` inputs."""
    more = [(0, 0)] * kernel.values.ndim
    more[-2] = (0, -kernel.values.shape[-2] % _AT_ONCE)
    return Matrix(np.ascontiguousarray(np.pad(kernel.values, more)), kernel.scale)


def past_of(state: State) -> Past:
    """A state as the loop keeps it."""
    rings = np.concatenate([np.swapaxes(np.asarray(ring), 0, 1) for ring in state.rings], axis=1)
    width = -rings.shape[2] % _AT_ONCE
    rings = np.ascontiguousarray(np.pad(rings, [(0, 0), (0, 0), (0, width)]), np.float32)
    return Past(int(state.time), np.array(state.samples), rings)


def generate_chunk(
    config: WaveNetConfig,
    weights: Weights,
    past: Past,
    uniforms: np.ndarray,
    temperature: float,
    conditions: np.ndarray,
    hold: int,
    phase: int,
) -> tuple[np.ndarray, Past]:
    """As `scan.generate_chunk`; `conditions` and `hold` are of `WaveNet.project_conditions`.

    Returns:
      int32 codes `[B, T]`, and the past after them.
    """
    uniforms, conditions = np.ascontiguousarray(np.asarray(uniforms).T), np.asarray(conditions)
    codes = np.zeros(uniforms.shape, np.int32)

    batch, cores = codes.shape[0], os.cpu_count() or 1
    team = max(1, cores // batch)
    w = weights
    widths = (
        past.rings.shape[2],
        w.taps.values.shape[3],
        w.skip.values.shape[1],
        w.input.shape[2],
        w.head.values.shape[0],
        w.output.values.shape[0],
        w.output.values.shape[1],
    )

    def draw(row: int, scratch, arrived: np.ndarray, member: int) -> None:
        _row(
            weights,
            past.time,
            past.samples[row],
            past.rings[row],
            scratch,
            uniforms[row],
            np.float32(temperature),
            np.ascontiguousarray(conditions[:, :, row if conditions.shape[2] > 1 else 0]),
            hold,
            phase,
            _KINDS[config.output],
            config.num_classes,
            codes[row],
            arrived,
            member,
        )

    with concurrent.futures.ThreadPoolExecutor(min(cores, batch * team)) as threads:
        jobs = []
        for row in range(batch):
            scratch = tuple(np.zeros(width, np.float32) for width in widths)
            arrived = np.zeros((team, _APART), np.int64)
            jobs += [threads.submit(draw, row, scratch, arrived, i) for i in range(team)]
        for job in jobs:
            job.result()
    return codes, past._replace(time=past.time + codes.shape[1])


# -- compiled ---------------------------------------------------------------------------


@intrinsic
def _as_float32(typing, bits):
    """The float32 with the bits of an int32."""
    signature = numba.types.float32(numba.types.int32)

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return signature, generate


@intrinsic
def _load(typing, counts, row):
    """counts[row, 0], as another thread may have changed it."""
    signature = numba.types.int64(counts, row)

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "acquire", 8)

    return signature, generate


@intrinsic
def _store(typing, counts, row, value):
    """counts[row, 0] = value, after all that this thread wrote before."""
    signature = numba.types.void(counts, row, numba.types.int64)

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], pointer, "release", 8)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _let_others_run(typing):
    """Gives this thread's core to another that waits for one, if there is any."""
    signature = numba.types.int32()

    def generate(context, builder, signature, arguments):
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        kind = ir.FunctionType(ir.IntType(32), ())
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), ())

    return signature, generate


def _pointer(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    offset = builder.mul(arguments[1], ir.Constant(arguments[1].type, 8 * _APART))
    return cgutils.pointer_add(builder, array.data, offset, array.data.type)


def _widened(weight):
    """A weight as float32."""


@overload(_widened, inline="always")
def _widened_overload(weight):
    if weight == numba.types.uint16:
        return lambda weight: _as_float32(np.int32(np.int32(weight) << np.int32(16)))
    return lambda weight: np.float32(weight)


@_fast(inline="always")
def _exp(x):
    """e^x in float32, for -80 < x < 80."""
    turns = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    r = x - turns * np.float32(0.693359375) + turns * np.float32(2.12194440e-4)
    p = np.float32(1 / 5040)
    for c in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        p = p * r + np.float32(c)
    return p * _as_float32(np.int32((np.int32(turns) + np.int32(127)) << np.int32(23)))


@_fast
def _product(kernel, x, out, begin, end):
    """out += x kernel, `[I]` by `[I, O]`, for the outputs from `begin` to `end`."""
    for i in range(0, kernel.shape[0], _AT_ONCE):
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        x4, x5, x6, x7 = x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        for o in range(begin, end):
            out[o] += (
                (x0 * _widened(kernel[i, o]) + x1 * _widened(kernel[i + 1, o]))
                + (x2 * _widened(kernel[i + 2, o]) + x3 * _widened(kernel[i + 3, o]))
            ) + (
                (x4 * _widened(kernel[i + 4, o]) + x5 * _widened(kernel[i + 5, o]))
                + (x6 * _widened(kernel[i + 6, o]) + x7 * _widened(kernel[i + 7, o]))
            )


@_fast
def _dense(kernel, scale, bias, x, out, begin, end):
    """out = bias + x kernel scale, for the outputs from `begin` to `end`."""
    out[begin:end] = 0
    _product(kernel, x, out, begin, end)
    for o in range(begin, end):
        out[o] = out[o] * scale[o] + bias[o]


@_fast
def _rectify(x, begin, end):
    for o in range(begin, end):
        x[o] = max(np.float32(0), x[o])


@_fast
def _gates(z, condition, scale, a, begin, end):
    """a = tanh(z_filter) sigmoid(z_gate), with one division, for channels `begin` to `end`."""
    width = len(z) // 2
    for c in range(begin, end):
        f = z[c] * scale[c] + condition[c]
        g = z[width + c] * scale[width + c] + condition[width + c]
        e = _exp(np.float32(-2) * min(max(f, np.float32(-15)), np.float32(15)))
        h = _exp(-min(max(g, np.float32(-40)), np.float32(40)))
        a[c] = (1 - e) / ((1 + e) * (1 + h))


@_compiled
def _wait(arrived, member):
    """Until every member of the team has come here as often as this one."""
    count = arrived[member, 0] + 1
    _store(arrived, member, count)
    for other in range(len(arrived)):
        turns = 0
        while _load(arrived, other) < count:
            turns += 1
            if turns > _PATIENCE:
                _let_others_run()


@_compiled
def _row(
    w,
    time,
    samples,
    rings,
    scratch,
    uniforms,
    temperature,
    conditions,
    hold,
    phase,
    kind,
    classes,
    codes,
    arrived,
    member,
):
    """All samples of one row, of which each member of a team makes a share of all outputs."""
    num_layers, num_taps = w.taps.values.shape[:2]
    gates, width = w.taps.values.shape[3] // 2, w.input.shape[2]
    x, z, a, added, skips, hidden, out = scratch
    team = len(arrived)

    def share(count):
        return member * count // team, (member + 1) * count // team

    of_gates, of_width = share(gates), share(width)
    of_skips, of_hidden = share(w.skip.values.shape[2]), share(w.head.values.shape[1])
    of_out = share(len(out))
    for t in range(len(uniforms)):
        condition = conditions[(t + phase % hold) // hold if hold else 0]
        for c in range(of_width[0], of_width[1]):
            x[c] = w.input_bias[c]
            for tap in range(w.input.shape[0]):
                if len(w.values):
                    x[c] += w.values[samples[tap]] * w.input[tap, 0, c]
                else:
                    x[c] += w.input[tap, samples[tap], c]
        skips[of_skips[0] : of_skips[1]] = 0
        _wait(arrived, member)
        for layer in range(num_layers):
            begin = w.begins[layer]
            size = w.begins[layer + 1] - begin
            for half in (0, gates):
                first, last = half + of_gates[0], half + of_gates[1]
                z[first:last] = 0
                for tap in range(num_taps - 1):
                    lag = (num_taps - 1 - tap) * w.dilations[layer]
                    before = rings[begin + (time + t - lag) % size]
                    _product(w.taps.values[layer, tap], before, z, first, last)
                _product(w.taps.values[layer, num_taps - 1], x, z, first, last)
            _gates(z, condition[layer], w.taps.scale[layer], a, of_gates[0], of_gates[1])
            if member == 0:
                rings[begin + (time + t) % size] = x
            _wait(arrived, member)
            _product(w.skip.values[layer], a, skips, of_skips[0], of_skips[1])
            if layer < num_layers - 1:
                _dense(
                    w.residual.values[layer],
                    w.residual.scale[layer],
                    w.residual_bias[layer],
                    a,
                    added,
                    of_width[0],
                    of_width[1],
                )
                for c in range(of_width[0], of_width[1]):
                    x[c] += added[c]
            _wait(arrived, member)
        for c in range(of_skips[0], of_skips[1]):
            skips[c] = max(np.float32(0), skips[c] * w.skip.scale[c] + w.skip_bias[c])
        _wait(arrived, member)
        _dense(
            w.head.values, w.head.scale, w.head_bias, skips, hidden, of_hidden[0], of_hidden[1]
        )
        _rectify(hidden, of_hidden[0], of_hidden[1])
        _wait(arrived, member)
        _dense(w.output.values, w.output.scale, w.output_bias, hidden, out, of_out[0], of_out[1])
        _wait(arrived, member)
        if member == 0:
            codes[t] = _draw(out, uniforms[t], temperature, kind, classes)
            samples[:-1] = samples[1:]
            samples[-1] = codes[t]
        _wait(arrived, member)


@_compiled
def _draw(out, uniform, temperature, kind, classes):
    """The code at which the cumulative distribution passes a number; see `distributions`."""
    if kind == _CATEGORICAL:
        return _pick(out, uniform, temperature)[0]
    number = max(1, len(out) // 3)
    component, within = 0, uniform
    if number > 1 or len(out) == 3:
        component, within = _pick(out[:number], uniform, temperature)
    first = len(out) - 2 * number
    mean = min(max(out[first + component], np.float32(-1e3)), np.float32(1e3))
    log_scale = out[first + number + component]
    log_scale = min(max(log_scale, np.float32(math.log(0.25 / classes))), np.float32(_MOST_SCALE))
    within = min(max(np.float64(within), 2.0**-24), 1 - 2.0**-24)
    deviation = math.log(within) - math.log1p(-within) if kind == _LOGISTIC else _normal(within)
    value = mean + temperature * np.float32(math.exp(log_scale)) * np.float32(deviation)
    half = classes // 2
    value = min(max(value, np.float32(-2)), np.float32(2))
    return min(max(int(math.floor(value * half + np.float32(0.5))) + half, 0), classes - 1)


@_compiled
def _pick(logits, uniform, temperature):
    """The class at which the cumulative softmax passes a number, and how far within it."""
    weights = np.empty(len(logits), np.float32)
    _softmax_weights(logits, 1 / max(temperature, np.float32(1e-6)), weights)
    total = np.float32(0)
    for c in range(len(weights)):
        total += weights[c]
    place = uniform * total
    end = np.float32(0)
    index = len(weights) - 1
    for c in range(len(weights)):
        end += weights[c]
        if end > place:
            index = c
            break
    return index, 1 - (end - place) / max(weights[index], np.float32(1e-30))


@_fast
def _softmax_weights(logits, factor, weights):
    largest = logits[0]
    for c in range(len(logits)):
        largest = max(largest, logits[c])
    for c in range(len(logits)):
        weights[c] = _exp(max((logits[c] - largest) * factor, np.float32(-80)))


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
