"""Rows in few bits, with the norm of what the rounding lost: signed bytes with a scale for each row, bfloat16, or float32 itself.

A row r is q + g, where q = scale * codes is kept and the norm of g is known. The product of signed bytes is exact; in float32 nothing is
lost. The scale, |r| and |g| of each row are kept when it is first read (12 bytes a row); the bytes themselves never are. Which format
pays is measured here, once in a process. `preselection` bounds what products of such rows can be off by.
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

SIGNED = 127  # largest code
PIECE = 2**19  # numbers rounded at a time: they stay in the cache
WIDE = 96  # rows shorter than this are multiplied in float32: rounding them costs more than it saves
MANY = 24  # queries from which on rounding the rows is worth it
FASTER = 1.5  # how much faster than float32 the product of a format has to be here
# Values of a row whose products in bytes fit in 32 bits, those of stored bytes (-128) too.
LONGEST = (2**31 - 1) // (128 * SIGNED)


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
        self.scale, self.norm, self.lost = (
            torch.empty(rows.n if form == "int8" else 0, dtype=torch.float32) for _ in range(3)
        )
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
