"""Precision, recall, density, coverage and the coverage within reach: measures by the balls that reach to each point's k-th nearest neighbour."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ..numerics.checks import check_count
from .balls import _distances, _inside, _points, _Radii
from .features import Features
from .half_sampling import RESAMPLES, Measure, check_pair, half_samples, measured


def precision_recall(
    samples: Features,
    reference: Features,
    k: int = 3,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> tuple[Measure, Measure]:
    """Precision and recall: share of samples x with |x - y| <= r_k(y) for some reference point y, and vice versa.

    r_k(y): distance of y to its k-th nearest other reference point. Both fall with fewer points or more features, so
    compare at equal counts only. The intervals count the randomness of the balls as well as that of the points in them.

    Args:
        samples: features (m, D), m >= 2 k + 2.
        reference: features (n, D) of the same extractor, n >= 2 k + 2.
        k: which neighbour a ball reaches to, >= 1.
        confidence: of the intervals, in (0, 1).
        resamples: random halves behind an interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        Precision and recall, each in [0, 1].

    Raises:
        ValueError: for features of different extractors, and for too few points for k.
    """
    check_pair(samples, reference, check_count(k, "k"))
    x, y = _points(samples, reference)
    radii_x, radii_y = _Radii(x, k), _Radii(y, k)
    across = _distances(x, y, (radii_x, 0), (radii_y, 1))
    single = across.float()  # half the memory traffic; the values themselves are in float64
    turned = single.T.contiguous()

    def shares(i: Tensor, j: Tensor) -> tuple[float, float]:
        precision = _inside(single, i, radii_y(j)).any(1).mean()
        recall = _inside(turned, j, radii_x(i)).any(1).mean()
        return precision, recall

    inside_y = across <= radii_y(torch.arange(len(y.group)))
    inside_x = across <= radii_x(torch.arange(len(x.group)))[:, None]
    values = [float(inside.double().mean()) for inside in (inside_y.any(1), inside_x.any(0))]
    pairs = zip(*half_samples(len(samples), len(reference), resamples, generator))
    halves = torch.tensor([shares(i, j) for i, j in pairs])
    rest = (samples, reference, confidence, (0, 1))
    return (
        measured("precision", f", k = {k}", values[0], halves[:, 0], *rest, trials=len(samples)),
        measured("recall", f", k = {k}", values[1], halves[:, 1], *rest, trials=len(reference)),
    )


def density_coverage(
    samples: Features,
    reference: Features,
    k: int = 5,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> tuple[Measure, Measure]:
    """Density: mean over samples x of #{y: |x - y| <= r_k(y)} / k. Coverage: share of reference points y with such an x.

    Balls stand around reference points only, so samples far out widen nothing, as they can in `precision_recall`. For
    equal laws and counts density is 1 on average (it may exceed 1) and coverage about 1 - 2^-k.

    Args:
        samples: features (m, D), m >= 2 k + 2.
        reference: features (n, D) of the same extractor, n >= 2 k + 2.
        k: which neighbour a ball reaches to, >= 1.
        confidence: of the intervals, in (0, 1).
        resamples: random halves behind an interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        Density, >= 0, and coverage, in [0, 1].

    Raises:
        ValueError: for features of different extractors, and for too few points for k.
    """
    across, radii = _reference_balls(samples, reference, k)

    def both(distances: Tensor, i: Tensor, j: Tensor) -> tuple[float, float]:
        inside = _inside(distances, i, radii(j))
        return inside.sum() / (k * len(i)), inside.any(0).sum() / len(j)

    values = both(across, torch.arange(len(samples)), torch.arange(len(reference)))
    pairs, single = zip(*half_samples(len(samples), len(reference), resamples, generator)), across.float()
    halves = torch.tensor([both(single, i, j) for i, j in pairs])
    rest = (samples, reference, confidence)
    return (
        measured("density", f", k = {k}", float(values[0]), halves[:, 0], *rest, (0, torch.inf)),
        measured("coverage", f", k = {k}", float(values[1]), halves[:, 1], *rest, (0, 1), trials=len(reference)),
    )


def reachable_coverage(
    samples: Features,
    reference: Features,
    k: int = 5,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> Measure:
    """The coverage that any number of samples would reach, estimated from those at hand: a measure of variety that is stable in m.

    Recall and coverage mix what a model can generate with how often it was asked. Of the reference balls that no sample
    has hit, some would be hit by more: how many is estimated from those hit once (f1) and twice (f2), as the number of
    unseen species is (Chao 1984, the bias-corrected form): hit + (m - 1)/m f1 (f1 - 1) / (2 (f2 + 1)), at most all. It
    is a lower bound in the mean for large m. A model that copies 64 images stays at the share of the balls that hold
    one of them, whatever m is; a good model comes near 1 with samples that are few.

    Args:
        samples: features (m, D), m >= 2 k + 2.
        reference: features (n, D) of the same extractor, n >= 2 k + 2.
        k: which neighbour a ball reaches to, >= 1.
        confidence: of the interval, in (0, 1).
        resamples: random halves behind the interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        The estimated share of the reference balls, in [0, 1].

    Raises:
        ValueError: for features of different extractors, and for too few points for k.
    """
    across, radii = _reference_balls(samples, reference, k)
    single = across.float()

    def reached(distances: Tensor, i: Tensor, j: Tensor) -> float:
        hits = _inside(distances, i, radii(j)).sum(0)
        once, twice = int((hits == 1).sum()), int((hits == 2).sum())
        unseen = (len(i) - 1) / len(i) * once * (once - 1) / (2 * (twice + 1))
        return min(1.0, (int((hits > 0).sum()) + unseen) / len(j))

    value = reached(across, torch.arange(len(samples)), torch.arange(len(reference)))
    pairs = zip(*half_samples(len(samples), len(reference), resamples, generator))
    halves = torch.tensor([reached(single, i, j) for i, j in pairs])
    rest = (samples, reference, confidence, (0, 1))
    return measured("reachable coverage", f", k = {k}", value, halves, *rest, trials=len(reference))


def coverage_curve(samples: Features, reference: Features, counts: Iterable[int], k: int = 5) -> Tensor:
    """Coverage that a random part of the samples has in the mean, for several sizes of the part.

    A ball with h of m samples is missed by j of them with probability C(m - h, j) / C(m, j), so no part has to be drawn
    (rarefaction; Hurlbert 1971). Curves of two models compare at any count, also of sets of different m.

    Args:
        samples: features (m, D), m >= 2 k + 2.
        reference: features (n, D) of the same extractor, n >= 2 k + 2.
        counts: (c,) whole numbers, 1 <= count <= m.
        k: which neighbour a ball reaches to, >= 1.

    Returns:
        (c,), float64.

    Raises:
        ValueError: for other counts, features of different extractors, and too few points for k.
    """
    check_pair(samples, reference, check_count(k, "k"))
    m, counts = len(samples), [check_count(count, "counts") for count in counts]
    if not counts or max(counts) > m:
        raise ValueError(
            f"counts = {counts}: one or more whole numbers from 1 to {m}, the number of samples, are needed"
        )
    across, radii = _reference_balls(samples, reference, k)
    inside = _inside(across, torch.arange(m), radii(torch.arange(len(reference))))
    rest = m - torch.from_numpy(inside.sum(0)).double()  # samples outside of each ball
    j = torch.tensor(counts, dtype=torch.float64)[:, None]
    ways = torch.lgamma(rest + 1) - torch.lgamma((rest - j).clamp(min=0) + 1)
    total = math.lgamma(m + 1) - torch.lgamma(m - j + 1)
    return (1 - torch.where(rest >= j, (ways - total).exp(), 0.0)).mean(1)


def _reference_balls(samples: Features, reference: Features, k: int) -> "tuple[Tensor, _Radii]":
    """Distances of all samples to all reference points (m, n), and the radii of the balls around the latter."""
    check_pair(samples, reference, check_count(k, "k"))
    x, y = _points(samples, reference)
    radii = _Radii(y, k)
    return _distances(x, y, (radii, 1)), radii
