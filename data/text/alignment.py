"""Phones and words in time for a recording of which only the text is known.

A synthesiser reads the text (`data.text.espeak.synthesis`), dynamic time warping (librosa) aligns
its speech with the recording, and the boundaries are carried over. Frames of both are 13 MFCCs,
the first of which is the energy, and their deltas, each with mean 0 and variance 1 over its
side; they are compared by the cosine. The frames that a first warp pairs fit a ridge regression
from the synthesiser's voice to the reader's, and a second warp aligns.

Pauses are the recording's: one that the reader makes between two words is added, and one that
only the synthesiser makes is removed.

Of the recordings that were aligned so a model of the speaker's phones is made (`speaker_model`), by
which the boundaries are found once more (`data.text.phone_model`).

`tests/data/text/test_alignment.py` is also a program that measures how far the boundaries are
from those labelled by hand, on a folder of TIMIT; `docs/experiments.md` has its figures:

    PYTHONPATH=.:tests/data python tests/data/text/test_alignment.py TIMIT
"""

import itertools
import os
from collections.abc import Iterable, Sequence

import librosa
import numpy as np
import soxr

from data.audio.cepstra import mel_cepstra
from data.errors import DataError
from data.text import phone_model
from data.text.phone_model import AlignedFrames, PhoneModel
from data.text.spans import PAUSE, Alignment, Span, Speech

FRAME_S = 0.005  # also the minimum length of a phone
MIN_PAUSE_S = 0.08  # between words
MAX_S = 40.0  # of a recording: memory grows with its square, to 1.7 GB at this length

_RATE_HZ = 16000
_WINDOW_S = 0.02
_RANGE_DB = 45.0  # so that background noise and a synthesiser's digital silence are alike
_ENERGY_WEIGHT = 2.0
_MARGIN_S = 0.1  # of silence around both sides
_RIDGE = 100.0


def align(
    path: os.PathLike[str] | str,
    speech: Speech,
    samples: np.ndarray,
    sample_rate_hz: int,
    *,
    max_s: float = MAX_S,
    model: PhoneModel | None = None,
) -> Alignment:
    """The phones and words of a recording.

    Args:
      path: Of the recording, for messages.
      speech: Its text, synthesised.
      samples: int16 `[N]`.
      sample_rate_hz: Of the samples.
      max_s: The longest recording. Frames of one longer than `MAX_S` are longer in proportion.
      model: Of `speaker_model`, by which recordings of up to `MAX_S` are aligned a second time.

    Returns:
      The phones of `speech` with the pauses of the recording, each for `FRAME_S` (in whole
      samples) or longer, the first and the last a pause. And the words of `speech`, from their
      first phone to their last.

    Raises:
      DataError: as `check` does.
    """
    from sklearn import linear_model  # slow, and of few corpora

    length_s = len(samples) / sample_rate_hz
    check(path, speech, length_s, max_s=max_s)
    hop_samples = int(FRAME_S * min(_RATE_HZ, sample_rate_hz))
    pooled = max(1, int(np.ceil(length_s / MAX_S)))
    frame_s = pooled * FRAME_S
    units, starts, added = _units(speech, frame_s)
    source = _features(speech.samples, speech.sample_rate_hz, hop_samples, pooled)
    target = _features(samples, sample_rate_hz, hop_samples, pooled)
    pairs = _warped(source, target)
    voice = linear_model.Ridge(alpha=_RIDGE).fit(source[pairs[:, 0]], target[pairs[:, 1]])
    source = voice.predict(np.insert(source, added, source[0], axis=0))
    crossings = _crossings(_warped(source, target), starts)
    units, times_s = _without_short_pauses(units, crossings * frame_s - _MARGIN_S)
    shortest = int(FRAME_S * sample_rate_hz)
    edges = _tiling(times_s * sample_rate_hz, len(samples), shortest)
    if model is not None and pooled == 1:
        frames = _aligned_frames(target, [unit.name for unit in units], edges / sample_rate_hz)
        finer_s = model.starts(frames) * FRAME_S
        edges = _tiling(finer_s * sample_rate_hz, len(samples), shortest)
    phones = tuple(
        Span(unit.name, int(start), int(end), unit.stress)
        for unit, (start, end) in zip(units, itertools.pairwise(edges), strict=True)
    )
    sounding = [pair for pair in zip(units, phones, strict=True) if pair[0].name != PAUSE]
    begun = {unit.start: phone.start for unit, phone in sounding}
    ended = {unit.end: phone.end for unit, phone in sounding}
    words = (Span(word.name, begun[word.start], ended[word.end]) for word in speech.words)
    return Alignment(phones, tuple(words))


def speaker_model(
    recordings: Iterable[tuple[Alignment, np.ndarray, int]],
) -> PhoneModel | None:
    """The model of a speaker's phones.

    Args:
      recordings: Aligned, each with its samples, int16 `[N]`, and their rate. Those longer than
        `MAX_S` are left out.

    Returns:
      None where no recording has frames enough for its phones.
    """
    frames = []
    for aligned, samples, sample_rate_hz in recordings:
        if len(samples) > MAX_S * sample_rate_hz:
            continue
        features = _features(
            samples, sample_rate_hz, int(FRAME_S * min(_RATE_HZ, sample_rate_hz)), pooled=1
        )
        edges = np.array([*(phone.start for phone in aligned.phones), len(samples)])
        names = [phone.name for phone in aligned.phones]
        frames.append(_aligned_frames(features, names, edges / sample_rate_hz))
    return phone_model.fit(frames)


