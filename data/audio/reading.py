"""Reading recordings on disk as 16-bit mono samples, without silent losses.

The samples of 16-bit files are unchanged. All others are rounded to 16 bits once,
at the end. Refused, each with a `RecordingError`: files that are missing, empty,
truncated, not audio or silent (every sample equal), longer or faster than
`data.limits` allows, and float files that contain NaN or infinity or exceed full scale.
Logged, once a kind with counts (`Notices`): mixing to mono, resampling, limiting
overshoots of a lossy decoder or a resampler, and heavily clipped recordings (at least
`CLIPPED_SHARE` of the samples at full scale), which are kept unchanged.
"""

import collections
import dataclasses
import math
import os
import pathlib
import re
import struct
from collections.abc import Iterable
from typing import Any

import librosa
import numpy as np
import soundfile
import soxr
from absl import logging

from data.errors import DataError, RecordingError
from data.limits import MAX_RATE_HZ, MAX_SAMPLES

EXTENSIONS = (".flac", ".mp3", ".ogg", ".opus", ".wav")
CLIPPED_SHARE = 0.01
FULL_SCALE = 32768
TRIM_FRAME_S = 0.025
LOUDNESS_BLOCK_S = 0.4
MAX_PEAK = 32767 / FULL_SCALE
BLOCK_SAMPLES = 2**22
OGG_PAGE_LIMIT = 2**16
OGG_ENDS_STREAM = 0x04
NIST_HEADER_BYTES = 1024
NIST_FIELD = re.compile(rb"^(\w+) -i (\d+)$", re.MULTILINE)
NIST_SIZES = (b"sample_count", b"channel_count", b"sample_n_bytes")


@dataclasses.dataclass(frozen=True)
class Header:
    """The format of a recording, from its file's header."""

    sample_rate_hz: int
    channels: int
    length: int


