"""The fused layers of a CPU against XLA's: outputs, losses, gradients, of every kind of model."""

import dataclasses
import os
import platform
import subprocess
import sys

import grid
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies

from wavenet_jax import Recognizer, WaveNet, WaveNetConfig, fused, layers, training
from wavenet_jax.fused import kernels
from wavenet_jax.training.fusing import fused_precision, unsupported_reason

WIDE = {
    "residual_channels": 64,
    "gate_channels": 32,
    "skip_channels": 96,
    "head_channels": 64,
}
CONFIGS = {
    name: dataclasses.replace(config, **WIDE)
    for name, config in grid.CONFIGS.items()
    if "recognizer" not in name and config.block == "gated"
}
CONFIGS["codes"] = dataclasses.replace(CONFIGS["plain"], num_classes=256)
CONFIGS["one block"] = dataclasses.replace(CONFIGS["plain"], dilations=(2,))
CONFIGS["wide gates"] = dataclasses.replace(
    CONFIGS["plain"], residual_channels=32, gate_channels=96, kernel_size=4
)

BATCH, LENGTH = 3, 137


def gradients(config: WaveNetConfig, precision: str | None):
    """Of a loss that depends on every output, with respect to all parameters."""
    codes = grid.random_codes(config, BATCH, LENGTH)
    conditions = grid.conditions_for(config, BATCH, LENGTH)
    model = WaveNet(config, precision)

    def loss(params):
        outputs = model.apply(
            params,
            codes,
            global_condition=conditions.get("global"),
            local_condition=grid.frames_of(config, conditions, 0, LENGTH),
        )
        return jnp.sum(config.distribution.log_prob_bits(outputs, codes)), outputs

    params = grid.random_params(config)
    return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


def worst(ours, theirs) -> float:
    """The largest error of a leaf, relative to the leaf's size."""
    norms = jax.tree.map(
        lambda a, b: float(jnp.linalg.norm((a - b).ravel()) / (jnp.linalg.norm(b.ravel()) + 1e-6)),
        ours,
        theirs,
    )
    return max(jax.tree.leaves(norms))


@pytest.mark.parametrize("name", grid.each(CONFIGS))
def test_gradients_are_those_of_xla(name: str) -> None:
    """To the rounding of float32, for each kind of condition, input and output."""
    assert unsupported_reason(CONFIGS[name], "cpu") is None
    (bits, outputs), ours = gradients(CONFIGS[name], "float32")
    (plain_bits, plain_outputs), theirs = gradients(CONFIGS[name], None)
    assert float(bits) == pytest.approx(float(plain_bits), rel=2e-6)
    assert worst(outputs, plain_outputs) < 1e-5
    assert worst(ours, theirs) < 3e-5


@pytest.mark.parametrize("name", ["codes", "all", "contexts, speaker, transposed"])
def test_bfloat16_rounds_the_operands_alone(name: str) -> None:
    """Eight bits of each operand: gradients of random parameters differ by a few percent; and
    not at all on a CPU without the instructions."""
    _, ours = gradients(CONFIGS[name], "bfloat16")
    _, theirs = gradients(CONFIGS[name], None)
    error = worst(ours, theirs)
    assert 1e-4 < error < 0.2 if kernels.HAS_BFLOAT16 else error < 3e-5


def block_of(random, taps, width, half, frames, frames_batch, *, is_last) -> fused.Block:
    def draw(*shape):
        return jnp.asarray(random.normal(0, 0.3, shape), jnp.float32)

    residual = () if is_last else (draw(half, width), draw(width))
    return fused.Block(draw(taps, width, 2 * half), draw(frames, frames_batch, 2 * half), *residual)


def plain_stack(x, blocks, shapes):
    """`fused.stack` in the words of the paper's equation 2."""
    outputs = []
    for block, shape in zip(blocks, shapes, strict=True):
        taps = len(block.kernel)
        length = x.shape[0] - (taps - 1) * shape.dilation
        z = sum(
            x[k * shape.dilation : k * shape.dilation + length] @ block.kernel[k]
            for k in range(taps)
        )
        times = np.arange(length) + shape.offset
        frames = times // shape.samples_per_frame if shape.samples_per_frame else 0 * times
        filter_, gate = jnp.split(z + block.condition[frames], 2, axis=-1)
        gated = jnp.tanh(filter_) * jax.nn.sigmoid(gate)
        outputs.append(gated)
        x = x[-length:]
        if block.residual_kernel is not None:
            residual = gated @ block.residual_kernel
            x = x + residual + block.residual_bias[None, None]
    return jnp.concatenate([each[len(each) - length :] for each in outputs], axis=-1)


