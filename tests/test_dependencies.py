"""What an executed notebook depends on: found in the syntax tree, compared by content."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from separations import definitions
from separations.run import notebooks
from separations.run.fingerprint import code_of, fingerprint, python_source, with_parameters
from separations.run.notebooks import notebook_key


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
        "ledger": "import json\n\nclass Ledger:\n    pass\n",
        "a": "VALUE = 1\nOTHER = 2\n",
        "b": "from .a import VALUE\n\ndef twice(x):\n    return VALUE * x\n",
        "c": "def late():\n    from . import b\n    return b.twice\n",
        "data": "from pathlib import Path\n\nimport separations.a as base\n\nTABLE = Path(__file__).parent / 'assets'\nRULES = Path(__file__).with_name('rules.yml')\n\ndef read():\n    return TABLE, base.OTHER\n\ndef rules():\n    return RULES\n",
        "samplers": "def ode():\n    pass\n",
    }.items():
        (folder / f"{name}.py").write_text(source)
    (folder / "assets" / "table.npz").write_bytes(b"1")
    (folder / "rules.yml").write_text("one: 1\n")
    (folder / "ledger").mkdir()
    (folder / "ledger" / "claims.yml").write_text("one: {statement: first}\ntwo: {statement: second}\n")
    monkeypatch.setattr(definitions.merkle, "PACKAGE", folder)
    return folder


def used(*sources):
    """Definitions of the library that texts use directly, as words: module and name."""
    return {" ".join(key).strip() for key in definitions.library().uses(sources)}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import separations\nseparations", {""}),
        ("import separations as sp\nsp.Ledger", {"ledger Ledger"}),
        ("import separations as sp\nsp.a.VALUE", {"a VALUE"}),
        ("import separations.a as z\nz.VALUE, z.OTHER", {"a VALUE", "a OTHER"}),
        ("import separations.a, numpy\nseparations.a.VALUE", {"a VALUE"}),
        ("import separations.a\nprint(separations.a)", {"a"}),
        ("from separations import a, b\na.VALUE, b.VALUE", {"a VALUE"}),
        ("from separations import b as c\ngetattr(c, 'VALUE')", {"b"}),
        ("from separations import Ledger\nLedger()", {"ledger Ledger"}),
        ("from separations import Ledger, a\nLedger(a.NEW)", {"ledger Ledger", "a *"}),
        ("from separations import *\nLedger", {"ledger Ledger"}),
        ("from separations.a import VALUE\nVALUE", {"a VALUE"}),
        ("from separations.b import VALUE as v\nprint(v)", {"a VALUE"}),
        ("def f():\n    from separations.b import twice\n    return twice", {"b twice"}),
        ("def f(twice):\n    return twice\nfrom separations.b import VALUE", set()),
        ("import importlib\nimportlib.import_module('separations.b')", {"b"}),
        ("from importlib import import_module\nimport_module('.a', package='separations')", {"a"}),
        ("__import__('separations.c')\n__import__('json')\n__import__(name)", {"c"}),
        ("import separations_of_powers\nfrom separationsx import a\nimport torch\na, torch.b", set()),
    ],
)
def test_every_form_of_import_leads_to_its_definition(library, source, names):
    assert used(source) == names


def test_what_a_definition_uses_is_followed_through_modules(library):
    there = definitions.library()
    assert there.reached({("c", "late")}) == {("c", "late"), ("b", "twice"), ("a", "VALUE")}
    assert there.reached({("data", "")}) >= {("data", "TABLE"), ("data", "rules"), ("a", "OTHER")}
    assert there.modules == ("", "a", "b", "c", "data", "ledger", "samplers")
    for source in (
        "import separations.nothing",
        "from separations.nothing import x",
        "__import__('separations.nothing')",
    ):
        with pytest.raises(ValueError, match=r"separations\.nothing is imported but nothing\.py is not in the library"):
            there.uses([source])


SAME = {
    "a docstring, a comment and the form of the text": {"b.py": 'from .a import VALUE\n\n\ndef twice(x):\n    "Twice."\n    return (VALUE  # why\n    * x)\n'},
    "an annotation": {"b.py": "from .a import VALUE\n\ndef twice(x: int) -> int:\n    return VALUE * x\n"},
    "the name under which a module is imported": {"b.py": "from . import a as first\n\ndef twice(x):\n    return first.VALUE * x\n"},
    "something else in the module": {"a.py": "VALUE = 1\nOTHER = 3\nNEW = 4\n", "b.py": "from .a import VALUE\n\ndef twice(x):\n    return VALUE * x\n\ndef new():\n    pass\n"},
    "the order in the module": {"a.py": "OTHER = 2\nVALUE = 1\n"},
    "a module that is renamed": {"a.py": None, "numbers.py": "VALUE = 1\n", "b.py": "from .numbers import VALUE\n\ndef twice(x):\n    return VALUE * x\n", "data.py": ""},
    "a module that becomes a package and hands its names on": {
        "a.py": None, "a/__init__.py": '"""Numbers."""\n\nfrom .values import VALUE\n\n__all__ = ["VALUE"]\n', "a/values.py": "VALUE = 1\n", "data.py": "",
    },
    "a definition that moves to another module": {"a.py": "OTHER = 2\n", "b.py": "VALUE = 1\n\ndef twice(x):\n    return VALUE * x\n"},
    "an import for a type checker, in a circle": {
        "a.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from .b import twice\n\nVALUE = 1\nOTHER = 2\n",
    },
}  # fmt: skip
OTHER = {
    "a value two modules down": {"a.py": "VALUE = 2\nOTHER = 2\n"},
    "a value that is changed afterwards": {"a.py": "VALUE = 1\nVALUE += 1\n"},
    "code": {"b.py": "from .a import VALUE\n\ndef twice(x):\n    return VALUE + x\n"},
    "a default argument": {"b.py": "from .a import VALUE\n\ndef twice(x=3):\n    return VALUE * x\n"},
    "another default argument": {"b.py": "from .a import VALUE\n\ndef twice(x=None):\n    return VALUE * x\n"},
    "a keyword": {"b.py": "from .a import VALUE\n\ndef twice(*, x):\n    return VALUE * x\n"},
    "a decorator": {"b.py": "import functools\n\nfrom .a import VALUE\n\n@functools.cache\ndef twice(x):\n    return VALUE * x\n"},
    "what a name from elsewhere stands for": {"b.py": "from math import pi as VALUE\n\ndef twice(x):\n    return VALUE * x\n"},
    "what a module does when it is imported": {"a.py": "import sys\n\nVALUE = 1\nsys.setrecursionlimit(10**4)\n"},
    "what a module does that is only imported": {"b.py": "from . import noise\nfrom .a import VALUE\n\ndef twice(x):\n    return VALUE * x\n", "noise.py": "print(1)\n"},
    "a shadowed name that comes to light": {"b.py": "from .a import VALUE\n\ndef twice(x, VALUE=1):\n    return VALUE * x\n"},
}  # fmt: skip


def meaning(folder, files, source="from separations.b import twice\nprint(twice(3))"):
    """Of a text, where the library has these files; None: it has none of that name."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text) if text is not None else (folder / name).unlink()
    return definitions.Library(folder).meaning_of([source])


