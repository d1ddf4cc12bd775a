"""Many runs of one notebook: `python -m separations.sweep run sweeps/X.yml`.

    run FILE [-- OPTIONS]   run what is not finished; options after -- go to Snakemake, for a cluster
    table NAME              one table of all runs, as CSV and Parquet
    compare FIRST SECOND    two sweeps, point by point
    check-profile PROFILE   whether every chapter starts under a profile, on a CPU

Exit status: 0 all runs finished, 1 some did not, 2 bad input, 128 + n stopped by signal n.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from .. import readable
from ..command_line import guarded, say, tell
from ..files import PACKAGE
from ..run.profiles import Book
from .cluster import command, run_with_snakemake
from .columns import said
from .compare import compare
from .file import NAME, Sweep, content_hash, read_sweep
from .local import Interrupted, Scheduler, gpus_here, jobs_here
from .plan import Run, read_plan, runs_of, write_plan
from .standing import OTHER, Standing, standings
from .table import csv_text, write_tables
from .times import expected_seconds, past_seconds

ALL, FIRST = 100, 20  # so many runs are listed one by one; of more only the first few


def planned(path: str, book: Book) -> tuple[Sweep, list[Run]]:
    """A sweep and its runs, nothing written. ValueError for bad input, or a folder that belongs to another file."""
    check_library(book)
    sweep = read_sweep(path, book)
    if (sweep.folder / "plan.json").exists():
        other = read_plan(book, sweep.name)[0]["file"]
        if other != sweep.file and Path(book.root, other).is_file():
            raise ValueError(f"{path}: _build/sweeps/{sweep.name} belongs to {other}: give this file another name")
    return sweep, runs_of(sweep)


def check_library(book: Book) -> None:
    """ValueError where the repository has a library of its own and another one is in use, as in a copied clone."""
    if own := book.other_library():
        raise ValueError(f"{own} is the library of this book, but {PACKAGE} is in use: set PYTHONPATH={shlex.quote(str(own.parent))}")  # fmt: skip


def dry_run(sweep: Sweep, runs: Sequence[Run], jobs: int, options: Sequence[str], verbose: bool = False) -> int:
    """Say what would run, and about how long it would take. verbose: list each run, however many there are."""
    to_do = [(run, how) for run, how in zip(runs, standings(runs)) if how.state != "done"]
    _list(to_do, verbose, tell, lambda run, how: f"{run.id} {said(run)}{f'  ({how.state}: {how.reason})' if how.reason else ''}")  # fmt: skip
    tell(f"{sweep.name}: {len(runs)} runs of {sweep.notebook}, {len(runs) - len(to_do)} finished, {len(to_do)} to run")
    expected = expected_seconds(sweep, past_seconds(sweep.book, sweep.notebook)) if to_do else None
    if expected:
        each = [expected(run.id) for run, _ in to_do]
        about = readable.duration(max(sum(each) / jobs, max(each)))  # never less than the longest single run
        tell(f"time: about {about} with {jobs} at a time ({readable.duration(sum(each))} one after another)")
    elif to_do:
        tell("time: unknown, for the notebook has not run here yet")
    if options:
        tell(f"would call: {shlex.join(command(sweep, options))}")
    return 0


def _list(
    found: Sequence[tuple[Run, Standing]],
    every: bool,
    write: Callable[[str], None],
    line: Callable[[Run, Standing], str],
) -> None:
    """A line for each run; of very many the first few."""
    shown = found if every or len(found) <= ALL else found[:FIRST]
    for run, how in shown:
        write(" ".join(line(run, how).split()))
    if len(shown) < len(found):
        write(f"... and {len(found) - len(shown)} more (-v lists all)")


def run_sweep(path: str, book: Book, jobs: int | None, dry: bool, verbose: bool, options: Sequence[str]) -> int:
    """Run a sweep; returns the exit status."""
    sweep, runs = planned(path, book)
    width = jobs if jobs and options else jobs_here(sweep, jobs)  # with options the jobs may be on other machines
    if dry:
        return dry_run(sweep, runs, width, options, verbose)
    if sweep.resources["gpus"] and not options and len(gpus_here()) < sweep.resources["gpus"]:
        raise ValueError(f"{path}: resources.gpus = {sweep.resources['gpus']}: this machine has {len(gpus_here())}")
    started = datetime.now().isoformat(timespec="seconds")
    write_plan(sweep, runs)
    code = 0
    if options:
        ended = run_with_snakemake(sweep, runs, options, jobs, verbose)
        if ended and not verbose:
            say(f"Snakemake ended with status {ended}; its messages: {sweep.folder / 'snakemake.log'}")
    else:
        try:
            Scheduler(sweep, runs, width, verbose).work()
        except Interrupted as error:
            say(f"separations.sweep: {error}; what was finished stays, start it again to go on")
            code = 128 + error.signum
    return code or conclude(sweep, path, runs, started, verbose)


def conclude(sweep: Sweep, path: str, runs: Sequence[Run], started: str, verbose: bool = False) -> int:
    """Write the tables and say how the sweep ended; returns the exit status."""
    open_ends = [(run, how) for run, how in zip(runs, standings(runs)) if how.state != "done"]
    if any(how.reason == OTHER for _, how in open_ends):
        say("notebook, library or requirements changed while the sweep ran: start it again")
    _list(open_ends, verbose, say, lambda run, how: f"{how.state.upper()}: {run.id} {said(run)}: {how.reason[:300] or 'not run'}")  # fmt: skip
    if _changed(sweep, path):
        say(f"{path} or its profile changed while the sweep ran: the runs are those of the file as it was read at {started}; start it again for the new one")  # fmt: skip
    write_tables(sweep.book, sweep.name)
    tell(f"{sweep.name}: {len(runs) - len(open_ends)} of {len(runs)} runs finished; {sweep.folder / 'index.csv'}")
    return 1 if open_ends else 0


def _changed(sweep: Sweep, path: str) -> bool:
    try:
        return content_hash(Path(path).read_bytes(), sweep.book) != sweep.sha256
    except (OSError, ValueError):  # one of them is gone
        return True


def _number(low: int, high: int) -> Callable[[str], int]:
    """Reader of a whole number from low to high on the command line."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]!r}: a whole number from {low} to {high} is needed")
        return int(text)

    return read


