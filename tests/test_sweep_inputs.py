"""Sweeps under odd input: seeds that are cut, numbers no table holds, names of columns, damaged and foreign files, odd paths."""

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from separations.numerics import seeds
from separations.run.profiles import Book
from separations.run.results import is_success
from separations.sweep import check_profile
from separations.sweep import columns as sweep_columns
from separations.sweep import command as sweep
from separations.sweep import compare as sweep_compare
from separations.sweep import local as sweep_local
from separations.sweep import plan as sweep_plan
from separations.sweep import point_checks as sweep_checks
from separations.sweep import standing as sweep_standing
from separations.sweep import table as sweep_table
from separations.sweep import times as sweep_times
from separations.sweep import worker as sweep_worker
from separations.sweep.file import read_sweep
from sweep_book import PARAMETERS, sweep_command, write_book, write_notebook, write_result, write_sweep

HERE = Path(__file__).parents[1]


@pytest.fixture
def root(tmp_path):
    return write_book(tmp_path)


def notebook(root, **given):
    return write_notebook(root / "book" / "part" / "01_a.ipynb", **given)


def planned(root, text, name="s"):
    """The runs of a sweep, planned on disk."""
    found, runs = sweep.planned(write_sweep(root, text, name), Book(root))
    sweep_plan.write_plan(found, runs)
    return runs


def refused(root, capsys, *arguments):
    """What a command that must be refused says, in one line."""
    assert sweep.main([*arguments, "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("separations.sweep: "), said
    return said


def read_back(root, name="s", stem="table"):
    """A table of a sweep as it comes back: from CSV, and from Parquet."""
    folder = root / "_build" / "sweeps" / name
    rows = list(csv.DictReader(io.StringIO((folder / f"{stem}.csv").read_bytes().decode(), newline="")))
    return rows, pyarrow.parquet.read_table(folder / f"{stem}.parquet").to_pylist()


# rules of the parameters


def test_a_point_that_breaks_a_rule_is_refused_before_anything_runs_and_named(root, capsys):
    notebook(root, rules=("max(widths) <= n  # no network wider than the sample", "rate < 3"))
    path = write_sweep(root, "grid: {n: [8, 4], widths: [[2], [2, 6]]}\nseeds: [0, 1]\n")
    said = refused(root, capsys, "run", path)
    assert "no network wider" in said and 'point {"n": 4, "widths": [2, 6]}' in said and not (root / "_build").exists()
    assert len(read_sweep(write_sweep(root, "grid: {n: [8, 6], widths: [[2], [2, 6]]}\n"), Book(root)).points) == 4


def test_rules_hold_for_what_is_fixed_and_for_a_profile(root, capsys):
    notebook(root, rules=("rate < 3", "n < 100"))
    assert "rate = 4.0: rate < 3" in refused(root, capsys, "run", write_sweep(root, "fixed: {rate: 4}\nseeds: [1]\n"))
    (root / "params" / "smoke.yml").write_text("part/01_a: {rate: 5.0}\n")
    assert "rate = 5.0" in refused(root, capsys, "run", write_sweep(root, "profile: smoke\nseeds: [1]\n"))
    assert len(read_sweep(write_sweep(root, "profile: smoke\ngrid: {rate: [1]}\n"), Book(root)).points) == 1
    (root / "params" / "smoke.yml").write_text("part/01_a: {rate: fast}\n")
    said = refused(root, capsys, "run", write_sweep(root, "profile: smoke\nseeds: [1]\n"))
    assert "profile 'smoke'" in said and "'rate'" in said


def test_a_rule_is_tried_on_the_values_of_its_own_parameters_alone(root, monkeypatch):
    notebook(root, rules=("n >= 0", "rate > 0 and n < 100", "label == 'a'"))
    tried = []
    monkeypatch.setattr(sweep_checks, "check_rules", lambda rules, values, name: tried.append(rules))
    found = read_sweep(
        write_sweep(root, f"grid: {{n: {list(range(20))}, rate: [1, 2]}}\nseeds: {list(range(50))}\n"), Book(root)
    )
    assert len(found.points) == 2000 and len(tried) == 1 + 20 + 40


# seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [1, 4294967297]\n", "'seed' = 4294967297.* from 0 to 4294966"),  # torch takes both for 1
        ("seeds: [-1, 4294967295]\n", "'seed' = -1"),
        ("seeds: [0, 536870912]\n", "536870912"),
        ("grid: {seed: [1, 4294967297]}\n", "'seed' = 4294967297"),
        ("fixed: {seed: 4294968}\ngrid: {n: [1]}\n", "'seed' = 4294968"),
        ("seeds: [1, 1]\n", r"seeds\[1\] = 1: 1 stands there already, in seeds\[0\]"),
        ("seed_parameter: n\nseeds: [4294967297]\n", "'n' = 4294967297"),
        ("seed_parameter: widths\nseeds: [[0, 1], [1, 2]]\n", r"seeds\[1\] = \[1, 2\]: 1 stands there already"),
        ("seed_parameter: widths\nseeds: [[0], [4294967296]]\n", "4294967296"),
        ("seed_parameter: widths\nseeds: [[]]\n", r"seeds\[0\] = \[\]"),
        ("seed_parameter: rate\nseeds: [0.5]\n", r"seeds\[0\] = 0.5: a whole number"),
        ("seeds: [true]\n", "True"),
    ],
)
def test_seeds_that_would_not_differ_or_would_be_cut_are_refused(root, text, message):
    with pytest.raises(ValueError, match=message):
        read_sweep(write_sweep(root, text), Book(root))


