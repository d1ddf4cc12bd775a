"""Membership inference: how well a score tells members of a training set from others, with intervals."""

import math

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from ..numerics.checks import check_count, check_real
from ..numerics.intervals import (
    IntervalEstimate,
    check_confidence,
    check_replications,
    percentile_interval,
    wilson_interval,
)
from ..numerics.seeds import resampling

NEXT = 1e-12  # beside the estimate
PIECE = 2**22  # numbers of resamples at a time


def membership_auc(members, others, confidence: float = 0.95) -> IntervalEstimate:
    """Area under the ROC curve: the probability that a member scores above another one, ties counting half.

    The interval is Newcombe's (2006, part 2, method 5): the values whose own standard error, by Hanley and McNeil (1982), covers the
    distance to the estimate. As Wilson's for a share it stays in [0, 1] and has a width at 0 and at 1, where those of DeLong and of
    the bootstrap have none.

    Args:
        members, others: scores, (m,) and (k,), larger where membership is likelier.
        confidence: of the interval, in (0, 1).

    Returns:
        An `IntervalEstimate` in [0, 1]; 0.5 is chance.

    Raises:
        ValueError: for scores that are not finite, and unless 0 < confidence < 1.
    """
    a, b = check_replications(members).ravel(), check_replications(others).ravel()
    z = float(norm.ppf((1 + check_confidence(confidence)) / 2))
    area = float((rankdata(np.concatenate([a, b]))[: len(a)].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))
    half = (len(a) + len(b)) / 2 - 1

    def beyond(p: float) -> float:
        """Distance to the estimate, less z standard errors at p."""
        spread = p * (1 - p) * (1 + half * ((1 - p) / (2 - p) + p / (1 + p)))
        return abs(p - area) - z * math.sqrt(max(spread, 0.0) / (len(a) * len(b)))

    low = (
        0.0 if area <= NEXT else brentq(beyond, 0.0, area - NEXT)
    )  # at 0 and at 1 the standard error is 0, and so is `beyond`
    high = 1.0 if area >= 1 - NEXT else brentq(beyond, area + NEXT, 1.0)
    return IntervalEstimate(area, min(low, area), max(high, area), float(confidence))


def found_at_rate(
    members,
    others,
    rate: float = 0.01,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    generator: torch.Generator | None = None,
) -> IntervalEstimate | None:
    """Share of the members found by a threshold under which a share `rate` of the others is found by mistake (Carlini et al. 2022).

    With k others the threshold is their score of rank floor(rate (k + 1)) from above, so that a new one lies beyond it with
    probability at most `rate`, whatever the law of the scores. The interval is the percentile bootstrap over members and others, so
    that it has the uncertainty of the threshold as well, and no narrower than Wilson's at the threshold, which has a width at 0 and 1.

    Args:
        members, others: scores, (m,) and (k,), larger where membership is likelier.
        rate: of mistakes, in (0, 1).
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap.
        generator: of the resamples; None is a fixed stream.

    Returns:
        An `IntervalEstimate` in [0, 1]; None with fewer than `others_needed(rate)` others, of which no threshold can be made.

    Raises:
        ValueError: for scores that are not finite, and another rate, confidence or number of resamples.
    """
    a, b = (torch.from_numpy(check_replications(each).ravel()) for each in (members, others))
    resamples, confidence = check_count(resamples, "resamples"), check_confidence(confidence)
    if len(b) < others_needed(rate):
        return None
    rank = math.floor(rate * (len(b) + 1) + 1e-9)
    generator, draws = resampling(generator), []

    def shares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x > y.topk(rank, 1).values[:, -1:]).double().mean(1)

    for some in torch.arange(resamples).split(max(1, PIECE // (len(a) + len(b)))):
        rows = [torch.randint(len(x), (len(some), len(x)), generator=generator) for x in (a, b)]
        draws.append(shares(a[rows[0]], b[rows[1]]))
    value = float(shares(a[None], b[None])[0])
    drawn = percentile_interval(value, torch.cat(draws).numpy(), confidence)
    given = wilson_interval(round(value * len(a)), len(a), confidence)
    return IntervalEstimate(value, min(drawn.low, given.low), max(drawn.high, given.high), confidence)


def others_needed(rate: float) -> int:
    """Scores of others from which a threshold with so small a rate of mistakes can be made: the least k with rate (k + 1) >= 1."""
    rate = check_real(rate, "rate", "a number in (0, 1)", low=0, high=1, open_low=True, open_high=True)
    return math.ceil(1 / rate - 1e-9) - 1
