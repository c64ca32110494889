"""Generation of recordings from a trained model into wav files."""

import contextlib
import itertools
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

import data
from data.audio import reading
from experiments.common import cli, processes, prosody, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.common.spectral_matching import Spectrum
from wavenet_jax import InputError


def sample(
    trained: restore.TrainedModel,
    *,
    out: str | os.PathLike[str],
    num_samples: int = 1,
    seconds: float | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
    spoken: prosody.Prosody | None = None,
    prime: str | None = None,
    labels: Sequence[str] | None = None,
    corpus: data.Corpus | None = None,
    mel: str | None = None,
    mel_from: str | None = None,
    mel_convention: str = data.mel_conventions.OWN,
) -> list[pathlib.Path]:
    """Generates recordings into files, each of which appears once it is complete.

    Args:
      trained: of `restore.load`.
      out: folder for `sample_000.wav`, ...
      num_samples: number of recordings.
      seconds: length of what is generated; 1.0 by default, or with `corpus` that
        of the recordings.
      seed: of the random numbers; the waveform of a file depends on it and the file's number.
      sampling: how they are drawn.
      spoken: of a model of text the networks that predict the spectra of `corpus`, for
        `spectral_matching`.
      prime: file of a recording to continue, which each file begins with.
      labels: names of classes, used in turn.
      corpus: whose recordings give the conditions instead.
      mel: npy file with the mel spectrogram, which gives the length too.
      mel_from: file of a recording that gives the mel spectrogram, and the length.
      mel_convention: of the mel spectrogram in `mel`, or that is made of a recording
        (`data.mel_conventions`).

    Returns:
      The files.

    Raises:
      InputError, data.DataError: bad input.
    """
    run = trained.run
    rate = run.audio.sample_rate_hz
    if num_samples < 1:
        raise InputError(f"--num_samples is {num_samples}: give at least 1.")
    if seconds is not None and not seconds * rate >= 1:
        raise InputError(f"--seconds is {seconds}: give a length above 0.")
    if corpus is not None and (prime or labels or mel or mel_from):
        raise InputError(
            "--split gives all conditions: use it without --prime, --label, --mel and --mel_from."
        )
    if mel and mel_from:
        raise InputError("--mel and --mel_from give one mel spectrogram each: use one of them.")
    if prime and (mel or mel_from):
        raise InputError(
            f"--{'mel' if mel else 'mel_from'} begins where the sound does: use it without --prime."
        )
    if run.mel is None and (mel or mel_from or mel_convention != data.mel_conventions.OWN):
        flag = "mel" if mel else "mel_from" if mel_from else "mel_convention"
        raise InputError(
            f"--{flag} is {mel or mel_from or mel_convention}, but the model takes no mel "
            "spectrogram: leave it out."
        )
    conditions, lengths = _conditions(
        trained, num_samples, labels, corpus, mel, mel_from, mel_convention
    )
    lead = data.mel_conventions.lead_samples(run.mel, mel_convention) if run.mel else 0
    spectra = None
    if spoken is not None and corpus is not None:
        spectra = _spectra(spoken, conditions, lengths)
    if seconds is not None:
        wanted = np.full(num_samples, round(seconds * rate))
        lengths = wanted if lengths is None else np.minimum(lengths, wanted)
    elif lengths is None:
        lengths = np.full(num_samples, rate)
    beginning = None
    if prime:
        beginning, _ = reading.read(pathlib.Path(prime), sample_rate_hz=rate, mono=True)
    folder = cli.require_writable(out)
    paths = [folder / f"sample_{i:03}.wav" for i in range(num_samples)]
    write_generated(
        trained,
        paths,
        lengths,
        conditions,
        seed=seed,
        sampling=sampling,
        prime=beginning,
        lead_samples=lead,
        spectra=spectra,
    )
    return paths


