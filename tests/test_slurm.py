"""A sweep through a real Slurm: opt-in, for it installs Debian's packages and starts their daemons. SEPARATIONS_SLURM=1, as root.

The executor plugin of Snakemake goes to a folder of the test's own.
"""

import csv
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from separations.run.profiles import Book
from separations.run.results import is_success
from separations.sweep import table as sweep_table
from sweep_book import sweep_command, write_book, write_notebook, write_sweep
from test_batch_page import bash, commands, stub_repository

pytestmark = pytest.mark.skipif(
    not os.environ.get("SEPARATIONS_SLURM"), reason="installs and starts a Slurm: SEPARATIONS_SLURM=1"
)
HERE = Path(__file__).parent
PLUGIN = ("snakemake-executor-plugin-slurm", "snakemake-executor-plugin-slurm-jobstep")
# without accounting the default way to ask for a job's state hangs
WITHOUT = "--latency-wait 10 --slurm-status-command squeue --seconds-between-status-checks 3 --slurm-init-seconds-before-status-checks 3"
DEFAULTS = "--default-resources slurm_account=none slurm_partition=main runtime=10 mem_mb=0"
OPTIONS = ["--executor", "slurm", "--jobs", "4", *WITHOUT.split(), *DEFAULTS.split()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Environment of a running one-node Slurm."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([str(HERE / "slurm" / "start.sh"), str(folder)], check=True, timeout=600)
    plugins = folder / "plugins"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(plugins), *PLUGIN]
    subprocess.run(pip, check=True, timeout=300)
    path = os.pathsep.join([str(plugins), str(HERE.parent / "lib"), os.environ.get("PYTHONPATH", "")])
    try:
        yield os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PYTHONPATH": path}
    finally:
        subprocess.run([str(HERE / "slurm" / "start.sh"), str(folder), "stop"], timeout=60)


def run(cluster, root, path, *options):
    command = sweep_command(root, path, "-v", "--", *OPTIONS, *options)
    return subprocess.run(command, env=cluster, cwd=root, capture_output=True, text=True, timeout=500)


def test_a_sweep_on_slurm_gives_the_same_table_as_here_and_is_not_run_twice(cluster, tmp_path):
    root = write_book(tmp_path, "import os\nlabel = os.environ.get('SLURM_JOB_ID', '')", "if n == 3: 1 / 0")
    path = write_sweep(root, "grid: {n: [1, 2, 3]}\nseeds: [0, 1]\nresources: {cores: 1, time: 5}\nretries: 0\n")
    ended = run(cluster, root, path)
    assert ended.returncode == 1, ended.stderr[-3000:]  # the third fails, the others do not
    rows = sweep_table.rows_of(Book(root), "s")
    assert [(row["n"], row["seed"], row["state"]) for row in rows] == [
        (n, seed, "failed" if n == 3 else "done") for n in (1, 2, 3) for seed in (0, 1)
    ]
    assert [row["measure.x"] for row in rows[:4]] == [0.5, 1.5, 1.0, 2.0]
    assert {row["reason"] for row in rows[4:]} == {"ZeroDivisionError: division by zero"}
    assert "SLURM" in ended.stderr or "slurm" in ended.stderr
    runs = sorted((root / "_build" / "sweeps" / "s" / "runs").iterdir())
    before = {run: (run / "result.json").stat().st_mtime_ns for run in runs if is_success(run)}
    assert len(before) == 4
    with (root / "_build" / "sweeps" / "s" / "table.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
    write_sweep(root, "grid: {n: [1, 2, 4]}\nseeds: [0, 1]\nresources: {cores: 1, time: 5}\nretries: 0\n")
    again = run(cluster, root, path)
    assert again.returncode == 0, again.stderr[-3000:]
    assert {run: (run / "result.json").stat().st_mtime_ns for run in before} == before


def test_two_sweeps_on_one_slurm_at_once(cluster, tmp_path):
    root = write_book(tmp_path)
    paths = [write_sweep(root, f"grid: {{n: [{i}, {i + 1}]}}\n", f"s{i}") for i in (1, 5)]
    paths.append(paths[0])  # and one of them twice
    command = [sys.executable, "-m", "separations.sweep", "run"]
    options = ["--root", str(root), "-v", "--", *OPTIONS]
    many = [subprocess.Popen([*command, path, *options], env=cluster, cwd=root) for path in paths]
    assert [process.wait(400) for process in many] == [0, 0, 0]
    for name in ("s1", "s5"):
        assert {row["state"] for row in sweep_table.rows_of(Book(root), name)} == {"done"}


def test_a_job_that_is_cancelled_is_no_success_and_a_restart_finishes_it(cluster, tmp_path):
    root = write_book(tmp_path, "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.1)")
    path = write_sweep(root, "grid: {n: [1]}\nretries: 0\n")
    command = [sys.executable, "-m", "separations.sweep", "run", path, "--root", str(root), "-v", "--", *OPTIONS]
    process = subprocess.Popen(command, env=cluster, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        listed = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%i"], env=cluster, capture_output=True, text=True)
        log = list((root / "_build" / "sweeps" / "s" / "runs").glob("*/run.log"))
        if listed.stdout.split() and log:
            break

        time.sleep(0.2)
    subprocess.run(["scancel", "--signal=KILL", "--full", *listed.stdout.split()], env=cluster, check=True)
    assert process.wait(120) == 1
    assert [row["state"] for row in sweep_table.rows_of(Book(root), "s")] == ["failed"]
    write_notebook(root / "book" / "part" / "01_a.ipynb")
    assert run(cluster, root, path).returncode == 0


def test_the_commands_of_the_page_work_on_it(cluster, tmp_path):
    root = stub_repository(tmp_path)
    wanted = [c for c in commands() if "--executor slurm --jobs" in c]
    assert len(wanted) == 2
    toc = (root / "_toc.yml").read_text()  # two chapters of the book are enough
    kept = [
        line
        for line in toc.splitlines()
        if "file: book/" not in line or "/13_" in line or "/14_" in line or "index" in line
    ]
    (root / "_toc.yml").write_text("\n".join(kept) + "\n")
    for name in ("pruning_ratio", "tiny"):
        (root / "sweeps" / f"{name}.yml").unlink()
    path = root / "sweeps" / "figure_3a.yml"  # and two runs of the sweep
    text = re.sub(r"widths: .*", "widths: [[8]]", path.read_text())
    path.write_text(text.replace(", [64, 256], [128, 256]", "").replace("seeds: [0, 1, 2]", "seeds: [0]"))
    for command in wanted:
        places = {
            "ACCOUNT": "none",
            "PARTITION": "main",
            "mem_mb=16000": "mem_mb=1000",
            "--default-resources": f"{WITHOUT} --default-resources",
        }
        for word, meant in places.items():
            command = command.replace(word, meant)
        command = command.replace("snakemake --config", "snakemake notebooks --config")  # rendering needs no cluster
        done = bash(root, command, **{k: cluster[k] for k in ("SLURM_CONF", "PYTHONPATH")})
        assert done.returncode == 0, done.stderr[-3000:]
    assert {row["state"] for row in sweep_table.rows_of(Book(root), "figure_3a")} == {"done"}
    assert is_success(root / "_build" / "runs" / "paper" / "foundations" / "13_two_scores")
