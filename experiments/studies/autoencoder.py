"""Autoencoders: whether classifiers of recordings know notes that are generated from embeddings.

    python -m experiments.studies.autoencoder --workdir=runs/notes --data_dir=corpora \\
        --split=test --out=runs/notes/reconstructed

For an autoencoder of notes with the labels `instrument` and `pitch`, MIDI numbers
(`configs/notes.py`; with
`--instrument=instrument_family` those of NSynth). Recordings of a held-out split are generated
again from their embeddings, with their own pitch as the label and with one five semitones higher
(from the highest down to the lowest), and so are mixes of each with a recording of the train split
that has its pitch and another instrument. A support vector machine learns the instrument, of the
levels of the first ten harmonics of the note's pitch, and a linear discriminant the pitch, of the
mean levels of quarter tones, from the train split, each recording as it is and with white noise 40,
30, 20 or 10 dB below it; they are tested on the held-out recordings, which bounds what they can
reach, and on what was generated of them. A mix lies between its ends where it is nearer to either
than they are to each other (mel-cepstral distortion), and where its spectral centroid is between
theirs; the ends are the recordings, and what is generated of them alone.

Writes the sounds, `confusion.png` of the instruments, and `embeddings.png`, the mean embedding of
each recording in the plane of the principal components.
"""

import dataclasses
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from absl import flags
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

import data
from data.audio import reading
from experiments.common import cli, plots, restore
from experiments.common.run import Run
from experiments.common.sampling import AS_IT_IS, Sampling
from experiments.metrics import error_rates, spectral, timbre
from experiments.studies import speakers_plots
from experiments.tasks import embedding_plots, generation
from experiments.tasks.transforming import Encoded, mixed
from wavenet_jax import InputError

cli.takes(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.STEP, cli.OUT, cli.JSON)
cli.takes(cli.NUM_RECORDINGS, cli.SEED, *cli.SAMPLING)
_INSTRUMENT = flags.DEFINE_string(
    "instrument", "instrument", "Label of the corpus that names the instrument."
)
_PITCH = flags.DEFINE_string("pitch", "pitch", "Label of the corpus that names the pitch.")

SHIFT = 5
"""Classes of the pitch, in semitones where those are MIDI numbers, by which it is moved."""

NOISE_DB = (40, 30, 20, 10)
"""Below the recordings that the classifiers learn from, in turn; they hear each as it is too."""


