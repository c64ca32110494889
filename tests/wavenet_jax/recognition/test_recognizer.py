"""Recognizers: what a frame depends on, and posteriors in chunks equal to those of the whole."""

import functools
import json

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_jax import (
    InputError,
    Recognizer,
    RecognizerConfig,
    WaveNet,
    WaveNetConfig,
    generate,
    receptive_field,
    training,
    utterance_keys,
)
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.recognition import recognizer
from wavenet_jax.recognition.posteriors import posteriors
from wavenet_jax.recognition.recognizer import pool
from wavenet_jax.training import TrainingConfig

every_recognizer = pytest.mark.parametrize("name", grid.RECOGNIZERS)
one_recognizer = pytest.mark.parametrize(
    "name", ["ctc, context", pytest.param("frames", marks=pytest.mark.long)]
)


@functools.cache
def made(name: str) -> tuple:
    config = grid.RECOGNIZERS[name]
    return config, grid.random_params(config)


@functools.cache
def _recognize(config: RecognizerConfig):
    return jax.jit(
        lambda params, samples, mask, context: Recognizer(config).apply(
            params, samples, mask, context=context
        ),
        static_argnums=3,
    )


def whole(name: str, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The outputs and the logits of one recording, int16 `[T]`, of whole frames."""
    config, params = made(name)
    codes = np.asarray(config.wavenet.quantizer.encode(samples))[None]
    mask = np.ones((1, len(samples) // config.hop_samples), bool)
    outputs, logits = _recognize(config)(params, codes, mask, 0)
    return np.asarray(outputs)[0], np.asarray(logits)[0]


def sound(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 8000, length).astype(np.int16)


def test_pooling_by_hand() -> None:
    x = jnp.arange(12.0).reshape(6, 1, 2)
    np.testing.assert_array_equal(pool(x, 3)[:, 0], [[2, 3], [8, 9]])


@pytest.mark.parametrize("frame", [0, 3, 7])
def test_a_frame_depends_on_its_own_samples_and_those_of_its_context(frame: int) -> None:
    """By gradients: pooled, from its field before it to its last sample but one; classified,
    from `context_frames` frames before it to `context_frames` after."""
    config, params = made("frames")
    wavenet, hop, num_frames = config.wavenet, config.hop_samples, 10
    one_hot = jax.nn.one_hot(grid.random_codes(wavenet, 1, num_frames * hop), wavenet.num_classes)
    mask = np.ones((1, num_frames), bool)

    def pooled(samples):
        skips = WaveNet(wavenet).apply(params, samples, method="skip_activations")
        return jnp.abs(pool(skips, hop)[frame]).sum()

    def logits(samples):
        _, logits = Recognizer(config).apply(params, samples, mask)
        return jnp.abs(logits[0, frame]).sum()

    field, context = receptive_field(wavenet), config.context_frames
    for function, before, after in ((pooled, 0, 0), (logits, context, context)):
        used = np.abs(jax.jit(jax.grad(function))(one_hot)).sum(axis=(0, 2)) > 0
        first = max(0, (frame - before) * hop - field)
        last = min(num_frames, frame + after + 1) * hop - 2
        assert (int(used.argmax()), int(np.flatnonzero(used)[-1])) == (first, last)


@every_recognizer
def test_the_generating_half_scores_as_the_wavenet_alone(name: str) -> None:
    """The distributions of a recognizer are those of its WaveNet, of the same parameters."""
    config, params = made(name)
    samples = sound(10 * config.window_hop_samples)
    codes = np.asarray(config.wavenet.quantizer.encode(samples))[None]
    expected = grid.sequence_logits(config.wavenet, params, codes, {})[0]
    np.testing.assert_allclose(whole(name, samples)[0], expected, atol=1e-5)


@every_recognizer
def test_a_recognizer_s_parameters_generate(name: str) -> None:
    """As those of its WaveNet alone, which `sampling` holds to their scores."""
    config, params = made(name)
    alone = {"params": {key: x for key, x in params["params"].items() if key != "classifier"}}
    make = functools.partial(
        generate, config.wavenet, keys=utterance_keys(3, [0]), num_samples=50, backend="scan"
    )
    (codes,), (expected,) = make(params), make(alone)
    np.testing.assert_array_equal(codes, expected)
    assert len(np.unique(codes)) > 5


def shapes(tree) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)
    }


@one_recognizer
def test_a_generator_s_parameters_begin_a_recognizer(name: str) -> None:
    """By name and shape, and with the same initial values; only the classifier is added."""
    config, key = grid.RECOGNIZERS[name], jax.random.key(0)
    frame = jnp.zeros((1, config.hop_samples), jnp.int32)
    mine = Recognizer(config).init(key, frame, jnp.ones((1, 1), bool))
    generator = WaveNet(config.wavenet).init(key, frame)
    assert set(mine["params"]) == {*generator["params"], "classifier"}
    own = {"params": {part: mine["params"][part] for part in generator["params"]}}
    assert shapes(own) == shapes(generator)
    jax.tree.map(np.testing.assert_array_equal, own, generator)


@every_recognizer
def test_a_config_survives_json(name: str) -> None:
    config = grid.RECOGNIZERS[name]
    assert from_dict(RecognizerConfig, json.loads(json.dumps(to_dict(config))), "model") == config


@one_recognizer
@settings(max_examples=10, deadline=None)
@given(st.data())
def test_posteriors_are_those_of_the_whole(name: str, data) -> None:
    """Whatever the chunks and whatever else is in the batch; a recording that ends within a
    frame is followed by silence."""
    config, params = made(name)
    hop, window_hop = config.hop_samples, config.window_hop_samples
    lengths = data.draw(st.lists(st.integers(1, 100), min_size=1, max_size=5))
    chunk = data.draw(st.sampled_from([1, 24, 48]))
    recordings = [{"recording": i, "samples": sound(n, i)} for i, n in enumerate(lengths)]
    found = list(posteriors(config, params, recordings, batch_size=3, chunk_samples=chunk))
    assert sorted(each.recording for each in found) == list(range(len(lengths)))
    for each in found:
        samples = recordings[each.recording]["samples"]
        padded = np.pad(samples, (0, -len(samples) % window_hop))
        mask = np.arange(len(padded) // hop)[None] < -(-len(samples) // hop)
        codes = np.asarray(config.wavenet.quantizer.encode(padded))[None]
        _, logits = _recognize(config)(params, codes, mask, 0)
        expected = np.asarray(jax.nn.log_softmax(logits))[0, : mask.sum()]
        assert each.log_probs.shape == expected.shape
        np.testing.assert_allclose(each.log_probs, expected, atol=1e-4)


def batch_of(name: str, samples: np.ndarray, start: int, segment: int) -> dict:
    """A window of a recording as `data.training_windows` makes it."""
    config, _ = made(name)
    hop, context_frames, unit = config.hop_samples, config.context_frames, config.window_hop_samples
    context = receptive_field(config.wavenet) + config.context_samples
    context = -(-context // unit) * unit
    padded = np.pad(samples, (context, segment + config.context_samples))
    window = padded[start : start + context + segment + config.context_samples]
    frames = np.arange(start // hop - context_frames, (start + segment) // hop + context_frames)
    existing = config.num_frames(len(samples))
    classes = np.random.default_rng(5).integers(0, config.num_classes, existing)
    inside = (frames >= 0) & (frames < existing)
    targets = np.where(inside, classes[frames.clip(0, existing - 1)], -1)
    return {
        "samples": window[None],
        "mask": (np.arange(start, start + segment) < len(samples))[None],
        "frames": inside[None],
        "classes": targets[context_frames : len(targets) - context_frames][None].astype(np.int32),
    }


@pytest.mark.parametrize("start", [0, 24, 48])
def test_windows_lose_what_the_whole_loses(start: int) -> None:
    """The losses of a window at the beginning, within and at the end of a recording."""
    config, params = made("frames")
    wavenet, hop, segment = config.wavenet, config.hop_samples, 24
    samples = sound(62)
    batch = batch_of("frames", samples, start, segment)
    found = training.losses(config, params, batch)
    counts = training.num_summands(config, batch)
    outputs, logits = whole("frames", np.pad(samples, (0, 2)))
    codes = np.asarray(wavenet.quantizer.encode(samples))
    end = min(start + segment, len(samples))
    bits = -np.asarray(wavenet.distribution.log_prob_bits(outputs[start:end], codes[start:end]))
    assert float(found["bits_per_sample"]) == pytest.approx(bits.sum(), rel=1e-4)
    assert int(counts["bits_per_sample"]) == end - start
    classes = batch["classes"][0][batch["classes"][0] >= 0]
    log_probs = np.asarray(jax.nn.log_softmax(logits))[start // hop :][: len(classes)]
    expected = -log_probs[np.arange(len(classes)), classes].sum() / np.log(2)
    assert float(found["bits_per_frame"]) == pytest.approx(expected, rel=1e-4)
    assert int(counts["bits_per_frame"]) == len(classes) == -(-(end - start) // hop)


def test_frames_of_no_class_are_left_out() -> None:
    logits = np.log([[[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]])
    total = recognizer.frame_bits(logits, np.array([[0, 1, -1]]))
    assert float(total) == pytest.approx(1 - np.log2(0.75))


def test_bits_of_a_sequence_are_those_of_all_its_ways() -> None:
    """CTC by hand: "a" in two frames is aa, a-, -a."""
    p = np.array([[[0.6, 0.1, 0.3], [0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]])
    mask = np.array([[True, True, False]])
    total = recognizer.sequence_bits(np.log(p), mask, np.array([[0, -1]]))
    ways = 0.6 * 0.2 + 0.6 * 0.5 + 0.3 * 0.2
    assert float(total) == pytest.approx(-np.log2(ways), rel=1e-4)


@one_recognizer
def test_both_halves_learn(name: str) -> None:
    """Steps on one batch lower both losses; without its weight the other stays as it was."""
    config, _ = made(name)
    kind = "bits_per_frame" if config.loss == "frames" else "bits_per_phone"
    batches = [batch_of(name, sound(72, i), 0, 72) for i in range(4)]
    batch = {key: np.concatenate([each[key] for each in batches]) for key in batches[0]}
    if kind == "bits_per_phone":
        batch["classes"] = np.array([[0, 1, 2, -1], [3, 3, -1, -1], [1, 0, 1, 0], [2, -1, -1, -1]])
    for weight in (1.0, 0.0):
        optimizer = TrainingConfig(
            num_steps=30, learning_rate=1e-2, warmup_steps=0, generation_weight=weight
        )
        step = jax.jit(functools.partial(training.train_step, config, optimizer, axis=None))
        state, found = training.init_state(config, optimizer), []
        for _ in range(30):
            state, metrics = step(state, batch)
            found.append({name: float(value) for name, value in metrics.items()})
        assert found[-1][kind] < 0.7 * found[0][kind]
        if weight:
            assert found[-1]["bits_per_sample"] < found[0]["bits_per_sample"] - 0.1
        else:
            assert "bits_per_sample" not in found[-1]
            first = training.init_state(config, optimizer).params["params"]
            for part in ("head", "output"):
                jax.tree.map(
                    np.testing.assert_array_equal, state.params["params"][part], first[part]
                )


def test_silent_activations_have_a_logarithm() -> None:
    """ReLU leaves zeros: their logits, and gradients, are numbers."""
    classifier = recognizer.FrameClassifier(made("frames")[0])
    frames, mask = jnp.zeros((5, 1, 3)), jnp.ones((1, 5), bool)
    variables = classifier.init(jax.random.key(0), frames, mask)
    gradient = jax.grad(lambda x: classifier.apply(variables, x, mask).sum())(frames)
    assert np.isfinite(gradient).all()
    assert np.isfinite(classifier.apply(variables, frames, mask)).all()


def test_pretrained_parameters_are_taken_where_they_fit() -> None:
    config, _ = made("frames")
    pretrained = grid.random_params(config.wavenet, seed=7)
    state = training.init_state(config, TrainingConfig(num_steps=1), pretrained=pretrained)
    plain = training.init_state(config, TrainingConfig(num_steps=1))
    taken = state.params["params"]
    for name, tree in pretrained["params"].items():
        jax.tree.map(np.testing.assert_array_equal, taken[name], tree)
        jax.tree.map(np.testing.assert_array_equal, state.ema_params["params"][name], tree)
    mine = plain.params["params"]["classifier"]
    jax.tree.map(np.testing.assert_array_equal, taken["classifier"], mine)
    with pytest.raises(InputError, match="shares no kernel"):
        training.init_state(config, TrainingConfig(num_steps=1), pretrained={"params": {}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 1}, "num_classes is 1: give at least 2"),
        ({"hop_samples": 0}, "hop_samples is 0: give at least 1"),
        ({"kernel_size": 4}, "kernel_size is 4: give an odd number"),
        ({"dilations": ()}, r"dilations are \(\): give at least one"),
        ({"dilations": (1, 0)}, r"dilations\[1\] is 0: give at least 1"),
        ({"wavenet": None}, "wavenet is None: give a WaveNetConfig"),
        (
            {"wavenet": grid.CONFIGS["speaker"]},
            r"wavenet\.global_condition is 'labels': leave it out",
        ),
        (
            {"wavenet": grid.CONFIGS["phones"]},
            r"wavenet\.local_condition is 'labels': leave it out",
        ),
        ({"dropout": 1.0}, "dropout is 1.0: give a number from 0"),
        ({"loss": "mse"}, "loss is 'mse': use one of frames, ctc"),
    ],
)
def test_refused_recognizers(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RecognizerConfig(**({"wavenet": WaveNetConfig((1,)), "num_classes": 3} | fields))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "The batch_size is 0: give a whole number of at least 1."),
        ({"chunk_samples": 0}, "The chunk_samples is 0: give a whole number of at least 1."),
        ({"chunk_samples": 0.5}, r"The chunk_samples is 0\.5: give a whole number of at least 1."),
        ({"devices": []}, "The list of devices is empty: give at least one, or None for all."),
        ({"config": grid.CONFIGS["plain"]}, "The config is a WaveNetConfig, which does not class"),
    ],
)
def test_bad_arguments_fail_at_the_call(arguments: dict, message: str) -> None:
    """Nothing is iterated."""
    config, params = made("frames")
    arguments = {"config": config, "params": params, "recordings": []} | arguments
    with pytest.raises(InputError, match=f"^{message}"):
        posteriors(**arguments)


def test_an_empty_recording_is_named_when_it_is_reached() -> None:
    config, params = made("frames")
    recordings = [{"recording": f"{n}.wav", "samples": np.zeros(n, np.int16)} for n in (9, 0)]
    iterator = iter(recordings)
    found = posteriors(config, params, iterator)
    assert next(iterator) is recordings[0]  # not read at the call
    with pytest.raises(InputError, match=r"Recording 0\.wav has 0 samples"):
        next(found)