@pytest.mark.parametrize("files", SAME.values(), ids=SAME.keys())
def test_what_computes_the_same_means_the_same(library, files):
    assert meaning(library, {}) == meaning(library, files)


@pytest.mark.parametrize("files", OTHER.values(), ids=OTHER.keys())
def test_what_computes_something_else_means_something_else(library, files):
    assert meaning(library, {}) != meaning(library, files)


APART = [
    ("(x + 1).T", "x + 1 .T"), ("(-x).T", "-x.T"), ("(x if x else x).d", "x if x else x.d"), ("f().b", "f.b()"), ("f()(x)", "f(x)()"),
    ("x[x[1:]:2]", "x[x[1:2]:]"), ("f(None)", "f(Constant)"), ("[x, []]", "[x, List]"), ("lambda *, k: k", "lambda *, k=...: k"), ("1", "True"),
    ("'a'", "b'a'"), ("x.a.b", "x.ab"), ("'name x'", "x"), ("f(x)(x)", "f(x(x))"), ("(not x).a", "not x.a"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), APART)
def test_expressions_that_look_alike_are_told_apart(library, one, other):
    text = "from separations.b import twice\nprint(twice(3))"
    first = meaning(library, {"b.py": f"def twice(x, f=None, List=None, Constant=None):\n    return {one}\n"}, text)
    assert first != meaning(
        library, {"b.py": f"def twice(x, f=None, List=None, Constant=None):\n    return {other}\n"}, text
    )


