"""What each way of steering is worth: how often constraints hold, and the cost in time and bits.

    python -m experiments.studies.steering --workdir=experiments/pretrained/violin \\
        --data_dir=corpora --split=validation --num_samples=24 --seconds=1.5 --prime_s=2 \\
        --out=runs/steering --json=runs/steering/figures.json

    python -m experiments.studies.steering --workdir=runs/notes --data_dir=corpora \\
        --split=validation --num_samples=24 --out=runs/steering --json=runs/steering/figures.json

Continues parts of the split's recordings, at equal distances, in the ways of `WAYS` for each
constraint of `CONSTRAINTS`; a model with an encoder generates such parts again, in the ways of
`ENCODER_WAYS` for `ENCODER_CONSTRAINTS`. The candidates of an utterance are the same for every way
that selects among whole sounds, and their first is that of ordinary sampling. Seconds are the
CPU's, of one sound at a time; shares have Wilson's interval. Bits are those given the recording's
own embeddings; in the figures there are also those given the embeddings that drew the sound.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
import tqdm

import data
from experiments.common import cli, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.steering import constraints, latent, search
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.NUM_SAMPLES, cli.SECONDS, cli.SEED, *cli.STEERING)
cli.takes(cli.TEMPERATURE, cli.TOP_P, cli.BACKEND, cli.PRECISION)

CONSTRAINTS = ("key:C_major", "onsets:5-7", "loudness:0,12+-3")
UNSTEERED = "sampling"
WAYS = (UNSTEERED, "likeliest", "best", "chunks")

ENCODER_CONSTRAINTS = ("key:C_major", "loudness:0,12+-3", "loudness:0,12,0+-3")
"""Those of whose expectation there is a gradient."""

ENCODER_WAYS = (UNSTEERED, "likeliest", "best", "latent")
CONFIDENCE = 0.95


@dataclasses.dataclass
class Cell:
    """Sounds of one constraint and way.

    Attributes:
      holds: whether the constraint does, of each sound.
      bits: per sample, of each, given the recording's own embeddings where there are some.
      drawn_bits: likewise, given the embeddings with which it was drawn.
      seconds: of the CPU, of each.
      drawn_samples: of each.
    """

    holds: list[bool] = dataclasses.field(default_factory=list)
    bits: list[float] = dataclasses.field(default_factory=list)
    drawn_bits: list[float] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)
    drawn_samples: list[int] = dataclasses.field(default_factory=list)

    def add(
        self, made: search.Steered, bits: float, seconds: float, drawn_bits: float | None = None
    ) -> None:
        """Adds a sound; `drawn_bits` are the bits where they are not given."""
        self.holds.append(made.holds)
        self.bits.append(bits)
        self.drawn_bits.append(bits if drawn_bits is None else drawn_bits)
        self.seconds.append(seconds)
        self.drawn_samples.append(made.drawn_samples)

    @property
    def share(self) -> float:
        """Of the sounds for which the constraint holds."""
        return float(np.mean(self.holds))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of the share."""
        from scipy import stats  # slow to import

        found = stats.binomtest(sum(self.holds), len(self.holds)).proportion_ci(
            CONFIDENCE, method="wilson"
        )
        return float(found.low), float(found.high)


Cells = dict[tuple[str, str], Cell]
"""By constraint and way."""


def primes(
    corpus: data.Corpus, number: int, length: int, flag: str = "prime_s"
) -> list[tuple[int, np.ndarray]]:
    """Parts of a split's recordings, at equal distances over all of them: the recording, and int16
    `[length]`. Silent parts are left out. The flag is that of the length.

    Raises:
      InputError: there are no recordings so long.
    """
    parts = [
        (i, corpus.recorded(i, start, start + length))
        for i, samples in enumerate(corpus.lengths)
        for start in range(0, int(samples) - length + 1, length)
    ]
    parts = [(i, part) for i, part in parts if not constraints.is_silent(part)]
    if len(parts) < number:
        raise InputError(
            f"The split {corpus.split} of {corpus.name} has {len(parts)} parts of {length} "
            "samples with sound: ask for no more with --num_samples, or for shorter ones with "
            f"--{flag}."
        )
    return [parts[k] for k in np.linspace(0, len(parts) - 1, number).round().astype(int)]


