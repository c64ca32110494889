"""The registry of backends, how one is chosen, and that none generates with other layers."""

import dataclasses
import logging as std_logging
from collections.abc import Iterator
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from wavenet_jax import InputError, WaveNet, distributions, layers, sampling
from wavenet_jax.sampling import backends, choose, cpu, on_devices

DEVICE = jax.devices()[:1]
BATCH = 3
PLAIN = grid.CONFIGS["plain"]
FUSED = [
    (name, precision)
    for name, backend in sampling.BACKENDS.items()
    if backend.is_fused and sampling.supports(PLAIN, name, DEVICE)
    for precision in backend.weight_dtypes
]


@pytest.fixture
def no_programs() -> Iterator[None]:
    """Programs that are compiled of other layers stay within the test."""

    def clear() -> None:
        backends._verified.clear()
        backends._agreement_program.cache_clear()
        on_devices._programs.cache_clear()
        cpu.backend._programs.cache_clear()

    clear()
    yield
    clear()


def test_what_is_chosen() -> None:
    context = grid.CONFIGS["context"]
    half, fftnet = dataclasses.replace(PLAIN, dtype="bfloat16"), grid.CONFIGS["fftnet"]
    assert choose(fftnet, "auto", None).name == "cpu"
    assert choose(fftnet, "auto", jax.devices()).name == "scan"
    assert choose(PLAIN, "auto", None).name == "cpu"
    assert choose(context, "auto", None).name == "cpu"
    assert choose(PLAIN, "auto", jax.devices()).name == "scan"
    assert choose(half, "auto", None).name == "scan"
    with pytest.raises(InputError, match="cpu backend does not support layers that compute in bfl"):
        choose(half, "cpu", None)
    with pytest.raises(InputError, match="pallas backend does not support a cpu: use cpu"):
        choose(PLAIN, "pallas", None)
    with pytest.raises(InputError, match="cpu backend does not support 8 devices: use scan"):
        choose(PLAIN, "cpu", jax.devices())
    with pytest.raises(InputError, match="backend is 'gpu': use one of auto, cpu, scan, pallas"):
        choose(PLAIN, "gpu", None)


@pytest.mark.parametrize("name", sampling.BACKENDS)
def test_other_blocks_are_not_fused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(layers.BLOCKS, "other", layers.GatedBlock)
    backend = sampling.BACKENDS[name]
    config = dataclasses.replace(PLAIN, block="other")
    reason = backend.unsupported_reason(config, DEVICE)
    assert bool(reason) == (backend.is_fused or name == "flow")  # which is for students alone


@pytest.mark.parametrize("name", sampling.BACKENDS)
def test_each_has_the_face(name: str) -> None:
    """Its name, its precisions, and on the platforms that it supports its methods."""
    backend = sampling.BACKENDS[name]
    assert backend.name == name
    assert set(backend.weight_dtypes) <= set(sampling.PRECISIONS)
    assert "float32" in backend.weight_dtypes
    if not sampling.supports(PLAIN, name, DEVICE):
        return
    model = backend.prepare(PLAIN, grid.random_params(PLAIN), "float32", DEVICE)
    conditions = sampling.ChunkConditions()
    state = model.prefill(model.initial_state(2), np.zeros((2, 5), np.int32), conditions)
    for length, items in ((3, [0, 1]), (4, [1, 0, 1])):
        state = model.state_of(state, np.array(items))
        uniforms = np.full((length, len(items)), 0.5, np.float32)
        codes, state = model.generate_chunk(state, sampling.make_draws(uniforms), conditions)
        assert codes.shape == (len(items), length)
        assert codes.dtype == np.int32


@pytest.mark.parametrize(("backend", "precision"), FUSED)
@pytest.mark.parametrize("name", grid.each(grid.CONFIGS))
def test_fused_backends_draw_the_samples_of_step(name: str, backend: str, precision: Any) -> None:
    """With much to spare, so that rounding on another machine is no false alarm."""
    config = grid.CONFIGS[name]
    params, tolerance = grid.random_params(config), backends._TOLERANCE[precision] / 10
    arguments = (sampling.BACKENDS[backend], config, params, precision, DEVICE, BATCH)
    assert backends.draw_agreements(*arguments, tolerance=tolerance).all()


