"""Corpora and archives that were made to do harm: refused before a library acts on them."""

import json
import pathlib
import shutil
import sys
import tarfile

import pytest

import data

HARM = """
import pathlib
pathlib.Path({mark!r}).write_text("imported")
"""


@pytest.fixture
def corpora(fsdd_dir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(fsdd_dir, tmp_path / "corpora"))


def test_no_class_that_a_corpus_names_is_imported(
    corpora: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFDS imports the module of each class in features.json."""
    mark = tmp_path / "mark"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "harm.py").write_text(HARM.format(mark=str(mark)))
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (path,) = corpora.glob("fsdd/*/features.json")
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["audio"]["pythonClassName"] = "harm.Feature"
    path.write_text(json.dumps(features))
    with pytest.raises(data.DataError, match=r"features\.json names the class 'harm.Feature'"):
        data.load("fsdd", corpora, "train")
    assert "harm" not in sys.modules
    assert not mark.exists()


def test_no_file_outside_of_a_corpus_is_opened(corpora: pathlib.Path) -> None:
    (path,) = corpora.glob("fsdd/*/dataset_info.json")
    info = json.loads(path.read_text())
    info["splits"][0]["filepathTemplate"] = "../../{DATASET}"
    path.write_text(json.dumps(info))
    with pytest.raises(data.DataError, match=r"dataset_info\.json names files '\.\./\.\./"):
        data.load("fsdd", corpora, "train")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_no_link_or_device_is_unpacked(kind: bytes, tmp_path: pathlib.Path) -> None:
    member = tarfile.TarInfo("recordings/0_a_0.wav")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "fsdd.tar", "w") as archive:
        archive.addfile(member)
    with pytest.raises(data.DataError, match="'recordings/0_a_0.wav', a link or a device"):
        data.build("fsdd", data_dir=tmp_path / "out", source=tmp_path / "fsdd.tar")
    assert not list((tmp_path / "out").rglob("*.wav"))
