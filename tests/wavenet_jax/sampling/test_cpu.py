"""The CPU's backend makes the waveform that `scan` makes, at any precision, for any model."""

import functools
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wavenet_jax import WaveNetConfig, conditioning, generate, utterance_keys
from wavenet_jax.sampling import cpu, precision
from wavenet_jax.wavenet import WaveNet

BATCH, LENGTH = 3, 50
NAMES = [name for name, config in grid.CONFIGS.items() if not config.context_stacks]


def generated(config: WaveNetConfig, params: Any, conditions: dict, **kwargs: Any) -> np.ndarray:
    chunks = generate(
        config,
        params,
        keys=utterance_keys(7, range(BATCH)),
        devices=jax.devices()[:1],
        **{f"{key}_condition": value for key, value in conditions.items()},
        **{"num_samples": LENGTH} | kwargs,
    )
    return np.concatenate(list(chunks), axis=1)


@functools.cache
def case(name: str) -> tuple[WaveNetConfig, Any, dict]:
    config = grid.CONFIGS[name]
    return config, grid.random_params(config), grid.conditions_for(config, BATCH, LENGTH + 30)


@pytest.mark.parametrize("kind", precision.PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_its_distributions_are_those_of_the_model(
    name: str, kind: precision.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sample by sample through the same past, with weights of the same values."""
    config, params, conditions = case(name)
    codes = np.random.default_rng(1).integers(0, config.num_classes, (BATCH, 40))
    params = precision.quantize_weights(params, kind)
    local = conditions.get("local")
    if local is not None:
        local = conditioning.frames_covering(config.local_condition, local, 0, codes.shape[1])
    model, of_all = WaveNet(config), conditions.get("global")
    expected = model.apply(params, codes, global_condition=of_all, local_condition=local)
    state = model.apply(params, BATCH, global_condition=of_all, method="initial_state")
    projected, samples_per_frame = model.apply(
        params, of_all, local, 0, method="project_conditions"
    )
    works: list[Any] = []
    made = cpu._workspace

    def recorded(*arguments: Any) -> Any:
        works.append(made(*arguments))
        return works[-1]

    monkeypatch.setattr(cpu, "_workspace", recorded)
    weights, pasts = cpu.pack(config, params, kind), cpu.pack_state(state, kind)
    for t in range(codes.shape[1]):
        at = t // samples_per_frame if samples_per_frame else 0
        uniforms = np.full((1, BATCH), 0.5, np.float32)
        row = np.asarray(projected)[at : at + 1]
        _, pasts = cpu.generate_chunk(config, weights, pasts, uniforms, 1.0, row, 0, 0)
        out = np.concatenate([work.out for work in works])[:, : expected.shape[2]]
        works.clear()
        most = 2e-3 if kind == "int8" else 2e-5
        assert np.abs(out - expected[:, t]).max() < most * np.abs(expected).max()
        for rows, past in zip(cpu._shares(BATCH), pasts, strict=True):
            past.samples[:, -1] = codes[rows, t]


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_thousands_of_samples_are_those_of_scan(kind: precision.Precision) -> None:
    """Of a model with layers as wide as the reference's, in which rounding adds up. (int8's
    activations have 16 bits: sooner or later another sample is drawn.)"""
    config = WaveNetConfig(dilations=tuple(2**i for i in range(9)) * 2)
    params = grid.random_params(config)
    options: dict[str, Any] = {"num_samples": 3000, "chunk_samples": 1000, "precision": kind}
    made = [
        generated(config, params, {}, backend=backend, **options) for backend in ("scan", "cpu")
    ]
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("cores", [1, 2, BATCH, 8])
def test_rows_are_the_same_however_threads_share_them(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "_num_cores", lambda: cores)
    config, params, conditions = case("speaker")
    np.testing.assert_array_equal(
        generated(config, params, conditions, backend="cpu"),
        generated(config, params, conditions, backend="scan"),
    )


@pytest.mark.parametrize(("kind", "most"), [("float32", 0), ("bfloat16", 2**-8), ("int8", 2**-7)])
def test_rounding_is_as_fine_as_its_bits(kind: precision.Precision, most: float) -> None:
    """Of a kernel relative to the largest weight of its output; of nothing else."""
    _, params, _ = case("all")
    rounded = precision.quantize_weights(params, kind)
    leaves = zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(rounded), strict=True)
    changed = 0
    for (path, leaf), other in leaves:
        names = tuple(entry.key for entry in path)
        if precision.is_rounded(names):
            largest = jnp.abs(leaf).max(axis=tuple(range(leaf.ndim - 1)))
            assert (np.abs(leaf - other) <= most * np.asarray(largest)).all()
            changed += int((leaf != other).any())
        else:
            np.testing.assert_array_equal(leaf, other)
    assert bool(changed) == bool(most)
    again = precision.quantize_weights(rounded, kind)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), again, rounded)


def test_the_normal_deviation() -> None:
    probabilities = np.concatenate([[2.0**-24, 1 - 2.0**-24], np.linspace(0.001, 0.999, 999)])
    found = [cpu._normal(p) for p in probabilities]
    np.testing.assert_allclose(found, jax.scipy.special.ndtri(probabilities), rtol=2e-5, atol=1e-6)


def test_the_initial_state_is_rounded_too() -> None:
    """Or silence would sound otherwise before a sample than after it."""
    config, params, _ = case("plain")
    rounded = precision.quantize_weights(params, "int8")
    state = WaveNet(config).apply(rounded, 1, method="initial_state")
    assert not np.array_equal(
        state.rings[-1], WaveNet(config).apply(params, 1, method="initial_state").rings[-1]
    )
