"""Interval estimates: numbers with their confidence intervals, by Student, Wilson and the percentile bootstrap, all of them one type."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .checks import as_real, check_count, check_memory, check_whole
from .seeds import resampling


@dataclass(frozen=True)
class IntervalEstimate:
    """A number with its confidence interval; float(...) is the number, f"{...:.2f}" reads 1.23 [1.10, 1.36].

    Attributes:
        value, low, high: numbers, or arrays of one shape where many are estimated at once (no float and no text then).
            An unknown end is infinite; it is left out of the text.
        confidence: of the interval.
    """

    value: float
    low: float
    high: float
    confidence: float

    @property
    def ends(self) -> tuple[float, float]:
        """(low, high)."""
        return self.low, self.high

    @property
    def half_width(self) -> float:
        """(high - low) / 2: what stands behind ± where the interval is symmetric."""
        return (self.high - self.low) / 2

    def __float__(self) -> float:
        return float(self.value)

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        number = format(self.value, spec)
        known = math.isfinite(self.low) or math.isfinite(self.high)
        return f"{number} [{self.low:{spec}}, {self.high:{spec}}]" if known else number

    def __str__(self) -> str:
        return format(self, ".3g")

    def columns(self, name: str) -> dict[str, float]:
        """The three numbers for a row of a table: name, name_low and name_high."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    def minus(self, other: "IntervalEstimate") -> "IntervalEstimate":
        """The difference to an independent estimate, each end from the two nearer ones (Newcombe 1998, method 10; Zou and Donner 2008).

        For symmetric intervals half widths add as squares. ValueError for intervals of different confidence.
        """
        if self.confidence != other.confidence:
            raise ValueError(
                f"other has confidence {other.confidence}: that of the first, {self.confidence}, is needed"
            )
        difference = self.value - other.value
        down = np.hypot(self.value - self.low, other.high - other.value)
        up = np.hypot(self.high - self.value, other.value - other.low)
        return IntervalEstimate(difference, difference - down, difference + up, self.confidence)


def interval_of_columns(row: Mapping[str, float], name: str, confidence: float = 0.95) -> IntervalEstimate:
    """What `IntervalEstimate.columns` put into a row of a table.

    Args:
        row: by column.
        name: of the number; its ends stand under name_low and name_high.
        confidence: with which it was made, which no column holds; in (0, 1).

    Returns:
        The `IntervalEstimate`.

    Raises:
        ValueError: for a row without one of these columns, and unless 0 < confidence < 1.
    """
    missing = [column for column in (name, f"{name}_low", f"{name}_high") if column not in row]
    if missing:
        raise ValueError(f"row has no {', '.join(missing)}: the columns of an interval estimate are needed")
    return IntervalEstimate(row[name], row[f"{name}_low"], row[f"{name}_high"], check_confidence(confidence))


def check_confidence(confidence: float) -> float:
    """confidence as a float, if it is in (0, 1); ValueError otherwise."""
    if not 0 < as_real(confidence, "confidence") < 1:
        raise ValueError(f"confidence = {confidence}: a number in (0, 1) is needed")
    return float(confidence)


def normal_interval(value, se, confidence: float = 0.95, *, freedom: float = math.inf) -> IntervalEstimate:
    """value -+ quantile * se, of the normal law, or of Student's where se was estimated with so many degrees of freedom.

    Args:
        value, se: numbers, or arrays of one shape.
        confidence: of the interval, in (0, 1).
        freedom: n - 1 for a mean, n - 2 for the slope of a line, infinite where se is known.

    Returns:
        An `IntervalEstimate` of the shape of value.

    Raises:
        ValueError: unless 0 < confidence < 1 and freedom > 0.
    """
    from scipy.stats import t

    if not as_real(freedom, "freedom") > 0:
        raise ValueError(f"freedom = {freedom}: a positive number is needed")
    half = t.ppf((1 + check_confidence(confidence)) / 2, freedom) * se
    return IntervalEstimate(value, value - half, value + half, float(confidence))


