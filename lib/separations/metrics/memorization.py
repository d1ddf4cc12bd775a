"""The memorization ratio: the share of samples that lie much nearer to one training point than to any other."""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import as_real, check_points
from ..numerics.intervals import IntervalEstimate, check_confidence, wilson_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows, in_rows, kind


@dataclass(frozen=True)
class MemorizationRatio(IntervalEstimate):
    """Share of memorized samples with Wilson's interval; float(...) is the ratio.

    Attributes:
        value: the share.
        low, high: ends of the interval.
        confidence: of the interval.
        m: generated samples.
        n: training points that count (distinct ones, if duplicates were merged).
        duplicates: training points that were merged into an equal one.
        threshold: on the ratio of the squared distances.
        memorized: (m,) bool.
        nearest: (m,) row of the nearest training point in the set as given.
        d1: (m,) distance to the nearest training point.
        d2: (m,) distance to the second nearest.
    """

    m: int
    n: int
    duplicates: int
    threshold: float
    memorized: Tensor = field(repr=False)
    nearest: Tensor = field(repr=False)
    d1: Tensor = field(repr=False)
    d2: Tensor = field(repr=False)

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
    train: Tensor | np.ndarray | Rows,
    threshold: float = 1 / 9,
    *,
    merge_duplicates: bool = True,
    confidence: float = 0.95,
) -> MemorizationRatio:
    """Share of samples with |x - x_(1)|^2 <= threshold |x - x_(2)|^2, x_(k) the k-th nearest training point.

    Ye et al. (2026), section 6, after Yoon et al. (2023). A training point that stands twice makes x_(1) and x_(2) equal, and even a
    near-perfect copy of it would pass as new: equal training points count once, unless the rule is to be taken to the letter.
    A sample at the same distance from two distinct training points (a tie) is not memorized, unless both are 0.
    Distances are exact in float64, whatever the dtypes of the two sets, and in any unit: the ratio does not depend on it.

    Args:
        samples: (m, *event_shape), floating point, in the values of the training set.
        train: (n, *event_shape), n >= 2, a tensor or an array, which may be a memory map larger than memory; floating point, or 8-bit
            images, which mean values in [-1, 1]. Or `numerics.Rows` of such.
        threshold: on the ratio of the squared distances, in (0, 1).
        merge_duplicates: whether equal training points count once.
        confidence: of the interval, Wilson's, for the draw of the samples.

    Returns:
        `MemorizationRatio`: the share with its interval, and what each sample's nearest points are.

    Raises:
        ValueError: for other shapes, fewer than two distinct training points, or values that are not finite.
    """
    rows, x = _rows_and_samples(train, samples)
    threshold, confidence = _check_threshold(threshold), check_confidence(confidence)
    d1, d2, nearest, n = _two_nearest(x, rows, merge_duplicates)
    memorized = _is_memorized(d1, d2, threshold)
    share = wilson_interval(int(memorized.sum()), len(x), confidence)
    return MemorizationRatio(
        share.value, *share.ends, confidence, len(x), n, rows.total - n, threshold, memorized, nearest, d1, d2
    )


def _rows_and_samples(train, samples) -> tuple[Rows, Tensor]:
    """The training set as rows, and the samples (m, d)."""
    if isinstance(train, Tensor) and kind(train) != "bytes":
        check_sets(train, samples=samples)
    elif not isinstance(train, Rows) and not kind(train):
        raise ValueError(
            f"train is {getattr(train, 'dtype', type(train).__name__)}: floating-point values, or uint8, are needed"
        )
    elif not isinstance(train, Rows) and (train.ndim < 2 or 0 in train.shape):
        raise ValueError(f"train has shape {tuple(train.shape)}: (n, d, ...) with n >= 2 is needed")
    rows = train if isinstance(train, Rows) else Rows(in_rows(train))
    if not isinstance(samples, Tensor) or samples.ndim < 2 or math.prod(samples.shape[1:]) != rows.d:
        raise ValueError(
            f"samples has shape {tuple(getattr(samples, 'shape', ()))}: (m, ...) with {rows.d} values each is needed"
        )
    return rows, check_points(samples, tuple(samples.shape[1:]), "samples").reshape(len(samples), -1)


