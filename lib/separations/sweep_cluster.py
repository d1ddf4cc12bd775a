"""Run a sweep through Snakemake: its executors reach Slurm, Kubernetes and others; the jobs do what the local workers do."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .dependencies import PACKAGE
from .files import write_whole
from .sweep_file import Sweep
from .sweep_plan import Run, index_text, standing, sweep_folder


def snakefile(root: Path) -> Path:
    """`sweep.smk` of the repository."""
    path = root / "sweep.smk"
    return path if path.is_file() else PACKAGE.parents[1] / "sweep.smk"


def forget_unfinished(runs: Sequence[Run]) -> None:
    """Remove the sentinels of runs that belong to other sources: Snakemake looks at nothing else."""
    for run in runs:
        if standing(run).state not in ("done", "running"):
            with contextlib.suppress(FileNotFoundError):
                (run.folder / "SUCCESS").unlink()


def command(sweep: Sweep, root: Path, options: Sequence[str] = (), jobs: int | None = None) -> list[str]:
    """The call of Snakemake. options: handed on; they come last, so they count."""
    plan = sweep_folder(root, sweep.name) / "plan.json"
    call = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile(root)), "--directory", str(root)]
    call += ["--config", f"plan={plan}", f"root={root}"]
    call += [
        "--keep-going",
        "--nolock",
        "--rerun-incomplete",
        "--rerun-triggers",
        "mtime",
        "--retries",
        str(sweep.retries),
    ]
    if jobs is not None:
        call += ["--jobs", str(jobs)]
    elif not any(option.split("=")[0] in ("--jobs", "-j", "--cores", "-c") for option in options):
        call += ["--cores", "all"]
    return [*call, *options]


def run_with_snakemake(
    sweep: Sweep, root: Path, runs: Sequence[Run], options: Sequence[str], jobs: int | None, verbose: bool
) -> int:
    """Run a planned sweep through Snakemake, its messages in `snakemake.log` unless verbose; returns its exit status."""
    forget_unfinished(runs)
    call, log = command(sweep, root, options, jobs), sweep_folder(root, sweep.name) / "snakemake.log"
    if verbose:
        code = subprocess.run(call, stdin=subprocess.DEVNULL).returncode
    else:
        with log.open("w", encoding="utf-8") as handle:
            code = subprocess.run(call, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.STDOUT).returncode
    write_whole(log.with_name("index.csv"), index_text(sweep.swept, [(run, standing(run)) for run in runs]))
    return code