def autoencoder_study(
    trained: restore.TrainedModel,
    data_dir: str | os.PathLike[str],
    *,
    split: str,
    out: str | os.PathLike[str],
    num_recordings: int | None = None,
    instrument: str = "instrument",
    pitch: str = "pitch",
    seed: int = 0,
    sampling: Sampling = AS_IT_IS,
) -> dict[str, Any]:
    """Generates held-out recordings and mixes of them, and measures both.

    Args:
      trained: of `restore.load`, an autoencoder.
      data_dir: folder of corpora, with the one that the model was trained on.
      split: of the recordings to generate again; the classifiers learn from train.
      out: folder for the files.
      num_recordings: how many of the split, spread evenly over it; all by default.
      instrument, pitch: labels of the corpus.
      seed: determines each waveform, with the index of its recording.
      sampling: how they are drawn.

    Returns:
      For `recordings` and `reconstructions` of `instrument` and `pitch` the `share` that is told
      right and its 95% `interval`; `confusion` of the instruments, of both; likewise `moved`, where
      the pitch is a label of the model, of what is generated with another pitch: the share told as
      that `pitch`, and as the `pitch of the recording`; for `mixes` by the ends `recordings` and
      `reconstructions` the shares with intervals that are `nearer_to_both`, `centroid_between` and
      `both`, and `mean_distortion_db`; `num_recordings`, `num_mixes`, `step`, `split`, `sampling`,
      `seed`, `wall_s`.

    Raises:
      InputError, data.DataError: invalid input.
    """
    run, begun_s = trained.run, time.monotonic()
    run.require_encoder()
    if split == "train":
        raise InputError("--split is train, which the classifiers learn from: name another.")
    train, test = (run.load(data_dir, name) for name in ("train", split))
    labels = {"instrument": instrument, "pitch": pitch}
    for flag, label in labels.items():
        if label not in test.class_names:
            raise InputError(
                f"--{flag} is {label}, and {test.name} has the labels "
                f"{', '.join(test.class_names) or 'none'}: name one of them."
            )
    midi = _midi_numbers(test, pitch)
    if num_recordings is not None:
        if not 1 <= num_recordings <= len(test):
            raise InputError(
                f"--num_recordings is {num_recordings}, and the split {split} of {test.name} has "
                f"{len(test)}: give at least 1, and no more."
            )
        test = test.some(num_recordings)
    folder, rate = cli.require_writable(out), run.audio.sample_rate_hz
    corpora = {"train": train, "test": test}
    sounds = {name: _sounds(corpus) for name, corpus in corpora.items()}
    encoded = {name: _encoded(trained, corpus) for name, corpus in corpora.items()}
    classes = {
        kind: {name: _classes_of(corpus, label) for name, corpus in corpora.items()}
        for kind, label in labels.items()
    }
    truth = {kind: classes[kind]["test"] for kind in labels}
    told = _Judge.learned(
        sounds["train"] + _with_noise(sounds["train"], seed),
        rate,
        midi[np.tile(classes["pitch"]["train"], 2)],
        {kind: np.tile(classes[kind]["train"], 2) for kind in labels},
    )

    generate = _Generator(trained, folder, seed, sampling)
    conditions = [run.global_condition_of(test, i) for i in range(len(test))]
    reconstructions = generate(encoded["test"], conditions)
    figures: dict[str, Any] = {"confusion": {}}
    instruments = list(map(str, test.class_names[instrument]))
    for name, heard in (("recordings", sounds["test"]), ("reconstructions", reconstructions)):
        found = told(heard, midi[truth["pitch"]])
        figures[name] = {kind: _share(found[kind] == truth[kind]) for kind in labels}
        figures["confusion"][name] = confusion_matrix(
            truth["instrument"], found["instrument"], labels=np.arange(len(instruments))
        ).tolist()
    if pitch in run.audio.global_labels:
        shifted = (truth["pitch"] + SHIFT) % len(test.class_names[pitch])
        heard = generate(_named(encoded["test"], "moved"), _moved(run, test, pitch, shifted))
        found = told(heard, midi[shifted])
        figures["moved"] = {
            "instrument": _share(found["instrument"] == truth["instrument"]),
            "pitch": _share(found["pitch"] == shifted),
            "pitch of the recording": _share(found["pitch"] == truth["pitch"]),
        }

    pairs = _pairs(classes)
    of_pairs = [conditions[i] for i, _ in pairs]
    mixes = generate(
        [mixed(encoded["test"][i], encoded["train"][j], 0.5) for i, j in pairs], of_pairs
    )
    partners = [
        _named([encoded["train"][j]], f"with_1_{encoded['test'][i].name}")[0] for i, j in pairs
    ]
    ends = {
        "recordings": [(sounds["test"][i], sounds["train"][j]) for i, j in pairs],
        "reconstructions": [
            (reconstructions[i], partner)
            for (i, _), partner in zip(pairs, generate(partners, of_pairs), strict=True)
        ],
    }
    figures["mixes"] = {name: _between(mixes, each, rate) for name, each in ends.items() if pairs}
    tables = {name: np.array(table) for name, table in figures["confusion"].items()}
    plots.save(speakers_plots.confusions(tables, instruments), folder / "confusion.png")
    points = [each.embeddings.mean(axis=0) for of in encoded.values() for each in of]
    groups = {
        label: [str(test.class_names[label][c]) for of in classes[kind].values() for c in of]
        for kind, label in labels.items()
    }
    plots.save(embedding_plots.plane(np.stack(points), groups), folder / "embeddings.png")
    return figures | {
        "num_recordings": len(test),
        "num_mixes": len(pairs),
        "step": trained.step,
        "split": split,
        "sampling": dataclasses.asdict(sampling),
        "seed": seed,
        "wall_s": round(time.monotonic() - begun_s, 3),
    }


