"""One sweep as a Snakemake graph, for its executors: each run is a job that writes its own folder.

    python -m separations.sweep run sweeps/X.yml -- --executor slurm --jobs 20 ...     plans the sweep and calls this
    snakemake --snakefile sweep.smk --config file=sweeps/X.yml --cores 2               the same, planned here

A finished run is one whose sentinel is there; those that belong to other sources lose it before the graph is built.
config: file (a sweep file) or plan (its plan.json), root (the repository).
"""

import json
import sys
from pathlib import Path

ROOT = Path(config.get("root", workflow.basedir)).resolve()
sys.path.insert(0, str(Path(workflow.basedir) / "lib"))

from separations import sweep_cluster, sweep_file, sweep_plan

if "plan" not in config:
    if "file" not in config:
        raise ValueError("name the sweep: --config file=sweeps/X.yml")
    sweep = sweep_file.read_sweep(config["file"], ROOT)
    PLAN_FILE = sweep_plan.sweep_folder(ROOT, sweep.name) / "plan.json"
    if workflow.is_main_process:
        runs = sweep_plan.runs_of(sweep, ROOT)
        sweep_plan.write_plan(sweep, ROOT, runs)
        sweep_cluster.forget_unfinished(runs)
else:
    PLAN_FILE = Path(config["plan"])

if "plan" not in config:

    def finish():
        sweep_cluster.finish(sweep.name, ROOT, sweep_plan.read_plan(ROOT, sweep.name)[1], sweep.swept)

    onsuccess:
        finish()

    onerror:
        finish()


PLAN = json.loads(PLAN_FILE.read_text(encoding="utf-8"))
RUNS = str(PLAN_FILE.parent / "runs")
WANTED = {name: value for name, value in PLAN["resources"].items() if value}


wildcard_constraints:
    run="[0-9a-f]+",


localrules:
    all,


rule all:
    input:
        expand(f"{RUNS}/{{run}}/SUCCESS", run=PLAN["runs"]),


# The run writes everything else beside its sentinel, which is the only declared output, as in the Snakefile of the book. `update`:
# Snakemake removes an output before its job, and another scheduler may have finished this run since the graph was built.
rule execute:
    output:
        update(f"{RUNS}/{{run}}/SUCCESS"),
    threads: WANTED.get("cores", 1)
    resources:
        **{ours: WANTED[name] for name, ours in (("memory", "mem_mb"), ("time", "runtime"), ("gpus", "gpu")) if name in WANTED},
    params:
        python=sys.executable,
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        root=str(ROOT),
        lib=str(Path(workflow.basedir) / "lib"),
    shell:
        "PYTHONPATH={params.lib:q} {params.python:q} -m separations.sweep_worker {params.folder:q} --root {params.root:q} --wait"
