"""From a sentence to a wav file, and the judge of what is said."""

import contextlib
import json
import pathlib
import shutil

import jax
import ml_collections
import numpy as np
import pytest
import soundfile
import tiny

import data
from experiments import evaluate_speech, sample, speak, train, train_prosody
from experiments.common import prosody, restore
from wavenet_jax import InputError, checkpoints

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")

RATE_HZ = 4000
VOICES = ("en-us", "en-us+f2")


def tts_config(**prosody_fields) -> ml_collections.ConfigDict:
    config = tiny.get_config()
    config.dataset = "espeak"
    config.sample_rate_hz = RATE_HZ
    config.num_steps = config.checkpoint_every = 3
    config.local_condition = ml_collections.ConfigDict(
        {"features": "linguistic_f0", "channels": 4, "hop_samples": 20}
    )
    config.voice = "en-us"
    fields = {"num_steps": 4, "batch_size": 2, "channels": 8} | prosody_fields
    config.prosody = ml_collections.ConfigDict(fields)
    return config


@pytest.fixture(scope="module")
def espeak_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("corpora")
    options = {"num_utterances": 12, "words_per_minute": 450, "sample_rate_hz": RATE_HZ}
    data.build("espeak", data_dir=folder, voices=list(VOICES), **options)
    return folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, espeak_dir: pathlib.Path) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("tts")
    train.train(tts_config(), workdir=folder, data_dir=espeak_dir)
    experiment = restore.load(folder).experiment
    assert train_prosody.train_prosody(experiment, workdir=folder, data_dir=espeak_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


@pytest.fixture(scope="module")
def spoken(workdir: pathlib.Path, trained: restore.TrainedModel) -> prosody.Prosody:
    return prosody.load(workdir, trained.experiment)


@contextlib.contextmanager
def flags_set(module, **values):
    with pytest.MonkeyPatch.context() as patch:
        if not module.FLAGS.is_parsed():
            module.FLAGS.mark_as_parsed()
        for name, value in values.items():
            patch.setattr(module.FLAGS[name], "value", value)
        yield


def test_says_a_sentence_as_long_as_its_phones(trained, spoken, tmp_path) -> None:
    example = speak.utterance(trained.experiment, text="seven")
    seconds = speak.speak(trained, spoken, example, out=tmp_path / "a.wav", speaker="en-us", seed=1)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    contexts = trained.experiment.phone_contexts(example)
    durations = spoken.durations(contexts, np.array([1, 0], np.float32))
    assert len(durations) == len(example["phones"]) and (durations >= 20).all()
    assert (len(samples), rate) == (durations.sum(), RATE_HZ)
    assert seconds == len(samples) / RATE_HZ
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_seed_a_voice_and_a_text_are_all_it_depends_on(trained, spoken, tmp_path) -> None:
    def said(text: str, **options) -> bytes:
        example = speak.utterance(trained.experiment, text=text)
        path = tmp_path / "said.wav"
        speak.speak(trained, spoken, example, out=path, **({"speaker": "en-us"} | options))
        return path.read_bytes()

    once = said("one")
    assert said("one") == once
    assert said("nine") != once
    assert said("one", seed=1) != once
    assert said("one", speaker="en-us+f2") != once


@pytest.mark.parametrize("features", ["linguistic", "linguistic_f0"])
def test_frames_to_speak_are_those_trained_on(espeak_dir, features: str) -> None:
    """With the recording's own durations and pitch they are the same to the bit."""
    config = tts_config()
    config.local_condition.features = features
    corpus = data.load("espeak", espeak_dir, "train")
    experiment = train.Experiment.create(config, corpus)
    recording = corpus.recording(0)
    pitch = prosody.pitch_example(experiment, recording)[1]

    class Oracle(prosody.Prosody):
        def durations(self, contexts, voice):
            return recording["phone_ends"] - recording["phone_starts"]

        def log_f0(self, frames, voice):
            return pitch

    oracle = Oracle(experiment, (None, None), (None, None))
    contexts = prosody.contexts_of(experiment, recording)
    frames, length = oracle.frames(contexts, prosody.voice_of(experiment, np.array(0)))
    assert length == len(recording["audio"])
    np.testing.assert_array_equal(frames, experiment.local_features(recording))


def test_a_text_has_the_contexts_of_its_recording(tmp_path) -> None:
    data.build("espeak", data_dir=tmp_path, num_utterances=4)
    corpus = data.load("espeak", tmp_path, "train")
    names = corpus.class_names["phones"]
    for i in range(len(corpus)):
        recording = corpus.recording(i)
        example = data.espeak.utterance(recording["text"], voice="en-us", phones=names)
        np.testing.assert_array_equal(
            data.phone_contexts(example, names=names), data.phone_contexts(recording, names=names)
        )


def test_stopped_prosody_goes_on_to_the_bit(
    workdir, trained, espeak_dir, tmp_path, monkeypatch, capsys
) -> None:
    asked = []

    @contextlib.contextmanager
    def stop_at_2():
        yield lambda step: asked.append(step) or (step == 2 and len(asked) == 2)

    monkeypatch.setattr(train, "stop_on_signals", stop_at_2)
    options = {"workdir": tmp_path, "data_dir": espeak_dir}
    assert not train_prosody.train_prosody(trained.experiment, **options)
    assert "Stopped and saved at step 2 of 4 of the duration model" in capsys.readouterr().err
    with pytest.raises(InputError, match="no trained duration model: run python -m experiments.tr"):
        prosody.load(tmp_path, trained.experiment)
    assert train_prosody.train_prosody(trained.experiment, **options)
    for kind in ("duration", "pitch"):
        whole = checkpoints.restore_prosody(workdir, kind)
        again = checkpoints.restore_prosody(tmp_path, kind)
        assert int(again.state.step) == 4
        jax.tree.map(np.testing.assert_array_equal, whole.state, again.state)


def test_the_errors_of_prosody(trained, spoken, espeak_dir) -> None:
    corpus = trained.experiment.load(espeak_dir, "train")
    errors = prosody.prosody_errors(spoken, corpus)
    assert errors["duration_rmse_ms"] > 0 and 0 < errors["voicing_error"] < 1
    true = np.array([[0.0, 1], [0.1, 1], [0.2, 1], [0.0, 0]])
    off = np.array([[0.1, 1], [0.2, 1], [0.0, 0], [0.4, 1]])
    found = prosody.f0_errors(true, off)
    assert found["f0_rmse_cents"] == pytest.approx(0.1 * 1200 / np.log(2))
    assert found["f0_correlation"] == pytest.approx(1)
    assert found["voicing_error"] == 0.5
    assert found["f0_gross_error"] == 0
    octave = np.array([[0.1, 1], [0.1 + np.log(2), 1], [0.3, 1], [0.0, 0]])
    found = prosody.f0_errors(true, octave)
    assert found["f0_gross_error"] == pytest.approx(1 / 3)
    assert found["f0_median_cents"] == pytest.approx(0.1 * 1200 / np.log(2))
    assert np.isnan(prosody.f0_errors(true, off * 0)["f0_rmse_cents"])


def test_words_that_the_judge_does_not_know_are_left_out(caplog) -> None:
    recordings = [{"text": "The vocoder said so."}, {"text": "So it did."}]
    (first, _), (second, phones) = evaluate_speech._texts(recordings)
    assert (first, second) == (["the", "said", "so"], ["so", "it", "did"])
    assert phones == ["S", "OW", "IH", "T", "D", "IH", "D"]
    assert "lacks vocoder, which" in caplog.text
    with pytest.raises(InputError, match="has none of the words 'Vocoder': choose"):
        evaluate_speech._texts([*recordings, {"text": "Vocoder"}])
    assert evaluate_speech._texts([*recordings, {}]) == []


def test_the_judge(trained, spoken, espeak_dir, tmp_path) -> None:
    corpus = trained.experiment.load(espeak_dir, "train")
    figures = evaluate_speech.evaluate_speech(
        trained, spoken, corpus, out=tmp_path, num_recordings=2, seed=5
    )
    names = {f"{kind}_00{i}.wav" for kind in ("copied", "spoken") for i in range(2)}
    assert {path.name for path in tmp_path.iterdir()} == names | {"spectrograms.png"}
    for name in ("word_error_rate", "phone_error_rate"):
        assert set(figures[name]) == {"recorded", "copied", "spoken"}
    # A model of three updates makes noise.
    assert figures["word_error_rate"]["recorded"] < figures["word_error_rate"]["copied"]
    assert set(figures["copied_pitch"]) < set(figures["prosody"])
    lengths = dict.fromkeys(("copied", "spoken"), 0)
    for name in names:
        lengths[name.split("_")[0]] += soundfile.info(tmp_path / name).frames
    assert lengths["copied"] == corpus.lengths[:2].sum()
    assert figures["seconds_ratio"] == pytest.approx(lengths["spoken"] / lengths["copied"])
    # A copy is what `sample` makes of the recording.
    drawn = sample.sample(trained, out=tmp_path / "drawn", num_samples=2, seed=5, corpus=corpus)
    for i, path in enumerate(drawn):
        assert (tmp_path / f"copied_00{i}.wav").read_bytes() == path.read_bytes()


def test_the_programs(workdir, espeak_dir, tmp_path, capsys) -> None:
    common = {"workdir": str(workdir), "seed": 2}
    with flags_set(speak, **common, out=str(tmp_path / "a.wav"), text="two", speaker="en-us"):
        speak.main([])
    assert "s of step 3 in" in capsys.readouterr().out
    with flags_set(train_prosody, **common, data_dir=str(espeak_dir)):
        train_prosody.main([])  # which is done already
    assert "validation: durations" in capsys.readouterr().out
    with flags_set(
        evaluate_speech,
        **common,
        data_dir=str(espeak_dir),
        split="test",
        out=str(tmp_path),
        json=str(tmp_path / "figures.json"),
        num_recordings=1,
    ):
        evaluate_speech.main([])
    figures = json.loads((tmp_path / "figures.json").read_text())
    printed = capsys.readouterr().out
    assert f"| word error rate | {figures['word_error_rate']['recorded']:.1%} |" in printed
    assert (figures["num_recordings"], figures["features"]) == (1, "linguistic_f0")


def test_refusals(trained, spoken, workdir, trained_dir, espeak_dir, tmp_path) -> None:
    experiment = trained.experiment
    other = restore.load(trained_dir).experiment
    for message, options in (
        ("Give either --text or --hts_labels", {}),
        ("Give either --text or --hts_labels", {"text": "one", "labels": "a.lab"}),
        ("--hts_labels is a.lab, but the model takes no labels of HTS", {"labels": "a.lab"}),
    ):
        with pytest.raises(InputError, match=message):
            speak.utterance(experiment, **options)
    with pytest.raises(InputError, match="local features are none, which no text gives"):
        speak.utterance(other, text="one")
    for text, message in (
        ("", "the text '' has no phones"),
        ("?!", "has no phones: give"),
        ("the joy", "has the phones .*, and the model has only"),
    ):
        with pytest.raises(data.DataError, match=message):
            speak.utterance(experiment, text=text)
    example = speak.utterance(experiment, text="one")
    out = tmp_path / "a.wav"
    with pytest.raises(InputError, match=r"--speaker is missing: name one of en-us, en-us\+f2"):
        speak.speak(trained, spoken, example, out=out)
    with pytest.raises(InputError, match="There is no speaker 'bob'"):
        speak.speak(trained, spoken, example, out=out, speaker="bob")
    assert not out.exists()
    with pytest.raises(InputError, match="has no trained duration model"):
        prosody.load(trained_dir, other)
    with pytest.raises(InputError, match="config has no prosody"):
        train_prosody.train_prosody(other, workdir=trained_dir, data_dir=espeak_dir)
    with pytest.raises(InputError, match="--num_recordings is 9, and the split test"):
        evaluate_speech.evaluate_speech(
            trained,
            spoken,
            experiment.load(espeak_dir, "test"),
            out=tmp_path / "o",
            num_recordings=9,
        )
    assert not list(tmp_path.iterdir())


def test_prosody_of_another_run_is_refused(workdir, espeak_dir, tmp_path) -> None:
    shutil.copytree(workdir / "prosody", tmp_path / "prosody")
    corpus = data.load("espeak", espeak_dir, "train")
    config = tts_config()
    config.local_condition.hop_samples = 10
    other = train.Experiment.create(config, corpus)
    with pytest.raises(InputError, match="other phones, voices or frames .*delete"):
        prosody.load(tmp_path, other)
    longer = train.Experiment.create(tts_config(channels=9), corpus)
    with pytest.raises(InputError, match="was|trained with .*channels=8.*delete .*prosody"):
        train_prosody.train_prosody(longer, workdir=tmp_path, data_dir=espeak_dir)


def test_a_corpus_without_times_is_refused(fsdd_dir, tmp_path) -> None:
    config = tts_config()
    config.dataset, config.sample_rate_hz = "fsdd", 8000
    config.local_condition = None
    experiment = train.Experiment.create(config, data.load("fsdd", fsdd_dir, "train"))
    with pytest.raises(InputError, match=r"has no phone_starts, .* prepare it with --f0"):
        train_prosody.train_prosody(experiment, workdir=tmp_path, data_dir=fsdd_dir)


def test_labels_of_hts_are_said(tmp_path) -> None:
    shared = pathlib.Path(__file__).parents[3] / "shared" / "data" / "hts_arctic"
    if not shared.is_dir():
        pytest.skip(f"{shared} is not here")
    for name in ("arctic_a0001", "arctic_a0009"):
        (tmp_path / "source").mkdir(exist_ok=True)
        shutil.copy(shared / f"{name}.wav", tmp_path / "source")
        shutil.copy(shared / f"{name}_state.lab", tmp_path / "source" / f"{name}.lab")
    data.build(
        "hts",
        data_dir=tmp_path,
        source=tmp_path / "source",
        questions=str(shared / "questions-radio_dnn_416.hed"),
        sample_rate_hz=RATE_HZ,
    )
    config = tts_config(num_steps=2, batch_size=1)
    config.dataset, config.global_condition = "hts", None
    config.local_condition.features = "hts_f0"
    config.num_steps = 1
    train.train(config, workdir=tmp_path / "run", data_dir=tmp_path)
    trained = restore.load(tmp_path / "run")
    train_prosody.train_prosody(trained.experiment, workdir=tmp_path / "run", data_dir=tmp_path)
    with pytest.raises(InputError, match="no text can be said: give --hts_labels"):
        speak.utterance(trained.experiment, text="one")
    example = speak.utterance(trained.experiment, labels=str(shared / "arctic_a0001_phone.lab"))
    assert len(example["labels"]) == 37
    some = {"labels": example["labels"][:3]}
    spoken = prosody.load(tmp_path / "run", trained.experiment)
    assert speak.speak(trained, spoken, some, out=tmp_path / "a.wav") > 0


def test_nothing_half_written_when_stopped(trained, spoken, tmp_path, monkeypatch) -> None:
    def interrupted(*args, **kwargs):
        yield np.zeros((1, 10), np.int32)
        raise KeyboardInterrupt

    monkeypatch.setattr(sample.sampling, "generate", interrupted)
    example = speak.utterance(trained.experiment, text="one")
    with pytest.raises(KeyboardInterrupt):
        speak.speak(trained, spoken, example, out=tmp_path / "a.wav", speaker="en-us")
    assert not list(tmp_path.iterdir())


def test_every_program_refuses_a_missing_flag() -> None:
    for module, name in ((speak, "out"), (train_prosody, "data_dir"), (evaluate_speech, "split")):
        with (
            flags_set(module, workdir="w", **{name: None}),
            pytest.raises(InputError, match=f"--{'data_dir' if name == 'split' else name} is mis"),
        ):
            module.main([])