@dataclasses.dataclass(frozen=True)
class _Judge:
    """Classifiers of what sounds, and of its pitch.

    Attributes:
      instrument: of `timbre.harmonic_profiles`.
      pitch: of `timbre.constant_q_profiles`.
      sample_rate_hz: of the sounds.
    """

    instrument: Any
    pitch: Any
    sample_rate_hz: int

    @classmethod
    def learned(
        cls,
        sounds: Sequence[np.ndarray],
        sample_rate_hz: int,
        midi: np.ndarray,
        classes: dict[str, np.ndarray],
    ) -> "_Judge":
        """From sounds with their classes, and the MIDI number of each pitch."""
        instrument = make_pipeline(StandardScaler(), SVC(C=10.0))
        pitch = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
        return cls(
            instrument.fit(
                timbre.harmonic_profiles(sounds, sample_rate_hz, midi), classes["instrument"]
            ),
            pitch.fit(timbre.constant_q_profiles(sounds, sample_rate_hz), classes["pitch"]),
            sample_rate_hz,
        )

    def __call__(self, heard: Sequence[np.ndarray], midi: np.ndarray) -> dict[str, np.ndarray]:
        """The class that each classifier takes each sound for, whose pitch is to be `midi`."""
        harmonics = timbre.harmonic_profiles(heard, self.sample_rate_hz, midi)
        quarter_tones = timbre.constant_q_profiles(heard, self.sample_rate_hz)
        return {
            "instrument": self.instrument.predict(harmonics),
            "pitch": self.pitch.predict(quarter_tones),
        }


@dataclasses.dataclass(frozen=True)
class _Generator:
    """Generates from embeddings into files of a folder, and reads them again."""

    trained: restore.TrainedModel
    folder: pathlib.Path
    seed: int
    sampling: Sampling

    def __call__(
        self, sources: Sequence[Encoded], conditions: Sequence[np.ndarray | None]
    ) -> list[np.ndarray]:
        """The sounds, int16 `[N]` each."""
        if not sources:
            return []
        paths = [self.folder / f"{source.name}.wav" for source in sources]
        generation.write_generated(
            self.trained,
            paths,
            np.array([source.num_samples for source in sources]),
            generation.batched([source.embeddings for source in sources], conditions),
            seed=self.seed,
            sampling=self.sampling,
        )
        return [soundfile.read(path, dtype="int16")[0] for path in paths]


