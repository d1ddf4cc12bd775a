"""Images on disk: read one, find all in a folder. Every error names the file."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def read_image(file: Path | BinaryIO, size: int, *, resize: bool = True, name: object = None) -> np.ndarray:
    """One image as uint8 (size, size, 3): turned upright, transparency set on white, centre square, resized (bicubic).

    With resize=False the image must be size x size already. ValueError, naming the file, if it cannot be read or does
    not fit.
    """
    name = file if name is None else name
    try:
        with Image.open(file) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises a dozen types on damaged files
        raise ValueError(f"{name} is not an image that can be read ({error}): repair it or take it away") from error
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{name} has pixels of kind {image.mode}: 8 bits a channel are needed, convert it first")
    if not resize and image.size != (size, size):
        raise ValueError(f"{name} has {image.width} x {image.height} pixels: {size} x {size} are needed")
    return np.asarray(ImageOps.fit(_on_white(image), (size, size), method=Image.Resampling.BICUBIC))


def read_images(files: list[Path], size: int, *, resize: bool = True) -> np.ndarray:
    """The images as uint8 (m, size, size, 3); errors as in `read_image`."""
    return np.stack([read_image(file, size, resize=resize) for file in files])


def find_images(folder: Path) -> tuple[list[Path], np.ndarray | None]:
    """Image files in a folder and all folders below it, sorted by path, and their labels.

    Hidden files and folders and other kinds of files are passed over. If every image lies in one of at least two
    sub-folders, the label is the number of the sub-folder in sorted order, int64 (n,); otherwise None.
    """
    parts = sorted(
        path.relative_to(folder).parts
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    parts = [p for p in parts if not any(part.startswith(".") for part in p)]
    classes, labels = np.unique([p[0] for p in parts], return_inverse=True)
    labelled = len(classes) > 1 and all(len(p) > 1 for p in parts)
    return [folder.joinpath(*p) for p in parts], labels.astype(np.int64) if labelled else None


def _on_white(image: Image.Image) -> Image.Image:
    """The image as RGB, transparent parts white."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
