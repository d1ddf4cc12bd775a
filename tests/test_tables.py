"""Tables: numbers come back as they were, whatever would not is refused, and stored ones say how they were made."""

import json
import math

import numpy as np
import pytest
import yaml

from separations import chapters, store_tables
from separations.dependencies import sha256
from separations.results import is_success, table_path
from separations.run import run
from separations.tables import read_table, table_text


def back(tmp_path, rows, **options):
    path = tmp_path / "t.csv"
    path.write_text(table_text(rows, **options), encoding="utf-8")
    return read_table(path)


def test_what_is_written_comes_back_in_value_and_kind(tmp_path):
    rng = np.random.default_rng(0)
    numbers = [*(10.0 ** rng.uniform(-300, 300, 50)).tolist(), 0.1 + 0.2, -0.0, 5e-324, 41.0, 2**70, -3]
    texts = ["Adam", "a, b", 'a "word"', "two\nlines", " é", "1e", "None", "one\r\ntwo"]
    rows = [{"number": v, "text": texts[i % len(texts)], "left out": None} for i, v in enumerate(numbers)]
    found = back(tmp_path, rows)
    assert found == rows
    assert [type(row["number"]) for row in found] == [type(v) for v in numbers]
    assert math.copysign(1, found[52 - 1]["number"]) == -1  # minus zero


def test_numbers_of_numpy_come_back_as_plain_ones(tmp_path):
    row = {"a": np.float64(0.1), "b": np.float32(0.1), "c": np.int64(7)}
    (found,) = back(tmp_path, [row])
    assert found == {"a": 0.1, "b": float(np.float32(0.1)), "c": 7} and type(found["c"]) is int


def test_digits_round_floats_and_leave_whole_numbers(tmp_path):
    assert table_text([{"x": 2 / 3, "y": 123456.0, "n": 123456}], digits=3) == "x,y,n\n0.667,123000.0,123456\n"


def test_the_first_row_gives_the_order_of_the_columns():
    assert table_text([{"b": 1, "a": 2}, {"a": 3, "b": 4}]) == "b,a\n1,2\n4,3\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "rows is empty"),
        ([{}], r"rows\[0\] has the keys \[\]"),
        ([{"": 1}], r"rows\[0\] has the keys \[''\]"),
        ([{1: 1}], r"rows\[0\] has the keys \[1\]"),
        ([{"a": 1}, {"b": 1}], r"rows\[1\] has the keys \['b'\]: those of the first row are needed, \['a'\]"),
        ([{"a": 1, "b": 2}, {"a": 1}], r"rows\[1\] has the keys"),
        ([{"a": 1}, {"a": 1, "b": 2}], r"rows\[1\] has the keys"),
        ([{"a": math.nan}], r"rows\[0\]\['a'\] = nan: a finite number is needed, or None"),
        ([{"a": np.float32("inf")}], r"= inf: a finite number"),
        ([{"a": True}], r"= True is of type bool: a number, a text or None"),
        ([{"a": [1]}], r"= \[1\] is of type list"),
        ([{"a": "12"}], r"= '12' would come back as a number"),
        ([{"a": "nan"}], r"= 'nan' would come back as a number"),
        ([{"a": ""}], r"= '' would come back as None"),
        ([{"a": None}], r"= None: a table of one column"),
    ],
)
def test_bad_rows_are_named_with_what_is_allowed(rows, message):
    with pytest.raises(ValueError, match=message):
        table_text(rows)


@pytest.mark.parametrize("digits", [0, -1, 2.5])
def test_bad_digits(digits):
    with pytest.raises(ValueError, match=f"digits = {digits}"):
        table_text([{"a": 1}], digits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table"),
        ("a,b\n", "no table"),
        ("a,a\n1,2\n", "column names"),
        ("a,\n1,2\n", "column names"),
        ("a,b\n1\n", "line 2 has 1 fields, 2 are needed"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"path = t.csv: .*{message}"):
        read_table(path)


# a run that records a table, and the table stored beside its notebook

CELLS = """import separations
notes = separations.Ledger("part/01_a")
notes.table("runs", [{"n": n, "value": n / 3, "kind": "Adam\\n2"}])
if twice: notes.table("more", [{"x": 0.5}])"""


def write_chapter(root, name, code):
    sources = [("n = 1  # count\ntwice = True  # whether", ["parameters"]), (code, [])]
    cells = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "execution_count": None,
            "metadata": {"tags": tags},
            "outputs": [],
            "source": s,
        }
        for i, (s, tags) in enumerate(sources)
    ]
    path = root / "book" / "part" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def root(tmp_path):
    """A repository with two chapters, both in the longer profile."""
    root = tmp_path / "repository"
    write_chapter(root, "01_a", CELLS)
    write_chapter(root, "02_b", CELLS.replace("01_a", "02_b"))
    files = "".join(f"  - file: book/part/{name}\n" for name in ("01_a", "02_b"))
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nparts:\n- caption: P\n  chapters:\n{files}")
    (root / "params").mkdir()
    (root / "params" / "longer.yml").write_text("part/02_b: {n: 4}\npart/01_a: {n: 3}\n")
    (root / "params" / "other.yml").write_text("part/02_b: {n: 5}\n")
    return root


