"""From scores to shares of copies: thresholds and p-values by points that cannot be copies, and what that leaves uncertain.

The reference points (held-out images) and a sample that owes nothing to the training set are exchangeable. So the rank of its score among
theirs is uniform, whatever the detector: with m' reference points, the p-value (1 + #{reference scores <= score}) / (m' + 1) is at most
`rate` with probability at most `rate`, exactly, at every m' (conformal p-values: Vovk, Gammerman and Shafer 2005). At a given reference set
the chance of a false alarm is not `rate` but a draw from Beta(k, m' + 1 - k), k = floor(rate (m' + 1)): that is the uncertainty of the quantile,
and the interval of the excess holds it.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta

from ..numerics.checks import as_real
from ..numerics.intervals import IntervalEstimate, check_confidence, wilson_interval

AT_ONCE = 2**22  # comparisons at a time
TINY = 1e-30
FAR = (
    3  # times the unit of a detector: no farther from its median lies the hundredth of the points with the least scores
)
LEAST_UNIT = 0.01  # of logarithmic scores, for detectors that give nearly all points the same


@dataclass(frozen=True)
class Calibrated:
    """Samples judged by one detector, or by several together.

    Attributes:
        p: (m,) p-values of the samples.
        flagged: (m,) bool, p <= rate.
        found: share of flagged samples, Wilson's interval.
        false_alarms: share of fresh samples that would be flagged, over the draw of the reference points.
        excess: share of copies: (found - false_alarms) / (1 - false_alarms), for false alarms come from the samples that are no copies.
        threshold: score below which a sample is flagged, with the interval of that quantile; NaN for several detectors together.
    """

    p: np.ndarray = field(repr=False)
    flagged: np.ndarray = field(repr=False)
    found: IntervalEstimate
    false_alarms: IntervalEstimate
    excess: IntervalEstimate
    threshold: IntervalEstimate


def check_rate(rate: float) -> float:
    """rate as a float, if it is in (0, 0.5]; ValueError otherwise."""
    if not 0 < as_real(rate, "rate") <= 0.5:
        raise ValueError(f"rate = {rate}: a share of false alarms in (0, 0.5] is needed")
    return float(rate)


def p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Conformal p-values (m,) of scores (m,) by those of reference points (m',), small scores speaking against the null."""
    return (1 + np.searchsorted(np.sort(reference), scores, side="right")) / (len(reference) + 1)


