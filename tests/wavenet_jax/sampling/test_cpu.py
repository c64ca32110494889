"""The CPU's backend makes the waveform that `scan` makes, at any precision, for any model."""

import functools
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wavenet_jax
from wavenet_jax import WaveNet, WaveNetConfig, generate, parallel, sampling, utterance_keys
from wavenet_jax.sampling import precision
from wavenet_jax.sampling.cpu import kernels, packing

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
@pytest.mark.parametrize("name", grid.each(NAMES))
def test_its_distributions_are_those_of_the_model(
    name: str, kind: precision.Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sample by sample after the same codes, with weights of the same values."""
    config, params, conditions = case(name)
    codes = np.random.default_rng(1).integers(0, config.num_classes, (BATCH, 24))
    rounded = precision.quantize_weights(params, kind)
    expected = grid.sequence_logits(config, rounded, codes, conditions)
    works: list[Any] = []
    made = packing.make_workspace

    def recorded(*arguments: Any) -> Any:
        works.append(made(*arguments))
        return works[-1]

    monkeypatch.setattr(packing, "make_workspace", recorded)
    model = sampling.BACKENDS["cpu"].prepare(config, params, kind, jax.devices()[:1])
    state = model.initial_state(BATCH, conditions.get("global"))
    uniforms = np.full((1, BATCH), 0.5, np.float32)
    for t in range(codes.shape[1]):
        local = grid.frames_of(config, conditions, t, 1)
        at_t = sampling.ChunkConditions(conditions.get("global"), local, t % config.hop_samples)
        _, state = model.generate_chunk(state, sampling.make_draws(uniforms), at_t)
        out = np.concatenate([work.out for work in works])[:, : expected.shape[2]]
        works.clear()
        most = 2e-3 if kind == "int8" else 2e-5
        assert np.abs(out - expected[:, t]).max() < most * np.abs(expected).max()
        samples = iter(codes[:, t])
        for share in state.shares:
            share.samples[:, -1] = [next(samples) for _ in share.samples]


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
def test_batch_items_are_the_same_however_threads_share_them(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "num_cores", lambda: cores)
    config, params, conditions = case("speaker")
    np.testing.assert_array_equal(
        generated(config, params, conditions, backend="cpu"),
        generated(config, params, conditions, backend="scan"),
    )


@pytest.mark.parametrize("name", ["speaker", "context"])
def test_cores_may_change_between_chunks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's may."""
    cores = itertools.cycle([2, 1, 8, 3])
    monkeypatch.setattr(parallel, "num_cores", lambda: next(cores))
    config, params, conditions = case(name)
    np.testing.assert_array_equal(
        generated(config, params, conditions, backend="cpu", chunk_samples=8),
        generated(config, params, conditions, backend="scan"),
    )


def test_a_precision_is_compiled_once() -> None:
    """For every batch, and for the comparison with `WaveNet.step` as well."""
    config, params, conditions = case("speaker")
    generated(config, params, conditions, backend="cpu")
    before = len(kernels.generate.signatures)
    alone = {name: condition[:1] for name, condition in conditions.items()}
    chunks = generate(
        config,
        params,
        keys=utterance_keys(7, [0]),
        num_samples=9,
        global_condition=alone["global"],
        devices=jax.devices()[:1],
        backend="cpu",
    )
    assert sum(chunk.shape[1] for chunk in chunks) == 9
    assert len(kernels.generate.signatures) == before


@pytest.mark.long
def test_it_runs_where_nothing_can_be_written(tmp_path: pathlib.Path) -> None:
    """numba has no place for its cache then. (A file in place of a folder stops root as well.)"""
    package = pathlib.Path(wavenet_jax.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "wavenet_jax", ignore=ignored)
    for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        (folder / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    program = """
        import numba, numpy as np, jax
        import wavenet_jax
        from wavenet_jax.sampling.cpu import kernels
        assert isinstance(kernels._normal._cache, numba.core.caching.NullCache)
        config = wavenet_jax.WaveNetConfig(
            dilations=(1,), residual_channels=4, gate_channels=4, skip_channels=4, head_channels=4
        )
        model = wavenet_jax.WaveNet(config)
        params = model.init(jax.random.key(0), np.zeros((1, 1), np.int32))
        keys = wavenet_jax.utterance_keys(0, [0])
        (codes,) = wavenet_jax.generate(config, params, keys=keys, num_samples=5, backend="cpu")
        print(wavenet_jax.__file__, codes.shape)
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    variables |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=variables | {"JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(tmp_path / "wavenet_jax/__init__.py"), "(1,", "5)"]


@pytest.mark.parametrize(("kind", "most"), [("float32", 0), ("bfloat16", 2**-8), ("int8", 2**-7)])
def test_rounding_is_as_fine_as_its_bits(kind: precision.Precision, most: float) -> None:
    """Of a kernel relative to the largest weight of its output; of nothing else."""
    _, params, _ = case("all")
    rounded = precision.quantize_weights(params, kind)
    leaves = zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(rounded), strict=True)
    changed = 0
    for (path, leaf), other in leaves:
        names = tuple(entry.key for entry in path)
        if precision.is_quantized(names):
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
    found = [kernels._normal(p) for p in probabilities]
    np.testing.assert_allclose(found, jax.scipy.special.ndtri(probabilities), rtol=2e-5, atol=1e-6)


def test_the_initial_state_is_quantized_too() -> None:
    """Or silence would sound otherwise before a sample than after it."""
    config, params, _ = case("plain")
    rounded = precision.quantize_weights(params, "int8")
    state = WaveNet(config).apply(rounded, 1, method="initial_state")
    assert not np.array_equal(
        state.rings[-1], WaveNet(config).apply(params, 1, method="initial_state").rings[-1]
    )
