"""A model's parameters and state in the order in which the kernels read them."""

import dataclasses
import functools
import itertools
from typing import Any, NamedTuple

import jax
import numpy as np

from wavenet_jax import parallel
from wavenet_jax.config import WaveNetConfig
from wavenet_jax.distributions import MAX_LOG_SCALE, MAX_MEAN, MIN_WITHIN, Mixture
from wavenet_jax.sampling.cpu import kernels
from wavenet_jax.sampling.cpu.kernels import WIDTH
from wavenet_jax.sampling.precision import Precision, matrix
from wavenet_jax.state import State

_KINDS = {
    "categorical": kernels.CATEGORICAL,
    "logistic_mixture": kernels.LOGISTIC,
    "gaussian_mixture": kernels.GAUSSIAN,
    "gaussian": kernels.GAUSSIAN,
}


BLOCKS = {"gated": kernels.GATED, "fftnet": kernels.FFTNET}
"""What the kernels compute, by the name that a config's `block` gives."""


class Kernel(NamedTuple):
    """Kernels `[n, I, O]`, one for each layer or tap, in the order in which they are read.

    Attributes:
      values: `[n, blocks of outputs, pairs of inputs, 2 WIDTH]`; of a pair in float32 first all
        outputs of the one input, then those of the other, else the two weights of each output.
      scales: `[n, O]`, of each output.
    """

    values: np.ndarray
    scales: np.ndarray


class Weights(NamedTuple):
    """Parameters of L layers; channels are padded with zeros to whole blocks.

    The gated block adds to x and, beside it, to the skip connections. FFTNet's makes x anew; its
    last layer makes the skip connections in the same columns, the last S of them.
    """

    block: int
    input: np.ndarray  # [k', inputs, R]
    input_bias: np.ndarray  # [R]
    values: np.ndarray  # [K] of the codes, for scalar input; empty for one-hot
    taps: Kernel  # [L k, R, 2G]; of FFTNet [L k, R, G]
    sums: Kernel  # [L, G, R + S]; of FFTNet [L, G, max(R, S)]
    residual_bias: np.ndarray  # [L, R]; of FFTNet [L, max(R, S)]
    skip_bias: np.ndarray  # [S]
    head: Kernel  # [1, S, H]
    head_bias: np.ndarray  # [H]
    output: Kernel  # [1, H, P]
    output_bias: np.ndarray  # [P]
    dilations: np.ndarray  # [L]
    begins: np.ndarray  # [L + 1], the first slot of each ring


class Operands(NamedTuple):
    """Vectors `[n, M, C]` as products take them: `values` times `scales`, `[n, M]`."""

    values: np.ndarray
    scales: np.ndarray


class Share(NamedTuple):
    """The state of M batch items, updated in place; N are the rings' slots together."""

    time: int
    samples: np.ndarray  # [M, k']
    rings: Operands  # [N, M, R]


class Conditions(NamedTuple):
    """Projected conditions of a share's samples."""

    frames: np.ndarray  # [F, L, M, 2G], or M is 1 for all items
    samples_per_frame: int  # 0 where one frame holds for all samples
    phase: int  # samples since the first frame began


class Output(NamedTuple):
    """Constants of the output distribution."""

    kind: int
    classes: int
    parameters: int
    max_mean: float
    min_log_scale: float
    max_log_scale: float
    min_within: float


class Draws(NamedTuple):
    """What decides, beside the model, which samples of a share are drawn."""

    uniforms: np.ndarray  # [M, T]
    temperatures: np.ndarray  # [M, T]
    top_p: np.float32  # 1 to draw among all codes
    output: Output

    def of_samples(self, samples: slice) -> "Draws":
        """Of some of the samples."""
        return self._replace(
            uniforms=self.uniforms[:, samples], temperatures=self.temperatures[:, samples]
        )

    def of_items(self, items: slice) -> "Draws":
        """Of some of the batch items, as the kernels read them."""
        return self._replace(
            uniforms=read_only(self.uniforms[items]),
            temperatures=read_only(self.temperatures[items]),
        )