CHANGED = {
    "a name that is imported and changed": (
        "from .a import VALUE\nVALUE = VALUE * 2\n\ndef twice(x):\n    return VALUE\n",
        {},
    ),
    "a name that is imported and filled": (
        "from .a import VALUE\nVALUE['x'] = 1\n\ndef twice(x):\n    return VALUE\n",
        {},
    ),
    "a module whose value is replaced": ("from . import a\na.OTHER = 7\n\ndef twice(x):\n    return a.VALUE\n", {}),
    "what a try imports": (
        "try:\n    from .a import VALUE\nexcept ImportError:\n    VALUE = 3\n\ndef twice(x):\n    return VALUE\n",
        {},
    ),
    "one of two targets of a name": (
        "try:\n    from .a import VALUE\nexcept ImportError:\n    from .c import VALUE\n\ndef twice(x):\n    return VALUE\n",
        {},
    ),
    "an import in a loop": ("for _ in range(1):\n    from .a import VALUE\n\ndef twice(x):\n    return VALUE\n", {}),
    "the first of a comprehension": (
        "from .a import VALUE\n\ndef twice(x):\n    return [VALUE for VALUE in VALUE]\n",
        {},
    ),
    "a parameter of an inner lambda": (
        "from .a import VALUE\n\ndef twice(x, k=lambda VALUE: VALUE):\n    return VALUE\n",
        {},
    ),
    "a star": ("from .a import *\n\ndef twice(x):\n    return VALUE\n", {}),
    "globals": ("from .a import VALUE\n\ndef twice(x):\n    return globals()['VALUE']\n", {}),
}


@pytest.mark.parametrize("text", [text for text, _ in CHANGED.values()], ids=CHANGED.keys())
def test_a_value_of_another_module_is_seen_however_it_comes(library, text):
    before = meaning(library, {"b.py": text})
    assert before != meaning(library, {"a.py": "VALUE = 5\nOTHER = 2\n"})


EFFECTS = {
    "a loop": ("T = []\nfor n in ({}, 2):\n    T.append(n)\n\ndef twice(x):\n    return T\n"),
    "a branch that binds": ("T = []\nif True:\n    k = 1\n    T.append({})\n\ndef twice(x):\n    return T\n"),
    "an assignment by a method": ("T = [1, 2, 3]\nk = T.pop({})\n\ndef twice(x):\n    return T\n"),
    "the order": ("T = []\nT.append({})\nT.append(1)\n\ndef twice(x):\n    return T\n"),
    "a registry that a decorator fills": (
        "T = {{}}\n\ndef put(f):\n    T[f.__name__] = f\n\n@put\ndef g():\n    return {}\n\ndef twice(x):\n    return T\n"
    ),
    "the other branch of a command": (
        "if __name__ == '__main__':\n    VALUE = 1\nelse:\n    VALUE = {}\n\ndef twice(x):\n    return VALUE\n"
    ),
}


@pytest.mark.parametrize("text", EFFECTS.values(), ids=EFFECTS.keys())
def test_what_a_module_does_when_it_is_imported_counts(library, text):
    assert meaning(library, {"b.py": text.format(0)}) != meaning(library, {"b.py": text.format(2)})


@pytest.mark.parametrize(
    "source", ["import separations.p", "from separations import p", "def f():\n    from separations import p\nf()"]
)
def test_a_module_that_is_imported_for_what_it_does_counts(library, source):
    files = {"p.py": "from . import a\na.OTHER = 7\n"}
    assert meaning(library, files, source) != meaning(library, {"p.py": "from . import a\na.OTHER = 8\n"}, source)
    assert meaning(library, {}, source) != meaning(library, {"__init__.py": "print(1)\n"}, source)


