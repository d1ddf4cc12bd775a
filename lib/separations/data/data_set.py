"""A data set in memory: its rows, what is known of them, parts of it, and an order in which every beginning is a fair part."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count


@dataclass(frozen=True, eq=False, repr=False)
class DataSet:
    """A data set in memory.

    Attributes:
        x: float32 (n, *shape).
        labels: int64 (n,), classes from 0, or None.
        name: what `load` was asked for.
        shape: (c, h, w) or (length,).
        range: lowest and highest value: (-1, 1) for images, measured for signals.
        licence, source: whose the data is, and from where.
        index: int64 (n,), each row's position in the source (file or sorted file names).
        notes: what was left out or changed on reading; each was a warning too.
    """

    x: Tensor
    labels: Tensor | None
    name: str
    shape: tuple[int, ...]
    range: tuple[float, float]
    licence: str
    source: str
    index: Tensor = field(default=None)
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def d(self) -> int:
        """Numbers in a row."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        classes = "no labels" if self.labels is None else f"{len(self.labels.unique())} classes"
        low, high = self.range
        values = f"{self.n} x {self.shape} in [{low:.3g}, {high:.3g}]"
        notes = f", {len(self.notes)} notes" if self.notes else ""
        return f"DataSet({self.name}: {values}, {classes}, licence: {self.licence}{notes})"

    def take(self, indices: Tensor | Sequence[int]) -> "DataSet":
        """The rows at `indices` (whole numbers in 0..n-1, any order; or a mask of n booleans); ValueError otherwise."""
        try:
            rows = torch.as_tensor(indices)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            rows = torch.empty(0)
        if rows.dtype == torch.bool and rows.shape == (self.n,):
            rows = rows.nonzero().flatten()
        whole = not rows.is_floating_point() and not rows.is_complex() and rows.dtype != torch.bool
        if not (whole and rows.ndim == 1 and len(rows) and rows.min() >= 0 and rows.max() < self.n):
            raise ValueError(f"indices = {indices!r}: a list of whole numbers in 0..{self.n - 1}, not empty, is needed")
        rows = rows.to(torch.int64)
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, x=self.x[rows], labels=labels, index=self.index[rows])

    def split(self, n_train: int, generator: torch.Generator | None = None) -> tuple["DataSet", "DataSet"]:
        """Two disjoint parts, the first with n_train rows and the shares of the classes kept; 1 <= n_train < n.

        With a generator the rows are drawn at random; without one the first rows of each class are taken.
        """
        n_train = check_count(n_train, "n_train")
        if n_train >= self.n:
            raise ValueError(
                f"n_train = {n_train}: a whole number from 1 to {self.n - 1} is needed, {self.name} has {self.n}"
            )
        if generator is not None and not isinstance(generator, torch.Generator):
            raise ValueError(f"generator = {generator!r}: a torch.Generator, or None, is needed")
        key = np.arange(self.n) if generator is None else torch.rand(
            self.n, generator=generator, dtype=torch.float64, device=generator.device
        ).cpu().numpy()  # fmt: skip
        order = _stratified_order(None if self.labels is None else self.labels.numpy(), key)
        return self.take(np.sort(order[:n_train])), self.take(np.sort(order[n_train:]))


def _stratified_order(labels: np.ndarray | None, key: np.ndarray) -> np.ndarray:
    """Order of 0..n-1: every beginning holds the classes in their shares; within a class, by increasing key."""
    _, group, sizes = np.unique(
        np.zeros(len(key)) if labels is None else labels, return_inverse=True, return_counts=True
    )
    by_group = np.lexsort((key, group))
    rank = np.empty(len(key), dtype=np.int64)
    rank[by_group] = np.arange(len(key)) - (np.cumsum(sizes) - sizes)[group[by_group]]
    return np.lexsort((group, (rank + 0.5) / sizes[group]))
