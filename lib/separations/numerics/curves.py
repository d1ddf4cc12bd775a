"""Curves through measured points: the exponent of a power law, and where a level is passed."""

import math

import numpy as np

from .checks import as_real, check_whole
from .intervals import IntervalEstimate, normal_interval

AXES = ("", "x", "y", "xy")
BEYOND = ("end", "nan")
LEAST = 1e-300  # what takes the place of a smaller value before its logarithm is taken


def log_slope(x, y, least: int = 2) -> float:
    """Slope of log y against log x by least squares, the exponent of a power law.

    Args:
        x: (k,), positive.
        y: (k,), positive; points where it is not finite are left out.
        least: how many different x must be left, >= 2.

    Returns:
        The slope; NaN where fewer x are left.

    Raises:
        ValueError: for shapes that differ, values that are not positive, and another `least`.
    """
    x, y = _logarithms(x, y)
    return float(np.polyfit(x, y, 1)[0]) if len(set(x.tolist())) >= check_whole(least, "least", 2) else math.nan


def power_law(x, y, confidence: float = 0.95) -> IntervalEstimate:
    """The exponent as `log_slope` gives it, with Student's interval from how far the points are from one line.

    The points count as independent, each with the same error of its logarithm; where they lie on a line, the interval is
    the slope alone.

    Args:
        x: (k,), positive.
        y: (k,), positive; points where it is not finite are left out.
        confidence: of the interval, in (0, 1).

    Returns:
        The slope with its interval, k - 2 degrees of freedom; NaN throughout where fewer than three different x are left.

    Raises:
        ValueError: for shapes that differ, values that are not positive, and unless 0 < confidence < 1.
    """
    from scipy.stats import linregress

    x, y = _logarithms(x, y)
    if len(set(x.tolist())) < 3:
        return normal_interval(math.nan, math.nan, confidence)
    fit = linregress(x, y)
    error = float(np.nan_to_num(fit.stderr))  # NaN where all y are equal
    return normal_interval(float(fit.slope), error, confidence, freedom=len(x) - 2)


def crossing(
    x, y, level: float, *, rising: bool | None = True, monotone: bool = True, logs: str = "", beyond: str = "end"
) -> float:
    """Where a curve through points first passes a level, on the straight line between two of them.

    Args:
        x: (k,), increasing.
        y: (k,) finite values.
        level: that y comes to from below, or from above where it falls.
        rising: whether it comes from below; None is as the ends of the curve lie.
        monotone: whether the curve is made monotone first, by its running maximum (or minimum), so that noise before the
            level is reached does not steepen the last step; otherwise the two points around the first passing count.
        logs: axes on which the line is straight in logarithms: "", "x", "y" or "xy". A y below 1e-300 counts as that.
        beyond: what stands where no two points lie around the level: "end", the end of the curve that is nearer to it,
            or "nan".

    Returns:
        The place, in the unit of x.

    Raises:
        ValueError: for shapes that differ, values that are not finite, values of x <= 0 with logs in x, a level <= 0 with
            logs in y, and other words.
    """
    x, y, level, places = _placed(x, y, level, logs)
    if beyond not in BEYOND:
        raise ValueError(f"beyond = {beyond!r}: one of {BEYOND} is needed")
    sign = 1 if rising or (rising is None and y[-1] >= y[0]) else -1
    values, wanted = sign * y, sign * level
    values = np.maximum.accumulate(values) if monotone else values
    i = int(np.argmax(values >= wanted))
    if i == 0:  # it is there from the start, or never comes there
        return math.nan if beyond == "nan" else float(x[0 if values[0] >= wanted else -1])
    found = float(np.interp(wanted, values[i - 1 : i + 1], places[i - 1 : i + 1]))
    return math.exp(found) if "x" in logs else found


def stays_below(x, y, level: float, *, logs: str = "") -> float:
    """From where on a curve through points stays below a level: the last place that `crossing` could mean, if it ends below.

    Args:
        x: (k,), increasing.
        y: (k,) finite values.
        level: that y is to stay below.
        logs: axes on which the line between two points is straight in logarithms, as in `crossing`.

    Returns:
        The place, in the unit of x: the first x where the whole curve is below, NaN where its end is not.

    Raises:
        ValueError: for shapes that differ, values that are not finite, values of x <= 0 with logs in x, a level <= 0 with
            logs in y, and other words.
    """
    x, y, level, places = _placed(x, y, level, logs)
    above = np.flatnonzero(y >= level)
    if not len(above):
        return float(x[0])
    i = int(above[-1])
    if i == len(y) - 1:
        return math.nan
    found = float(np.interp(-level, -y[i : i + 2], places[i : i + 2]))
    return math.exp(found) if "x" in logs else found


def _placed(x, y, level: float, logs: str) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """x, then y and the level as they are compared, and x as it is interpolated."""
    x, y = _points(x, y)
    level = as_real(level, "level")
    if not len(x):
        raise ValueError("x has no points: one or more are needed")
    if logs not in AXES:
        raise ValueError(f"logs = {logs!r}: one of {AXES} is needed")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and math.isfinite(level)):
        raise ValueError(f"x, y or level = {level} has values that are not finite: finite numbers are needed")
    if ("x" in logs and not (x > 0).all()) or ("y" in logs and not level > 0):
        raise ValueError(f"logs = {logs!r}, level = {level}, least x = {x.min()}: positive numbers are needed")
    if "y" in logs:
        y, level = np.log(np.maximum(y, LEAST)), math.log(level)
    return x, y, level, np.log(x) if "x" in logs else x


def _points(x, y) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 arrays (k,)."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x has shape {x.shape}, y {y.shape}: (k,) twice is needed")
    return x, y


def _logarithms(x, y) -> tuple[np.ndarray, np.ndarray]:
    """Those of the points at which y is finite."""
    x, y = _points(x, y)
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if not ((x > 0).all() and np.isfinite(x).all() and (y > 0).all()):
        raise ValueError("x or y has values that are not positive: a power law needs positive numbers")
    return np.log(x), np.log(y)
