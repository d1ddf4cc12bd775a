"""The API page: every public name of every room, with the chapters that use it; docstrings as reStructuredText."""

import ast
import importlib
import inspect
import io
import re
import textwrap
from pathlib import Path

import docutils.core
import pytest

from separations.book import api, house
from separations.book.docstrings import as_rst
from separations.definitions import library
from separations.files import PACKAGE
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {room.name: room for room in house.rooms(Book(ROOT)) if room.name not in api.INSIDE}
PAGE = api.page(Book(ROOT))


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_is_there_can_be_imported_and_says_what_it_is(room):
    module, names = importlib.import_module(f"separations.{room}"), api.public(room)
    listed = re.findall(rf"\.\. auto\w+:: separations\.{room}\.(\w+)\n", PAGE)
    assert names and listed == names == sorted(names, key=str.lower)
    for name in names:
        one = getattr(module, name)
        if callable(one):
            assert (one.__doc__ or "").strip(), f"{room}.{name} has no docstring"


def test_the_chapters_that_use_a_name_are_named_by_number():
    used = api.users(Book(ROOT))
    key = library().resolve("metrics", "memorization_ratio")
    source = {
        path.stem[:2]
        for path in (ROOT / "book").glob("*/*.ipynb")
        if "memorization_ratio(" in path.read_text(encoding="utf-8")
    }
    chapters = {api._number(one) for one in used[key]}
    assert chapters and chapters <= source
    entry = PAGE.partition("separations.metrics.memorization_ratio\n")[2].partition("```\n\n")[2].partition("\n")[0]
    numbers = re.findall(r"\{doc\}`(\d\d) <", entry)
    assert numbers == sorted(chapters)


def test_rooms_without_a_public_face_are_left_out_and_a_module_gives_its_functions(tmp_path):
    assert not any(f"## `{name}`" in PAGE for name in api.INSIDE) and PAGE.count("\n## `") == len(ROOMS)
    (tmp_path / "one.py").write_text("def b():\n    pass\n\nclass A:\n    pass\n\ndef _c():\n    pass\n")
    assert api.public("one", tmp_path) == ["A", "b"]


DOCSTRINGS = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]


def test_docstrings_become_restructuredtext_without_a_complaint():
    found = [
        text
        for source in DOCSTRINGS
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and (text := ast.get_docstring(node))
    ]
    assert len(found) > 800
    for text in found:
        said = io.StringIO()
        settings = {"report_level": 1, "halt_level": 5, "warning_stream": said}
        docutils.core.publish_doctree("\n".join(as_rst(text.split("\n"))), settings_overrides=settings)
        assert not said.getvalue(), (text, said.getvalue())


@pytest.mark.parametrize(
    ("text", "rst"),
    [
        ("Shape (m, *event_shape), |x| and c_ij.", r"Shape (m, \*event\_shape), \|x\| and c\_ij."),
        ("See `alpha(t)` and ``b``.", "See ``alpha(t)`` and ``b``."),
        ("the `Rows`s of x`y`", r"the ``Rows``\ s of x\ ``y``"),
        ("D. And 2) or", r"\D. And 2) or"),
        ("- no list", r"\- no list"),
        ("A backslash \\ stays.", r"A backslash \\ stays."),
    ],
)
def test_signs_lose_their_meaning_and_names_become_code(text, rst):
    assert as_rst([text]) == [rst, ""]


def test_sections_become_lists_with_an_entry_a_name():
    text = "Args:\n    x: (m, d),\n        finite.\n    t0, t1: ends.\n\nReturns:\n    The shape of x."
    assert as_rst(text.split("\n")) == [
        "**Args:**", "", "* ``x``: (m, d), finite.", "* ``t0, t1``: ends.", "", "**Returns:**", "", "* The shape of x.", "",
    ]  # fmt: skip


# Rooms whose public names say what they take, give and refuse in sections; others join the list as they are written.
SECTIONED = (
    "schedules", "samplers", "parameterizations", "losses", "distributions", "relu", "loss_gap", "numerics", "networks",
    "training", "timesteps", "pruning", "examination", "interval_study", "data", "metrics", "plotting", "ledger",
    "audit", "bench", "detection", "recovery", "remedies",
)  # fmt: skip
PUBLIC = [(room, name) for room in SECTIONED for name in api.public(room)]


def sections(text: str) -> dict[str, str]:
    """Sections of a docstring in Google's style, by name."""
    found = re.findall(r"^(Args|Attributes|Returns|Raises):\n((?: {4}.*\n?)+)", text, re.MULTILINE)
    assert len(found) == len(dict(found)), "a section stands there twice"
    return dict(found)


def raises(one) -> bool:
    """Whether the code of a function, or of a class as it is made, refuses anything itself or by a check."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
    if isinstance(tree, ast.ClassDef):
        made = ("__init__", "__post_init__")
        tree = ast.Module([node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in made], [])
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = {getattr(call, "id", getattr(call, "attr", "")) for call in calls}
    return any(isinstance(node, ast.Raise) for node in ast.walk(tree)) or any(
        name.startswith("check_") for name in named
    )


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[".".join(one) for one in PUBLIC])
def test_a_public_name_with_two_arguments_says_what_it_takes_gives_and_refuses(room, name):
    one = getattr(importlib.import_module(f"separations.{room}"), name)
    if not callable(one):
        return
    arguments = list(inspect.signature(one).parameters)
    if len(arguments) < 2:
        return
    found = sections(inspect.getdoc(one))
    entries = re.findall(r"^ {4}(\w[\w, ]*): ", found.get("Args", found.get("Attributes", "")), re.MULTILINE)
    assert [word for entry in entries for word in entry.split(", ")] == arguments
    assert inspect.isclass(one) or "Returns" in found
    assert "Raises" in found or not raises(one)
    assert "Raises" not in found or "ValueError: " in found["Raises"]


def test_indented_paragraphs_are_blocks():
    assert as_rst(["One.", "", "    x = 1", "", "Two."]) == ["One.", "", "::", "", "    x = 1", "", "Two.", ""]
