"""The autoencoder: what its embeddings depend on, windows and chunks, training and generation."""

import dataclasses
import functools
import pathlib
from typing import Any

import grid
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_training import TRAINING, assert_trees_equal

import wavenet_jax
from wavenet_jax import (
    Autoencoder,
    AutoencoderConfig,
    ContextStackConfig,
    InputError,
    LocalConditionConfig,
    WaveNetConfig,
    autoencoder,
    conditioning,
    fused,
    model_folder,
    receptive_field,
    sampling,
    scoring,
    training,
)
from wavenet_jax.audio import AudioConfig
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import from_dict, to_dict
from wavenet_jax.training.fusing import unsupported_reason

RATE_HZ = 8000
EACH = sorted(grid.AUTOENCODERS)
ONE = ["notes", pytest.param("linear, context", marks=pytest.mark.long)]
"""For tests of what does not differ with the decoder's options."""


@functools.cache
def case(name: str, length: int = 43) -> tuple[AutoencoderConfig, Any, np.ndarray, np.ndarray]:
    """Config, parameters, a recording that ends within a frame, and its embeddings."""
    config = grid.AUTOENCODERS[name]
    assert length % config.embeddings.hop_samples
    samples = np.random.default_rng(3).normal(0, 6000, length).astype(np.int16)
    params = grid.random_params(config)
    return config, params, samples, autoencoder.encode(config, params, samples)


