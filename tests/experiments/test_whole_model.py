"""All that the model can be, from a corpus to sound: what is trained is what is scored."""

import dataclasses
import itertools
import pathlib

import jax
import ml_collections
import numpy as np
import pytest
import soundfile
import tiny

import data
from experiments.common import restore
from experiments.common.run import Run
from experiments.tasks.evaluation import evaluate
from experiments.tasks.generation import sample
from experiments.tasks.training import train
from wavenet_jax import InputError, scoring, training

MEL = tiny.MEL | {"upsampling": "transposed", "factors": (4, 5)}


def whole_config() -> ml_collections.ConfigDict:
    config = tiny.get_config()
    config.noise_shaping = 0.5
    config.noise_shaping_order = 6
    config.segment_samples = 120
    config.global_condition.labels = ("speaker", "digit")
    config.local_condition.update({"features": "mel", "channels": 4} | MEL)
    config.model.update(
        num_classes=65536,
        companding="linear",
        input="scalar",
        output="logistic_mixture",
        num_components=3,
        context_stacks=({"hop_samples": 30, "dilations": (1, 2), "channels": 5},),
    )
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path) -> pathlib.Path:
    config = tiny.experiment(whole_config(), num_steps=5, checkpoint_every=5)
    folder = tmp_path_factory.mktemp("whole")
    train(config, workdir=folder, data_dir=fsdd_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


def test_windows_score_what_whole_recordings_score(trained, fsdd_dir) -> None:
    """An epoch of windows, frames and margins and all: the same bits, sample for sample."""
    run = trained.run
    corpus = run.load(fsdd_dir, "validation")
    number = int(np.sum(-(-corpus.lengths // 120)))
    config = dataclasses.replace(run.config, batch_size=number)
    windows = dataclasses.replace(run, config=config).windows(corpus)
    (epoch,) = itertools.islice(windows, 1)
    windows.close()
    loss = jax.jit(lambda batch: training.losses(run.model, trained.params, batch))
    bits = loss(epoch)["bits_per_sample"]
    count = training.num_summands(run.model, epoch)["bits_per_sample"]
    scores = list(scoring.score(run.wavenet, trained.params, run.recordings(corpus)))
    assert count == corpus.lengths.sum() == sum(score.num_samples for score in scores)
    assert float(bits) == pytest.approx(sum(score.bits for score in scores), rel=1e-5)


def test_the_filter_is_stored_with_the_run(trained, fsdd_dir) -> None:
    """Made of the train split, applied to the others, and the same when the run goes on."""
    taps = trained.run.audio.filter_taps
    corpus = data.load("fsdd", fsdd_dir, "train")
    assert len(taps) == 7
    assert Run.create(trained.run.config, corpus).audio.filter_taps == taps
    assert Run.create(trained.run.config, corpus.some(1)).audio.filter_taps != taps
    held_out = trained.run.load(fsdd_dir, "test")
    (recording, *_) = trained.run.recordings(held_out)
    whole = held_out.recording(0)["audio"]
    assert not np.array_equal(recording["samples"], whole)
    np.testing.assert_array_equal(recording["samples"], trained.run.audio.apply_filter(whole))


def test_the_training_windows_are_filtered(workdir, trained, fsdd_dir, monkeypatch) -> None:
    seen = []
    windows = Run.windows
    monkeypatch.setattr(
        Run,
        "windows",
        lambda run, corpus, **how: seen.append(corpus) or windows(run, corpus, **how),
    )
    train(trained.run.config, workdir=workdir, data_dir=fsdd_dir)  # which is trained already
    assert [corpus.filter_taps for corpus in seen] == [trained.run.audio.filter_taps]


def test_it_is_scored_and_sampled(trained, fsdd_dir, tmp_path) -> None:
    corpus = trained.run.load(fsdd_dir, "test")
    figures = evaluate(trained, corpus)
    assert 8 < figures["bits_per_sample"] < 20
    paths = sample(trained, out=tmp_path, num_samples=2, seconds=0.03, corpus=corpus)
    sounds = [soundfile.read(path, dtype="int16")[0] for path in paths]
    assert [len(sound) for sound in sounds] == [240, 240]
    assert len(np.unique(sounds[0])) > 50


def test_a_mel_spectrogram_from_a_file(trained, fsdd_dir, tmp_path) -> None:
    """Gives what the same recording gives in a corpus, under the label it has there."""
    corpus = trained.run.load(fsdd_dir, "test")
    name = corpus.names[0]
    digit, speaker = name.split("_")[:2]
    path = fsdd_dir.parent / "in" / name
    of_corpus = sample(trained, out=tmp_path / "1", seconds=0.02, corpus=corpus)
    of_file = sample(
        trained, out=tmp_path / "2", seconds=0.02, mel_from=str(path), labels=[f"{speaker}+{digit}"]
    )
    assert of_corpus[0].read_bytes() == of_file[0].read_bytes()
    whole = sample(trained, out=tmp_path / "3", mel_from=str(path), labels=["low+7"])
    assert soundfile.info(whole[0]).frames == soundfile.info(path).frames


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["low"], "The label 'low' names 1 classes: name one for each of speaker, digit"),
        (["low+12"], "There is no digit '12': use one of 0, 1, 2"),
        (["tenor+0"], "There is no speaker 'tenor': use one of high, low."),
    ],
)
def test_labels_that_do_not_fit(trained, fsdd_dir, tmp_path, labels, message) -> None:
    path = next((fsdd_dir.parent / "in").glob("*.wav"))
    with pytest.raises(InputError) as caught:
        sample(trained, out=tmp_path, seconds=0.01, mel_from=str(path), labels=labels)
    assert message in str(caught.value)


def test_mel_from_where_it_does_not_belong(trained_dir, trained, fsdd_dir, tmp_path) -> None:
    path = str(next((fsdd_dir.parent / "in").glob("*.wav")))
    corpus = trained.run.load(fsdd_dir, "test")
    for model, kwargs, message in (
        (restore.load(trained_dir), {}, "the model takes no mel spectrogram"),
        (trained, {"corpus": corpus}, "--split gives all conditions"),
        (trained, {"prime": path}, "use it without --prime"),
    ):
        with pytest.raises(InputError, match=message):
            sample(model, out=tmp_path, mel_from=path, **kwargs)
    with pytest.raises(InputError, match="or a recording with --mel_from=FILE, or a corpus"):
        sample(trained, out=tmp_path, labels=["low+7"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"segment_samples": 100},
            "--config.segment_samples is 100: give a multiple of 60",
        ),
        (
            {"model.context_stacks": ({"hop_samples": 60, "dilations": (16, 16)},)},
            "The context stacks see 2045 samples, and the longest recording of fsdd has 1900",
        ),
        (
            {"local_condition.factors": (4, 4)},
            "--config.local_condition.factors is (4, 4): give factors whose product is the hop",
        ),
        ({"local_condition.num_mels": 0}, "--config.local_condition.num_mels is 0"),
        ({"local_condition.num_mels": None}, "--config.local_condition.num_mels is None: give a"),
        ({"model.output": "categorical"}, "--config.model.output is 'categorical': use"),
        ({"model.input": "one_hot"}, "--config.model.input is 'one_hot': use"),
        ({"pre_emphasis": 1.5}, "--config.pre_emphasis is 1.5: give a number from 0 up to"),
        ({"pre_emphasis": 0.5}, "--config.noise_shaping is 0.5 and --config.pre_emphasis 0.5"),
        ({"noise_shaping": 1.5}, "--config.noise_shaping is 1.5: give a number from 0 for none to"),
        ({"noise_shaping_order": 101}, "--config.noise_shaping_order is 101: give at most 100."),
    ],
)
def test_bad_configs(fsdd_dir, tmp_path, change, message) -> None:
    with pytest.raises((InputError, data.DataError)) as caught:
        train(tiny.experiment(whole_config(), **change), workdir=tmp_path, data_dir=fsdd_dir)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_run_is_not_resumed_with_other_conditions(workdir, fsdd_dir) -> None:
    corpus, stored = data.load("fsdd", fsdd_dir, "train"), restore.load(workdir).run
    run = Run.create(tiny.experiment(whole_config()), corpus)
    run.check_continues(stored)
    taps = tuple(2 * tap for tap in run.audio.filter_taps)
    other = dataclasses.replace(run.audio, filter_taps=taps)
    with pytest.raises(InputError, match="The noise-shaping filter of the corpus is another than"):
        dataclasses.replace(run, audio=other).check_continues(stored)
    for change, message in (
        ({"noise_shaping": 0.0}, "--config.noise_shaping is 0.0, and the run .* has 0.5: give the"),
        ({"noise_shaping_order": 5}, "--config.noise_shaping_order is 5, and the run .* has 6"),
        ({"local_condition.num_mels": 9}, "--config.local_condition.num_mels is 9, .* has 10"),
        ({"model.output": "gaussian_mixture"}, "--config.model.output is 'gaussian_mixture'"),
        ({"global_condition.labels": ("digit", "speaker")}, "--config.global_condition.labels is"),
    ):
        changed = Run.create(tiny.experiment(whole_config(), **change), corpus)
        with pytest.raises(InputError, match=message):
            changed.check_continues(stored)
