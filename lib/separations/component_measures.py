"""Distances between generated samples and a training set, one principal component at a time (Vu et al. 2026, experiments).

`component_distances` projects both sets on the first principal axes of the training set and compares the two laws of each
component: Wasserstein-1 distance (in units of the data) and Jensen-Shannon distance of histograms, both by scipy. `mean_distance`
is the mean Euclidean distance of a sample to the training set, over all training points or to the nearest one.

None of them knows a copy from a new sample: read them beside `metrics.memorization_ratio` and beside the same number for held-out
points (`component_distances(held_out, train)`), which is what an honest sample would have.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .checks import check_count, check_points
from .estimates import check_confidence
from .features import principal_axes
from .measures import RESAMPLES, half_sample_interval, half_samples
from .streaming import Rows, nearest


@dataclass(frozen=True)
class Distance:
    """A distance with its interval; float(...) is the distance."""

    value: float
    low: float
    high: float
    at_half: float | None = None  # mean of the same distance on half of either set: how much it owes to the counts

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class ComponentDistances:
    """What `component_distances` finds, one entry a component."""

    wasserstein: tuple[Distance, ...]
    jensen_shannon: tuple[Distance, ...]
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

    samples: (m, *event_shape), train: (n, *event_shape), at least 4 each. The Jensen-Shannon *distance* is the square root of
    the divergence in bits, from 0 to 1, of histograms with `bins` equal bins over the range of both sets. Both distances are
    above 0 for two samples of one law, the more so the fewer there are (`at_half` shows it), so the intervals are those of
    `measures`, by half-sampling: a bootstrap would add to the bias. ValueError for shapes that differ or too few points.
    """
    shape = tuple(train.shape[1:])
    check_points(train, shape, "train"), check_points(samples, shape, "samples")
    check_count(bins, "bins"), check_confidence(confidence)
    for name, x in (("samples", samples), ("train", train)):
        if len(x) < 4:
            raise ValueError(f"{name} has {len(x)} points: at least 4 are needed, to have halves")
    flat = train.flatten(1).double().cpu()
    mean, axes = principal_axes(flat, components)
    x, y = (samples.flatten(1).double().cpu() - mean) @ axes, (flat - mean) @ axes
    total = float((flat - mean).square().sum())
    halves = [(i, j) for i, j in zip(*half_samples(len(x), len(y), resamples, generator))]
    found = {
        kind: tuple(_distance(kind, x[:, k], y[:, k], halves, bins, confidence) for k in range(components))
        for kind in (wasserstein, jensen_shannon)
    }
    explained = tuple((y.square().sum(0) / total).tolist())
    return ComponentDistances(found[wasserstein], found[jensen_shannon], explained, x, y)


def _distance(kind, x: Tensor, y: Tensor, halves: list, bins: int, confidence: float) -> Distance:
    ends = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    options = (bins, ends) if kind is jensen_shannon else ()
    value = kind(x, y, *options)
    half = torch.tensor([kind(x[i], y[j], *options) for i, j in halves], dtype=torch.float64)
    within = (0.0, 1.0 if kind is jensen_shannon else float("inf"))
    return Distance(value, *half_sample_interval(value, half, confidence, within), float(half.mean()))


def wasserstein(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of two samples of numbers (m,), (n,), in their units."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(x.numpy(), y.numpy()))


def jensen_shannon(x: Tensor, y: Tensor, bins: int = 30, ends: tuple[float, float] | None = None) -> float:
    """Jensen-Shannon distance (root of the divergence in bits) of the histograms of two samples (m,), (n,), from 0 to 1.

    ends: of the bins, by default the range of both samples. ValueError if they are equal.
    """
    from scipy.spatial.distance import jensenshannon

    low, high = (float(min(x.min(), y.min())), float(max(x.max(), y.max()))) if ends is None else ends
    if not low < high:
        raise ValueError(f"ends = ({low:g}, {high:g}): low < high is needed; all values are equal")
    counts = [torch.histc(z.double(), bins, low, high).numpy() for z in (x, y)]
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
) -> Distance:
    """Mean over samples of the Euclidean distance to the training set, with a percentile bootstrap over the samples.

    samples: (m, *event_shape), train: (n, *event_shape). nearest_only: the distance to the nearest training point; otherwise
    the mean over all of them, which mostly measures how wide both sets are. per_value: divided by sqrt(d), so that images of
    different sizes compare.
    """
    each = distances(samples, train, nearest_only=nearest_only, per_value=per_value)
    check_confidence(confidence), check_count(resamples, "resamples")
    if generator is None:  # a fixed stream of its own: the same samples give the same interval
        generator = torch.Generator().manual_seed(0)
    draws = torch.randint(len(each), (resamples, len(each)), generator=generator)
    tail = (1 - confidence) / 2
    ends = torch.quantile(each[draws].mean(1), torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return Distance(float(each.mean()), float(ends[0]), float(ends[1]))


def distances(samples: Tensor, train: Tensor, *, nearest_only: bool = False, per_value: bool = True) -> Tensor:
    """The distance of each sample to the training set, (m,) float64; see `mean_distance`."""
    shape = tuple(train.shape[1:])
    check_points(train, shape, "train"), check_points(samples, shape, "samples")
    x, y = samples.flatten(1).double().cpu(), train.flatten(1).double().cpu()
    if nearest_only:
        found = nearest(x, Rows(y), k=1)[0][:, 0].sqrt()
    else:
        centre = y.mean(0)
        found = torch.cat([torch.cdist(part - centre, y - centre).mean(1) for part in x.split(256)])
    return found / (y.shape[1] ** 0.5 if per_value else 1.0)
