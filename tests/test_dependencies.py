"""What an executed notebook depends on: found in the syntax tree, compared by content."""

import json
import os
import subprocess
import sys

import pytest

from separations import dependencies, notebooks
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
        ("import importlib\nimportlib.import_module('separations.b')", {"b"}),
        ("from importlib import import_module\nimport_module('.a', package='separations')", {"a"}),
        ("__import__('separations.c')\n__import__('json')\n__import__(name)", {"c"}),
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


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("%%time\nfrom separations import b", ["b"]),
        ("\n%%timeit -n 3 import separations.a\nfrom separations import c", ["a", "c"]),
        ("%%capture out\nfrom separations import b\nx = !ls", ["b"]),
        ("%%prun -l 5\n%time from separations import a", ["a"]),
        ("%%memit\nfrom separations import c", ["c"]),
        ("%%script python3\nfrom separations import b", ["b"]),
        ("%%writefile helper.py\nfrom separations import b", ["b"]),
        ("%time from separations import b", ["b"]),
        ("x = %timeit -n 10 -r 3 -o __import__('separations.a')", ["a"]),
        ("for i in range(3):\n    %time import separations.c", ["c"]),
        ("%run -m separations.a --flag", ["a"]),
        ("%aimport separations.b", ["b"]),
        ("x = !cat list\nlen?\n?len\nlen??\nfrom separations import a", ["a"]),
        ("y = (7\n     % 4)\nfrom separations import a", ["a"]),
        ("%%bash\nfrom separations import c", []),
        ("%%html\n<b>from separations import c</b>", []),
        ("%%script bash\nimport separations.c", []),
        ("%%writefile notes.txt\nfrom separations import b", []),
        ("%matplotlib inline\n%load_ext autoreload\n%cd ..\n!pip list\n%\n!", []),
        ("%%markdown\nthe text = = 1", []),
    ],
)
def test_python_inside_of_magics_counts_and_other_languages_do_not(library, source, modules):
    text = python_source({"cells": [cell(source)]})
    assert [module for module in ("a", "b", "c", "data") if module in imported_names(text)] == modules


def test_cells_without_magics_are_taken_as_they_stand(library):
    sources = ["import json\n\nx = 'a ? b'", ["y = 1\n", "z = x % y"], "  "]
    text = python_source({"cells": [cell(source) for source in sources]})
    assert " ".join(text.split()) == "import json x = 'a ? b' y = 1 z = x % y"
    with pytest.raises(ValueError, match="is not valid Python"):
        imported_names(python_source({"cells": [cell("%%time\nx = = 1")]}))


@pytest.mark.parametrize("tag", ["raises-exception", "skip-execution"])
def test_a_cell_that_may_fail_need_not_be_python_and_its_imports_count_where_it_is(library, tag):
    text = python_source({"cells": [cell("x = = 1", [tag]), cell("from separations.samplers import ode", [tag])]})
    assert imported_names(text) == {"samplers"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": None}, "is not a Jupyter notebook of format 4"),
        ({"cells": {"a": 1}}, "is not a Jupyter notebook"),
        ({"nbformat": 3}, "is not a Jupyter notebook"),
        ({"metadata": []}, "metadata of type list"),
        ({"cells": [3]}, "cell 0 has no cell_type"),
        ({"cells": [{"cell_type": "code", "source": 3}]}, "cell 0 has a source of type int"),
        ({"cells": [{"cell_type": "code", "source": [1]}]}, "cell 0 has a source"),
        ({"cells": [{"cell_type": "code"}]}, "cell 0 has a source of type NoneType"),
        ({"cells": [{"cell_type": "code", "source": "", "metadata": 3}]}, "cell 0 has metadata of type int"),
        ({"cells": [{"cell_type": "code", "source": "", "metadata": {"tags": "parameters"}}]}, "cell 0 has tags"),
        ({"cells": [{"cell_type": "code", "source": "", "metadata": {"tags": [1]}}]}, "cell 0 has tags"),
        ({"cells": [{"cell_type": "code", "source": "", "outputs": [3]}]}, "cell 0 has outputs"),
    ],
)
def test_an_odd_notebook_is_refused_in_one_line_that_names_the_cell(tmp_path, change, message):
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | change))
    with pytest.raises(ValueError, match=message) as caught:
        dependencies.read_notebook(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_null_or_missing_in_a_notebook_is_filled_in(tmp_path):
    path = tmp_path / "x.ipynb"
    cells = [
        {"cell_type": "code", "source": "x = 1", "metadata": None},
        {"cell_type": "code", "source": ["y = 2"], "metadata": {"tags": None}, "outputs": None},
        {"cell_type": "markdown", "source": "text"},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": None, "nbformat": 4}))
    found = dependencies.read_notebook(path)
    assert found["metadata"] == {} and all(one["metadata"] == {} for one in found["cells"])
    assert all(one["outputs"] == [] and one["execution_count"] is None for one in found["cells"][:2])
    assert fingerprint(path)["key"] and notebooks.tags_of(cells[0]) == []


def test_paths_that_are_no_notebook_are_named(tmp_path):
    (tmp_path / "deep.ipynb").write_text("[" * 10**5)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for path, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "x.ipynb", "does not exist"),
        (tmp_path / ("x" * 5000), "does not exist"),
        (tmp_path / "deep.ipynb", "is not a Jupyter notebook"),
    ]:
        with pytest.raises(ValueError, match=message):
            dependencies.read_notebook(path)
    with pytest.raises(ValueError, match="cannot be followed"):
        notebook_key(tmp_path / "circle" / "x.ipynb")


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
