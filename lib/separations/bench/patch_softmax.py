"""Softmax over patches: for queries (M, k) and training patches (N, k) with counts the mean of what stands in their centres, block by block.

One matrix product a block gives the logits -|x - alpha D_j|^2 / (2 sigma^2), with both sides moved to the mean patch, and a second one
the sum of the weights and of the weighted centres. Where rounding in float32 could move a logit by more than `LOGIT_TOLERANCE` the block is
done in float64, and where that is not enough by explicit differences. Equal patches count once, with their number: most of an image of
a digit is background, and a third of its 3 x 3 patches are one and the same.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numerics.softmax import LEAST, LOGIT_TOLERANCE, SAFETY

LOGITS = 2**19  # of one block, that it stays in the cache of a core


@dataclass(frozen=True)
class PatchBank:
    """Training patches of one block of images.

    Attributes:
        rows: distinct patches, (N, k).
        log_count: log of how often each stands there, (N,) float64.
        centres: columns of a patch that hold its centre, one for each channel.
    """

    rows: Tensor
    log_count: Tensor
    centres: tuple[int, ...]


def distinct(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of (N, k), in the order of a hash of their bits, and log of their numbers (N',) float64."""
    rows = rows + 0.0  # -0 and 0 are one
    bits = rows.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()]).long()
    generator = torch.Generator().manual_seed(0)
    factor = (torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) * 2 + 1).to(rows.device)
    mixed = (bits ^ (bits >> 15)) * factor
    _, place, count = (mixed ^ (mixed >> 29)).sum(1).unique(return_inverse=True, return_counts=True)
    first = torch.empty(len(count), dtype=torch.long, device=rows.device)
    first[place] = torch.arange(len(rows), device=rows.device)
    found = rows[first]
    if len(found) == len(rows) or not torch.equal(found[place], rows):  # nothing to gain, or two patches with one hash
        return rows, torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    return found, count.double().log()


class Running:
    """Softmax means of M queries over blocks that come one after the other: running maximum, sum and weighted sum, float64.

    Args:
        x: queries, (M, k).
        alpha, sigma: (M, 1) float64.
        channels: numbers in a centre.
        reach: bound on the norm of a training patch about any other.
    """

    def __init__(self, x: Tensor, alpha: Tensor, sigma: Tensor, channels: int, reach: float):
        self.x, self.alpha, self.sigma, self.middle = x, alpha, sigma, None
        self.top = torch.full((len(x), 1), -torch.inf, dtype=torch.float64, device=x.device)
        self.sums = torch.zeros(len(x), channels + 1, dtype=torch.float64, device=x.device)
        norm = x.detach().double().norm(dim=1, keepdim=True) + alpha * reach
        self.explicit = float(_error(norm, alpha, sigma, reach)) * torch.finfo(torch.float64).eps > LOGIT_TOLERANCE

    def add(self, patches: PatchBank) -> None:
        """Takes a block of training patches in."""
        rows = patches.rows.double()
        self.middle = rows.mean(0) if self.middle is None else self.middle
        moved = (rows - self.middle).to(self.x.dtype)
        columns = list(patches.centres)
        values = torch.cat([patches.rows[:, columns].to(self.x), self.x.new_ones(len(rows), 1)], 1).T.contiguous()
        squares, largest = (rows - self.middle).square().sum(1), float(moved.double().norm(dim=1).max())
        if self.explicit or self.x.dtype == torch.float64:
            moved = rows - self.middle
        tops, sums = [], []
        for part in slices(len(self.x), max(64, LOGITS // min(len(rows), 2048))):
            top, mass = self._part(part, moved, squares, patches.log_count / math.log(2), values, largest)
            new = torch.maximum(self.top[part], top)
            tops.append(new)
            sums.append(self.sums[part] * (self.top[part] - new).exp2() + mass * (top - new).exp2())
        self.top, self.sums = torch.cat(tops), torch.cat(sums)

    def mean(self) -> Tensor:
        """The weighted mean of the centres, (M, channels), in the dtype of the queries."""
        return (self.sums[:, :-1] / self.sums[:, -1:]).to(self.x.dtype)

    def _part(
        self, part: slice, moved: Tensor, squares: Tensor, counts: Tensor, values: Tensor, largest: float
    ) -> tuple[Tensor, Tensor]:
        """Largest logit in units of log 2 (b, 1), and sums of 2^(logit - largest) times the values (b, channels + 1), for some queries."""
        alpha, sigma, dtype = self.alpha[part], self.sigma[part], self.x.dtype
        y = self.x[part].double() - alpha * self.middle
        grad = torch.is_grad_enabled() and y.requires_grad
        error = float(_error(y.detach().norm(dim=1, keepdim=True), alpha, sigma, largest))
        if self.explicit or error * torch.finfo(dtype).eps > LOGIT_TOLERANCE:
            dtype, moved, values = torch.float64, moved.double(), values.double()
        rate = alpha / sigma**2 / math.log(2)
        asked, half = (rate * y).to(dtype), alpha * rate / 2
        alike = bool((half == half[0]).all() and (rate == rate[0]).all())
        top, sums = asked.new_full((len(y), 1), -torch.inf), asked.new_zeros(len(values), len(y))
        most = max(256, LOGITS // len(y))
        memory = asked.new_empty(len(y) * min(most, len(moved))) if alike and not (grad or self.explicit) else None
        for some in slices(len(moved), most):
            block, bias = (
                moved[some],
                counts[some] - half[:1] * squares[some] if alike else counts[some] - half * squares[some],
            )
            if self.explicit:  # with |y|^2, which the products leave out and the mean does not see
                apart = torch.cdist(y / alpha, block, compute_mode="donot_use_mm_for_euclid_dist").square()
                logits = counts[some] - half * apart
            elif memory is None:
                logits = torch.addmm(bias.to(dtype), asked, block.T)
            else:
                logits = torch.addmm(bias.to(dtype), asked, block.T, out=memory[: len(y) * len(block)].view(len(y), -1))
            new = torch.maximum(top, logits.detach().amax(1, keepdim=True))
            weights = (logits - new).clamp(min=LEAST).exp2() if grad else logits.sub_(new).clamp_(min=LEAST).exp2_()
            # A product with two columns on the right takes ten times as long as with two rows on the left (torch 2.14, CPU).
            sums = torch.addmm(sums * (top - new).exp2().T, values[:, some], weights.T)
            top = new
        return top.double(), sums.T.double()


def _error(norm: Tensor, alpha: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Bound on the rounding error of a logit by products, in units of the rounding of the dtype: as `numerics.softmax.product_error`."""
    return (alpha / sigma**2 * (SAFETY * norm + alpha * largest)).max() * largest


def slices(total: int, step: int) -> list[slice]:
    """0 ... total in pieces of so many."""
    return [slice(i, min(i + step, total)) for i in range(0, total, step)]
