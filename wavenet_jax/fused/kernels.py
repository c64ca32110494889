"""The compiled functions of the fused stack and of dense layers, for one core of a CPU.

A block's output is computed in tiles of `_TILE_ROWS` rows (a row is one sample of one batch item),
which stay in a core's cache from the taps to the residual output: products, gate and sums make no
trip to memory between them. The backward pass does the same.

All products are made of one: `_WIDE` rows by two vectors of columns, whose sums stay in registers.
Its operands are words of 32 bits: a float32 each, or two bfloat16 that are neighbours along the
summed axis, for which AVX-512 has an instruction that adds both products in float32.

All functions that are compiled together are in this file, because numba invalidates its cache of
compiled functions by the file of the outermost one alone.
"""

import functools
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

_FEATURES = llvmlite.binding.get_host_cpu_features()

HAS_BFLOAT16 = bool(_FEATURES.get("avx512bf16"))
"""Whether this CPU multiplies numbers of bfloat16."""

_LANES = 16 if _FEATURES.get("avx512f") else 8
_VECTORS = 2
_WIDE = 8 if _FEATURES.get("avx512f") else 4
_TILE_ROWS = 96
_DENSE_TILE_ROWS = 256

FLOAT32, BFLOAT16 = range(2)
"""Of the operands of products; sums are in float32."""


def _compiled(function: Callable) -> Any:
    """The function, compiled when it is first called, and cached on disk where that is possible."""
    compile_ = functools.partial(numba.njit, nogil=True, error_model="numpy")
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # numba finds no folder to write to
        return compile_()(function)


# -- what XLA calls a function with ----------------------------------------------------------

# Offsets in bytes of what is read of XLA_FFI_CallFrame (xla/ffi/api/c_api.h, in jaxlib).
_EXTENSION, _API, _ARGUMENTS, _RESULTS, _ATTRIBUTES = 8, 16, 72, 112, 160
_EXTENSION_TYPE, _EXTENSION_METADATA, _IS_METADATA = 8, 24, 1
_API_MAJOR, _API_MINOR, _METADATA_MAJOR, _METADATA_MINOR = 32, 36, 24, 28
_BUFFER_DATA, _BUFFER_DIMENSIONS, _ARRAY_SIZE, _ARRAY_DATA = 24, 40, 8, 16


def _pointer_to(kind: ir.Type, numba_kind: Any) -> Any:
    """A function from an address to a pointer."""

    @intrinsic
    def pointer(typing, address):
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], kind.as_pointer())

        return numba.types.CPointer(numba_kind)(numba.types.int64), generate

    return pointer


_int64_at = _pointer_to(ir.IntType(64), numba.types.int64)
_int32_at = _pointer_to(ir.IntType(32), numba.types.int32)
_float32_at = _pointer_to(ir.FloatType(), numba.types.float32)


@_compiled
def _read(address):
    return numba.carray(_int64_at(address), 1)[0]


@_compiled
def _float32_array(address, rows, columns):
    return numba.carray(_float32_at(address), (rows, columns))


@_compiled
def _sizes(call):
    """The call's only attribute, whole numbers."""
    array = _read(_read(call + _ATTRIBUTES))
    return numba.carray(_int64_at(_read(array + _ARRAY_DATA)), _read(array + _ARRAY_SIZE))


@_compiled
def _argument(call, index):
    return _read(_read(_read(call + _ARGUMENTS) + 8 * index) + _BUFFER_DATA)


@_compiled
def _result(call, index):
    return _read(_read(_read(call + _RESULTS) + 8 * index) + _BUFFER_DATA)


@_compiled
def _argument_rows(call, index):
    """The length of an argument's first axis."""
    return _read(_read(_read(_read(call + _ARGUMENTS) + 8 * index) + _BUFFER_DIMENSIONS))


