"""Which code of a chapter stands open on its page: the idea. All else lies behind a line that says what it is.

Folded are parameters, their rules, imports, set-up, the drawing of figures, numbers for the text, records and checks; of what remains,
at most `OPEN` lines of a cell are open. A cell of several kinds is taken apart between statements; its outputs stay below its last part.
An author's tags come first: `open-input` opens whatever a cell is, `hide-input` folds it.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..run.notebooks import source_of, tags_of
from .markup import one_line

OPEN = 15  # lines of a cell that may stand open
AS_WRITTEN = {"remove-cell", "remove-input", "remove_cell", "remove_input", "hide-cell", "solution"}
RECORDS = ("record", "measure", "table")
YOURS = "your code"  # what a cell of an exercise says where the reader writes
WORDS = {
    "parameters": "The parameters as code", "rules": "What the parameters have to keep", "import": "Imports", "set-up": "Set-up",
    "figure": "How this figure is drawn", "check": "How this is checked", "glue": "Numbers for the text",
    "record": "What goes on record", "rest": "More of this step", "whole": "This step as code", "exercise": "The check of the exercise",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Lines first to last of a cell (from 1), and of which kind they are; kind: empty for what stands open."""

    first: int
    last: int
    kind: str
    names: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        """How many there are."""
        return self.last - self.first + 1


def folded(cell: Mapping) -> list[dict]:
    """A code cell as its page shows it: one cell, or one for each of its parts, folded or open.

    Args:
        cell: as nbformat stores it.

    Returns:
        Cells whose sources, one after the other, are that of the cell; the outputs belong to the last.
    """
    if cell["cell_type"] != "code" or AS_WRITTEN & set(tags_of(cell)) or not source_of(cell).strip():
        return [dict(cell)]
    source = source_of(cell).rstrip("\n")
    parts = parts_of(source, tags_of(cell), "figure" in _shown_by(cell))
    lines, cells = source.split("\n"), []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        text = "\n".join(lines[part.first - 1 : part.last]).strip("\n")
        piece = dict(cell) if last else {**cell, "outputs": [], "execution_count": None}
        piece |= {"source": text, "metadata": _metadata(cell, part, last)}
        piece |= {} if last or "id" not in cell else {"id": f"{cell['id'][:56]}-{number}"}
        cells.append(piece)
    return cells


def parts_of(source: str, tags: Sequence[str] = (), figure: bool = False) -> list[Part]:
    """The parts of a cell's source, in order and without a gap.

    Args:
        source: of a code cell.
        tags: of the cell.
        figure: whether the cell declares a figure.

    Returns:
        At least one part. Open ones have at most `OPEN` lines.
    """
    lines = len(source.split("\n"))
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        body = []
    units = _units(body, lines)
    kind = _kind_of_cell(tags, figure, [unit.kind for unit in units])
    names = tuple(dict.fromkeys(name for unit in units for name in unit.names))
    if "open-input" not in tags and kind:
        return [Part(1, lines, kind, names)]
    return _parts(units, source.split("\n")) or [Part(1, lines, "" if lines <= OPEN else "whole", names)]


def summary(part: Part) -> str:
    """The line in front of a folded part: what it is, and how long."""
    length = f"{part.lines} line{'s' if part.lines != 1 else ''}"
    named = (
        f": {', '.join(part.names[:4])}{', …' if len(part.names) > 4 else ''}" if part.kind in ("rest", "whole") else ""
    )
    return one_line(f"{WORDS[part.kind]}{named} ({length})")


def _kind_of_cell(tags: Sequence[str], figure: bool, kinds: Sequence[str]) -> str:
    """What a cell is as a whole; empty where its parts have to be looked at."""
    for tag, kind in (
        ("parameters", "parameters"),
        ("injected-parameters", "parameters"),
        ("parameter-rules", "rules"),
    ):
        if tag in tags:
            return kind
    if figure or "figure" in kinds:
        return "figure"
    if "nbval-check-output" in tags:
        return "check"
    if kinds and set(kinds) <= {"import"}:
        return "import"
    if "set-up" in kinds:
        return "set-up"
    if kinds and set(kinds) <= {"glue", "record"}:
        return "record" if "record" in kinds else "glue"
    return "whole" if "hide-input" in tags else ""


def _units(body: Sequence[ast.stmt], lines: int) -> list[Part]:
    """The statements of a cell with the comments and empty lines above them; those that share a line are one."""
    found: list[Part] = []
    for statement in body:
        first = found[-1].last + 1 if found else 1
        last, kind, names = statement.end_lineno or statement.lineno, _kind_of(statement), _names(statement)
        if found and statement.lineno <= found[-1].last:
            before = found.pop()
            same = kind if kind == before.kind else ""
            found.append(Part(before.first, max(last, before.last), same, (*before.names, *names)))
        else:
            found.append(Part(first, last, kind, names))
    if found and found[-1].last < lines:  # a comment at the end
        found[-1] = Part(found[-1].first, lines, found[-1].kind, found[-1].names)
    return found


