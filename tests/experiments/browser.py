"""A page in a real browser: headless Chromium, driven by Selenium, and a server that keeps count.

Nothing is downloaded: without Chromium and ChromeDriver (Debian: chromium, chromium-driver), or
without Selenium, `open_page` skips the test.
"""

import contextlib
import functools
import http.server
import pathlib
import shutil
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

PHONE = (360, 740)  # pixels of CSS


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
    selenium = pytest.importorskip("selenium.webdriver", reason="Selenium is in the extra test")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here")
    missing: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *message: Any) -> None:
            pass

        def send_error(self, *answer: Any, **more: Any) -> None:
            missing.append(self.path)
            super().send_error(*answer, **more)

    handler = functools.partial(Handler, directory=path.parent)
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
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
        try:
            width, height = PHONE
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            browser.get(f"http://127.0.0.1:{server.server_address[1]}/{path.name}")
            yield Page(browser, missing)
        finally:
            browser.quit()
            server.shutdown()
