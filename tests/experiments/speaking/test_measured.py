"""What the page is good for on this machine, printed: `pytest -m long -s` with this file.

docs/speaking.md has what it printed. That nothing fails, grows or is heard otherwise than it was
made is asserted; how fast the first sound comes, and whether a busy machine has gaps, is printed.
"""

import contextlib
import http.client
import io
import json
import os
import pathlib
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import browser
import ears
import pytest
import soundfile
from test_speaking_page import element, state, until

ROOT = pathlib.Path(__file__).parents[3]
SENTENCES = (
    "the curious judge followed her shadow",
    "we always read the old letter in the morning",
    "they would like to open the window",
    "you should never forget the answer",
)
TEN_SECONDS = ", ".join(SENTENCES[i] for i in (1, 0, 2, 3, 0))

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def program() -> Iterator[tuple[str, int]]:
    """`experiments.app` as a user starts it: its link, and its process."""
    command = ["-m", "experiments.app", "--precision=int8", "--top_p=0.95"]
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        began_s = time.monotonic()
        link = server.stdout.readline().strip()
        print(f"\nthe link after {time.monotonic() - began_s:.0f} s")
        # Huge pages start the program over, in the same process.
        yield link, server.pid
        server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


def rss_mib(pid: int) -> float:
    """Resident memory of a process, shared libraries included."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Client:
    """A listener without a browser."""

    def __init__(self, link: str) -> None:
        parts = urllib.parse.urlsplit(link)
        self._host, self._token = parts.netloc, urllib.parse.parse_qs(parts.query)["token"][0]

    def ask(
        self, path: str, body: bytes, token: str | None = None, leave_after: int | None = None
    ) -> tuple[int, list[Any], list[float]]:
        """Status, states or the sentence, and when each chunk of samples came, in seconds."""
        token = self._token if token is None else token
        connection = http.client.HTTPConnection(self._host, timeout=120)
        began_s = time.perf_counter()
        with contextlib.closing(connection):
            joint = "&" if "?" in path else "?"
            try:
                connection.request("POST", f"{path}{joint}token={token}", body)
                answer = connection.getresponse()
            except (BrokenPipeError, ConnectionResetError):
                return 413, ["No more of it was read."], []
            if answer.status != 200:
                return answer.status, [answer.read().decode()], []
            states, came_s = [], []
            while head := answer.read(5):
                kind, size = struct.unpack("<BI", head)
                content = answer.read(size)
                if kind == 0:
                    states.append(json.loads(content))
                else:
                    came_s.append(time.perf_counter() - began_s)
                if leave_after is not None and len(came_s) >= leave_after:
                    break
        return 200, states, came_s

    def speak(self, text: str, **fields: Any) -> tuple[int, list[Any], list[float]]:
        wish = {"model": "tts", "text": text} | fields
        return self.ask("/speech", json.dumps(wish).encode())


def load() -> str:
    return f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"


def test_the_first_sound_and_no_gap(program, tmp_path: pathlib.Path) -> None:
    """From the click to the first sample by the audio's own clock; and what was played."""
    link, _ = program
    with browser.open_url(link, tmp_path, browser.DESKTOP) as driver:
        ears.give_ears(driver)
        driver.get(link)
        until(lambda: state(driver) == "Ready.")
        text, first_ms, lengths, gaps = element(driver, "text"), [], [], []
        for number in range(12):
            text.clear()
            text.send_keys(TEN_SECONDS if number % 3 == 0 else SENTENCES[number % 4])
            ears.take_heard(driver)
            element(driver, "speak").click()
            until(lambda: state(driver).startswith("Done") or "alarm" in _kind(driver), 120)
            data = driver.execute_script("return {...document.body.dataset}")
            gaps.append(int(data["gaps"]))
            first_ms.append(int(data["firstSoundMs"]))
            samples = _downloaded(driver)
            lengths.append(len(samples) / 16000)
            assert gaps[-1] or ears.has_heard(driver, samples)
    first_ms.sort()
    print(
        f"first sound after a click: median {statistics.median(first_ms):.0f} ms, from "
        f"{first_ms[0]} to {first_ms[-1]}, of {len(first_ms)} sentences of {min(lengths):.1f} to "
        f"{max(lengths):.1f} s; {sum(gaps)} gaps (by sentence: {gaps}), and without one what was "
        f"played is what was made, to the sample; {load()}"
    )


