"""The uniform law on a circle in the plane: a truth that is thin, and whose score is known."""

import math

import torch
from torch import Tensor

from ..distributions import Diffused
from ..numerics.checks import check_real, generator_device
from ..schedules import Schedule, Time, check_schedule

SMALL = 1e-4  # kappa below which I1/I0 is kappa / 2 to rounding


class Circle(Diffused):
    """X_0 uniform on the circle of radius R about 0 in the plane; diffused, a ring.

    With kappa = alpha R |x| / sigma^2 the posterior of the angle is von Mises' law about that of x, hence denoise = R A(kappa) x / |x|,
    A = I1 / I0, and log p_t = log I0(kappa) - (|x|^2 + alpha^2 R^2) / (2 sigma^2) - log(2 pi sigma^2) (the energy of an associative memory of
    all points of the circle, Pham et al. 2025). Questions need t > 0.

    Args:
        radius: R > 0, in the unit of the data.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.
        dtype: of samples.

    Raises:
        ValueError: for a radius that is not positive.
    """

    event_shape = (2,)

    def __init__(self, radius: float = 1.0, *, schedule: Schedule | None = None, dtype: torch.dtype = torch.float64):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        self.radius, self.dtype = check_real(radius, "radius", "a positive number", low=0, open_low=True), dtype
        self.size = self.radius

    def _arguments(self):
        return (self.radius,)

    def _settings(self) -> dict:
        return {"dtype": self.dtype}

    def to(self, device=None, dtype=None) -> "Circle":
        """A copy whose samples have another dtype; it holds no tensor."""
        return type(self)(self.radius, schedule=self.own_schedule, dtype=self.dtype if dtype is None else dtype)

    def _sample0(self, m: int, generator) -> Tensor:
        device = generator_device(generator)
        angle = 2 * math.pi * torch.rand(m, dtype=torch.float64, generator=generator, device=device)
        return self.radius * torch.stack([angle.cos(), angle.sin()], 1).to(self.dtype)

    def _parts(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """kappa, A(kappa) / kappa, and |x|, (m, 1) each. A / kappa is smooth at 0, where it is 1/2."""
        length = x.square().sum(1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny).sqrt()
        kappa = (alpha * self.radius / sigma**2).to(x.dtype) * length
        safe = kappa.clamp(min=SMALL)
        ratio = torch.special.i1e(safe) / torch.special.i0e(safe) / safe
        return kappa, torch.where(kappa < SMALL, 0.5 - kappa.square() / 16, ratio), length

    def log_prob(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """log p_t(x), (m,)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        kappa, _, length = self._parts(flat, alpha, sigma)
        al, si = alpha.to(flat.dtype), sigma.to(flat.dtype)
        apart = ((length - al * self.radius) / si).square() / 2  # with i0e, exp(-kappa) I0
        found = torch.special.i0e(kappa).log() - apart - 2 * si.log() - math.log(2 * math.pi)
        return self._answer(found[:, 0], x, "log_prob")

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        _, ratio, _ = self._parts(x, alpha, sigma)
        return (self.radius**2 * alpha / sigma**2).to(x.dtype) * ratio * x

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        kappa, ratio, length = self._parts(x, alpha, sigma)
        along = x / length
        outer = along[:, :, None] * along[:, None, :]
        across = ratio[..., None] * torch.eye(2, dtype=x.dtype, device=x.device)
        spread = (1 - 2 * ratio - (kappa * ratio).square())[..., None]  # variance of the cosine less that of the sine
        return self.radius**2 * (across + spread * outer)

    def __repr__(self) -> str:
        return f"Circle(radius={self.radius:g})"
