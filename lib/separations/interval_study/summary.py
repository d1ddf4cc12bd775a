"""Reading a grid of intervals: rows of `interval_study.jobs.run_jobs` by pair, by location and by width, and correlations with their errors.

Rows are mappings with low, high, seed and measures; a measure is averaged over seeds before anything else, so that a pair counts
once however often it was run.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..numerics.checks import check_count
from ..numerics.intervals import IntervalEstimate, bootstrap_interval, normal_interval
from ..numerics.seeds import resampling

LOCATION = {"mean": lambda low, high: (low + high) / 2, "width": lambda low, high: high - low}


def by_pair(rows: Sequence[Mapping], measure: str) -> dict[tuple[float, float], float]:
    """Mean of a measure over the seeds of each pair (low, high).

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.

    Returns:
        The mean by pair, pairs rising; rows without an interval (low is None) are left out.

    Raises:
        ValueError: if no row has an interval, or a row lacks the measure.
    """
    found: dict[tuple[float, float], list[float]] = {}
    for row in rows:
        value = _value(row, measure)
        if row.get("low") is not None and row.get("high") is not None:
            found.setdefault((row["low"], row["high"]), []).append(value)
    if not found:
        raise ValueError("rows has no interval: rows with low and high are needed")
    return {pair: float(np.mean(values)) for pair, values in sorted(found.items())}


def _value(row: Mapping, measure: str) -> float:
    """A measure of a row as a number."""
    if measure not in row:
        raise ValueError(f"measure = {measure!r}: one of {', '.join(row)} is needed")
    try:
        return float(row[measure])
    except (TypeError, ValueError):
        raise ValueError(f"measure = {measure!r} is {row[measure]!r} in a row: a number is needed") from None


def groups(rows: Sequence[Mapping], measure: str, by: str) -> dict[float, list[float]]:
    """Values of the pairs by location or by width of their interval.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.
        by: "mean", the location, or "width".

    Returns:
        Each list over all pairs that have the key, keys rising.

    Raises:
        ValueError: for another `by`, and as `by_pair`.
    """
    if by not in LOCATION:
        raise ValueError(f"by = {by!r}: one of {', '.join(LOCATION)} is needed")
    found: dict[float, list[float]] = {}
    for pair, value in by_pair(rows, measure).items():
        found.setdefault(LOCATION[by](*pair), []).append(value)
    return dict(sorted(found.items()))


def matrix(rows: Sequence[Mapping], measure: str) -> tuple[np.ndarray, list[float], list[float]]:
    """A measure as a matrix over the ends of the intervals.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.

    Returns:
        (values, lows, highs): values[i, j] of the pair (lows[i], highs[j]), NaN where there is none.

    Raises:
        ValueError: as `by_pair`.
    """
    pairs = by_pair(rows, measure)
    lows, highs = (sorted({pair[k] for pair in pairs}) for k in (0, 1))
    values = np.full((len(lows), len(highs)), np.nan)
    for (low, high), value in pairs.items():
        values[lows.index(low), highs.index(high)] = value
    return values, lows, highs


@dataclass(frozen=True)
class Correlation(IntervalEstimate):
    """A rank correlation over pairs with its bootstrap interval and the p-value of none."""

    p: float
    pairs: int

    def __str__(self) -> str:
        return f"{self:.2f}, " + ("p < 0.001" if self.p < 0.001 else f"p = {self.p:.2g}")


def correlation(
    rows: Sequence[Mapping],
    measure: str,
    by: str,
    *,
    kind: str = "spearman",
    resamples: int = 2000,
    generator: torch.Generator | None = None,
) -> Correlation:
    """Correlation of a measure with the location or the width of the interval, or with another measure, over pairs.

    The interval is the percentile bootstrap over pairs, the p-value that of random permutations of the measure,
    two-sided. Both take pairs for a sample, which a designed grid is not, and neighbours on it share most of their
    timesteps: read the interval as how much the number owes to single pairs.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.
        by: "mean", the location, "width", or another measure.
        kind: "spearman" (ranks) or "pearson".
        resamples: of the bootstrap, and as many permutations.
        generator: of both; None is a fixed stream.

    Returns:
        A `Correlation`: the number with its interval and p-value, and the number of pairs.

    Raises:
        ValueError: for an unknown kind or `by`, fewer than 4 pairs, a measure that is the same everywhere or not
            finite.
    """
    if kind not in ("spearman", "pearson"):
        raise ValueError(f"kind = {kind!r}: 'spearman' or 'pearson' is needed")
    pairs, generator = by_pair(rows, measure), resampling(generator)
    if by not in LOCATION and by not in rows[0]:
        raise ValueError(f"by = {by!r}: one of {', '.join([*LOCATION, *rows[0]])} is needed")
    x = [LOCATION[by](*pair) for pair in pairs] if by in LOCATION else list(by_pair(rows, by).values())
    x, y = np.array(x), np.array(list(pairs.values()))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            f"measure = {measure!r} or by = {by!r} is NaN or infinite for a pair: finite values are needed"
        )
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError(f"rows have {len(x)} pairs: at least 4 with different {by} and different {measure} are needed")
    resamples = check_count(resamples, "resamples")
    ranks = kind == "spearman"
    found = bootstrap_interval(
        lambda index: _coefficients(x[index], y[index], ranks), len(x), resamples=resamples, generator=generator
    )
    shuffled = y[torch.rand(resamples, len(y), generator=generator, device=generator.device).argsort(1).cpu()]
    by_chance = np.abs(_coefficients(np.tile(x, (resamples, 1)), shuffled, ranks))
    p = (1 + int((by_chance >= abs(found.value) - 1e-12).sum())) / (resamples + 1)
    return Correlation(**vars(found), p=p, pairs=len(x))


def _coefficients(x: np.ndarray, y: np.ndarray, ranks: bool) -> np.ndarray:
    """Correlation of each row of x with that of y, (R, n) -> (R,); NaN where one of them is constant. ranks: of their ranks."""
    if ranks:
        from scipy.stats import rankdata

        x, y = rankdata(x, axis=1), rankdata(y, axis=1)
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    size = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    return np.divide((x * y).sum(1), size, out=np.full(len(x), np.nan), where=size > 0)


def between_seeds(rows: Sequence[Mapping], measure: str) -> float | None:
    """Standard deviation of a measure between seeds of the same job, pooled over jobs.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.

    Returns:
        A number in the unit of the measure; None if no job has two seeds.

    Raises:
        ValueError: if a row lacks the measure.
    """
    found: dict[object, list[float]] = {}
    for row in rows:
        found.setdefault((row.get("job"), row.get("epochs")), []).append(_value(row, measure))
    repeated = [values for values in found.values() if len(values) > 1]
    if not repeated:
        return None
    free = sum(len(values) - 1 for values in repeated)
    return math.sqrt(sum(np.var(values) * len(values) for values in repeated) / free)


def widenings(rows: Sequence[Mapping], measure: str) -> dict[float, float]:
    """What widening an interval changes where it stands: widest minus narrowest.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.

    Returns:
        The difference by location, where there are several widths; locations rising.

    Raises:
        ValueError: as `by_pair`.
    """
    at: dict[float, dict[float, float]] = {}
    for (low, high), value in by_pair(rows, measure).items():
        at.setdefault((low + high) / 2, {})[high - low] = value
    return {mean: by[max(by)] - by[min(by)] for mean, by in sorted(at.items()) if len(by) > 1}


@dataclass(frozen=True)
class Slope(IntervalEstimate):
    """Change of a measure per 100 steps of location at a fixed width, with its interval."""

    detectable: float  # the true slope that a test of "no slope" would find with a power of 0.8
    pairs: int


def location_slope(
    rows: Sequence[Mapping], measure: str, spread: float, freedom: int, *, confidence: float = 0.95
) -> Slope | None:
    """Least-squares slope of a measure against location, with a level of its own for each width.

    The interval covers another seed of the trainings, not another pretrained model or other starts of generation.

    Args:
        rows: mappings with low, high, seed and measures, of `run_jobs`.
        measure: name of a column.
        spread, freedom: standard deviation of the measure between seeds of training and its degrees of freedom
            (`between_seeds`, `seed_freedom`), which may come from other rows: with few pairs what they scatter around a
            line says next to nothing.
        confidence: of the interval, in (0, 1).

    Returns:
        A `Slope`, in units of the measure per 100 steps; None if no width has two locations.

    Raises:
        ValueError: as `by_pair`, and unless 0 < confidence < 1 and freedom > 0.
    """
    from scipy.stats import t

    counts: dict[tuple[float, float], int] = {}
    for row in rows:
        if row.get("low") is not None:
            counts[row["low"], row["high"]] = counts.get((row["low"], row["high"]), 0) + 1
    pairs = by_pair(rows, measure)
    width = np.array([high - low for low, high in pairs])
    x, y = np.array([(low + high) / 200 for low, high in pairs]), np.array(list(pairs.values()))
    for each in set(width.tolist()):
        x[width == each] -= x[width == each].mean()
    if not x.any():
        return None
    value = float(x @ y / (x @ x))
    se = spread * math.sqrt(float(sum(w * w / counts[pair] for w, pair in zip(x, pairs)))) / float(x @ x)
    found = normal_interval(value, se, confidence, freedom=freedom)
    detectable = float(found.high - value + t.ppf(0.8, freedom) * se)
    return Slope(**vars(found), detectable=detectable, pairs=len(x))


def seed_freedom(rows: Sequence[Mapping]) -> int:
    """Degrees of freedom of `between_seeds`: runs of jobs with several seeds, less one for each such job."""
    found: dict[object, int] = {}
    for row in rows:
        found[row.get("job"), row.get("epochs")] = found.get((row.get("job"), row.get("epochs")), 0) + 1
    return sum(count - 1 for count in found.values())
