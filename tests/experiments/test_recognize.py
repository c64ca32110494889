"""From recordings with phones to a recognizer, its errors, and what it writes down."""

import dataclasses
import itertools
import json
import pathlib

import jiwer
import numpy as np
import pytest
import soundfile
import soxr
import tiny

import data
from experiments.common import phones, restore
from experiments.configs.schema import Recognizer
from experiments.metrics import phone_errors
from experiments.tasks import evaluation, generation, recognition, training
from wavenet_jax import InputError
from wavenet_jax.recognition import decoding

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

RATE_HZ = tiny.RECOGNIZER_RATE_HZ


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, spoken_dir: pathlib.Path) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("recognizer")
    config = tiny.recognizer_config()
    config.augmentation.update(speeds=(0.9, 1.1), gain_db=3.0, noise_snr_db=20.0)
    training.train(tiny.experiment(config), workdir=folder, data_dir=spoken_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, spoken_dir: pathlib.Path) -> pathlib.Path:
    """A wav file of the validation split, of the rate that eSpeak has in the corpus."""
    path = tmp_path_factory.mktemp("recordings") / "said.wav"
    example = data.load("espeak", spoken_dir, "validation").recording(0)
    soundfile.write(path, example["audio"], RATE_HZ)
    return path


def test_it_learns_what_sounds_when(workdir, trained, spoken_dir) -> None:
    """After so few steps better than by always saying the same."""
    corpus = trained.run.load(spoken_dir, "validation")
    found = evaluation.evaluate_recognition(trained, corpus)
    counts = found["decoders"]["viterbi"]
    low, high = counts["interval"]
    assert 0 < low <= counts["phone_error_rate"] <= high < 0.95
    assert counts["num_labels"] == sum(
        len(trained.run.phones.transcript(corpus.recording(i))) for i in range(len(corpus))
    )
    rows = [json.loads(line) for line in (workdir / "history.jsonl").read_text().splitlines()]
    first, last = (
        next(row for row in each if "train/bits_per_frame" in row) for each in (rows, rows[::-1])
    )
    assert last["train/bits_per_frame"] < first["train/bits_per_frame"] - 0.5
    assert last["train/bits_per_sample"] < first["train/bits_per_sample"] - 0.5
    held_out = rows[-1]
    assert {"held_out/phone_error_rate", "held_out/bits_per_sample"} <= held_out.keys()


def test_weights_are_chosen_where_they_are_best(trained, spoken_dir, monkeypatch) -> None:
    run = trained.run
    corpus = run.load(spoken_dir, "validation")
    heard = phone_errors.collect_posteriors(run, trained.params, corpus.some(2))
    grid = {"prior_weight": (0.0, 1.0), "lm_weight": (0.5, 2.0), "insertion_penalty": (0.0, 9.0)}
    monkeypatch.setattr(phone_errors, "GRID", grid)
    best = phone_errors.best_weights(run, heard)
    rates = {
        (a, b, c): phone_errors.total(
            phone_errors.errors(
                run,
                heard,
                weights={"prior_weight": a, "lm_weight": b, "insertion_penalty": c},
            )
        ).errors
        for a in grid["prior_weight"]
        for b in grid["lm_weight"]
        for c in grid["insertion_penalty"]
    }
    assert rates[tuple(best.values())] == min(rates.values()) < max(rates.values())


def test_its_other_half_generates(trained, tmp_path) -> None:
    """What it says is as likely as scoring says, sample by sample."""
    (path,) = generation.sample(trained, out=tmp_path, num_samples=1, seconds=0.1, seed=1)
    assert len(soundfile.read(path)[0]) == 400