def test_files_of_a_folder_that_others_go_on_from_count(library):
    (library / "t.csv").write_text("1\n")
    source = "from separations.b import twice\ntwice(1)"
    text = "from pathlib import Path\nHERE = Path(__file__).parent\n\ndef twice(x):\n    return (HERE / f't{x}.csv').read_text()\n"
    before = meaning(library, {"b.py": text}, source)
    (library / "t.csv").write_text("2\n")
    assert meaning(library, {}, source) != before


def test_definitions_of_one_name_in_a_circle_are_told_apart(library):
    other = "from . import a\n\ndef f(n):\n    return a.f(n)\n"
    source = "from separations import a\na.f(1)"
    one = "from . import b\n\ndef f(n):\n    return n and b.f(n) - f(n - 1)\n"
    two = "from . import b\n\ndef f(n):\n    return n and f(n) - b.f(n - 1)\n"
    assert meaning(library, {"a.py": one, "b.py": other, "data.py": ""}, source) != meaning(
        library, {"a.py": two}, source
    )


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    from ._fast import twice\nexcept ImportError:\n    def twice(x):\n        return x\n",
        "LATER = dict(a=1)\n\ndef twice(x):\n    return LATER\n",
        "\ufeffdef twice(x):\n    return x\n",
        "def twice(x):\n    from . import a\n    return a.made_when_it_runs\n",
        "def twice(x):\n    try:\n        from .absent import y\n    except ImportError:\n        y = x\n    return y\n",
    ],
)
def test_odd_but_valid_python_is_read(library, text):
    assert meaning(library, {"b.py": text})


def test_notebooks_run_as_the_main_module_and_show_their_last_text(library, tmp_path):
    for one, other in [
        ("if __name__ == '__main__':\n    n = 3", "if __name__ == '__main__':\n    n = 4"),
        ("'a'", "'b'"),
        ("%%bash\nls", "%%bash\npwd"),
    ]:
        first, second = (fingerprint(notebook(tmp_path / "x.ipynb", cell(source)))["key"] for source in (one, other))
        assert first != second


def test_exactly_the_users_of_a_value_are_other_when_it_changes(library):
    sources = [
        "from separations import b\nb.twice",
        "from separations import c\nc.late()",
        "from separations import data\ndata.read()",
    ]
    sources += ["from separations.a import OTHER\nOTHER", "from separations.samplers import ode\node", "import numpy"]
    for changed, users in (("VALUE = 5\nOTHER = 2\n", [0, 1]), ("VALUE = 5\nOTHER = 6\n", [2, 3])):
        before = [meaning(library, {}, source) for source in sources]
        after = [meaning(library, {"a.py": changed}, source) for source in sources]
        assert [i for i in range(len(sources)) if before[i] != after[i]] == users


def test_definitions_that_name_one_another_are_hashed_together(library):
    text = "def even(n):\n    return n == 0 or odd(n - 1)\n\ndef odd(n):\n    return n != {} and even(n - 1)\n"
    source = "from separations import b\nb.even(3)"
    one = meaning(library, {"b.py": text.format(0)}, source)
    other = meaning(library, {"b.py": text.format(1)}, source)
    apart = {
        "b.py": "from . import c\n\ndef even(n):\n    return n == 0 or c.odd(n - 1)\n",
        "c.py": "from . import b\n\ndef odd(n):\n    return n != 0 and b.even(n - 1)\n",
    }
    assert one == meaning(library, apart, source) != other
    assert meaning(library, {}, "from separations import b, c\nb.even") != meaning(
        library, {}, "from separations import b, c\nc.odd"
    )


