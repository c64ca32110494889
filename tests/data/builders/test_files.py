"""Files below a folder: through links, each folder once, and nothing without a notice."""

import pathlib

import pytest
from synthetic import noise, write

import data
from data.audio.reading import Notices
from data.builders.files import files_below


def listed(source: pathlib.Path) -> tuple[list[str], dict[str, list[str]]]:
    notices = Notices()
    found = [path.relative_to(source).as_posix() for path in files_below(source, notices)]
    named = {
        what: sorted(pathlib.Path(path).relative_to(source).as_posix() for path in paths)
        for what, paths in notices._files.items()
    }
    return found, named


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("in/b/1.wav", "in/b/deep/2.wav", "outside/3.wav", "outside/deep/4.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def test_links_to_folders_and_files_are_followed(source: pathlib.Path) -> None:
    (source / "link").symlink_to(source.parent / "outside")
    (source / "b" / "0.wav").symlink_to(source.parent / "outside" / "3.wav")
    names = ["b/0.wav", "b/1.wav", "b/deep/2.wav", "link/3.wav", "link/deep/4.wav"]
    assert listed(source) == (names, {})


def test_a_folder_is_read_once(source: pathlib.Path) -> None:
    """By its own path, though a link comes before it; or by the first of two links."""
    (source / "a").symlink_to(source / "b")
    (source / "one").symlink_to(source.parent / "outside")
    (source / "two").symlink_to(source.parent / "outside")
    found, named = listed(source)
    assert found == ["b/1.wav", "b/deep/2.wav", "one/3.wav", "one/deep/4.wav"]
    assert named == {"passed over, a link to a folder that is read by another path": ["a", "two"]}


@pytest.mark.parametrize("target", [".", "b", ".."])
def test_loops_end(source: pathlib.Path, target: str) -> None:
    (source / "b" / "deep" / "loop").symlink_to((source / target).resolve())
    (source.parent / "outside" / "back").symlink_to(source)
    found, _ = listed(source)
    assert found[:2] == ["b/1.wav", "b/deep/2.wav"]
    assert len(found) == (4 if target == ".." else 2)


def test_links_that_lead_nowhere_are_named(source: pathlib.Path) -> None:
    (source / "5.wav").symlink_to(source / "lost.wav")
    found, named = listed(source)
    assert found == ["b/1.wav", "b/deep/2.wav"]
    assert named == {"passed over, no file or a link that leads nowhere": ["5.wav"]}


def test_a_corpus_of_linked_folders(tmp_path: pathlib.Path) -> None:
    for i in range(4):
        write(tmp_path / "elsewhere" / "ab"[i % 2] / f"{i}.wav", noise(300, i))
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere" / name)
    data.build("folder", data_dir=tmp_path, source=tmp_path / "in", labels="folders")
    corpora = [data.load("folder", tmp_path, split) for split in data.splits("folder", tmp_path)]
    names = sorted(name for corpus in corpora for name in corpus.names)
    assert names == ["a/0.wav", "a/2.wav", "b/1.wav", "b/3.wav"]
