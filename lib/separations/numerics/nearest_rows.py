"""Exact nearest rows: preselected by a cheap product (see `preselection`), told apart by explicit differences in float64."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .checks import check_whole
from .preselection import candidates
from .rounded_rows import formats
from .rows import Rows
from .scale import peak, scaled, size_exponent
from .shards import check_alike, nearest_of_all

CANDIDATES = 64  # rows beyond k that a query may have before a finer product is asked
AT_ONCE, AT_ONCE_FILE = 4096, 16384  # queries at a time; from a file more, since each piece reads it once more


@torch.no_grad()
def nearest(x: Tensor, rows: Rows, k: int = 2, *, progress: Callable | None = None) -> tuple[Tensor, Tensor]:
    """The k nearest rows of each query, exactly those of a full sort of the distances by explicit differences in float64.

    Args:
        x: queries (m, d), in the values of the data; uint8 where the rows are, which rounds nothing.
        rows: the set, n rows. Rows that are spread over processes answer for all of them (each process asks the same x).
        k: how many, at most n.
        progress: a function (iterable, total) -> iterable, as tqdm, around each pass over the rows.

    Returns:
        Squared distances (m, k) float64 and row numbers (m, k) int64, nearest first; ties go to the lower row number.

    Raises:
        ValueError: for k > n, other shapes, NaN, and squares that float64 cannot hold.
    """
    squared, index, exponent = nearest_scaled(x, rows, k, progress=progress)
    return _fits(scaled(squared, 2 * exponent) * rows.unit**2, "squared distances"), index


@torch.no_grad()
def nearest_distances(x: Tensor, rows: Rows, k: int = 2, *, progress: Callable | None = None) -> tuple[Tensor, Tensor]:
    """As `nearest`, but the distances themselves: these neither over- nor underflow where their squares would."""
    squared, index, exponent = nearest_scaled(x, rows, k, progress=progress)
    return _fits(scaled(squared.sqrt(), exponent) * rows.unit, "distances"), index


def _fits(found: Tensor, what: str) -> Tensor:
    if not found.isfinite().all():
        raise ValueError(f"{what} overflow float64: smaller values are needed")
    return found


@torch.no_grad()
def nearest_scaled(
    x: Tensor, rows: Rows, k: int = 2, *, progress: Callable | None = None
) -> tuple[Tensor, Tensor, int]:
    """As `nearest`, with an exponent e: the squared distances are in units of 2^(2 e) and of rows.unit^2, in which they do not overflow."""
    k = check_whole(k, "k", 1, rows.total)
    if rows.group is not None:
        check_alike(rows, x, k)
    if x.ndim != 2 or x.shape[1] != rows.d:
        raise ValueError(f"x has shape {tuple(x.shape)}: (m, {rows.d}), as the rows of the data, is needed")
    if len(x) == 0:
        return x.new_zeros((0, k), dtype=torch.float64), torch.zeros((0, k), dtype=torch.long, device=x.device), 0
    if not math.isfinite(peak(x)):
        row = int((~x.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"x has NaN or infinite values (first in row {row}): finite values are needed")
    if x.dtype == torch.uint8 and not rows.bytes:
        raise ValueError(
            f"x is {x.dtype}, the rows are {rows.data.dtype}: queries in the values of the rows are needed"
        )
    y = rows.inner(x if x.dtype == torch.uint8 else x.double())
    exponent = size_exponent(peak(y), rows.peak)
    y, local = scaled(y, -exponent), min(k, rows.n)
    step = AT_ONCE if isinstance(rows.data, Tensor) else AT_ONCE_FILE
    found = [_nearest(some, rows, local, exponent, progress) for some in y.split(step)]
    squared, index = (torch.cat(each) for each in zip(*found))
    if rows.group is not None:
        squared, index = nearest_of_all(squared, index, rows, k)
    return squared, index, exponent


def _nearest(y: Tensor, rows: Rows, k: int, exponent: int, progress) -> tuple[Tensor, Tensor]:
    """For queries (m, d) float64 in inner coordinates and units of 2^exponent: cheap products first, finer ones for those left."""
    squared = y.new_empty((len(y), k))
    index = torch.empty((len(y), k), dtype=torch.long, device=y.device)
    left = torch.arange(len(y), device=y.device)
    for form, fine in formats(rows, len(y), y.device):
        asked = y[left]
        (query, row), crowded = candidates(
            asked, rows, k, None, k + CANDIDATES, form, exponent, fine=fine, coarse=2 * difference_rounding(rows.d), progress=progress
        )  # fmt: skip
        exact = differences_to_rows(asked, rows, query, row, exponent)
        best = first_of_each(query, exact, k, len(asked))
        done = left[~crowded]
        squared[done], index[done] = exact[best].view(-1, k), row[best].view(-1, k)
        left = left[crowded]
        if not len(left):
            return squared, index
    for some in left.split(max(1, 2**24 // rows.block)):
        squared[some], index[some] = _all_within(y[some], rows, k, exponent)
    return squared, index


def difference_rounding(d: int) -> float:
    """Bound on the rounding of a squared distance in float64, in units of (|x| + |D|)^2, however it is summed up."""
    return (d + 16) * torch.finfo(torch.float64).eps


def _all_within(y: Tensor, rows: Rows, k: int, exponent: int) -> tuple[Tensor, Tensor]:
    """The k nearest rows of queries (m, d) float64 by explicit differences to all rows that a product in float64 cannot tell apart."""
    norm = y.norm(dim=1)[:, None]
    query = torch.zeros(0, dtype=torch.long, device=y.device)
    row, squared = query.clone(), y.new_zeros(0)
    kth = y.new_full((len(y), k), torch.inf)  # upper ends of the k smallest so far
    for part, block in rows.blocks(y.device, torch.float64, exponent):
        squares = rows.squares(part, y.device, exponent)
        middle = norm.square() + squares - 2 * (y @ block.T)
        slack = difference_rounding(rows.d) * (norm + squares.sqrt()) ** 2
        kth = torch.cat([kth, middle + slack], 1).topk(k, dim=1, largest=False).values
        new_query, new_row = (middle - slack <= kth[:, -1:]).nonzero(as_tuple=True)
        new_squared = squared_differences(y, block, new_query, new_row)
        query, row = torch.cat([query, new_query]), torch.cat([row, new_row + part.start])
        squared = torch.cat([squared, new_squared])
        best = first_of_each(query, squared, k, len(y))
        query, row, squared = query[best], row[best], squared[best]
    return squared.view(-1, k), row.view(-1, k)


def first_of_each(query: Tensor, size: Tensor, k: int, m: int) -> Tensor:
    """Positions of the k smallest entries of each query, by query, then by size; equal ones in the order in which they stand."""
    order = size.argsort(stable=True)
    order = order[query[order].argsort(stable=True)]
    counts = torch.bincount(query, minlength=m)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[query[order]]
    return order[rank < k]


def _row_sums(x: Tensor) -> Tensor:
    """Sums (p,) of rows (p, d) that do not depend on p: several threads would share a single row, and sum in another order."""
    return torch.cat([x, x]).sum(1)[:1] if len(x) == 1 else x.sum(1)


def squared_differences(x: Tensor, y: Tensor, i: Tensor, j: Tensor, most: int = 2**18) -> Tensor:
    """|x_i - y_j|^2 for pairs of row numbers i, j (p,), by explicit differences in the dtype of x, (p,)."""
    step = max(1, most // x.shape[1])
    pieces = [_row_sums((x[a] - y[b]).square_()) for a, b in zip(i.split(step), j.split(step))]
    return torch.cat(pieces) if pieces else x.new_zeros(0)


def differences_to_rows(y: Tensor, rows: Rows, query: Tensor, row: Tensor, exponent: int, most: int = 2**18) -> Tensor:
    """|y_query - row|^2 for pairs (p,) by explicit differences in float64; y (m, d) float64 in inner coordinates -> (p,)."""
    step = max(1, most // rows.d)
    pieces = [
        _row_sums((rows.take(j, y.device, torch.float64, exponent).sub_(y[i])).square_())
        for i, j in zip(query.split(step), row.split(step))
    ]
    return torch.cat(pieces) if pieces else y.new_zeros(0)
