"""What is installed: the wheel's contents, that it runs on what it asks for alone, and the lists.

Nothing is fetched. The wheel is built by the environment's own setuptools and unpacked; what is
not among its dependencies, and theirs, cannot be imported beside it.
"""

import configparser
import email
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_imports import OURS, SOURCES, imported

import wavenet_jax

ROOT = pathlib.Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
NAMES = {
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Distributions whose packages have another name."""
GPL = {"parselmouth": "praat-parselmouth"}
QUALITY = {"moonshine-voice", "onnxruntime", "pystoi", "speechmos"}
APP = {"starlette", "uvicorn"}
NOTES = {"midirenderer", "pretty-midi"}
OF_FILES = {"pretty-midi"}
"""Of these a file is read, and nothing imported."""


def required(text: str) -> set[str]:
    """The distributions of a list of setup.cfg, those of the extras it names included."""
    found = set()
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.name == SETUP["metadata"]["name"]:
            for extra in requirement.extras:
                found |= required(SETUP["options.extras_require"][extra])
        else:
            found.add(canonicalize_name(requirement.name))
    return found


def imported_distributions(folder: str) -> set[str]:
    packages = set().union(*map(imported, SOURCES[folder])) - OURS - sys.stdlib_module_names
    names = NAMES | GPL
    return {canonicalize_name(names.get(package, package)) for package in packages}


CORE = required(SETUP["options"]["install_requires"])
EXTRAS = {name: required(text) for name, text in SETUP["options.extras_require"].items()}


def test_the_lists_name_what_is_imported() -> None:
    optional = EXTRAS["demo"] - EXTRAS["data"] - EXTRAS["experiments"]
    assert optional == {"espeakng-loader", "pocketsphinx", "praat-parselmouth"}
    assert EXTRAS["quality"] - EXTRAS["demo"] == QUALITY and EXTRAS["pesq"] == {"pesq"}
    assert EXTRAS["beam"] == {"apache-beam"} and EXTRAS["app"] - EXTRAS["experiments"] == APP
    assert EXTRAS["play"] == {"sounddevice"} and EXTRAS["notes"] - EXTRAS["data"] == NOTES
    optional |= QUALITY | NOTES | EXTRAS["pesq"] | EXTRAS["beam"] | EXTRAS["play"]
    assert imported_distributions("wavenet_jax") <= CORE
    assert imported_distributions("data") <= CORE | EXTRAS["data"] | (optional - QUALITY)
    assert imported_distributions("experiments") <= CORE | EXTRAS["experiments"] | optional | APP
    of_others = {"jaxlib", "tensorstore"}  # of jax and orbax
    assert imported_distributions("tests") - of_others <= CORE | EXTRAS["fuzz"] | {
        canonicalize_name(path.stem) for path in SOURCES["tests"]
    }


def test_the_lists_name_nothing_that_is_not_imported() -> None:
    every = set().union(*map(imported_distributions, sorted(OURS - {"tests"})))
    needed_by_others = {"importlib-resources"}  # by tensorflow-datasets, which does not say so
    extras = ("quality", "notes", "pesq", "beam", "app", "play")
    used = CORE.union(*(EXTRAS[name] for name in extras))
    assert used == every | needed_by_others | OF_FILES


@pytest.mark.parametrize("line", ["3.11", "3.13"])
def test_each_line_of_versions_is_whole_and_exact(line: str) -> None:
    text = (ROOT / f"constraints-{line}.txt").read_text()
    lines = [each for each in text.splitlines() if not each.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", each) for each in lines)
    fixed = {canonicalize_name(each.partition("==")[0]) for each in lines}
    assert len(fixed) == len(lines)
    assert CORE | EXTRAS["fuzz"] | EXTRAS["pesq"] | EXTRAS["play"] <= fixed
    assert not {"torch", "tensorflow"} & fixed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in sorted(OURS):  # all that the search for packages could find
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (built,) = (folder / "dist").iterdir()
    return built


def test_the_wheel_holds_the_library_and_no_more(wheel: pathlib.Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    sources = {path.relative_to(ROOT).as_posix() for path in SOURCES["wavenet_jax"]}
    assert files == sources | {"wavenet_jax/py.typed"}
    assert metadata["Version"] == wavenet_jax.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert {canonicalize_name(each.name) for each in asked if not each.marker} == CORE
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS)


def closure(names: Iterable[str]) -> set[str]:
    """Distributions with those that they need, and so on."""
    found: set[tuple[str, str]] = set()
    left = [(name, "") for name in names]
    while left:
        name, extra = left.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for each in map(Requirement, importlib.metadata.requires(name) or []):
            if not each.marker or each.marker.evaluate({"extra": extra}):
                left += [(canonicalize_name(each.name), "")]
                left += [(canonicalize_name(each.name), of_it) for of_it in each.extras]
    return {name for name, _ in found}


ALONE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

FORBIDDEN = set(sys.argv[1].split())
sys.meta_path.insert(0, Missing())

import jax, numpy as np, wavenet_jax
print(wavenet_jax.__file__, wavenet_jax.__version__)
config = wavenet_jax.WaveNetConfig(dilations=(1, 2), residual_channels=8, skip_channels=8)
params = wavenet_jax.WaveNet(config).init(jax.random.key(0), np.zeros((1, 8), np.int32))
keys = wavenet_jax.utterance_keys(0, [0, 1])
for backend in ("scan", "cpu"):
    chunks = wavenet_jax.generate(config, params, keys=keys, num_samples=20, backend=backend)
    print(np.concatenate(list(chunks), axis=1).tolist())
model = wavenet_jax.load(sys.argv[2])
labels = [names[0] for names in model.audio.classes.values()]
for pcm in model.generate(seconds=0.01, seed=0, labels=labels or None):
    print(pcm.dtype)
"""


def test_the_wheel_runs_on_its_own_dependencies(
    wheel: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Outside the checkout, where nothing else can be imported."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    own = closure(CORE)
    forbidden = {
        package
        for package, distributions in importlib.metadata.packages_distributions().items()
        if own.isdisjoint(map(canonicalize_name, distributions))
    }
    forbidden -= {"wavenet_jax", *sys.stdlib_module_names}
    assert {"librosa", "grain", "matplotlib", "pytest"} <= forbidden
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            ALONE,
            " ".join(forbidden | OURS - {"wavenet_jax"}),
            ROOT / "tests" / "fixtures" / "checkpoint_v2" / "generator",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    where, by_scan, by_cpu, *kinds = ended.stdout.splitlines()
    assert where == f"{site / 'wavenet_jax' / '__init__.py'} {wavenet_jax.__version__}"
    assert by_scan == by_cpu
    assert set(kinds) == {"int16"}
