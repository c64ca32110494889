"""Mel spectrograms that condition a vocoder, and the Griffin-Lim algorithm as its baseline.

Frame k describes samples [k * hop, (k + 1) * hop), and its analysis window is centred on the
sample in their middle, k * hop + hop // 2. A recording has silence (zeros) before its first
sample and after its last, so that every sample lies in a frame and no frame is dropped.

The spectrogram is librosa's: magnitudes behind a periodic Hann window of `n_fft` samples,
summed by triangles on Slaney's mel scale, each of unit area. A frame holds ln(mel), not below
ln(1e-5), mapped so that -1 is that floor and +1 is ln(mel) = 2, which with `n_fft` about 1,024
full scale just reaches. Silence is therefore -1 in every band, and a frame of zeros does not
occur: zeros mark the frames beyond a recording's ends (`data.training_windows`).
"""

import dataclasses
import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Any

import librosa
import numpy as np
import threadpoolctl

from data.audio import reading
from data.errors import DataError
from data.limits import MAX_MELS, MAX_N_FFT

FLOOR = 1e-5
LN_MIN, LN_MAX = math.log(FLOOR), 2.0
"""The values of ln(mel) that frames hold as -1 and +1."""

GRIFFIN_LIM_ITERATIONS = 60


@dataclasses.dataclass(frozen=True)
class MelConfig:
    """Parameters of a mel spectrogram.

    Attributes:
      sample_rate_hz: Rate of the sound.
      hop_samples: Samples a frame.
      n_fft: Samples in the analysis window, at least `hop_samples`. `griffin_lim` needs
        windows that overlap, of two hops or more.
      num_mels: M, bands.
      fmin_hz, fmax_hz: Where the lowest band begins and the highest ends.

    Raises:
      DataError: a value out of range, or bands so narrow that no bin of the FFT falls in one.
    """

    sample_rate_hz: int
    hop_samples: int
    n_fft: int
    num_mels: int
    fmin_hz: float
    fmax_hz: float

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "hop_samples", "n_fft", "num_mels"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise DataError(f"{name} is {value}: it must be a whole number of at least 1")
        if self.n_fft > MAX_N_FFT or self.num_mels > MAX_MELS:
            raise DataError(
                f"n_fft is {self.n_fft} and num_mels {self.num_mels}: they must be at most "
                f"{MAX_N_FFT} and {MAX_MELS}"
            )
        if self.n_fft < self.hop_samples:
            raise DataError(
                f"n_fft is {self.n_fft}: it must be at least hop_samples={self.hop_samples}, or "
                "samples between the windows are in no frame"
            )
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            raise DataError(
                f"fmin_hz is {self.fmin_hz} and fmax_hz {self.fmax_hz}: they must rise within 0 "
                f"to {self.sample_rate_hz / 2:g} Hz, half the sample rate"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # empty bands are refused here
            bands = librosa.filters.mel(
                sr=self.sample_rate_hz,
                n_fft=self.n_fft,
                n_mels=self.num_mels,
                fmin=self.fmin_hz,
                fmax=self.fmax_hz,
            )
        if empty := int(np.count_nonzero(bands.max(axis=1) == 0)):
            raise DataError(
                f"num_mels is {self.num_mels}: {empty} of these bands lie between two bins of "
                f"n_fft={self.n_fft}; choose fewer bands or a longer n_fft"
            )

    @property
    def band_names(self) -> tuple[str, ...]:
        """The columns of `mel_spectrogram`, by where a band begins and ends."""
        pairs = zip(self._edges_hz[:-2], self._edges_hz[2:], strict=True)
        return tuple(f"mel {low:.1f} to {high:.1f} Hz" for low, high in pairs)

    @property
    def band_hz(self) -> tuple[float, ...]:
        """The middle of each band, where its weight is largest."""
        return tuple(float(hz) for hz in self._edges_hz[1:-1])

    @property
    def _edges_hz(self) -> np.ndarray:
        edges: np.ndarray = librosa.mel_frequencies(
            self.num_mels + 2, fmin=self.fmin_hz, fmax=self.fmax_hz
        )
        return edges

    @property
    def _lead_samples(self) -> int:
        """Zeros before a recording, which bring the first window to the first frame's middle."""
        return self.n_fft // 2 - self.hop_samples // 2


def mel_spectrogram(samples: np.ndarray, config: MelConfig) -> np.ndarray:
    """The mel spectrogram of a recording, as the module's docstring defines it.

    Args:
      samples: Int16 `[N]`, N > 0.
      config: The parameters.

    Returns:
      Float32 `[F, M]`, F = ceil(N / hop_samples): -1 in silence, about 1 at full scale.

    Raises:
      DataError: `samples` have another type or shape, or N is 0.
    """
    if samples.dtype != np.int16 or samples.ndim != 1 or not len(samples):
        raise DataError(
            f"samples have type {samples.dtype} and shape {samples.shape}: give int16 [N], N > 0"
        )
    num_frames = -(-len(samples) // config.hop_samples)
    needed = (num_frames - 1) * config.hop_samples + config.n_fft
    lead = config._lead_samples
    padded = np.pad(
        samples.astype(np.float32) / reading.FULL_SCALE, (lead, needed - lead - len(samples))
    )
    ln_mel = np.log(np.maximum(mel_amplitudes(padded, config), FLOOR))
    share = (ln_mel - LN_MIN) / (LN_MAX - LN_MIN)
    return (2 * share - 1).astype(np.float32)


def mel_amplitudes(samples: np.ndarray, config: MelConfig) -> np.ndarray:
    """Amplitudes in mel bands, before the logarithm.

    Computed in float64, because the last bits of a matrix product depend on the processor and on
    its threads, and a vocoder that is given a last bit less may draw another code.

    Args:
      samples: Float32 `[N]` of full scale 1, N >= n_fft.
      config: The parameters.

    Returns:
      Float64 `[F, M]`, frame k of the window that begins with sample k * hop_samples.
    """
    mel: np.ndarray = librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=config.sample_rate_hz,
        n_fft=config.n_fft,
        hop_length=config.hop_samples,
        center=False,
        power=1.0,
        n_mels=config.num_mels,
        fmin=config.fmin_hz,
        fmax=config.fmax_hz,
    )
    return mel.T


@dataclasses.dataclass(frozen=True)
class MelFeatures:
    """`mel_spectrogram` of a recording's `audio`, as local features for `data.training_windows`."""

    config: MelConfig

    def __call__(self, example: Mapping[str, Any]) -> np.ndarray:
        """Float32 `[F, M]` of an example with `audio`, int16 `[N]`."""
        return mel_spectrogram(np.asarray(example["audio"]), self.config)

    @property
    def audio_margin_samples(self) -> int:
        """Samples before a frame's own, or after them, that its analysis window covers."""
        lead = self.config._lead_samples
        return max(lead, self.config.n_fft - self.config.hop_samples - lead)


def mel_to_magnitudes(mel: np.ndarray, config: MelConfig) -> np.ndarray:
    """The non-negative magnitudes whose mel bands are nearest to those given.

    Args:
      mel: Of `mel_spectrogram`, `[F, M]`.
      config: The parameters of `mel`.

    Returns:
      Float32 `[1 + n_fft // 2, F]`, in librosa's order.

    Raises:
      DataError: `mel` has another number of bands.
    """
    if mel.ndim != 2 or mel.shape[1] != config.num_mels:
        raise DataError(f"mel has shape {mel.shape}: give frames of num_mels={config.num_mels}")
    ln_mel = LN_MIN + (mel.T.astype(np.float32) + 1) / 2 * (LN_MAX - LN_MIN)
    # The iterations enlarge last bits, which depend on the threads of a matrix product.
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        magnitudes: np.ndarray = librosa.feature.inverse.mel_to_stft(
            np.exp(ln_mel),
            sr=config.sample_rate_hz,
            n_fft=config.n_fft,
            power=1.0,
            fmin=config.fmin_hz,
            fmax=config.fmax_hz,
        )
    return magnitudes


def griffin_lim(mel: np.ndarray, config: MelConfig, num_samples: int) -> np.ndarray:
    """Sound with a given mel spectrogram, its phases found by iteration.

    The fast Griffin-Lim algorithm (Perraudin et al., 2013) of librosa, 60 iterations from
    phases that are always the same, so that one spectrogram gives one sound.

    Args:
      mel: Of `mel_spectrogram`, `[F, M]`.
      config: The parameters of `mel`.
      num_samples: N, of the recording, with F = ceil(N / hop_samples).

    Returns:
      Int16 `[N]`, sample n at the time of sample n of the recording.

    Raises:
      DataError: `mel` has another number of bands or of frames, or the windows do not overlap.
    """
    if len(mel) != -(-num_samples // config.hop_samples) or not len(mel):
        raise DataError(
            f"mel has {len(mel)} frames: {num_samples} samples have "
            f"{-(-num_samples // config.hop_samples)} of {config.hop_samples}, at least one"
        )
    if config.n_fft < 2 * config.hop_samples:
        raise DataError(
            f"n_fft is {config.n_fft}: Griffin-Lim needs windows of at least two hops, "
            f"{2 * config.hop_samples} samples"
        )
    # librosa 1.0 renamed the argument. (Asked here, because it imports SciPy's signals.)
    has_rng = "rng" in inspect.signature(librosa.griffinlim).parameters
    seed: dict[str, Any] = {"rng" if has_rng else "random_state": 0}
    padded = librosa.griffinlim(
        mel_to_magnitudes(mel, config),
        n_iter=GRIFFIN_LIM_ITERATIONS,
        hop_length=config.hop_samples,
        n_fft=config.n_fft,
        center=False,
        **seed,
    )
    lead = config._lead_samples
    return reading.to_int16(padded[lead : lead + num_samples] * reading.FULL_SCALE)