def _with_noise(sounds: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """The sounds, int16 `[N]` each, with white noise, one of `NOISE_DB` below their mean power."""
    rng = np.random.default_rng(seed)
    noisy = []
    for sound, below_db in zip(sounds, itertools.cycle(NOISE_DB)):
        deviation = 10 ** (-below_db / 20) * np.sqrt(np.mean(np.square(sound, dtype=np.float64)))
        noisy.append(reading.to_int16(sound + deviation * rng.standard_normal(len(sound))))
    return noisy


def _encoded(trained: restore.TrainedModel, corpus: data.Corpus) -> list[Encoded]:
    recordings = tqdm(
        trained.recordings(corpus),
        total=len(corpus),
        desc=f"encoding {corpus.split}",
        unit=" recordings",
        file=sys.stderr,
    )
    return [
        Encoded(
            each["recording"].replace("/", "_").removesuffix(".wav"),
            len(each["samples"]),
            each["local"],
        )
        for each in recordings
    ]


def _named(sources: Sequence[Encoded], what: str) -> list[Encoded]:
    """The same, for files of other names."""
    return [dataclasses.replace(each, name=f"{each.name}_{what}") for each in sources]


def _moved(run: Run, corpus: data.Corpus, pitch: str, classes: np.ndarray) -> list[np.ndarray]:
    """The global conditions of a corpus's recordings, with other classes of the pitch."""
    conditions = []
    for i in range(len(corpus)):
        of_labels = {label: corpus.label(i, label) for label in run.audio.global_labels}
        of_labels[pitch] = classes[i]
        names = [run.audio.classes[label][int(each)] for label, each in of_labels.items()]
        conditions.append(run.audio.global_condition(names))
    return conditions


def _pairs(classes: dict[str, dict[str, np.ndarray]]) -> list[tuple[int, int]]:
    """For each held-out recording one of train of its pitch and another instrument, in turn among
    those that there are; left out where there is none."""
    pairs = []
    for i in range(len(classes["pitch"]["test"])):
        is_partner = (classes["pitch"]["train"] == classes["pitch"]["test"][i]) & (
            classes["instrument"]["train"] != classes["instrument"]["test"][i]
        )
        partners = np.flatnonzero(is_partner)
        if len(partners):
            pairs.append((i, int(partners[i % len(partners)])))
    return pairs


def _between(
    mixes: Sequence[np.ndarray],
    ends: Sequence[tuple[np.ndarray, np.ndarray]],
    sample_rate_hz: int,
) -> dict[str, Any]:
    """The shares of mixes that lie between their ends, all cut to the shortest of the three."""
    nearer, between, distances = [], [], []
    for mix, (one, other) in zip(mixes, ends, strict=True):
        number = min(map(len, (mix, one, other)))
        mix, one, other = mix[:number], one[:number], other[:number]
        apart, to_one, to_other = (
            spectral.mel_cepstral_distortion_db(*pair, sample_rate_hz)
            for pair in ((one, other), (mix, one), (mix, other))
        )
        distances.append((apart, to_one, to_other))
        nearer.append(max(to_one, to_other) < apart)
        lowest, middle, highest = (
            spectral.centroid_hz(sound, sample_rate_hz) for sound in (one, mix, other)
        )
        between.append(min(lowest, highest) <= middle <= max(lowest, highest))
    apart, to_one, to_other = np.mean(distances, axis=0)
    return {
        "nearer_to_both": _share(np.array(nearer)),
        "centroid_between": _share(np.array(between)),
        "both": _share(np.array(nearer) & np.array(between)),
        "mean_distortion_db": {
            "between_ends": float(apart),
            "to_the_first": float(to_one),
            "to_the_other": float(to_other),
        },
    }


def _share(is_right: np.ndarray) -> dict[str, Any]:
    """The share that is right, with its bootstrap interval over recordings."""
    counts = [error_rates.Counts(1, int(not each), 0, 0) for each in is_right]
    low, high = error_rates.interval(counts)
    return {"share": float(np.mean(is_right)), "interval": [1 - high, 1 - low]}


def _sounds(corpus: data.Corpus) -> list[np.ndarray]:
    return [corpus.recording(i)["audio"] for i in range(len(corpus))]


def _midi_numbers(corpus: data.Corpus, pitch: str) -> np.ndarray:
    """That of each class of the pitch.

    Raises:
      InputError: their names are no numbers.
    """
    names = corpus.class_names[pitch]
    try:
        return np.array([int(name) for name in names])
    except ValueError:
        raise InputError(
            f"--pitch is {pitch}, and its classes are {', '.join(names)}: name a label whose "
            "classes are MIDI numbers."
        ) from None


def _classes_of(corpus: data.Corpus, label: str) -> np.ndarray:
    return np.array([corpus.label(i, label) for i in range(len(corpus))])


def described(figures: dict[str, Any]) -> str:
    """Figures of `autoencoder_study` as lines to read."""

    def shown(share: dict[str, Any]) -> str:
        low, high = share["interval"]
        return f"{share['share']:.0%} ({low:.0%} to {high:.0%})"

    lines = []
    for name in ("recordings", "reconstructions", "moved"):
        if name in figures:
            known = ", ".join(f"{kind} {shown(of)}" for kind, of in figures[name].items())
            lines.append(f"{name}: {known}, of {figures['num_recordings']}")
    for name, of in figures["mixes"].items():
        lines.append(
            f"mixes between {name}: nearer to both {shown(of['nearer_to_both'])}, centroid "
            f"{shown(of['centroid_between'])}, both {shown(of['both'])}, of {figures['num_mixes']}"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    figures = autoencoder_study(
        restore.load(cli.WORKDIR.value, cli.STEP.value),
        cli.DATA_DIR.value,
        split=cli.SPLIT.value,
        out=cli.OUT.value,
        num_recordings=cli.NUM_RECORDINGS.value,
        instrument=_INSTRUMENT.value,
        pitch=_PITCH.value,
        seed=cli.SEED.value or 0,
        sampling=cli.sampling_config(),
    )
    print(described(figures))
    cli.write_json(figures)


if __name__ == "__main__":
    cli.run(main, required=(cli.WORKDIR, cli.DATA_DIR, cli.SPLIT, cli.OUT))
