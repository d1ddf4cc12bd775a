"""The score of training on noisy copies: what ambient diffusion learns if it fits its loss exactly."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_points, check_real, randn
from ..schedules import Schedule, Time, schedule_of
from .over_data import OverData


class Ambient(OverData):
    """Trained on clean points at little noise, and above std on one noisy copy y_i = x_i + std xi_i of each, which is kept.

    With nu = sigma^2 / alpha^2: for nu <= std^2 the empirical score. For nu > std^2 the loss sees y_i + N(0, nu - std^2), so that the
    score is that of the diffused copies, (alpha y_hat - x) / s^2 with s^2 = sigma^2 - alpha^2 std^2 and y_hat the mean of the copies
    under the softmax weights of -|x - alpha y_i|^2 / (2 s^2); `denoise` is Tweedie's formula on it (Daras et al. 2024; Shah et al. 2025).
    `sample(m, t)` draws X_t of the clean points below std and of the copies above it. Its posterior_cov is that of Lemma C.1 read backwards,
    and need not be positive: the copies have no X_0.

    Args:
        data: (n, *event_shape), floating point, as for `Empirical`.
        std: of the noise of the copies, >= 0, in the unit of the data; 0 is the empirical score.
        copies: the noisy copies, the shape of data; drawn if None.
        generator: of the copies; None for torch's own.
        block: points read at a time; None: what suits the cache.
        schedule: that the score owns; None for one of OU() that follows another where one is given.
        index: a file that keeps the norms of the points, see `numerics.rows_index`.

    Raises:
        ValueError: for a negative std, copies of another shape, and data as `Empirical` refuses them.
    """

    def __init__(
        self,
        data: Tensor | np.ndarray,
        std: float,
        copies: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        block: int | None = None,
        schedule: Schedule | None = None,
        index: str | Path | None = None,
    ):
        super().__init__(data, block=block, schedule=schedule, index=index)
        self.std = check_real(std, "std", "a number >= 0", low=0)
        if copies is None:
            rows = self.empirical.rows
            clean = rows.values(torch.arange(rows.n), rows.home, None).reshape(-1, *self.event_shape)
            copies = clean + self.std * randn(tuple(clean.shape), clean, generator)
        elif len(check_points(copies, self.event_shape, "copies")) != self.n:
            raise ValueError(f"copies has {len(copies)} rows: {self.n}, one for each training point, are needed")
        self.noisy = OverData(copies, block=block)

    def _arguments(self):
        return *super()._arguments(), self.std, self.noisy.empirical.data

    def _parts(self, alpha: Tensor, sigma: Tensor):
        """For the rows below and above std that there are: their numbers, the set that they see, and its s (k, 1)."""
        below = (sigma <= alpha * self.std * (1 + 1e-12))[:, 0] | (self.std == 0)
        for rows, law in ((below.nonzero()[:, 0], self), ((~below).nonzero()[:, 0], self.noisy)):
            if len(rows):
                al, si = alpha[rows], sigma[rows]
                yield rows, law, al, si if law is self else ((si - al * self.std) * (si + al * self.std)).sqrt()

    def _gathered(self, x: Tensor, alpha: Tensor, sigma: Tensor, answer) -> Tensor:
        """answer(x, law, alpha, s) of each part, in the order of the rows."""
        parts = [(rows, answer(x[rows], law, al, s)) for rows, law, al, s in self._parts(alpha, sigma)]
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat([found for _, found in parts])[order]

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        def answer(q: Tensor, law: OverData, al: Tensor, s: Tensor) -> Tensor:
            return ((al.to(q.dtype) * law._mean(q, al, s) - q) / s.to(q.dtype)) / s.to(q.dtype)

        return self._gathered(x, alpha, sigma, answer)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        def answer(q: Tensor, law: OverData, al: Tensor, s: Tensor) -> Tensor:
            mean = law._mean(q, al, s)
            if law is self:
                return mean
            y = q / al.to(q.dtype)
            growth = 1 + (al * self.std / s) ** 2  # sigma^2 / s^2
            return y + growth.to(q.dtype) * (mean - y)

        return self._gathered(x, alpha, sigma, answer)

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """grad log of the diffused clean points below std, of the diffused copies above, (m, *event_shape)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        return self._answer(self._score(flat, alpha, sigma), x, "score").reshape(x.shape)

    def hessian(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Derivative of the score at x, (m, d, d), symmetric: -I / s^2 + alpha^2 / s^4 Cov of the points, or of the copies, under their weights."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        return self._answer(self._hessian(flat, alpha, sigma), x, "hessian")

    def _hessian(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        def answer(q: Tensor, law: OverData, al: Tensor, s: Tensor) -> Tensor:
            scale = ((al / s**2) ** 2).to(q.dtype)[..., None]
            return scale * law._spread(q, al, s) - self._eye(q) / (s**2).to(q.dtype)[..., None]

        return self._gathered(x, alpha, sigma, answer)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        eye, scale = self._eye(x) / (sigma**2).to(x.dtype)[..., None], ((sigma**2 / alpha) ** 2).to(x.dtype)[..., None]
        return scale * (self._hessian(x, alpha, sigma) + eye)

    def sample(self, m: int, t: Time = 0.0, *, schedule: Schedule | None = None, generator=None) -> Tensor:
        """m samples of X_t, (m, *event_shape), t a number or (m,): of the clean points up to std, of the copies beyond.

        Args:
            m: number of samples.
            t: time in [0, t_max].
            schedule: what noise at time t means; by default that of the score.
            generator: of the random numbers; None for torch's own.

        Returns:
            (m, *event_shape).

        Raises:
            ValueError: for m < 1 and t outside [0, t_max].
        """
        schedule = schedule_of(schedule, self)
        clean = self.empirical.sample(m, t, schedule=schedule, generator=generator)
        times = schedule.check_time(t, zero=True).expand(m)
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        above = (sigma > alpha * self.std) & (self.std > 0)
        if not above.any():
            return clean
        y = self.noisy.empirical.sample(m, generator=generator)
        s = (sigma**2 - alpha**2 * self.std**2).clamp(min=0).sqrt()
        columns = (-1, *[1] * len(self.event_shape))
        noise = randn(tuple(y.shape), y, generator)
        copies = alpha.reshape(columns).to(y) * y + s.reshape(columns).to(y) * noise
        return torch.where(above.reshape(columns).to(y.device), copies, clean)

    def __repr__(self) -> str:
        return f"Ambient(n={self.n}, std={self.std:g}, event_shape={self.event_shape})"
