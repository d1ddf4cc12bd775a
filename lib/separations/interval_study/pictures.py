"""Pictures of a grid of intervals: axes in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from .summary import groups, matrix


def heat_map(
    ax: Axes,
    rows: Sequence[Mapping],
    measure: str,
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    digits: int | None = None,
) -> Axes:
    """A measure over all pairs: low ends down, high ends across, a colour bar with `label`; digits: write the numbers into the cells.

    limits: of the colours, by default those of the values.
    """
    values, lows, highs = matrix(rows, measure)
    low, high = limits or (np.nanmin(values), np.nanmax(values))
    image = ax.imshow(values, cmap="cividis", vmin=low, vmax=high, aspect="equal", origin="lower")
    ax.set_xticks(range(len(highs)), [f"{h:g}" for h in highs], rotation=90)
    ax.set_yticks(range(len(lows)), [f"{l:g}" for l in lows])
    ax.set_xlabel("high end (step)"), ax.set_ylabel("low end (step)")
    ax.grid(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if digits is not None:
        for i, j in zip(*np.nonzero(np.isfinite(values))):
            dark = (values[i, j] - low) / max(high - low, 1e-12) < 0.55
            ax.text(
                j, i, f"{values[i, j]:.{digits}f}", ha="center", va="center", size=6, color="white" if dark else "black"
            )
    ax.figure.colorbar(image, ax=ax, label=label, fraction=0.045, pad=0.03)
    return ax


def boxes(ax: Axes, rows: Sequence[Mapping], measure: str, by: str, *, label: str, width: float | None = None) -> Axes:
    """Box plot of a measure over the pairs with one location (by="mean") or one "width"; points where there are fewer than 4 pairs.

    Boxes are quartiles, whiskers the whole range. width: of a box, in steps; by default two thirds of the least distance.
    """
    found = groups(rows, measure, by)
    places = list(found)
    width = width or (min(np.diff(places)) if len(places) > 1 else 100) * 0.65
    for place, values in found.items():
        if len(values) >= 4:
            ax.boxplot(
                [values], positions=[place], widths=width, whis=(0, 100), manage_ticks=False, medianprops={"color": "C1", "lw": 1.6},
                boxprops={"lw": 0.9}, whiskerprops={"lw": 0.9}, capprops={"lw": 0.9},
            )  # fmt: skip
        else:
            ax.plot([place] * len(values), values, "o", ms=3.2, color="C0", mfc="white")
    ax.set_xlabel({"mean": "mean of the interval (step)", "width": "width of the interval (steps)"}[by])
    ax.set_ylabel(label)
    return ax
