"""Training windows from a corpus, and whole recordings for scoring.

A window is a *segment* of `segment_samples`, scored, after a *context* of
`context_samples`, not scored. Segments tile each recording from its first sample,
so that an epoch scores every sample once. The context is the sound before the
segment in the same recording, and silence where the recording begins. What recognises
phones is also given a *lookahead* after the segment, likewise not scored.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags

from data.errors import DataError
from data.corpus import Corpus

Batch = dict[str, np.ndarray]
LocalFeatures = Callable[[Mapping[str, Any]], np.ndarray]


class Shape(NamedTuple):
    """What a window is made of, in samples; `context_frames` are the frames on either side
    of those that cover it, and with a `lookahead` frames are told of."""

    segment_samples: int
    context_samples: int
    hop_samples: int = 1
    context_frames: int = 0
    lookahead_samples: int = 0


class Targets(NamedTuple):
    """What is to be recognised in windows.

    Attributes:
      compute: From a recording (`Corpus.recording`) to classes, int32, -1 for none: of its
        frames of `hop_samples`, `[ceil(N / hop_samples)]`, or of all that is said in it in
        that order, `[U]`.
      whole: Whether they are the latter, so that windows must hold whole recordings.
      context_frames: Frames on either side of the segment's that a window tells whether the
        recording has them; their samples are its lookahead, and part of its context.
    """

    compute: LocalFeatures
    whole: bool
    context_frames: int


class Windows(grain.MapDataset[Batch]):
    """All windows of a corpus in the order of its recordings: one epoch, unshuffled.

    Element i is a dict of arrays as in `training_windows`, without the batch axis.
    """

    def __init__(
        self,
        corpus: Corpus,
        shape: Shape,
        *,
        global_labels: Sequence[str] = (),
        local_features: LocalFeatures | None = None,
        targets: Targets | None = None,
    ) -> None:
        super().__init__()
        self._corpus, self._shape = corpus, shape
        self._global_labels, self._local_features = tuple(global_labels), local_features
        self._targets, self._max_targets = targets, 0
        if corpus.lengths.max(initial=0) < shape.hop_samples:
            raise DataError(
                f"every recording of {corpus.name} ({corpus.split}) is shorter than the "
                f"{shape.hop_samples} samples of a frame: add longer ones or lower hop_samples"
            )
        counts = -(-corpus.lengths // shape.segment_samples)
        self._ends = np.cumsum(counts)
        if targets and targets.whole:
            self._max_targets = self._check_whole(targets)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.slice(index)
        index %= len(self)
        recording = int(np.searchsorted(self._ends, index, side="right"))
        nth = index - (int(self._ends[recording - 1]) if recording else 0)
        segment, context, hop, margin, lookahead = self._shape
        start, length = nth * segment, int(self._corpus.lengths[recording])
        stop = min(start + segment, length)
        samples = np.zeros(context + segment + lookahead, np.int16)
        begin, end = max(0, start - context), min(stop + lookahead, length)
        offset = context - start
        samples[begin + offset : end + offset] = self._corpus.samples(recording, begin, end)
        window: Batch = {"samples": samples, "mask": np.arange(segment) < stop - start}
        if self._global_labels:
            window["global"] = global_condition(self._corpus, recording, self._global_labels)
        if self._local_features:
            whole = _local(self._corpus, recording, self._local_features, hop)
            # In frames, of which the recording may lack some at either end.
            first = (start - context) // hop - margin
            number = (context + segment) // hop + 2 * margin
            rows = whole[max(first, 0) : max(first + number, 0)]
            filler = -1 if whole.ndim == 1 else 0
            local = np.full((number, *whole.shape[1:]), filler, whole.dtype)
            local[max(-first, 0) :][: len(rows)] = rows
            window["local"] = local
        if self._targets:
            window |= self._recognised(self._targets, recording, start // hop)
        return window

    def _recognised(self, targets: Targets, recording: int, first: int) -> Batch:
        """Which frames there are from `first` on, and what is to be recognised."""
        hop, reach = self._shape.hop_samples, targets.context_frames
        number = self._shape.segment_samples // hop
        existing = -(-int(self._corpus.lengths[recording]) // hop)
        frames = np.arange(first - reach, first + number + reach)
        if targets.whole:
            found = self._corpus.computed(recording, targets.compute)
            number = self._max_targets
        else:
            found = _local(self._corpus, recording, targets.compute, hop)[first : first + number]
        classes = np.full(number, -1, np.int32)
        classes[: len(found)] = found
        return {"frames": (frames >= 0) & (frames < existing), "classes": classes}

    def _check_whole(self, targets: Targets) -> int:
        """The most that is said in a recording, all of which fit a window."""
        most = 0
        for i, name in enumerate(self._corpus.names):
            length = int(self._corpus.lengths[i])
            if length > self._shape.segment_samples:
                raise DataError(
                    f"{name} of {self._corpus.name} has {length} samples, and a window "
                    f"{self._shape.segment_samples}: where it is not known when each phone sounds "
                    f"windows hold whole recordings, so make segment_samples at least {length}"
                )
            said = self._corpus.computed(i, targets.compute)
            # Between two of a kind there must be a frame of neither.
            needed = len(said) + int(np.sum(said[1:] == said[:-1]))
            frames = -(-length // self._shape.hop_samples)
            if not len(said) or needed > frames:
                raise DataError(
                    f"{name} of {self._corpus.name} has {len(said)} phones, which need {needed} "
                    f"frames, and {frames} frames: correct its transcript, or leave it out"
                )
            most = max(most, len(said))
        return most


class WindowIterator:
    """Endless batches whose position is one number, whoever computes them.

    The state is independent of the number of workers: batch n is the same batch
    with none and with four.
    """

    def __init__(
        self, batches: grain.MapDataset[Batch], identity: dict[str, int], num_workers: int
    ) -> None:
        self._batches, self._identity, self._num_workers = batches, identity, num_workers
        self._next_batch = 0
        self._running: list[grain.DatasetIterator[Batch]] = []
        # Stops at exit too, while the modules that grain needs for it still stand.
        weakref.finalize(self, _stop, self._running)

    def __iter__(self) -> "WindowIterator":
        return self

    def __next__(self) -> Batch:
        if not self._running:
            read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
            ahead = self._batches[self._next_batch :].to_iter_dataset(read)
            if self._num_workers:
                if not flags.FLAGS.is_parsed():
                    flags.FLAGS.mark_as_parsed()  # grain reads flags of its own to start workers
                ahead = ahead.mp_prefetch(
                    grain.MultiprocessingOptions(
                        num_workers=self._num_workers, per_worker_buffer_size=4
                    )
                )
            self._running.append(iter(ahead))
        # Copied, because workers hand over shared memory that outlives its owner badly.
        batch = {key: np.array(value) for key, value in next(self._running[0]).items()}
        self._next_batch += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """Where the iterator stands, fit for JSON."""
        return {"next_batch": self._next_batch, "stream": self._identity}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues exactly where the iterator stood that gave this state.

        Raises:
          DataError: it ran over other windows: another seed, corpus or shape.
        """
        for key, value in self._identity.items():
            if state["stream"].get(key) != value:
                raise DataError(
                    f"the data position was saved with {key}={state['stream'].get(key)}, but here "
                    f"it is {value}: resume with the corpus and settings of the first run"
                )
        self.close()
        self._next_batch = state["next_batch"]

    def close(self) -> None:
        """Stops threads and workers; the next batch starts them again."""
        _stop(self._running)


