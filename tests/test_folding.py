"""What stands open on a page: the idea, in few lines; nothing of a cell is lost, and outputs stay where they were."""

import ast
from pathlib import Path

import pytest

from separations.book import folding, reading
from separations.run.notebooks import read_notebook, source_of, tags_of
from separations.run.parameters import described_parameters

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def kinds(source, *tags, figure=False):
    return [(part.kind, part.lines) for part in folding.parts_of(source, tags, figure)]


IDEA = "a = f(1)\nb = g(a)\nc = a + b"
LONG = "\n".join(f"x{i} = {i}" for i in range(40))


@pytest.mark.parametrize(
    ("source", "tags", "found"),
    [
        ("n = 1  # points", ["parameters"], [("parameters", 1)]),
        ("require(globals(), 'n > 0')", ["parameter-rules"], [("rules", 1)]),
        ("import math\nfrom a import b", [], [("import", 2)]),
        ("notes = Ledger('a/b')\nx = 1", [], [("set-up", 2)]),
        ("fig, ax = panels()\nax.plot(x)\nplt.show()", [], [("figure", 3)]),
        ("glue('a', a), glue('b', b);", [], [("glue", 1)]),
        ("for k in a:\n    glue(k, a[k])\n    notes.measure(k, a[k])", [], [("record", 3)]),
        ("(\n    glue('a', a),\n    notes.record('id', 'x', v),\n)", [], [("record", 4)]),
        ("print(*checks)", ["nbval-check-output"], [("check", 1)]),
        (IDEA, [], [("", 3)]),
        (IDEA, ["hide-input"], [("whole", 3)]),
        ("plt.show()\nx = 1", ["open-input"], [("", 2)]),
        (f"import math\n{IDEA}\nglue('a', a)", [], [("import", 1), ("", 3), ("glue", 1)]),
        (LONG, [], [("", 15), ("rest", 25)]),
        ("def f():\n" + "    x = 1\n" * 20 + "y = 1", [], [("whole", 22)]),
        ("def mine():\n    return None  # your code here\n\ndef check(f):\n" + "    x = 1\n" * 20 + "print(check(mine))", [], [("", 2), ("exercise", 23)]),
        ("x = (", [], [("", 1)]),
        ("x = (\n" * 20, [], [("whole", 20)]),
    ],
)  # fmt: skip
def test_parts_of_a_cell(source, tags, found):
    assert [part for part in kinds(source.strip("\n"), *tags)] == found


def test_a_declared_figure_is_folded_whatever_its_code_calls():
    assert kinds("draw(x)", figure=True) == [("figure", 1)]


def test_the_line_in_front_says_what_and_how_long():
    parts = folding.parts_of(LONG)
    assert folding.summary(parts[-1]) == "More of this step: x15, x16, x17, x18, … (25 lines)"
    assert folding.summary(folding.Part(1, 1, "glue")) == "Numbers for the text (1 line)"


def test_outputs_figure_and_check_belong_to_the_last_part():
    cell = {
        "cell_type": "code", "id": "c" * 60, "metadata": {"tags": ["t"], "mystnb": {"image": {"alt": "a"}}}, "source": f"import a\n{IDEA}",
        "outputs": [{"output_type": "stream", "text": "x"}], "execution_count": 3,
    }  # fmt: skip
    first, last = folding.folded(cell)
    assert first["outputs"] == [] and first["execution_count"] is None and "image" not in first["metadata"]["mystnb"]
    assert last["outputs"] == cell["outputs"] and last["metadata"]["mystnb"]["image"] == {"alt": "a"}
    assert first["id"] != last["id"] and max(len(first["id"]), len(last["id"])) <= 64
    assert cell["metadata"]["tags"] == ["t"] and first["metadata"]["tags"] == ["t", "hide-input"]


@each_notebook
def test_open_code_is_short_and_nothing_is_lost(path):
    for cell in read_notebook(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        parts = folding.folded(cell)
        lines = [line for part in parts for line in source_of(part).split("\n") if line.strip()]
        assert lines == [line for line in source_of(cell).split("\n") if line.strip()]
        assert parts[-1]["outputs"] == cell["outputs"] and not any(part["outputs"] for part in parts[:-1])
        if folding.AS_WRITTEN & set(tags_of(cell)):
            continue
        for part in parts:
            ast.parse(source_of(part))
            is_open = "hide-input" not in tags_of(part)
            assert not is_open or len(source_of(part).split("\n")) <= folding.OPEN
            assert is_open or part["metadata"]["mystnb"]["code_prompt_show"]


@each_notebook
def test_a_page_has_number_table_and_closed_solutions_and_one_copy_of_each_cell(path):
    notebook, key = read_notebook(path), f"{path.parent.name}/{path.stem}"
    page = reading.readable(notebook, key, "CARD")
    texts = [source_of(cell) for cell in page["cells"] if cell["cell_type"] == "markdown"]
    number = path.stem[:2]
    assert f"# {number} · " in texts[0] and texts[0].index("CARD") > texts[0].index(f"# {number} · ")
    table = next(text for text in texts if "parameters" in text and "list-table" in text)
    for one in described_parameters(notebook):
        assert f"`{one.name}`" in table and one.meaning and one.unit
    for text in texts:
        for found in reading.SOLUTION.finditer(text):
            assert ":class: dropdown" in found["options"]
    ids = [cell["id"] for cell in page["cells"] if "id" in cell]
    assert len(ids) == len(set(ids))


def test_a_solution_that_has_a_class_keeps_it_and_the_others_are_closed():
    text = "```{solution-start} ex-a\n:label: so-a\n```\nbody\n"
    assert reading.closed_solutions(text) == "```{solution-start} ex-a\n:class: dropdown\n:label: so-a\n```\nbody\n"
    closed = "```{solution-start} ex-a\n:class: dropdown\n```\n"
    assert reading.closed_solutions(closed) == closed


def test_only_pages_with_a_number_get_one():
    assert reading.numbered("(a)=\n# Two scores\n# b", "foundations/13_two_scores") == "(a)=\n# 13 · Two scores\n# b"
    assert reading.numbered("# Notation", "notation") == "# Notation"


def test_a_card_goes_below_the_title_or_on_top():
    assert reading.below_title("(a)=\n# T\ntext", "CARD") == "(a)=\n# T\n\nCARD\ntext"
    assert reading.below_title("text", "CARD") == "CARD\ntext"
    assert reading.below_title("# T\ntext", "") == "# T\ntext"


@pytest.mark.parametrize(
    ("line", "value", "meaning", "unit"),
    [
        ("n = 200  # training points (count)", "200", "training points", "count"),
        ("n = 200  # training points", "200", "training points", "whole number"),
        ("t = [1.0, 0.1]  # times (book's clock (OU))", "[1.0, 0.1]", "times", "book's clock (OU)"),
        ("t = [1.0]  # f(x) at t", "[1.0]", "f(x) at t", "list of numbers"),
        ("s = (\n    'a',\n    'b',\n)  # names (text)", "( 'a', 'b', )", "names", "text"),
        ("on = True  # (all of it)", "True", "(all of it)", "yes or no"),
        ("none = None  # nothing given", "None", "nothing given", "nothing"),
    ],
)
def test_the_table_says_what_the_comment_says(line, value, meaning, unit):
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": line}
    found = described_parameters({"cells": [cell]})[0]
    assert (found.meaning, found.unit) == (meaning, unit) and found.value == value
