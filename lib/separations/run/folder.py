"""The folder of a run: taken only where it is empty or ours, locked, and emptied of what an earlier run left.

Ours is a folder whose `.lock` holds our mark, or that holds what runs of earlier versions left. Any other that is not empty is
refused: what a user has there would be lost.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from glob import escape
from pathlib import Path

from ..ledger.tables import NAME

MARK = "This folder belongs to python -m separations.run: another run into it replaces what is there.\n"
PRIVATE = (".evidence", ".ipython")
# What a scheduler puts there beforehand; a run never touches it, but for its log.
BEFOREHAND = {".lock", ".claim", "note.txt", "run.json", "worker.log", "run.log"}
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


def check_folder(out: Path, name: str) -> None:
    """ValueError where the folder `out` may not be written to: no folder, or one with files that no run of ours left.

    name: of the notebook, without its ending. Nothing is written.
    """
    try:
        if not out.exists():
            return
        if not out.is_dir():
            raise ValueError(f"out = {str(out)!r}: this is no folder, and no folder can be made there")
        if not _is_ours(out):
            found = sorted(path.name for path in out.iterdir() if path.name not in BEFOREHAND or path.name == "run.log")
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise ValueError(
                f"out = {str(out)!r}: this folder holds {', '.join(found[:3])}{more}, which no run left there and a run could"
                " replace: an empty or a new folder is needed"
            )
        for path in (out / ending for ending in _files(name)):
            if path.is_dir() and not path.is_symlink():
                raise ValueError(f"out = {str(out)!r}: {path.name} in it is a folder, where the run writes a file")
    except OSError as error:
        raise ValueError(f"out = {str(out)!r}: no folder that can be written to ({error.strerror})") from None


def _is_ours(out: Path) -> bool:
    """Whether a folder is empty, carries our mark, or was left by a run of an earlier version."""
    names = {path.name for path in out.iterdir() if not re.fullmatch(r"\..*\.tmp", path.name)}
    mark = _text(out / ".lock")
    if mark:
        return mark == MARK
    if not names - BEFOREHAND:  # nothing, or what a scheduler puts there for a run to come
        written = _text(out / "run.log")
        return not written or (bool(names & {".lock", ".claim"}) and LOG_LINE.match(written) is not None)
    if ".lock" in names and set(PRIVATE) <= names:  # of a run that was killed
        return True
    with contextlib.suppress(ValueError, RecursionError):
        result = json.loads(_text(out / "result.json"))
        return isinstance(result, dict) and {"format", "notebook", "status", "hashes"} <= set(result)
    return False


def _text(path: Path) -> str:
    """Text of a file; '' where there is none that can be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if stat.S_ISREG(path.lstat().st_mode) else ""
    except OSError:
        return ""


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the folder, and mark it as ours. The system frees the lock when the process ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.fdopen(os.open(out / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
    except OSError as error:
        raise ValueError(f"out = {str(out)!r}: no folder that can be written to ({error.strerror})") from None
    with lock as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"out = {str(out)!r}: another run is at work in this folder") from None
        except OSError as error:
            raise ValueError(f"out = {str(out)!r}: this folder cannot be locked ({error.strerror})") from None
        handle.write(MARK)
        handle.flush()
        yield


def clean(out: Path, name: str) -> None:
    """Remove what an earlier run of the notebook `name` left, half-written files of a killed one included. Links, not their targets."""
    recorded = _recorded_tables(out)
    # the sentinel first: from here on the folder is no success, whatever happens
    for leftover in _files(name):
        for path in (out / leftover, *out.glob(f".{escape(leftover)}.*.tmp")):
            path.unlink(missing_ok=True)
    remove_tables(out, recorded)
    for folder in PRIVATE:
        remove(out / folder)
        (out / folder).mkdir()


def _recorded_tables(out: Path) -> list[str]:
    """Names of the tables that the result of an earlier run records."""
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError):
        return [name for name in json.loads(_text(out / "result.json")).get("tables", {}) if NAME.fullmatch(name)]
    return []


def remove_tables(out: Path, names: Iterable[str]) -> None:
    """Remove the tables of a run by their names, and their folder if nothing else is in it."""
    tables = out / "tables"
    if tables.is_symlink():
        tables.unlink()
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (tables / f"{name}.csv").unlink()
    with contextlib.suppress(OSError):
        tables.rmdir()


def remove(path: Path) -> None:
    """Remove a folder of ours with all that is in it; of a link, the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _files(name: str) -> tuple[str, ...]:
    """Files that a run of the notebook `name` writes."""
    return ("SUCCESS", "result.json", f"{name}.ipynb", f"{name}.failed.ipynb", f"{name}.running.ipynb", "run.log")