def test_files_beside_the_code_count_for_who_names_them(library):
    readers = {"read": "from separations.data import read\nread", "rules": "from separations.data import rules\nrules"}
    before = {name: meaning(library, {}, source) for name, source in readers.items()}
    (library / "rules.yml").write_text("one: 2\n")
    after = {name: meaning(library, {}, source) for name, source in readers.items()}
    assert before["read"] == after["read"] and before["rules"] != after["rules"]
    (library / "assets" / "table.npz").write_bytes(b"2")
    last = {name: meaning(library, {}, source) for name, source in readers.items()}
    assert last["read"] != after["read"] and last["rules"] == after["rules"]


def test_beyond_the_modules_that_are_named_only_names_count(library):
    source = {("b", "twice")}
    before = definitions.Library(library, frozenset({"b"})).meaning(source)
    meaning(library, {"a.py": "VALUE = 7\n"})
    assert definitions.Library(library, frozenset({"b"})).meaning(source) == before
    assert definitions.Library(library, frozenset({"a", "b"})).meaning(source) != before


def test_lines_of_ipython_are_no_python(library, tmp_path):
    path = notebook(
        tmp_path / "x.ipynb",
        cell("%matplotlib inline\n!ls\nfrom separations import b\nb.twice"),
        cell("%%bash\nfrom separations import c"),
        cell("from separations import data", kind="markdown"),
        cell(["import separations.a as a\n", "x = a.VALUE"]),
    )
    content = json.loads(path.read_text())
    assert used(*code_of(content)) == {"b twice", "a VALUE"}
    assert "!ls" not in python_source(content)


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
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom | ast.Constant)]
    words = " ".join(
        str(getattr(node, "value", "")) if isinstance(node, ast.Constant) else ast.unparse(node) for node in found
    )
    assert [
        module for module in ("a", "b", "c", "data") if re.search(rf"separations(\.| import ){module}\b", words)
    ] == modules


def test_cells_without_magics_are_taken_as_they_stand(library):
    sources = ["import json\n\nx = 'a ? b'", ["y = 1\n", "z = x % y"], "  "]
    text = python_source({"cells": [cell(source) for source in sources]})
    assert " ".join(text.split()) == "import json x = 'a ? b' y = 1 z = x % y"
    with pytest.raises(ValueError, match="is not valid Python"):
        used(python_source({"cells": [cell("%%time\nx = = 1")]}))


