"""Who imports whom within `experiments`, read from the sources."""

import ast
import graphlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PATHS = sorted((ROOT / "experiments").rglob("*.py"))


def module(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module(path): ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}


def imports(name: str) -> set[str]:
    """The modules of `experiments` that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(SOURCES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & SOURCES.keys()


def is_program(name: str) -> bool:
    """Whether a module runs as `python -m`: it ends with `if __name__ == "__main__":`."""
    last = SOURCES[name].body[-1] if SOURCES[name].body else None
    return isinstance(last, ast.If) and "__main__" in ast.dump(last.test)


PROGRAMS = {name for name in SOURCES if is_program(name)}


def test_the_programs_are_found() -> None:
    assert {"experiments.train", "experiments.sample", "experiments.studies.ablation"} <= PROGRAMS
    assert "experiments.common.run" in imports("experiments.tasks.training")
    assert {name for name in SOURCES if name.count(".") == 1} <= PROGRAMS | {
        "experiments.benchmarks",
        "experiments.common",
        "experiments.listening",
        "experiments.speaking",
        "experiments.steering",
        "experiments.metrics",
        "experiments.studies",
        "experiments.tasks",
    }


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_nobody_imports_a_program(name: str) -> None:
    assert not imports(name) & (PROGRAMS - {name})


def test_no_circles() -> None:
    graph = {name: imports(name) - {name} for name in SOURCES}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_rooms_below_know_nothing_of_those_above() -> None:
    """Studies build on tasks, tasks on metrics, and all on the common rooms, never the other way
    round; a recipe imports recipes alone, and the schema nothing of `experiments`."""
    order = ("configs", "common", "metrics", "steering", "tasks", "listening", "studies")
    for name in SOURCES:
        folder = name.split(".")[1] if "." in name else ""
        if folder in order:
            above = tuple(f"experiments.{each}" for each in order[order.index(folder) + 1 :])
            above += ("experiments.benchmarks",)
            assert not [each for each in imports(name) if each.startswith(above)], name
        if folder == "configs":
            others = {each for each in imports(name) if not each.startswith("experiments.configs")}
            assert not others - {"experiments"}, name
    assert not imports("experiments.configs.schema") - {"experiments"}


def test_nothing_reads_a_config_by_get() -> None:
    """Every field is there: a default of its own would be a second one."""
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_method and node.func.attr == "get":
                owner = ast.unparse(node.func.value)
                assert "config" not in owner, f"{name}: {owner}.get"


def test_only_studies_of_several_programs_share_flags() -> None:
    """A program reads a flag of `cli` or its own, by its holder and never by name."""
    for name in PROGRAMS:
        text = ast.unparse(SOURCES[name])
        assert "FLAGS." not in text.replace("flags.FLAGS[", ""), name
