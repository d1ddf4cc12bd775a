"""Many runs of one notebook: `python -m separations.sweep run sweeps/X.yml`.

    run FILE [-- OPTIONS]   run what is not finished; options after -- go to Snakemake, for a cluster
    table NAME              one table of all runs, as CSV and Parquet
    compare FIRST SECOND    two sweeps, point by point
    check-profile PROFILE   whether every chapter starts under a profile, on a CPU

Exit status: 0 all runs finished, 1 some did not, 2 bad input, 128 + n stopped by signal n.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from . import pages
from .sweep_cluster import command, run_with_snakemake
from .sweep_file import Sweep, content_hash, read_sweep
from .sweep_local import Interrupted, Scheduler, gpus_here, jobs_here
from .sweep_plan import OTHER, Run, estimate, past_seconds, read_plan, runs_of, said, standing, sweep_folder, write_plan
from .sweep_table import compare, csv_text, write_tables


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def planned(path: str, root: Path) -> tuple[Sweep, list[Run]]:
    """A sweep and its runs, nothing written. ValueError for bad input, or a folder that belongs to another file."""
    sweep = read_sweep(path, root)
    try:
        other = read_plan(root, sweep.name)[0]["file"]
    except ValueError:
        other = sweep.file
    if other != sweep.file and Path(root, other).is_file():
        raise ValueError(f"{path}: _build/sweeps/{sweep.name} belongs to {other}: give this file another name")
    return sweep, runs_of(sweep, root)


def dry_run(sweep: Sweep, root: Path, runs: Sequence[Run], jobs: int, options: Sequence[str]) -> int:
    """Say what would run, and about how long it would take."""
    ways = [(run, standing(run)) for run in runs]
    to_do = [run for run, how in ways if how.state != "done"]
    for run, how in ways:
        if how.state != "done":
            sys.stdout.write(f"{run.id} {said(run)}{f'  ({how.state}: {how.reason})' if how.reason else ''}\n")
    total = estimate(sweep, to_do, past_seconds(root, sweep.notebook))
    sys.stdout.write(
        f"{sweep.name}: {len(runs)} runs of {sweep.notebook}, {len(runs) - len(to_do)} finished, {len(to_do)} to run\n"
    )
    if to_do and total is None:
        sys.stdout.write("time: unknown, for the notebook has not run here yet\n")
    elif to_do:
        # never less than the longest single run
        longest = max(estimate(sweep, [run], past_seconds(root, sweep.notebook)) for run in to_do)
        about = pages.duration(max(total / jobs, longest))
        sys.stdout.write(f"time: about {about} with {jobs} at a time ({pages.duration(total)} one after another)\n")
    if options:
        sys.stdout.write(f"would call: {shlex.join(command(sweep, root, options))}\n")
    return 0


def run_sweep(path: str, root: Path, jobs: int | None, dry: bool, verbose: bool, options: Sequence[str]) -> int:
    """Run a sweep; returns the exit status."""
    sweep, runs = planned(path, root)
    width = jobs if jobs and options else jobs_here(sweep, jobs)  # with options the jobs may be on other machines
    if dry:
        return dry_run(sweep, root, runs, width, options)
    if sweep.resources["gpus"] and not options and len(gpus_here()) < sweep.resources["gpus"]:
        raise ValueError(f"{path}: resources.gpus = {sweep.resources['gpus']}: this machine has {len(gpus_here())}")
    started = datetime.now().isoformat(timespec="seconds")
    write_plan(sweep, root, runs)
    code = 0
    if options:
        ended = run_with_snakemake(sweep, root, runs, options, jobs, verbose)
        if ended and not verbose:
            _say(
                f"Snakemake ended with status {ended}; its messages: {sweep_folder(root, sweep.name) / 'snakemake.log'}"
            )
    else:
        try:
            Scheduler(sweep, root, runs, width, verbose).work()
        except Interrupted as error:
            _say(f"separations.sweep: {error}; what was finished stays, start it again to go on")
            code = 128 + error.signum
    return code or conclude(sweep, path, root, runs, started)


def conclude(sweep: Sweep, path: str, root: Path, runs: Sequence[Run], started: str) -> int:
    """Write the tables and say how the sweep ended; returns the exit status."""
    folder = sweep_folder(root, sweep.name)
    ways = [(run, standing(run)) for run in runs]
    open_ends = [(run, how) for run, how in ways if how.state != "done"]
    if any(how.reason == OTHER for _, how in open_ends):
        _say("notebook, library or requirements changed while the sweep ran: start it again")
    for run, how in open_ends:
        _say(f"{how.state.upper()}: {run.id} {said(run)}: {how.reason[:300] or 'not run'}")
    if not Path(path).is_file() or content_hash(root, Path(path), sweep.profile) != sweep.sha256:
        _say(f"{path} or its profile changed while the sweep ran: the runs are those of the file as it was read at {started}; start it again for the new one")  # fmt: skip
    write_tables(root, sweep.name)
    sys.stdout.write(
        f"{sweep.name}: {len(runs) - len(open_ends)} of {len(runs)} runs finished; {folder / 'index.csv'}\n"
    )
    return 1 if open_ends else 0


def _number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1 is needed")
    return value


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, options = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(
        prog="python -m separations.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    run = tasks.add_parser("run", help="run what is not finished")
    run.add_argument("file", help="the sweep, a YAML file")
    run.add_argument("--jobs", type=_number, help="runs at a time (default: as many as fit)")
    run.add_argument("--dry-run", action="store_true", help="say what would run, and about how long")
    run.add_argument("-v", "--verbose", action="store_true", help="a line for each run that ended")
    table = tasks.add_parser("table", help="one table of all runs, as CSV and Parquet")
    table.add_argument("name", help="the sweep: its file, or its name")
    both = tasks.add_parser("compare", help="two sweeps, point by point: second minus first")
    both.add_argument("first"), both.add_argument("second")
    check = tasks.add_parser("check-profile", help="whether every chapter starts under a profile, on a CPU")
    check.add_argument("profile"), check.add_argument("keys", nargs="*", metavar="NOTEBOOK")
    check.add_argument("--seconds", type=_number, default=60, help="to run each chapter for (default: %(default)s)")
    for one in (run, table, both, check):
        one.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: this folder)")
    chosen = parser.parse_args(arguments)
    root = chosen.root.resolve()
    try:
        return _do(chosen, root, options)
    except (ValueError, OSError) as error:
        _say(f"separations.sweep: {' '.join(str(error).split())}")
        return 2 if isinstance(error, ValueError) else 1


def _do(chosen: argparse.Namespace, root: Path, options: list[str]) -> int:
    if chosen.task == "run":
        return run_sweep(chosen.file, root, chosen.jobs, chosen.dry_run, chosen.verbose, options)
    if chosen.task == "table":
        sys.stdout.write("".join(f"{path}\n" for path in write_tables(root, Path(chosen.name).stem)))
        return 0
    if chosen.task == "compare":
        sys.stdout.write(csv_text(compare(root, Path(chosen.first).stem, Path(chosen.second).stem)))
        return 0
    from .sweep_profile import check_profile

    return check_profile(root, chosen.profile, chosen.keys, chosen.seconds)


if __name__ == "__main__":
    sys.exit(main())
