"""Sampling from a checkpoint: which waveform, which files, and what is refused."""

import pathlib

import numpy as np
import pytest
import soundfile

import data
import wavenet_jax
from experiments.common import restore
from experiments.common.reporting import history
from experiments.common.sampling import Sampling
from experiments.common.spectral_subtraction import subtract_noise
from experiments.tasks.generation import sample
from wavenet_jax import InputError, generate, mulaw, sampling, utterance_keys
from wavenet_jax.checkpoints import Checkpoints

SECONDS = 0.02
LENGTH = 160


@pytest.fixture(scope="module")
def trained(trained_dir: pathlib.Path) -> restore.TrainedModel:
    return restore.load(trained_dir)


def read(path: pathlib.Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    return samples


def test_writes_what_generate_draws_from_the_ema_parameters(trained, trained_dir, tmp_path):
    paths = sample(trained, out=tmp_path, num_samples=3, seconds=SECONDS, seed=5, labels=["low"])
    with Checkpoints(trained_dir, read_only=True) as saved:
        state = saved.restore().state
    names = trained.run.audio.classes["speaker"]
    codes = np.concatenate(
        list(
            generate(
                trained.run.model,
                state.ema_params,
                keys=utterance_keys(5, range(3)),
                num_samples=LENGTH,
                global_condition=np.full(3, names.index("low"), np.int32),
            )
        ),
        axis=1,
    )
    assert [path.name for path in paths] == [f"sample_{i:03}.wav" for i in range(3)]
    for path, row in zip(paths, codes, strict=True):
        assert np.array_equal(read(path), np.asarray(mulaw.decode_int16(row)))
    assert sorted(tmp_path.iterdir()) == paths  # and nothing half-written


def test_a_run_opened_from_python_makes_the_same_bytes(trained, trained_dir, tmp_path):
    paths = sample(trained, out=tmp_path, num_samples=2, seconds=SECONDS, seed=5, labels=["low"])
    model = wavenet_jax.load(trained_dir)
    for index, path in enumerate(paths):
        chunks = model.generate(
            seconds=SECONDS, seed=5, index=index, labels="low", chunk_samples=50
        )
        assert np.concatenate(list(chunks)).tobytes() == read(path).tobytes()


def test_the_best_checkpoint_is_that_of_the_best_score(trained_dir):
    scores = {
        line["step"]: line["held_out/bits_per_sample"]
        for line in history(trained_dir)
        if "held_out/bits_per_sample" in line
    }
    best = min(scores, key=scores.__getitem__)
    assert restore.load(trained_dir, "best").step == restore.load(trained_dir).step == best
    assert restore.load(trained_dir, "last").step == max(scores) == 30
    assert restore.load(trained_dir, 15).step == 15


def test_a_waveform_does_not_depend_on_how_many_are_made(trained, tmp_path):
    few = sample(trained, out=tmp_path / "1", num_samples=1, seconds=SECONDS)
    many = sample(trained, out=tmp_path / "3", num_samples=3, seconds=SECONDS)
    assert np.array_equal(read(few[0]), read(many[0]))
    assert not np.array_equal(read(many[0]), read(many[2]))


def test_continues_a_recording(trained, tmp_path):
    whole = sample(trained, out=tmp_path / "whole", seconds=SECONDS, labels=["high"])[0]
    beginning = read(whole)[:100]
    soundfile.write(tmp_path / "prime.wav", beginning, 8000)
    primed = sample(
        trained,
        out=tmp_path / "primed",
        seconds=(LENGTH - 100) / 8000,
        prime=str(tmp_path / "prime.wav"),
        labels=["high"],
    )[0]
    assert np.array_equal(read(primed), read(whole))


def test_only_the_likeliest_samples(trained, tmp_path):
    likeliest, restricted, plain = (
        sample(trained, out=tmp_path / str(i), seconds=SECONDS, sampling=sampling)[0].read_bytes()
        for i, sampling in enumerate((Sampling(0.0), Sampling(top_p=1e-6), Sampling()))
    )
    assert restricted == likeliest != plain


def test_noise_is_subtracted_from_what_is_generated(trained, tmp_path):
    """Of the whole recording, and not from the prime."""
    prime = np.random.default_rng(0).normal(0, 999, 300).astype(np.int16)
    soundfile.write(tmp_path / "prime.wav", prime, 8000)
    given = {"seconds": 0.1, "prime": str(tmp_path / "prime.wav"), "labels": ["low"]}
    plain = read(sample(trained, out=tmp_path / "1", **given)[0])
    subtracted = Sampling(spectral_subtraction=1.0)
    cleaned = read(sample(trained, out=tmp_path / "2", sampling=subtracted, **given)[0])
    assert len(cleaned) == len(plain) == 1100
    assert np.array_equal(cleaned[:300], prime)
    assert np.array_equal(cleaned[300:], subtract_noise(plain[300:], 8000, 1.0))
    assert not np.array_equal(cleaned, plain)


def test_takes_label_and_length_from_recordings(trained, fsdd_dir, tmp_path):
    corpus = trained.run.load(fsdd_dir, "test")
    paths = sample(trained, out=tmp_path, num_samples=2, corpus=corpus)
    assert [len(read(path)) for path in paths] == corpus.lengths[:2].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "--num_samples is 0"),
        ({"num_samples": -2}, "--num_samples is -2"),
        ({"seconds": 0.0}, "--seconds is 0.0"),
        ({"seconds": float("nan")}, "--seconds is nan"),
        ({"sampling": Sampling(-1.0)}, "temperature is -1"),
        ({"sampling": Sampling(top_p=0.0)}, "top_p is 0.0: give a probability above 0"),
        (
            {"sampling": Sampling(voiced_temperature=0.7)},
            "--voiced_temperature is 0.7, and the model's local features '' do not tell voiced",
        ),
        ({"labels": ["nobody"]}, "no speaker 'nobody': use one of high, low"),
    ],
)
def test_refuses_what_it_cannot_do(trained, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        sample(trained, out=tmp_path / "out", **options)
    assert not list(tmp_path.glob("out/*"))


def test_refuses_more_samples_than_recordings(trained, fsdd_dir, tmp_path):
    corpus = trained.run.load(fsdd_dir, "test")
    with pytest.raises(InputError, match=f"has {len(corpus)} recordings"):
        sample(trained, out=tmp_path, num_samples=99, corpus=corpus)
    with pytest.raises(InputError, match="without --prime, --label, --mel and --mel_from"):
        sample(trained, out=tmp_path, corpus=corpus, labels=["low"])


def test_refuses_a_prime_that_is_no_recording(trained, tmp_path):
    (tmp_path / "prime.wav").write_bytes(b"no sound at all" * 50)
    with pytest.raises(data.DataError, match="prime.wav"):
        sample(trained, out=tmp_path / "out", prime=str(tmp_path / "prime.wav"))


def test_refuses_a_folder_that_cannot_be_written(trained, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Nothing can be written"):
        sample(trained, out=tmp_path / "file" / "out", seconds=SECONDS)


def test_leaves_nothing_when_it_is_stopped(trained, tmp_path, monkeypatch):
    def stopped(*args, **kwargs):
        yield np.full((1, 10), 128)
        raise KeyboardInterrupt

    monkeypatch.setattr(sampling, "generate", stopped)
    with pytest.raises(KeyboardInterrupt):
        sample(trained, out=tmp_path, seconds=SECONDS)
    assert not list(tmp_path.iterdir())


def test_refuses_a_directory_without_checkpoints(tmp_path):
    with pytest.raises(InputError, match="no work directory"):
        restore.load(tmp_path / "none")
    with pytest.raises(InputError, match="no checkpoint"):
        restore.load(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_comb_filter_is_of_what_was_generated(trained, tmp_path, monkeypatch):
    """The files hold what it gives, here each sample's complement, with its strength."""
    options = {"seconds": SECONDS, "labels": ["low"]}
    (plain,) = sample(trained, out=tmp_path / "plain", **options)
    strengths = []
    monkeypatch.setattr(
        "experiments.common.sampling.comb_filter",
        lambda samples, rate, strength: strengths.append((rate, strength)) or ~samples,
    )
    (path,) = sample(
        trained, out=tmp_path / "filtered", sampling=Sampling(comb_filter=0.5), **options
    )
    assert np.array_equal(read(path), ~read(plain))
    assert set(strengths) == {(8000, 0.5)}