def window(
    config: AutoencoderConfig, samples: np.ndarray, start: int, segment: int
) -> dict[str, np.ndarray]:
    """A training window of a recording, as `data.windows` cuts it, without its batch axis."""
    hop, margin = config.wavenet.hop_samples, config.margin_samples
    context = -(-(receptive_field(config.wavenet) + margin) // hop) * hop
    first, length = start - context, context + segment + margin
    index = first + np.arange(length)
    inside = (index >= 0) & (index < len(samples))
    frame = first // config.embeddings.hop_samples + np.arange(config.num_frames(length))
    return {
        "samples": np.where(inside, samples[np.clip(index, 0, len(samples) - 1)], 0).astype(
            np.int16
        ),
        "mask": start + np.arange(segment) < len(samples),
        "frames": (frame >= 0) & (frame < config.num_frames(len(samples))),
    }


def windows(config: AutoencoderConfig, samples: np.ndarray, segment: int) -> dict[str, np.ndarray]:
    """All windows of a recording, with one class for the global condition."""
    each = [window(config, samples, start, segment) for start in range(0, len(samples), segment)]
    batch = {name: np.stack([x[name] for x in each]) for name in each[0]}
    if config.wavenet.global_condition is not None:
        batch["global"] = np.ones(len(each), np.int32)
    return batch


FUSED = AutoencoderConfig(
    dataclasses.replace(grid.AUTOENCODERS["notes"].wavenet, residual_channels=32, gate_channels=32),
    dilations=(1, 2),
    channels=5,
)
"""One whose decoder has fused layers on a CPU."""


@pytest.mark.parametrize("name", EACH)
def test_embeddings_are_those_of_the_equations(name: str) -> None:
    """In float64, sample by sample: taps on either side of a sample, and the mean of a frame."""
    config, params, samples, embeddings = case(name)
    encoder = jax.tree.map(lambda x: np.asarray(x, np.float64), params["params"]["encoder"])
    hop, half, reach = config.embeddings.hop_samples, config.kernel_size // 2, config.reach_samples
    padded = np.pad(samples, (reach, len(embeddings) * hop - len(samples) + reach))
    quantizer = config.wavenet.quantizer
    x = np.asarray(quantizer.values(quantizer.encode(padded)), np.float64)[:, None]

    def convolved(x: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
        kernel = kernel.reshape(config.kernel_size, x.shape[1], -1)
        around = range(half * dilation, len(x) - half * dilation)
        taps = range(-half, half + 1)
        return np.stack([sum(x[t + k * dilation] @ kernel[k + half] for k in taps) for t in around])

    x = convolved(x, encoder["input"]["kernel"], 1) + encoder["input"]["bias"]
    for i, dilation in enumerate(config.dilations):
        dilated, residual = encoder[f"convolutions_{i}"], encoder[f"residuals_{i}"]
        y = convolved(np.maximum(x, 0), dilated["kernel"], dilation) + dilated["bias"]
        x = x[half * dilation : len(x) - half * dilation]
        x = x + np.maximum(y, 0) @ residual["kernel"] + residual["bias"]
    of_frames = (x @ encoder["output"]["kernel"]).reshape(-1, hop, config.embeddings.size)
    expected = of_frames.mean(axis=1) + encoder["output"]["bias"]
    np.testing.assert_allclose(embeddings, expected, rtol=1e-4, atol=1e-5)


# -- what depends on what -----------------------------------------------------------


@pytest.mark.parametrize("name", ONE)
def test_an_embedding_hears_both_ways_as_far_as_it_says(name: str) -> None:
    """By gradients: its own samples, and those within the reach before and after them."""
    config, params, _, _ = case(name)
    hop, reach = config.embeddings.hop_samples, config.reach_samples
    encoder = autoencoder.Encoder(config)
    variables = {"params": params["params"]["encoder"]}
    values = jnp.asarray(np.random.default_rng(0).normal(0, 0.5, (3 * hop + 2 * reach, 1, 1)))

    def second(values: jax.Array) -> Any:
        return encoder.apply(variables, values.astype(jnp.float32))[1, 0]

    gradients = np.abs(jax.jit(jax.jacrev(second))(values))[..., 0, 0].sum(axis=0)
    begin, end = hop, 2 * hop + 2 * reach
    assert not gradients[:begin].any() and not gradients[end:].any()
    assert gradients[begin] > 0 and gradients[end - 1] > 0
    assert (gradients[begin:end] > 0).mean() > 0.9


@pytest.mark.parametrize("name", EACH)
def test_a_sample_is_predicted_from_those_before_it_and_from_embeddings_alone(name: str) -> None:
    """A changed sample changes earlier predictions through the embeddings, and only so."""
    config, params, samples, embeddings = case(name)
    changed = samples.copy()
    place = 20
    changed[place:] = samples[place:][::-1] // 2
    codes, other_codes = (
        np.asarray(config.wavenet.quantizer.encode(x))[None] for x in (samples, changed)
    )
    other = autoencoder.encode(config, params, changed)
    given = {"global": np.int32([1])} if config.wavenet.global_condition is not None else {}
    known = {**given, "local": embeddings[None]}
    logits = grid.sequence_logits(config.wavenet, params, codes, known)
    held = grid.sequence_logits(config.wavenet, params, other_codes, known)
    np.testing.assert_array_equal(held[:, : place + 1], logits[:, : place + 1])
    assert not np.allclose(held[:, place + 1 :], logits[:, place + 1 :])
    heard = grid.sequence_logits(config.wavenet, params, codes, {**given, "local": other[None]})
    before = np.abs(heard - logits).max(axis=(0, 2))
    assert before[place - 1] > 1e-4
    beyond = config.reach_samples + (1 + config.embeddings.context_frames) * (
        config.embeddings.hop_samples
    )
    assert beyond < place and not before[: place - beyond].any()


# -- ways to run that must agree ------------------------------------------------------


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("start", [0, 12, pytest.param(36, marks=pytest.mark.long)])
def test_a_window_has_the_embeddings_and_the_scores_of_the_whole(name: str, start: int) -> None:
    """At the beginning, within, and at the end, which is within a frame."""
    config, params, samples, embeddings = case(name)
    segment = 2 * config.wavenet.hop_samples
    start = start // config.wavenet.hop_samples * config.wavenet.hop_samples
    cut = window(config, samples, start, segment)
    codes = config.wavenet.quantizer.encode(cut["samples"])[None]
    model, condition = Autoencoder(config), config.embeddings
    found = jax.jit(functools.partial(model.apply, method="encode_window"))(
        params, codes, cut["frames"][None]
    )
    context = len(cut["samples"]) - 2 * config.margin_samples - segment
    first = start - context
    covering = conditioning.frames_covering(
        condition, embeddings[None], first, start + segment - first
    )
    np.testing.assert_allclose(found, covering, rtol=1e-5, atol=1e-6)
    given = {"global": np.int32([1])} if config.wavenet.global_condition is not None else {}
    whole_codes = np.asarray(config.wavenet.quantizer.encode(samples))[None]
    whole = grid.sequence_logits(
        config.wavenet, params, whole_codes, {**given, "local": embeddings[None]}
    )[:, start : start + segment]
    parts: Any = jax.jit(functools.partial(model.apply, context=context))(
        params, codes, cut["frames"][None], global_condition=given.get("global")
    )
    np.testing.assert_allclose(parts[:, : whole.shape[1]], whole, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ONE)
def test_chunks_are_encoded_as_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, params, samples, embeddings = case(name)
    assert embeddings.shape == (config.num_frames(len(samples)), config.embeddings.size)
    assert embeddings.dtype == np.float32
    monkeypatch.setattr(autoencoder, "CHUNK_SAMPLES", 3 * config.embeddings.hop_samples)
    chunked = autoencoder.encode(config, params, samples)
    np.testing.assert_allclose(chunked, embeddings, rtol=1e-5, atol=1e-6)
    # Embeddings are of the sound: those of other sound are others.
    assert not np.allclose(autoencoder.encode(config, params, samples[::-1].copy()), embeddings)


@pytest.mark.parametrize("name", EACH)
def test_the_loss_of_windows_is_the_score_of_the_recording(name: str) -> None:
    """Training, which encodes windows, and scoring, which is given embeddings of the whole."""
    config, params, samples, embeddings = case(name)
    batch = windows(config, samples, 2 * config.wavenet.hop_samples)
    assert training.num_summands(config, batch)["bits_per_sample"] == len(samples)
    loss = jax.jit(functools.partial(training.losses, config))(params, batch)
    recording = {"recording": "a", "samples": samples, "local": embeddings, "global": np.int32(1)}
    (score,) = scoring.score(config.wavenet, params, [recording], devices=jax.devices()[:1])
    assert float(loss["bits_per_sample"]) == pytest.approx(score.bits, rel=1e-5)


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("backend", sampling.BACKENDS)
def test_every_backend_generates_from_embeddings_as_the_decoder_alone(
    name: str, backend: str
) -> None:
    """With the parameters of the autoencoder, encoder and all; a batch as each alone."""
    config, params, _, embeddings = case(name)
    devices = jax.devices()[:1]
    if not sampling.supports(config.wavenet, backend, devices):
        pytest.skip(f"{backend} does not support this model here")
    alone = {"params": {k: v for k, v in params["params"].items() if k != "encoder"}}
    both = np.stack([embeddings, embeddings[::-1]])
    labels = np.int32([1, 2]) if config.wavenet.global_condition is not None else None

    def codes(params: Any, items: slice, backend: str) -> np.ndarray:
        chunks = sampling.generate(
            config.wavenet,
            params,
            keys=sampling.utterance_keys(0, np.arange(2)[items]),
            num_samples=24,
            global_condition=None if labels is None else labels[items],
            local_condition=both[items],
            backend=backend,
            devices=devices,
        )
        return np.concatenate([np.asarray(chunk) for chunk in chunks], axis=1)

    generated = codes(params, slice(2), backend)
    np.testing.assert_array_equal(generated, codes(alone, slice(2), "scan"))
    for i in range(2):
        np.testing.assert_array_equal(codes(params, slice(i, i + 1), backend)[0], generated[i])
    assert (generated[0] != generated[1]).any()


# -- training -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE)
def test_encoder_and_decoder_learn_together(name: str) -> None:
    """Every parameter has a gradient, and the encoder's is that of finite differences."""
    config, params, samples, _ = case(name)
    batch = windows(config, samples, 2 * config.wavenet.hop_samples)

    @jax.jit
    def loss(params: Any) -> Any:
        return training.losses(config, params, batch)["bits_per_sample"] / len(samples)

    gradients = jax.jit(jax.grad(loss))(params)
    sizes = {
        jax.tree_util.keystr(path): float(np.abs(x).max())
        for path, x in jax.tree_util.tree_leaves_with_path(gradients)
    }
    assert min(sizes.values()) > 0, sizes
    random = np.random.default_rng(0)
    encoder = params["params"]["encoder"]
    direction = jax.tree.map(lambda x: random.normal(0, 1, x.shape).astype(np.float32), encoder)

    def moved(by: float) -> Any:
        there = jax.tree.map(lambda x, d: x + by * d, encoder, direction)
        return {"params": params["params"] | {"encoder": there}}

    step = 1e-3
    slope = (float(loss(moved(step))) - float(loss(moved(-step)))) / (2 * step)
    along = jax.tree.map(
        lambda g, d: float(np.sum(g * d)), gradients["params"]["encoder"], direction
    )
    assert slope == pytest.approx(sum(jax.tree.leaves(along)), rel=0.05, abs=2e-3)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"num_microbatches": 2},
        {"input_noise": 0.1, "input_gain_db": 6.0, "input_gaps": 0.9, "scheduled_sampling": 0.5},
        {"optimizer": "muon", "weight_normalization": True},
    ],
    ids=str,
)
def test_training_with_options(options: dict[str, Any]) -> None:
    """Parts of a batch make the step of the whole; the others change it, and learn too."""
    config, _, samples, _ = case("notes")
    batch = windows(config, np.resize(samples, 16 * 4), 8)

    def trained(settings: training.TrainingConfig) -> tuple[Any, list[float]]:
        step = jax.jit(functools.partial(training.train_step, config, settings, axis=None))
        state, bits = training.init_state(config, settings), []
        for _ in range(5):
            state, metrics = step(state, batch)
            bits.append(float(metrics["bits_per_sample"]))
        return state.ema_params, bits

    plain = dataclasses.replace(TRAINING, clip_norm=1e9)
    params, bits = trained(dataclasses.replace(plain, **options))
    expected, whole = trained(plain)
    assert bits[-1] < bits[0] and np.isfinite(bits).all()
    if "num_microbatches" in options:
        assert_trees_equal(params, expected, rtol=5e-4)
    else:
        assert bits != whole


