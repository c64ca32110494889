"""A folder of speech with its texts: the table, what is cut, aligned and refused."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest
import soundfile
from synthetic import noise, write

import data
from data.builders import recorded
from data.builders.clips import ClipReader, Spoken
from data.datasets.folder.tables import read_table
from data.text import alignment, cutting
from data.text.espeak.engine import NATIVE_RATE_HZ
from data.text.espeak.synthesis import WORDS_PER_MINUTE, Utterance, synthesise
from data.text.phone_model import PhoneModel

SENTENCES = [
    "A quiet ocean reached the village.",
    "Every early letter was carried.",
    "THE BOAT AVOIDED THAT HAMMER.",
    "Another smooth engine was measured.",
    "Her shadow followed the judge.",
]
STORY = " ".join(SENTENCES[i % 5].capitalize() for i in range(8))


@dataclasses.dataclass(frozen=True)
class Folder:
    """Recordings, and the table beside them."""

    path: pathlib.Path
    table: pathlib.Path

    def build(self, data_dir: pathlib.Path, **options: object) -> pathlib.Path:
        given = {"align": "en-us", "sample_rate_hz": 8000} | options
        return data.build(
            "folder", data_dir=data_dir, source=self.path, labels=str(self.table), **given
        )


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Folder:
    """Five sentences, and a story of them that is longer than a part."""
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    texts = [*SENTENCES, STORY]
    paths = [*(f"clips/{i}.wav" for i in range(5)), "story.wav"]
    utterances = [
        Utterance(text.lower() if text.isupper() else text, "en-us", WORDS_PER_MINUTE)
        for text in texts
    ]
    for path, speech in zip(paths, synthesise(utterances), strict=True):
        write(tmp_path / "in" / path, speech.samples, NATIVE_RATE_HZ)
    rows = [f'{path},"{text}",{path[:5]}' for path, text in zip(paths, texts, strict=True)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,text,speaker", *rows]) + "\n")
    return Folder(tmp_path / "in", table)


def everything(data_dir: pathlib.Path) -> tuple[dict[str, dict], dict[str, tuple[str, ...]]]:
    """Every recording by name, and the classes."""
    found = {}
    for split in data.splits("folder", data_dir):
        corpus = data.load("folder", data_dir, split)
        found |= {name: corpus.recording(i) for i, name in enumerate(corpus.names)}
    return found, corpus.class_names


def test_a_story_is_cut_at_its_pauses_with_its_text(
    folder: Folder, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("parselmouth", reason="Praat is in the extra demo")
    with caplog.at_level(logging.WARNING, logger="absl"):
        folder.build(tmp_path / "out", f0=True, licence="CC BY 4.0")
    assert "cut at pauses: 1 recording" in caplog.text
    found, classes = everything(tmp_path / "out")
    parts = sorted(name for name in found if name.startswith("story.wav:"))
    assert len(found) == 5 + len(parts) and len(parts) >= 2
    assert " ".join(found[name]["text"] for name in parts) == STORY
    sound = np.concatenate([found[name]["audio"] for name in parts])
    whole, rate_hz = data.audio.reading.read(folder.path / "story.wav", sample_rate_hz=8000)
    np.testing.assert_array_equal(sound, whole)
    assert all(len(found[name]["audio"]) <= cutting.MAX_PART_S * rate_hz for name in parts)
    assert {found[f"clips/{i}.wav"]["text"] for i in range(5)} == set(SENTENCES)
    assert classes["speaker"] == ("clips", "story")
    for name, example in found.items():
        assert classes["speaker"][example["speaker"]] == name[:5]
        assert example["phone_ends"][-1] == len(example["audio"])
        assert len(example["f0_hz"]) == -(-len(example["audio"]) // 40)
        spoken = [word.lower() for word in example["words"]]
        assert spoken == example["text"].lower().replace(".", "").split()
    assert data.load("folder", tmp_path / "out", "train").licence == "CC BY 4.0"


def test_phones_are_aligned_by_a_model_of_their_speaker(
    folder: Folder, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the clips of that speaker alone, and of a few of them where there are many."""
    monkeypatch.setattr(recorded, "MODEL_CLIPS", 2)
    made: list[list[str]] = []
    whole = ClipReader.model

    def noted(reader: ClipReader, clips: Sequence[Spoken]) -> PhoneModel | None:
        made.append([spoken.clip.name for spoken in clips])
        return whole(reader, clips)

    monkeypatch.setattr(ClipReader, "model", noted)
    folder.build(tmp_path / "out")
    found, _ = everything(tmp_path / "out")
    assert sorted({name[:5] for name in names}.pop() for names in made) == ["clips", "story"]
    assert all(len({name[:5] for name in names}) == 1 <= len(names) <= 2 for names in made)

    spoken = [found[name] for names in made for name in names if name.startswith("clips")]
    texts = {example["text"]: None for example in (*spoken, found["clips/0.wav"])}
    speech = dict(
        zip(
            texts,
            synthesise(
                Utterance(text.lower() if text.isupper() else text, "en-us", WORDS_PER_MINUTE)
                for text in texts
            ),
            strict=True,
        )
    )
    once = (alignment.align("it", speech[each["text"]], each["audio"], 8000) for each in spoken)
    sounds = [(each["audio"], 8000) for each in spoken]
    model = alignment.speaker_model(
        (each, *sound) for each, sound in zip(once, sounds, strict=True)
    )
    example = found["clips/0.wav"]
    given = "it", speech[example["text"]], example["audio"], 8000
    by_model, warped = (
        [phone.start for phone in alignment.align(*given, model=of).phones] for of in (model, None)
    )
    np.testing.assert_array_equal(example["phone_starts"], by_model)
    assert list(example["phone_starts"]) != warped


