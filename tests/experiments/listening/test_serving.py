"""The server of a listening test: what it gives, to whom, and what it refuses."""

import errno
import json
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import programs
import pytest
import short
from starlette.testclient import TestClient

from experiments.common import web
from experiments.listening import answers, collecting, serving
from experiments.listening.collecting import Collection
from experiments.listening.description import KINDS, MOS, MUSHRA, RESERVED, ROLES, Test

TOKEN = "0123456789abcdef"


class Desk(NamedTuple):
    """A server, without its sockets.

    Attributes:
      test: that it serves.
      folder: with the answers.
      client: who has the link.
      finished: gets an entry for each listener who has answered all.
    """

    test: Test
    folder: pathlib.Path
    client: TestClient
    finished: list[int]

    def join(self, name: str | None = None) -> dict[str, Any]:
        answer = self.client.post("/session", json={"listener": name})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, name: Any, trial: Any, answer: Any) -> Any:
        given = {"listener": name, "trial": trial, "answer": answer}
        return self.client.post("/answers", json=given)


def desk(tmp_path: pathlib.Path, kind: str) -> Desk:
    test = short.write(tmp_path / "test", kind)
    (tmp_path / "answers").mkdir()
    finished: list[int] = []
    collection = Collection(test, tmp_path / "answers")
    app = serving.app(collection, tmp_path / "test", lambda: finished.append(1))
    client = TestClient(web.Guard(app, TOKEN, max_body_bytes=answers.MAX_LINE_BYTES))
    assert client.get("/").status_code == 403
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return Desk(test, tmp_path / "answers", client, finished)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_given_one_session_and_no_names(kind: str, tmp_path: pathlib.Path) -> None:
    served = desk(tmp_path, kind)
    about = served.client.get("/test").json()
    assert about == {
        "test": served.test.id,
        "kind": kind,
        "sample_rate_hz": short.RATE_HZ,
        "num_trials": 3,
        "is_open": True,
    }
    given = served.join()
    assert given.keys() == {"listener", "trials", "answered"} and given["answered"] == []
    trials = served.test.sessions[0]
    assert [each.keys() for each in given["trials"]] == [{"sounds", "reference"}] * 3
    assert [tuple(each["sounds"]) for each in given["trials"]] == [each.sounds for each in trials]
    assert [each["reference"] for each in given["trials"]] == [each.reference for each in trials]
    told = json.dumps([about, given])
    for name in (*served.test.systems, *served.test.texts, *RESERVED, *ROLES):
        assert name not in told
    for trial in trials:
        for name in filter(None, (*trial.sounds, trial.reference)):
            sound = served.client.get(f"/sounds/{given['listener']}/{name}")
            assert sound.status_code == 200 and sound.headers["content-type"] == "audio/wav"
            assert sound.content == (tmp_path / "test" / name).read_bytes()
    assert served.client.get("/loudness.wav").content in [
        path.read_bytes() for path in (tmp_path / "test").glob("*.wav")
    ]


def test_the_page_is_three_files(tmp_path: pathlib.Path) -> None:
    served = desk(tmp_path, MOS)
    for path, (name, kind) in serving.FILES.items():
        answer = served.client.get(path)
        assert answer.content == (serving.PAGE / name).read_bytes()
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert sorted(path.name for path in serving.PAGE.iterdir()) == sorted(
        name for name, _ in serving.FILES.values()
    )


def test_the_sound_for_the_volume_tells_nothing_hidden(tmp_path: pathlib.Path) -> None:
    test = short.write(tmp_path / "test", MUSHRA)
    shown = {name for session in test.sessions for trial in session for name in trial.sounds}
    assert serving.loudness_sound(test) not in shown


def test_a_listener_from_the_link_to_the_end(tmp_path: pathlib.Path) -> None:
    served = desk(tmp_path, MOS)
    name = served.join()["listener"]
    for trial, score in enumerate((4, 1, 5)):
        answer = served.send(name, trial, [score])
        assert answer.status_code == 200
        assert answer.json() == {"answered": list(range(trial + 1))}
        # A retry after a lost answer of the server, and another tab.
        assert served.send(name, trial, [score]).json() == answer.json()
        assert served.send(name, trial, [3]).json() == answer.json()
        assert served.join(name)["answered"] == list(range(trial + 1))
    assert served.finished == [1]
    read = answers.read(served.folder / f"{name}.jsonl", served.test)
    assert read.answers == {0: (4,), 1: (1,), 2: (5,)}


