"""One look for every figure of the book: one function for each kind of picture, axes in and axes out.

Nothing here shows, saves or titles a figure. Values may be torch tensors (any device) or numpy arrays. Colours are
names in COLORS, the same in every chapter, or matplotlib colours. Functions of x, such as `log_prob`, are called with a
tensor (m, 2) of torch's default dtype, without gradients.
"""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from scipy.optimize import isotonic_regression

from .colors import COLORS, CYCLE, array, cells, color_of, count, ink, mask, number, window

WIDTH = 7.0  # inches: the text column of the book
Extent = tuple[float, float, float, float]


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


def points(ax: Axes, train=None, samples=None, memorized=None, *, size: float = 9.0, extent=None) -> Axes:
    """2D scatter of training points and samples; the artists carry labels for a legend.

    Args:
        ax: where they are drawn.
        train: (n, 2), drawn as crosses.
        samples: (m, 2), drawn as dots.
        memorized: booleans (m,), one for each sample; those are red diamonds.
        size: area of a dot, in points squared.
        extent: window (left, right, bottom, top); by default what matplotlib takes.

    Returns:
        The axes.

    Raises:
        ValueError: for neither train nor samples, memorized without samples, and other shapes.
    """
    if train is None and samples is None:
        raise ValueError("train and samples are None: at least one of them is needed")
    if memorized is not None and samples is None:
        raise ValueError("memorized is given without samples: it marks samples")
    if samples is not None:
        samples = array(samples, "samples", ("m", 2))
        copied = np.zeros(len(samples), bool) if memorized is None else mask(memorized, "memorized", len(samples))
        ax.scatter(*samples[~copied].T, size, COLORS["sample"], linewidths=0, alpha=0.8, label="samples", zorder=2)
        if copied.any():
            style = {"marker": "D", "edgecolors": "white", "linewidths": 0.4, "label": "memorized", "zorder": 3.5}
            ax.scatter(*samples[copied].T, 1.8 * size, COLORS["memorized"], **style)
    if train is not None:
        train = array(train, "train", ("n", 2))
        style = {"linewidths": 1.2, "label": "training points", "zorder": 3}
        ax.scatter(*train.T, 3 * size, COLORS["train"], marker="x", **style)
    return _plane(ax, extent)


def density(
    ax: Axes, log_prob: Callable, extent: Extent, resolution: int = 150, *, color="truth", depth: float = 8.0,
    colorbar: bool = False,
) -> Axes:  # fmt: skip
    """Filled contours of a 2D log density.

    One shade a nat, from the maximum on the grid down; white is anything less than the last.

    Args:
        ax: where they are drawn.
        log_prob: (m, 2) -> (m,).
        extent: window (left, right, bottom, top).
        resolution: cells along the longer side of the window.
        color: of the darkest shade.
        depth: of the last shade, in nats below the maximum.
        colorbar: whether one stands beside the axes.

    Returns:
        The axes.

    Raises:
        ValueError: for a log_prob of another shape, with NaN, or -inf on the whole window, and for another extent.
    """
    x, y, at = cells(extent, resolution)
    values = _evaluate(log_prob, at, "log_prob", (len(at),)).reshape(len(y), len(x))
    if np.isneginf(values).all():
        raise ValueError("log_prob is -inf on the whole of extent: a window where the density is positive is needed")
    below = np.maximum(values - values.max(), -depth - 1)
    shades = LinearSegmentedColormap.from_list("shades", ["white", color_of(color)])(np.linspace(0.06, 0.75, 8))
    levels = np.linspace(-depth, 0, 9)
    drawn = ax.contourf(x, y, below, levels, colors=shades, zorder=0.5)
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, label=r"$\log p - \max \log p$ (nats)", shrink=0.85)
    return _plane(ax, extent)


def field(
    ax: Axes, score: Callable, extent: Extent, resolution: int = 19, *, color="train", power: float = 0.5,
    longest: float | None = None,
) -> Axes:  # fmt: skip
    """Arrows of a 2D score.

    An arrow's length is proportional to |s|**power, and a note above the right corner says so and gives |s| of the
    longest arrow.

    Args:
        ax: where they are drawn.
        score: (m, 2) -> (m, 2).
        extent: window (left, right, bottom, top).
        resolution: arrows along the longer side of the window.
        color: of the arrows.
        power: in (0, 1].
        longest: the |s| that fills one grid step (default: the largest here); the same for several panels makes their
            arrows comparable.

    Returns:
        The axes.

    Raises:
        ValueError: for a score of another shape or that is not finite, and other values of extent, power or longest.
    """
    x, y, at = cells(extent, resolution)
    arrows = _evaluate(score, at, "score", (len(at), 2))
    norm = np.linalg.norm(arrows, axis=1)
    measure, longest = ("longest", norm.max()) if longest is None else ("one grid step", longest)
    if not longest > 0 or not 0 < power <= 1:
        raise ValueError(f"longest = {longest}, power = {power}: longest > 0 and 0 < power <= 1 are needed")
    step = min(x[1] - x[0], y[1] - y[0])
    scale = np.divide(step * (norm / longest) ** power, norm, out=np.zeros_like(norm), where=norm > 0)
    ax.quiver(
        *at.T.numpy(), *(arrows * scale[:, None]).T, color=color_of(color), angles="xy", scale_units="xy", scale=1,
        pivot="mid", units="width", width=0.004, headwidth=3.5, headlength=4, headaxislength=3.5, minlength=0.3,
    )  # fmt: skip
    law = {0.5: r"\sqrt{|s|}", 1: "|s|"}.get(power, rf"|s|^{{{power:g}}}")
    note = rf"length $\propto {law}$" + "\n" + rf"{measure}: $|s|$ = {number(longest)}"
    ax.set_title(note, loc="right", fontsize=7, color=COLORS["muted"], pad=4)
    return _plane(ax, extent)


def _plane(ax: Axes, extent: Extent | None) -> Axes:
    """Axes of a plane: equal scales, no grid, names of the coordinates."""
    if extent is not None:
        left, right, bottom, top = window(extent)
        ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.set_aspect("equal", adjustable="box")
    ax.grid(False)
    return _axis_labels(ax, "$x_1$", "$x_2$")


def _axis_labels(ax: Axes, x: str, y: str) -> Axes:
    """Labels where none are yet; of shared axes only the outer ones."""
    place = ax.get_subplotspec()
    if not ax.get_xlabel() and (place is None or place.is_last_row() or not _shared(ax, "x")):
        ax.set_xlabel(x)
    if not ax.get_ylabel() and (place is None or place.is_first_col() or not _shared(ax, "y")):
        ax.set_ylabel(y)
    return ax


def _next_color(ax: Axes, color) -> str:
    """The colour asked for, or else the first of the cycle that no line of the axes has yet."""
    if color is not None:
        return color_of(color)
    used = [line.get_color() for line in ax.get_lines()]
    return next((free for free in CYCLE if free not in used), CYCLE[len(used) % len(CYCLE)])


def _shared(ax: Axes, axis: str) -> bool:
    group = ax.get_shared_x_axes() if axis == "x" else ax.get_shared_y_axes()
    return len(group.get_siblings(ax)) > 1


def _evaluate(function: Callable, at: torch.Tensor, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a function given by the reader, checked: shape, and finite (a log density may be -inf)."""
    if not callable(function):
        raise ValueError(f"{name} is {type(function).__name__}: a function of a tensor {tuple(at.shape)} is needed")
    with torch.no_grad():
        values = function(at.to(torch.get_default_dtype()))
    return array(values, f"{name}(x)", shape, lowest=name == "log_prob")


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
