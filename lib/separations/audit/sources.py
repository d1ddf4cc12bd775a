"""Where a set of images or signals comes from: a folder, an array file, a table, a data set by name, or a tensor.

Each reader makes a `Source`, from which pieces are read as they are wanted. Nothing unknown is unpickled, and an image that cannot be read is
passed over with its name and the reason, never silently.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.images import find_images, read_image
from ..data.sets import opened
from ..data.sources import SPECS
from ..files import sha256
from ..numerics.checks import shown

PAIRS, LOCK = "pairs.parquet", ".audit.lock"  # a table of a report, and what stands beside it
SPLITS = ("train", "validation", "valid", "val", "test")
ARRAYS, TABLES = (".npy", ".npz", ".safetensors"), (".parquet", ".arrow")
KEYS = (
    "x",
    "images",
    "samples",
    "arr_0",
    "data",
    "signals",
)  # names of arrays that are taken where a file holds several
NUMPY_OF = {"U8": "<u1", "F16": "<f2", "F32": "<f4", "F64": "<f8"}
CHANNELS = (1, 3, 4)
OBLONG = 20  # times as long as wide, and more, are signals of several channels
UNDERSHOOT = -0.25  # that far below 0 reach images in [0, 1] that were resized or decoded, and not clipped
PEEK = 32  # images looked at before the size is settled
LOW = 0.1  # of their sides: one tiny image does not make all others tiny

Square = Callable[[int], np.ndarray]  # side -> uint8 (side, side, 3); ValueError says what is wrong with the image


@dataclass(frozen=True)
class Source:
    """A set before it is read.

    Attributes:
        role: "generated", "train" or "held_out".
        name: what the user called it.
        kind: "images" or "signals".
        n: number of entries, also of those that will turn out to be unreadable.
        label: row number -> what the entry is called.
        stamp: () -> words that change when the set does.
        side: least side of the first images in pixels, or the length of a signal.
        image: row number -> uint8 (side, side, 3) of that side, see `Square`; None for signals.
        signals: (start, stop) -> float32 (k, length); None for images.
        notes: what a reader should know.
    """

    role: str
    name: str
    kind: str
    n: int
    label: Callable[[int], str]
    stamp: Callable[[], str]
    side: int
    image: Callable[[int, int], np.ndarray] | None = None
    signals: Callable[[int, int], np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)


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
        given = _plain(given, role)
    if isinstance(given, np.ndarray):
        about = digest_of(given) if given.dtype != object else ""
        return _of_array(given, role, f"{type(given).__name__} {given.shape}", lambda: about)
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
        return _of_array(_array_of(path, key, role), role, text, _stamp_of([path]))
    if ending in TABLES:
        return _table([path], role, key, text)
    allowed = ", ".join(ARRAYS + TABLES)
    raise ValueError(f"{role} = {text!r}: a file ending in {allowed}, or a folder of images, is needed")


# ------------------------------------------------------------------------------------------------------------------ folders
def _folder(path: Path, role: str, key: str) -> Source:
    parts, notes = find_images(path)
    if not parts:
        if tables := _tables_in(path):
            return _table(tables, role, key, f"{path}::{key}" if key else str(path), _splits(path, tables))
        arrays = sorted(p.name for p in path.iterdir() if p.suffix.lower() in ARRAYS)
        hint = f"; it holds {arrays[0]}: name that file" if arrays else f" ({'; '.join(notes)})" if notes else ""
        raise ValueError(f"{role} = {str(path)!r}: no image in it or below it{hint}")
    if key:
        raise ValueError(f"{role} = {str(path)!r} with ::{key}: a folder of images has no columns")
    files = [path.joinpath(*each) for each in parts]
    names = ["/".join(each) for each in parts]

    def image(row: int, side: int) -> np.ndarray:
        return read_image(files[row], side, name=names[row], deep=True)

    return Source(role, str(path), "images", len(files), names.__getitem__, _stamp_of(files),
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


def _stamp_of(files: Sequence[Path]) -> Callable[[], str]:
    """Words that change when one of the files does: path, size and time of the last change of each."""

    def stamp() -> str:
        words = []
        for file in files:
            try:
                about = os.stat(file)
                words.append([os.fspath(file), about.st_size, about.st_mtime_ns])
            except OSError:
                words.append([os.fspath(file), None, None])
        return sha256(json.dumps(words))

    return stamp


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


# ------------------------------------------------------------------------------------------------------------------- arrays
def _array_of(path: Path, key: str, role: str) -> np.ndarray:
    """The array in a file, as a memory map where that is possible."""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return archive[_chosen(list(archive.files), key, path, role)]
        return _safetensors(path, key, role)
    except _Choice as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # a dozen types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{role} = {str(path)!r} cannot be read ({reason}): a whole {path.suffix} file of numbers is needed") from error  # fmt: skip


class _Choice(ValueError):
    """Which array of a file is meant is not clear."""


def _chosen(names: list[str], key: str, path: Path, role: str) -> str:
    if key and key not in names:
        raise _Choice(f"{role} = '{path}::{key}': the file has {', '.join(names)}")
    known = [name for name in KEYS if name in names]
    if not key and len(names) != 1 and not known:
        raise _Choice(f"{role} = {str(path)!r} has {', '.join(names) or 'nothing'}: say which, as {path.name}::NAME")
    return key or (names[0] if len(names) == 1 else known[0])


def _safetensors(path: Path, key: str, role: str) -> np.ndarray:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length < 2**27:
            raise ValueError("no header of safetensors")
        words = json.loads(file.read(length))
    words.pop("__metadata__", None)
    about = words[_chosen(list(words), key, path, role)]
    if about["dtype"] not in NUMPY_OF:
        raise _Choice(f"{role} = {str(path)!r} holds {about['dtype']}: one of {', '.join(NUMPY_OF)} is needed")
    return np.memmap(path, NUMPY_OF[about["dtype"]], "r", 8 + length + about["data_offsets"][0], tuple(about["shape"]))


def _plain(given: Tensor, role: str) -> np.ndarray:
    """A tensor as an array."""
    try:
        given = given.detach().cpu()
        narrow = given.is_floating_point() and given.dtype not in (torch.float16, torch.float32, torch.float64)
        return (given.float() if narrow else given).resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{role} = tensor {given.dtype} {tuple(given.shape)} cannot be read ({reason}): a dense one is needed") from error  # fmt: skip


def digest_of(array: np.ndarray) -> str:
    """SHA-256 of the values of an array in C order, some rows at a time: a memory map may be larger than memory."""
    digest, step = (
        hashlib.sha256(array.dtype.str.encode()),
        max(1, 2**24 // max(1, array[:1].nbytes)) if array.ndim else 1,
    )
    for start in range(0, len(array) if array.ndim else 0, step):
        digest.update(np.ascontiguousarray(array[start : start + step]).tobytes())
    return digest.hexdigest()


def _of_array(array: np.ndarray, role: str, name: str, stamp: Callable[[], str]) -> Source:
    what = f"{role} = {name}: an array {array.dtype} {array.shape}"
    if array.ndim == 3 and array.shape[1] == 1 and array.shape[2] > 1 and array.dtype.kind == "f":
        array = array[:, 0]  # (n, 1, length), as convolutions take signals
    images, layout = _layout(array, what)
    if len(array) == 0:
        raise ValueError(f"{what} has no entries: at least one is needed")
    if not images:
        return _signals(array, role, name, stamp, what)
    low, scale = _range(array, what)

    def bytes_of(row: int) -> np.ndarray:
        one = np.asarray(array[row])
        if array.dtype != np.uint8:
            if not np.isfinite(one).all():
                raise ValueError("has NaN or infinite values")
            one = np.clip(np.rint((one.astype(np.float64) - low) * scale), 0, 255).astype(np.uint8)
        one = one[None] if layout == "grey" else one.transpose(2, 0, 1) if layout == "last" else one
        return _on_white(one)

    def image(row: int, side: int) -> np.ndarray:
        return square(bytes_of(row), side)

    shape = array.shape[1:3] if layout != "first" else array.shape[2:4]
    notes = [] if array.dtype == np.uint8 else [f"values read as [{low:g}, 1], clipped to that, rounded to 256 levels"]
    return Source(role, name, "images", len(array), lambda row: f"row {row}", stamp, min(shape), image, notes=notes)


def _layout(array: np.ndarray, what: str) -> tuple[bool, str]:
    """Whether the rows are images, and where their channels stand."""
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ValueError(f"{what}: uint8 images, or floating-point images or signals, are needed")
    if array.dtype == np.uint8 and array.size and array[:64].max() == 1 and array.max() == 1:
        raise ValueError(f"{what} has values 0 and 1 alone: bytes from 0 to 255 are needed, multiply by 255")
    shape = array.shape
    if len(shape) == 4 and shape[1] in CHANNELS and 0 not in shape[1:]:
        return True, "first"
    if len(shape) == 4 and shape[3] in CHANNELS and 0 not in shape[1:]:
        return True, "last"
    if len(shape) == 3 and 0 not in shape[1:]:
        if max(shape[1:]) > OBLONG * min(shape[1:]):
            raise ValueError(f"{what}: grey images (n, h, w) are not so oblong; signals of several channels are needed as (n, channels * length)")  # fmt: skip
        return True, "grey"
    if len(shape) == 2 and array.dtype.kind == "f" and shape[1] >= 2:
        return False, ""
    raise ValueError(f"{what}: images (n, c, h, w) or (n, h, w, c) with c = 1, 3 or 4, (n, h, w), or signals (n, length) are needed")  # fmt: skip


def _range(array: np.ndarray, what: str) -> tuple[float, float]:
    """Lowest value of the range, and what takes it to 0..255: of [-1, 1] where something is negative, else of [0, 1].

    Values of [0, 1] that were not clipped lie a little below 0 and reach above the middle of what [-1, 1] has: they stay such.
    """
    if array.dtype == np.uint8:
        return 0.0, 1.0
    low, high = np.inf, -np.inf
    step = max(1, 2**22 // max(1, array[:1].size))
    for start in range(0, len(array), step):
        part = array[start : start + step]
        part = part[np.isfinite(part)]
        if part.size:
            low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < -1.5 or high > 1.5:
        raise ValueError(f"{what} has values from {low:.4g} to {high:.4g}: images in [-1, 1] or [0, 1], or uint8, are needed")  # fmt: skip
    return (0.0, 255.0) if low >= 0 or (low >= UNDERSHOOT and high > 0.75) else (-1.0, 127.5)


def _on_white(image: np.ndarray) -> np.ndarray:
    """uint8 (c, h, w), c = 1, 3 or 4 -> (h, w, 3), transparent parts white."""
    if len(image) == 4:
        alpha = image[3:].astype(np.float32) / 255
        image = np.rint(image[:3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0)


def square(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 (h, w, 3) -> (side, side, 3): the centre square, resized as the images of a folder are (bicubic, antialiased)."""
    from PIL import Image, ImageOps

    if image.shape[:2] == (side, side):
        return np.array(image)
    fitted = ImageOps.fit(Image.fromarray(np.ascontiguousarray(image)), (side, side), method=Image.Resampling.BICUBIC)
    return np.asarray(fitted)