def test_the_program_writes_every_format(workdir, trained, recording, tmp_path, capsys) -> None:
    heard = list(recognition.recognize(trained, [recording]))
    ((path, length_s, intervals),) = heard
    assert path == recording and length_s == soundfile.info(recording).duration
    assert intervals[0].start == 0 and intervals[-1].end == pytest.approx(length_s)
    assert all(a.end == b.start for a, b in itertools.pairwise(intervals))
    for suffix in (".txt", ".json", ".TextGrid"):
        recognition.write(tmp_path / f"said{suffix}", length_s, intervals)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "said.TextGrid",
        "said.json",
        "said.txt",
    ]
    rows = json.loads((tmp_path / "said.json").read_text())
    assert [(row["start"], row["end"], row["phone"]) for row in rows] == [*map(tuple, intervals)]
    lines = [line.split() for line in (tmp_path / "said.txt").read_text().splitlines()]
    assert [line[2] for line in lines] == [each.phone for each in intervals]
    np.testing.assert_allclose(
        [float(line[1]) for line in lines], [i.end for i in intervals], atol=1e-3
    )
    grid = recognition.textgrid.openTextgrid(str(tmp_path / "said.TextGrid"), False)
    entries = grid.getTier("phones").entries
    assert [entry.label for entry in entries] == [each.phone for each in intervals]
    np.testing.assert_allclose([entry.start for entry in entries], [i.start for i in intervals])


def test_another_rate_and_two_channels_are_brought_to_its_own(trained, recording, tmp_path) -> None:
    samples, _ = soundfile.read(recording)
    path = tmp_path / "stereo.flac"
    twice = soxr.resample(samples, RATE_HZ, 16000)
    soundfile.write(path, np.stack([twice, twice], axis=1), 16000)
    plain, other = (next(recognition.recognize(trained, [each]))[2] for each in (recording, path))
    said, heard = ([i.phone for i in each] for each in (plain, other))
    assert jiwer.wer(" ".join(said), " ".join(heard)) < 0.3


def test_known_phones_are_aligned(trained, spoken_dir, recording) -> None:
    """Nearer to where they are than by dividing the recording evenly."""
    example = trained.run.load(spoken_dir, "validation").recording(0)
    names = trained.run.phones.names
    said = [names[k] for k in phones.phone_classes(example, table=trained.run.phones.table)]
    ((_, length_s, intervals),) = recognition.recognize(trained, [recording], phones=said)
    assert [each.phone for each in intervals] == said
    true = example["phone_starts"] / RATE_HZ
    even = np.arange(len(said)) * length_s / len(said)
    off = np.abs(np.array([each.start for each in intervals]) - true).mean()
    assert off < 0.5 * np.abs(even - true).mean()


@pytest.mark.long
def test_ctc_learns_from_sequences_alone(spoken_dir, tmp_path) -> None:
    config = tiny.recognizer_config(loss="ctc")
    config.segment_samples = 20000
    config.num_steps = config.checkpoint_every = 3
    training.train(tiny.experiment(config), workdir=tmp_path, data_dir=spoken_dir)
    trained = restore.load(tmp_path)
    corpus = trained.run.load(spoken_dir, "validation")
    found = evaluation.evaluate_recognition(trained, corpus)
    assert list(found["decoders"]) == ["beam", "greedy"]
    heard = phone_errors.collect_posteriors(trained.run, trained.params, corpus.some(1))
    (log_probs,) = heard.log_probs
    assert log_probs.shape[1] == len(trained.run.phones.names) + 1
    with pytest.raises(InputError, match="viterbi, and the recognizer was trained with CTC: use"):
        trained.run.decode(log_probs, decoder="viterbi")


def test_a_generator_is_a_beginning(spoken_dir, tmp_path, capsys) -> None:
    generator = tiny.recognizer_config()
    generator.task = "generate"
    generator.num_steps = generator.checkpoint_every = 2
    training.train(tiny.experiment(generator), workdir=tmp_path / "generator", data_dir=spoken_dir)
    config = tiny.recognizer_config()
    config.num_steps = config.checkpoint_every = 1
    config.training.learning_rate = 1e-9
    config.pretrained = str(tmp_path / "generator")
    training.train(tiny.experiment(config), workdir=tmp_path / "recognizer", data_dir=spoken_dir)
    printed = capsys.readouterr().err
    assert f"{tmp_path / 'generator'}, step 2: " in printed
    assert "parameters begin with the pretrained model's" in printed
    learned, kept = (
        restore.load(tmp_path / name).params["params"]["stack"]
        for name in ("generator", "recognizer")
    )
    for block in learned:
        np.testing.assert_allclose(kept[block]["kernel"], learned[block]["kernel"], atol=1e-6)
    config.pretrained = str(tmp_path / "nothing")
    with pytest.raises(InputError, match="There is no work directory"):
        training.train(tiny.experiment(config), workdir=tmp_path / "other", data_dir=spoken_dir)


