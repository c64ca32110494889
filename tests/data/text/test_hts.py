"""Labels and questions of HTS: equal to a peer's answers, and made ones with known answers."""

import fnmatch
import functools
import pathlib
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import noise, write

import data
from data.text import hts
from data.text.frames import NUM_PITCH, pitch_features

PHONES = """\
0 100000 x^sil-a+b=c@1_2/A:0
100000 400000 sil^a-b+c=x@x_2/A:1.5
400000 450000 a^b-c+x=x@13_2/A:0
"""
STATES = """\
0 50000 x^sil-a+b=c@1_2/A:0[2]
50000 100000 x^sil-a+b=c@1_2/A:0[3]
100000 150000 sil^a-b+c=x@x_2/A:1.5[2]
150000 400000 sil^a-b+c=x@x_2/A:1.5[3]
"""


@pytest.fixture
def labels(tmp_path: pathlib.Path) -> hts.Labels:
    return made_labels(tmp_path, PHONES)


def made_labels(folder: pathlib.Path, text: str, name: str = "a.lab") -> hts.Labels:
    (folder / name).write_text(text)
    return hts.read_labels(folder / name)


def made_questions(folder: pathlib.Path, *lines: str) -> hts.Questions:
    (folder / "q.hed").write_text("\n".join(lines))
    return hts.Questions.read(folder / "q.hed")


def found_by(folder: pathlib.Path, question: str, labels: hts.Labels) -> list[float]:
    """The answers to one question."""
    answers = made_questions(folder, question).answers(labels)
    assert answers.shape == (len(labels.contexts), 1)
    return answers[:, 0].tolist()


# With the peer.


def peer(shared: pathlib.Path) -> tuple[pathlib.Path, hts.Questions]:
    folder = shared / "hts_arctic"
    return folder, hts.Questions.read(folder / "questions-radio_dnn_416.hed")


def test_answers_by_phone_equal_the_peers(shared: pathlib.Path) -> None:
    folder, questions = peer(shared)
    stored = np.fromfile(folder / "arctic_a0001_questions416_float32.bin", np.float32)
    answers = questions.answers(hts.read_labels(folder / "arctic_a0001_phone.lab"))
    assert answers.dtype == np.float32
    np.testing.assert_array_equal(answers, stored.reshape(37, 416))


def test_answers_by_frame_equal_the_peers(shared: pathlib.Path) -> None:
    folder, questions = peer(shared)
    stored = np.fromfile(folder / "arctic_a0001_frames425_float32.bin", np.float32)
    frames = hts.frame_answers(hts.read_labels(folder / "arctic_a0001_state.lab"), questions)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames, stored.reshape(667, 416 + hts.NUM_POSITIONS))


@pytest.mark.parametrize("name", ["arctic_a0001", "arctic_a0009"])
def test_both_alignments_of_a_recording_agree(shared: pathlib.Path, name: str) -> None:
    folder, questions = peer(shared)
    by_phone, by_state = (
        hts.read_labels(folder / f"{name}_{level}.lab") for level in ("phone", "state")
    )
    assert by_phone.contexts == by_state.contexts
    assert by_phone.states_per_phone == 1 and by_state.states_per_phone == 5
    np.testing.assert_array_equal(by_phone.ends, by_state.ends[4::5])
    of_phones, of_states = (hts.frame_answers(x, questions) for x in (by_phone, by_state))
    at = slice(0, 416)
    np.testing.assert_array_equal(of_phones[:, at], of_states[:, at])
    np.testing.assert_array_equal(of_phones[:, -4], of_states[:, -4])
    np.testing.assert_array_equal(of_phones[:, -2:], of_states[:, -2:])