def test_the_range_of_seeds_is_that_of_the_random_streams(root):
    assert sweep_checks.MAX_SEED == seeds.MAX_SEED
    found = read_sweep(write_sweep(root, f"seeds: [0, {seeds.MAX_SEED}]\n"), Book(root))
    assert len({seeds.stream(point["seed"]) for point in found.points}) == 2
    assert read_sweep(write_sweep(root, "seed_parameter: widths\nseeds: [[0], [1, 2]]\n"), Book(root)).seed == "widths"


# numbers and text that no table holds


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_whole_numbers_beyond_64_bits_are_refused_before_the_run(root, value):
    for text in (f"grid: {{n: [{value}]}}\n", f"fixed: {{widths: [1, {value}]}}\nseeds: [1]\n"):
        with pytest.raises(ValueError, match=str(value)):
            read_sweep(write_sweep(root, text), Book(root))


def test_the_largest_whole_numbers_come_back_and_text_that_is_none_is_refused(root):
    [run] = planned(root, f"grid: {{n: [{2**63 - 1}]}}\n")
    write_result(run)
    sweep_table.write_tables(Book(root), "s")
    rows, parquet = read_back(root)
    assert int(rows[0]["n"]) == parquet[0]["n"] == 2**63 - 1
    with pytest.raises(ValueError, match=r"'label'|Unicode"):
        read_sweep(write_sweep(root, 'grid: {label: ["\\uD800"]}\n'), Book(root))


ODD = (
    {
        "x": 1,
        "mixed": 2**53 + 1,
        "big": 2**70,
        "many": 10**400,
        "list": [1, {"a": None}],
        "half": "\ud800",
        "none": None,
    },
    {"x": math.inf, "mixed": 0.5, "big": 1, "many": 2, "list": [2]},
    {"x": math.nan, "mixed": "a", "many": 2.5},
)


def test_whatever_evidence_holds_there_is_a_table(root, monkeypatch):
    how = sweep_standing.Standing("done", "", 1.0)
    runs = planned(root, "grid: {n: [1, 2, 3]}\n")
    rows = sweep_table._rows([(run, how, {"evidence": [{"measures": odd}]}) for run, odd in zip(runs, ODD)])
    parquet = pyarrow.parquet.read_table(io.BytesIO(sweep_table.parquet_bytes(rows))).to_pylist()
    text = list(csv.DictReader(io.StringIO(sweep_table.csv_text(rows))))
    for table in (parquet, text):
        assert table[0]["measure.big"] == str(2**70) and table[0]["measure.many"] == str(10**400)
        assert [row["measure.mixed"] for row in table] == [str(2**53 + 1), "0.5", "a"]
        assert json.loads(table[0]["measure.list"]) == [1, {"a": None}] and json.loads(table[1]["measure.list"]) == [2]
        x = [float(row["measure.x"]) for row in table]
        assert x[:2] == [1.0, math.inf] and math.isnan(x[2])
    monkeypatch.setattr(sweep_compare, "rows_of", lambda book, name: rows)
    compared = {(row["n"], row["measure"]): row for row in sweep_compare.compare(Book(root), "s", "s")}
    assert compared[1, "x"]["difference"] == 0.0 and compared[2, "x"]["interval"] == "not finite"
    assert compared[1, "half"]["interval"] == "not numbers" and compared[1, "many"]["interval"] == "not finite"


