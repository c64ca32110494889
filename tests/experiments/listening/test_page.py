"""The page of a listening test in a real browser, gone through by keyboard."""

import contextlib
import os
import pathlib
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import browser as browsers
import programs
import pytest
import short
from browser import DESKTOP, PHONE, TABLET

from experiments.listening import answers, serving
from experiments.listening.description import COMPARISON, KINDS, MOS, MUSHRA, PREFERENCE

SHOTS = os.environ.get("LISTENING_SHOTS", "")
"""A folder for pictures of all screens, for people."""

ENTER, SPACE, TAB, RIGHT, HOME = "\ue007", " ", "\ue004", "\ue014", "\ue011"
LIMIT_S = 20


@contextlib.contextmanager
def served(test_dir: pathlib.Path, answers_dir: pathlib.Path, port: int = 0) -> Iterator[str]:
    """The link of a server, which is killed at the end."""
    program = programs.Program(
        "experiments.listening_test",
        "serve",
        f"--test={test_dir}",
        f"--answers={answers_dir}",
        f"--port={port}",
    )
    try:
        yield program.read_line()
    finally:
        program.kill()
        program.communicate(LIMIT_S)


class Listener:
    """Who uses the page with the keyboard alone."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *arguments)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.browser, duration=0).send_keys(key).perform()

    @property
    def heading(self) -> str:
        return self.run("document.querySelector('h1').textContent")

    @property
    def status(self) -> str:
        return self.run("document.getElementById('status').textContent")

    @property
    def is_ready(self) -> bool:
        """Whether the screen's main button can be used."""
        return not self.run("document.querySelector('button.main').disabled")

    def wait(self, is_so: Any, what: str = "") -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while not is_so():
            assert time.monotonic() < deadline_s, (what, self.heading, self.status)
            time.sleep(0.02)

    def wait_for(self, heading: str) -> None:
        self.wait(lambda: self.heading == heading, heading)

    def wait_for_sounds(self) -> None:
        loading = "document.querySelectorAll('.play:disabled').length"
        self.wait(lambda: self.run(loading) == 0, "sounds are loaded")

    def hear_all(self) -> None:
        """Plays every sound to its end."""
        self.wait_for_sounds()
        num_sounds = self.run("document.querySelectorAll('.play').length")
        if "Set" not in self.heading:
            self.press(SPACE)
        else:
            for i in range(num_sounds):
                self.press(str(i))
                self.wait(lambda i=i: i in self.heard, f"sound {i} is played")
            self.press(SPACE)
        self.wait(lambda: len(self.heard) == num_sounds, "all is played")

    @property
    def heard(self) -> list[int]:
        shown = self.run("[...document.querySelectorAll('.play')].map(x => x.ariaLabel)")
        return [i for i, label in enumerate(shown) if label.endswith(", played")]

    def begin(self) -> None:
        self.wait_for_sounds()
        self.press(ENTER)
        assert self.heading == "Listening test"
        self.press(SPACE)
        self.wait(lambda: self.is_ready, "may begin")
        self.press(ENTER)
        self.wait(lambda: self.heading != "Listening test", "has begun")

    def answer(self, kind: str, answer: tuple[int, ...]) -> None:
        """Gives an answer, where all has been played."""
        if kind == MUSHRA:
            for i, score in enumerate(answer):
                self.press(str(i + 1))
                slider = "document.activeElement"
                assert self.run(f"{slider}.type") == "range"
                self.press(HOME, *[RIGHT] * score)
                assert int(self.run(f"{slider}.value")) == score
            self.press(SPACE)
        else:
            self.press(KEYS[kind][answer[0]])


KEYS = {
    MOS: {i: str(i) for i in range(1, 6)},
    PREFERENCE: {-1: "1", 0: "0", 1: "2"},
    COMPARISON: {i: str(i + 4) for i in range(-3, 4)},
}
ANSWERS = {
    MOS: [(4,), (1,), (5,)],
    PREFERENCE: [(-1,), (0,), (1,)],
    COMPARISON: [(-3,), (0,), (3,)],
    MUSHRA: [(2, 0, 5, 1), (0, 7, 3, 1), (1, 1, 1, 1)],
}
"""Of three trials."""

NAMES = {MOS: "Sound", PREFERENCE: "Pair", COMPARISON: "Pair", MUSHRA: "Set"}


def picture(listener: Listener, name: str) -> None:
    """Checks the screen in three windows; takes pictures of it, if they are wanted."""
    for size in (PHONE, TABLET, DESKTOP):
        browsers.resize(listener.browser, size)
        assert browsers.overflow(listener.browser) <= 0, (name, size)
        if SHOTS:
            listener.browser.save_screenshot(str(pathlib.Path(SHOTS) / f"{name}_{size[0]}.png"))