def test_four_listeners(program) -> None:
    client = Client(program[0])
    answers: list[Any] = [None] * 4

    def listen(number: int) -> None:
        answers[number] = client.speak(SENTENCES[number])

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(4)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(status == 200 and states[-1] == {"state": "ended"} for status, states, _ in answers)
    places = sorted(max([0, *(each.get("before", 0) for each in told)]) for _, told, _ in answers)
    assert places[0] == 0 and places[-1] >= 2  # who came last may have come late
    sounds = sum(each["num_samples"] for _, told, _ in answers for each in told if "share" in each)
    firsts = sorted(came_s[0] for _, _, came_s in answers)
    print(
        f"four listeners at once: {sounds / 16000:.1f} s of sound in "
        f"{time.perf_counter() - began_s:.1f} s, the first samples after "
        f"{', '.join(f'{first:.2f}' for first in firsts)} s; {load()}"
    )


def test_memory_stays_flat(program) -> None:
    client, pid = Client(program[0]), program[1]
    marks, firsts = [], []
    for number in range(200):
        text = " ".join(SENTENCES[number % 4].split()[: 2 + number % 7])
        status, states, came_s = client.speak(text, seed=number, speed=2.0)
        assert (status, states[-1]) == (200, {"state": "ended"})
        firsts.append(1000 * came_s[0])
        if number % 50 == 49:
            marks.append(rss_mib(pid))
    print(
        f"resident after 50, 100, 150, 200 sentences: "
        f"{', '.join(f'{mark:.0f}' for mark in marks)} MiB; the first samples after "
        f"{statistics.median(firsts):.0f} ms in the median, {sorted(firsts)[189]:.0f} at the 95th "
        f"percentile; {load()}"
    )
    assert marks[-1] - marks[0] < 20


def test_hostile_use(program) -> None:
    """Refused in a sentence, and whoever comes after is served."""
    client, pid = Client(program[0]), program[1]
    before = rss_mib(pid)
    refusals = [
        ("/speech", json.dumps({"model": "tts", "text": "a" * 2**20}).encode(), 422),
        ("/speech", b"x" * (2**22 + 1), 413),
        ("/speech", json.dumps({"model": "tts", "text": "你好 мир 😀"}).encode(), 422),
        ("/speech", json.dumps({"model": "tts", "text": "\ud800 \x00 a"}).encode(), 422),
        ("/speech", b'{"model": "tts", "text": "a", "speed": NaN}', 422),
        ("/speech", b'{"model": "tts", "text": "a", "temperature": 1e999}', 422),
        ("/speech", b'{"model": "../../etc/passwd", "text": "a"}', 422),
        ("/speech", b"[" * 2**20, 422),
        ("/continuation?model=violin&seconds=3", b"no sound at all" * 1000, 422),
        ("/continuation?model=violin&seconds=3", os.urandom(2**20), 422),
        ("/continuation?model=violin&seconds=inf", b"", 422),
        ("/nothing", b"", 404),
    ]
    for path, body, wanted in refusals:
        status, (sentence, *_), _ = client.ask(path, body)
        assert status == wanted and sentence.strip().endswith((".", "page.")), (path, sentence)
        assert "Traceback" not in sentence
    assert client.ask("/speech", b"{}", token="x" * 22)[0] == 403
    for _ in range(20):  # tabs that are closed at once, and after a chunk
        client.ask("/speech", json.dumps({"model": "tts", "text": TEN_SECONDS}).encode(), None, 1)
    status, states, _ = client.speak("the end")
    assert (status, states[-1]) == (200, {"state": "ended"})
    print(f"{len(refusals) + 21} hostile requests: {rss_mib(pid) - before:+.0f} MiB resident")


def _kind(driver: Any) -> str:
    return str(element(driver, "state").get_attribute("class"))


def _downloaded(driver: Any) -> Any:
    href = element(driver, "download").get_attribute("href")
    return soundfile.read(io.BytesIO(ears.take_wav(driver, href)), dtype="int16")[0]
