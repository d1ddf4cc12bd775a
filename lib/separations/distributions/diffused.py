"""What every diffused distribution shares: sampling, Tweedie's formula, Lemma C.1, and the checks of x and t."""

import copy
import math
from typing import Self

import torch
from torch import Tensor

from ..numerics.checks import (
    as_numbers,
    check_count,
    check_memory,
    check_points,
    check_result,
    ends,
    is_plain,
    randn,
    shown,
)
from ..schedules import Schedule, Time, check_schedule, schedule_of

HALVES = (torch.float16, torch.bfloat16)
WIDE = 2.0**50  # x / sigma beyond which squares come near the end of float32


def widened(values) -> Tensor:
    """values as a tensor, 16-bit numbers as float32; ValueError where they are none."""
    if not is_plain(values):
        as_numbers(values, "means", nan=True)
    values = torch.as_tensor(values)
    return values.float() if values.dtype in HALVES else values


class Diffused:
    """What every diffused distribution shares: Tweedie's formula and Lemma C.1.

    Precision: x in 16 bits counts as float32. Where float32 could overflow on the way (x or a mean above 2^50 sigma), float64 is
    used inside. An answer that itself does not fit is a ValueError.

    Schedule: a law owns one (keyword ``schedule`` when it is made, or `under`), and whoever uses the law reads it there. A law that was
    made without one is a law of OU(), and follows a schedule that is given to a method; one that was made with another refuses it.
    """

    event_shape: tuple[int, ...]
    own_schedule: Schedule | None = None  # that it was made with, or got by `under`
    size: float = 0.0  # largest magnitude of what x is compared with in the dtype of x: the means of a mixture

    @property
    def d(self) -> int:
        """Dimension: the number of values of one sample."""
        return math.prod(self.event_shape)

    @property
    def schedule(self) -> Schedule:
        """What noise at time t means for this law: its own schedule, OU() where it was made without one."""
        return schedule_of(None, self)

    def under(self, schedule: Schedule) -> Self:
        """The same law with another schedule; the numbers are shared, not copied. ValueError for what is no schedule."""
        other = copy.copy(self)
        other.own_schedule = check_schedule(schedule)
        return other

    def sample(self, m: int, t: Time = 0.0, *, schedule: Schedule | None = None, generator=None) -> Tensor:
        """m samples of X_t, (m, *event_shape); t a number or (m,). Data points themselves at t = 0."""
        check_memory(check_count(m) * self.d, torch.float32, f"m = {shown(m)}")
        x0 = self._sample0(check_count(m), generator)
        schedule = schedule_of(schedule, self)
        t = schedule.check_time(t, zero=True)
        if not t.any():
            return x0
        return schedule.add_noise(x0, t, randn(tuple(x0.shape), x0, generator))

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
        schedule = schedule_of(schedule, self)
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
        """A copy on another device or in another dtype, with all its settings."""
        values = (a.to(device=device, dtype=dtype) if isinstance(a, Tensor) else a for a in self._arguments())
        return type(self)(*values, **self._settings(), schedule=self.own_schedule)

    def _settings(self) -> dict:
        """Keywords that a copy is made with, beside the schedule."""
        return {"piece": self.piece}


def _working(x: Tensor, sigma: Tensor, size: float) -> torch.dtype:
    """The dtype to compute in, for points x, noise sigma and means up to `size`: see `Diffused`."""
    if x.dtype == torch.float64:
        return x.dtype
    least = ends(sigma)[0]
    if least == 0:  # rows without noise
        least = min(sigma.detach()[sigma > 0].tolist(), default=1.0)
    return torch.float64 if max(1.0, size, *map(abs, ends(x))) / min(1.0, least) > WIDE else torch.float32
