"""Random numbers of the chapters on pruning and control come from one rule, and those of different uses never coincide."""

import ast
from pathlib import Path

import pytest

from separations.book.chapters import notebook_keys
from separations.run.notebooks import read_notebook, source_of
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
KEYS = [key for key in notebook_keys(Book(ROOT)) if key.startswith(("pruning/", "control/"))]
MODELS, ESTIMATES = range(100), range(60)  # what the rules of the chapters on pruning let through


def sources(key: str) -> list[str]:
    notebook = read_notebook(ROOT / "book" / f"{key}.ipynb")
    return [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("key", KEYS)
def test_a_chapter_makes_no_generator_by_hand(key):
    code = "\n".join(sources(key))
    assert "manual_seed" not in code and "default_rng" not in code and "seeded" in code


def purposes(key: str) -> list[ast.expr]:
    """The second argument of each call of `seeded` in the chapter, once each."""
    calls = [node for source in sources(key) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = {ast.unparse(call.args[1]): call.args[1] for call in calls if ast.unparse(call.func) == "seeded"}
    return list(found.values())


def values(expression: ast.expr, loops: dict) -> list[int]:
    """All values of an expression over ranges of the names in it."""
    found = [{}]
    for name in sorted({node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}):
        found = [one | {name: value} for one in found for value in loops[name]]
    return [eval(compile(ast.Expression(expression), "<purpose>", "eval"), {}, one) for one in found]


@pytest.mark.parametrize(
    "name, loops, shared",
    [
        ("42_importance_and_pruning", {"i": range(5), "j": ESTIMATES, "number": MODELS, "first": (10, 20)}, {1, 2}),
        ("43_is_it_the_pruning", {"number": MODELS, "words": [{"model": number} for number in MODELS]}, set()),
        (
            "45_the_choice_of_heads",
            {"number": MODELS, "draw": range(3), "words": [{"model": number} for number in MODELS]},
            set(),
        ),
        ("44_where_copying_is_decided", {"i": range(3), "streams": (10, 50), "k": range(30)}, set()),
    ],
)
def test_no_two_uses_of_random_numbers_in_a_chapter_coincide(name, loops, shared):
    """shared: the first estimates of an importance, which other cells take for theirs."""
    found = [values(expression, loops) for expression in purposes(f"pruning/{name}")]
    assert len(found) > 2 and all(0 <= value < 1000 for each in found for value in each)
    for k, one in enumerate(found):
        assert len(one) == len(set(one)), name
        assert all(not (set(one) & set(other)) - shared for other in found[:k]), (name, one)
