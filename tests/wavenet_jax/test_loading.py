"""A run's folder, loaded and played from Python: which waveform, and what is refused."""

import functools
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grid
import jax
import numpy as np
import pytest

import wavenet_jax
from wavenet_jax import (
    ConditionConfig,
    InputError,
    LocalConditionConfig,
    Model,
    WaveNetConfig,
    generate,
    training,
    utterance_keys,
)
from wavenet_jax.audio import AudioConfig, InverseFilter
from wavenet_jax.checkpoints import Checkpoints
from wavenet_jax.config import to_dict
from wavenet_jax.training import ModelConfig, TrainingConfig

ROOT = pathlib.Path(__file__).parents[2]
RATE_HZ = 8000
SPEAKERS = ("low", "mid", "en-us+f2")
TRAINING = TrainingConfig(num_steps=9)
SMALL = grid.SMALL | {"num_classes": 256}
SPEAKER = WaveNetConfig(dilations=(1, 3), global_condition=ConditionConfig("labels", 3, 4), **SMALL)
TAGS = WaveNetConfig(dilations=(1, 3), global_condition=ConditionConfig("tags", 5, 4), **SMALL)
MEL = WaveNetConfig(
    dilations=(1, 3), local_condition=LocalConditionConfig("vectors", 3, 4, hop_samples=40), **SMALL
)
PHONES = WaveNetConfig(
    dilations=(1, 3), local_condition=LocalConditionConfig("labels", 5, 4, hop_samples=40), **SMALL
)
AUDIO = {
    SPEAKER: AudioConfig(RATE_HZ, (0.8, -0.6, 0.2), {"speaker": SPEAKERS}, ("speaker",)),
    TAGS: AudioConfig(
        RATE_HZ, (1.0,), {"speaker": SPEAKERS, "digit": ("0", "1")}, ("speaker", "digit")
    ),
}
scan = functools.partial(generate, backend="scan")


def save(workdir: pathlib.Path, config: ModelConfig, step: int = 1, **scores: float) -> None:
    """A checkpoint of random parameters, the EMA's others than those trained."""
    state = training.init_state(config, TRAINING).replace(
        step=np.int32(step), ema_params=grid.random_params(config, step)
    )
    audio = AUDIO.get(config, AudioConfig(RATE_HZ))
    description = {
        "model": to_dict(config),
        "training": to_dict(TRAINING),
        "audio": to_dict(audio),
        "experiment": {},
    }
    with Checkpoints(workdir, best_score="bits") as saved:
        saved.save(state, data_position=0, description=description, scores=scores or None)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    loaded = {}
    for name, config in (("speaker", SPEAKER), ("tags", TAGS), ("mel", MEL), ("phones", PHONES)):
        workdir = tmp_path_factory.mktemp("run")
        save(workdir, config)
        loaded[name] = wavenet_jax.load(workdir)
    return loaded


def whole(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(chunks))


def by_hand(
    model: Model,
    num_samples: int,
    *,
    keys: jax.Array,
    past: np.ndarray | None = None,
    **options: Any,
) -> np.ndarray:
    """`sampling.generate` and the decoder, of one utterance."""
    assert isinstance(model.config, WaveNetConfig)
    chunks = scan(model.config, model.params, keys=keys, num_samples=num_samples, **options)
    codes = np.concatenate(list(chunks), axis=1)[0]
    pcm = np.asarray(model.config.quantizer.decode_int16(codes))
    return InverseFilter(model.audio.filter_taps, past)(pcm)


# -- the waveform -----------------------------------------------------------------


def test_a_loaded_model_has_the_ema_parameters_and_its_audio(models: dict[str, Model]) -> None:
    model = models["speaker"]
    assert (model.config, model.audio, model.step) == (SPEAKER, AUDIO[SPEAKER], 1)
    jax.tree.map(np.testing.assert_array_equal, model.params, grid.random_params(SPEAKER, 1))
    assert "Array" not in repr(model)
    assert "array" not in repr(model)


def test_it_generates_what_sampling_and_decoding_by_hand_do(models: dict[str, Model]) -> None:
    """By the speaker's name, filtered back; chunks do not matter."""
    model = models["speaker"]
    for index, (label, number) in enumerate((("mid", 1), ("en-us+f2", 2))):
        options = {"seconds": 0.02, "seed": 7, "index": index, "labels": label}
        pcm = whole(model.generate(backend="scan", **options))
        assert (pcm.dtype, pcm.shape) == (np.int16, (160,))
        keys = utterance_keys(7, [index])
        condition = np.int32([number])
        expected = by_hand(model, 160, keys=keys, global_condition=condition)
        np.testing.assert_array_equal(pcm, expected)
        chunks = list(model.generate(backend="scan", chunk_samples=50, **options))
        assert len(chunks) > 2
        np.testing.assert_array_equal(np.concatenate(chunks), pcm)


