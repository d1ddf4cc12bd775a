"""What is known of each row of a large set, kept in a file: norms, and what preselection rounds by. Measured once, for this very content.

    rows = Rows(numpy.load("images.npy", mmap_mode="r"), index="images.index")

The file is safetensors, written whole or not at all. It speaks for the data whose SHA-256, shape, dtype and affine map it names, and is made
anew for any other. The hash is taken again each time, but for a read-only memory map of a file that is the same and unchanged by what the
system says of it: device, number, size, and the times of its last changes to a nanosecond, and the place of the rows in it.
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
MAPS = Path("/proc/self/maps")  # of Linux: which part of which file lies where in memory


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
    """What the system says of the file behind a read-only map, and where in it the rows begin; None where it does not say, or for any other data."""
    if not isinstance(rows.data, np.memmap) or not MAPS.is_file():
        return None
    address = rows.data.__array_interface__["data"][0]
    for line in MAPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        span, rights, offset, _, _, *name = line.split(maxsplit=5)
        start, end = (int(each, 16) for each in span.split("-"))
        if start <= address < end:
            break
    else:
        return None
    try:
        about = os.stat(name[0])
    except (IndexError, OSError):
        return None
    same = about.st_ino == int(line.split(maxsplit=5)[4])
    if rights[:2] != "r-" or rights[3] != "s" or not same:
        return None  # what can be written through the map shows in no time of change, and what was replaced is another file
    place = int(offset, 16) + address - start
    return [
        about.st_dev,
        about.st_ino,
        about.st_size,
        about.st_mtime_ns,
        about.st_ctime_ns,
        place,
        list(rows.data.strides),
    ]


def _digest(rows, progress: Callable | None) -> str:
    digest = hashlib.sha256()
    for part in rows.parts(progress):
        rows.feed(part, digest)
        rows.forget(part)
    return digest.hexdigest()


def _digest_of(norms: torch.Tensor) -> str:
    return hashlib.sha256(norms.contiguous().numpy()).hexdigest()


def _write(rows, path: Path, digest: str, stamp: list | None) -> None:
    words = {"sha256": digest, "about": _about(rows), "stamp": stamp, "exponent": rows.exponent, "peak": rows.peak}
    tensors = {"squared_norms": rows.squared_norms.cpu()}
    words["norms"] = _digest_of(tensors["squared_norms"])
    _read(path)  # what has come there in the meantime, and is no index, stays
    write_whole(path, save(tensors, {"format": MARK, "words": json.dumps(words)}))


def _read(path: Path) -> dict | None:
    """What the file says; None if there is none."""
    if path.is_symlink() and not path.exists():
        raise ValueError(f"index = {str(path)!r} is a link to nothing: another name is needed")
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            words = file.metadata() or {}
            if words.get("format") != MARK:
                raise ValueError(f"index = {str(path)!r}: this is not an index of rows; another name is needed")
            said = json.loads(words["words"])
            kept = {name: said[name] for name in ("sha256", "about", "stamp", "exponent", "peak")}
            norms = file.get_tensor("squared_norms")
            if said.get("norms", _digest_of(norms)) != _digest_of(norms):
                raise KeyError("norms of another checksum")
            return kept | {"squared_norms": norms.to(torch.float64)}
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"index = {str(path)!r}: this is not an index of rows, or damaged ({error}); another name, or no file there, is needed"
        ) from error