def _two_nearest(x: Tensor, rows: Rows, merge: bool) -> tuple[Tensor, Tensor, Tensor, int]:
    """Distances to the nearest point and to the next distinct one, (m,) each, the row of the former, and the number of points that count."""
    group = row_groups(rows) if merge else torch.arange(rows.total)
    distance, index = two_nearest_distinct(x, rows, group)
    return distance[:, 0], distance[:, 1], index[:, 0], int(group.max()) + 1


def two_nearest_distinct(
    x: Tensor, rows: Rows, group: Tensor, *, own: Tensor | None = None, owner: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The nearest training point of each query, and the next one that is not equal to it.

    Args:
        x: (m, d), in the values of the training set.
        rows: the training set.
        group: (n,) int64, equal for equal rows, 0 .. as from `row_groups`.
        own: (m,) int64, where the queries are training points themselves: the group of each, which is left out.
        owner: (n,) int64, the groups that `own` speaks of, where these are not `group` but finer: rows may be equal parts of points that differ.

    Returns:
        Distances (m, 2) float64 and rows (m, 2) int64.

    Raises:
        ValueError: for fewer distinct points than that needs, and as `numerics.nearest_rows.nearest`.
    """
    counts, least = torch.bincount(group), 2 if own is None else 3
    if len(counts) < least:
        raise ValueError(
            f"train has {rows.total} points, {len(counts)} distinct: at least {least} are needed to have a second nearest"
        )
    distance, index = nearest_distances(x, rows, k=least)
    group, counts = group.to(index.device), counts.to(index.device)
    owner = group if owner is None else owner.to(index.device)
    chosen, whole = _first_two(group[index], owner[index], own)
    found = distance.gather(1, chosen), index.gather(1, chosen)
    rest, k = (~whole).nonzero()[:, 0], least
    while len(rest):  # so many rows are equal to the nearest one that the next distinct one comes further behind
        k = min(8 * k, rows.total)
        more, where = nearest_distances(x[rest], rows, k=k)
        chosen, whole = _first_two(group[where], owner[where], None if own is None else own.to(rest.device)[rest])
        found[0][rest], found[1][rest] = more.gather(1, chosen), where.gather(1, chosen)
        rest = rest[~whole]
    return found


def _first_two(group: Tensor, owner: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
    """Places (m, 2) of the first row that is not one's own and of the first of another group than it, in (m, k) groups; whether both are there."""
    free = torch.ones_like(group, dtype=torch.bool) if own is None else owner != own.to(group.device)[:, None]
    first = free.to(torch.uint8).argmax(1, keepdim=True)
    other = free & (group != group.gather(1, first))
    second = other.to(torch.uint8).argmax(1, keepdim=True)
    return torch.cat([first, second], 1), free.any(1) & other.any(1)


def row_groups(rows: Rows) -> Tensor:
    """A number for each row, equal for equal rows, (n,) int64: by their digests, so that no copy of the set is made.

    Args:
        rows: all on this process.

    Returns:
        Numbers 0, 1, ... without a gap.

    Raises:
        ValueError: for rows that are spread over processes.
    """
    if rows.group is not None:
        raise ValueError(
            "merge_duplicates = True: equal rows in several processes are not found, merge_duplicates=False is needed"
        )
    found = np.empty((rows.n, 2), dtype=np.uint64)
    for part in rows.parts():
        block = rows.bits(part)
        found[part] = [np.frombuffer(hashlib.blake2b(row, digest_size=16).digest(), np.uint64) for row in block]
        rows.forget(part)
    return torch.from_numpy(np.unique(found.view("u8,u8")[:, 0], return_inverse=True)[1].reshape(-1).astype(np.int64))