@pytest.mark.parametrize(("backend", "precision"), FUSED)
@pytest.mark.parametrize("name", ["plain", "all", "context"])
def test_fused_backends_draw_the_samples_of_step_with_top_p(
    name: str, backend: str, precision: Any
) -> None:
    config = grid.CONFIGS[name]
    params, tolerance = grid.random_params(config), backends._TOLERANCE[precision] / 10
    arguments = (sampling.BACKENDS[backend], config, params, precision, DEVICE, BATCH)
    assert backends.draw_agreements(*arguments, tolerance=tolerance, has_top_p=True).all()


def _other_keep(weights: Any, top_p: Any) -> Any:
    return jnp.where(weights > 0.05, weights, 0.0)


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize(("backend", "precision"), FUSED)
def test_a_changed_top_p_is_not_generated_with_the_old_one(
    backend: str, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And generation without it stays proven."""
    monkeypatch.setattr(distributions, "keep_likeliest", _other_keep)
    arguments: dict[str, Any] = {
        "keys": sampling.utterance_keys(0, range(BATCH)),
        "num_samples": 9,
        "precision": precision,
        "devices": DEVICE,
        "backend": backend,
    }
    params = grid.random_params(PLAIN)
    list(sampling.generate(PLAIN, params, **arguments))
    with pytest.raises(InputError, match=f"The {backend} backend computes other layers than Wave"):
        sampling.generate(PLAIN, params, **arguments, top_p=0.9)


def _other_gate(self: Any, z: Any) -> Any:
    filter_, gate = jnp.split(z, 2, axis=-1)
    return nn.relu(filter_) * nn.sigmoid(gate)


def _other_residual(self: Any, x: Any, taps: Any, condition: Any) -> Any:
    kernel = self.kernel.reshape(-1, 2 * self.gate_channels)
    a = self.activation(taps @ kernel + condition)
    return x if self.is_last else (x + self.residual(a)) * 0.5**0.5, a


def _other_skip(self: Any, gated: Any) -> Any:
    return nn.relu(self.skip(gated) * 0.8)


def _other_head(self: Any, skips: Any) -> Any:
    return self.output(nn.gelu(self.head(nn.relu(skips)))).astype(jnp.float32)


def _other_draw(self: Any, parameters: Any, uniforms: Any, temperature: Any, top_p: Any) -> Any:
    return distributions._inverse_cumulative(parameters, 1 - uniforms, temperature, top_p)[0]


CHANGES = {
    "gate": (layers.GatedBlock, "activation", _other_gate),
    "residual scale": (layers.GatedBlock, "transform", _other_residual),
    "skip": (WaveNet, "_sum_skips", _other_skip),
    "head": (WaveNet, "_head", _other_head),
    "draw": (distributions.Categorical, "sample", _other_draw),
}


@pytest.mark.usefixtures("no_programs")
@pytest.mark.parametrize(("backend", "precision"), FUSED)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_layers_are_not_generated_with_the_old_arithmetic(
    change: str,
    backend: str,
    precision: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a model whose output layer is fresh, that is zero."""
    monkeypatch.setattr(*CHANGES[change])
    monkeypatch.setattr(std_logging.getLogger("absl"), "propagate", True)
    params = grid.random_params(PLAIN)
    params["params"]["output"] = jax.tree.map(jnp.zeros_like, params["params"]["output"])
    arguments = {
        "keys": sampling.utterance_keys(0, range(BATCH)),
        "num_samples": 9,
        "precision": precision,
        "devices": DEVICE,
    }
    with caplog.at_level("WARNING"):
        made = [
            np.concatenate(list(sampling.generate(PLAIN, params, **arguments, backend=each)), 1)
            for each in ("auto", "auto", "scan")
        ]
    assert [record.getMessage() for record in caplog.records] == [
        f"The {backend} backend computes other layers than WaveNet.step does here, so that auto "
        "does not use it: choose backend='scan', or teach it the changed layers."
    ]
    np.testing.assert_array_equal(made[0], made[2])
    np.testing.assert_array_equal(made[1], made[2])
    with pytest.raises(InputError, match=f"The {backend} backend computes other layers than Wave"):
        sampling.generate(PLAIN, params, **arguments, backend=backend)
