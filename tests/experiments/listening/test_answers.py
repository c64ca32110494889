"""Answers, which come from strangers: what is read, and what is refused."""

import contextlib
import json
import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.listening import answers, preparing
from experiments.listening.answers import Listener
from experiments.listening.description import (
    COMPARISON,
    KINDS,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
)
from wavenet_jax import InputError

TEXTS = [f"t{i}" for i in range(8)]
TESTS = {
    kind: preparing.describe(kind, ["a", "b"], TEXTS, num_listeners=3, sample_rate_hz=16000)
    for kind in KINDS
}


def head(kind: str, **changes) -> str:
    return json.dumps({"version": 1, "test": TESTS[kind].id, "session": 2} | changes)


def line(trial, answer) -> str:
    return json.dumps({"trial": trial, "answer": answer})


@pytest.mark.parametrize(
    ("kind", "answer"),
    [(MOS, [5]), (PREFERENCE, [-1]), (COMPARISON, [-3]), (MUSHRA, [0, 100, 50, 7, 8])],
)
def test_answers_are_read(kind: str, answer: list[int], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Ann-1.jsonl"
    path.write_text("\n".join([head(kind), line(3, answer), line(0, answer)]) + "\n")
    expected = Listener("Ann-1", 2, {3: tuple(answer), 0: tuple(answer)})
    assert answers.read_folder(tmp_path, TESTS[kind]) == ([expected], {})


@pytest.mark.parametrize(
    ("kind", "lines", "message"),
    [
        (MOS, [], "cannot be used: line 1, it is no JSON object of session, test, version"),
        (MOS, ["[]"], "line 1, it is no JSON object"),
        (MOS, [head(MOS, version=2)], "line 1, its version is not 1"),
        (MOS, [head(MOS, test="0" * 16)], "line 1, it is of another test"),
        (MOS, [head(MOS, session=3)], "line 1, '3' is no whole number of 0 to 2"),
        (MOS, [head(MOS, session=-1)], "'-1' is no whole number"),
        (MOS, [head(MOS, session=True)], "'True' is no whole number"),
        (MOS, [head(MOS, age=41)], "line 1, it is no JSON object"),
        (MOS, [head(MOS), line(0, [6])], "line 2, '6' is no whole number of 1 to 5"),
        (MOS, [head(MOS), line(0, [0])], "'0' is no whole number of 1 to 5"),
        (MOS, [head(MOS), line(0, [3.0])], r"'3.0' is no whole number"),
        (MOS, [head(MOS), line(0, 3)], "the answer is no list of 1"),
        (MOS, [head(MOS), line(0, [3, 3])], "the answer is no list of 1"),
        (MOS, [head(MOS), line(0, ["3"])], "'3' is no whole number"),
        (MOS, [head(MOS), line(99, [3])], "'99' is no whole number of 0 to"),
        (MOS, [head(MOS), line("0", [3])], "'0' is no whole number of 0 to"),
        (MOS, [head(MOS), line(0, [3]), line(0, [3])], "line 3, trial 0 is answered twice"),
        (MOS, [head(MOS), '{"trial": 0, "answer": [1'], "line 2, it is no JSON object"),
        (MOS, [head(MOS), "[" * 4000], "line 2, it is no JSON object"),
        (MOS, [head(MOS), line(0, [3]) + " " * 5000], "line 2, it is no JSON object"),
        (MOS, [head(MOS), '{"trial": 0, "answer": [NaN]}'], "'nan' is no whole number"),
        (MOS, [head(MOS), "", line(0, [3])], "line 2, it is no JSON object"),
        (PREFERENCE, [head(PREFERENCE), line(0, [2])], "'2' is no whole number of -1 to 1"),
        (COMPARISON, [head(COMPARISON), line(0, [4])], "'4' is no whole number of -3 to 3"),
        (MUSHRA, [head(MUSHRA), line(0, [1, 2, 3, 4])], "the answer is no list of 5"),
        (MUSHRA, [head(MUSHRA), line(0, [1, 2, 3, 4, 101])], "'101' is no whole number"),
    ],
)
def test_what_breaks_a_rule_is_refused(kind, lines, message, tmp_path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(InputError, match=message) as raised:
        answers.read(path, TESTS[kind])
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.parametrize("end", ['{"trial": 1, "ans', "{", "\x00\x00", "["])
def test_a_last_line_that_a_server_did_not_finish_is_none(end: str, tmp_path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_text(f"{head(MOS)}\n{line(0, [3])}\n{end}")
    assert answers.read(path, TESTS[MOS]).answers == {0: (3,)}
    path.write_text(f"{head(MOS)}\n{line(0, [3])}\n{end}\n{line(1, [3])}\n")
    with pytest.raises(InputError, match="line 3, it is no JSON object"):
        answers.read(path, TESTS[MOS])
    path.write_text(f"{head(MOS)}\n{line(0, [3])}")  # by hand
    assert answers.read(path, TESTS[MOS]).answers == {0: (3,)}


def test_of_files_that_cannot_be_used_the_others_are_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ann.jsonl").write_text(f"{head(MOS)}\n{line(0, [3])}\n")
    (tmp_path / "bob.jsonl").write_text(f"{head(MOS)}\n{line(0, [6])}\n")
    (tmp_path / "carl.jsonl").write_text(f"{head(PREFERENCE)}\n")
    (tmp_path / "d e\nf.jsonl").write_text(f"{head(MOS)}\n")
    (tmp_path / "eve.jsonl").mkdir()
    (tmp_path / "fay.jsonl").symlink_to(tmp_path / "nowhere")
    listeners, refused = answers.read_folder(tmp_path, TESTS[MOS])
    assert [each.name for each in listeners] == ["ann"]
    cannot = "the file cannot be used: "
    assert refused == {
        "bob": cannot + "line 2, '6' is no whole number of 1 to 5",
        "carl": cannot + f"line 1, it is of another test, and this one is {TESTS[MOS].id}",
        "d e\nf": cannot + "its name is not of letters, digits, '-' and '_'",
        "eve": cannot + "it is no file of up to 1048576 bytes",
        "fay": cannot + "it is no file of up to 1048576 bytes",
    }
    (tmp_path / "ann.jsonl").unlink()
    with pytest.raises(InputError, match=r"bob\.jsonl cannot be used: line 2, '6' is no whole"):
        answers.read_folder(tmp_path, TESTS[MOS])


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a.b"])
def test_names_are_plain(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / f"{name}.jsonl").write_text(head(MOS))
    with pytest.raises(InputError, match="its name is not of letters"):
        answers.read_folder(tmp_path, TESTS[MOS])


def test_folders_and_large_files_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="has 0 files"):
        answers.read_folder(tmp_path, TESTS[MOS])
    (tmp_path / "a.jsonl").mkdir()
    (tmp_path / "b.jsonl").write_bytes(b"\n" * 2**21)
    for name in ("a", "b"):
        with pytest.raises(InputError, match="it is no file of up to 1048576 bytes"):
            answers.read(tmp_path / f"{name}.jsonl", TESTS[MOS])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80), keeps_head=st.booleans())
