"""Heat maps with their numbers in the cells, and box plots at places of an axis: how a measure lies over a grid. Part of `plotting`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from .colors import text_on

BOX = {"medianprops": {"color": "C1", "lw": 1.6}} | {f"{part}props": {"lw": 0.9} for part in ("box", "whisker", "cap")}
FEW = 4  # values that a box needs: with fewer they are points


def heat_map(
    ax: Axes,
    values,
    rows: Sequence,
    columns: Sequence,
    *,
    texts: str | Sequence[Sequence[str]] | None = None,
    label: str | None = None,
    limits: tuple[float, float] | None = None,
    cmap: str = "cividis",
    size: float = 6.5,
    **options,
) -> AxesImage:
    """A table as colours, the first row below, with its numbers in the cells, black or white, as can be read.

    Args:
        ax: where it is drawn.
        values: (r, c) numbers; NaN leaves a cell empty.
        rows, columns: r and c names beside and below the cells; numbers are written as `:g` does.
        texts: what stands in the cells: one form for all, as "{:.2f}", or (r, c) texts; nothing by default.
        label: of a colour bar beside the axes; no bar by default.
        limits: ends of the colours, by default the least and the greatest value.
        cmap: name of matplotlib's colours.
        size: of the texts, in points.
        options: for `Axes.imshow`, as norm= or origin="upper".

    Returns:
        The image, as a colour bar of several panels needs it.

    Raises:
        ValueError: for values that are not (r, c), and for names or texts of another number.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape != (len(rows), len(columns)):
        raise ValueError(f"values has shape {values.shape}: ({len(rows)}, {len(columns)}), rows by columns, is needed")
    if isinstance(texts, str):
        texts = [[texts.format(value) for value in line] for line in values]
    elif texts is not None and [len(line) for line in texts] != [len(columns)] * len(rows):
        raise ValueError(f"texts has lines of {[len(line) for line in texts]}: {values.shape} texts are needed")
    ends = {} if limits is None else dict(zip(("vmin", "vmax"), limits, strict=True))
    image = ax.imshow(values, **{"cmap": cmap, "aspect": "auto", "origin": "lower"} | ends | options)
    for i, j in zip(*np.nonzero(np.isfinite(values))) if texts is not None else ():
        color = text_on(image.cmap(image.norm(values[i, j])))
        ax.text(j, i, texts[i][j], ha="center", va="center", fontsize=size, color=color)
    ax.set_xticks(range(len(columns)), [_name(column) for column in columns])
    ax.set_yticks(range(len(rows)), [_name(row) for row in rows])
    ax.grid(False)
    if label is not None:
        ax.figure.colorbar(image, ax=ax, label=label, fraction=0.045, pad=0.03)
    return image


def boxes(ax: Axes, groups: Mapping[float, Sequence[float]], *, width: float | None = None) -> Axes:
    """Box plots at places of the x axis: quartiles, with whiskers over the whole range; points where there are fewer than 4 values.

    Args:
        ax: where they are drawn.
        groups: the values at each place.
        width: of a box, in units of the axis; by default two thirds of the least distance of two places.

    Returns:
        The axes.
    """
    places = sorted(groups)
    width = width or (min(np.diff(places)) if len(places) > 1 else 100) * 0.65
    for place in places:
        if len(groups[place]) >= FEW:
            ax.boxplot([groups[place]], positions=[place], widths=width, whis=(0, 100), manage_ticks=False, **BOX)
        else:
            ax.plot([place] * len(groups[place]), groups[place], "o", ms=3.2, color="C0", mfc="white")
    return ax


def _name(value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
