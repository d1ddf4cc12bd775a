"""Which rows can be near? A cheap product of rounded rows rules out nearly all, with a proved bound, and is exact about the rest.

Let y be a query and r a row, both centred, and write y = p + f, r = q + g, where p and q are what is left of them in few bits and f, g
what the rounding lost. Then y.r - p.q = f.r + p.g, and Cauchy-Schwarz gives

    |y.r - p.q| <= |f| |r| + |p| |g|.                                                                                     (1)

|y - r|^2 = |y|^2 - 2 (y.r - |r|^2 / 2), so the nearest rows have the largest y.r - |r|^2 / 2, which (1) encloses in value +- bound.
A row is a *candidate* if the upper end reaches the k-th largest lower end; every row among the k nearest is one, in whatever
format p and q are kept: signed bytes with a scale for each row (q = scale * code; the product of bytes is exact), bfloat16, or
float32 itself, where f = g = 0. What float32 rounds on the way, in centring, norms, products and sums, is below
`(d + MARGIN) eps |r| (|y| + |r|)`, which is added to the bound. The appendix *How near rows are found* has the proof.

The scale, |r| and |g| of each row are kept when it is first read (12 bytes a row); the bytes themselves never are.
"""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .private_operators import byte_product
from .rows import Rows
from .scale import scaled

GROUP = 16  # rows that share a bound in the first look
LOOK, TOUCHED = 2**20, 2**16  # products computed at a time, and worked on at a time: the latter stay in the cache
MARGIN = 64  # roundings beside those of a sum over d
SIGNED = 127  # largest code
PIECE = 2**19  # numbers rounded at a time: they stay in the cache
WIDE = 96  # rows shorter than this are multiplied in float32: rounding them costs more than it saves
MANY = 24  # queries from which on rounding the rows is worth it
FASTER = 1.5  # how much faster than float32 the product of a format has to be here
CROWD = 16  # candidates held a query, in units of the limit, before those that have fallen behind are dropped
# Values of a row whose products in bytes fit in 32 bits, those of stored bytes (-128) too.
LONGEST = (2**31 - 1) // (128 * SIGNED)
TINY = 1e-20  # added to norms in bounds: what float32 may have lost of numbers whose squares it cannot hold


@functools.cache
def format_for(device: str) -> str:
    """'int8', 'bfloat16' or 'float32': the one whose product is fastest on that device, measured once in this process."""
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, 1024, generator=g).to(device) for rows in (128, 512))
    took = {"float32": _seconds(lambda: a @ b.T, device)}
    if device == "cpu":
        x, y = (each.mul(30).clamp(-SIGNED, SIGNED).to(torch.int8) for each in (a, b))
        if byte_product(x, y) is not None:
            took["int8"] = _seconds(lambda: byte_product(x, y), device)
    else:
        x, y = a.bfloat16(), b.bfloat16()
        took["bfloat16"] = _seconds(lambda: x @ y.T, device)
    best = min(took, key=took.get)
    return best if took["float32"] >= FASTER * took[best] else "float32"


def _seconds(step: Callable[[], object], device: str) -> float:
    """The shortest of a few runs."""
    found = []
    for _ in range(5):
        start = time.perf_counter()
        step()
        if device != "cpu":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)


@dataclass
class Rounded:
    """Rows in few bits: row = scale * codes + what is lost. codes (r, d); scale, norm (of the row) and lost (norm of what is) are (r,)."""

    codes: Tensor
    scale: Tensor
    norm: Tensor
    lost: Tensor
    fine: Tensor | None = None  # codes of what was lost, in units of scale / (2 SIGNED), where one byte is too coarse

    def kept(self) -> Tensor:
        """A bound on the norm of scale * codes, (r,)."""
        return self.norm + self.lost


def _dtype(form: str) -> torch.dtype:
    """The dtype of products and bounds in a format."""
    return torch.float64 if form == "float64" else torch.float32


