"""Draws docs/imports.svg from the imports of the sources.

    python docs/draw_imports.py

A box is a room: a package, or a module at the top of `wavenet_jax` or `data`; the programs are one.
An arrow leads from a room to one that it imports, unless another way leads there already. Errors
are left out.
"""

import ast
import graphlib
import pathlib
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[1]
LANES = ("experiments", "wavenet_jax", "data")
LEFT_OUT = {"wavenet_jax.errors", "data.errors", "wavenet_jax", "data", "experiments"}
BOX_W, BOX_H, GAP_X, GAP_Y, MARGIN = 104, 26, 14, 34, 24
COLOURS = {"experiments": "#dbe9f6", "wavenet_jax": "#fde3c8", "data": "#dcefd9"}

Edges = dict[str, set[str]]


def room_of(module: str) -> str:
    """The room of a module: `experiments.train` is in `experiments.programs`."""
    package, *rest = module.split(".")
    if package != "experiments" or not rest:
        return ".".join([package, *rest[:1]])
    is_program = (ROOT / "experiments" / f"{rest[0]}.py").is_file()
    return "experiments.programs" if is_program else f"experiments.{rest[0]}"


def exports(package: str) -> dict[str, str]:
    """The modules that the public names of a package come from."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.name: f"{node.module}.{alias.name}" if node.module == package else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


EXPORTS = {package: exports(package) for package in LANES}


def imports(path: pathlib.Path) -> Iterator[str]:
    """The modules of this repository that a file imports, or uses as `package.name`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = EXPORTS.get(node.module, {})
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                place = ROOT / module.replace(".", "/")
                is_module = place.is_dir() or place.with_suffix(".py").is_file()
                yield module if is_module else names.get(alias.name, node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield EXPORTS.get(node.value.id, {}).get(node.attr, "")


def rooms() -> Edges:
    """Each room with those that it imports."""
    edges: Edges = {}
    for lane in LANES:
        for path in sorted((ROOT / lane).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
                ".__init__"
            )
            if (room := room_of(module)) in LEFT_OUT:
                continue
            found = {room_of(name) for name in imports(path) if name.split(".")[0] in LANES}
            edges.setdefault(room, set()).update(found - LEFT_OUT - {room})
    return edges


def ordered(edges: Edges) -> list[str]:
    """Rooms after those that they import.

    Raises:
      graphlib.CycleError: rooms import one another.
    """
    return list(graphlib.TopologicalSorter(edges).static_order())


def reduced(edges: Edges) -> Edges:
    """Without the arrows that another way makes superfluous."""
    below: Edges = {}
    for room in ordered(edges):
        below[room] = edges[room].union(*(below[name] for name in edges[room]))
    return {
        room: {name for name in names if not any(name in below[other] for other in names - {name})}
        for room, names in edges.items()
    }


def depths(edges: Edges) -> dict[str, int]:
    """The longest way down from each room."""
    found: dict[str, int] = {}
    for room in ordered(edges):
        found[room] = max((1 + found[name] for name in edges[room]), default=0)
    return found


def svg() -> str:
    """The picture."""
    edges = rooms()
    depth = depths(edges)
    deepest = max(depth.values())
    places: dict[str, tuple[float, float]] = {}
    left, columns = MARGIN, []
    for lane in LANES:
        own = [room for room in edges if room.split(".")[0] == lane]
        levels: dict[int, list[str]] = {}
        for room in sorted(own):
            levels.setdefault(depth[room], []).append(room)
        width = max(map(len, levels.values())) * (BOX_W + GAP_X) - GAP_X
        for level, names in levels.items():
            begin = left + (width - len(names) * (BOX_W + GAP_X) + GAP_X) / 2
            for i, room in enumerate(names):
                y = MARGIN + 22 + (deepest - level) * (BOX_H + GAP_Y)
                places[room] = (begin + i * (BOX_W + GAP_X), y)
        columns.append((lane, left, width))
        left += width + 2 * MARGIN
    height = MARGIN + 22 + (deepest + 1) * (BOX_H + GAP_Y)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left - MARGIN:.0f} {height:.0f}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for lane, x, width in columns:
        lines.append(
            f'<rect x="{x - 10:.0f}" y="8" width="{width + 20:.0f}" height="{height - 16:.0f}" '
            f'rx="8" fill="none" stroke="#999"/><text x="{x:.0f}" y="{MARGIN + 4}" '
            f'font-weight="bold">{lane}/</text>'
        )
    for room, names in sorted(reduced(edges).items()):
        for name in sorted(names):
            (x, y), (to_x, to_y) = places[room], places[name]
            x, to_x, y = x + BOX_W / 2, to_x + BOX_W / 2, y + BOX_H
            middle = (y + to_y) / 2
            same = room.split(".")[0] == name.split(".")[0]
            lines.append(
                f'<path d="M{x:.0f} {y:.0f} C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} '
                f'{to_x:.0f} {to_y:.0f}" fill="none" stroke="{"#444" if same else "#aac"}"/>'
            )
    for room, (x, y) in sorted(places.items()):
        lane, name = room.split(".")
        lines.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_W}" height="{BOX_H}" rx="5" '
            f'fill="{COLOURS[lane]}" stroke="#666"/><text x="{x + BOX_W / 2:.0f}" '
            f'y="{y + BOX_H / 2 + 4:.0f}" text-anchor="middle">{name}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs" / "imports.svg").write_text(svg(), encoding="utf-8")