def test_a_measure_of_more_than_64_bits_costs_no_table(root):
    [run] = planned(root, "grid: {n: [1]}\n")
    write_result(run, {"big": 2**64, "x": 1.0})
    sweep_table.write_tables(Book(root), "s")
    assert [row["measure.big"] for row in (*read_back(root)[0], *read_back(root)[1])] == [str(2**64)] * 2
    write_result(run, {"big": 10**400})
    assert sweep_standing.standing(run).state in ("done", "failed")  # and no traceback
    sweep_table.write_tables(Book(root), "s")


def test_text_with_line_breaks_quotes_and_nothing_comes_back_from_the_tables(root):
    labels = ["a\rb", "a\r\nb", "a\nb", 'say "so", then', "", " b ", "é ß", "a\u2028b"]
    runs = planned(root, f"grid: {{label: {json.dumps(labels)}}}\n")
    for run in runs:
        write_result(run, {"x": 1.0})
    sweep_table.write_tables(Book(root), "s")
    rows, parquet = read_back(root)
    assert [row["label"] for row in rows] == [row["label"] for row in parquet] == labels
    text = sweep_columns.index_text(["label"], [(run, sweep_standing.WAITING) for run in runs])
    assert [row["label"] for row in csv.DictReader(io.StringIO(text, newline=""))] == labels
    assert all(len(sweep_columns.said(run).splitlines()) == 1 for run in runs)


# names of columns


TAKEN = ("run", "state", "reason", "seconds", "peak_memory_mb", "measure", "first", "difference", "interval", "id")


def test_parameters_named_as_columns_of_the_tables_keep_their_own_column(root, capsys):
    notebook(root, parameters=PARAMETERS + "".join(f"\n{name} = 0" for name in TAKEN))
    text = (
        "fixed: {state: 7, reason: 8}\ngrid: {seconds: [1, 2], run: [3], measure: [4], first: [5, 6]}\nseeds: [0, 1]\n"
    )
    for name in ("a", "b"):
        for run in planned(root, text, name):
            write_result(run, {"seconds": 10.0 * run.overrides["seconds"], "state": 1.0}, {"rows": "run,k\n5,6\n"})
    sweep_table.write_tables(Book(root), "a")
    for row in read_back(root, "a"):
        assert {str(r["state"]) for r in row} == {"done"} and {float(r["seconds"]) for r in row} == {1.5}
        assert [int(r["parameter.seconds"]) for r in row] == [1] * 4 + [2] * 4
        assert {int(r["parameter.state"]) for r in row} == {7} and {int(r["parameter.run"]) for r in row} == {3}
        assert {int(r["measure"]) for r in row} == {4} and {float(r["measure.state"]) for r in row} == {1.0}
        assert len({r["run"] for r in row}) == 8
    recorded = read_back(root, "a", "tables/rows")[0]
    assert {(r["sweep.run"], r["table.run"], r["k"]) for r in recorded} == {("3", "5", "6")}
    assert len({r["run"] for r in recorded}) == 8
    index = sweep_columns.index_text(
        ("seconds", "run"), [(run, sweep_standing.WAITING) for run in planned(root, text, "a")]
    )
    head = next(csv.reader(io.StringIO(index)))
    assert len(set(head)) == len(head) and {"parameter.seconds", "parameter.run"} <= set(head)
    assert sweep.main(["compare", "a", "b", "--root", str(root)]) == 0
    compared = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {(r["seconds"], r["parameter.first"], r["measure"], r["first"]) for r in compared if r["measure"] != "state"} == {
        (s, f, "seconds", f"{s}0.0") for s in "12" for f in "56"
    }  # fmt: skip
    assert {r["parameter.measure"] for r in compared} == {"4"}


def test_a_seed_named_as_a_column_pairs_the_runs(root):
    notebook(root, parameters=PARAMETERS + "\nrun = 0")
    for name, more in (("a", 0.0), ("b", 1.0)):
        for run in planned(root, "grid: {n: [1]}\nseed_parameter: run\nseeds: [0, 1, 2]\n", name):
            write_result(run, {"x": run.overrides["run"] ** 2 + more})
    [row] = sweep_compare.compare(Book(root), "a", "b")
    assert (row["interval"], row["difference"], row["low"], row["high"]) == ("paired seeds", 1.0, 1.0, 1.0)


