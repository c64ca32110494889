"""Sessions given to listeners, and their files: whole after every answer, kill and full disk."""

import errno
import json
import os
import pathlib

import pytest
import short

from experiments.listening import answers, collecting
from experiments.listening.collecting import Collection, UnknownListenerError
from experiments.listening.description import MOS, MUSHRA, PREFERENCE, Test
from wavenet_jax import InputError


@pytest.fixture
def test_(tmp_path: pathlib.Path) -> Test:
    return short.write(tmp_path / "test", MOS)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "answers").mkdir()
    return tmp_path / "answers"


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def joined(collection: Collection) -> str:
    name = collection.join()
    assert name is not None
    return name


def test_each_answer_is_in_the_file_when_it_is_confirmed(test_, folder) -> None:
    collection = Collection(test_, folder)
    first, second = joined(collection), joined(collection)
    assert names(folder) == sorted([f"{first}.jsonl", f"{second}.jsonl"])
    assert answers.LISTENER.fullmatch(first) and len({first, second}) == 2
    assert (collection.session_of(first), collection.session_of(second)) == (0, 1)
    for count, (trial, answer) in enumerate([(2, [5]), (0, [1])], start=1):
        assert collection.add(first, trial, answer)
        read = answers.read(folder / f"{first}.jsonl", test_)
        assert read.session == 0 and len(read.answers) == count
        assert read.answers[trial] == tuple(answer)
    assert collection.answered(first) == [0, 2] and not collection.is_finished(first)
    assert answers.read(folder / f"{second}.jsonl", test_).answers == {}
    assert collection.add(first, 1, [3]) and collection.is_finished(first)
    assert collection.num_finished == 1


def test_the_first_answer_to_a_trial_counts(test_, folder) -> None:
    collection = Collection(test_, folder)
    name = joined(collection)
    assert collection.add(name, 0, [4])
    content = (folder / f"{name}.jsonl").read_bytes()
    assert not collection.add(name, 0, [4]) and not collection.add(name, 0, [1])
    assert (folder / f"{name}.jsonl").read_bytes() == content
    assert answers.read(folder / f"{name}.jsonl", test_).answers == {0: (4,)}


@pytest.mark.parametrize(
    ("kind", "trial", "answer"),
    [
        *((MOS, 0, answer) for answer in ([6], [0], [3.0], ["3"], [True], [], [1, 2], 3, None, {})),
        *((MOS, trial, [3]) for trial in (3, -1, "0", True, None, 0.0, 10**30)),
        *((PREFERENCE, 0, answer) for answer in ([2], [-2])),
        *((MUSHRA, 0, answer) for answer in ([1] * 3, [1] * 5, [101, 0, 0, 0], [-1, 0, 0, 0])),
    ],
)
def test_what_is_no_answer_is_refused(kind, trial, answer, folder, tmp_path) -> None:
    """As reading refuses it."""
    test = short.write(tmp_path / "another", kind)
    collection = Collection(test, folder)
    name = joined(collection)
    content = (folder / f"{name}.jsonl").read_bytes()
    with pytest.raises(ValueError, match="is no whole number of|is no list of"):
        collection.add(name, trial, answer)
    assert (folder / f"{name}.jsonl").read_bytes() == content
    with pytest.raises(UnknownListenerError):
        collection.add("nobody", 0, [3])
    line = json.dumps({"trial": trial, "answer": answer}).encode() + b"\n"
    (folder / f"{name}.jsonl").write_bytes(content + line)
    with pytest.raises(InputError, match="line 2"):
        answers.read(folder / f"{name}.jsonl", test)


