"""Can spoken digits be understood? Judged by a recogniser that knows nothing of ours.

PocketSphinx with its bundled US English model, which hears 16 kHz. Sound at 8 kHz
lacks the upper octave, in which /s/ lies and which the model has never known to be
empty. So the octave is filled with a faint mirror image of the lower one and some
noise, and the lexicon also lists what "six" and "seven" sound like on a telephone.
"""

import functools
from collections.abc import Iterable, Sequence

import jiwer
import numpy as np
import pocketsphinx
import soxr

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
    sound = soxr.resample(samples.astype(np.float32), sample_rate_hz, RATE_HZ)
    sound = sound * (PEAK / max(1.0, float(np.abs(sound).max(initial=0))))
    if sample_rate_hz < RATE_HZ:
        sound[::2] *= 1 + IMAGE
        sound[1::2] *= 1 - IMAGE
    sound = np.pad(sound, int(PAUSE_S * RATE_HZ))
    sound = sound + np.random.default_rng(0).normal(0, NOISE, len(sound))
    decoder = _decoder(count)
    decoder.start_utt()
    decoder.process_raw(
        np.rint(sound.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True
    )
    decoder.end_utt()
    heard = decoder.hyp()
    return heard.hypstr.split() if heard else []


def word_error_rate(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """Substituted, deleted and inserted words over the words said.

    Args:
      pairs: What was said and what was heard, as words; something was said in each.
    """
    said, heard = zip(*((" ".join(a), " ".join(b)) for a, b in pairs), strict=True)
    return float(jiwer.wer(list(said), list(heard)))


@functools.cache
def _decoder(count: int | None) -> pocketsphinx.Decoder:
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
