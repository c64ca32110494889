"""Can speech be understood? Judged by a recogniser that knows nothing of ours.

PocketSphinx with its bundled US English model, which hears 16 kHz. Sound at 8 kHz
lacks the upper octave, in which /s/ lies and which the model has never known to be
empty. So the octave is filled with a faint mirror image of the lower one and some
noise, and the lexicon of digits also lists what "six" and "seven" sound like on a telephone.
"""

import functools
import math
import pathlib
import re
import tempfile
from collections.abc import Collection, Iterable, Sequence

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
NOISE = 0.003
IMAGE = 0.1

LEXICON = {
    "zero": ("Z IH R OW", "Z IY R OW"),
    "one": ("W AH N", "HH W AH N"),
    "two": ("T UW",),
    "three": ("TH R IY",),
    "four": ("F AO R",),
    "five": ("F AY V",),
    "six": ("S IH K S", "F IH K F", "TH IH K TH", "F IH K S", "TH IH K S", "S IH K F", "S IH K TH"),
    "seven": ("S EH V AH N", "F EH V AH N", "TH EH V AH N"),
    "eight": ("EY T",),
    "nine": ("N AY N",),
}


def recognise_digits(
    samples: np.ndarray, sample_rate_hz: int, *, count: int | None = None
) -> list[str]:
    """The digits that are heard in a recording.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
      count: How many digits were said, where that is known.

    Returns:
      Names of digits, "zero" to "nine"; empty where none is heard.
    """
    return _heard(_digit_decoder(count), samples, sample_rate_hz)


def recognise_words(
    samples: np.ndarray, sample_rate_hz: int, *, vocabulary: Collection[str]
) -> list[str]:
    """The words that are heard in a recording, each as likely as any other.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
      vocabulary: Words that may be heard, of `pronunciations`.

    Raises:
      InputError: as `pronunciations`.
    """
    return _heard(_word_decoder(tuple(sorted(vocabulary))), samples, sample_rate_hz)


def recognise_phones(samples: np.ndarray, sample_rate_hz: int) -> list[str]:
    """The phones that are heard in a recording: names of ARPAbet, pauses left out.

    Args:
      samples: Int16 `[N]`.
      sample_rate_hz: Their rate.
    """
    heard = _heard(_phone_decoder(), samples, sample_rate_hz)
    return [phone for phone in heard if phone not in NOT_PHONES]


def words_of(text: str) -> list[str]:
    """The words of a text as the dictionary writes them: lower case, with apostrophes."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


def knows(word: str) -> bool:
    """Whether the recogniser's dictionary has a word."""
    return word in _dictionary()


def pronunciations(word: str) -> list[str]:
    """How the recogniser's dictionary, CMUdict, says a word: phones of ARPAbet, the first way
    the usual one.

    Raises:
      InputError: it does not have the word.
    """
    if word not in _dictionary():
        raise InputError(
            f"The recogniser's dictionary has no {word!r}: choose recordings of other words."
        )
    return _dictionary()[word]


def error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """Substituted, deleted and inserted words, or phones, over those said.

    Args:
      pairs: What was said and what was heard; something was said in each.
    """
    said, heard = zip(*((" ".join(a), " ".join(b)) for a, b in pairs), strict=True)
    return float(jiwer.wer(list(said), list(heard)))


def _heard(decoder: pocketsphinx.Decoder, samples: np.ndarray, sample_rate_hz: int) -> list[str]:
    sound = soxr.resample(samples.astype(np.float32), sample_rate_hz, RATE_HZ)
    sound = sound * (PEAK / max(1.0, float(np.abs(sound).max(initial=0))))
    if sample_rate_hz < RATE_HZ:
        sound[::2] *= 1 + IMAGE
        sound[1::2] *= 1 - IMAGE
    sound = np.pad(sound, int(PAUSE_S * RATE_HZ))
    sound = sound + np.random.default_rng(0).normal(0, NOISE, len(sound))
    decoder.start_utt()
    decoder.process_raw(
        np.rint(sound.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True
    )
    decoder.end_utt()
    heard = decoder.hyp()
    return heard.hypstr.split() if heard else []


@functools.cache
def _digit_decoder(count: int | None) -> pocketsphinx.Decoder:
    decoder = pocketsphinx.Decoder(
        samprate=RATE_HZ, lm=None, dict=None, cmn="batch", wbeam=1e-40, wip=0.01, loglevel="FATAL"
    )
    for word, pronunciations in LEXICON.items():
        for i, phones in enumerate(pronunciations):
            decoder.add_word(f"{word}({i + 1})" if i else word, phones, True)
    said = "<digit>+" if count is None else " ".join(["<digit>"] * count)
    decoder.add_jsgf_string(
        "digits",
        f"#JSGF V1.0; grammar digits; <digit> = {' | '.join(LEXICON)}; public <said> = {said};",
    )
    decoder.activate_search("digits")
    return decoder


@functools.cache
def _word_decoder(vocabulary: tuple[str, ...]) -> pocketsphinx.Decoder:
    """A grammar of so many alternatives takes minutes to compile; a unigram model does not."""
    said = [
        (word, i, phones) for word in vocabulary for i, phones in enumerate(pronunciations(word))
    ]
    dictionary = "".join(
        f"{word}{f'({i + 1})' if i else ''} {phones}\n" for word, i, phones in said
    )
    each = -math.log10(len(vocabulary))
    model = "".join(f"{each:.4f} {word}\n" for word in vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        words, unigrams = pathlib.Path(folder, "words.dict"), pathlib.Path(folder, "words.lm")
        words.write_text(dictionary)
        unigrams.write_text(
            f"\\data\\\nngram 1={len(vocabulary) + 2}\n\n\\1-grams:\n-99 <s>\n{each:.4f} </s>\n"
            f"{model}\n\\end\\\n"
        )
        return pocketsphinx.Decoder(
            samprate=RATE_HZ, lm=str(unigrams), dict=str(words), cmn="batch", loglevel="FATAL"
        )


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
    known: dict[str, list[str]] = {}
    for line in (MODELS / "cmudict-en-us.dict").read_text().splitlines():
        word, phones = line.split(maxsplit=1)
        known.setdefault(word.split("(")[0], []).append(phones)
    return known