@pytest.mark.parametrize("name", ["arctic_a0001", "arctic_a0009"])
def test_features_of_a_real_recording(shared: pathlib.Path, name: str) -> None:
    """At a hop of 5 ms they are the alignment's frames; the last label holds to the end."""
    folder, questions = peer(shared)
    samples, rate = soundfile.read(folder / f"{name}.wav", dtype="int16")
    features = hts.frame_features(
        {"audio": samples, "recording": f"{name}_state.wav"},
        label_folder=folder,
        questions=questions,
        hop_samples=80,
        sample_rate_hz=rate,
    )
    frames = hts.frame_answers(hts.read_labels(folder / f"{name}_state.lab"), questions)
    assert len(features) == -(-len(samples) // 80) > len(frames)
    in_last = int(frames[-1, -4])  # its length changes
    np.testing.assert_array_equal(features[: len(frames) - in_last], frames[:-in_last])
    assert (features[len(frames) :, :416] == frames[-1, :416]).all()
    assert features[-1, -1] == features[-1, -9] == 1


# Labels.


def test_labels_by_hand(tmp_path: pathlib.Path) -> None:
    by_phone, by_state = made_labels(tmp_path, PHONES), made_labels(tmp_path, STATES)
    assert by_phone.contexts[:2] == by_state.contexts
    assert by_state.contexts == ("x^sil-a+b=c@1_2/A:0", "sil^a-b+c=x@x_2/A:1.5")
    assert by_phone.ends.tolist() == [100000, 400000, 450000]
    assert by_phone.phones.tolist() == [0, 1, 2]
    assert by_state.ends.tolist() == [50000, 100000, 150000, 400000]
    assert by_state.phones.tolist() == [0, 0, 1, 1]
    assert (by_phone.states_per_phone, by_state.states_per_phone) == (1, 2)


def test_two_phones_of_one_context_are_two(tmp_path: pathlib.Path) -> None:
    one = "a^a-a+a=a"
    text = f"0 1 {one}[2]\n1 2 {one}[3]\n2 3 {one}[2]\n3 4 {one}[3]\n"
    assert made_labels(tmp_path, text).phones.tolist() == [0, 0, 1, 1]


def test_line_ends_and_a_byte_order_mark_of_windows(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.lab").write_bytes(b"\xef\xbb\xbf" + PHONES.replace("\n", "\r\n").encode())
    assert hts.read_labels(tmp_path / "a.lab").contexts[2] == "a^b-c+x=x@13_2/A:0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.lab has no labels: restore"),
        ("0 1\n", "line 1 of .*a.lab is '0 1': it must be start end label"),
        ("0 1 a^b-c+d=e -5.2\n", "line 1 of .* must be start end label"),
        ("0 1.5 a^b-c+d=e\n", "line 1 of .* whole numbers of 100 ns"),
        ("-1 5 a^b-c+d=e\n", "line 1 of .* whole numbers of 100 ns"),
        ("0 1 a^b-c+d=e\n\n1 2 a^b-c+d=e\n", "line 2 of .*a.lab is ''"),
        ("0 9 a^b-c+d=e\n9 5 a^b-c+d=e\n", "line 2 of .*a.lab runs from 9 to 5: times must rise"),
        ("0 9 a^b-c+d=e\n9 9 a^b-c+d=e\n", "line 2 of .*a.lab runs from 9 to 9"),
        ("0 9 a^b-c+d=e\n10 15 a^b-c+d=e\n", "line 2 of .*a.lab begins at 10, where 9 is due"),
        ("0 9 a^b-c+d=e\n8 15 a^b-c+d=e\n", "line 2 of .*a.lab begins at 8, where 9 is due"),
        ("3 9 a^b-c+d=e\n", "line 1 of .*a.lab begins at 3, where 0 is due"),
        ("0 1 a\n", "line 1 of .*a.lab has the label 'a': it must be a phone in context"),
        ("0 1 a-b+c\n", "line 1 of .* must be a phone in context"),
        ("0 1 a^b-+d=e\n", "line 1 of .* must be a phone in context"),
        ("0 1 a^b-c+d=e[2\n", "line 1 of .* must be a phone in context"),
        ("0 1 a^b-c+d=e[x]\n", "line 1 of .* must be a phone in context"),
        ("0 1 a^b-c+d=e\n1 2 a^b-c+d=e[2]\n", "line 2 of .* give all labels a state"),
        ("0 1 a^b-c+d=e[2]\n1 2 a^b-c+d=e\n", "line 2 of .* give all labels a state"),
        ("0 1 a^b-c+d=e[3]\n", r"line 1 of .*a.lab has state \[3\] of 'a\^b"),
        ("0 1 a^b-c+d=e[2]\n1 2 a^b-c+d=e[4]\n", r"line 2 of .*a.lab has state \[4\]"),
        ("0 1 a^b-c+d=e[2]\n1 2 b^c-d+e=f[3]\n", r"line 2 of .*a.lab has state \[3\] .* same"),
        (
            "0 1 a^b-c+d=e[2]\n1 2 a^b-c+d=e[3]\n2 3 b^c-d+e=f[2]\n",
            "line 3 of .*a.lab begins a phone of 1 states, where the first has 2",
        ),
        (
            "0 1 a^b-c+d=e[2]\n1 2 b^c-d+e=f[2]\n2 3 b^c-d+e=f[3]\n3 4 b^c-d+e=f[2]\n",
            "line 2 of .*a.lab begins a phone of 2 states, where the first has 1",
        ),
    ],
)
def test_labels_are_refused_in_one_sentence(
    tmp_path: pathlib.Path, text: str, message: str
) -> None:
    with pytest.raises(data.DataError, match=message):
        made_labels(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(data.DataError, match="no.lab is missing"):
        hts.read_labels(tmp_path / "no.lab")
    with pytest.raises(data.DataError, match="no.hed is missing"):
        hts.Questions.read(tmp_path / "no.hed")
    (tmp_path / "b.lab").write_bytes(b"0 1 \xff^b-c+d=e\n")
    with pytest.raises(data.DataError, match="b.lab is not UTF-8"):
        hts.read_labels(tmp_path / "b.lab")


@pytest.mark.parametrize(("text", "ends"), [(PHONES, [80, 320, 360]), (STATES, [80, 320])])
def test_what_is_to_be_said_at_a_rate(tmp_path: pathlib.Path, text: str, ends: list[int]) -> None:
    labels = made_labels(tmp_path, text)
    example = hts.utterance(labels.path, sample_rate_hz=8000)
    assert example["labels"] == labels.contexts
    assert example["phone_starts"].tolist() == [0, *ends[:-1]]
    assert example["phone_ends"].tolist() == ends
    assert hts.utterance(labels.path) == {"labels": labels.contexts}
    to_an_end = hts.phone_samples(labels, 8000, 400)
    assert to_an_end["phone_starts"].tolist() == [0, *ends[:-1]]
    assert to_an_end["phone_ends"].tolist() == [*ends[:-1], 400]


@pytest.mark.parametrize(("text", "count"), [(PHONES, 3), (STATES, 2)])
def test_what_is_to_be_said_without_times(tmp_path: pathlib.Path, text: str, count: int) -> None:
    alone = "\n".join(line.split()[2] for line in text.splitlines())
    (tmp_path / "b.lab").write_text(f"{alone} \r\n")
    timed = made_labels(tmp_path, text)
    assert hts.utterance(tmp_path / "b.lab", sample_rate_hz=8000) == {"labels": timed.contexts}
    assert len(timed.contexts) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.lab has no labels: restore"),
        ("a^b-c+d=e\n0 9 a^b-c+d=e\n", "line 2 of .*a.lab is '0 9 .*: it must be a label alone"),
        ("a^b-c+d=e\n\na^b-c+d=e\n", "line 2 of .*a.lab is '': it must be a label alone"),
        ("0 9 a^b-c+d=e\na^b-c+d=e\n", "line 2 of .*a.lab is 'a.*: it must be start end label"),
        ("hello\n", "line 1 of .*a.lab has the label 'hello': it must be a phone in context"),
        ("a^b-c+d=e[2]\na^b-c+d=e[4]\n", r"line 2 of .*a.lab has state \[4\]"),
        (
            "0 9000 a^b-c+d=e[2]\n9000 9500 a^b-c+d=e[3]\n"
            "9500 9600 a^b-c+d=e[2]\n9600 9700 a^b-c+d=e[3]\n",
            "line 3 of .*a.lab begins a phone that lasts no sample at 8000 Hz: correct its times",
        ),
    ],
)
def test_what_cannot_be_said(tmp_path: pathlib.Path, text: str, message: str) -> None:
    (tmp_path / "a.lab").write_text(text)
    with pytest.raises(data.DataError, match=message):
        hts.utterance(tmp_path / "a.lab", sample_rate_hz=8000)


