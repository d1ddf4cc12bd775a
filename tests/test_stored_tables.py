"""Stored tables speak only in runs with the parameters that they belong to."""

import ast
import shutil
from pathlib import Path

import pytest
import yaml

from separations.ledger import made_with, stored_rows
from separations.ledger.stored_tables import FREE, belongs
from separations.run.notebooks import read_notebook, source_of
from separations.run.parameters import parameters_of, profile_entry, read_params

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("pruning", "control")
CHAPTERS = [
    "pruning/41_a_transformer_that_memorizes",
    "pruning/42_importance_and_pruning",
    "pruning/43_is_it_the_pruning",
    "control/53_intervals_on_images",
    "control/54_heartbeats",
    "control/55_what_is_controlled",
]
BESIDE = "data/42_table_1_cifar10"  # shown under its own parameters, in no record
CHANGED = {
    "42_table_1_cifar10": {"sampler_steps"}
}  # defaults that are others now; the chapter names those of the table
RECIPES = sorted(path for part in PARTS for path in (ROOT / "book" / part / "data").glob("*.yml"))


def notebook(key: str) -> dict:
    return read_notebook(ROOT / "book" / f"{key}.ipynb")


def another(value):
    """A value of the same type that differs."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "_x"
    return [*value, "x"] if isinstance(value, list) else {**value, "x": 1}


def store(folder: Path, recipe: object) -> Path:
    """A small table with a recipe beside it."""
    (folder / "01_runs.csv").write_text("a,b\n1,2.5\n")
    (folder / "01_runs.yml").write_text(yaml.safe_dump(recipe))
    return folder / "01_runs.csv"


def test_a_table_speaks_at_the_defaults_of_its_recipe_alone(tmp_path):
    path = store(tmp_path, {"parameters": {"n": 500}, "defaults": {"n": 5, "rates": [1.0, 2], "threads": 1}})
    assert stored_rows(path, {"n": 5, "rates": (1, 2.0), "other": 3, "threads": 4}) == [{"a": 1, "b": 2.5}]
    for changed in ({"n": 6}, {"n": 500}, {"n": "5"}, {"n": True}, {"rates": [1.0]}, {"rates": [2, 1.0]}, {"rates": 1}):
        assert stored_rows(path, {"n": 5, "rates": [1.0, 2], "threads": 1} | changed) == [], changed
    assert stored_rows(path, {"rates": [1.0, 2]}) == []  # a parameter that is not there
    assert stored_rows(path, {"n": 6, "rates": [1.0, 2]}, free=(*FREE, "n"))
    assert not belongs(path, {"n": 1, "rates": [True, 2]}, free=("n", "threads"))


def test_a_table_without_a_recipe_or_without_its_defaults_belongs_to_no_run(tmp_path):
    assert not belongs(tmp_path / "01_none.csv", {"n": 5})
    for recipe in ({"parameters": {"n": 5}}, {"defaults": {}}, {"defaults": [5]}, [1], None):
        assert stored_rows(store(tmp_path, recipe), {"n": 5}) == [], recipe
    path = store(tmp_path, {"defaults": {"n": 5}})
    assert stored_rows(path, {"n": 5})
    path.with_suffix(".yml").unlink()
    assert stored_rows(path, {"n": 5}) == []


def test_a_recipe_that_cannot_be_read_is_named(tmp_path):
    path = store(tmp_path, {"defaults": {"n": 5}})
    path.with_suffix(".yml").write_text("defaults: {n: 5\n")
    with pytest.raises(ValueError, match=r"01_runs\.yml"):
        belongs(path, {"n": 5})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_stored_table_belongs_to_the_defaults_of_its_notebook_and_to_no_other_parameters(path):
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    defaults, table = parameters_of(notebook(recipe["notebook"]), recipe["notebook"]), path.with_suffix(".csv")
    others = {name for name in {*defaults, *recipe["defaults"]} if recipe["defaults"].get(name) != defaults.get(name)}
    assert others == CHANGED.get(path.stem, set()), "the defaults have changed since: make tables"
    defaults = recipe["defaults"]
    assert belongs(table, defaults)
    assert not belongs(table, defaults | recipe["parameters"])  # that run has rows of its own
    for name in set(defaults) - set(FREE):
        assert not belongs(table, defaults | {name: another(defaults[name])}), name
    assert all(belongs(table, defaults | {name: another(defaults[name])}) for name in set(FREE) & set(defaults))


def readings(key: str) -> list[ast.Call]:
    """The calls of a chapter that name a file of its data folder."""
    sources = [source_of(cell) for cell in notebook(key)["cells"] if cell["cell_type"] == "code"]
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call for call in calls if call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr)]
    rows = [call for call in named if ast.unparse(call.func) != "made_with"]  # which reads no row
    return [call for call in rows if _file(call).startswith("data/")]


def _file(call: ast.Call) -> str:
    return ast.unparse(call.args[0]).lstrip("f").strip("'\"")


def _rows(call: ast.Call, parameters: dict) -> list:
    """What a call of `stored_rows` in a chapter gives with these parameters."""
    names = {"stored_rows": stored_rows, "globals": lambda: parameters, "MAY_DIFFER": FREE, "name": "grid"}
    return eval(compile(ast.Expression(call), "<call>", "eval"), names | parameters)


@pytest.mark.parametrize("key", CHAPTERS)
def test_a_chapter_reads_a_stored_table_only_through_the_comparison_of_parameters(key, monkeypatch):
    monkeypatch.chdir((ROOT / "book" / key).parent)
    number = key.rpartition("/")[2][:2]  # tables of another chapter are read where the chapter's own one speaks
    calls = [
        call
        for call in readings(key)
        if _file(call).startswith(f"data/{number}_") and not _file(call).startswith(BESIDE)
    ]
    assert calls and all(ast.unparse(call.func) == "stored_rows" for call in calls)
    assert all(ast.unparse(call.args[1]) == "globals()" for call in calls)
    defaults = parameters_of(notebook(key), key)
    smoke = profile_entry(read_params(ROOT / "params" / "smoke.yml"), key)
    for call in calls:
        assert _rows(call, defaults) and not _rows(call, defaults | smoke)
        for name in set(defaults) - set(FREE):
            assert not _rows(call, defaults | {name: another(defaults[name])}), (name, ast.unparse(call))


@pytest.mark.slow
def test_a_record_of_other_parameters_says_what_was_run(tmp_path):
    from separations.run.execute import run

    key = "pruning/43_is_it_the_pruning"
    smoke = profile_entry(read_params(ROOT / "params" / "smoke.yml"), key)
    overrides = smoke | {"ratio": 0.5, "stops": [], "scratch_steps": 0}
    outcome = run(ROOT / "book" / f"{key}.ipynb", tmp_path / "out", overrides, threads=1)
    assert outcome.status == "ok", outcome.error
    text = "\n".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.json"))
    assert "1 model of" in text and "5 models" not in text and "400 steps" not in text
    shutil.rmtree(tmp_path / "out")


def test_the_recipe_of_a_new_table_has_the_defaults_of_its_notebook(tmp_path):
    from separations.book.chapters import Chapter
    from separations.book.store_tables import recipe_of
    from separations.files import sha256
    from separations.run.profiles import Book

    key, content = "pruning/43_is_it_the_pruning", b"a,b\n1,2.5\n"
    result = {"tables": {"controls": sha256(content)}, "threads": 1, "overrides": {"m": 12}, "seconds": 1.0}
    result |= {"machine": {}, "versions": {}}
    item = Chapter(key, ROOT / "book" / f"{key}.ipynb", tmp_path, "fresh", "", result)
    recipe = recipe_of(Book(ROOT, "longer"), item, "controls", content)
    assert recipe["parameters"] == {"m": 12} and recipe["defaults"] == parameters_of(notebook(key), key)


def test_what_a_table_was_made_with_is_known(tmp_path):
    table = store(tmp_path, {"defaults": {"n": 4, "m": 10}, "parameters": {"m": 200}})
    assert made_with(table) == {"n": 4, "m": 200}
    for recipe in ({"parameters": {"m": 200}}, {"defaults": {"n": 4}}, [1]):
        with pytest.raises(ValueError, match="recipe"):
            made_with(store(tmp_path, recipe))