def test_a_batch_is_what_each_is_alone(models: dict[str, Model]) -> None:
    """Of unequal lengths, each at its own place in the file."""
    model = models["speaker"]
    lengths = [160, 50, 120]
    batch = list(
        model.generate_batch(
            lengths,
            seed=3,
            global_condition=np.int32([0, 1, 2]),
            backend="scan",
            chunk_samples=60,
        )
    )
    for index, (speaker, length) in enumerate(zip(SPEAKERS, lengths, strict=True)):
        together = np.concatenate([chunk[index] for chunk in batch])
        alone = model.generate(
            seconds=length / RATE_HZ, seed=3, index=index, labels=[speaker], backend="scan"
        )
        np.testing.assert_array_equal(together, whole(alone))
    some = model.generate_batch(
        [160], seed=3, indices=[2], global_condition=np.int32([2]), backend="scan"
    )
    np.testing.assert_array_equal(
        np.concatenate([chunk[0] for chunk in some])[:120],
        np.concatenate([chunk[2] for chunk in batch]),
    )


def test_a_prime_is_continued(models: dict[str, Model]) -> None:
    """To the waveform that the model would have generated, the inverse filter's past included."""
    model = models["speaker"]
    generate = functools.partial(model.generate, labels="low", seed=5, backend="scan")
    prime = np.random.default_rng(0).normal(0, 3000, 70).astype(np.int16)
    codes = np.asarray(SPEAKER.quantizer.encode(model.audio.apply_filter(prime)))[None]
    expected = by_hand(
        model,
        80,
        keys=utterance_keys(5, [0]),
        prime=codes,
        global_condition=np.int32([0]),
        past=prime,
    )
    np.testing.assert_array_equal(whole(generate(seconds=0.01, prime=prime)), expected)
    without = whole(generate(seconds=0.01))
    assert not np.array_equal(without, expected)
    nothing = whole(generate(seconds=0.01, prime=np.zeros(0, np.int16)))
    np.testing.assert_array_equal(nothing, without)


def test_several_labels(models: dict[str, Model]) -> None:
    model = models["tags"]
    generate = functools.partial(model.generate, seconds=0.01, backend="scan")
    joined = whole(generate(labels="mid+1"))
    np.testing.assert_array_equal(whole(generate(labels=["mid", "1"])), joined)
    condition = np.int32([[0, 1, 0, 0, 1]])
    expected = by_hand(model, 80, keys=utterance_keys(0, [0]), global_condition=condition)
    np.testing.assert_array_equal(joined, expected)


@pytest.mark.parametrize("name", ["mel", "phones"])
def test_local_conditions_whole_or_as_they_arrive(models: dict[str, Model], name: str) -> None:
    """They give the length, where none is asked for."""
    model, random = models[name], np.random.default_rng(0)
    if name == "mel":
        frames = random.normal(size=(3, 3)).astype(np.float32)
    else:
        frames = random.integers(0, 5, 3).astype(np.int32)
    generate = functools.partial(model.generate, seed=2, backend="scan")
    pcm = whole(generate(local_condition=frames))
    assert len(pcm) == 120
    expected = by_hand(model, 120, keys=utterance_keys(2, [0]), local_condition=frames[None])
    np.testing.assert_array_equal(pcm, expected)
    arriving = iter([frames[:1], frames[1:]])
    np.testing.assert_array_equal(whole(generate(local_condition=arriving)), pcm)
    half = whole(generate(local_condition=frames, seconds=60 / RATE_HZ))
    np.testing.assert_array_equal(half, pcm[:60])


