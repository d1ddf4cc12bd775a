"""Sets in arrays: tensors, and .npy, .npz and .safetensors files, mapped where that is possible; nothing is unpickled."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .source import Choice, Source, on_white, square

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


def array_in(path: Path, key: str, role: str) -> np.ndarray:
    """The array in a file, as a memory map where that is possible."""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return archive[chosen(list(archive.files), key, path, role)]
        return _safetensors(path, key, role)
    except Choice as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # a dozen types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{role} = {str(path)!r} cannot be read ({reason}): a whole {path.suffix} file of numbers is needed") from error  # fmt: skip


def chosen(names: list[str], key: str, path: Path, role: str) -> str:
    if key and key not in names:
        raise Choice(f"{role} = '{path}::{key}': the file has {', '.join(names)}")
    known = [name for name in KEYS if name in names]
    if not key and len(names) != 1 and not known:
        raise Choice(f"{role} = {str(path)!r} has {', '.join(names) or 'nothing'}: say which, as {path.name}::NAME")
    return key or (names[0] if len(names) == 1 else known[0])


def _safetensors(path: Path, key: str, role: str) -> np.ndarray:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length < 2**27:
            raise ValueError("no header of safetensors")
        words = json.loads(file.read(length))
    words.pop("__metadata__", None)
    about = words[chosen(list(words), key, path, role)]
    if about["dtype"] not in NUMPY_OF:
        raise Choice(f"{role} = {str(path)!r} holds {about['dtype']}: one of {', '.join(NUMPY_OF)} is needed")
    return np.memmap(path, NUMPY_OF[about["dtype"]], "r", 8 + length + about["data_offsets"][0], tuple(about["shape"]))


def plain_array(given: Tensor, role: str) -> np.ndarray:
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


def source_of_array(array: np.ndarray, role: str, name: str, stamp: Callable[[], str]) -> Source:
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
        return on_white(one)

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


def _signals(array: np.ndarray, role: str, name: str, stamp, what: str) -> Source:
    def signals(start: int, stop: int) -> np.ndarray:
        return np.asarray(array[start:stop], dtype=np.float32)

    return Source(role, name, "signals", len(array), lambda row: f"row {row}", stamp, array.shape[1], signals=signals)