# Questions.


@pytest.mark.parametrize(
    ("patterns", "answers"),
    [
        ("*-b+*", [0, 1, 0]),
        ("*-a+*,*-c+*", [1, 0, 1]),
        (' "*-a+*" , "*-c+*" ', [1, 0, 1]),
        ("-a+,-c+", [1, 0, 1]),
        ("*-?+*", [1, 1, 1]),
        ("*-??+*", [0, 0, 0]),
        ("*^?-b+*", [0, 1, 0]),
        ("x^sil-*", [1, 0, 0]),  # from the start,
        ("sil-*", [0, 0, 0]),
        ("sil^*", [0, 1, 0]),
        ("*/A:0", [1, 0, 1]),  # to the end,
        ("*/A:", [0, 0, 0]),
        ("x^*/A:0", [1, 0, 0]),  # or both;
        ("sil*2/A:0", [0, 0, 0]),
        ("x^sil-a+b=c@1_2/A:0", [1, 0, 0]),
        ("sil", [1, 1, 0]),  # without a star anywhere
        ("a?b", [1, 1, 1]),
        ("*", [1, 1, 1]),
        ("*1.5*", [0, 1, 0]),  # literally: no regular expression
        ("*1?5*", [0, 1, 0]),
        ("*[_/]*", [0, 0, 0]),
        ("*(a)*", [0, 0, 0]),
        ("*@1|x*", [0, 0, 0]),
        (r"*@\d+_*", [0, 0, 0]),
        ("*0$", [0, 0, 0]),
    ],
)
def test_wildcards(
    tmp_path: pathlib.Path, labels: hts.Labels, patterns: str, answers: list[int]
) -> None:
    assert found_by(tmp_path, f'QS "q" {{{patterns}}}', labels) == answers