def test_the_encoder_hears_the_recording_whatever_the_decoder_hears() -> None:
    """Noise and gain of the decoder's input change no embedding: a deaf decoder scores the same."""
    config, params, samples, _ = case("notes")
    params = jax.tree.map(jnp.copy, params)
    params["params"]["input"]["kernel"] *= 0
    batch = windows(config, samples, 8)

    @functools.partial(jax.jit, static_argnums=0)
    def loss(noise: float) -> Any:
        options = {"input_noise": noise, "input_gain_db": 10 * noise, "key": jax.random.key(0)}
        terms = training.losses(config, params, batch, **options)
        return terms["bits_per_sample"]

    assert float(loss(0.5)) == pytest.approx(float(loss(0.0)), rel=1e-6)


def test_fused_layers_are_taken_where_the_decoder_has_them() -> None:
    """Whatever the channels of the encoder, which XLA computes."""
    assert unsupported_reason(FUSED, "cpu") is None
    assert "multiples" in str(unsupported_reason(grid.AUTOENCODERS["notes"], "cpu"))


@pytest.mark.long
def test_fused_layers_train_the_encoder_as_xla_does() -> None:
    params = grid.random_params(FUSED)
    batch = windows(FUSED, case("notes")[2], 8)

    def gradients(precision: fused.Precision | None) -> Any:
        def loss(params: Any) -> Any:
            terms = training.losses(FUSED, params, batch, fused_precision=precision)
            return terms["bits_per_sample"]

        return jax.jit(jax.grad(loss))(params)

    assert_trees_equal(gradients("float32"), gradients(None), rtol=1e-4)


