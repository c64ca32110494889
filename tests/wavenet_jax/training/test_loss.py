"""Loss terms: which samples are scored, and what the model hears."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_training import (
    CONFIG,
    CONTEXT,
    TRAINING,
    assert_trees_equal,
    loss_and_gradients,
    make_batch,
    make_state,
)

from wavenet_jax import (
    InputError,
    LocalConditionConfig,
    WaveNetConfig,
    mulaw,
    receptive_field,
    training,
)
from wavenet_jax.errors import ConfigError
from wavenet_jax.recognition.recognizer import RecognizerConfig

RECEPTIVE_FIELD = 10


def test_the_loss_is_the_bits_of_the_scored_samples() -> None:
    """Against the logits of the whole window: masked and context samples do not count."""
    batch, params = make_batch(), make_state().params
    assert receptive_field(CONFIG) <= CONTEXT
    found = jax.jit(functools.partial(training.losses, CONFIG))(params, batch)
    bits = found["bits_per_sample"]
    codes = np.asarray(mulaw.encode(batch["samples"], CONFIG.num_classes))
    logits = grid.sequence_logits(CONFIG, params, codes, batch)[:, CONTEXT:].astype(float)
    log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    picked = np.take_along_axis(log_p, codes[:, CONTEXT:, None], axis=2)[..., 0]
    assert training.num_summands(CONFIG, batch)["bits_per_sample"] == batch["mask"].sum()
    assert float(bits) == pytest.approx(-picked[batch["mask"]].sum() / np.log(2), rel=1e-5)


def test_what_is_not_scored_does_not_matter() -> None:
    """Neither samples beyond the mask, nor those of the context before the field."""
    batch, params = make_batch(), make_state().params
    other = dict(batch, samples=batch["samples"].copy())
    after = np.pad(~batch["mask"], ((0, 0), (CONTEXT, 0)))
    other["samples"][after] = 12345
    other["samples"][:, : CONTEXT - receptive_field(CONFIG)] = 12345
    assert (other["samples"] != batch["samples"]).sum() > 50
    value, gradients = loss_and_gradients()(params, batch)
    other_value, other_gradients = loss_and_gradients()(params, other)
    assert float(value) == float(other_value)
    assert_trees_equal(gradients, other_gradients, rtol=1e-6)
    # What is scored does matter, and the context within the field.
    for position in (CONTEXT, CONTEXT - 1):
        changed = dict(batch, samples=batch["samples"].copy())
        changed["samples"][0, position] = 12345
        assert float(loss_and_gradients()(params, changed)[0]) != float(value)


def losses(config: WaveNetConfig, state: training.TrainState, **fields: Any) -> float:
    settings = dataclasses.replace(TRAINING, **fields)
    step = jax.jit(functools.partial(training.train_step, config, settings, axis=None))
    return float(step(state, make_batch())[1]["bits_per_sample"])


def test_dropout_is_of_training_alone_and_new_at_each_step() -> None:
    config = dataclasses.replace(CONFIG, dropout=0.5)
    state = make_state()
    without = losses(CONFIG, state)
    first = losses(config, state)
    assert first == losses(config, state) != without
    assert losses(config, dataclasses.replace(state, step=jnp.int32(1))) != first
    codes = grid.random_codes(config, 2, 30)
    conditions = grid.conditions_for(config, 2, 30)
    np.testing.assert_array_equal(
        grid.sequence_logits(config, state.params, codes, conditions),
        grid.sequence_logits(CONFIG, state.params, codes, conditions),
    )


def test_input_noise_is_on_what_is_seen_not_on_what_is_scored() -> None:
    """A model that does not listen scores the same; one that does, does not."""
    state = make_state()
    assert losses(CONFIG, state, input_noise=0.1) != losses(CONFIG, state)
    deaf = jax.tree.map(jnp.copy, state.params)
    deaf["params"]["input"]["kernel"] = 0 * deaf["params"]["input"]["kernel"]
    state = dataclasses.replace(state, params=deaf)
    # Two programs, which a compiler may round differently.
    assert losses(CONFIG, state, input_noise=0.1) == pytest.approx(losses(CONFIG, state), rel=1e-6)


def test_input_noise_is_as_strong_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """In shares of the half range, on codes that stay codes."""
    config = WaveNetConfig(dilations=(1,), **(grid.SMALL | {"num_classes": 256}))
    seen = []

    class Listener:
        def __init__(self, config, fused_precision):
            self.config = config

        def apply(self, params, codes, *, context, **kwargs):
            seen.append(np.asarray(codes))
            return jnp.zeros((*codes[:, context:].shape, 256))

    monkeypatch.setattr("wavenet_jax.training.loss.WaveNet", Listener)
    batch = {"samples": np.zeros((8, 4000), np.int16), "mask": np.ones((8, 4000), bool)}
    training.losses(config, {}, batch, input_noise=0.05, key=jax.random.key(0))
    assert np.std(seen[0]) == pytest.approx(0.05 * 128, rel=0.03)
    assert abs(np.mean(seen[0]) - 128) < 0.2
    training.losses(config, {}, batch, input_noise=5.0, key=jax.random.key(0))
    assert (seen[1].min(), seen[1].max()) == (0, 255)


@pytest.fixture
def heard_by(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[np.ndarray]]:
    """What a WaveNet hears of linear codes, samples `[B, T]`, with each of some options.

    Whatever it hears, the recording is scored.
    """
    local = LocalConditionConfig("vectors", size=2, channels=3, hop_samples=4)
    fields = grid.SMALL | {"num_classes": 65536, "companding": "linear", "input": "scalar"}
    config = WaveNetConfig(
        dilations=(1, RECEPTIVE_FIELD - 2), output="gaussian", local_condition=local, **fields
    )
    assert receptive_field(config) == RECEPTIVE_FIELD
    seen = []

    class Listener:
        def __init__(self, config, fused_precision):
            pass

        def apply(self, params, codes, *, context, **kwargs):
            seen.append(np.asarray(codes) - 32768.0)
            return jnp.zeros((*codes[:, context:].shape, 2))

    monkeypatch.setattr("wavenet_jax.training.loss.WaveNet", Listener)

    def heard(samples: np.ndarray, options: list[dict[str, float]]) -> list[np.ndarray]:
        mask, frames = np.ones(samples.shape, bool), samples.shape[1] // 4
        local = np.zeros((len(samples), frames, 2))
        batch = {"samples": samples, "mask": mask, "local": local}
        bits = {
            float(
                training.losses(config, {}, batch, key=jax.random.key(0), **each)["bits_per_sample"]
            )
            for each in options
        }
        assert len(bits) == 1
        return seen[-len(options) :]

    return heard


def test_an_input_gain_is_of_each_window(heard_by: Callable[..., list[np.ndarray]]) -> None:
    """Normal in dB, and one of a whole window, whose codes stay codes."""
    samples = np.random.default_rng(0).integers(-9000, 9000, (400, 40)).astype(np.int16)
    options = [{}, {"input_gain_db": 3.0}, {"input_gain_db": 40.0}]
    plain, some, most = heard_by(samples, options)
    np.testing.assert_array_equal(plain, samples)
    gains = (some * samples).sum(axis=1) / (1.0 * samples * samples).sum(axis=1)
    np.testing.assert_allclose(some, gains[:, None] * samples, atol=1)
    assert np.std(20 * np.log10(gains)) == pytest.approx(3.0, rel=0.1)
    assert abs(np.mean(20 * np.log10(gains))) < 0.4
    assert (most.min(), most.max()) == (-32768, 32767)


def test_gaps_are_of_what_is_heard(heard_by: Callable[..., list[np.ndarray]]) -> None:
    """A share of windows has one, silent, anywhere, no longer than the receptive field."""
    samples = np.random.default_rng(0).integers(1, 9000, (2000, 40)).astype(np.int16)
    plain, some, all_ = heard_by(samples, [{}, {"input_gaps": 0.3}, {"input_gaps": 1.0}])
    np.testing.assert_array_equal(plain, samples)
    assert np.mean((some == 0).any(axis=1)) == pytest.approx(0.3, abs=0.04)
    for heard, own in zip(all_, samples, strict=True):
        gap = np.flatnonzero(heard != own)
        assert 0 < len(gap) <= RECEPTIVE_FIELD and not heard[gap].any()
        np.testing.assert_array_equal(gap, range(gap[0], gap[-1] + 1))
    assert (all_ == 0).any(axis=0).all()


@pytest.mark.parametrize("name", ["input_gain_db", "input_gaps"])
@pytest.mark.parametrize("config", [grid.CONFIGS["plain"], grid.RECOGNIZERS["frames"]])
def test_wrong_hearing_needs_a_local_condition(config: training.ModelConfig, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0.5: give 0: .* a local condition"):
        training.losses(config, {}, {}, **{name: 0.5})


def test_scheduled_sampling_hears_its_own_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the scored samples as the model draws them; not the context, not the padding."""
    config = WaveNetConfig(dilations=(1,), **(grid.SMALL | {"num_classes": 256}))
    heard = []

    class SaysSeven:
        def __init__(self, config, fused_precision):
            pass

        def apply(self, params, codes, *, context, **kwargs):
            heard.append(np.asarray(codes))
            return 100.0 * jax.nn.one_hot(jnp.full(codes[:, context:].shape, 7), 256)

    monkeypatch.setattr("wavenet_jax.training.loss.WaveNet", SaysSeven)
    mask = np.ones((8, 3000), bool)
    mask[:, -500:] = False
    batch = {"samples": np.zeros((8, 3010), np.int16), "mask": mask}

    def bits(key: jax.Array | None) -> float:
        terms = training.losses(config, {}, batch, scheduled_sampling=0.3, key=key)
        return float(terms["bits_per_sample"])

    scored = bits(jax.random.key(0))
    first, second = heard
    assert (first == 128).all() and set(np.unique(second)) == {7, 128}
    own = second == 7
    assert not own[:, :10].any() and not own[:, -500:].any()
    assert np.mean(own[:, 10:-500]) == pytest.approx(0.3, abs=0.01)
    # What is scored is the recording, 128, which this model holds for impossible.
    assert scored == pytest.approx(8 * 2500 * 100 / np.log(2), rel=1e-5)
    # Without a key, as for scores, it hears recordings alone, once.
    assert bits(None) == scored and len(heard) == 3 and (heard[2] == 128).all()