# identity by content


def test_values_that_look_alike_are_different_points_and_stay_so(root):
    notebook(root, parameters=PARAMETERS + "\nany = None")
    values = [1, 1.0, True, "1", "true", None, "", [1], "[1]"]
    runs = planned(root, f"grid: {{any: {json.dumps(values)}}}\n")
    assert len({run.id for run in runs}) == len({run.key for run in runs}) == len(values)
    for run, x in zip(runs, range(len(values))):
        write_result(run, {"x": float(x)})
    sweep_table.write_tables(Book(root), "s")
    rows, parquet = read_back(root)
    assert [json.loads(row["any"]) for row in rows] == values and [json.loads(row["any"]) for row in parquet] == values
    assert len(sweep_compare.compare(Book(root), "s", "s")) == len(values)
    with pytest.raises(ValueError, match="two runs would be the same"):
        read_sweep(write_sweep(root, "list: [{any: {a: 1, b: 2}}, {any: {b: 2, a: 1}}]\n"), Book(root))


def test_points_of_numbers_are_joined_by_value_and_never_with_true(root):
    def rows(*values):
        return [{"n": value} for value in values]

    one, two = sweep_compare._grouped([rows(1, 2), rows(1.0, True)], ["n"])
    assert [point in two for point in one] == [True, False] and len(two) == 2
    one, two = sweep_compare._grouped([rows(1, 1.0), rows(1)], ["n"])
    assert len(one) == 2 and [point in two for point in one] == [True, False]


def test_blocks_that_make_one_point_twice_are_refused(root):
    for text in (
        "grid: [{n: [1, 2]}, {n: [2], rate: [0.5]}]\n",
        "zip: [{n: [1], rate: [0.5]}, {n: [1]}]\n",
        "profile: smoke\nlist: [{n: 3}, {n: 3, rate: 2}]\ngrid: {label: [a, b]}\n",
    ):
        with pytest.raises(ValueError, match="two runs would be the same"):
            read_sweep(write_sweep(root, text), Book(root))


# names


@pytest.mark.parametrize("name", ["../params/smoke", "..", "/etc/x", "a/b", "a\\\\b", ".hidden"])
def test_a_profile_is_a_name_and_no_path(root, capsys, name):
    (root / "other.yml").write_text("part/01_a: {rate: 2.0}\n")
    path = write_sweep(root, f'profile: "{name}"\ngrid: {{n: [1]}}\n')
    assert "a name is needed" in refused(root, capsys, "run", path)
    assert "a name is needed" in refused(root, capsys, "check-profile", name.replace("\\\\", "\\"))


@pytest.mark.parametrize("given", ["../s", "..", ".", "", "a/b", "a b", "runs/../s", "none.yml", "nothing", "s\x00"])
def test_tables_of_what_is_no_sweep_are_refused(root, capsys, given):
    planned(root, "grid: {n: [1]}\n")
    refused(root, capsys, "table", given)
    refused(root, capsys, "compare", "s", given)


def test_a_table_by_a_file_is_that_of_this_file(root, capsys):
    planned(root, "grid: {n: [1]}\n")
    (root / "other").mkdir()
    shutil.copy(root / "sweeps" / "s.yml", root / "other")
    assert sweep.main(["table", str(root / "sweeps" / "s.yml"), "--root", str(root)]) == 0
    capsys.readouterr()
    assert "belongs to sweeps/s.yml" in refused(root, capsys, "table", str(root / "other" / "s.yml"))


@pytest.mark.parametrize(
    "text",
    [
        'title: "a\\nb"\n', 'title: "a\\u2028b"\n', "title: |\n  a\n  b\n", 'measures: ["x\\ny"]\n', "measures: [x, x]\n",
        "timeout: 1000000000\n", "limit: 1000000000000\n", "retries: 1000000000\n", "resources: {time: 1000000000}\n",
        "resources: []\n", "fixed: []\n", "fixed: false\n", "notebook: ../../part/01_a\n",
    ],
)  # fmt: skip
def test_values_beyond_sense_are_refused(root, capsys, text):
    refused(root, capsys, "run", write_sweep(root, f"{'' if 'notebook' in text else 'notebook: part/01_a'}\n{text}seeds: [1]\n"))  # fmt: skip
    assert not (root / "_build").exists()