class Workspace(NamedTuple):
    """Activations of M batch items, `[M, channels]`, and as operands of products."""

    sums: np.ndarray  # x, and beside it the skip connections
    x: Operands
    z: np.ndarray  # of the filter, and beside it of the gate; of FFTNet alone
    gated: np.ndarray
    gated_operands: Operands
    skips: Operands
    hidden: np.ndarray
    hidden_operands: Operands
    out: np.ndarray
    weights: np.ndarray  # of the classes, or of a mixture's components


def pack(config: WaveNetConfig, params: Any, precision: Precision) -> Weights:
    """A model's variables as the kernels read them."""
    tree = jax.tree.map(np.asarray, params["params"])
    layers = [tree["stack"][f"blocks_{i}"] for i in range(len(config.dilations))]
    skips = config.skip_channels
    unchanged = {"kernel": np.eye(skips, dtype=np.float32), "bias": np.zeros(skips, np.float32)}
    head = tree.get("head", unchanged)  # between two ReLUs
    lengths = [(config.kernel_size - 1) * d + 1 for d in config.dilations]
    codes = np.arange(config.num_classes if config.input == "scalar" else 0)
    packed = functools.partial(_packed, precision=precision)
    block = BLOCKS[config.block]
    pack_layers = _pack_fftnet if block == kernels.FFTNET else _pack_gated
    taps, sums, residual_bias = pack_layers(config, layers, tree["skip"], packed)
    return Weights(
        block=block,
        input=_whole_blocks(tree["input"]["kernel"]),
        input_bias=_whole_blocks(tree["input"]["bias"]),
        values=np.array(config.quantizer.values(codes), np.float32),
        taps=taps,
        sums=sums,
        residual_bias=residual_bias,
        skip_bias=_whole_blocks(tree["skip"]["bias"]),
        head=packed([head["kernel"]], skips),
        head_bias=_whole_blocks(head["bias"]),
        output=packed([tree["output"]["kernel"]], config.head_channels or skips),
        output_bias=_whole_blocks(tree["output"]["bias"]),
        dilations=np.array(config.dilations),
        begins=np.cumsum([0, *lengths]),
    )


def _pack_gated(
    config: WaveNetConfig, layers: list[Any], skip: Any, packed: Any
) -> tuple[Kernel, Kernel, np.ndarray]:
    """`taps`, `sums` and `residual_bias` of gated blocks."""
    width, gates = config.residual_channels, config.gate_channels
    none = {"kernel": np.zeros((gates, width), np.float32), "bias": np.zeros(width, np.float32)}
    residuals = [layer.get("residual", none) for layer in layers]
    taps = [layer["kernel"].reshape(-1, 2 * gates) for layer in layers]
    return (
        _beside(
            packed([tap[:, :gates] for tap in taps], width),
            packed([tap[:, gates:] for tap in taps], width),
        ),
        _beside(
            packed([residual["kernel"] for residual in residuals], gates),
            packed([skip["kernel"]], gates),
        ),
        _whole_blocks(np.stack([residual["bias"] for residual in residuals])),
    )