def _kind_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return "import"
    called = {_called(node) for node in ast.walk(statement) if isinstance(node, ast.Call)}
    if called & {("", "Ledger"), ("", "written_for"), ("separations", "written_for"), ("", "use_style")}:
        return "set-up"
    if not isinstance(statement, ast.FunctionDef) and (("plt", "show") in called or ("plt", "subplots") in called):
        return "figure"
    outer = _outer_calls(statement)
    if outer and all(_is_record(call) for call in outer):
        return "record" if any(_called(call)[1] in RECORDS for call in outer) else "glue"
    return ""


def _outer_calls(statement: ast.stmt) -> list[ast.expr]:
    """What a statement of expressions evaluates, also one by one in a tuple or a loop; nothing for other statements."""
    if isinstance(statement, ast.Expr):
        values = statement.value.elts if isinstance(statement.value, ast.Tuple) else [statement.value]
        return [inner for value in values for inner in (value.elts if isinstance(value, ast.Tuple) else [value])]
    if isinstance(statement, ast.For | ast.If | ast.With) and not getattr(statement, "orelse", []):
        inside = [_outer_calls(one) for one in statement.body]
        return [call for calls in inside for call in calls] if all(inside) else []
    return []


def _called(call: ast.expr) -> tuple[str, str]:
    """The name that a call is of: ('plt', 'show'), ('', 'glue')."""
    function = call.func if isinstance(call, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return (function.value.id if isinstance(function.value, ast.Name) else "", function.attr)
    return ("", function.id) if isinstance(function, ast.Name) else ("", "")


def _is_record(call: ast.expr) -> bool:
    holder, name = _called(call)
    return (holder, name) == ("", "glue") or (holder in ("notes", "ledger") and name in RECORDS)


def _names(statement: ast.stmt) -> tuple[str, ...]:
    """The names that a statement gives."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return (statement.name,)
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return tuple(node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name))


def _parts(units: Sequence[Part], lines: Sequence[str]) -> list[Part]:
    """Imports at the start and records at the end folded, and between them as much open as may be."""
    start, end = 0, len(units)
    while start < end and units[start].kind == "import":
        start += 1
    while end > start and units[end - 1].kind in ("glue", "record"):
        end -= 1
    head, middle, tail = units[:start], list(units[start:end]), units[end:]
    parts = [_joined(head, "import")] if head else []
    parts += _opened(middle, lines)
    if tail:
        kind = "record" if any(unit.kind == "record" for unit in tail) else "glue"
        parts.append(_joined(tail, kind))
    return parts


def _opened(units: list[Part], lines: Sequence[str]) -> list[Part]:
    """As many statements from the first as fit open, the others folded; all folded where almost nothing fits."""
    yours = [i for i, unit in enumerate(units) if any(YOURS in line for line in lines[unit.first - 1 : unit.last])]
    if not yours and units and units[-1].last - units[0].first + 1 <= OPEN:
        return [_joined(units, "")]
    fit = 0
    for count, unit in enumerate(units, 1):
        if unit.last - units[0].first + 1 <= OPEN and (not yours or count <= yours[-1] + 1):
            fit = count
    opened, rest = units[:fit], units[fit:]
    if not yours and opened and (opened[-1].last - opened[0].first < 2 or not _says_something(opened)):
        opened, rest = [], units
    parts = [_joined(opened, "")] if opened else []
    kind = "exercise" if yours else "rest" if opened else "whole"
    return parts + ([_joined(rest, kind)] if rest else [])


def _says_something(units: Sequence[Part]) -> bool:
    return any(unit.names for unit in units)


def _joined(units: Sequence[Part], kind: str) -> Part:
    names = tuple(dict.fromkeys(name for unit in units for name in unit.names))
    return Part(units[0].first, units[-1].last, kind, names)


def _shown_by(cell: Mapping) -> Mapping:
    shown = (cell.get("metadata") or {}).get("mystnb")
    return shown if isinstance(shown, Mapping) else {}


def _metadata(cell: Mapping, part: Part, last: bool) -> dict:
    """Metadata of a part: its fold and the line in front of it; the figure and the check belong to the last."""
    tags = [tag for tag in tags_of(cell) if tag not in ("hide-input", "open-input")]
    shown = dict(_shown_by(cell)) if last else {}
    if part.kind:
        text = summary(part)
        tags, shown = [*tags, "hide-input"], shown | {"code_prompt_show": text, "code_prompt_hide": text}
    others = dict(cell.get("metadata") or {}) if last else {}
    return others | {"tags": tags} | ({"mystnb": shown} if shown else {})