def _signals(array: np.ndarray, role: str, name: str, stamp, what: str) -> Source:
    def signals(start: int, stop: int) -> np.ndarray:
        return np.asarray(array[start:stop], dtype=np.float32)

    return Source(role, name, "signals", len(array), lambda row: f"row {row}", stamp, array.shape[1], signals=signals)


# ------------------------------------------------------------------------------------------------------------------- tables
def _table(paths: list[Path], role: str, key: str, name: str, notes: Sequence[str] = ()) -> Source:
    """Parquet or Arrow files with a column of images (the layout of Hugging Face's datasets: bytes and path), or of signals."""
    import pyarrow as pa

    try:
        tables = [_arrow(path) for path in paths]
        table = pa.concat_tables([each.select([_column(each, key, role, name)]) for each in tables])
    except _Choice as error:
        raise ValueError(str(error)) from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"{role} = {name!r} cannot be read ({' '.join(str(error).split())}): whole Parquet or Arrow files of one layout are needed") from error  # fmt: skip
    column = table.column(0)
    if not len(column):
        raise ValueError(f"{role} = {name!r} has no rows: at least one is needed")
    stamp = _stamp_of(paths)
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        return replace(_of_array(_numbers(column, role, name), role, name, stamp), notes=list(notes))

    def content(row: int) -> bytes | None:
        value = column[row]
        return (value["bytes"] if isinstance(value, pa.StructScalar) and value.is_valid else value).as_py()

    def label(row: int) -> str:  # without the bytes, which would all be read
        value = column[row]
        known = isinstance(value, pa.StructScalar) and value.is_valid and "path" in value
        return (value["path"].as_py() if known else None) or f"row {row}"

    def image(row: int, side: int) -> np.ndarray:
        if not (found := content(row)):
            raise ValueError(f"{label(row)} has no bytes in the table")
        return read_image(io.BytesIO(found), side, name=label(row), deep=True)

    side = _side_of_bytes([content(int(row)) for row in np.unique(np.linspace(0, len(column) - 1, PEEK).astype(int))])
    return Source(role, name, "images", len(column), label, stamp, side, image, notes=list(notes))


