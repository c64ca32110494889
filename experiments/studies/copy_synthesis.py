"""Copy synthesis: held-out recordings from their mel spectrograms, compared with Griffin-Lim.

    python -m experiments.studies.copy_synthesis --workdir=runs/vocoder --data_dir=corpora \\
        --split=validation --out=runs/vocoder/copies

For a checkpoint that the mel spectrogram conditions (`configs/vocoder.py`). Writes of each
recording NAME_original.wav, NAME_wavenet.wav, NAME_griffin_lim.wav and NAME_spectrograms.png, and
measures both methods and the originals with the figures of docs/figures.md. With
`--mel_convention=tacotron2`, or another of docs/vocoder.md, the mel spectrogram is made by that
convention's formula and converted. Above
the spectrogram's `fmax_hz` Griffin-Lim has no information and is silent, which the log-spectral
distance counts as it counts any other band.
"""

import dataclasses
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

import data
from experiments.common import cli, plots, restore
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.metrics import spectral, speech_figures
from experiments.tasks import generation
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.NUM_RECORDINGS, cli.SECONDS, cli.SEED, cli.MEL_CONVENTION, *cli.SAMPLING)

METHODS = ("wavenet", "griffin_lim")
DISTANCES = {
    "log_spectral_distance_db": spectral.log_spectral_distance_db,
    "mel_cepstral_distortion_db": spectral.mel_cepstral_distortion_db,
}


def copy_synthesis(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    *,
    out: str | os.PathLike[str],
    num_recordings: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
    mel_convention: str = data.mel_conventions.OWN,
) -> dict[str, Any]:
    """Writes copies of recordings and measures their distances from them.

    Args:
      trained: of `restore.load`, conditioned on the mel spectrogram.
      corpus: with the recordings.
      out: folder for the files.
      num_recordings: how many recordings, from the first; all by default.
      seconds: maximum length of each, from its beginning; all of it by default.
      seed: determines each waveform, with the index of its recording.
      sampling: how they are drawn.
      mel_convention: by which the mel spectrogram is made (`data.mel_conventions`).

    Returns:
      For `original`, `wavenet` and `griffin_lim` the figures of
      `speech_figures.SpeechFigures`; `recordings`, of each recording by its name the
      `log_spectral_distance_db` and `mel_cepstral_distortion_db` of both methods;
      `num_recordings`, `seconds` (the total), `sampling`, `mel_convention`, `seed`, `step`,
      `split`, `wall_s`.

    Raises:
      InputError, data.DataError: invalid input.
    """
    run, begun_s = trained.run, time.monotonic()
    mel = run.mel
    if mel is None:
        raise InputError(
            "The model takes no mel spectrogram: train one that does, with "
            "--config=experiments/configs/vocoder.py."
        )
    number = len(corpus) if num_recordings is None else num_recordings
    if not 1 <= number <= len(corpus):
        raise InputError(
            f"--num_recordings is {number}, and the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)}: give at least 1, and no more."
        )
    rate, folder = run.audio.sample_rate_hz, cli.require_writable(out)
    distances: dict[str, dict[str, dict[str, float]]] = {}
    sets: dict[str, list[np.ndarray]] = {kind: [] for kind in ("original", *METHODS)}
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        generated = generation.sample(
            trained,
            out=unfinished,
            num_samples=number,
            seconds=seconds,
            seed=seed,
            sampling=sampling,
            corpus=corpus,
            mel_convention=mel_convention,
        )
        copies = zip(generated, corpus.names, strict=False)
        bar = tqdm(copies, total=number, desc="comparing", unit=" recordings", file=sys.stderr)
        for i, (path, name) in enumerate(bar):
            wavenet, _ = soundfile.read(path, dtype="int16")
            original = corpus.recording(i)["audio"]
            sounds = {
                "original": original[: len(wavenet)],
                "wavenet": wavenet,
                "griffin_lim": _griffin_lim(original, mel, mel_convention, len(wavenet)),
            }
            distances[name] = {
                method: {
                    title: distance(sounds["original"], sounds[method], rate)
                    for title, distance in DISTANCES.items()
                }
                for method in METHODS
            }
            _write(folder, name, sounds, rate)
            for kind, sound in sounds.items():
                sets[kind].append(sound)
    figures = {
        kind: speech_figures.figures(
            sets[kind],
            rate,
            references=sets["original"] if kind in METHODS else None,
            title=f"measuring {kind.replace('_', '-')}",
        )
        for kind in sets
    }
    return {kind: speech_figures.to_dict(of) for kind, of in figures.items()} | {
        "recordings": distances,
        "num_recordings": number,
        "seconds": figures["original"].seconds,
        "sampling": dataclasses.asdict(sampling),
        "mel_convention": mel_convention,
        "seed": seed,
        "step": trained.step,
        "split": corpus.split,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


def _griffin_lim(
    original: np.ndarray, mel: data.MelConfig, mel_convention: str, length: int
) -> np.ndarray:
    """The beginning of a recording from the mel spectrogram that WaveNet is given, int16."""
    lead = data.mel_conventions.lead_samples(mel, mel_convention)
    frames = data.mel_conventions.converted_spectrogram(original, mel, mel_convention)
    frames = frames[: -(-(lead + length) // mel.hop_samples)]
    return data.griffin_lim(frames, mel, lead + length)[lead:]


def _write(
    folder: pathlib.Path, recording: str, sounds: dict[str, np.ndarray], sample_rate_hz: int
) -> None:
    """Writes the files of one recording; folders in its name become a part of the file name."""
    name = recording.replace("/", "_").removesuffix(".wav")
    for kind, samples in sounds.items():
        soundfile.write(folder / f"{name}_{kind}.wav", samples, sample_rate_hz, subtype="PCM_16")
    pairs = [(f"{name} {kind.replace('_', '-')}", samples) for kind, samples in sounds.items()]
    figure = plots.spectrograms(pairs, sample_rate_hz, columns=len(pairs))
    plots.save(figure, folder / f"{name}_spectrograms.png")


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    figures = copy_synthesis(
        trained,
        trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value),
        out=cli.OUT.value,
        num_recordings=cli.NUM_RECORDINGS.value,
        seconds=cli.SECONDS.value,
        seed=cli.SEED.value or 0,
        sampling=cli.sampling_config(),
        mel_convention=cli.MEL_CONVENTION.value,
    )
    columns = {
        kind: speech_figures.SpeechFigures(**figures[kind]) for kind in ("original", *METHODS)
    }
    print(speech_figures.table(columns))
    print(
        f"{figures['num_recordings']} recordings, {figures['seconds']:.1f} s, of step "
        f"{trained.step} in {cli.OUT.value}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