@settings(max_examples=200, deadline=None)
@given(st.text("ab.*?", min_size=1, max_size=6).filter(lambda p: "*" in p))
def test_a_pattern_with_a_star_is_a_glob_of_the_whole_label(
    tmp_path_factory: pytest.TempPathFactory, pattern: str
) -> None:
    labels = hts.Labels(
        pathlib.Path("a.lab"), ("a^a-b+a=a", "a.b^a-b+b=b", "b^b-b+b=a.b"), *[np.arange(3)] * 2, 1
    )
    expected = [float(fnmatch.fnmatchcase(context, pattern)) for context in labels.contexts]
    assert found_by(tmp_path_factory.getbasetemp(), f"QS q {{{pattern}}}", labels) == expected


def test_the_phone_before_the_last_begins_the_label(
    tmp_path: pathlib.Path, labels: hts.Labels
) -> None:
    """`l^` is not found at the end of `sil^`, unless a star allows it."""
    assert found_by(tmp_path, 'QS "LL-l" {l^}', labels) == [0, 0, 0]
    assert found_by(tmp_path, 'QS "LL-sil" {sil^,a^}', labels) == [0, 1, 1]
    assert found_by(tmp_path, 'QS "LL-l" {*l^*}', labels) == [0, 1, 0]
    assert found_by(tmp_path, 'QS "L-l" {l^}', labels) == [0, 1, 0]


@pytest.mark.parametrize(
    ("pattern", "answers"),
    [
        (r"@(\d+)_", [1, -1, 13]),  # x is missing
        (r"*@(\d+)_*", [1, -1, 13]),
        (r"/A:(\d+)", [0, 1, 0]),
        (r"/A:([\d\.]+)", [0, 1.5, 0]),
        (r"*/A:(\d+)", [0, -1, 0]),
        (r"_(\d+)/?:", [2, 2, 2]),
        (r"(\d+)", [1, 2, 13]),  # the first of several
        (r"*(\d+)*", [1, 2, 13]),
        (r"$(\d+)", [-1, -1, -1]),
    ],
)
def test_numbers(
    tmp_path: pathlib.Path, labels: hts.Labels, pattern: str, answers: list[float]
) -> None:
    assert found_by(tmp_path, f'CQS "q" {{{pattern}}}', labels) == answers


def test_columns_are_binary_then_numeric(tmp_path: pathlib.Path, labels: hts.Labels) -> None:
    questions = made_questions(
        tmp_path,
        "# who asks what",
        r'CQS "n" {@(\d+)_}',
        "",
        "QS  'b (of two)'\t{-b+}  ",
        'QS "a"{-a+}',
        r"  CQS m {_(\d+)/}",
    )
    assert questions.names == ("b (of two)", "a", "n", "m")
    assert questions.answers(labels).tolist() == [[0, 1, 1, 2], [1, 0, -1, 2], [0, 0, 13, 2]]


