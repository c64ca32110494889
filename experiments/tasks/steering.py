"""Sounds steered into wav files: each in one of the ways of `experiments.steering`."""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from data.audio import reading
from experiments.common import cli, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.steering import constraints, latent, search
from experiments.tasks import generation
from wavenet_jax import InputError

WAYS = ("sampling", "likeliest", "best", "chunks", "latent")
"""As it comes; the likeliest of several; the best of several by the constraint; chunk by chunk; of
an autoencoder, by gradients on the embeddings of a recording."""


def steered(
    source: search.Source | latent.Latents,
    constraint: constraints.Constraint,
    way: str,
    *,
    seed: int,
    index: int,
    num_samples: int,
    num_candidates: int,
    chunk_samples: int,
    max_backtracks: int,
) -> search.Steered:
    """One sound, in a way of `WAYS`; the counts are those of `search`.

    Raises:
      InputError: there is no such way, or not with such a model, or a count is out of range.
    """
    if way not in WAYS:
        raise InputError(f"There is no way {way!r}: use one of {', '.join(WAYS)}.")
    utterance: dict[str, int] = {"seed": seed, "index": index, "num_samples": num_samples}
    if way == "latent":
        if not isinstance(source, latent.Latents):
            raise InputError(latent.NO_ENCODER)
        return latent.by_gradient(source, constraint, num_candidates=num_candidates, **utterance)
    if way == "chunks":
        if not isinstance(source, search.Source):
            raise InputError(
                "The model has an encoder, and --way=chunks goes back in models without a local "
                "condition: use latent, best, likeliest or sampling."
            )
        return search.chunk_by_chunk(
            source,
            constraint,
            num_candidates=num_candidates,
            chunk_samples=chunk_samples,
            max_backtracks=max_backtracks,
            **utterance,
        )
    number = 1 if way == "sampling" else num_candidates
    among = search.candidates(source, num_candidates=number, **utterance)
    bits = source.bits(among) if way == "likeliest" else None
    return search.chosen(source, constraint, among, bits=bits)


def steer(
    trained: restore.TrainedModel,
    *,
    constraint: str,
    way: str,
    out: str | os.PathLike[str],
    num_samples: int = 1,
    seconds: float | None = None,
    seed: int = 0,
    drawing: Sampling = AS_IT_IS,
    prime: str | None = None,
    prime_s: float | None = None,
    recording: str | None = None,
    labels: Sequence[str] | None = None,
    num_candidates: int = 8,
    chunk_s: float = 0.5,
    max_backtracks: int = 4,
) -> list[dict[str, Any]]:
    """Steers sounds into files, each of which appears once it is complete.

    Args:
      trained: of `restore.load`; without a local condition, or an autoencoder.
      constraint: as `constraints.named` reads it.
      way: one of `WAYS`.
      out: folder for `steered_000.wav`, ...
      num_samples: number of files.
      seconds: length of what is generated; 1 by default, or that of the recording.
      seed: of the random numbers.
      drawing: temperature, top_p, backend and precision.
      prime: file of a recording to continue, which each file begins with.
      prime_s: how much of it, its first seconds; all by default.
      recording: file of the recording that an autoencoder encodes, and generates again.
      labels: names of classes, used in turn.
      num_candidates, max_backtracks: as of `search`.
      chunk_s: length of a chunk.

    Returns:
      For each file `file`, `holds`, `score` (None for a silent sound), `bits_per_sample` of what
      was generated, `drawn_samples`, `backtracks` and `seconds` of work.

    Raises:
      InputError, data.DataError: bad input.
    """
    rate = trained.run.audio.sample_rate_hz
    original = _recording(trained, recording, prime)
    if seconds is None and original is not None:
        length = len(original)
    else:
        length = _samples("seconds", 1.0 if seconds is None else seconds, rate)
    chunk = _samples("chunk_s", chunk_s, rate)
    wanted = constraints.named(constraint, sample_rate_hz=rate, num_samples=length)
    beginning = None
    if prime is not None:
        beginning, _ = reading.read(pathlib.Path(prime), sample_rate_hz=rate, mono=True)
        if prime_s is not None:
            beginning = beginning[: _samples("prime_s", prime_s, rate)]
    elif prime_s is not None:
        raise InputError(f"--prime_s is {prime_s} without --prime: name the recording.")
    sources = [
        search.Source(trained, prime=beginning, condition=condition, drawing=drawing)
        if original is None
        else latent.Latents(trained, original, condition=condition, drawing=drawing)
        for condition in trained.run.conditions_named(labels)
    ]
    folder = cli.require_writable(out)
    found = []
    for i in tqdm.tqdm(range(num_samples), unit=" sounds"):
        source, began = sources[i % len(sources)], time.perf_counter()
        made = steered(
            source,
            wanted,
            way,
            seed=seed,
            index=i,
            num_samples=length,
            num_candidates=num_candidates,
            chunk_samples=chunk,
            max_backtracks=max_backtracks,
        )
        took_s = time.perf_counter() - began
        path = folder / f"steered_{i:03}.wav"
        sound = made.sound if beginning is None else np.concatenate([beginning, made.sound])
        with generation.wav_file(path, rate) as file:
            file.write(sound)
        found.append(
            {
                "file": path.name,
                "holds": made.holds,
                "score": made.score if np.isfinite(made.score) else None,
                "bits_per_sample": float(source.bits(made.codes[None])[0]),
                "drawn_samples": made.drawn_samples,
                "backtracks": made.backtracks,
                "seconds": took_s,
            }
        )
    return found


def _recording(
    trained: restore.TrainedModel, recording: str | None, prime: str | None
) -> np.ndarray | None:
    """What an autoencoder is to encode, int16 `[N]`; None for other models.

    Raises:
      InputError, data.DataError: it is missing or cannot be read, or a file is given that such a
        model has no use for.
    """
    if trained.run.autoencoder is None:
        if recording is not None:
            raise InputError(
                f"--recording is {recording}, but the model has no encoder: leave it out, or "
                "continue it with --prime."
            )
        return None
    if prime is not None:
        raise InputError(
            f"--prime is {prime}, but the model has an encoder: name the recording to generate "
            "again with --recording."
        )
    if recording is None:
        raise InputError("--recording is missing, and the model has an encoder: name one.")
    samples, _ = reading.read(
        pathlib.Path(recording), sample_rate_hz=trained.run.audio.sample_rate_hz, mono=True
    )
    return samples


def _samples(flag: str, seconds: float, rate_hz: int) -> int:
    if not round(seconds * rate_hz) >= 1:
        raise InputError(f"--{flag} is {seconds}: give at least a sample's length.")
    return round(seconds * rate_hz)


def table(found: Sequence[dict[str, Any]]) -> str:
    """The figures of `steer` as lines to read."""
    lines = [
        f"{each['file']}: {'holds' if each['holds'] else 'fails'}, "
        + ("silent, " if each["score"] is None else f"score {each['score']:.2f}, ")
        + f"{each['bits_per_sample']:.3f} bits per sample, {each['drawn_samples']} samples drawn, "
        f"{each['backtracks']} backtracks, {each['seconds']:.1f} s"
        for each in found
    ]
    held = sum(each["holds"] for each in found)
    return "\n".join([*lines, f"The constraint holds for {held} of {len(found)}."])