def test_a_beginning_of_another_rate_is_said(spoken_dir, trained_dir, tmp_path, capsys) -> None:
    config = tiny.recognizer_config()
    config.num_steps = config.checkpoint_every = 1
    config.pretrained = str(trained_dir)
    training.train(tiny.experiment(config), workdir=tmp_path, data_dir=spoken_dir)
    assert "The sample rate is 4000 Hz here, and was 8000 Hz there.\n" in capsys.readouterr().err


def test_samples_are_scored_where_they_are_learned(trained, spoken_dir) -> None:
    corpus = trained.run.load(spoken_dir, "validation")
    config = trained.run.config
    for weight, names in (
        (1.0, {"bits_per_sample", "phone_error_rate"}),
        (0.0, {"phone_error_rate"}),
    ):
        given = dataclasses.replace(config.training, generation_weight=weight)
        changed = dataclasses.replace(config, training=given)
        other = trained._replace(run=dataclasses.replace(trained.run, config=changed))
        assert training.held_out_scores(other, corpus).keys() == names


def test_refusals(workdir, trained, trained_dir, recording, tmp_path) -> None:
    with pytest.raises(data.DataError, match=r"missing\.wav"):
        list(recognition.recognize(trained, [tmp_path / "missing.wav"]))
    with pytest.raises(InputError, match=r"--phones has 'qq': use the recognizer's phones "):
        list(recognition.recognize(trained, [recording], phones=["qq"]))
    with pytest.raises(InputError, match="--phones is empty"):
        list(recognition.recognize(trained, [recording], phones=[]))
    with pytest.raises(InputError, match=r"does not recognise phones: train one that does"):
        list(recognition.recognize(restore.load(trained_dir), [recording]))
    heard = np.zeros((3, len(trained.run.phones.names)))
    with pytest.raises(InputError, match="The decoder is 'best': use one of viterbi, greedy, beam"):
        trained.run.decode(heard, decoder="best")
    with pytest.raises(InputError, match="--config.recognizer.folding is 'all': use one of none, "):
        phones.phones_of(Recognizer(folding="all"), ["a", "b"])
    with pytest.raises(InputError, match="leaves 0 of the corpus's phones 1, 2"):
        phones.phones_of(Recognizer(folding="timit"), ["1", "2"])


def test_pauses_are_not_scored_but_in_timit() -> None:
    plain = phones.phones_of(Recognizer(folding="none"), ["_", "a", "t"])
    assert plain.scored([0, 1, 2, 0]) == ["a", "t"]
    timit = phones.phones_of(Recognizer(folding="timit"), ["h#", "q", "tcl", "t", "ix", "zh"])
    assert timit.names == ("cl", "ix", "sil", "t", "zh")
    assert timit.table.tolist() == [2, -1, 0, 3, 1, 4]
    example = {"phones": np.array([0, 1, 4, 2, 3, 5, 0])}
    assert timit.transcript(example) == ["sil", "ih", "sil", "t", "sh", "sil"]


def test_what_is_known_of_sequences_travels_with_the_checkpoint(trained, spoken_dir) -> None:
    run = trained.run
    train_split = run.load(spoken_dir, "train")
    counted = phones.bigram_lm(run.phones, run.config.recognizer, train_split)
    stored = run.bigram_lm
    np.testing.assert_array_equal(stored.log_bigram, counted.log_bigram)
    np.testing.assert_array_equal(stored.min_frames, counted.min_frames)
    assert isinstance(stored, decoding.BigramLM)
