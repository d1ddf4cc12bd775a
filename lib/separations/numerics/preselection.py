"""Which rows can be near? A cheap product of rounded rows rules out nearly all, with a proved bound, and is exact about the rest.

Let y be a query and r a row, both centred, and write y = p + f, r = q + g, where p and q are what is left of them in few bits and f, g
what the rounding lost. Then y.r - p.q = f.r + p.g, and Cauchy-Schwarz gives

    |y.r - p.q| <= |f| |r| + |p| |g|.                                                                                     (1)

|y - r|^2 = |y|^2 - 2 (y.r - |r|^2 / 2), so the nearest rows have the largest y.r - |r|^2 / 2, which (1) encloses in value +- bound.
A row is a *candidate* if the upper end reaches the k-th largest lower end; every row among the k nearest is one, in whatever
format of `rounded_rows` p and q are kept. What float32 rounds on the way, in centring, norms, products and sums, is below
`(d + MARGIN) eps |r| (|y| + |r|)`, which is added to the bound. The appendix *How near rows are found* has the proof.
"""

import torch
from torch import Tensor

from .private_operators import byte_product
from .rounded_rows import SIGNED, Memory, Rounded, _dtype, round_rows, sketch
from .rows import Rows

GROUP = 16  # rows that share a bound in the first look
LOOK, TOUCHED = 2**20, 2**16  # products computed at a time, and worked on at a time: the latter stay in the cache
MARGIN = 64  # roundings beside those of a sum over d
CROWD = 16  # candidates held a query, in units of the limit, before those that have fallen behind are dropped
TINY = 1e-20  # added to norms in bounds: what float32 may have lost of numbers whose squares it cannot hold


