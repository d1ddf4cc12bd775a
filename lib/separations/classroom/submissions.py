"""What was handed in: folders as Moodle and GitHub Classroom write them, which notebook is which, and the answers in it."""

import ast
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..run.magics import parses, plain_python
from ..run.notebooks import read_notebook, source_of, tags_of
from .slices import names_made
from .tasks import HEADLINE, START, Task

MOODLE = re.compile(r"(?P<name>.+?)_\d+_assignsubmission_(?:file|onlinetext)_?(?P<rest>.*)")
COPY = re.compile(r"([ _-]*\(\d+\)|[ _-]*copy\d*)+$", re.IGNORECASE)
LARGEST = 64 * 2**20  # bytes of a notebook


@dataclass(frozen=True)
class Handed:
    """A notebook that was handed in. student: the name; path: the file; key: of the chapter, '' where that is not known;
    notebook: what it holds, None where it cannot be read; problem: why."""

    student: str
    path: Path
    key: str
    notebook: dict | None
    problem: str


def handed_in(folder: Path, chapters: Mapping[str, Sequence[Task]]) -> tuple[list[str], list[Handed]]:
    """Everybody who handed in something, and every notebook.

    Args:
        folder: one folder or one file a student. Moodle's "Name_12_assignsubmission_file_" is Name; a folder of repositories
            "task-submissions" with "task-name" in it is GitHub Classroom's.
        chapters: the coding exercises by key of the chapter.

    Returns:
        Names, sorted, and notebooks, by name and path. Links and folders that begin with a dot are passed over.

    Raises:
        ValueError: `folder` is none.
    """
    if not folder.is_dir():
        raise ValueError(f"folder = {str(folder)!r}: a folder of submissions is needed")
    prefix = f"{folder.name.removesuffix('-submissions')}-" if folder.name.endswith("-submissions") else ""
    students, found = set(), []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "__")) or entry.is_symlink():
            continue
        if entry.is_file() and entry.suffix != ".ipynb":
            continue
        matched = MOODLE.fullmatch(entry.stem if entry.is_file() else entry.name)
        name = matched["name"] if matched else (entry.stem if entry.is_file() else entry.name).removeprefix(prefix)
        students.add(name)
        for path in [entry] if entry.is_file() else _notebooks(entry):
            found.append(_handed(name, path, matched["rest"] if matched and entry.is_file() else "", chapters))
    return sorted(students), sorted(found, key=lambda one: (one.student, one.path))


def _notebooks(folder: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        paths = [Path(place) / name for name in files if name.endswith(".ipynb") and not name.startswith(".")]
        found += [path for path in paths if not path.is_symlink()]
    return sorted(found)


def _handed(student: str, path: Path, rest: str, chapters: Mapping[str, Sequence[Task]]) -> Handed:
    notebook, problem = None, ""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST // 2**20} MB")
        if not path.stat().st_size:
            raise ValueError("the file is empty")
        notebook = read_notebook(path)
        if not notebook["cells"]:
            notebook, problem = None, "a notebook without cells"
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        said = str(getattr(error, "strerror", None) or error)
        problem = "not a notebook" if str(path) in said else said
    return Handed(student, path, _key(path, rest, notebook, chapters), notebook, problem)


def _key(path: Path, rest: str, notebook: Mapping | None, chapters: Mapping[str, Sequence[Task]]) -> str:
    """The chapter of a notebook: by the labels and cells of its exercises, or else by its name. '' for none."""
    stems = {COPY.sub("", name) for name in (rest.removesuffix(".ipynb"), path.stem)}
    named = [key for key in chapters if key.rpartition("/")[2] in stems]
    if notebook is not None:
        ids = {str(cell.get("id")) for cell in notebook["cells"]}
        text = "\n".join(source_of(cell) for cell in notebook["cells"])
        score = {
            key: sum((task.start in ids) + (f":label: {task.label}\n" in text) for task in tasks)
            for key, tasks in chapters.items()
        }
        best = max(score, key=lambda key: (score[key], key in named), default="")
        if best and score[best]:
            return best
    return named[0] if named else ""


def answer(notebook: Mapping, task: Task) -> list[str] | None:
    """The student's code of an exercise, cell by cell: by the label, by the id of the cell to fill in, or by the check that follows.

    None where there is no trace of the exercise. Cells that hold a check are left out.
    """
    cells, first = notebook["cells"], None
    for region in (_by_label(cells, task), _by_id(cells, task), _by_check(cells, task)):
        pieces = [piece for cell in region if (piece := _without_check(source_of(cell), task)).strip()]
        if any(names_in(piece) & set(task.names) or not parses(plain_python(piece)) for piece in pieces):
            return pieces
        first = first or pieces  # a place for the answer, with something else in it
    return first or ([] if _by_id(cells, task) else None)


def _by_label(cells: Sequence[Mapping], task: Task) -> list[Mapping]:
    at = next(
        (i for i, cell in enumerate(cells) if (found := START.search(source_of(cell))) and found[2] == task.label), None
    )
    found = []
    for cell in cells[at + 1 :] if at is not None else ():
        if cell["cell_type"] == "code":
            found += (
                [cell]
                if "solution" not in tags_of(cell) and str(cell.get("id")) not in task.check_ids[_shared(task) :]
                else []
            )
        elif START.search(source_of(cell)) or HEADLINE.search(source_of(cell)):
            break
    return found


def _shared(task: Task) -> int:
    """1 where the first check stands in the cell to fill in."""
    return int(bool(task.check_ids) and task.check_ids[0] == task.start)


def _by_id(cells: Sequence[Mapping], task: Task) -> list[Mapping]:
    return [cell for cell in cells if cell["cell_type"] == "code" and str(cell.get("id")) == task.start][-1:]


def _by_check(cells: Sequence[Mapping], task: Task) -> list[Mapping]:
    """The last cell before the check that defines what was asked for, or that cell itself."""
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    wanted = [name for check in task.checks for name in _definitions(check) if name.startswith("check_")]
    for at, cell in enumerate(code):
        if set(wanted) & _definitions(source_of(cell)):
            return [one for one in code[: at + 1] if names_in(_without_check(source_of(one), task)) & set(task.names)][
                -1:
            ]
    return []


def names_in(source: str) -> set[str]:
    """Names that a cell defines; none where it is no Python."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return set().union(*(names_made(one) for one in ast.parse(plain_python(source)).body))
    return set()


def _definitions(source: str) -> set[str]:
    return set(re.findall(r"^def (\w+)", source, re.MULTILINE))


def _without_check(source: str, task: Task) -> str:
    """A cell of a student without checks and calls of them; '' for a cell that holds nothing else."""
    if "check_" not in source:
        return source
    text = plain_python(source)
    if not parses(text):
        return re.split(r"^(?:@\w+\n)?def check_", source, maxsplit=1, flags=re.MULTILINE)[0]
    lines = text.split("\n")
    for one in reversed(ast.parse(text).body):
        defined = isinstance(one, ast.FunctionDef) and one.name.startswith("check_")
        called = isinstance(one, ast.Expr) and any(
            isinstance(n, ast.Name) and n.id.startswith("check_") for n in ast.walk(one)
        )
        if defined or called:
            first = min([one.lineno, *(decorator.lineno for decorator in getattr(one, "decorator_list", []))])
            del lines[first - 1 : one.end_lineno]
    return "\n".join(lines).strip("\n") + "\n"
