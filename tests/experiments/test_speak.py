"""From a sentence to a wav file, and the judge of what is said."""

import contextlib
import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import programs
import pytest
import soundfile
import tiny

import data
from experiments.common import prosody, restore, signals
from experiments.common.prosody import Delivery
from experiments.common.run import Run
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.common.spectral_matching import match_spectrum
from experiments.configs.schema import ExperimentConfig
from experiments.metrics import prosody_errors
from experiments.tasks import (
    exporting,
    generation,
    prosody_training,
    speech,
    speech_evaluation,
    training,
)
from wavenet_jax import InputError, sampling
from wavenet_jax.prosody import checkpoints
from wavenet_jax.prosody.networks import NUM_OUTPUTS, ProsodyConfig

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")

RATE_HZ = 4000
VOICES = ("en-us", "en-us+f2")


def tts_config(*, prosody_channels: int = 8, **changes) -> ExperimentConfig:
    config = tiny.get_config()
    config.dataset = "espeak"
    config.sample_rate_hz = RATE_HZ
    config.num_steps = config.checkpoint_every = 3
    config.local_condition.update(features="linguistic_f0", channels=4, hop_samples=20)
    config.voice = "en-us"
    config.prosody.update(num_steps=4, batch_size=2, channels=prosody_channels)
    return tiny.experiment(config, **changes)


