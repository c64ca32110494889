"""Tests as they are laid out: folders, descriptions, sounds."""

import json
import pathlib
import shutil

import numpy as np
import pyloudnorm
import pytest
import soundfile

import data
from experiments.listening import description, preparing
from experiments.listening.description import (
    COMPARISON,
    CONTROL,
    DEGRADED,
    ITEM,
    KINDS,
    LOW_ANCHOR,
    MID_ANCHOR,
    MOS,
    MUSHRA,
    PREFERENCE,
    RECORDING,
    REPEAT,
)
from wavenet_jax import InputError

TEXTS = [f"t{i}" for i in range(12)]


def prepared(out: pathlib.Path, sound_dirs: dict[str, pathlib.Path], **options):
    options = {"kind": MOS, "num_listeners": 6} | options
    systems = {name: folder for name, folder in sound_dirs.items() if name != "recordings"}
    return preparing.prepare(
        out, recordings=sound_dirs["recordings"], systems=options.pop("systems", systems), **options
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_prepared_test_is_whole_and_read_as_written(kind, sound_dirs, tmp_path) -> None:
    test = prepared(tmp_path / "a", sound_dirs, kind=kind)
    assert description.read(tmp_path / "a") == test
    files = {path.name for path in (tmp_path / "a").iterdir()}
    assert files == set(test.sounds) | {"test.json"}
    read = {name: soundfile.read(tmp_path / "a" / name, dtype="int16") for name in test.sounds}
    for name, (samples, rate_hz) in read.items():
        assert rate_hz == test.sample_rate_hz == 16000
        sound = samples[1600:-1600] / 32768
        measured = pyloudnorm.Meter(rate_hz).integrated_loudness(sound)
        assert measured == pytest.approx(test.loudness_lufs, abs=0.1), name
        assert not samples[:1600].any() and np.abs(samples[1600:2800]).max() > 100
    # Again to the byte, and otherwise with another seed.
    again = prepared(tmp_path / "b", sound_dirs, kind=kind)
    assert again == test
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = prepared(tmp_path / "c", sound_dirs, kind=kind, seed=1)
    assert other.sounds != test.sounds and other.sessions != test.sessions


def test_names_and_order_tell_nothing() -> None:
    """Of the numbers of files, a system's are spread over all."""
    test = preparing.describe(
        MOS, ["a", "b"], [f"t{i:03}" for i in range(200)], sample_rate_hz=16000
    )
    for system in ("a", "b", RECORDING):
        numbers = [int(name[6:10]) for name, sound in test.sounds.items() if sound.system == system]
        assert abs(np.mean(numbers) / len(test.sounds) - 0.5) < 0.1
        by_text = sorted((test.sounds[f"sound_{n:04}.wav"].text, n) for n in numbers)
        assert abs(np.corrcoef(range(len(numbers)), [n for _, n in by_text])[0, 1]) < 0.3


def test_mushra_has_every_sound_of_a_text() -> None:
    test = preparing.describe(MUSHRA, ["a", "b"], TEXTS, sample_rate_hz=16000)
    assert set(test.systems) == {RECORDING, "a", "b", LOW_ANCHOR, MID_ANCHOR}
    orders = set()
    for session in test.sessions:
        assert len([trial for trial in session if trial.role == ITEM]) == len(TEXTS)
        for trial in session:
            shown = [test.sounds[name] for name in trial.sounds]
            assert {sound.system for sound in shown} == set(test.systems)
            assert test.sounds[trial.reference] == (description.Sound(RECORDING, shown[0].text))
            assert trial.reference not in trial.sounds
            orders.add(tuple(sound.system for sound in shown))
    assert len(orders) > 5


@pytest.mark.parametrize("kind", [MOS, PREFERENCE, COMPARISON])
def test_controls_and_repeats_of_a_session(kind: str) -> None:
    test = preparing.describe(kind, ["a", "b"], TEXTS, sample_rate_hz=16000)
    for session in test.sessions:
        controls = [
            [test.sounds[name].system for name in trial.sounds]
            for trial in session
            if trial.role == CONTROL
        ]
        assert len(controls) == preparing.DEFAULT_CONTROLS
        assert sum(shown[0] == RECORDING for shown in controls) == len(controls) // 2
        assert all(set(shown) <= {RECORDING, DEGRADED} for shown in controls)
        repeats = [trial for trial in session if trial.role == REPEAT]
        assert len(repeats) == preparing.DEFAULT_REPEATS
        for again in repeats:
            assert any(
                trial.role == ITEM and trial.sounds == again.sounds[::-1] for trial in session
            )


def test_each_pair_comes_first_and_second_equally_often() -> None:
    """Over six listeners, with three pairs."""
    test = preparing.describe(PREFERENCE, ["a", "b"], TEXTS, num_listeners=6, sample_rate_hz=16000)
    seen = [
        tuple(test.sounds[name] for name in trial.sounds)
        for session in test.sessions
        for trial in session
        if trial.role == ITEM
    ]
    assert len(seen) == len(set(seen)) == 6 * len(TEXTS)


def test_bad_input_is_one_sentence_and_leaves_nothing(sound_dirs, tmp_path) -> None:
    out = tmp_path / "out"
    short = tmp_path / "short"
    shutil.copytree(sound_dirs["ours"], short)
    (short / "text_3.wav").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    named = tmp_path / "named"
    named.mkdir()
    shutil.copy(sound_dirs["ours"] / "text_0.wav", named / "a;b.wav")
    ours = {"ours": sound_dirs["ours"]}
    for options, message in (
        ({"kind": "abx"}, "The kind is 'abx'"),
        ({"systems": {"ours": short}}, r"text_3.wav is missing, which ours needs"),
        ({"systems": {"recording": short}}, "A system is named 'recording'"),
        ({"systems": {"../x": short}}, "A system is named '../x'"),
        ({"systems": {}}, "There is nothing to compare"),
        ({"systems": ours, "kind": PREFERENCE, "with_recordings": False}, "nothing to compare"),
        ({"num_texts": 2}, "There are 2 texts, and each listener needs 3"),
        ({"num_texts": 9}, "has 8 wav files, and 9 are needed"),
        ({"num_listeners": 0}, "--num_listeners is 0"),
        ({"num_listeners": 10**6}, "--num_listeners is 1000000"),
        ({"num_controls": 3}, "--num_controls is 3, which could not show"),
        ({"num_controls": -1}, "--num_controls is -1"),
        ({"num_controls": 1000}, "A session has 1010 trials, more than 1000"),
        ({"num_repeats": 5}, "--num_repeats 5"),
        ({"kind": MUSHRA, "systems": {f"s{i}": short for i in range(10)}}, "BS.1534 allows 12"),
        ({"kind": MUSHRA, "sample_rate_hz": 8000}, "At 8000 Hz there is no 3500 Hz anchor"),
    ):
        with pytest.raises(InputError, match=message) as raised:
            prepared(out, sound_dirs, **options)
        assert "\n" not in str(raised.value)
    for folder, message in (
        (empty, "has 0 wav files"),
        (named, "a;b.wav has a name that is not allowed"),
        (tmp_path / "none", "is no folder"),
    ):
        with pytest.raises(InputError, match=message):
            prepared(out, sound_dirs | {"recordings": folder})
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(InputError, match="is there already"):
        prepared(out, sound_dirs)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "short", "empty", "named"}
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("written")
    test = preparing.describe(MUSHRA, ["a"], TEXTS, num_listeners=2, sample_rate_hz=16000)
    description.write(test, folder)
    return folder


