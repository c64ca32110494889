"""The corpus `hts`: its layouts, its labels to the recording's end, what is refused."""

import functools
import pathlib
import pickle
import shutil

import numpy as np
import pytest
import soundfile
from synthetic import noise, write

import data
from data.text import hts
from data.text.frames import NUM_PITCH

RATE_HZ = 16000
QUESTIONS = '# who asks what\nQS  "C-ah" {-ah+}\nQS "C-sil" {-sil+}\nCQS "n" {@(\\d+)_}\n'
LABELS = ("x^x-sil+ah=x@x_/A:0", "x^sil-ah+sil=x@3_/A:0", "sil^ah-sil+x=x@x_/A:0")
ENDS_S = (0.0254, 0.1, 0.19)  # of 0.2 s


def lab(*, states: int = 1) -> str:
    """The labels, each phone in states of one length."""
    lines, start = [], 0
    for label, end_s in zip(LABELS, ENDS_S, strict=True):
        edges = np.linspace(start, round(end_s * 10**7), states + 1).astype(int)
        for i in range(states):
            state = f"[{i + 2}]" if states > 1 else ""
            lines.append(f"{edges[i]} {edges[i + 1]} {label}{state}")
        start = edges[-1]
    return "\n".join(lines) + "\n"


def put(recording: pathlib.Path, labels: pathlib.Path, seed: int = 0, states: int = 1) -> None:
    write(recording, noise(RATE_HZ // 5, seed), RATE_HZ)
    labels.parent.mkdir(parents=True, exist_ok=True)
    labels.write_text(lab(states=states))


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three recordings, each with its labels beside it."""
    folder = tmp_path / "in"
    for i in range(3):
        put(folder / f"{i}.wav", folder / f"{i}.lab", i)
    (tmp_path / "q.hed").write_text(QUESTIONS)
    return folder


def built(
    tmp_path: pathlib.Path, source: pathlib.Path, out: str = "out", **options: object
) -> list[data.Corpus]:
    options = {"questions": str(tmp_path / "q.hed")} | options
    data.build("hts", data_dir=tmp_path / out, source=source, **options)
    return [data.load("hts", tmp_path / out, split) for split in data.splits("hts", tmp_path / out)]


def check(corpora: list[data.Corpus], starts: list[int], length: int) -> None:
    assert [corpus.split for corpus in corpora] == ["train", "validation"]
    for corpus in corpora:
        assert len(corpus) >= 1
        for i in range(len(corpus)):
            example = corpus.recording(i)
            assert example["labels"] == LABELS
            assert example["phone_starts"].tolist() == starts
            assert example["phone_ends"].tolist() == [*starts[1:], length]
            assert len(example["audio"]) == length
            assert (example["f0_hz"].dtype, example["f0_hz"].shape) == (np.float32, (40,))


def names(corpora: list[data.Corpus]) -> list[str]:
    return sorted(name for corpus in corpora for name in corpus.names)


def test_labels_tile_the_recording_and_the_questions_are_kept(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    corpora = built(tmp_path, source)
    assert names(corpora) == ["0.wav", "1.wav", "2.wav"]
    check(corpora, [0, 406, 1600], 3200)
    for corpus in corpora:
        questions = ('QS "C-ah" {-ah+}', 'QS "C-sil" {-sil+}', r'CQS "n" {@(\d+)_}')
        assert corpus.questions == questions and not corpus.class_names
        with pytest.raises(data.DataError, match="hts has no label 'questions': it has none"):
            corpus.label(0, "questions")
        for i, name in enumerate(corpus.names):
            expected = noise(RATE_HZ // 5, int(name[0]))
            np.testing.assert_array_equal(corpus.recording(i)["audio"], expected)


def test_at_another_rate(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    check(built(tmp_path, source, sample_rate_hz=8000), [0, 203, 800], 1600)


@pytest.mark.parametrize("folder", ["lab", "label_state_align", "label_phone_align"])
def test_labels_in_a_folder_of_their_own(tmp_path: pathlib.Path, folder: str) -> None:
    """By state, at any depth, from an archive."""
    (tmp_path / "q.hed").write_text(QUESTIONS)
    for i in range(2):
        name = f"{i}.one"
        put(
            tmp_path / "in" / "slt" / "wav" / f"{name}.wav",
            tmp_path / "in" / "slt" / folder / f"{name}.lab",
            i,
            states=5,
        )
    (tmp_path / "in" / "slt" / "wav" / "._0.one.wav").write_text("what a Mac leaves")
    archive = shutil.make_archive(str(tmp_path / "corpus"), "zip", tmp_path / "in")
    corpora = built(tmp_path, pathlib.Path(archive))
    assert names(corpora) == ["slt/wav/0.one.wav", "slt/wav/1.one.wav"]
    check(corpora, [0, 406, 1600], 3200)


def test_pitch_is_that_of_the_recording(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    time_s = np.arange(RATE_HZ // 5) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 200 * k * time_s) / k for k in range(1, 9))
    for i in range(3):
        write(source / f"{i}.wav", (8000 * voice).astype(np.int16), RATE_HZ)
    f0_hz = built(tmp_path, source)[0].recording(0)["f0_hz"]
    np.testing.assert_allclose(f0_hz[10:30], 200, atol=1)


def test_without_a_question_file(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    for questions, message in (
        (None, "hts needs a question file: name it with --questions=FILE"),
        (str(tmp_path / "no.hed"), r"no\.hed is missing: restore it, or check the path"),
    ):
        with pytest.raises(data.DataError, match=message):
            built(tmp_path, source, questions=questions)
    assert not (tmp_path / "out").exists()
    with pytest.raises(data.DataError, match="hts has no option 'trim_db'"):
        built(tmp_path, source, trim_db=40.0)


@pytest.mark.parametrize(
    "asked", ['QS "C-zh" {-zh+}\nCQS "words" {/J:(\\d+)}', 'QS "C-zh" {-zh+}', r"CQS w {/J:(\d+)}"]
)
def test_questions_to_other_labels(
    tmp_path: pathlib.Path, source: pathlib.Path, asked: str
) -> None:
    (tmp_path / "q.hed").write_text(asked)
    with pytest.raises(data.DataError, match=r"no question of .*q\.hed matches a label of .*/in: "):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", ['QS "C-zh" {-zh+}\nQS "ah" {-ah+}', r"CQS w {/A:(\d+)}"])
def test_one_match_suffices_be_it_a_zero(
    tmp_path: pathlib.Path, source: pathlib.Path, asked: str
) -> None:
    (tmp_path / "q.hed").write_text(asked)
    assert len(names(built(tmp_path, source))) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"1\.wav has no labels: put 1\.lab beside it, or in lab/ beside its folder wav/"),
        ("", r"1\.lab has no labels"),
        (lab().replace("-ah+", "ah"), r"line 2 of .*1\.lab has the label .*phone in context"),
        (lab().replace("1900000", "2100000"), r"line 3 of .*1\.lab ends at 0\.21 s, and the audio"),
        ("0 2000100 x^x-ah+x=x\n2000100 2000200 x^x-b+x=x\n", r"line 2 .* lasts no sample at 16"),
        (lab().replace("@3_", "@1.2.3_"), r"line 2 of .*1\.lab answers n of .*with a text that"),
    ],
)
def test_refused_labels(
    tmp_path: pathlib.Path, source: pathlib.Path, content: str | None, message: str
) -> None:
    (tmp_path / "q.hed").write_text(QUESTIONS.replace(r"(\d+)", r"([\d\.]+)"))
    path = source / "1.lab"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(data.DataError, match=message):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()
    kept = built(tmp_path, source, skip_bad=True, max_dropped_share=0.4)
    assert names(kept) == ["0.wav", "2.wav"]


def test_labels_that_end_long_before_the_recording(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    write(source / "2.wav", noise(round(0.691 * RATE_HZ)), RATE_HZ)
    with pytest.raises(data.DataError, match=r"line 3 of .*2\.lab ends at 0\.19 s, .* 0\.691 s: "):
        built(tmp_path, source)
    write(source / "2.wav", noise(round(0.689 * RATE_HZ)), RATE_HZ)
    corpora = built(tmp_path, source)
    examples = [corpus.recording(i) for corpus in corpora for i in range(len(corpus))]
    ends = {int(example["phone_ends"][-1]) for example in examples}
    assert ends == {3200, round(0.689 * RATE_HZ)}


def test_too_few_recordings_and_other_folders(tmp_path: pathlib.Path, source: pathlib.Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "q.hed", tmp_path / "other")
    with pytest.raises(
        data.DataError, match=r"should hold NAME\.wav with NAME\.lab .*holds q\.hed"
    ):
        built(tmp_path, tmp_path / "other")
    for i in (1, 2):
        (source / f"{i}.wav").unlink()
    with pytest.raises(data.DataError, match="/in holds one recording with labels: give at least"):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()


def test_windows_from_workers_have_the_contexts(
    tmp_path: pathlib.Path, source: pathlib.Path
) -> None:
    """What a config's `hts` makes of the corpus; questions travel to workers."""
    train = built(tmp_path, source)[0]
    questions = hts.Questions.parse(train.questions, "the corpus")
    compute = functools.partial(
        hts.linguistic_features,
        questions=pickle.loads(pickle.dumps(questions)),
        hop_samples=80,
        sample_rate_hz=RATE_HZ,
        with_pitch=True,
    )
    for example in data.recordings(train, local_features=compute, hop_samples=80):
        local = example["local"]
        assert local.shape == (40, 3 + 4 + NUM_PITCH)
        assert local[:, 0].tolist() == [0] * 5 + [1] * 15 + [0] * 20
        assert local[:, 1].tolist() == [1] * 5 + [0] * 15 + [1] * 20
        np.testing.assert_allclose(local[:, 2], [-0.2] * 5 + [0.6] * 15 + [-0.2] * 20, rtol=1e-6)


def test_two_sentences_of_arctic(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As little as trains and validates: the answers of both alignments are a peer's."""
    folder = shared / "hts_arctic"
    for level in ("phone", "state"):
        source = tmp_path / level
        source.mkdir()
        for name in ("arctic_a0001", "arctic_a0009"):
            shutil.copy(folder / f"{name}.wav", source)
            shutil.copy(folder / f"{name}_{level}.lab", source / f"{name}.lab")
        asked = str(folder / "questions-radio_dnn_416.hed")
        corpora = built(tmp_path, source, f"out_{level}", questions=asked)
        assert [len(corpus) for corpus in corpora] == [1, 1]
        (corpus,) = (corpus for corpus in corpora if corpus.names == ("arctic_a0001.wav",))
        example = corpus.recording(0)
        expected, rate = soundfile.read(folder / "arctic_a0001.wav", dtype="int16")
        assert rate == corpus.sample_rate_hz
        np.testing.assert_array_equal(example["audio"], expected)
        assert example["phone_starts"][:3].tolist() == [0, 3280, 5440]
        assert example["phone_ends"][-1] == len(expected)
        questions = hts.Questions.parse(corpus.questions, "the corpus")
        stored = np.fromfile(folder / "arctic_a0001_questions416_float32.bin", np.float32)
        binary = slice(0, questions.num_binary)
        contexts = hts.phone_contexts(example, questions=questions)
        np.testing.assert_array_equal(contexts[:, binary], stored.reshape(37, 416)[:, binary])
        voiced = example["f0_hz"] > 0
        assert 0.3 < voiced.mean() < 0.8 and 120 < np.median(example["f0_hz"][voiced]) < 250
