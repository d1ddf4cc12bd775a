"""Grades a folder of notebooks: answers are put into the teacher's own copy, each in a process of its own. A table, and a page a student."""

import ast
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..exercises import BLANK
from ..files import PACKAGE, write_whole
from ..run.notebooks import read_notebook, resolved
from ..run.profiles import Book
from .bounds import Limits
from .slices import names_made, names_used, needed
from .submissions import answer, handed_in
from .tasks import Task, setting_of, tasks_in
from .worker import is_blank, statements_text

COLUMNS = ("student", "notebook", "exercise", "points", "of", "status")
CHAPTER_SECONDS = 1800  # for what a chapter computes before its exercises
NOT_HANDED_IN = "not handed in"


@dataclass
class Mark:
    """One exercise of one student: points of so many, a word, what the hidden tests said, what the answer printed, and its code."""

    student: str
    notebook: str
    exercise: str
    title: str
    points: int
    of: int
    status: str
    hidden: str = ""
    output: str = ""
    answer: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Graded:
    """A grading. marks: of all; notes: what the teacher has to know."""

    marks: list[Mark]
    notes: list[str]


def grade(
    book: Book,
    folder: Path,
    chapters: Mapping[str, Sequence[Task]],
    *,
    jobs: int = 1,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Graded:
    """Grade everything that lies in a folder of submissions; nothing there is changed.

    Args:
        book: the repository; what is executed is its own notebooks, with the answers in them.
        folder: of submissions, as `handed_in` reads it.
        chapters: coding exercises by key. Where somebody handed in one of them, all are graded on it.
        jobs: answers at a time.
        limits: of one answer.
        say: called with what is being done.

    Returns:
        A mark for each student and exercise.

    Raises:
        ValueError: for a folder that is none, and for one without submissions.
    """
    limits, folder = limits or Limits(), resolved(folder, "folder")
    students, handed = handed_in(folder, chapters)
    if not students:
        raise ValueError(f"folder = {str(folder)!r}: there are no submissions in it")
    keys = [key for key in chapters if any(one.key == key for one in handed)]
    marks, notes = [], []
    for one in handed:
        if not one.key:
            name = one.path.relative_to(folder).as_posix()
            marks.append(
                Mark(
                    one.student,
                    one.path.name,
                    "",
                    "",
                    0,
                    0,
                    one.problem or "no chapter of this book with coding exercises",
                )
            )
            notes.append(f"{name}: {marks[-1].status}")
    open_answers: dict[str, list[Mark]] = {key: [] for key in keys}
    for key in keys:
        for student in students:
            mine = [one for one in handed if (one.student, one.key) == (student, key)]
            for task in chapters[key]:
                mark = _first_look(Mark(student, key, task.label, task.title, 0, task.most, NOT_HANDED_IN), mine, task)
                marks.append(mark)
                if mark.answer and mark.status == "":
                    open_answers[key].append(mark)
            if len(mine) > 1:
                notes.append(
                    f"{student}: {len(mine)} copies of {key}; of each exercise the last that was attempted counts"
                )
    wide = min(jobs, max(1, len(keys)))
    each = max(1, jobs // wide)

    def one_chapter(key: str) -> list[str]:
        say(f"{key}: {len(open_answers[key])} answers")
        return _judge(book, key, chapters[key], open_answers[key], limits, each, folder) if open_answers[key] else []

    with ThreadPoolExecutor(wide) as pool:
        for found in pool.map(one_chapter, keys):
            notes += found
    order = {key: at for at, key in enumerate(chapters)}
    marks.sort(key=lambda mark: (mark.student, order.get(mark.notebook, -1)))
    return Graded(marks, list(dict.fromkeys(notes)))


def _first_look(mark: Mark, handed: Sequence, task: Task) -> Mark:
    """The mark of an exercise as far as nothing has to run: status '' and the answer where something has."""
    for one in handed:
        if one.notebook is None:
            if mark.status == NOT_HANDED_IN:
                mark = replace(mark, status=one.problem)
            continue
        pieces = answer(one.notebook, task)
        if pieces is None or is_blank(pieces, task.starter):
            if not mark.answer:
                mark = replace(mark, status=BLANK if pieces is not None else "the exercise is not in the notebook")
        else:
            mark = replace(mark, status="", answer=pieces)
    return mark


def _judge(
    book: Book, key: str, tasks: Sequence[Task], marks: list[Mark], limits: Limits, jobs: int, folder: Path
) -> list[str]:
    """Fill in the marks of a chapter; returns notes. At first only what the exercises need is computed, then, if need be, the whole."""
    notes: list[str] = []
    by_label = {task.label: task for task in tasks}
    for whole in (False, True):
        with tempfile.TemporaryDirectory(prefix="grading-") as name:
            place = Path(name)
            statements = _statements(book, key, tasks, marks, whole)
            _write_job(book, key, place, statements, limits, jobs, folder)
            for at, task in enumerate(tasks):
                _write_request(place, f"0{at:05}", task, [task.starter, task.solution], own=True)
            for at, mark in enumerate(marks):
                _write_request(place, f"1{at:05}", by_label[mark.exercise], mark.answer)
            error = _work(place)
            state = _read(place / "state.json")
            error = str(state.get("error") or error)
            bad = (
                []
                if error
                else [
                    t.label
                    for at, t in enumerate(tasks)
                    if not _whole_marks(t, _read(place / "results" / f"0{at:05}.json"))
                ]
            )
            if (error or bad) and not whole:
                continue  # what the exercises need was not all of it
            notes += (
                []
                if state.get("network") is False
                else [
                    "the network could not be taken away from answers on this system; connections by Python are refused"
                ]
            )
            notes += [f"{key}: the chapter could not be prepared: {error}"] if error else []
            notes += [
                f"{key}: {label}: the teacher's own solution does not pass; nobody is graded on it" for label in bad
            ]
            for at, mark in enumerate(marks):
                result = _read(place / "results" / f"1{at:05}.json")
                _fill(
                    mark,
                    by_label[mark.exercise],
                    result,
                    "not graded: the teacher's own copy fails" if error or mark.exercise in bad else "",
                )
            return notes
    return notes


def _statements(book: Book, key: str, tasks: Sequence[Task], marks: Sequence[Mark], whole: bool) -> list[str]:
    cells = setting_of(book, key)
    own = [text for task in tasks for text in (*task.checks, task.starter, task.solution, task.hidden)]
    wanted = set().union(*(names_used(ast.parse(text)) for text in own))
    asked = set().union(*(_names(piece) for mark in marks for piece in mark.answer))
    for one in (statement for text in cells for statement in ast.parse(text).body):
        if isinstance(one, ast.FunctionDef | ast.ClassDef):  # an answer may use what the chapter defines
            wanted |= names_made(one) & asked
    return statements_text(needed(cells, wanted, whole))


def _names(piece: str) -> set[str]:
    try:
        return names_used(ast.parse(piece))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()


def _write_job(
    book: Book, key: str, place: Path, statements: list[str], limits: Limits, jobs: int, folder: Path
) -> None:
    closed = [
        book.root / "book",
        book.root / "_build",
        book.root / "tests",
        folder,
        place / "requests",
        place / "results",
    ]
    (place / "requests").mkdir()
    (place / "results").mkdir()
    job = {"statements": statements, "folder": str(book.notebook(key).parent), "limits": asdict(limits), "jobs": jobs}
    write_whole(place / "job.json", json.dumps({**job, "closed": [str(one) for one in closed]}))


def _write_request(place: Path, name: str, task: Task, pieces: list[str], own: bool = False) -> None:
    request = {"answer": pieces, "names": task.names, "checks": task.checks, "hidden": task.hidden, "own": own}
    write_whole(place / "requests" / f"{name}.json", json.dumps(request))


def _work(place: Path) -> str:
    """Run the worker; returns what went wrong, '' for nothing."""
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": path,
    }
    command = [sys.executable, "-W", "ignore", "-m", "separations.classroom.worker", str(place)]
    with (place / "log.txt").open("wb") as log:
        try:
            done = subprocess.run(
                command, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=CHAPTER_SECONDS + 60 * len(list((place / "requests").iterdir())),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "it took too long"
    said = (place / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"it ended with status {done.returncode}: {said[-1] if said else ''}" if done.returncode else ""


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _whole_marks(task: Task, result: Mapping) -> bool:
    return result.get("outcome") == "right" and (not task.hidden or result.get("hidden_passed") is True)


def _fill(mark: Mark, task: Task, result: Mapping, problem: str) -> None:
    """Points and words of a mark, in place."""
    if problem or not result:
        mark.status = problem or "not graded: no result"
        return
    mark.status, mark.hidden, mark.output = str(result["word"]), str(result["hidden"]), str(result["output"])
    mark.points = task.points * (result["outcome"] == "right") + task.hidden_points * (result["hidden_passed"] is True)
    if result["outcome"] == "right" and task.hidden and not result["hidden_passed"]:
        mark.status = f"{mark.status}; further tests {mark.hidden}"


def table(marks: Sequence[Mark]) -> str:
    """The marks as CSV. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for mark in marks:
        row = [mark.student, mark.notebook, mark.exercise, mark.points, mark.of, mark.status]
        rows.writerow(
            [f"'{one}" if isinstance(one, str) and one[:1] in ("=", "+", "-", "@", "\t") else one for one in row]
        )
    return text.getvalue()


def chapters_of(book: Book, keys: Sequence[str]) -> dict[str, list[Task]]:
    """The coding exercises of the chapters that have any."""
    from .tasks import plan

    grading = plan(book)
    found = {key: tasks_in(read_notebook(book.notebook(key)), grading) for key in keys}
    return {key: tasks for key, tasks in found.items() if tasks}