@pytest.mark.parametrize("tag", ["raises-exception", "skip-execution"])
def test_a_cell_that_may_fail_need_not_be_python_and_its_imports_count_where_it_is(library, tag):
    content = {"cells": [cell("x = = 1", [tag]), cell("from separations.samplers import ode\node", [tag])]}
    assert used(*code_of(content)) == {"samplers ode"}


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
        notebooks.read_notebook(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_null_or_missing_in_a_notebook_is_filled_in(tmp_path):
    path = tmp_path / "x.ipynb"
    cells = [
        {"cell_type": "code", "source": "x = 1", "metadata": None},
        {"cell_type": "code", "source": ["y = 2"], "metadata": {"tags": None}, "outputs": None},
        {"cell_type": "markdown", "source": "text"},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": None, "nbformat": 4}))
    found = notebooks.read_notebook(path)
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
            notebooks.read_notebook(path)
    with pytest.raises(ValueError, match="cannot be followed"):
        notebook_key(tmp_path / "circle" / "x.ipynb")


def test_a_cell_that_is_not_python_is_named(library, tmp_path):
    with pytest.raises(ValueError, match="is not valid Python"):
        fingerprint(notebook(tmp_path / "x.ipynb", cell("x = = 1")))


@pytest.fixture
def chapter(library, tmp_path):
    (tmp_path / "constraints.txt").write_text("torch==2\n")
    path = tmp_path / "book" / "part" / "chapter.ipynb"
    return notebook(
        path, cell("n = 1", ["parameters"]), cell("from separations import b, Ledger\nLedger('one'), b.twice")
    )


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
        unused.write_text("changed = 1\n")
        assert fingerprint(chapter)["key"] == key
    rewrite(library / "ledger" / "claims.yml", "second", "another second")
    assert fingerprint(chapter)["key"] == key  # the notebook does not name this claim
    for used, old, new in [
        (library / "a.py", "VALUE = 1", "VALUE = 3"),
        (library / "ledger" / "claims.yml", "first", "another first"),
        (chapter, "n = 1", "n = 2"),
        (tmp_path / "constraints.txt", "torch==2", "torch==3"),
    ]:
        before = fingerprint(chapter)["key"]
        rewrite(used, old, new)
        assert fingerprint(chapter)["key"] != before, used
    before = fingerprint(chapter)["key"]
    assert fingerprint(chapter, {"n": 5})["key"] != before


def test_an_asset_counts_for_the_module_that_reads_it(library, tmp_path):
    path = notebook(tmp_path / "x.ipynb", cell("from separations import data\ndata.read()"))
    before = fingerprint(path)["key"]
    (library / "assets" / "table.npz").write_bytes(b"22")
    assert fingerprint(path)["key"] != before


def test_a_notebook_is_named_by_its_path_in_the_book(tmp_path, chapter):
    assert notebook_key(chapter) == "part/chapter"
    assert notebook_key(tmp_path / "alone.ipynb") == "alone"


def test_every_definition_of_the_real_library_is_followed_and_torch_is_not_imported():
    there = definitions.library()
    hashes = {module: there.meaning([(module, "")]) for module in there.modules}
    assert len(set(hashes.values())) == len(hashes)
    code = "import sys, separations.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_text_comments_and_moved_modules_leave_a_notebook_fresh(library, chapter):
    content = json.loads(chapter.read_text())
    before = fingerprint(chapter)
    content["cells"].insert(0, cell("# A title", kind="markdown"))
    content["cells"][2]["source"] = (
        '# why\nfrom separations import Ledger\nfrom separations import b\n\nLedger("one"), b.twice'
    )
    content["cells"][2]["metadata"] = {"tags": ["hide-input"]}
    chapter.write_text(json.dumps(content))
    assert fingerprint(chapter) == before
    (library / "b.py").rename(library / "d.py")
    chapter.write_text(json.dumps(content).replace("separations import b", "separations import d as b"))
    assert fingerprint(chapter) == before
    content["cells"][2]["metadata"] = {"tags": ["skip-execution"]}
    chapter.write_text(json.dumps(content))
    (library / "d.py").rename(library / "b.py")
    assert fingerprint(chapter)["key_without_tables"] != before["key_without_tables"]


def test_a_source_that_is_shown_counts_as_text_for_the_page_and_not_for_the_evidence(library, tmp_path):
    (library / "samplers.py").write_text(
        "class Sampler:\n    def step(self):\n        pass\n\n    def other(self):\n        pass\n"
    )
    head = "import inspect\nfrom separations import b\nfrom separations.samplers import Sampler\n"
    path = notebook(
        tmp_path / "x.ipynb", cell(head), cell("print(inspect.getsource(b.twice), inspect.getsource(Sampler.step))")
    )
    before = fingerprint(path)
    rewrite(library / "samplers.py", "other(self):", "other(self):  # why")
    rewrite(library / "b.py", "from .a", "# all of it\nfrom .a")
    assert fingerprint(path) == before
    for name, old, new in (
        ("samplers", "step(self):", 'step(self):\n        "One step."'),
        ("b", "return", "# why\n    return"),
    ):
        before = fingerprint(path)
        rewrite(library / f"{name}.py", old, new)
        after = fingerprint(path)
        assert after["key_without_tables"] == before["key_without_tables"] and after["key"] != before["key"]
        assert with_parameters(after, {}) == after and with_parameters(after, {"n": 2}) == fingerprint(path, {"n": 2})


def test_a_fingerprint_under_other_parameters_needs_no_second_reading(library, chapter):
    for stored in (False, True):
        if stored:
            (chapter.parent / "data").mkdir()
            (chapter.parent / "data" / f"{chapter.stem.partition('_')[0]}_t.csv").write_text("a\n1\n")
        base = fingerprint(chapter)
        for overrides in ({"n": 5}, {"n": 6, "label": "x"}, {}, None):
            assert with_parameters(base, overrides) == fingerprint(chapter, overrides)
        assert with_parameters(fingerprint(chapter, {"n": 5}), {}) == base