def test_at_least_four_sentences_validate_of_twenty(folder: Folder, tmp_path: pathlib.Path) -> None:
    """And one of the few that there are otherwise."""
    folder.build(tmp_path / "out", align=None)
    assert len(data.load("folder", tmp_path / "out", "validation")) == 1
    header, *rows = folder.table.read_text().splitlines()
    for i in range(5, 20):
        (folder.path / "clips" / f"{i}.wav").symlink_to(folder.path / "clips" / "0.wav")
        rows.append(rows[0].replace("clips/0.wav", f"clips/{i}.wav"))
    folder.table.write_text("\n".join([header, *rows]))
    folder.build(tmp_path / "more", align=None)
    assert len(data.load("folder", tmp_path / "more", "validation")) == 4


def test_without_a_pause_it_is_kept_whole_and_said(
    folder: Folder, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder.path / "story.wav"
    samples, rate_hz = soundfile.read(path, dtype="int16")
    write(path, noise(len(samples)), rate_hz)  # nothing in it is silent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "MIN_PAUSE_S", 10.0)
        with caplog.at_level(logging.WARNING, logger="absl"):
            folder.build(tmp_path / "out")
    assert "longer than 12 s without a pause of 10.0 s to cut at, kept so" in caplog.text
    assert "story.wav" in caplog.text
    found, _ = everything(tmp_path / "out")
    assert found["story.wav"]["text"] == STORY


def test_a_recording_that_is_too_long(
    folder: Folder, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "MAX_RECORDING_S", 5.0)
    with pytest.raises(data.DataError, match=r"story\.wav lasts \d+ s, and a recording that is al"):
        folder.build(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    folder.build(tmp_path / "out", skip_bad=True, max_dropped_share=0.2)
    assert len(everything(tmp_path / "out")[0]) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A letter 每 early", "has a text with '每', which eSpeak's en-us does not speak as"),
        ("A letter 😀", "has a text with '😀', which eSpeak's"),
        ("...", "has a text without phones"),
        ("seven " * 200, r"lasts .* s, and the \d+ phones of its text"),
    ],
)
def test_texts_that_cannot_be_read(
    folder: Folder, tmp_path: pathlib.Path, text: str, message: str
) -> None:
    (folder.path / "story.wav").unlink()
    rows = folder.table.read_text().replace(SENTENCES[1], text).splitlines()
    folder.table.write_text("\n".join(rows[:-1]))
    with pytest.raises(data.DataError, match=rf"clips/1\.wav {message}"):
        folder.build(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    folder.build(tmp_path / "out", skip_bad=True, max_dropped_share=0.2)
    assert "clips/1.wav" not in everything(tmp_path / "out")[0]


def test_a_table_of_excel(tmp_path: pathlib.Path) -> None:
    """With a byte order mark, line ends of two characters, empty lines, and spaces."""
    table = tmp_path / "table.csv"
    table.write_bytes(
        '\ufeffpath, text\r\n./a.wav,"He said ""no"", once"\r\n\r\nb/c.wav, \u00fcber \r\n'.encode()
    )
    expected = {"b/c.wav": {"text": "\u00fcber"}, "a.wav": {"text": 'He said "no", once'}}
    assert read_table(table, ["b/c.wav", "a.wav"]) == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "begins with '': it needs a header line with path and one or more of label, sp"),
        (b"a.wav,one\nb.wav,two\n", "begins with 'a.wav,one': it needs a header line"),
        (b"path;text\na.wav;one\n", "begins with 'path;text': .*separated by commas"),
        (b"path\na.wav\nb.wav\n", "begins with 'path': it needs"),
        (b"path,text,text\n", "begins with 'path,text,text': it needs"),
        (b"path,words\na.wav,one\n", "begins with 'path,words': it needs"),
        (b"path,text\na.wav,one\nb.wav,caf\xe9\n", "is not UTF-8"),
        (b"path,text\na.wav,one\n", r"gives no text to b\.wav: add a row for it"),
        (b"path,text\na.wav,one\nb.wav,\n", r"gives no text to b\.wav: fill its text in"),
        (b"path,text\na.wav,one\nb.wav,  \n", r"gives no text to b\.wav: fill its text in"),
        (b"path,text,speaker\na.wav,one,x\nb.wav,two,\n", r"no speaker to b\.wav: fill its sp"),
        (b"path,text\na.wav,one\nb.wav,two\nc.wav,three\n", r"names c\.wav, which is no rec"),
        (b"path,text\na.wav,one\nb.wav,two\n../d.wav,x\n", r"names \.\./d\.wav, which .*--source"),
        (b"path,text\na.wav,one\nb.wav,two\n/e.wav,x\n", r"names /e\.wav, which is no recording"),
        (b"path,text\na.wav,one\nb.wav,two\n./a.wav,x\n", r"line 4 of .* names a\.wav again"),
        (b"path,text\na.wav,one, or two\n", "line 2 of .* has 3 fields for the columns path,text"),
        (b"path,text\na.wav\n", "line 2 of .* has 1 fields for the columns path,text: write"),
        (b'path,text\na.wav,"one\nb.wav,two\n', "line 3 of .* is not CSV"),
        (b'path,text\na.wav,"one" two\n', "line 2 of .* is not CSV .*double those"),
    ],
)
def test_tables_that_are_refused(tmp_path: pathlib.Path, table: bytes, message: str) -> None:
    for name in ("a.wav", "b.wav"):
        write(tmp_path / "in" / name, noise(3000))
    (tmp_path / "table.csv").write_bytes(table)
    source, labels = tmp_path / "in", str(tmp_path / "table.csv")
    with pytest.raises(data.DataError, match=message) as refused:
        data.build("folder", data_dir=tmp_path / "out", source=source, labels=labels)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_refusals_beside_the_table(tmp_path: pathlib.Path) -> None:
    source, table = tmp_path / "in", tmp_path / "table.csv"
    write(source / "a.wav", noise(3000))
    options = {"data_dir": tmp_path / "out", "source": source}
    with pytest.raises(data.DataError, match="--align=en-us needs texts: .*path,text with --label"):
        data.build("folder", **options, align="en-us")
    table.write_text("path,text\na.wav,one\n")
    with pytest.raises(data.DataError, match=r"a\.wav is the only recording, .*: add another"):
        data.build("folder", **options, labels=str(table))
    with pytest.raises(data.DataError, match=r"a\.wav is the only recording, .*: add another"):
        data.build("folder", **options, f0=True)
    write(source / "b.wav", np.zeros(3000, np.int16))
    table.write_text("path,text\na.wav,one\nb.wav,two\n")
    with pytest.raises(data.DataError, match=r"b\.wav is silent"):
        data.build("folder", **options, labels=str(table), align="en-us")
    assert not (tmp_path / "out").exists()
