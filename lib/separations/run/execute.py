"""Run one notebook: `python -m separations.run NOTEBOOK --params FILE --out DIR`.

The parameters are checked before anything runs. DIR then receives the executed notebook, `result.json`, `run.log` and,
last of all, `SUCCESS`, which holds the SHA-256 of `result.json`. Only `is_success(DIR)` tells a finished run from one
that failed, timed out or was killed: a notebook file alone does not. DIR is new, empty, or that of an earlier run.

Exit status: 0 done, 1 the notebook failed, 2 bad input (nothing was run), 74 no result can be written, 124 a cell timed out,
128 + n stopped by signal n.
"""

import argparse
import operator
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from ..command_line import guarded, say, tell
from ..exercises import summary, tally
from ..files import PACKAGE
from ..machine import cores, peak_memory, threads_in_use
from ..yaml_files import parse_yaml
from .environment import environment, log_to, open_streams
from .executed import Outcome, hide_paths
from .fingerprint import FORMAT, fingerprint
from .folder import check_folder, clean, locked
from .notebooks import book_root, notebook_key, read_notebook, resolved, tags_of
from .parameters import checked_parameters, literal_cell, overrides_for
from .profiles import DEFAULT_PROFILE, Book
from .results import finish, read_result
from .stopping import Stopped, heard, stop_on_signals

DEFAULT_TIMEOUT = 900  # seconds a cell
MOST_THREADS = 1024
UNWRITABLE = 74  # EX_IOERR


def run(
    notebook: str | Path,
    out: str | Path,
    overrides: Mapping | None = None,
    *,
    profile: str = DEFAULT_PROFILE,
    timeout: int = DEFAULT_TIMEOUT,
    threads: int | None = None,
    key: str | None = None,
) -> Outcome:
    """Execute a notebook into the folder `out` and say how it ended.

    overrides: parameters that differ from the defaults; profile: a name for them, recorded; timeout: seconds a cell;
    threads: for the numerical libraries (default: as the environment says); key: the notebook's name in the evidence.
    ValueError for bad input, before anything is run or written.
    """
    notebook, out = _paths(notebook, out)
    key = key or notebook_key(notebook)
    timeout = _whole(timeout, "timeout", "number of seconds")
    threads = None if threads is None else _whole(threads, "threads", "number of threads", MOST_THREADS)
    content = read_notebook(notebook)
    defaults, overrides = checked_parameters(content, overrides or {}, key)
    _check_library(notebook)
    hashes = fingerprint(notebook, overrides)
    check_folder(out, notebook.stem)
    open_streams()
    with locked(out):
        try:
            clean(out, notebook.stem)
        except OSError as error:
            raise ValueError(f"out = {str(out)!r}: this folder cannot be emptied ({error.strerror})") from None
        started = time.monotonic()
        with environment(out, threads), log_to(out / "run.log"):
            from .kernel import execute  # takes its time, and reads settings of the environment

            content = _injected(content, overrides)
            outcome, facts = execute(content, out / f"{notebook.stem}.running.ipynb", notebook.parent, timeout)
        result = {
            "format": FORMAT,
            "notebook": key,
            "profile": profile,
            "parameters": {**defaults, **overrides},
            "overrides": dict(overrides),
            "seconds": round(time.monotonic() - started, 2),
            "peak_memory_mb": peak_memory(),
            "threads": threads_in_use(threads),
            "versions": facts.versions,
            "library": hide_paths(facts.library, notebook),
            "machine": {"system": f"{platform.system()} {platform.machine()}", "cores": cores()},
            "hashes": hashes,
        }
        return finish(out, notebook, outcome, result)


def _paths(notebook: str | Path, out: str | Path) -> tuple[Path, Path]:
    """Both from the root. ValueError where they cannot be what they are to be."""
    if not str(out).strip():
        raise ValueError(f"out = {str(out)!r}: the name of a folder is needed")
    if os.path.islink(out) and not os.path.exists(out):
        raise ValueError(f"out = {str(out)!r}: a link that leads nowhere; a folder is needed")
    notebook, out = resolved(notebook), resolved(out, "out")
    if out == notebook.parent:
        raise ValueError(f"out = {str(out)!r}: the notebook's own folder, where its executed copy would replace it")
    return notebook, out