def _pack_fftnet(
    config: WaveNetConfig, layers: list[Any], skip: Any, packed: Any
) -> tuple[Kernel, Kernel, np.ndarray]:
    """The same of FFTNet's blocks."""
    gates = config.gate_channels
    columns = max(
        len(_whole_blocks(np.zeros(n))) for n in (config.residual_channels, len(skip["bias"]))
    )

    def first(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, columns - x.shape[-1])])

    def last(x: np.ndarray) -> np.ndarray:
        x = _whole_blocks(x)
        return np.pad(x, [*[(0, 0)] * (x.ndim - 1), (columns - x.shape[-1], 0)])

    made = [jax.tree.map(first, layer["residual"]) for layer in layers[:-1]]
    made.append(jax.tree.map(last, skip))
    return (
        packed([layer["kernel"].reshape(-1, gates) for layer in layers], config.residual_channels),
        packed([each["kernel"] for each in made], gates),
        np.stack([each["bias"] for each in made]),
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
    values = values.reshape(number, rows // 2, 2, columns // WIDTH, WIDTH)
    order = (0, 3, 1, 2, 4) if precision == "float32" else (0, 3, 1, 4, 2)
    values = values.transpose(order).reshape(number, -1, rows // 2, 2 * WIDTH)
    return Kernel(np.ascontiguousarray(values), _whole_blocks(scales))


def _whole_blocks(values: np.ndarray) -> np.ndarray:
    """With zeros after its channels, the last axis."""
    more = -values.shape[-1] % WIDTH
    return np.pad(values, [*[(0, 0)] * (values.ndim - 1), (0, more)])


def pack_state(state: State, precision: Precision) -> list[Share]:
    """A state as the kernels keep it, in one share."""
    rings = _whole_blocks(np.concatenate([np.asarray(ring, np.float32) for ring in state.rings]))
    operands = _operands(*rings.shape, precision=precision)
    kernels.store_all(rings, operands)
    return [Share(int(state.time), np.array(state.samples), operands)]


def share_out(shares: list[Share]) -> list[Share]:
    """The same state in as many shares as there are cores now: as the rings of a share lie
    together in memory, it is copied where the number has changed."""
    slices = _batch_slices(sum(len(share.samples) for share in shares))
    if len(slices) == len(shares):
        return shares
    whole = _joined(shares)

    def part(items: slice) -> Share:
        rings = (np.ascontiguousarray(values[:, items]) for values in whole.rings)
        return Share(whole.time, whole.samples[items], Operands(*rings))

    return [part(items) for items in slices] if len(slices) > 1 else [whole]


def share_of(shares: list[Share], items: np.ndarray) -> Share:
    """A share of some batch items, each as often as it is named: a copy."""
    whole = _joined(shares)
    rings = (np.take(values, items, axis=1) for values in whole.rings)
    return Share(whole.time, whole.samples[items], Operands(*rings))


def _joined(shares: list[Share]) -> Share:
    """Shares in one."""
    if len(shares) == 1:
        return shares[0]
    rings = zip(*(share.rings for share in shares), strict=True)
    return Share(
        shares[0].time,
        np.concatenate([share.samples for share in shares]),
        Operands(*(np.concatenate(parts, axis=1) for parts in rings)),
    )


def _batch_slices(batch: int) -> list[slice]:
    """The batch items of each thread."""
    edges = np.linspace(0, batch, min(batch, parallel.num_cores()) + 1).astype(int).tolist()
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def output_of(config: WaveNetConfig) -> Output:
    """Constants of a model's output distribution."""
    distribution = config.distribution
    return Output(
        _KINDS[config.output],
        config.num_classes,
        distribution.num_parameters,
        MAX_MEAN,
        distribution.min_log_scale if isinstance(distribution, Mixture) else 0.0,
        MAX_LOG_SCALE,
        MIN_WITHIN,
    )


def make_workspace(weights: Weights, share: Share) -> Workspace:
    """Memory for the activations of a share."""
    items = len(share.samples)
    precision: Precision = "int8" if share.rings.values.dtype == np.int16 else "float32"
    width, skips, head = (
        len(bias) for bias in (weights.input_bias, weights.skip_bias, weights.head_bias)
    )
    z = weights.taps.scales.shape[1]
    gates = z if weights.block == kernels.FFTNET else z // 2
    operands = functools.partial(_operands, 1, items, precision=precision)

    def plain(channels: int) -> np.ndarray:
        return np.zeros((items, channels), np.float32)

    return Workspace(
        sums=plain(weights.sums.scales.shape[1]),
        x=operands(width),
        z=plain(z),
        gated=plain(gates),
        gated_operands=operands(gates),
        skips=operands(skips),
        hidden=plain(head),
        hidden_operands=operands(head),
        out=plain(len(weights.output_bias)),
        weights=plain(len(weights.output_bias)),
    )


def _operands(number: int, items: int, channels: int, *, precision: Precision) -> Operands:
    kind = np.int16 if precision == "int8" else np.float32
    return Operands(np.zeros((number, items, channels), kind), np.ones((number, items), np.float32))


def read_only(array: np.ndarray) -> np.ndarray:
    """A contiguous array that cannot be written: numba compiles once more for one that can, and
    whether jax's arrays can depends on whether a copy was made."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


@dataclasses.dataclass
class CpuState:
    """What generation carries from chunk to chunk.

    Attributes:
      shares: of the batch, one a thread.
      contexts: the model's state without rings, for its context stacks.
    """

    shares: list[Share]
    contexts: State