@torch.no_grad()
def candidates(
    y: Tensor, rows: Rows, k: int, slack: Tensor | None, limit: int, form: str, exponent: int = 0, *, fine: bool = False,
    coarse: float = 0.0, progress=None,
) -> tuple[tuple[Tensor, Tensor], Tensor]:  # fmt: skip
    """Pairs (query, row) among which all those are that count, and the queries that have more than `limit` of them.

    Args:
        y: (m, d) queries, in inner coordinates and units of 2^exponent, float64.
        k: a row counts if it is one of the k nearest, or as near as the k-th.
        slack: (m,), or None; a row counts, too, if half its squared distance exceeds that of the k-th by at most this.
        coarse: rounding of the squared distances that are compared afterwards, in units of (|y| + |r|)^2: rows that it may confuse count.
        form, fine: format of the product, and whether two bytes are kept of a query.

    Returns:
        (query, row): int64 (p,) each, by query, then by row, queries numbered as in y, none of those of the second answer;
        crowded: bool (m,), the queries with more than `limit` candidates.
    """
    known = sketch(rows, form, exponent)
    q = round_rows(y - known.centre.to(y.device), form, fine=fine)
    rounding = _roundings(y, rows.d, form), coarse / 2
    m = len(y)
    best = q.norm.new_full((k, m), -torch.inf)
    pairs, memory = _Pairs(m, limit, best), Memory()
    for part in rows.parts(progress):
        block = known.block(part, y.device, memory)
        for start in range(0, part.stop - part.start, step := max(GROUP * (k + 4), LOOK // m // GROUP * GROUP)):
            some = slice(start, min(start + step, part.stop - part.start))
            best = _look(block, some, q, rounding, best, slack, pairs, part.start, memory)
        rows.forget(part)
    return pairs.ended(_floor(best, slack))


def _floor(best: Tensor, slack: Tensor | None) -> Tensor:
    return best[-1] if slack is None else best[-1] - slack.to(best)


def _roundings(y: Tensor, d: int, form: str) -> float:
    """Factor on |r| (|y| + |r|) of what float32 rounds."""
    tf32 = form == "float32" and y.is_cuda and torch.backends.cuda.matmul.allow_tf32
    half = form == "bfloat16"  # its product comes back in bfloat16
    return (d + MARGIN) * torch.finfo(_dtype(form)).eps + 2.0**-9 * tf32 + 2.0**-7 * half


def _look(block: Rounded, some: slice, q: Rounded, rounding: tuple[float, float], best: Tensor, slack, pairs: "_Pairs", first: int, memory: Memory) -> Tensor:  # fmt: skip
    """Takes the candidates out of some rows of a block; the k largest lower ends so far, (k, m)."""
    norm, lost, scale, m = block.norm[some], block.lost[some], block.scale[some], len(q.norm)
    product = _product(block, some, q, memory)
    if short := -len(norm) % GROUP:  # what fills the last group lies infinitely far away
        product = torch.cat([product, product.new_zeros((short, m))])
        norm, lost, scale = (torch.cat([each, each.new_full((short,), far)]) for each, far in ((norm, torch.inf), (lost, 0), (scale, 0)))  # fmt: skip
    height = (norm.square() * -0.5)[:, None]
    top, kept = q.norm.new_empty((len(norm) // GROUP, m)), q.kept()
    for start in range(0, len(norm), step := max(GROUP, TOUCHED // m // GROUP * GROUP)):
        part = slice(start, start + step)
        raw = product[part]
        value = memory.piece("value", raw.shape, top.dtype, top.device)
        torch.mul(value.copy_(raw), q.scale, out=value)
        torch.addcmul(height[part], value, scale[part, None], out=value)
        torch.amax(value.view(-1, GROUP, m), 1, out=top[start // GROUP : (start + len(raw)) // GROUP])
    norm, lost, scale, height = (each.view(-1, GROUP) for each in (norm.nan_to_num(posinf=0.0), lost, scale, height))

    def bound(norm: Tensor, lost: Tensor, query=slice(None)) -> Tensor:
        norm = norm + TINY
        both = norm + q.norm[query]
        found = norm * q.lost[query] + lost * kept[query] + rounding[0] * norm * both + TINY * both
        return found + rounding[1] * both.square() if rounding[1] else found

    shared = bound(norm.amax(1)[:, None], lost.amax(1)[:, None])  # (groups, m)
    lower = torch.cat([best, top - shared])
    best = lower.amax(0, keepdim=True) if len(best) == 1 else lower.T.topk(len(best), dim=1).values.T
    floor = _floor(best, slack)
    group, query = (top + shared >= floor).nonzero(as_tuple=True)
    value = (
        product.view(-1, GROUP, m)[group, :, query].to(top.dtype) * scale[group] * q.scale[query, None] + height[group]
    )
    upper = value + bound(norm[group].T, lost[group].T, query).T  # (pairs, GROUP)
    pair, row = ((upper >= floor[query, None]) & (upper > -torch.inf)).nonzero(as_tuple=True)
    pairs.add(query[pair], first + some.start + group[pair] * GROUP + row, upper[pair, row], floor)
    return best


def _product(block: Rounded, some: slice, q: Rounded, memory: Memory) -> Tensor:
    """Products of codes, (rows, m), in memory that the next call writes over."""
    codes, shape = block.codes[some], (len(block.norm[some]), len(q.norm))
    if codes.dtype != torch.int8:
        whole = memory.piece("whole", shape, codes.dtype, codes.device)
        return torch.mm(codes, q.codes.T, out=whole)
    whole = byte_product(codes, q.codes, memory.piece("whole", shape, torch.int32, codes.device))
    if q.fine is None:
        return whole
    fine = byte_product(codes, q.fine, memory.piece("fine", shape, torch.int32, codes.device))
    return memory.piece("both", shape, q.norm.dtype, codes.device).copy_(whole).add_(fine, alpha=1 / (2 * SIGNED))


class _Pairs:
    """Pairs that were candidates when they were seen; those that have fallen behind since are dropped now and then."""

    def __init__(self, m: int, limit: int, like: Tensor):
        self.m, self.limit = m, limit
        self.query, self.row = (torch.zeros(0, dtype=torch.long, device=like.device) for _ in range(2))
        self.upper = like.new_zeros(0)
        self.waiting: list[tuple[Tensor, Tensor, Tensor]] = []
        self.number = 0
        self.crowded = torch.zeros(m, dtype=torch.bool, device=like.device)

    def add(self, query: Tensor, row: Tensor, upper: Tensor, floor: Tensor) -> None:
        self.waiting.append((query, row, upper))
        self.number += len(query)
        if self.number > self.m * self.limit * 2:
            self._drop(floor, CROWD * self.limit)

    def _drop(self, floor: Tensor, most: int) -> None:
        kept = [(self.query, self.row, self.upper), *self.waiting]
        self.waiting = []
        query, row, upper = (torch.cat(each) for each in zip(*kept))
        keep = (upper >= floor[query]) & ~self.crowded[query]
        query, row, upper = query[keep], row[keep], upper[keep]
        self.crowded |= torch.bincount(query, minlength=self.m) > most
        keep = ~self.crowded[query]
        self.query, self.row, self.upper = query[keep], row[keep], upper[keep]
        self.number = len(self.query)

    def ended(self, floor: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        self._drop(floor, self.limit)
        order = self.query.argsort(stable=True)  # rows came in rising order
        return (self.query[order], self.row[order]), self.crowded
