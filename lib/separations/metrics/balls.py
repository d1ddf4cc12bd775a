"""Balls that reach to each point's k-th nearest neighbour, within any subset of the points, and which other points lie in them.

Where a point stands k + 1 times the radius is 0, and on a lattice many distances are equal: `<=` must not be left to rounding.
So distances come from a matrix product, and those that it cannot tell from a radius are done again by explicit differences
in float64. The answer is that of explicit differences throughout. Neither depends on the unit of the features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..numerics.nearest_rows import difference_rounding, squared_differences
from ..numerics.scale import peak, scaled, size_exponent
from .features import Features
from .half_sampling import feature_values


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
        """_Radii (n,) of the points of a subset (s,) of row numbers, s > k, among themselves; -1 for all others."""
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
