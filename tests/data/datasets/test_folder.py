"""Any folder of recordings: what is read, labelled, split, dropped and refused."""

import logging
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import noise, write

import data
from data.builders.splitting import by_hash
from data.datasets.folder.folder_dataset_builder import labels_of


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    for i in range(6):
        write(tmp_path / "in" / ("even" if i % 2 == 0 else "odd") / f"{i}.wav", noise(300 + i, i))
    return tmp_path / "in"


def everything(name: str, data_dir: pathlib.Path) -> dict[str, np.ndarray]:
    samples = {}
    for split in ("train", "validation", "test"):
        try:
            corpus = data.load(name, data_dir, split)
        except data.DataError:
            continue
        for i in range(len(corpus)):
            assert corpus.names[i] not in samples
            samples[corpus.names[i]] = corpus.recording(i)["audio"]
    return samples


def test_every_recording_is_in_one_split_to_the_bit(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    data.build("folder", data_dir=tmp_path / "out", source=source)
    stored = everything("folder", tmp_path / "out")
    assert sorted(stored) == [f"even/{i}.wav" for i in (0, 2, 4)] + [
        f"odd/{i}.wav" for i in (1, 3, 5)
    ]
    for name, samples in stored.items():
        i = int(name.split("/")[1][0])
        np.testing.assert_array_equal(samples, noise(300 + i, i))


def test_labels_from_folders(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    data.build("folder", data_dir=tmp_path / "out", source=source, labels="folders")
    corpus = data.load("folder", tmp_path / "out", "train")
    assert corpus.class_names == {"label": ("even", "odd")}
    for i, name in enumerate(corpus.names):
        assert corpus.class_names["label"][corpus.label(i, "label")] == name.split("/")[0]
    with pytest.raises(data.DataError, match="no label 'speaker': it has label"):
        corpus.label(0, "speaker")


def test_labels_that_do_not_fit_are_refused(tmp_path: pathlib.Path) -> None:
    names = ["a.wav", "x/b.wav"]
    table = tmp_path / "labels.csv"
    with pytest.raises(data.DataError, match=r"a\.wav lies in no sub-folder"):
        labels_of(names, "folders")
    with pytest.raises(data.DataError, match="neither none, folders nor a CSV"):
        labels_of(names, "speakers")
    table.write_bytes(b"path,label\na.wav,\xe9\n")
    with pytest.raises(data.DataError, match=r"labels\.csv is not UTF-8"):
        labels_of(names, str(table))
    table.write_text("file,class\na.wav,1\n")
    with pytest.raises(data.DataError, match="begins with 'file,class': it needs a header"):
        labels_of(names, str(table))
    table.write_text("path,label\na.wav,1\n")
    with pytest.raises(data.DataError, match=r"no label to x/b\.wav"):
        labels_of(names, str(table))
    table.write_text("path,label\na.wav,1\nx/b.wav,2\nc.wav,1\n")
    with pytest.raises(data.DataError, match=r"names c\.wav, which is no recording"):
        labels_of(names, str(table))
    table.write_text("path,label\na.wav,1\nx/b.wav,2\n")
    assert labels_of(names, str(table)) == {
        "a.wav": {"label": "1"},
        "x/b.wav": {"label": "2"},
    }


@given(st.lists(st.text(min_size=1, max_size=4), min_size=2, max_size=60, unique=True))
def test_splits_partition_and_never_lack_train_or_validation(names: list[str]) -> None:
    splits = by_hash(names)
    assert sorted(name for part in splits.values() for name in part) == sorted(names)
    assert splits["train"]
    assert splits["validation"]
    assert splits == {key: [n for n in names if n in part] for key, part in splits.items()}


@given(st.integers(6, 60), st.integers(1, 5))
def test_as_many_validate_as_must(count: int, least: int) -> None:
    names = [f"{i}.wav" for i in range(count)]
    plain, splits = by_hash(names), by_hash(names, min_validation=least)
    assert sorted(name for part in splits.values() for name in part) == sorted(names)
    assert len(splits["validation"]) == max(least, len(plain["validation"]))
    assert set(plain["validation"]) <= set(splits["validation"])


def test_adding_recordings_moves_none() -> None:
    names = [f"{i}.wav" for i in range(1000)]
    few, all_of_them = by_hash(names[:300]), by_hash(names)
    for split, part in few.items():
        assert set(part) <= set(all_of_them[split])
    assert 30 <= len(all_of_them["validation"]) <= 70
    assert 30 <= len(all_of_them["test"]) <= 70


def test_a_single_recording_is_cut(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "in" / "only.wav", noise(1000))
    data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "in")
    train, validation = (data.load("folder", tmp_path / "out", s) for s in ("train", "validation"))
    np.testing.assert_array_equal(train.recording(0)["audio"], noise(1000)[:900])
    np.testing.assert_array_equal(validation.recording(0)["audio"], noise(1000)[900:])
    assert validation.recording(0)["start"] == 900


def test_long_recordings_are_stored_in_pieces(counted: data.Corpus) -> None:
    assert counted.lengths.max() == 1777
    assert len(counted._pieces) == 4 + 2 + 3 + 5
    np.testing.assert_array_equal(np.diff(counted.recording(6)["audio"]), 1)


def test_the_first_bad_recording_stops_and_leaves_nothing(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    write(source / "odd" / "zz.wav", np.zeros(100, np.int16))
    with pytest.raises(data.DataError, match=r"zz\.wav is silent"):
        data.build("folder", data_dir=tmp_path / "out", source=source)
    assert not (tmp_path / "out").exists()


def test_skip_bad_drops_and_says_which(
    source: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / "odd" / "zz.wav").write_bytes(b"nothing like it" * 10)
    with caplog.at_level(logging.WARNING, logger="absl"):
        with pytest.raises(data.DataError, match="1 of 7 recordings .* max_dropped_share=0.01"):
            data.build("folder", data_dir=tmp_path / "out", source=source, skip_bad=True)
        assert not (tmp_path / "out").exists()
        allowed = {"skip_bad": True, "max_dropped_share": 0.2}
        data.build("folder", data_dir=tmp_path / "out", source=source, **allowed)
    assert len(everything("folder", tmp_path / "out")) == 6
    assert "zz.wav cannot be read as audio" in caplog.text
    assert "dropped 1 of 7 recordings" in caplog.text


def test_other_files_are_ignored_aloud(
    source: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source / "LICENSE").write_text("free")
    with caplog.at_level(logging.WARNING, logger="absl"):
        data.build("folder", data_dir=tmp_path / "out", source=source)
    assert "ignored" in caplog.text
    assert "LICENSE" in caplog.text


def test_mixed_rates_and_channels(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stereo = np.stack([noise(600), noise(600, 1)], axis=1)
    write(source / "odd" / "stereo.wav", stereo, 16000)
    out = tmp_path / "out"
    with pytest.raises(data.DataError, match=r"8000 Hz but .*stereo\.wav has 16000 Hz"):
        data.build("folder", data_dir=out, source=source)
    with pytest.raises(data.DataError, match=r"1 channel.* but .*stereo\.wav has 2: .*--mono"):
        data.build("folder", data_dir=out, source=source, sample_rate_hz=8000)
    data.build("folder", data_dir=out, source=source, sample_rate_hz=8000, mono=True)
    assert len(everything("folder", out)["odd/stereo.wav"]) == 300


def test_unusable_folders(tmp_path: pathlib.Path) -> None:
    with pytest.raises(data.DataError, match="nowhere does not exist"):
        data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(data.DataError, match="empty holds no recordings"):
        data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "empty")
    with pytest.raises(data.DataError, match="--source=DIR"):
        data.build("folder", data_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_music(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """One lossy stereo movement of several pieces."""
    opus = next((shared / "bach_violin" / "minji-kim").glob("*mov4.opus"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / opus.name).symlink_to(opus)
    data.build(
        "folder", data_dir=tmp_path / "out", source=tmp_path / "in", sample_rate_hz=8000, mono=True
    )
    corpus = data.load("folder", tmp_path / "out", "train")
    assert len(corpus._pieces) > 2
    assert corpus.lengths[0] > 60 * 8000
    assert corpus.samples(0, 159_990, 160_010).std() > 0


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL]
)
def test_a_killed_build_leaves_no_corpus(
    source: pathlib.Path, tmp_path: pathlib.Path, how: signal.Signals
) -> None:
    """Stopped in the middle of writing; after SIGKILL the next build clears up."""
    out = tmp_path / "out"
    slow = (
        "import signal, time; from data.audio import reading; read = reading.read\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it\n"
        "def slowly(*args, **kwargs): time.sleep(0.5); return read(*args, **kwargs)\n"
        "reading.read = slowly\n"
        "import runpy; runpy.run_module('experiments.prepare', run_name='__main__')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, "--dataset=folder", f"--source={source}", f"--data_dir={out}"],
        cwd=pathlib.Path(__file__).parents[3],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("folder/incomplete.*/*record*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(30) != 0
    if how != signal.SIGKILL:
        assert not out.exists()
    with pytest.raises(data.DataError, match="holds no prepared corpus"):
        data.load("folder", out, "train")
    data.build("folder", data_dir=out, source=source)
    assert not list(out.glob("folder/incomplete.*"))
    assert len(everything("folder", out)) == 6
