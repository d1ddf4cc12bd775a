"""A measure of two samples as a number with its counts, its names and an interval by half-sampling.

The bootstrap is no use here. Drawing with replacement repeats points. A repeated point is its own neighbour at distance 0,
so k-nearest-neighbour balls shrink and precision falls; it enters a U-statistic as a pair that no fresh sample has; and it
adds to the upward bias of a Fréchet distance. Drawing without replacement does none of this. For m points, the mean over a
random half differs from the mean over all with variance s^2 / (m/2) (1 - 1/2) = s^2 / m: just as the mean over all differs
from the truth. So

    value -+ the confidence-quantile of |T* - mean T*|,   T* the statistic on a random half of either sample

(the delete-half jackknife; Shao and Wu 1989; Politis and Romano 1994). The T* are taken about their own mean, for at half
the count the level of a biased statistic is another. Where pairs of points matter on their own, as in a kernel distance
between equal laws, the spread comes out too large, by up to sqrt(3). With 100 points a set, 95 % intervals of all six
measures held the truth in 90 to 100 % of simulations; the low end are shares of about 0.4 in sets that lie far apart.

The interval is about the mean of the statistic over fresh samples of the same counts: about "the distance at m = 1,000".
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_memory
from ..numerics.intervals import IntervalEstimate, check_confidence, wilson_interval
from ..numerics.seeds import resampling
from .features import Features

RESAMPLES = 200  # the 95 % quantile of 200 numbers is known to about 5 %


@dataclass(frozen=True)
class HalfSampled(IntervalEstimate):
    """A statistic of two samples with its interval by half-sampling."""

    at_half: float  # mean of the same statistic on half of either set: how much the number owes to the counts


@dataclass(frozen=True)
class Measure(HalfSampled):
    """One number with all that it depends on; float(...) is the number, str(...) the whole."""

    label: str  # such as "precision (EfficientNet-Lite0 at 64 px, k = 3)"
    m: int  # samples
    n_reference: int
    features: str  # name of the extractor
    samples: str  # name of the set of samples
    reference: str  # name of the reference set

    def __str__(self) -> str:
        return (
            f"{self.label}: {self.value:.4g}, {self.confidence:.0%} interval [{self.low:.4g}, {self.high:.4g}], "
            f"{self.m:,} of {self.samples} against {self.n_reference:,} of {self.reference}"
        )


def half_samples(
    m: int, n: int, resamples: int = RESAMPLES, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Row numbers of random halves of m and of n points, (resamples, m // 2) and (resamples, n // 2), rising in each row."""
    m, n, resamples = check_count(m, "m"), check_count(n, "n"), check_count(resamples, "resamples")
    check_memory(3 * resamples * max(m, n), torch.int64, f"resamples = {resamples}")  # numbers, their order, its halves
    generator = resampling(generator)

    def halves(count: int) -> Tensor:
        keys = torch.rand(resamples, count, generator=generator, device=generator.device)
        return keys.argsort(1)[:, : count // 2].sort(1).values.cpu()

    return halves(m), halves(n)


def half_sample_interval(
    value: float, halves: Tensor, confidence: float, within: tuple[float, float], trials: int | None = None
) -> HalfSampled:
    """value -+ the quantile of |halves - their mean|, cut to `within`. halves: (resamples,), from `half_samples`.

    trials: for a share of that many points, the interval is at least Wilson's, which is right if all but those points
    were known: halves that are all 0 or all 1 say nothing about their error.
    """
    if not (math.isfinite(value) and halves.isfinite().all()):
        raise ValueError(f"value = {value}: finite numbers, also on the halves, are needed")
    confidence = check_confidence(confidence)
    spread = float(torch.quantile((halves - halves.mean()).abs().double(), confidence))
    low, high = value - spread, value + spread
    if trials is not None:
        wilson = wilson_interval(min(trials, round(value * trials)), trials, confidence)
        low, high = min(low, wilson.low), max(high, wilson.high)
    least, most = within
    return HalfSampled(value, max(least, low), min(most, high), confidence, float(halves.mean()))


def measured(
    name: str,
    how: str,
    value: float,
    halves: Tensor,
    samples: Features,
    reference: Features,
    confidence: float,
    within: tuple[float, float],
    trials: int | None = None,
) -> Measure:
    """The measure from its value and its values on half-samples (resamples,). how: what else belongs in the label.

    ValueError where they are not finite: the features are too large for it.
    """
    if not math.isfinite(value) or not halves.isfinite().all():
        raise ValueError(f"{name} overflows float64: smaller features are needed")
    found, label = half_sample_interval(value, halves, confidence, within, trials), f"{name} ({samples.extractor}{how})"
    counts = {"m": len(samples), "n_reference": len(reference)}
    names = {"features": samples.extractor, "samples": samples.source, "reference": reference.source}
    return Measure(**vars(found), label=label, **counts, **names)


def check_pair(samples: Features, reference: Features, k: int | None = None) -> None:
    """ValueError unless both are features of one extractor, enough for a half to have 2 points, or k + 1 where k is given."""
    both = {"samples": samples, "reference": reference}
    for name, each in both.items():
        if not isinstance(each, Features):
            raise ValueError(f"{name} is {type(each).__name__}: Features are needed, see features_of")
    if samples.extractor != reference.extractor or samples.dimension != reference.dimension:
        raise ValueError(
            f"samples have {samples.dimension} features of {samples.extractor!r}, reference has {reference.dimension} of "
            f"{reference.extractor!r}: the same extractor is needed"
        )
    least, reason = (4, "") if k is None else (2 * check_count(k, "k") + 2, f" for k = {k}")
    for name, each in both.items():
        if len(each) < least:
            raise ValueError(f"{name} has {len(each)} points: at least {least} are needed{reason}, to have halves")


def feature_values(features: Features) -> Tensor:
    """The features in float64 on the CPU, (m, D): what all measures are computed from."""
    return features.values.detach().double().cpu()