def test_sessions_that_were_abandoned_are_given_again(test_, folder, monkeypatch) -> None:
    now_s = 1e9
    monkeypatch.setattr(collecting.time, "time", lambda: now_s)
    collection = Collection(test_, folder)
    first, second, third = (joined(collection) for _ in range(3))
    assert not collection.is_open and collection.join() is None and len(names(folder)) == 3
    now_s += collecting.ABANDONED_S - 1
    collection.add(first, 0, [3])  # who is still there keeps the session
    for trial in range(3):
        collection.add(second, trial, [3])
    assert collection.join() is None
    now_s += 2
    again = joined(collection)
    assert collection.session_of(again) == collection.session_of(third) == 2
    assert collection.join() is None
    # Who was away for long goes on all the same.
    assert collection.add(third, 0, [3]) and collection.add(again, 0, [4])
    # What is finished is never given again; of two, the one that was abandoned earlier is first.
    now_s += collecting.ABANDONED_S + 1
    collection.add(third, 1, [3])
    assert collection.session_of(joined(collection)) == 0
    now_s += collecting.ABANDONED_S + 1
    given = {collection.session_of(joined(collection)) for _ in range(2)}
    assert given == {0, 2} and collection.join() is None
    listeners, refused = answers.read_folder(folder, test_)
    assert len(listeners) == 7 and refused == {}


def test_no_more_files_than_a_report_reads(test_, folder, monkeypatch) -> None:
    monkeypatch.setattr(answers, "MAX_FILES", 2)
    collection = Collection(test_, folder)
    joined(collection), joined(collection)
    assert collection.join() is None and not collection.is_open


def test_a_restart_goes_on_from_the_files(test_, folder) -> None:
    collection = Collection(test_, folder)
    first, second = joined(collection), joined(collection)
    collection.add(first, 1, [2])
    again = Collection(test_, folder)
    assert again.answered(first) == [1] and again.answered(second) == []
    assert again.session_of(joined(again)) == 2
    assert not again.add(first, 1, [5]) and again.add(first, 0, [5])
    assert answers.read(folder / f"{first}.jsonl", test_).answers == {1: (2,), 0: (5,)}


def test_a_line_that_was_not_finished_is_no_answer(test_, folder) -> None:
    """Killed after any byte of the last line: reading has the others, and a restart goes on."""
    collection = Collection(test_, folder)
    name = joined(collection)
    path = folder / f"{name}.jsonl"
    collection.add(name, 0, [4])
    before = path.read_bytes()
    collection.add(name, 1, [2])
    whole = path.read_bytes()
    (folder / "0123456789abcdef.jsonl.part").write_bytes(b'{"vers')
    for length in range(len(before), len(whole)):
        path.write_bytes(whole[:length])
        is_whole = length >= len(whole) - 1
        expected = {0: (4,), 1: (2,)} if is_whole else {0: (4,)}
        assert answers.read(path, test_).answers == expected
        again = Collection(test_, folder)
        assert names(folder) == [path.name]
        assert path.read_bytes() == (whole if is_whole else before)
        assert again.add(name, 1, [2]) == (not is_whole)
        assert path.read_bytes() == whole


def test_what_a_full_disk_refuses_is_not_half_written(test_, folder, monkeypatch) -> None:
    collection = Collection(test_, folder)
    name = joined(collection)
    path = folder / f"{name}.jsonl"
    content = path.read_bytes()
    write, sync = os.write, os.fsync

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for broken in (
        {"write": lambda file, line: write(file, line[:7])},
        {"write": lambda file, line: full(write(file, line[:7]))},
        {"fsync": full},
    ):
        with monkeypatch.context() as patch:
            for function, replacement in broken.items():
                patch.setattr(collecting.os, function, replacement)
            with pytest.raises(OSError, match="No space left|could not be written to its end"):
                collection.add(name, 0, [3])
            assert path.read_bytes() == content and collection.answered(name) == []
    with monkeypatch.context() as patch:
        patch.setattr(collecting.os, "fsync", full)
        with pytest.raises(OSError, match="No space left|could not be written to its end"):
            collection.join()
    assert names(folder) == [path.name] and collecting.os.fsync is sync
    assert collection.session_of(joined(collection)) == 1
    assert collection.add(name, 0, [3])
    assert answers.read(path, test_).answers == {0: (3,)}


def test_answers_of_another_test_are_not_gone_on_with(test_, folder, tmp_path) -> None:
    other = short.write(tmp_path / "other", PREFERENCE)
    joined(Collection(other, folder))
    with pytest.raises(
        InputError, match=r"line 1, it is of another test, and this one is [0-9a-f]+"
    ):
        Collection(test_, folder)
