"""One sweep as a Snakemake graph, for its executors: each run is a job that writes its own folder.

    python -m separations.sweep run sweeps/X.yml -- --executor slurm --jobs 20 ...     plans the sweep and calls this
    snakemake --snakefile sweep.smk --config file=sweeps/X.yml --cores 2               the same, planned here

A finished run is one whose sentinel is there; those that belong to other sources lose it before the graph is built.
config: file (a sweep file) or plan (its plan.json), root (the repository; of a plan: the folder of the call).

Snakemake formats what it is given as text: a brace in a path would be a wildcard. So all paths of the graph begin in the
repository, where a sweep's folders have plain names, and what must be absolute comes from a function.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "lib"))

from separations.run.profiles import Book
from separations.sweep import cluster as sweep_cluster, file as sweep_file, plan as sweep_plan

if "plan" in config:
    BOOK = Book(Path(str(config.get("root", ""))).resolve())
    PLAN_FILE = Path(str(config["plan"]))
    NAME = PLAN_FILE.parent.name
    if (BOOK.root / PLAN_FILE).resolve() != BOOK.sweep_folder(NAME) / "plan.json":
        raise ValueError(f"plan = {config['plan']!r}: the plan.json of a sweep in {BOOK.root}/_build/sweeps is needed")
else:
    if "file" not in config:
        raise ValueError("name the sweep: --config file=sweeps/X.yml")
    BOOK = Book(Path(str(config.get("root", workflow.basedir))).resolve())
    sweep = sweep_file.read_sweep(str(config["file"]), BOOK)
    NAME = sweep.name
    if workflow.is_main_process:
        runs = sweep_plan.runs_of(sweep)
        sweep_plan.write_plan(sweep, runs)
        sweep_cluster.forget_unfinished(runs)

    def finish():
        sweep_cluster.finish(sweep)

    onsuccess:
        finish()

    onerror:
        finish()


ROOT = BOOK.root
PLAN = sweep_plan.read_plan(BOOK, NAME)[0]
RUNS = f"_build/sweeps/{NAME}/runs"
WANTED = {name: value for name, value in PLAN["resources"].items() if value}


workdir: ROOT


if Path.cwd() != ROOT:  # --directory comes over it
    raise ValueError(f"--directory = {Path.cwd()}: it must be the repository, {ROOT}")


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
        python=lambda wildcards: sys.executable,
        folder=lambda wildcards: str(ROOT / RUNS / wildcards.run),
        root=lambda wildcards: str(ROOT),
        lib=lambda wildcards: str(Path(workflow.basedir) / "lib"),
    shell:
        "PYTHONPATH={params.lib:q}\"${{PYTHONPATH:+:$PYTHONPATH}}\" {params.python:q} -m separations.sweep.worker {params.folder:q} --root {params.root:q} --wait"
