"""Where a set of images or signals comes from: a folder, an array file, a table, a data set by name, or a tensor.

Each reader makes a `Source`, from which pieces are read as they are wanted. Nothing unknown is unpickled, and an image that cannot be read is
passed over with its name and the reason, never silently.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ..data.images import find_images, read_image
from ..data.sets import opened
from ..data.sources import SPECS
from ..numerics.checks import shown
from .array_sources import array_in, digest_of, plain_array, source_of_array
from .source import LOW, PEEK, Source, on_white, square, stamp_of
from .table_sources import source_of_tables

PAIRS, LOCK = "pairs.parquet", ".audit.lock"  # a table of a report, and what stands beside it
SPLITS = ("train", "validation", "valid", "val", "test")
ARRAYS, TABLES = (".npy", ".npz", ".safetensors"), (".parquet", ".arrow")


def open_source(given: object, role: str) -> Source:
    """A set as the user named it.

    Args:
        given: a path (folder of images; .npy, .npz, .safetensors; .parquet, .arrow or a folder of these; `PATH::KEY` names an array or a
            column), the name of a data set of `separations.data` (`mnist5k`, `cifar10:test`), or a tensor or array: images uint8, or
            floating point in [-1, 1] or [0, 1], (n, c, h, w), (n, h, w, c) or (n, h, w), c = 1, 3 or 4; signals (n, length).
        role: "generated", "train" or "held_out", for the errors.

    Raises:
        ValueError: for anything else, naming it, and what is allowed.
        FileNotFoundError: for a path that is not there.
    """
    if isinstance(given, Source):
        return given
    if isinstance(given, Tensor):
        given = plain_array(given, role)
    if isinstance(given, np.ndarray):
        about = digest_of(given) if given.dtype != object else ""
        return source_of_array(given, role, f"{type(given).__name__} {given.shape}", lambda: about)
    if not isinstance(given, str | os.PathLike) or not os.fspath(given) or "\0" in os.fsdecode(given):
        raise ValueError(f"{role} = {shown(given)}: a path, the name of a data set, a tensor or an array is needed")
    text = os.fsdecode(given)
    bare, _, key = (text, "", "") if os.path.exists(text) else text.partition("::")
    path = Path(os.path.expanduser(bare))
    if not path.exists():
        return _by_name(text, role)
    if path.is_dir():
        return _folder(path, role, key)
    ending = path.suffix.lower()
    if path.stat().st_size == 0:
        raise ValueError(f"{role} = {text!r} is empty (0 bytes): a file of images or signals is needed")
    if ending in ARRAYS:
        return source_of_array(array_in(path, key, role), role, text, stamp_of([path]))
    if ending in TABLES:
        return source_of_tables([path], role, key, text)
    allowed = ", ".join(ARRAYS + TABLES)
    raise ValueError(f"{role} = {text!r}: a file ending in {allowed}, or a folder of images, is needed")


def _folder(path: Path, role: str, key: str) -> Source:
    parts, notes = find_images(path)
    if not parts:
        if tables := _tables_in(path):
            return source_of_tables(tables, role, key, f"{path}::{key}" if key else str(path), _splits(path, tables))
        arrays = sorted(p.name for p in path.iterdir() if p.suffix.lower() in ARRAYS)
        hint = f"; it holds {arrays[0]}: name that file" if arrays else f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(f"{role} = {str(path)!r}: no image in it or below it{hint}")
    if key:
        raise ValueError(f"{role} = {str(path)!r} with ::{key}: a folder of images has no columns")
    files = [path.joinpath(*each) for each in parts]
    names = ["/".join(each) for each in parts]

    def image(row: int, side: int) -> np.ndarray:
        return read_image(files[row], side, name=names[row], deep=True)

    return Source(role, str(path), "images", len(files), names.__getitem__, stamp_of(files),
                  _side_of_files(files), image, notes=notes)  # fmt: skip


def _tables_in(path: Path) -> list[Path]:
    """The tables in a folder and below it; neither hidden ones, nor those that a report of ours wrote."""
    found = sorted(p for ending in TABLES for p in path.rglob(f"*{ending}") if p.is_file())
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(path).parts)
            and not (p.name == PAIRS and (p.parent / LOCK).exists())]  # fmt: skip


def _splits(path: Path, tables: Sequence[Path]) -> list[str]:
    """A note where tables of several splits, by the names of Hugging Face, are read as one set."""
    parts = [re.split(r"[^a-z]+", "/".join(each.relative_to(path).parts).lower()) for each in tables]
    found = [split for split in SPLITS if any(split in each for each in parts)]
    if len(found) < 2:
        return []
    return [f"tables of the splits {', '.join(found)} are read as one set: name one file, or a folder with one split, to read that alone"]  # fmt: skip


def _side_of_files(files: Sequence[Path]) -> int:
    """Least side of some files, evenly spread; 0 where none can be read."""
    from PIL import Image

    found = []
    for row in np.unique(np.linspace(0, len(files) - 1, PEEK).astype(int)):
        try:
            with Image.open(files[row]) as image:
                found.append(min(image.size))
        except Exception:  # the reason is said when it is read
            continue
    return int(np.quantile(found, LOW, method="lower")) if found else 0


def _by_name(text: str, role: str) -> Source:
    name, _, split = text.partition(":")
    if name not in SPECS:
        raise FileNotFoundError(f"{role} = {text!r}: there is no such file or folder, and no data set of that name ({', '.join(SPECS)})")  # fmt: skip
    raw, index, _ = opened(name, split=split or "train")
    probe = raw.rows(index[:1])
    if probe.ndim < 4:
        return source_of_array(raw.rows(index).astype(np.float32), role, text, stamp_of(raw.files))

    def image(row: int, side: int) -> np.ndarray:
        one = raw.rows(index[row : row + 1])[0]
        if raw.white != 255:
            one = np.rint(one * (255 / raw.white)).astype(np.uint8)
        return square(on_white(one.transpose(2, 0, 1)), side)

    return Source(role, text, "images", len(index), lambda row: f"row {row}", stamp_of(raw.files), min(probe.shape[1:3]),
                  image, notes=list(raw.notes))  # fmt: skip