def _aligned_frames(
    features: np.ndarray, names: Sequence[str], edges_s: np.ndarray
) -> AlignedFrames:
    """The frames of a recording without its margins, of `_features`, with phones that begin and
    end at `edges_s`."""
    margin = round(_MARGIN_S / FRAME_S)
    starts = np.rint(edges_s / FRAME_S).astype(np.int64)
    return AlignedFrames(features[margin : margin + starts[-1]], names, starts[:-1])


def check(
    path: os.PathLike[str] | str, speech: Speech, length_s: float, *, max_s: float = MAX_S
) -> None:
    """Refuses a recording that cannot be aligned with a text.

    Raises:
      DataError: the text has no phones, or the recording is too short or too long for them.
    """
    num_phones = sum(phone.name != PAUSE for phone in speech.phones)
    if not num_phones:
        raise DataError(
            f"{path} has a text without phones: write the words that are read, or drop such "
            "recordings with --skip_bad"
        )
    min_s = len(_units(speech, FRAME_S)[0]) * FRAME_S
    if length_s < min_s:
        raise DataError(
            f"{path} lasts {length_s:.3f} s, and the {num_phones} phones of its text, with pauses, "
            f"need {min_s:.3f} s: correct the text, or remove the recording"
        )
    if length_s > max_s:
        raise DataError(
            f"{path} lasts {length_s:.1f} s, and alignment takes up to {max_s:.0f} s: cut it "
            "into sentences, or remove it"
        )


def _units(speech: Speech, frame_s: float) -> tuple[list[Span], list[int], list[int]]:
    """The units to find in the recording: the phones, the pauses, and an optional pause between
    any two words without one.

    Returns:
      The units, in samples of `speech`; the frame that each begins with once optional pauses
      have a frame of their own; and the frames before which those are inserted.
    """
    phones = [phone for phone in speech.phones if phone.name != PAUSE]
    begin_words = {word.start for word in speech.words}
    units = [Span(PAUSE, 0, phones[0].start)]
    starts: list[int] = [0]
    added: list[int] = []

    def frame(sample: int) -> int:
        """The first whose middle is at a sample of `speech`, or after it."""
        return int(np.ceil((sample / speech.sample_rate_hz + _MARGIN_S) / frame_s - 1e-9))

    def add(unit: Span) -> None:
        units.append(unit)
        starts.append(frame(unit.start) + len(added))

    for i, phone in enumerate(phones):
        end = phones[i - 1].end
        if i and (end < phone.start or phone.start in begin_words):
            add(Span(PAUSE, end, phone.start))
            if end == phone.start:
                added.append(frame(end))
        add(phone)
    add(Span(PAUSE, phones[-1].end, len(speech.samples)))
    return units, starts, added


def _features(samples: np.ndarray, rate_hz: int, hop_samples: int, pooled: int) -> np.ndarray:
    """MFCCs and deltas `[F, 26]` of samples within silence, at `hop_samples / FRAME_S` Hz, the
    mean of each `pooled` frames."""
    padded = np.pad(samples.astype(np.float32), round(_MARGIN_S * rate_hz))
    common_hz = round(hop_samples / FRAME_S)
    cepstra = mel_cepstra(
        soxr.resample(padded, rate_hz, common_hz),
        common_hz,
        num_cepstra=13,
        num_mels=40,
        n_fft=512,
        window_samples=int(_WINDOW_S * common_hz),
        hop_samples=hop_samples,
        fmin_hz=50.0,
        range_db=_RANGE_DB,
        relative_to_peak=True,
    ).T
    parts = []
    for part in (cepstra, librosa.feature.delta(cepstra, width=9, mode="nearest")):
        spread = part.std(axis=1, keepdims=True) + 1e-6
        parts.append((part - part.mean(axis=1, keepdims=True)) / spread)
        parts[-1][0] *= _ENERGY_WEIGHT
    frames = np.concatenate(parts).T
    frames = np.pad(frames, ((0, -len(frames) % pooled), (0, 0)), mode="edge")
    return frames.reshape(-1, pooled, frames.shape[1]).mean(axis=1)


def _warped(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pairs of frames of source and target, int `[K, 2]`, from the first to the last."""
    # A constant column, because the features of a silent recording have no angle.
    source, target = (
        np.pad(side, ((0, 0), (0, 1)), constant_values=1e-3) for side in (source, target)
    )
    _, pairs = librosa.sequence.dtw(source.T, target.T, metric="cosine")
    return pairs[::-1]


def _crossings(pairs: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """Where each of `starts`, frames of the source, is in frames of the target."""
    first = np.searchsorted(pairs[:, 0], starts)
    return (pairs[np.maximum(first - 1, 0), 1] + pairs[first, 1]) / 2


def _without_short_pauses(
    units: Sequence[Span], times_s: np.ndarray
) -> tuple[list[Span], np.ndarray]:
    """Units without pauses below `MIN_PAUSE_S` between words, whose time is halved between the
    neighbours; and the starts of those that are left."""
    times_s = times_s.copy()
    kept = [True] * len(units)
    for i in range(1, len(units) - 1):
        if units[i].name == PAUSE and times_s[i + 1] - times_s[i] < MIN_PAUSE_S:
            kept[i] = False
            times_s[i + 1] = times_s[i : i + 2].mean()
    return list(itertools.compress(units, kept)), times_s[kept]


def _tiling(starts: np.ndarray, length: int, min_length: int) -> np.ndarray:
    """The edges, int `[P + 1]`, of parts from 0 to `length` that begin near `starts`, `[P]`
    and the first of them ignored, each of `min_length` samples or
    more."""
    places = min_length * np.arange(len(starts) + 1)
    slack = np.maximum.accumulate(np.rint([0, *starts[1:], length]) - places)
    return (np.clip(slack, 0, length - places[-1]) + places).astype(np.int64)
