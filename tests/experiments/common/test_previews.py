"""Previews: files and page, their clock, and what a resumed run keeps."""

import html.parser
import pathlib
from typing import Any

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from experiments.common import previews
from experiments.common.previews import Previews

RATE_HZ = 8000
SOUND = np.arange(-400, 400, dtype=np.int16)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def open_previews(workdir: pathlib.Path, **changes: Any) -> Previews:
    options = {"title": "Previews of a<b", "every_s": 300.0, "num_steps": 50} | changes
    return Previews(workdir, **options)


def write(shown: Previews, *steps: int, recorded: np.ndarray | None = None) -> None:
    for step in steps:
        shown.write(step, SOUND + np.int16(step), recorded, RATE_HZ)


def links(workdir: pathlib.Path) -> list[str]:
    """The files that the page refers to, each of which is there, in order."""
    found: list[str] = []

    class Page(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "script"
            urls = [value or "" for name, value in attrs if name in ("src", "href")]
            found.extend(url for url in urls if url != "data:,")  # no icon

    folder = workdir / "previews"
    Page().feed((folder / "index.html").read_text(encoding="utf-8"))
    for name in found:
        assert name == pathlib.Path(name).name
        assert (folder / name).is_file()
    return found


def files(workdir: pathlib.Path) -> set[str]:
    return {path.name for path in (workdir / "previews").iterdir()}


def test_sound_picture_and_page(tmp_path: pathlib.Path) -> None:
    shown = open_previews(tmp_path)
    write(shown, 9, 10, recorded=SOUND[:200])
    assert files(tmp_path) == {
        *("9.wav", "9.png", "10.wav", "10.png", "recorded.wav", "recorded.png", "index.html")
    }
    for name, expected in (("10", SOUND + 10), ("recorded", SOUND[:200])):
        samples, rate_hz = soundfile.read(tmp_path / "previews" / f"{name}.wav", dtype="int16")
        np.testing.assert_array_equal(samples, expected)
        assert rate_hz == RATE_HZ
    height, width, _ = imread(tmp_path / "previews" / "10.png").shape
    assert width > height > 100
    page = (tmp_path / "previews" / "index.html").read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page


def test_the_newest_is_first(tmp_path: pathlib.Path) -> None:
    """By number, not by letter, behind the recording."""
    write(open_previews(tmp_path), 9, 10, 100)
    names = ["100", "10", "9"]
    assert links(tmp_path) == [f"{name}.{kind}" for name in names for kind in ("wav", "png")]
    write(open_previews(tmp_path, resume_step=100), 101, recorded=SOUND)
    names = ["recorded", "101", *names]
    assert links(tmp_path) == [f"{name}.{kind}" for name in names for kind in ("wav", "png")]


def test_the_page_is_that_of_the_run(tmp_path: pathlib.Path) -> None:
    workdir = tmp_path / "a<b"
    workdir.mkdir()
    write(open_previews(workdir), 1)
    page = (workdir / "previews" / "index.html").read_text(encoding="utf-8")
    assert "<h1>Previews of a&lt;b</h1>" in page


def test_a_resumed_run_goes_on_with_the_page(tmp_path: pathlib.Path) -> None:
    """Previews of steps after the checkpoint are dropped at once: they are made again."""
    write(open_previews(tmp_path), 10, 20, 30, recorded=SOUND)
    shown = open_previews(tmp_path, resume_step=20)
    assert links(tmp_path)[::2] == ["recorded.wav", "20.wav", "10.wav"]
    assert not {"30.wav", "30.png"} & files(tmp_path)
    write(shown, 25)
    assert links(tmp_path)[::2] == ["recorded.wav", "25.wav", "20.wav", "10.wav"]


def test_a_new_run_begins_a_new_page(tmp_path: pathlib.Path) -> None:
    write(open_previews(tmp_path), 10, recorded=SOUND)
    shown = open_previews(tmp_path)
    assert links(tmp_path) == []
    write(shown, 5)
    assert files(tmp_path) == {"5.wav", "5.png", "index.html"}


def test_the_clock_counts_seconds_from_the_end_of_a_preview(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    shown = open_previews(tmp_path, clock=clock)
    due = []
    for step in range(1, 13):
        clock.now_s += 100
        if shown.is_due(step):
            due.append(step)
            clock.now_s += 1000  # a slow model is not always generating
            write(shown, step)
    assert due == [3, 6, 9, 12]


def test_there_is_one_at_the_end(tmp_path: pathlib.Path) -> None:
    shown = open_previews(tmp_path, clock=Clock())
    assert [step for step in range(1, 51) if shown.is_due(step)] == [50]


@pytest.mark.parametrize("off", [{"every_s": 0.0}, {"active": False}])
def test_none_are_due_where_they_are_off(tmp_path: pathlib.Path, off: dict[str, Any]) -> None:
    """And a process that makes none leaves those of another alone."""
    write(open_previews(tmp_path), 10)
    clock = Clock()
    shown = open_previews(
        tmp_path, clock=clock, resume_step=int(off.get("active", True)) * 10, **off
    )
    clock.now_s += 1e6
    assert not any(shown.is_due(step) for step in range(1, 51))
    assert links(tmp_path) == ["10.wav", "10.png"]


def test_a_full_disk_is_said_once_and_the_next_preview_is_tried(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(path: pathlib.Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    clock = Clock()
    shown = open_previews(tmp_path, clock=clock)
    write(shown, 10)
    with monkeypatch.context() as patch:
        patch.setattr(previews.files, "write_whole", full)
        clock.now_s += 301
        write(shown, 20)
        assert not shown.is_due(21)
        write(shown, 30)
    assert capsys.readouterr().err == (
        "The preview of step 20 is not written ([Errno 28] No space left on device): the training "
        "goes on, and tries again every 300 seconds.\n"
    )
    assert links(tmp_path) == ["10.wav", "10.png"]
    write(shown, 40)
    assert links(tmp_path)[0] == "40.wav"
