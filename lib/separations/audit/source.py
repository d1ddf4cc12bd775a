"""A set before it is read: how many entries, what they are called, and how to get one."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..files import sha256

PEEK = 32  # images looked at before the size is settled
LOW = 0.1  # of their sides: one tiny image does not make all others tiny


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
        image: (row number, side) -> uint8 (side, side, 3); ValueError says what is wrong with the image. None for signals.
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


def stamp_of(files: Sequence[Path]) -> Callable[[], str]:
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


class Choice(ValueError):
    """Which array of a file is meant is not clear."""


def on_white(image: np.ndarray) -> np.ndarray:
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