# -- kept and loaded ------------------------------------------------------------------


def test_it_is_stored_exported_loaded_and_encodes_as_it_did(tmp_path: pathlib.Path) -> None:
    """With the model's filter, from a checkpoint and from a model's folder."""
    config, params, samples, embeddings = case("notes")
    audio = AudioConfig(RATE_HZ, (0.8, -0.6), {"pitch": ("a", "b", "c")}, ("pitch",))
    described = {"model": to_dict(config), "training": to_dict(TRAINING), "audio": to_dict(audio)}
    state = training.init_state(config, TRAINING).replace(ema_params=params)
    with Checkpoints(tmp_path / "run") as saved:
        saved.save(state, data_position=0, description=described)
    model = wavenet_jax.load(tmp_path / "run")
    assert model.config == config
    assert model.description["model"]["type"] == "autoencoder"
    model_folder.write(
        tmp_path / "folder",
        model_folder.SavedModel(config, model.params, model.step, model.description),
    )
    again = wavenet_jax.load(tmp_path / "folder")
    assert again.config == config
    jax.tree.map(np.testing.assert_array_equal, again.params, params)
    made = model.encode(samples)
    np.testing.assert_array_equal(again.encode(samples), made)
    assert not np.allclose(made, embeddings)  # of the unfiltered recording
    filtered = autoencoder.encode(config, params, audio.apply_filter(samples))
    np.testing.assert_array_equal(made, filtered)
    sound = [
        np.concatenate(list(each.generate(labels="b", local_condition=made, seed=1)))
        for each in (model, again)
    ]
    np.testing.assert_array_equal(*sound)
    assert len(sound[0]) == len(made) * config.embeddings.hop_samples