def test_any_bytes_are_read_or_refused(content, keeps_head, tmp_path) -> None:
    path = tmp_path / "ann.jsonl"
    path.write_bytes((head(MOS).encode() + b"\n") * keeps_head + content)
    for read in (lambda: answers.read(path, TESTS[MOS]), lambda: answers.read_webmushra(path)):
        with contextlib.suppress(InputError):
            read()


RATED = "trial_id,rating_stimulus,rating_score,rating_time,rating_comment"
WITH_UUID = f"session_test_id,age,session_uuid,{RATED}"
WITHOUT = f"session_test_id,email,age,{RATED}"


def test_the_table_of_webmushra_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mushra.csv"
    rows = [
        'x,30,u1,t1,reference,100,5,"well, yes"',
        "x,30,u1,t1,anchor35,20.5,5,",
        "x,30,u1,t1,anchor70,50,5,",
        "x,30,u1,t1,C1,80,5,",
        "x,30,u2,t1,C1,70,5,",
    ]
    path.write_text("\n".join([WITH_UUID, *rows]))
    assert answers.read_webmushra(path) == {
        ("u1", "t1", RECORDING): 100,
        ("u1", "t1", LOW_ANCHOR): 20.5,
        ("u1", "t1", MID_ANCHOR): 50,
        ("u1", "t1", "C1"): 80,
        ("u2", "t1", "C1"): 70,
    }
    path.write_text("\n".join([WITHOUT, "x,a@b,30,t1,C1,80,5,", "x,c@d,30,t1,C1,70,5,"]))
    assert set(answers.read_webmushra(path)) == {("a@b 30", "t1", "C1"), ("c@d 30", "t1", "C1")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "line 1, its columns are not those of webMUSHRA"),
        (["a,b,c"], "its columns are not those"),
        (["trial_id,rating_stimulus,rating_score"], "no column tells the listeners apart"),
        ([WITH_UUID], "it has no scores"),
        ([WITH_UUID, "x,30,u1,t1,C1"], "line 2, it has not 8 columns"),
        ([WITH_UUID, "x,30,u1,t1,C1,101,5,"], "the score '101' is no number of 0 to 100"),
        ([WITH_UUID, "x,30,u1,t1,C1,nan,5,"], "the score 'nan' is no number"),
        ([WITH_UUID, "x,30,u1,t1,C1,,5,"], "the score '' is no number"),
        ([WITH_UUID, "x,30,,t1,C1,5,5,"], "a name is empty"),
        ([WITH_UUID, f"x,30,u1,{'t' * 101},C1,5,5,"], "longer than 100"),
        ([WITH_UUID, *["x,30,u1,t1,C1,5,5,"] * 2], "line 3, .* is scored twice by 'u1'"),
        ([WITH_UUID, 'x,30,u1,t1,"C1,5,5,'], "it is no table"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(lines, message, tmp_path) -> None:
    path = tmp_path / "mushra.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        answers.read_webmushra(path)
