"""What an executed notebook depends on: found in the syntax tree, compared by content."""

import json
import os
import subprocess
import sys

import pytest

from separations import dependencies
from separations.dependencies import (
    closure,
    fingerprint,
    imported_names,
    modules_of,
    notebook_key,
    python_source,
    with_parameters,
)


def cell(source, tags=(), kind="code", **fields):
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": source, **extra, **fields}


def notebook(path, *cells, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library of five modules: a <- b <- c, a ledger behind `__init__`, and data with an asset."""
    folder = tmp_path / "lib" / "separations"
    (folder / "assets").mkdir(parents=True)
    for name, source in {
        "__init__": "from .ledger import Ledger\n",
        "ledger": "import json\n",
        "a": "VALUE = 1\n",
        "b": "from .a import VALUE\n",
        "c": "def late():\n    from . import b\n    return b\n",
        "data": "import separations.a as base\n",
    }.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "assets" / "table.npz").write_bytes(b"1")
    (folder / "claims.yml").write_text("one: {statement: first}\ntwo: {statement: second}\n")
    monkeypatch.setattr(dependencies, "PACKAGE", folder)
    return folder


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import separations", {""}),
        ("import separations as sp", {""}),
        ("import separations as sp\nsp.a.VALUE", {"", "a"}),
        ("import separations.a as z", {"a"}),
        ("import separations.a, numpy", {"a"}),
        ("from separations import a, b", {"a", "b"}),
        ("from separations import Ledger", {""}),
        ("from separations import Ledger, a", {"", "a"}),
        ("from separations import *", {""}),
        ("from separations.a import VALUE", {"a"}),
        ("def f():\n    from separations.b import VALUE", {"b"}),
        ("from . import a", {"a"}),
        ("from .b import VALUE", {"b"}),
        ("import separations_of_powers\nfrom separationsx import a\nimport torch", set()),
    ],
)
def test_every_form_of_import_is_seen(library, source, names):
    assert imported_names(source) == names


def test_the_closure_follows_imports_and_the_package_itself(library):
    assert closure(["c"]) == ["", "a", "b", "c", "ledger"]
    assert closure(["a"]) == ["", "a", "ledger"]
    assert closure([]) == []
    with pytest.raises(ValueError, match=r"separations\.nothing is imported"):
        closure(["nothing"])


def test_lines_of_ipython_are_no_python(library, tmp_path):
    path = notebook(
        tmp_path / "x.ipynb",
        cell("%matplotlib inline\n!ls\nfrom separations import b"),
        cell("%%bash\nfrom separations import c"),
        cell("from separations import data", kind="markdown"),
        cell(["import separations.a\n", "x = 1"]),
    )
    assert modules_of(path) == ["", "a", "b", "ledger"]
    assert "!ls" not in python_source(json.loads(path.read_text()))


def test_a_cell_that_is_not_python_is_named(library, tmp_path):
    with pytest.raises(ValueError, match="is not valid Python"):
        modules_of(notebook(tmp_path / "x.ipynb", cell("x = = 1")))


@pytest.fixture
def chapter(library, tmp_path):
    (tmp_path / "constraints.txt").write_text("torch==2\n")
    path = tmp_path / "book" / "part" / "chapter.ipynb"
    return notebook(path, cell("n = 1", ["parameters"]), cell("from separations import b, Ledger\n'one'"))


def rewrite(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_touching_files_changes_nothing(library, chapter):
    before = fingerprint(chapter)
    for path in [*library.glob("*.py"), chapter]:
        os.utime(path, (1, 1))
    assert fingerprint(chapter) == before


def test_a_table_with_the_number_of_the_notebook_counts_and_others_do_not(library, chapter):
    before, number = fingerprint(chapter)["key"], chapter.stem.partition("_")[0]
    (chapter.parent / "data").mkdir()
    (chapter.parent / "data" / "99_other.csv").write_text("a\n1\n")
    assert fingerprint(chapter)["key"] == before
    table = chapter.parent / "data" / f"{number}_runs.csv"
    table.write_text("a\n1\n")
    with_table = fingerprint(chapter)["key"]
    table.write_text("a\n2\n")
    assert len({before, with_table, fingerprint(chapter)["key"]}) == 3


def test_running_a_notebook_does_not_change_its_fingerprint(library, chapter):
    before = fingerprint(chapter)
    content = json.loads(chapter.read_text())
    content["cells"][1] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}], "execution_count": 2}
    content["cells"][1]["metadata"]["papermill"] = {"duration": 1}
    content["metadata"]["language_info"] = {"version": "3.12"}
    chapter.write_text(json.dumps(content))
    assert fingerprint(chapter) == before


def test_what_a_notebook_uses_makes_it_stale_and_what_it_does_not_use_leaves_it_fresh(library, chapter, tmp_path):
    key = fingerprint(chapter)["key"]
    for unused in (library / "c.py", library / "data.py", library / "assets" / "table.npz"):
        unused.write_text("# changed\n")
        assert fingerprint(chapter)["key"] == key
    rewrite(library / "claims.yml", "second", "another second")
    assert fingerprint(chapter)["key"] == key  # the notebook does not name this claim
    for used, old, new in [
        (library / "a.py", "VALUE", "VALUE  # a comment, and chapters show the source"),
        (library / "claims.yml", "first", "another first"),
        (chapter, "n = 1", "n = 2"),
        (tmp_path / "constraints.txt", "torch==2", "torch==3"),
    ]:
        before = fingerprint(chapter)["key"]
        rewrite(used, old, new)
        assert fingerprint(chapter)["key"] != before, used
    before = fingerprint(chapter)["key"]
    assert fingerprint(chapter, {"n": 5})["key"] != before


def test_an_asset_counts_for_the_module_that_reads_it(library, tmp_path):
    path = notebook(tmp_path / "x.ipynb", cell("from separations import data"))
    before = fingerprint(path)["key"]
    (library / "assets" / "table.npz").write_bytes(b"22")
    assert fingerprint(path)["key"] != before


def test_a_notebook_is_named_by_its_path_in_the_book(tmp_path, chapter):
    assert notebook_key(chapter) == "part/chapter"
    assert notebook_key(tmp_path / "alone.ipynb") == "alone"


def test_the_real_library_resolves_without_importing_torch():
    for path in dependencies.PACKAGE.glob("*.py"):
        assert "" in closure([path.stem if path.stem != "__init__" else ""])
    code = "import sys, separations.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_fingerprint_under_other_parameters_needs_no_second_reading(library, chapter):
    for stored in (False, True):
        if stored:
            (chapter.parent / "data").mkdir()
            (chapter.parent / "data" / f"{chapter.stem.partition('_')[0]}_t.csv").write_text("a\n1\n")
        base = fingerprint(chapter)
        for overrides in ({"n": 5}, {"n": 6, "label": "x"}, {}, None):
            assert with_parameters(base, overrides) == fingerprint(chapter, overrides)
        assert with_parameters(fingerprint(chapter, {"n": 5}), {}) == base
