"""Generates held-out recordings from their mel spectrograms, beside Griffin-Lim.

    python -m experiments.studies.copy_synthesis --workdir=runs/vocoder --data_dir=corpora \\
        --split=validation --out=runs/vocoder/copies

For a checkpoint that the mel spectrogram conditions (`configs/vocoder.py`). Of each recording
there will be NAME_original.wav, NAME_wavenet.wav, NAME_griffin_lim.wav and
NAME_spectrograms.png, and of both methods the distances from the originals that
`spectral_distances` defines. Above the spectrogram's `fmax_hz` Griffin-Lim has nothing to go by
and is silent, which the log-spectral distance counts as it counts any other band.
"""

import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import flags
from tqdm import tqdm

import data
from experiments import sample
from experiments.common import cli, plots, restore
from experiments.metrics import spectral
from wavenet_jax import InputError

FLAGS = flags.FLAGS
flags.declare_key_flag("workdir")
flags.declare_key_flag("data_dir")
flags.declare_key_flag("json")
flags.declare_key_flag("seed")
flags.declare_key_flag("split")
flags.declare_key_flag("step")
flags.declare_key_flag("out")
flags.declare_key_flag("seconds")
flags.declare_key_flag("temperature")
flags.declare_key_flag("num_recordings")

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
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Writes each recording's copies and compares them with it.

    Args:
      trained: of `restore.load`, conditioned on the mel spectrogram.
      corpus: whose recordings are copied, in their order.
      out: folder for the files.
      num_recordings: how many; all by default.
      seconds: at most so much of each, from its beginning; all by default.
      seed: with the number of a recording, all that its waveform depends on.
      temperature: of the model's distribution.

    Returns:
      For `wavenet` and `griffin_lim` the `log_spectral_distance_db` and
      `mel_cepstral_distortion_db`, means over the recordings; under `recordings`
      the same of each by its name; `num_recordings`, `seconds` (of sound, in all),
      `temperature`, `seed`, `step`, `split`, `wall_s`.

    Raises:
      InputError, data.DataError: bad input, of which the message tells.
    """
    experiment, begun_s = trained.experiment, time.monotonic()
    mel = experiment.mel
    if mel is None:
        raise InputError(
            "The model takes no mel spectrogram: train one that does, with "
            "--config=experiments/configs/vocoder.py."
        )
    number = len(corpus) if num_recordings is None else num_recordings
    if number < 1:
        raise InputError(f"--num_recordings is {number}: give at least 1.")
    if number > len(corpus):
        raise InputError(
            f"--num_recordings is {number}, but the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)}: ask for no more."
        )
    rate, folder = experiment.sample_rate_hz, cli.require_writable(out)
    distances: dict[str, dict[str, dict[str, float]]] = {}
    num_samples = 0
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        generated = sample.sample(
            trained,
            out=unfinished,
            num_samples=number,
            seconds=seconds,
            seed=seed,
            temperature=temperature,
            corpus=corpus,
        )
        copies = zip(generated, experiment.recordings(corpus), strict=False)
        bar = tqdm(copies, total=number, desc="comparing", unit=" recordings", file=sys.stderr)
        for i, (path, recording) in enumerate(bar):
            wavenet, _ = soundfile.read(path, dtype="int16")
            frames = recording["local"][: -(-len(wavenet) // mel.hop_samples)]
            sounds = {
                "original": corpus.recording(i)["audio"][: len(wavenet)],
                "wavenet": wavenet,
                "griffin_lim": data.griffin_lim(frames, mel, len(wavenet)),
            }
            distances[recording["recording"]] = {
                method: {
                    name: distance(sounds["original"], sounds[method], rate)
                    for name, distance in DISTANCES.items()
                }
                for method in METHODS
            }
            _write(folder, recording["recording"], sounds, rate)
            num_samples += len(wavenet)
    means = {
        method: {
            name: float(np.mean([each[method][name] for each in distances.values()]))
            for name in DISTANCES
        }
        for method in METHODS
    }
    return means | {
        "recordings": distances,
        "num_recordings": number,
        "seconds": round(num_samples / rate, 3),
        "temperature": temperature,
        "seed": seed,
        "step": trained.step,
        "split": corpus.split,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


def _write(
    folder: pathlib.Path, recording: str, sounds: dict[str, np.ndarray], sample_rate_hz: int
) -> None:
    """One recording's files; a name within folders becomes one name."""
    name = recording.replace("/", "_").removesuffix(".wav")
    for kind, samples in sounds.items():
        soundfile.write(folder / f"{name}_{kind}.wav", samples, sample_rate_hz, subtype="PCM_16")
    pairs = [(f"{name} {kind.replace('_', '-')}", samples) for kind, samples in sounds.items()]
    figure = plots.spectrograms(pairs, sample_rate_hz, columns=len(pairs))
    plots.save(figure, folder / f"{name}_spectrograms.png")


def main(argv: Sequence[str]) -> None:
    del argv
    cli.require(workdir=FLAGS.workdir, data_dir=FLAGS.data_dir, split=FLAGS.split, out=FLAGS.out)
    trained = restore.load(FLAGS.workdir, restore.STEP.value)
    corpus = trained.experiment.load(FLAGS.data_dir, FLAGS.split)
    figures = copy_synthesis(
        trained,
        corpus,
        out=FLAGS.out,
        num_recordings=cli.NUM_RECORDINGS.value,
        seconds=FLAGS.seconds,
        seed=cli.SEED.value or 0,
        temperature=FLAGS.temperature,
    )
    for method in METHODS:
        of_method = figures[method]
        print(
            f"{method}: log-spectral distance {of_method['log_spectral_distance_db']:.2f} dB, "
            f"mel-cepstral distortion {of_method['mel_cepstral_distortion_db']:.2f} dB"
        )
    print(
        f"{figures['num_recordings']} recordings, {figures['seconds']:.1f} s, of step "
        f"{trained.step} in {FLAGS.out}"
    )
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main)