@hypothesis.given(
    batch=strategies.integers(1, 5),
    length=strategies.integers(1, 210),
    taps=strategies.integers(1, 3),
    width=strategies.sampled_from([32, 64]),
    half=strategies.sampled_from([32, 96]),
    dilations=strategies.lists(strategies.integers(1, 9), min_size=1, max_size=3),
    samples_per_frame=strategies.sampled_from([0, 1, 7]),
    has_batch=strategies.booleans(),
    seed=strategies.integers(0, 2**31),
)
@hypothesis.settings(max_examples=3, deadline=None)
def test_stacks_of_any_shape(
    batch, length, taps, width, half, dilations, samples_per_frame, has_batch, seed
) -> None:
    """Values and gradients, wherever tiles and frames end."""
    random = np.random.default_rng(seed)
    total = length + (taps - 1) * sum(dilations)
    x = jnp.asarray(random.normal(size=(total, batch, width)), jnp.float32)
    blocks, shapes, remaining = [], [], total
    for i, dilation in enumerate(dilations):
        remaining -= (taps - 1) * dilation
        offset = int(random.integers(samples_per_frame)) if samples_per_frame else 0
        frames = -(-(remaining + offset) // samples_per_frame) if samples_per_frame else 1
        is_last = i == len(dilations) - 1
        frames_batch = batch if has_batch else 1
        blocks.append(block_of(random, taps, width, half, frames, frames_batch, is_last=is_last))
        shapes.append(fused.Shape(dilation, samples_per_frame, offset))
    slopes = jnp.asarray(random.normal(size=(length, batch, len(dilations) * half)), jnp.float32)

    def value_and_gradients(function):
        value, backward = jax.vjp(function, x, tuple(blocks))
        return value, backward(slopes)

    ours = value_and_gradients(lambda x, b: fused.stack(x, b, tuple(shapes), "float32"))
    theirs = value_and_gradients(lambda x, b: plain_stack(x, b, shapes))
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, theirs)
    assert worst(ours, theirs) < 3e-5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("filter_", [-1e4, -50.0, 0.0, 50.0, 1e4])
@pytest.mark.parametrize("gate", [-1e4, -100.0, -50.0, 50.0, 1e4])
def test_gates_that_are_saturated(precision, filter_, gate) -> None:
    """tanh and sigmoid have their limits there, gradients are zero, and nothing is NaN."""
    x, kernel = jnp.zeros((3, 1, 32)), jnp.zeros((1, 32, 64))
    sums = jnp.concatenate([jnp.full(32, filter_), jnp.full(32, gate)])[None, None]
    shapes = (fused.Shape(1, 0, 0),)

    def gated(sums):
        return fused.stack(x, (fused.Block(kernel, sums),), shapes, precision)

    value, backward = jax.vjp(gated, sums)
    np.testing.assert_allclose(value, np.tanh(filter_) * jax.nn.sigmoid(gate), atol=1e-6)
    (slopes,) = backward(jnp.ones((3, 1, 32)))
    assert np.isfinite(slopes).all()


def test_nan_is_not_hidden() -> None:
    """The loss of damaged parameters is NaN, which ends a training."""
    x, kernel = jnp.zeros((3, 1, 32)), jnp.zeros((1, 32, 64)).at[0, 3, 40].set(jnp.nan)
    blocks = (fused.Block(kernel, jnp.zeros((1, 1, 64))),)
    gated = fused.stack(x, blocks, (fused.Shape(1, 0, 0),), "float32")
    assert np.isnan(gated[..., 8]).all()


@pytest.mark.parametrize("rows", [1, 7, 256, 300])
def test_dense_of_any_length(rows: int) -> None:
    random = np.random.default_rng(rows)
    x = jnp.asarray(random.normal(size=(rows, 64)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(64, 96)), jnp.float32)
    slopes = jnp.asarray(random.normal(size=(rows, 96)), jnp.float32)
    value, backward = jax.vjp(lambda x, k: fused.dense(x, k, "float32"), x, kernel)
    plain, plain_backward = jax.vjp(jnp.matmul, x, kernel)
    assert worst((value, backward(slopes)), (plain, plain_backward(slopes))) < 1e-5


def test_a_step_of_training_is_that_without() -> None:
    """On eight devices, with the metrics and the parameters after it."""
    config = CONFIGS["codes"]
    random = np.random.default_rng(0)
    length = 60
    batch = {
        "samples": random.normal(0, 3000, (8, length)).astype(np.int16),
        "mask": np.arange(40)[None] < random.integers(20, 41, (8, 1)),
    }
    found = {}
    for choice in ("off", "float32"):
        settings = training.TrainingConfig(num_steps=10, warmup_steps=0, fused=choice)
        step = training.make_parallel_step(config, settings)
        state = training.init_state(config, settings)
        assert ("wavenet_stack" in step.lower(state, split(batch)).as_text()) == (choice != "off")
        state, metrics = step(state, split(batch))
        found[choice] = (state.params, metrics)
    assert worst(found["float32"][0], found["off"][0]) < 1e-3  # Adam's first step is a sign
    assert worst(found["float32"][1], found["off"][1]) < 1e-5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_of_training_is_repeated_to_the_bit(precision: str) -> None:
    """As a resumed run needs it, whichever core is first."""
    config = CONFIGS["codes"]
    samples = np.random.default_rng(0).normal(0, 3000, (8, 400)).astype(np.int16)
    batch = split({"samples": samples, "mask": np.ones((8, 350), bool)})
    settings = training.TrainingConfig(num_steps=10, fused=precision)
    step = training.make_parallel_step(config, settings)

    def train() -> list[bytes]:
        state = training.init_state(config, settings)
        for _ in range(3):
            state, _ = step(state, batch)
        return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]

    first = train()
    assert all(train() == first for _ in range(3))