def _spectra(
    spoken: prosody.Prosody, conditions: Mapping[str, Any], lengths: np.ndarray | None
) -> list[Spectrum] | None:
    """The predicted spectra of recordings whose conditions were padded."""
    assert lengths is not None
    run, padded = spoken.run, conditions["local_condition"]
    frames = [
        each[: -(-int(length) // run.hop_samples)]
        for each, length in zip(padded, lengths, strict=True)
    ]
    given = conditions.get("global_condition", [None] * len(frames))
    return spoken.spectra_of(frames, [prosody.voice_of(run, each) for each in given])


def write_generated(
    trained: restore.TrainedModel,
    paths: Sequence[pathlib.Path],
    lengths: np.ndarray,
    conditions: Mapping[str, Any],
    *,
    seed: int,
    sampling: Sampling,
    prime: np.ndarray | None = None,
    lead_samples: int = 0,
    spectra: Sequence[Spectrum] | None = None,
) -> None:
    """Generates a batch into wav files, each of which appears once it is complete.

    Each process writes its share of the files: a file is the one that a single process writes.

    Args:
      trained: of `restore.load`.
      paths: of the B files; file i is utterance i of the seed.
      lengths: samples to write of each, `[B]`.
      conditions: `global_condition` and `local_condition`, as `wavenet_jax.generate` takes them.
      seed, sampling: as in `sample`.
      prime: int16 samples `[P]` that each file begins with and continues.
      lead_samples: generated before those that are written.
      spectra: of the files, for spectral matching; those of a vocoder are its conditions.

    Raises:
      InputError: the model cannot be sampled so.
    """
    # Bad arguments and a missing filter are refused here, before any file is opened.
    rate = trained.run.audio.sample_rate_hz
    sampling.filtered(np.zeros(1, np.int16), rate)
    if spectra is None and trained.run.mel is not None:
        spectra = [Spectrum(each, trained.run.mel) for each in conditions["local_condition"]]
    require_spectra(sampling, spectra)
    indices = list(processes.share(range(len(paths))))
    if not indices:
        return
    paths, lengths = [paths[i] for i in indices], lengths[indices]
    spectra = [spectra[i] for i in indices] if spectra is not None else None
    conditions = {name: condition[indices] for name, condition in conditions.items()}
    chunks = trained.generator.generate_batch(
        lengths + lead_samples,
        seed=seed,
        indices=indices,
        prime=prime,
        temperature=sampling.temperatures(trained.run, conditions.get("local_condition")),
        top_p=sampling.top_p,
        backend=sampling.backend,
        precision=sampling.precision,
        **conditions,
    )
    write_chunks(
        chunks,
        paths,
        lengths,
        rate,
        sampling=sampling,
        prime=prime,
        lead_samples=lead_samples,
        spectra=spectra,
    )


def require_spectra(sampling: Sampling, spectra: Sequence[Spectrum] | None) -> None:
    """Refuses spectral matching without spectra.

    Raises:
      InputError: there are none.
    """
    if sampling.spectral_matching and spectra is None:
        raise InputError(
            f"--spectral_matching is {sampling.spectral_matching}, and there is no spectrum that "
            "the sound is to have: leave it out, use a vocoder, or speak with a model whose "
            "network of spectra experiments.train_prosody has trained."
        )


def write_chunks(
    chunks: Iterable[Sequence[np.ndarray]],
    paths: Sequence[pathlib.Path],
    lengths: np.ndarray,
    sample_rate_hz: int,
    *,
    sampling: Sampling,
    prime: np.ndarray | None = None,
    lead_samples: int = 0,
    spectra: Sequence[Spectrum] | None = None,
) -> None:
    """Writes a batch that is being generated into wav files, as `write_generated`.

    Args:
      chunks: the next samples of each file, int16 `[N]`.
      paths, lengths, sampling, prime, lead_samples, spectra: as in `write_generated`.
      sample_rate_hz: of the files.
    """
    lead = lead_samples
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=int(lengths.sum()), unit="sample", unit_scale=True, file=sys.stderr)
        )
        files = [stack.enter_context(wav_file(path, sample_rate_hz)) for path in paths]
        for file in files:
            file.write(np.zeros(0, np.int16) if prime is None else prime)
        for parts in chunks:
            skipped = min(lead_samples, max(map(len, parts)))
            lead_samples -= skipped
            for file, pcm in zip(files, parts, strict=True):
                file.write(pcm[skipped:])
                bar.update(len(pcm[skipped:]))
        for i, file in enumerate(files) if sampling.has_filter else ():
            begin = 0 if prime is None else len(prime)
            _filter(file, begin, sampling, spectra[i] if spectra else None, lead)


def batched(
    frames: Sequence[np.ndarray], conditions: Sequence[np.ndarray | None]
) -> dict[str, Any]:
    """The conditions of a batch for `write_generated`, those of shorter recordings padded.

    Args:
      frames: local features of each, `[F, C]`.
      conditions: global condition of each; None where the model takes none.
    """
    longest = max(map(len, frames))
    batch = {
        "local_condition": np.stack(
            [np.pad(each, ((0, longest - len(each)), (0, 0))) for each in frames]
        )
    }
    return batch | _stacked(conditions)


