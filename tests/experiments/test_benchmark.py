"""Rooflines count the model's products, and each benchmark runs from end to end."""

import dataclasses
import importlib
import itertools
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
import tiny

from experiments.benchmarks import (
    generation,
    options,
    report,
    roofline,
    round_trips,
    speedrun,
    sweep,
    synthetic,
    throughput,
)
from experiments.common import cli
from experiments.configs import fsdd_fftnet, reference, schema, timit, tts, vocoder
from wavenet_jax import InputError, WaveNet, WaveNetConfig, fused, training
from wavenet_jax.sampling import BACKENDS

SMALL = {
    "dilations": (1, 2),
    "residual_channels": 4,
    "gate_channels": 4,
    "skip_channels": 8,
    "head_channels": 8,
}


def small_experiment(recipe, segment_samples: int, **recognizer) -> schema.ExperimentConfig:
    config = recipe.get_config()
    config.batch_size, config.segment_samples = 8, segment_samples
    config.model.update(SMALL)
    config.recognizer.update(recognizer)
    return schema.from_config_dict(config)


@pytest.mark.parametrize(("recipe", "number"), [(reference, 1_232_896), (fsdd_fftnet, 126_976)])
def test_a_model_has_the_multiply_adds_of_its_weights(recipe: Any, number: int) -> None:
    """A sample meets each weight of each product once, but for the last residual's."""
    config = schema.from_config_dict(recipe.get_config()).model
    shapes = roofline.gemm_shapes(config, lambda _: 1, 1)
    init = WaveNet(config).init
    params = jax.eval_shape(init, jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    kernels = [
        leaf.size
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if path[-1].key == "kernel" and path[0].key != "input"
    ]
    assert roofline.multiply_adds(shapes) == sum(kernels) == number


def test_measures_and_prints():
    config = small_experiment(reference, 40)
    figures = report.benchmark(config, batches=[1, 3], repeats=1)
    names = [row["name"] for row in figures["rows"]]
    backends = [each.name for each in generation.backend_configs(config.model)]
    assert names == ["training, 8 x 40"] + [
        f"generation, batch {batch}, {backend}" for batch in (1, 3) for backend in backends
    ]
    for row in figures["rows"]:
        assert row["samples_per_s"] > 0
        for limit, value in row["limits"].items():
            assert row["share"][limit] == pytest.approx(row["samples_per_s"] / value)
    assert set(figures["rows"][1]["limits"]) == set(roofline.LIMITS)
    assert [row["name"] for row in figures["latency"]] == backends
    for row in figures["latency"]:
        assert row["first_ms"] > 0
        assert row["chunk_ms"] > 0
        assert row["sounds_ms"] == 16  # 256 samples
    tables = report.as_tables(json.loads(json.dumps(figures))).splitlines()
    assert tables[0].endswith("| limit: weights read | limit: model GEMM | limit: peak GEMM |")
    assert len(tables) == 2 + len(names) + 1 + 2 + len(backends)


def test_every_backend_that_supports_the_model_is_measured(monkeypatch):
    """The plain one first, each at the precisions that change how it keeps weights."""
    model = WaveNetConfig(**SMALL)
    configs = generation.backend_configs(model)
    assert configs[0] == generation.oracle()
    devices = jax.local_devices()[:1]
    able = {name for name, each in BACKENDS.items() if not each.unsupported_reason(model, devices)}
    assert {each.backend for each in configs} == able
    for name in able:
        dtypes = [each.weight_dtype for each in configs if each.backend == name]
        assert sorted(map(str, dtypes)) == sorted(
            map(str, set(BACKENDS[name].weight_dtypes.values()))
        )
    assert len({each.name for each in configs}) == len(configs)

    class Another(type(BACKENDS[configs[0].backend])):
        name = "another"
        is_fused = True

    monkeypatch.setitem(BACKENDS, "another", Another())
    another = generation.BackendConfig("another", "float32")
    assert generation.backend_configs(model) == [*configs, another]
    params = training.init_variables(model, jax.random.key(0))
    found = generation.speeds(model, params, 2, [configs[0], another], repeats=1)
    assert list(found) == [configs[0], another] and min(found.values()) > 0


def test_latency_is_measured_of_conditions_that_arrive():
    config = schema.from_config_dict(vocoder.get_config())
    model = dataclasses.replace(synthetic.model_of(config), **SMALL)
    params = training.init_variables(model, jax.random.key(0))
    row = generation.latency(model, params, generation.oracle(), 8000, repeats=1)
    assert row["sounds_ms"] == 1000 * -(-256 // model.hop_samples) * model.hop_samples / 8000


@pytest.mark.long
def test_sweeps(monkeypatch):
    """Of each axis its values, all backend configs and limits, as a table and as a figure."""
    monkeypatch.setattr(sweep, "BATCHES", (1, 2))
    axes = {name: (values[:2], change) for name, (values, change) in sweep.AXES.items()}
    monkeypatch.setattr(sweep, "AXES", axes)
    found = sweep.sweep(WaveNetConfig(**SMALL), repeats=1)
    assert [(axis, [point["value"] for point in points]) for axis, points in found.items()] == [
        ("batch", [1, 2]),
        ("layers", [10, 20]),
        ("channels", [16, 32]),
        ("receptive field, samples", [3, 4]),
    ]
    backends = [each.name for each in generation.backend_configs(WaveNetConfig(**SMALL))]
    for points in found.values():
        for point in points:
            assert list(point["speeds"]) == backends
            assert min([*point["speeds"].values(), *point["limits"].values()]) > 0
    assert len(sweep.as_table(found).splitlines()) == 2 + 2 * 4
    figure = sweep.figure(found)
    assert [axes.get_xlabel() for axes in figure.axes] == list(found)
    for axes in figure.axes:
        dashed = [line.get_label() for line in axes.get_lines() if line.is_dashed()]
        assert dashed == ["limit: peak GEMM", "limit: float32 weights read"]
        assert len(axes.get_lines()) == len(backends) + 2


def test_round_trips(monkeypatch):
    monkeypatch.setattr(round_trips, "SIZES", (1, 100))
    monkeypatch.setattr(round_trips, "CALLS", 2)
    figures = round_trips.round_trips(small_experiment(reference, 40), repeats=1)
    assert (figures["processes"], figures["devices"]) == (1, jax.device_count())
    assert list(figures["average_ms"]) == ["1", "100"]
    times_ms = [*figures["average_ms"].values(), figures["call_ms"], figures["gradients_ms"]]
    assert min(times_ms) > 0 <= figures["gather_ms"]
    head, _, row = round_trips.as_table(json.loads(json.dumps(figures))).splitlines()
    assert row.startswith("| 1 | 8 | ") and row.count("|") == head.count("|") == 8
    assert f"mean of {figures['parameters']:,} gradients, ms" in head


def test_several_processes_are_for_round_trips_alone(run):
    ended = run("experiments.benchmark", "--multihost")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: --multihost is for --round_trips: leave it out.")


def test_training_is_measured_with_each_kind_of_layers():
    """XLA's and the fused ones, where a model's channels allow it."""
    wide = dataclasses.replace(
        small_experiment(reference, 40).model, residual_channels=32, gate_channels=32
    )
    config = dataclasses.replace(small_experiment(reference, 40), model=wide)
    figures = throughput.training_figures(config, wide, peak_rate=1e9, repeats=1)
    names = ["training, 8 x 40", "training, 8 x 40, fused, float32"]
    names += ["training, 8 x 40, fused, bfloat16"] if fused.has_bfloat16() else []
    assert [row["name"] for row in figures] == names


@pytest.mark.long
def test_a_recognizer_is_measured_in_times_real_time(monkeypatch):
    monkeypatch.setattr(throughput, "RECOGNIZED_S", 1)
    config = small_experiment(timit, 320, channels=8)
    figures = report.benchmark(config, batches=[2], repeats=1)
    names = [row["name"] for row in figures["rows"]]
    assert (names[0], names[-1]) == ("training, 8 x 320", "recognition, batch 2")
    row = figures["rows"][-1]
    assert row["times_real_time"] == pytest.approx(row["samples_per_s"] / 16000)
    assert set(row["share"]) == {"model GEMM", "peak GEMM"}
    assert "times real time) |" in throughput.as_table(figures["rows"]).splitlines()[-1]


def test_every_option_is_measured_beside_the_plain_model(monkeypatch):
    names = ["16 bits, Gaussian", "input noise"]
    few = {name: options.OPTIONS[name] for name in names}
    monkeypatch.setattr(options, "OPTIONS", few)
    figures = options.options(small_experiment(reference, 40), batch=2, repeats=1)
    assert [row["name"] for row in figures["rows"]] == ["plain", *names, "plain, again"]
    assert figures["rows"][0]["training_share"] + figures["rows"][-1][
        "training_share"
    ] == pytest.approx(2)
    for row in figures["rows"]:
        assert min(row["training"], row["generation"], row["state_bytes"]) > 0
    lines = options.as_table(json.loads(json.dumps(figures))).splitlines()
    assert len(lines) == 2 + 4


def test_every_option_changes_the_plain_model():
    config = schema.from_config_dict(reference.get_config())
    for fields in options.OPTIONS.values():
        for name, value in fields.items():
            owner = config.model if hasattr(config.model, name) else config.training
            assert getattr(owner, name) != value


RECIPES = sorted(path.stem for path in pathlib.Path(reference.__file__).parent.glob("[!_]*.py"))


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "schema"])
def test_a_recipe_is_measured_with_its_conditions(name):
    recipe = importlib.import_module(f"experiments.configs.{name}").get_config()
    model = training.wavenet_of(synthetic.model_of(schema.from_config_dict(recipe)))
    assert bool(model.global_condition) == bool(recipe.global_condition.labels)
    assert bool(model.local_condition) == bool(recipe.local_condition.features)
    made = synthetic.conditions(model, 2, 3 * model.hop_samples)
    assert [made["global"] is not None, made["local"] is not None] == [
        bool(model.global_condition),
        bool(model.local_condition),
    ]