def _whole(value: object, name: str, what: str, most: int | None = None) -> int:
    """A whole number of at least 1, of any library; ValueError otherwise."""
    try:
        whole = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = 0
    if whole < 1 or (most and whole > most):
        raise ValueError(f"{name} = {value!r}: a {what} {f'from 1 to {most}' if most else 'of at least 1'} is needed")
    return whole


def _check_library(notebook: Path) -> None:
    """ValueError where the notebook's own repository has another copy of the library than the one at work.

    An editable installation goes on naming the folder that it was made in, also from within a copy of that folder.
    """
    if own := Book(book_root(notebook)).other_library():
        raise ValueError(
            f"notebook = {str(notebook)!r}: its repository has the library in {own}, and the one that was started is"
            f" {PACKAGE}; start the run from an environment made in that repository, or with PYTHONPATH={own.parent}"
        )


def _injected(notebook: Mapping, overrides: Mapping) -> dict:
    """The notebook with a cell of the overrides behind its parameters, and without one of an earlier run."""
    cells = [cell for cell in notebook["cells"] if "injected-parameters" not in tags_of(cell)]
    if overrides:
        at = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "code" and "parameters" in tags_of(cell))
        cell = {"cell_type": "code", "id": "injected-parameters", "metadata": {"tags": ["injected-parameters"]}}
        cells.insert(at + 1, {**cell, "source": literal_cell(overrides), "outputs": [], "execution_count": None})
    return {**notebook, "cells": cells}


def _setting(text: str) -> tuple[str, object]:
    """`name=value` of --set, the value read as YAML."""
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    try:
        return name.strip(), parse_yaml(value, f"the value of {name.strip()!r}")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str):
        raise ValueError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        allow_abbrev=False, prog="python -m separations.run", description="Run one notebook with checked parameters."
    )
    parser.add_argument("notebook", help="the notebook to execute")
    parser.add_argument("--params", help="YAML file: flat 'name: value', or a profile with notebook paths as keys")
    parser.add_argument("--profile-key", help="the notebook's key in a profile (default: its path in book/)")
    parser.add_argument(
        "--out", required=True, help="folder for the executed notebook, result.json, run.log and SUCCESS"
    )
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="NAME=VALUE", help="one parameter, over the file's"
    )
    parser.add_argument(
        "--timeout", type=int, default=DEFAULT_TIMEOUT, help="seconds a cell may take (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, help="threads of the numerical libraries (default: as the environment says)"
    )
    return parser


def _settings(pairs: list[tuple[str, object]]) -> dict:
    """The values of --set by name. ValueError for a name that is given twice."""
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"--set {twice[0]} is given {names.count(twice[0])} times; one value is needed")
    return dict(pairs)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    open_streams()
    stop_on_signals()
    try:
        return guarded("run", lambda: _main(_parser().parse_args(arguments)), _status, _words)
    except Stopped as error:
        heard()
        say(f"separations.run: {error}")
        return 128 + error.signum


def _status(error: Exception) -> int:
    return UNWRITABLE if isinstance(error, OSError) and not isinstance(error, ValueError) else 2


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _main(options: argparse.Namespace) -> int:
    profile, out = Path(options.params).stem if options.params else DEFAULT_PROFILE, resolved(options.out, "out")
    settings = _settings(options.set)
    overrides = overrides_for(options.notebook, options.params, options.profile_key) | settings
    outcome = run(
        options.notebook,
        options.out,
        overrides,
        profile=profile if not settings else f"{profile}, changed",
        timeout=options.timeout,
        threads=options.threads,
        key=options.profile_key,
    )
    result = read_result(out) or {}
    if result.get("status") == "ok":
        tell(f"{result['notebook']}: {result['seconds']:.0f} s, peak {result['peak_memory_mb']:.0f} MB", must=False)
        if said := summary(tally(read_notebook(out / result["file"]))):
            tell(said, must=False)  # that a notebook ran says nothing of the answers in it
        return 0
    where = Path(options.out) / "run.log"
    reason = " ".join((result.get("error") or outcome.error).split())[:300]
    say(f"separations.run: {options.notebook} {result.get('status', 'failed')}: {reason} (log: {where})")
    return outcome.code or 1
