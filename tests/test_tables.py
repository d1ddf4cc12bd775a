"""Tables: numbers come back as they were, whatever would not is refused, and stored ones say how they were made."""

import json
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import yaml

from separations.book import chapters, store_tables
from separations.files import sha256
from separations.ledger import read_table
from separations.ledger.tables import table_text
from separations.run.execute import run
from separations.run.profiles import Book
from separations.run.results import is_success, table_path


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


LETTERS = "ab,\"\r\n \té0.1-e+_nNaiIfF٣\u2028\x0b\x00\ufeff#;\\'\x85"


def test_any_rows_come_back_as_they_were_or_are_refused(tmp_path):
    random_ = random.Random(0)
    text = lambda longest: "".join(random_.choices(LETTERS, k=random_.randint(1, longest)))  # noqa: E731
    written, path = 0, tmp_path / "t.csv"
    for _ in range(1500):
        columns = list(dict.fromkeys(text(4) for _ in range(random_.randint(1, 3))))
        kinds = (
            lambda: None,
            lambda: random_.uniform(-1, 1) * 10 ** random_.randint(-300, 300),
            lambda: random_.randint(-(10**20), 10**20),
            lambda: text(6),
        )
        rows = [{column: random_.choice(kinds)() for column in columns} for _ in range(random_.randint(1, 3))]
        try:
            content = table_text(rows)
        except ValueError:
            continue
        path.write_bytes(content.encode())
        found = read_table(path)
        assert found == rows
        assert [type(v) for row in found for v in row.values()] == [type(v) for row in rows for v in row.values()]
        written += 1
    assert written > 700


@pytest.mark.parametrize("text", ["one\rtwo", "\r", "end\r", "\r\n", '"', "a" * 200_000, "\ufeff", "True", "0x10", "-"])
def test_odd_texts_come_back(tmp_path, text):
    rows = [{"a\rb": 1, "text": text}, {"a\rb": 2, "text": "x"}]
    path = tmp_path / "t.csv"
    path.write_bytes(table_text(rows).encode())
    assert read_table(path) == rows


@pytest.mark.parametrize(
    "text",
    ["007", "1_0", " 1", "1 ", "+3", ".5", "5.", "inf", "-Infinity", "NaN", "٣", "-0", "1e999", "1e-999", "9" * 5000],
)
def test_what_is_like_a_number_and_none_is_neither_written_nor_read(tmp_path, text):
    with pytest.raises(ValueError, match="would come back as a number"):
        table_text([{"a": text}])
    path = tmp_path / "t.csv"
    path.write_text(f"a,b\n1,2\n{text},3\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"path = t\.csv: line 3, column 'a': "):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-12", -12), ("1.50", 1.5), ("-0.0", -0.0), ("1e5", 1e5), ("5e-324", 5e-324)]
)
def test_numbers_in_their_usual_forms_are_read(tmp_path, text, value):
    path = tmp_path / "t.csv"
    path.write_bytes(f"a\r\n{text}\r\n".encode())  # with the line ends of other systems too
    ((found,),) = (row.values() for row in read_table(path))
    assert found == value and type(found) is type(value) and math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_table_cut_short_inside_a_line_is_refused(tmp_path, cut):
    content = table_text([{"a": 1.25, "b": "x\ny"}, {"a": 3, "b": "z"}])
    path = tmp_path / "t.csv"
    path.write_text(content[:-cut])
    if content[:-cut].endswith('"\n'):  # a whole row less, which only a digest shows
        assert len(read_table(path)) == 1
    else:
        with pytest.raises(ValueError, match=r"path = t\.csv: "):
            read_table(path)


def test_rows_from_anything_that_can_be_gone_through():
    assert table_text({"a": i} for i in range(2)) == "a\n0\n1\n"


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
        (5, r"rows = 5: a list of mappings"),
        ({"a": 1}, r"rows = \{'a': 1\}: a list of mappings"),
        ([5], r"rows\[0\] has the keys \[\]"),
        ([{"a": 1}, 5], r"rows\[1\] has the keys none, it is 5"),
        ([{"\ufeffa": 1}], r"byte-order mark"),
        ([{"a": "\ud800"}], r"= '\\ud800': it has half a character"),
        ([{"\ud800": 1}], r"half a character"),
        ([{"a": 10**5000}], r"rows\[0\]\['a'\] is too large to be written"),
        ([{"a": Fraction(10**400)}], r"rows\[0\]\['a'\] is too large to be written"),
        ([{"a": np.bool_(True)}], r"is of type bool"),
        ([{"a": 1j}], r"is of type complex"),
    ],
)
def test_bad_rows_are_named_with_what_is_allowed(rows, message):
    with pytest.raises(ValueError, match=message):
        table_text(rows)


def test_rounding_never_makes_a_number_infinite():
    with pytest.raises(ValueError, match=r"= 1\.797e\+308 with 2 digits: a finite number"):
        table_text([{"a": 1.797e308}], 2)
    assert table_text([{"a": 2 / 3}], np.int64(10**9)) == f"a\n{2 / 3!r}\n"


@pytest.mark.parametrize("digits", [0, -1, 2.5, True, "3"])
def test_bad_digits(digits):
    with pytest.raises(ValueError, match=f"digits = {digits!r}"):
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
        ('a,b\n"x\ny",2\n1\n', "line 4 has 1 fields"),
        ("a\n1\n\n", "line 3 has 0 fields"),
        (" ,b\n1,2\n", "column names"),
        ("\ufeffa,b\n1,2\n", "line 1 begins with a byte-order mark"),
        ('a,b\n"x,1\n2,3\n', "line 2 has a quotation mark that is not closed"),
        ('a,b\n"x"y,1\n', "line 2 has a quotation mark that is not closed, or text behind it"),
        ('a,b\n1,x"y\n', "line 2 has a quotation mark .* inside a field"),
        ("a,b\n1,2\n3,4.5", "line 3 has no end: the file is cut short"),
        ("a,b\n1,2\n3,", "line 3 has no end"),
        ("a,b\n1,x\ry\n", "line 2 has a quotation mark or a carriage return"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    with pytest.raises(ValueError, match=f"path = t.csv: .*{message}"):
        read_table(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(ValueError, match=r"path = t\.csv: no table, byte 2 is not UTF-8"):
        read_table(tmp_path / "t.csv")


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
    out = Book(root, "longer").run_folder(f"part/{name}")
    run(root / "book" / "part" / f"{name}.ipynb", out, {"n": n, **overrides}, profile="longer", threads=1)
    return out


def test_a_profile_names_notebooks_of_the_book_in_its_own_order(root):
    assert Book(root, "longer").named() == ["part/02_b", "part/01_a"]
    assert Book(root, "other").named() == ["part/02_b"] and Book(root).named() == []


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
    data = root / "book" / "part" / "data"
    data.mkdir()
    (data / "02_more.csv").write_text("mine")  # without a recipe
    assert store_tables.main(["--root", str(root)]) == 2 and "02_more.csv has no recipe" in capsys.readouterr().err
    assert [path.read_text() for path in data.iterdir()] == ["mine"]
    (data / "02_more.csv").unlink()
    assert store_tables.main(["--root", str(root)]) == 0
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
    assert chapters.chapter(Book(root, "longer"), "part/01_a").state == "stale"
    assert chapters.chapter(Book(root, "longer"), "part/01_a", tables=False).state == "fresh"
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
        (["part/03_c"], "notebook = 'part/03_c': profile 'longer' names part/02_b, part/01_a"),
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
