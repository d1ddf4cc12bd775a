"""Rules of parameters: read from the notebook, checked before a run and by the notebook itself, errors in one line."""

import json

import pytest

from separations.parameter_rules import check_rules, require, rules_of
from separations.run.execute import main, run
from separations.run.parameters import checked_parameters
from separations.run.results import is_success, read_result


def notebook(*cells):
    return {
        "cells": [
            {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": tags}, "source": source, "outputs": [], "execution_count": None}
            for i, (source, tags) in enumerate(cells)
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


def with_rules(source):
    return notebook(("n = 4\nsizes = [1, 2]\nlabel = 'a'", ["parameters"]), (source, ["parameter-rules"]))


VALUES = {"n": 4, "sizes": [1, 2], "label": "#a", "empty": [], "sum": 3}


@pytest.mark.parametrize(
    "rule",
    [
        "n >= 2",
        "n >= 2  # two are needed for a ratio",
        "max(sizes) <= n",
        "all(n > 0 for n in sizes) and n == 4",
        "label.startswith('#')  # the first # is inside of a text",
        "len(set(sizes)) == len(sizes)",
        "{s: 1 for s in sizes}.get(1) == 1",
        "sum == 3",
        "n in range(2, 9)",
    ],
)
def test_rules_that_are_kept_say_nothing(rule):
    check_rules([rule], VALUES)
    require({**VALUES, "__builtins__": __builtins__}, rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("n >= 5  # why", r"^chapter: n = 4: n >= 5 is needed \(why\)$"),
        ("max(sizes) < n - 2", r"sizes = \[1, 2\], n = 4|n = 4"),
        ("max(empty) > 0  # one at least", r"empty = \[\]: max\(empty\) > 0 is needed \(one at least; ValueError"),
        ("n > label", "TypeError"),
        ("m > 0", "^chapter: parameter rule 'm > 0' names 'm', which is no parameter"),
        ("1 / (n - 4) > 0", "ZeroDivisionError"),
        ("n ** 0.5 > 3", "is needed"),
    ],
)
def test_a_rule_that_is_not_kept_or_cannot_be_is_said_in_one_line(rule, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_rules([rule], VALUES, "chapter")
    assert "\n" not in str(caught.value)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ValueError) as caught:
        check_rules(["sum(sizes) < 0"], {"sizes": list(range(10**5))})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "# only a reason",
        "n >",
        "n = 3",
        "import os",
        "n.__class__",
        "(lambda: 1)()",
        "(m := 3) > 2",
        "[].append(n)",
        "'{0.__class__}'.format(n)",
        "await n",
        "(yield)",
        "n\x00",
        "(" * 500,
        "n >= 2\nn >= 3",
    ],
)
def test_what_is_no_plain_expression_is_refused(rule):
    with pytest.raises(ValueError, match="parameter rule"):
        check_rules([rule], VALUES)


@pytest.mark.parametrize("rule", ["__import__('os')", "open('x')", "eval('1')", "__builtins__", "globals()"])
def test_nothing_but_parameters_and_plain_functions_is_known(rule):
    with pytest.raises(ValueError, match="which is no parameter"):
        check_rules([rule], VALUES)


def test_rules_are_read_from_the_tagged_cell():
    source = (
        'from separations.parameter_rules import require\n\nrequire(globals(), "n >= 2", "max(sizes) <= n")  # both'
    )
    assert rules_of(with_rules(source)) == ("n >= 2", "max(sizes) <= n")
    assert rules_of(with_rules([line + "\n" for line in source.splitlines()])) == ("n >= 2", "max(sizes) <= n")
    assert rules_of(notebook(("n = 1", ["parameters"]))) == ()
    odd = notebook(("n = 1", ["parameters"]))
    odd["cells"][0]["metadata"] = None
    assert rules_of(odd) == ()


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        "require()",
        "require(globals())",
        "require(locals(), 'n > 1')",
        "require(globals(), 'n > 1', name='x')",
        "require(globals(), RULE)",
        "require(globals(), 3)",
        "require(globals(), *rules)",
        "require(globals(), 'n > 1')\nrequire(globals(), 'n > 2')",
        "if n:\n    require(globals(), 'n > 1')",
        "require(globals(), 'n >')",
        "%time require(globals(), 'n > 1')",
        "require(globals(), 'n > 1'",
        "'require'",
    ],
)
def test_a_cell_of_rules_that_cannot_be_read_is_refused_with_the_notebook(source):
    with pytest.raises(ValueError, match=r"^chapter: ") as caught:
        rules_of(with_rules(source), "chapter")
    assert "\n" not in str(caught.value)


RULES = 'from separations.parameter_rules import require\n\nrequire(globals(), "n >= 2  # a ratio needs two")'


def test_defaults_and_overrides_are_checked_together():
    content = with_rules(RULES)
    assert checked_parameters(content, {"n": 2})[1] == {"n": 2}
    with pytest.raises(ValueError, match=r"notebook: n = 1: n >= 2 is needed \(a ratio needs two\)"):
        checked_parameters(content, {"n": 1})
    content["cells"][0]["source"] = "n = 0"
    with pytest.raises(ValueError, match="n = 0: n >= 2 is needed"):
        checked_parameters(content, {})


def test_a_run_refuses_a_broken_rule_before_anything_happens_and_so_does_the_notebook(tmp_path, capsys, monkeypatch):
    path, out = tmp_path / "a.ipynb", tmp_path / "out"
    content = notebook(("n = 4", ["parameters"]), (RULES, ["parameter-rules"]), ("open('ran', 'w').write('')", []))
    path.write_text(json.dumps(content))
    assert main([str(path), "--out", str(out), "--set", "n=1"]) == 2
    error = capsys.readouterr().err
    assert "n = 1: n >= 2 is needed (a ratio needs two)" in error and error.count("\n") == 1
    assert not out.exists() and not (tmp_path / "ran").exists()
    monkeypatch.setattr("separations.run.parameters.rules_of", lambda *_: ())  # now the notebook is on its own
    assert run(path, out, {"n": 1}).code == 1
    assert "n = 1: n >= 2 is needed" in read_result(out)["error"] and not (tmp_path / "ran").exists()
    assert run(path, out, {"n": 3}).code == 0 and is_success(out)
