"""Generation of recordings from a trained model into wav files."""

import contextlib
import itertools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

import data
from data.audio import reading
from experiments.common import cli, restore
from experiments.common.run import Run
from wavenet_jax import InputError, sampling

NOTHING = np.zeros(0, np.int16)


def sample(
    trained: restore.TrainedModel,
    *,
    out: str | os.PathLike[str],
    num_samples: int = 1,
    seconds: float | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    prime: str | None = None,
    labels: Sequence[str] | None = None,
    corpus: data.Corpus | None = None,
    mel_from: str | None = None,
    backend: sampling.Backend = "auto",
    precision: sampling.Precision = "float32",
) -> list[pathlib.Path]:
    """Writes recordings, each file appearing once it is complete.

    Args:
      trained: of `restore.load`.
      out: folder for `sample_000.wav`, ...
      num_samples: how many.
      seconds: length of what is generated; 1.0 by default, or with `corpus` that
        of the recordings.
      seed: with the number of a sample, all that its waveform depends on.
      temperature: of the distribution.
      prime: a recording to continue.
      labels: names of classes, in turn.
      corpus: whose recordings give the conditions instead.
      mel_from: a recording that gives the mel spectrogram, and the length.
      backend, precision: as for `sampling.generate`.

    Returns:
      The files.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    run = trained.run
    rate = run.sample_rate_hz
    if num_samples < 1:
        raise InputError(f"--num_samples is {num_samples}: give at least 1.")
    if seconds is not None and not seconds * rate >= 1:
        raise InputError(f"--seconds is {seconds}: give a length above 0.")
    if corpus is not None and (prime or labels or mel_from):
        raise InputError(
            "--split gives all conditions: use it without --prime, --label and --mel_from."
        )
    if prime and mel_from:
        raise InputError("--mel_from begins where the sound does: use it without --prime.")
    conditions, lengths = _conditions(run, num_samples, labels, corpus, mel_from)
    if seconds is not None:
        wanted = np.full(num_samples, round(seconds * rate))
        lengths = wanted if lengths is None else np.minimum(lengths, wanted)
    elif lengths is None:
        lengths = np.full(num_samples, rate)
    spoken, codes = NOTHING, None
    if prime:
        spoken, _ = reading.read(pathlib.Path(prime), sample_rate_hz=rate, mono=True)
        codes = np.repeat(run.encode(spoken)[None], num_samples, axis=0)
    folder = cli.require_writable(out)
    paths = [folder / f"sample_{i:03}.wav" for i in range(num_samples)]
    write_generated(
        trained,
        paths,
        lengths,
        conditions,
        seed=seed,
        temperature=temperature,
        spoken=spoken,
        prime=codes,
        backend=backend,
        precision=precision,
    )
    return paths


def write_generated(
    trained: restore.TrainedModel,
    paths: Sequence[pathlib.Path],
    lengths: np.ndarray,
    conditions: Mapping[str, Any],
    *,
    seed: int,
    temperature: float,
    spoken: np.ndarray = NOTHING,
    prime: np.ndarray | None = None,
    backend: sampling.Backend = "auto",
    precision: sampling.Precision = "float32",
) -> None:
    """Generates a batch into wav files, each of which appears once it is complete.

    Args:
      trained: of `restore.load`.
      paths: of the B files; file i is the seed's utterance i.
      lengths: samples to generate for each, `[B]`.
      conditions: as `sampling.generate` takes them.
      seed, temperature: as in `sample`.
      spoken: int16 samples that each file begins with.
      prime: the same as codes `[B, N]`, which is continued.
      backend, precision: as for `sampling.generate`.
    """
    rate = trained.run.sample_rate_hz
    chunks = sampling.generate(
        trained.run.model,
        trained.params,
        keys=sampling.utterance_keys(seed, range(len(paths))),
        num_samples=int(lengths.max()),
        prime=prime,
        temperature=temperature,
        backend=backend,
        precision=precision,
        **conditions,
    )
    last = int(spoken[-1]) if len(spoken) else 0
    decoders = [trained.run.decoder(last) for _ in paths]
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=int(lengths.sum()), unit="sample", unit_scale=True, file=sys.stderr)
        )
        files = [stack.enter_context(_whole_or_nothing(path, rate)) for path in paths]
        for file in files:
            file.write(spoken)
        done = 0
        for chunk in chunks:
            for file, decode, row, length in zip(files, decoders, chunk, lengths, strict=True):
                part = row[: max(0, length - done)]
                file.write(decode(part))
                bar.update(len(part))
            done += chunk.shape[1]


@contextlib.contextmanager
def _whole_or_nothing(path: pathlib.Path, sample_rate_hz: int):
    """A wav file to write to, which gets its name when all went well."""
    part = path.with_name(path.name + ".part")
    try:
        with soundfile.SoundFile(
            part, "w", sample_rate_hz, channels=1, subtype="PCM_16", format="WAV"
        ) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _conditions(
    run: Run,
    number: int,
    labels: Sequence[str] | None,
    corpus: data.Corpus | None,
    mel_from: str | None,
) -> tuple[dict[str, Any], np.ndarray | None]:
    """What `generate` takes, and the recordings' lengths where they come from a corpus."""
    given = run.global_labels
    conditions: dict[str, Any] = {}
    lengths: np.ndarray | None = None
    if corpus is None:
        if mel_from:
            if run.mel is None:
                raise InputError(
                    f"--mel_from is {mel_from}, but the model takes no mel spectrogram: "
                    "leave it out."
                )
            rate = run.sample_rate_hz
            sound, _ = reading.read(pathlib.Path(mel_from), sample_rate_hz=rate, mono=True)
            frames = data.mel_spectrogram(sound, run.mel)
            conditions["local_condition"] = np.repeat(frames[None], number, axis=0)
            lengths = np.full(number, len(sound))
        elif run.model.local_condition is not None:
            give = "a recording with --mel_from=FILE, or" if run.mel else "some that have them,"
            raise InputError(
                f"The model speaks {run.config['local_condition']['features']} of "
                f"recordings: give {give} a corpus with --data_dir=DIR --split=SPLIT."
            )
        if labels and not given:
            raise InputError(f"--label is {','.join(labels)}, but the model has no labels.")
        if not given:
            return conditions, lengths
        if labels:
            chosen = [run.named_condition(name) for name in labels]
        else:
            combinations = itertools.product(*(run.classes[label] for label in given))
            chosen = [run.global_condition(names) for names in combinations]
        in_turn = [chosen[i % len(chosen)] for i in range(number)]
        conditions["global_condition"] = np.stack(in_turn)
        return conditions, lengths
    if number > len(corpus):
        raise InputError(
            f"--num_samples is {number}, but the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)} recordings: ask for no more."
        )
    recordings = [r for _, r in zip(range(number), run.recordings(corpus), strict=False)]
    if given:
        conditions["global_condition"] = np.stack([r["global"] for r in recordings])
    if run.model.local_condition is not None:
        longest = max(len(r["local"]) for r in recordings)
        conditions["local_condition"] = np.stack(
            [np.pad(r["local"], ((0, longest - len(r["local"])), (0, 0))) for r in recordings]
        )
    return conditions, np.array([len(r["samples"]) for r in recordings])
