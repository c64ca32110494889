"""Figures of speech: how well it is understood, how noisy it is, and how near it is to recordings.

One evaluator for all programs: `figures` measures a set of sounds, with or without the recordings
that they are copies of, and `table` prints several sets side by side. What each figure is stands
where it is computed: `error_rates`, `voice`, `perceptual`, `spectral`, `f0`; docs/figures.md
lists them.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

import data
from experiments.metrics import error_rates, f0, perceptual, spectral, voice
from wavenet_jax import InputError

F0_HOP_S = 0.005
OF_COPIES = {
    "pesq": perceptual.pesq,
    "stoi": perceptual.stoi,
    "log_spectral_distance_db": spectral.log_spectral_distance_db,
    "mel_cepstral_distortion_db": spectral.mel_cepstral_distortion_db,
}


@dataclasses.dataclass(frozen=True)
class SpeechFigures:
    """Figures of a set of sounds; None where a figure was not asked for or is undefined.

    Attributes:
      num_recordings: how many sounds.
      seconds: their length, in all.
      num_words: words that should be recognised.
      word_error_rate: mistakes of the recogniser over `num_words`.
      word_error_interval: its 95% bootstrap interval over recordings.
      harmonics_to_noise_db: mean over the voiced frames of all sounds.
      noise_level_db: mean over the frames with speech of all sounds.
      dnsmos_overall, dnsmos_signal, dnsmos_background: DNSMOS P.835, means over the sounds.
      pesq: of the copies, mean over the sounds; narrow band below 16 kHz.
      stoi: of the copies, mean over the sounds.
      log_spectral_distance_db, mel_cepstral_distortion_db: of the copies, means over the sounds.
      f0_gross_error, f0_rmse_cents, f0_median_cents, f0_correlation, voicing_error: of the
        copies, over the frames of all sounds.
      undefined: why a figure is undefined, of all sounds or of some, by the figure's name.
    """

    num_recordings: int
    seconds: float
    num_words: int | None = None
    word_error_rate: float | None = None
    word_error_interval: tuple[float, float] | None = None
    harmonics_to_noise_db: float | None = None
    noise_level_db: float | None = None
    dnsmos_overall: float | None = None
    dnsmos_signal: float | None = None
    dnsmos_background: float | None = None
    pesq: float | None = None
    stoi: float | None = None
    log_spectral_distance_db: float | None = None
    mel_cepstral_distortion_db: float | None = None
    f0_gross_error: float | None = None
    f0_rmse_cents: float | None = None
    f0_median_cents: float | None = None
    f0_correlation: float | None = None
    voicing_error: float | None = None
    undefined: dict[str, str] = dataclasses.field(default_factory=dict)


ROWS: dict[str, tuple[str, Callable[[float], str]]] = {
    "harmonics_to_noise_db": ("harmonics-to-noise ratio", "{:.1f} dB".format),
    "noise_level_db": ("noise level", "{:.1f} dB".format),
    "dnsmos_overall": ("DNSMOS, overall", "{:.2f}".format),
    "dnsmos_signal": ("DNSMOS, speech", "{:.2f}".format),
    "dnsmos_background": ("DNSMOS, background", "{:.2f}".format),
    "pesq": ("PESQ", "{:.2f}".format),
    "stoi": ("STOI", "{:.3f}".format),
    "log_spectral_distance_db": ("log-spectral distance", "{:.2f} dB".format),
    "mel_cepstral_distortion_db": ("mel-cepstral distortion", "{:.2f} dB".format),
    "f0_median_cents": ("F0 error, median", "{:.0f} cents".format),
    "f0_correlation": ("F0 correlation", "{:.2f}".format),
    "f0_gross_error": ("F0, gross errors", "{:.1%}".format),
    "voicing_error": ("voicing wrong", "{:.1%}".format),
}


def figures(
    sounds: Sequence[ArrayLike],
    sample_rate_hz: int,
    *,
    references: Sequence[ArrayLike] | None = None,
    labels: Sequence[Sequence[str]] | None = None,
    recognized: Sequence[Sequence[str]] | None = None,
    title: str = "measuring",
) -> SpeechFigures:
    """Measures sounds.

    Args:
      sounds: at least one, `[T]` each, int16 or floats in [-1, 1].
      sample_rate_hz: of all sounds and references.
      references: the recordings that the sounds are copies of, sample by sample.
      labels: the words of each sound.
      recognized: the words that a recogniser found in each sound; given with `labels`.
      title: of the progress bar.

    Returns:
      The figures. Those of a copy need `references`, those of words `labels`; the others, and
      those whose package is not installed, are None.

    Raises:
      InputError: no sounds, not `[T]`, not finite or beyond full scale, of no positive rate, or
        of other number or length than the references or the labels.
    """
    if sample_rate_hz < 1:
        raise InputError(f"The rate is {sample_rate_hz} Hz: give that of the sounds.")
    measured = _checked("sound", sounds)
    originals = None if references is None else _checked("reference", references)
    if originals is not None and [len(x) for x in originals] != [len(x) for x in measured]:
        raise InputError(
            "The sounds are not as many or not as long as their references: give copies that are "
            "aligned with their recordings."
        )
    found: dict[str, Any] = _words(labels, recognized, len(measured))
    values = _Values()
    bar = tqdm(measured, desc=title, unit=" recordings", file=sys.stderr)
    for i, sound in enumerate(bar):
        original = None if originals is None else originals[i]
        values.add(
            ("harmonics_to_noise_db",),
            functools.partial(
                voice.harmonics_to_noise_db, sound, sample_rate_hz, reference=original
            ),
        )
        values.add(
            ("noise_level_db",), functools.partial(voice.noise_level_db, sound, sample_rate_hz)
        )
        values.add(
            ("dnsmos_overall", "dnsmos_signal", "dnsmos_background"),
            functools.partial(perceptual.dnsmos, sound, sample_rate_hz),
        )
        if original is None:
            continue
        for name, measure in OF_COPIES.items():
            values.add((name,), functools.partial(measure, original, sound, sample_rate_hz))
    if originals is not None:
        errors, undefined = _f0_errors(originals, measured, sample_rate_hz)
        found |= errors
        values.undefined.update(undefined)
    found |= values.means()
    return SpeechFigures(
        num_recordings=len(measured),
        seconds=round(sum(map(len, measured)) / sample_rate_hz, 3),
        undefined=values.reasons(len(measured)),
        **found,
    )


def to_dict(of: SpeechFigures) -> dict[str, Any]:
    """Figures as JSON has them, without those that are None."""
    return {
        name: value
        for name, value in dataclasses.asdict(of).items()
        if value is not None and value != {}
    }


def table(columns: Mapping[str, SpeechFigures]) -> str:
    """Sets of sounds side by side as a table in Markdown, and below it why figures are missing."""
    lines = [
        "| | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    if any(of.word_error_rate is not None for of in columns.values()):
        lines.append(
            "| words mistaken | " + " | ".join(words_mistaken(of) for of in columns.values()) + " |"
        )
    for name, (title, written) in ROWS.items():
        values = [getattr(of, name) for of in columns.values()]
        if any(value is not None for value in values):
            cells = ("" if value is None else written(value) for value in values)
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    reasons: dict[str, list[str]] = {}
    for of in columns.values():
        for name, reason in of.undefined.items():
            names = reasons.setdefault(reason, [])
            names += [] if name in names else [name]
    lines += [f"Left out: {', '.join(names)} ({reason})." for reason, names in reasons.items()]
    return "\n".join(lines)


def words_mistaken(of: SpeechFigures) -> str:
    """The word error rate with its interval, such as `4.3% (1.2 to 8.0%) of 210`."""
    if of.word_error_rate is None or of.word_error_interval is None:
        return ""
    low, high = (100 * limit for limit in of.word_error_interval)
    return f"{of.word_error_rate:.1%} ({low:.1f} to {high:.1f}%) of {of.num_words}"


class _Values:
    """Rows of values by the names of their columns; the mean is over all rows."""

    def __init__(self) -> None:
        self.undefined: dict[str, str] = {}
        self._rows: dict[tuple[str, ...], list[np.ndarray]] = {}
        self._lacking: dict[str, list[str]] = {}

    def add(self, names: tuple[str, ...], measure: Callable[[], Any]) -> None:
        """Adds the rows that `measure` returns, or the reason that it raises."""
        rows = self._rows.setdefault(names, [])
        try:
            rows.append(np.asarray(measure(), float).reshape(-1, len(names)))
        except perceptual.UndefinedError as error:
            for name in names:
                self._lacking.setdefault(name, []).append(str(error))

    def means(self) -> dict[str, float]:
        return {
            name: float(value)
            for names, rows in self._rows.items()
            if rows
            for name, value in zip(names, np.concatenate(rows).mean(axis=0), strict=True)
        }

    def reasons(self, number: int) -> dict[str, str]:
        return self.undefined | {
            name: reasons[0]
            if len(reasons) == number
            else f"not of {len(reasons)} of {number} recordings: {reasons[0]}"
            for name, reasons in self._lacking.items()
        }


def _checked(kind: str, sounds: Sequence[ArrayLike]) -> list[np.ndarray]:
    if not len(sounds):
        raise InputError(f"There is no {kind} to measure: give at least one.")
    arrays = [np.asarray(each) for each in sounds]
    for i, each in enumerate(arrays):
        if each.ndim != 1 or not each.size or each.dtype.kind not in "if":
            raise InputError(f"{kind.capitalize()} {i} has shape {each.shape}: give samples [T].")
        if each.dtype.kind == "i" and each.dtype != np.int16:
            raise InputError(f"{kind.capitalize()} {i} is {each.dtype}: give int16 or floats.")
        if each.dtype.kind == "f" and not np.all(np.abs(each) <= 1):
            raise InputError(
                f"{kind.capitalize()} {i} has samples beyond full scale or not finite: give int16, "
                "or floats in [-1, 1]."
            )
    return arrays


def _words(
    labels: Sequence[Sequence[str]] | None,
    recognized: Sequence[Sequence[str]] | None,
    number: int,
) -> dict[str, Any]:
    if labels is None or recognized is None:
        return {}
    if not len(labels) == len(recognized) == number:
        raise InputError(
            f"There are {number} sounds, {len(labels)} transcripts and {len(recognized)} of the "
            "recogniser: give one of each for each sound."
        )
    counts = [error_rates.count(*each) for each in zip(labels, recognized, strict=True)]
    together = error_rates.total(counts)
    return {
        "num_words": together.num_labels,
        "word_error_rate": together.rate,
        "word_error_interval": error_rates.interval(counts),
    }


def _f0_errors(
    originals: Sequence[np.ndarray], copies: Sequence[np.ndarray], sample_rate_hz: int
) -> tuple[dict[str, float], dict[str, str]]:
    """The errors of `f0.f0_errors` over all frames, and the reasons of those without one."""
    hop_samples = max(1, round(F0_HOP_S * sample_rate_hz))
    try:
        true, other = (
            np.concatenate(
                [
                    data.log_f0(
                        {"audio": each, "f0_hz": voice.f0_of(each, sample_rate_hz)},
                        hop_samples,
                        sample_rate_hz,
                    )
                    for each in sounds
                ]
            )
            for sounds in (originals, copies)
        )
    except perceptual.UndefinedError as error:
        return {}, {"f0_median_cents": str(error)}
    errors = f0.f0_errors(true, other)
    lacking = [name for name, value in errors.items() if not np.isfinite(value)]
    reason = "too few frames are voiced in both"
    return {name: value for name, value in errors.items() if name not in lacking}, dict.fromkeys(
        lacking, reason
    )