# damaged and foreign files


DAMAGES = ["", "null", "[]", "3", '"x"', "{}", "{", '{"runs": []}', "[" * 100_000, "\x00"]


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_plan_is_named_in_a_line_and_left_alone(root, capsys, content):
    path = write_sweep(root, "grid: {n: [1]}\n")
    planned(root, "grid: {n: [1]}\n")
    plan = root / "_build" / "sweeps" / "s" / "plan.json"
    plan.write_text(content)
    for arguments in (("run", path), ("run", path, "--dry-run"), ("table", "s"), ("compare", "s", "s")):
        assert str(plan) in refused(root, capsys, *arguments)
    assert plan.read_text() == content
    plan.write_bytes(b"\xff\xfe")
    assert str(plan) in refused(root, capsys, "table", "s")


def test_a_plan_with_a_key_missing_or_of_another_type_is_damaged(root, capsys):
    planned(root, "grid: {n: [1]}\nseeds: [1]\n")
    path = root / "_build" / "sweeps" / "s" / "plan.json"
    plan = json.loads(path.read_text())
    [(name, run)] = plan["runs"].items()
    changes = [{key: value} for key in plan for value in (3.5, True)] + [{key: None} for key in plan if key != "seed"]
    changes += [
        {"runs": {name: bad}} for bad in (None, {}, run | {"key": 1}, run | {"swept": {}}, run | {"overrides": []})
    ]
    changes += [{"runs": {bad: run}} for bad in ("", "..", "../../x", "a/b", "x" * 12)]
    changes += [{"swept": [1]}, {"measures": [None]}, {"seed": "rate"}, {"resources": {"cores": "2"}}]
    changes += [{"notebook": "../../secret"}, {"notebook": "/etc/x"}]
    for change in changes:
        path.write_text(json.dumps(plan | change))
        assert str(path) in refused(root, capsys, "table", "s"), change
    for key in plan:
        path.write_text(json.dumps({k: v for k, v in plan.items() if k != key}))
        assert f"{key!r} is missing" in refused(root, capsys, "table", "s")


def test_files_and_folders_in_the_way_are_named(root, capsys):
    path = write_sweep(root, "grid: {n: [1]}\n")
    place = root / "_build" / "sweeps" / "s"
    for wrong in (place, place / "runs", place / "plan.json" / "x", root / "_build"):
        shutil.rmtree(root / "_build", ignore_errors=True)
        wrong.parent.mkdir(parents=True, exist_ok=True)
        wrong.write_text("mine")
        assert str(wrong).removesuffix("/x") in refused(root, capsys, "run", path)
        assert wrong.read_text() == "mine"
        if wrong == root / "_build":
            wrong.unlink()


def test_a_folder_without_permission_or_a_file_that_is_none_is_refused(root, capsys):
    assert "Is a directory" in refused(root, capsys, "run", str(root / "sweeps"))
    (root / "sweeps" / "b.yml").write_bytes(b"notebook: \xff")
    assert "not UTF-8" in refused(root, capsys, "run", str(root / "sweeps" / "b.yml"))


STRANGE = [
    {"seconds": None}, {"seconds": "long"}, {"seconds": math.nan}, {"seconds": -1}, {"seconds": True}, {"status": 1},
    {"hashes": []}, {"error": None}, {"parameters": [1]}, {"evidence": {}}, {"evidence": [None]}, {"evidence": ["x"]},
    {"evidence": [{"measures": []}]}, {"evidence": [{"claims": {}}]}, {"evidence": [{"claims": [{"id": "a"}]}]},
    {"evidence": [{"claims": [{"id": [], "verdict": "holds"}]}]}, {"tables": []}, {"tables": {"../../../x": "0"}},
    {"tables": {"/etc/passwd": "0"}}, {"tables": {"x\x00": "0"}}, {"file": None}, {"file": "../01_a.ipynb"}, {"file": ""},
    {"file": "/etc/passwd"}, {"file": "a\x00"}, {"executed": 3}, {"peak_memory_mb": "much"},
]  # fmt: skip


