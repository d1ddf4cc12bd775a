"""The training set as a distribution: n points of equal weight; diffused, a mixture of n Gaussians without covariance of their own."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count, generator_device, is_plain
from ..numerics.rows import Rows, in_rows, kind
from ..numerics.softmax import softmax_moments
from ..schedules import Schedule, Time, check_schedule
from .diffused import Diffused


class Empirical(Diffused):
    """The training set as a distribution: n points, each with weight 1/n; diffused, n Gaussians of covariance sigma^2 I.

    It is read in blocks: a query of m points takes O(m * block) memory (gradients through x: O(m * n)). The score is
    the global minimiser of the denoising loss (Ye et al. 2026, section 3). All queries need t > 0.

    Args:
        data: (n, *event_shape), a floating-point tensor on any device or a numpy array, which may be a memory map larger than memory;
            or 8-bit images (uint8), which stay 8-bit: their values are 2 / 255 number - 1, in [-1, 1].
        block: points read at a time; None: what suits the cache.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.
        group: processes that hold the other points of the set, see `numerics.shards`; samples are of this one's.

    Raises:
        ValueError: for data with NaN, with no rows, or of another kind.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        *,
        block: int | None = None,
        schedule: Schedule | None = None,
        index: str | Path | None = None,
        group=None,
    ):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        if isinstance(data, Tensor) and not is_plain(data):
            raise ValueError(
                f"data is a tensor of {data.layout}, {data.dtype}: a dense one is needed, as data.to_dense()"
            )
        if not isinstance(data, Tensor | np.ndarray) or not kind(data):
            raise ValueError(
                f"data is {getattr(data, 'dtype', type(data).__name__)}: floating-point values, or uint8 for 8-bit images, are needed"
            )
        if data.ndim < 2 or 0 in data.shape:
            raise ValueError(f"data has shape {tuple(data.shape)}: (n, d, ...) with n >= 1 is needed")
        if block is not None:
            block = check_count(block, "block")
        self.block, self.index, self.group = block, index, group
        self.data, self.event_shape = data, tuple(data.shape[1:])
        self.rows = Rows(in_rows(data), block, index=index, group=group)

    @property
    def n(self) -> int:
        """Number of training points, of all processes."""
        return self.rows.total

    def to(self, device=None, dtype=None):
        """A copy on another device or in another dtype, with all its settings; 8-bit data keep theirs."""
        return super().to(device, None if self.rows.bytes else dtype)

    def _arguments(self):
        data = self.data
        if isinstance(
            data, np.ndarray
        ):  # a tensor takes neither another machine's order of bytes nor a negative stride
            data = torch.from_numpy(np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("=")))
        return (data,)

    def _settings(self) -> dict:
        return {"block": self.block, "index": self.index, "group": self.group}

    def _sample0(self, m: int, generator) -> Tensor:
        device = generator_device(generator)
        index = torch.randint(self.rows.n, (m,), generator=generator, device=device)
        return self.rows.values(index, self.rows.home, None).reshape(m, *self.event_shape)

    def log_prob(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """log of (1/n) sum_i N(x; alpha x_i, sigma^2 I), (m,)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        log_sum = softmax_moments(flat, self.rows, alpha[:, 0], sigma[:, 0]).log_sum
        constant = math.log(self.n) + self.d * (math.log(2 * math.pi) / 2 + sigma[:, 0].log())
        return self._answer(log_sum - constant.to(flat.dtype), x, "log_prob")

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return softmax_moments(x, self.rows, alpha[:, 0], sigma[:, 0], log_sum=False).mean

    def responsibilities(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Posterior weight of each training point given X_t = x, (m, n): memory m * n, for small sets."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        return self._answer(self._weights(flat, alpha, sigma), x, "responsibilities")

    def _weights(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Softmax weights (m, n) in float64, distances by explicit differences, one query at a time."""
        if self.group is not None:
            raise ValueError(
                f"group = {self.group!r}: weights of single points are not gathered from several processes"
            )
        logits, sigma = [], sigma / self.rows.unit
        x = self.rows.inner(x.double(), alpha)
        for _, block in self.rows.blocks(x.device, torch.float64):
            distance = [((row - a * block) / s).square().sum(1) for row, a, s in zip(x, alpha, sigma)]
            logits.append(-torch.stack(distance) / 2)
        return torch.cat(logits, 1).softmax(1)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        weights = self._weights(x, alpha, sigma)
        mean = sum(weights[:, part] @ block for part, block in self.rows.blocks(x.device, torch.float64))
        cov = torch.zeros(len(x), self.d, self.d, dtype=torch.float64, device=x.device)
        for part, block in self.rows.blocks(x.device, torch.float64):
            for i, (w, centre) in enumerate(zip(weights[:, part], mean)):
                spread = block - centre
                cov[i] = cov[i] + (w[:, None] * spread).mT @ spread
        return (cov * self.rows.unit**2).to(x.dtype)

    def __repr__(self) -> str:
        return f"Empirical(n={self.n}, event_shape={self.event_shape})"