def _stop(running: list[grain.DatasetIterator[Batch]]) -> None:
    while running:
        running.pop().close()


def training_windows(
    corpus: Corpus,
    *,
    segment_samples: int,
    context_samples: int,
    hop_samples: int = 1,
    context_frames: int = 0,
    batch_size: int,
    seed: int,
    global_labels: Sequence[str] = (),
    local_features: LocalFeatures | None = None,
    targets: Targets | None = None,
    speeds: Sequence[float] = (1.0,),
    distort: Callable[[Batch, np.random.Generator], Batch] | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    num_workers: int = 0,
) -> WindowIterator:
    """Shuffled batches of windows without end, epoch after epoch.

    The processes of a run read one global stream in turn: at each step their
    batches together are the `shard_count * batch_size` windows that a single
    process would have read, so that how a run is spread does not change it.

    Args:
      corpus: What to read.
      segment_samples: S, scored samples a window; a multiple of `hop_samples`.
      context_samples: C, samples before them; a multiple of `hop_samples`, or 0.
      hop_samples: Samples a frame of `local_features`.
      context_frames: M, frames before and after those of a window to give as well,
        where samples depend on neighbouring frames.
      batch_size: B, windows in each of this process's batches.
      seed: Of the shuffle, which differs in each epoch.
      global_labels: Names of the labels to give as `global`: one as its class; several,
        or one of which a recording may have several classes, as a 1 for each that it has
        among all their classes, in this order.
      local_features: From a recording (`Corpus.recording`) to its frames,
        `[ceil(N / hop_samples), ...]`. Kept once computed. Must be picklable where
        there are workers.
      targets: What is to be recognised, if anything is; picklable likewise.
      speeds: At which each recording is heard in an epoch, 1 being its own.
      distort: Changes a window in place of itself, with a generator that depends on the
        seed and on the window's place in the stream; picklable likewise.
      shard_index: Which of the run's processes this is.
      shard_count: How many there are.
      num_workers: Processes that read ahead; with 0 a thread does.

    Returns:
      An iterator over dicts of `samples` int16 `[B, C + S]`, `mask` bool `[B, S]`
      (where the sample exists), and where asked for `global` int32 `[B]`, or `[B, D]`
      of several labels, and `local` `[B, M + (C + S) / hop_samples + M, ...]`. Beyond a
      recording's ends samples are 0 and local features 0, or -1 where they are labels.
      With targets, of reach r and F = S / hop_samples frames, `samples` are `[B, C + S + A]`,
      A = r hop_samples; `frames` bool `[B, r + F + r]` are those that the recording has, and
      `classes` int32 `[B, F]`, or `[B, U]` of whole recordings, -1 where there is none.

    Raises:
      DataError: a count that is not positive, lengths that are no multiples of
        the hop, a label that the corpus lacks, or a corpus without a whole frame.
    """
    for name, value, least in (
        ("segment_samples", segment_samples, 1),
        ("context_samples", context_samples, 0),
        ("hop_samples", hop_samples, 1),
        ("context_frames", context_frames, 0),
        ("batch_size", batch_size, 1),
        ("shard_count", shard_count, 1),
        ("num_workers", num_workers, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise DataError(f"{name} is {value}: it must be at least {least}")
    for name, value in (("segment_samples", segment_samples), ("context_samples", context_samples)):
        if value % hop_samples:
            raise DataError(
                f"{name} is {value}: it must be a multiple of hop_samples={hop_samples}"
            )
    if seed >= 2**32:
        raise DataError(f"seed is {seed}: it must be below 2**32")
    if not 0 <= shard_index < shard_count:
        raise DataError(f"shard_index is {shard_index}: it must be below shard_count={shard_count}")
    if global_labels:
        global_condition(corpus, 0, global_labels)
    lookahead_samples = targets.context_frames * hop_samples if targets else 0
    if lookahead_samples > context_samples:
        raise DataError(
            f"context_samples is {context_samples}: it must be at least the "
            f"{lookahead_samples} that targets reach back"
        )
    shape = Shape(segment_samples, context_samples, hop_samples, context_frames, lookahead_samples)
    parts = [
        Windows(
            corpus if speed == 1 else corpus.at_speed(speed),
            shape,
            global_labels=global_labels,
            local_features=local_features,
            targets=targets,
        )
        for speed in speeds
    ]
    windows = grain.MapDataset.concatenate(parts) if len(parts) > 1 else parts[0]
    stream = windows.shuffle(seed).repeat()
    if distort:
        stream = stream.seed(seed).random_map(distort)
    stream = stream[shard_index::shard_count]
    batches = stream.batch(batch_size, drop_remainder=True)  # there is none: it is endless
    identity = {
        "num_windows": len(windows),
        "num_samples": int(corpus.lengths.sum()),
        "segment_samples": segment_samples,
        "seed": seed,
        "global_batch_size": batch_size * shard_count,
    }
    return WindowIterator(batches, identity, num_workers)


def recordings(
    corpus: Corpus,
    *,
    global_labels: Sequence[str] = (),
    local_features: LocalFeatures | None = None,
    hop_samples: int = 1,
) -> Iterator[dict[str, Any]]:
    """Whole recordings in storage order, one at a time.

    Yields:
      `recording` (its name), `samples` int16 `[N]`, and where asked for `global`
      and `local` `[ceil(N / hop_samples), ...]`, as in `training_windows`.
    """
    for i, name in enumerate(corpus.names):
        example: dict[str, Any] = {
            "recording": name,
            "samples": corpus.samples(i, 0, int(corpus.lengths[i])),
        }
        if global_labels:
            example["global"] = global_condition(corpus, i, global_labels)
        if local_features:
            example["local"] = _local(corpus, i, local_features, hop_samples)
        yield example


def global_condition(corpus: Corpus, recording: int, labels: Sequence[str]) -> np.ndarray:
    """The class of one label, int32; or of several the multi-hot vector, int32 `[D]`."""
    classes = [corpus.label(recording, label) for label in labels]
    if len(labels) == 1 and labels[0] not in corpus.multi_label:
        return np.array(classes[0], np.int32)
    multi_hot = [
        np.isin(np.arange(len(corpus.class_names[label])), of_label)
        for label, of_label in zip(labels, classes, strict=True)
    ]
    return np.concatenate(multi_hot).astype(np.int32)


def _local(corpus: Corpus, recording: int, compute: LocalFeatures, hop_samples: int) -> np.ndarray:
    """A recording's frames, checked to be as many as its samples need."""
    frames = corpus.computed(recording, compute)
    needed = -(-int(corpus.lengths[recording]) // hop_samples)
    if len(frames) != needed:
        raise DataError(
            f"local_features gives {len(frames)} frames for {corpus.names[recording]}, which has "
            f"{needed} of {hop_samples} samples: use one hop for both"
        )
    return frames
