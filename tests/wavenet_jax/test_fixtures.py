"""Checkpoints of earlier releases load: for sampling, scoring and resuming."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

import wavenet_jax
from wavenet_jax import Recognizer, RecognizerConfig, WaveNet, WaveNetConfig, sampling, training
from wavenet_jax.checkpoints import Checkpoint, Checkpoints

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
GENERATORS = ("checkpoint_v1/generator", "checkpoint_v2/generator")
FOLDERS = (*GENERATORS, "checkpoint_v1/recognizer")
SEED = 5


def restored(folder: str, step: int | str = "last") -> Checkpoint:
    with Checkpoints(FIXTURES / folder, read_only=True) as saved:
        return saved.restore(step)


def expected(folder: str) -> dict[str, np.ndarray]:
    return dict(np.load(FIXTURES / folder / "expected.npz"))


def test_they_are_small() -> None:
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    assert len(files) > 30
    assert sum(path.stat().st_size for path in files) < 200_000


@pytest.mark.parametrize("folder", GENERATORS)
def test_a_generator_has_the_logits_and_draws_the_codes_of_its_release(folder: str) -> None:
    """The codes hold on every machine: no random number is as near to where another code
    begins as the logits may be off."""
    checkpoint, known = restored(folder), expected(folder)
    codes, conditions = known["codes"].astype(np.int32), np.int32([0, 1])
    params = checkpoint.state.ema_params
    logits = WaveNet(checkpoint.model_config).apply(params, codes, global_condition=conditions)
    np.testing.assert_allclose(logits, known["logits"], atol=1e-5)

    def drawn(backend: str) -> np.ndarray:
        chunks = sampling.generate(
            checkpoint.model_config,
            params,
            keys=sampling.utterance_keys(SEED, range(2)),
            num_samples=codes.shape[1],
            global_condition=conditions,
            backend=backend,
        )
        return np.concatenate(list(chunks), axis=1)

    for backend in ("scan", "auto"):
        np.testing.assert_array_equal(drawn(backend), codes)
    edges = np.cumsum(np.asarray(jax.nn.softmax(known["logits"].astype(np.float64))), axis=2)
    numbers = np.asarray(sampling.uniforms(sampling.utterance_keys(SEED, range(2)), 0, 40)).T
    assert np.abs(edges - numbers[..., None]).min() > 1e-5


def test_a_recognizer_has_the_logits_of_its_release() -> None:
    checkpoint, known = restored("checkpoint_v1/recognizer"), expected("checkpoint_v1/recognizer")
    config = checkpoint.model_config
    assert isinstance(config, RecognizerConfig)
    codes = known["codes"].astype(np.int32)
    outputs, logits = Recognizer(config).apply(
        checkpoint.state.ema_params, codes, np.ones(known["logits"].shape[:2], bool)
    )
    np.testing.assert_allclose(logits, known["logits"], atol=1e-5)
    np.testing.assert_allclose(outputs[:, ::10], known["outputs"], atol=1e-5)


def test_version_1_is_converted() -> None:
    """A model's type, the labels' names, the bigrams; the experiment is the programs' to read."""
    generator, recognizer = (restored(f"checkpoint_v1/{x}") for x in ("generator", "recognizer"))
    assert generator.format_version == recognizer.format_version == 1
    assert isinstance(generator.model_config, WaveNetConfig)
    assert generator.description["model"]["type"] == "wavenet"
    assert generator.description["audio"] == {
        "sample_rate_hz": 8000,
        "pre_emphasis": 0.5,
        "classes": {"speaker": ["high", "low"]},
        "global_labels": ["speaker"],
        "multi_label": False,
    }
    assert generator.description["bigram_lm"] is None
    assert generator.description["experiment"]["dataset"] == "fsdd"
    assert generator.data_position["next_batch"] == 4
    assert recognizer.description["model"]["type"] == "recognizer"
    assert recognizer.model_config.num_classes == 23
    assert recognizer.model_config.wavenet.dilations == (2,)
    bigram_lm = recognizer.description["bigram_lm"]
    assert len(bigram_lm["min_frames"]) == len(bigram_lm["log_priors"]) == 23
    assert "least_frames" not in bigram_lm


def test_version_2_is_as_it_was_saved() -> None:
    checkpoint = restored("checkpoint_v2/generator")
    assert checkpoint.format_version == 2
    assert checkpoint.description["wavenet_jax_version"] == "0.2.0"
    assert checkpoint.description["audio"]["global_labels"] == ["speaker"]
    assert checkpoint.data_position == {"next_batch": 3}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_best_of_a_release_is_found(folder: str) -> None:
    """By the one score that version 1 has; by the name that version 2 was saved with."""
    newest, best = restored(folder), restored(folder, "best")
    assert int(best.state.step) == int(newest.state.step)


@pytest.mark.parametrize("folder", FOLDERS)
def test_training_goes_on(folder: str, tmp_path: pathlib.Path) -> None:
    """One more step, saved in this release's format beside the earlier one."""
    workdir = pathlib.Path(shutil.copytree(FIXTURES / folder, tmp_path / "run"))
    checkpoint = restored(folder)
    config, model = checkpoint.training_config, checkpoint.model_config
    random, step = np.random.default_rng(0), int(checkpoint.state.step)
    batch: dict[str, np.ndarray] = {"samples": random.normal(0, 3000, (2, 90)).astype(np.int16)}
    if isinstance(model, RecognizerConfig):
        frames = 3 + 2 * model.context_frames
        length = frames * model.hop_samples + model.hop_samples
        batch["samples"] = random.normal(0, 3000, (2, length)).astype(np.int16)
        batch["mask"] = np.ones((2, 3 * model.hop_samples), bool)
        batch["frames"] = np.ones((2, frames), bool)
        batch["classes"] = np.ones((2, 3), np.int32)
    else:
        batch["mask"] = np.ones((2, 60), bool)
        batch["global"] = np.int32([0, 1])
    state, metrics = jax.jit(
        lambda state, batch: training.train_step(model, config, state, batch, axis=None)
    )(checkpoint.state, batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    with Checkpoints(workdir, best_score="bits_per_sample") as saved:
        description = {
            name: checkpoint.description[name] for name in ("training", "audio", "experiment")
        }
        fields = {k: v for k, v in checkpoint.description["model"].items() if k != "type"}
        saved.save(
            state,
            data_position={},
            description=description | {"model": fields},
            scores={"bits_per_sample": 9.0},
        )
        saved.wait()
        again = saved.restore()
        assert saved.restore("best").format_version == checkpoint.format_version
    assert (int(again.state.step), again.format_version) == (step + 1, 2)
    jax.tree.map(np.testing.assert_array_equal, again.state, state)


@pytest.mark.parametrize("folder", GENERATORS)
def test_audio_is_generated_by_name(folder: str) -> None:
    model = wavenet_jax.load(FIXTURES / folder)
    first = np.concatenate(list(model.generate(seconds=0.005, seed=SEED, labels="high")))
    assert (first.dtype, len(first)) == (np.int16, 40)
    known = model.config.quantizer.decode_int16(expected(folder)["codes"][0].astype(np.int32))
    by_hand, last = [], 0.0  # x[n] = (1 + c) y[n] + c x[n - 1]
    for sample in np.asarray(known):
        last = 1.5 * float(sample) + 0.5 * last
        by_hand.append(np.clip(np.rint(last), -32768, 32767))
    np.testing.assert_array_equal(first, by_hand)
