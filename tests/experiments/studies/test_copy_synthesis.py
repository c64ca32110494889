"""Copies from a model that the mel spectrogram conditions: files, figures, refusals."""

import json
import pathlib
import shutil

import ml_collections
import numpy as np
import pytest
import soundfile
import tiny

import data
from experiments.common import restore
from experiments.common.run import Run
from experiments.metrics import spectral
from experiments.studies import copy_synthesis
from experiments.tasks import distillation, generation
from experiments.tasks.training import train
from wavenet_jax import InputError

MEL = tiny.MEL
SECONDS = 0.05


def mel_config(**changes) -> ml_collections.ConfigDict:
    config = tiny.get_config()
    config.global_condition.labels = ()
    config.local_condition.update({"features": "mel", "channels": 4} | MEL | changes)
    return config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory, fsdd_dir: pathlib.Path) -> pathlib.Path:
    config = mel_config()
    config.num_steps = config.checkpoint_every = 3
    folder = tmp_path_factory.mktemp("vocoder")
    train(tiny.experiment(config), workdir=folder, data_dir=fsdd_dir)
    return folder


@pytest.fixture(scope="module")
def trained(workdir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(workdir)


def read(path: pathlib.Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    return samples


@pytest.mark.long
def test_writes_each_recording_beside_its_copies(trained, fsdd_dir, tmp_path):
    corpus = trained.run.load(fsdd_dir, "test")
    figures = copy_synthesis.copy_synthesis(
        trained, corpus, out=tmp_path / "out", num_recordings=2, seconds=SECONDS, seed=7
    )
    mel = data.MelConfig(sample_rate_hz=8000, **MEL)
    drawn = generation.sample(
        trained, out=tmp_path / "drawn", num_samples=2, seconds=SECONDS, seed=7, corpus=corpus
    )
    assert list(figures["recordings"]) == list(corpus.names[:2])
    for i, name in enumerate(corpus.names[:2]):
        stem = f"{tmp_path / 'out'}/{name.removesuffix('.wav')}"
        original, wavenet, griffin_lim = (
            read(pathlib.Path(f"{stem}_{kind}.wav"))
            for kind in ("original", "wavenet", "griffin_lim")
        )
        audio = corpus.recording(i)["audio"]
        assert np.array_equal(original, audio[:400])
        assert np.array_equal(wavenet, read(drawn[i]))
        frames = data.mel_spectrogram(audio, mel)[:20]
        assert np.array_equal(griffin_lim, data.griffin_lim(frames, mel, 400))
        assert pathlib.Path(f"{stem}_spectrograms.png").stat().st_size > 1000
        for method, samples in (("wavenet", wavenet), ("griffin_lim", griffin_lim)):
            assert figures["recordings"][name][method] == {
                "log_spectral_distance_db": spectral.log_spectral_distance_db(
                    original, samples, 8000
                ),
                "mel_cepstral_distortion_db": spectral.mel_cepstral_distortion_db(
                    original, samples, 8000
                ),
            }
    assert len(list((tmp_path / "out").iterdir())) == 8  # and nothing half-written
    for method in ("wavenet", "griffin_lim"):
        for distance in ("log_spectral_distance_db", "mel_cepstral_distortion_db"):
            each = [of[method][distance] for of in figures["recordings"].values()]
            assert figures[method][distance] == pytest.approx(np.mean(each))
    assert (figures["num_recordings"], figures["seconds"], figures["step"]) == (2, 0.1, 3)


@pytest.mark.long
def test_copies_of_a_student(fsdd_dir, tmp_path):
    """What it makes of the recording's mel spectrogram, which is its teacher's condition."""
    config = mel_config(fmax_hz=3800.0)
    config.model.update(output="gaussian", input="scalar", num_classes=65536, companding="linear")
    config.num_steps = config.checkpoint_every = 2
    teacher, workdir = tmp_path / "teacher", tmp_path / "student"
    train(tiny.experiment(config), workdir=teacher, data_dir=fsdd_dir)
    config.task = "distill"
    config.student.update(num_flows=2, dilations=(1, 3), fft_sizes=(32,))
    distillation.distill(
        tiny.experiment(config), teacher=teacher, workdir=workdir, data_dir=fsdd_dir
    )
    student = restore.load(workdir)
    corpus = student.run.load(fsdd_dir, "test")
    figures = copy_synthesis.copy_synthesis(
        student, corpus, out=tmp_path / "out", num_recordings=1, seconds=SECONDS, seed=7
    )
    name = corpus.names[0]
    copied = read(tmp_path / "out" / name.replace(".wav", "_wavenet.wav"))
    mel = data.mel_spectrogram(corpus.recording(0)["audio"], student.run.mel)[:20]
    chunks = [*student.generator.generate(local_condition=mel, seed=7)]
    assert len(copied) == 400 and np.abs(copied - np.concatenate(chunks).astype(int)).max() <= 1
    assert np.isfinite(figures["recordings"][name]["wavenet"]["mel_cepstral_distortion_db"])


def test_the_program(run, workdir, fsdd_dir, tmp_path):
    completed = run(
        "experiments.studies.copy_synthesis",
        f"--workdir={workdir}",
        f"--data_dir={fsdd_dir}",
        "--split=test",
        f"--out={tmp_path / 'out'}",
        f"--json={tmp_path / 'figures.json'}",
        "--num_recordings=1",
        f"--seconds={SECONDS}",
    )
    assert completed.returncode == 0, completed.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    printed = completed.stdout
    assert "| | original | wavenet | griffin_lim |" in printed
    for name, title in (
        ("log_spectral_distance_db", "log-spectral distance |"),
        ("mel_cepstral_distortion_db", "mel-cepstral distortion |"),
    ):
        cells = [f"{figures[method][name]:.2f} dB" for method in ("wavenet", "griffin_lim")]
        assert f"| {title}  | {' | '.join(cells)} |" in printed
    assert "noise_level_db" in figures["original"]
    assert "log_spectral_distance_db" not in figures["original"]


def test_the_model_is_given_its_mel_spectrogram(trained, fsdd_dir):
    """Frames of the features reach the model, as many and as wide as it needs."""
    run = trained.run
    corpus = run.load(fsdd_dir, "test")
    assert run.mel == data.MelConfig(sample_rate_hz=8000, **MEL)
    assert run.audio.classes == {}
    recording = next(run.recordings(corpus))
    expected = data.mel_spectrogram(recording["samples"], run.mel)
    assert np.array_equal(recording["local"], expected)
    batch = next(run.windows(corpus))
    assert batch["local"].shape == (8, (60 + run.context_samples) // 20, 10)
    assert (run.wavenet.local_condition.size, run.hop_samples) == (10, 20)


def test_refusals(trained, trained_dir, fsdd_dir, tmp_path):
    corpus = trained.run.load(fsdd_dir, "test")
    with pytest.raises(InputError, match="takes no mel spectrogram"):
        copy_synthesis.copy_synthesis(restore.load(trained_dir), corpus, out=tmp_path / "o")
    for number, message in (
        (0, "is 0, and the split test of fsdd"),
        (5, "has 4: give at least 1, and no more"),
    ):
        with pytest.raises(InputError, match=message):
            copy_synthesis.copy_synthesis(
                trained, corpus, out=tmp_path / "o", num_recordings=number
            )
    with pytest.raises(InputError, match="--seconds is 0"):
        copy_synthesis.copy_synthesis(trained, corpus, out=tmp_path / "o", seconds=0.0)
    assert not list(tmp_path.glob("o/*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": None}, "--config.local_condition.n_fft is None: give a number"),
        ({"fmax_hz": 4100.0}, r"--config.local_condition.*fmax_hz.* 4100.0"),
        ({"features": "mfcc"}, "features is 'mfcc': use one of phones, linguistic, "),
        ({"features": "phones"}, "no label 'phones'"),
    ],
)
def test_a_config_that_is_no_mel_spectrogram(fsdd_dir, changes, message):
    corpus = data.load("fsdd", fsdd_dir, "train")
    with pytest.raises(InputError, match=message):
        Run.create(tiny.experiment(mel_config(**changes)), corpus)


def test_refuses_to_continue_with_another_mel_spectrogram(workdir, fsdd_dir, tmp_path):
    shutil.copytree(workdir, tmp_path / "run")
    config = mel_config()
    config.num_steps = config.checkpoint_every = 3
    options = {"workdir": tmp_path / "run", "data_dir": fsdd_dir}
    assert int(train(tiny.experiment(config), **options).state.step) == 3
    config.local_condition.fmax_hz = 3800.0
    with pytest.raises(InputError, match=r"local_condition.fmax_hz.*38.*"):
        train(tiny.experiment(config), **options)
