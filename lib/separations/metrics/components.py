"""Distances between generated samples and a training set, one principal component at a time (Vu et al. 2026, experiments).

`component_distances` projects both sets on the first principal axes of the training set and compares the two laws of each
component: Wasserstein-1 distance (in units of the data) and Jensen-Shannon distance of histograms, both by scipy. `mean_distance`
is the mean Euclidean distance of a sample to the training set, over all training points or to the nearest one.

None of them knows a copy from a new sample: read them beside `metrics.memorization_ratio` and beside the same number for held-out
points (`component_distances(held_out, train)`), which is what an honest sample would have.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_points
from ..numerics.intervals import IntervalEstimate, bootstrap_interval, check_confidence
from ..numerics.nearest_rows import difference_rounding, nearest_distances, squared_differences
from ..numerics.rows import Rows
from ..numerics.scale import peak, scaled, size_exponent
from .axes import principal_axes
from .half_sampling import RESAMPLES, HalfSampled, half_sample_interval, half_samples
from .memorization import check_sets


@dataclass(frozen=True)
class ComponentDistances:
    """What `component_distances` finds, one entry a component."""

    wasserstein: tuple[HalfSampled, ...]
    jensen_shannon: tuple[HalfSampled, ...]
    explained: tuple[float, ...]  # share of the variance of the training set
    samples: Tensor  # (m, components), the samples in the axes of the training set
    train: Tensor  # (n, components)


def component_distances(
    samples: Tensor,
    train: Tensor,
    components: int = 2,
    *,
    bins: int = 30,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> ComponentDistances:
    """Wasserstein-1 and Jensen-Shannon distance per principal component of the training set.

    Both distances are above 0 for two samples of one law, the more so the fewer there are (`at_half` shows it), so the
    intervals are those of `half_sampling`: a bootstrap would add to the bias.

    Args:
        samples: (m, *event_shape), m >= 4.
        train: (n, *event_shape), n >= 4.
        components: number of principal components, < min(n, d).
        bins: equal bins of the histograms, over the range of both sets.
        confidence: of the intervals, in (0, 1).
        resamples: random halves behind an interval.
        generator: of the halves; None is a fixed stream.

    Returns:
        `ComponentDistances`: Wasserstein-1 distances in the unit of the data, and Jensen-Shannon *distances*, the
            square root of the divergence in bits, from 0 to 1.

    Raises:
        ValueError: for shapes that differ, too few points, a training set that varies in fewer directions, and values
            so large that the distances overflow.
    """
    check_sets(train, samples=samples)
    components, bins = check_count(components, "components"), check_count(bins, "bins")
    confidence = check_confidence(confidence)
    for name, x in (("samples", samples), ("train", train)):
        if len(x) < 4:
            raise ValueError(f"{name} has {len(x)} points: at least 4 are needed, to have halves")
    exponent = size_exponent(peak(samples), peak(train))
    other, flat = (scaled(z.detach().flatten(1).double().cpu(), -exponent) for z in (samples, train))
    mean, axes = principal_axes(flat, components)
    x, y = (other - mean) @ axes, (flat - mean) @ axes
    total = float((flat - mean).square().sum())
    halves = [(i, j) for i, j in zip(*half_samples(len(x), len(y), resamples, generator))]
    found = {
        kind: tuple(_distance(kind, x[:, k], y[:, k], halves, bins, confidence) for k in range(components))
        for kind in (wasserstein, jensen_shannon)
    }
    explained = tuple((y.square().sum(0) / total).tolist())
    inside = tuple(_in_unit(each, exponent) for each in found[wasserstein])
    return ComponentDistances(inside, found[jensen_shannon], explained, scaled(x, exponent), scaled(y, exponent))


def _in_unit(distance: HalfSampled, exponent: int) -> HalfSampled:
    """A distance that was found in units of 2^exponent. ValueError where it overflows."""
    names = ("value", "low", "high", "at_half")
    found = scaled(torch.tensor([getattr(distance, name) for name in names], dtype=torch.float64), exponent)
    if not found.isfinite().all():
        raise ValueError("distances overflow float64: smaller values of samples and train are needed")
    return replace(distance, **dict(zip(names, found.tolist())))


def _distance(kind, x: Tensor, y: Tensor, halves: list, bins: int, confidence: float) -> HalfSampled:
    ends = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    options = (bins, ends) if kind is jensen_shannon else ()
    value = kind(x, y, *options)
    half = torch.tensor([kind(x[i], y[j], *options) for i, j in halves], dtype=torch.float64)
    within = (0.0, 1.0 if kind is jensen_shannon else float("inf"))
    return half_sample_interval(value, half, confidence, within)


def wasserstein(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of two samples of numbers (m,), (n,), in their units."""
    from scipy.stats import wasserstein_distance

    x, y = _numbers(x, "x"), _numbers(y, "y")
    return float(wasserstein_distance(x.numpy(), y.numpy()))