@pytest.mark.parametrize(
    "output",
    [
        "categorical",
        *(pytest.param(x, marks=pytest.mark.long) for x in ("logistic_mixture", "gaussian")),
    ],
)
def test_scheduled_sampling_of_each_distribution(output: str) -> None:
    config = dataclasses.replace(CONFIG, output=output)
    state = dataclasses.replace(
        training.init_state(config, TRAINING), params=grid.random_params(config)
    )
    some = losses(config, state, scheduled_sampling=0.5)
    assert np.isfinite(some) and some != losses(config, state)
    assert some == losses(config, state, scheduled_sampling=0.5)


def test_a_recognizer_is_not_trained_on_its_samples() -> None:
    wavenet = WaveNetConfig(dilations=(1, 2), **grid.SMALL)
    config = RecognizerConfig(wavenet, num_classes=4, hop_samples=10)
    with pytest.raises(ConfigError, match="scheduled_sampling is 0.5: give 0: a recognizer hears"):
        training.losses(config, {}, {}, scheduled_sampling=0.5)


def test_rematerialization_computes_layers_twice_and_gradients_alike() -> None:
    config = WaveNetConfig(dilations=(1, 2, 4, 8) * 4, **grid.SMALL)
    params = grid.random_params(config)
    batch = {
        "samples": np.random.default_rng(0).normal(0, 5000, (2, 600)).astype(np.int16),
        "mask": np.ones((2, 500), bool),
    }

    def lowered(config):
        def loss(params):
            return training.losses(config, params, batch)["bits_per_sample"]

        return jax.jit(jax.grad(loss)).lower(params)

    plain = lowered(config)
    anew = lowered(dataclasses.replace(config, rematerialize=True))
    assert_trees_equal(anew.compile()(params), plain.compile()(params), rtol=1e-5)
    # XLA on a CPU merges what is computed twice, so that only the program asks for it.
    computed = [program.as_text().count("stablehlo.tanh") for program in (plain, anew)]
    assert computed == [16, 32]
