"""The model: its receptive field, the equality of its three ways to run, conditions refused."""

import dataclasses
import functools
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grid import CONFIGS

from wavenet_jax import (
    InputError,
    WaveNet,
    WaveNetConfig,
    receptive_field,
)

BATCH, LENGTH = 3, 60
every_config = pytest.mark.parametrize("name", grid.each(CONFIGS))


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


def in_float64(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def at(x: np.ndarray, index: int) -> np.ndarray:
    return x[max(index, 0)]  # before the lead: more silence


def stack_by_the_equations(
    p: Any, x: np.ndarray, stack: Any, block: str, steady: Any, sequences: list
) -> np.ndarray:
    """A stack, one sample and one tap at a time: `[T, R]` to `[T, L G]`, or of FFTNet's blocks
    to `[T, G]`."""
    dilations, kernel_size, gated = stack.dilations, stack.kernel_size, block == "gated"
    skips = []
    for i, dilation in enumerate(dilations):
        layer = p[f"blocks_{i}"]
        z = np.tile(layer["bias"], (len(x), 1))
        for t in range(len(x)):
            for k in range(kernel_size):
                z[t] += at(x, t - (kernel_size - 1 - k) * dilation) @ layer["kernel"][k]
        if steady is not None:
            z += steady @ layer["global_projection"]["kernel"]
        for j, values in enumerate(sequences):
            z += values @ layer[f"local_projections_{j}"]["kernel"]
        if gated:
            filter_, gate = np.split(z, 2, axis=1)
            skips.append(np.tanh(filter_) / (1 + np.exp(-gate)))
        else:
            skips = [np.maximum(z, 0)]
        if "residual" in layer:
            y = skips[-1] @ layer["residual"]["kernel"] + layer["residual"]["bias"]
            x = x + y if gated else np.maximum(y, 0)
    return np.concatenate(skips, axis=1)


def embedded_by_the_equations(p: Any, condition: np.ndarray, is_labels: bool) -> np.ndarray:
    if not is_labels:
        return condition @ (p["table"] if "table" in p else p["map"]["kernel"])
    return np.where(condition[..., None] < 0, 0, p["table"][condition])


def upsampled_by_the_equations(config: Any, p: Any, frames: np.ndarray) -> np.ndarray:
    """Frames of one item from the first to the last: `[F, ...]` to `[F hop, C]`."""
    hop, count = config.hop_samples, len(frames)
    values = embedded_by_the_equations(p["embedding"], frames, config.kind == "labels")
    if config.upsampling == "linear":
        middles = hop * np.arange(-1, count + 1) + (hop - 1) / 2
        padded = np.pad(values, ((1, 1), (0, 0)))
        times = np.arange(count * hop)
        return np.stack([np.interp(times, middles, column) for column in padded.T], axis=1)
    if config.upsampling == "repeat":
        return values.repeat(hop, axis=0)
    for i, factor in enumerate(config.factors):
        if i:
            values = np.where(values > 0, values, 0.4 * values)
        kernel = p[f"upsampling_{i}"]
        out = np.zeros((len(values) * factor, kernel.shape[-1]))
        for n in range(len(out)):
            for side in (-1, 0, 1):
                if 0 <= n // factor + side < len(values):
                    out[n] += values[n // factor + side] @ kernel[side + 1, :, n % factor]
        values = out
    return values


def context_by_the_equations(
    config: WaveNetConfig, stack: Any, p: Any, signal: np.ndarray, inputs: np.ndarray, steady: Any
) -> np.ndarray:
    """The output of a context stack that conditions each sample of `signal`."""
    hop, count = stack.hop_samples, len(signal) // stack.hop_samples
    if stack.input == "strided":
        half = config.num_classes / 2
        values = ((signal - half) / half)[: count * hop].reshape(count, hop)
        x = values @ p["strided"]["kernel"] + p["strided"]["bias"]
    else:
        values = inputs @ p["embedding"]["kernel"][0] + p["embedding"]["bias"]
        values = np.maximum(values, 0)[: count * hop]
        x = np.stack([values[j * hop : (j + 1) * hop].mean(axis=0) for j in range(count)])
    skips = stack_by_the_equations(p["stack"], x, stack, config.block, steady, [])
    outputs = np.maximum(skips @ p["output"]["kernel"] + p["output"]["bias"], 0)
    return np.stack([at(outputs, t // hop - 1) for t in range(len(signal))])


def from_the_equations(
    config: WaveNetConfig, params: Any, codes: np.ndarray, conditions: dict, item: int
) -> np.ndarray:
    """Outputs `[T, P]` in float64.

    Before sample 0 stands twice the field of silence, without local condition.
    """
    p = in_float64(params["params"])
    hop = config.hop_samples
    lead = -(-2 * receptive_field(config) // hop) * hop
    silent = np.full(lead, config.num_classes // 2)
    signal = np.concatenate([silent, codes[item]])
    total = len(signal)
    if config.input == "one_hot":
        inputs = np.eye(config.num_classes)[signal]
    else:
        half = config.num_classes // 2
        inputs = (signal[:, None] - half) / half
    x = np.stack(
        [
            p["input"]["bias"]
            + sum(
                at(inputs, t - config.input_kernel_size + k) @ p["input"]["kernel"][k]
                for k in range(config.input_kernel_size)
            )
            for t in range(total)
        ]
    )
    steady, sequences = None, []
    if config.global_condition is not None:
        is_labels = config.global_condition.kind == "labels"
        value = conditions["global"][item]
        steady = embedded_by_the_equations(p["global_embedding"], value, is_labels)
    if config.local_condition is not None:
        local = config.local_condition
        none = grid.no_condition(conditions["local"][item][:1]).repeat(3, axis=0)
        frames = np.concatenate([none, conditions["local"][item], none])
        values = upsampled_by_the_equations(local, p["local_conditioning"], frames)
        values = values[3 * local.hop_samples :]
        sequences.append(np.concatenate([np.zeros((lead, values.shape[1])), values])[:total])
    for i, stack in enumerate(config.context_stacks):
        q = p[f"context_stacks_{i}"]
        sequences.append(context_by_the_equations(config, stack, q, signal, inputs, steady))
    skips = stack_by_the_equations(p["stack"], x, config, config.block, steady, sequences)
    h = skips @ p["skip"]["kernel"] + p["skip"]["bias"]
    if config.head_channels:
        h = np.maximum(h, 0) @ p["head"]["kernel"] + p["head"]["bias"]
    return (np.maximum(h, 0) @ p["output"]["kernel"] + p["output"]["bias"])[lead:]


@every_config
def test_the_model_is_that_of_the_equations(name: str) -> None:
    wanted = from_the_equations(*case(name), item=1)
    np.testing.assert_allclose(logits_of(name)[1], wanted, atol=2e-5)
    assert np.std(wanted, axis=0).min() > 1e-3  # the past matters


# -- what an output depends on ----------------------------------------------------------


@every_config
def test_causality_and_receptive_field_by_gradients(name: str) -> None:
    """The output at t depends on the samples before t that its taps lead to, and on no other.

    Zero from t on, zero before t - R, not zero at t - 1, t - R and wherever a path
    of taps leads between.
    """
    config, params, _, _ = case(name)
    field = receptive_field(config)
    length = field + 5 + config.hop_samples
    codes = grid.random_codes(config, 1, length)
    conditions = grid.conditions_for(config, 1, length)
    if config.input == "one_hot":
        vectors = jax.nn.one_hot(codes, config.num_classes)
    else:
        half = config.num_classes // 2
        vectors = jnp.asarray((codes[..., None] - half) / half, jnp.float32)
    parameters = config.distribution.num_parameters
    mix = np.random.default_rng(5).normal(0, 1, parameters).astype(np.float32)

    def mixed(vectors):
        outputs = WaveNet(config).apply(
            params,
            vectors,
            global_condition=conditions.get("global"),
            local_condition=grid.frames_of(config, conditions, 0, length),
        )
        return outputs[0] @ mix, outputs

    jacobian, outputs = jax.jit(jax.jacrev(mixed, has_aux=True))(vectors)
    np.testing.assert_allclose(  # the vectors stand for the codes
        outputs, grid.sequence_logits(config, params, codes, conditions), atol=1e-5
    )
    seen = np.linalg.norm(jacobian[:, 0], axis=-1) > 0
    lags = {
        1 + tap + lag
        for tap in range(config.input_kernel_size)
        for lag in grid.lags_of_taps(config.dilations, config.kernel_size)
    }
    wanted = np.array([[t - s in lags for s in range(length)] for t in range(length)])
    for stack in config.context_stacks:
        hop = stack.hop_samples
        frames_back = grid.lags_of_taps(stack.dilations, stack.kernel_size)
        for t in range(length):
            for lag in grid.lags_of_taps(config.dilations[1:], config.kernel_size):
                for back in frames_back:
                    begin = ((t - lag) // hop - 1 - back) * hop
                    wanted[t, max(begin, 0) : max(begin + hop, 0)] = True
    np.testing.assert_array_equal(seen, wanted)
    found = [t - s for t in range(length) for s in range(length) if wanted[t, s]]
    assert (min(found), max(found)) == (1, field)


def touched_by_frame(config: Any, frame: int) -> set[int]:
    """The samples whose local condition a frame affects (`conditioning`)."""
    hop = config.hop_samples
    if config.upsampling == "linear":
        middle = frame * hop + (hop - 1) / 2
        near = range((frame - 1) * hop, (frame + 2) * hop)
        return {n for n in near if abs(n - middle) < hop}
    if config.upsampling == "repeat":
        return set(range(frame * hop, (frame + 1) * hop))
    inputs = {frame}
    for factor in config.factors:
        sides = {each + side for each in inputs for side in (-1, 0, 1)}
        inputs = {each * factor + n for each in sides for n in range(factor)}
    return inputs


@pytest.mark.parametrize("name", grid.each(n for n in CONFIGS if CONFIGS[n].local_condition))
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_frame_changes_the_samples_it_should(name: str, place: str) -> None:
    """Those it touches and those which later layers carry it to, and none else."""
    config, params, codes, conditions = case(name)
    local = config.local_condition
    frame = {"first": 0, "middle": 2, "last": grid.num_frames(config, LENGTH) - 1}[place]
    other = dict(conditions, local=conditions["local"].copy())
    if local.kind == "labels":
        other["local"][:, frame] = (other["local"][:, frame] + 1) % local.size
    else:
        other["local"][:, frame] += 1
    changed = np.abs(logits_of(name) - grid.sequence_logits(config, params, codes, other)) > 1e-7
    lags = grid.lags_of_taps(config.dilations[1:], config.kernel_size)
    touched = {n for n in touched_by_frame(local, frame) if n >= 0}
    wanted = [any(t - s in lags for s in touched) for t in range(LENGTH)]
    for item in changed.any(axis=-1):
        np.testing.assert_array_equal(item, wanted)


@pytest.mark.parametrize("name", grid.each(n for n in CONFIGS if CONFIGS[n].local_condition))
def test_a_frame_of_none_leaves_its_samples_without_a_condition(name: str) -> None:
    """As if all were none, until later layers bring the neighbours'."""
    config, params, codes, conditions = case(name)
    frames = grid.num_frames(config, LENGTH)
    none = grid.no_condition(conditions["local"])
    late = dict(conditions, local=np.concatenate([none[:, :2], conditions["local"][:, 2:]], axis=1))
    nowhere = grid.sequence_logits(config, params, codes, dict(conditions, local=none))
    begun = 2 * config.local_condition.hop_samples
    assert frames > 2
    outputs = grid.sequence_logits(config, params, codes, late)
    np.testing.assert_allclose(outputs[:, :begun], nowhere[:, :begun], atol=1e-6)
    assert np.abs(outputs[:, begun] - nowhere[:, begun]).max() > 1e-4


@every_config
def test_before_the_beginning_there_was_silence(name: str) -> None:
    """Said aloud, in codes and without local condition, it changes nothing."""
    config, params, codes, conditions = case(name)
    hop = config.hop_samples
    for frames in (1, -(-receptive_field(config) // hop) + 1):
        silence = np.full((BATCH, frames * hop), config.num_classes // 2, np.int32)
        longer = dict(conditions)
        if "local" in conditions:
            number = grid.num_frames(config, frames * hop)
            nothing = grid.no_condition(conditions["local"][:, :1]).repeat(number, axis=1)
            longer["local"] = np.concatenate([nothing, conditions["local"]], axis=1)
        logits = grid.sequence_logits(
            config, params, np.concatenate([silence, codes], axis=1), longer
        )
        np.testing.assert_allclose(logits[:, frames * hop :], logits_of(name), atol=1e-5)


# -- three ways to run ------------------------------------------------------------


def assert_same_states(first: Any, second: Any) -> None:
    assert int(first.time) == int(second.time)
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.recent, second.recent)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@every_config
def test_stepping_is_the_sequence(name: str) -> None:
    logits, state = grid.step_logits(*case(name))
    np.testing.assert_allclose(logits, logits_of(name), atol=1e-4)
    assert int(state.time) == LENGTH


@every_config
def test_prefill_is_the_sequence_and_leaves_what_stepping_leaves(name: str) -> None:
    """Chunks of one sample, longer and shorter than the field, cut anywhere in a frame."""
    logits, state = grid.prefill_logits(*case(name), (1, 31, 7, 21))
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
    logits = grid.sequence_logits(config, params, codes[:, first:], conditions, context, first)
    np.testing.assert_allclose(logits, logits_of(name)[:, first + context :], atol=1e-5)


@every_config
def test_a_batch_gives_what_each_item_gives_alone(name: str) -> None:
    config, params, codes, conditions = case(name)
    for item in range(BATCH):
        own = {key: value[item : item + 1] for key, value in conditions.items()}
        alone = grid.sequence_logits(config, params, codes[item : item + 1], own)
        np.testing.assert_allclose(alone[0], logits_of(name)[item], atol=1e-5)


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


# -- conditions that are refused --------------------------------------------------------------


def refused(name: str, conditions: dict) -> str:
    config, params, codes, _ = case(name)
    with pytest.raises(InputError) as caught:
        WaveNet(config).apply(
            params,
            codes,
            global_condition=conditions.get("global"),
            local_condition=conditions.get("local"),
        )
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
        ("all", "local", lambda x: x[:2]),  # an item too few
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
