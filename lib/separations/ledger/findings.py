"""Findings: from what a chapter measured (means over replications, shares, counts) to the parts of a verdict.

The rule by which they make a verdict stands in `verdicts`; its criteria and `verdict` itself can be had from here as well.
"""

import math
from collections.abc import Iterable, Mapping

from ..numerics.checks import as_real, check_whole
from ..numerics.estimates import Estimate
from ..numerics.intervals import IntervalEstimate, check_confidence, check_replications, t_interval, wilson_interval
from .verdicts import Criterion, Finding

EXACT = "exact"  # the interval of a number that was counted or computed: no sampling is in it


def finding(
    what: str,
    estimate: float | Estimate | IntervalEstimate | None,
    interval: tuple[float, float] | str | None,
    criterion: Criterion,
    precondition: bool | Mapping[str, bool] = True,
    confidence: float = 0.95,
) -> Finding:
    """A part of a claim: an estimate, its interval, the criterion, and what must be given for it to count.

    Args:
        what: a few words that name the number.
        estimate: a number, an `IntervalEstimate` (its own interval is taken where interval is None) or an `Estimate`
            (its normal one), or None if nothing was measured.
        interval: (low, high) around it, or EXACT for a number without sampling.
        criterion: that the number is to meet.
        precondition: whether it is met, or a mapping from words to that.
        confidence: of the interval of an `Estimate`, in (0, 1).

    Returns:
        `Finding`.

    Raises:
        ValueError: for NaN, for an interval without its estimate.
    """
    given = precondition if isinstance(precondition, Mapping) else {"its precondition": precondition}
    unmet = ", ".join(str(words) for words, met in given.items() if not met)
    if estimate is None:
        return Finding(what, None, -math.inf, math.inf, criterion, unmet)
    if isinstance(estimate, Estimate | IntervalEstimate):
        if interval is None:
            interval = (estimate.interval(confidence) if isinstance(estimate, Estimate) else estimate).ends
        estimate = float(estimate)
    value = as_real(estimate, "estimate")
    if interval == EXACT:
        interval = (value, value)
    if interval is None or isinstance(interval, str):
        raise ValueError(f"interval = {interval!r} of {what!r}: (low, high) or EXACT is needed")
    low, high = (as_real(end, "interval") for end in interval)
    return Finding(what, value, low, high, criterion, unmet)


def mean_of(
    what: str,
    values: Iterable[float],
    criterion: Criterion,
    precondition: bool | Mapping[str, bool] = True,
    confidence: float = 0.95,
) -> Finding:
    """A finding on the mean over independent replications, with Student's interval.

    Args:
        what: a few words that name the mean.
        values: (r,); of one alone nothing follows, none is a number that was not measured.
        criterion: that the mean is to meet.
        precondition: whether it is met, or a mapping from words to that.
        confidence: of the interval, in (0, 1).

    Returns:
        `Finding`.

    Raises:
        ValueError: for values that are not finite.
    """
    values = list(values)
    return finding(what, t_interval(values, confidence) if values else None, None, criterion, precondition)


def share(
    what: str,
    k: int,
    m: int,
    criterion: Criterion,
    precondition: bool | Mapping[str, bool] = True,
    confidence: float = 0.95,
) -> Finding:
    """A finding on a share of independent draws, with Wilson's interval.

    Args:
        what: a few words that name the share.
        k: draws that count, 0 <= k <= m.
        m: draws, >= 1.
        criterion: that the share is to meet.
        precondition: whether it is met, or a mapping from words to that.
        confidence: of the interval, in (0, 1).

    Returns:
        `Finding`.

    Raises:
        ValueError: for other values of k, m or confidence.
    """
    return finding(what, wilson_interval(k, m, confidence), None, criterion, precondition)


def counted(what: str, right: int, tried: int, precondition: bool | Mapping[str, bool] = True) -> Finding:
    """A finding on cases that can be decided without sampling: it holds if all of those tried, at least one, are right.

    Args:
        what: a few words that name the cases.
        right: cases that are right, 0 <= right <= tried.
        tried: cases that were tried; of none nothing follows.
        precondition: whether it is met, or a mapping from words to that.

    Returns:
        `Finding` on the share right / tried.

    Raises:
        ValueError: for other values of right or tried.
    """
    tried = check_whole(tried, "tried", 0, 2**53)
    right = check_whole(right, "right", 0, tried)
    return finding(what, right / tried if tried else None, EXACT, Criterion(1.0, 1.0), precondition)


def rank_correlation(
    found: Mapping[tuple[str, str], IntervalEstimate | None],
    measure: str,
    by: str,
    criterion: Criterion,
    precondition: bool | Mapping[str, bool] = True,
    *,
    words: Mapping[str, str] | None = None,
    where: str = "",
) -> Finding:
    """A finding on the rank correlation of two columns of a table, out of those that a chapter has found.

    Args:
        found: correlations by their pair of columns, with their intervals; None where there was too little for one.
        measure, by: the pair.
        criterion: that the correlation is to meet.
        precondition: whether it is met, or a mapping from words to that.
        words: for columns whose names do not say what they are.
        where: among what, if the claim rests on several tables.

    Returns:
        `Finding`; nothing was measured where the correlation is None.

    Raises:
        ValueError: for a pair that is not in found.
    """
    if (measure, by) not in found:
        raise ValueError(
            f"found has no correlation of {measure!r} with {by!r}: one of {', '.join(map(str, found))} is needed"
        )
    names = [(words or {}).get(column, column) for column in (measure, by)]
    what = f"rank correlation of {names[0]} with the {names[1]}" + (f", {where}" if where else "")
    return finding(what, found[measure, by], None, criterion, precondition)


def detectable_difference(values: Iterable[float], power: float = 0.8, confidence: float = 0.95) -> float:
    """The true mean that a two-sided t test of "the mean is 0" would find with this power.

    Stands beside every null result: an effect below it would have been missed more often than 1 - power.

    Args:
        values: (r,), r >= 2, as paired differences.
        power: in (0, 1).
        confidence: of the test, in (0, 1).

    Returns:
        The mean, in the unit of the values; inf for one value.

    Raises:
        ValueError: for no values, values that are not finite, and another power or confidence.
    """
    from scipy.stats import sem, t

    values = check_replications(values)
    if len(values) < 2:
        return math.inf
    power, confidence, freedom = check_confidence(power), check_confidence(confidence), len(values) - 1
    return float((t.ppf((1 + confidence) / 2, freedom) + t.ppf(power, freedom)) * sem(values))