def test_the_lines_ask_the_same_again(tmp_path: pathlib.Path, labels: hts.Labels) -> None:
    """However they are spaced; without what says nothing."""
    text = ["# who asks what", r'CQS  "n" {@(\d+)_}', "", "\tQS 'b'\t{-b+}  "]
    questions = made_questions(tmp_path, *text)
    assert questions.lines == (r'CQS "n" {@(\d+)_}', "QS 'b' {-b+}")
    again = hts.Questions.parse(questions.lines, "elsewhere")
    assert (again.lines, again.names) == (questions.lines, ("b", "n"))
    np.testing.assert_array_equal(again.answers(labels), questions.answers(labels))
    with pytest.raises(data.DataError, match="line 2 of elsewhere is 'why'"):
        hts.Questions.parse([*questions.lines[:1], "why"], "elsewhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "q.hed has no questions"),
        ("# nothing\n\n", "q.hed has no questions"),
        ('# first\nQS "a" {*-a+*', "line 2 of .*q.hed is 'QS .* between { and }"),
        ('QS "a" *-a+*}', "line 1 of .* between { and }"),
        ('QS "a" {*-a+*}}', "line 1 of .* between { and }"),
        ('QS "a {*-a+*}', "line 1 of .* between { and }"),
        ('QS "a"', "line 1 of .* between { and }"),
        ("QS {*-a+*}", "line 1 of .* between { and }"),
        ('RO 100 "a" {*-a+*}', "line 1 of .*q.hed is 'RO 100"),
        ('QS "a" {}', "line 1 of .*q.hed has an empty pattern"),
        ('QS "a" {*-a+*,}', "line 1 of .*q.hed has an empty pattern"),
        ('CQS "a" {*-a+*}', r"line 1 of .*q.hed asks for a number by {\*-a"),
        (r'CQS "a" {-(\d+)+(\d+)}', "line 1 of .* in it once"),
        (r'CQS "a" {-(\d+)+([\d\.]+)}', "line 1 of .* in it once"),
        (r'CQS "a" {-(\d+),+(\d+)}', "line 1 of .* give CQS one pattern"),
    ],
)
def test_questions_are_refused_in_one_sentence(
    tmp_path: pathlib.Path, text: str, message: str
) -> None:
    with pytest.raises(data.DataError, match=message):
        made_questions(tmp_path, *text.split("\n"))


def test_what_is_no_number_is_refused(tmp_path: pathlib.Path) -> None:
    text = STATES.replace("A:1.5", "A:1.5.2")
    with pytest.raises(data.DataError, match="line 3 of .*a.lab answers accent of .*q.hed"):
        found_by(tmp_path, r"CQS accent {/A:([\d\.]+)}", made_labels(tmp_path, text))


# Contexts.


def test_contexts_by_hand(tmp_path: pathlib.Path, labels: hts.Labels) -> None:
    """Counts of 1, none (which is -1) and 13, in fives; yes and no as they are."""
    questions = made_questions(tmp_path, r"CQS n {@(\d+)_}", "QS b {-b+}", "QS ac {-a+,-c+}")
    contexts = hts.phone_contexts({"labels": labels.contexts}, questions=questions)
    assert contexts.dtype == np.float32
    np.testing.assert_allclose(contexts, [[0, 1, 0.2], [1, 0, -0.2], [0, 1, 2.6]], rtol=1e-6)
    example = {"labels": ("a^b-c+d=e@1.2.3/",), "recording": "b/1.wav"}
    with pytest.raises(data.DataError, match=r"label 1 of b/1\.wav answers n of .*q\.hed"):
        hts.phone_contexts(example, questions=made_questions(tmp_path, r"CQS n {@([\d\.]+)/}"))


def test_contexts_are_the_peers_answers_scaled(shared: pathlib.Path) -> None:
    folder, questions = peer(shared)
    stored = np.fromfile(folder / "arctic_a0001_questions416_float32.bin", np.float32)
    answers = stored.reshape(37, 416)
    example = hts.utterance(folder / "arctic_a0001_state.lab")
    contexts = hts.phone_contexts(example, questions=questions)
    numbers = np.array([line.startswith("CQS") for line in questions.lines])
    np.testing.assert_array_equal(contexts[:, ~numbers], answers[:, ~numbers])
    np.testing.assert_allclose(contexts[:, numbers] * 5, answers[:, numbers], rtol=1e-6)
    assert contexts.min() == np.float32(-0.2) and contexts.max() < 10


