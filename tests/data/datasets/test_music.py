"""The corpora of music, laid out as they are distributed."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from synthetic import noise, write

import data


def write_text(path: pathlib.Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def magnatagatune(root: pathlib.Path) -> None:
    """60 tags, of which the first 55 occur: the later the more often, but for the first."""
    names = [f"tag {i}" for i in range(60)]
    rows = ["\t".join(["clip_id", *names, "mp3_path"])]
    for clip, folder in enumerate("0bcdf"):
        path = f"{folder}/artist-album-{clip}-0-29.mp3"
        (root / folder).mkdir(parents=True, exist_ok=True)
        write(root / path, noise(16000, clip), 16000)
        has = [
            "1" if (i < 5 and clip == 0) or (5 <= i < 55 and clip < 2) else "0" for i in range(60)
        ]
        rows.append("\t".join([str(clip), *has, path]))
    write_text(root / "annotations_final.csv", *rows)


def sorted_pieces(root: pathlib.Path) -> None:
    for i in range(50):
        write(root / "pieces" / f"out{i}.wav", noise(100 + i, i), 16000)


def maestro(root: pathlib.Path) -> None:
    folder = root / "maestro-v3.0.0"
    header = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
    rows = []
    for i, split in enumerate(("train", "test", "validation", "train")):
        name = f"2018/{i}.wav"
        stereo = np.stack([noise(300, i)] * 2, axis=1)
        write(folder / name, stereo, 44100)
        composer = "Claude Debussy" if i else "Alban Berg"
        rows.append(f'{composer},"Sonata, Op. {i}",{split},2018,2018/{i}.midi,{name},1.0')
    write_text(folder / "maestro-v3.0.0.csv", header, *rows)


def nsynth(root: pathlib.Path, parts: tuple[str, ...] = ("train", "valid", "test")) -> None:
    for i, part in enumerate(parts):
        notes = {}
        for instrument in range(3):
            note = f"bass_synthetic_{i}{instrument:02}-0{60 + instrument}-025"
            write(root / f"nsynth-{part}" / "audio" / f"{note}.wav", noise(200, i), 16000)
            notes[note] = {
                "pitch": 60 + instrument,
                "velocity": 25,
                "instrument_str": f"bass_synthetic_{i}{instrument:02}",
                "instrument_family_str": "bass",
                "instrument_source_str": "synthetic",
                "note": 1,
            }
        write_text(root / f"nsynth-{part}" / "examples.json", json.dumps(notes))


LAYOUTS: dict[str, Callable[[pathlib.Path], None]] = {
    "magnatagatune": magnatagatune,
    "youtube_mix": sorted_pieces,
    "beethoven": sorted_pieces,
    "maestro": maestro,
    "nsynth": nsynth,
}
OPTIONS = {"maestro": {"mono": True}}


def build(name: str, tmp_path: pathlib.Path, make: Callable | None = None, **options: object):
    """The splits of a corpus made and built."""
    source = tmp_path / "in"
    source.mkdir(parents=True)
    (make or LAYOUTS[name])(source)
    return loaded(name, tmp_path / "out", source, **options)


def loaded(name: str, data_dir: pathlib.Path, source: pathlib.Path, **options: object):
    data.build(name, data_dir=data_dir, source=source, **OPTIONS.get(name, {}) | options)
    return {split: data.load(name, data_dir, split) for split in data.splits(name, data_dir)}


def names(splits: dict[str, data.Corpus]) -> dict[str, list[str]]:
    return {split: list(corpus.names) for split, corpus in splits.items()}


def of_recording(splits: dict[str, data.Corpus], name: str) -> dict:
    for corpus in splits.values():
        if name in corpus.names:
            return corpus.recording(corpus.names.index(name))
    raise KeyError(name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_archive_is_the_folder(name: str, tmp_path: pathlib.Path) -> None:
    splits = build(name, tmp_path)
    assert {"train", "validation"} <= splits.keys()
    archive = shutil.make_archive(str(tmp_path / "archive"), "gztar", tmp_path / "in")
    again = loaded(name, tmp_path / "again", pathlib.Path(archive))
    assert names(again) == names(splits)
    for split, corpus in splits.items():
        for i in range(len(corpus)):
            one, other = corpus.recording(i), again[split].recording(i)
            assert one.keys() == other.keys()
            np.testing.assert_array_equal(one["audio"], other["audio"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("magnatagatune", r"MagnaTagATune is: it should hold annotations_final\.csv"),
        ("youtube_mix", r"YouTubeMix is: it should hold \*\.wav"),
        ("beethoven", r"Beethoven is: it should hold \*\.wav"),
        ("maestro", r"MAESTRO is: it should hold maestro-v\*\.csv"),
        ("nsynth", r"NSynth is: it should hold nsynth-\*/examples\.json"),
    ],
)
def test_another_layout_is_refused(name: str, expected: str, tmp_path: pathlib.Path) -> None:
    write_text(tmp_path / "in" / "README.txt", "another corpus")
    with pytest.raises(data.DataError, match=f"{expected}, and holds README.txt"):
        data.build(name, data_dir=tmp_path / "out", source=tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_magnatagatune(tmp_path: pathlib.Path) -> None:
    splits = build("magnatagatune", tmp_path)
    held = {split: [name[0] for name in part] for split, part in names(splits).items()}
    assert held == {"train": ["0", "b"], "validation": ["c"], "test": ["d", "f"]}
    tags = splits["train"].class_names["tags"]
    assert tags == tuple(f"tag {i}" for i in range(5, 55))
    assert splits["train"].multi_label == {"tags"}
    assert splits["train"].label(0, "tags").tolist() == list(range(50))
    assert splits["validation"].label(0, "tags").tolist() == []
    windows = data.training_windows(
        splits["train"],
        segment_samples=8000,
        context_samples=0,
        batch_size=2,
        seed=0,
        global_labels=("tags",),
    )
    batch = next(windows)
    windows.close()
    assert batch["global"].tolist() == [[1] * 50] * 2


@pytest.mark.parametrize("name", ["youtube_mix", "beethoven"])
def test_pieces_in_their_natural_order(name: str, tmp_path: pathlib.Path) -> None:
    splits = names(build(name, tmp_path))
    assert splits["train"] == [f"out{i}.wav" for i in range(44)]
    assert splits["validation"] == [f"out{i}.wav" for i in range(44, 47)]
    assert splits["test"] == [f"out{i}.wav" for i in range(47, 50)]


def test_maestro(tmp_path: pathlib.Path) -> None:
    splits = build("maestro", tmp_path / "whole")
    assert names(splits) == {
        "train": ["2018/0.wav", "2018/3.wav"],
        "validation": ["2018/2.wav"],
        "test": ["2018/1.wav"],
    }
    recording = of_recording(splits, "2018/3.wav")
    assert splits["train"].class_names["composer"][recording["composer"]] == "Claude Debussy"
    assert (recording["title"], recording["year"]) == ("Sonata, Op. 3", 2018)
    np.testing.assert_array_equal(recording["audio"], noise(300, 3))

    def damaged(root: pathlib.Path) -> None:
        maestro(root)
        (root / "maestro-v3.0.0" / "2018" / "2.wav").unlink()

    with pytest.raises(
        data.DataError, match=r"2018/2\.wav is missing, and line 4 of .*\.csv names"
    ):
        build("maestro", tmp_path / "damaged", damaged)


def test_nsynth(tmp_path: pathlib.Path) -> None:
    splits = build("nsynth", tmp_path / "whole")
    assert {split: len(corpus) for split, corpus in splits.items()} == {
        "train": 3,
        "validation": 3,
        "test": 3,
    }
    recording = splits["validation"].recording(1)
    assert splits["train"].class_names["pitch"][recording["pitch"]] == "61"
    assert recording["velocity"] == 25
    assert len(splits["train"].class_names["instrument"]) == 9
    alone = build("nsynth", tmp_path / "part", lambda root: nsynth(root, ("valid",)))
    assert sum(len(corpus) for corpus in alone.values()) == 3
    assert {"train", "validation"} <= alone.keys()

    def damaged(root: pathlib.Path) -> None:
        nsynth(root)
        write_text(root / "nsynth-test" / "examples.json", '{"note": {"pitch": 1}}')

    with pytest.raises(data.DataError, match=r"examples\.json is not laid out as .*KeyError"):
        build("nsynth", tmp_path / "damaged", damaged)


@pytest.mark.parametrize("name", ["magnatagatune", "maestro", "nsynth"])
def test_a_table_that_is_not_utf8_is_refused(name: str, tmp_path: pathlib.Path) -> None:
    LAYOUTS[name](tmp_path / "in")
    pattern = {"magnatagatune": "*.csv", "maestro": "*/*.csv", "nsynth": "*test/*.json"}[name]
    (table,) = (tmp_path / "in").glob(pattern)
    table.write_bytes(table.read_bytes() + b"\xe9\n")
    with pytest.raises(data.DataError, match=rf"{table.name} is not .*codec can't decode.*restore"):
        loaded(name, tmp_path / "out", tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_every_builder_states_its_licence_and_loads_no_tensorflow() -> None:
    program = (
        "import importlib, sys\n"
        "import data\n"
        "for name in data.OPTIONS:\n"
        "    module = importlib.import_module(f'data.datasets.{name}.{name}_dataset_builder')\n"
        "    assert module.Builder.LICENCE and isinstance(module.Builder.HOMEPAGE, str)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    root = pathlib.Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
