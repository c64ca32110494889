"""The audio that a model is for: sample rate, filter, and the names of its labels.

A model may learn filtered sound, of which the generated sound is filtered back:

    y[n] = sum_k taps[k] x[n - k],      x[n] = (y[n] - sum_{k > 0} taps[k] x[n - k]) / taps[0]

Quantisation noise, and what the model gets wrong, are white in y, and have the spectrum of 1 / taps
in x: with taps made from the mean spectrum of recordings, that of the recordings, which mask it.
Pre-emphasis is the filter of order 1. Of a vocoder the taps may be those of each frame of the mel
spectrogram (`wavenet_jax.envelope`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wavenet_jax.config import check_max, check_min, check_types, from_dict
from wavenet_jax.envelope import Envelope, InverseEnvelopeFilter
from wavenet_jax.errors import ConfigError, InputError

NO_FILTER = (1.0,)
"""The taps that leave sound as it is."""

MAX_RATE_HZ = 2**20
MAX_FILTER_ORDER = 100
"""Whether the inverse is stable is computed from a matrix of the order's square."""

CLIPPED, CLIPPED_SHARE = 8, 0.001
"""Samples that filtered sound may have beyond 16 bits: so many, and that share of it."""


@dataclasses.dataclass(frozen=True)
class AudioConfig:
    """The audio and the labels that a model is for.

    Attributes:
      sample_rate_hz: of all audio.
      filter_taps: of the filter before the model, the first above 0; (1.0,) for none.
      envelope: of a filter in its place, made from the frames of the local condition.
      classes: names of the classes of each label.
      global_labels: the labels that condition a whole recording, each one of `classes`.
      multi_label: whether a recording may have several classes of the one global label.
    """

    sample_rate_hz: int
    filter_taps: tuple[float, ...] = NO_FILTER
    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    global_labels: tuple[str, ...] = ()
    multi_label: bool = False
    envelope: Envelope | None = None

    def __post_init__(self):
        owner = "The audio"
        check_types(self, owner)
        check_min(self, owner, sample_rate_hz=1)
        check_max(self, owner, sample_rate_hz=MAX_RATE_HZ)
        taps = self.filter_taps
        if len(taps) > MAX_FILTER_ORDER + 1 or not np.all(np.isfinite(taps)):
            remedy = f"give at most {MAX_FILTER_ORDER + 1} finite taps"
            raise ConfigError(owner, "filter_taps", taps, remedy)
        if not taps or not taps[0] > 0 or np.any(np.abs(np.roots(taps)) >= 1):
            remedy = "give taps of which the first is above 0 and the inverse filter is stable"
            raise ConfigError(owner, "filter_taps", taps, remedy)
        if self.envelope is not None and taps != NO_FILTER:
            remedy = f"give {NO_FILTER} beside an envelope, for there is one filter"
            raise ConfigError(owner, "filter_taps", taps, remedy)
        for label in self.global_labels:
            if label not in self.classes:
                remedy = f"use labels that have classes: {', '.join(self.classes) or 'none has'}"
                raise ConfigError(owner, "global_labels", self.global_labels, remedy)
        if self.multi_label and len(self.global_labels) != 1:
            raise ConfigError(owner, "multi_label", True, "give one global label, or use False")

    def global_condition(self, names: Sequence[str]) -> np.ndarray:
        """The global condition of a class of each global label; or of any number of classes
        of the one label, if that is a multi-label one.

        Returns:
          Of one utterance: a label, an int32 scalar; or tags, int32 `[D]`.

        Raises:
          InputError: an unknown class, or too few or too many.
        """
        if self.multi_label:
            (label,) = self.global_labels
            indices = [self._class(label, name) for name in names]
            return np.isin(np.arange(len(self.classes[label])), indices).astype(np.int32)
        if len(names) != len(self.global_labels):
            raise InputError(
                f"The label {'+'.join(names)!r} names {len(names)} classes: name one for each of "
                f"{', '.join(self.global_labels)}, joined by +."
            )
        pairs = list(zip(self.global_labels, names, strict=True))
        indices = [self._class(label, name) for label, name in pairs]
        if len(indices) == 1:
            return np.array(indices[0], np.int32)
        one_hot = [
            np.arange(len(self.classes[label])) == index
            for (label, _), index in zip(pairs, indices, strict=True)
        ]
        return np.concatenate(one_hot).astype(np.int32)

    def named_condition(self, name: str) -> np.ndarray:
        """The global condition of a class, or of several joined by "+".

        Raises:
          InputError: as `global_condition`.
        """
        # A single class may have a + in its own name, as eSpeak's voice en-us+f2.
        alone = len(self.global_labels) == 1 and name in self.classes[self.global_labels[0]]
        return self.global_condition([name] if alone else name.split("+"))

    def _class(self, label: str, name: str) -> int:
        classes = self.classes[label]
        if name not in classes:
            raise InputError(f"There is no {label} {name!r}: use one of {', '.join(classes)}.")
        return classes.index(name)

    def apply_filter(self, samples: np.ndarray, frames: np.ndarray | None = None) -> np.ndarray:
        """A recording from its first sample on, int16 `[N]`, as the model takes it.

        Args:
          samples: int16 `[N]`.
          frames: of the local condition from the first sample on, `[F, M]`, for `envelope`.

        Raises:
          InputError: it is so loud that the filter, scaled for other recordings, clips it; or
            there are fewer frames than samples.
        """
        if self.envelope is not None:
            return self._excitation(self.envelope, samples, frames)
        if self.filter_taps == NO_FILTER:
            return samples
        y = np.rint(filtered(samples, np.array(self.filter_taps)))
        clipped = int(np.count_nonzero((y < -32768) | (y > 32767)))
        if clipped > CLIPPED + CLIPPED_SHARE * len(y):
            raise InputError(
                f"{clipped} of {len(y)} samples of the recording pass full scale in the model's "
                "filter, which was scaled for the recordings it was trained on: lower its level."
            )
        return y.clip(-32768, 32767).astype(np.int16)

    @staticmethod
    def _excitation(
        envelope: Envelope, samples: np.ndarray, frames: np.ndarray | None
    ) -> np.ndarray:
        number = 0 if frames is None else len(frames)
        if frames is None or number * envelope.hop_samples < len(samples):
            raise InputError(
                f"The recording has {len(samples)} samples, and its mel spectrogram {number} "
                f"frames: give one each {envelope.hop_samples} samples, as an array."
            )
        taps = envelope.taps(frames)[np.arange(len(samples)) // envelope.hop_samples]
        y = np.rint(filtered(samples, taps.T))
        return y.clip(-32768, 32767).astype(np.int16)

    def inverse_filter(
        self, past: np.ndarray | None = None, frames: np.ndarray | None = None
    ) -> "InverseFilter | InverseEnvelopeFilter":
        """The inverse of the filter, for audio that arrives in chunks, int16 `[N]` to int16 `[N]`.

        Args:
          past: the samples before the first chunk, not filtered; silence by default.
          frames: those of the local condition that are known, `[F, M]`, for `envelope`; it takes
            others as they arrive.
        """
        if self.envelope is None:
            return InverseFilter(self.filter_taps, past)
        inverse = InverseEnvelopeFilter(self.envelope, past)
        if frames is not None:
            inverse.take(frames)
        return inverse


def filtered(samples: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The filter's output, float64 `[N]`, of samples that silence is before.

    Args:
      samples: `[N]`.
      taps: `[p + 1]`, or those of each sample, `[p + 1, N]`.
    """
    order = len(taps) - 1
    x = np.pad(samples.astype(np.float64), (order, 0))
    y = taps[0] * x[order:]
    for k in range(1, order + 1):
        y += taps[k] * x[order - k : len(x) - k]
    return y


def audio_config(fields: Mapping[str, Any]) -> AudioConfig:
    """The audio of a checkpoint's description, `to_dict` of an `AudioConfig`.

    In descriptions without `filter_taps` the filter is that of `pre_emphasis`, its coefficient.

    Raises:
      InputError, ConfigError: as `from_dict`.
    """
    if not isinstance(fields, Mapping):
        raise InputError(f"The audio is {fields!r}: give a value for each of its fields.")
    fields = dict(fields)
    coefficient = fields.pop("pre_emphasis", 0.0)
    if not isinstance(coefficient, int | float) or not 0 <= coefficient < 1:
        remedy = "give a number from 0 up to, not including, 1"
        raise ConfigError("The audio", "pre_emphasis", coefficient, remedy)
    if coefficient:
        fields["filter_taps"] = (1 / (1 + coefficient), -coefficient / (1 + coefficient))
    return from_dict(AudioConfig, fields, "audio")


class InverseFilter:
    """The inverse of a filter, for audio that arrives in chunks.

    Values beyond 16 bits, which generated audio may have, are clipped.
    """

    def __init__(self, taps: Sequence[float], past: np.ndarray | None = None) -> None:
        """Args:
        taps: of the filter.
        past: the samples before the first chunk, not filtered; silence by default.
        """
        self._taps = np.array(taps)
        # The state of `lfilter`, direct form II transposed.
        order = len(taps) - 1
        past = np.zeros(0) if past is None else np.asarray(past, np.float64)
        last = np.pad(past, (order, 0))[len(past) :][::-1]  # the newest first
        shares = [-np.dot(self._taps[k + 1 :], last[: order - k]) for k in range(order)]
        self._state = np.array(shares) / self._taps[0]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """int16 `[N]` to int16 `[N]`."""
        if not len(self._state):
            return samples
        import scipy.signal  # slow to import

        x, self._state = scipy.signal.lfilter([1.0], self._taps, samples, zi=self._state)
        return np.clip(np.rint(x), -32768, 32767).astype(np.int16)