def study(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    *,
    num_samples: int,
    seconds: float,
    prime_s: float | None = None,
    num_candidates: int,
    chunk_s: float,
    max_backtracks: int,
    seed: int = 0,
    drawing: Sampling = AS_IT_IS,
    out: str | os.PathLike[str] | None = None,
) -> Cells:
    """Steers continuations of a split's recordings in every way, or, of a model with an encoder,
    what it generates of the recordings.

    Args:
      trained: of `restore.load`.
      corpus: whose recordings are continued, or encoded.
      num_samples: sounds of each constraint and way, at least 1.
      seconds: length of what is generated.
      prime_s: of what it continues, 1 by default; None for a model with an encoder.
      num_candidates, max_backtracks: as of `search`.
      chunk_s: length of a chunk.
      seed: of the random numbers.
      drawing: temperature, top_p, backend and precision.
      out: folder for the sounds, without their primes; None to keep none.

    Raises:
      InputError, data.DataError: bad input.
    """
    rate, is_encoded = corpus.sample_rate_hz, trained.run.autoencoder is not None
    if is_encoded and prime_s is not None:
        raise InputError(
            f"--prime_s is {prime_s}, but the model has an encoder, and parts of --seconds are "
            "generated again: leave it out."
        )
    prime_s = 1.0 if prime_s is None else prime_s
    length, chunk, prime = (round(each * rate) for each in (seconds, chunk_s, prime_s))
    if min(length, chunk, prime) < 1:
        raise InputError(
            f"--seconds, --chunk_s and --prime_s are {seconds}, {chunk_s} and {prime_s}: give at "
            "least a sample's length."
        )
    wanted = {
        name: constraints.named(name, sample_rate_hz=rate, num_samples=length)
        for name in (ENCODER_CONSTRAINTS if is_encoded else CONSTRAINTS)
    }
    ways = ENCODER_WAYS if is_encoded else WAYS
    cells: Cells = {(name, way): Cell() for name in wanted for way in ways}
    if is_encoded:
        parts = primes(corpus, num_samples, length, "seconds")
    else:
        parts = primes(corpus, num_samples, prime)
    folder = None if out is None else cli.require_writable(out)
    options: dict[str, int] = {
        "seed": seed,
        "num_samples": length,
        "num_candidates": num_candidates,
        "chunk_samples": chunk,
        "max_backtracks": max_backtracks,
    }
    # Compiled before others are timed.
    first = _source(trained, corpus, parts[0], drawing)
    _of_prime(first, wanted, index=0, **options)
    if isinstance(first, latent.Latents):
        first.compile(wanted.values(), length)
    for i, part in enumerate(tqdm.tqdm(parts, unit=" primes")):
        source = _source(trained, corpus, part, drawing)
        for key, (found, bits, took_s) in _of_prime(source, wanted, index=i, **options).items():
            drawn_bits = None
            if isinstance(source, latent.Latents) and found.embeddings is not None:
                (drawn_bits,) = source.at(found.embeddings).bits(found.codes[None])
            cells[key].add(found, bits, took_s, drawn_bits)
            if folder is not None:
                name = "_".join(key).replace(":", "_").replace(",", "_")
                soundfile.write(folder / f"{name}_{i:03}.wav", found.sound, rate, subtype="PCM_16")
    return cells


def _source(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    part: tuple[int, np.ndarray],
    drawing: Sampling,
) -> search.Source | latent.Latents:
    """What continues a part of a recording, or generates it again, with that recording's labels."""
    recording, prime = part
    condition = trained.run.global_condition_of(corpus, recording)
    if trained.run.autoencoder is not None:
        return latent.Latents(trained, prime, condition=condition, drawing=drawing)
    return search.Source(trained, prime=prime, condition=condition, drawing=drawing)