# -- wrong arguments --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("speaker", {"labels": "nobody"}, "^There is no speaker 'nobody': use one of low, mid"),
        ("speaker", {}, r"^The labels are missing: name a class of each \(speaker: low, mid, en-"),
        ("speaker", {"labels": ["low", "mid"]}, "The label 'low.mid' names 2 classes"),
        ("tags", {"labels": "low"}, "names 1 classes: name one for each of speaker, digit"),
        ("mel", {"labels": "low"}, "^The labels are 'low', and the model takes none"),
        ("speaker", {"labels": "low", "seconds": None}, "^The length is missing: give seconds"),
        ("speaker", {"labels": "low", "seconds": 0.0}, "^The length is 0.0 seconds: give at"),
        ("speaker", {"labels": "low", "seconds": float("nan")}, "^The length is nan seconds"),
        ("speaker", {"labels": "low", "temperature": -1.0}, "temperature is -1"),
        ("speaker", {"labels": "low", "backend": "abacus"}, "abacus"),
        ("speaker", {"labels": "low", "seed": -1}, "^The seed is -1"),
        ("speaker", {"labels": "low", "prime": np.zeros(9)}, "^The prime has shape .* float64"),
        (
            "speaker",
            {"labels": "low", "local_condition": np.zeros((9, 3), np.float32)},
            "^The model takes no local condition: leave it out",
        ),
        (
            "mel",
            {},
            r"^The model needs a local condition: give vectors \[F, 3\] with a frame every 40 sam",
        ),
        (
            "mel",
            {"local_condition": np.zeros((9, 4), np.float32)},
            r"has shape \(9, 4\) and type float32: give vectors \[F, 3\] with a frame every 40",
        ),
        (
            "phones",
            {"local_condition": np.zeros(9)},
            r"shape \(9,\) and type float64: give labels \[F\] with a frame .*, each below 5",
        ),
        ("mel", {"local_condition": np.zeros((1, 3), np.float32)}, "has 1 frames of 40 samples"),
    ],
    ids=str,
)
def test_wrong_arguments_fail_at_the_call(
    models: dict[str, Model], name: str, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        models[name].generate(**({"seconds": 0.01} | options))


@pytest.mark.parametrize(
    ("num_samples", "options", "message"),
    [
        ([], {}, r"^The numbers of samples are \[\]: give one for each utterance"),
        ([0, 0], {}, "at least one above 0"),
        ([9, 9], {"indices": [1]}, "There are 2 numbers of samples and 1 indices"),
        ([9, 9], {"global_condition": np.int32([0])}, "global condition has shape"),
        ([9], {"global_condition": None}, "takes a global condition"),
    ],
    ids=str,
)
def test_wrong_batches_fail_at_the_call(
    models: dict[str, Model], num_samples: list[int], options: dict, message: str
) -> None:
    conditions = {"global_condition": np.zeros(len(num_samples), np.int32)}
    with pytest.raises(InputError, match=message):
        models["speaker"].generate_batch(num_samples, **(conditions | options))


def test_a_recognizer_does_not_generate(tmp_path: pathlib.Path) -> None:
    save(tmp_path, grid.RECOGNIZERS["frames"])
    model = wavenet_jax.load(tmp_path)
    assert model.config == grid.RECOGNIZERS["frames"]
    for call in (lambda: model.generate(seconds=1.0), lambda: model.generate_batch([9])):
        with pytest.raises(InputError, match="^The model is a recognizer, which does not generate"):
            call()


# -- the folder -------------------------------------------------------------------


def test_a_step_is_chosen(tmp_path: pathlib.Path) -> None:
    for step, bits in ((1, 3.0), (2, 2.0), (3, 4.0)):
        save(tmp_path, SPEAKER, step, bits=bits)
    assert wavenet_jax.load(tmp_path).step == 2
    assert wavenet_jax.load(tmp_path, "last").step == 3
    assert wavenet_jax.load(tmp_path, "best").step == 2
    assert wavenet_jax.load(str(tmp_path), step=1).step == 1


def test_folders_without_a_run(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=f"^There is no work directory {tmp_path}/none: train"):
        wavenet_jax.load(tmp_path / "none")
    with pytest.raises(InputError, match=f"^There is no checkpoint in {tmp_path}/checkpoints: "):
        wavenet_jax.load(tmp_path)
    assert not list(tmp_path.iterdir())


TEN_LINES = """
import sys
import numpy as np
import wavenet_jax

model = wavenet_jax.load(sys.argv[1])
chunks = list(model.generate(seconds=0.01, seed=7, labels="high", chunk_samples=30, backend="scan"))
assert all(pcm.dtype == np.int16 for pcm in chunks)
print(model.audio.sample_rate_hz, len(np.concatenate(chunks)))
forbidden = {"data", "experiments", "librosa", "grain", "tensorflow_datasets", "soundfile"}
assert not forbidden & set(sys.modules), forbidden & set(sys.modules)
"""


def test_it_runs_outside_the_checkout(tmp_path: pathlib.Path) -> None:
    """With what the wheel installs alone, and without a word on stderr."""
    (tmp_path / "wavenet_jax").symlink_to(ROOT / "wavenet_jax")
    run = ROOT / "tests" / "fixtures" / "checkpoint_v1" / "generator"
    command = [sys.executable, "-c", TEN_LINES, str(run)]
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "8000 80\n", "")
