"""The student edition as nbgrader understands it: a course folder with `source`, `release` and a configuration, schema 3."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..book.chapters import notebook_keys
from ..files import write_whole
from ..run.notebooks import read_notebook, source_of, tags_of
from ..run.profiles import Book
from .tasks import Task, plan, tasks_in

STUB = "# Your code stands above."
FURTHER = "# Further tests run here when this is graded."
HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
CALL = re.compile(r"^print\((check_\w+\(.*\))\)$", re.MULTILINE)
CONFIG = f"""# nbgrader's configuration for this course folder: `nbgrader autograde NAME` and so on are started here.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "memorization"
c.ClearSolutions.code_stub = {{"python": {STUB!r}}}
c.ExecutePreprocessor.timeout = 900
"""


def course(book: Book) -> dict[str, bytes]:
    """The course folder: relative path -> content. A chapter with coding exercises is an assignment of its own name.

    In `source` the cells to fill in hold the teacher's answers and the hidden tests stand with the checks; `release` is what
    `nbgrader generate_assignment` makes of it.
    """
    grading, files = plan(book), {"nbgrader_config.py": CONFIG.encode()}
    for key in notebook_keys(book):
        notebook = read_notebook(book.notebook(key))
        if tasks := [task for task in tasks_in(notebook, grading) if CALL.search(task.checks[-1])]:
            stem, source = Path(key).name, _source(notebook, tasks)
            for folder, made in (("source", source), ("release", _release(source))):
                files[f"{folder}/{stem}/{stem}.ipynb"] = (
                    json.dumps(made, indent=1, ensure_ascii=False) + "\n"
                ).encode()
            for table in sorted((book.notebook(key).parent / "data").glob(f"{stem}*")):
                for folder in ("source", "release"):
                    files[f"{folder}/{stem}/data/{table.name}"] = table.read_bytes()
    return files


def write_course(book: Book, folder: Path) -> int:
    """Write the course folder; what else lies there stays, as nbgrader's data base and submissions. Returns the number of assignments."""
    files = course(book)
    for name, content in files.items():
        write_whole(folder / name, content)
    return sum(name.startswith("release/") and name.endswith(".ipynb") for name in files)


def _source(notebook: Mapping, tasks: Sequence[Task]) -> dict:
    """The teacher's version of an assignment."""
    starts = {task.start: task for task in tasks}
    last = {task.check_ids[-1]: task for task in tasks}
    inner = {name for task in tasks for name in task.check_ids[:-1]}
    cells = []
    for cell in notebook["cells"]:
        if "solution" in tags_of(cell):
            continue
        cell, name = {**cell, "source": source_of(cell)}, str(cell.get("id"))
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        if name in starts:
            task = starts[name]
            cell["source"] = "\n".join(
                [task.starter.rstrip("\n"), SOLUTION[0], task.solution.rstrip("\n"), SOLUTION[1]]
            )
            cells.append(_marked(cell, f"{task.label}-answer", solution=True))
        elif name in last:
            task = last[name]
            call = CALL.findall(task.checks[-1])[-1]
            test = f"from separations.exercises import must_be_right\n\nmust_be_right({call})"
            cell["source"] = "\n".join([cell["source"].rstrip("\n"), HIDDEN[0], test, HIDDEN[1]])
            cells.append(_marked(cell, f"{task.label}-check", points=task.points))
            if task.hidden:
                further = {
                    "cell_type": "code",
                    "id": f"{name[:54]}-further",
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
                further["source"] = "\n".join([FURTHER, HIDDEN[0], task.hidden.rstrip("\n"), HIDDEN[1]])
                cells.append(_marked(further, f"{task.label}-further", points=task.hidden_points))
        else:
            cells.append(_marked(cell, name) if name in inner else cell)
    return {**notebook, "cells": cells}


def _marked(cell: Mapping, grade_id: str, *, points: int | None = None, solution: bool = False) -> dict:
    """A cell with nbgrader's metadata, locked where no answer goes."""
    marks = {
        "schema_version": 3, "grade": points is not None, "grade_id": grade_id, "locked": not solution, "solution": solution,
        "task": False, "cell_type": cell["cell_type"],
    }  # fmt: skip
    marks |= {} if points is None else {"points": points}
    closed = {"deletable": False} | ({} if solution else {"editable": False})
    marked = {**cell, "metadata": {**cell["metadata"], **closed, "nbgrader": marks}}
    marks["checksum"] = checksum(marked)
    return marked


def _release(source: Mapping) -> dict:
    """What students get: no solutions, no hidden tests."""
    cells = []
    for cell in source["cells"]:
        if marks := cell["metadata"].get("nbgrader"):
            text = _without(_without(cell["source"], *SOLUTION, STUB), *HIDDEN, None)
            cell = {**cell, "source": text, "metadata": {**cell["metadata"], "nbgrader": dict(marks)}}
            cell["metadata"]["nbgrader"]["checksum"] = checksum(cell)
        cells.append(cell)
    return {**source, "cells": cells}


def _without(text: str, begin: str, end: str, instead: str | None) -> str:
    """A text without the lines between two marks."""
    lines, inside = [], False
    for line in text.split("\n"):
        if begin in line:
            inside = True
            lines += [] if instead is None else [instead]
        elif end in line:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def checksum(cell: Mapping) -> str:
    """nbgrader's MD5 of a cell and its marks."""
    marks = cell["metadata"]["nbgrader"]
    parts = [
        cell["source"],
        cell["cell_type"],
        str(marks["grade"]),
        str(marks["solution"]),
        str(marks["locked"]),
        marks["grade_id"],
    ]
    parts += [str(float(marks["points"]))] if marks["grade"] else []
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()