def round_rows(rows: Tensor, form: str, *, fine: bool = False) -> Rounded:
    """Centred rows (r, d) in a format of `formats`, or in float64. fine: two bytes a number, for int8. Norms are those of float32, a little too large for `lost`."""
    rows = rows.to(_dtype(form))
    norm = torch.linalg.vector_norm(rows, dim=1)
    one = torch.ones_like(norm)
    if form in ("float32", "float64"):
        return Rounded(rows, one, norm, torch.zeros_like(norm))
    if form == "bfloat16":
        codes = rows.bfloat16()
        return Rounded(codes, one, norm, _enlarged(torch.linalg.vector_norm(rows - codes.float(), dim=1), norm))
    found = Rounded(torch.empty(rows.shape, dtype=torch.int8, device=rows.device), one, norm, torch.empty_like(norm))
    if fine:
        found.fine = torch.empty_like(found.codes)
    for start in range(0, len(rows), step := max(1, PIECE // max(1, rows.shape[1]))):
        part = slice(start, start + step)
        _to_bytes(rows[part].clone(), found, part)
    return found


def _to_bytes(rows: Tensor, found: Rounded, part: slice, known: bool = False) -> None:
    """Codes of `part`, with scale, norm and lost unless they are known already. rows: centred, float32, overwritten."""
    if not known:
        torch.linalg.vector_norm(rows, dim=1, out=found.norm[part])
        torch.maximum(rows.amax(1), -rows.amin(1), out=found.scale[part]).div_(SIGNED).clamp_(min=1e-30)
    scale = found.scale[part][:, None]
    codes = rows.div_(scale)
    if known:
        found.codes[part] = codes.round_()
        return
    whole = codes.round()
    found.codes[part] = whole
    codes.sub_(whole)
    if found.fine is not None:
        whole = (codes * (2 * SIGNED)).round_()
        found.fine[part] = whole
        codes.sub_(whole, alpha=1 / (2 * SIGNED))
    lost = torch.linalg.vector_norm(codes, dim=1) * scale[:, 0]
    found.lost[part] = _enlarged(lost, scale[:, 0] * SIGNED * rows.shape[1] ** 0.5)


def _enlarged(lost: Tensor, size: Tensor) -> Tensor:
    """`lost` with what float32 may have rounded off, for numbers whose norm is at most `size`."""
    return lost * (1 + 1e-3) + size * 2e-7 + 1e-30


class Memory(dict):
    """Pieces of memory by name that are written over again and again: fresh ones of this size cost more than the work in them."""

    def piece(self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device) -> Tensor:
        number = math.prod(shape)
        if name not in self or self[name].numel() < number:
            self[name] = torch.empty(number, dtype=dtype, device=device)
        return self[name][:number].view(shape)


class Sketch:
    """What is kept of the rows of a set in one format: scale, norm and lost, (n,) each, filled block by block on the first pass."""

    def __init__(self, rows: Rows, form: str, exponent: int):
        self.rows, self.form, self.exponent = rows, form, exponent
        # In units of 2^exponent, and a number of float32 for queries and rows alike: another one for either would shift them apart.
        self.centre = scaled(rows.centre(), rows.exponent - exponent).to(_dtype(form)).double()
        self.scale, self.norm, self.lost = (torch.empty(rows.n if form == "int8" else 0) for _ in range(3))
        self.seen = torch.zeros(rows.n, dtype=torch.bool)

    def block(self, part: slice, device, memory: Memory) -> Rounded:
        """A block in few bits, centred. 8-bit rows are what they are: nothing is lost."""
        if self.rows.bytes and self.form == "int8" and not self.exponent:
            norm = self.rows.squared_norms[part].sqrt().to(device, torch.float32)
            return Rounded(self.rows.codes(part, device), torch.ones_like(norm), norm, torch.zeros_like(norm))
        raw = self._reader(part, device, memory)
        if self.form != "int8":
            return round_rows(raw(slice(None)), self.form)
        codes = memory.piece("codes", (part.stop - part.start, self.rows.d), torch.int8, device)
        found = Rounded(codes, self.scale[part], self.norm[part], self.lost[part])  # what is written there, is kept
        known, step = bool(self.seen[part].all()), max(1, PIECE // self.rows.d)
        for start in range(0, len(codes), step):
            some = slice(start, start + step)
            _to_bytes(raw(some), found, some, known)
        self.seen[part] = True
        return found

    def _reader(self, part: slice, device, memory: Memory) -> Callable[[slice], Tensor]:
        """A function that gives some rows of a block, centred, in memory of their own; wide numbers are centred in float64."""
        block = self.rows.read(part, device, None, self.exponent)
        wide = block.dtype == torch.float64 or self.form == "float64"
        centre = self.centre.to(device, torch.float64 if wide else torch.float32)
        if wide:
            return lambda some: (block[some] - centre).to(_dtype(self.form))
        return lambda some: torch.sub(
            rows := block[some], centre, out=memory.piece("rows", rows.shape, centre.dtype, device)
        )


def sketch(rows: Rows, form: str, exponent: int) -> Sketch:
    """That of the rows, made once."""
    if (form, exponent) not in rows.rounded:
        rows.rounded[form, exponent] = Sketch(rows, form, exponent)
    return rows.rounded[form, exponent]


def formats(rows: Rows, m: int, device) -> list[tuple[str, bool]]:
    """Formats to try one after the other for m queries, each with whether two bytes are kept of a query."""
    fast = format_for(torch.device(device).type) if WIDE <= rows.d <= LONGEST and m >= MANY else "float32"
    two = [("int8", True)] if fast == "int8" and rows.bytes else []
    return [(fast, False)] * (fast != "float32") + two + [("float32", False)]


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