def _arrow(path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        return pq.read_table(path, memory_map=True)
    mapped = pa.memory_map(os.fspath(path))
    try:
        return pa.ipc.open_file(mapped).read_all()
    except pa.ArrowInvalid:  # the streaming format, which Hugging Face writes
        return pa.ipc.open_stream(mapped).read_all()


def _column(table, key: str, role: str, name: str) -> str:
    import pyarrow as pa

    def holds(kind) -> bool:
        if pa.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or (lists and pa.types.is_floating(kind.value_type))  # fmt: skip

    fitting = [each.name for each in table.schema if holds(each.type)]
    if key:
        if key not in fitting:
            raise _Choice(f"{role} = {name!r}: columns of images or signals are {', '.join(fitting) or 'not there'}")
        return key
    if not fitting:
        raise _Choice(
            f"{role} = {name!r} has columns {', '.join(table.column_names)}: one of images (bytes) or signals is needed"
        )
    return next((each for each in ("image", "img", "images") if each in fitting), fitting[0])


def _numbers(column, role: str, name: str) -> np.ndarray:
    rows = [each.as_py() for each in column]
    length = next((len(row) for row in rows if row is not None), 0)
    rows = [np.full(length, np.nan, np.float32) if row is None else np.asarray(row, dtype=np.float32) for row in rows]
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"{role} = {name!r} has signals of different lengths: one length is needed")
    return np.stack(rows)


