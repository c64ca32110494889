"""Training windows from a corpus, and whole recordings for scoring.

A window is a *segment* of `segment_samples`, scored, after a *context* of
`context_samples`, not scored. Segments tile each recording from its first sample,
so that an epoch scores every sample once. The context is the sound before the
segment in the same recording, and silence where the recording begins. Windows for a
recognizer or an encoder end with a *lookahead* after the segment, likewise not scored.
"""

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags

from data.audio import pitch
from data.augmentation import Augmentation
from data.corpus import Corpus
from data.errors import DataError
from data.stages import STAGES, stage, timed

Batch = dict[str, np.ndarray]
LocalFeatures = Callable[[Mapping[str, Any]], np.ndarray]
Augment = Callable[..., np.ndarray]  # as `augmentation.Augmentation`


class Shape(NamedTuple):
    """The parts of a window, in samples but for `context_frames`, the number of frames of local
    features on either side of those that cover context and segment."""

    segment_samples: int
    context_samples: int
    hop_samples: int = 1
    context_frames: int = 0
    lookahead_samples: int = 0


class Targets(NamedTuple):
    """What a recognizer learns from windows.

    Attributes:
      compute: From a recording (`Corpus.recording`) to classes, int32, -1 for none: one a frame
        of `hop_samples`, `[ceil(N / hop_samples)]`, or with `whole` those of the utterance in
        order, `[U]`.
      whole: Whether classes have no times, so that windows must hold whole recordings.
      context_frames: Frames on either side of the segment's that the recognizer sees; their
        samples are the window's lookahead and the end of its context.
    """

    compute: LocalFeatures
    whole: bool
    context_frames: int


class _FrameRange(NamedTuple):
    """`number` frames of a window from `first` on, of which the recording has those from `begin`
    to `end`."""

    first: int
    number: int
    begin: int
    end: int