def execute(root, name, n=3, **overrides):
    out = chapters.run_folder(root, "longer", f"part/{name}")
    run(root / "book" / "part" / f"{name}.ipynb", out, {"n": n, **overrides}, profile="longer", threads=1)
    return out


def test_a_profile_names_notebooks_in_the_order_of_the_book(root):
    assert chapters.named_by(root, "longer") == ["part/01_a", "part/02_b"]
    assert chapters.named_by(root, "other") == ["part/02_b"] and chapters.named_by(root, "laptop") == []


def test_a_run_keeps_its_tables_and_the_sentinel_covers_them(root):
    out = execute(root, "01_a")
    assert is_success(out) and {path.name for path in (out / "tables").iterdir()} == {"runs.csv", "more.csv"}
    assert read_table(table_path(out, "runs")) == [{"n": 3, "value": 1.0, "kind": "Adam\n2"}]
    content = table_path(out, "runs").read_text()
    table_path(out, "runs").write_text(content.replace("3", "4"))
    assert not is_success(out)
    table_path(out, "runs").write_text(content)
    assert is_success(out)
    table_path(out, "more").unlink()
    assert not is_success(out)


def test_a_rerun_leaves_no_table_of_the_run_before(root):
    out = execute(root, "01_a")
    execute(root, "01_a", twice=False)
    assert is_success(out) and [path.name for path in (out / "tables").iterdir()] == ["runs.csv"]
    write_chapter(root, "01_a", CELLS + "\n1 / 0")
    execute(root, "01_a")
    assert not is_success(out) and not (out / "tables").exists()


def test_a_run_that_failed_keeps_no_table(root):
    write_chapter(root, "01_a", CELLS + "\nimport os, pathlib\npathlib.Path(os.environ['SEPARATIONS_EVIDENCE'], "
                  "'part__01_a.more.csv').unlink()")  # fmt: skip
    out = execute(root, "01_a")
    result = json.loads((out / "result.json").read_text())
    assert not is_success(out) and result["status"] == "failed"
    assert "tables" in result["error"] and str(root) not in result["error"] and not (out / "tables").exists()


def test_stored_tables_carry_their_recipe_and_leave_the_run_that_made_them_fresh(root, capsys):
    execute(root, "01_a"), execute(root, "02_b", n=4)
    assert store_tables.main(["--root", str(root)]) == 0
    data = root / "book" / "part" / "data"
    names = {f"{number}_{name}" for number in ("01", "02") for name in ("runs", "more")}
    assert {path.name for path in data.iterdir()} == {f"{name}.{end}" for name in names for end in ("csv", "yml")}
    assert capsys.readouterr().out.count("\n") == 4
    assert read_table(data / "02_runs.csv") == [{"n": 4, "value": 4 / 3, "kind": "Adam\n2"}]
    recipe = yaml.safe_load((data / "02_runs.yml").read_text())
    assert recipe["notebook"] == "part/02_b" and recipe["table"] == "runs" and recipe["rows"] == 1
    assert recipe["profile"] == "longer" and recipe["parameters"] == {"n": 4}
    assert recipe["sha256"] == sha256((data / "02_runs.csv").read_bytes())
    assert recipe["machine"]["cores"] >= 1 and recipe["seconds"] >= 0 and "separations" in recipe["versions"]
    assert "separations.run book/part/02_b.ipynb --params params/longer.yml" in recipe["command"]
    assert str(root) not in (data / "02_runs.yml").read_text()
    # what shows the tables is stale, what made them is not: storing twice is no reason to run again
    assert chapters.chapter(root, "longer", "part/01_a").state == "stale"
    assert chapters.chapter(root, "longer", "part/01_a", tables=False).state == "fresh"
    before = (data / "01_runs.yml").read_text()
    assert store_tables.main(["--root", str(root)]) == 0 and (data / "01_runs.yml").read_text() == before


def test_only_finished_runs_of_the_present_sources_are_stored(root, capsys):
    data = root / "book" / "part" / "data"
    out = execute(root, "01_a")
    execute(root, "02_b", n=5)  # not what the profile says
    assert store_tables.main(["--root", str(root)]) == 1
    assert "STALE: book/part/02_b.ipynb" in capsys.readouterr().err
    assert {path.name[:2] for path in data.iterdir()} == {"01"}
    for path in data.iterdir():
        path.unlink()
    (out / "SUCCESS").unlink()
    assert store_tables.main(["--root", str(root)]) == 1 and not list(data.iterdir())
    assert store_tables.main(["part/01_a", "--root", str(root)]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "nothing"], "profile = 'nothing': allowed are laptop, longer, other"),
        (["part/03_c"], "notebook = 'part/03_c': profile 'longer' names part/01_a, part/02_b"),
        (["part/01_a", "--profile", "other"], "notebook = 'part/01_a': profile 'other' names part/02_b"),
    ],
)
def test_bad_input_is_one_line_and_status_2(root, capsys, arguments, message):
    assert store_tables.main([*arguments, "--root", str(root)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_is_written_where_one_table_cannot_be_read(root, monkeypatch):
    execute(root, "01_a"), execute(root, "02_b", n=4)
    true = store_tables.table_path
    monkeypatch.setattr(store_tables, "table_path", lambda out, name: true(out, "none" if "02_b" in str(out) else name))
    assert store_tables.main(["--root", str(root)]) == 2
    assert not (root / "book" / "part" / "data").exists()
