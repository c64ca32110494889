"""The demo's figures, with its programs replaced by what they leave behind."""

import json
import pathlib

import numpy as np
import pytest
import soundfile

import data

pytest.importorskip("pocketsphinx", reason="the recogniser is in the extra demo")
pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")

from experiments import demo
from experiments.metrics import perceptual

NUM_SAMPLES = 4


@pytest.fixture
def commands(monkeypatch, tmp_path: pathlib.Path) -> list[list[str]]:
    """What the demo runs; what is generated is the recording with noise."""
    called: list[list[str]] = []

    def run(program: str, *arguments: str, limit_s: float | None = None) -> None:
        called.append([program, *arguments])
        if program == "prepare":
            corpora = tmp_path / "corpora"
            data.build("espeak", data_dir=corpora, num_utterances=8, num_test=NUM_SAMPLES)
        elif program == "evaluate":
            scores = {"bits_per_sample": 3.0, "unigram_bits_per_sample": 7.0, "step": 5}
            (tmp_path / "evaluation.json").write_text(json.dumps(scores))
        elif program == "sample":
            corpus = data.load("espeak", tmp_path / "corpora", "test")
            (tmp_path / "samples").mkdir()
            for i in range(len(corpus)):
                audio = corpus.recording(i)["audio"]
                noise = np.random.default_rng(i).normal(0, 300, len(audio))
                noisy = np.clip(audio + noise, -32768, 32767).astype(np.int16)
                path = tmp_path / "samples" / f"sample_{i:03}.wav"
                soundfile.write(path, noisy, 8000, subtype="PCM_16")

    history = [{"time_s": 30.0, "train/bits_per_sample": 4.0, "held_out/bits_per_sample": 4.1}]
    monkeypatch.setattr(demo.programs, "run", run)
    monkeypatch.setattr(demo, "_NUM_SAMPLES", NUM_SAMPLES)
    monkeypatch.setattr(demo.reporting, "history", lambda folder: history)
    score = perceptual.Dnsmos(3.0, 3.5, 4.0)
    monkeypatch.setattr(perceptual, "dnsmos", lambda sound, rate: score)
    return called


def test_the_figures_of_the_demo(commands, tmp_path: pathlib.Path) -> None:
    metrics = demo.demo(tmp_path, train_minutes=1.0, seed=3)
    assert metrics == json.loads((tmp_path / "metrics.json").read_text()) | {
        "figures": metrics["figures"]  # whose interval is a tuple
    }
    real, generated = metrics["figures"]["real"], metrics["figures"]["generated"]
    corpus = data.load("espeak", tmp_path / "corpora", "test")
    words = sum(len(corpus.recording(i)["text"].split()) for i in range(NUM_SAMPLES))
    assert real["num_words"] == generated["num_words"] == words
    assert real["word_error_rate"] == metrics["error_rate"]["real"] < 0.2
    low, high = generated["word_error_interval"]
    assert low <= metrics["error_rate"]["generated"] <= high
    assert generated["noise_level_db"] > real["noise_level_db"] + 3
    assert generated["harmonics_to_noise_db"] < real["harmonics_to_noise_db"]
    assert "mel_cepstral_distortion_db" in generated.keys() - real.keys()
    assert len(metrics["heard"]) == NUM_SAMPLES
    assert (tmp_path / "spectrograms.png").stat().st_size > 1000
    # Its commands are those of a user.
    assert [command[0] for command in commands] == ["prepare", "train", "evaluate", "sample"]
    assert commands[0][-2:] == ["--num_test", str(NUM_SAMPLES)]
    assert "--config.seed" in commands[1] and "3" in commands[1]
    assert commands[3][commands[3].index("--seed") + 1] == "3"


def test_at_least_200_words_are_recognised() -> None:
    from data.datasets.espeak import espeak_dataset_builder

    options = data.OPTIONS["espeak"] | {"num_test": demo._NUM_SAMPLES}
    plan = espeak_dataset_builder._plan(**options)
    assert sum(len(each.text.split()) for each in plan["test"][: demo._NUM_SAMPLES]) >= 200
