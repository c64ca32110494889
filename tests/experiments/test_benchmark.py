"""The benchmark counts the model's products right, and runs from end to end."""

import dataclasses
import importlib
import json

import jax
import numpy as np
import pytest

from experiments import benchmark
from experiments.benchmarks import generation, roofline
from experiments.common import cli
from experiments.configs import reference, timit
from wavenet_jax import InputError, WaveNet, WaveNetConfig, training
from wavenet_jax.config import from_dict


def test_the_reference_model_has_the_multiply_adds_of_its_weights():
    """A sample meets each weight of each product once, but for the last residual's."""
    config = from_dict(WaveNetConfig, reference.get_config().model.to_dict(), "model")
    shapes = roofline.products(config, lambda _: 1, 1)
    init = WaveNet(config).init
    params = jax.eval_shape(init, jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    kernels = [
        leaf.size
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if path[-1].key == "kernel" and path[0].key != "input"
    ]
    assert roofline.multiply_adds(shapes) == sum(kernels) == 1_232_896


def test_measures_and_prints():
    config = reference.get_config()
    config.batch_size, config.segment_samples = 8, 40
    config.model.update(
        dilations=(1, 2), residual_channels=4, gate_channels=4, skip_channels=8, head_channels=8
    )
    figures = benchmark.benchmark(config, batches=[1, 3], repeats=1)
    names = [row["name"] for row in figures["rows"]]
    ways = ["scan", "cpu, float32", "cpu, bfloat16", "cpu, int8"]
    assert names == ["training, 8 x 40"] + [
        f"generation, batch {batch}, {way}" for batch in (1, 3) for way in ways
    ]
    for row in figures["rows"]:
        assert row["samples_per_s"] > 0
        for limit, value in row["limits"].items():
            assert row["share"][limit] == pytest.approx(row["samples_per_s"] / value)
    table = benchmark.as_table(json.loads(json.dumps(figures)))
    assert len(table.splitlines()) == 2 + len(names)
    assert [row["name"] for row in figures["latency"]] == ways
    for row in figures["latency"]:
        assert row["first_ms"] > 0
        assert row["chunk_ms"] > 0
        assert row["sounds_ms"] == 16  # 256 samples
    assert len(benchmark.as_latency_table(figures).splitlines()) == 2 + len(ways)


def test_latency_is_measured_of_conditions_that_arrive():
    model = benchmark.model_of(importlib.import_module("experiments.configs.vocoder").get_config())
    model = dataclasses.replace(model, dilations=(1, 2), residual_channels=4, gate_channels=4)
    params = training.init_state(model, training.TrainingConfig(num_steps=1)).params
    way = generation.BackendConfig("cpu", "int8")
    row = generation.latency(model, params, way, 8000, repeats=1)
    assert row["sounds_ms"] == 1000 * -(-256 // model.hop_samples) * model.hop_samples / 8000


def test_sweeps(tmp_path, monkeypatch):
    """Of each axis its values, all ways and limits, as a table and as a picture."""
    monkeypatch.setattr(generation, "BATCHES", (1, 2))
    axes = {name: (values[:2], change) for name, (values, change) in generation.AXES.items()}
    monkeypatch.setattr(generation, "AXES", axes)
    model = WaveNetConfig(
        dilations=(1, 2), residual_channels=4, gate_channels=4, skip_channels=8, head_channels=8
    )
    found = generation.sweep(model, repeats=1)
    assert [(axis, [row["value"] for row in rows]) for axis, rows in found.items()] == [
        ("batch", [1, 2]),
        ("layers", [10, 20]),
        ("channels", [16, 32]),
        ("receptive field, samples", [3, 4]),
    ]
    for rows in found.values():
        for row in rows:
            assert set(row["speeds"]) == {"scan", "cpu, float32", "cpu, bfloat16", "cpu, int8"}
            assert min([*row["speeds"].values(), *row["limits"].values()]) > 0
    assert len(generation.as_sweep_table(found).splitlines()) == 2 + 2 * 4
    figure = generation.sweep_figure(found)
    assert [axes.get_xlabel() for axes in figure.axes] == list(found)
    assert all(len(axes.get_lines()) == 4 + 2 for axes in figure.axes)


def test_a_recognizer_is_measured_in_times_real_time(monkeypatch):
    monkeypatch.setattr(benchmark, "RECOGNIZED_S", 1)
    config = timit.get_config()
    config.batch_size, config.segment_samples, config.recognizer.channels = 8, 320, 8
    config.model.update(
        dilations=(1, 2), residual_channels=4, gate_channels=4, skip_channels=8, head_channels=8
    )
    figures = benchmark.benchmark(config, batches=[2], repeats=1)
    names = [row["name"] for row in figures["rows"]]
    assert (names[0], names[-1]) == ("training, 8 x 320", "recognition, batch 2")
    row = figures["rows"][-1]
    assert row["times_real_time"] == pytest.approx(row["samples_per_s"] / 16000)
    assert set(row["share"]) == {"model GEMM", "peak GEMM"}
    assert "times real time) |" in benchmark.as_table(figures).splitlines()[-1]


def test_every_option_is_measured_beside_the_plain_model(monkeypatch):
    config = reference.get_config()
    config.batch_size, config.segment_samples = 8, 40
    config.model.update(
        dilations=(1, 2), residual_channels=4, gate_channels=4, skip_channels=8, head_channels=8
    )
    names = ["16 bits, Gaussian", "input noise"]
    few = {name: benchmark.OPTIONS[name] for name in names}
    monkeypatch.setattr(benchmark, "OPTIONS", few)
    figures = benchmark.options(config, batch=2, repeats=1)
    assert [row["name"] for row in figures["rows"]] == ["plain", *names, "plain, again"]
    assert figures["rows"][0]["training_share"] + figures["rows"][-1][
        "training_share"
    ] == pytest.approx(2)
    for row in figures["rows"]:
        assert min(row["training"], row["generation"], row["state_bytes"]) > 0
    lines = benchmark.as_options_table(json.loads(json.dumps(figures))).splitlines()
    assert len(lines) == 2 + 4


def test_every_option_changes_the_plain_model():
    plain = from_dict(WaveNetConfig, reference.get_config().model.to_dict(), "model")
    for fields in benchmark.OPTIONS.values():
        for name, value in fields.items():
            owner = plain if hasattr(plain, name) else benchmark.TrainingConfig(num_steps=1)
            assert getattr(owner, name) != value


@pytest.mark.parametrize("name", ["demo", "fsdd", "vocoder"])
def test_a_config_is_measured_with_its_conditions(name):
    config = importlib.import_module(f"experiments.configs.{name}").get_config()
    model = benchmark.model_of(config)
    assert bool(model.global_condition) == bool(config.global_condition)
    assert bool(model.local_condition) == bool(config.local_condition)
    made = generation.random_conditions(model, 2, 3 * model.hop_samples)
    assert [made["global"] is not None, made["local"] is not None] == [
        bool(config.global_condition),
        bool(config.local_condition),
    ]


@pytest.mark.parametrize("given", [["0"], ["-1"], ["1", "x"], []])
def test_refuses_counts_that_are_none(given):
    with pytest.raises(InputError, match="--batches is"):
        cli.positive_integers("batches", given)


@pytest.mark.gpu
def test_generates_on_a_gpu_what_it_generates_on_a_cpu():
    """Rounding differs, so a draw may too where a cumulative sum falls near it."""
    from wavenet_jax import generate, utterance_keys

    config = WaveNetConfig(dilations=(1, 2, 4, 8))
    params = WaveNet(config).init(jax.random.key(0), np.zeros((1, 1), np.int32))
    keys = utterance_keys(0, range(4))
    made = [
        np.concatenate(
            list(
                generate(config, params, keys=keys, num_samples=200, devices=jax.devices(platform))
            ),
            axis=1,
        )
        for platform in ("cpu", "gpu")
    ]
    assert np.mean(made[0] == made[1]) > 0.99
