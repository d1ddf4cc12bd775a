"""Rows of a training set, read block by block: a tensor, an array, or a file of any size; 8-bit images stay 8-bit.

Whatever needs a training set (`nearest`, `softmax`) reads it through `Rows`, in *inner* coordinates, in which the rows are near 1 in
size, and 8-bit ones whole numbers: value = origin + unit * inner. A query follows by `Rows.inner`, an answer comes back by `Rows.outer`.
"""

import contextlib
import math
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .checks import as_real, check_count
from .rows_index import open_index
from .scale import peak, scaled, size_exponent
from .shards import join

BLOCK_NUMBERS, BLOCK_ROWS = (
    2**23,
    4096,
)  # of a block at most; a power of two of rows, of which products are a fifth faster
CACHED = 2**16  # numbers in float64 worked on at a time
CENTRE = 1024  # rows whose mean is the centre about which rows are rounded
EXACT_SUM = 512  # squares of 8-bit numbers whose sum float32 holds exactly
MIDDLE = 128  # of the 8-bit range: rows minus this are signed bytes, without any loss
# Names of dtypes; the last three are numpy's, in another order of bytes.
FLOATS = ("float16", "bfloat16", "float32", "float64", "f2", "f4", "f8")
BYTES = ("uint8", "u1", "|u1")


