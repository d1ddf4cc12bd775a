"""Images of a data set as the bytes that they are, for sets that would not fit into memory as floating-point numbers."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..files import whole_file
from .sets import opened

MARK = "separations byte images"
AT_ONCE = 256  # images decoded at a time


def load_bytes(
    name: str,
    *,
    root: str | Path | None = None,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
    cache: str | Path | None = None,
    progress: Callable | None = None,
) -> np.ndarray:
    """The images of `load(name, ...)` in the same order, as bytes: a byte u stands for the value u / 127.5 - 1.

    For `numerics.Rows`, `Empirical` and `memorization_ratio`, which take them as they are.

    Args:
        name: as in `load`, of images.
        root, split, size, limit: as in `load`.
        cache: a file in which the decoded images are kept; what comes back is a memory map of it. It is made, whole or not at all, if it
            is not there, and made anew if the files of the set (names, sizes, times of the last change) or the arguments are others.
        progress: a function (iterable, total) -> iterable, as tqdm, around the decoding.

    Returns:
        uint8 (n, c, h, w); a read-only memory map with `cache`.

    Raises:
        ValueError: for signals, for images of fewer grey levels than 256, for a file at `cache` that is not such a cache, and as `load`.
        FileNotFoundError: as `load`.
    """
    raw, index, _ = opened(name, root=root, split=split, size=size, limit=limit)
    probe = raw.rows(index[:1])
    if probe.dtype != np.uint8 or raw.white != 255:
        kind = "signals" if probe.ndim < 4 else f"images of {raw.white + 1:g} grey levels"
        raise ValueError(f"name = {name!r}: images of 8 bits are needed, these are {kind}")
    shape = (len(index), probe.shape[3], *probe.shape[1:3])
    pieces = [slice(start, start + AT_ONCE) for start in range(0, len(index), AT_ONCE)]

    def decoded():
        for piece in pieces if progress is None else progress(pieces, total=len(pieces)):
            yield piece, raw.rows(index[piece]).transpose(0, 3, 1, 2)

    if cache is None:
        found = np.empty(shape, dtype=np.uint8)
        for piece, images in decoded():
            found[piece] = images
        return found
    path, key = Path(cache), _key(raw.files, index, shape)
    if _kept_key(path) != key:
        _write(path, key, shape, decoded())
    header, _ = _header(path)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=8 + header, shape=shape)


def _key(files: list[Path], index: np.ndarray, shape: tuple[int, ...]) -> str:
    """What the cache is about: the files as they are now, the rows taken from them, and the shape."""
    digest = hashlib.sha256(json.dumps([MARK, shape]).encode() + index.astype("<i8").tobytes())
    for file in files:
        about = os.stat(file)
        digest.update(json.dumps([str(file), about.st_size, about.st_mtime_ns]).encode())
    return digest.hexdigest()


def _header(path: Path) -> tuple[int, dict]:
    """Length of the header of a safetensors file, and what it says."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length, json.loads(file.read(length)) if 0 < length < 2**20 else {}


def _kept_key(path: Path) -> str | None:
    """Key of the cache that is there, if it is whole; None if there is none. ValueError for any other file."""
    if not path.exists():
        return None
    try:
        length, words = _header(path)
        about = words["__metadata__"]
        end = words["images"]["data_offsets"][1]
    except (OSError, ValueError, KeyError, TypeError):
        about = {}
    if about.get("format") != MARK:
        raise ValueError(f"cache = {str(path)!r}: this is no cache of images, another name is needed")
    return about.get("key") if path.stat().st_size == 8 + length + end else None


def _write(path: Path, key: str, shape: tuple[int, ...], pieces) -> None:
    """A safetensors file, image by image."""
    number = int(np.prod(shape, dtype=np.int64))
    words = {
        "__metadata__": {"format": MARK, "key": key},
        "images": {"dtype": "U8", "shape": shape, "data_offsets": [0, number]},
    }
    header = json.dumps(words).encode()
    header += b" " * (-len(header) % 8)
    with whole_file(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, images in pieces:
            file.write(np.ascontiguousarray(images).tobytes())
