"""The commands of the page *Running in batch*, run for real: in a copy of the repository whose notebooks are stubs.

A stub has the parameters of its chapter, and records a few measures. What needs a Slurm is run by `test_slurm.py`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from separations.book.chapters import notebook_keys
from separations.run.execute import run
from separations.run.notebooks import read_notebook
from separations.run.parameters import parameter_cell
from separations.run.profiles import Book
from separations.run.results import is_success
from sweep_book import cell

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "appendix" / "batch.md").read_text(encoding="utf-8")
RECORD = """
import json, os, pathlib
name = "{key}"
found = {{"loss_gap": 1.0 + globals().get("steps", 0), "least_loss": 2.0, "switch_half_time_16": 0.1 * seed}}
record = {{"notebook": name, "version": "0", "measures": found, "claims": [], "tables": []}}
pathlib.Path(os.environ["SEPARATIONS_EVIDENCE"], name.replace("/", "__") + ".json").write_text(json.dumps(record))
"""


def commands(language: str = "bash") -> list[str]:
    """Commands of the page, one each, continued lines joined and comments dropped."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.partition(" #")[0].split()) for line in lines if line.strip()]


def stub_repository(root: Path) -> Path:
    """The repository without its chapters: each is a stub of its name and parameters."""
    for name in (
        "Makefile",
        "Snakefile",
        "sweep.smk",
        "_toc.yml",
        "_config.yml",
        "constraints.txt",
        "requirements.txt",
    ):
        shutil.copy(ROOT / name, root)
    shutil.copy(ROOT / "pyproject.toml", root)
    for name in ("params", "sweeps", "profiles"):
        shutil.copytree(ROOT / name, root / name)
    (root / "lib").symlink_to(ROOT / "lib")
    for key in notebook_keys(Book(ROOT)):
        source = parameter_cell(read_notebook(ROOT / "book" / f"{key}.ipynb"), key)
        cells = [cell(source, 0, tags=["parameters"]), cell(RECORD.format(key=key), 1)]
        path = root / "book" / f"{key}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    (root / "my.yml").write_text(re.search(r"```yaml\n(n_train.*?)```", PAGE, re.S)[1])
    return root


def bash(root: Path, command: str, **environment) -> subprocess.CompletedProcess:
    """Run a command of the page with this interpreter and this library."""
    shims = root / ".shims"
    shims.mkdir(exist_ok=True)
    for name, call in (("python", ""), ("snakemake", " -m snakemake")):
        (shims / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{call} "$@"\n')
        (shims / name).chmod(0o755)
    variables = os.environ | {"PATH": f"{shims}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "lib"), **environment}
    return subprocess.run(["bash", "-c", command], cwd=root, env=variables, capture_output=True, text=True, timeout=560)


ELSEWHERE = ("--executor slurm --jobs", "pip install snakemake-executor-plugin-slurm")  # in test_slurm.py
NAMES = ("python -m separations.sweep run", "python -m separations.book.store_tables --profile paper")  # in a sentence
RECIPES = {  # targets of make, by what they would call; make itself would install an environment
    "make book": "-m snakemake all",
    "make book PROFILE=paper": "--config profile=paper",
    "make sweep FILE=sweeps/tiny.yml": "-m separations.sweep run sweeps/tiny.yml",
}


def test_every_command_of_the_page_works_one_after_another(tmp_path):
    root = stub_repository(tmp_path)
    paper = root / "_build" / "runs" / "paper" / "foundations" / "13_two_scores"
    ran, inline = [], re.findall(r"`((?:python -m separations|snakemake --snakefile)[^`]* [^`]*)`", PAGE)
    assert len(inline) >= 3
    for command in [*commands(), *inline]:
        if any(part in command for part in ELSEWHERE) or command in NAMES:
            continue
        if command.startswith("make"):
            lines = bash(root, command.replace("make", "make -n")).stdout.splitlines()
            [call] = [line for line in lines if RECIPES[command] in line]
            if "sweep" in command:
                done = bash(root, call.replace(".venv/bin/python", "python"))
                assert done.returncode == 0 and "tiny: 6 of 6 runs finished" in done.stdout, done.stderr
        elif "check-profile" in command:
            done = bash(root, command.replace(" --", " foundations/13_two_scores --", 1))  # one chapter of them
            assert done.returncode == 0 and "finished" in done.stdout
        elif "separations.book.evidence" in command:
            bash(
                root,
                f"python -m separations.run book/foundations/13_two_scores.ipynb --params params/paper.yml --out {paper}",
            )
            done = bash(root, command)
            assert done.stdout == "book/appendix/evidence/paper.json\n" and "NOT RUN" in done.stderr
        else:
            done = bash(root, command, HOME=str(tmp_path))
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            if "compare" in command:
                gap = [line.split(",") for line in done.stdout.splitlines() if ",loss_gap," in line]
                assert [(row[0], float(row[4])) for row in gap] == [("20", 40.0), ("80", 40.0)]  # 80 steps, not 40
        ran.append(command)
    assert len(ran) == 13 + 2
    assert is_success(root / "results" / "two_scores") and is_success(root / "results" / "41-paper")
    assert json.loads((root / "results" / "two_scores" / "result.json").read_text())["parameters"]["n_train"] == 200
    assert (root / "_build" / "sweeps" / "tiny" / "table.parquet").is_file()


@pytest.mark.slow
def test_training_with_two_processes_from_a_notebook(tmp_path):
    [block] = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    before, after = block.split("\n\ndata = ")
    cells = [cell("seed = 0  # seed", 0, tags=["parameters"]), cell(before, 1), cell(f"data = {after}", 2)]
    path = tmp_path / "book" / "part" / "01_a.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    assert run(path, tmp_path / "out", threads=1).code == 0, (tmp_path / "out" / "run.log").read_text()[-3000:]
    saved = load_file(path.with_name("model.safetensors"))
    assert saved.pop("processes") == 2 and saved and all(weight.isfinite().all() for weight in saved.values())
    shown = json.loads((tmp_path / "out" / "01_a.ipynb").read_text())["cells"][-1]["outputs"]
    assert any("2\n" in "".join(output.get("text", "")) for output in shown)
