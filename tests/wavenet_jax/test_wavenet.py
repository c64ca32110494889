"""The model: what it sees, that its three ways to run agree, and what it refuses."""

import dataclasses
import functools
import json
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grid import CONFIGS

from wavenet_jax import (
    ConditionConfig,
    InputError,
    WaveNet,
    WaveNetConfig,
    receptive_field,
    receptive_field_ms,
)
from wavenet_jax.wavenet import config_from_dict

BATCH, LENGTH = 3, 30
every_config = pytest.mark.parametrize("name", CONFIGS)


@functools.cache
def case(name: str) -> tuple[WaveNetConfig, Any, np.ndarray, dict]:
    """A config, parameters, codes and conditions."""
    config = CONFIGS[name]
    return (
        config,
        grid.random_params(config),
        grid.random_codes(config, BATCH, LENGTH),
        grid.conditions_for(config, BATCH, LENGTH),
    )


@functools.cache
def logits_of(name: str) -> np.ndarray:
    return grid.sequence_logits(*case(name))


# -- against the paper's equations ------------------------------------------------


def from_the_equations(
    config: WaveNetConfig, params: Any, codes: np.ndarray, conditions: dict, row: int
) -> np.ndarray:
    """Logits `[T, K]` in float64, one sample and one tap at a time.

    Before sample 0 stands twice the field of silence, without local condition.
    """
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"])
    lead = 2 * receptive_field(config)
    silent = np.full(lead, config.num_classes // 2)
    said = np.concatenate([silent, codes[row]])
    total = len(said)
    if config.input == "one_hot":
        inputs = np.eye(config.num_classes)[said]
    else:
        half = config.num_classes // 2
        inputs = (said[:, None] - half) / half

    def tap(x: np.ndarray, at: int) -> np.ndarray:
        return x[max(at, 0)]  # before the lead: more silence

    x = np.stack(
        [
            p["input"]["bias"]
            + sum(
                tap(inputs, t - config.input_kernel_size + k) @ p["input"]["kernel"][k]
                for k in range(config.input_kernel_size)
            )
            for t in range(total)
        ]
    )
    embedded = {}
    for name in conditions:
        value = conditions[name][row]
        weights = p[f"{name}_embedding"]
        embedded[name] = (
            weights["table"][value] if "table" in weights else value @ weights["map"]["kernel"]
        )
    skips = []
    for i, dilation in enumerate(config.dilations):
        block = p[f"blocks_{i}"]
        z = np.tile(block["bias"], (total, 1))
        for t in range(total):
            for k in range(config.kernel_size):
                z[t] += tap(x, t - (config.kernel_size - 1 - k) * dilation) @ block["kernel"][k]
            if "global" in embedded:
                z[t] += embedded["global"] @ block["global_projection"]["kernel"]
            if "local" in embedded and t >= lead:
                frame = (t - lead) // config.hop_samples
                z[t] += embedded["local"][frame] @ block["local_projection"]["kernel"]
        filter_, gate = np.split(z, 2, axis=1)
        a = np.tanh(filter_) / (1 + np.exp(-gate))
        skips.append(a)
        if "residual" in block:
            x = x + a @ block["residual"]["kernel"] + block["residual"]["bias"]
    h = np.concatenate(skips, axis=1) @ p["skip"]["kernel"] + p["skip"]["bias"]
    h = np.maximum(h, 0) @ p["head"]["kernel"] + p["head"]["bias"]
    return (np.maximum(h, 0) @ p["output"]["kernel"] + p["output"]["bias"])[lead:]


@every_config
def test_the_model_is_that_of_the_equations(name: str) -> None:
    wanted = from_the_equations(*case(name), row=1)
    np.testing.assert_allclose(logits_of(name)[1], wanted, atol=2e-5)
    assert np.std(wanted, axis=0).min() > 1e-3  # the past matters


# -- what an output sees ----------------------------------------------------------


@every_config
def test_causality_and_receptive_field_by_gradients(name: str) -> None:
    """Row t depends on the samples before t, as far as the taps reach, and on no other.

    Zero from t on, zero before t - R, not zero at t - 1, t - R and wherever a path
    of taps leads between.
    """
    config, params, _, _ = case(name)
    field = receptive_field(config)
    length = field + 5
    codes = grid.random_codes(config, 1, length)
    conditions = grid.conditions_for(config, 1, length)
    if config.input == "one_hot":
        vectors = jax.nn.one_hot(codes, config.num_classes)
    else:
        half = config.num_classes // 2
        vectors = jnp.asarray((codes[..., None] - half) / half, jnp.float32)
    mix = np.random.default_rng(5).normal(0, 1, config.num_classes).astype(np.float32)

    def mixed(vectors):
        logits = WaveNet(config).apply(
            params,
            vectors,
            global_condition=conditions.get("global"),
            local_condition=conditions.get("local"),
        )
        return logits[0] @ mix, logits

    jacobian, logits = jax.jit(jax.jacrev(mixed, has_aux=True))(vectors)
    np.testing.assert_allclose(  # the vectors stand for the codes
        logits, grid.sequence_logits(config, params, codes, conditions), atol=1e-5
    )
    seen = np.linalg.norm(jacobian[:, 0], axis=-1) > 0
    lags = {
        1 + tap + lag
        for tap in range(config.input_kernel_size)
        for lag in grid.reached_lags(config)
    }
    assert (min(lags), max(lags)) == (1, field)
    wanted = [[t - s in lags for s in range(length)] for t in range(length)]
    np.testing.assert_array_equal(seen, wanted)


@pytest.mark.parametrize("name", [name for name in CONFIGS if CONFIGS[name].local_condition])
def test_a_frame_changes_the_samples_it_should(name: str) -> None:
    """Those it covers and those which later layers carry it to, and none else."""
    config, params, codes, conditions = case(name)
    hop, frame = config.hop_samples, 2
    other = dict(conditions, local=conditions["local"].copy())
    if config.local_condition.kind == "labels":
        other["local"][:, frame] = (other["local"][:, frame] + 1) % config.local_condition.size
    else:
        other["local"][:, frame] += 1
    changed = np.abs(logits_of(name) - grid.sequence_logits(config, params, codes, other)) > 1e-7
    covered = range(frame * hop, (frame + 1) * hop)
    lags = grid.reached_lags(config, first_layer=1)
    wanted = [any(t - s in lags for s in covered) for t in range(LENGTH)]
    for row in changed.any(axis=-1):
        np.testing.assert_array_equal(row, wanted)


@every_config
def test_before_the_beginning_there_was_silence(name: str) -> None:
    """Said aloud, in codes and without local condition, it changes nothing."""
    config, params, codes, conditions = case(name)
    hop = config.hop_samples
    for frames in (1, -(-receptive_field(config) // hop) + 1):
        silence = np.full((BATCH, frames * hop), config.num_classes // 2, np.int32)
        longer = dict(conditions)
        if "local" in conditions:
            nothing = grid.no_condition(conditions["local"][:, :1]).repeat(frames, axis=1)
            longer["local"] = np.concatenate([nothing, conditions["local"]], axis=1)
        logits = grid.sequence_logits(
            config, params, np.concatenate([silence, codes], axis=1), longer
        )
        np.testing.assert_allclose(logits[:, frames * hop :], logits_of(name), atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "samples"),
    [
        ({"dilations": tuple(2**i for i in range(10)) * 3}, 3070),
        ({"dilations": tuple(2**i for i in range(10))}, 1024),
        ({"dilations": (1, 2, 4), "kernel_size": 3, "input_kernel_size": 2}, 16),
    ],
)
def test_known_receptive_fields(fields: dict, samples: int) -> None:
    assert receptive_field(WaveNetConfig(**fields)) == samples


def test_the_receptive_field_in_milliseconds() -> None:
    config = WaveNetConfig(dilations=tuple(2**i for i in range(10)) * 3)
    assert receptive_field_ms(config, 16000) == 191.875


# -- three ways to run ------------------------------------------------------------


def assert_same_states(first: Any, second: Any) -> None:
    assert int(first.time) == int(second.time)
    np.testing.assert_array_equal(first.samples, second.samples)
    for ring, other in zip(first.rings, second.rings, strict=True):
        np.testing.assert_allclose(ring, other, atol=1e-5)


@every_config
def test_stepping_is_the_sequence(name: str) -> None:
    logits, state = grid.step_logits(*case(name))
    np.testing.assert_allclose(logits, logits_of(name), atol=1e-4)
    assert int(state.time) == LENGTH


@every_config
def test_prefill_is_the_sequence_and_leaves_what_stepping_leaves(name: str) -> None:
    """Chunks of one sample, longer and shorter than the field, cut anywhere in a frame."""
    logits, state = grid.prefill_logits(*case(name), (1, 22, 7))
    np.testing.assert_allclose(logits, logits_of(name), atol=1e-4)
    assert_same_states(state, grid.step_logits(*case(name))[1])


def test_a_second_of_sound_agrees() -> None:
    """1 s at 8 kHz through layers of 1 to 512: logits to 1e-4, bits of the whole to 1e-3."""
    config = WaveNetConfig(
        dilations=tuple(2**i for i in range(10)),
        residual_channels=16,
        gate_channels=16,
        skip_channels=32,
        head_channels=32,
    )
    params, codes = grid.random_params(config), grid.random_codes(config, 1, 8000)
    ways = [
        grid.sequence_logits(config, params, codes, {}),
        grid.step_logits(config, params, codes, {})[0],
        grid.prefill_logits(config, params, codes, {}, (2000,) * 4)[0],
    ]
    assert np.std(ways[0]) > 0.3

    def bits(logits: Any) -> float:
        logits = np.asarray(logits[0], np.float64)
        log_sum = np.log(np.exp(logits).sum(axis=1))
        return float((log_sum - logits[np.arange(8000), codes[0]]).sum() / np.log(2))

    for way in ways[1:]:
        assert np.abs(way - ways[0]).max() < 1e-4
        assert abs(bits(way) - bits(ways[0])) < 1e-3


@every_config
@pytest.mark.parametrize("place", ["middle", "more than the field", "near the beginning"])
def test_a_window_scores_as_the_whole_recording_does(name: str, place: str) -> None:
    config, params, codes, conditions = case(name)
    hop = config.hop_samples
    field_frames = -(-receptive_field(config) // hop)
    if place == "near the beginning":
        first, context = 0, hop
    else:
        context = (field_frames + (place == "more than the field")) * hop
        first = (LENGTH - 2 - context) // hop * hop
        assert first > 0
    window = dict(conditions)
    if "local" in conditions:
        window["local"] = conditions["local"][:, first // hop :]
    logits = grid.sequence_logits(config, params, codes[:, first:], window, context)
    np.testing.assert_allclose(logits, logits_of(name)[:, first + context :], atol=1e-5)


@every_config
def test_a_batch_gives_what_each_row_gives_alone(name: str) -> None:
    config, params, codes, conditions = case(name)
    for row in range(BATCH):
        own = {key: value[row : row + 1] for key, value in conditions.items()}
        alone = grid.sequence_logits(config, params, codes[row : row + 1], own)
        np.testing.assert_allclose(alone[0], logits_of(name)[row], atol=1e-5)


@pytest.mark.parametrize("name", ["speaker", "scalar"])
def test_bfloat16_is_near(name: str) -> None:
    """Layers in bfloat16, with float32 parameters and logits."""
    config, params, codes, conditions = case(name)
    half = dataclasses.replace(config, dtype="bfloat16")
    logits = grid.sequence_logits(half, params, codes, conditions)
    assert logits.dtype == np.float32
    difference = np.abs(logits - logits_of(name))
    assert 1e-4 < difference.max() < 0.3
    assert difference.mean() < 0.03
    stepped, _ = grid.step_logits(half, params, codes, conditions)
    assert stepped.dtype == np.float32
    np.testing.assert_allclose(stepped, logits, atol=0.1)


# -- what is refused --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dilations": ()}, "The model has no layers: give at least one dilation."),
        ({"dilations": (1, 0)}, r"The model's dilations\[1\] is 0: give at least 1."),
        ({"kernel_size": 1}, "The model's kernel_size is 1: give at least 2."),
        ({"input_kernel_size": 0}, "The model's input_kernel_size is 0: give at least 1."),
        ({"residual_channels": 0}, "The model's residual_channels is 0: give at least 1."),
        ({"gate_channels": -1}, "The model's gate_channels is -1: give at least 1."),
        ({"skip_channels": 0}, "The model's skip_channels is 0: give at least 1."),
        ({"head_channels": 0}, "The model's head_channels is 0: give at least 1."),
        ({"num_classes": 1}, "The model's num_classes is 1: give at least 2."),
        ({"input": "raw"}, "The model's input is 'raw': use one of one_hot, scalar."),
        ({"dtype": "float16"}, "The model's dtype is 'float16': use one of float32, bfloat16."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_model_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        WaveNetConfig(**({"dilations": (1,)} | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "words"}, "A condition's kind is 'words': use 'labels' or 'vectors'."),
        ({"size": 0}, "A condition's size is 0: give a whole number of at least 1."),
        ({"channels": 0}, "A condition's channels is 0: give a whole number of at least 1."),
        ({"hop_samples": 0}, "A condition's hop_samples is 0: give a whole number of at least 1."),
    ],
)
def test_bad_condition_configs(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        ConditionConfig(**({"kind": "labels", "size": 3} | fields))


@every_config
def test_a_config_survives_json(name: str) -> None:
    stored = json.loads(json.dumps(dataclasses.asdict(CONFIGS[name])))
    assert config_from_dict(stored) == CONFIGS[name]


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InputError, match="The model has no field 'layers': use dilations, "):
        config_from_dict({"dilations": (1,), "layers": 3})


def refused(name: str, conditions: dict) -> str:
    config, params, codes, _ = case(name)
    with pytest.raises(InputError) as caught:
        grid.sequence_logits(config, params, codes, conditions)
    return str(caught.value)


def test_missing_and_unexpected_conditions() -> None:
    whole = case("all")[3]
    assert "takes a global condition, and it was given none" in refused(
        "all", {"local": whole["local"]}
    )
    assert "takes a local condition, and it was given none" in refused(
        "all", {"global": whole["global"]}
    )
    assert "takes no global condition, and it was given one" in refused("plain", whole)
    assert "takes no local condition, and it was given one" in refused(
        "plain", {"local": whole["local"]}
    )


@pytest.mark.parametrize(
    ("name", "condition", "change"),
    [
        ("all", "local", lambda x: x[..., :-1]),  # a width of 2 for 3
        ("all", "local", lambda x: x[:, :-1]),  # a frame too few
        ("all", "local", lambda x: x[..., 0]),  # no width
        ("all", "local", lambda x: x[:2]),  # a row too few
        ("all", "local", lambda x: x.astype(np.int32)),
        ("all", "global", lambda x: x.astype(np.float32)),
        ("all", "global", lambda x: x[:, None]),
        ("all", "global", lambda x: x[:2]),
        ("phones", "local", lambda x: x[:, :-1]),
        ("phones", "local", lambda x: x.astype(np.float32)),
        ("scalar", "global", lambda x: x[:, :-1]),
        ("scalar", "global", lambda x: x[0]),
    ],
)
def test_conditions_of_another_shape_or_type(name: str, condition: str, change: Any) -> None:
    conditions = dict(case(name)[3])
    conditions[condition] = change(conditions[condition])
    message = refused(name, conditions)
    have = conditions[condition]
    assert message.startswith(
        f"The {condition} condition has shape {have.shape} and type {have.dtype}, where the "
        "model needs "
    )