def _stacked(conditions: Sequence[np.ndarray | None]) -> dict[str, Any]:
    """The global conditions of a batch, of a model that takes some."""
    given = [condition for condition in conditions if condition is not None]
    return {"global_condition": np.stack(given)} if given else {}


def _filter(
    file: soundfile.SoundFile,
    begin: int,
    sampling: Sampling,
    spectrum: Spectrum | None,
    lead_samples: int,
) -> None:
    """Replaces what is in an open file from sample `begin` on; the spectrum is of so many samples
    before the first of the file as well."""
    file.seek(begin)
    generated = np.pad(file.read(dtype="int16"), (lead_samples, 0))
    file.seek(begin)
    file.write(sampling.filtered(generated, file.samplerate, spectrum)[lead_samples:])


@contextlib.contextmanager
def wav_file(path: pathlib.Path, sample_rate_hz: int) -> Iterator[soundfile.SoundFile]:
    """A wav file to write to, which gets its name when it is complete."""
    part = path.with_name(path.name + ".part")
    try:
        with soundfile.SoundFile(
            part, "w+", sample_rate_hz, channels=1, subtype="PCM_16", format="WAV"
        ) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _conditions(
    trained: restore.TrainedModel,
    number: int,
    labels: Sequence[str] | None,
    corpus: data.Corpus | None,
    mel: str | None,
    mel_from: str | None,
    mel_convention: str,
) -> tuple[dict[str, Any], np.ndarray | None]:
    """The conditions of a batch, and its lengths if a corpus or a recording gives them."""
    run = trained.run
    given = run.audio.global_labels
    conditions: dict[str, Any] = {}
    lengths: np.ndarray | None = None
    if corpus is None:
        if run.mel is not None and (mel or mel_from):
            frames, length = _mel(run.mel, mel, mel_from, mel_convention)
            conditions["local_condition"] = np.repeat(frames[None], number, axis=0)
            lengths = np.full(number, length)
        elif run.wavenet.local_condition is not None:
            give = "some that have them,"
            if run.autoencoder:
                give = "one to experiments.transform, or"
            if run.mel:
                give = "them with --mel=FILE, or a recording with --mel_from=FILE, or"
            raise InputError(
                f"The model is conditioned on {run.config.local_condition.features} of "
                f"recordings: give {give} a corpus with --data_dir=DIR --split=SPLIT."
            )
        if labels or not given:
            chosen = run.conditions_named(labels)
        else:
            combinations = itertools.product(*(run.audio.classes[label] for label in given))
            chosen = [run.audio.global_condition(names) for names in combinations]
        return conditions | _stacked([chosen[i % len(chosen)] for i in range(number)]), lengths
    if number > len(corpus):
        raise InputError(
            f"--num_samples is {number}, but the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)} recordings: ask for no more."
        )
    recordings = [r for _, r in zip(range(number), trained.recordings(corpus), strict=False)]
    lengths = np.array([len(r["samples"]) for r in recordings])
    conditions |= _stacked([r.get("global") for r in recordings])
    if run.wavenet.local_condition is not None:
        local = [r["local"] for r in recordings]
        if run.mel is not None and mel_convention != data.mel_conventions.OWN:
            of_sounds = [
                _mel_of(corpus.recording(i)["audio"], run.mel, mel_convention)
                for i in range(number)
            ]
            local, lengths = [x[0] for x in of_sounds], np.array([x[1] for x in of_sounds])
        conditions |= batched(local, [])
    return conditions, lengths


def _mel(
    config: data.MelConfig, mel: str | None, mel_from: str | None, convention: str
) -> tuple[np.ndarray, int]:
    """Frames `[F, M]` of one of two files, and the samples that they describe."""
    if mel:
        frames = data.mel_conventions.read(mel, config, convention)
        return frames, data.mel_conventions.num_samples(len(frames), config, convention)
    assert mel_from is not None
    path, rate = pathlib.Path(mel_from), config.sample_rate_hz
    sound, _ = reading.read(path, sample_rate_hz=rate, mono=True)
    return _mel_of(sound, config, convention)


def _mel_of(sound: np.ndarray, config: data.MelConfig, convention: str) -> tuple[np.ndarray, int]:
    """Frames `[F, M]` of a recording, int16 `[N]`, and the samples that they describe."""
    frames = data.mel_conventions.converted_spectrogram(sound, config, convention)
    described = data.mel_conventions.num_samples(len(frames), config, convention)
    return frames, min(len(sound), described)