def _set(*keys):
    """A change of a description: the last of the arguments at the place that the others name."""
    *path, last, value = keys

    def change(content) -> None:
        for key in path:
            content = content[key]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("version", 2), "its version is '2', and this release reads 1"),
        (_set("kind", "abx"), "'abx' is none of"),
        (_set("kind", MOS), "has a reference"),
        (_set("sample_rate_hz", 16000.0), "no whole number"),
        (_set("sample_rate_hz", True), "no whole number"),
        (_set("loudness_lufs", 3), "no loudness"),
        (_set("seed", 1), "its id is not that of its content"),
        (_set("extra", 1), "the field 'extra' is missing or unknown"),
        (_set("systems", ["a", "a"]), "a name is there twice"),
        (_set("systems", ["a/../b"]), "the name 'a/../b' is not allowed"),
        (_set("texts", []), "a list has 0 entries"),
        (_set("sounds", {"../../x.wav": {"system": "a", "text": "t1"}}), "is not allowed"),
        (_set("sounds", "sound_0001.wav", {"system": "a"}), "an entry has the fields"),
        (_set("sounds", "sound_0001.wav", {"system": "z", "text": "t1"}), "unknown system"),
        (_set("sounds", "sound_0001.wav", {"system": "a", "text": "z"}), "unknown text"),
        (_set("sounds", "sound_0001.wav", {"system": [], "text": "t1"}), "is no str"),
        (_set("sessions", [[]]), "a list has 0 entries"),
        (_set("sessions", 0, 0, "role", "joke"), "'joke' is none of"),
        (_set("sessions", 0, 0, "sounds", 0, "sound_9999.wav"), "a sound that is not listed"),
        (_set("sessions", 0, 0, "sounds", 0, []), "is no str"),
        (_set("sessions", 0, 0, "reference", ""), "has a reference ''"),
    ],
)
def test_a_changed_description_is_refused(change, message, written, tmp_path) -> None:
    content = json.loads((written / "test.json").read_text())
    change(content)
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as raised:
        description.read(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 10**6, b"{}", b"null", b"1e999"])
def test_what_is_no_description_is_refused(content: bytes, tmp_path: pathlib.Path) -> None:
    (tmp_path / "test.json").write_bytes(content)
    with pytest.raises(InputError, match="cannot be used"):
        description.read(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        description.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content[:5000], "is truncated"),
        (lambda content: b"", "is empty"),
        (lambda content: content[:44] + bytes(len(content) - 44), "is silent"),
        (lambda content: b"text", "cannot be read as audio"),
    ],
)
def test_what_is_wrong_with_a_sound_is_said_with_a_remedy_of_here(
    damage, says, sound_dirs, tmp_path
) -> None:
    """Not one of `experiments.prepare`, which has other flags."""
    folder = shutil.copytree(sound_dirs["ours"], tmp_path / "ours")
    path = folder / "text_3.wav"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(data.DataError, match=f"text_3.wav {says}") as raised:
        prepared(tmp_path / "out", sound_dirs, systems={"ours": folder})
    assert "--" not in str(raised.value) and str(raised.value).endswith(", or leave it out")
    assert not (tmp_path / "out").exists()


def test_a_control_is_no_item(tmp_path: pathlib.Path) -> None:
    """Whose scores would be of no system that is compared."""
    test = preparing.describe(PREFERENCE, ["a"], TEXTS, num_listeners=1, sample_rate_hz=16000)
    description.write(test, tmp_path)
    content = json.loads((tmp_path / "test.json").read_text())
    for trial in content["sessions"][0]:
        trial["role"] = ITEM
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="has systems that are not compared"):
        description.read(tmp_path)
