"""The modules of `data` import each other without circles."""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def imports_of(root: pathlib.Path, package: str) -> dict[str, set[str]]:
    """For each module of a package the modules of it that it imports anywhere in its file."""
    paths = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    names.add(submodule if submodule in paths else node.module)
        graph[module] = names & paths.keys()
    return graph


def test_no_circles() -> None:
    graph = imports_of(ROOT, "data")
    assert len(graph) > 40 and "data.audio.reading" in graph["data.builders.base"]
    list(graphlib.TopologicalSorter(graph).static_order())


def test_alignment_and_espeak_do_not_know_each_other() -> None:
    """Any synthesiser's speech can be aligned."""
    graph = imports_of(ROOT, "data")
    for room, other in (("data.text.alignment", "espeak"), ("data.text.espeak", "alignment")):
        for module in (name for name in graph if name.startswith(room)):
            assert not [name for name in graph[module] if other in name], module


def test_a_circle_is_found(tmp_path: pathlib.Path) -> None:
    (tmp_path / "made").mkdir()
    for name, text in (("__init__", ""), ("a", "from made import b"), ("b", "import made.a")):
        (tmp_path / "made" / f"{name}.py").write_text(text)
    with pytest.raises(graphlib.CycleError) as raised:
        list(graphlib.TopologicalSorter(imports_of(tmp_path, "made")).static_order())
    assert set(raised.value.args[1]) == {"made.a", "made.b"}