def test_when_all_sessions_are_taken_enough_have_come(tmp_path: pathlib.Path) -> None:
    served = desk(tmp_path, MOS)
    listeners = {served.join()["listener"] for _ in range(3)}
    assert len(listeners) == 3 and not served.client.get("/test").json()["is_open"]
    answer = served.client.post("/session", json={"listener": None})
    assert answer.status_code == 410 and answer.json() == {"error": serving.ENOUGH}
    for name in listeners:
        assert served.join(name)["listener"] == name
    assert len(list(served.folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "it is no JSON object of answer, listener, trial"),
        (b"[]", 400, "it is no JSON object"),
        (b"\xff\x00", 400, "it is no JSON object"),
        (b"[" * 4000, 400, "it is no JSON object"),
        (b'{"listener": "LISTENER", "trial": 0}', 400, "it is no JSON object"),
        (b'{"listener": "LISTENER", "trial": 0, "answer": [4], "age": 41}', 400, "it is no JSON"),
        (b'{"listener": "LISTENER", "trial": 0, "answer": [6]}', 400, "'6' is no whole"),
        (b'{"listener": "LISTENER", "trial": 3, "answer": [4]}', 400, "'3' is no whole"),
        (b'{"listener": "LISTENER", "trial": 0, "answer": [NaN]}', 400, "'nan' is no whole number"),
        (b'{"listener": "LISTENER", "trial": 0, "answer": [1e999]}', 400, "'inf' is no whole"),
        (b'{"listener": "nobody", "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b'{"listener": "../test", "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b'{"listener": "", "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b'{"listener": null, "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b'{"listener": ["LISTENER"], "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b'{"listener": {}, "trial": 0, "answer": [4]}', 404, "is not known here"),
        (b" " * 2**20, 413, "A request has up to 4096 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_in_a_sentence(body, status, says, tmp_path) -> None:
    served = desk(tmp_path, MOS)
    name = served.join()["listener"]
    path = served.folder / f"{name}.jsonl"
    content = path.read_bytes()
    answer = served.client.post("/answers", content=body.replace(b"LISTENER", name.encode()))
    assert answer.status_code == status and says in answer.text
    assert len(answer.text) < 300
    assert path.read_bytes() == content and list(served.folder.iterdir()) == [path]


def test_a_session_is_its_listener_s(tmp_path: pathlib.Path) -> None:
    """Neither sounds of another session nor anything else on the disk are given."""
    served = desk(tmp_path, MOS)
    name = served.join()["listener"]
    (tmp_path / "test" / "secret.wav").write_bytes(b"secret")
    own = {sound for trial in served.test.sessions[0] for sound in trial.sounds}
    others = set(served.test.sounds) - own
    assert others
    for sound in (
        *others, "secret.wav", "test.json", "", ".", "..", "%2e%2e", "..%2ftest.json", "%00",
        "..%2f..%2f..%2fetc%2fpasswd", "../test.json", f"../answers/{name}.jsonl", "x" * 5000,
    ):  # fmt: skip
        assert served.client.get(f"/sounds/{name}/{sound}").status_code == 404, sound
    for listener in ("nobody", "..", "%2e%2e", "", "x" * 5000, "..%2ftest"):
        for sound in own:
            answer = served.client.get(f"/sounds/{listener}/{sound}")
            assert answer.status_code == 404, listener
    for path in ("/test.json", "/answers", "/session", "/page.html", "/in_use.lock", "/link_token"):
        assert served.client.get(path).status_code in (404, 405)
    for listener in ("nobody", "../test", 0, [], {}, True):
        answer = served.client.post("/session", json={"listener": listener})
        assert answer.status_code == 404 and answer.json() == {"error": serving.UNKNOWN}
    assert [path.stem for path in served.folder.iterdir()] == [name]


def test_a_thousand_requests_leave_no_more_than_the_answers(tmp_path: pathlib.Path) -> None:
    served = desk(tmp_path, MOS)
    name = served.join()["listener"]
    for i in range(500):
        assert served.send(name, i % 5, [i % 9]).status_code in (200, 400)
        served.client.post("/session", json={"listener": None})
    assert len(list(served.folder.iterdir())) == 3
    read = answers.read(served.folder / f"{name}.jsonl", served.test)
    assert len(read.answers) == 3


def test_who_cannot_be_stored_is_told(tmp_path: pathlib.Path, monkeypatch) -> None:
    served = desk(tmp_path, MOS)
    name = served.join()["listener"]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(collecting.os, "fsync", full)
        answer = served.send(name, 0, [4])
        assert answer.status_code == 507 and answer.json() == {"error": serving.NOT_STORED}
        answer = served.client.post("/session", json={"listener": None})
        assert answer.status_code == 507
    assert served.send(name, 0, [4]).json() == {"answered": [0]}
    assert answers.read(served.folder / f"{name}.jsonl", served.test).answers == {0: (4,)}
    assert len(list(served.folder.iterdir())) == 1


@pytest.fixture
def serve(tmp_path: pathlib.Path) -> Iterator[Callable[[], programs.Program]]:
    """Starts the program for `tmp_path`'s test and answers."""
    started: list[programs.Program] = []

    def start() -> programs.Program:
        folders = (f"--test={tmp_path / 'test'}", f"--answers={tmp_path / 'answers'}")
        started.append(programs.Program("experiments.listening_test", "serve", *folders))
        return started[-1]

    yield start
    for program in started:
        program.kill()


def test_the_program_ends_cleanly_and_has_its_folder_alone(serve, tmp_path) -> None:
    short.write(tmp_path / "test", MOS)
    links = []
    for number, code, says in ((signal.SIGTERM, 0, ""), (signal.SIGINT, 130, "Stopped.\n")):
        program = serve()
        links.append(program.read_line())
        if number == signal.SIGTERM:
            _, errors = second_of(serve())
            assert "answers is in use by process" in errors and errors.count("\n") == 1
        program.send_signal(number)
        out, errors = program.communicate(30)
        assert (program.returncode, errors) == (code, says)
        assert out == links[-1] + "\n"
    assert [path.name for path in (tmp_path / "answers").iterdir()] == [serving.TOKEN]
    # The token stays, and so does the link where the port does.
    assert len({link.partition("?")[2] for link in links}) == 1


def second_of(program: programs.Program) -> tuple[str, str]:
    printed = program.communicate(30)
    assert program.returncode == 1
    return printed


def test_bad_folders_end_in_one_sentence(serve, tmp_path) -> None:
    test = short.write(tmp_path / "test", MOS)
    missing = sorted(test.sounds)[0]
    (tmp_path / "test" / missing).unlink()
    _, errors = second_of(serve())
    assert errors.startswith(f"error: {tmp_path / 'test' / missing} is missing")
    assert errors.count("\n") == 1 and not (tmp_path / "answers").exists()
