"""Softmax and nearest neighbours over a training set that is read in blocks: memory O(m * block), any n.

For m queries x and n rows D the squared distances are needed as logits -|x - a D_j|^2 / (2 s^2). One matrix product a
block gives x . D_j, hence the logits up to rounding. In float32 the rounding error, about eps |x| |D| a / s^2, is harmless
for large s and ruinous for small s. So each row of x takes one of three ways:

  smooth   the error is below `LOGIT_TOLERANCE`: online softmax, two matrix products;
  sharp    otherwise: the product only selects the rows of D whose weight can matter; their distances are then computed
           exactly, by explicit differences;
  flat     too many such rows: online softmax in float64, and where the product is too coarse even there, by explicit
           differences.

At least float32 is computed in, whatever the dtype of the arguments. Rows far from 1 in size are scaled by a power of two,
so that no square over- or underflows; queries too far out for float32 are done in float64.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .checks import check_whole

LOGIT_TOLERANCE = 1e-2  # bound on the error of a logit in the smooth way; the typical error is ten times smaller
LOGITS_BYTES, LOGITS_BYTES_GPU = (
    2**23,
    2**30,
)  # one block of logits: about the cache of a core, a fraction of a GPU's memory
MAX_CANDIDATES = 512  # rows of D a query may select in the sharp way
SAFETY = 8.0  # factor on eps |x| |D|: the rounding error of a float32 inner product (tests/test_streaming.py checks it)
WORST = 8.0  # factor on SAFETY: coordinates that are all alike round to the same side (the same tests)
PLAIN = 40  # data whose largest magnitude lies between 2^-PLAIN and 2^PLAIN are taken as they are
DTYPES = (
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "f2",
    "f4",
    "f8",
)  # the last three: numpy's, in another order of bytes
REACH = {torch.float32: 1e15, torch.float64: 1e140}  # largest |x - a D| / s whose logits and their factors stay finite

Number = TypeVar("Number", Tensor, float)


def working(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in: float64 for float64, float32 for all shorter ones."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def scaled(x: Number, exponent: int) -> Number:
    """x 2^exponent for a number or a tensor in float64, exact but at the ends of the range; by two factors, for one alone may overflow."""
    if exponent == 0:
        return x
    half = exponent // 2
    return x * 2.0**half * 2.0 ** (exponent - half)


def size_exponent(*sizes: float) -> int:
    """The e with 2^-e times the largest of the sizes in [1, 2); 0 where it is near enough to 1 as it is."""
    largest = max(sizes)
    exponent = math.frexp(largest)[1] - 1
    return 0 if largest == 0 or abs(exponent) <= PLAIN else exponent


def peak(x: Tensor) -> float:
    """Largest magnitude of a tensor with at least one number; NaN or infinite if one of them is."""
    low, high = x.detach().aminmax()
    return max(abs(float(low)), abs(float(high))) if low == low else math.nan


class Rows:
    """Rows of a training set, (n, d): a tensor on any device or a (memory-mapped) numpy array, read block by block.

    They are read as 2^-exponent times what they are: 0 gives them in their own unit, `self.exponent` near 1 in size.
    ValueError for numbers that are not real ones of 16, 32 or 64 bits, and for NaN.
    """

    def __init__(self, data: Tensor | np.ndarray, block: int | None = None):
        self.data = data.detach() if isinstance(data, Tensor) else data
        if str(data.dtype).removeprefix("torch.").strip("<>=") not in DTYPES:
            raise ValueError(f"data is {data.dtype}: one of {', '.join(DTYPES[:4])} is needed")
        self.n, self.d = data.shape
        self.block = block or max(1, min(self.n, 2**23 // self.d, 4096))
        home = data.device if isinstance(data, Tensor) else "cpu"
        # Filled in place: small results kept between large temporary ones would fragment the heap, by 60 % of the data.
        self.squared_norms = torch.empty(self.n, dtype=torch.float64, device=home)
        self.exponent, self.peak = 0, 0.0
        self._measure(home)
        self.exponent = size_exponent(self.peak)
        if self.exponent:
            self._measure(home)
        self.max_norm = float(self.squared_norms.max().sqrt())  # both in units of 2^exponent

    def _measure(self, home) -> None:
        for part, rows in self.blocks(home, None):
            self.peak = max(self.peak, self._checked_peak(rows, part))
            self.squared_norms[part] = scaled(rows.double(), -self.exponent).square().sum(1)

    @staticmethod
    def _checked_peak(rows: Tensor, where: slice) -> float:
        largest = peak(rows)
        if not math.isfinite(largest):
            row = where.start + int((~rows.isfinite().all(1)).nonzero()[0])
            raise ValueError(f"data has NaN or infinite values (first in row {row}): finite values are needed")
        return largest

    def _tensor(self, part: Tensor | np.ndarray, device, dtype, exponent: int) -> Tensor:
        if not isinstance(part, Tensor):  # a copy: the map may be read-only, or in another machine's order of bytes
            part = torch.from_numpy(np.array(part, dtype=part.dtype.newbyteorder("=")))
        if exponent:
            part = scaled(part.to(device=device, dtype=torch.float64), -exponent)
        return part.to(device=device, dtype=dtype)

    def blocks(self, device, dtype, exponent: int = 0) -> Iterator[tuple[slice, Tensor]]:
        for i in range(0, self.n, self.block):
            part = slice(i, min(i + self.block, self.n))
            yield part, self._tensor(self.data[part], device, dtype, exponent)

    def take(self, index: Tensor, device, dtype, exponent: int = 0) -> Tensor:
        """Rows by index (k,) -> (k, d)."""
        index = index.cpu().numpy() if isinstance(self.data, np.ndarray) else index.to(self.data.device)
        return self._tensor(self.data[index], device, dtype, exponent)

    def squares(self, part: slice, device, exponent: int) -> Tensor:
        """Squared norms of the rows of a block in units of 2^(2 exponent), (b,) float64."""
        return scaled(self.squared_norms[part].to(device), 2 * (self.exponent - exponent))


@dataclass
class Moments:
    """What the softmax over the rows gives for each query."""

    log_sum: Tensor | None  # (m,) log sum_j exp(-|x - a D_j|^2 / (2 s^2))
    mean: Tensor  # (m, d) sum_j w_j D_j


def product_error(x: Tensor, rows: Rows) -> Tensor:
    """Bound on the rounding error of x . D_j - |D_j|^2 / 2 over all j, (m,), in the dtype of x (TF32 counted where it is on).

    It holds for coordinates of either sign; where all are alike the error is up to WORST times as large. Both x and the rows
    are in units of 2^rows.exponent.
    """
    return _rounding(x, x.dtype) * rows.max_norm * (SAFETY * x.detach().double().norm(dim=1) + rows.max_norm)


def _rounding(x: Tensor, dtype: torch.dtype) -> float:
    """Relative rounding error of a matrix product in that dtype where x lies."""
    tf32 = x.is_cuda and dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32
    return 2.0**-10 if tf32 else torch.finfo(dtype).eps


def softmax_moments(x: Tensor, rows: Rows, a: Tensor, s: Tensor, *, log_sum: bool = True) -> Moments:
    """Softmax over all rows of D. x: (m, d); a, s: (m,) float64, s > 0. Without `log_sum` only the mean is computed.

    The answer is in the dtype of x, at least float32. ValueError where |x - a D| / s is too large for float64, or NaN.
    """
    dtype, unit = working(x.dtype), rows.exponent
    s, y = scaled(s, -unit), scaled(x.double(), -unit) if unit else x
    reach = (y.detach().double().norm(dim=1) + a.detach().abs() * (rows.max_norm + 1)) / s.detach()
    if not (reach <= REACH[torch.float64]).all():
        raise ValueError(
            f"|x - alpha data| / sigma reaches {float(reach.max()):.1e}: at most {REACH[torch.float64]:.0e} is possible; "
            "smaller x, or more noise, is needed"
        )
    inside = dtype if (reach <= REACH[dtype]).all() else torch.float64
    found = _in_pieces(y.to(inside), rows, a, s, log_sum)
    total = found.log_sum.to(dtype) if log_sum else None
    return Moments(total, scaled(found.mean.double(), unit).to(dtype) if unit else found.mean.to(dtype))


def _in_pieces(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool) -> Moments:
    """So many queries at a time that a block of logits stays in the cache: up to four times faster for large m."""
    step = _queries_at_once(x, rows)
    if len(x) <= step:
        return _softmax_moments(x, rows, a, s, log_sum)
    pieces = zip(x.split(step), a.split(step), s.split(step))
    parts = [_softmax_moments(q, rows, b, c, log_sum) for q, b, c in pieces]
    total = torch.cat([part.log_sum for part in parts]) if log_sum else None
    return Moments(total, torch.cat([part.mean for part in parts]))


def _queries_at_once(x: Tensor, rows: Rows) -> int:
    """All of them where the data are read from a file, for each piece reads them once more."""
    if isinstance(rows.data, np.ndarray):
        return len(x)
    most = LOGITS_BYTES_GPU if x.is_cuda else LOGITS_BYTES
    return max(128, most // (x.element_size() * min(rows.n, rows.block)))


def _softmax_moments(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool) -> Moments:
    error = a.detach().abs() * product_error(x, rows) / s.detach() ** 2
    sharp = error > LOGIT_TOLERANCE
    if not sharp.any():
        return _dense(x, rows, a, s, log_sum)
    index = sharp.nonzero()[:, 0]
    pairs, flat = _candidates(x[index].detach(), rows, a[index], s[index], error[index])
    smooth, few, many = (~sharp).nonzero()[:, 0], index[~flat], index[flat]
    parts = []
    if len(smooth):
        parts.append(_dense(x[smooth], rows, a[smooth], s[smooth], log_sum))
    if len(few):
        parts.append(_sparse(x[few], rows, a[few], s[few], pairs))
    if len(many) and x.dtype == torch.float64:
        parts.append(_dense(x[many], rows, a[many], s[many], log_sum, explicit=True))
    elif len(many):
        parts.append(_softmax_moments(x[many].double(), rows, a[many], s[many], log_sum))
    back = torch.cat([smooth, few, many]).argsort()
    mean = torch.cat([part.mean.to(x.dtype) for part in parts])[back]
    return Moments(torch.cat([part.log_sum.to(x.dtype) for part in parts])[back] if log_sum else None, mean)


def _logits(x: Tensor, rows: Rows, part: slice, block: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """-|x - a D_j|^2 / (2 s^2) + |x|^2 / (2 s^2) for one block, (m, b): what is left out is common to all j."""
    half_norms = (rows.squared_norms[part] / 2).to(device=x.device, dtype=x.dtype)
    rate = (a / s**2)[:, None]
    return torch.addmm(-(a[:, None] * rate).to(x.dtype) * half_norms, (rate * x).to(x.dtype), block.T)


def _explicit_logits(x: Tensor, block: Tensor, a: Tensor, s: Tensor, most: int = 2**22) -> Tensor:
    """-|x - a D_j|^2 / (2 s^2) for one block by explicit differences, (m, b). Its gradient is that of `_logits`."""
    step = max(1, most // block.numel())
    pieces = zip(x.split(step), a.split(step), s.split(step))
    logits = [-(((q[:, None] - b[:, None, None] * block) / c[:, None, None]).square().sum(2)) / 2 for q, b, c in pieces]
    common = x.square().sum(1) / (2 * s * s)
    return torch.cat(logits) + (common - common.detach())[:, None]


def _dense(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool, explicit: bool = False) -> Moments:
    """Online softmax: one pass, two matrix products a block; running maximum, sum z and weighted sum."""
    top = x.new_full((len(x),), -torch.inf)
    z, mean = x.new_zeros(len(x)), torch.zeros_like(x)
    best = torch.zeros(len(x), dtype=torch.long, device=x.device)
    differentiable = torch.is_grad_enabled() and (x.requires_grad or a.requires_grad or s.requires_grad)
    for part, block in rows.blocks(x.device, x.dtype, rows.exponent):
        logits = _explicit_logits(x, block, a, s) if explicit else _logits(x, rows, part, block, a, s)
        block_top = logits.detach().amax(1)
        if log_sum:  # the index is needed, and on the CPU it costs as much as the exponentials
            best = torch.where(block_top > top, logits.detach().argmax(1) + part.start, best)
        new_top = torch.maximum(top, block_top)
        scale = torch.exp(top - new_top)
        shifted = logits - new_top[:, None] if differentiable else logits.sub_(new_top[:, None])
        weights = torch.exp(shifted) if differentiable else shifted.exp_()
        z = z * scale + weights.sum(1)
        mean = torch.addmm(mean * scale[:, None], weights, block)
        top = new_top
    total = _anchor(x, rows, a, s, best) + z.log() if log_sum else None
    return Moments(total, mean / z[:, None])


def _anchor(x: Tensor, rows: Rows, a: Tensor, s: Tensor, best: Tensor) -> Tensor:
    """Exact logit of the best row, which the running maximum knows only up to rounding. The gradient is that of the
    term -|x|^2 / (2 s^2), which the logits leave out; all else comes in through z."""
    nearest = rows.take(best, x.device, x.dtype, rows.exponent)
    exact = _exact_logits(x, nearest, a, s)
    if not (x.requires_grad or a.requires_grad or s.requires_grad):
        return exact
    left_out = -(x.double().square().sum(1) / (2 * s * s)).to(x.dtype)
    return exact.detach() + (left_out - left_out.detach())


def _exact_logits(x: Tensor, rows: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """-|x - a D|^2 / (2 s^2) by explicit differences, pair by pair: (k, d), (k, d) -> (k,)."""
    return -(((x - a.to(x.dtype)[:, None] * rows) / s.to(x.dtype)[:, None]).square().sum(1)) / 2


@torch.no_grad()
def _candidates(x: Tensor, rows: Rows, a: Tensor, s: Tensor, err: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Pairs (query, row of D) whose weight can matter, and a mask (m,) of the queries that have too many of them."""
    cutoff = 2 * WORST * err + np.log(rows.n) - np.log(torch.finfo(x.dtype).eps)  # what is left out adds less than eps
    top = x.new_full((len(x),), -torch.inf)
    flat = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    query = torch.zeros(0, dtype=torch.long, device=x.device)
    row, value = query.clone(), x.new_zeros(0)
    for part, block in rows.blocks(x.device, x.dtype, rows.exponent):
        logits = _logits(x, rows, part, block, a, s)
        top = torch.maximum(top, logits.amax(1))
        floor = torch.where(flat, torch.inf, (top - cutoff).to(x.dtype))
        new_query, new_row = (logits >= floor[:, None]).nonzero(as_tuple=True)
        query, row = torch.cat([query, new_query]), torch.cat([row, new_row + part.start])
        value = torch.cat([value, logits[new_query, new_row]])
        keep = value >= floor[query]
        flat |= torch.bincount(query[keep], minlength=len(x)) > MAX_CANDIDATES
        keep &= ~flat[query]
        query, row, value = query[keep], row[keep], value[keep]
    order = query.argsort(stable=True)
    new_number = torch.cumsum((~flat).long(), 0) - 1  # queries are renumbered without the flat ones
    return (new_number[query[order]], row[order]), flat


