"""TIMIT: its layout and its sample's, labels in time, splits by speaker, what is refused."""

import pathlib
import shutil

import numpy as np
import pytest
import soundfile
from synthetic import noise, write

import data
from data.datasets.timit import speakers
from data.datasets.timit.timit_dataset_builder import PHONES

PHN = "0 300 h#\n300 500 sh\n500 850 iy\n850 990 h#\n"
WRD = "300 850 she\n700 850 he\n"
SPEAKERS = {
    "TRAIN": ("FCJF0", "MDAC0"),
    "TEST": ("MDAB0", "FADG0", "MSTK0"),
}


def write_sentence(stem: pathlib.Path, *, upper: bool, seed: int = 0) -> None:
    def named(suffix: str) -> pathlib.Path:
        name = stem.name + suffix
        return stem.with_name(name.upper() if upper else name)

    write(named(".wav"), noise(1000, seed), 16000, format="NIST" if upper else "WAV")
    named(".phn").write_text(PHN)
    named(".wrd").write_text(WRD)
    named(".txt").write_text("0 1000 She, he.\n")


def make(root: pathlib.Path) -> pathlib.Path:
    """As on the disc: NIST headers, names in upper case, documents beside."""
    for part, names in SPEAKERS.items():
        for i, speaker in enumerate(names):
            for j, sentence in enumerate(("sa1", "si1027", "sx37")):
                stem = root / "TIMIT" / part / "DR1" / speaker / sentence
                write_sentence(stem, upper=True, seed=10 * i + j)
    (root / "TIMIT" / "DOC").mkdir()
    (root / "TIMIT" / "DOC" / "PHONCODE.DOC").write_text("phones")
    (root / "README.DOC").write_text("about")
    return root


def speakers_of(corpus: data.Corpus) -> set[str]:
    names = corpus.class_names["speaker"]
    return {names[corpus.label(i, "speaker")] for i in range(len(corpus))}


def built(
    tmp_path: pathlib.Path, source: pathlib.Path, **options: object
) -> dict[str, data.Corpus]:
    data.build("timit", data_dir=tmp_path / "out", source=source, **options)
    return {
        split: data.load("timit", tmp_path / "out", split)
        for split in ("train", "validation", "test")
    }


def check_example(corpus: data.Corpus, i: int, scale: float = 1.0) -> None:
    example = corpus.recording(i)
    assert example["text"] == "She, he."
    phones = [corpus.class_names["phones"][phone] for phone in example["phones"]]
    assert phones == ["h#", "sh", "iy", "h#"]
    assert example["words"] == ("she", "he")
    for key, expected in (
        ("phone_starts", [0, 300, 500, 850]),
        ("phone_ends", [300, 500, 850, 990]),
        ("word_starts", [300, 700]),
        ("word_ends", [850, 850]),
    ):
        np.testing.assert_array_equal(example[key], scale * np.array(expected))