def t_interval(values, confidence: float = 0.95) -> IntervalEstimate:
    """Student's interval of the mean over independent replications; of paired values, give the differences.

    Args:
        values: (r, ...) finite numbers, r >= 1 replications along the first axis; of one alone the interval is the
            whole line.
        confidence: of the interval, in (0, 1).

    Returns:
        Floats for values (r,), arrays (...) otherwise.

    Raises:
        ValueError: for no values or values that are not finite, and unless 0 < confidence < 1.
    """
    from scipy.stats import ttest_1samp

    values, confidence = check_replications(values), check_confidence(confidence)
    mean = values.mean(0)
    if len(values) == 1:
        low, high = mean - math.inf, mean + math.inf
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the interval is the value, as it should be
            low, high = ttest_1samp(values, 0).confidence_interval(confidence)
    if values.ndim == 1:
        mean, low, high = float(mean), float(low), float(high)
    return IntervalEstimate(mean, low, high, confidence)


def check_replications(values) -> np.ndarray:
    """values as a float64 array (r, ...), r >= 1; ValueError unless they are finite numbers."""
    found = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else list(values), dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise ValueError(
            f"values has shape {found.shape} or values that are not finite: finite numbers (r, ...), r >= 1, are needed"
        )
    return found


def wilson_interval(k: int, m: int, confidence: float = 0.95) -> IntervalEstimate:
    """The share k / m with Wilson's score interval (Wilson 1927): honest also at 0 and at 1.

    Args:
        k, m: k of m counted, whole numbers.
        confidence: of the interval, in (0, 1).

    Returns:
        An `IntervalEstimate` of floats in [0, 1].

    Raises:
        ValueError: unless 0 <= k <= m, 1 <= m, and 0 < confidence < 1.
    """
    from scipy.stats import binomtest

    m, confidence = check_whole(m, "m", 1, 2**53), check_confidence(confidence)
    k = check_whole(k, "k", 0, m)
    found = binomtest(k, m).proportion_ci(confidence, method="wilson")
    return IntervalEstimate(k / m, min(float(found.low), k / m), max(float(found.high), k / m), confidence)  # rounding


def percentile_interval(value, draws, confidence: float = 0.95) -> IntervalEstimate:
    """value with the quantiles of bootstrap draws of it as ends (Efron 1979).

    Args:
        value: a number, or an array (...).
        draws: (resamples, ...), the same statistic on resamples. NaN, where a resample has none, is left out; where all
            are NaN, so are the ends.
        confidence: of the interval, in (0, 1).

    Returns:
        An `IntervalEstimate` of the shape of value.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    tail = (1 - check_confidence(confidence)) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column that is NaN throughout
        low, high = np.nanquantile(np.asarray(draws, dtype=np.float64), [tail, 1 - tail], axis=0)
    if np.ndim(low) == 0:
        value, low, high = float(value), float(low), float(high)
    return IntervalEstimate(value, low, high, float(confidence))


def bootstrap_interval(
    statistic: Callable[[Tensor], Tensor],
    n: int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    generator: torch.Generator | None = None,
) -> IntervalEstimate:
    """A statistic of n independent rows with its percentile bootstrap over the rows.

    Args:
        statistic: from row numbers (r, n) to the statistic of each of r samples (r,): `lambda rows: x[rows].mean(1)`.
        n: rows that there are.
        confidence: of the interval, in (0, 1).
        resamples: samples of n rows with replacement.
        generator: of the resamples; None is a fixed stream, so that the same numbers have the same interval.

    Returns:
        An `IntervalEstimate` of floats, in the unit of the statistic.

    Raises:
        ValueError: unless n and resamples are positive whole numbers that fit into memory, and 0 < confidence < 1.
    """
    n, resamples, confidence = check_count(n, "n"), check_count(resamples, "resamples"), check_confidence(confidence)
    check_memory(2 * resamples * n, torch.float64, f"resamples = {resamples}")
    generator = resampling(generator)
    rows = torch.randint(n, (resamples, n), generator=generator, device=generator.device).cpu()
    return percentile_interval(float(statistic(torch.arange(n)[None])[0]), statistic(rows), confidence)
