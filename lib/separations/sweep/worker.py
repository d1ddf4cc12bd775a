"""Execute one run of a sweep: `python -m separations.sweep.worker FOLDER`, where FOLDER holds `run.json`.

Whoever starts it, our own scheduler or Snakemake on a node of a cluster, it does the same: it claims the folder, leaves a run
that is finished as it is, executes any other, and puts the figures beside the executed notebook. Exit status: as
`separations.run`, and 75 where another process is at work on the run.
"""

import argparse
import ast
import base64
import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..command_line import say
from ..files import file_hash, write_whole
from ..run.execute import run
from ..run.notebooks import read_notebook
from ..run.profiles import Book
from ..run.results import is_success
from ..run.stopping import Stopped, heard, stop_on_signals
from .standing import CLAIM, NOTE, checked_result

BUSY = 75  # EX_TEMPFAIL: try again later
FULL = 74  # EX_IOERR: no space left on the disk


class TookTooLong(Stopped):
    """The run as a whole went over its limit."""

    def __init__(self, seconds: int):
        KeyboardInterrupt.__init__(self, f"the run took longer than {seconds} s")
        self.signum = signal.SIGALRM


def figures(folder: Path) -> list[Path]:
    """The pictures of a finished run as files in `figures/`, written anew where they belong to another notebook."""
    result, place = checked_result(folder), folder / "figures"
    names = place / "figures.json"
    mark, files = _listed(names)
    if mark == result["executed"] and all((place / name).is_file() for name in files):
        return [place / name for name in files]
    for name in files:  # and nothing else: what we did not write is not ours
        (place / name).unlink(missing_ok=True)
    written: list[Path] = []
    for cell in read_notebook(folder / result["file"])["cells"]:
        for content in _pictures(cell):
            written.append(place / f"{len(written) + 1:02d}-{_figure_name(cell)}.png")
            write_whole(written[-1], content)
    write_whole(names, json.dumps({"executed": result["executed"], "files": [path.name for path in written]}) + "\n")
    return written


def _listed(path: Path) -> tuple[str | None, list[str]]:
    """The notebook that `figures.json` belongs to, and the pictures it names; nothing where it cannot be read."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        files = [name for name in listed["files"] if Path(name).name == name and name.endswith(".png")]
        return listed["executed"], files
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None, []


def _figure_name(cell: Mapping) -> str:
    """A file name from the name of a cell's figure."""
    entry = cell.get("metadata")
    for key in ("mystnb", "figure", "name"):
        entry = entry.get(key) if isinstance(entry, dict) else None
    return re.sub(r"[^\w-]+", "-", entry.removeprefix("fig-"))[:100] if entry and isinstance(entry, str) else "picture"


def _pictures(cell: Mapping) -> Iterator[bytes]:
    """The PNG pictures among a cell's outputs."""
    for output in cell.get("outputs") or []:
        data = output.get("data") if isinstance(output, dict) else None
        text = data.get("image/png") if isinstance(data, dict) else None
        if text:
            with contextlib.suppress(ValueError, TypeError):  # no base64: no picture
                if content := base64.b64decode(text if isinstance(text, str) else "".join(text)):
                    yield content


