"""A small run from end to end: corpus, training, generation, and the intelligibility of it.

    make demo

Prints and runs the commands that a user would, and writes to runs/demo: samples/*.wav
(generated, with the real recording of the same text and timing beside each),
spectrograms.png, loss.png and metrics.json. Stopped, the same command goes on. The figures of sound
are those of docs/figures.md: DNSMOS is among them where the extra `quality` is installed.

Another `--seed` draws other initial weights and batches and other samples: use another `--dir`.
"""

import json
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import flags

import data
from experiments.common import cli, plots, programs, reporting
from experiments.metrics import intelligibility, speech_figures

_DIR = flags.DEFINE_string("dir", "runs/demo", "Folder for everything.")
_TRAIN_MINUTES = flags.DEFINE_float(
    "train_minutes", 7.5, "On a slow machine training is stopped, and saved, after so long."
)
_NUM_SAMPLES = 48  # more than 200 words
_DRAWING = ("--top_p", "0.95", "--comb_filter", "1")  # docs/figures.md
_SPLIT = "test"

cli.takes(cli.SEED)


def demo(
    folder: str | os.PathLike[str], *, train_minutes: float, seed: int | None = None
) -> dict[str, Any]:
    """Runs the demo in a folder; returns the content of metrics.json."""
    folder, begun_s = pathlib.Path(folder), time.monotonic()
    corpora, samples = folder / "corpora", folder / "samples"
    scores = folder / "evaluation.json"
    run = ["--workdir", str(folder), "--data_dir", str(corpora)]
    test = ["--num_test", str(_NUM_SAMPLES)]
    programs.run("prepare", "--dataset", "espeak", "--data_dir", str(corpora), *test)
    config = ["--config", "experiments/configs/demo.py"]
    config += [] if seed is None else ["--config.seed", str(seed)]
    programs.run("train", *config, *run, limit_s=60 * train_minutes)
    chosen = ["--split", _SPLIT]
    programs.run("evaluate", *run, *chosen, "--json", str(scores))
    how = ["--num_samples", str(_NUM_SAMPLES), "--seed", str(seed or 0), *_DRAWING]
    programs.run("sample", *run, *chosen, *how, "--out", str(samples))

    corpus = data.load("espeak", corpora, _SPLIT)
    rate, pairs = corpus.sample_rate_hz, []
    labels: list[list[str]] = []
    sounds: dict[str, list[np.ndarray]] = {"generated": [], "real": []}
    for i in range(_NUM_SAMPLES):
        recording = corpus.recording(i)
        labels.append(recording["text"].split())
        generated, _ = soundfile.read(samples / f"sample_{i:03}.wav", dtype="int16")
        soundfile.write(samples / f"sample_{i:03}_real.wav", recording["audio"], rate)
        sounds["generated"].append(generated)
        sounds["real"].append(recording["audio"])
        if i < 3:
            pairs += [(f"real: {recording['text']}", recording["audio"]), ("generated", generated)]
    recognized = {
        kind: [intelligibility.recognise_digits(sound, rate) for sound in each]
        for kind, each in sounds.items()
    }
    of_sounds = {
        kind: speech_figures.figures(
            each,
            rate,
            references=sounds["real"] if kind == "generated" else None,
            labels=labels,
            recognized=recognized[kind],
            title=f"measuring {kind}",
        )
        for kind, each in sounds.items()
    }
    plots.save(plots.spectrograms(pairs, rate), folder / "spectrograms.png")

    figures = json.loads(scores.read_text())
    history = reporting.history(folder)
    curves = {
        title: [(line["time_s"] / 60, line[name]) for line in history if name in line]
        for title, name in (
            ("training", "train/bits_per_sample"),
            ("held out", "held_out/bits_per_sample"),
        )
    }
    entropy = {"entropy of the codes": figures["unigram_bits_per_sample"]}
    plots.save(plots.loss_curve(curves, entropy, x_label="minutes"), folder / "loss.png")

    metrics = {
        "held_out_bits_per_sample": figures["bits_per_sample"],
        "unigram_bits_per_sample": figures["unigram_bits_per_sample"],
        "steps": figures["step"],
        "training_seconds": max(line["time_s"] for line in history),
        "seconds": round(time.monotonic() - begun_s, 1),
        "seed": seed or 0,
        "error_rate": {kind: of.word_error_rate for kind, of in of_sounds.items()},
        "figures": {kind: speech_figures.to_dict(of) for kind, of in of_sounds.items()},
        "heard": [
            {"said": " ".join(text), "heard": " ".join(words)}
            for text, words in zip(labels, recognized["generated"], strict=True)
        ],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return metrics


def main(argv: Sequence[str]) -> None:
    del argv
    metrics = demo(_DIR.value, train_minutes=_TRAIN_MINUTES.value, seed=cli.SEED.value)
    columns = {
        kind: speech_figures.SpeechFigures(**metrics["figures"][kind])
        for kind in ("real", "generated")
    }
    print(
        f"\n{metrics['held_out_bits_per_sample']:.2f} bits per sample on held-out speech "
        f"(entropy of its codes {metrics['unigram_bits_per_sample']:.2f}) after "
        f"{metrics['steps']} steps.\n\n{speech_figures.table(columns)}\n\n"
        f"Listen to {_DIR.value}/samples, look at {_DIR.value}/spectrograms.png."
    )


if __name__ == "__main__":
    cli.run(main)
