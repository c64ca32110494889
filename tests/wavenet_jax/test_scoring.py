"""Scores: every sample once, whatever the chunks, the batch, its order and the devices."""

import functools

import grid
import jax
import numpy as np
import pytest
from grid import CONFIGS

from wavenet_jax import InputError, mulaw, scoring

LENGTHS = (50, 7, 33, 1, 50)


@functools.cache
def recordings(name: str) -> list[dict]:
    config = CONFIGS[name]
    random = np.random.default_rng(0)
    made = []
    for i, length in enumerate(LENGTHS):
        conditions = grid.conditions_for(config, 1, length, seed=i)
        made.append(
            {
                "recording": f"{i}.wav",
                "samples": random.normal(0, 5000, length).astype(np.int16),
                **{key: value[0] for key, value in conditions.items()},
            }
        )
    return made


@functools.cache
def expected(name: str) -> dict[str, tuple[float, int]]:
    """-log2 p of each recording, from the parallel model and float64."""
    config = CONFIGS[name]
    params, scores = grid.random_params(config), {}
    for recording in recordings(name):
        codes = np.asarray(mulaw.encode(recording["samples"], config.num_classes))
        conditions = {key: recording[key][None] for key in ("global", "local") if key in recording}
        logits = grid.sequence_logits(config, params, codes[None], conditions)[0].astype(float)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        bits = -log_p[np.arange(len(codes)), codes].sum() / np.log(2)
        scores[recording["recording"]] = (bits, len(codes))
    return scores


def assert_right(name: str, scores: list[scoring.Score]) -> None:
    assert len(scores) == len(LENGTHS)
    assert {score.recording for score in scores} == set(expected(name))
    for score in scores:
        bits, num_samples = expected(name)[score.recording]
        assert score.num_samples == num_samples
        assert score.bits == pytest.approx(bits, abs=1e-3)


def test_the_bits_of_each_sample_are_in_its_place() -> None:
    """Over chunks, and without the padding of a batch."""
    config, params = CONFIGS["scalar"], grid.random_params(CONFIGS["scalar"])
    scores = scoring.score(
        config,
        params,
        recordings("scalar"),
        batch_size=2,
        chunk_samples=10,
        devices=jax.devices()[:1],
        keep_sample_bits=True,
    )
    by_name = {recording["recording"]: recording for recording in recordings("scalar")}
    for score in scores:
        recording = by_name[score.recording]
        codes = np.asarray(mulaw.encode(recording["samples"], config.num_classes))
        conditions = {key: recording[key][None] for key in ("global", "local") if key in recording}
        logits = grid.sequence_logits(config, params, codes[None], conditions)[0].astype(float)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        bits = -log_p[np.arange(len(codes)), codes] / np.log(2)
        np.testing.assert_allclose(score.sample_bits, bits, atol=1e-4)


@pytest.mark.parametrize("name", ["scalar", "all"])
def test_chunks_score_what_the_whole_scores(name: str) -> None:
    """Chunks shorter than the field, of which a batch's last is mostly padding."""
    config = CONFIGS[name]
    scores = scoring.score(
        config,
        grid.random_params(config),
        recordings(name),
        batch_size=2,
        chunk_samples=10,
        devices=jax.devices()[:1],
    )
    assert_right(name, list(scores))


@pytest.mark.parametrize(("batch_size", "chunk_samples"), [(1, 13), (4, 13), (4, 2000)])
def test_batches_do_not_matter(batch_size: int, chunk_samples: int) -> None:
    """Nor does the order of the recordings, on one device and on all eight."""
    config = CONFIGS["all"]
    scores = scoring.score(
        config,
        grid.random_params(config),
        reversed(recordings("all")),
        batch_size=batch_size,
        chunk_samples=chunk_samples,
        devices=None if batch_size == 4 else jax.devices()[:1],
    )
    assert_right("all", list(scores))