def check_log(browser: Any, link: str) -> None:
    log = browsers.take_log(browser)
    assert log.errors == []
    assert log.hosts == {link.split("/")[2]}
    assert {"/page.js", "/test", "/answers"} <= log.statuses.keys()
    assert set(log.statuses.values()) == {200}


@pytest.mark.parametrize(
    "kind", [MOS, *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS if kind != MOS)]
)
def test_from_the_link_to_the_file(kind: str, tmp_path: pathlib.Path) -> None:
    test = short.write(tmp_path / "test", kind)
    given = ANSWERS[kind]
    with (
        served(tmp_path / "test", tmp_path / "answers") as link,
        browsers.open_url(link, tmp_path / "profile") as browser,
    ):
        listener = Listener(browser)
        listener.wait_for("Listening test")
        picture(listener, f"{kind}_start")
        listener.begin()
        for i, answer in enumerate(given):
            listener.wait_for(f"{NAMES[kind]} {i + 1} of 3")
            assert listener.run("document.activeElement.tagName") == "H1"
            cannot_answer_yet(listener, kind)
            if i == 1:
                picture(listener, f"{kind}_before")
            listener.hear_all()
            assert not listener.is_ready
            listener.press(ENTER)
            assert listener.heading == f"{NAMES[kind]} {i + 1} of 3"
            listener.answer(kind, answer)
            listener.wait(lambda: listener.is_ready, "may go on")
            if i == 1:
                picture(listener, f"{kind}_answered")
                browser.refresh()
                listener.wait_for(f"{NAMES[kind]} 2 of 3")
                listener.wait(lambda: listener.is_ready, "what was answered is there again")
            listener.press(ENTER)
        listener.wait_for("Thank you")
        picture(listener, f"{kind}_end")
        check_log(browser, link)
        browser.refresh()
        listener.wait_for("Thank you")
    (path,) = (tmp_path / "answers").glob("*.jsonl")
    assert answers.read(path, test).answers == dict(enumerate(given))


def cannot_answer_yet(listener: Listener, kind: str) -> None:
    """Nothing can be chosen or sent before everything was played."""
    inputs = "[...document.querySelectorAll('form input')]"
    assert listener.run(f"{inputs}.length") >= 3
    assert listener.run(f"{inputs}.every(x => x.matches(':disabled'))")
    heading = listener.heading
    listener.wait_for_sounds()
    if kind != MUSHRA:  # whose digits play
        listener.press(KEYS[kind][1])
        assert not listener.run(f"{inputs}.some(x => x.checked)")
    listener.press(ENTER)
    assert listener.heading == heading and not listener.is_ready


def test_a_killed_server_and_a_full_disk_cost_no_answer(tmp_path: pathlib.Path) -> None:
    """What was answered meanwhile is kept by the browser, and sent when it can be stored."""
    test = short.write(tmp_path / "test", MOS)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with contextlib.ExitStack() as first:
        link = first.enter_context(served(tmp_path / "test", tmp_path / "answers", port))
        with browsers.open_url(link, tmp_path / "profile") as browser:
            listener = Listener(browser)
            listener.wait_for("Listening test")
            listener.begin()
            (path,) = (tmp_path / "answers").glob("*.jsonl")
            path.rename(tmp_path / "moved")  # so that writing fails
            listener.hear_all()
            listener.press("4", ENTER)
            listener.wait_for("Sound 2 of 3")
            listener.wait(lambda: "The answer could not be stored" in listener.status, "is told")
            (tmp_path / "moved").rename(path)
            listener.wait(lambda: listener.status == "All answers have arrived.", "sent again")
            listener.hear_all()
            loaded = "performance.getEntriesByType('resource').filter(x => /sound_/.test(x.name))"
            listener.wait(lambda: listener.run(f"{loaded}.length") == 3, "the next sound is there")
            first.close()
            assert answers.read(path, test).answers == {0: (4,)}
            with path.open("ab") as file:
                file.write(b'{"trial": 1, "ans')  # what it was writing
            listener.press("1", ENTER)
            listener.wait_for("Sound 3 of 3")
            listener.wait(lambda: listener.status.startswith("One answer is not sent yet"), "told")
            with served(tmp_path / "test", tmp_path / "answers", port) as again:
                assert again == link
                listener.wait(lambda: listener.status == "All answers have arrived.", "again")
                listener.hear_all()
                listener.press("5", ENTER)
                listener.wait_for("Thank you")
    assert answers.read(path, test).answers == {0: (4,), 1: (1,), 2: (5,)}


