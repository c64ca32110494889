"""Cost of weights of fewer bits: in likelihood, and in the spectrum of what is generated.

    python -m experiments.studies.precision --workdir=runs/fsdd --data_dir=corpora --split=test \\
        --num_samples=20 --seconds=1 --out=runs/fsdd/precision

Measures at each precision (`wavenet_jax.sampling.precision`) the bits per sample of whole
recordings, and whether generated sound differs from that of float32, by a permutation test. The
distance of two sets of recordings is the root mean square, over bands of the mel scale, of the
difference of their mean levels in dB; p is the share of ways to divide all of them anew into two
sets with a distance at least as great. A small p, say below 0.05, means that they differ. Float32
with other random numbers is tested too, and differs by chance alone.
"""

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import librosa
import numpy as np
from scipy import stats
from tqdm import tqdm

import data
from data.audio import reading
from experiments.common import cli, restore
from experiments.common.sampling import Sampling
from experiments.tasks import generation
from experiments.tasks.evaluation import evaluate
from wavenet_jax import InputError, sampling
from wavenet_jax.sampling.precision import quantize_weights

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.NUM_SAMPLES, cli.SECONDS, cli.SEED)

NUM_MELS = 40
NUM_PERMUTATIONS = 999
FLOOR_DB = -100.0


def precision_cost(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    *,
    out: str | os.PathLike[str],
    num_samples: int,
    seconds: float | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Scores and generates at each precision.

    Args:
      trained: of `restore.load`.
      corpus: recordings to score, which also give the conditions of a model with a local one.
      out: folder for generated recordings, a folder for each precision.
      num_samples: recordings of each.
      seconds: length of each.
      seed: of the first set; each other set has the next.

    Returns:
      For each precision, and for float32 again, its `name`, `bits_per_sample`, the `distance_db`
      of its sound from that of float32, and `p`.

    Raises:
      InputError: fewer than two recordings are to be generated, or one cannot be scored.
    """
    if num_samples < 2:
        raise InputError(f"--num_samples is {num_samples}: give at least 2, to compare sets.")
    conditions = corpus if trained.run.wavenet.local_condition is not None else None
    kinds = [*sampling.PRECISIONS, "float32"]
    rows: list[dict[str, Any]] = []
    first = np.zeros(0)
    for i, precision in enumerate(tqdm(kinds, unit="precision", file=sys.stderr)):
        name = precision if i < len(sampling.PRECISIONS) else f"{precision}, again"
        paths = generation.sample(
            trained,
            out=pathlib.Path(out) / name.replace(", ", "_"),
            num_samples=num_samples,
            seconds=seconds,
            seed=seed + i,
            corpus=conditions,
            sampling=Sampling(precision=precision),
        )
        levels = np.stack([_levels_db(trained, path) for path in paths])
        row: dict[str, Any] = {"name": name}
        if i:
            both = np.concatenate([first, levels])
            places = np.split(np.arange(len(both)), [len(first)])
            test = stats.permutation_test(
                places,
                lambda one, other, both=both: _distance_db(both[one], both[other]),
                vectorized=False,
                n_resamples=NUM_PERMUTATIONS,
                alternative="greater",
                rng=np.random.default_rng(seed),
            )
            row |= {"distance_db": float(test.statistic), "p": float(test.pvalue)}
        else:
            first = levels
        if i < len(sampling.PRECISIONS):
            quantized = trained._replace(params=quantize_weights(trained.params, precision))
            row["bits_per_sample"] = evaluate(quantized, corpus)["bits_per_sample"]
        rows.append(row)
    return rows


def _levels_db(trained: restore.TrainedModel, path: pathlib.Path) -> np.ndarray:
    """The mean level in each band of the mel scale, `[NUM_MELS]`."""
    rate = trained.run.audio.sample_rate_hz
    samples, _ = reading.read(path, sample_rate_hz=rate, mono=True)
    powers = librosa.feature.melspectrogram(
        y=samples / np.float32(32768), sr=rate, n_fft=512, hop_length=128, n_mels=NUM_MELS
    )
    return librosa.power_to_db(powers, amin=10 ** (FLOOR_DB / 10), top_db=None).mean(axis=1)


def _distance_db(first: np.ndarray, second: np.ndarray) -> float:
    """The distance of two sets of levels, `[N, NUM_MELS]` each."""
    return float(np.sqrt(np.mean((first.mean(axis=0) - second.mean(axis=0)) ** 2)))


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures of `precision_cost` as a Markdown table."""
    lines = [
        "| weights | bits per sample | more | from float32's sound | p |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        bits = ["", ""]
        if "bits_per_sample" in row:
            more = row["bits_per_sample"] - rows[0]["bits_per_sample"]
            bits = [f"{row['bits_per_sample']:.4f}", f"{more:+.4f}"]
        sound = [f"{row['distance_db']:.2f} dB", f"{row['p']:.2f}"] if "p" in row else ["", ""]
        lines.append(f"| {' | '.join([row['name'], *bits, *sound])} |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    rows = precision_cost(
        trained,
        trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value),
        out=cli.OUT.value,
        num_samples=cli.NUM_SAMPLES.value,
        seconds=cli.SECONDS.value,
        seed=cli.SEED.value or 0,
    )
    print(as_table(rows))
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