def test_a_wavenet_begins_an_autoencoder_and_the_other_way_round() -> None:
    config = grid.AUTOENCODERS["notes"]
    params = grid.random_params(config)
    adopted = training.adopt(config.wavenet, params)
    assert all(name.startswith("params/encoder/") for name in adopted.unused)
    assert not adopted.new and not adopted.reshaped and adopted.unused
    adopted = training.adopt(config, grid.random_params(config.wavenet))
    assert all(name.startswith("params/encoder/") for name in adopted.new)
    assert not adopted.unused and adopted.new


# -- bad input ------------------------------------------------------------------------


WAVENET = grid.AUTOENCODERS["notes"].wavenet


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_size": 4}, "The encoder's kernel_size is 4: give an odd number"),
        ({"kernel_size": 1}, "kernel_size is 1: give at least 3"),
        ({"dilations": ()}, r"The encoder's dilations are \(\): give at least one"),
        ({"dilations": (1, 0)}, r"dilations\[1\] is 0: give at least 1"),
        ({"dilations": (2**22,)}, "The encoder's reach is .*: give at most"),
        ({"dilations": (1,) * 1001}, "number of layers is 1001: give at most 1000"),
        ({"channels": 0}, "channels is 0: give at least 1"),
        (
            {"wavenet": dataclasses.replace(WAVENET, local_condition=None)},
            "wavenet.local_condition is None: give one of vectors",
        ),
        (
            {
                "wavenet": dataclasses.replace(
                    WAVENET, local_condition=LocalConditionConfig("labels", 5, hop_samples=4)
                )
            },
            "wavenet.local_condition is 'labels': give one of vectors",
        ),
    ],
)
def test_refused_encoders(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        AutoencoderConfig(**({"wavenet": WAVENET, "dilations": (1, 2)} | fields))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(0, np.int16), r"shape \(0,\) and type int16: give its samples as int16 \[N\]"),
        (np.zeros((2, 9), np.int16), r"shape \(2, 9\)"),
        (np.zeros(9, np.float32), "type float32"),
    ],
)
def test_refused_recordings(samples: np.ndarray, message: str) -> None:
    config, params, _, _ = case("notes")
    with pytest.raises(InputError, match=message):
        autoencoder.encode(config, params, samples)


def test_a_model_without_an_encoder_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="WaveNetConfig: give an AutoencoderConfig, such as"):
        autoencoder.encode(WAVENET, {}, np.zeros(9, np.int16))  # type: ignore[arg-type]
    model = wavenet_jax.Model(WAVENET, {}, AudioConfig(RATE_HZ), 1, {})
    with pytest.raises(InputError, match="^The model has no encoder: load the run of an autoenc"):
        model.encode(np.zeros(9, np.int16))


@pytest.mark.parametrize("name", EACH)
def test_a_config_survives_json(name: str) -> None:
    config = grid.AUTOENCODERS[name]
    assert from_dict(AutoencoderConfig, to_dict(config), "model") == config


def test_numbers_of_the_paper() -> None:
    """30 layers of 3 taps: 3,070 samples on either side; windows have 3,072, six frames."""
    condition = LocalConditionConfig("vectors", 16, hop_samples=512)
    wavenet = WaveNetConfig(dilations=(1,), local_condition=condition)
    config = AutoencoderConfig(wavenet, dilations=tuple(2**i for i in range(10)) * 3)
    assert (config.reach_samples, config.margin_samples) == (3070, 3072)
    assert config.num_frames(64_000) == 125
    stacks = (ContextStackConfig(1024, (1,)),)
    with_stacks = dataclasses.replace(wavenet, context_stacks=stacks)
    assert dataclasses.replace(config, wavenet=with_stacks).margin_samples == 3072
    assert dataclasses.replace(config, wavenet=with_stacks).wavenet.hop_samples == 1024
