"""Work directories and corpora in a bucket, against an emulator of Google Cloud Storage."""

import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import programs
import pytest
import tiny
from etils import epath
from gcp_storage_emulator import server as emulator
from gcp_storage_emulator.handlers import objects

import data
from experiments.common import buckets, cli, in_use, reporting, restore
from experiments.tasks.training import train
from wavenet_jax import InputError

BUCKET = "gs://a-bucket"


emulated_download = objects.download


def download(request: Any, response: Any, storage: Any, *rest: Any, **named: Any) -> None:
    """The emulator's, with the header that tensorstore has an object's generation from: without
    it what was read cannot be written again on condition that it is unchanged."""
    emulated_download(request, response, storage, *rest, **named)
    if response.status < 300:
        stored = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["x-goog-generation"] = stored["generation"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of a bucket, in memory."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    address = f"http://localhost:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "download", download)  # which the handler of metadata calls
        for _, methods in emulator.HANDLERS:
            if methods.get("GET") is emulated_download:
                patch.setitem(methods, "GET", download)
        server = emulator.create_server(
            "localhost", port, in_memory=True, default_bucket="a-bucket"
        )
        server.start()
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", address)
        patch.setenv("TENSORSTORE_GOOGLE_AUTH_TOKEN_FOR_TESTING", "none")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # which asks for credentials
        yield BUCKET
        server.stop()


def test_a_run_lives_there(
    bucket: str, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained, resumed and restored as on a disk; and nothing of that name is made on the disk."""
    monkeypatch.chdir(tmp_path)
    workdir = f"{bucket}/runs/tiny"
    more = {"preview_every": 1e-9, "preview_s": 0.01}
    first = tiny.experiment(num_steps=4, checkpoint_every=2, **more)
    train(first, workdir=workdir, data_dir=fsdd_dir)
    names = {path.name for path in epath.Path(workdir).iterdir()}
    assert names == {"checkpoints", "history.jsonl", "previews", "tensorboard"}
    train(
        tiny.experiment(num_steps=6, checkpoint_every=2, **more), workdir=workdir, data_dir=fsdd_dir
    )
    on_disk = tmp_path / "on_disk"
    train(first, workdir=on_disk, data_dir=fsdd_dir)
    rows = reporting.history(workdir)
    assert [row["step"] for row in rows if "train/learning_rate" in row] == [1, 2, 3, 4, 5, 6]
    written = {path.name for path in (epath.Path(workdir) / "previews").iterdir()}
    assert {f"{step}.wav" for step in range(1, 7)} < written
    assert restore.load(workdir).step == 6
    there, here = restore.load(workdir, 4), restore.load(on_disk, 4)
    assert there.run.config == here.run.config
    jax.tree.map(np.testing.assert_array_equal, there.params, here.params)
    assert [path.name for path in tmp_path.iterdir()] == ["on_disk"]


def test_a_corpus_is_copied_once(
    bucket: str, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for path in (fsdd_dir / "fsdd").rglob("*"):
        if path.is_file():
            target = epath.Path(bucket) / "corpora" / path.relative_to(fsdd_dir)
            target.write_bytes(path.read_bytes())
    there = data.load("fsdd", f"{bucket}/corpora", "train")
    here = data.load("fsdd", fsdd_dir, "train")
    assert there.names == here.names
    assert (there.samples(3, 0, 50) == here.samples(3, 0, 50)).all()
    (copy,) = (tmp_path / "wavenet_jax" / "corpora").glob("*/fsdd/*/dataset_info.json")
    made_ns = copy.stat().st_mtime_ns
    data.load("fsdd", f"{bucket}/corpora", "validation")
    assert copy.stat().st_mtime_ns == made_ns
    with pytest.raises(data.DataError, match="gs://a-bucket/nothing/fsdd holds no prepared corpus"):
        data.load("fsdd", f"{bucket}/nothing", "train")
    with pytest.raises(data.DataError, match="in a bucket, and a corpus is prepared on a disk"):
        data.build("fsdd", data_dir=f"{bucket}/corpora", source=fsdd_dir)


def test_a_failed_copy_is_said_and_tried_again(
    bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"{bucket}/failing"
    there = epath.Path(address) / "history.jsonl"

    def fail(path: epath.Path, content: bytes) -> None:
        raise OSError("the line is cut")

    with buckets.on_disk(address, active=True) as (folder, copy):
        (folder / "history.jsonl").write_text("a row")
        with monkeypatch.context() as patch:
            patch.setattr(type(there), "write_bytes", fail)
            copy()
        assert "could not be copied to gs://" in (said := capsys.readouterr().err)
        assert "the line is cut" in said
        assert not there.exists()
    assert there.read_text() == "a row"


def test_one_training_at_a_time(
    bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that lives is left alone, and one of another host that shows no sign of life followed."""
    monkeypatch.setattr(in_use, "LEASE_S", 2)
    folder = f"{bucket}/in_use"
    marker = epath.Path(folder) / in_use.MARKER
    with in_use.held(folder):
        assert json.loads(marker.read_text())["pid"] == os.getpid()
        with pytest.raises(InputError, match="in_use is in use by process"), in_use.held(folder):
            pass
    assert not marker.exists()
    left = {"pid": 1, "host": "another-host", "token": "a", "count": 3}
    marker.write_text(json.dumps(left))
    capsys.readouterr()
    with in_use.held(folder):
        assert "was in use by process 1 of another-host: waiting 2 s" in capsys.readouterr().err
    marker.write_text(json.dumps(left | {"pid": 2**22 + 1, "host": socket.gethostname()}))
    with in_use.held(folder):
        assert "waiting" not in capsys.readouterr().err
    assert not marker.exists()


def test_one_whose_marker_was_taken_ends(
    bucket: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(in_use, "LEASE_S", 0.5)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    folder = f"{bucket}/taken"
    with in_use.held(folder):
        marker = epath.Path(folder) / in_use.MARKER
        marker.write_text(json.dumps({"pid": 1, "host": "another-host", "token": "b", "count": 0}))
        deadline_s = time.monotonic() + 30
        while not ended and time.monotonic() < deadline_s:
            time.sleep(0.05)
    assert ended[:1] == [1]
    assert "is no longer this process's" in capfd.readouterr().err


def test_what_cannot_be_there_is_refused(
    bucket: str, run: programs.Run, fsdd_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match="Nothing can be written to gs://no-such-bucket/x"):
        train(tiny.experiment(), workdir="gs://no-such-bucket/x", data_dir=fsdd_dir)
    config = f"--config={pathlib.Path(tiny.__file__)}"
    flags = (config, "--workdir=nowhere://bucket/x", f"--data_dir={fsdd_dir}")
    ended = run("experiments.train", *flags)
    assert ended.returncode == 1
    assert "nowhere://bucket/x is no address that can be read here" in ended.stderr
    assert "Traceback" not in ended.stderr
    with pytest.raises(InputError, match="out is in a bucket, where this is not written"):
        cli.require_writable(f"{bucket}/out")
    assert not [path for path in pathlib.Path().iterdir() if ":" in path.name]
