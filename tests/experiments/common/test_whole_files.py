"""Files that appear whole: a write that fails leaves what was there."""

import pathlib

import pytest

from experiments.common import files


def test_half_a_file_is_not_left(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "9.wav"
    files.write_whole(path, b"before")

    def half(self: pathlib.Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"whole")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("9.wav", b"before")]
