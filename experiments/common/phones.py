"""Between recordings with phones and a recognizer: what is trained on, decoded and counted.

A corpus may tell more phones apart than are trained on, and fewer of these may be scored
apart: that is a *folding*. Frames of phones that are not trained on are left out of the loss;
phones that are not scored are left out of what was said and of what was heard.
"""

import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import data
from data.datasets.timit import folding as timit
from data.text.linguistics import PAUSES
from wavenet_jax import InputError
from wavenet_jax.recognition import decoding
from wavenet_jax.recognition.decoding import BigramLM, Segment

DECODERS = ("viterbi", "greedy", "beam")


class Folding(NamedTuple):
    """Which phones count as one; without a map every phone is its own class.

    Attributes:
      trained: from the corpus's names to those that are trained on.
      scored: from these to those that are scored.
    """

    trained: Mapping[str, str] | None = None
    scored: Mapping[str, str] | None = None

    def trained_name(self, name: str) -> str | None:
        """What a phone of the corpus is trained as, None if it is not."""
        return name if self.trained is None else self.trained.get(name)

    def scored_name(self, name: str) -> str | None:
        """What a phone that is trained on is scored as, None if it is not."""
        if self.scored is not None:
            return self.scored.get(name)
        return None if name in PAUSES else name


FOLDINGS = types.MappingProxyType(
    {
        # Pauses are not scored, for nobody says them; in TIMIT they are, as in the literature.
        "none": Folding(),
        "timit": Folding(timit.TO_48, timit.TO_39),
    }
)


class Phones(NamedTuple):
    """The phones of a corpus, folded.

    Attributes:
      names: those that are trained on: class k of the recognizer is `names[k]`.
      table: the class of each of the corpus's phones, -1 for none, int32.
      folding: what made these of those.
    """

    names: tuple[str, ...]
    table: np.ndarray
    folding: Folding

    def scored(self, classes: Iterable[int]) -> list[str]:
        """Names to score, of classes of the recognizer."""
        folded = [self.folding.scored_name(self.names[k]) for k in classes]
        return [name for name in folded if name is not None]

    def said(self, recording: Mapping[str, Any]) -> list[str]:
        """Names to score, of what a recording is labelled with."""
        return self.scored(phone_classes(recording, table=self.table))


def phones_of(config: Mapping[str, Any], corpus_names: Sequence[str]) -> Phones:
    """The phones of a corpus, as `config.recognizer` folds them.

    Raises:
      InputError: there is no such folding, or it does not know the corpus's phones.
    """
    name = config["folding"]
    if name not in FOLDINGS:
        raise InputError(f"There is no folding of phones {name!r}: use {', '.join(FOLDINGS)}.")
    folding = FOLDINGS[name]
    trained = [folding.trained_name(phone) for phone in corpus_names]
    names = tuple(sorted({phone for phone in trained if phone is not None}))
    if len(names) < 2:
        raise InputError(
            f"The folding {name!r} leaves {len(names)} of the corpus's phones "
            f"{', '.join(corpus_names)}: set config.recognizer.folding to 'none'."
        )
    table = [-1 if phone is None else names.index(phone) for phone in trained]
    return Phones(names, np.array(table, np.int32), folding)


def phone_classes(recording: Mapping[str, Any], *, table: np.ndarray) -> np.ndarray:
    """The classes of what is said, in order, int32 `[U]`."""
    classes = table[np.asarray(recording["phones"], np.int64)]
    return classes[classes >= 0].astype(np.int32)


def frame_classes(
    recording: Mapping[str, Any], *, table: np.ndarray, hop_samples: int
) -> np.ndarray:
    """The class of each frame, int32 `[F]`, -1 where it is none."""
    return table[data.frame_labels(recording, hop_samples=hop_samples)].astype(np.int32)


def targets(phones: Phones, config: Mapping[str, Any], context_frames: int) -> data.Targets:
    """What windows are to tell a recognizer of `config.recognizer`."""
    if config["loss"] == "ctc":
        compute = functools.partial(phone_classes, table=phones.table)
        return data.Targets(compute, whole=True, context_frames=context_frames)
    compute = functools.partial(
        frame_classes, table=phones.table, hop_samples=config["hop_samples"]
    )
    return data.Targets(compute, whole=False, context_frames=context_frames)


def bigram_lm(phones: Phones, config: Mapping[str, Any], corpus: data.Corpus) -> BigramLM:
    """Bigrams, priors and least durations of a corpus's transcripts.

    Raises:
      InputError: the corpus has no phones.
    """

    def segments(recording: Mapping[str, Any]) -> list[Segment]:
        classes = phones.table[np.asarray(recording["phones"], np.int64)]
        if "phone_starts" not in recording:
            return [Segment(int(label), i, i + 1) for i, label in enumerate(classes)]
        starts, ends = (
            np.rint(np.asarray(recording[key]) / config["hop_samples"]).astype(int)
            for key in ("phone_starts", "phone_ends")
        )
        return [
            Segment(int(label), int(start), max(int(end), int(start) + 1))
            for label, start, end in zip(classes, starts, ends, strict=True)
        ]

    return decoding.BigramLM.fit(
        (segments(corpus.recording(i)) for i in range(len(corpus))), len(phones.names)
    )


def decode(
    log_probs: np.ndarray,
    model: BigramLM,
    *,
    is_ctc: bool,
    weights: Mapping[str, float],
    decoder: str | None = None,
) -> list[Segment]:
    """What is heard in the posteriors of a recording.

    Args:
      log_probs: of `wavenet_jax.posteriors`.
      model: of `bigram_lm`.
      is_ctc: whether the recognizer was trained with CTC.
      weights: `prior_weight`, `lm_weight` and `insertion_penalty` of `decoding.viterbi`, and
        the last two of `decoding.ctc_beam`.
      decoder: "viterbi", the default for a recognizer trained on frames; "beam", the one for
        CTC; or "greedy" for either, without a model of sequences.

    Returns:
      Classes with their frames.

    Raises:
      InputError: there is no such decoder, or it is not for this recognizer.
    """
    decoder = decoder or ("beam" if is_ctc else "viterbi")
    if decoder not in DECODERS:
        raise InputError(f"There is no decoder {decoder!r}: use {', '.join(DECODERS)}.")
    if decoder == "greedy":
        return decoding.ctc_greedy(log_probs) if is_ctc else decoding.greedy(log_probs)
    if (decoder == "beam") != is_ctc:
        loss, other = ("CTC", "beam") if is_ctc else ("frames", "viterbi")
        raise InputError(
            f"The decoder {decoder} is not for a recognizer trained with {loss}: use {other}, or "
            "greedy."
        )
    if decoder == "viterbi":
        return decoding.viterbi(log_probs, model, **weights)
    classes = decoding.ctc_beam(
        log_probs,
        model,
        lm_weight=weights["lm_weight"],
        insertion_penalty=weights["insertion_penalty"],
    )
    return decoding.ctc_align(log_probs, classes)
