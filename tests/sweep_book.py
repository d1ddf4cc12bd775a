"""A tiny book for the tests of sweeps: one notebook with parameters, measures, a table and a picture."""

import json
import sys
from hashlib import sha256
from pathlib import Path

PARAMETERS = (
    "n = 1  # number (count)\nrate = 0.5  # rate (per step)\nseed = 0  # seed (whole number)\n"
    "widths = [1, 2]  # widths (counts)\nlabel = 'a'  # name (text)\nact = ''  # what to do besides (text)"
)
RECORD = """
import json, os, pathlib
folder = pathlib.Path(os.environ["SEPARATIONS_EVIDENCE"])
(folder / "part__01_a.rows.csv").write_text(f"k,value\\n1,{n}\\n2,{2 * n}\\n")
evidence = {"notebook": "part/01_a", "version": "0", "measures": {"x": n * rate + seed, "y": 1.0}, "tables": ["rows"]}
evidence["claims"] = [{"id": "a.one", "ours": "it is", "verdict": "holds", "figure": ""}]
(folder / "part__01_a.json").write_text(json.dumps(evidence))
"""
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = f"from IPython.display import display\ndisplay({{'image/png': '{DOT}'}}, raw=True)"


def cell(source: str, i: int, **metadata) -> dict:
    """A code cell without outputs."""
    return {"cell_type": "code", "id": f"c{i}", "execution_count": None, "metadata": metadata, "outputs": [], "source": source}  # fmt: skip


def write_notebook(path: Path, *cells: str, parameters: str = PARAMETERS, rules: tuple[str, ...] = ()) -> Path:
    """The tiny notebook; `cells` stand between the parameters, with their rules, and what it records."""
    sources = [*cells, RECORD]
    require = f"from separations.parameter_rules import require\nrequire(globals(), {', '.join(map(repr, rules))})"
    content = {
        "cells": [
            cell(parameters, 0, tags=["parameters"]),
            *([cell(require, 98, tags=["parameter-rules"])] if rules else []),
            *(cell(source, i) for i, source in enumerate(sources, 1)),
            cell(PICTURE, 99, mystnb={"figure": {"name": "fig-dot"}}),
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_book(root: Path, *cells: str) -> Path:
    """A repository with that notebook, a profile and a folder for sweeps; returns its root."""
    write_notebook(root / "book" / "part" / "01_a.ipynb", *cells)
    (root / "params").mkdir(exist_ok=True)
    (root / "params" / "smoke.yml").write_text("part/01_a: {rate: 2.0}\n")
    (root / "sweeps").mkdir(exist_ok=True)
    return root


def write_sweep(root: Path, text: str, name: str = "s") -> str:
    """A sweep file of the tiny book; returns its path."""
    path = root / "sweeps" / f"{name}.yml"
    path.write_text(text if "notebook:" in text else f"notebook: part/01_a\n{text}")
    return str(path)


def sweep_command(root: Path, path: str, *options: str) -> list[str]:
    """The command that runs a sweep file of that repository."""
    return [sys.executable, "-m", "separations.sweep", "run", path, "--root", str(root), *options]


def write_result(run, measures: dict | None = None, recorded: dict[str, str] | None = None, **changes) -> Path:
    """Files of a finished run of the tiny book, without running it; `changes` are those of `result.json`. Returns its folder."""
    executed, hashes = "{}", {}
    (run.folder / "tables").mkdir(parents=True, exist_ok=True)
    (run.folder / "01_a.ipynb").write_text(executed)
    for name, text in (recorded or {}).items():
        (run.folder / "tables" / f"{name}.csv").write_bytes(text.encode())
        hashes[name] = sha256(text.encode()).hexdigest()
    result = {
        "status": "ok", "error": "", "notebook": "part/01_a", "profile": "laptop", "seconds": 1.5, "peak_memory_mb": 9.0,
        "parameters": {"n": 1, "rate": 0.5, "seed": 0, "widths": [1, 2], "label": "a", "act": "", **run.overrides},
        "hashes": {"key": run.key}, "evidence": [{"notebook": "part/01_a", "measures": measures or {}, "claims": []}],
        "tables": hashes, "file": "01_a.ipynb", "executed": sha256(executed.encode()).hexdigest(),
    } | changes  # fmt: skip
    content = json.dumps(result)
    (run.folder / "result.json").write_text(content)
    (run.folder / "SUCCESS").write_text(sha256(content.encode()).hexdigest() + "\n")
    return run.folder