@contextlib.contextmanager
def claim(folder: Path, wait: bool):
    """Keep others out of the run; gives False where another process has it and `wait` is not set."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / CLAIM).open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not wait:
                    yield False
                    return
                time.sleep(1.0)
        yield True


def fresh(folder: Path, key: str) -> bool:
    """Whether the folder holds a finished run with this fingerprint.

    A sentinel that alone is missing is put back: the run was killed just before it, or Snakemake, itself killed before it
    noted that the job had ended, took it away. All else is written before it, and is checked against the result's hashes.
    """
    try:
        result, sentinel = checked_result(folder), folder / "SUCCESS"
    except ValueError:
        return False
    if result.get("hashes", {}).get("key") != key or result.get("status") != "ok":
        return False
    if not sentinel.exists():
        write_whole(sentinel, file_hash(folder / "result.json") + "\n")
        if not is_success(folder):
            sentinel.unlink()
    return is_success(folder)


_TASK = {"sweep": str, "notebook": str, "overrides": dict, "key": str, "timeout": int, "limit": int, "cores": int}


def read_task(book: Book, folder: Path) -> dict:
    """What `run.json` asks for. ValueError where it is damaged or asks for a notebook outside the book."""
    path = folder / "run.json"
    try:
        task = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged: it is no JSON") from None
    if not isinstance(task, dict):
        raise ValueError(f"{path} is damaged: it holds a {type(task).__name__}, not a mapping")
    for name, kind in _TASK.items():
        if type(task.get(name)) is not kind or (kind is int and not 0 < task[name] < 2**31):
            raise ValueError(f"{path} is damaged: {name!r} is {'of another kind' if name in task else 'missing'}")
    inside = (book.root / "book").resolve()
    if not book.notebook(task["notebook"]).resolve().is_relative_to(inside):
        raise ValueError(f"{path} is damaged: 'notebook' = {task['notebook']!r} leads out of the book")
    return task | {"overrides": _overrides(task, path)}


def _overrides(task: Mapping, path: Path) -> dict:
    """The overrides with keys that are no text as such, from the Python literal beside the JSON. ValueError where they disagree."""
    if "literal" not in task:
        return task["overrides"]
    try:
        found = ast.literal_eval(task["literal"])
        if isinstance(found, dict) and json.loads(json.dumps(found)) == task["overrides"]:
            return found
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    raise ValueError(f"{path} is damaged: 'literal' and 'overrides' are not the same")


def work(book: Book, folder: Path, wait: bool = False) -> int:
    """Execute the run that `folder/run.json` describes, if it is not finished; returns the exit status."""
    with claim(folder, wait) as mine:
        if not mine:
            return BUSY
        task = read_task(book, folder)
        if fresh(folder, task["key"]):
            figures(folder)
            return 0
        (folder / NOTE).unlink(missing_ok=True)
        outcome = _limited(book, folder, task)
        if outcome.code == 0:
            figures(folder)
        return outcome.code


def _limited(book: Book, folder: Path, task: dict):
    """The run, stopped when it takes longer than its limit: the notebook's cells may each be quick and never end."""

    def over(signum, frame):
        signal.alarm(60)  # should the notebook not give way, the next one ends this process
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise TookTooLong(task["limit"])

    signal.signal(signal.SIGALRM, over)
    signal.alarm(task["limit"])
    try:
        return run(
            book.notebook(task["notebook"]),
            folder,
            task["overrides"],
            profile=f"sweep {task['sweep']}",
            timeout=task["timeout"],
            threads=task["cores"],
        )
    finally:
        signal.alarm(0)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="python -m separations.sweep.worker", description="Execute one run of a sweep."
    )
    parser.add_argument("folder", type=Path, help="folder of the run, with its run.json")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: this folder)")
    parser.add_argument("--wait", action="store_true", help="wait where another process is at work on the run")
    options = parser.parse_args(arguments)
    stop_on_signals()
    folder = options.folder.resolve()
    try:
        return work(Book(options.root.resolve()), folder, options.wait)
    except TookTooLong as error:  # while it wrote what there is
        heard()
        with contextlib.suppress(OSError):
            write_whole(folder / NOTE, f"{error}\n")
        return 128 + error.signum
    except Stopped as error:
        heard()
        return 128 + error.signum
    except (ValueError, OSError) as error:  # a notebook that changed under the sweep; a disk that is full
        reason = " ".join(f"{getattr(error, 'strerror', None) or error}".split())
        with contextlib.suppress(OSError):
            write_whole(folder / NOTE, f"{reason}\n")
        say(f"separations.sweep.worker: {reason}")
        return 2 if isinstance(error, ValueError) else FULL if error.errno == errno.ENOSPC else 1


if __name__ == "__main__":
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # closed
            stream.flush()
    os._exit(code)  # nothing is left to do; the libraries behind would take half a second to unload
