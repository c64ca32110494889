"""CMU ARCTIC: speakers, texts, labels in time, and sentences that stay in one split."""

import pathlib
import shutil

import numpy as np
import pytest
from synthetic import noise, write

import data

LAB = "#\n0.0250 125 pau\n0.0250 125 ssil\n0.0500 125 ao\n0.09700 125 pau ;\n"
COUNT = 40


def make(root: pathlib.Path, *speakers: str, labelled: bool = True) -> pathlib.Path:
    for i, speaker in enumerate(speakers):
        folder = root / f"cmu_us_{speaker}_arctic"
        lines = []
        for j in range(1, COUNT + 1):
            name = f"arctic_a{j:04}"
            write(folder / "wav" / f"{name}.wav", noise(1600, 100 * i + j), 16000)
            (folder / "lab").mkdir(exist_ok=True)
            if labelled:
                (folder / "lab" / f"{name}.lab").write_text(LAB)
            lines.append(f'( {name} "Sentence {j}, of \\"{speaker}\\"." )')
        (folder / "etc").mkdir()
        (folder / "etc" / "txt.done.data").write_text("\n".join(lines) + "\n")
        (folder / "COPYING").write_text("free")
    return root


def built(
    tmp_path: pathlib.Path, source: pathlib.Path, **options: object
) -> dict[str, data.Corpus]:
    folder = data.build("cmu_arctic", data_dir=tmp_path / "out", source=source, **options)
    return {
        split: data.load("cmu_arctic", tmp_path / "out", split)
        for split in ("train", "validation", "test")
        if list(folder.glob(f"*-{split}.*"))
    }


def check_phones(corpus: data.Corpus, i: int, rate: int) -> None:
    example = corpus.recording(i)
    names = corpus.class_names["phones"]
    assert names == ("ao", "pau")
    assert [names[phone] for phone in example["phones"]] == ["pau", "ao", "pau"]
    np.testing.assert_array_equal(example["phone_starts"], np.array([0, 25, 50]) * rate // 1000)
    np.testing.assert_array_equal(example["phone_ends"], np.array([25, 50, 97]) * rate // 1000)


def test_a_sentence_is_in_one_split_for_all_speakers(tmp_path: pathlib.Path) -> None:
    corpora = built(tmp_path, make(tmp_path / "in", "slt", "bdl"))
    assert sum(len(corpus) for corpus in corpora.values()) == 2 * COUNT
    sentences = {}
    for split, corpus in corpora.items():
        assert corpus.class_names["speaker"] == ("bdl", "slt")
        of = {
            speaker: [name.split("/")[1] for name in corpus.names if name.startswith(f"{speaker}/")]
            for speaker in ("bdl", "slt")
        }
        assert of["bdl"] == of["slt"]
        sentences[split] = of["slt"]
    # As it was when this was written: a split is never to move.
    assert sentences["validation"] == ["arctic_a0007"]
    train = corpora["train"]
    i = train.names.index("slt/arctic_a0001")
    example = train.recording(i)
    np.testing.assert_array_equal(example["audio"], noise(1600, 1))
    assert example["text"] == 'Sentence 1, of "slt".'
    assert train.class_names["speaker"][example["speaker"]] == "slt"
    check_phones(train, i, 16000)


def test_one_speaker_from_the_archive_at_another_rate(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in", "slt")
    archive = shutil.make_archive(str(tmp_path / "cmu_us_slt_arctic"), "bztar", source)
    train = built(tmp_path, pathlib.Path(archive), sample_rate_hz=8000)["train"]
    assert train.class_names["speaker"] == ("slt",)
    check_phones(train, 0, 8000)
    alone = built(tmp_path / "alone", source / "cmu_us_slt_arctic")["train"]
    assert alone.names == train.names
    with pytest.raises(data.DataError, match="cmu_arctic has no option 'trim_db'"):
        built(tmp_path / "trimmed", source, trim_db=40.0)


def test_without_some_labels_or_texts(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = make(tmp_path / "in", "slt")
    folder = source / "cmu_us_slt_arctic"
    (folder / "lab" / "arctic_a0003.lab").unlink()
    texts = folder / "etc" / "txt.done.data"
    texts.write_text("\n".join(texts.read_text().splitlines()[1:]))
    train = built(tmp_path, source)["train"]
    assert "slt/arctic_a0001" not in train.names
    assert "phones" not in train.recording(0)
    assert list(train.class_names) == ["speaker"]
    assert "without a text, left out: 1 recording(s)" in caplog.text
    assert "without phone labels, so that none are read: 1 recording(s)" in caplog.text


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("lab/arctic_a0002.lab", "0.1 125 pau\n", r"a0002\.lab has no line '#' before its labels"),
        ("lab/arctic_a0002.lab", "#\n", r"a0002\.lab has no labels"),
        ("lab/arctic_a0002.lab", "#\npau\n", r"line 2 of .*a0002\.lab is 'pau': it must be an end"),
        (
            "lab/arctic_a0002.lab",
            "#\n0.05 125 pau\n0.02 125 ao\n",
            r"line 3 of .*a0002\.lab: 'ao' ends at 0\.0200 s and starts at 0\.0500 s",
        ),
        (
            "lab/arctic_a0002.lab",
            "#\n0.05 125 pau\n0.13 125 ao\n",
            r"line 3 of .*a0002\.lab: 'ao' ends at 0\.1300 s, past the recording's end at 0\.1000",
        ),
        ("etc/txt.done.data", "arctic_a0001 Hello\n", r"line 1 of .*data is 'arctic_a0001 Hello'"),
        ("etc/txt.done.data", '( a "" )\n', r"line 1 of .*txt\.done\.data is '\( a \"\" \)': it"),
        ("etc/txt.done.data", '( a "b" )\n( a "c" )\n', r"names a twice, again in line 2"),
    ],
)
def test_refused_labels_and_texts(
    tmp_path: pathlib.Path, path: str, content: str, message: str
) -> None:
    source = make(tmp_path / "in", "slt")
    (source / "cmu_us_slt_arctic" / path).write_text(content)
    with pytest.raises(data.DataError, match=message):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()


def test_another_layout(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in" / "wavs").mkdir(parents=True)
    with pytest.raises(
        data.DataError,
        match=r"CMU ARCTIC is: it should hold cmu_us_slt_arctic/etc/txt\.done\.data .*holds wav",
    ):
        built(tmp_path, tmp_path / "in")