def _name(book: Book, given: str) -> str:
    """Name of a sweep that was given by its name or its file. ValueError where its folder belongs to another file."""
    path = Path(given)
    name = path.stem if path.suffix in (".yml", ".yaml") else given
    if not NAME.fullmatch(name):
        raise ValueError(f"sweep = {given!r}: the name of a sweep is needed, or its file")
    if name != given and (path.is_file() or path.name != given):
        file = read_plan(book, name)[0]["file"]
        if Path(book.root, file).resolve() != path.resolve():
            raise ValueError(f"sweep = {given!r}: _build/sweeps/{name} belongs to {file}")
    return name


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options: list[str] = []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, options = arguments[:cut], arguments[cut + 1 :]
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m separations.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    run = tasks.add_parser("run", allow_abbrev=False, help="run what is not finished")
    run.add_argument("file", help="the sweep, a YAML file")
    run.add_argument("--jobs", type=_number(1, 10_000), help="runs at a time (default: as many as fit)")
    run.add_argument("--dry-run", action="store_true", help="say what would run, and about how long")
    run.add_argument("-v", "--verbose", action="store_true", help="a line for each run")
    table = tasks.add_parser("table", allow_abbrev=False, help="one table of all runs, as CSV and Parquet")
    table.add_argument("name", help="the sweep: its file, or its name")
    both = tasks.add_parser("compare", allow_abbrev=False, help="two sweeps, point by point: second minus first")
    both.add_argument("first"), both.add_argument("second")
    check = tasks.add_parser(
        "check-profile", allow_abbrev=False, help="whether every chapter starts under a profile, on a CPU"
    )
    check.add_argument("profile"), check.add_argument("keys", nargs="*", metavar="NOTEBOOK")
    check.add_argument(
        "--seconds", type=_number(1, 10**6), default=60, help="to run each chapter for (default: %(default)s)"
    )
    for one in (run, table, both, check):
        one.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: this folder)")
    chosen = parser.parse_args(arguments)
    try:
        return guarded("sweep", lambda: _do(chosen, Book(_root(chosen.root)), options), _status, _words)
    except KeyboardInterrupt:
        say("separations.sweep: stopped by SIGINT")
        return 130


# what stands where something else was looked for
IN_THE_WAY = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


def _status(error: Exception) -> int:
    return 1 if isinstance(error, OSError) and not isinstance(error, (ValueError, *IN_THE_WAY)) else 2


def _root(given: Path) -> Path:
    try:
        root = given.resolve()
    except RuntimeError:  # links in a circle
        root = given
    if not root.is_dir():
        raise ValueError(f"--root = {str(given)!r}: no such folder")
    return root


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = ": ".join(str(part) for part in (error.filename2 or error.filename, error.strerror) if part)
    else:
        text = str(error)
    return " ".join(text.split())[:2000]


def _do(chosen: argparse.Namespace, book: Book, options: list[str]) -> int:
    if chosen.task == "run":
        return run_sweep(chosen.file, book, chosen.jobs, chosen.dry_run, chosen.verbose, options)
    if chosen.task == "table":
        tell("\n".join(map(str, write_tables(book, _name(book, chosen.name)))))
        return 0
    if chosen.task == "compare":
        tell(csv_text(compare(book, _name(book, chosen.first), _name(book, chosen.second))).removesuffix("\n"))
        return 0
    from .check_profile import check_profile

    return check_profile(book.under(chosen.profile), chosen.keys, chosen.seconds)
