"""Arrays that grow on disk, row by row: what is begun goes on after a kill, and what is whole is used again.

Each array is two files, the rows (`KIND-KEY.bin`) and what is known of them (`KIND-KEY.json`, which carries our mark). The key is a hash of
what the rows are about (contents, sizes, names of extractors): other content is another file, and nothing is ever taken for something else.
"""

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from ..files import PACKAGE, sha256, write_whole
from ..numerics.checks import check_count

MARK = "separations audit store 1"
EVERY = 2.0  # seconds between two notes of how far an array has come


@dataclass(frozen=True)
class Kept:
    """Rows that are there, (n, *row_shape), with the SHA-256 of their bytes and what was noted on the way."""

    values: np.ndarray
    digest: str
    notes: list = field(default_factory=list)


@cache
def _code() -> str:
    """SHA-256 of the library: what another version of it made is made anew."""
    return sha256(b"".join(path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))))


Produce = Callable[[int, int], tuple[np.ndarray, list]]


class Store:
    """A folder of arrays, or memory alone.

    Args:
        folder: where they are kept, made if it is not there; None: nothing is written.
        progress: a function (text, done, total) that is told how far an array is.

    Raises:
        ValueError: where a file stands at the place of the folder.
    """

    def __init__(self, folder: str | Path | None = None, *, progress: Callable[[str, int, int], None] | None = None):
        self.folder = None if folder is None else Path(folder)
        self.progress = progress or (lambda text, done, total: None)
        if self.folder is not None:
            if self.folder.exists() and not self.folder.is_dir():
                raise ValueError(f"cache = {str(folder)!r} is a file: a folder is needed")
            self.folder.mkdir(parents=True, exist_ok=True)

    def array(
        self, kind: str, about: dict, total: int, shape: tuple[int, ...], dtype, produce: Produce, *, step: int = 1024,
        text: str = "",
    ) -> Kept:  # fmt: skip
        """Rows that `produce` makes of the inputs 0 .. total - 1, made where they are not there already.

        Args:
            kind: first part of the file's name, such as "images".
            about: plain words and numbers that the rows depend on; equal ones mean equal rows.
            total: number of inputs.
            shape, dtype: of a row.
            produce: (start, stop) -> the rows of these inputs, at most stop - start of them, and a list of notes (plain values). Where an
                input gives no row, a note says so.
            step: inputs at a time.
            text: what is being made, for `progress`.

        Returns:
            `Kept`; the values are a read-only memory map where there is a folder.

        Raises:
            OSError: where the disk is full, with the name of the file.
        """
        step, dtype = check_count(step, "step"), np.dtype(dtype)
        words = {"about": about, "total": total, "shape": list(shape), "dtype": dtype.str, "code": _code()}
        if self.folder is None or not total:
            return self._in_memory(total, shape, dtype, produce, step, text)
        name = f"{kind}-{sha256(json.dumps(words, sort_keys=True))[:24]}"
        path, known = self.folder / f"{name}.bin", self.folder / f"{name}.json"
        with self._alone(name):
            said = self._known(path, known, shape, dtype)
            if said is None or not said["whole"]:
                said = self._grow(path, known, said, words, total, shape, dtype, produce, step, text)
        values = _mapped(path, said["rows"], shape, dtype)
        return Kept(values, said["sha256"], said["notes"])

    def _in_memory(self, total, shape, dtype, produce, step, text) -> Kept:
        parts, notes = [], []
        for start in range(0, total, step):
            self.progress(text, start, total)
            rows, more = produce(start, min(start + step, total))
            parts.append(_checked(rows, shape, dtype))
            notes += more
        self.progress(text, total, total)
        values = np.concatenate(parts) if parts else np.empty((0, *shape), dtype)
        return Kept(values, _digest(values), notes)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """No other audit works on the same array at the same time: the second waits, and finds it done."""
        with (self.folder / f".{name}.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _known(self, path: Path, known: Path, shape, dtype) -> dict | None:
        """What is there of an array: whole, or begun; None where nothing is, or what is there does not fit together."""
        try:
            said = json.loads(known.read_text(encoding="utf-8"))
            about = path.stat()
        except (OSError, ValueError):
            return None
        if not isinstance(said, dict) or said.get("format") != MARK:
            raise ValueError(f"{known} is not ours: take it away, or name another folder with --cache")
        if said.pop("check", None) != _check(said):  # damaged
            return None
        size = said["rows"] * _row_bytes(shape, dtype)
        if said["whole"] and about.st_size == size:
            if [about.st_size, about.st_mtime_ns] == said["stamp"] or _digest(_mapped(path, said["rows"], shape, dtype)) == said["sha256"]:  # fmt: skip
                return said
            return None
        return said if not said["whole"] and about.st_size >= size else None

    def _grow(self, path, known, said, words, total, shape, dtype, produce, step, text) -> dict:
        said = said or {"format": MARK, "words": words, "rows": 0, "done": 0, "whole": False, "notes": []}
        size, last = _row_bytes(shape, dtype), time.monotonic()
        try:
            with path.open("r+b" if said["rows"] else "wb") as file:
                file.truncate(said["rows"] * size)
                file.seek(said["rows"] * size)
                for start in range(said["done"], total, step):
                    self.progress(text, start, total)
                    stop = min(start + step, total)
                    rows, notes = produce(start, stop)
                    rows = _checked(rows, shape, dtype)
                    file.write(rows.tobytes())
                    said |= {"rows": said["rows"] + len(rows), "done": stop, "notes": said["notes"] + notes}
                    if time.monotonic() - last > EVERY:
                        file.flush()
                        _note(known, said)
                        last = time.monotonic()
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if error.filename is None and error.errno is not None:
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
        self.progress(text, total, total)
        about = path.stat()
        said |= {"whole": True, "sha256": _digest(_mapped(path, said["rows"], shape, dtype))}
        said["stamp"] = [about.st_size, about.st_mtime_ns]
        _note(known, said)
        return said


def _check(said: dict) -> str:
    return sha256(json.dumps(said, sort_keys=True))


def _note(known: Path, said: dict) -> None:
    write_whole(known, json.dumps(said | {"check": _check(said)}))


def _row_bytes(shape, dtype) -> int:
    return math.prod(shape) * dtype.itemsize


def _checked(rows: np.ndarray, shape, dtype) -> np.ndarray:
    if rows.dtype != dtype or rows.shape[1:] != tuple(shape):
        raise ValueError(f"rows are {rows.dtype} {rows.shape}: {dtype} with rows {tuple(shape)} are needed")
    return np.ascontiguousarray(rows)


def _mapped(path: Path, rows: int, shape, dtype) -> np.ndarray:
    """The rows as a read-only memory map; an empty file cannot be mapped."""
    return np.memmap(path, dtype, "r", shape=(rows, *shape)) if rows else np.empty((0, *shape), dtype)


def _digest(values: np.ndarray) -> str:
    """SHA-256 of the bytes of an array, some rows at a time."""
    import hashlib

    digest, step = hashlib.sha256(), max(1, 2**24 // max(1, values[:1].nbytes))
    for start in range(0, len(values), step):
        digest.update(np.ascontiguousarray(values[start : start + step]))
    return digest.hexdigest()
