"""Sound from mel spectrograms of other toolkits: its beginning, its length, what is refused."""

import pathlib

import jax
import numpy as np
import pytest
import soundfile
import tiny

import data
from experiments.common import restore
from experiments.common.model import model_config
from experiments.common.run import Run
from experiments.studies import copy_synthesis
from experiments.tasks.generation import sample
from wavenet_jax import InputError, WaveNet
from wavenet_jax.audio import AudioConfig

RATE_HZ, HOP, LEAD = 22050, 256, 128


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Four recordings at 22,050 Hz of a buzz in bursts over noise."""
    root = tmp_path_factory.mktemp("buzzes")
    (root / "in").mkdir()
    random = np.random.default_rng(0)
    for i in range(4):
        time_s = np.arange(3000 + 100 * i) / RATE_HZ
        buzz = sum(np.sin(2 * np.pi * (120 + i) * k * time_s) / k**1.5 for k in range(1, 60))
        sound = 0.2 * np.sin(2 * np.pi * 12 * time_s) ** 2 * buzz
        sound += random.normal(0, 1e-3, len(time_s))
        samples = np.round(32767 * sound).astype(np.int16)
        soundfile.write(root / "in" / f"{i}.wav", samples, RATE_HZ)
    data.build("folder", data_dir=root / "out", source=root / "in")
    return root / "out"


@pytest.fixture(scope="module")
def trained() -> restore.TrainedModel:
    """A vocoder for the mel spectrograms of Tacotron 2, which has not learned anything."""
    config = tiny.get_config()
    config.dataset, config.sample_rate_hz = "folder", RATE_HZ
    config.segment_samples = HOP
    config.global_condition.labels = ()
    config.local_condition.update(
        features="mel",
        channels=4,
        hop_samples=HOP,
        n_fft=1024,
        num_mels=80,
        fmin_hz=0.0,
        fmax_hz=8000.0,
    )
    experiment = tiny.experiment(config)
    model = model_config(experiment, {}, ())
    condition = np.zeros((1, 1, 80), np.float32)
    params = WaveNet(model).init(
        jax.random.key(0), np.zeros((1, HOP), np.int32), local_condition=condition
    )
    run = Run(config=experiment, model=model, audio=AudioConfig(sample_rate_hz=RATE_HZ))
    return restore.TrainedModel(run, params, step=0)


@pytest.fixture(scope="module")
def recording(data_dir: pathlib.Path) -> pathlib.Path:
    return data_dir.parent / "in" / "0.wav"


def read(path: pathlib.Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16")[0]


def made(trained: restore.TrainedModel, frames: np.ndarray, index: int) -> np.ndarray:
    """All that the model generates from frames."""
    seconds = len(frames) * HOP / RATE_HZ
    chunks = trained.generator.generate(
        seconds=seconds, seed=7, index=index, local_condition=frames
    )
    return np.concatenate(list(chunks))


def test_a_file_of_this_project_is_the_recordings(trained, recording, tmp_path):
    np.save(tmp_path / "mel.npy", data.mel_spectrogram(read(recording), trained.run.mel))
    of_file = sample(trained, out=tmp_path / "a", mel=str(tmp_path / "mel.npy"), seed=7)
    of_recording = sample(trained, out=tmp_path / "b", mel_from=str(recording), seed=7)
    whole = read(of_file[0])
    assert len(whole) == 12 * HOP
    assert np.array_equal(whole[:3000], read(of_recording[0]))


def test_begins_half_a_hop_into_what_is_generated(trained, recording, tmp_path, monkeypatch):
    """Whatever the chunks: some are shorter than half a hop."""
    frames = data.mel_conventions.converted_spectrogram(
        read(recording), trained.run.mel, "tacotron2"
    )
    ln_mel = np.log(1e-5) + (frames + 1) / 2 * (2 - np.log(1e-5))
    np.save(tmp_path / "mel.npy", ln_mel.T)  # bands first, as Tacotron 2 has them
    options = {"mel_convention": "tacotron2", "seed": 7}
    mel = str(tmp_path / "mel.npy")
    paths = sample(trained, out=tmp_path / "a", mel=mel, num_samples=2, **options)
    for i, path in enumerate(paths):
        assert np.array_equal(read(path), made(trained, frames, i)[LEAD:])
    assert len(frames) == 3000 // HOP + 1
    of_recording = sample(trained, out=tmp_path / "b", mel_from=str(recording), **options)
    kept = min(3000, len(frames) * HOP - LEAD)
    assert np.array_equal(read(of_recording[0]), read(paths[0])[:kept])
    short = sample(trained, out=tmp_path / "c", mel=mel, seconds=300 / RATE_HZ, **options)
    assert np.array_equal(read(short[0]), read(paths[0])[:300])

    batch = type(trained.generator).generate_batch
    monkeypatch.setattr(
        type(trained.generator),
        "generate_batch",
        lambda self, *args, **kwargs: batch(self, *args, **kwargs, chunk_samples=100),
    )
    again = sample(trained, out=tmp_path / "d", mel=mel, num_samples=2, **options)
    assert [np.array_equal(read(a), read(b)) for a, b in zip(again, paths, strict=True)] == [1, 1]


def test_copies_by_a_convention(trained, data_dir, tmp_path):
    corpus = trained.run.load(data_dir, "train")
    options = {"num_recordings": 2, "seed": 7, "mel_convention": "tacotron2"}
    figures = copy_synthesis.copy_synthesis(trained, corpus, out=tmp_path, **options)
    assert figures["mel_convention"] == "tacotron2"
    for i, name in enumerate(corpus.names[:2]):
        audio, stem = corpus.recording(i)["audio"], name.removesuffix(".wav")
        frames = data.mel_conventions.converted_spectrogram(audio, trained.run.mel, "tacotron2")
        length = min(len(audio), len(frames) * HOP - LEAD)
        kinds = ("original", "wavenet", "griffin_lim")
        original, wavenet, griffin_lim = (read(tmp_path / f"{stem}_{x}.wav") for x in kinds)
        assert np.array_equal(original, audio[:length])
        assert np.array_equal(wavenet, made(trained, frames, i)[LEAD:][:length])
        whole = data.griffin_lim(frames, trained.run.mel, LEAD + length)
        assert np.array_equal(griffin_lim, whole[LEAD:])
        overlap = [
            np.dot(
                np.abs(griffin_lim[late:][: length - LEAD] / 1e4),
                np.abs(original[: length - LEAD] / 1e4),
            )
            for late in (0, LEAD)
        ]
        assert overlap[0] > overlap[1]  # in time with the recording, not half a hop late


def test_refusals(trained, trained_dir, recording, tmp_path):
    mel = data.mel_spectrogram(read(recording), trained.run.mel)
    np.save(tmp_path / "mel.npy", mel)
    file = {"mel": str(tmp_path / "mel.npy")}
    for options, message in (
        (file | {"mel_convention": "tacotron2"}, "looks like ln.mel. from -1 to 1, not like the"),
        (file | {"mel_convention": "espnet"}, "that of espnet fmin_hz=80, fmax_hz=7600: use a"),
        (file | {"mel_from": str(recording)}, "--mel and --mel_from give one .* use one of them"),
        (file | {"prime": str(recording)}, "--mel begins where the sound does"),
        ({"mel_convention": "tacotron2"}, "give them with --mel=FILE, or a recording with"),
    ):
        with pytest.raises((InputError, data.DataError), match=message):
            sample(trained, out=tmp_path / "out", **options)
    speakers = restore.load(trained_dir)
    for options, message in (
        (file, "--mel is .*mel.npy, but the model takes no mel spectrogram: leave it out"),
        ({"mel_convention": "espnet"}, "--mel_convention is espnet, but the model takes no mel"),
    ):
        with pytest.raises(InputError, match=message):
            sample(speakers, out=tmp_path / "out", **options)
    assert not list(tmp_path.glob("out/*"))


def test_the_programs_refuse_an_unknown_convention(run):
    for program in ("sample", "studies.copy_synthesis"):
        ended = run(f"experiments.{program}", "--workdir=w", "--mel_convention=waveglow")
        assert ended.returncode == 1
        assert "--mel_convention=waveglow: value should be one of <espnet|r9y9|" in ended.stderr
