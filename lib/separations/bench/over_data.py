"""What the closed-form scores of this room share: a training set read in blocks, and what to say where a score has no law."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..distributions import Diffused, Empirical
from ..numerics.softmax import softmax_moments
from ..schedules import Schedule, check_schedule


class WithoutLaw(Diffused):
    """A score that need not be the gradient of a log density: unless a subclass has one, no samples at time 0, and no posterior."""

    def _sample0(self, m: int, generator) -> Tensor:
        raise ValueError(
            f"{type(self).__name__} is a score without a law of X_0: samplers.generate makes samples of it"
        )

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        raise ValueError(
            f"{type(self).__name__} has no posterior: bench.jacobian_spectrum gives the derivative of denoise"
        )


class OverData(WithoutLaw):
    """A score made of the points of a training set by means of softmax weights; it reads them as `Empirical` does, block by block.

    A subclass answers ``_denoise(x, alpha, sigma)`` for x (m, d) and alpha, sigma (m, 1) float64; where it is the score of a law, also
    ``_sample0``. Where it is none, ``sample`` is a ValueError, and `samplers.generate` makes samples.

    Args:
        data: (n, *event_shape), as for `Empirical`.
        block: points read at a time; None: what suits the cache.
        schedule: that the score owns; None for one of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.

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
    ):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        self.empirical = Empirical(data, block=block, index=index)
        self.event_shape = self.empirical.event_shape

    @property
    def n(self) -> int:
        """Number of training points."""
        return self.empirical.n

    def _settings(self) -> dict:
        return {"block": self.empirical.block, "index": self.empirical.index}

    def _arguments(self):
        return self.empirical._arguments()

    def _mean(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sum_i w_i(x) x_i with the softmax weights of -|x - alpha x_i|^2 / (2 sigma^2), (m, d)."""
        return softmax_moments(x, self.empirical.rows, alpha[:, 0], sigma[:, 0], log_sum=False).mean

    def _spread(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Covariance of the training points under the same weights, (m, d, d)."""
        return self.empirical._posterior_cov(x, alpha, sigma)

    def _eye(self, x: Tensor) -> Tensor:
        return torch.eye(self.d, dtype=x.dtype, device=x.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, event_shape={self.event_shape})"