def test_many_recordings_are_gathered_and_none_is_lost() -> None:
    """More than are sorted at a time."""
    config = CONFIGS["plain"]
    one = recordings("plain")[0]
    many = ({"recording": str(i), "samples": one["samples"][: 1 + i % 50]} for i in range(61))
    scores = list(
        scoring.score(
            config,
            grid.random_params(config),
            many,
            batch_size=2,
            chunk_samples=25,
            devices=jax.devices()[:1],
        )
    )
    assert sorted(int(score.recording) for score in scores) == list(range(61))
    assert all(score.num_samples == 1 + int(score.recording) % 50 for score in scores)
    by_length = {score.num_samples: score.bits for score in scores}
    assert by_length[50] == pytest.approx(expected("plain")["0.wav"][0], abs=1e-3)


@pytest.mark.parametrize(("number", "batch"), [(1, 1), (3, 3), (20, 8)])
def test_few_recordings_are_not_scored_as_eight(
    number: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, made, programs = CONFIGS["plain"], [], scoring._programs
    monkeypatch.setattr(
        scoring, "_programs", lambda *arguments: made.append(arguments[2]) or programs(*arguments)
    )
    one = recordings("plain")[0]
    scores = scoring.score(
        config, grid.random_params(config), [one] * number, devices=jax.devices()[:1]
    )
    assert [score.bits for score in scores] == pytest.approx(
        [expected("plain")["0.wav"][0]] * number, abs=1e-3
    )
    assert set(made) == {batch}  # one program for all batches


def test_the_mean_is_over_samples() -> None:
    scores = [scoring.Score("a", 10.0, 5), scoring.Score("b", 2.0, 1)]
    assert scoring.bits_per_sample(scores) == 2.0


def test_an_empty_recording_is_named() -> None:
    config = CONFIGS["plain"]
    empty = {"recording": "empty.wav", "samples": np.zeros(0, np.int16)}
    scores = scoring.score(config, grid.random_params(config), [*recordings("plain"), empty])
    with pytest.raises(InputError, match=r"Recording empty\.wav has 0 samples"):
        list(scores)


@pytest.mark.parametrize("name", ["global", "local"])
def test_a_recording_without_its_condition_is_named(name: str) -> None:
    config = CONFIGS["all"]
    one = {key: value for key, value in recordings("all")[0].items() if key != name}
    with pytest.raises(InputError, match=rf"^Recording 0\.wav has no {name} condition, and"):
        list(scoring.score(config, grid.random_params(config), [one]))


def test_conditions_that_do_not_fit() -> None:
    config = CONFIGS["all"]
    one = dict(recordings("all")[0])
    one["local"] = one["local"][:, :2]
    with pytest.raises(InputError, match="The local condition has shape"):
        list(scoring.score(config, grid.random_params(config), [one]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "The batch_size is 0: give a whole number of at least 1."),
        ({"batch_size": True}, "The batch_size is True: give a whole number of at least 1."),
        ({"chunk_samples": -3}, "The chunk_samples is -3: give a whole number of at least 1."),
        ({"devices": []}, "The list of devices is empty: give at least one, or None for all."),
        (
            {"config": grid.RECOGNIZERS["frames"]},
            "The config to score with is a RecognizerConfig: give a WaveNetConfig, such as a "
            "recognizer's `wavenet`.",
        ),
    ],
)
def test_bad_arguments_fail_at_the_call(arguments: dict, message: str) -> None:
    """Nothing is iterated."""
    arguments = {"config": CONFIGS["plain"], "params": {}, "recordings": []} | arguments
    with pytest.raises(InputError, match=f"^{message}$"):
        scoring.score(**arguments)


def test_an_error_in_a_later_recording_comes_when_it_is_reached() -> None:
    config = CONFIGS["plain"]
    many = [
        *recordings("plain")[:1] * 8,
        {"recording": "bad.wav", "samples": np.zeros(0, np.int16)},
    ]
    scores = scoring.score(
        config, grid.random_params(config), many, batch_size=1, devices=jax.devices()[:1]
    )
    assert [next(scores).recording for _ in range(8)] == ["0.wav"] * 8
    with pytest.raises(InputError, match=r"Recording bad\.wav has 0 samples"):
        next(scores)
