"""Precision, recall, density, coverage and the coverage within reach: measures by the balls that reach to each point's k-th nearest neighbour.

Where a point stands k + 1 times the radius is 0, and on a lattice many distances are equal: `<=` must not be left to rounding.
So distances come from a matrix product, and those that it cannot tell from a radius are done again by explicit differences
in float64. The answer is that of explicit differences throughout. Neither depends on the unit of the features.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count
from ..numerics.nearest_rows import difference_rounding, squared_differences
from ..numerics.scale import peak, scaled, size_exponent
from .features import Features
from .half_sampling import RESAMPLES, Measure, check_pair, feature_values, half_samples, measured


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


@dataclass(frozen=True)
class _Points:
    """A set of points by its distinct rows: the distances of copies are computed once, and are equal."""

    rows: Tensor  # (u, D) float64, the distinct rows about a common centre, which keeps what products of large features lose
    group: Tensor  # (m,) row number of each point

    def spread(self, distances: Tensor, dim: int) -> Tensor:
        """Distances of the distinct rows along `dim` -> of all points."""
        return distances if len(self.group) == len(self.rows) else distances.index_select(dim, self.group)


def _points(samples: Features, reference: Features) -> tuple[_Points, _Points]:
    """Both sets in a unit in which nothing overflows."""
    x, y = feature_values(samples), feature_values(reference)
    exponent = size_exponent(peak(x), peak(y))
    return tuple(_distinct(scaled(z, -exponent)) for z in (x, y))


def _distinct(points: Tensor) -> _Points:
    """Distinct rows in the order in which they first stand."""
    plain = np.ascontiguousarray((points + 0.0).numpy())  # + 0.0 turns -0.0 into 0.0: they are equal
    keys = plain.view(np.dtype((np.void, plain.dtype.itemsize * plain.shape[1])))[:, 0]
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = first.argsort()  # so that a set without copies stays as it is
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return _Points(points[torch.from_numpy(first[order])], torch.from_numpy(number[group.reshape(-1)]))


class _Product:
    """Squared distances (u, v) of the rows of two sets by a matrix product, with bounds on their rounding errors."""

    def __init__(self, x: Tensor, y: Tensor):
        self.x, self.y = x, y
        centre = y.median(0).values  # unlike the mean, it stays among the points when one of them lies far out
        left, right = x - centre, y - centre
        self.squared = torch.cdist(left, right).square_()
        self.norms = left.norm(dim=1), right.norm(dim=1)

    def parts(self) -> Iterator[Tensor]:
        """Row numbers, so many at a time that a few arrays of their distances are small."""
        yield from torch.arange(len(self.x)).split(max(1, 2**20 // len(self.y)))

    def error(self, i: Tensor, j: Tensor | None = None) -> Tensor:
        """Bounds for pairs of row numbers (p,), or for rows i and all columns (p, v)."""
        left, right = self.norms[0][i], self.norms[1] if j is None else self.norms[1][j]
        return 4 * difference_rounding(self.x.shape[1]) * ((left[:, None] if j is None else left) + right) ** 2

    def correct(self, i: Tensor, j: Tensor) -> None:
        """Explicit differences in place of the product for pairs of row numbers (p,)."""
        self.squared[i, j] = squared_differences(self.x, self.y, i, j)


def _distances(x: _Points, y: _Points, *balls: "tuple[_Radii, int]") -> Tensor:
    """Distances of all points (m, n), and the radii of balls, exact wherever a product cannot tell one from the other.

    balls: radii with the axis along which their centres lie.
    """
    product = _Product(x.rows, y.rows)
    for part in product.parts():
        squared, error = product.squared[part], product.error(part)
        for radii, axis in balls:
            most = radii.most[part, None] if axis == 0 else radii.most
            i, j = (squared - error <= most).nonzero(as_tuple=True)
            tied = radii.settle(part[i] if axis == 0 else j, squared[i, j], error[i, j])
            product.correct(part[i[tied]], j[tied])
    for radii, _ in balls:
        radii.sort()
    return y.spread(x.spread(product.squared.sqrt_(), 0), 1)


class _Radii:
    """Distance of each point to its k-th nearest other point, within any subset of the points."""

    def __init__(self, points: _Points, k: int):
        self.k, self.group = k, points.group
        # In a half every other neighbour is missing: among so many, fewer than k are there once in 1e8 cases.
        reach = min(len(points.group) - 1, 8 * k + 16)
        self.product = _among_themselves(points.rows, reach)
        spread = points.spread(points.spread(self.product.squared, 0), 1)
        masked = spread.masked_fill(torch.eye(len(spread), dtype=torch.bool), torch.inf)
        self.neighbour = masked.topk(reach, largest=False).indices  # (n, reach)
        # Of the distinct rows: their neighbours by number, squared distances, bounds of error; what copies add is only zeros.
        first = torch.from_numpy(np.unique(points.group.numpy(), return_index=True)[1])
        self.near = points.group[self.neighbour[first]]
        own = torch.arange(len(first))[:, None].expand_as(self.near)
        self.listed = self.product.squared[own, self.near]
        self.error = self.product.error(own.flatten(), self.near.flatten()).view_as(self.listed)
        self.most = (self.listed + self.error).amax(1)
        self.sort()

    def settle(self, centre: Tensor, squared: Tensor, error: Tensor) -> Tensor:
        """Which squared distances (p,) from centres (p,) may equal a radius, (p,) bool; those radii are made exact."""
        close = (self.listed[centre] - squared[:, None]).abs() <= self.error[centre] + error[:, None]
        which, column = close.nonzero(as_tuple=True)
        self.product.correct(*torch.stack([centre[which], self.near[centre[which], column]]).unique(dim=1))
        return close.any(1)

    def sort(self) -> None:
        """Distances of the neighbours in rising order, once those that are settled are so."""
        group = self.group
        self.distance, order = self.product.squared[group[:, None], group[self.neighbour]].sqrt().sort(1)
        self.neighbour = self.neighbour.gather(1, order)

    def __call__(self, subset: Tensor) -> Tensor:
        """Radii (n,) of the points of a subset (s,) of row numbers, s > k, among themselves; -1 for all others."""
        chosen = torch.zeros(len(self.distance), dtype=torch.int16)
        chosen[subset] = 1
        count = chosen[self.neighbour.index_select(0, subset)].cumsum(1, dtype=torch.int16)
        kth = (count < self.k).sum(1).clamp(max=count.shape[1] - 1)
        radii = torch.full((len(self.distance),), -1.0, dtype=torch.float64)
        radii[subset] = self.distance[subset, kth]
        return radii


def _among_themselves(rows: Tensor, reach: int) -> _Product:
    """Squared distances of distinct rows (u, u); exact where the product cannot tell which `reach` others are the nearest."""
    product = _Product(rows, rows)
    product.squared.fill_diagonal_(0)
    for part in product.parts():
        squared, error = product.squared[part], product.error(part)
        most = (squared + error).topk(min(reach + 1, len(rows)), largest=False).values[:, -1:]
        possible = squared - error <= most
        possible &= (possible.sum(1) > reach + 1)[:, None]
        i, j = possible.nonzero(as_tuple=True)
        product.correct(part[i], j)
    return product


def _inside(distances: Tensor, rows: Tensor, radii: Tensor) -> np.ndarray:
    """Which of the chosen rows lie in which ball, (s, n) bool. distances: (m, n); radii: (n,), no ball where negative."""
    # numpy: torch counts booleans fifty times slower
    return distances.index_select(0, rows).numpy() <= radii.to(distances.dtype).numpy()