class Windows(Sequence[Batch]):
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
        return self.read(index)

    def read(
        self, index: int, augment: Augment | None = None, random: np.random.Generator | None = None
    ) -> Batch:
        """Window `index`, whose sound `augment` changes with the generator `random`.

        Local features with an attribute `audio_margin_samples` are computed from the changed
        sound of the window and of so many samples around it.
        """
        recording = int(np.searchsorted(self._ends, index, side="right"))
        nth = index - (int(self._ends[recording - 1]) if recording else 0)
        segment, context, hop, _, lookahead = self._shape
        start, length = nth * segment, int(self._corpus.lengths[recording])
        stop = min(start + segment, length)
        begin, end = max(0, start - context), min(stop + lookahead, length)
        local = self._frame_range(start, length)
        if augment is None:
            sound = self._corpus.samples(recording, begin, end)
            frames = self._whole_local(recording, local)
        else:
            assert random is not None
            sound, frames = self._augmented(recording, begin, end, local, augment, random)
        samples = np.zeros(context + segment + lookahead, np.int16)
        offset = context - start
        samples[begin + offset : end + offset] = sound
        window: Batch = {"samples": samples, "mask": np.arange(segment) < stop - start}
        if self._global_labels:
            window["global"] = global_condition(self._corpus, recording, self._global_labels)
        if frames is not None:
            filler = -1 if frames.ndim == 1 else 0
            window["local"] = np.full((local.number, *frames.shape[1:]), filler, frames.dtype)
            window["local"][local.begin - local.first :][: len(frames)] = frames
        if self._targets:
            window |= self._recognition(self._targets, recording, start // hop)
        elif lookahead:
            frame = (start - context) // hop + np.arange(len(samples) // hop)
            window["frames"] = (frame >= 0) & (frame < -(-length // hop))
        return window

    def _frame_range(self, start: int, length: int) -> _FrameRange:
        """The frames of local features of the window whose segment begins at `start`."""
        segment, context, hop, context_frames, _ = self._shape
        first = (start - context) // hop - context_frames
        number = (context + segment) // hop + 2 * context_frames
        begin = max(first, 0)
        return _FrameRange(first, number, begin, max(begin, min(first + number, -(-length // hop))))

    def _whole_local(self, recording: int, local: _FrameRange) -> np.ndarray | None:
        """The window's frames among those of the whole recording."""
        if not self._local_features:
            return None
        hop = self._shape.hop_samples
        whole = _local(self._corpus, recording, self._local_features, hop)
        return whole[local.begin : local.end]

    def _augmented(
        self,
        recording: int,
        begin: int,
        end: int,
        local: _FrameRange,
        augment: Augment,
        random: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples `begin` to `end`, filtered, and the window's frames, of one stretch of the
        recording that is augmented before either is computed."""
        corpus, hop = self._corpus, self._shape.hop_samples
        length = int(corpus.lengths[recording])
        margin = getattr(self._local_features, "audio_margin_samples", None)
        # The filter needs the samples before the first; frames begin at multiples of the hop.
        context = max(0, begin - corpus.filter_order)
        first, last = context, end
        if margin is not None:
            first = max(0, min(first, local.begin * hop - margin))
            last = min(length, max(last, local.end * hop + margin))
        first = first // hop * hop
        recorded = corpus.recorded(recording, first, last)
        with stage("augmentation"):
            if _needs_voicing(augment):
                f0_hz = corpus.computed(recording, _f0_hz)
                voicing = pitch.voicing(f0_hz, first, last, corpus.sample_rate_hz)
                augment = functools.partial(augment, voicing=voicing)
            stretch = augment(recorded, random)
        within = stretch[context - first : end - first]
        if margin is None:
            sound = corpus.apply_filter(recording, within, begin, end)
            return sound, self._whole_local(recording, local)
        assert self._local_features is not None
        with stage("local_features"):
            frames = self._local_features({"audio": stretch})
        _check_num_frames(corpus.names[recording], len(frames), len(stretch), hop)
        taps, frame_taps = corpus.filter_taps, None
        if not isinstance(taps, tuple):
            frame_taps = taps.of_frames(frames[(begin - first) // hop :])
        sound = corpus.apply_filter(recording, within, begin, end, frame_taps)
        return sound, frames[local.begin - first // hop : local.end - first // hop]

    def _recognition(self, targets: Targets, recording: int, first: int) -> Batch:
        """Which frames exist from `first - context_frames` on, and their classes from `first` on
        (or the classes of the whole recording)."""
        hop, context = self._shape.hop_samples, targets.context_frames
        number = self._shape.segment_samples // hop
        existing = -(-int(self._corpus.lengths[recording]) // hop)
        frames = np.arange(first - context, first + number + context)
        if targets.whole:
            found = self._corpus.computed(recording, targets.compute)
            number = self._max_targets
        else:
            found = _local(self._corpus, recording, targets.compute, hop)[first : first + number]
        classes = np.full(number, -1, np.int32)
        classes[: len(found)] = found
        return {"frames": (frames >= 0) & (frames < existing), "classes": classes}

    def _check_whole(self, targets: Targets) -> int:
        """The maximum number of classes of a recording, once all recordings fit a window."""
        maximum = 0
        for i, name in enumerate(self._corpus.names):
            length = int(self._corpus.lengths[i])
            if length > self._shape.segment_samples:
                raise DataError(
                    f"{name} of {self._corpus.name} has {length} samples, and a window "
                    f"{self._shape.segment_samples}: without times of phones windows hold whole "
                    f"recordings, so make segment_samples at least {length}"
                )
            classes = self._corpus.computed(i, targets.compute)
            # CTC needs a blank frame between two equal classes.
            needed = len(classes) + int(np.sum(classes[1:] == classes[:-1]))
            frames = -(-length // self._shape.hop_samples)
            if not len(classes) or needed > frames:
                raise DataError(
                    f"{name} of {self._corpus.name} has {len(classes)} phones, which need {needed} "
                    f"frames, and {frames} frames: correct its transcript, or leave it out"
                )
            maximum = max(maximum, len(classes))
        return maximum


_STAGE_S = "stage_s"


class _Reader:
    """Windows of several corpora by one running index, with or without augmentation.

    Beside its arrays a window has `_STAGE_S`, the seconds of each of `STAGES` that it took.
    """

    def __init__(self, parts: Sequence[Windows], augment: Augment | None) -> None:
        self._parts, self._augment = parts, augment
        self._ends = np.cumsum([len(part) for part in parts])

    def __call__(self, index: int, random: np.random.Generator | None = None) -> Batch:
        part = int(np.searchsorted(self._ends, index, side="right"))
        within = int(index) - (int(self._ends[part - 1]) if part else 0)
        with timed() as seconds:
            window = self._parts[part].read(within, self._augment, random)
        return window | {_STAGE_S: seconds}


class WindowIterator:
    """Endless batches whose position is one number.

    The state is independent of the number of workers: batch n is the same batch
    with none and with four.

    Attributes:
      stage_s: Seconds that the batches so far took in each of `data.stages.STAGES`, by name, over
        all threads and workers that read them.
    """

    def __init__(
        self, batches: grain.MapDataset[Batch], identity: dict[str, int], num_workers: int
    ) -> None:
        self._batches, self._identity, self._num_workers = batches, identity, num_workers
        self._next_batch = 0
        self.stage_s = dict.fromkeys(STAGES, 0.0)
        self._running: list[grain.DatasetIterator[Batch]] = []
        # Stops at exit too, before the modules that grain needs for it are unloaded.
        weakref.finalize(self, _stop, self._running)

    def __iter__(self) -> "WindowIterator":
        return self

    def __next__(self) -> Batch:
        if not self._running:
            read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
            upcoming = self._batches[self._next_batch :].to_iter_dataset(read)
            if self._num_workers:
                upcoming = upcoming.mp_prefetch(
                    grain.MultiprocessingOptions(
                        num_workers=self._num_workers, per_worker_buffer_size=4
                    )
                )
            self._running.append(iter(upcoming))
        # Copied, because the workers' shared memory ends with them.
        batch = {key: np.array(value) for key, value in next(self._running[0]).items()}
        for name, seconds in zip(STAGES, batch.pop(_STAGE_S).sum(axis=0), strict=True):
            self.stage_s[name] += float(seconds)
        self._next_batch += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """The position, fit for JSON."""
        return {"next_batch": self._next_batch, "stream": self._identity}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a position that `get_state` gave.

        Raises:
          DataError: the position is of windows of another seed, corpus or shape.
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
    lookahead_samples: int = 0,
    speeds: Sequence[float] = (1.0,),
    augmentation: Augment | None = None,
    shard_index: int = 0,
    shard_count: int = 1,
    num_workers: int = 0,
) -> WindowIterator:
    """Shuffled batches of windows, epoch after epoch without end.

    The processes of a run read one global stream in turn: at each step their
    batches together are the `shard_count * batch_size` windows that a single
    process would have read, so that how a run is spread does not change it.

    Args:
      corpus: What to read.
      segment_samples: S, scored samples a window; a multiple of `hop_samples`.
      context_samples: C, samples before them; a multiple of `hop_samples`, or 0.
      hop_samples: Samples a frame of `local_features`.
      context_frames: M, frames of `local_features` to give before and after those of the
        window, where samples depend on neighbouring frames.
      batch_size: B, windows in each of this process's batches.
      seed: Of the shuffle, which differs in each epoch.
      global_labels: Names of the labels to give as `global`: a single label as its class;
        several labels, or one of `Corpus.multi_label`, as a multi-hot vector over all their
        classes in this order.
      local_features: From a recording (`Corpus.recording`) to its frames,
        `[ceil(N / hop_samples), ...]`, which are cached. Features of the sound itself, such as
        `MelFeatures`, have an attribute `audio_margin_samples`, the number of samples before
        and after a frame's own that it depends on, and need `audio` alone of a recording.
        Picklable where there are workers.
      targets: What a recognizer learns; picklable likewise.
      lookahead_samples: A, samples after the segment that an encoder is given, a multiple of
        `hop_samples`; 0 for none. Not with targets, which have their own.
      speeds: Factors at which each recording is played in every epoch; 1 leaves it unchanged.
      augmentation: From int16 samples `[N]` and a generator to other int16 samples `[N]`, such
        as `Augmentation`; picklable likewise. The generator depends on the seed and on the
        window's place in the stream. Samples and features of the sound are those of the
        augmented sound.
      shard_index: Of this process among those of the run.
      shard_count: Number of processes of the run.
      num_workers: Processes that read in advance; with 0 a thread does. They need absl's flags
        to be parsed.

    Returns:
      An iterator over dicts of `samples` int16 `[B, C + S]`, `mask` bool `[B, S]`
      (where the sample exists), and where asked for `global` int32 `[B]`, or `[B, D]`
      as a multi-hot vector, and `local` `[B, M + (C + S) / hop_samples + M, ...]`. Beyond a
      recording's ends samples are 0 and local features 0, or -1 where they are labels.
      With targets, of `context_frames` r and F = S / hop_samples frames, `samples` are
      `[B, C + S + A]`, A = r hop_samples; `frames` bool `[B, r + F + r]` tells which frames
      the recording has, and `classes` are int32 `[B, F]`, or `[B, U]` of whole recordings, -1
      where there is none. With a lookahead `samples` are `[B, C + S + A]`, and `frames` bool
      `[B, (C + S + A) / hop_samples]` tells likewise of all of them.

    Raises:
      DataError: a count that is not positive, lengths that are no multiples of
        the hop, a label that the corpus lacks, a corpus without a whole frame, an augmentation
        of local features that depend on the sound without `audio_margin_samples`, or workers
        while absl's flags are not parsed.
    """
    for name, value, minimum in (
        ("segment_samples", segment_samples, 1),
        ("context_samples", context_samples, 0),
        ("hop_samples", hop_samples, 1),
        ("context_frames", context_frames, 0),
        ("lookahead_samples", lookahead_samples, 0),
        ("batch_size", batch_size, 1),
        ("shard_count", shard_count, 1),
        ("num_workers", num_workers, 0),
        ("seed", seed, 0),
    ):
        if value < minimum:
            raise DataError(f"{name} is {value}: it must be at least {minimum}")
    for name, value in (
        ("segment_samples", segment_samples),
        ("context_samples", context_samples),
        ("lookahead_samples", lookahead_samples),
    ):
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
    if targets:
        if lookahead_samples:
            raise DataError(
                f"lookahead_samples is {lookahead_samples} beside targets, which have their own: "
                "give 0"
            )
        lookahead_samples = targets.context_frames * hop_samples
        if lookahead_samples > context_samples:
            raise DataError(
                f"context_samples is {context_samples}: it must be at least the "
                f"{lookahead_samples} of the targets' context_frames"
            )
    if num_workers and not flags.FLAGS.is_parsed():
        raise DataError(
            f"num_workers is {num_workers}, and grain's workers need absl's flags to be parsed: "
            "call absl.flags.FLAGS(sys.argv) first, or use num_workers=0"
        )
    if _needs_voicing(augmentation):
        _check_pitch(corpus)
    if augmentation and local_features:
        _check_audio_margin(corpus, local_features)
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
    reader, num_windows = _Reader(parts, augmentation), sum(map(len, parts))
    indices = grain.MapDataset.range(num_windows).shuffle(seed).repeat()
    stream = indices.seed(seed).random_map(reader) if augmentation else indices.map(reader)
    stream = stream[shard_index::shard_count]
    batches = stream.batch(batch_size, drop_remainder=True)  # no remainder: it is endless
    identity = {
        "num_windows": num_windows,
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
    indices: Sequence[int] | None = None,
) -> Iterator[dict[str, Any]]:
    """Whole recordings, one at a time: those of the indices, by default all in storage order.

    Yields:
      `recording` (its name), `samples` int16 `[N]`, and where asked for `global`
      and `local` `[ceil(N / hop_samples), ...]`, as in `training_windows`.
    """
    for i in range(len(corpus)) if indices is None else indices:
        example: dict[str, Any] = {
            "recording": corpus.names[i],
            "samples": corpus.samples(i, 0, int(corpus.lengths[i])),
        }
        if global_labels:
            example["global"] = global_condition(corpus, i, global_labels)
        if local_features:
            example["local"] = _local(corpus, i, local_features, hop_samples)
        yield example


def global_condition(corpus: Corpus, recording: int, labels: Sequence[str]) -> np.ndarray:
    """The class of a single label, int32; the multi-hot vector of several labels, or of one in
    `Corpus.multi_label`, int32 `[D]`."""
    classes = [corpus.label(recording, label) for label in labels]
    if len(labels) == 1 and labels[0] not in corpus.multi_label:
        return np.array(classes[0], np.int32)
    multi_hot = [
        np.isin(np.arange(len(corpus.class_names[label])), of_label)
        for label, of_label in zip(labels, classes, strict=True)
    ]
    return np.concatenate(multi_hot).astype(np.int32)


def _needs_voicing(augment: Augment | None) -> bool:
    return isinstance(augment, Augmentation) and augment.unvoiced_all_pass > 0


def _f0_hz(example: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(example["f0_hz"])


def _check_pitch(corpus: Corpus) -> None:
    """Refuses recordings without F0 for an augmentation of what is unvoiced."""
    if len(corpus) and "f0_hz" not in corpus.recording(0):
        raise DataError(
            f"{corpus.name} has no pitch, which tells unvoiced_all_pass what is unvoiced: prepare "
            "the corpus with --f0, or give 0"
        )


def _local(corpus: Corpus, recording: int, compute: LocalFeatures, hop_samples: int) -> np.ndarray:
    """A recording's frames, refused unless they are as many as its samples need."""
    frames = corpus.computed(recording, compute)
    length = int(corpus.lengths[recording])
    _check_num_frames(corpus.names[recording], len(frames), length, hop_samples)
    return frames


def _check_num_frames(name: str, number: int, length: int, hop_samples: int) -> None:
    if number != (needed := -(-length // hop_samples)):
        raise DataError(
            f"local_features gives {number} frames for {name}, which has {needed} of "
            f"{hop_samples} samples: use one hop for both"
        )


def _check_audio_margin(corpus: Corpus, compute: LocalFeatures) -> None:
    """Refuses features that change with the sound, but would be those of the unchanged sound."""
    if getattr(compute, "audio_margin_samples", None) is not None:
        return
    recording = corpus.recording(0)
    length = len(recording["audio"])
    noise = np.random.default_rng(0).integers(-3000, 3000, length).astype(np.int16)
    if not np.array_equal(compute(recording), compute(recording | {"audio": noise})):
        raise DataError(
            f"local_features is {compute}, which depends on the sound that augmentation changes: "
            "give it the attribute audio_margin_samples, or leave the augmentation out"
        )
