"""Whether devices wait for data, what their readers spend the time on, and the remedy."""

from collections.abc import Mapping

import data
from experiments.configs.schema import ExperimentConfig
from wavenet_jax.parallel import num_cores

MAX_SHARE = 0.1
"""Of the time, that devices may wait for data without a line about it."""

MIN_STEPS, MIN_S = 20, 5.0
"""Over which the share is taken, at least. As many first steps, when programs are compiled and
caches filled, are left out."""

_STAGES = {
    "reading": "reading records from the disk",
    "decoding": "decoding records",
    "local_features": "computing local features",
    "augmentation": "augmentation",
    "windows": "cutting and filtering windows",
}


class DataWait:
    """How much of the time devices wait for data.

    Args:
      config: of the training.
      batches: that it reads.
    """

    def __init__(self, config: ExperimentConfig, batches: data.WindowIterator) -> None:
        self._config, self._batches = config, batches
        self._is_first, self._is_told = True, False
        self._row_s = self._row_wait_s = 0.0
        self._begin()

    def _begin(self) -> None:
        self._steps, self._s, self._wait_s = 0, 0.0, 0.0
        self._stage_s_before = dict(self._batches.stage_s)

    def add(self, step_s: float, data_wait_s: float) -> str | None:
        """Takes the times of a step (`training.fit`); gives a line, once, if devices wait for more
        than `MAX_SHARE` of the time."""
        self._row_s += step_s
        self._row_wait_s += data_wait_s
        self._steps += 1
        self._s += step_s
        self._wait_s += data_wait_s
        enough = self._steps >= max(MIN_STEPS, self._config.log_every)
        if self._is_told or not enough or (self._s < MIN_S and not self._is_first):
            return None
        share, line = self._wait_s / self._s, None
        if share > MAX_SHARE and not self._is_first:
            self._is_told = True
            stage_s = {
                name: seconds - self._stage_s_before[name]
                for name, seconds in self._batches.stage_s.items()
            }
            rate = self._steps / self._s
            line = f"Devices wait for data {min(share, 1):.0%} of the time: " + cause(
                self._config, rate, self._steps / max(self._s - self._wait_s, 1e-3), stage_s
            )
        self._is_first = False
        self._begin()
        return line

    def share(self) -> float:
        """Of the time since the last call, that devices waited for data."""
        share = min(1.0, self._row_wait_s / self._row_s) if self._row_s else 0.0
        self._row_s = self._row_wait_s = 0.0
        return share


def cause(
    config: ExperimentConfig, read: float, needed: float, stage_s: Mapping[str, float]
) -> str:
    """Why data are late: rates, the stage that takes most of the readers' time, and the remedy.

    Args:
      config: of the training.
      read: batches a second that are read.
      needed: batches a second that the steps take.
      stage_s: seconds of each stage (`WindowIterator.stage_s`).
    """
    longest = max(stage_s, key=lambda name: stage_s[name])
    share = stage_s[longest] / max(sum(stage_s.values()), 1e-9)
    return (
        f"{read:.1f} batches/s are read, and {needed:.1f} are needed; {share:.0%} of the readers' "
        f"time goes to {_STAGES[longest]}: {_remedy(config, longest)}."
    )


def _remedy(config: ExperimentConfig, stage: str) -> str:
    workers, cores = config.num_workers, num_cores()
    readers = "a machine with more cores"
    if workers < cores:
        readers = f"more --config.num_workers, which is {workers}, of {cores} cores"
    if stage == "reading":
        return f"copy the corpus to a faster disk, or give {readers}"
    augmented = config.augmentation != type(config.augmentation)()
    if augmented and stage in ("local_features", "augmentation"):
        return f"give {readers}, or less --config.augmentation"
    return f"give {readers}"
