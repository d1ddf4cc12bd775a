"""One look for every figure of the book, its panels and their lines: one function for each kind of picture, axes in and axes out.

Nothing here shows, saves or titles a figure. Values may be torch tensors (any device) or numpy arrays. Colours are
names in COLORS, the same in every chapter, or matplotlib colours.
"""

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from .colors import CYCLE, array, color_of, count, ink

WIDTH = 7.0  # inches: the text column of the book


def use_style() -> None:
    """Set the look of every figure that follows; call it once, in the set-up cell of a notebook."""
    text = "#222222"
    mpl.rcParams.update({
        "figure.figsize": (WIDTH, 3.6), "figure.dpi": 130, "savefig.dpi": 130, "figure.constrained_layout.use": True,
        "figure.constrained_layout.h_pad": 0.06, "figure.constrained_layout.w_pad": 0.06,
        "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
        "font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "font.size": 10,
        "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9,
        "text.color": text, "axes.labelcolor": text, "xtick.color": "#555555", "ytick.color": "#555555",
        "axes.edgecolor": "#888888", "axes.linewidth": 0.8, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.color": "#e8e8e8", "grid.linewidth": 0.7, "axes.axisbelow": True,
        "axes.prop_cycle": mpl.cycler(color=CYCLE), "lines.linewidth": 1.8, "lines.markersize": 5,
        "legend.frameon": False, "image.cmap": "cividis", "svg.hashsalt": "separations",
    })  # fmt: skip


def panels(nrows: int = 1, ncols: int = 1, *, height: float | None = None, share: bool = True, **options):
    """Small multiples over the width of a page.

    Args:
        nrows, ncols: of the panels.
        height: inches of one row (default: panels wider than high by 1.3, at most 3.6).
        share: whether all panels have the same axes.
        options: for `plt.subplots`.

    Returns:
        Figure and axes, the latter as from `plt.subplots`: one, an array (nrows,) or (ncols,), or (nrows, ncols).

    Raises:
        ValueError: for nrows or ncols below 1.
    """
    nrows, ncols = count(nrows, "nrows"), count(ncols, "ncols")
    height = min(3.6, WIDTH / ncols / 1.3 + 0.4) if height is None else height
    options = {"sharex": share, "sharey": share, "figsize": (WIDTH, nrows * height), "layout": "constrained"} | options
    return plt.subplots(nrows, ncols, **options)


def panel_label(ax: Axes, text: str) -> Axes:
    """Name a panel of small multiples.

    Args:
        ax: the panel.
        text: short; it stands in bold above the left corner.

    Returns:
        The axes.
    """
    ax.set_title(text, loc="left", fontsize=9.5, fontweight="bold", pad=4)
    return ax


def line_with_band(ax: Axes, x, mean, low=None, high=None, *, label: str | None = None, color=None, **style) -> Axes:
    """A line with the band of its uncertainty.

    Args:
        ax: where it is drawn.
        x: (n,).
        mean: (n,), the line.
        low, high: (n,), ends of the band; no band where both are None.
        label: for a legend or `direct_labels`.
        color: by default the next of the cycle.
        style: for `Axes.plot`.

    Returns:
        The axes.

    Raises:
        ValueError: for shapes that differ, values that are not finite, one end without the other, and low above high.
    """
    x = array(x, "x", ("n",))
    mean = array(mean, "mean", x.shape)
    if (low is None) != (high is None):
        raise ValueError(f"low is {low}, high is {high}: both ends of the band, or neither, are needed")
    ends = None if low is None else _interval(low, high, x.shape)
    (line,) = ax.plot(x, mean, label=label, **{"color": _next_color(ax, color)} | style)
    if ends is not None:
        ax.fill_between(x, *ends, color=line.get_color(), alpha=0.2, linewidth=0)
    return ax


def error_points(ax: Axes, x, y, low, high, *, label: str | None = None, color=None, marker: str = "o") -> Axes:
    """Points with their intervals.

    Args:
        ax: where they are drawn.
        x: (n,).
        y: (n,), the points.
        low, high: (n,), the ends of the intervals, not their lengths.
        label: for a legend.
        color: by default the next of the cycle.
        marker: of matplotlib.

    Returns:
        The axes.

    Raises:
        ValueError: for shapes that differ, values that are not finite, and low above high.
    """
    x = array(x, "x", ("n",))
    y, (low, high) = array(y, "y", x.shape), _interval(low, high, x.shape)
    (dots,) = ax.plot(x, y, marker, label=label, color=_next_color(ax, color), zorder=3)
    ax.vlines(x, low, high, color=dots.get_color(), linewidth=1.5)
    return ax


def direct_labels(ax: Axes, size: float = 9.0) -> Axes:
    """Write each labelled line's name at its right end, in its colour, without overlaps; instead of a legend.

    Call it last: it lays the figure out to find the ends.

    Args:
        ax: the axes with the lines.
        size: of the text, in points.

    Returns:
        The axes.

    Raises:
        ValueError: if no line of the axes has a label.
    """
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    if not lines:
        raise ValueError("ax has no line with a label: give label= to the functions that drew its lines")
    ax.figure.canvas.figure.draw_without_rendering()
    ends = [(*end, line) for line in lines if (end := _right_end(ax, line)) is not None]
    ends.sort(key=lambda end: end[1])
    heights = np.array([1.2 * size * (1 + line.get_label().count("\n")) for *_, line in ends])
    gaps = np.cumsum(heights) - heights / 2
    # Least squares displacement under the order of the ends and the heights of the labels.
    wanted = np.array([y for _, y, _ in ends])
    placed = isotonic_regression(wanted - gaps).x + gaps if ends else wanted
    for (end, y, line), at in zip(ends, placed):
        ax.annotate(
            line.get_label(), end, (5, at - y), xycoords="data", textcoords="offset points", va="center", fontsize=size,
            color=ink(line.get_color()), annotation_clip=False,
        )  # fmt: skip
    return ax


def _next_color(ax: Axes, color) -> str:
    """The colour asked for, or else the first of the cycle that no line of the axes has yet."""
    if color is not None:
        return color_of(color)
    used = [line.get_color() for line in ax.get_lines()]
    return next((free for free in CYCLE if free not in used), CYCLE[len(used) % len(CYCLE)])


def _interval(low, high, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    low, high = array(low, "low", shape), array(high, "high", shape)
    if (low > high).any():
        raise ValueError(f"low is above high at index {int((low > high).argmax())}: low <= high is needed")
    return low, high


def _right_end(ax: Axes, line) -> tuple[tuple[float, float], float] | None:
    """The rightmost visible vertex of a line: (data coordinates, height in points); None where nothing is visible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = line.get_transform().transform(np.ma.filled(line.get_xydata(), np.nan))
    box = ax.get_window_extent().padded(1)
    xy = xy[[box.contains(*point) for point in xy]]
    if not len(xy):
        return None
    end = xy[xy[:, 0].argmax()]
    return tuple(ax.transData.inverted().transform(end)), end[1] * 72 / ax.figure.dpi
