"""What every diffused distribution shares: sampling, Tweedie's formula, Lemma C.1, and the checks of x and t."""

import math

import torch
from torch import Tensor

from .checks import check_count, check_points, randn
from .schedules import OU, Schedule, Time


class Diffused:
    """What every diffused distribution shares: Tweedie's formula and Lemma C.1."""

    event_shape: tuple[int, ...]

    @property
    def d(self) -> int:
        """Dimension: the number of values of one sample."""
        return math.prod(self.event_shape)

    def sample(self, m: int, t: Time = 0.0, *, schedule: Schedule | None = None, generator=None) -> Tensor:
        """m samples of X_t, (m, *event_shape); t a number or (m,). Data points themselves at t = 0."""
        x0 = self._sample0(check_count(m), generator)
        t = (schedule or OU()).check_time(t, zero=True)
        if not t.any():
            return x0
        alpha, sigma = self._noise(t, m, schedule or OU(), x0)
        return (alpha * x0.reshape(m, -1) + sigma * randn((m, self.d), x0, generator)).to(x0.dtype).reshape(x0.shape)

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Posterior mean E[X_0 | X_t = x], (m, *event_shape)."""
        return self._denoise(*self._prepare(x, t, schedule)).reshape(x.shape)

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x), (m, *event_shape), by Tweedie's formula (alpha E[X_0 | x] - x) / sigma^2."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        mean = self._denoise(flat, alpha, sigma)
        # Divided twice by sigma: sigma^2 may underflow in float32 where sigma does not.
        return (((alpha.to(x.dtype) * mean - flat) / sigma.to(x.dtype)) / sigma.to(x.dtype)).reshape(x.shape)

    def posterior_cov(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Posterior covariance Cov[X_0 | X_t = x], (m, d, d)."""
        return self._posterior_cov(*self._prepare(x, t, schedule))

    def hessian(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): -I / sigma^2 + alpha^2 / sigma^4 Cov[X_0 | x] (Lemma C.1)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        scale = (alpha / sigma**2).to(x.dtype)[..., None]
        eye = torch.eye(self.d, dtype=x.dtype, device=x.device) / (sigma**2).to(x.dtype)[..., None]
        return scale**2 * self._posterior_cov(flat, alpha, sigma) - eye

    def _noise(self, t: Tensor, m: int, schedule: Schedule, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma as (m, 1) float64 on the device of `like`."""
        if t.ndim > 1 or (t.ndim == 1 and len(t) != m):
            raise ValueError(
                f"t has shape {tuple(t.shape)}: a number or shape ({m},), one time per row of x, is needed"
            )
        t = t.to(like.device).expand(m).reshape(m, 1)
        return schedule.alpha(t), schedule.sigma(t)

    def _prepare(
        self, x: Tensor, t: Time, schedule: Schedule | None, zero: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        schedule = schedule or OU()
        check_points(x, self.event_shape)
        alpha, sigma = self._noise(schedule.check_time(t, zero=zero), len(x), schedule, x)
        return x.reshape(len(x), -1), alpha, sigma

    def to(self, device=None, dtype=None):
        """A copy on another device or in another dtype."""
        return type(self)(*(a.to(device=device, dtype=dtype) for a in self._arguments()))
