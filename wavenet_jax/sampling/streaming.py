"""Frames of a local condition, all there at once or arriving while their samples are generated."""

from collections.abc import Iterator

import numpy as np

from wavenet_jax import conditioning
from wavenet_jax.config import LocalConditionConfig
from wavenet_jax.errors import InputError
from wavenet_jax.sampling.arguments import check_condition


class FrameStream:
    """A local condition, of which the frames in use are kept.

    Attributes:
      has_ended: whether no more frames will arrive.
    """

    def __init__(self, config: LocalConditionConfig, condition, batch: int):
        """Of a condition `[B, F, ...]`, or an iterator of such parts of one."""
        self._config, self._batch = config, batch
        self.hop_samples = config.hop_samples
        self.has_ended = not isinstance(condition, Iterator)
        self._arriving = iter(()) if self.has_ended else condition
        self._begin = 0  # index of the first frame that is kept
        self._frames = self._checked(condition) if self.has_ended else self._no_frames()

    @property
    def num_frames(self) -> int:
        """Frames that have arrived."""
        return self._begin + self._frames.shape[1]

    @property
    def num_samples(self) -> int:
        """Samples that the frames that have arrived cover."""
        return self.num_frames * self.hop_samples

    def require(self, num_samples: int) -> None:
        """Raises InputError where the frames that have arrived do not cover so many samples."""
        needed = -(-num_samples // self.hop_samples)
        if self.num_frames < needed:
            raise InputError(
                f"The local condition has {self.num_frames} frames of {self.hop_samples} samples, "
                f"too few for {num_samples} samples: give {needed} or ask for less."
            )

    def covering(self, start: int, length: int) -> np.ndarray:
        """As `conditioning.frames_covering`, waiting for the frames; those before are dropped."""
        hop, context = self.hop_samples, self._config.context_frames
        needed = (start + length - 1) // hop + context + 1
        while self.num_frames < needed and not self.has_ended:
            self._wait()
        unused = max(0, start // hop - context - self._begin)
        self._frames = self._frames[:, unused:]
        self._begin += unused
        return conditioning.frames_covering(
            self._config, self._frames, start - self._begin * hop, length
        )

    def _wait(self) -> None:
        try:
            arrived = self._checked(next(self._arriving))
        except StopIteration:
            self.has_ended = True
            return
        self._frames = np.concatenate([self._frames, arrived], axis=1)

    def _checked(self, condition) -> np.ndarray:
        condition = np.asarray(condition)
        check_condition(self._config, condition, "local", (self._batch, 0))
        return condition

    def _no_frames(self) -> np.ndarray:
        config = self._config
        if config.kind == "labels":
            return np.zeros((self._batch, 0), np.int32)
        dtype = np.int32 if config.kind == "tags" else np.float32
        return np.zeros((self._batch, 0, config.size), dtype)