@pytest.fixture(scope="module")
def espeak_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("corpora")
    options = {"num_utterances": 12, "words_per_minute": 450, "sample_rate_hz": RATE_HZ}
    data.build("espeak", data_dir=folder, voices=list(VOICES), **options)
    return folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, espeak_dir: pathlib.Path) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("tts")
    training.train(tts_config(), workdir=folder, data_dir=espeak_dir)
    run = restore.load(folder).run
    assert prosody_training.train_prosody(run, workdir=folder, data_dir=espeak_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


@pytest.fixture(scope="module")
def spoken(workdir: pathlib.Path, trained: restore.TrainedModel) -> prosody.Prosody:
    return prosody.load(workdir, trained.run)


def test_says_a_sentence_as_long_as_its_phones(trained, spoken, tmp_path) -> None:
    example = speech.utterance(trained.run, text="seven")
    seconds = speech.speak(
        trained, spoken, example, out=tmp_path / "a.wav", speaker="en-us", seed=1
    )
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    contexts = trained.run.phone_contexts(example)
    durations = spoken.durations(contexts, np.array([1, 0], np.float32))
    assert len(durations) == len(example["phones"]) and (durations >= 20).all()
    assert (len(samples), rate) == (durations.sum(), RATE_HZ)
    assert seconds == len(samples) / RATE_HZ
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_seed_a_voice_and_a_text_are_all_it_depends_on(trained, spoken, tmp_path) -> None:
    def said(text: str, **options) -> bytes:
        example = speech.utterance(trained.run, text=text)
        path = tmp_path / "said.wav"
        speech.speak(trained, spoken, example, out=path, **({"speaker": "en-us"} | options))
        return path.read_bytes()

    once = said("one")
    assert said("one") == once
    assert said("nine") != once
    assert said("one", seed=1) != once
    assert said("one", speaker="en-us+f2") != once


def test_speech_gets_the_spectrum_that_is_predicted(trained, spoken, tmp_path) -> None:
    """That of its own frames; a model without the network speaks without it, or refuses."""
    example = speech.utterance(trained.run, text="seven")
    sounds = {}
    for strength in (0.0, 1.0):
        options = {"speaker": "en-us", "sampling": Sampling(spectral_matching=strength)}
        speech.speak(trained, spoken, example, out=tmp_path / "a.wav", **options)
        sounds[strength], _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    voice = prosody.voice_of(trained.run, trained.run.audio.named_condition("en-us"))
    frames, length = spoken.frames(prosody.contexts_of(trained.run, example), voice)
    spectrum = spoken.spectrum_of(frames, voice)
    hop = trained.run.config.local_condition.hop_samples
    assert spectrum.frames.shape == (-(-length // hop), 40) == (len(frames), 40)
    np.testing.assert_array_equal(sounds[1.0], match_spectrum(sounds[0.0], spectrum, 1.0))
    assert not np.array_equal(sounds[1.0], sounds[0.0])
    without = spoken._replace(spectrum=None)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(InputError, match="and there is no spectrum that the sound is to have"):
        speech.speak(trained, without, example, out=tmp_path / "a.wav", **options)
    assert not list(tmp_path.iterdir())
    options["sampling"] = AS_IT_IS
    assert speech.speak(trained, without, example, out=tmp_path / "a.wav", **options) > 0
    with pytest.raises(InputError, match="--spectral_matching is 1.0, and that filter takes a wh"):
        speech.stream(trained, spoken, example, sampling=Sampling(spectral_matching=1.0))


def test_copies_of_a_corpus_get_their_spectra(trained, spoken, espeak_dir, tmp_path) -> None:
    """Each that of its own frames, though a batch pads them; cut short, of their beginning."""
    corpus = trained.run.load(espeak_dir, "train")
    sounds = {}
    for strength in (0.0, 1.0):
        paths = generation.sample(
            trained,
            out=tmp_path,
            num_samples=2,
            seconds=0.3,
            sampling=Sampling(spectral_matching=strength),
            spoken=spoken,
            corpus=corpus,
        )
        sounds[strength] = [soundfile.read(path, dtype="int16")[0] for path in paths]
    for i in range(2):
        frames = trained.run.local_features(corpus.recording(i))
        voice = prosody.voice_of(trained.run, trained.run.global_condition_of(corpus, i))
        expected = match_spectrum(sounds[0.0][i], spoken.spectrum_of(frames, voice), 1.0)
        np.testing.assert_array_equal(sounds[1.0][i], expected)


def test_a_spectrum_is_of_the_frames_that_the_model_takes(trained, spoken, espeak_dir) -> None:
    recording = trained.run.load(espeak_dir, "train").recording(0)
    frames, spectrum = prosody.spectrum_example(trained.run, recording)
    np.testing.assert_array_equal(frames, trained.run.local_features(recording))
    mel = prosody.mel_of(trained.run)
    np.testing.assert_array_equal(spectrum, data.mel_spectrogram(recording["audio"], mel))
    assert (mel.hop_samples, mel.n_fft, mel.fmax_hz) == (20, 128, 2000.0)
    known = spoken.spectra_of([frames, frames[:5]], [np.array([1, 0], np.float32)] * 2)
    assert [len(each.frames) for each in known] == [len(frames), 5]
    assert spoken._replace(spectrum=None).spectra_of([frames], [np.zeros(2)]) is None


@pytest.mark.parametrize("features", ["linguistic", "linguistic_f0"])
def test_frames_to_speak_are_those_trained_on(espeak_dir, features: str) -> None:
    """With the recording's own durations and pitch they are the same to the bit."""
    config = tts_config(**{"local_condition.features": features})
    corpus = data.load("espeak", espeak_dir, "train")
    run = Run.create(config, corpus)
    recording = corpus.recording(0)
    pitch = prosody.pitch_example(run, recording)[1]

    class Oracle(prosody.Prosody):
        def durations(self, contexts, voice, *, speed=1.0):
            return recording["phone_ends"] - recording["phone_starts"]

        def log_f0(self, frames, voice, *, pitch_semitones=0.0):
            return pitch

    oracle = Oracle(run, (None, None), (None, None))
    contexts = prosody.contexts_of(run, recording)
    frames, length = oracle.frames(contexts, prosody.voice_of(run, np.array(0)))
    assert length == len(recording["audio"])
    np.testing.assert_array_equal(frames, run.local_features(recording))


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

    monkeypatch.setattr(signals, "stop_on_signals", stop_at_2)
    options = {"workdir": tmp_path, "data_dir": espeak_dir}
    assert not prosody_training.train_prosody(trained.run, **options)
    assert "Stopped and saved at step 2 of 4 of the duration model" in capsys.readouterr().err
    with pytest.raises(InputError, match="no trained duration model: run python -m experiments.tr"):
        prosody.load(tmp_path, trained.run)
    assert prosody_training.train_prosody(trained.run, **options)
    for kind in NUM_OUTPUTS:
        whole = checkpoints.restore(workdir, kind)
        again = checkpoints.restore(tmp_path, kind)
        assert int(again.state.step) == 4
        jax.tree.map(np.testing.assert_array_equal, whole.state, again.state)


def test_an_exported_model_says_what_its_run_says(workdir, trained, spoken, tmp_path) -> None:
    """With its networks of durations and pitch; and without them it says what is missing."""
    folder = tmp_path / "model"
    card = exporting.export(workdir, out=folder)
    assert card.networks == ("duration", "pitch", "spectrum")
    assert "experiments.speak" in card.text() and "experiments.train_prosody" in card.text()
    said = []
    exported = restore.load(folder)
    for model, of in ((trained, spoken), (exported, prosody.load(folder, exported.run))):
        example = speech.utterance(model.run, text="one")
        speech.speak(model, of, example, out=tmp_path / "a.wav", speaker="en-us+f2", seed=3)
        said.append((tmp_path / "a.wav").read_bytes())
    assert said[0] == said[1]
    with pytest.raises(InputError, match=f"--workdir is {folder}, the folder of a model, which tr"):
        prosody_training.train_prosody(exported.run, workdir=folder, data_dir=tmp_path)
    shutil.copytree(workdir / "checkpoints", tmp_path / "run" / "checkpoints")
    exporting.export(tmp_path / "run", out=tmp_path / "silent")
    with pytest.raises(InputError, match="silent has no trained duration model: train them"):
        prosody.load(tmp_path / "silent", exported.run)


def test_networks_of_another_run_are_not_exported(workdir, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(prosody, "description", lambda run: {"classes": {}})
    with pytest.raises(InputError, match="trained for other phones, voices or frames"):
        exporting.export(workdir, out=tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_errors_of_prosody(trained, spoken, espeak_dir) -> None:
    corpus = trained.run.load(espeak_dir, "train")
    errors = prosody_errors.prosody_errors(spoken, corpus)
    assert errors["duration_rmse_ms"] > 0 and 0 < errors["voicing_error"] < 1
    assert "ms off (correlation" in prosody_errors.sentence(errors)


def test_words_that_the_judge_does_not_know_are_left_out(caplog) -> None:
    recordings = [{"text": "The vocoder said so."}, {"text": "So it did."}]
    (first, _), (second, phones) = speech_evaluation._texts(recordings)
    assert (first, second) == (["the", "said", "so"], ["so", "it", "did"])
    assert phones == ["S", "OW", "IH", "T", "D", "IH", "D"]
    assert "lacks vocoder: these words are not scored" in caplog.text
    with pytest.raises(InputError, match="has none of the words 'Vocoder': choose"):
        speech_evaluation._texts([*recordings, {"text": "Vocoder"}])
    assert speech_evaluation._texts([*recordings, {}]) == []


def test_the_judge(trained, spoken, espeak_dir, tmp_path) -> None:
    corpus = trained.run.load(espeak_dir, "train")
    figures = speech_evaluation.evaluate_speech(
        trained,
        spoken,
        corpus,
        out=tmp_path,
        num_recordings=2,
        seed=5,
        recogniser="pocketsphinx",
    )
    names = {f"{kind}_00{i}.wav" for kind in ("copied", "spoken") for i in range(2)}
    assert {path.name for path in tmp_path.iterdir()} == names | {"spectrograms.png"}
    recorded, copied, spoken_ones = (figures[kind] for kind in ("recorded", "copied", "spoken"))
    # A model of three updates makes noise.
    assert recorded["word_error_rate"] < copied["word_error_rate"]
    assert recorded["num_words"] == spoken_ones["num_words"]
    assert recorded["noise_level_db"] < copied["noise_level_db"]
    assert "mel_cepstral_distortion_db" in copied
    assert not {"mel_cepstral_distortion_db", "voicing_error"} & (recorded | spoken_ones).keys()
    assert figures["recogniser"] == "pocketsphinx"
    assert figures["recognisers"] == {"pocketsphinx": recorded["word_error_rate"]}
    assert set(figures["phone_error_rate"]) == {"recorded", "copied", "spoken"}
    lengths = dict.fromkeys(("copied", "spoken"), 0)
    for name in names:
        lengths[name.split("_")[0]] += soundfile.info(tmp_path / name).frames
    assert lengths["copied"] == corpus.lengths[:2].sum()
    assert figures["seconds_ratio"] == pytest.approx(lengths["spoken"] / lengths["copied"])
    # A copy is what `sample` makes of the recording.
    drawn = generation.sample(trained, out=tmp_path / "drawn", num_samples=2, seed=5, corpus=corpus)
    for i, path in enumerate(drawn):
        assert (tmp_path / f"copied_00{i}.wav").read_bytes() == path.read_bytes()


def test_voiced_frames_have_their_temperature(trained, espeak_dir, tmp_path) -> None:
    corpus = trained.run.load(espeak_dir, "train")
    (recording, *_) = trained.run.recordings(corpus)
    # Of the pitch as the corpus has it, at the middle of each frame.
    is_voiced = data.log_f0(corpus.recording(0), 20, RATE_HZ)[:, 1] > 0
    assert 0.1 < is_voiced.mean() < 0.9

    def drawn(sampling: Sampling) -> np.ndarray:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (path,) = generation.sample(trained, out=folder, seed=5, corpus=corpus, sampling=sampling)
        return soundfile.read(path, dtype="int16")[0]

    chunks = trained.generator.generate_batch(
        corpus.lengths[:1],
        seed=5,
        global_condition=recording["global"][None],
        local_condition=recording["local"][None],
        temperature=np.where(is_voiced, 0.3, 0.9)[None],
    )
    wanted = np.concatenate([chunk for (chunk,) in chunks])
    found = drawn(Sampling(temperature=0.9, voiced_temperature=0.3))
    np.testing.assert_array_equal(found, wanted)
    plain = drawn(Sampling(temperature=0.9))
    assert not np.array_equal(found, plain)
    np.testing.assert_array_equal(drawn(Sampling(0.9, voiced_temperature=0.9)), plain)


def test_the_programs(run, workdir, espeak_dir, tmp_path) -> None:
    def printed(program: str, *arguments: str) -> str:
        ended = run(f"experiments.{program}", f"--workdir={workdir}", *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    wav, figures = tmp_path / "a.wav", tmp_path / "figures.json"
    said = printed("speak", f"--out={wav}", "--text=two", "--speaker=en-us", "--seed=2")
    assert "s of step 3 in" in said
    how = ["--voiced_temperature=0.7", "--top_p=0.9", "--spectral_subtraction=1", "--comb_filter=1"]
    said = printed("speak", f"--out={wav}", "--text=two", "--speaker=en-us", *how)
    assert "s of step 3 in" in said
    said = [f"--workdir={workdir}", "--text=two", "--speaker=en-us", "--seed=2"]
    piping = programs.Program("experiments.speak", *said, "--out=-")
    pcm, errors = piping.stdout_bytes(), piping.communicate()[1]
    assert piping.returncode == 0 and f"16-bit samples, one channel, {RATE_HZ} Hz" in errors
    printed("speak", f"--out={wav}", *said[1:])
    written, _ = soundfile.read(wav, dtype="int16")
    np.testing.assert_array_equal(np.frombuffer(pcm, "<i2"), written)
    for given in ([], ["--play", f"--out={wav}"]):
        ended = run("experiments.speak", *said, *given)
        assert ended.returncode == 1 and "Give either --out=FILE, - for a pipe, or" in ended.stderr
    # It is trained already.
    said = printed("train_prosody", f"--data_dir={espeak_dir}")
    assert "validation: durations" in said
    other = ["--config=experiments/configs/tts.py", "--config.prosody.channels=9"]
    ended = run(
        "experiments.train_prosody", f"--workdir={workdir}", f"--data_dir={espeak_dir}", *other
    )
    assert ended.returncode == 1
    assert "channels=8" in ended.stderr and "channels=9" in ended.stderr
    arguments = [f"--data_dir={espeak_dir}", "--split=test", f"--out={tmp_path}", "--seed=2"]
    said = printed("evaluate_speech", *arguments, f"--json={figures}", "--num_recordings=1")
    found = json.loads(figures.read_text())
    cell = f"| {found['recorded']['word_error_rate']:.1%} ("
    assert f"| words mistaken {cell}" in said
    tried = found["recognisers"].items()
    assert ", ".join(f"{name} {rate:.1%}" for name, rate in tried) in said
    assert found["recogniser"] == min(tried, key=lambda each: each[1])[0]
    assert (found["num_recordings"], found["features"]) == (1, "linguistic_f0")


def test_refusals(trained, spoken, workdir, trained_dir, espeak_dir, tmp_path) -> None:
    run = trained.run
    other = restore.load(trained_dir).run
    for message, options in (
        ("Give either --text or --hts_labels", {}),
        ("Give either --text or --hts_labels", {"text": "one", "labels": "a.lab"}),
        ("--hts_labels is a.lab, but the model takes no labels of HTS", {"labels": "a.lab"}),
    ):
        with pytest.raises(InputError, match=message):
            speech.utterance(run, **options)
    with pytest.raises(InputError, match="local features are none, which no text gives"):
        speech.utterance(other, text="one")
    for text, message in (
        ("", "the text '' has no phones"),
        ("?!", "has no phones: give"),
        ("the joy", "has the phones .*, and the model has only"),
    ):
        with pytest.raises(data.DataError, match=message):
            speech.utterance(run, text=text)
    example = speech.utterance(run, text="one")
    out = tmp_path / "a.wav"
    with pytest.raises(InputError, match=r"--speaker is missing: name one of en-us, en-us\+f2"):
        speech.speak(trained, spoken, example, out=out)
    with pytest.raises(InputError, match="There is no speaker 'bob'"):
        speech.speak(trained, spoken, example, out=out, speaker="bob")
    assert not out.exists()
    with pytest.raises(InputError, match="has no trained duration model"):
        prosody.load(trained_dir, other)
    with pytest.raises(InputError, match="local features are none, which no text gives"):
        prosody_training.train_prosody(other, workdir=trained_dir, data_dir=espeak_dir)
    with pytest.raises(InputError, match="--num_recordings is 9, and the split test"):
        speech_evaluation.evaluate_speech(
            trained,
            spoken,
            run.load(espeak_dir, "test"),
            out=tmp_path / "o",
            num_recordings=9,
        )
    assert not list(tmp_path.iterdir())


def test_prosody_of_another_run_is_refused(workdir, espeak_dir, tmp_path) -> None:
    shutil.copytree(workdir / "prosody", tmp_path / "prosody")
    corpus = data.load("espeak", espeak_dir, "train")
    other = Run.create(tts_config(**{"local_condition.hop_samples": 10}), corpus)
    with pytest.raises(InputError, match="other phones, voices or frames .*move .*prosody away"):
        prosody.load(tmp_path, other)
    longer = Run.create(tts_config(prosody_channels=9), corpus)
    with pytest.raises(InputError, match="trained with .*channels=8.*move .*prosody away"):
        prosody_training.train_prosody(longer, workdir=tmp_path, data_dir=espeak_dir)


def test_a_corpus_without_times_is_refused(fsdd_dir, tmp_path) -> None:
    config = tts_config(dataset="fsdd", sample_rate_hz=8000, **{"local_condition.features": ""})
    run = Run.create(config, data.load("fsdd", fsdd_dir, "train"))
    linguistic = dataclasses.replace(config.local_condition, features="linguistic")
    spoken = dataclasses.replace(config, local_condition=linguistic)
    run = dataclasses.replace(run, config=spoken)
    with pytest.raises(InputError, match=r"has no phone_starts, .* prepare it with --f0"):
        prosody_training.train_prosody(run, workdir=tmp_path, data_dir=fsdd_dir)


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
    changes = {"prosody.num_steps": 2, "prosody.batch_size": 1, "num_steps": 1}
    changes |= {"global_condition.labels": (), "local_condition.features": "hts_f0"}
    config = tts_config(dataset="hts", **changes)
    training.train(config, workdir=tmp_path / "run", data_dir=tmp_path)
    trained = restore.load(tmp_path / "run")
    bare = dataclasses.replace(trained.run.config.prosody, context_dropout=0.5)
    bare = dataclasses.replace(trained.run, config=dataclasses.replace(config, prosody=bare))
    with pytest.raises(InputError, match="dropout is 0.5, and .*'hts_f0' have no columns of neigh"):
        prosody_training.train_prosody(bare, workdir=tmp_path / "run", data_dir=tmp_path)
    prosody_training.train_prosody(trained.run, workdir=tmp_path / "run", data_dir=tmp_path)
    with pytest.raises(InputError, match="cannot speak a text: give --hts_labels"):
        speech.utterance(trained.run, text="one")
    example = speech.utterance(trained.run, labels=str(shared / "arctic_a0001_phone.lab"))
    assert len(example["labels"]) == 37
    some = {"labels": example["labels"][:3]}
    spoken = prosody.load(tmp_path / "run", trained.run)
    assert speech.speak(trained, spoken, some, out=tmp_path / "a.wav") > 0


def test_training_leaves_out_what_is_around_a_phone_and_adds_noise() -> None:
    features = np.ones((50, 6), np.float32)
    around = [np.array([1, 4]), np.array([3])]

    def seen(**changes) -> np.ndarray:
        config = ProsodyConfig("duration", 6, **changes)
        random = np.random.default_rng(0)
        return np.stack(
            [prosody_training.disturbed(config, features, around, random) for _ in range(400)]
        )

    np.testing.assert_array_equal(seen(), np.tile(features, (400, 1, 1)))
    dropped = seen(context_dropout=0.3)
    assert np.all(dropped == dropped[:, :1]) and np.all(dropped[:, :, [0, 2, 5]] == 1)
    np.testing.assert_array_equal(dropped[..., 1], dropped[..., 4])
    kept = dropped[:, 0, [1, 3]].mean(axis=0)
    np.testing.assert_allclose(kept, 0.7, atol=0.1)
    assert np.mean(dropped[..., 1] * dropped[..., 3]) == pytest.approx(0.49, abs=0.1)
    noise = seen(input_noise=0.2) - 1
    assert noise.std(axis=(0, 1)) == pytest.approx(0.2, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.01) and noise.dtype == np.float32
    assert np.all(features == 1)


def test_prosody_begins_with_the_pretrained_models(
    workdir, espeak_dir, tmp_path, monkeypatch, capsys
) -> None:
    """By the names of phones and voices; of one without networks, or of others, at random."""
    kinds = ("duration", "pitch")
    monkeypatch.setattr(prosody_training, "NUM_OUTPUTS", kinds)
    corpus = data.load("espeak", espeak_dir, "train")

    def begun(pretrained: pathlib.Path, **changes) -> pathlib.Path:
        changes = {"prosody.num_steps": 1, "prosody.learning_rate": 1e-9} | changes
        run = Run.create(tts_config(pretrained=str(pretrained), **changes), corpus)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        assert prosody_training.train_prosody(run, workdir=folder, data_dir=espeak_dir)
        return folder

    without_voices = begun(workdir, **{"global_condition.labels": ()})
    assert "The duration model begins with that of" in capsys.readouterr().err
    for kind in kinds:
        now, then = (
            checkpoints.restore(folder, kind).state.params["params"]
            for folder in (without_voices, workdir)
        )
        kernel, voices = np.split(then["input"]["kernel"], [-len(VOICES)])
        then["input"] = {"kernel": kernel, "bias": then["input"]["bias"] + voices.mean(axis=0)}
        jax.tree.map(lambda *both: np.testing.assert_allclose(*both, atol=1e-7), now, then)
    lacking = tmp_path / "lacking"
    shutil.copytree(workdir, lacking)
    shutil.rmtree(lacking / "prosody" / "pitch")
    begun(lacking, **{"prosody.channels": 16})
    said = capsys.readouterr().err
    assert "lacking has other channels or layers: this one begins at random" in said
    assert "lacking has no pitch model: it begins at random" in said


@pytest.mark.parametrize("backend", ["cpu", "scan"])
def test_what_is_streamed_is_what_is_written(trained, spoken, tmp_path, backend: str) -> None:
    """To the sample; in chunks of 50 ms, where the backend can."""
    sampling = Sampling(temperature=0.8, voiced_temperature=0.6, top_p=0.9, backend=backend)
    options = {"speaker": "en-us+f2", "seed": 5, "sampling": sampling}
    options["delivery"] = Delivery(speed=0.8, pitch_semitones=3)
    example = speech.utterance(trained.run, text="seven nine one")
    streamed = speech.stream(trained, spoken, example, **options)
    chunks = list(streamed.chunks)
    speech.speak(trained, spoken, example, out=tmp_path / "a.wav", **options)
    written, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert (streamed.num_samples, streamed.sample_rate_hz) == (len(written), rate)
    assert streamed.seconds == len(written) / rate
    np.testing.assert_array_equal(np.concatenate(chunks), written)
    longest = max(map(len, chunks))
    assert longest == (200 if backend == "cpu" else len(chunks[0])) and min(map(len, chunks)) > 0


def test_closing_ends_the_work(trained, spoken, monkeypatch) -> None:
    """At the chunk that is being made: no more is generated, and what generates is closed."""
    steps = []
    plain = sampling.generate

    def counted(*args, **kwargs):
        try:
            for codes in plain(*args, **kwargs):
                steps.append(codes.shape[1])
                yield codes
        finally:
            steps.append("closed")

    monkeypatch.setattr(sampling, "generate", counted)
    example = speech.utterance(trained.run, text="one")
    streamed = speech.stream(trained, spoken, example, speaker="en-us")
    assert not steps
    next(streamed.chunks)
    streamed.chunks.close()
    assert steps == [200, "closed"]


def test_a_speed_is_that_of_all_phones_and_a_pitch_that_of_voiced_frames(trained, spoken) -> None:
    run = trained.run
    contexts = prosody.contexts_of(run, speech.utterance(run, text="seven"))
    voice = prosody.voice_of(run, np.array(0))
    plain = spoken.durations(contexts, voice)
    slow = spoken.durations(contexts, voice, speed=0.5)
    np.testing.assert_allclose(np.cumsum(slow), 2 * np.cumsum(plain), atol=2)
    assert (spoken.durations(contexts, voice, speed=2.0) >= 19).all()  # 5 ms, rounded

    frames = np.zeros((40, spoken.pitch[0].features - len(voice)), np.float32)
    low, high = (spoken.log_f0(frames, voice, pitch_semitones=by) for by in (0.0, 12.0))
    np.testing.assert_array_equal(low[:, 1], high[:, 1])
    np.testing.assert_allclose(high[:, 0], low[:, 0] + np.log(2) * low[:, 1], atol=1e-6)


def test_deliveries_that_are_none(trained, spoken, monkeypatch) -> None:
    for speed in (0.4, 2.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"The speed is {speed}: give a number from 0.5 to 2"):
            Delivery(speed=speed)
    for semitones in (-13, float("nan")):
        with pytest.raises(InputError, match=f"shifted by {semitones} semitones: give a number fr"):
            Delivery(pitch_semitones=semitones)
    example = speech.utterance(trained.run, text="one")
    with pytest.raises(InputError, match=r"lasts 0 seconds, and at most 0.1 are spoken at a time"):
        speech.stream(trained, spoken, example, speaker="en-us", max_seconds=0.1)
    with pytest.raises(InputError, match="has 3 characters, and at most 2 are spoken at a time: g"):
        speech.utterance(trained.run, text="one", max_characters=2)
    monkeypatch.setattr(Run, "has_pitch", False)
    with pytest.raises(InputError, match="by 1 semitones, and the model's local features 'lingui"):
        speech.stream(
            trained, spoken, example, speaker="en-us", delivery=Delivery(pitch_semitones=1)
        )


@pytest.mark.parametrize("name", ["comb_filter", "spectral_subtraction"])
def test_a_filter_takes_a_whole_sound(trained, spoken, name: str) -> None:
    example = speech.utterance(trained.run, text="one")
    with pytest.raises(InputError, match=f"--{name} is 1.0, and that filter takes a whole sound"):
        speech.stream(trained, spoken, example, speaker="en-us", sampling=Sampling(**{name: 1.0}))


def test_nothing_half_written_when_stopped(trained, spoken, tmp_path, monkeypatch) -> None:
    def interrupted(*args, **kwargs):
        yield np.zeros((1, 10), np.int32)
        raise KeyboardInterrupt

    monkeypatch.setattr(sampling, "generate", interrupted)
    example = speech.utterance(trained.run, text="one")
    with pytest.raises(KeyboardInterrupt):
        speech.speak(trained, spoken, example, out=tmp_path / "a.wav", speaker="en-us")
    assert not list(tmp_path.iterdir())