def in_rows(data: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """Data (n, ...) as rows (n, d), without a copy of what lies in a file.

    Raises:
        ValueError: for a memory map whose points do not lie one after the other.
    """
    rows = data.reshape(len(data), -1)
    if isinstance(data, np.memmap) and not np.may_share_memory(rows, data):
        raise ValueError(f"data is a memory map with strides {data.strides}: points that lie one after the other (C order) are needed, "
                         "or all of it would be copied into memory")  # fmt: skip
    return rows


def kind(data: Tensor | np.ndarray) -> str:
    """'float' or 'bytes' by the dtype of the data, '' for what `Rows` does not take."""
    name = str(getattr(data, "dtype", "")).removeprefix("torch.").strip("<>=")
    return "float" if name in FLOATS else "bytes" if name in BYTES else ""


class Rows:
    """Rows of a training set, (n, d), and their squared norms, measured once.

    Args:
        data: (n, d), a tensor on any device or a numpy array, which may be a memory map larger than memory. Floating point of 16, 32
            or 64 bits; or uint8, which is never copied to floating point as a whole.
        block: rows read at a time; None: what suits the cache.
        scale, shift: what 8-bit numbers mean, value = scale * number + shift; None: 2 / 255 and -1, images in [-1, 1].
        index: file that keeps the norms and what preselection knows of each row, see `rows_index`; it is made if it is not there.
        group: processes that hold the other rows of the set (`torch.distributed`), see `shards`; None: this one holds all.
        progress: a function (iterable, total) -> iterable, as tqdm, around the pass that measures.

    Raises:
        ValueError: for another dtype, NaN or infinite values, a scale that is not positive, or a file at `index` that is not ours.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        block: int | None = None,
        *,
        scale: float | None = None,
        shift: float | None = None,
        index: str | Path | None = None,
        group=None,
        progress: Callable | None = None,
    ):
        self.group, self.rounded = group, {}  # by format and exponent, what `rounded_rows` knows of each row
        if group is None:
            self._take(data, block, scale, shift, index, progress)
            self.first, self.total = 0, self.n
            return
        problem = None
        try:
            self._take(data, block, scale, shift, index, progress)
        except ValueError as error:
            problem = error
        join(self, problem)

    def _take(self, data, block, scale, shift, index, progress) -> None:
        """Looks at the data and measures them."""
        self.data = data.detach() if isinstance(data, Tensor) else data
        if not kind(data):
            raise ValueError(
                f"data is {getattr(data, 'dtype', type(data).__name__)}: one of {', '.join(FLOATS[:4])}, or uint8 for 8-bit images, is needed"
            )
        self.bytes = kind(data) == "bytes"
        if data.ndim != 2 or 0 in data.shape:
            raise ValueError(f"data has shape {tuple(data.shape)}: (n, d) with n >= 1 and d >= 1 is needed")
        self.n, self.d = data.shape
        block = None if block is None else check_count(block, "block")
        self.unit, self.origin = self._affine(scale, shift)
        self.block = block or min(self.n, 2 ** int(math.log2(max(1, min(BLOCK_NUMBERS // self.d, BLOCK_ROWS)))))
        self.home = data.device if isinstance(data, Tensor) else torch.device("cpu")
        if index is None:
            self._measure(progress)
        else:
            open_index(self, Path(index), progress)

    def _affine(self, scale: float | None, shift: float | None) -> tuple[float, float]:
        if not self.bytes:
            if scale is not None or shift is not None:
                raise ValueError(f"scale = {scale}, shift = {shift}: these say what uint8 data mean, {self.data.dtype} have their own values")  # fmt: skip
            return 1.0, 0.0
        unit = 2 / 255 if scale is None else as_real(scale, "scale")
        low = -1.0 if shift is None else as_real(shift, "shift")
        if not 1e-30 < unit < 1e30 or not abs(low) < 1e30:
            raise ValueError(f"scale = {scale}, shift = {shift}: value = scale * number + shift with a scale > 0 is needed")  # fmt: skip
        return unit, MIDDLE * unit + low

    # ------------------------------------------------------------------------------------------------------ coordinates
    def inner(self, x: Tensor, a: Tensor | float = 1.0) -> Tensor:
        """Queries against a times the rows, in inner coordinates: (x - a origin) / unit; float64 for 8-bit rows, x itself for others.

        Queries may be bytes where the rows are (a = 1 then): without any rounding.
        """
        if x.dtype == torch.uint8:
            return x.double() - MIDDLE
        return (x.double() - a * self.origin) / self.unit if self.bytes else x

    def outer(self, z: Tensor) -> Tensor:
        """Values of inner coordinates: origin + unit z."""
        return self.origin + self.unit * z if self.bytes else z

    def values(self, index: Tensor, device, dtype: torch.dtype | None) -> Tensor:
        """Values of rows by index (k,) -> (k, d); dtype None: that of the data, float32 for 8-bit ones."""
        if not self.bytes:
            return self.take(index, device, dtype)
        return self.outer(self.take(index, device, torch.float64)).to(dtype or torch.float32)

    # --------------------------------------------------------------------------------------------------------- measuring
    def _measure(self, progress: Callable | None = None, digest=None) -> None:
        """Norms, peak and power of two of the rows, in one or two passes; digest: a hash that is fed with them on the way."""
        # Filled in place: small results kept between large temporary ones would fragment the heap, by 60 % of the data.
        self.squared_norms = torch.empty(self.n, dtype=torch.float64, device=self.home)
        self.exponent, self.peak = 0, 0.0
        self._measure_once(progress, digest)
        self.exponent = size_exponent(self.peak)
        if self.exponent:
            self._measure_once(None, None)
        self.set_norm()

    def one_size(self, largest: float) -> None:
        """Takes the power of two of a larger set that these rows are a part of; `largest` is its peak."""
        exponent = size_exponent(largest)
        self.squared_norms = scaled(self.squared_norms, 2 * (self.exponent - exponent))
        self.peak, self.exponent = largest, exponent
        self.set_norm()

    def set_norm(self) -> None:
        """The largest norm, in units of 2^exponent."""
        self.max_norm = float(self.squared_norms.max().sqrt())

    def _measure_once(self, progress: Callable | None, digest) -> None:
        for part in self.parts(progress):
            raw = self.data[part]
            if digest is not None:
                self.feed(part, digest)
            if self.bytes:
                self.squared_norms[part] = _sums_of_squares(_signed(raw))
                self.peak = float(MIDDLE)
            else:
                rows = self._tensor(raw, self.home, None, 0)
                self.peak = max(self.peak, self._checked_peak(rows, part))
                self.squared_norms[part] = _squares(rows, -self.exponent)
            self.forget(part)

    @staticmethod
    def _checked_peak(rows: Tensor, where: slice) -> float:
        largest = peak(rows)
        if not math.isfinite(largest):
            row = where.start + int((~rows.isfinite().all(1)).nonzero()[0])
            raise ValueError(f"data has NaN or infinite values (first in row {row}): finite values are needed")
        return largest

    # ----------------------------------------------------------------------------------------------------------- reading
    def parts(self, progress: Callable | None = None) -> Iterator[slice]:
        """The blocks, as slices of row numbers."""
        found = [slice(i, min(i + self.block, self.n)) for i in range(0, self.n, self.block)]
        return iter(found if progress is None else progress(found, total=len(found)))

    def feed(self, part: slice, digest) -> None:
        """Updates a hash with the bits of a block."""
        raw = self.data[part]
        digest.update(np.ascontiguousarray(raw if isinstance(raw, np.ndarray) else _plain(raw)))

    def _tensor(self, part: Tensor | np.ndarray, device, dtype, exponent: int) -> Tensor:
        if self.bytes:
            part = _signed(part)
            dtype = dtype or torch.float32
        elif not isinstance(part, Tensor):  # a copy: the map may be read-only, or in another machine's order of bytes
            part = torch.from_numpy(np.array(part, dtype=part.dtype.newbyteorder("=")))
        if exponent:
            part = scaled(part.to(device=device, dtype=torch.float64), -exponent)
        return part.to(device=device, dtype=dtype)

    def blocks(
        self, device, dtype, exponent: int = 0, progress: Callable | None = None
    ) -> Iterator[tuple[slice, Tensor]]:
        """Blocks of rows in inner coordinates as 2^-exponent times what they are: slice of row numbers, and (b, d)."""
        for part in self.parts(progress):
            yield part, self._tensor(self.data[part], device, dtype, exponent)
            self.forget(part)

    def bits(self, part: slice) -> np.ndarray:
        """A block as it is stored, (b, d) contiguous; equal rows have equal bits (0 and -0 are one)."""
        raw = self.data[part]
        raw = np.ascontiguousarray(raw if isinstance(raw, np.ndarray) else _plain(raw if self.bytes else raw + 0.0))
        return raw + raw.dtype.type(0) if raw.dtype.kind == "f" else raw

    def read(self, part: slice, device, dtype, exponent: int = 0) -> Tensor:
        """One block, as in `blocks`."""
        return self._tensor(self.data[part], device, dtype, exponent)

    def codes(self, part: slice, device) -> Tensor:
        """A block of 8-bit rows as signed bytes, (b, d) int8, which are its inner coordinates."""
        return _signed(self.data[part]).to(device)

    def take(self, index: Tensor, device, dtype, exponent: int = 0) -> Tensor:
        """Rows by index (k,) -> (k, d) in inner coordinates."""
        index = index.cpu().numpy() if isinstance(self.data, np.ndarray) else index.to(self.data.device)
        return self._tensor(self.data[index], device, dtype, exponent)

    def squares(self, part: slice, device, exponent: int) -> Tensor:
        """Squared norms of the rows of a block in units of 2^(2 exponent), (b,) float64."""
        return scaled(self.squared_norms[part].to(device), 2 * (self.exponent - exponent))

    def centre(self) -> Tensor:
        """A point amid the rows, (d,) float64 in inner coordinates: the mean of some, evenly spread over the set."""
        if self.bytes:
            return torch.zeros(self.d, dtype=torch.float64, device=self.home)
        index = torch.linspace(0, self.n - 1, min(self.n, CENTRE), dtype=torch.float64).round().long()
        return scaled(self.take(index, self.home, torch.float64), -self.exponent).mean(0)

    def forget(self, part: slice) -> None:
        """Pages of a memory map that were read are given back: they count as memory of this process, and would fill all there is."""
        root, shared = self.data, False
        while isinstance(root, np.ndarray) and root.base is not None:
            shared = getattr(root, "mode", "c") != "c"  # a private map would lose what was written to it
            root = root.base
        if not shared or not isinstance(root, mmap.mmap) or not hasattr(root, "madvise"):
            return
        start = self.data[part.start : part.stop].__array_interface__["data"][0]
        begin = np.frombuffer(root, np.uint8).__array_interface__["data"][0]
        inside = (start - begin) // mmap.PAGESIZE * mmap.PAGESIZE
        length = min(len(root) - inside, (part.stop - part.start) * abs(self.data.strides[0]) + mmap.PAGESIZE)
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a wish, not a need
            root.madvise(mmap.MADV_DONTNEED, inside, length)


def _signed(part: Tensor | np.ndarray) -> Tensor:
    """Bytes as signed ones about the middle, a copy."""
    if isinstance(part, Tensor):
        return part.contiguous().view(torch.int8).bitwise_xor(-MIDDLE)
    return torch.from_numpy(np.bitwise_xor(part, np.uint8(MIDDLE)).view(np.int8))


def _squares(rows: Tensor, exponent: int) -> Tensor:
    """Squared norms of rows (b, d) times 2^exponent, in float64, so many at a time that they stay in the cache."""
    step = max(1, CACHED // rows.shape[1])
    return torch.cat([scaled(some.to(torch.float64), exponent).square().sum(1) for some in rows.split(step)])


def _sums_of_squares(codes: Tensor) -> Tensor:
    """Exact sums of squares of signed bytes (b, d) -> (b,) float64: in float32 so many at a time that it holds them."""
    whole = codes.shape[1] // EXACT_SUM * EXACT_SUM
    found = torch.zeros(len(codes), dtype=torch.float64, device=codes.device)
    for rows in range(0, len(codes), 128):
        part = slice(rows, rows + 128)
        squares = codes[part].float().square_()
        found[part] = squares[:, :whole].reshape(len(squares), -1, EXACT_SUM).sum(2).double().sum(1)
        found[part] += squares[:, whole:].sum(1)
    return found


def _plain(x: Tensor) -> np.ndarray:
    """A tensor as an array of its bits."""
    x = x.cpu().contiguous()
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()