class Notices:
    """Changes to recordings, counted and logged once a kind."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = collections.defaultdict(list)
        self._seconds: dict[str, float] = collections.defaultdict(float)

    def add(self, change: str, path: os.PathLike[str] | str, seconds: float = 0.0) -> None:
        """Counts a change to a recording, or to `seconds` of it."""
        self._files[change].append(str(path))
        self._seconds[change] += seconds

    def extend(self, later: "Notices") -> None:
        """Adds the changes that another counted."""
        for change, files in later._files.items():
            self._files[change] += files
            self._seconds[change] += later._seconds[change]

    def log(self) -> None:
        """Logs every kind with its count and first file, then forgets them."""
        for change, files in self._files.items():
            seconds = self._seconds[change]
            amount = f", {seconds:.1f} s in all" if seconds else ""
            logging.warning(
                "%s: %d recording(s)%s, the first %s", change, len(files), amount, files[0]
            )
        self._files.clear()
        self._seconds.clear()


def read_header(path: pathlib.Path) -> Header:
    """Rate, channels and samples of a recording, without decoding it.

    Raises:
      DataError: the file is missing, empty, not audio or visibly truncated.
    """
    with _open(path) as file:
        return Header(file.samplerate, file.channels, file.frames)


def common_header(paths: Iterable[pathlib.Path], *, any_rate: bool, any_channels: bool) -> Header:
    """The header that all recordings share, or else the first one's.

    Args:
      paths: Recordings, at least one.
      any_rate: Whether rates may differ, because all will be resampled.
      any_channels: Whether channel counts may differ, because all will be mixed.

    Raises:
      DataError: two recordings differ.
    """
    first_path, first = None, None
    for path in paths:
        header = read_header(path)
        if first is None:
            first_path, first = path, header
        if not any_rate and header.sample_rate_hz != first.sample_rate_hz:
            raise DataError(
                f"{first_path} has {first.sample_rate_hz} Hz but {path} has "
                f"{header.sample_rate_hz} Hz: resample all with --sample_rate_hz=RATE"
            )
        if not any_channels and header.channels != first.channels:
            raise DataError(
                f"{first_path} has {first.channels} channel(s) but {path} has "
                f"{header.channels}: mix all to one with --mono"
            )
    assert first is not None
    return first


def read(
    path: pathlib.Path,
    *,
    sample_rate_hz: int | None = None,
    mono: bool = False,
    notices: Notices | None = None,
    max_seconds: float = math.inf,
) -> tuple[np.ndarray, int]:
    """Reads one whole recording.

    Args:
      path: A wav, flac, ogg, opus or mp3 file.
      sample_rate_hz: Rate to resample to where the file has another; None keeps
        the file's own.
      mono: Whether to average several channels into one.
      notices: Collects the changes; None logs them at once.
      max_seconds: The longest recording that is decoded.

    Returns:
      Samples, int16 `[N]` with N > 0, and their rate in Hz.

    Raises:
      DataError: the recording is unusable (see the module's docstring), has several channels
        and `mono` is False, or is longer than `max_seconds`.
    """
    changes = notices or Notices()
    with _open(path) as file:
        exact = file.subtype == "PCM_16"
        promised, rate = file.frames, file.samplerate
        if promised > max_seconds * rate:  # no more than is promised is decoded
            raise DataError(
                f"{path} lasts longer than {max_seconds:g} s, more than is taken here: cut it"
            )
        try:
            samples: Any = _decoded(file, "int16" if exact else "float32")
        except soundfile.LibsndfileError as error:
            raise RecordingError(
                f"{path} cannot be decoded to its end ({error}): it is damaged or truncated; "
                "replace it, or leave it out"
            ) from None
        is_float = file.subtype in ("FLOAT", "DOUBLE")
    if len(samples) < promised:
        raise _truncated(path, f"{promised} samples", f"{len(samples)}")
    if not len(samples):
        raise RecordingError(f"{path} has no samples: replace it, or leave it out")
    if not exact:
        samples = _scaled(path, samples, is_float, changes)
    if samples.shape[1] > 1:
        if not mono:
            raise DataError(f"{path} has {samples.shape[1]} channels: mix them to one with --mono")
        changes.add(f"mixed from {samples.shape[1]} channels to mono", path)
        samples = samples.mean(axis=1, dtype=np.float32)
    else:
        samples = samples[:, 0]
    if sample_rate_hz not in (None, rate):
        changes.add(f"resampled from {rate} to {sample_rate_hz} Hz", path)
        length = len(samples) / rate * sample_rate_hz
        if length > MAX_SAMPLES:
            raise RecordingError(
                f"{path} has {len(samples)} samples at {rate} Hz, which are {length:.0f} at "
                f"{sample_rate_hz} Hz, more than {MAX_SAMPLES}: correct its rate, or leave it out"
            )
        samples = soxr.resample(samples.astype(np.float32), rate, sample_rate_hz)
        rate = sample_rate_hz
        if np.abs(samples).max(initial=0) > FULL_SCALE:
            changes.add("overshot full scale when resampled, limited to it", path)
    pcm = to_int16(samples)
    _check_signal(path, pcm, changes)
    if notices is None:
        changes.log()
    return pcm, rate


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Rounds samples in units of 1/32768 of full scale; int16 samples are returned unchanged."""
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.rint(samples), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def peak_db(samples: np.ndarray) -> float:
    """The peak of samples, int16 `[N]` and not all 0, in dB of full scale."""
    return float(20 * np.log10(np.abs(samples.astype(np.int32)).max() / FULL_SCALE))


def is_clipped(samples: np.ndarray) -> bool:
    """Whether `CLIPPED_SHARE` of the samples, int16 `[N]`, are at full scale."""
    at_full_scale = np.count_nonzero((samples <= 1 - FULL_SCALE) | (samples == FULL_SCALE - 1))
    return bool(at_full_scale >= CLIPPED_SHARE * len(samples))


def trimmed(
    path: pathlib.Path, samples: np.ndarray, rate_hz: int, silence_db: float, notices: Notices
) -> np.ndarray:
    """Samples without the silence at both ends.

    Args:
      path: For the notices.
      samples: int16 `[N]`.
      rate_hz: Of the samples.
      silence_db: Sound this far below the loudest `TRIM_FRAME_S` is silence.
      notices: Collects the length of the cuts.
    """
    frame = max(4, round(TRIM_FRAME_S * rate_hz))
    _, (begin, end) = librosa.effects.trim(
        samples.astype(np.float32),
        top_db=silence_db,
        frame_length=frame,
        hop_length=max(1, frame // 4),
    )
    cut = len(samples) - (end - begin)
    if cut:
        notices.add("trimmed at the ends", path, cut / rate_hz)
    return samples[begin:end]


def levelled(
    path: pathlib.Path,
    samples: np.ndarray,
    rate_hz: int,
    *,
    peak_db: float | None,
    loudness_lufs: float | None,
    notices: Notices,
) -> np.ndarray:
    """Samples at one level, int16; unchanged with neither level given.

    Args:
      path: For messages.
      samples: int16 `[N]`.
      rate_hz: Of the samples.
      peak_db: Level of the peak, in dB of full scale.
      loudness_lufs: Integrated loudness (ITU-R BS.1770-4), or as near to it as the peak
        allows.
      notices: Collects the recordings whose peak limits the loudness.

    Raises:
      DataError: the recording is too short or too quiet for its loudness to be measured.
    """
    if peak_db is None and loudness_lufs is None:
        return samples
    scaled = samples / FULL_SCALE
    peak = np.abs(scaled).max()
    if peak_db is not None:
        gain = 10 ** (peak_db / 20) / peak
    else:
        assert loudness_lufs is not None
        loudness = integrated_loudness_lufs(scaled, rate_hz)
        if not np.isfinite(loudness):
            length_s = len(samples) / rate_hz
            raise DataError(
                f"{path} has {length_s:.2f} s at a peak of {20 * np.log10(peak):.0f} dB: loudness "
                f"is that of more than {LOUDNESS_BLOCK_S} s above -70 LUFS; use --peak_db instead"
            )
        gain = 10 ** ((loudness_lufs - loudness) / 20)
        if gain * peak > MAX_PEAK:
            gain = MAX_PEAK / peak
            notices.add("quieter than --loudness_lufs asks, not to clip", path)
    return to_int16(scaled * gain * FULL_SCALE)


def integrated_loudness_lufs(samples: np.ndarray, rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770-4) of samples, float `[N]` in [-1, 1].

    It is -inf where there is none: up to `LOUDNESS_BLOCK_S`, or nowhere above -70 LUFS.
    """
    if len(samples) <= LOUDNESS_BLOCK_S * rate_hz:
        return -math.inf
    import pyloudnorm  # slow, and rarely needed

    return float(pyloudnorm.Meter(rate_hz).integrated_loudness(samples))


def _open(path: pathlib.Path) -> soundfile.SoundFile:
    """Opens a recording whose container is complete."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the path")
    if not path.stat().st_size:
        raise RecordingError(f"{path} is empty (0 bytes): replace it, or leave it out")
    _check_container(path)
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"{path} cannot be read as audio ({error}): convert it, or leave it out"
        ) from None
    if file.frames * file.channels > MAX_SAMPLES or file.samplerate > MAX_RATE_HZ:
        file.close()
        raise RecordingError(
            f"{path} has a header of {file.frames} samples, {file.channels} channels and "
            f"{file.samplerate} Hz, beyond the {MAX_SAMPLES} samples of all channels and "
            f"{MAX_RATE_HZ} Hz that are read: cut it, or leave it out"
        )
    return file


