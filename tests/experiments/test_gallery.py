"""The gallery: made from a small model, and opened in a browser."""

import dataclasses
import pathlib
import re

import browser
import jiwer
import numpy as np
import pytest
import soundfile

import data
from experiments.tasks import gallery
from experiments.tasks.exporting import export
from wavenet_jax import InputError

ROOT = pathlib.Path(__file__).parents[2]
DURATIONS = """
const done = arguments[arguments.length - 1];
const players = [...document.querySelectorAll("audio")];
const loaded = player => new Promise(resolve => {
  if (player.readyState >= 1) return resolve(player.duration);
  player.addEventListener("loadedmetadata", () => resolve(player.duration));
  player.addEventListener("error", () => resolve(-1));
  player.load();
});
Promise.all(players.map(loaded)).then(done);
"""


@pytest.fixture
def exhibit(trained_dir, fsdd_dir, tmp_path, run, monkeypatch) -> gallery.Exhibit:
    export(trained_dir, out=tmp_path / "models" / "tiny", about="Two <hums>.")
    (tmp_path / "work" / "tiny").mkdir(parents=True)
    (tmp_path / "work" / "tiny" / "corpora").symlink_to(fsdd_dir)

    def called(program: str, *arguments: str) -> None:
        ended = run(f"experiments.{program}", *arguments)
        assert ended.returncode == 0, ended.stderr

    monkeypatch.setattr(gallery.programs, "run", called)
    return gallery.Exhibit("tiny", "Hums & co.", num_copies=2, folder=tmp_path / "models")


def test_what_is_on_the_page_is_there(exhibit, trained_dir, tmp_path) -> None:
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[exhibit])
    text = page.read_text()
    assert "Hums &amp; co." in text
    assert "Two &lt;hums&gt;." in text
    assert "python -m experiments.sample" in text
    linked = set(re.findall(r'src="([^"]+)"', text))
    written = {
        path.relative_to(page.parent).as_posix()
        for path in page.parent.rglob("*")
        if path.is_file() and path != page
    }
    assert linked == written
    assert len(written) == 8
    made, _ = soundfile.read(tmp_path / "work/tiny/made/copies/sample_001.wav", dtype="int16")
    shown, _ = soundfile.read(page.parent / "tiny" / "copy_001.flac", dtype="int16")
    assert np.array_equal(shown, made)
    # It replaces itself, and nothing else.
    again = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[exhibit])
    assert again.read_text() == text
    with pytest.raises(InputError, match="is no gallery"):
        gallery.make(trained_dir, data_dir=tmp_path / "work", exhibits=[exhibit])


def test_recordings_that_are_not_to_be_shown(exhibit, tmp_path) -> None:
    hidden = dataclasses.replace(exhibit, split="validation", has_recordings=False)
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[hidden])
    names = {path.name for path in page.parent.rglob("*.flac")}
    assert names == {"copy_000.flac", "copy_001.flac"}
    assert "Measured on the validation split" in page.read_text()
    assert re.search(r"generated, of \S+\.wav: ", page.read_text())


def test_too_much_sound_leaves_the_gallery_as_it_was(exhibit, tmp_path, monkeypatch) -> None:
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[])
    before = page.read_text()
    monkeypatch.setattr(gallery, "MAX_SOUND_BYTES", 10)
    with pytest.raises(InputError, match="bytes of sound, more than 10"):
        gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[exhibit])
    assert page.read_text() == before
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


def check_in_browser(page: pathlib.Path, profile: pathlib.Path) -> None:
    """Players load, nothing is missing, and nothing is wider than a phone."""
    with browser.open_page(page, profile) as opened:
        opened.browser.set_script_timeout(30)
        durations = opened.browser.execute_async_script(DURATIONS)
        assert len(durations) == page.read_text().count("<audio")
        assert all(duration is not None and duration > 0 for duration in durations), durations
        width = opened.browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= browser.PHONE[0]
        broken = "return [...document.images].filter(i => i.complete && !i.naturalWidth).length"
        assert opened.browser.execute_script(broken) == 0
        assert not opened.missing


