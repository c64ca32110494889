"""Quality and intelligibility as models of listeners estimate them: DNSMOS, PESQ, STOI.

The packages are in the extra `quality`, and `pesq`, which needs a C compiler, in an extra of its
own. Nothing is downloaded: the wheel `speechmos` has the networks of DNSMOS in it.
"""

import functools
import pathlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import ArrayLike

DNSMOS_RATE_HZ = 16000
DNSMOS_WINDOW = 144160  # samples, 9.01 s
MIN_DNSMOS_S = 0.1
PESQ_RATES_HZ = {"nb": 8000, "wb": 16000}


class UndefinedError(ValueError):
    """Raised where a figure is undefined for a sound, or its package is missing: the reason."""


class Dnsmos(NamedTuple):
    """Mean opinion scores, 1 to 5."""

    overall: float
    signal: float
    background: float


def as_float(samples: ArrayLike) -> np.ndarray:
    """Samples as float64 in [-1, 1]."""
    sound = np.asarray(samples)
    return sound / (32768.0 if sound.dtype == np.int16 else 1.0)


def dnsmos(samples: ArrayLike, sample_rate_hz: int) -> Dnsmos:
    """Overall quality, quality of the speech and of the background by DNSMOS P.835.

    Reddy, Gopal and Cutler (2022), "DNSMOS P.835: A non-intrusive perceptual objective speech
    quality metric to evaluate noise suppressors", ICASSP, whose networks the package `speechmos`
    has. They take 9.01 s at 16 kHz. Other rates are resampled; of a longer sound the scores of a
    window each second are averaged, as Microsoft's script does; a shorter one is repeated, of which
    one window is scored, where the script averages several shifts of the same. Sound of 8 kHz lacks
    the upper octave and scores lower for it: compare with recordings of the same rate.

    Args:
      samples: `[T]`, int16 or floats in [-1, 1].
      sample_rate_hz: of them.

    Raises:
      UndefinedError: the sound is silent or shorter than 0.1 s, or `speechmos` is not installed.
    """
    sound = as_float(samples)
    if len(sound) < MIN_DNSMOS_S * sample_rate_hz:
        raise UndefinedError(f"the sound is shorter than {MIN_DNSMOS_S} s")
    if not np.any(sound):
        raise UndefinedError("the sound is silent")
    scores_of = _dnsmos_network()
    sound = _resampled(sound, sample_rate_hz, DNSMOS_RATE_HZ)
    if len(sound) < DNSMOS_WINDOW:
        sound = np.resize(sound, DNSMOS_WINDOW)
    starts = range(0, len(sound) - DNSMOS_WINDOW + 1, DNSMOS_RATE_HZ)
    scores = [scores_of(sound[start : start + DNSMOS_WINDOW]) for start in starts]
    return Dnsmos(*map(float, np.mean(scores, axis=0)))


def pesq(reference: ArrayLike, degraded: ArrayLike, sample_rate_hz: int) -> float:
    """PESQ of a copy, as a mean opinion score (MOS-LQO).

    Rix, Beerends, Hollier and Hekstra (2001), "Perceptual evaluation of speech quality (PESQ)",
    ICASSP; narrow band (ITU-T P.862.1) at 8 kHz where the rate is below 16 kHz, and otherwise wide
    band (P.862.2) at 16 kHz. Figures of the two do not compare.

    Args:
      reference: the recording, `[T]`, int16 or floats in [-1, 1].
      degraded: the copy, aligned with it.
      sample_rate_hz: of both.

    Raises:
      UndefinedError: there is too little speech, or `pesq` is not installed.
    """
    try:
        import pesq as package
    except ImportError:
        raise UndefinedError(_missing("pesq", "pesq")) from None
    mode = "wb" if sample_rate_hz >= PESQ_RATES_HZ["wb"] else "nb"
    rate = PESQ_RATES_HZ[mode]
    pair = [
        _resampled(as_float(each), sample_rate_hz, rate).astype(np.float32)
        for each in (reference, degraded)
    ]
    if not all(map(np.any, pair)):
        raise UndefinedError("a sound is silent")
    try:
        return float(package.pesq(rate, *pair, mode))
    except (package.NoUtterancesError, package.BufferTooShortError):
        raise UndefinedError("PESQ finds too little speech") from None


def stoi(reference: ArrayLike, degraded: ArrayLike, sample_rate_hz: int) -> float:
    """Short-time objective intelligibility of a copy, 0 to 1.

    Taal, Hendriks, Heusdens and Jensen (2011), "An algorithm for intelligibility prediction of
    time-frequency weighted noisy speech", IEEE Transactions on Audio, Speech, and Language
    Processing 19(7).

    Args:
      reference: the recording, `[T]`, int16 or floats in [-1, 1].
      degraded: the copy, aligned with it.
      sample_rate_hz: of both.

    Raises:
      UndefinedError: the recording has less than 0.4 s of speech, or `pystoi` is not installed.
    """
    try:
        import pystoi
    except ImportError:
        raise UndefinedError(_missing("pystoi", "quality")) from None
    pair = as_float(reference), as_float(degraded)
    if not np.any(pair[0]):
        raise UndefinedError("the recording is silent")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(pystoi.stoi(*pair, sample_rate_hz))
        except (RuntimeWarning, ValueError):  # too few frames, or none, that are not silent
            raise UndefinedError("STOI takes at least 0.4 s of speech") from None


@functools.cache
def _dnsmos_network() -> Callable[[np.ndarray], tuple[float, float, float]]:
    """Overall, signal and background of one window."""
    try:
        import onnxruntime
        from speechmos import dnsmos as package
    except ImportError:
        raise UndefinedError(_missing("speechmos", "quality")) from None
    options = onnxruntime.SessionOptions()
    # Threads that spin where others compute make it several times slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = pathlib.Path(package.__file__).parent / "dnsmos_models" / "sig_bak_ovr.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def scores_of(window: np.ndarray) -> tuple[float, float, float]:
        raw = session.run(None, {"input_1": window[None].astype(np.float32)})[0][0]
        signal, background, overall = package.DNSMOS.get_polyfit_val(None, *raw, False)
        return overall, signal, background

    return scores_of


def _missing(package: str, extra: str) -> str:
    return f"{package} is not installed: pip install '.[{extra}]' has it"


def _resampled(sound: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    if from_hz == to_hz:
        return sound
    return np.clip(soxr.resample(sound, from_hz, to_hz), -1, 1)