def test_hts_questions_need_no_corpus():
    config = tts.get_config()
    config.local_condition.features = "hts"
    model = synthetic.model_of(schema.from_config_dict(config))
    assert model.local_condition.size >= synthetic.NUM_CLASSES


@pytest.mark.parametrize("given", [["0"], ["-1"], ["1", "x"], []])
def test_refuses_counts_that_are_none(given):
    with pytest.raises(InputError, match="--batches is"):
        cli.positive_integers("batches", given)


def test_a_sweep_needs_a_folder(run):
    completed = run("experiments.benchmark", "--sweep")
    assert completed.returncode == 1
    assert completed.stderr == "error: --out is missing: give a folder for the figure of --sweep.\n"


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


def test_a_speed_run_is_scored_at_its_marks(fsdd_dir, monkeypatch):
    """A clock that counts how often it is read: ten of its minutes end long before the schedule."""
    ticks = itertools.count(step=20.0)
    monkeypatch.setattr(speedrun, "_now_s", lambda: next(ticks))
    figures = speedrun.speedrun(tiny.experiment(num_steps=500), data_dir=fsdd_dir, trial_s=0)
    assert [mark["minutes"] for mark in figures["marks"]] == [2, 5, 10]
    steps = [mark["step"] for mark in figures["marks"]]
    assert 0 < steps[0] < steps[1] < steps[2] < figures["num_steps"] == 500
    assert next(ticks) < 800  # training ended with the last mark
    assert [mark["samples"] for mark in figures["marks"]] == [8 * 60 * step for step in steps]
    bits = [mark["bits_per_sample"] for mark in figures["marks"]]
    assert 8 > bits[0] > bits[1] > bits[2]
    table = speedrun.as_table(json.loads(json.dumps(figures)), "a faster step").splitlines()
    assert table[0] == "| date | change | 2 min | 5 min | 10 min | steps | machine |"
    assert f"| a faster step | {bits[0]:.3f} | " in table[2]
    assert f"| {steps[2]} of 500 | " in table[2]