def _sparse(x: Tensor, rows: Rows, a: Tensor, s: Tensor, pairs: tuple[Tensor, Tensor], most: int = 2**22) -> Moments:
    """Softmax over the selected pairs with exact distances; pairs in pieces of at most `most` numbers."""
    query, row = pairs
    step = max(1, most // rows.d)

    def taken(index: Tensor) -> Tensor:
        return rows.take(index, x.device, x.dtype, rows.exponent)

    pieces = zip(query.split(step), row.split(step))
    logits = torch.cat([_exact_logits(x[q], taken(r), a[q], s[q]) for q, r in pieces])
    top = x.new_full((len(x),), -torch.inf).scatter_reduce(0, query, logits.detach(), "amax")
    # Far from all rows even exact differences leave logits that are too coarse in float32.
    if x.dtype == torch.float32 and float(top.min()) * torch.finfo(x.dtype).eps < -LOGIT_TOLERANCE:
        return _sparse(x.double(), rows, a, s, pairs)
    weights = torch.exp(logits - top[query])
    z = x.new_zeros(len(x)).index_add(0, query, weights)
    mean = torch.zeros_like(x)
    for q, r, w in zip(query.split(step), row.split(step), (weights / z[query]).split(step)):
        mean = mean.index_add(0, q, w[:, None] * taken(r))
    return Moments(top + z.log(), mean)


@torch.no_grad()
def nearest(x: Tensor, rows: Rows, k: int = 2, spare: int = 8) -> tuple[Tensor, Tensor]:
    """The k nearest rows of each query: squared distances (m, k) float64 and row numbers (m, k), nearest first.

    Exactly those of a full sort of the distances by explicit differences in float64: one matrix product preselects k + spare
    rows by block; a query whose preselection may have missed a row (rounding, ties) is done again in float64 with as many
    rows as that takes. Ties go to the lower row number. ValueError for k > n, NaN, and squares that float64 cannot hold.
    """
    squared, index, exponent = nearest_scaled(x, rows, k, spare)
    return _fits(scaled(squared, 2 * exponent), "squared distances"), index


@torch.no_grad()
def nearest_distances(x: Tensor, rows: Rows, k: int = 2) -> tuple[Tensor, Tensor]:
    """As `nearest`, but the distances themselves: these neither over- nor underflow where their squares would."""
    squared, index, exponent = nearest_scaled(x, rows, k)
    return _fits(scaled(squared.sqrt(), exponent), "distances"), index


def _fits(found: Tensor, what: str) -> Tensor:
    if not found.isfinite().all():
        raise ValueError(f"{what} overflow float64: smaller values are needed")
    return found


@torch.no_grad()
def nearest_scaled(x: Tensor, rows: Rows, k: int = 2, spare: int = 8) -> tuple[Tensor, Tensor, int]:
    """As `nearest`, with an exponent e: the squared distances are in units of 2^(2 e), in which they do not overflow."""
    k = check_whole(k, "k", 1, rows.n)
    if x.ndim != 2 or x.shape[1] != rows.d:
        raise ValueError(f"x has shape {tuple(x.shape)}: (m, {rows.d}), as the rows of the data, is needed")
    if not math.isfinite(largest := peak(x)):
        row = int((~x.isfinite().all(1)).nonzero()[0])
        raise ValueError(f"x has NaN or infinite values (first in row {row}): finite values are needed")
    exponent = size_exponent(largest, rows.peak)
    y = scaled(x.double(), -exponent)
    value, index = _preselect(y.to(working(x.dtype)), rows, min(k + spare, rows.n), exponent)
    exact = _exact_squared(y, rows, index, exponent)
    kth = exact.kthvalue(k, dim=1).values
    by_index = index.argsort(1)
    exact, index = exact.gather(1, by_index), index.gather(1, by_index)
    order = exact.argsort(dim=1, stable=True)[:, :k]
    exact, index = exact.gather(1, order), index.gather(1, order)
    if k + spare < rows.n:
        unsure = (_left_out(y, rows, value, working(x.dtype), exponent) <= kth).nonzero()[:, 0]
        for some in unsure.split(max(1, 2**24 // rows.block)):
            exact[some], index[some] = _all_within(y[some], rows, kth[some], k, exponent)
    return exact, index, exponent


def _preselect(x: Tensor, rows: Rows, keep: int, exponent: int) -> tuple[Tensor, Tensor]:
    """The largest x . D_j - |D_j|^2 / 2, (m, keep) in falling order, and their row numbers."""
    value = x.new_full((len(x), 0), -torch.inf)
    index = torch.zeros((len(x), 0), dtype=torch.long, device=x.device)
    for part, block in rows.blocks(x.device, x.dtype, exponent):
        bias = -(rows.squares(part, x.device, exponent) / 2).to(x.dtype)
        block_value, block_index = torch.addmm(bias, x, block.T).topk(min(keep, len(block)), dim=1)
        value, index = torch.cat([value, block_value], 1), torch.cat([index, block_index + part.start], 1)
        value, order = value.topk(min(keep, value.shape[1]), dim=1)
        index = index.gather(1, order)
    return value, index


def _left_out(x: Tensor, rows: Rows, value: Tensor, dtype: torch.dtype, exponent: int) -> Tensor:
    """What the squared distance to any row that was not preselected is at least, (m,): their products are the smaller ones."""
    norm, most = x.norm(dim=1), math.ldexp(rows.max_norm, rows.exponent - exponent)
    product = WORST * _rounding(x, dtype) * most * (SAFETY * norm + most)
    return norm.square() - 2 * value[:, -1].double() - 2 * product - difference_rounding(rows.d) * (norm + most) ** 2


def difference_rounding(d: int) -> float:
    """Bound on the rounding of a squared distance in float64, in units of (|x| + |D|)^2, however it is summed up."""
    return (d + 16) * torch.finfo(torch.float64).eps


def _all_within(x: Tensor, rows: Rows, kth: Tensor, k: int, exponent: int) -> tuple[Tensor, Tensor]:
    """The k nearest rows of queries x (m, d) float64 with the distances of all rows that a product cannot tell from them.

    kth: (m,), squared distances that k rows do not exceed.
    """
    norm = x.norm(dim=1)[:, None]
    query = torch.zeros(0, dtype=torch.long, device=x.device)
    row, squared = query.clone(), x.new_zeros(0)
    for part, block in rows.blocks(x.device, torch.float64, exponent):
        squares = rows.squares(part, x.device, exponent)
        slack = difference_rounding(rows.d) * (norm + squares.sqrt()) ** 2
        least = norm.square() + squares - 2 * (x @ block.T) - slack
        new_query, new_row = (least <= kth[:, None]).nonzero(as_tuple=True)
        new_squared = squared_differences(x, block, new_query, new_row)
        query, row = torch.cat([query, new_query]), torch.cat([row, new_row + part.start])
        squared = torch.cat([squared, new_squared])
        best = _first_of_each(query, squared, k, len(x))
        query, row, squared = query[best], row[best], squared[best]
    return squared.view(-1, k), row.view(-1, k)


def _first_of_each(query: Tensor, squared: Tensor, k: int, m: int) -> Tensor:
    """Positions of the k smallest entries of each query, by query, then by size; equal ones in the order in which they stand."""
    order = squared.argsort(stable=True)
    order = order[query[order].argsort(stable=True)]
    counts = torch.bincount(query, minlength=m)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[query[order]]
    return order[rank < k]


def _row_sums(x: Tensor) -> Tensor:
    """Sums (p,) of rows (p, d) that do not depend on p: several threads would share a single row, and sum in another order."""
    return torch.cat([x, x]).sum(1)[:1] if len(x) == 1 else x.sum(1)


def squared_differences(x: Tensor, y: Tensor, i: Tensor, j: Tensor, most: int = 2**22) -> Tensor:
    """|x_i - y_j|^2 for pairs of row numbers i, j (p,), by explicit differences in the dtype of x, (p,)."""
    step = max(1, most // x.shape[1])
    pieces = [_row_sums((x[a] - y[b]).square()) for a, b in zip(i.split(step), j.split(step))]
    return torch.cat(pieces) if pieces else x.new_zeros(0)


def _exact_squared(x: Tensor, rows: Rows, index: Tensor, exponent: int, most: int = 2**22) -> Tensor:
    """Squared distances by explicit differences in float64: x (m, d) float64, index (m, c) -> (m, c)."""
    query = torch.arange(len(x), device=x.device).repeat_interleave(index.shape[1])
    step = max(1, most // rows.d)
    pieces = [
        _row_sums((x[q] - rows.take(r, x.device, torch.float64, exponent)).square())
        for q, r in zip(query.split(step), index.flatten().split(step))
    ]
    return torch.cat(pieces).view_as(index)