@pytest.mark.parametrize("change", STRANGE, ids=map(str, STRANGE))
def test_a_run_whose_result_is_damaged_is_no_success_and_costs_no_table(root, change):
    runs = planned(root, "grid: {n: [1, 2]}\n")
    for run in runs:
        write_result(run, {"x": 1.0})
    write_result(runs[0], {"x": 1.0}, **change)
    how = sweep_standing.standing(runs[0])
    assert (how.state, how.reason[:22]) == ("failed", "its result is damaged:")
    assert not sweep_worker.fresh(runs[0].folder, runs[0].key)
    sweep_table.write_tables(Book(root), "s")
    assert [row["state"] for row in read_back(root)[0]] == ["failed", "done"]
    assert sweep_times.past_seconds(Book(root), "part/01_a")


def test_a_result_that_is_no_json_is_damaged(root):
    [run] = planned(root, "grid: {n: [1]}\n")
    for content in DAMAGES:
        if content != "{}":
            (run.folder / "result.json").write_text(content)
            assert "damaged" in sweep_standing.standing(run).reason
    assert sweep_times.past_seconds(Book(root), "part/01_a") == {}


def test_a_link_out_of_the_folder_of_a_run_is_not_followed(root, tmp_path):
    (secret := tmp_path / "secret.csv").write_text("k\n1\n")
    [run] = planned(root, "grid: {n: [1]}\n")
    folder = write_result(run, {"x": 1.0}, {"rows": "k\n1\n"})
    assert sweep_standing.standing(run).state == "done"
    (folder / "tables" / "rows.csv").unlink()
    (folder / "tables" / "rows.csv").symlink_to(secret)  # the same bytes, elsewhere
    assert "leads out of its folder" in sweep_standing.standing(run).reason
    assert sweep_table.recorded_tables(Book(root), "s") == {}
    folder = write_result(run)
    (folder / "01_a.ipynb").rename(tmp_path / "x.ipynb")
    (folder / "01_a.ipynb").symlink_to(tmp_path / "x.ipynb")
    assert "01_a.ipynb leads out of its folder" in sweep_standing.standing(run).reason


