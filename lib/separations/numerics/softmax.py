"""Softmax over a training set that is read in blocks: memory O(m * block), any n, and no logit off by more than `LOGIT_TOLERANCE`.

For m queries x and n rows D the logits -|x - a D_j|^2 / (2 s^2) are needed. One matrix product a block gives x . D_j, hence the logits up
to rounding. In float32 the rounding error, about eps |x| |D| a / s^2, is harmless for large s and ruinous for small s. So each row of x
takes one of three ways:

  smooth   the error is below `LOGIT_TOLERANCE`: online softmax, two matrix products, or one fused attention call in few dimensions;
  sharp    otherwise: a cheap product with a proved bound (see `preselection`) leaves the rows whose weight can matter; their distances
           are then computed exactly, by explicit differences;
  flat     too many such rows: online softmax in float64, and where the product is too coarse even there, by explicit differences.

At least float32 is computed in, whatever the dtype of the arguments. Rows far from 1 in size are scaled by a power of two,
so that no square over- or underflows; queries too far out for float32 are done in float64.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .preselection import candidates
from .rounded_rows import formats
from .rows import Rows
from .scale import scaled, working
from .shards import check_alike, moments_of_all

LOGIT_TOLERANCE = 1e-2  # bound on the error of a logit in the smooth way; the typical error is ten times smaller
# One block of logits: about the cache of a core, a fraction of a GPU's memory.
LOGITS_BYTES, LOGITS_BYTES_GPU = 2**22, 2**30
MAX_CANDIDATES = 512  # rows of D a query may select in the sharp way
# Up to this dimension, and so many numbers in all rows, one fused attention call is faster.
FUSED, FUSED_NUMBERS = 32, 2**24
SAFETY = 8.0  # factor on eps |x| |D|: the rounding error of a float32 inner product (tests/test_nearest_and_softmax.py checks it)
REACH = {torch.float32: 1e15, torch.float64: 1e140}  # largest |x - a D| / s whose logits and their factors stay finite
FAR = 2.0**60  # queries farther out are preselected for in float64: their squares would not fit in float32
LEAST = -120.0  # exponents of 2 below this weigh nothing, and are slow to compute


@dataclass
class Moments:
    """What the softmax over the rows gives for each query."""

    log_sum: Tensor | None  # (m,) log sum_j exp(-|x - a D_j|^2 / (2 s^2))
    mean: Tensor  # (m, d) sum_j w_j D_j


def product_error(x: Tensor, rows: Rows) -> Tensor:
    """Bound on the rounding error of x . D_j - |D_j|^2 / 2 over all j, (m,), in the dtype of x (TF32 counted where it is on).

    It holds for coordinates of either sign; where all are alike the error is up to eight times as large. Both x and the rows
    are in units of 2^rows.exponent.
    """
    return _rounding(x, x.dtype) * rows.max_norm * (SAFETY * x.detach().double().norm(dim=1) + rows.max_norm)


def _rounding(x: Tensor, dtype: torch.dtype) -> float:
    """Relative rounding error of a matrix product in that dtype where x lies."""
    tf32 = x.is_cuda and dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32
    return 2.0**-10 if tf32 else torch.finfo(dtype).eps


def softmax_moments(x: Tensor, rows: Rows, a: Tensor, s: Tensor, *, log_sum: bool = True) -> Moments:
    """Softmax of -|x - a D_j|^2 / (2 s^2) over all rows D_j.

    Args:
        x: queries (m, d), in the values of the data.
        rows: the set. Rows that are spread over processes answer for all of them (each process asks the same x, without gradients).
        a, s: (m,) float64, s > 0.
        log_sum: False: only the mean is computed.

    Returns:
        `Moments` in the dtype of x, at least float32; log_sum None if it was not asked for.

    Raises:
        ValueError: where |x - a D| / s is too large for float64, or NaN.
    """
    if rows.group is not None:
        check_alike(rows, x.detach(), a.detach(), s.detach(), x.requires_grad or a.requires_grad)
    dtype, unit = working(x.dtype), rows.exponent
    if len(x) == 0:
        return Moments(x.new_zeros(0, dtype=dtype) if log_sum else None, x.to(dtype))
    y = rows.inner(x, a[:, None])
    s = s / rows.unit if rows.bytes else s
    s, y = scaled(s, -unit), scaled(y.double(), -unit) if unit else y
    reach = (y.detach().double().norm(dim=1) + a.detach().abs() * (rows.max_norm + 1)) / s.detach()
    if not (reach <= REACH[torch.float64]).all():
        raise ValueError(
            f"|x - alpha data| / sigma reaches {float(reach.max()):.1e}: at most {REACH[torch.float64]:.0e} is possible; "
            "smaller x, or more noise, is needed"
        )
    inside = dtype if (reach <= REACH[dtype]).all() else torch.float64
    with torch.autocast(x.device.type, enabled=False):  # nothing here is meant for 16 bits
        found = _in_pieces(y.to(inside), rows, a, s, log_sum or rows.group is not None)
    if rows.group is not None:
        found = Moments(*moments_of_all(found.log_sum, found.mean, x.requires_grad or a.requires_grad, rows))
    total = found.log_sum.to(dtype) if log_sum else None
    mean = scaled(found.mean.double(), unit) if unit else found.mean
    return Moments(total, rows.outer(mean.double() if rows.bytes else mean).to(dtype))


def _in_pieces(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool) -> Moments:
    """So many queries at a time that a block of logits stays in the cache: up to four times faster for large m."""
    step = len(x) if _fusible(x, rows, log_sum) else _queries_at_once(x, rows)
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
    pairs, flat = _candidates(x[index].detach(), rows, a[index].detach(), s[index].detach())
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


@torch.no_grad()
def _candidates(x: Tensor, rows: Rows, a: Tensor, s: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Pairs (query, row of D) whose weight can matter, and a mask (m,) of the queries that have too many of them.

    Queries are numbered without those. What is left out adds less than the rounding of x's dtype to a softmax.
    """
    y = x.double() / a[:, None]
    slack = (s / a) ** 2 * (math.log(rows.n) - math.log(torch.finfo(x.dtype).eps))
    far, flat, found = y.norm(dim=1) > FAR, torch.zeros(len(x), dtype=torch.bool, device=x.device), []
    near = (~far).nonzero()[:, 0]
    for left, tries in ((near, formats(rows, len(near), x.device)), (far.nonzero()[:, 0], [("float64", False)])):
        for form, fine in tries:
            if not len(left):
                break
            (query, row), crowded = candidates(
                y[left], rows, 1, slack[left], MAX_CANDIDATES, form, rows.exponent, fine=fine
            )
            found.append((left[query], row))
            left = left[crowded]
        flat[left] = True
    query, row = (torch.cat(each) for each in zip(*found))
    order = query.argsort(stable=True)
    new_number = torch.cumsum((~flat).long(), 0) - 1
    return (new_number[query[order]], row[order]), flat


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
    if (torch.is_grad_enabled() and (x.requires_grad or a.requires_grad or s.requires_grad)) or explicit:
        return _dense_with_gradients(x, rows, a, s, log_sum, explicit)
    if _fusible(x, rows, log_sum):
        return Moments(None, _fused(x, rows, a, s))
    m, rate = len(x), (a / s**2 / math.log(2))[:, None]  # logits in units of log 2: exp2 is twice as fast as exp
    asked, half = (rate * x).to(x.dtype), (a[:, None] * rate / 2).to(x.dtype)
    alike = bool((half == half[0]).all())
    top, z, mean = x.new_full((m, 1), -torch.inf), x.new_zeros(m, 1), torch.zeros_like(x)
    best = torch.zeros(m, dtype=torch.long, device=x.device)
    memory = x.new_empty(m * min(rows.block, rows.n))  # one block of logits, written over by the next
    for part, block in rows.blocks(x.device, x.dtype, rows.exponent):
        norms = rows.squared_norms[part].to(device=x.device, dtype=x.dtype)
        logits = memory[: m * len(block)].view(m, len(block))
        if alike:
            torch.addmm(norms * -half[0], asked, block.T, out=logits)
        else:
            torch.addmm(torch.mul(norms, half, out=logits).neg_(), asked, block.T, out=logits)
        block_top = logits.amax(1, keepdim=True)
        if log_sum:  # the index is needed, and on the CPU it costs as much as the exponentials
            best = torch.where((block_top > top)[:, 0], logits.argmax(1) + part.start, best)
        new_top = torch.maximum(top, block_top)
        shrink = torch.exp2(top - new_top)
        weights = logits.sub_(new_top).clamp_(min=LEAST).exp2_()
        z = z.mul_(shrink).add_(weights.sum(1, keepdim=True))
        mean = torch.addmm(mean.mul_(shrink), weights, block, out=mean)
        top = new_top
    total = _anchor(x, rows, a, s, best) + z[:, 0].log() if log_sum else None
    return Moments(total, mean.div_(z))