def test_frames_of_a_recording_with_labels(tmp_path: pathlib.Path, labels: hts.Labels) -> None:
    questions = made_questions(tmp_path, r"CQS n {@(\d+)_}", "QS b {-b+}")
    example = {
        "audio": np.zeros(400, np.int16),
        "labels": labels.contexts,
        **hts.phone_samples(labels, 8000, 400),
        "f0_hz": np.full(10, 300, np.float32),
    }
    options = {"questions": questions, "hop_samples": 40, "sample_rate_hz": 8000}
    plain = hts.linguistic_features(example, with_pitch=False, **options)
    voiced = hts.linguistic_features(example, with_pitch=True, **options)
    assert (plain.shape, voiced.shape) == ((10, 2 + 4), (10, 6 + NUM_PITCH))
    assert plain[:, 0].tolist() == [0] * 2 + [1] * 6 + [0] * 2
    np.testing.assert_allclose(plain[:, 1], [0.2] * 2 + [-0.2] * 6 + [2.6] * 2)
    np.testing.assert_allclose(plain[:, 5], [0.1] * 2 + [0.3] * 6 + [0.1] * 2)
    np.testing.assert_array_equal(voiced[:, :6], plain)
    pitch = pitch_features(np.array([[np.log(2), 1]] * 10))
    np.testing.assert_allclose(voiced[:, 6:], pitch, atol=1e-5)


# Frames.


def test_frames_by_hand(tmp_path: pathlib.Path) -> None:
    """Two phones of two states: 1 and 1, then 1 and 5 frames of 5 ms."""
    questions = made_questions(tmp_path, r"CQS n {@(\d+)_}")
    frames = hts.frame_answers(made_labels(tmp_path, STATES), questions)
    assert frames.shape == (8, 10)
    assert frames[:, 0].tolist() == [1] * 2 + [-1] * 6
    expected = [
        [1, 1, 1, 1, 2, 2, 1 / 2, 1, 1 / 2],
        [1, 1, 1, 2, 1, 2, 1 / 2, 1 / 2, 1],
        [1, 1, 1, 1, 2, 6, 1 / 6, 1, 1 / 6],
        [1 / 5, 1, 5, 2, 1, 6, 5 / 6, 5 / 6, 2 / 6],
        [2 / 5, 4 / 5, 5, 2, 1, 6, 5 / 6, 4 / 6, 3 / 6],
        [3 / 5, 3 / 5, 5, 2, 1, 6, 5 / 6, 3 / 6, 4 / 6],
        [4 / 5, 2 / 5, 5, 2, 1, 6, 5 / 6, 2 / 6, 5 / 6],
        [1, 1 / 5, 5, 2, 1, 6, 5 / 6, 1 / 6, 1],
    ]
    np.testing.assert_array_equal(frames[:, 1:], np.array(expected, np.float32))


def test_of_longer_frames_the_middle_decides(tmp_path: pathlib.Path) -> None:
    """Middles at 7.5, 22.5 and 37.5 ms; states end at 5, 10, 15 and 40 ms."""
    questions = made_questions(tmp_path, "QS b {-b+}")
    frames = hts.frame_answers(made_labels(tmp_path, STATES), questions, frame_s=0.015)
    assert frames[:, 0].tolist() == [0, 1, 1]
    assert frames[:, 4].tolist() == [2, 2, 2]  # no frame falls to the first states
    assert frames[:, 6].tolist() == [1, 2, 2]
    assert hts.frame_answers(made_labels(tmp_path, STATES), questions, 10).shape == (0, 10)
    with pytest.raises(data.DataError, match="frame_s is 0: it must be at least 1e-7"):
        hts.frame_answers(made_labels(tmp_path, STATES), questions, frame_s=0)


