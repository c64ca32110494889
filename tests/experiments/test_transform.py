"""Autoencoders in programs: trained, scored, resumed, exported, and changing sounds."""

import itertools
import pathlib
import re
import shutil
from typing import Any

import jax
import numpy as np
import programs
import pytest
import soundfile
import tiny

import data
import wavenet_jax
from data.audio import reading
from experiments.common import restore
from experiments.common.reporting import history
from experiments.tasks import embedding_plots, generation, transforming
from experiments.tasks.evaluation import evaluate
from experiments.tasks.exporting import export
from experiments.tasks.training import train
from experiments.tasks.transforming import Encoded, mixed, stretched, transform
from wavenet_jax import InputError, training
from wavenet_jax.checkpoints import Checkpoints

RATE_HZ = 8000
HOP = 20


@pytest.fixture(scope="module")
def workdir(autoencoder_dir: pathlib.Path) -> pathlib.Path:
    return autoencoder_dir


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir, "last")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two tones of 130 and 110 samples, which are 7 and 6 frames."""
    folder = tmp_path_factory.mktemp("tones")
    for name, hz, length in (("low", 200, 130), ("high", 300, 110)):
        tone = 9000 * np.sin(2 * np.pi * hz / RATE_HZ * np.arange(length))
        soundfile.write(folder / f"{name}.wav", tone.astype(np.int16), RATE_HZ)
    return str(folder / "low.wav"), str(folder / "high.wav")


def sound(path: pathlib.Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


# -- training, scores, sampling, export ---------------------------------------------


def test_windows_of_an_epoch_have_the_score_of_the_recordings(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path
) -> None:
    """What training cuts and encodes, and what scoring is given: the same bits."""
    run = trained.run
    corpus = run.load(fsdd_dir, "validation")
    number = int(np.sum(-(-corpus.lengths // run.config.segment_samples)))
    batches = run.windows(corpus)
    taken = list(itertools.islice(batches, -(-number // run.config.batch_size)))
    batches.close()
    epoch = {key: np.concatenate([x[key] for x in taken])[:number] for key in taken[0]}
    assert epoch["mask"].sum() == corpus.lengths.sum()
    assert not epoch["frames"].all() and "local" not in epoch
    loss = jax.jit(lambda params, batch: training.losses(run.model, params, batch))
    bits = float(loss(trained.params, epoch)["bits_per_sample"])
    scored = evaluate(trained, corpus)
    assert bits / corpus.lengths.sum() == pytest.approx(scored["bits_per_sample"], rel=1e-5)


def test_a_resumed_run_ends_as_one_that_was_not(
    workdir: pathlib.Path, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """To the bit, encoder and all, after its last checkpoint is lost."""
    shutil.copytree(workdir, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "6")
    train(tiny.experiment(tiny.autoencoder_config()), workdir=tmp_path / "run", data_dir=fsdd_dir)
    states = []
    for folder in (workdir, tmp_path / "run"):
        with Checkpoints(folder, read_only=True) as saved:
            states.append(saved.restore("last").state)
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert int(states[0].step) == 6
    losses = [
        row["train/bits_per_sample"] for row in history(workdir) if "train/bits_per_sample" in row
    ]
    assert len(losses) == 6 and losses[-1] < losses[0]


def test_another_encoder_is_no_continuation(workdir: pathlib.Path, fsdd_dir: pathlib.Path) -> None:
    config = tiny.autoencoder_config()
    config.encoder.channels = 9
    with pytest.raises(InputError, match="--config.encoder.channels is 9, and the run .* has 8"):
        train(tiny.experiment(config), workdir=workdir, data_dir=fsdd_dir)


def test_samples_of_a_split_are_generated_from_its_embeddings(
    trained: restore.TrainedModel, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    corpus = trained.run.load(fsdd_dir, "test")
    (path,) = generation.sample(trained, out=tmp_path, num_samples=1, corpus=corpus)
    audio = corpus.recording(0)["audio"]
    embeddings = trained.generator.encode(audio)
    label = corpus.class_names["digit"][corpus.label(0, "digit")]
    chunks = trained.generator.generate(labels=str(label), local_condition=embeddings)
    np.testing.assert_array_equal(sound(path), np.concatenate(list(chunks))[: len(audio)])


def test_an_exported_autoencoder_is_the_same_and_says_how_to_use_it(
    workdir: pathlib.Path, trained: restore.TrainedModel, tmp_path: pathlib.Path, files: Any
) -> None:
    export(workdir, out=tmp_path / "model", step="last")
    model = wavenet_jax.load(tmp_path / "model")
    assert model.config == trained.run.model
    samples, _ = reading.read(pathlib.Path(files[0]))
    np.testing.assert_array_equal(model.encode(samples), trained.generator.encode(samples))
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert "WaveNet autoencoder" in card
    assert re.search(r"experiments.transform .* RECORDING --label=0 --out=", card)


# -- embeddings changed ---------------------------------------------------------------


def encoded(frames: int, num_samples: int, seed: int = 0) -> Encoded:
    random = np.random.default_rng(seed)
    return Encoded(f"n{seed}", num_samples, random.normal(0, 1, (frames, 3)).astype(np.float32))


def test_a_mix_is_the_weighted_mean_and_as_long_as_the_shorter() -> None:
    one, other = encoded(7, 130), encoded(6, 110, 1)
    for weight in (0.0, 0.25, 1.0):
        mix = mixed(one, other, weight)
        assert (mix.num_samples, len(mix.embeddings)) == (110, 6)
        expected = (1 - weight) * one.embeddings[:6] + weight * other.embeddings
        np.testing.assert_allclose(mix.embeddings, expected, rtol=1e-6)
        assert mix.embeddings.dtype == np.float32


def test_a_stretched_series_passes_through_the_same_points() -> None:
    """A line stays a line, of another slope; unchanged by the factor 1."""
    one = encoded(7, 130)
    same = stretched(one, 1.0, HOP)
    np.testing.assert_allclose(same.embeddings, one.embeddings, rtol=1e-6)
    assert same.num_samples == 130
    line = Encoded("line", 400, np.linspace(0.5, 19.5, 20)[:, None].astype(np.float32) * HOP)
    for factor in (0.5, 1.7, 3.0):
        found = stretched(line, factor, HOP)
        assert found.num_samples == round(400 * factor)
        assert len(found.embeddings) == -(-found.num_samples // HOP)
        middles = (np.arange(len(found.embeddings)) + 0.5) * HOP / factor
        inside = (middles > HOP) & (middles < 380)
        np.testing.assert_allclose(found.embeddings[inside, 0], middles[inside], rtol=1e-5)


def test_recordings_are_generated_again_mixed_stretched_and_moved(
    trained: restore.TrainedModel, files: tuple[str, str], tmp_path: pathlib.Path
) -> None:
    """Each combination in its file: what the decoder makes of these embeddings with that label."""
    plain = transform(trained, files, out=tmp_path / "plain", labels=["7"], seed=3)
    assert [path.name for path in plain] == ["low_7.wav", "high_7.wav"]
    assert [len(sound(path)) for path in plain] == [130, 110]
    sources = [transforming.encode_file(trained, path) for path in files]
    chunks = trained.generator.generate(
        labels="7", local_condition=sources[1].embeddings, seed=3, index=1
    )
    np.testing.assert_array_equal(sound(plain[1]), np.concatenate(list(chunks))[:110])
    changed = transform(
        trained,
        files[:1],
        out=tmp_path / "changed",
        mix_with=files[1],
        weights=[0.0, 1.0],
        stretches=[1.0, 2.0],
        labels=["0", "7"],
        seed=3,
    )
    assert [path.stem for path in changed] == [
        f"low_with_{weight}_high_x{factor}_{label}"
        for weight in "01"
        for factor in "12"
        for label in "07"
    ]
    assert [len(sound(path)) for path in changed] == [110, 110, 220, 220] * 2
    made = np.stack([np.resize(sound(path), 110) for path in changed])
    assert len(np.unique(made, axis=0)) == len(changed)
    # As it was, the first utterance of a seed is the same whatever else is generated.
    weightless = transform(
        trained, files[:1], out=tmp_path / "0", mix_with=files[1], weights=[0], labels=["0"], seed=3
    )
    np.testing.assert_array_equal(sound(weightless[0]), made[0])
    for folder in ("plain", "changed"):
        assert (tmp_path / folder / "embeddings.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.part"))


def test_the_program_writes_files_and_refuses_in_one_line(
    workdir: pathlib.Path, files: tuple[str, str], tmp_path: pathlib.Path
) -> None:
    given = (f"--workdir={workdir}", files[0], f"--out={tmp_path / 'out'}")
    ended = programs.run("experiments.transform", *given, "--label=0", "--stretches=0.5")
    assert ended.returncode == 0, ended.stderr
    assert len(sound(tmp_path / "out" / "low_x0.5_0.wav")) == 65
    ended = programs.run(
        "experiments.transform", *given[:2], f"--out={tmp_path / 'b'}", "--label=x"
    )
    assert ended.returncode == 1
    assert "There is no digit 'x': use one of 0, " in ended.stderr
    assert "Traceback" not in ended.stderr and not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recordings": []}, "No recording is named: give one or more files"),
        ({"weights": [0.5, 1.2]}, r"--weights is 0.5,1.2: give numbers from 0 to 1\."),
        ({"weights": [float("nan")]}, "--weights is nan"),
        ({"stretches": [0.0]}, "--stretches is 0: give numbers from 0.1 to 10"),
        ({"stretches": [11]}, "--stretches is 11"),
        ({"labels": None}, r"--label is missing: name a class to generate with \(digit: 0, "),
        ({"labels": ["a"]}, "There is no digit 'a': use one of 0, "),
        ({"stretches": [1.0, 1.0]}, "Two sounds would be written to low_x1_7.wav"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    trained: restore.TrainedModel,
    files: tuple[str, str],
    tmp_path: pathlib.Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    arguments: dict[str, Any] = {"recordings": files[:1], "labels": ["7"]} | changes
    with pytest.raises(InputError, match=message):
        transform(trained, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_other_models_and_recordings_are_refused(
    trained: restore.TrainedModel,
    trained_dir: pathlib.Path,
    files: tuple[str, str],
    tmp_path: pathlib.Path,
) -> None:
    speaker = restore.load(trained_dir)
    with pytest.raises(InputError, match="The model has no encoder: train an autoencoder, such"):
        transform(speaker, files, out=tmp_path / "out", labels=["low"])
    short = tmp_path / "short.wav"
    soundfile.write(short, np.arange(19, dtype=np.int16) * 100, RATE_HZ)
    with pytest.raises(
        InputError, match="short.wav has 19 samples .* a frame of the encoder has 2"
    ):
        transform(trained, [short], out=tmp_path / "out", labels=["7"])
    with pytest.raises(data.DataError, match="missing.wav"):
        transform(trained, [tmp_path / "missing.wav"], out=tmp_path / "out", labels=["7"])
    with pytest.raises(InputError, match="The model is conditioned on encoder of .*transform"):
        generation.sample(trained, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_rates_are_resampled(trained: restore.TrainedModel, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "fast.wav"
    tone = 9000 * np.sin(2 * np.pi * 200 / 16000 * np.arange(1600))
    soundfile.write(path, tone.astype(np.int16), 16000)
    assert transforming.encode_file(trained, path).num_samples == 800


def test_pictures_of_any_embeddings() -> None:
    """Of one frame, of one channel, of more series than are shown; none and unequal are refused."""
    random = np.random.default_rng(0)
    series = {f"s{i}": random.normal(0, 1, (1 + i % 3, 1 + 2 * (i > 0))) for i in range(1, 20)}
    drawn = embedding_plots.embeddings(series, 0.032)
    assert len(drawn.axes) == embedding_plots.MAX_SERIES + 1
    assert embedding_plots.embeddings({"one": np.zeros((1, 1))}, 0.032).axes
    points = random.normal(0, 1, (5, 4))
    drawn = embedding_plots.plane(points, {"a": "xyxyx", "b": "aaaab"})
    assert [axes.get_title(loc="left") for axes in drawn.axes] == ["a", "b"]
    with pytest.raises(ValueError, match="there are no embeddings to draw"):
        embedding_plots.embeddings({}, 0.032)
    with pytest.raises(ValueError, match="give at least two points, and a class for each"):
        embedding_plots.plane(points, {"a": "xy"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder.dilations": None}, "--config.encoder.dilations is None"),
        ({"encoder.kernel_size": 2}, "--config.encoder.kernel_size is 2: give at least 3"),
        ({"encoder.latent_channels": 0}, "--config.encoder.latent_channels is 0: give at least 1"),
        ({"encoder.channels": 0}, "--config.encoder.channels is 0: give at least 1"),
        ({"segment_samples": 50}, "--config.segment_samples is 50: give a multiple of 20"),
        ({"local_condition.features": "encode"}, "use one of phones, .*encoder"),
        ({"task": "recognize"}, "wavenet.local_condition|phones"),
    ],
)
def test_configs_that_fit_no_autoencoder(
    fields: dict[str, Any], message: str, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    config = tiny.autoencoder_config()
    with config.unlocked():
        for name, value in fields.items():
            section, _, field = name.rpartition(".")
            (config[section] if section else config)[field] = value
    with pytest.raises(InputError, match=message):
        train(tiny.experiment(config), workdir=tmp_path / "run", data_dir=fsdd_dir)
    assert not (tmp_path / "run").exists()
