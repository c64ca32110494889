"""The words of the README and of docs/: every command names what exists, and their Python runs."""

import importlib
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from absl import flags

ROOT = pathlib.Path(__file__).parents[2]
ROOT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*ROOT_PAGES, *sorted((ROOT / "docs").glob("*.md"))]
DOCSTRINGS = sorted((ROOT / "experiments").rglob("*.py"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDERS = {"NAME"}


def blocks(path: pathlib.Path) -> list[tuple[str, str]]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def split(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def documented_commands() -> list[tuple[str, list[str]]]:
    """Commands of fenced blocks without a language, and of the programs' docstrings."""
    found = [
        (path.name, command)
        for path in PAGES
        for language, block in blocks(path)
        if not language
        for command in split(block)
    ]
    for path in DOCSTRINGS:
        text = path.read_text(encoding="utf-8").split('"""')[1].replace("\\\\\n", " ")
        for line in text.splitlines():
            if line.startswith("    python -m experiments."):
                plain = re.sub(r"\[(--[^\]]*?)( \.\.\.)?\]", r"\1", line.strip())
                found.append((path.name, shlex.split(plain)))
    return found


COMMANDS = documented_commands()


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 40


@pytest.mark.parametrize(
    ("where", "command"), COMMANDS, ids=lambda x: x if isinstance(x, str) else " ".join(x)
)
def test_commands_name_programs_flags_and_fields_that_exist(where: str, command: list[str]) -> None:
    command = command[: command.index("|")] if "|" in command else command
    command = [word for word in command if "=" not in word or word.startswith("-")]
    if command[0] == "make":
        assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    if not command[0].endswith("python") or command[1:2] != ["-m"]:
        return
    if not command[2].startswith("experiments."):
        assert command[2] in ("pip", "pytest")
        return
    program = importlib.import_module(command[2])
    known = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(program)}
    config = None
    for argument in command[3:]:
        if argument in getattr(program, "COMMANDS", ()):
            continue
        if not argument.startswith("--"):
            assert argument.isupper() or argument.strip(".").isupper(), f"{where}: {argument}"
            continue
        flag, _, value = argument.removeprefix("--").partition("=")
        name, _, field = flag.partition(".")
        if name not in known:  # --noflag
            assert name.startswith("no") and name[2:] in known, f"{where}: no flag --{flag}"
        if flag == "config" and value.isupper():
            continue
        if flag == "config":
            assert (ROOT / value).is_file(), f"{where}: no file {value}"
            config = importlib.import_module(
                value.removesuffix(".py").replace("/", ".")
            ).get_config()
        elif field and field != "KEY":
            assert config is not None, f"{where}: --{flag} comes before --config"
            holder = config
            for part in field.split("."):
                assert part in holder, f"{where}: the config has no field {field}"
                holder = holder[part]


def test_links_lead_somewhere() -> None:
    for path in PAGES:
        links = re.findall(r"\]\((?!http)([^)\s]+)\)|<img src=\"([^\"]+)\"", path.read_text())
        for target, _, anchor in ("".join(link).partition("#") for link in links):
            file = path.parent / target if target else path
            assert file.exists(), f"{path.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
                assert anchor in anchors, f"{path.name}: {target}#{anchor}"


def test_the_python_of_the_readme_runs(trained_dir: pathlib.Path) -> None:
    python = [block for language, block in blocks(ROOT / "README.md") if language == "python"]
    assert len(python) == 2
    for block in python:
        code = block.replace('"runs/mine"', repr(str(trained_dir)))
        code = code.replace("seconds=3, seed=0", "seconds=0.1, seed=0, labels='low'")
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout


def test_the_picture_of_imports_is_that_of_the_sources() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    drawn = importlib.import_module("draw_imports").svg()
    assert drawn == (ROOT / "docs" / "imports.svg").read_text(), "run docs/draw_imports.py"
