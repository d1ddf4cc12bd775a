"""The classroom: hand out, grade, show. `python -m separations.classroom student|grade|slides`."""

from pathlib import Path

from ..book.chapters import check_pages, notebook_keys
from ..book.command import main as book_command
from ..command_line import guarded, parser, say, tell
from ..files import write_whole
from ..run.profiles import Book
from .bounds import Limits
from .feedback import write_pages
from .grading import Graded, chapters_of, grade, table
from .nbgrader import write_course
from .slides import write_slides


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parser("classroom", __doc__)
    options.add_argument("task", choices=("student", "grade", "slides"))
    options.add_argument("--folder", type=Path, help="submissions: a folder or a file a student")
    options.add_argument(
        "--out", type=Path, default=Path("grades.csv"), help="the table; pages go beside it, into NAME-feedback"
    )
    options.add_argument("--jobs", type=int, default=1, help="answers at a time")
    options.add_argument("--seconds", type=float, default=Limits.seconds, help="for one answer")
    options.add_argument("--memory", type=int, default=Limits.memory_mb, help="megabytes for one answer")
    given = options.parse_args(arguments)
    return guarded("classroom", lambda: _do(given, Book(given.root.resolve())))


def _do(given, book: Book) -> int:
    check_pages(book)
    if given.task == "student":
        return _handed_out(book)
    if given.task == "slides":
        pages = write_slides(book, book.build / "slides")
        tell(f"slides of {len(pages)} chapters: {book.build / 'slides' / 'index.html'}")
        return 0
    if given.folder is None:
        raise ValueError("folder: name the folder of submissions, as in make grade FOLDER=submissions")
    if not 0 < given.seconds <= 3600 or given.memory < 100 or given.jobs < 1:
        raise ValueError("seconds from 0 to 3600, memory of at least 100 megabytes and jobs of at least 1 are needed")
    if given.out.is_dir():
        raise ValueError(f"out = {str(given.out)!r}: the name of a file is needed")
    limits = Limits(given.seconds, given.memory)
    graded = grade(book, given.folder, chapters_of(book, notebook_keys(book)), jobs=given.jobs, limits=limits, say=say)
    return _written(graded, given.out)


def _handed_out(book: Book) -> int:
    """The student edition, and the course folder of nbgrader beside it."""
    if status := book_command(["student", "--root", str(book.root)]):
        return status
    count = write_course(book, book.build / "nbgrader")
    say(f"for nbgrader: {count} assignments in _build/nbgrader")
    return 0


def _written(graded: Graded, out: Path) -> int:
    write_whole(out, table(graded.marks))
    pages = write_pages(graded.marks, out.with_name(f"{out.stem}-feedback"))
    for note in graded.notes:
        say(note)
    tell(f"{len(pages)} students, {len(graded.marks)} marks: {out}, and a page for each in {out.stem}-feedback")
    return 0
