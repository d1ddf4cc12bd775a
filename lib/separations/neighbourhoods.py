"""Precision, recall, density and coverage: measures by the balls that reach to each point's k-th nearest neighbour."""

import numpy as np
import torch
from torch import Tensor

from .features import Features
from .measures import RESAMPLES, Measure, check_pair, feature_values, half_samples, measured


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
    """
    check_pair(samples, reference, k)
    x, y = feature_values(samples), feature_values(reference)
    across, radii_x, radii_y = _distances(x, y), _Radii(x, k), _Radii(y, k)
    single = across.float()  # half the memory traffic; the values themselves are in float64
    turned = single.T.contiguous()

    def shares(i: Tensor, j: Tensor) -> tuple[float, float]:
        precision = _inside(single, i, radii_y(j)).any(1).mean()
        recall = _inside(turned, j, radii_x(i)).any(1).mean()
        return precision, recall

    values = _torch_fidelity_precision_recall(x, y, k)
    halves = torch.tensor([shares(i, j) for i, j in zip(*half_samples(len(x), len(y), resamples, generator))])
    rest = (samples, reference, confidence, (0, 1))
    return (
        measured("precision", f", k = {k}", values[0], halves[:, 0], *rest, trials=len(x)),
        measured("recall", f", k = {k}", values[1], halves[:, 1], *rest, trials=len(y)),
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

    Balls stand around reference points only, so samples far out widen nothing, as they can in `precision_recall`. For equal
    laws and counts density is 1 on average (it may exceed 1) and coverage about 1 - 2^-k.
    """
    check_pair(samples, reference, k)
    x, y = feature_values(samples), feature_values(reference)
    across, radii = _distances(x, y), _Radii(y, k)

    def both(distances: Tensor, i: Tensor, j: Tensor) -> tuple[float, float]:
        inside = _inside(distances, i, radii(j))
        return inside.sum() / (k * len(i)), inside.any(0).sum() / len(j)

    values = both(across, torch.arange(len(x)), torch.arange(len(y)))
    pairs, single = zip(*half_samples(len(x), len(y), resamples, generator)), across.float()
    halves = torch.tensor([both(single, i, j) for i, j in pairs])
    rest = (samples, reference, confidence)
    return (
        measured("density", f", k = {k}", float(values[0]), halves[:, 0], *rest, (0, torch.inf)),
        measured("coverage", f", k = {k}", float(values[1]), halves[:, 1], *rest, (0, 1), trials=len(y)),
    )


def _torch_fidelity_precision_recall(x: Tensor, y: Tensor, k: int) -> tuple[float, float]:
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    options = {"prc_neighborhood": k, "prc_batch_size": 10_000, "save_cpu_ram": False, "verbose": False}
    found = prc_features_to_metric(x, y, **options)  # generated first, real second
    return found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL]


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Distances (m, n); float64 and a common centre keep what the product of large features would lose."""
    centre = y.mean(0)
    return torch.cdist(x - centre, y - centre)


class _Radii:
    """Distance of each point to its k-th nearest other point, within any subset of the points."""

    def __init__(self, points: Tensor, k: int):
        self.k = k
        distance = _distances(points, points).fill_diagonal_(torch.inf)
        # In a half every other neighbour is missing: among so many, fewer than k are there once in 1e8 cases.
        reach = min(len(points) - 1, 8 * k + 16)
        self.distance, self.neighbour = distance.topk(reach, largest=False)

    def __call__(self, subset: Tensor) -> Tensor:
        """Radii (n,) of the points of a subset (s,) of row numbers, s > k, among themselves; -1 for all others."""
        chosen = torch.zeros(len(self.distance), dtype=torch.int16)
        chosen[subset] = 1
        count = chosen[self.neighbour.index_select(0, subset)].cumsum(1, dtype=torch.int16)
        kth = (count < self.k).sum(1).clamp(max=count.shape[1] - 1)
        radii = torch.full((len(self.distance),), -1.0, dtype=torch.float64)
        radii[subset] = self.distance[subset, kth]
        return radii


def _inside(distances: Tensor, rows: Tensor, radii: Tensor) -> np.ndarray:
    """Which of the chosen rows lie in which ball, (s, n) bool. distances: (m, n); radii: (n,), no ball where negative."""
    # numpy: torch counts booleans fifty times slower
    return distances.index_select(0, rows).numpy() <= radii.to(distances.dtype).numpy()