def test_a_browser_opens_it(exhibit, tmp_path) -> None:
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[exhibit])
    check_in_browser(page, tmp_path / "profile")
    (page.parent / "tiny" / "copy_001.flac").unlink()
    with pytest.raises(AssertionError):
        check_in_browser(page, tmp_path / "profile2")


def test_a_browser_opens_the_gallery_of_the_repository(tmp_path) -> None:
    page = ROOT / "docs" / "gallery" / "index.html"
    if not page.exists():
        pytest.skip("there is no gallery yet")
    assert gallery.sound_bytes(page.parent) <= gallery.MAX_SOUND_BYTES
    check_in_browser(page, tmp_path / "profile")


def test_beginnings_continued(exhibit, fsdd_dir, tmp_path) -> None:
    """A beginning that is not to be shown is cut off."""
    going_on = dataclasses.replace(
        exhibit,
        num_copies=0,
        num_continued=2,
        prime_s=0.05,
        seconds=0.2,
        drawing=("--label=high",),
    )
    for has_recordings in (True, False):
        shown = dataclasses.replace(going_on, has_recordings=has_recordings)
        page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[shown])
        sounds = [
            soundfile.read(page.parent / "tiny" / f"continued_00{i}.flac", dtype="int16")[0]
            for i in range(2)
        ]
        beginning = data.load("fsdd", fsdd_dir, "test").recording(0)["audio"][:400]
        assert np.array_equal(sounds[0][:400], beginning) == has_recordings
        assert [len(sound) for sound in sounds] == [2000 if has_recordings else 1600] * 2
        assert not np.array_equal(sounds[0][-1600:], sounds[1][-1600:])
        assert len(list(page.parent.rglob("*.flac"))) == 2


def test_recordings_mixed(exhibit, autoencoder_dir, fsdd_dir, tmp_path) -> None:
    """Both recordings, and between them what is generated of the one, of the mean, of the other."""
    export(autoencoder_dir, out=tmp_path / "models" / "mixer", about="It mixes.")
    (tmp_path / "work" / "mixer").mkdir()
    (tmp_path / "work" / "mixer" / "corpora").symlink_to(fsdd_dir)
    test, train = (data.load("fsdd", fsdd_dir, split) for split in ("test", "train"))
    pair = (test.names[1], train.names[0])
    mixing = dataclasses.replace(exhibit, name="mixer", num_copies=0, mixed=(pair,))
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[mixing])
    shown = re.findall(r'src="mixer/(\w+)\.flac"', page.read_text())
    assert shown == ["heard_000_0", *(f"mixed_000_{j}" for j in range(3)), "heard_000_1"]
    sounds = [
        soundfile.read(page.parent / "mixer" / f"{name}.flac", dtype="int16")[0] for name in shown
    ]
    for sound, corpus, name in ((sounds[0], test, pair[0]), (sounds[-1], train, pair[1])):
        assert np.array_equal(sound, corpus.recording(corpus.names.index(name))["audio"])
    assert {len(sound) for sound in sounds[1:4]} == {min(len(sounds[0]), len(sounds[-1]))}
    assert not np.array_equal(sounds[1], sounds[2]) and not np.array_equal(sounds[2], sounds[3])


@pytest.mark.long
def test_phones_recognized(exhibit, tmp_path) -> None:
    """Those of the repository's recogniser, below those that were spoken."""
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
    (phones,) = (each for each in gallery.EXHIBITS if each.name == "espeak_phones")
    one = dataclasses.replace(phones, num_recognized=1, folder=ROOT / gallery.PRETRAINED)
    page = gallery.make(tmp_path / "page", data_dir=tmp_path / "work", exhibits=[one])
    spoken, recognised = (
        re.findall(f"<p>{kind}: (.*)</p>", page.read_text()) for kind in ("spoken", "recognised")
    )
    assert len(spoken) == len(recognised) == 1
    assert jiwer.wer(spoken[0], recognised[0]) < 0.1
