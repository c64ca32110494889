"""Reading recordings: exact where it can be, refused where something would be lost."""

import logging
import pathlib
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from synthetic import noise, write

from data.audio import reading
from data.errors import DataError


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_sixteen_bits_come_through_to_the_bit(tmp_path: pathlib.Path, suffix: str) -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    samples, rate = reading.read(write(tmp_path / f"x.{suffix}", every, 11025))
    np.testing.assert_array_equal(samples, every)
    assert samples.dtype == np.int16
    assert rate == 11025


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_wider_files_are_rounded(tmp_path: pathlib.Path, subtype: str) -> None:
    exact = np.array([0.25, -0.25, 100.4, -100.6, 32767.4, -32768.0])
    samples, _ = reading.read(write(tmp_path / "x.wav", exact / 32768, subtype=subtype))
    assert samples.tolist() == [0, 0, 100, -101, 32767, -32768]


def test_full_scale_float_stays_at_full_scale(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "x.wav", np.array([1.0, -1.0, 0.0] + [0.0] * 500), subtype="FLOAT")
    assert reading.read(path)[0][:3].tolist() == [32767, -32768, 0]


@given(st.lists(st.floats(-1, 1, width=32), min_size=1))
def test_rounding_moves_at_most_half_a_step(values: list[float]) -> None:
    scaled = np.array(values, np.float32) * 32768
    moved = np.abs(reading.to_int16(scaled) - scaled)
    assert (moved[scaled < 32767] <= 0.5).all()


@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
def test_lossy_formats_are_read_whole(tmp_path: pathlib.Path, suffix: str) -> None:
    tone = 0.5 * np.sin(np.arange(48000) * 2 * np.pi * 440 / 48000)
    formats = {"opus": {"format": "OGG", "subtype": "OPUS"}}
    path = write(tmp_path / f"x.{suffix}", tone, 48000, **formats.get(suffix, {}))
    samples, rate = reading.read(path)
    assert rate == 48000
    assert len(samples) >= 48000
    spectrum = np.abs(np.fft.rfft(samples[:48000]))
    assert spectrum.argmax() == 440


def test_mixing_averages(tmp_path: pathlib.Path) -> None:
    both = np.stack([noise(100, 1), noise(100, 2)], axis=1)
    path = write(tmp_path / "x.wav", both)
    with pytest.raises(DataError, match="2 channels.*--mono"):
        reading.read(path)
    samples, _ = reading.read(path, mono=True)
    np.testing.assert_array_equal(samples, np.rint(both.astype(float).mean(axis=1)))


def test_resampling_keeps_the_tone(tmp_path: pathlib.Path) -> None:
    tone = (10000 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)).astype(np.int16)
    samples, rate = reading.read(write(tmp_path / "x.wav", tone, 16000), sample_rate_hz=8000)
    assert (len(samples), rate) == (8000, 8000)
    expected = 10000 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)
    assert np.abs(samples - expected)[100:-100].max() < 20


def test_the_same_rate_is_not_resampled(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "x.wav", noise(1000))
    np.testing.assert_array_equal(reading.read(path, sample_rate_hz=8000)[0], noise(1000))


def _cut(path: pathlib.Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_truncated(tmp_path: pathlib.Path, suffix: str, share: float) -> None:
    formats = {"opus": {"format": "OGG", "subtype": "OPUS"}}
    path = write(tmp_path / f"x.{suffix}", noise(48000 * 2), 48000, **formats.get(suffix, {}))
    reading.read(path)
    _cut(path, share)
    with pytest.raises(DataError, match=r"x\.\w+ .*truncated"):
        reading.read(path)


def test_real_opus_and_mp3_are_not_taken_for_truncated(shared: pathlib.Path) -> None:
    for path in sorted((shared / "bach_violin").rglob("*")):
        if path.suffix in reading.EXTENSIONS:
            assert reading.read_header(path).channels == 2


def test_chunks_before_the_samples_are_skipped(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "x.wav", noise(100))
    whole = path.read_bytes()
    odd = b"junk" + struct.pack("<I", 3) + b"abc\0"
    body = whole[12:36] + odd + whole[36:]
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    np.testing.assert_array_equal(reading.read(path)[0], noise(100))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match="gives 200 bytes of samples, and it has 198"):
        reading.read(path)


def test_refusals_name_the_file_and_the_reason(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.wav"

    def refused(reason: str) -> None:
        with pytest.raises(DataError, match=rf"x\.wav .*{reason}"):
            reading.read(path)

    refused("is not a file")
    path.write_bytes(b"")
    refused(r"empty \(0 bytes\)")
    path.write_bytes(b"This is a letter, not a recording. " * 20)
    refused("cannot be read as audio")
    write(path, np.zeros(0, np.int16))
    refused("no samples")
    write(path, np.full(100, 7, np.int16))
    refused("silent .every sample is 7")
    write(path, np.array([0.1, np.nan, 0.2]), subtype="FLOAT")
    refused("1 samples that are NaN or infinite")
    write(path, np.array([0.1, np.inf, -np.inf]), subtype="FLOAT")
    refused("2 samples that are NaN or infinite")
    write(path, np.array([0.1, -1.5]), subtype="FLOAT")
    refused("peaks at 1.500 times full scale")


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac"])
def test_noise_is_not_audio_whatever_its_name(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(DataError, match="cannot be|truncated|no samples"):
        reading.read(path)


def test_what_was_done_is_said_once_a_kind(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    notices = reading.Notices()
    for i in range(3):
        path = write(tmp_path / f"{i}.wav", np.stack([noise(800, i)] * 2, axis=1), 16000)
        reading.read(path, sample_rate_hz=8000, mono=True, notices=notices)
    clipped = write(tmp_path / "loud.wav", np.where(noise(500) > 0, 32767, -32768).astype(np.int16))
    reading.read(clipped, notices=notices)
    with caplog.at_level(logging.WARNING, logger="absl"):
        notices.log()
        notices.log()
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert "mixed from 2 channels to mono: 3 recording(s)" in messages[0]
    assert "resampled from 16000 to 8000 Hz: 3 recording(s)" in messages[1]
    assert "clipped" in messages[2]
    assert "loud.wav" in messages[2]


def test_differing_headers_name_both_files(tmp_path: pathlib.Path) -> None:
    paths = [
        write(tmp_path / "a.wav", noise(10), 8000),
        write(tmp_path / "b.wav", np.stack([noise(10)] * 2, axis=1), 16000),
    ]
    with pytest.raises(DataError, match=r"a\.wav has 8000 Hz but .*b\.wav has 16000 Hz.*--sample_"):
        reading.common_header(paths, any_rate=False, any_channels=True)
    with pytest.raises(DataError, match=r"a\.wav has 1 .*b\.wav has 2.*--mono"):
        reading.common_header(paths, any_rate=True, any_channels=False)
    assert reading.common_header(paths, any_rate=True, any_channels=True).sample_rate_hz == 8000


def test_the_shared_recordings_match_soundfile(shared: pathlib.Path) -> None:
    for path in sorted((shared / "fsdd" / "recordings").glob("0_george_1*.wav")):
        np.testing.assert_array_equal(reading.read(path)[0], soundfile.read(path, dtype="int16")[0])


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_longer_than_is_taken(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"long{suffix}"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 9000), 8000)
    assert len(reading.read(path, max_seconds=1.125)[0]) == 9000
    with pytest.raises(DataError, match=r"lasts longer than 1.1 s, more than is taken here: cut"):
        reading.read(path, max_seconds=1.1)
