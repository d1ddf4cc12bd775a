"""Pictures of the plane: points, a log density and a score, over a window with equal scales.

Functions of x, such as `log_prob`, are called with a tensor (m, 2) of torch's default dtype, without gradients.
"""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from .colors import COLORS, array, cells, color_of, mask, number, window

Extent = tuple[float, float, float, float]


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