def _decoded(file: soundfile.SoundFile, dtype: str) -> np.ndarray:
    """The samples up to the end, `[N, channels]`. Memory follows them, not the header's promise."""
    blocks = []
    frames = max(1, BLOCK_SAMPLES // file.channels)
    while len(block := file.read(frames, dtype=dtype, always_2d=True)):
        blocks.append(block)
    return np.concatenate([np.zeros((0, file.channels), dtype), *blocks])


def _check_container(path: pathlib.Path) -> None:
    """Refuses truncated files that libsndfile would read without an error."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(12)[:4]
        if magic == b"RIFF":
            while len(head := file.read(8)) == 8:
                tag, length = struct.unpack("<4sI", head)
                held = size - file.tell()
                if tag == b"data":
                    if length > held:
                        raise _truncated(path, f"{length} bytes of samples", f"{held}")
                    return
                file.seek(length + length % 2, os.SEEK_CUR)
        elif magic == b"NIST":
            file.seek(0)
            fields = dict(NIST_FIELD.findall(file.read(NIST_HEADER_BYTES)))
            promised = math.prod(int(fields.get(name, 0)) for name in NIST_SIZES)
            if promised > size - NIST_HEADER_BYTES:
                raise _truncated(
                    path, f"{promised} bytes of samples", f"{size - NIST_HEADER_BYTES}"
                )
        elif magic == b"OggS":
            # Header, segment table and body of the last page: RFC 3533, section 6.
            file.seek(max(0, size - OGG_PAGE_LIMIT))
            tail = file.read()
            page = tail[tail.rfind(b"OggS") :].ljust(27, b"\0")
            segments = page[26]
            promised = 27 + segments + sum(page[27 : 27 + segments])
            if promised > len(page) or not page[5] & OGG_ENDS_STREAM:
                raise _truncated(path, "a page that ends it", "none")


def _truncated(path: pathlib.Path, promised: str, held: str) -> RecordingError:
    return RecordingError(
        f"{path} is truncated: its header gives {promised}, and it has {held}; replace it, or "
        "leave it out"
    )


def _scaled(
    path: pathlib.Path, samples: np.ndarray, is_float: bool, notices: Notices
) -> np.ndarray:
    """Float samples in units of 1/32768; refused unless finite, and within +-1 if from floats."""
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise RecordingError(
            f"{path} carries {bad} samples that are NaN or infinite: replace it, or leave it out"
        )
    if peak > 1:
        if is_float:
            raise RecordingError(
                f"{path} peaks at {peak:.3f} times full scale, which 16 bits would clip: scale it "
                "to within 1.0, or leave it out"
            )
        notices.add("decoded beyond full scale, limited to it", path)
    return np.clip(samples, -1, 1) * np.float32(FULL_SCALE)


def _check_signal(path: pathlib.Path, pcm: np.ndarray, notices: Notices) -> None:
    low, high = (int(pcm.min()), int(pcm.max())) if len(pcm) else (0, 0)
    if low == high:
        raise RecordingError(
            f"{path} is silent (every sample is {low}): replace it, or leave it out"
        )
    if is_clipped(pcm):
        notices.add(f"clipped (at least {CLIPPED_SHARE:.0%} of samples at full scale)", path)
