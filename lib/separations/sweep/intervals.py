"""Means over seeds and differences of two means, with their 95 % intervals."""

import math
import statistics
import warnings
from collections.abc import Sequence


def as_float(value: int | float) -> float:
    """A number as a float; infinite where it is beyond the largest one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % t-interval; NaN for a single seed, or where a value is not finite."""
    values = [as_float(value) for value in values]
    n, finite = len(values), all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else sum(values) / n
    return mean, half_width(values) if n > 1 and finite else math.nan


def half_width(values: Sequence[float], others: Sequence[float] | None = None) -> float:
    """Half the width of Student's 95 % interval of a mean, or of Welch's of a difference of means; NaN where a side has a single value."""
    from scipy.stats import ttest_1samp, ttest_ind

    values, others = ([float(value) for value in side] if side is not None else None for side in (values, others))
    if min(len(values), len(values if others is None else others)) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the width is 0, as it should be
        found = ttest_1samp(values, 0) if others is None else ttest_ind(values, others, equal_var=False)
        low, high = found.confidence_interval(0.95)
    return float(high - low) / 2