@_compiled
def _asks_for_version(call):
    """Whether XLA asks, before the first call, which version of its interface is spoken: its own,
    which is answered."""
    extension = _read(call + _EXTENSION)
    if extension == 0 or numba.carray(_int32_at(extension + _EXTENSION_TYPE), 1)[0] != _IS_METADATA:
        return False
    metadata, api = _read(extension + _EXTENSION_METADATA), _read(call + _API)
    version = numba.carray(_int32_at(metadata + _METADATA_MAJOR), 2)
    own = numba.carray(_int32_at(api + _API_MAJOR), 2)
    version[0], version[1] = own[0], own[1]
    return True


def _handler(function: Callable[[int], int]) -> Any:
    """A function that XLA calls with the address of a call frame; 0 says that it succeeded."""
    compile_ = functools.partial(
        numba.cfunc, numba.types.int64(numba.types.int64), error_model="numpy"
    )
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # numba finds no folder to write to
        return compile_()(function)


# -- one product, in registers -------------------------------------------------------------

_I64, _I32, _F32 = ir.IntType(64), ir.IntType(32), ir.FloatType()
_FLOATS, _WORDS = ir.VectorType(_F32, _LANES), ir.VectorType(_I32, _LANES)


class _BFloat16(ir.Type):
    """LLVM's bfloat, which llvmlite does not have."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)


_HALVES = ir.VectorType(_BFloat16(), 2 * _LANES)
_HALF_WORDS = ir.VectorType(ir.IntType(16), _LANES)


def _splat(builder, word):
    """A vector of one word in all lanes."""
    kind = ir.VectorType(word.type, _LANES)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, word, ir.Constant(_I32, 0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(_I32, _LANES), [0] * _LANES)
    )


def _add_float32(builder, total, x, weights):
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{_LANES}f32")
    return builder.call(fma, [x, weights, total])


def _add_bfloat16(builder, total, x, weights):
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _HALVES, _HALVES])
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    dot = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(
        dot, [total, builder.bitcast(x, _HALVES), builder.bitcast(weights, _HALVES)]
    )


_KINDS = {FLOAT32: (_F32, _FLOATS, _add_float32), BFLOAT16: (_I32, _WORDS, _add_bfloat16)}


def _tile_product(rows: int, precision: int):
    """c += a b for `rows` rows and two vectors of columns, compiled for these sizes.

    The arguments are addresses, and strides in words of 32 bits: `a`, from row to row and along
    the summed axis; `b`, along the summed axis; `c`, from row to row; the summed axis's words.
    """
    word, vector, add = _KINDS[precision]

    @intrinsic
    def product(typing, a, a_row, a_sum, b, b_sum, c, c_row, length):
        signature = numba.types.void(*[numba.types.int64] * 8)

        def generate(context, builder, signature, arguments):
            a, a_row, a_sum, b, b_sum, c, c_row, length = arguments
            a, b = (builder.inttoptr(x, word.as_pointer()) for x in (a, b))
            c = builder.inttoptr(c, _F32.as_pointer())

            def at(pointer, *offsets):
                for offset in offsets:
                    pointer = builder.gep(pointer, [offset])
                return pointer

            def times(stride, number: int):
                return builder.mul(stride, ir.Constant(_I64, number))

            columns = [ir.Constant(_I64, i * _LANES) for i in range(_VECTORS)]
            results = [
                [
                    builder.bitcast(at(c, times(c_row, row), column), _FLOATS.as_pointer())
                    for column in columns
                ]
                for row in range(rows)
            ]
            # In registers: LLVM promotes what is only loaded and stored whole.
            totals = [[cgutils.alloca_once(builder, _FLOATS) for _ in columns] for _ in results]
            for row in range(rows):
                for i in range(_VECTORS):
                    builder.store(builder.load(results[row][i], align=4), totals[row][i])
            with cgutils.for_range(builder, length) as loop:
                along_a, along_b = builder.mul(loop.index, a_sum), builder.mul(loop.index, b_sum)
                weights = [
                    builder.load(
                        builder.bitcast(at(b, along_b, column), vector.as_pointer()), align=4
                    )
                    for column in columns
                ]
                for row in range(rows):
                    x = _splat(builder, builder.load(at(a, times(a_row, row), along_a), align=4))
                    for i in range(_VECTORS):
                        total = builder.load(totals[row][i])
                        builder.store(add(builder, total, x, weights[i]), totals[row][i])
            for row in range(rows):
                for i in range(_VECTORS):
                    builder.store(builder.load(totals[row][i]), results[row][i], align=4)
            return context.get_dummy_value()

        return signature, generate

    return product


_wide_float32, _single_float32 = (_tile_product(rows, FLOAT32) for rows in (_WIDE, 1))
# Where the CPU has no such instruction, nobody packs operands of bfloat16.
_wide_bfloat16, _single_bfloat16 = (
    _tile_product(rows, BFLOAT16 if HAS_BFLOAT16 else FLOAT32) for rows in (_WIDE, 1)
)


@_compiled
def _add_product(a, a_row, a_sum, b, b_sum, c, c_row, rows, columns, length, precision):
    """c += a b, `[rows, length] [length, columns]`, as `_tile_product` takes them."""
    whole = rows - rows % _WIDE
    for column in range(0, columns, _VECTORS * _LANES):
        b_column, c_column = b + 4 * column, c + 4 * column
        if precision == BFLOAT16:
            for row in range(0, whole, _WIDE):
                _wide_bfloat16(
                    a + 4 * row * a_row, a_row, a_sum, b_column, b_sum,
                    c_column + 4 * row * c_row, c_row, length,
                )  # fmt: skip
            for row in range(whole, rows):
                _single_bfloat16(
                    a + 4 * row * a_row, a_row, a_sum, b_column, b_sum,
                    c_column + 4 * row * c_row, c_row, length,
                )  # fmt: skip
        else:
            for row in range(0, whole, _WIDE):
                _wide_float32(
                    a + 4 * row * a_row, a_row, a_sum, b_column, b_sum,
                    c_column + 4 * row * c_row, c_row, length,
                )  # fmt: skip
            for row in range(whole, rows):
                _single_float32(
                    a + 4 * row * a_row, a_row, a_sum, b_column, b_sum,
                    c_column + 4 * row * c_row, c_row, length,
                )  # fmt: skip


# -- rows, a vector at a time ---------------------------------------------------------------


def _along_rows(body: Callable) -> Any:
    """A function of six addresses of rows and their length, a multiple of `ops.MULTIPLE`: the body,
    one vector after the other. Addresses that the body does not take are 0."""

    @intrinsic
    def run(typing, a, b, c, d, e, f, length):
        signature = numba.types.void(*[numba.types.int64] * 7)

        def generate(context, builder, signature, arguments):
            *addresses, length = arguments
            pointers = [builder.inttoptr(each, _F32.as_pointer()) for each in addresses]
            vectors = builder.udiv(length, ir.Constant(_I64, _LANES))
            with cgutils.for_range(builder, vectors) as loop:
                place = builder.mul(loop.index, ir.Constant(_I64, _LANES))
                body(_Row(builder, pointers, place))
            return context.get_dummy_value()

        return signature, generate

    return run


class _Row:
    """What a body of `_along_rows` computes with: the vectors at one place of its rows."""

    def __init__(self, builder, pointers, place):
        self.builder, self._pointers, self._place = builder, pointers, place

    def load(self, which: int):
        pointer = self.builder.gep(self._pointers[which], [self._place])
        return self.builder.load(self.builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)

    def store(self, value, which: int, *, halves: bool = False):
        """Stores a vector; one that is half as wide as the rows that are read, with `halves`."""
        place = self._place
        if halves:
            place = self.builder.udiv(place, ir.Constant(_I64, 2))
        pointer = self.builder.gep(self._pointers[which], [place])
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=4)

    def halves(self, which: int):
        """A vector's bits in bfloat16. On a CPU without the instruction, where nobody needs them,
        cut off: LLVM would call a function that is not there."""
        value = self.load(which)
        if HAS_BFLOAT16:
            halves = self.builder.fptrunc(value, ir.VectorType(_BFloat16(), _LANES))
            return self.builder.bitcast(halves, _HALF_WORDS)
        words = self.builder.bitcast(value, _WORDS)
        upper = self.builder.lshr(words, ir.Constant(_WORDS, [16] * _LANES))
        return self.builder.trunc(upper, _HALF_WORDS)

    def number(self, value: float):
        return ir.Constant(_FLOATS, [float(np.float32(value))] * _LANES)

    def add(self, a, b):
        return self.builder.fadd(a, b)

    def subtract(self, a, b):
        return self.builder.fsub(a, b)

    def multiply(self, *factors):
        product, *rest = factors
        for each in rest:
            product = self.builder.fmul(product, each)
        return product

    def call(self, name: str, *operands):
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(operands))
        function = cgutils.get_or_insert_function(
            self.builder.module, kind, f"llvm.{name}.v{_LANES}f32"
        )
        return self.builder.call(function, operands)

    def exp(self, x, limit: float):
        """e^x; for x beyond +-limit, which is at most 80, that of +-limit; NaN for NaN."""
        for bound, beyond in ((limit, ">"), (-limit, "<")):
            is_beyond = self.builder.fcmp_ordered(beyond, x, self.number(bound))
            x = self.builder.select(is_beyond, self.number(bound), x)
        turns = self.call("rint", self.multiply(x, self.number(1.4426950408889634)))
        rest = self.call("fma", turns, self.number(-0.693359375), x)
        rest = self.call("fma", turns, self.number(2.12194440e-4), rest)
        power = self.number(1 / 5040)
        for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
            power = self.call("fma", power, rest, self.number(coefficient))
        whole = self.builder.fptosi(turns, _WORDS)
        bits = self.builder.add(whole, ir.Constant(_WORDS, [127] * _LANES))
        bits = self.builder.shl(bits, ir.Constant(_WORDS, [23] * _LANES))
        return self.multiply(power, self.builder.bitcast(bits, _FLOATS))


@_along_rows
def _copy(row):
    """b = a."""
    row.store(row.load(0), 1)


@_along_rows
def _add(row):
    """c = a + b."""
    row.store(row.add(row.load(0), row.load(1)), 2)


@_along_rows
def _gate(row):
    """From the filter's and the gate's sums tanh, sigmoid, and their product."""
    one = row.number(1)
    # Beyond these limits float32 has no other results, and within them the products are finite.
    e = row.exp(row.multiply(row.load(0), row.number(-2)), 30)
    h = row.exp(row.multiply(row.load(1), row.number(-1)), 40)
    one_e, one_h = row.add(one, e), row.add(one, h)
    # One division for both.
    share = row.builder.fdiv(one, row.multiply(one_e, one_h))
    tanh = row.multiply(row.subtract(one, e), one_h, share)
    sigmoid = row.multiply(one_e, share)
    row.store(tanh, 2)
    row.store(sigmoid, 3)
    row.store(row.multiply(tanh, sigmoid), 4)


@_along_rows
def _gate_gradient(row):
    """From tanh, sigmoid and the gradient of their product: the product again, and the gradients of
    the filter's and the gate's sums."""
    one = row.number(1)
    tanh, sigmoid, slope = row.load(0), row.load(1), row.load(2)
    product = row.multiply(tanh, sigmoid)
    row.store(product, 3)
    of_filter = row.subtract(one, row.multiply(tanh, tanh))
    row.store(row.multiply(slope, sigmoid, of_filter), 4)
    row.store(row.multiply(slope, product, row.subtract(one, sigmoid)), 5)


@_along_rows
def _pack_row(row):
    """b = a in bfloat16, neighbours in one word."""
    row.store(row.halves(0), 1, halves=True)


@_along_rows
def _pack_two_rows(row):
    """c = a and b in bfloat16, both in one word."""
    first, second = row.halves(0), row.halves(1)
    order = [i + lane for lane in range(_LANES) for i in (0, _LANES)]
    places = ir.Constant(ir.VectorType(_I32, 2 * _LANES), order)
    row.store(row.builder.shuffle_vector(first, second, places), 2)


# -- operands ------------------------------------------------------------------------------


@_compiled
def _address(array):
    return np.int64(array.ctypes.data)


@_compiled
def _pack_along_rows(values, packed):
    """Neighbours in a row as one word: float32 `[M, 2n]` to words `[M, n]`."""
    a, stride = _address(values), values.strides[0]
    b, packed_stride = _address(packed), packed.strides[0]
    for i in range(len(values)):
        _pack_row(a + i * stride, b + i * packed_stride, 0, 0, 0, 0, values.shape[1])


@_compiled
def _pack_across_rows(values, packed):
    """Rows 2i and 2i + 1 as one: float32 `[M, n]` to words `[ceil(M / 2), n]`; zeros at the end."""
    nothing = np.zeros(values.shape[1], np.float32)
    a, stride = _address(values), values.strides[0]
    b, packed_stride = _address(packed), packed.strides[0]
    for i in range(0, len(values), 2):
        second = a + (i + 1) * stride if i + 1 < len(values) else _address(nothing)
        _pack_two_rows(a + i * stride, second, b + i // 2 * packed_stride, 0, 0, 0, values.shape[1])


@_compiled
def _transpose(values, transposed):
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            transposed[j, i] = values[i, j]


@_compiled
def _operand(weights, precision):
    """Weights `[n, m]` as the second operand of a product that sums over n."""
    if precision == FLOAT32:
        return weights.view(np.uint32)
    packed = np.empty((len(weights) // 2, weights.shape[1]), np.uint32)
    _pack_across_rows(weights, packed)
    return packed


@_compiled
def _rows_operand(values, packed, precision):
    """Values `[M, n]` as the first operand of a product that sums over n: address, stride, length;
    `packed` is room for them."""
    if precision == FLOAT32:
        return _address(values), values.strides[0] // 4, values.shape[1]
    _pack_along_rows(values, packed)
    return _address(packed), packed.shape[1], packed.shape[1]


@_compiled
def _add_rows_product(values, packed, operand, result, precision):
    """result += values times the weights of `operand`; `packed` is room for the values."""
    a, a_row, length = _rows_operand(values, packed, precision)
    _add_product(
        a, a_row, 1, _address(operand), operand.shape[1], _address(result),
        result.strides[0] // 4, len(values), result.shape[1], length, precision,
    )  # fmt: skip


@_compiled
def _columns_operand(values, packed, precision):
    """Values `[M, n]` as either operand of a product that sums over M: address, stride, length."""
    if precision == FLOAT32:
        return _address(values), values.strides[0] // 4, len(values)
    _pack_across_rows(values, packed)
    return _address(packed), packed.shape[1], (len(values) + 1) // 2


# -- the stack -----------------------------------------------------------------------------


@_compiled
def _condition_row(row, batch, offset, samples_per_frame, frames_batch):
    """The row of the condition `[F * frames_batch, 2G]` that holds for a row of the block."""
    time = row // batch
    frame_ = (time + offset) // samples_per_frame if samples_per_frame else 0
    return frame_ * frames_batch + (row % batch if frames_batch > 1 else 0)


@_handler
def stack_forward(call):
    """All blocks of `ops.stack`: its arguments and results are in the order of `_stack_forward`."""
    if _asks_for_version(call):
        return 0
    sizes = _sizes(call)
    layers, batch, width, half, taps = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    scored, precision = sizes[5], sizes[6]
    x_at, gated_at = _argument(call, 0), _result(call, 0)
    z, gated = (
        np.empty((_TILE_ROWS, 2 * half), np.float32),
        np.empty((_TILE_ROWS, half), np.float32),
    )
    packed_x = np.empty((_TILE_ROWS, width // 2), np.uint32)
    packed_gated = np.empty((_TILE_ROWS, half // 2), np.uint32)
    all_gated = _float32_array(gated_at, scored, layers * half)
    for layer in range(layers):
        of_layer = sizes[7 + 6 * layer :]
        dilation, samples_per_frame, offset = of_layer[0], of_layer[1], of_layer[2]
        frames, frames_batch, rows = of_layer[3], of_layer[4], of_layer[5]
        first = 1 + 4 * layer
        condition = _float32_array(_argument(call, first + 1), frames * frames_batch, 2 * half)
        x = _float32_array(x_at, rows + (taps - 1) * dilation * batch, width)
        kernel = _float32_array(_argument(call, first), taps * width, 2 * half)
        operand = _operand(kernel, precision)
        each = len(operand) // taps
        residual = _float32_array(_argument(call, first + 2), half, width)
        bias = _float32_array(_argument(call, first + 3), 1, width)
        is_last = layer == layers - 1
        residual_operand = operand if is_last else _operand(residual, precision)
        gates = _float32_array(_result(call, 1 + 2 * layer), rows, 2 * half)
        y_at = x_at if is_last else _result(call, 2 + 2 * layer)
        y = _float32_array(y_at, rows, width)
        for begin in range(0, rows, _TILE_ROWS):
            end = min(begin + _TILE_ROWS, rows)
            number = end - begin
            for i in range(number):
                of = _condition_row(begin + i, batch, offset, samples_per_frame, frames_batch)
                _copy(
                    _address(condition) + of * 8 * half, _address(z) + i * 8 * half,
                    0, 0, 0, 0, 2 * half,
                )  # fmt: skip
            for tap in range(taps):
                at = begin + tap * dilation * batch
                _add_rows_product(
                    x[at : at + number],
                    packed_x[:number],
                    operand[tap * each : (tap + 1) * each],
                    z[:number],
                    precision,
                )
            for i in range(number):
                from_, to = _address(z) + i * 8 * half, _address(gates) + (begin + i) * 8 * half
                result = _address(gated) + i * 4 * half
                _gate(from_, from_ + 4 * half, to, to + 4 * half, result, 0, half)
                row = begin + i - (rows - scored)
                if row >= 0:
                    to = _address(all_gated) + 4 * half * (row * layers + layer)
                    _copy(result, to, 0, 0, 0, 0, half)
            if not is_last:
                at = begin + (taps - 1) * dilation * batch
                for i in range(number):
                    _add(
                        _address(x) + (at + i) * 4 * width, _address(bias),
                        _address(y) + (begin + i) * 4 * width, 0, 0, 0, width,
                    )  # fmt: skip
                _add_rows_product(
                    gated[:number],
                    packed_gated[:number],
                    residual_operand,
                    y[begin:end],
                    precision,
                )
        x_at = y_at
    return 0


@_handler
def stack_backward(call):
    """The gradients of all blocks, in the order of `_stack_backward` in `ops`."""
    if _asks_for_version(call):
        return 0
    sizes = _sizes(call)
    layers, batch, width, half, taps = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    scored, precision = sizes[5], sizes[6]
    rows_of_x = _argument_rows(call, 1) * batch
    slopes_of_gated = _float32_array(_argument(call, 0), scored, layers * half)
    # Of x after and before a layer, in turn; the last result is the caller's.
    first_slopes = _float32_array(_result(call, 0), rows_of_x, width)
    buffers = np.empty((2, rows_of_x, width), np.float32)
    y_slopes = buffers[0, :0]
    z_slopes = np.empty((_TILE_ROWS, 2 * half), np.float32)
    gated = np.empty((_TILE_ROWS, half), np.float32)
    slopes = np.empty((_TILE_ROWS, half), np.float32)
    pairs = (_TILE_ROWS + 1) // 2
    packed_y = np.empty((_TILE_ROWS, width // 2), np.uint32)
    packed_z = np.empty((_TILE_ROWS, half), np.uint32)
    x_pairs = np.empty((pairs, width), np.uint32)
    y_pairs, gated_pairs = np.empty((pairs, width), np.uint32), np.empty((pairs, half), np.uint32)
    z_pairs = np.empty((pairs, 2 * half), np.uint32)
    for layer in range(layers - 1, -1, -1):
        of_layer = sizes[7 + 6 * layer :]
        dilation, samples_per_frame, offset = of_layer[0], of_layer[1], of_layer[2]
        frames, frames_batch, rows = of_layer[3], of_layer[4], of_layer[5]
        first, is_last = 1 + 4 * layer, layer == layers - 1
        before = (taps - 1) * dilation * batch
        x = _float32_array(_argument(call, first), rows + before, width)
        gates = _float32_array(_argument(call, first + 1), rows, 2 * half)
        kernel = _float32_array(_argument(call, first + 2), taps * width, 2 * half)
        residual = _float32_array(_argument(call, first + 3), half, width)
        of_kernel = _float32_array(_result(call, first), taps * width, 2 * half)
        of_condition = _float32_array(_result(call, first + 1), frames * frames_batch, 2 * half)
        of_residual = _float32_array(_result(call, first + 2), half, width)
        of_bias = _float32_array(_result(call, first + 3), 1, width)
        of_kernel[:] = 0
        of_condition[:] = 0
        if not is_last:
            of_residual[:] = 0
            of_bias[:] = 0
        x_slopes = first_slopes if layer == 0 else buffers[layer % 2, : rows + before]
        x_slopes[:] = 0
        transposed = np.empty((taps * 2 * half, width), np.float32)
        for tap in range(taps):
            _transpose(
                kernel[tap * width : (tap + 1) * width],
                transposed[tap * 2 * half : (tap + 1) * 2 * half],
            )
        operand = _operand(transposed, precision)
        each = len(operand) // taps
        if is_last:
            residual_operand = operand
        else:
            transposed_residual = np.empty((width, half), np.float32)
            _transpose(residual, transposed_residual)
            residual_operand = _operand(transposed_residual, precision)
        for begin in range(0, rows, _TILE_ROWS):
            end = min(begin + _TILE_ROWS, rows)
            number = end - begin
            for i in range(number):
                row = begin + i - (rows - scored)
                if row >= 0:
                    from_ = _address(slopes_of_gated) + 4 * half * (row * layers + layer)
                    _copy(from_, _address(slopes) + i * 4 * half, 0, 0, 0, 0, half)
                else:
                    slopes[i] = 0
            if not is_last:
                _add_rows_product(
                    y_slopes[begin:end],
                    packed_y[:number],
                    residual_operand,
                    slopes[:number],
                    precision,
                )
            for i in range(number):
                from_ = _address(gates) + (begin + i) * 8 * half
                to = _address(z_slopes) + i * 8 * half
                _gate_gradient(
                    from_, from_ + 4 * half, _address(slopes) + i * 4 * half,
                    _address(gated) + i * 4 * half, to, to + 4 * half, half,
                )  # fmt: skip
            z_at, z_stride, length = _columns_operand(z_slopes[:number], z_pairs, precision)
            z_rows, z_row, width_of_z = _rows_operand(z_slopes[:number], packed_z, precision)
            for tap in range(taps):
                at = begin + tap * dilation * batch
                _add_product(
                    z_rows, z_row, 1, _address(operand) + 4 * tap * each * width, width,
                    _address(x_slopes) + 4 * at * width, width,
                    number, width, width_of_z, precision,
                )  # fmt: skip
                a, a_stride, _ = _columns_operand(x[at : at + number], x_pairs, precision)
                _add_product(
                    a, 1, a_stride, z_at, z_stride,
                    _address(of_kernel) + 4 * tap * width * 2 * half, 2 * half,
                    width, 2 * half, length, precision,
                )  # fmt: skip
            for i in range(number):
                of = _condition_row(begin + i, batch, offset, samples_per_frame, frames_batch)
                to = _address(of_condition) + of * 8 * half
                _add(to, _address(z_slopes) + i * 8 * half, to, 0, 0, 0, 2 * half)
            if not is_last:
                at = begin + before
                for i in range(number):
                    slope = _address(y_slopes) + (begin + i) * 4 * width
                    to = _address(x_slopes) + (at + i) * 4 * width
                    _add(to, slope, to, 0, 0, 0, width)
                    _add(_address(of_bias), slope, _address(of_bias), 0, 0, 0, width)
                a, a_stride, _ = _columns_operand(gated[:number], gated_pairs, precision)
                b, b_stride, _ = _columns_operand(y_slopes[begin:end], y_pairs, precision)
                _add_product(
                    a, 1, a_stride, b, b_stride, _address(of_residual), width,
                    half, width, length, precision,
                )  # fmt: skip
        y_slopes = x_slopes
    return 0


# -- dense layers --------------------------------------------------------------------------


@_handler
def dense_forward(call):
    """x `[N, n]` times a kernel `[n, m]`."""
    if _asks_for_version(call):
        return 0
    sizes = _sizes(call)
    rows, width, columns, precision = sizes[0], sizes[1], sizes[2], sizes[3]
    x = _float32_array(_argument(call, 0), rows, width)
    kernel = _float32_array(_argument(call, 1), width, columns)
    y = _float32_array(_result(call, 0), rows, columns)
    operand = _operand(kernel, precision)
    packed = np.empty((_DENSE_TILE_ROWS, width // 2), np.uint32)
    for begin in range(0, rows, _DENSE_TILE_ROWS):
        end = min(begin + _DENSE_TILE_ROWS, rows)
        y[begin:end] = 0
        _add_rows_product(x[begin:end], packed[: end - begin], operand, y[begin:end], precision)
    return 0


@_handler
def dense_backward(call):
    """From the gradient of y, those of x and the kernel."""
    if _asks_for_version(call):
        return 0
    sizes = _sizes(call)
    rows, width, columns, precision = sizes[0], sizes[1], sizes[2], sizes[3]
    x = _float32_array(_argument(call, 0), rows, width)
    kernel = _float32_array(_argument(call, 1), width, columns)
    slopes = _float32_array(_argument(call, 2), rows, columns)
    x_slopes = _float32_array(_result(call, 0), rows, width)
    of_kernel = _float32_array(_result(call, 1), width, columns)
    of_kernel[:] = 0
    transposed = np.empty((columns, width), np.float32)
    _transpose(kernel, transposed)
    operand = _operand(transposed, precision)
    packed = np.empty((_DENSE_TILE_ROWS, columns // 2), np.uint32)
    pairs = (_DENSE_TILE_ROWS + 1) // 2
    x_pairs, slope_pairs = (
        np.empty((pairs, width), np.uint32),
        np.empty((pairs, columns), np.uint32),
    )
    for begin in range(0, rows, _DENSE_TILE_ROWS):
        end = min(begin + _DENSE_TILE_ROWS, rows)
        x_slopes[begin:end] = 0
        _add_rows_product(
            slopes[begin:end], packed[: end - begin], operand, x_slopes[begin:end], precision
        )
        a, a_stride, length = _columns_operand(x[begin:end], x_pairs, precision)
        b, b_stride, _ = _columns_operand(slopes[begin:end], slope_pairs, precision)
        _add_product(
            a, 1, a_stride, b, b_stride, _address(of_kernel), columns,
            width, columns, length, precision,
        )  # fmt: skip
    return 0
