"""The evaluator of speech: each figure where it belongs, and reasons where there is none."""

import json

import numpy as np
import pytest

from experiments.metrics import error_rates, perceptual, speech_figures, voice
from experiments.metrics.speech_figures import SpeechFigures
from wavenet_jax import InputError

RATE_HZ = 8000
UNPAIRED = {"harmonics_to_noise_db", "noise_level_db", "dnsmos_overall"}
PAIRED = {"log_spectral_distance_db", "mel_cepstral_distortion_db", "f0_median_cents"}


def vowels(f0_hz: float = 120.0, noise: float = 0.0) -> list[np.ndarray]:
    """Two sounds of different lengths."""
    sounds = []
    for i, seconds in enumerate((0.4, 0.8)):
        time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        sound = sum(np.sin(2 * np.pi * k * f0_hz * time_s) / k**2 for k in range(1, 20))
        sounds.append(0.1 * sound + np.random.default_rng(i).normal(0, noise, len(time_s)))
    return sounds


@pytest.fixture(autouse=True)
def no_networks(monkeypatch) -> None:
    """DNSMOS has tests of its own."""
    score = perceptual.Dnsmos(3.0, 3.5, 4.0)
    monkeypatch.setattr(perceptual, "dnsmos", lambda sound, rate: score)


def test_figures_without_references_or_transcripts() -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    found = speech_figures.figures(vowels(noise=1e-3), RATE_HZ)
    given = speech_figures.to_dict(found)
    assert given.keys() >= UNPAIRED and not given.keys() & PAIRED
    assert "word_error_rate" not in given and "undefined" not in given
    assert (found.num_recordings, found.seconds, found.dnsmos_background) == (2, 1.2, 4.0)
    # Means are over frames: the longer sound weighs more.
    frames = [voice.noise_level_db(each, RATE_HZ) for each in vowels(noise=1e-3)]
    assert found.noise_level_db == pytest.approx(np.concatenate(frames).mean())
    noisy = speech_figures.figures(vowels(noise=1e-2), RATE_HZ)
    assert noisy.noise_level_db > found.noise_level_db + 1
    assert noisy.harmonics_to_noise_db < found.harmonics_to_noise_db - 1


def test_copies_and_their_references() -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    same = speech_figures.figures(vowels(), RATE_HZ, references=vowels())
    assert same.mel_cepstral_distortion_db == same.log_spectral_distance_db == 0
    assert same.f0_median_cents == same.voicing_error == 0
    higher = speech_figures.figures(vowels(132), RATE_HZ, references=vowels(120))
    assert higher.f0_median_cents == pytest.approx(1200 * np.log2(1.1), abs=3)
    assert higher.mel_cepstral_distortion_db > 1


def test_words_with_their_interval() -> None:
    labels = [["one", "two", "three"], ["four"]]
    recognized = [["one", "two", "two"], ["four"]]
    found = speech_figures.figures(vowels(), RATE_HZ, labels=labels, recognized=recognized)
    assert (found.num_words, found.word_error_rate) == (4, 0.25)
    counts = [error_rates.Counts(3, 1, 0, 0), error_rates.Counts(1, 0, 0, 0)]
    assert found.word_error_interval == error_rates.interval(counts)
    low, high = found.word_error_interval
    assert low <= found.word_error_rate <= high and low < high
    text = speech_figures.words_mistaken(found)
    assert text == f"25.0% ({100 * low:.1f} to {100 * high:.1f}%) of 4"


def test_silence_has_reasons_instead_of_figures() -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    silence = [np.zeros(4000, np.int16)]
    found = speech_figures.figures(silence, RATE_HZ, references=silence)
    assert found.noise_level_db is found.harmonics_to_noise_db is found.f0_median_cents is None
    assert found.undefined["noise_level_db"] == "the sound is silent"
    assert found.undefined["harmonics_to_noise_db"] == "no frame is voiced"
    assert found.undefined["f0_median_cents"] == "too few frames are voiced in both"
    printed = speech_figures.table({"a": found})
    assert "noise_level_db (the sound is silent)" in printed and "nan" not in printed
    # One of two: the figure is the other's, with a note.
    part = speech_figures.figures([*silence, vowels()[0]], RATE_HZ)
    assert part.noise_level_db is not None
    assert part.undefined["noise_level_db"].startswith("not of 1 of 2 recordings: the sound is")


def test_json_and_back_and_the_table() -> None:
    found = SpeechFigures(2, 1.5, 4, 0.25, (0.0, 0.5), noise_level_db=-50.0)
    again = SpeechFigures(**json.loads(json.dumps(speech_figures.to_dict(found), allow_nan=False)))
    assert speech_figures.table({"x": again}) == speech_figures.table({"x": found})
    assert speech_figures.table({"real": found, "copied": SpeechFigures(1, 1.0)}).splitlines() == [
        "| | real | copied |",
        "|---|---|---|",
        "| words mistaken | 25.0% (0.0 to 50.0%) of 4 |  |",
        "| noise level | -50.0 dB |  |",
    ]


def test_every_figure_has_a_row() -> None:
    beside = {"num_recordings", "seconds", "num_words", "undefined", "f0_rmse_cents"}
    words = {"word_error_rate", "word_error_interval"}
    assert speech_figures.ROWS.keys() | beside | words == SpeechFigures.__dataclass_fields__.keys()


@pytest.mark.parametrize(
    ("message", "sounds", "options"),
    [
        ("There is no sound", [], {}),
        (r"Sound 0 has shape \(2, 8\)", [np.zeros((2, 8))], {}),
        (r"Sound 1 has shape \(0,\)", [np.zeros(8), np.zeros(0)], {}),
        ("Sound 0 is int32", [np.zeros(8, np.int32)], {}),
        ("Sound 0 has samples beyond full scale", [np.full(8, 2.0)], {}),
        ("Sound 0 has samples beyond .* not finite", [np.full(8, np.nan)], {}),
        ("not as long as their references", [np.zeros(8)], {"references": [np.zeros(9)]}),
        ("not as many", [np.zeros(8)], {"references": [np.zeros(8)] * 2}),
        ("1 sounds, 2 transcripts", [np.zeros(8)], {"labels": [["a"]] * 2, "recognized": [[]]}),
    ],
)
def test_refusals(message: str, sounds: list, options: dict) -> None:
    with pytest.raises(InputError, match=message):
        speech_figures.figures(sounds, RATE_HZ, **options)
    with pytest.raises(InputError, match="rate is 0 Hz"):
        speech_figures.figures([np.zeros(8)], 0)