def split(batch):
    return training.split_over_devices(batch, 8)


class OtherBlock(layers.GatedBlock):
    """Of research code."""


@pytest.mark.parametrize(
    ("changes", "platform", "reason"),
    [
        ({}, "gpu", "platform gpu"),
        ({"gate_channels": 40}, "cpu", "64 and 40"),
        ({"block": "other"}, "cpu", "'other'"),
        ({"block": "fftnet"}, "cpu", "'fftnet'"),
        ({"dtype": "bfloat16"}, "cpu", "'bfloat16'"),
        ({"dropout": 0.1}, "cpu", "0.1"),
        ({"rematerialize": True}, "cpu", "rematerialize"),
    ],
)
def test_what_cannot_be_fused_is_xlas(changes, platform, reason, monkeypatch) -> None:
    monkeypatch.setitem(layers.BLOCKS, "other", OtherBlock)
    config = dataclasses.replace(CONFIGS["plain"], **changes)
    assert reason in unsupported_reason(config, platform)
    if platform == "cpu":
        settings = training.TrainingConfig(num_steps=1, fused="float32")
        assert fused_precision(config, settings) is None


def test_a_swapped_block_is_not_fused(monkeypatch) -> None:
    """Even under the name of the plain one."""
    monkeypatch.setitem(layers.BLOCKS, "gated", OtherBlock)
    assert "block" in unsupported_reason(CONFIGS["plain"], "cpu")


@pytest.mark.parametrize("name", grid.RECOGNIZERS)
def test_recognizers_gradients_are_those_of_xla(name: str) -> None:
    """Of the samples' distributions and of the frames' classes."""
    plain = grid.RECOGNIZERS[name]
    config = dataclasses.replace(plain, wavenet=dataclasses.replace(plain.wavenet, **WIDE))
    assert unsupported_reason(config, "cpu") is None
    codes = grid.random_codes(config.wavenet, BATCH, 12 * config.hop_samples)
    mask = np.arange(12) < np.array([[12], [7], [12]])
    params = grid.random_params(config)

    def made(precision: fused.Precision | None):
        def loss(params):
            outputs, logits = Recognizer(config, precision).apply(params, codes, mask)
            bits = jnp.sum(config.wavenet.distribution.log_prob_bits(outputs, codes))
            return bits + jnp.sum(jax.nn.log_softmax(logits)[..., 0]), (outputs, logits)

        assert ("ffi_call" in str(jax.make_jaxpr(loss)(params))) == (precision is not None)
        return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)

    (_, ours), our_gradients = made("float32")
    (_, theirs), their_gradients = made(None)
    assert worst(ours, theirs) < 1e-5
    assert worst(our_gradients, their_gradients) < 3e-5


OTHER_CPU = """
import llvmlite.binding
llvmlite.binding.get_host_cpu_features = lambda: {"avx2": True, "fma": True}
import jax, numpy as np
from wavenet_jax import fused
from wavenet_jax.fused import kernels
assert not kernels.HAS_BFLOAT16 and kernels._LANES == 8
random = np.random.default_rng(0)
x, kernel, slopes = (
    random.normal(size=shape).astype(np.float32) for shape in ((101, 64), (64, 96), (101, 96))
)
for precision in ("float32", "bfloat16"):
    y, backward = jax.vjp(lambda x, k: fused.dense(x, k, precision), x, kernel)
    np.testing.assert_allclose(y, x @ kernel, atol=1e-4)
    of_x, of_kernel = backward(slopes)
    np.testing.assert_allclose(of_x, slopes @ kernel.T, atol=1e-4)
    np.testing.assert_allclose(of_kernel, x.T @ slopes, atol=1e-4)
"""


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the other CPU is one of x86-64")
def test_a_cpu_without_avx512(tmp_path) -> None:
    """Compiled for it, the functions are whole, and bfloat16 is float32."""
    features = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"}
    cache = {"NUMBA_CACHE_DIR": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", OTHER_CPU], env=os.environ | features | cache, check=True)


CPU_DEVICES = """
import jax
from wavenet_jax import parallel
parallel.num_cores = lambda: 4
parallel.use_cpu_cores({batch})
print(jax.local_device_count())
"""


@pytest.mark.parametrize(
    ("batch", "environment", "devices"),
    [
        (8, {}, 4),
        (6, {}, 3),
        (7, {}, 1),
        (8, {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}, 2),
        (8, {"JAX_NUM_CPU_DEVICES": "1"}, 1),
    ],
)
def test_a_replica_has_a_core(batch: int, environment: dict[str, str], devices: int) -> None:
    """As many as the batch divides over, unless the user has said how many."""
    done = subprocess.run(
        [sys.executable, "-c", CPU_DEVICES.format(batch=batch)],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == devices