def _numbers(x: object, name: str) -> Tensor:
    """A sample of numbers (m,) as float64; ValueError for anything else."""
    return check_points(x, (), name).detach().double().cpu()


def jensen_shannon(x: Tensor, y: Tensor, bins: int = 30, ends: tuple[float, float] | None = None) -> float:
    """Jensen-Shannon distance (root of the divergence in bits) of the histograms of two samples (m,), (n,), from 0 to 1.

    ends: of the bins, by default the range of both samples. ValueError if they are equal.
    """
    from scipy.spatial.distance import jensenshannon

    bins, x, y = check_count(bins, "bins"), _numbers(x, "x"), _numbers(y, "y")
    if ends is None:
        low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    elif isinstance(ends, tuple | list) and len(ends) == 2:
        low, high = (as_real(end, "ends") for end in ends)
    else:
        raise ValueError(f"ends = {ends!r}: two numbers (low, high) are needed")
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"ends = ({low:g}, {high:g}): low < high is needed; all values are equal")
    counts = [torch.histc(z, bins, low, high).numpy() for z in (x, y)]
    if not all(count.any() for count in counts):
        raise ValueError(f"ends = ({low:g}, {high:g}): values of both samples between them are needed")
    return float(jensenshannon(*counts, base=2))


def mean_distance(
    samples: Tensor,
    train: Tensor,
    *,
    nearest_only: bool = False,
    per_value: bool = True,
    confidence: float = 0.95,
    resamples: int = 2000,
    generator: torch.Generator | None = None,
) -> IntervalEstimate:
    """Mean over samples of the Euclidean distance to the training set, with a percentile bootstrap over the samples.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape).
        nearest_only: the distance to the nearest training point; otherwise the mean over all of them, which mostly
            measures how wide both sets are.
        per_value: divided by sqrt(d), so that images of different sizes compare.
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap.
        generator: of the resamples; None is a fixed stream.

    Returns:
        The mean with its interval, in the unit of the data.

    Raises:
        ValueError: for shapes that differ, and values so large that the distances overflow.
    """
    each = distances(samples, train, nearest_only=nearest_only, per_value=per_value)
    options = {"confidence": confidence, "resamples": resamples, "generator": generator}
    return bootstrap_interval(lambda rows: each[rows].mean(1), len(each), **options)


def distance_parts(samples: Tensor, train: Tensor) -> tuple[float, float, float]:
    """Parts of the mean squared distance of samples to the training set, per value.

    They add up to the mean of |s - x|^2 / d over all pairs: the training set enters by its mean and its spread alone.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape).

    Returns:
        |mean - mean|^2, spread of the samples, spread of the training set, each divided by d.

    Raises:
        ValueError: for shapes that differ.
    """
    check_sets(train, samples=samples)
    x, y = (z.detach().flatten(1).double().cpu() for z in (samples, train))
    between = float((x.mean(0) - y.mean(0)).square().mean())
    return between, *(float((z - z.mean(0)).square().mean()) for z in (x, y))


def distances(samples: Tensor, train: Tensor, *, nearest_only: bool = False, per_value: bool = True) -> Tensor:
    """The distance of each sample to the training set, (m,) float64; see `mean_distance`."""
    check_sets(train, samples=samples)
    exponent = size_exponent(peak(samples), peak(train))
    x, y = (scaled(z.detach().flatten(1).double().cpu(), -exponent) for z in (samples, train))
    found = nearest_distances(x, Rows(y), k=1)[0][:, 0] if nearest_only else _mean_over_all(x, y)
    found = scaled(found / (y.shape[1] ** 0.5 if per_value else 1.0), exponent)
    if not found.isfinite().all():
        raise ValueError("distances overflow float64: smaller values of samples and train are needed")
    return found


def _mean_over_all(x: Tensor, y: Tensor) -> Tensor:
    """Mean distance of each row of x to the rows of y, (m,); those that a product knows to few digits by differences."""
    centre = y.mean(0)
    left, right = x - centre, y - centre
    parts = []
    for part in torch.arange(len(x)).split(256):
        squared = torch.cdist(left[part], right).square()
        error = 4 * difference_rounding(x.shape[1]) * (left[part].norm(dim=1)[:, None] + right.norm(dim=1)) ** 2
        i, j = (error > 1e-4 * squared).nonzero(as_tuple=True)
        squared[i, j] = squared_differences(x, y, part[i], j)
        parts.append(squared.sqrt().mean(1))
    return torch.cat(parts)