def _side_of_bytes(contents: list[bytes | None]) -> int:
    from PIL import Image

    found = []
    for content in contents:
        try:
            with Image.open(io.BytesIO(content or b"")) as image:
                found.append(min(image.size))
        except Exception:  # the reason is said when it is read
            continue
    return int(np.quantile(found, LOW, method="lower")) if found else 0


# -------------------------------------------------------------------------------------------------------------------- names
def _by_name(text: str, role: str) -> Source:
    name, _, split = text.partition(":")
    if name not in SPECS:
        raise FileNotFoundError(f"{role} = {text!r}: there is no such file or folder, and no data set of that name ({', '.join(SPECS)})")  # fmt: skip
    raw, index, _ = opened(name, split=split or "train")
    probe = raw.rows(index[:1])
    if probe.ndim < 4:
        return _of_array(raw.rows(index).astype(np.float32), role, text, _stamp_of(raw.files))

    def image(row: int, side: int) -> np.ndarray:
        one = raw.rows(index[row : row + 1])[0]
        if raw.white != 255:
            one = np.rint(one * (255 / raw.white)).astype(np.uint8)
        return square(_on_white(one.transpose(2, 0, 1)), side)

    return Source(role, text, "images", len(index), lambda row: f"row {row}", _stamp_of(raw.files), min(probe.shape[1:3]),
                  image, notes=list(raw.notes))  # fmt: skip
