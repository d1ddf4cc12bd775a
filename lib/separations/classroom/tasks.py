"""The coding exercises of a notebook: where a student writes, the cells that check it, points, and tests that students do not see."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..run.magics import parses, plain_python
from ..run.notebooks import read_notebook, source_of, tags_of
from ..run.profiles import Book
from ..yaml_files import read_yaml
from .slices import names_made, needed

PLAN = "book/appendix/grading.yml"
START = re.compile(r"\{exercise-start\} *(.*)\n:label: *(\S+)")
SOLUTION = re.compile(r"\{solution-start\} *(\S+)")
HEADLINE = re.compile(r"^#{1,3} ", re.MULTILINE)
VISIBLE, HIDDEN = 2, 1  # points of an exercise that says nothing else


@dataclass(frozen=True)
class Task:
    """A coding exercise.

    label, title: of the exercise; start: id of the cell to fill in; starter: its source; names: what it defines;
    checks: sources of the cells that check it; check_ids: their ids; solution: the teacher's answer;
    hidden: the hidden tests, '' for none; points, hidden_points: for passing the checks, and for the hidden tests besides.
    """

    label: str
    title: str
    start: str
    starter: str
    names: tuple[str, ...]
    checks: tuple[str, ...]
    check_ids: tuple[str, ...]
    solution: str
    hidden: str
    points: int
    hidden_points: int

    @property
    def most(self) -> int:
        """All points of the exercise."""
        return self.points + self.hidden_points * bool(self.hidden)


def plan(book: Book) -> dict[str, dict]:
    """What `book/appendix/grading.yml` says of each label: points, and hidden tests. ValueError where it is not of that form."""
    path = book.root / PLAN
    found = (read_yaml(path, "plan of grading") or {}) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ValueError(f"{PLAN}: a mapping of labels is needed")
    for label, entry in found.items():
        if not isinstance(entry, dict) or not set(entry) <= {"points", "hidden_points", "hidden"}:
            raise ValueError(f"{PLAN}: {label}: a mapping with points, hidden_points, hidden is needed")
        for name in ("points", "hidden_points"):
            if not isinstance(entry.get(name, 1), int) or not 0 <= entry.get(name, 1) <= 100:
                raise ValueError(f"{PLAN}: {label}: {name} = {entry[name]!r}: a whole number from 0 to 100 is needed")
        if not isinstance(entry.get("hidden", ""), str) or not parses(entry.get("hidden", "")):
            raise ValueError(f"{PLAN}: {label}: hidden is no Python")
    return found


def tasks_of(book: Book, key: str) -> list[Task]:
    """The coding exercises of a chapter, in order."""
    return tasks_in(read_notebook(book.notebook(key)), plan(book))


def tasks_in(notebook: Mapping, grading: Mapping[str, Mapping]) -> list[Task]:
    """The coding exercises of a notebook, with the points and hidden tests of `grading` by label."""
    found = []
    for label, title, inside, solution in _exercises(notebook):
        if inside:
            found.append(_task(label, title, inside, solution, grading.get(label, {})))
    return found


def _exercises(notebook: Mapping) -> list[tuple[str, str, list[Mapping], list[str]]]:
    """Label, title, code cells and code of the solution of each exercise."""
    cells = notebook["cells"]
    text = {i: source_of(cell) for i, cell in enumerate(cells)}
    marks = [
        i
        for i, cell in enumerate(cells)
        if cell["cell_type"] != "code" and (START.search(text[i]) or "solution" in tags_of(cell))
    ]
    found = []
    for at in marks:
        if not (start := START.search(text[at])) or "solution" in tags_of(cells[at]):
            continue
        inside = []
        for i in range(at + 1, len(cells)):
            if cells[i]["cell_type"] == "code" and "solution" not in tags_of(cells[i]):
                inside.append(cells[i])
            elif i in marks or HEADLINE.search(text[i]):
                break
        found.append((start[2], start[1].strip(), inside, _solution(cells, text, start[2])))
    return found


def _solution(cells: list[Mapping], text: Mapping[int, str], label: str) -> list[str]:
    at = next((i for i, one in text.items() if (found := SOLUTION.search(one)) and found[1] == label), None)
    found = []
    for i in range(at or 0, len(cells)) if at is not None else ():
        if cells[i]["cell_type"] == "code" and "solution" in tags_of(cells[i]):
            found.append(text[i])
        elif "{solution-end}" in text[i]:
            break
    return found


def _task(label: str, title: str, inside: list[Mapping], solution: list[str], entry: Mapping) -> Task:
    starter, left = split_answer(source_of(inside[0]))
    checks = [left] * bool(left) + [source_of(cell) for cell in inside[1:]]
    names = tuple(sorted(set().union(*(names_made(one) for one in ast.parse(plain_python(starter)).body))))
    ids = tuple(str(cell.get("id")) for cell in (inside if left else inside[1:]))
    return Task(
        label, title, str(inside[0].get("id")), starter, names, tuple(checks), ids, _own_part(solution, set(names)),
        entry.get("hidden", ""), entry.get("points", VISIBLE), entry.get("hidden_points", HIDDEN),
    )  # fmt: skip


def _own_part(solution: list[str], names: set[str]) -> str:
    """The statements of a solution that define the names asked for, and those that these need; not what it goes on to show."""
    texts = [plain_python(text) for text in solution]
    made = set().union(*(names_made(one) for text in texts for one in ast.parse(text).body))
    if not names & made and len(names) == 1:  # under another name: what its check is called with
        calls = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        handed = [call.args[0] for call in calls if getattr(call.func, "id", "").startswith("check_") and call.args]
        texts += [f"{min(names)} = {ast.unparse(handed[-1])}"] if handed else []
    chosen = {ast.dump(one) for one in needed(texts, names)}
    parts = []
    for text in texts:
        lines = text.split("\n")
        for one in ast.parse(text).body:
            if ast.dump(one) in chosen:
                first = min([one.lineno, *(decorator.lineno for decorator in getattr(one, "decorator_list", []))])
                parts.append("\n".join(lines[first - 1 : one.end_lineno]))
    return "\n\n\n".join(parts) + "\n" if parts else ""


def split_answer(source: str) -> tuple[str, str]:
    """A cell as the answer in it and the check that follows in the same cell, '' for none."""
    text = plain_python(source)
    if parses(text):
        lines = text.splitlines(keepends=True)
        for one in ast.parse(text).body:
            if isinstance(one, ast.FunctionDef) and one.name.startswith("check_"):
                at = min([one.lineno, *(decorator.lineno for decorator in one.decorator_list)]) - 1
                return "".join(lines[:at]).rstrip() + "\n", "".join(lines[at:])
    return source, ""


def setting_of(book: Book, key: str) -> list[str]:
    """The code of a chapter before and between its exercises, by cell: no starters, no checks, no solutions."""
    notebook = read_notebook(Path(book.notebook(key)))
    inside = {id(cell) for _, _, cells, _ in _exercises(notebook) for cell in cells}
    return [
        plain_python(source_of(cell))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and id(cell) not in inside and "solution" not in tags_of(cell)
    ]
