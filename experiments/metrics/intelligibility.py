"""Intelligibility of speech: recognition of digits, words and phones.

The recognisers are independent of the models of this project. Moonshine's tiny English model
(Jeffries et al., 2024, arXiv:2410.15608), which its package carries, recognises any words of a
human reader. PocketSphinx with its bundled US English model chooses between given words, and is
the better of the two for eSpeak NG's voices and for digits. It was trained on sound at 16 kHz.
Sound at 8 kHz lacks the upper octave, in which /s/ lies and which is never empty in the
recogniser's training data. So the octave is filled with a faint mirror image of the lower one and
some noise, and the lexicon of digits also lists the pronunciations that "six" has over a telephone.
Nor is silence ever digital there, so that noise is added at any rate. How faint it is where words
are recognised at 16 kHz, and the weight of the bigrams, are those with which fewest words of 150
recordings of eSpeak NG were mistaken (docs/figures.md).
"""

import collections
import functools
import itertools
import math
import pathlib
import re
import tempfile
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jiwer
import numpy as np
import pocketsphinx
import soxr

from wavenet_jax import InputError

MODELS = pathlib.Path(pocketsphinx.get_model_path()) / "en-us"
NOT_PHONES = ("SIL", "+SPN+", "+NSN+")
RATE_HZ = 16000
PAUSE_S = 0.5
PEAK = 0.3
NOISE, FAINT_NOISE = 0.003, 0.0015
IMAGE = 0.1
START, END = "<s>", "</s>"
UNIFORM_SHARE = 0.2  # of the language model
LM_WEIGHT = 9.5  # in the first pass over the sound, and so much more in the two that follow it:
LM_WEIGHTS_MORE = {"fwdflatlw": 2.0, "bestpathlw": 3.0}

LEXICON = {
    "zero": ("Z IH R OW", "Z IY R OW"),
    "one": ("W AH N", "HH W AH N"),
    "two": ("T UW",),
    "three": ("TH R IY",),
    "four": ("F AO R",),
    "five": ("F AY V",),
    "six": ("S IH K S", "S IH K F", "S IH K TH"),
    "seven": ("S EH V AH N", "F EH V AH N", "TH EH V AH N"),
    "eight": ("EY T",),
    "nine": ("N AY N",),
}
# Without the upper octave /s/ is like /f/; with it, these are heard in "eight".
TELEPHONE = {"six": ("F IH K F", "TH IH K TH", "F IH K S", "TH IH K S")}


def recognise_digits(
    samples: np.ndarray, sample_rate_hz: int, *, count: int | None = None
) -> list[str]:
    """Recognises the digits of a recording.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
      count: The number of digits, if it is given; any number otherwise.

    Returns:
      Names of digits, "zero" to "nine"; empty where none is recognised.
    """
    decoder = _digit_decoder(count, sample_rate_hz < RATE_HZ)
    return _recognise(decoder, samples, sample_rate_hz)


def recognise_words(
    samples: np.ndarray,
    sample_rate_hz: int,
    *,
    vocabulary: Collection[str],
    texts: Sequence[Sequence[str]] = (),
) -> list[str]:
    """Recognises the words of a recording by PocketSphinx.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
      vocabulary: Words to choose from, which the dictionary has.
      texts: Words of other recordings' texts, whose bigrams are likelier than other pairs of
        words (`_language_model`); without any, all words are equally likely a priori.

    Raises:
      InputError: as `pronunciations`.
    """
    decoder = _word_decoder(tuple(sorted(vocabulary)), tuple(map(tuple, texts)))
    noise = NOISE if sample_rate_hz < RATE_HZ else FAINT_NOISE
    return _recognise(decoder, samples, sample_rate_hz, noise)


def has_moonshine() -> bool:
    """Whether `transcribe` can be used: Moonshine is installed, with a model in its package."""
    return _moonshine() is not None


