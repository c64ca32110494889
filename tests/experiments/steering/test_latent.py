"""Steering by gradients on embeddings: what is expected, that its loss falls, and what is drawn."""

import copy
import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from experiments.common import restore
from experiments.steering import constraints, latent, search
from wavenet_jax import InputError

RATE_HZ, LENGTH = 8000, 2000


@pytest.fixture(scope="module")
def trained(autoencoder_dir: pathlib.Path) -> restore.TrainedModel:
    """With an output that is not uniform, so that all parameters have a gradient."""
    found = restore.load(autoencoder_dir, "last")
    keys = iter(jax.random.split(jax.random.key(0), 1000))

    def shaken(x: jax.Array) -> jax.Array:
        return x + 0.3 * jax.random.normal(next(keys), x.shape)

    return found._replace(params=jax.tree.map(shaken, found.params))


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 3000, LENGTH).astype(np.int16)


@pytest.fixture(scope="module")
def latents(trained: restore.TrainedModel, recording: np.ndarray) -> latent.Latents:
    condition = trained.run.audio.named_condition("3")
    return latent.Latents(trained, recording, condition=condition)


def crescendo(tolerance_db: float = 0.1) -> constraints.Loudness:
    return constraints.Loudness((0.0, 12.0), LENGTH, tolerance_db, RATE_HZ)


def steered(latents: latent.Latents, constraint, number: int, seed: int = 5) -> search.Steered:
    return latent.by_gradient(
        latents, constraint, seed=seed, index=1, num_candidates=number, num_samples=LENGTH
    )


def smooth_loss(correlations: dict[tuple[int, str], float], tonic: int, mode: str) -> float:
    """Of a key, from the correlations of all."""
    others = np.array([each for key, each in correlations.items() if key != (tonic, mode)])
    smooth = np.log(np.sum(np.exp(latent.SHARPNESS * others))) / latent.SHARPNESS
    return float(smooth - correlations[tonic, mode]) / latent.KEY_UNIT


# -- what is expected -----------------------------------------------------------------


@pytest.mark.parametrize("length", [500, 5000])
def test_of_certain_samples_the_level_is_librosas(length: int) -> None:
    """Also of a sound that is shorter than a window."""
    rng = np.random.default_rng(2)
    sound = (rng.normal(0, 1, length) * np.linspace(200, 6000, length)).astype(np.int16)
    found_db, middles = constraints.levels(sound, RATE_HZ)
    loudness = constraints.Loudness((0.0, 5.0, -3.0), length, 2.0, RATE_HZ)
    deviation = found_db - found_db.mean() - loudness.contour_db(middles)
    values = jnp.asarray(sound / 32768.0, jnp.float32)
    loss = latent.expected_loss(loudness)(values, values**2)
    assert float(loss) == pytest.approx(np.mean(deviation**2) / 4, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("length", [700, 9000])
def test_of_certain_samples_the_key_is_librosas(length: int) -> None:
    time = np.arange(length) / RATE_HZ
    tones = [np.sin(2 * np.pi * hz * time) for hz in (293.66, 349.23, 440.0)]
    sound = np.rint(3000 * sum(tones)).astype(np.int16)
    values = jnp.asarray(sound / 32768.0, jnp.float32)
    for tonic, mode in ((2, "minor"), (7, "major")):
        loss = latent.expected_loss(constraints.Key(tonic, mode, RATE_HZ))(values, values**2)
        wanted = smooth_loss(constraints.key_correlations(sound, RATE_HZ), tonic, mode)
        assert float(loss) == pytest.approx(wanted, abs=2e-3)


def test_what_is_not_expected_of_samples_is_noise() -> None:
    """The mean power of sounds whose samples deviate independently from what is expected."""
    rng, length, window = np.random.default_rng(3), 600, 256
    means = 0.2 * np.sin(2 * np.pi * 440 / RATE_HZ * np.arange(length))
    deviations = np.linspace(0.0, 0.5, length)
    sounds = means + deviations * rng.normal(0, 1, (2000, length))
    spectra = librosa.stft(sounds, n_fft=window, hop_length=window // 4)
    wanted = np.mean(np.abs(spectra) ** 2, axis=0).sum(axis=-1)
    squares = jnp.asarray(means**2 + deviations**2)
    found = latent.expected_power(jnp.asarray(means), squares, window)
    np.testing.assert_allclose(found, wanted, rtol=0.1)


# -- the gradient ---------------------------------------------------------------------


@pytest.mark.parametrize("constraint", [crescendo(), constraints.Key(0, "major", RATE_HZ)])
def test_steps_lower_the_loss(latents: latent.Latents, constraint) -> None:
    (codes,) = latents.whole(seed=5, index=0, attempts=[0], num_samples=LENGTH)
    change, moments = jnp.zeros(latents.embeddings.shape), None
    losses = []
    for _ in range(3):
        change, moments, found = latents.descend(constraint, codes, change, moments)
        losses.extend(found)
    assert losses[-1] < losses[0]
    assert np.all(np.isfinite(losses)) and np.any(change != 0)


def test_equal_seeds_give_equal_sounds(latents: latent.Latents) -> None:
    one, same, other = (steered(latents, crescendo(), 3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.sound, same.sound)
    assert not np.array_equal(one.sound, other.sound)
    assert one.drawn_samples == 3 * LENGTH and not one.holds


def test_the_first_sound_is_that_of_ordinary_sampling(trained, latents, recording) -> None:
    made = steered(latents, crescendo(tolerance_db=90.0), 3)
    condition = trained.run.audio.named_condition("3")
    model = trained.generator
    parts = model.generate_batch(
        [LENGTH],
        seed=5,
        indices=[1],
        global_condition=condition[None],
        local_condition=model.encode(recording)[None],
    )
    np.testing.assert_array_equal(made.sound, np.concatenate([pcm for (pcm,) in parts]))
    assert made.holds and made.drawn_samples == LENGTH


def test_embeddings_move_what_is_drawn(latents: latent.Latents) -> None:
    moved = latents.moved(jnp.ones(latents.embeddings.shape))
    options = {"seed": 5, "index": 1, "attempts": [0, 1], "num_samples": LENGTH}
    one, other = latents.whole(**options), moved.whole(**options)
    assert one.shape == (2, LENGTH) and not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])
    assert np.all(latents.bits(one) > 0) and not np.allclose(latents.bits(one), moved.bits(one))


# -- what is refused ------------------------------------------------------------------


def test_refusals(trained, trained_dir, latents, recording) -> None:
    with pytest.raises(InputError, match="of onsets a second there is none: steer a key or"):
        steered(latents, constraints.OnsetRate(1.0, 2.0, RATE_HZ), 2)
    with pytest.raises(InputError, match="num_candidates is 0: give at least 1"):
        steered(latents, crescendo(), 0)
    with pytest.raises(InputError, match="has no encoder, and --way=latent changes what one"):
        latent.Latents(restore.load(trained_dir), recording)
    audio = dataclasses.replace(trained.run.audio, filter_taps=(1.0, -0.5))
    run = dataclasses.replace(trained.run, audio=audio)
    filtering = latent.Latents(trained._replace(run=run), recording)
    with pytest.raises(InputError, match="of filtered sound, whose expected power is not that"):
        steered(filtering, crescendo(), 2)
    continuous = copy.copy(latents)
    continuous._config = dataclasses.replace(latents._config, output="gaussian")
    with pytest.raises(InputError, match="output is gaussian, and what is expected of samples"):
        steered(continuous, crescendo(), 2)
