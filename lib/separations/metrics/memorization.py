"""The memorization ratio: the share of samples that lie much nearer to one training point than to any other."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import as_real, check_points
from ..numerics.intervals import IntervalEstimate, check_confidence, wilson_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows


@dataclass(frozen=True)
class MemorizationRatio(IntervalEstimate):
    """Share of memorized samples with Wilson's interval; float(...) is the ratio."""

    m: int  # generated samples
    n: int  # training points that count (distinct ones, if duplicates were merged)
    duplicates: int  # training points that were merged into an equal one
    threshold: float
    memorized: Tensor = field(repr=False)  # (m,) bool
    nearest: Tensor = field(repr=False)  # (m,) row of the nearest training point in the set as given
    d1: Tensor = field(repr=False)  # (m,) distance to the nearest training point
    d2: Tensor = field(repr=False)  # (m,) distance to the second nearest

    @property
    def ratio(self) -> float:
        """The share, `value`."""
        return self.value

    def at(self, threshold: float) -> float:
        """The ratio at another threshold, from the same distances."""
        return float(_is_memorized(self.d1, self.d2, _check_threshold(threshold)).double().mean())


def _check_threshold(threshold: float) -> float:
    if not 0 < as_real(threshold, "threshold") < 1:
        raise ValueError(f"threshold = {threshold}: a number in (0, 1) on the ratio of squared distances is needed")
    return float(threshold)


def _is_memorized(d1: Tensor, d2: Tensor, threshold: float) -> Tensor:
    """d1^2 <= threshold d2^2 for distances (m,) float64 in any unit: multiplied by 2^-600 or 2^600 where squares would not fit."""
    factor = torch.ones_like(d2).masked_fill(d2 > 2.0**400, 2.0**-600).masked_fill(d2 < 2.0**-400, 2.0**600)
    return (d1 * factor).square() <= threshold * (d2 * factor).square()


def check_sets(train: object, **others: object) -> None:
    """ValueError unless train is a finite floating-point tensor (n, d, ...), and the others the same with rows of that shape."""
    shape = tuple(train.shape[1:]) if isinstance(train, Tensor) and train.ndim > 1 else ("d",)
    for name, points in {"train": train, **others}.items():
        check_points(points, shape, name)
        if points[0].numel() == 0:
            raise ValueError(f"{name} has shape {tuple(points.shape)}: at least one value a point is needed")


def memorization_ratio(
    samples: Tensor,
    train: Tensor,
    threshold: float = 1 / 9,
    *,
    merge_duplicates: bool = True,
    confidence: float = 0.95,
) -> MemorizationRatio:
    """Share of samples with |x - x_(1)|^2 <= threshold |x - x_(2)|^2, x_(k) the k-th nearest training point.

    Ye et al. (2026), section 6, after Yoon et al. (2023). samples: (m, *event_shape), train: (n, *event_shape), n >= 2.
    A training point that stands twice makes x_(1) and x_(2) equal, and even a near-perfect copy of it would pass as new:
    with merge_duplicates (default) equal training points count once; without, the rule is taken to the letter.
    A sample at the same distance from two distinct training points (a tie) is not memorized, unless both are 0.
    The interval is Wilson's, for the draw of the samples: see `wilson_interval`.
    Distances are exact in float64, whatever the dtypes of the two sets, and in any unit: the ratio does not depend on it.
    """
    check_sets(train, samples=samples)
    threshold, confidence = _check_threshold(threshold), check_confidence(confidence)
    flat, first = train.reshape(len(train), -1), torch.arange(len(train))
    if merge_duplicates:
        first = _first_of_equal(flat)
    if len(first) < 2:
        raise ValueError(
            f"train has {len(train)} points, {len(first)} distinct: at least 2 are needed to have a second nearest"
        )
    kept = flat if len(first) == len(flat) else flat[first.to(flat.device)]
    distance, index = nearest_distances(samples.reshape(len(samples), -1), Rows(kept), k=2)
    d1, d2 = distance.unbind(1)
    memorized = _is_memorized(d1, d2, threshold)
    share = wilson_interval(int(memorized.sum()), len(samples), confidence)
    return MemorizationRatio(
        share.value, *share.ends, confidence, len(samples), len(first), len(train) - len(first), threshold, memorized,
        first.to(index.device)[index[:, 0]], d1, d2,
    )  # fmt: skip


def _first_of_equal(flat: Tensor) -> Tensor:
    """Row numbers of the first of each group of equal rows, rising, (distinct,)."""
    plain = (flat.detach() + 0.0).cpu()  # + 0.0 turns -0.0 into 0.0: they are equal
    rows = np.ascontiguousarray((plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy())
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    return torch.from_numpy(np.sort(np.unique(keys, return_index=True)[1]))
