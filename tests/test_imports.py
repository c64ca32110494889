"""Who may import whom (DESIGN.md), read from the sources."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = {"data", "experiments", "tests", "wavenet_jax"}
SOURCES = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in sorted(OURS)}


def imported(path: pathlib.Path) -> set[str]:
    """The top-level packages that a file imports, at its head or within functions."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the package"
            packages.add(node.module.split(".")[0])
    return packages


def offenders(folder: str, forbidden) -> dict[str, set[str]]:
    found = {
        str(path.relative_to(ROOT)): {name for name in imported(path) if forbidden(name)}
        for path in SOURCES[folder]
    }
    return {path: names for path, names in found.items() if names}


def test_the_sources_are_found() -> None:
    assert all(len(paths) >= 5 for paths in SOURCES.values())
    assert "jax" in imported(ROOT / "wavenet_jax" / "wavenet.py")
    assert "experiments" in imported(ROOT / "experiments" / "train.py")


def test_the_library_is_light() -> None:
    """It runs on a machine that has only these."""
    allowed = {"absl", "etils", "flax", "jax", "llvmlite", "numba", "numpy", "optax", "orbax"}
    allowed |= {"safetensors", "scipy", "wavenet_jax"} | sys.stdlib_module_names
    assert not offenders("wavenet_jax", lambda name: name not in allowed)


def test_the_data_know_nothing_of_models() -> None:
    """Loader workers must never touch JAX."""
    forbidden = {"jax", "jaxlib", "flax", "optax", "orbax", "wavenet_jax", "experiments"}
    assert not offenders("data", forbidden.__contains__)


@pytest.mark.parametrize("folder", sorted(OURS - {"tests"}))
def test_nobody_imports_the_tests(folder: str) -> None:
    helpers = {path.stem for path in SOURCES["tests"]} - sys.stdlib_module_names
    assert not offenders(folder, lambda name: name == "tests" or name in helpers)


@pytest.mark.parametrize("folder", sorted(OURS))
def test_no_other_framework(folder: str) -> None:
    """TFDS reads and writes our corpora without TensorFlow."""
    forbidden = {"tensorflow", "torch", "torchaudio", "keras", "tensorboard"}
    assert not offenders(folder, forbidden.__contains__)
