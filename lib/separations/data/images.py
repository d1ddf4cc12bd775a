"""Images on disk: read one, find all in a folder. Every error names the file, and what is passed over is said."""

import contextlib
import functools
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

# Not opened although Pillow lists them: EPS starts another program, the others need a handler or a system of their own.
NOT_OPENED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
ORIENTATION = 0x0112  # the entry of EXIF that says how the camera was held
TURNS = {  # orientation in EXIF -> what puts the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ONE_PICTURE = ("MPO", "PSD")  # what follows the first frame is a second view or a layer of the same picture


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that are opened: those that Pillow reads by itself."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - NOT_OPENED))


@functools.cache
def suffixes() -> frozenset[str]:
    """The endings of the formats that are opened, in small letters; .mpo is read as the JPEG file it begins with."""
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in (*formats(), "MPO"))


def read_image(
    file: Path | BinaryIO,
    size: int,
    *,
    resize: bool = True,
    name: object = None,
    more: list[str] | None = None,
    deep: bool = False,
) -> np.ndarray:
    """One image as uint8 (size, size, 3): turned upright, transparency set on white, centre square, resized (bicubic).

    With resize=False the image must be size x size already. Of several frames the first is read, and the name of the
    file goes to the list `more`. Grey images of 16 bits are refused, or, with deep=True, scaled to 8 bits. ValueError, naming
    the file, if it cannot be read or does not fit.
    """
    name = file if name is None else name
    try:
        with Image.open(file, formats=formats()) as image:
            several = image.format not in ONE_PICTURE and _animated(image)
            image.load()
            image = _upright(image)
        if deep and image.mode.startswith("I;16"):
            image = Image.fromarray(np.rint(np.asarray(image, dtype=np.uint16) / 257.0).astype(np.uint8))
        if not image.mode.startswith(("I", "F")):
            image = _on_white(image)
    except Exception as error:  # Pillow raises a dozen types on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} is not an image that can be read ({reason}): repair it or take it away") from error
    if image.mode != "RGB":
        raise ValueError(f"{name} has pixels of kind {image.mode}: 8 bits a channel are needed, convert it first")
    if not resize and image.size != (size, size):
        raise ValueError(f"{name} has {image.width} x {image.height} pixels: {size} x {size} are needed")
    if several and more is not None:
        more.append(str(name))
    return np.asarray(ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC))


def read_images(files: Sequence[Path], size: int, *, resize: bool = True, more: list[str] | None = None) -> np.ndarray:
    """The images as uint8 (m, size, size, 3); errors and `more` as in `read_image`."""
    return np.stack([read_image(file, size, resize=resize, more=more) for file in files])


def find_images(folder: Path) -> tuple[list[tuple[str, ...]], list[str]]:
    """Image files in a folder and all folders below it, linked ones too, and notes on what was left out.

    Files are given by the parts of their path in the folder, in the order of these parts, which depends on neither the
    file system nor the language of the machine. Each folder is read once, and a link to an image that is read by its
    own path is left out. The notes give a number and the first names for each kind of what is left out, and say which
    images outside the folder are linked to more than once. ValueError if the folder itself cannot be read.
    """
    found, left = _walk(folder)
    own = {os.path.realpath(folder.joinpath(*parts)) for parts, link in found if not link}
    kept, linked, again = [], set(), []
    for parts, link in sorted(found):
        real = os.path.realpath(folder.joinpath(*parts)) if link else ""
        if real in own:
            left.setdefault("linking to images that are read anyway", []).append(parts)
            continue
        if real in linked:
            again.append("/".join(parts))
        kept.append(parts)
        linked |= {real} if link else set()
    phrases = [counted(kind, ["/".join(parts) for parts in sorted(left[kind])]) for kind in sorted(left)]
    notes = [f"left out: {', '.join(phrases)}"] if left else []
    return kept, notes + ([f"{counted('linking to the same images as others', again)}: read again"] if again else [])


def counted(kind: str, names: Sequence[str]) -> str:
    """'4 hidden (.a, .b, .c, ...)': the number of names and the first of them."""
    shown = [name.encode(errors="backslashreplace").decode() for name in names[:3]] + ["..."] * (len(names) > 3)
    return f"{len(names)} {kind} ({', '.join(shown)})"


def _walk(top: Path) -> tuple[list[tuple[tuple[str, ...], bool]], dict[str, list[tuple[str, ...]]]]:
    """All images as (parts of the path, reached by a link), and by kind what was left out. Links are followed last."""
    found, left, seen = [], {}, {os.path.realpath(top)}
    now, linked = [((), False)], []
    while now or linked:
        parts, link = now.pop() if now else linked.pop(0)
        place = top.joinpath(*parts)
        if parts and link and os.path.realpath(place) in seen:
            left.setdefault("linking to folders that are read anyway", []).append(parts)
            continue
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            if not parts:
                raise ValueError(f"{top} cannot be read ({error.strerror}): a folder of images is needed") from None
            left.setdefault("unreadable", []).append(parts)
            continue
        seen.add(os.path.realpath(place))
        for entry in entries:
            path, kind = (*parts, entry.name), _kind(entry)
            if kind == "folder":
                (linked if entry.is_symlink() else now).append((path, link or entry.is_symlink()))
            elif kind == "image":
                found.append((path, link or entry.is_symlink()))
            else:
                left.setdefault(kind, []).append(path)
    return found, left


def _kind(entry: os.DirEntry) -> str:
    """'folder', 'image', or why the entry is left out."""
    if entry.name.startswith("."):
        return "hidden"
    try:
        if entry.is_dir():
            return "folder"
        if not entry.is_file():
            return "linking nowhere" if entry.is_symlink() else "of other kinds"
    except OSError:  # a circle of links
        return "linking nowhere"
    return "image" if os.path.splitext(entry.name)[1].lower() in suffixes() else "of other kinds"


def _animated(image: Image.Image) -> bool:
    """Whether there is a second frame; no, if it is damaged."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # the first frame may be whole, and loading it is what counts
        image.seek(0)
        return False


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its orientation says. Other entries of EXIF may be damaged, nothing here needs them."""
    orientation = None
    with contextlib.suppress(Exception):
        orientation = image.getexif().get(ORIENTATION)
    if not isinstance(orientation, int):
        with contextlib.suppress(Exception):
            orientation = _orientation(image.info["exif"].removeprefix(b"Exif\0\0"))
    turn = TURNS.get(orientation)
    return image.copy() if turn is None else image.transpose(turn)


def _orientation(exif: bytes) -> int | None:
    """The orientation in a block of EXIF, read past entries at which Pillow gives up."""
    order = {b"II": "<", b"MM": ">"}[exif[:2]]
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", exif, place)
        if tag == ORIENTATION:
            return struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}[kind], exif, place + 8)[0]
    return None


def _on_white(image: Image.Image) -> Image.Image:
    """The image as RGB, transparent parts white."""
    if "A" not in image.getbands() and "a" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