def _fusible(x: Tensor, rows: Rows, log_sum: bool) -> bool:
    """Whether one call of fused attention gives what is asked for: the mean alone, few dimensions, rows that fit into memory at once."""
    few = rows.d <= FUSED and rows.n * rows.d <= FUSED_NUMBERS
    return few and not log_sum and x.dtype == torch.float32 and x.device.type == "cpu"  # on a GPU this was not measured


def _fused(x: Tensor, rows: Rows, a: Tensor, s: Tensor) -> Tensor:
    """The mean alone by one call of fused attention: keys and values are the rows, what depends on their norms is a bias; (m, d)."""
    keys = rows.read(slice(0, rows.n), x.device, x.dtype, rows.exponent)
    norms = rows.squared_norms.to(device=x.device, dtype=x.dtype)
    rate = (a / s**2)[:, None]
    asked, half = (rate * x).to(x.dtype), (a[:, None] * rate / 2).to(x.dtype)
    if (half == half[0]).all():
        bias = (norms * -half[0]).expand(1, 1, len(x), rows.n)
        return F.scaled_dot_product_attention(asked[None, None], keys[None, None], keys[None, None], attn_mask=bias, scale=1.0)[0, 0]  # fmt: skip
    asked, keys = torch.cat([asked, -half], 1)[None, None], torch.cat([keys, norms[:, None]], 1)[None, None]
    return F.scaled_dot_product_attention(asked, keys, keys, scale=1.0)[0, 0, :, :-1]