def _of_prime(
    source: search.Source | latent.Latents,
    wanted: Mapping[str, constraints.Constraint],
    *,
    chunk_samples: int,
    max_backtracks: int,
    **options: int,
) -> dict[tuple[str, str], tuple[search.Steered, float, float]]:
    """A sound of each constraint and way, its bits per sample, and the seconds that it took.
    Candidates are drawn and scored once for all, and their seconds counted for each."""
    single, single_s = _timed(search.candidates, source, **options | {"num_candidates": 1})
    several, several_s = _timed(search.candidates, source, **options)
    bits, bits_s = _timed(source.bits, several)
    made, searched = {}, []
    for name, constraint in wanted.items():
        best, best_s = _timed(search.chosen, source, constraint, several)
        made[name, UNSTEERED] = search.chosen(source, constraint, single), single_s
        made[name, "likeliest"] = (
            search.chosen(source, constraint, several, bits=bits),
            several_s + bits_s,
        )
        made[name, "best"] = best, several_s + best_s
        if isinstance(source, latent.Latents):
            way, found = "latent", _timed(latent.by_gradient, source, constraint, **options)
        else:
            way = "chunks"
            found = _timed(
                search.chunk_by_chunk,
                source,
                constraint,
                chunk_samples=chunk_samples,
                max_backtracks=max_backtracks,
                **options,
            )
        made[name, way] = found
        searched.append(found[0].codes)
    # The single one is the first of several but for rounding, which may decide a draw.
    others = np.concatenate([single, searched])
    known = np.concatenate([several, others]), np.concatenate([bits, source.bits(others)])
    return {
        key: (found, float(known[1][np.all(known[0] == found.codes, axis=1)][0]), took_s)
        for key, (found, took_s) in made.items()
    }


def _timed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, float]:
    """A result, and the seconds of this process that it took, which others do not count in."""
    began = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - began


def figures(cells: Cells) -> list[dict[str, Any]]:
    """The figures of each cell; `times` are seconds over those of ordinary sampling."""
    rows = []
    for (name, way), cell in cells.items():
        plain = cells[name, UNSTEERED]
        low, high = cell.interval
        rows.append(
            {
                "constraint": name,
                "way": way,
                "num_samples": len(cell.holds),
                "share": cell.share,
                "low": low,
                "high": high,
                "bits_per_sample": float(np.mean(cell.bits)),
                "drawn_bits_per_sample": float(np.mean(cell.drawn_bits)),
                "seconds": float(np.mean(cell.seconds)),
                "times": float(np.mean(cell.seconds) / np.mean(plain.seconds)),
                "drawn_times": float(np.mean(cell.drawn_samples) / np.mean(plain.drawn_samples)),
            }
        )
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures as a table of Markdown."""
    lines = ["| constraint | way | holds | 95% interval | bits per sample | time | drawn |"]
    lines += ["|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row['constraint']} | {row['way']} | {row['share']:.0%} of {row['num_samples']} | "
        f"{row['low']:.0%} to {row['high']:.0%} | {row['bits_per_sample']:.2f} | "
        f"{row['times']:.1f} | {row['drawn_times']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    rows = figures(
        study(
            trained,
            trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value),
            num_samples=cli.NUM_SAMPLES.value,
            seconds=cli.SECONDS.value or 1.0,
            prime_s=cli.PRIME_S.value,
            num_candidates=cli.NUM_CANDIDATES.value,
            chunk_s=cli.CHUNK_S.value,
            max_backtracks=cli.MAX_BACKTRACKS.value,
            seed=cli.SEED.value or 0,
            drawing=cli.sampling_config(),
            out=cli.OUT.value,
        )
    )
    print(table(rows))
    cli.write_json(rows)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT))