def test_the_whole_corpus(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in")
    corpora = built(tmp_path, source)
    assert corpora["train"].names == (
        "train/dr1/fcjf0/si1027",
        "train/dr1/fcjf0/sx37",
        "train/dr1/mdac0/si1027",
        "train/dr1/mdac0/sx37",
    )
    assert speakers_of(corpora["validation"]) == {"fadg0"}
    assert speakers_of(corpora["test"]) == {"mdab0"}
    assert [len(corpora[split]) for split in ("validation", "test")] == [2, 2]
    check_example(corpora["train"], 3)
    np.testing.assert_array_equal(corpora["train"].recording(3)["audio"], noise(1000, 12))


def test_its_archive_and_lower_case(tmp_path: pathlib.Path) -> None:
    source = make(tmp_path / "in")
    expected = built(tmp_path / "folder", source)["test"]
    for path in sorted(source.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    archive = shutil.make_archive(str(tmp_path / "timit"), "gztar", source)
    test = built(tmp_path / "archive", pathlib.Path(archive))["test"]
    assert test.names == expected.names
    np.testing.assert_array_equal(test.recording(1)["audio"], expected.recording(1)["audio"])


def test_positions_follow_the_rate(tmp_path: pathlib.Path) -> None:
    corpora = built(tmp_path, make(tmp_path / "in"), sample_rate_hz=8000)
    assert corpora["train"].lengths.tolist() == [500] * 4
    check_example(corpora["train"], 0, scale=0.5)
    with pytest.raises(data.DataError, match="timit has no option 'trim_db'"):
        built(tmp_path / "trimmed", tmp_path / "in", trim_db=40.0)


def test_speakers_are_as_many_as_documented() -> None:
    assert len(speakers.CORE_TEST) == 24
    assert len(speakers.DEVELOPMENT) == 50
    assert not speakers.CORE_TEST & speakers.DEVELOPMENT
    assert sum(name.startswith("f") for name in speakers.CORE_TEST) == 8
    assert len(set(PHONES)) == 61


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".PHN", PHN.replace("300 500", "310 500"), r"line 2 of .*SX37\.PHN: 'sh' .*a gap after"),
        (".PHN", PHN.replace("500 850", "490 850"), r"line 3 of .*SX37\.PHN: 'iy' .*an overlap"),
        (".PHN", PHN.replace("0 300", "9 300"), r"line 1 of .*SX37\.PHN: 'h#' .*a gap after"),
        (".PHN", PHN.replace("850 990", "850 1401"), r"line 4 of .*PHN: .* past the recording's"),
        (".PHN", PHN.replace("sh", "sz"), r"line 2 of .*SX37\.PHN: 'sz' is none of TIMIT's 61"),
        (".PHN", PHN + "990 990 h#\n", r"line 5 of .*PHN: 'h#' ends at 0\.0619 s and starts at"),
        (".PHN", "", r"SX37\.PHN has no labels"),
        (".PHN", "300 sh\n", r"line 1 of .*SX37\.PHN is '300 sh': it must be start and end"),
        (".WRD", "300 2000 she\n", r"line 1 of .*SX37\.WRD: 'she' .* past the recording's end"),
        (
            ".WRD",
            "300 400 she\n10 200 he\n",
            r"line 2 of .*SX37\.WRD: 'he' starts .* before the",
        ),
        (".TXT", "0 1000\n", r"line 1 of .*SX37\.TXT is '0 1000', with no text"),
        (".TXT", "", r"line 1 of .*SX37\.TXT is '', with no text"),
        (".WRD", None, r"SX37\.PHN has no \.wrd beside it"),
    ],
)
def test_refused_labels(
    tmp_path: pathlib.Path, suffix: str, content: str | None, message: str
) -> None:
    source = make(tmp_path / "in")
    path = source / "TIMIT" / "TRAIN" / "DR1" / "MDAC0" / f"SX37{suffix}"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(data.DataError, match=message):
        built(tmp_path, source)
    assert not (tmp_path / "out").exists()


def test_bad_labels_may_be_dropped_and_an_end_may_pass_the_last_sample(
    tmp_path: pathlib.Path,
) -> None:
    folder = make(tmp_path / "in") / "TIMIT" / "TRAIN" / "DR1" / "MDAC0"
    (folder / "SX37.PHN").write_text(PHN.replace("sh", "sz"))
    (folder / "SI1027.PHN").write_text(PHN.replace("990", "1100"))
    train = built(tmp_path, tmp_path / "in", skip_bad=True, max_dropped_share=0.2)["train"]
    assert len(train) == 3
    assert train.recording(2)["phone_ends"][-1] == 1000


def test_other_folders_and_a_truncated_recording(tmp_path: pathlib.Path) -> None:
    (tmp_path / "none" / "wavs").mkdir(parents=True)
    with pytest.raises(
        data.DataError, match=r"as TIMIT is: it should hold TRAIN/DR1/FCJF0/.*, and holds wavs"
    ):
        built(tmp_path, tmp_path / "none")
    make(tmp_path / "twice" / "a")
    make(tmp_path / "twice" / "b")
    with pytest.raises(data.DataError, match=r"holds test/dr1/fadg0/si1027 twice, again as .*/b/"):
        built(tmp_path, tmp_path / "twice")
    path = make(tmp_path / "in") / "TIMIT" / "TEST" / "DR1" / "FADG0" / "SX37.WAV"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(
        data.DataError, match=r"SX37\.WAV is truncated: its header gives 2000 bytes .* it has 1400"
    ):
        built(tmp_path, tmp_path / "in")


def test_the_real_sample(shared: pathlib.Path, tmp_path: pathlib.Path) -> None:
    corpora = built(tmp_path, shared / "timit")
    assert [len(corpus) for corpus in corpora.values()] == [64, 16, 16]
    assert speakers_of(corpora["validation"]) == {"fapb0", "mbma1"}
    assert speakers_of(corpora["test"]) == {"fblv0", "madd0"}
    train = corpora["train"]
    i = train.names.index("dr4-falr0/si695")
    example = train.recording(i)
    expected, rate = soundfile.read(shared / "timit/dr4-falr0/si695.wav", dtype="int16")
    assert train.sample_rate_hz == rate
    np.testing.assert_array_equal(example["audio"], expected)
    assert example["text"] == "The new birth is immediate and instantaneous."
    assert example["words"][:2] == ("the", "new")
    names = train.class_names["phones"]
    assert [names[phone] for phone in example["phones"][:4]] == ["h#", "dh", "iy", "n"]
    np.testing.assert_array_equal(example["phone_starts"][1:], example["phone_ends"][:-1])
    assert example["phone_ends"][-1] == 45520
    frames = data.frame_labels(example, hop_samples=160)
    assert names[frames[2400 // 160]] == "dh"
