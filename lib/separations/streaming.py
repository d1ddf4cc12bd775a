"""Softmax and nearest neighbours over a training set that is read in blocks: memory O(m * block), any n.

For m queries x and n rows D the squared distances are needed as logits -|x - a D_j|^2 / (2 s^2). One matrix product a
block gives x . D_j, hence the logits up to rounding. In float32 the rounding error, about eps |x| |D| a / s^2, is harmless
for large s and ruinous for small s. So each row of x takes one of three ways:

  smooth   the error is below `LOGIT_TOLERANCE`: online softmax, two matrix products;
  sharp    otherwise: the product only selects the rows of D whose weight can matter; their distances are then computed
           exactly, by explicit differences;
  flat     too many such rows: online softmax in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LOGIT_TOLERANCE = 1e-2  # bound on the error of a logit in the smooth way; the typical error is ten times smaller
LOGITS_BYTES, LOGITS_BYTES_GPU = (
    2**23,
    2**30,
)  # one block of logits: about the cache of a core, a fraction of a GPU's memory
MAX_CANDIDATES = 512  # rows of D a query may select in the sharp way
SAFETY = 8.0  # factor on eps |x| |D|: the rounding error of a float32 inner product (tests/test_streaming.py checks it)


class Rows:
    """Rows of a training set, (n, d): a tensor on any device or a (memory-mapped) numpy array, read block by block."""

    def __init__(self, data: Tensor | np.ndarray, block: int | None = None):
        self.data = data
        self.n, self.d = data.shape
        self.block = block or max(1, min(self.n, 2**23 // self.d, 4096))
        home = data.device if isinstance(data, Tensor) else "cpu"
        # Filled in place: small results kept between large temporary ones would fragment the heap, by 60 % of the data.
        self.squared_norms = torch.empty(self.n, dtype=torch.float64, device=home)
        for part, rows in self.blocks(home, None):
            self.squared_norms[part] = self._checked(rows, part).double().square().sum(1)
        self.max_norm = float(self.squared_norms.max().sqrt())

    @staticmethod
    def _checked(rows: Tensor, where: slice) -> Tensor:
        bad = ~rows.isfinite().all(1)
        if bad.any():
            row = where.start + int(bad.nonzero()[0])
            raise ValueError(f"data has NaN or infinite values (first in row {row}): finite values are needed")
        return rows

    def _tensor(self, part: Tensor | np.ndarray, device, dtype) -> Tensor:
        part = (
            part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        )  # a copy: the map may be read-only
        return part.to(device=device, dtype=dtype)

    def blocks(self, device, dtype) -> Iterator[tuple[slice, Tensor]]:
        for i in range(0, self.n, self.block):
            part = slice(i, min(i + self.block, self.n))
            yield part, self._tensor(self.data[part], device, dtype)

    def take(self, index: Tensor, device, dtype) -> Tensor:
        """Rows by index (k,) -> (k, d)."""
        index = index.cpu().numpy() if isinstance(self.data, np.ndarray) else index.to(self.data.device)
        return self._tensor(self.data[index], device, dtype)


@dataclass
class Moments:
    """What the softmax over the rows gives for each query."""

    log_sum: Tensor | None  # (m,) log sum_j exp(-|x - a D_j|^2 / (2 s^2))
    mean: Tensor  # (m, d) sum_j w_j D_j


def product_error(x: Tensor, rows: Rows) -> Tensor:
    """Bound on the rounding error of x . D_j - |D_j|^2 / 2 over all j, (m,), in the dtype of x (TF32 counted where it is on)."""
    eps = torch.finfo(x.dtype).eps
    if x.is_cuda and x.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32:
        eps = 2.0**-10
    return eps * rows.max_norm * (SAFETY * x.detach().double().norm(dim=1) + rows.max_norm)


def softmax_moments(x: Tensor, rows: Rows, a: Tensor, s: Tensor, *, log_sum: bool = True) -> Moments:
    """Softmax over all rows of D. x: (m, d); a, s: (m,) float64, s > 0. Without `log_sum` only the mean is computed.

    Queries are taken so many at a time that a block of logits stays in the cache: up to four times faster for large m.
    """
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
    if len(many):
        parts.append(_dense(x[many].double(), rows, a[many], s[many], log_sum))
    back = torch.cat([smooth, few, many]).argsort()
    mean = torch.cat([part.mean.to(x.dtype) for part in parts])[back]
    return Moments(torch.cat([part.log_sum.to(x.dtype) for part in parts])[back] if log_sum else None, mean)


def _logits(x: Tensor, rows: Rows, part: slice, block: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """-|x - a D_j|^2 / (2 s^2) + |x|^2 / (2 s^2) for one block, (m, b): what is left out is common to all j."""
    half_norms = (rows.squared_norms[part] / 2).to(device=x.device, dtype=x.dtype)
    rate = (a / s**2)[:, None]
    return torch.addmm(-(a[:, None] * rate).to(x.dtype) * half_norms, (rate * x).to(x.dtype), block.T)


def _dense(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool) -> Moments:
    """Online softmax: one pass, two matrix products a block; running maximum, sum z and weighted sum."""
    top = x.new_full((len(x),), -torch.inf)
    z, mean = x.new_zeros(len(x)), torch.zeros_like(x)
    best = torch.zeros(len(x), dtype=torch.long, device=x.device)
    differentiable = torch.is_grad_enabled() and (x.requires_grad or a.requires_grad or s.requires_grad)
    for part, block in rows.blocks(x.device, x.dtype):
        logits = _logits(x, rows, part, block, a, s)
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
    nearest = rows.take(best, x.device, x.dtype)
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
    cutoff = 2 * err + np.log(rows.n) - np.log(torch.finfo(x.dtype).eps)  # what is left out adds less than eps
    top = x.new_full((len(x),), -torch.inf)
    flat = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    query = torch.zeros(0, dtype=torch.long, device=x.device)
    row, value = query.clone(), x.new_zeros(0)
    for part, block in rows.blocks(x.device, x.dtype):
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
    logits = torch.cat(
        [
            _exact_logits(x[q], rows.take(r, x.device, x.dtype), a[q], s[q])
            for q, r in zip(query.split(step), row.split(step))
        ]
    )
    top = x.new_full((len(x),), -torch.inf).scatter_reduce(0, query, logits.detach(), "amax")
    weights = torch.exp(logits - top[query])
    z = x.new_zeros(len(x)).index_add(0, query, weights)
    mean = torch.zeros_like(x)
    for q, r, w in zip(query.split(step), row.split(step), (weights / z[query]).split(step)):
        mean = mean.index_add(0, q, w[:, None] * rows.take(r, x.device, x.dtype))
    return Moments(top + z.log(), mean)


@torch.no_grad()
def nearest(x: Tensor, rows: Rows, k: int = 2, spare: int = 8) -> tuple[Tensor, Tensor]:
    """The k nearest rows of each query: squared distances (m, k) float64 and row numbers (m, k), nearest first.

    One matrix product preselects k + spare rows by block; their distances are computed exactly. A query whose
    preselection may have missed a row (rounding) is done again in float64. Ties go to the lower row number.
    """
    one = torch.ones(len(x), dtype=torch.float64, device=x.device)
    value, index = _preselect(x, rows, one, min(k + spare, rows.n))
    exact = _exact_squared(x, rows, index)
    kth = exact.sort(1).values[:, k - 1]
    # The rows left out have logits <= the last one kept, up to rounding: squared distance >= |x|^2 - 2 * logit - error.
    norm2 = x.double().square().sum(1)
    left_out = norm2 - 2 * value[:, -1].double() - 2 * product_error(x, rows)
    unsure = (left_out <= kth) if index.shape[1] < rows.n else torch.zeros_like(kth, dtype=torch.bool)
    if unsure.any() and x.dtype != torch.float64:
        value64, index64 = _preselect(x[unsure].double(), rows, one[unsure], index.shape[1])
        index[unsure] = index64
        exact[unsure] = _exact_squared(x[unsure], rows, index64)
    by_index = index.argsort(1)
    exact, index = exact.gather(1, by_index), index.gather(1, by_index)
    order = exact.argsort(dim=1, stable=True)[:, :k]
    return exact.gather(1, order), index.gather(1, order)


def _preselect(x: Tensor, rows: Rows, one: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    value = x.new_full((len(x), 0), -torch.inf)
    index = torch.zeros((len(x), 0), dtype=torch.long, device=x.device)
    for part, block in rows.blocks(x.device, x.dtype):
        block_value, block_index = _logits(x, rows, part, block, one, one).topk(min(keep, len(block)), dim=1)
        value, index = torch.cat([value, block_value], 1), torch.cat([index, block_index + part.start], 1)
        value, order = value.topk(min(keep, value.shape[1]), dim=1)
        index = index.gather(1, order)
    return value, index


def _exact_squared(x: Tensor, rows: Rows, index: Tensor, most: int = 2**22) -> Tensor:
    """Squared distances by explicit differences in float64: (m, d), (m, c) -> (m, c)."""
    query = torch.arange(len(x), device=x.device).repeat_interleave(index.shape[1])
    step = max(1, most // rows.d)
    pieces = [
        (x[q].double() - rows.take(r, x.device, torch.float64)).square().sum(1)
        for q, r in zip(query.split(step), index.flatten().split(step))
    ]
    return torch.cat(pieces).view_as(index)
