"""What is known of each row of a large set, kept in a file: norms, and what preselection rounds by. Measured once, for this very content.

    rows = Rows(numpy.load("images.npy", mmap_mode="r"), index="images.index")

The file is safetensors, written whole or not at all. It speaks for the data whose SHA-256, shape, dtype and affine map it names, and is made
anew for any other. The hash of a memory map is taken again only if the size or the time of the last change of its file differ.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..files import write_whole

MARK = "separations rows index"


def open_index(rows, path: Path, progress: Callable | None = None) -> None:
    """Norms of the rows from the file at `path` if it is about these rows; else they are measured, and it is written.

    Raises:
        ValueError: for a file at `path` that is not such an index, which is left alone, or a folder.
    """
    known = _read(path)
    stamp = _stamp(rows)
    if known is not None and known["about"] == _about(rows):
        same = stamp is not None and known["stamp"] == stamp
        if same or known["sha256"] == _digest(rows, progress):
            rows.squared_norms = known["squared_norms"].to(rows.home)
            rows.exponent, rows.peak = known["exponent"], known["peak"]
            rows.set_norm()
            if not same:
                _write(rows, path, known["sha256"], stamp)
            return
    digest = hashlib.sha256()
    rows._measure(progress, digest)
    _write(rows, path, digest.hexdigest(), stamp)


def _about(rows) -> dict:
    return {"n": rows.n, "d": rows.d, "dtype": str(rows.data.dtype), "unit": rows.unit, "origin": rows.origin}


def _stamp(rows) -> list | None:
    """Size and time of the last change of the file behind a memory map, and where in it the rows begin; None for what is in memory."""
    data = rows.data
    name = getattr(data, "filename", None) if isinstance(data, np.memmap) else None
    if name is None:
        return None
    found = os.stat(name)
    return [found.st_size, found.st_mtime_ns, _place(data), list(data.strides)]


def _place(data: np.memmap) -> int:
    root = data
    while isinstance(root.base, np.ndarray):
        root = root.base
    return int(data.__array_interface__["data"][0] - root.__array_interface__["data"][0])


def _digest(rows, progress: Callable | None) -> str:
    digest = hashlib.sha256()
    for part in rows.parts(progress):
        rows.feed(part, digest)
        rows.forget(part)
    return digest.hexdigest()


def _write(rows, path: Path, digest: str, stamp: list | None) -> None:
    words = {"sha256": digest, "about": _about(rows), "stamp": stamp, "exponent": rows.exponent, "peak": rows.peak}
    tensors = {"squared_norms": rows.squared_norms.cpu()}
    write_whole(path, save(tensors, {"format": MARK, "words": json.dumps(words)}))


def _read(path: Path) -> dict | None:
    """What the file says; None if there is none."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            words = file.metadata() or {}
            if words.get("format") != MARK:
                raise ValueError(f"index = {str(path)!r}: this is not an index of rows; another name is needed")
            return json.loads(words["words"]) | {"squared_norms": file.get_tensor("squared_norms").to(torch.float64)}
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"index = {str(path)!r}: this is not an index of rows, or damaged ({error}); another name, or no file there, is needed"
        ) from error
