"""A page in a real browser: headless Chromium, driven by Selenium, and a server that keeps count.

Nothing is downloaded: without Chromium and ChromeDriver (Debian: chromium, chromium-driver), or
without Selenium, `open_page` and `open_url` skip the test.
"""

import contextlib
import functools
import http.server
import json
import pathlib
import shutil
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

PHONE, TABLET, DESKTOP = (360, 740), (768, 1024), (1280, 800)  # pixels of CSS
LOADED_S = 60
NO_SELENIUM = "Selenium is in the extra test"


class Page(NamedTuple):
    """An open page.

    Attributes:
      browser: Selenium's.
      missing: paths that were asked for and are not there.
    """

    browser: Any
    missing: list[str]


@contextlib.contextmanager
def open_page(path: pathlib.Path, profile: pathlib.Path) -> Iterator[Page]:
    """Opens a file of a folder that is served on localhost, in the width of a phone.

    Args:
      path: of the page.
      profile: an empty folder for the browser.
    """
    missing: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *message: Any) -> None:
            pass

        def send_error(self, *answer: Any, **more: Any) -> None:
            missing.append(self.path)
            super().send_error(*answer, **more)

    handler = functools.partial(Handler, directory=path.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/{path.name}"
            with open_url(url, profile) as browser:
                yield Page(browser, missing)
        finally:
            server.shutdown()


@contextlib.contextmanager
def open_url(url: str, profile: pathlib.Path, size: tuple[int, int] = PHONE) -> Iterator[Any]:
    """Opens a page of a server, and gives Selenium's browser, which keeps a log for `take_log`.

    Args:
      url: of the page.
      profile: a folder for the browser, with what pages of an earlier browser stored.
      size: of the window.
    """
    selenium = pytest.importorskip("selenium.webdriver", reason=NO_SELENIUM)
    wait = pytest.importorskip("selenium.webdriver.support.wait", reason=NO_SELENIUM)
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        resize(browser, size)
        browser.get(url)
        # On a busy machine `get` can return while half of a long page is read.
        complete = "return document.readyState === 'complete'"
        wait.WebDriverWait(browser, LOADED_S).until(lambda page: page.execute_script(complete))
        yield browser
    finally:
        browser.quit()


def resize(browser: Any, size: tuple[int, int]) -> None:
    """Gives the page another window; one no wider than a phone's has a finger and no mouse."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
    metrics["mobile"] = width <= PHONE[0]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


class Log(NamedTuple):
    """What a browser noted since the last time.

    Attributes:
      errors: of scripts, and of what could not be loaded.
      hosts: that were asked for anything, with their ports.
      statuses: of answers, by path; the last one.
    """

    errors: list[str]
    hosts: set[str]
    statuses: dict[str, int]


def take_log(browser: Any) -> Log:
    """What a browser noted since the last time."""
    errors = [each["message"] for each in browser.get_log("browser") if each["level"] == "SEVERE"]
    hosts, statuses = set(), {}
    for each in browser.get_log("performance"):
        event = json.loads(each["message"])["message"]
        if event["method"] == "Network.requestWillBeSent":
            parts = urllib.parse.urlsplit(event["params"]["request"]["url"])
            if parts.scheme in ("http", "https", "ws", "wss"):
                hosts.add(parts.netloc)
        elif event["method"] == "Network.responseReceived":
            answer = event["params"]["response"]
            statuses[urllib.parse.urlsplit(answer["url"]).path] = answer["status"]
    return Log(errors, hosts, statuses)


def overflow(browser: Any) -> int:
    """By how many pixels the page is wider than its window."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(browser.execute_script(f"return {wide}"))
