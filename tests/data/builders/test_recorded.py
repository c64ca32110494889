"""What every recorded corpus offers: silence cut, one loudness, archives."""

import logging
import pathlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import noise, write

import data
from data.builders.recorded import Clip
from data.builders.splitting import in_order


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Half a second of noise between silences of 0.3 and 0.4 s, and others at 1/10 of it."""
    quiet, loud = noise(8000, 1) // 1000, noise(4000)
    for i, gain in enumerate((1.0, 0.1, 0.1)):
        sound = np.concatenate([quiet[:2400], loud, quiet[:3200]])
        write(tmp_path / "in" / f"{i}.wav", np.rint(gain * sound).astype(np.int16))
    return tmp_path / "in"


def built(tmp_path: pathlib.Path, source: pathlib.Path, **options: object) -> dict[str, np.ndarray]:
    data.build("folder", data_dir=tmp_path / "out", source=source, **options)
    corpora = [data.load("folder", tmp_path / "out", split) for split in ("train", "validation")]
    return {
        name: corpus.recording(i)["audio"]
        for corpus in corpora
        for i, name in enumerate(corpus.names)
    }


def test_silence_is_cut_relative_to_the_recording_and_reported(
    tmp_path: pathlib.Path, source: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="absl"):
        recordings = built(tmp_path, source, trim_db=40.0)
    for samples in recordings.values():
        # Within the frames of 25 ms that see the border.
        assert 4000 <= len(samples) <= 4000 + 2 * 200
        assert np.abs(samples.astype(int)).mean() > 100
    assert "trimmed at the ends: 3 recording(s), 2.0 s in all" in caplog.text


def test_nothing_is_cut_at_0(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    whole = built(tmp_path / "whole", source)
    for name, samples in built(tmp_path / "cut", source, trim_db=0.0).items():
        np.testing.assert_array_equal(samples, whole[name])


def test_peaks_and_loudness_are_as_asked(
    tmp_path: pathlib.Path, source: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    for samples in built(tmp_path / "peak", source, peak_db=-6.0).values():
        assert np.abs(samples.astype(int)).max() == round(32768 * 10 ** (-6 / 20))
    loud = built(tmp_path / "loudness", source, loudness_lufs=-30.0)
    rms = [np.sqrt(np.mean(samples.astype(float) ** 2)) for samples in loud.values()]
    np.testing.assert_allclose(rms, rms[0], rtol=0.01)
    with caplog.at_level(logging.WARNING, logger="absl"):
        limited = built(tmp_path / "limited", source, loudness_lufs=0.0)
    assert max(np.abs(samples.astype(int)).max() for samples in limited.values()) == 32767
    assert "not to clip: 3 recording(s)" in caplog.text


def test_options_out_of_range_and_recordings_too_short_are_refused(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    for options, message in (
        ({"trim_db": 5.0}, "trim_db is 5.0: it must be between 10 and 120"),
        ({"peak_db": 1.0}, "peak_db is 1.0"),
        ({"peak_db": -1.0, "loudness_lufs": -20.0}, "give one"),
        ({"max_dropped_share": 2.0}, "max_dropped_share is 2.0"),
    ):
        with pytest.raises(data.DataError, match=message):
            built(tmp_path, source, **options)
    write(source / "short.wav", noise(2000))
    with pytest.raises(data.DataError, match=r"short\.wav has 0\.25 s .* use --peak_db"):
        built(tmp_path, source, loudness_lufs=-20.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "gztar", "bztar"])
def test_an_archive_is_as_good_as_its_folder(
    tmp_path: pathlib.Path, source: pathlib.Path, kind: str
) -> None:
    archive = pathlib.Path(shutil.make_archive(str(tmp_path / "corpus"), kind, source))
    expected = built(tmp_path / "folder", source)
    stored = built(tmp_path / "archive", archive)
    assert stored.keys() == expected.keys()
    for name, samples in stored.items():
        np.testing.assert_array_equal(samples, expected[name])
    left = [path.name for path in (tmp_path / "archive" / "out" / "folder").iterdir()]
    assert left == ["1.0.0"]
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(data.DataError, match="cannot be unpacked"):
        built(tmp_path / "damaged", archive)
    assert not (tmp_path / "damaged" / "out").exists()
    strange = source / "0.wav"
    with pytest.raises(data.DataError, match=r"0\.wav is neither a folder nor an archive"):
        built(tmp_path / "strange", strange)


def test_the_length_of_a_part_is_its_own(source: pathlib.Path) -> None:
    whole = Clip(source / "0.wav", "0.wav")
    assert whole.length_s == pytest.approx(1.2)
    assert Clip(source / "0.wav", "0.wav:1", part_s=(0.5, 0.75)).length_s == 0.25


@given(st.integers(0, 200))
def test_parts_in_order(count: int) -> None:
    names = [str(i) for i in range(count)]
    parts = in_order(names, {"train": 0.88, "validation": 0.06, "test": 0.06})
    assert [name for part in parts.values() for name in part] == names
    assert len(parts["train"]) == int(0.88 * count + 1e-9)


def test_pieces_of_one_length_each_over_its_own_range(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    """Of 9,600 samples two pieces of 4,000, whose extremes have the first and the last code."""
    pieces = built(tmp_path, source, own_range="linear", piece_samples=4000)
    assert sorted(pieces) == [f"{i}.wav:{j}" for i in range(3) for j in range(2)]
    for samples in pieces.values():
        assert len(samples) == 4000
        assert samples.min() == -32768 and samples.max() == 127 * 256
        assert not np.any(samples % 256)
    whole = built(tmp_path / "whole", source)
    loudest = whole["0.wav"][:4000].argmax()
    assert pieces["0.wav:0"][loudest] == 127 * 256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"own_range": "log"}, "own_range is 'log': it must be one of linear, mu_law"),
        ({"own_range": "linear", "peak_db": -1.0}, "peak_db and own_range are both given"),
        ({"piece_samples": 0}, "piece_samples is 0"),
        ({"piece_samples": 10**6}, "no recording of .* has 1000000 samples"),
        ({"piece_samples": 100, "f0": True}, "piece_samples goes without f0"),
        ({"piece_samples": 100, "trim_db": 40.0}, "piece_samples goes without trim_db"),
    ],
)
def test_pieces_and_ranges_that_are_refused(options, message, tmp_path, source) -> None:
    with pytest.raises(data.DataError, match=message):
        built(tmp_path, source, **options)
    assert not (tmp_path / "out").exists()


def test_pieces_of_one_recording_alone_are_refused(tmp_path, source) -> None:
    for path in sorted(source.glob("*.wav"))[1:]:
        path.unlink()
    with pytest.raises(data.DataError, match="there is one recording alone"):
        built(tmp_path, source, piece_samples=1000)
    assert not (tmp_path / "out").exists()