def joint_p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """p-values of samples by J detectors together: by the one that finds a sample most unusual.

    Full conformal inference (Vovk et al. 2005): sample x joins the reference points; each detector's logarithmic scores are centred at their
    median and divided by a unit, both of all m' + 1 points; the statistic of a point is the least over detectors, and
    p the rank of x's among all. As x is treated like every other point, p is exact at every m', for dependent detectors too; and
    as the statistic is a distance, not a rank, a copy that one detector alone sees stands out beyond what the others find by chance.
    The unit is the distance to the lower decile, or a third of that to the lower hundredth where this is more: a detector that says something
    of few points alone (most have no textured part) would else drown all others.

    Args:
        scores: (m, J) of the samples, >= 0.
        reference: (m', J) of the reference points, >= 0.

    Returns:
        (m,).
    """
    x, r = _logarithms(scores, reference)
    (m, _), (n, detectors) = x.shape, r.shape
    ordered, counts = np.sort(r, axis=0), np.empty(m, int)
    step = max(1, AT_ONCE // max(1, n * detectors))
    for start in range(0, m, step):
        part = x[start : start + step]
        middle, unit = _middle_and_unit(ordered, part)
        theirs = ((r[None] - middle[:, None]) / unit[:, None]).min(2)
        counts[start : start + step] = (theirs <= ((part - middle) / unit).min(1)[:, None]).sum(1)
    return (1 + counts) / (n + 1)


def most_unusual(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The detector that finds each sample most unusual, (m,): its number. Arguments as in `joint_p_values`, and its statistic."""
    x, r = _logarithms(scores, reference)
    middle, unit = _middle_and_unit(np.sort(r, axis=0), x)
    return ((x - middle) / unit).argmin(1)


def _logarithms(scores: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.log(np.maximum(scores, TINY)), np.log(np.maximum(reference, TINY))


def _middle_and_unit(ordered: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and unit of the columns of `ordered` (n, J), sorted, with one more point each, x (m, J): (m, J) each."""
    n = len(ordered)
    middle, low = (_with_one_more(ordered, x, int(share * (n + 1))) for share in (0.5, 0.1))
    least = _with_one_more(ordered, x, max(1, int(0.01 * (n + 1))))
    return middle, np.maximum(np.maximum(middle - low, (middle - least) / FAR), LEAST_UNIT)


def _with_one_more(ordered: np.ndarray, x: np.ndarray, place: int) -> np.ndarray:
    """Order statistic number `place` of the columns of `ordered` (n, J) with one more point each, x (m, J) -> (m, J)."""
    if place >= len(ordered):
        return np.maximum(x, ordered[-1])
    return np.clip(x, ordered[place - 1] if place else -np.inf, ordered[place])


def calibrate(
    scores: np.ndarray, reference: np.ndarray, rate: float = 0.01, *, confidence: float = 0.95, shared: bool = False
) -> Calibrated:
    """Judges samples by their scores, so that at most a share `rate` of samples that are no copies is flagged.

    Args:
        scores: (m,) of one detector, or (m, J) of several that are to judge together.
        reference: (m',) or (m', J), of points that cannot be copies.
        rate: false alarms wanted, in (0, 0.5]; with m' < 1 / rate - 1 reference points nothing can be flagged at that rate.
        confidence: of all intervals.
        shared: whether the reference scores depend on one another, as those of training points, each against the others, do: the interval of
            the false alarms is then that of half as many.

    Returns:
        `Calibrated`.

    Raises:
        ValueError: for another rate or confidence, or where m' is too small for the rate.
    """
    rate, confidence = check_rate(rate), check_confidence(confidence)
    m = len(reference)
    k = math.floor(rate * (m + 1) + 1e-9)
    if k < 1:
        raise ValueError(
            f"rate = {rate}: {m} reference points are too few, at least {math.ceil(1 / rate) - 1} are needed"
        )
    p = (p_values if scores.ndim == 1 else joint_p_values)(scores, reference)
    flagged = p <= k / (m + 1) + 1e-12
    found = wilson_interval(int(flagged.sum()), len(p), confidence)
    false_alarms = beta_interval(k, m, confidence, shared=shared)
    threshold = (
        quantile_interval(reference, k, confidence)
        if scores.ndim == 1
        else IntervalEstimate(*[math.nan] * 3, confidence)
    )
    return Calibrated(p, flagged, found, false_alarms, share_of_copies(found, false_alarms), threshold)


def share_of_copies(found: IntervalEstimate, false_alarms: IntervalEstimate) -> IntervalEstimate:
    """Share of copies, all of them found, where others are found with the chance `false_alarms`: (found - false_alarms) / (1 - false_alarms).

    The interval is that of the difference, divided likewise.
    """
    difference, fresh = found.minus(false_alarms), 1 - false_alarms.value
    low, high = (end / fresh for end in difference.ends)
    return IntervalEstimate(difference.value / fresh, low, min(high, 1.0), found.confidence)


def beta_interval(k: int, m: int, confidence: float, *, shared: bool = False) -> IntervalEstimate:
    """Chance that a fresh score lies below the k-th smallest of m: Beta(k, m + 1 - k), its mean and central interval.

    shared: whether the m scores depend on one another; they then count as half as many, with the same mean.
    """
    tail, size = (1 - confidence) / 2, 0.5 if shared else 1
    low, high = beta.ppf([tail, 1 - tail], size * k, size * (m + 1 - k))
    return IntervalEstimate(k / (m + 1), float(low), float(high), confidence)


def quantile_interval(reference: np.ndarray, k: int, confidence: float) -> IntervalEstimate:
    """The k-th smallest of m scores, with the order statistics that hold the quantile k / (m + 1) with that confidence (binomial).

    Where no score is small enough for a lower end, it is -infinity.
    """
    from scipy.stats import binom

    ordered, m = np.sort(reference), len(reference)
    tail, share = (1 - confidence) / 2, k / (m + 1)
    low, high = int(binom.ppf(tail, m, share)), int(binom.ppf(1 - tail, m, share)) + 1
    return IntervalEstimate(
        float(ordered[k - 1]),
        float(ordered[low - 1]) if low else -math.inf,
        float(ordered[min(high, m) - 1]),
        confidence,
    )
