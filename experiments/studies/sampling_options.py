"""What each way of drawing samples is worth, on one trained model: figures of copies.

    python -m experiments.studies.sampling_options --workdir=runs/demo \\
        --data_dir=runs/demo/corpora --split=test --num_recordings=48 --out=runs/demo/options

Generates the same recordings, with the same random numbers, in each way of `OPTIONS`, and measures
them beside the recordings (docs/figures.md). Where all texts are digits, words are recognised.
The ways that need to know voiced frames are left out for a model that is not told them.
"""

import os
from collections.abc import Sequence

import numpy as np
import soundfile

import data
from experiments.common import cli, restore
from experiments.common.sampling import Sampling
from experiments.metrics import intelligibility, speech_figures
from experiments.tasks import generation
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.NUM_RECORDINGS, cli.SEED)

OPTIONS = {
    "as it is": Sampling(),
    "temperature 0.9": Sampling(temperature=0.9),
    "temperature 0.8": Sampling(temperature=0.8),
    "voiced 0.8": Sampling(voiced_temperature=0.8),
    "voiced 0.7": Sampling(voiced_temperature=0.7),
    "voiced 0.6": Sampling(voiced_temperature=0.6),
    "top-p 0.95": Sampling(top_p=0.95),
    "top-p 0.9": Sampling(top_p=0.9),
    "top-p 0.8": Sampling(top_p=0.8),
    "voiced 0.8, top-p 0.95": Sampling(voiced_temperature=0.8, top_p=0.95),
    "comb 0.5": Sampling(comb_filter=0.5),
    "comb 1": Sampling(comb_filter=1.0),
    "top-p 0.95, comb 0.5": Sampling(top_p=0.95, comb_filter=0.5),
    "top-p 0.95, comb 1": Sampling(top_p=0.95, comb_filter=1.0),
    "voiced 0.6, top-p 0.95, comb 1": Sampling(voiced_temperature=0.6, top_p=0.95, comb_filter=1.0),
    "subtraction": Sampling(spectral_subtraction=1.0),
    "voiced 0.7, subtraction": Sampling(voiced_temperature=0.7, spectral_subtraction=1.0),
}
"""By name, as the table has them."""


def sampling_options(
    trained: restore.TrainedModel,
    corpus: data.Corpus,
    *,
    out: str | os.PathLike[str],
    num_recordings: int | None = None,
    seed: int = 0,
) -> dict[str, speech_figures.SpeechFigures]:
    """Generates copies of recordings in every way, and measures them.

    Args:
      trained: of `restore.load`.
      corpus: recordings that give the conditions.
      out: folder for the copies, a folder for each way.
      num_recordings: how many of the corpus, its first; all by default.
      seed: of the random numbers.

    Returns:
      The figures of the recordings, as "recorded", and of each way by its name.

    Raises:
      InputError, data.DataError: bad input.
    """
    number = len(corpus) if num_recordings is None else num_recordings
    if not 1 <= number <= len(corpus):
        raise InputError(
            f"--num_recordings is {number}, and the split {corpus.split} of {corpus.name} has "
            f"{len(corpus)}: give at least 1, and no more."
        )
    folder, rate = cli.require_writable(out), corpus.sample_rate_hz
    recordings = [corpus.recording(i) for i in range(number)]
    recorded = [each["audio"] for each in recordings]
    texts = [each.get("text", "").split() for each in recordings]
    digits = all(text and set(text) <= set(intelligibility.LEXICON) for text in texts)

    def measured(sounds: Sequence[np.ndarray], title: str) -> speech_figures.SpeechFigures:
        words = [intelligibility.recognise_digits(sound, rate) for sound in sounds]
        return speech_figures.figures(
            sounds,
            rate,
            references=None if sounds is recorded else recorded,
            labels=texts if digits else None,
            recognized=words if digits else None,
            title=title,
        )

    found = {"recorded": measured(recorded, "recorded")}
    for name, sampling in OPTIONS.items():
        if sampling.voiced_temperature is not None and not trained.run.has_pitch:
            continue
        paths = generation.sample(
            trained,
            out=folder / name.replace(", ", "_").replace(" ", "_"),
            num_samples=number,
            seed=seed,
            sampling=sampling,
            corpus=corpus,
        )
        copies = [soundfile.read(path, dtype="int16")[0] for path in paths]
        found[name] = measured(copies, name)
    return found


def main(argv: Sequence[str]) -> None:
    del argv
    trained = restore.load(cli.WORKDIR.value, cli.STEP.value)
    found = sampling_options(
        trained,
        trained.run.load(cli.DATA_DIR.value, cli.SPLIT.value),
        out=cli.OUT.value,
        num_recordings=cli.NUM_RECORDINGS.value,
        seed=cli.SEED.value or 0,
    )
    print(speech_figures.table(found))
    cli.write_json({name: speech_figures.to_dict(of) for name, of in found.items()})


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
