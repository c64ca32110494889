"""The page in a real browser, with the small model of digits."""

import contextlib
import io
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import browser
import ears
import numpy as np
import pytest
import soundfile

pytest.importorskip("espeakng_loader", reason="eSpeak NG is in the extra demo")
pytest.importorskip("uvicorn", reason="uvicorn is in the extra app")

import uvicorn

from experiments.common import web
from experiments.common.sampling import Sampling
from experiments.speaking import models, wishes
from experiments.speaking.server import App

DIGITS = pathlib.Path(__file__).parents[3] / "experiments" / "pretrained" / "digits"
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def digits() -> Iterator[models.TextModel]:
    (model,) = models.load([str(DIGITS)], Sampling(precision="int8")).values()
    assert isinstance(model, models.TextModel)
    yield model
    model.close()


@contextlib.contextmanager
def served(app: App) -> Iterator[str]:
    """The link of a server in a thread of this process."""
    guarded = web.Guard(app.starlette, TOKEN, hosts={"127.0.0.1"})
    config = uvicorn.Config(guarded, port=0, log_config=None, http="h11", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    finally:
        server.should_exit = True
        thread.join()


def element(driver: Any, name: str) -> Any:
    return driver.find_element("id", name)


def until(condition: Any, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


def state(driver: Any) -> str:
    return str(element(driver, "state").text)


def painted(driver: Any) -> int:
    """How many columns of the canvas have something bright."""
    script = """
      const canvas = document.getElementById("spectrogram");
      const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let x = 0; x < canvas.width; x++) {
        for (let y = 0; y < canvas.height; y++) {
          if (image.data[4 * (y * canvas.width + x)] > 100) { count++; break; }
        }
      }
      return count;"""
    return int(driver.execute_script(script))


def test_a_sentence_is_typed_and_heard(digits, tmp_path) -> None:
    digits.share = 5.0  # whatever this machine does meanwhile: nothing is timed here
    app = App({digits.name: digits})
    with contextlib.closing(app), served(app) as link, browser.open_url(link, tmp_path) as driver:
        ears.give_ears(driver)
        driver.get(link)
        until(lambda: state(driver) == "Ready.")
        for size in (browser.PHONE, browser.TABLET, browser.DESKTOP):
            browser.resize(driver, size)
            assert browser.overflow(driver) == 0
        browser.resize(driver, browser.PHONE)
        text = element(driver, "text")
        text.clear()
        text.send_keys("seven one")
        assert painted(driver) == 0
        text.send_keys("\n")  # Enter speaks
        assert element(driver, "stop").is_enabled()
        until(lambda: state(driver).startswith("Done"))
        samples, rate = soundfile.read(
            io.BytesIO(ears.take_wav(driver, element(driver, "download").get_attribute("href"))),
            dtype="int16",
        )
        assert rate == 16000 and state(driver).startswith(
            f"Done: {len(samples) / rate:.1f} seconds"
        )
        assert painted(driver) > 400  # of 960 columns; pauses are dark
        if "without a gap" in state(driver):
            assert ears.has_heard(driver, samples)
        wish = wishes.TextWish("digits", text="seven one")
        np.testing.assert_array_equal(np.concatenate(list(digits.begin(wish).chunks)), samples)

        # A long one, stopped.
        text.send_keys(" two three four five six seven" * 4)
        element(driver, "speak").click()
        until(lambda: driver.execute_script("return Number(document.body.dataset.heard) > 4000"))
        element(driver, "stop").click()
        assert state(driver) == "Stopped." and not element(driver, "stop").is_enabled()
        until(lambda: not app.listeners)
        ears.take_heard(driver)
        time.sleep(0.3)
        assert not ears.take_heard(driver).any()

        # What cannot be said.
        text.clear()
        text.send_keys("日本")
        element(driver, "speak").click()
        until(lambda: "cannot say '日本'" in state(driver))
        assert element(driver, "state").get_attribute("class") == "alarm"
        log = browser.take_log(driver)
    assert [error for error in log.errors if "422" not in error] == []
    ours = {link.split("/")[2]}
    asked = {
        path: status
        for path, status in log.statuses.items()
        if path in ("/", "/page.css", "/page.js", "/models", "/speech")
    }
    assert ours <= log.hosts and asked.pop("/speech") == 422
    assert len(asked) == 4 and set(asked.values()) == {200}


def test_a_closed_tab_ends_the_work(digits, tmp_path) -> None:
    digits.share = 5.0
    app = App({digits.name: digits})
    with contextlib.closing(app), served(app) as link:
        with browser.open_url(link, tmp_path) as driver:
            until(lambda: state(driver) == "Ready.")
            text = element(driver, "text")
            text.clear()
            text.send_keys("seven one four " * 15)
            element(driver, "speak").click()
            until(lambda: app.listeners == 1)
            until(lambda: driver.execute_script("return Number(document.body.dataset.samples) > 0"))
        until(lambda: not app.listeners, 10)


def test_names_of_all_fields() -> None:
    """For who does not see them: each has a label, and the buttons are reached by keys."""
    page = (pathlib.Path(web.__file__).parents[1] / "speaking" / "page" / "page.html").read_text()
    for kind, name in re.findall(r"<(select|textarea|input) id=\"(\w+)\"", page):
        assert f'<label for="{name}">' in page, kind
    assert 'role="status" aria-live="polite"' in page and 'role="img" aria-label=' in page