def test_the_steps_of_a_speed_run_follow_from_its_trial(fsdd_dir, monkeypatch):
    """Both runs are ended by the clock; the record's last mark is that of its own minutes."""
    ticks = itertools.count()
    monkeypatch.setattr(speedrun, "_now_s", lambda: next(ticks))
    config = tiny.experiment(num_steps=500)
    figures = speedrun.speedrun(config, data_dir=fsdd_dir, minutes=1, trial_s=20)
    assert figures["num_steps"] == round(0.98 * 60 * figures["trial_steps_per_s"])
    (mark,) = figures["marks"]
    assert mark["minutes"] == 1
    assert 0 < mark["step"] <= figures["num_steps"] < 60


def test_a_schedule_that_ends_before_a_mark_has_its_last_parameters_there(fsdd_dir):
    figures = speedrun.speedrun(tiny.experiment(num_steps=2), data_dir=fsdd_dir, trial_s=0)
    assert [mark["step"] for mark in figures["marks"]] == [2, 2, 2]
    assert len({mark["bits_per_sample"] for mark in figures["marks"]}) == 1


def test_a_speed_run_needs_a_corpus_and_a_generator(run, fsdd_dir):
    completed = run("experiments.benchmark", "--speedrun")
    assert completed.returncode == 1
    assert completed.stderr == "error: --data_dir is missing: give the folder of corpora.\n"
    with pytest.raises(InputError, match="--config.task is 'recognize': the speed run scores bits"):
        speedrun.speedrun(tiny.experiment(tiny.recognizer_config()), data_dir=fsdd_dir)
