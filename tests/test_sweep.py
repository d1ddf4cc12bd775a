"""Sweeps: what a file may say, which runs it makes, that finished ones stay, and what the table holds."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from separations.run.profiles import Book
from separations.run.results import is_success
from separations.sweep import cluster as sweep_cluster
from separations.sweep import command as sweep
from separations.sweep import compare as sweep_compare
from separations.sweep import intervals as sweep_intervals
from separations.sweep import local as sweep_local
from separations.sweep import plan as sweep_plan
from separations.sweep import standing as sweep_standing
from separations.sweep import table as sweep_table
from separations.sweep import times as sweep_times
from separations.sweep import worker as sweep_worker
from separations.sweep.file import read_sweep
from sweep_book import write_book, write_notebook, write_sweep


@pytest.fixture
def root(tmp_path):
    return write_book(tmp_path)


def read(root, text):
    return read_sweep(write_sweep(root, text), Book(root))


def swept(root, text):
    found = read(root, text)
    return [{name: point[name] for name in found.swept if name in point} for point in found.points]


# what a file says


def test_a_grid_makes_every_combination_and_every_seed(root):
    points = swept(root, "grid: {n: [1, 2], label: [a, b]}\nseeds: [3, 4]\n")
    assert len(points) == 8 and points[0] == {"n": 1, "label": "a", "seed": 3}
    assert points[1] == {"n": 1, "label": "a", "seed": 4} and points[-1] == {"n": 2, "label": "b", "seed": 4}


def test_a_zip_goes_in_step_and_a_list_holds_points(root):
    assert swept(root, "zip: {n: [1, 2], rate: [0.1, 0.2]}\n") == [{"n": 1, "rate": 0.1}, {"n": 2, "rate": 0.2}]
    assert swept(root, "list: [{n: 1}, {n: 2, rate: 3}]\n") == [{"n": 1}, {"n": 2, "rate": 3.0}]


def test_different_keys_are_combined_and_blocks_of_one_key_come_one_after_another(root):
    text = "zip: {n: [1, 2], rate: [0.1, 0.2]}\ngrid: [{label: [a]}, {label: [b, c]}]\n"
    points = swept(root, text)
    assert [(p["n"], p["label"]) for p in points] == [(n, x) for n in (1, 2) for x in "abc"]


def test_fixed_comes_over_the_profile_and_the_point_over_both(root):
    assert read(root, "profile: smoke\ngrid: {n: [1]}\n").points == ({"rate": 2.0, "n": 1},)
    assert read(root, "profile: smoke\nfixed: {rate: 3}\ngrid: {n: [1]}\n").points == ({"rate": 3.0, "n": 1},)
    assert read(root, "profile: smoke\ngrid: {rate: [4]}\n").points == ({"rate": 4.0},)


def test_defaults_and_numbers_of_a_sweep(root):
    one = read(root, "grid: {n: [1]}\n")
    assert (one.timeout, one.limit, one.retries, one.book.profile) == (900, 9000, 1, "laptop")
    text = "grid: {n: [1]}\nresources: {cores: 2, time: 5}\ntimeout: 7\nretries: 0\nseed_parameter: label\nseeds: [a]\n"
    one = read(root, text)
    assert (one.timeout, one.limit, one.retries, one.seed) == (7, 300, 0, "label")
    assert one.resources == {"cores": 2, "memory": None, "gpus": 0, "time": 5} and one.swept == ("n", "label")


BAD = [
    ("- 1\n", "holds a list"),
    ("[", "not valid YAML"),
    ("notebook: part/01_a\ngrid: {n: [1]}\ngrid: {n: [2]}\n", "'grid' stands there twice"),
    ("gird: {n: [1]}\n", "unknown key 'gird'; did you mean 'grid'.*Allowed: title, notebook"),
    ("notebook: part/01_b\ngrid: {n: [1]}\n", "no such notebook in book/; did you mean 'part/01_a'"),
    ("notebook: 3\ngrid: {n: [1]}\n", "notebook = 3"),
    ("profile: huge\ngrid: {n: [1]}\n", "allowed are laptop, smoke"),
    ("title: 3\ngrid: {n: [1]}\n", "title = 3: a text"),
    ("title: x\n", "nothing is varied"),
    ("fixed: {n: 1}\n", "nothing is varied: one of grid, list, zip, seeds"),
    ("fixed: 3\nseeds: [1]\n", "fixed = 3"),
    ("grid: {m: [1]}\n", "unknown parameter 'm'.*Allowed: n, rate"),
    ("grid: {rate: ['1e-3']}\n", r"of type str, not float.*point {\"rate\": \"1e-3\"}"),
    ("fixed: {rate: '1e-3'}\ngrid: {n: [1]}\n", "of type str, not float"),
    ("grid: {n: [010]}\n", "'010' is refused"),
    ("grid: {n: [1.5]}\n", "of type float, not int"),
    ("grid: {n: []}\n", r"grid.n = \[\]: a list with at least one value"),
    ("grid: {n: 3}\n", "grid.n = 3: a list"),
    ("grid: {}\n", "grid = {}: a mapping"),
    ("grid: []\n", r"grid = \[\]: a mapping"),
    ("grid: [3]\n", "a mapping 'parameter"),
    ("zip: {n: [1, 2], rate: [0.1]}\n", "n: 2, rate: 1 long"),
    ("list: {n: 1}\n", "list = {'n': 1}: a list of mappings"),
    ("list: []\n", "a list of mappings"),
    ("seeds: 3\n", "seeds = 3: a list"),
    ("seeds: []\n", "at least one value"),
    ("seed_parameter: sead\nseeds: [1]\n", "'sead': the notebook has no such parameter; did you mean 'seed'"),
    ("seed_parameter: seed\ngrid: {n: [1]}\n", "without seeds"),
    ("fixed: {n: 1}\ngrid: {n: [2]}\n", "'n' stands under fixed and under grid"),
    ("grid: {n: [2]}\nzip: {n: [2]}\n", "'n' stands under grid and under zip"),
    ("grid: {seed: [2]}\nseeds: [2]\n", "'seed' stands under grid and under seeds"),
    ("grid: {n: [1, 2, 1]}\n", 'two runs would be the same: {"n": 1} and {"n": 1}'),
    ("grid: {rate: [1, 1.0]}\n", "two runs would be the same"),
    ("list: [{n: 1}, {rate: 0.5}]\n", "two runs would be the same"),  # both are the defaults
    ("grid: {n: [1]}\nresources: 3\n", "resources = 3"),
    ("grid: {n: [1]}\nresources: {gpu: 1}\n", "unknown resource 'gpu'; did you mean 'gpus'"),
    ("grid: {n: [1]}\nresources: {cores: 0}\n", "resources.cores = 0"),
    ("grid: {n: [1]}\nresources: {memory: 2GB}\n", r"resources.memory = '2GB': a whole number \(MB\)"),
    ("grid: {n: [1]}\ntimeout: 0\n", "timeout = 0: a whole number, at least 1"),
    ("grid: {n: [1]}\nlimit: 1.5\n", "limit = 1.5"),
    ("grid: {n: [1]}\nretries: -1\n", "retries = -1: a whole number, at least 0"),
    ("grid: {n: [1]}\nmeasures: x\n", "measures = 'x'"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_file_is_refused_in_one_line_before_anything_runs(root, text, message, capsys):
    path = root / "sweeps" / "s.yml"
    path.write_text(text if "notebook" in text or text[0] in "-[" else f"notebook: part/01_a\n{text}")
    with pytest.raises(ValueError, match=message):
        read_sweep(path, Book(root))
    assert sweep.main(["run", str(path), "--root", str(root)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "sweeps/s.yml" in said and not (root / "_build").exists()


def test_a_file_that_is_not_there_or_has_a_name_that_is_no_folder_is_refused(root):
    with pytest.raises(ValueError, match="cannot be read"):
        read_sweep(root / "sweeps" / "none.yml", Book(root))
    write_sweep(root, "grid: {n: [1]}\n", "a b")
    with pytest.raises(ValueError, match="name = 'a b'"):
        read_sweep(root / "sweeps" / "a b.yml", Book(root))


def test_two_files_of_one_name_do_not_share_a_folder(root, capsys):
    first = write_sweep(root, "grid: {n: [1]}\n")
    found, runs = sweep.planned(first, Book(root))
    sweep_plan.write_plan(found, runs)
    (root / "other").mkdir()
    (root / "other" / "s.yml").write_text("notebook: part/01_a\ngrid: {n: [2]}\n")
    assert sweep.main(["run", str(root / "other" / "s.yml"), "--root", str(root)]) == 2
    assert "belongs to" in capsys.readouterr().err


# running


def run(root, path, *options):
    return sweep.main(["run", path, "--root", str(root), "--jobs", "2", *options])


def index(root, name="s"):
    with (root / "_build" / "sweeps" / name / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def folders(root, name="s"):
    return sorted((root / "_build" / "sweeps" / name / "runs").iterdir())


def stamps(root, name="s"):
    return {path: path.stat().st_mtime_ns for path in folders(root, name) for path in path.glob("result.json")}


def test_a_sweep_runs_leaves_a_folder_a_run_and_does_nothing_the_second_time(root, capsys):
    path = write_sweep(root, "grid: {n: [1, 2]}\nseeds: [0, 1]\n")
    assert run(root, path, "--dry-run") == 0
    assert "4 runs of part/01_a, 0 finished, 4 to run\ntime: unknown" in capsys.readouterr().out
    assert not (root / "_build").exists()
    assert run(root, path, "-v") == 0
    out, err = capsys.readouterr()
    assert "s: 4 of 4 runs finished" in out and err.count("done ") == 4
    for folder in folders(root):
        assert is_success(folder)
        assert {p.name for p in folder.iterdir()} >= {"01_a.ipynb", "result.json", "run.log", "run.json", "SUCCESS"}
        assert [p.name for p in (folder / "figures").glob("*.png")] == ["01-dot.png"]
    assert [(row["state"], row["n"], row["seed"]) for row in index(root)] == [
        ("done", n, s) for n in "12" for s in "01"
    ]
    assert (root / "_build" / "sweeps" / "s" / "sweep.log").read_text().count(" done ") == 4
    before = stamps(root)
    assert run(root, path) == 0 and stamps(root) == before
    assert run(root, path, "--dry-run") == 0 and "4 finished, 0 to run" in capsys.readouterr().out
    write_sweep(root, "grid: {n: [1, 2, 3]}\nseeds: [0, 1]\n")
    assert run(root, path, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "4 finished, 2 to run" in said and "time: about" in said
    # and the tables
    rows = list(csv.DictReader((root / "_build" / "sweeps" / "s" / "table.csv").open()))
    assert [float(row["measure.x"]) for row in rows] == [0.5, 1.5, 1.0, 2.0]
    assert {row["verdict.a.one"] for row in rows} == {"holds"} and {row["label"] for row in rows} == {"a"}
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(root / "_build" / "sweeps" / "s" / "table.parquet").to_pylist()
    assert [row["measure.x"] for row in table] == [0.5, 1.5, 1.0, 2.0] and table[0]["n"] == 1
    recorded = list(csv.DictReader((root / "_build" / "sweeps" / "s" / "tables" / "rows.csv").open()))
    assert [(r["sweep.n"], r["sweep.seed"], r["k"], r["value"]) for r in recorded[:3]] == [
        ("1", "0", "1", "1"), ("1", "0", "2", "2"), ("1", "1", "1", "1"),
    ]  # fmt: skip


def test_what_a_run_depends_on_makes_it_run_again_and_nothing_else_does(root):
    path = write_sweep(root, "grid: {n: [1]}\n")

    def state():
        found = read_sweep(path, Book(root))
        return sweep_standing.standing(sweep_plan.runs_of(found)[0]).state

    assert state() == "waiting" and run(root, path) == 0 and state() == "done"
    os.utime(root / "book" / "part" / "01_a.ipynb", (0, 0))
    write_sweep(root, "title: Another\ngrid: {n: [1]}\nresources: {cores: 1}\n")
    assert state() == "done"
    (root / "constraints.txt").write_text("numpy==1\n")
    assert state() == "waiting"
    (root / "constraints.txt").unlink()
    assert state() == "done"
    write_notebook(root / "book" / "part" / "01_a.ipynb", "extra = 1")
    assert state() == "waiting" and run(root, path) == 0 and state() == "done"
    folder = folders(root)[0]
    (folder / "01_a.ipynb").write_text("{}")  # cut, or edited
    assert state() == "failed" and run(root, path) == 0 and state() == "done"


def test_a_failure_is_isolated_tried_once_more_and_listed_with_its_reason(tmp_path, capsys):
    once = "import pathlib\nmark = pathlib.Path('mark')\nfirst = not mark.exists()\nmark.touch()"
    root = write_book(tmp_path, once, "if act == 'once' and first: raise OSError('gone')", "if act == 'always': 1 / 0")
    path = write_sweep(root, "list: [{act: always}, {act: once}, {act: never}]\n")
    (root / "book" / "part" / "mark").unlink(missing_ok=True)
    assert sweep.main(["run", path, "--root", str(root), "--jobs", "1", "-v"]) == 1
    err = capsys.readouterr().err
    assert err.count("retry ") == 1 and "ZeroDivisionError: division by zero" in err
    states = {row["act"]: (row["state"], row["reason"]) for row in index(root)}
    assert states["always"] == ("failed", "ZeroDivisionError: division by zero")
    assert states["never"][0] == states["once"][0] == "done"
    failed = next(folder for folder in folders(root) if not is_success(folder))
    assert (failed / "01_a.failed.ipynb").is_file() and not (failed / "SUCCESS").exists()
    rows = list(csv.DictReader((root / "_build" / "sweeps" / "s" / "table.csv").open()))
    assert rows[0]["state"] == "failed" and rows[0]["act"] == "always" and rows[0]["measure.x"] == ""


def test_retries_of_a_run_that_fails_the_first_time_succeed(tmp_path):
    once = "import pathlib\nmark = pathlib.Path('mark')\nfirst = not mark.exists()\nmark.touch()\nif first: 1 / 0"
    root = write_book(tmp_path, once)
    path = write_sweep(root, "grid: {n: [1]}\nretries: 0\n")
    assert run(root, path) == 1
    (root / "book" / "part" / "mark").unlink()
    write_sweep(root, "grid: {n: [1]}\nretries: 1\n")
    assert run(root, path) == 0


def test_a_run_whose_worker_was_claimed_elsewhere_is_left_to_it(root):
    path = write_sweep(root, "grid: {n: [1]}\n")
    found, runs = sweep.planned(path, Book(root))
    sweep_plan.write_plan(found, runs)
    with sweep_worker.claim(runs[0].folder, wait=False) as mine:
        assert mine and sweep_standing.standing(runs[0]).state == "running"
        assert sweep_worker.work(Book(root), runs[0].folder) == sweep_worker.BUSY
    assert sweep_standing.standing(runs[0]).state == "waiting"


def test_snakemake_runs_the_same_folders(root):
    path = write_sweep(root, "grid: {n: [1, 2]}\n")
    assert run(root, path, "--", "--cores", "2") == 0
    assert all(is_success(folder) for folder in folders(root)) and [r["state"] for r in index(root)] == ["done"] * 2
    before = stamps(root)
    assert run(root, path, "--", "--cores", "2") == 0 and run(root, path) == 0 and stamps(root) == before
    write_notebook(root / "book" / "part" / "01_a.ipynb", "if n == 2: 1 / 0")
    assert run(root, path, "--", "--cores", "2") == 1
    assert [(r["state"], r["reason"]) for r in index(root)][1] == ("failed", "ZeroDivisionError: division by zero")


def test_progress_through_snakemake_is_the_same_as_here(root):
    path = write_sweep(root, "grid: {n: [1, 2]}\nretries: 0\n")
    write_notebook(root / "book" / "part" / "01_a.ipynb", "if n == 2: 1 / 0")
    assert run(root, path, "--", "--cores", "2") == 1
    words = sorted(
        line.split()[1] for line in (root / "_build" / "sweeps" / "s" / "sweep.log").read_text().splitlines()
    )
    assert words == ["done", "failed"]


def test_snakemake_called_without_our_command_leaves_index_and_tables(root):
    path = write_sweep(root, "grid: {n: [1]}\n")
    call = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(Path(__file__).parents[1] / "sweep.smk"),
        "--directory",
        str(root),
    ]
    call += ["--config", f"file={path}", f"root={root}", "--cores", "1", "--nolock"]
    subprocess.run(call, check=True, capture_output=True)
    assert [row["state"] for row in index(root)] == ["done"] and len(sweep_table.rows_of(Book(root), "s")) == 1
    assert (root / "_build" / "sweeps" / "s" / "table.csv").is_file()


def test_resources_go_to_snakemake_and_options_come_last(root):
    path = write_sweep(root, "grid: {n: [1]}\nretries: 3\nresources: {cores: 2, memory: 500, time: 7, gpus: 1}\n")
    found, runs = sweep.planned(path, Book(root))
    call = sweep_cluster.command(found, ["--executor", "slurm", "--jobs", "4"])
    assert call[-4:] == ["--executor", "slurm", "--jobs", "4"] and "--cores" not in call
    assert call[call.index("--retries") + 1] == "3"
    assert sweep_cluster.command(found)[-2:] == ["--cores", "all"]
    plan = json.loads(sweep_plan.write_plan(found, runs).read_text())
    assert plan["resources"] == {"cores": 2, "memory": 500, "gpus": 1, "time": 7}


def test_the_width_follows_cores_memory_and_gpus(root, monkeypatch):
    found = read(root, "grid: {n: [1]}\nresources: {cores: 2, gpus: 1}\n")
    monkeypatch.setattr(sweep_local, "cores", lambda: 9)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert sweep_local.gpus_here() == ["0", "1", "2"] and sweep_local.jobs_here(found) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7,8,9")
    assert sweep_local.jobs_here(found) == 4 and sweep_local.jobs_here(found, 11) == 5
    assert sweep_local.jobs_here(read(root, "grid: {n: [1]}\nresources: {cores: 2}\n"), 11) == 11
    assert sweep_local.jobs_here(read(root, "grid: {n: [1]}\nresources: {memory: 1000000000}\n")) == 1


def test_each_run_gets_gpus_of_its_own_and_too_few_are_refused(tmp_path, monkeypatch, capsys):
    root = write_book(tmp_path, "import os\nlabel = os.environ['CUDA_VISIBLE_DEVICES']\nn = int(label)")
    path = write_sweep(root, "grid: {rate: [1, 2, 3]}\nresources: {gpus: 1}\nmeasures: [x]\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert run(root, path, "--jobs", "3") == 0  # more than there are GPUs for
    assert {float(row["measure.x"]) / float(row["rate"]) for row in sweep_table.rows_of(Book(root), "s")} <= {4.0, 5.0}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run(root, path) == 2 and "this machine has 0" in capsys.readouterr().err


# past runs, tables, comparison


def test_the_time_is_estimated_from_the_nearest_past_runs(root):
    found, runs = sweep.planned(write_sweep(root, "grid: {n: [1, 2]}\n"), Book(root))
    assert sweep_times.expected_seconds(found, {}) is None
    past = {"s": [10.0, 20.0, 30.0], "other": [1.0], runs[0].id: [11.0]}
    assert [sweep_times.expected_seconds(found, past)(run.id) for run in runs] == [11.0, 20.0]
    assert [sweep_times.expected_seconds(found, {"profile laptop": [7.0], "other": [1.0]})(run.id) for run in runs] == [
        7.0,
        7.0,
    ]
    assert [sweep_times.expected_seconds(found, {"other": [1.0, 3.0]})(run.id) for run in runs] == [2.0, 2.0]


def test_columns_of_mixed_kinds_survive_in_parquet():
    import io

    import pyarrow.parquet

    rows = [{"a": 1, "b": "x", "c": 1}, {"a": 0.5, "b": 2, "d": None}]
    back = pyarrow.parquet.read_table(io.BytesIO(sweep_table.parquet_bytes(rows))).to_pylist()
    assert back == [{"a": 1.0, "b": "x", "c": 1, "d": None}, {"a": 0.5, "b": "2", "c": None, "d": None}]


@pytest.mark.parametrize(
    ("value", "shown"),
    [([3], 3), ([[0.5]], 0.5), ([1, 2], "[1, 2]"), ("a", "a"), (None, None), ([], "[]"), (True, True)],
)
def test_parameters_in_a_table(value, shown):
    assert sweep_table.plain(value) == shown


def fake(root, name, rows, seed="seed", swept=("n", "seed")):
    """A finished sweep, without running anything: a plan, and rows that `rows_of` would give."""
    plan = {"seed": seed, "swept": list(swept), "runs": {}}
    path = root / "_build" / "sweeps" / name / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(plan))
    return [{"state": "done", "n": n, "seed": s, "measure.x": x} for n, s, x in rows]


def test_two_sweeps_are_compared_point_by_point_with_an_interval(root, monkeypatch):
    tables = {
        "a": fake(root, "a", [(1, 0, 1.0), (1, 1, 3.0), (2, 0, 5.0), (9, 0, 5.0)]),
        "b": fake(root, "b", [(1, 0, 2.0), (1, 1, 4.5), (2, 0, 5.5)]),
        "c": fake(root, "c", [(1, 7, 2.0), (1, 8, 4.5)]),
    }
    monkeypatch.setattr(sweep_compare, "rows_of", lambda book, name: tables[name])
    one, two = sweep_compare.compare(Book(root), "a", "b")
    assert (one["n"], one["measure"], one["difference"], one["interval"]) == (1, "x", 1.25, "paired seeds")
    width = 2 * 12.7062047 * 0.25  # sd of (1, 1.5) / sqrt 2, t with 1 degree of freedom
    assert math.isclose(one["high"] - one["low"], width, rel_tol=1e-8)
    assert two["difference"] == 0.5 and two["low"] is None and two["interval"] == "none"
    [welch] = sweep_compare.compare(Book(root), "a", "c")
    assert welch["interval"] == "independent seeds" and welch["difference"] == 1.25
    from scipy.stats import ttest_ind

    peer = ttest_ind([2.0, 4.5], [1.0, 3.0], equal_var=False).confidence_interval(0.95)
    assert math.isclose(welch["low"], peer.low) and math.isclose(welch["high"], peer.high)
    tables["c"] = [{"state": "done", "n": 77, "seed": 0, "measure.x": 1.0}]
    with pytest.raises(ValueError, match="no finished point in common"):
        sweep_compare.compare(Book(root), "a", "c")


def test_a_mean_over_seeds_has_the_t_interval():
    from scipy.stats import t

    for n in (2, 5, 20, 40):
        values = [math.sin(7 * i) for i in range(n)]
        mean, half = sweep_intervals.mean_and_interval(values)
        sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
        assert math.isclose(half, t.ppf(0.975, n - 1) * sd / math.sqrt(n), rel_tol=2e-3)
    assert math.isnan(sweep_intervals.mean_and_interval([1.0])[1])


def test_a_table_of_a_sweep_that_never_ran_is_refused(root, capsys):
    assert sweep.main(["table", "nothing", "--root", str(root)]) == 2
    assert "has not run here" in capsys.readouterr().err


# profiles


def test_a_profile_is_checked_to_start(tmp_path, capsys):
    root = write_book(tmp_path, "import time\nif act == 'long': time.sleep(60)\nif act == 'bad': 1 / 0")
    toc = "format: jb-book\nroot: book/index\nparts:\n- caption: A\n  chapters:\n"
    for name in ("01_a", "02_b", "03_c", "04_d"):
        path = root / "book" / "part" / f"{name}.ipynb"
        path.write_text((root / "book" / "part" / "01_a.ipynb").read_text())
        toc += f"  - file: book/part/{name}\n"
    (root / "_toc.yml").write_text(toc)
    text = "part/01_a: {n: 2}\npart/02_b: {act: long}\npart/03_c: {act: bad}\npart/04_d: {nn: 2}\n"
    (root / "params" / "paper.yml").write_text(text)
    assert sweep.main(["check-profile", "paper", "--seconds", "12", "--root", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:2] for line in lines] == [
        ["part/01_a", "finished"], ["part/02_b", "started"], ["part/03_c", "failed"], ["part/04_d", "refused"],
    ]  # fmt: skip
    assert (
        "1 of 4" in lines[1] and "MB" in lines[1] and "division by zero" in lines[2] and "unknown parameter" in lines[3]
    )
    assert sweep.main(["check-profile", "paper", "part/02_b", "--seconds", "3", "--root", str(root)]) == 0
    assert sweep.main(["check-profile", "huge", "--root", str(root)]) == 2
    assert sweep.main(["check-profile", "paper", "part/09_z", "--root", str(root)]) == 2
