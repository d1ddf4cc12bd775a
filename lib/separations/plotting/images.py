"""Pictures made of images: grids, and generated images above their nearest training images. Part of `plotting`."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from .colors import COLORS, array, color_of, count, mask

LABEL = 8.0  # points: size of the labels
Range = tuple[float, float]


class Cell(NamedTuple):
    """One image (h, w, 1 or 3) in [0, 1] at a row and a column, with the text below it and the colour of its frame."""

    row: int
    column: int
    image: np.ndarray
    label: str = ""
    frame: str | None = None


def image_grid(
    ax: Axes | Figure | SubFigure, images, ncols: int, labels: Sequence[str] | None = None, frame_colors=None, *,
    value_range: Range = (-1.0, 1.0),
) -> Axes:  # fmt: skip
    """Images in rows, the last row perhaps shorter.

    Args:
        ax: axes, or a figure that gets some.
        images: (n, h, w), (n, 1, h, w) or (n, 3, h, w).
        ncols: images a row.
        labels: n short texts below the images.
        frame_colors: n colours, None for no frame, or one colour for all.
        value_range: (low, high), black and white; values are clipped to it.

    Returns:
        The axes.

    Raises:
        ValueError: for other shapes, another number of labels or colours, and images wholly on another scale, such as 0
            to 255.
    """
    images, ncols = _images(images, "images", value_range), count(ncols, "ncols")
    labels = _per_image(labels, "labels", len(images), "")
    frames = _per_image(frame_colors, "frame_colors", len(images), None)
    cells = [Cell(i // ncols, i % ncols, *rest) for i, rest in enumerate(zip(images, labels, frames))]
    return _draw(_axes(ax), cells, ncols)[0]


def pairs(
    fig: Figure | SubFigure | Axes, generated, nearest, captions: Sequence[str] | None = None, *, memorized=None,
    ncols: int = 10, value_range: Range = (-1.0, 1.0), names: tuple[str, str] = ("generated", "nearest\ntraining"),
) -> Axes:  # fmt: skip
    """Generated images above their nearest training images, in blocks.

    Args:
        fig: a figure that gets axes, or axes.
        generated, nearest: (m, h, w) or (m, c, h, w), c = 1 or 3.
        captions: m short texts below the pairs.
        memorized: booleans (m,); those generated images get a red frame.
        ncols: pairs a block.
        value_range: (low, high), black and white; values are clipped to it.
        names: what stands left of the two rows of a block.

    Returns:
        The axes.

    Raises:
        ValueError: for shapes that differ, another number of captions or booleans, and images wholly on another scale.
    """
    upper, lower = _images(generated, "generated", value_range), _images(nearest, "nearest", value_range)
    m, ncols = len(upper), min(count(ncols, "ncols"), len(upper))
    if lower.shape != upper.shape:
        raise ValueError(f"nearest has images {lower.shape}, generated {upper.shape} (n, h, w, c): the same is needed")
    captions = _per_image(captions, "captions", m, "")
    copied = np.zeros(m, bool) if memorized is None else mask(memorized, "memorized", m)
    cells = []
    for i in range(m):
        row, column = 2 * (i // ncols), i % ncols
        cells.append(Cell(row, column, upper[i], "", COLORS["memorized"] if copied[i] else None))
        cells.append(Cell(row + 1, column, lower[i], captions[i]))
    ax, middles = _draw(_axes(fig), cells, ncols, block=2)
    for row, middle in enumerate(middles):
        ax.text(-0.15, middle, names[row % 2], ha="right", va="center", fontsize=LABEL, color=COLORS["muted"])
    return ax


def _draw(ax: Axes, cells: list[Cell], ncols: int, block: int = 0) -> tuple[Axes, np.ndarray]:
    """Draw cells of width 1; a wider gap after every `block` rows. Also the heights of the rows' middles."""
    nrows = 1 + max(cell.row for cell in cells)
    ratio = cells[0].image.shape[0] / cells[0].image.shape[1]
    gap = 0.14 if any(cell.frame for cell in cells) else 0.06
    captioned = np.array([any(cell.label for cell in cells if cell.row == row) for row in range(nrows)])
    wider = np.array([bool(block) and row % block == block - 1 and row < nrows - 1 for row in range(nrows)])
    size = (ncols * (1 + gap) + gap, nrows * (ratio + gap) + gap + 0.25 * wider.sum())
    extra = captioned * _text_height(ax, *size, captioned.sum()) + 0.25 * wider
    tops = -np.concatenate([[0.0], np.cumsum(ratio + gap + extra)])
    for cell in cells:
        left, bottom = cell.column * (1 + gap), tops[cell.row] - ratio
        where = (left, left + 1, bottom, bottom + ratio)
        ax.imshow(cell.image, cmap="gray", vmin=0, vmax=1, extent=where, interpolation="nearest")
        if cell.frame is not None:
            corner, sides = (left - 0.35 * gap, bottom - 0.35 * gap), (1 + 0.7 * gap, ratio + 0.7 * gap)
            ax.add_patch(Rectangle(corner, *sides, fill=False, edgecolor=cell.frame, linewidth=2))
        if cell.label:
            ax.text(left + 0.5, bottom - 0.6 * gap, cell.label, ha="center", va="top", fontsize=LABEL)
    ax.set(xlim=(-gap, ncols * (1 + gap)), ylim=(tops[-1], gap), aspect="equal")
    ax.set_axis_off()
    return ax, tops[:-1] - ratio / 2


def _text_height(ax: Axes, wide: float, high: float, rows: int) -> float:
    """Height of a line of labels in widths of an image, for a picture wide x high of them with `rows` such lines."""
    box, inches = ax.get_window_extent(), LABEL * 1.5 / 72
    dpi = ax.figure.dpi
    return inches / max(min(box.width / dpi / wide, (box.height / dpi - rows * inches) / high), 0.05)


def _axes(place: Axes | Figure | SubFigure) -> Axes:
    if isinstance(place, Axes):
        return place
    if not isinstance(place, Figure | SubFigure):
        raise ValueError(f"{type(place).__name__} is no place for a picture: axes or a figure are needed")
    return place.add_subplot()


def _images(images, name: str, value_range: Range) -> np.ndarray:
    """(n, h, w, 1 or 3) in [0, 1] from (n, h, w), (n, 1, h, w) or (n, 3, h, w) in value_range."""
    found = array(images, name)
    found = found[:, None] if found.ndim == 3 else found
    if found.ndim != 4 or found.shape[1] not in (1, 3) or found.size == 0:
        raise ValueError(f"{name} has shape {found.shape}: (n, h, w), (n, 1, h, w) or (n, 3, h, w) is needed")
    low, high = array(value_range, "value_range", (2,))
    if not low < high:
        raise ValueError(f"value_range = {value_range}: (low, high) with low < high is needed")
    scaled = (found - low) / (high - low)
    if np.median(np.abs(scaled - 0.5)) > 10 or scaled.max() > 100:
        raise ValueError(
            f"{name} has values from {found.min():.3g} to {found.max():.3g}: values in {value_range} are needed, "
            "or another value_range"
        )
    return scaled.clip(0, 1).transpose(0, 2, 3, 1)


def _per_image(values, name: str, n: int, default) -> list:
    """One value for each of n images. Colours are resolved; one colour stands for all."""
    if values is None:
        return [default] * n
    values = [values] * n if isinstance(values, str) and name == "frame_colors" else list(values)
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries: one for each of the {n} images is needed")
    if name != "frame_colors":
        return [str(value) for value in values]
    return [None if value is None else color_of(value, name) for value in values]