@pytest.mark.long
def test_two_tabs_are_one_listener(tmp_path: pathlib.Path) -> None:
    test = short.write(tmp_path / "test", MOS)
    with (
        served(tmp_path / "test", tmp_path / "answers") as link,
        browsers.open_url(link, tmp_path / "profile", DESKTOP) as browser,
    ):
        listener = Listener(browser)
        listener.wait_for("Listening test")
        listener.begin()
        first = browser.current_window_handle
        browser.switch_to.new_window("tab")
        browser.get(link)
        listener.wait_for("Sound 1 of 3")
        listener.hear_all()
        listener.press("2", ENTER)
        listener.wait_for("Sound 2 of 3")
        browser.switch_to.window(first)
        listener.wait_for("Sound 2 of 3")
        for score in "34":
            listener.hear_all()
            listener.press(score, ENTER)
        listener.wait_for("Thank you")
    (path,) = (tmp_path / "answers").glob("*.jsonl")
    assert answers.read(path, test).answers == {0: (2,), 1: (3,), 2: (4,)}


@pytest.mark.long
def test_a_second_listener_on_the_device_and_then_enough(tmp_path: pathlib.Path) -> None:
    short.write(tmp_path / "test", PREFERENCE)
    with (
        served(tmp_path / "test", tmp_path / "answers") as link,
        browsers.open_url(link, tmp_path / "profile") as browser,
    ):
        listener = Listener(browser)
        for _ in range(short.NUM_LISTENERS):
            listener.wait_for("Listening test")
            listener.begin()
            for _ in range(short.NUM_TRIALS):
                listener.hear_all()
                listener.press("0", ENTER)
            listener.wait_for("Thank you")
            listener.press(TAB, ENTER)
        listener.wait_for("Thank you for coming")
    assert len(list((tmp_path / "answers").glob("*.jsonl"))) == short.NUM_LISTENERS


@pytest.mark.long
def test_a_sound_that_was_stopped_was_not_played(tmp_path: pathlib.Path) -> None:
    short.write(tmp_path / "test", MOS, sound_s=1.5)
    with (
        served(tmp_path / "test", tmp_path / "answers") as link,
        browsers.open_url(link, tmp_path / "profile") as browser,
    ):
        listener = Listener(browser)
        listener.wait_for("Listening test")
        listener.begin()
        listener.wait_for_sounds()
        listener.press(SPACE)
        listener.wait(lambda: position(listener, 0) > 0.3, "plays")
        listener.press(SPACE)
        time.sleep(2)
        assert listener.heard == [] and position(listener, 0) == 0
        listener.press("3", ENTER)
        assert listener.heading == "Sound 1 of 3" and "to its end first" in listener.status


@pytest.mark.long
def test_sounds_of_mushra_are_switched_where_they_are(tmp_path: pathlib.Path) -> None:
    short.write(tmp_path / "test", MUSHRA, sound_s=4.0)
    with (
        served(tmp_path / "test", tmp_path / "answers") as link,
        browsers.open_url(link, tmp_path / "profile") as browser,
    ):
        listener = Listener(browser)
        listener.wait_for("Listening test")
        listener.begin()
        listener.wait_for_sounds()
        listener.press("0")
        listener.wait(lambda: position(listener, 0) > 0.5, "plays")
        listener.press("2")
        listener.wait(lambda: position(listener, 2) > 0, "is switched")
        assert position(listener, 2) > 0.5 and position(listener, 0) == 0
        listener.press(SPACE)
        assert listener.heard == []
        listener.press(SPACE)  # and on from there, around the end
        listener.wait(lambda: listener.heard == [2], "is played whole")
        assert position(listener, 2) > 0.5


def position(listener: Listener, i: int) -> float:
    """How much of a sound has been played, of 1."""
    style = f"document.querySelectorAll('.play')[{i}].style"
    return float(listener.run(f"{style}.getPropertyValue('--played')"))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of #rgb or #rrggbb."""
    digits = colour.lstrip("#")
    digits = "".join(x * 2 for x in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_wcag_aa() -> None:
    css = (serving.PAGE / "page.css").read_text()
    schemes = [dict(re.findall(r"--(\S+): (#\w+);", part)) for part in css.split("@media")[:2]]
    assert [len(scheme) for scheme in schemes] == [9, 9] and schemes[0] != schemes[1]
    for scheme in schemes:
        for first, second, least in (
            *(("ink", ground, 4.5) for ground in ("paper", "card", "chosen")),
            *(("soft", ground, 4.5) for ground in ("paper", "card", "chosen")),
            ("on-accent", "accent", 4.5),
            *(("edge", ground, 3) for ground in ("paper", "card")),
            *(("accent", ground, 3) for ground in ("paper", "chosen")),
        ):
            light, dark = sorted((luminance(scheme[first]), luminance(scheme[second])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= least, (first, second)
