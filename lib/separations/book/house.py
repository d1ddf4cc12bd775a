"""The rooms of the library and the arrows between them: the page "The house", its table and its drawing.

A room is a package, or a module that stands beside them. `book/appendix/house.yml` says what each is for and what it may import;
what it does import is read from the syntax trees.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ..definitions import NAME
from ..files import PACKAGE
from ..run.profiles import Book
from ..yaml_files import read_yaml

TOWERS = {"ground": "Ground", "science": "Science", "engine": "Engine"}
PLAN = "book/appendix/house.yml"
WIDE, HIGH, GAP = 152, 40, 34  # of a room in the drawing, and the space between floors
WIDEST = 6  # rooms in a row


@dataclass(frozen=True)
class Room:
    """name; tower; says: in a sentence; may: what it may import; does: what it imports, each with the places where."""

    name: str
    tower: str
    says: str
    may: tuple[str, ...]
    does: Mapping[str, tuple[str, ...]]


def room_of(module: str, folder: Path = PACKAGE) -> str:
    """The room in which a module stands, by its dotted name in the library; '' for the face of the library."""
    head = module.partition(".")[0]
    return head if head and (folder / head).is_dir() else module


def arrows(folder: Path = PACKAGE) -> dict[str, dict[str, list[str]]]:
    """Which room imports which, and by which modules: {room: {room: ["module -> module", ...]}}."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        here = found.setdefault(room_of(module, folder), {})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node, parts[:-1]):
                room = room_of(target, folder)
                if room != room_of(module, folder):
                    here.setdefault(room, []).append(f"{module} -> {target}")
    return found


def _targets(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    """Modules of the library that an import names, by their dotted names in it."""
    if isinstance(node, ast.Import):
        names = [alias.name.partition(".") for alias in node.names]
        return [rest for head, _, rest in names if head == NAME and rest]
    if not isinstance(node, ast.ImportFrom):
        return []
    if node.level:
        base = ".".join(package[: len(package) - node.level + 1])
    elif (node.module or "").partition(".")[0] == NAME:
        base = ""
    else:
        return []
    module = node.module if node.level else (node.module or "").partition(".")[2]
    start = ".".join(part for part in (base, module) if part)
    return [start] if module else [".".join(part for part in (start, alias.name) if part) for alias in node.names]


def rooms(book: Book, folder: Path = PACKAGE) -> list[Room]:
    """The rooms of the plan in its order. ValueError where the plan cannot be read."""
    plan = read_yaml(book.root / PLAN, "plan of the house")
    if not isinstance(plan, Mapping) or set(plan) != set(TOWERS):
        raise ValueError(f"{PLAN}: {', '.join(TOWERS)} are needed")
    does = arrows(folder)
    found = []
    for tower, entries in plan.items():
        for name, entry in entries.items():
            there = {room: tuple(sorted(set(places))) for room, places in does.get(name, {}).items()}
            found.append(Room(name, tower, str(entry["says"]), tuple(entry["may"]), there))
    return found


def table(found: list[Room]) -> str:
    """The rooms as a Markdown table: where a line goes, and what a room may import."""
    lines = ["| room | what stands in it | may import |", "|---|---|---|"]
    for tower, title in TOWERS.items():
        lines.append(f"| **{title}** | | |")
        for room in (one for one in found if one.tower == tower):
            lines.append(
                f"| `{room.name}` | {room.says} | {', '.join(f'`{name}`' for name in room.may) or 'nothing'} |"
            )
    return "\n".join(lines)


def floors(found: list[Room]) -> dict[str, int]:
    """The floor of each room: 0 for one that imports nothing, else one above the highest that it imports. ValueError for a circle."""
    does = {room.name: set(room.does) for room in found}
    floor: dict[str, int] = {}
    while len(floor) < len(does):
        ready = {name for name, others in does.items() if name not in floor and others <= set(floor)}
        if not ready:
            raise ValueError(f"rooms import one another in a circle: {', '.join(sorted(set(does) - set(floor)))}")
        floor |= {name: 1 + max((floor[other] for other in does[name]), default=-1) for name in ready}
    return floor


def drawing(found: list[Room]) -> str:
    """The rooms on their floors as SVG in the colours of the page. An arrow that follows from two others is left out."""
    floor = floors(found)
    side = list(TOWERS)
    levels = [[room for room in found if floor[room.name] == k] for k in range(max(floor.values()) + 1)]
    levels = [sorted(level, key=lambda room: side.index(room.tower)) for level in levels]
    levels = [
        level[i : i + WIDEST] for level in levels for i in range(0, len(level), WIDEST)
    ]  # a full floor takes two rows
    width = max(len(level) for level in levels) * (WIDE + 16)
    height = len(levels) * (HIGH + GAP)
    at = {}
    for k, level in enumerate(levels):
        for i, room in enumerate(level):
            at[room.name] = ((i + 0.5) * width / len(level), height - (k + 0.5) * (HIGH + GAP))
    lines = [
        f'<div style="overflow-x: auto"><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'style="min-width: 700px; max-width: 100%" aria-label="The rooms of the library, each above those that it imports.">'
    ]
    for room in found:
        (x, y), direct = at[room.name], _direct(room.name, found)
        for other in direct:
            to = at[other]
            lines.append(
                f'<line x1="{x:.0f}" y1="{y + HIGH / 2:.0f}" x2="{to[0]:.0f}" y2="{to[1] - HIGH / 2:.0f}" '
                f'stroke="currentColor" stroke-opacity="0.35"/>'
            )
    dash = {"ground": "2 3", "science": "", "engine": "7 3"}
    for room in found:
        x, y = at[room.name]
        lines.append(
            f'<rect x="{x - WIDE / 2:.0f}" y="{y - HIGH / 2:.0f}" width="{WIDE}" height="{HIGH}" rx="6" fill="var(--pst-color-background, white)" '
            f'stroke="currentColor" stroke-width="1.5" stroke-dasharray="{dash[room.tower]}"><title>{escape(room.says)}</title></rect>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" fill="currentColor" font-size="17">{escape(room.name)}</text>'
        )
    return "\n".join([*lines, "</svg></div>"])


def _direct(name: str, found: list[Room]) -> list[str]:
    """What a room imports, but for what one of these imports itself, directly or through others."""
    does = {room.name: set(room.does) for room in found}
    through, waiting = set(), set().union(*(does[one] for one in does[name])) if does[name] else set()
    while waiting:
        one = waiting.pop()
        through.add(one)
        waiting |= does[one] - through
    return sorted(does[name] - through)


def page(book: Book) -> str:
    """The page "The house" in MyST."""
    found = rooms(book)
    return f"""# The house

Where does a line of the library stand? In the room whose sentence it fits. A room is a package of `lib/separations`, or a module
beside the packages. Two towers stand on one ground: *science* never imports *engine*, and the engine knows nothing of diffusion. Imports
run one way, so no room imports another that imports it; a test holds the arrows against this table.

Each room stands above all that it imports. Rooms of the ground have dotted walls, those of the engine dashed ones; an arrow that follows from
two others is left out.

```{{raw}} html
{drawing(found)}
```

{table(found)}
"""
