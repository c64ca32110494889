"""The audio that a model is for: sample rate, pre-emphasis, and the names of its labels.

Pre-emphasis raises high frequencies before quantisation, and de-emphasis lowers them again, and
with them the quantisation noise, which is white:

    y[n] = (x[n] - c x[n - 1]) / (1 + c),        x[n] = (1 + c) y[n] + c x[n - 1]

The division keeps every recording within 16 bits.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from wavenet_jax.config import check_min, check_share, check_types
from wavenet_jax.errors import ConfigError, InputError


@dataclasses.dataclass(frozen=True)
class AudioConfig:
    """The audio and the labels that a model is for.

    Attributes:
      sample_rate_hz: of all audio.
      pre_emphasis: the coefficient c; 0 for none.
      classes: names of the classes of each label.
      global_labels: the labels that condition a whole recording, each one of `classes`.
      multi_label: whether a recording may have several classes of the one global label.
    """

    sample_rate_hz: int
    pre_emphasis: float = 0.0
    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    global_labels: tuple[str, ...] = ()
    multi_label: bool = False

    def __post_init__(self):
        owner = "The audio"
        check_types(self, owner)
        check_min(self, owner, sample_rate_hz=1)
        check_share(self, owner, "pre_emphasis")
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

    def apply_pre_emphasis(self, samples: np.ndarray) -> np.ndarray:
        """A recording from its first sample on, int16 `[N]`, with pre-emphasis."""
        if not self.pre_emphasis:
            return samples
        return pre_emphasize(np.pad(samples, (1, 0)), self.pre_emphasis)


def pre_emphasize(samples: np.ndarray, coefficient: float) -> np.ndarray:
    """Pre-emphasis, int16 `[1 + N]` to int16 `[N]`: the first sample is only context."""
    x = samples.astype(np.float64)
    y = (x[1:] - coefficient * x[:-1]) / (1 + coefficient)
    return np.rint(y).astype(np.int16)


class DeEmphasis:
    """The inverse of `pre_emphasize`, for audio that arrives in chunks.

    Values beyond 16 bits, which generated audio may have, are clipped.
    """

    def __init__(self, coefficient: float, last: float = 0.0) -> None:
        """`last` is the sample before the first chunk, without pre-emphasis."""
        self._coefficient = coefficient
        self._state = np.array([coefficient * last])

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """int16 `[N]` to int16 `[N]`."""
        c = self._coefficient
        if not c:
            return samples
        import scipy.signal  # slow to import

        x, self._state = scipy.signal.lfilter([1 + c], [1, -c], samples, zi=self._state)
        return np.clip(np.rint(x), -32768, 32767).astype(np.int16)