def transcribe(samples: np.ndarray, sample_rate_hz: int) -> list[str]:
    """Recognises the words of a recording by Moonshine's tiny English model, whatever they are.

    Words are as of `words_of`: a number that is written in digits is a mistake.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.

    Raises:
      InputError: Moonshine is not installed, or its package has no model.
    """
    transcriber = _moonshine()
    if transcriber is None:
        raise InputError(
            "moonshine-voice with its model is not installed: pip install '.[quality]' has it."
        )
    if not np.any(samples):  # for which the model has a word nevertheless
        return []
    sound = soxr.resample(samples.astype(np.float32), sample_rate_hz, RATE_HZ) / 32768
    found = transcriber.transcribe_without_streaming(sound.clip(-1, 1).tolist(), RATE_HZ)
    return words_of(" ".join(line.text for line in found.lines))


def recognise_phones(samples: np.ndarray, sample_rate_hz: int) -> list[str]:
    """Recognises the phones of a recording: names of ARPAbet, without pauses.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
    """
    phones = _recognise(_phone_decoder(), samples, sample_rate_hz)
    return [phone for phone in phones if phone not in NOT_PHONES]


def words_of(text: str) -> list[str]:
    """The words of a text as the dictionary writes them: lower case, with apostrophes."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


def knows(word: str) -> bool:
    """Whether the recogniser's dictionary has a word."""
    return word in _dictionary()


def pronunciations(word: str) -> list[str]:
    """The pronunciations of a word in the recogniser's dictionary, CMUdict: phones of ARPAbet,
    the usual pronunciation first.

    Raises:
      InputError: the dictionary does not have the word.
    """
    if word not in _dictionary():
        raise InputError(
            f"The recogniser's dictionary has no {word!r}: choose recordings of other words."
        )
    return _dictionary()[word]


def error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """Substitutions, deletions and insertions of words, or of phones, over the number of labels.

    Args:
      pairs: The labels and the recognised words of each recording; no labels are empty.
    """
    labels, recognised = zip(*((" ".join(a), " ".join(b)) for a, b in pairs), strict=True)
    return float(jiwer.wer(list(labels), list(recognised)))


