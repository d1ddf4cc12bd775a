"""Means over seeds and differences of two means, with their 95 % intervals."""

import math
import statistics
from collections.abc import Sequence


def as_float(value: int | float) -> float:
    """A number as a float; infinite where it is beyond the largest one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _t_975(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % t-interval; NaN for a single seed, or where a value is not finite."""
    values = [as_float(value) for value in values]
    n, finite = len(values), all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else sum(values) / n
    return mean, _t_975(n - 1) * statistics.stdev(values) / math.sqrt(n) if n > 1 and finite else math.nan


def welch(left: Sequence[float], right: Sequence[float]) -> float:
    """Half the width of Welch's 95 % interval for a difference of means; NaN where a side has a single value."""
    if len(left) < 2 or len(right) < 2:
        return math.nan
    parts = [statistics.variance(values) / len(values) for values in (left, right)]
    weight = sum(part**2 / (len(values) - 1) for part, values in zip(parts, (left, right)))
    return _t_975(sum(parts) ** 2 / weight) * math.sqrt(sum(parts)) if weight else 0.0
