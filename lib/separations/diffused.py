"""What every diffused distribution shares: sampling, Tweedie's formula, Lemma C.1, and the checks of x and t."""

import math

import torch
from torch import Tensor

from .checks import check_count, check_memory, check_points, check_result, ends, randn, shown
from .schedules import Schedule, Time, schedule_of

HALVES = (torch.float16, torch.bfloat16)
WIDE = 2.0**50  # x / sigma beyond which squares come near the end of float32


class Diffused:
    """What every diffused distribution shares: Tweedie's formula and Lemma C.1.

    Precision: x in 16 bits counts as float32. Where float32 could overflow on the way (x or a mean above 2^50 sigma), float64 is
    used inside. An answer that itself does not fit is a ValueError.
    """

    event_shape: tuple[int, ...]
    size: float = 0.0  # largest magnitude of what x is compared with in the dtype of x: the means of a mixture

    @property
    def d(self) -> int:
        """Dimension: the number of values of one sample."""
        return math.prod(self.event_shape)

    def sample(self, m: int, t: Time = 0.0, *, schedule: Schedule | None = None, generator=None) -> Tensor:
        """m samples of X_t, (m, *event_shape); t a number or (m,). Data points themselves at t = 0."""
        check_memory(check_count(m) * self.d, torch.float32, f"m = {shown(m)}")
        x0 = self._sample0(check_count(m), generator)
        t = (schedule_of(schedule)).check_time(t, zero=True)
        if not t.any():
            return x0
        alpha, sigma = self._noise(t, m, schedule_of(schedule), x0)
        return (alpha * x0.reshape(m, -1) + sigma * randn((m, self.d), x0, generator)).to(x0.dtype).reshape(x0.shape)

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Posterior mean E[X_0 | X_t = x], (m, *event_shape)."""
        return self._answer(self._denoise(*self._prepare(x, t, schedule)), x, "denoise").reshape(x.shape)

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x), (m, *event_shape), by Tweedie's formula (alpha E[X_0 | x] - x) / sigma^2."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        mean = self._denoise(flat, alpha, sigma)
        # Divided twice by sigma: sigma^2 may underflow in float32 where sigma does not.
        score = ((alpha.to(flat.dtype) * mean - flat) / sigma.to(flat.dtype)) / sigma.to(flat.dtype)
        return self._answer(score, x, "score").reshape(x.shape)

    def posterior_cov(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Posterior covariance Cov[X_0 | X_t = x], (m, d, d)."""
        return self._answer(self._posterior_cov(*self._prepare(x, t, schedule)), x, "posterior_cov")

    def hessian(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): -I / sigma^2 + alpha^2 / sigma^4 Cov[X_0 | x] (Lemma C.1)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        scale = (alpha / sigma**2).to(flat.dtype)[..., None]
        eye = torch.eye(self.d, dtype=flat.dtype, device=x.device) / (sigma**2).to(flat.dtype)[..., None]
        return self._answer(scale**2 * self._posterior_cov(flat, alpha, sigma) - eye, x, "hessian")

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
        schedule = schedule_of(schedule)
        check_points(x, self.event_shape)
        alpha, sigma = self._noise(schedule.check_time(t, zero=zero), len(x), schedule, x)
        flat = x.reshape(len(x), -1)
        return flat.to(_working(flat, sigma, self.size)), alpha, sigma

    @staticmethod
    def _answer(result: Tensor, x: Tensor, name: str) -> Tensor:
        """The result in the dtype of x, at least float32. ValueError where it overflows."""
        found = result.to(torch.float32 if x.dtype in HALVES else x.dtype)
        return check_result(found, name, "smaller values of x, more noise, or x in float64 are needed")

    def to(self, device=None, dtype=None):
        """A copy on another device or in another dtype."""
        return type(self)(*(a.to(device=device, dtype=dtype) for a in self._arguments()))


def _working(x: Tensor, sigma: Tensor, size: float) -> torch.dtype:
    """The dtype to compute in, for points x, noise sigma and means up to `size`: see `Diffused`."""
    if x.dtype == torch.float64:
        return x.dtype
    least = ends(sigma)[0]
    if least == 0:  # rows without noise
        least = min(sigma.detach()[sigma > 0].tolist(), default=1.0)
    return torch.float64 if max(1.0, size, *map(abs, ends(x))) / min(1.0, least) > WIDE else torch.float32
