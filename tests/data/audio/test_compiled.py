"""Compiled functions of librosa: all that several processes must not make at once."""

import pathlib
import re
import sys

import librosa
import pytest

from data.audio import compiled
from data.builders import parallel


def test_every_module_that_has_them() -> None:
    root = pathlib.Path(librosa.__file__).parent
    found = {
        ".".join(("librosa", *path.relative_to(root).with_suffix("").parts))
        for path in root.rglob("*.py")
        if re.search(r"@(numba\.)?(guvectorize|vectorize\(\s*\[)", path.read_text())
    }
    assert found == set(compiled.MODULES)
    compiled.load()
    assert found <= set(sys.modules)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_before_the_processes_of_a_pool(num_workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(compiled, "load", lambda: loaded.append(True))
    with parallel.ordered_map(num_workers) as spread:
        assert list(spread(abs, [-1])) == [1]
    assert len(loaded) == num_workers - 1