def _dense_with_gradients(x: Tensor, rows: Rows, a: Tensor, s: Tensor, log_sum: bool, explicit: bool) -> Moments:
    """As `_dense`, each block in memory of its own."""
    top = x.new_full((len(x),), -torch.inf)
    z, mean = x.new_zeros(len(x)), torch.zeros_like(x)
    best = torch.zeros(len(x), dtype=torch.long, device=x.device)
    for part, block in rows.blocks(x.device, x.dtype, rows.exponent):
        logits = _explicit_logits(x, block, a, s) if explicit else _logits(x, rows, part, block, a, s)
        block_top, where = logits.detach().max(1)
        best = torch.where(block_top > top, where + part.start, best)
        new_top = torch.maximum(top, block_top)
        scale = torch.exp(top - new_top)
        weights = torch.exp(logits - new_top[:, None])
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


def _sparse(x: Tensor, rows: Rows, a: Tensor, s: Tensor, pairs: tuple[Tensor, Tensor], most: int = 2**22) -> Moments:
    """Softmax over the selected pairs with exact distances; pairs in pieces of at most `most` numbers."""
    if x.dtype == torch.float32:  # few pairs: a alone, rounded to float32, would move a logit at little noise
        return _sparse(x.double(), rows, a, s, pairs)
    query, row = pairs
    step = max(1, most // rows.d)

    def taken(index: Tensor) -> Tensor:
        return rows.take(index, x.device, x.dtype, rows.exponent)

    pieces = zip(query.split(step), row.split(step))
    logits = torch.cat([_exact_logits(x[q], taken(r), a[q], s[q]) for q, r in pieces])
    top = x.new_full((len(x),), -torch.inf).scatter_reduce(0, query, logits.detach(), "amax")
    weights = torch.exp(logits - top[query])
    z = x.new_zeros(len(x)).index_add(0, query, weights)
    mean = torch.zeros_like(x)
    for q, r, w in zip(query.split(step), row.split(step), (weights / z[query]).split(step)):
        mean = mean.index_add(0, q, w[:, None] * taken(r))
    return Moments(top + z.log(), mean)
