"""The README's own words: every command names what exists, and its Python runs."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for language, block in BLOCKS
    if not language
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_name_programs_and_flags_that_exist(command):
    if command[0] == "make":
        assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert command[:2] == [".venv/bin/python", "-m"]
    program = ROOT / f"{command[2].replace('.', '/')}.py"
    known = program.read_text()
    for argument in command[3:]:
        if not argument.startswith("--") and "takes_files=True" in known:
            continue
        flag, _, value = argument.removeprefix("--").partition("=")
        assert f'"{flag}"' in known, f"{command[2]} has no flag --{flag}"
        if flag == "config":
            assert (ROOT / value).is_file()


def test_the_python_runs():
    blocks = [block for language, block in BLOCKS if language == "python"]
    assert blocks
    for block in blocks:
        ended = subprocess.run(
            [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("3070\n")


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)|<img src=\"([^\"]+)\"", README):
        assert (ROOT / "".join(target)).exists(), target
