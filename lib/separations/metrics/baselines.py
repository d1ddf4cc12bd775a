"""What a memorization ratio must be read against: chance, held-out data, and copies that hide behind near-duplicates."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..numerics.checks import as_real
from ..numerics.intervals import IntervalEstimate, wilson_interval
from ..numerics.nearest_rows import nearest_distances, nearest_scaled
from ..numerics.rows import Rows
from ..numerics.scale import peak, scaled, size_exponent
from .memorization import MemorizationRatio, _check_threshold, _is_memorized, check_sets, memorization_ratio


def chance_level(d: float, threshold: float = 1 / 9) -> float:
    """Share of fresh samples that the rule calls memorized by chance, threshold^(d/2).

    Exact in the limit of many training points with a continuous density: the volumes of the balls out to the two
    nearest points are the first two arrivals of a Poisson process, so (d1 / d2)^d is uniform on (0, 1). With threshold
    = 1/9 it is 3^-d.

    Args:
        d: intrinsic dimension, > 0, not only whole numbers.
        threshold: on the ratio of the squared distances, in (0, 1).

    Returns:
        The share, in (0, 1).

    Raises:
        ValueError: for other values of d or threshold.
    """
    if not as_real(d, "d") > 0:
        raise ValueError(f"d = {d}: a positive dimension is needed")
    return _check_threshold(threshold) ** (d / 2)


def intrinsic_dimension(fresh: MemorizationRatio) -> tuple[float, float]:
    """Intrinsic dimension and its standard error from the distances d1, d2 of fresh samples to a training set.

    Since (d1 / d2)^d is uniform, -log(d1 / d2) is exponential with rate d; the estimate is (m - 1) / sum log(d2 / d1)
    (Facco et al. 2017, who estimate the same rate by a linear fit). Rows with d1 = d2 = 0 cannot occur among distinct points;
    a row with d1 = 0 is an exact copy, hence not fresh: ValueError. ValueError for fewer than 3 samples, and if all rows have
    d1 = d2 (a training set with copies that were not merged, or a lattice).
    """
    if not isinstance(fresh, MemorizationRatio):
        raise ValueError(f"fresh is {type(fresh).__name__}: what memorization_ratio returns is needed")
    if fresh.m < 3:
        raise ValueError(f"fresh has {fresh.m} samples: at least 3 are needed")
    if not (fresh.d1 > 0).all():
        row = int((fresh.d1 <= 0).nonzero()[0])
        raise ValueError(f"fresh has an exact copy of a training point (first in row {row}): fresh samples are needed")
    if not (rates := float((fresh.d2 / fresh.d1).double().log().sum())) > 0:
        raise ValueError("fresh has d1 = d2 in every row: training points at different distances are needed")
    estimate = (fresh.m - 1) / rates
    return estimate, estimate / math.sqrt(fresh.m - 2)


@dataclass(frozen=True)
class ExcessRatio(IntervalEstimate):
    """A memorization ratio minus that of held-out data, with its interval."""

    ratio: float  # of the samples
    baseline: float  # of the held-out points
    m: int
    m_held_out: int

    @property
    def copied_share(self) -> float:
        """Share pi of copies if the other samples fire at the rate of held-out data: ratio = pi + (1 - pi) baseline."""
        return self.value / (1 - self.baseline) if self.baseline < 1 else math.nan


def excess_ratio(
    samples: Tensor, train: Tensor, held_out: Tensor, threshold: float = 1 / 9, *, confidence: float = 0.95
) -> ExcessRatio:
    """Memorization ratio of samples minus that of held-out points, both against the same training set.

    The interval joins the two Wilson intervals (Newcombe 1998, method 10); it covers the draw of the samples and of the
    held-out points, not that of the training set.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape).
        held_out: (m', *event_shape), from the law of the training data but not used in training.
        threshold: on the ratio of the squared distances, in (0, 1).
        confidence: of the interval, in (0, 1).

    Returns:
        `ExcessRatio`: the difference with its interval, both ratios and their counts.

    Raises:
        ValueError: as from `memorization_ratio`.
    """
    check_sets(train, samples=samples, held_out=held_out)
    ours, theirs = (memorization_ratio(x, train, threshold, confidence=confidence) for x in (samples, held_out))
    excess = ours.minus(theirs)
    return ExcessRatio(excess.value, *excess.ends, excess.confidence, ours.ratio, theirs.ratio, ours.m, theirs.m)


@dataclass(frozen=True)
class HeldOutComparison:
    """Distances of samples to the training set and to held-out points: a test that needs no second neighbour."""

    d_train: Tensor = field(repr=False)  # (m,)
    d_held_out: Tensor = field(repr=False)  # (m,)
    n_train: int
    n_held_out: int

    def copied(self, threshold: float = 1 / 9) -> Tensor:
        """Samples with d_train^2 <= threshold d_held_out^2, (m,) bool: duplicates in the training set do not matter."""
        return _is_memorized(self.d_train, self.d_held_out, _check_threshold(threshold))

    @property
    def closer(self) -> float:
        """Share of samples nearer to the training set than to the held-out points; ties count half."""
        difference = self.d_held_out - self.d_train
        return float(((difference > 0).double() + (difference == 0).double() / 2).mean())

    @property
    def closer_by_chance(self) -> float:
        """What `closer` is on average for samples that owe nothing to either set: n / (n + n'), for any continuous law."""
        return self.n_train / (self.n_train + self.n_held_out)

    def interval(self, confidence: float = 0.95) -> IntervalEstimate:
        """`closer` with Wilson's interval over the draw of the samples; both sets are taken as given."""
        m = len(self.d_train)
        return replace(wilson_interval(round(self.closer * m), m, confidence), value=self.closer)


def against_held_out(samples: Tensor, train: Tensor, held_out: Tensor) -> HeldOutComparison:
    """Distances of samples to the nearest training point and to the nearest held-out point.

    If the samples are independent of both sets, the nearest of all n + n' points is a training point with probability n
    / (n + n'): a null value that holds in every dimension. Compare Meehan et al. (2020), who compare the distances of
    samples to the training set with those of held-out points.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape).
        held_out: (n', *event_shape), best with n' = n.

    Returns:
        `HeldOutComparison`, with distances (m,) and the counts n and n'.

    Raises:
        ValueError: for shapes that differ, or values that are not finite.
    """
    check_sets(train, held_out=held_out, samples=samples)
    flat = samples.reshape(len(samples), -1)
    d_train, d_held_out = (
        nearest_distances(flat, Rows(points.reshape(len(points), -1)), k=1)[0][:, 0] for points in (train, held_out)
    )
    return HeldOutComparison(d_train, d_held_out, len(train), len(held_out))


def memorized_distinct(samples: Tensor, train: Tensor, radius: float, threshold: float = 1 / 9) -> Tensor:
    """The rule with x_(2) replaced by the nearest training point farther than radius from x_(1).

    Near-duplicates of x_(1) within radius then no longer hide a copy.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape).
        radius: >= 0, in the unit of the data; 0 merges exact duplicates only. To start from: a low quantile of the
            distance of held-out points to the training set.
        threshold: on the ratio of the squared distances, in (0, 1).

    Returns:
        Which samples are memorized, (m,) bool.

    Raises:
        ValueError: for shapes that differ, another radius or threshold, and if for some sample all training points lie
            within radius of its nearest one.
    """
    check_sets(train, samples=samples)
    threshold = _check_threshold(threshold)
    radius = as_real(radius, "radius")
    if not 0 <= radius < math.inf:
        raise ValueError(f"radius = {radius}: a finite number >= 0 is needed")
    flat, points = samples.reshape(len(samples), -1), train.detach().reshape(len(train), -1)
    memorized = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    rows, todo, k = Rows(points), torch.arange(len(flat), device=flat.device), 4
    while len(todo):
        k = min(k, len(points))
        squared, index, _ = nearest_scaled(flat[todo], rows, k=k)  # the unit does not matter for their ratios
        distinct = _apart(points, index) > radius  # (m, k); the first column is never distinct
        found, second = distinct.any(1), distinct.int().argmax(1, keepdim=True)
        memorized[todo[found]] = (squared[:, 0] <= threshold * squared.gather(1, second)[:, 0])[found]
        todo = todo[~found]
        if len(todo) and k == len(points):
            raise ValueError(f"radius = {radius}: all {k} training points lie within it around one of them; take less")
        k *= 4
    return memorized


def _apart(points: Tensor, index: Tensor) -> Tensor:
    """Distances of the points named in index (m, k) to the one in the first column, (m, k) float64."""
    exponent = size_exponent(peak(points))
    first, *others = (scaled(points[column.to(points.device)].double(), -exponent) for column in index.unbind(1))
    apart = [(each - first).norm(dim=1) for each in (first, *others)]
    return scaled(torch.stack(apart, 1), exponent).to(index.device)