def _recognise(
    decoder: pocketsphinx.Decoder, samples: np.ndarray, sample_rate_hz: int, noise: float = NOISE
) -> list[str]:
    sound = soxr.resample(samples.astype(np.float32), sample_rate_hz, RATE_HZ)
    sound = sound * (PEAK / max(1.0, float(np.abs(sound).max(initial=0))))
    if sample_rate_hz < RATE_HZ:
        sound[::2] *= 1 + IMAGE
        sound[1::2] *= 1 - IMAGE
    sound = np.pad(sound, int(PAUSE_S * RATE_HZ))
    sound = sound + np.random.default_rng(0).normal(0, noise, len(sound))
    decoder.start_utt()
    decoder.process_raw(
        np.rint(sound.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True
    )
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr.split() if hypothesis else []


def _digit_decoder(count: int | None, telephone: bool) -> pocketsphinx.Decoder:
    """A new one, which takes 15 ms: one that heard other sounds may recognise a sound otherwise."""
    decoder = pocketsphinx.Decoder(
        samprate=RATE_HZ, lm=None, dict=None, cmn="batch", wbeam=1e-40, wip=0.01, loglevel="FATAL"
    )
    for word, pronunciations in LEXICON.items():
        more = TELEPHONE.get(word, ()) if telephone else ()
        for i, phones in enumerate((*pronunciations, *more)):
            decoder.add_word(f"{word}({i + 1})" if i else word, phones, True)
    sequence = "<digit>+" if count is None else " ".join(["<digit>"] * count)
    decoder.add_jsgf_string(
        "digits",
        f"#JSGF V1.0; grammar digits; <digit> = {' | '.join(LEXICON)}; public <all> = {sequence};",
    )
    decoder.activate_search("digits")
    return decoder


@functools.cache
def _moonshine() -> Any:
    """Moonshine's transcriber; None where it, its model or a library that it needs is missing."""
    try:
        import moonshine_voice
    except (ImportError, OSError):
        return None
    folder = moonshine_voice.get_model_path("tiny-en")
    if not (folder / "encoder_model.ort").is_file():  # from 0.1 on it is downloaded
        return None
    return moonshine_voice.Transcriber(folder, moonshine_voice.ModelArch.TINY)


@functools.cache
def _word_decoder(
    vocabulary: tuple[str, ...], texts: tuple[tuple[str, ...], ...]
) -> pocketsphinx.Decoder:
    """A decoder with a language model; a grammar of many alternatives takes minutes to compile."""
    entries = [
        (word, i, phones) for word in vocabulary for i, phones in enumerate(pronunciations(word))
    ]
    dictionary = "".join(
        f"{word}{f'({i + 1})' if i else ''} {phones}\n" for word, i, phones in entries
    )
    with tempfile.TemporaryDirectory() as folder:
        words, model = pathlib.Path(folder, "words.dict"), pathlib.Path(folder, "words.lm")
        words.write_text(dictionary)
        model.write_text(_language_model(vocabulary, texts))
        return pocketsphinx.Decoder(
            samprate=RATE_HZ,
            lm=str(model),
            dict=str(words),
            lw=LM_WEIGHT,
            **{name: LM_WEIGHT + more for name, more in LM_WEIGHTS_MORE.items()},
            cmn="batch",
            loglevel="FATAL",
        )


def _language_model(vocabulary: Sequence[str], texts: Sequence[Sequence[str]]) -> str:
    """A bigram model in ARPA's format: `p(b|a) = 0.8 n(a, b) / n(a) + 0.2 / V`, uniform where
    the texts have no `a` before a word of the vocabulary or the end, whose sum is V."""
    known = set(vocabulary)
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    for text in texts:
        words = [START, *text, END]
        pairs.update((a, b) for a, b in itertools.pairwise(words) if {a, b} <= known | {START, END})
    before: collections.Counter[str] = collections.Counter()
    for (a, _), number in pairs.items():
        before[a] += number
    uniform = 1 / (len(vocabulary) + 1)

    def unigram(word: str, log10: float) -> str:
        back_off = f" {math.log10(UNIFORM_SHARE):.4f}" if word in before else ""
        return f"{log10:.4f} {word}{back_off}\n"

    unigrams = [unigram(START, -99.0)]
    unigrams += [unigram(word, math.log10(uniform)) for word in (END, *vocabulary)]
    bigrams = [
        f"{math.log10((1 - UNIFORM_SHARE) * number / before[a] + UNIFORM_SHARE * uniform):.4f} "
        f"{a} {b}\n"
        for (a, b), number in sorted(pairs.items())
    ]
    counts = f"\\data\\\nngram 1={len(unigrams)}\n"
    counts += f"ngram 2={len(bigrams)}\n" if bigrams else ""
    sections = f"\n\\1-grams:\n{''.join(unigrams)}"
    sections += f"\n\\2-grams:\n{''.join(bigrams)}" if bigrams else ""
    return f"{counts}{sections}\n\\end\\\n"


@functools.cache
def _phone_decoder() -> pocketsphinx.Decoder:
    return pocketsphinx.Decoder(
        samprate=RATE_HZ,
        lm=None,
        dict=None,
        allphone=str(MODELS / "en-us-phone.lm.bin"),
        lw=2.0,
        beam=1e-20,
        pbeam=1e-20,
        cmn="batch",
        loglevel="FATAL",
    )


@functools.cache
def _dictionary() -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for line in (MODELS / "cmudict-en-us.dict").read_text().splitlines():
        word, phones = line.split(maxsplit=1)
        words.setdefault(word.split("(")[0], []).append(phones)
    return words