def test_a_middle_on_a_boundary_is_of_what_begins(tmp_path: pathlib.Path) -> None:
    """Middles at 5, 15, 25 and 35 ms; states end at 5, 10, 15 and 40 ms."""
    questions = made_questions(tmp_path, "QS b {-b+}")
    frames = hts.frame_answers(made_labels(tmp_path, STATES), questions, frame_s=0.01)
    features = hts.frame_features(
        {"audio": np.zeros(320, np.int16), "recording": "a"},
        label_folder=tmp_path,
        questions=questions,
        hop_samples=80,
        sample_rate_hz=8000,
    )
    assert frames[:, 0].tolist() == [0, 1, 1, 1]
    assert frames[:, 4].tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(features, frames)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(1, 400_000)] * 3), min_size=1, max_size=6),
    st.integers(1, 300),
    st.sampled_from([8000, 16_000, 22_050, 44_100]),
)
def test_any_states_and_any_hop(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[tuple[int, ...]],
    hop: int,
    rate: int,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    ends = np.cumsum(lengths).tolist()
    lines = [
        f"{start} {end} x^x-p+x=x@{i // 3}_x[{2 + i % 3}]"
        for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]
    made_labels(folder, "\n".join(lines), "any.lab")
    questions = made_questions(folder, r"CQS phone {@(\d+)_}")
    length = -(-ends[-1] * rate // 10**7)
    frames = hts.frame_features(
        {"audio": np.zeros(length, np.int16), "recording": "any"},
        label_folder=folder,
        questions=questions,
        hop_samples=hop,
        sample_rate_hz=rate,
    )
    assert frames.shape == (-(-length // hop), 1 + hts.NUM_POSITIONS)
    middles = [min(start + hop // 2, length - 1) for start in range(0, length, hop)]
    at = [sum(end * rate <= 10**7 * middle for end in ends) for middle in middles]
    assert frames[:, 0].tolist() == [state // 3 for state in at]
    state = np.array(at)
    assert frames[:, 4].tolist() == (state % 3 + 1).tolist()
    assert (frames[:, 4] + frames[:, 5] == 4).all()
    for here, over, left, of in ((state, 1, 2, 3), (state // 3, 9, 8, 6)):
        for each in np.unique(here):
            mine = frames[here == each]
            assert (mine[:, of] == len(mine)).all()
            rise = np.arange(1, len(mine) + 1) / len(mine)
            np.testing.assert_allclose(mine[:, over], rise, rtol=1e-6)
            np.testing.assert_allclose(mine[:, left], rise[::-1], rtol=1e-6)
    np.testing.assert_allclose(frames[:, 7], frames[:, 3] / frames[:, 6], rtol=1e-6)


def test_labels_that_are_not_of_the_recording(tmp_path: pathlib.Path) -> None:
    made_labels(tmp_path, PHONES.replace("450000", "10000000"))  # 1 s
    compute = functools.partial(
        hts.frame_features,
        label_folder=tmp_path,
        questions=made_questions(tmp_path, "QS b {-b+}"),
        hop_samples=80,
        sample_rate_hz=16_000,
    )

    def shape(length: int) -> tuple[int, ...]:
        return compute({"audio": np.zeros(length, np.int16), "recording": "a.FLAC"}).shape

    assert shape(16_000) == (200, 10)
    assert shape(16_000 - 80) == (199, 10)
    assert shape(16_000 + 8000) == (300, 10)
    for length in (16_000 - 81, 16_000 + 8001):
        with pytest.raises(data.DataError, match="line 3 of .*a.lab ends at 1 s, and the audio of"):
            shape(length)


def test_conditions_the_windows_of_a_corpus(tmp_path: pathlib.Path) -> None:
    for i in range(6):
        write(tmp_path / "in" / f"{i}.wav", noise(400 + i, i))
        made_labels(tmp_path, re.sub("@[^_]+_", f"@{i}_", PHONES), f"{i}.lab")
    data.build("folder", data_dir=tmp_path / "out", source=tmp_path / "in", labels="none")
    compute = functools.partial(
        hts.frame_features,
        label_folder=tmp_path,
        questions=made_questions(tmp_path, r"CQS recording {@(\d+)_}", "QS b {-b+}"),
        hop_samples=40,
        sample_rate_hz=8000,
    )
    corpus = data.load("folder", tmp_path / "out", "train")
    for example in data.recordings(corpus, local_features=compute, hop_samples=40):
        assert example["local"].shape == (11, 11)
        assert (example["local"][:, 1] == int(example["recording"][0])).all()
        assert example["local"][:, 0].tolist() == [0] * 2 + [1] * 6 + [0] * 3
