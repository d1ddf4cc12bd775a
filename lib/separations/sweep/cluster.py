"""Run a sweep through Snakemake: its executors reach Slurm, Kubernetes and others; the jobs do what the local workers do."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..files import PACKAGE, write_whole
from ..run.profiles import Book
from .columns import index_text
from .file import Sweep
from .local import worker_environment
from .plan import Run, read_plan
from .progress import Progress
from .standing import Standing, standing, standings
from .table import write_tables

LOOK_EVERY = 5  # seconds between two looks at the folders, which may be on a file system of the cluster


def snakefile(book: Book) -> Path:
    """`sweep.smk` of the repository."""
    path = book.root / "sweep.smk"
    return path if path.is_file() else PACKAGE.parents[1] / "sweep.smk"


def forget_unfinished(runs: Sequence[Run]) -> None:
    """Remove the sentinels of runs that belong to other sources: Snakemake looks at nothing else."""
    for run, how in zip(runs, standings(runs)):
        if how.state not in ("done", "running"):
            with contextlib.suppress(FileNotFoundError):
                (run.folder / "SUCCESS").unlink()


def command(sweep: Sweep, options: Sequence[str] = (), jobs: int | None = None) -> list[str]:
    """The call of Snakemake. options: handed on; they come last, so they count.

    The plan is named from the repository, where the call works: a path with braces, spaces or signs of YAML in it would not
    survive `--config`.
    """
    root = sweep.book.root
    plan = (sweep.folder / "plan.json").relative_to(root)
    call = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile(sweep.book)), "--directory", str(root)]
    call += ["--config", f"plan={plan}"]
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


def watch(process: subprocess.Popen, runs: Sequence[Run], found: dict[str, Standing], progress: Progress) -> None:
    """Look at the folders of the runs until the process ends: the jobs may be on other machines."""
    open_ends = [run for run in runs if found[run.id].state != "done"]
    looked, over = 0.0, False
    while not over:
        over = process.poll() is not None  # and then one look more
        if not over and time.monotonic() - looked < LOOK_EVERY:
            time.sleep(0.1)
            progress.tick()
            continue
        looked = time.monotonic()
        found |= {run.id: standing(run) for run in open_ends}
        ended = [run for run in open_ends if found[run.id].state == "done" or (over and found[run.id].state == "failed")]  # fmt: skip
        over_now = {run.id for run in ended}
        open_ends = [run for run in open_ends if run.id not in over_now]
        running = [run.id for run in open_ends if found[run.id].state == "running"]
        for run in ended:
            progress.ended(run, found[run.id], len(running))
        progress.show(len(running))
        progress.index(found, running, now=over)


def run_with_snakemake(
    sweep: Sweep, runs: Sequence[Run], options: Sequence[str], jobs: int | None, verbose: bool
) -> int:
    """Run a planned sweep through Snakemake, its messages in `snakemake.log` unless verbose; returns its exit status."""
    forget_unfinished(runs)
    call, log = command(sweep, options, jobs), sweep.folder / "snakemake.log"
    found = {run.id: how for run, how in zip(runs, standings(runs))}
    progress = Progress(sweep, runs, sum(how.state == "done" for how in found.values()), verbose)
    with contextlib.nullcontext() if verbose else log.open("w", encoding="utf-8") as handle:
        process = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, env=worker_environment())  # fmt: skip
        try:
            watch(process, runs, found, progress)
        except KeyboardInterrupt:  # Snakemake got it from the terminal, too, and cancels its jobs
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            raise
        finally:
            progress.close()
            process.kill()
    return process.wait()


def finish(sweep: Sweep) -> None:
    """Write index and tables of a sweep that Snakemake was called for without our command."""
    runs = read_plan(sweep.book, sweep.name)[1]
    write_whole(sweep.folder / "index.csv", index_text(sweep.swept, zip(runs, standings(runs))))
    write_tables(sweep.book, sweep.name)
