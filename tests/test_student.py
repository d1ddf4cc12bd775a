"""The student edition never takes the place of what somebody has worked on."""

import json

import pytest

from separations.book import command as book
from separations.book import student
from separations.run.profiles import Book
from test_staging import root  # noqa: F401


@pytest.fixture
def edition(root):
    """The edition of a book with one chapter, as `make student` leaves it."""
    assert book.main(["student", "--root", str(root)]) == 0
    return root / "_build" / "student"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_untouched_edition_is_renewed_in_its_place(edition, root):
    notebook = root / "book" / "part" / "01_a.ipynb"
    notebook.write_text(notebook.read_text().replace("print(n)", "print(n + 1)"))
    checkpoints = edition / "part" / ".ipynb_checkpoints"  # opened, not changed
    checkpoints.mkdir()
    (checkpoints / "01_a-checkpoint.ipynb").write_bytes((edition / "part" / "01_a.ipynb").read_bytes())
    assert student.student_edition(Book(root)) == edition
    assert "print(n + 1)" in (edition / "part" / "01_a.ipynb").read_text()
    assert student.changed_in(edition) == []


@pytest.mark.parametrize("work", ["changed", "added", "linked", "unmarked", "mark damaged", "a file"])
def test_a_folder_in_which_somebody_worked_stays_as_it_is(edition, root, work, capsys):
    notebook = edition / "part" / "01_a.ipynb"
    if work == "changed":
        notebook.write_text(notebook.read_text().replace("print(n)", "print('my answer')"))
    elif work == "added":
        (edition / "part" / "mine.txt").write_text("mine")
    elif work == "linked":
        (root / "mine.ipynb").write_text("mine")
        notebook.unlink()
        notebook.symlink_to(root / "mine.ipynb")
    elif work == "unmarked":
        (edition / student.MARK).unlink()
    elif work == "mark damaged":
        (edition / student.MARK).write_text("[")
    else:
        for path in sorted(edition.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        edition.rmdir()
        edition.write_text("mine")
    before = contents(edition) if edition.is_dir() else edition.read_bytes()
    capsys.readouterr()
    assert book.main(["student", "--root", str(root)]) == 0
    assert (contents(edition) if edition.is_dir() else edition.read_bytes()) == before
    said = capsys.readouterr().err
    assert "_build/student was worked in (" in said and "student edition: _build/student-2\n" in said
    assert json.loads((root / "_build" / "student-2" / "part" / "01_a.ipynb").read_text())["cells"]
    assert student.student_edition(Book(root)).name == "student-2"  # not worked in: renewed
    if work == "linked":
        assert (root / "mine.ipynb").read_text() == "mine"


def test_what_is_no_longer_in_the_book_goes_only_where_it_was_not_touched(edition, root):
    (root / "book" / "part" / "01_a.ipynb").rename(root / "book" / "part" / "02_b.ipynb")
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text().replace("01_a", "02_b"))
    assert student.student_edition(Book(root)) == edition
    assert [path.name for path in (edition / "part").iterdir()] == ["02_b.ipynb"]