@pytest.mark.parametrize("content", [*DAMAGES, '{"notebook": "../../x"}'])
def test_a_damaged_task_is_named_by_the_worker(root, capsys, content):
    [run] = planned(root, "grid: {n: [1]}\n")
    (run.folder / "run.json").write_text(content)
    assert sweep_worker.main([str(run.folder), "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(run.folder / "run.json") in said
    assert "run.json" in sweep_standing.standing(run).reason


def test_keys_that_are_no_text_reach_the_run_as_they_are(root):
    notebook(root, parameters="d = {1: 'x'}\nfree = None")
    points = "list: [{d: {2: y, 3: z}}, {free: {4: [5, {6: a}]}}, {free: {'4': b}}]\n"
    tasks = [sweep_worker.read_task(Book(root), run.folder)["overrides"] for run in planned(root, points)]
    assert tasks == [{"d": {2: "y", 3: "z"}}, {"free": {4: [5, {6: "a"}]}}, {"free": {"4": "b"}}]
    [first, *_] = planned(root, points)
    task = json.loads((first.folder / "run.json").read_text())
    for literal in ("{'d': {2: 'other'}}", "3", "open('x')", 7, "{"):
        (first.folder / "run.json").write_text(json.dumps(task | {"literal": literal}))
        with pytest.raises(ValueError, match="'literal' and 'overrides' are not the same"):
            sweep_worker.read_task(Book(root), first.folder)


def test_a_task_outside_the_book_is_refused(root):
    [run] = planned(root, "grid: {n: [1]}\n")
    task = json.loads((run.folder / "run.json").read_text())
    shutil.copy(root / "book" / "part" / "01_a.ipynb", root / "x.ipynb")
    for change in (
        {"notebook": "../x"},
        {"notebook": str(root / "x")},
        {"limit": 0},
        {"cores": "1"},
        {"timeout": 2**40},
    ):
        (run.folder / "run.json").write_text(json.dumps(task | change))
        with pytest.raises(ValueError, match=r"run\.json is damaged"):
            sweep_worker.read_task(Book(root), run.folder)


def test_figures_go_into_their_folder_and_take_nothing_else_away(root, tmp_path):
    [run] = planned(root, "grid: {n: [1]}\n")
    folder = write_result(run)
    names = ["fig-../../x", "fig-a/b", None, 3, "", "fig-ok"]
    picture = {"output_type": "display_data", "data": {"image/png": ["aGk=", ""]}}
    cells = [
        {"cell_type": "code", "source": "", "metadata": {"mystnb": {"figure": {"name": name}}}, "outputs": [picture]}
        for name in names
    ]
    cells += [{"cell_type": "code", "source": "", "metadata": {}, "outputs": [{"output_type": "stream", "data": None}, {"output_type": "stream", "data": {"image/png": "%"}}]}]  # fmt: skip
    text = json.dumps({"cells": cells, "nbformat": 4})
    (folder / "01_a.ipynb").write_text(text)
    (folder / "figures").mkdir()
    (folder / "figures" / "mine.png").write_text("mine")
    (folder / "figures" / "figures.json").write_text('{"executed": "old", "files": ["../SUCCESS", "old.png", 3]}')
    written = sweep_worker.figures(folder)
    assert [path.parent for path in written] == [folder / "figures"] * 6
    assert (folder / "figures" / "mine.png").read_text() == "mine" and (folder / "SUCCESS").is_file()
    (folder / "figures" / "old.png").write_text("old")
    (folder / "figures" / "figures.json").write_text('{"executed": "old", "files": ["old.png"]}')
    assert sweep_worker.figures(folder) == written and not (folder / "figures" / "old.png").exists()


def test_a_check_of_a_profile_takes_only_away_what_a_check_left(root):
    folder = root / "_build" / "check" / "smoke" / "part" / "01_a"
    folder.mkdir(parents=True)
    check_profile._clear(folder, "check of smoke")
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not left by a check"):
        check_profile.check_chapter(Book(root, "smoke"), "part/01_a", 1)
    (folder / "run.json").write_text('{"sweep": "check of smoke"}')
    (folder / "SUCCESS").write_text("")
    check_profile._clear(folder, "check of smoke")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_claim_that_nobody_can_lock_is_no_run_under_way(root):
    [run] = planned(root, "grid: {n: [1]}\n")
    (run.folder / sweep_standing.CLAIM).mkdir()
    assert sweep_standing.standing(run).state == "waiting"


# the command


def call(arguments, shell=None, **options):
    """A command of ours in a process of its own."""
    command = [sys.executable, *arguments]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_closed_outputs_and_no_docstrings_end_in_no_traceback(root):
    path = write_sweep(root, f"grid: {{n: {list(range(300))}}}\n")
    dry = ["-m", "separations.sweep", "run", path, "--root", str(root), "--dry-run"]
    for shell in (">&-", "2>&-", ">&- 2>&-", "-v | head -n 1", "> /dev/full"):
        ended = call(dry, shell)
        assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr, (shell, ended.stderr)
        assert ended.returncode == (1 if "full" in shell else 0), shell
    assert call(["-OO", *dry]).returncode == 0
    [run, *_] = planned(root, f"grid: {{n: {list(range(300))}}}\n")
    assert call(["-OO", "-m", "separations.sweep.worker", "--help"]).returncode == 0


@pytest.mark.parametrize("given", ["0", "-1", "abc", "1_0", "1.5", "", "10**9", "1000000000", "9" * 5000])
@pytest.mark.parametrize("option", ["--jobs", "--seconds"])
def test_counts_on_the_command_line_are_checked(root, capsys, option, given):
    path = write_sweep(root, "grid: {n: [1]}\n")
    with pytest.raises(SystemExit) as ended:
        sweep.main([*(["run", path] if option == "--jobs" else ["check-profile", "smoke"]), f"{option}={given}"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "a whole number from 1 to" in said and "_number" not in said


def test_a_root_that_is_no_folder_is_refused(tmp_path, capsys):
    (tmp_path / "a").symlink_to("b"), (tmp_path / "b").symlink_to("a")
    for given in ("~nosuchuser", str(tmp_path / "none"), str(tmp_path / "a")):
        assert sweep.main(["run", "s.yml", "--root", given]) == 2
        assert "--root" in capsys.readouterr().err


def test_workers_load_the_library_that_plans(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = sweep_local.worker_environment()
    first = str(Path(sweep_plan.__file__).parents[2])
    assert variables["PYTHONPATH"].split(os.pathsep) == [first, "/elsewhere"]


def test_a_repository_with_another_library_than_the_one_in_use_is_refused(root, capsys):
    path = write_sweep(root, "grid: {n: [1]}\n")
    (root / "lib" / "separations").mkdir(parents=True)
    (root / "lib" / "separations" / "__init__.py").write_text("")
    assert f"PYTHONPATH={root / 'lib'}" in refused(root, capsys, "run", path)
    shutil.rmtree(root / "lib")
    (root / "lib").symlink_to(HERE / "lib")
    assert sweep.main(["run", path, "--root", str(root), "--dry-run"]) == 0


def test_signals_without_a_name_and_gpus_that_are_switched_off(monkeypatch):
    assert sweep_local.signal_name(9) == "SIGKILL" and sweep_local.signal_name(40) == "signal 40"
    for text, found in (("-1", []), ("", []), ("0, 1", ["0", "1"]), ("0,-1,2", ["0"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
        assert sweep_local.gpus_here() == found


# paths


def test_a_repository_with_braces_spaces_and_accents_in_its_name_works_through_snakemake(tmp_path):
    root = tmp_path / "my {clone} é, 'a'=1 #b"
    (root / "sweeps").mkdir(parents=True)
    write_book(root)
    (root / "lib").symlink_to(HERE / "lib")
    shutil.copy(HERE / "sweep.smk", root)
    path = write_sweep(root, "grid: {n: [1]}\n")
    ended = subprocess.run(sweep_command(root, path, "-v", "--", "--cores", "1"), cwd=tmp_path, capture_output=True, text=True)  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert [is_success(folder) for folder in (root / "_build" / "sweeps" / "s" / "runs").iterdir()] == [True]
    assert sorted(item.name for item in tmp_path.iterdir()) == [root.name]
    call = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        "sweep.smk",
        "--config",
        "file=sweeps/s.yml",
        "--cores",
        "1",
    ]
    again = subprocess.run([*call, "--nolock", "--dry-run"], cwd=root, capture_output=True, text=True)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr, again.stderr[-2000:]


# planning at scale


def test_planning_reads_each_past_result_once_and_looks_for_no_missing_folder(root, monkeypatch, capsys):
    text = f"grid: {{n: {list(range(100))}}}\nseeds: {list(range(100))}\n"
    found, runs = sweep.planned(write_sweep(root, text), Book(root))
    for run in runs[:50]:
        write_result(run)
    reads, looked = [], []
    for module in (sweep_standing, sweep_times):
        monkeypatch.setattr(module, "read_result", lambda folder: reads.append(folder))
    monkeypatch.setattr(sweep_standing, "claimed", lambda folder: looked.append(folder) or False)
    monkeypatch.setattr(sweep, "expected_seconds", lambda sweep, past: lambda name: 2.0)
    assert sweep.dry_run(found, runs, 4, []) == 0
    assert len(looked) == 50 and len(reads) == 100  # once to see how it stands, once for its time
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 23 and said[20] == "... and 9980 more (-v lists all)"
    assert said[21] == "s: 10000 runs of part/01_a, 0 finished, 10000 to run"


def test_planning_shows_how_far_it_is_only_where_someone_watches(monkeypatch):
    assert sweep_checks.watched([], 0, "planning").disable  # standard error is no terminal here
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = sweep_checks.watched(range(3), 3, "planning")
    assert not bar.disable
    assert "planning" in str(bar) and list(bar) == [0, 1, 2]
    monkeypatch.setattr(sys, "stderr", None)
    assert list(sweep_checks.watched(range(3), 3, "planning")) == [0, 1, 2]


def test_points_and_runs_are_put_together_when_they_are_asked_for(root):
    found = read_sweep(write_sweep(root, f"grid: {{n: {list(range(1000))}}}\nseeds: {list(range(1000))}\n"), Book(root))
    assert len(found.points) == 10**6 and found.points[-1] == {"n": 999, "seed": 999}
    assert found.points[1001] == {"n": 1, "seed": 1} and sum(1 for _ in zip(found.points, range(5))) == 5
    with pytest.raises(IndexError):
        found.points[10**6]
    few, runs = sweep.planned(
        write_sweep(root, "grid: {n: [1, 2]}\nlist: [{rate: 1}, {rate: 2, label: b}]\n"), Book(root)
    )
    assert [dict(run.overrides) for run in runs] == list(few.points) and few.points == tuple(few.points)
    assert [run.swept for run in runs][3] == {"n": 2, "rate": 2.0, "label": "b"}
    assert runs[3].folder.name == runs[3].id == sweep_plan.run_id("part/01_a", {"n": 2, "rate": 2.0, "label": "b"})
