"""Phones of a recognizer: their folding, the targets of training, and decoding.

A *folding* maps the phones of a corpus to the fewer that are trained on, and these to the fewer
that are scored. Frames of phones that are not trained on are left out of the loss; phones that
are not scored are left out of transcripts and of results.
"""

import functools
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import data
from data.datasets.timit import folding as timit
from data.text.linguistics import PAUSES
from experiments.configs.schema import Recognizer
from wavenet_jax import InputError
from wavenet_jax.recognition import decoding
from wavenet_jax.recognition.decoding import BigramLM, Segment
from wavenet_jax.recognition.recognizer import RecognizerConfig

DECODERS = ("viterbi", "greedy", "beam")


class Folding(NamedTuple):
    """A map of phones to classes; without it every phone is its own class.

    Attributes:
      trained: from the corpus's names to those that are trained on.
      scored: from these to those that are scored.
    """

    trained: Mapping[str, str] | None = None
    scored: Mapping[str, str] | None = None

    def trained_name(self, name: str) -> str | None:
        """The class that a phone of the corpus is trained as, None for none."""
        return name if self.trained is None else self.trained.get(name)

    def scored_name(self, name: str) -> str | None:
        """The class that a trained phone is scored as, None for none."""
        if self.scored is not None:
            return self.scored.get(name)
        return None if name in PAUSES else name


FOLDINGS = types.MappingProxyType(
    {
        # Pauses are not scored, except in TIMIT, as in the literature.
        "none": Folding(),
        "timit": Folding(timit.TO_48, timit.TO_39),
    }
)


class Phones(NamedTuple):
    """The phones of a corpus, folded.

    Attributes:
      names: those that are trained on: class k of the recognizer is `names[k]`.
      table: the class of each of the corpus's phones, -1 for none, int32.
      folding: from the corpus's phones to these.
    """

    names: tuple[str, ...]
    table: np.ndarray
    folding: Folding

    def scored(self, classes: Iterable[int]) -> list[str]:
        """Names to score, of classes of the recognizer."""
        folded = [self.folding.scored_name(self.names[k]) for k in classes]
        return [name for name in folded if name is not None]

    def transcript(self, recording: Mapping[str, Any]) -> list[str]:
        """Names to score, of a recording's labels."""
        return self.scored(phone_classes(recording, table=self.table))


def phones_of(config: Recognizer, corpus_names: Sequence[str]) -> Phones:
    """The phones of a corpus, folded as the config says.

    Raises:
      InputError: there is no such folding, or it has other phones than the corpus.
    """
    name = config.folding
    if name not in FOLDINGS:
        raise InputError(
            f"--config.recognizer.folding is {name!r}: use one of {', '.join(FOLDINGS)}."
        )
    folding = FOLDINGS[name]
    trained = [folding.trained_name(phone) for phone in corpus_names]
    names = tuple(sorted({phone for phone in trained if phone is not None}))
    if len(names) < 2:
        raise InputError(
            f"--config.recognizer.folding is {name!r}, which leaves {len(names)} of the corpus's "
            f"phones {', '.join(corpus_names)}: use 'none'."
        )
    table = [-1 if phone is None else names.index(phone) for phone in trained]
    return Phones(names, np.array(table, np.int32), folding)


def phone_classes(recording: Mapping[str, Any], *, table: np.ndarray) -> np.ndarray:
    """The classes of a recording's phones, in order, int32 `[U]`."""
    classes = table[np.asarray(recording["phones"], np.int64)]
    return classes[classes >= 0].astype(np.int32)


def frame_classes(
    recording: Mapping[str, Any], *, table: np.ndarray, hop_samples: int
) -> np.ndarray:
    """The class of each frame, int32 `[F]`, -1 where it is none."""
    return table[data.frame_labels(recording, hop_samples=hop_samples)].astype(np.int32)


def targets(phones: Phones, config: RecognizerConfig) -> data.Targets:
    """The targets of the training windows of a recognizer."""
    if config.loss == "ctc":
        compute = functools.partial(phone_classes, table=phones.table)
        return data.Targets(compute, whole=True, context_frames=config.context_frames)
    compute = functools.partial(frame_classes, table=phones.table, hop_samples=config.hop_samples)
    return data.Targets(compute, whole=False, context_frames=config.context_frames)


def bigram_lm(phones: Phones, config: Recognizer, corpus: data.Corpus) -> BigramLM:
    """Bigrams, priors and minimum durations of a corpus's transcripts.

    Raises:
      InputError: the corpus has no phones.
    """

    def segments(recording: Mapping[str, Any]) -> list[Segment]:
        classes = phones.table[np.asarray(recording["phones"], np.int64)]
        if "phone_starts" not in recording:
            return [Segment(int(label), i, i + 1) for i, label in enumerate(classes)]
        starts, ends = (
            np.rint(np.asarray(recording[key]) / config.hop_samples).astype(int)
            for key in ("phone_starts", "phone_ends")
        )
        return [
            Segment(int(label), int(start), max(int(end), int(start) + 1))
            for label, start, end in zip(classes, starts, ends, strict=True)
        ]

    return BigramLM.fit(
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
    """The phones of a recording's posteriors.

    Args:
      log_probs: log posteriors of the frames, `[F, K]` (`wavenet_jax.recognition.posteriors`).
      model: language model of the phones.
      is_ctc: whether the recognizer was trained with CTC.
      weights: `prior_weight`, `lm_weight` and `insertion_penalty` of `decoding.viterbi`, and
        the last two of `decoding.ctc_beam`.
      decoder: "viterbi", the default for a recognizer trained on frames; "beam", the one for
        CTC; or "greedy" for either, without a language model.

    Returns:
      Classes with their frames.

    Raises:
      InputError: there is no such decoder, or it does not suit the recognizer.
    """
    decoder = decoder or ("beam" if is_ctc else "viterbi")
    if decoder not in DECODERS:
        raise InputError(f"The decoder is {decoder!r}: use one of {', '.join(DECODERS)}.")
    if decoder == "greedy":
        return decoding.ctc_greedy(log_probs) if is_ctc else decoding.greedy(log_probs)
    if (decoder == "beam") != is_ctc:
        loss, other = ("CTC", "beam") if is_ctc else ("frames", "viterbi")
        raise InputError(
            f"The decoder is {decoder}, and the recognizer was trained with {loss}: use {other}, "
            "or greedy."
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
