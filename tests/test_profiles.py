"""The book as commands see it: what one Book says is of its own repository and its own profile."""

import ast
from pathlib import Path

import pytest

from separations.files import PACKAGE
from separations.run.profiles import DEFAULT_PROFILE, Book
from separations.sweep.command import planned
from separations.sweep.plan import runs_of, write_plan
from separations.sweep.table import rows_of, write_tables
from sweep_book import write_book, write_sweep


@pytest.fixture
def two(tmp_path):
    """Two repositories with one chapter, one profile and other numbers."""
    books = [Book(write_book(tmp_path / name)) for name in ("a", "b")]
    (books[1].root / "params" / "smoke.yml").write_text("part/01_a: {rate: 3.0}\n")
    (books[1].root / "params" / "paper.yml").write_text("part/01_a: {rate: 4.0}\n")
    return books


def places(book):
    yield from (book.build, book.notebook("part/01_a"), book.run_folder("part/01_a"), book.folder("html"))
    yield from (book.sweep_folder("s"), book.evidence_file, *filter(None, [book.params_file()]))


def test_every_place_of_a_book_is_in_its_repository_and_no_two_books_share_one(two):
    for book in two:
        assert all(place.is_relative_to(book.root) for place in places(book.under("smoke")))
    one, other = (set(places(book.under("smoke"))) for book in two)
    assert len(one) == len(other) == 7 and not one & other


def test_what_belongs_to_a_profile_is_another_place_under_another(two):
    book = two[1]
    smoke, paper = book.under("smoke"), book.under("paper")
    for place in (
        Book.params_file,
        lambda one: one.evidence_file,
        lambda one: one.run_folder("x"),
        lambda one: one.folder("html"),
    ):
        assert len({place(one) for one in (book, smoke, paper)}) == 3
    assert book.folder("html").name == "html" and paper.folder("html").name == "html-paper"
    assert smoke.sweep_folder("s") == paper.sweep_folder("s") == book.sweep_folder("s")  # a sweep has its own profile


def test_parameters_and_fingerprints_are_those_of_the_book_that_is_asked_in_any_order(two):
    rates = {(0, "smoke"): 2.0, (1, "smoke"): 3.0, (1, "paper"): 4.0}
    asked = [*rates, *reversed(rates), (0, DEFAULT_PROFILE), (1, DEFAULT_PROFILE)]
    for which, profile in asked:
        book = two[which].under(profile)
        assert book.overrides("part/01_a") == ({"rate": rates[which, profile]} if profile != DEFAULT_PROFILE else {})
    keys = [two[which].under(profile).expected("part/01_a")["key"] for which, profile in asked]
    assert len(set(keys)) == 4 and keys[:3] == keys[5:2:-1] and keys[6] == keys[7]
    assert two[0].named() == [] and two[0].under("smoke").named() == ["part/01_a"]
    with pytest.raises(ValueError, match=r"profile = 'paper': allowed are laptop, smoke$"):
        two[0].under("paper").params_file()


def test_a_book_reads_files_anew_and_cannot_be_changed(two):
    book = two[0].under("smoke")
    before = book.expected("part/01_a")
    (book.root / "params" / "smoke.yml").write_text("part/01_a: {rate: 9.0}\n")
    assert book.overrides("part/01_a") == {"rate": 9.0} and book.expected("part/01_a") != before
    with pytest.raises(AttributeError):
        book.profile = "paper"
    assert two[0].profile == DEFAULT_PROFILE and book.under("x") != book == Book(book.root, "smoke")


def test_a_sweep_holds_the_book_under_its_own_profile_and_writes_nowhere_else(two):
    for book in two:
        sweep, runs = planned(write_sweep(book.root, "profile: smoke\ngrid: {n: [1, 2]}\n"), book)
        assert sweep.book == book.under("smoke") and book.profile == DEFAULT_PROFILE
        write_plan(sweep, runs)
        write_tables(book, "s")
        assert all(run.folder.is_relative_to(sweep.folder) for run in runs_of(sweep))
    assert [[row["rate"] for row in rows_of(book, "s")] for book in two] == [[2.0, 2.0], [3.0, 3.0]]


def test_another_copy_of_the_library_is_told_from_the_one_at_work(tmp_path):
    assert Book(tmp_path).other_library() is None and Book(PACKAGE.parents[1]).other_library() is None
    own = tmp_path / "lib" / "separations"
    own.parent.mkdir()
    own.symlink_to(PACKAGE)
    assert Book(tmp_path).other_library() is None
    own.unlink(), own.mkdir(), (own / "__init__.py").touch()
    assert Book(tmp_path).other_library() == own


def test_no_function_of_the_engine_takes_root_or_profile_beside_the_book():
    """What takes one of them by itself makes the Book, or stands below it."""
    found = set()
    for room in ("run", "sweep", "book"):
        for path in Path(PACKAGE, room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef):
                    names = {one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
                    found |= {node.name} if names & {"root", "profile"} else set()
    assert found == {"run", "under"}
