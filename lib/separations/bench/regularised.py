"""Empirical scores made smoother on purpose: a kernel density, a penalty on the score, an average of the score over a neighbourhood.

All three leave the minimiser of the training loss, the score of the diffused training set (`distributions.Empirical`), by one number,
and are it where that number is 0. With y = x / alpha and the noise-to-signal variance nu = sigma^2 / alpha^2, and x_hat(y, nu) the mean
of the training points under the softmax weights of -|y - x_i|^2 / (2 nu):

    kernel density     (x_hat(y, nu + h^2) - y) / (nu + h^2)
    penalty            (x_hat(y, nu) - y) / (nu + c)
    averaged           (mean over z of x_hat(y + h z, nu) - y) / nu

are the scores of y. The first two generate nearly the same for c = h^2 and little noise, where x_hat hardly moves any more.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count, check_finite, check_real, randn
from ..numerics.softmax import softmax_moments
from ..schedules import Schedule, Time
from .over_data import OverData

MOST = 2**22  # numbers of moved queries at a time


def _check_width(value: object, name: str) -> float:
    """A number >= 0 in the unit of the data, or its square."""
    return check_real(value, name, "a number >= 0", low=0)


class KernelDensity(OverData):
    """The law (1/n) sum_i N(x_i, h^2 I), diffused: each training point blurred, a mixture of covariance (alpha^2 h^2 + sigma^2) I.

    score = (alpha x_hat - x) / s^2, s^2 = alpha^2 h^2 + sigma^2, with x_hat the mean of the points under the softmax weights of
    -|x - alpha x_i|^2 / (2 s^2) (Parzen 1962; as a diffusion model Biroli et al. 2024). With h > 0 everything is answered at t = 0 as well.

    Args:
        data: (n, *event_shape), as for `Empirical`.
        bandwidth: h >= 0, in the unit of the data; 0 is the empirical law.
        block: points read at a time; None: what suits the cache.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.

    Raises:
        ValueError: for a negative bandwidth, and data as `Empirical` refuses them.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        bandwidth: float,
        *,
        block: int | None = None,
        schedule: Schedule | None = None,
        index: str | Path | None = None,
    ):
        super().__init__(data, block=block, schedule=schedule, index=index)
        self.bandwidth = _check_width(bandwidth, "bandwidth")

    def _arguments(self):
        return *super()._arguments(), self.bandwidth

    def _prepare(self, x, t, schedule, zero=False):
        return super()._prepare(x, t, schedule, zero=zero or self.bandwidth > 0)

    def _wide(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """s, (m, 1) float64."""
        return torch.hypot(alpha * self.bandwidth, sigma)

    def _sample0(self, m: int, generator) -> Tensor:
        x0 = self.empirical._sample0(m, generator)
        return x0 + self.bandwidth * randn(tuple(x0.shape), x0, generator) if self.bandwidth else x0

    def log_prob(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """log of (1/n) sum_i N(x; alpha x_i, s^2 I), (m,)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        s = self._wide(alpha, sigma)[:, 0]
        log_sum = softmax_moments(flat, self.empirical.rows, alpha[:, 0], s).log_sum
        constant = math.log(self.n) + self.d * (math.log(2 * math.pi) / 2 + s.log())
        return self._answer(log_sum - constant.to(flat.dtype), x, "log_prob")

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        s = self._wide(alpha, sigma)
        mean = self._mean(x, alpha, s)
        kept = (alpha * (self.bandwidth / s) ** 2).to(x.dtype)
        return mean + kept * (x - alpha.to(x.dtype) * mean)

    def score(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x), (m, *event_shape)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        s = self._wide(alpha, sigma)
        mean, unit = self._mean(flat, alpha, s), s.to(flat.dtype)
        return self._answer((alpha.to(flat.dtype) * mean - flat) / unit / unit, x, "score").reshape(x.shape)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        s = self._wide(alpha, sigma)
        within = ((self.bandwidth * sigma / s) ** 2).to(x.dtype)[..., None] * self._eye(x)
        return within + ((sigma / s) ** 4).to(x.dtype)[..., None] * self._spread(x, alpha, s)

    def hessian(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): -I / s^2 + alpha^2 / s^4 times the covariance of the points under their weights."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        s = self._wide(alpha, sigma)
        scale = ((alpha / s**2) ** 2).to(flat.dtype)[..., None]
        eye = self._eye(flat) / (s**2).to(flat.dtype)[..., None]
        return self._answer(scale * self._spread(flat, alpha, s) - eye, x, "hessian")

    def __repr__(self) -> str:
        return f"KernelDensity(n={self.n}, bandwidth={self.bandwidth:g}, event_shape={self.event_shape})"


class Tikhonov(OverData):
    """The minimiser of the denoising loss plus c / nu times the mean square of the score, in y = x / alpha: the score cut by a factor.

    score = (alpha x_hat - x) / (sigma^2 + alpha^2 c), with the weights of the empirical score (Baptista et al. 2025, there with alpha = 1):
    sigma^2 / (sigma^2 + alpha^2 c) times the empirical score, hence that of the diffused training set raised to this power. Its flow
    stops at a cloud of width sqrt(c) about each training point, nearly the `KernelDensity` of bandwidth sqrt(c).

    Args:
        data: (n, *event_shape), as for `Empirical`.
        c: penalty >= 0, in the squared unit of the data; 0 is the empirical score.
        block: points read at a time; None: what suits the cache.
        schedule: that the score owns; None for one of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.

    Raises:
        ValueError: for a negative penalty, and data as `Empirical` refuses them.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        c: float,
        *,
        block: int | None = None,
        schedule: Schedule | None = None,
        index: str | Path | None = None,
    ):
        super().__init__(data, block=block, schedule=schedule, index=index)
        self.c = _check_width(c, "c")

    def _arguments(self):
        return *super()._arguments(), self.c

    def _share(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sigma^2 / (sigma^2 + alpha^2 c), (m, 1) float64."""
        return (sigma / torch.hypot(sigma, alpha * math.sqrt(self.c))) ** 2

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        share = self._share(alpha, sigma)
        rest = alpha * self.c / torch.hypot(sigma, alpha * math.sqrt(self.c)) ** 2  # (1 - share) / alpha
        return share.to(x.dtype) * self._mean(x, alpha, sigma) + rest.to(x.dtype) * x

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """(alpha x_hat - x) / (sigma^2 + alpha^2 c), (m, *event_shape)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        unit = torch.hypot(sigma, alpha * math.sqrt(self.c)).to(flat.dtype)
        found = (alpha.to(flat.dtype) * self._mean(flat, alpha, sigma) - flat) / unit / unit
        return self._answer(found, x, "score").reshape(x.shape)

    def hessian(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Derivative of the score at x, (m, d, d), symmetric: sigma^2 / (sigma^2 + alpha^2 c) times the Hessian of the diffused data."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        scale = ((alpha / sigma**2) ** 2).to(flat.dtype)[..., None]
        plain = scale * self._spread(flat, alpha, sigma) - self._eye(flat) / (sigma**2).to(flat.dtype)[..., None]
        return self._answer(self._share(alpha, sigma).to(flat.dtype)[..., None] * plain, x, "hessian")

    def __repr__(self) -> str:
        return f"Tikhonov(n={self.n}, c={self.c:g}, event_shape={self.event_shape})"


class SmoothedScore(OverData):
    """The empirical score averaged over a Gaussian neighbourhood of width h, by M moves that are drawn once and kept.

    denoise = (1/M) sum_j x_hat(x + alpha h z_j): where there is no noise left, the mean of the training points nearest to M places, so
    that what is generated are means of M training points (Scarvelis, de Ocariz Borde and Solomon 2025; here h does not depend on t).
    The moves come in pairs z, -z, so that they have mean 0. As M grows it is the gradient of the mean of log p_t over N(x, alpha^2 h^2 I), which
    is not that of a wider kernel: `KernelDensity` averages the density, not its logarithm.

    Args:
        data: (n, *event_shape), as for `Empirical`.
        width: h >= 0, in the unit of the data; 0 is the empirical score.
        moves: M, even, or z itself, (M, d).
        generator: of the moves; None for torch's own.
        block: points read at a time; None: what suits the cache.
        schedule: that the score owns; None for one of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.

    Raises:
        ValueError: for a negative width, an odd number of moves, moves of another shape, and data as `Empirical` refuses them.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        width: float,
        moves: int | Tensor = 16,
        *,
        generator: torch.Generator | None = None,
        block: int | None = None,
        schedule: Schedule | None = None,
        index: str | Path | None = None,
    ):
        super().__init__(data, block=block, schedule=schedule, index=index)
        self.width = _check_width(width, "width")
        if isinstance(moves, Tensor) and moves.ndim:
            if moves.ndim != 2 or moves.shape[1] != self.d or not len(moves) or not moves.is_floating_point():
                raise ValueError(
                    f"moves has shape {tuple(moves.shape)}, {moves.dtype}: floating point (M, {self.d}) is needed"
                )
            self.moves = check_finite(moves, "moves").detach().double()
        else:
            M = check_count(moves, "moves")
            if M % 2:
                raise ValueError(f"moves = {M}: an even number is needed, they come in pairs z and -z")
            half = randn((M // 2, self.d), torch.empty(0, dtype=torch.float64), generator)
            self.moves = torch.cat([half, -half])

    def _arguments(self):
        return *super()._arguments(), self.width, self.moves

    def _moved(self, x: Tensor, alpha: Tensor, sigma: Tensor, numbers: int):
        """Pieces of the queries with all their moves, ((k M, d), (k M, 1), (k M, 1)), and k."""
        M, z = len(self.moves), self.moves.to(x)
        step = max(1, MOST // (M * numbers))
        for xs, al, si in zip(x.split(step), alpha.split(step), sigma.split(step)):
            moved = xs[:, None] + (al * self.width).to(x.dtype)[..., None] * z
            yield moved.flatten(0, 1), al.repeat_interleave(M, 0), si.repeat_interleave(M, 0), len(xs)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = [
            self._mean(q, al, si).reshape(k, -1, self.d).mean(1)
            for q, al, si, k in self._moved(x, alpha, sigma, self.d)
        ]
        return torch.cat(parts)

    def hessian(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Derivative of the score at x, (m, d, d), symmetric: the mean over the moves of the Hessians of the diffused data."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        spread = [
            self._spread(q, al, si).reshape(k, -1, self.d, self.d).mean(1)
            for q, al, si, k in self._moved(flat, alpha, sigma, self.d**2)
        ]
        scale = ((alpha / sigma**2) ** 2).to(flat.dtype)[..., None]
        eye = self._eye(flat) / (sigma**2).to(flat.dtype)[..., None]
        return self._answer(scale * torch.cat(spread) - eye, x, "hessian")

    def __repr__(self) -> str:
        return (
            f"SmoothedScore(n={self.n}, width={self.width:g}, moves={len(self.moves)}, event_shape={self.event_shape})"
        )
