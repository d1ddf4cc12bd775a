"""The Gaussian with the mean and the covariance of a data set: what is known of it without knowing a single point."""

import math

import torch
from torch import Tensor

from ..numerics.checks import check_points, ends, generator_device, randn
from ..schedules import Schedule, Time, check_schedule
from .diffused import Diffused


class FittedGaussian(Diffused):
    """N(mean, covariance) of n points, diffused; the covariance in its at most n - 1 principal axes, so that d may be far above n.

    Outside of the span of the points the law has no variance: log_prob, score and hessian need t > 0. Where n > d it is the
    `GaussianMixture` of one component with the sample covariance.

    Args:
        data: (n, *event_shape), n >= 2, of which at least two differ.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.

    Raises:
        ValueError: for fewer points, or points that are all equal.
    """

    def __init__(self, data: Tensor, *, schedule: Schedule | None = None):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        shape = tuple(data.shape[1:]) if isinstance(data, Tensor) and data.ndim > 1 else ("d",)
        check_points(data, shape, "data")
        flat = data.detach().flatten(1).double()
        if len(flat) < 2 or bool((flat == flat[0]).all()):
            raise ValueError(f"data has {len(flat)} points: at least 2, not all equal, are needed for a covariance")
        self.event_shape, self.mean = tuple(data.shape[1:]), flat.mean(0)  # (d,)
        s, axes = torch.linalg.svd((flat - self.mean) / (len(flat) - 1) ** 0.5, full_matrices=False)[1:]
        kept = s > 1e-7 * s[0]  # others are rounding
        self.variances, self.axes = s[kept].square(), axes[kept]  # (r,), (r, d)
        self.size = max(map(abs, ends(self.mean)))

    def _sample0(self, m: int, generator) -> Tensor:
        generator_device(generator, self.mean.device)
        noise = self.variances.sqrt() * randn((m, len(self.variances)), self.mean, generator)
        return (self.mean + noise @ self.axes).reshape(m, *self.event_shape)

    def _in_axes(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x - alpha mean (m, d), in the axes (m, r), the variances there (m, r), and alpha in the dtype of x (m, 1)."""
        al, v = alpha.to(x.dtype), (alpha**2 * self.variances + sigma**2).to(x.dtype)
        diff = x - al * self.mean.to(x)
        return diff, diff @ self.axes.to(x).T, v, al

    def log_prob(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """log p_t(x), (m,)."""
        flat, alpha, sigma = self._prepare(x, t, schedule)
        diff, y, v, _ = self._in_axes(flat, alpha, sigma)
        rest = diff - y @ self.axes.to(flat)  # outside of the axes there is the noise alone
        si = sigma.to(flat.dtype)[:, 0]
        found = (y.square() / v + v.log()).sum(1) + (rest / si[:, None]).square().sum(1)
        found = found + (self.d - y.shape[1]) * 2 * si.log() + self.d * math.log(2 * math.pi)
        return self._answer(-found / 2, x, "log_prob")

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        _, y, v, al = self._in_axes(x, alpha, sigma)
        return self.mean.to(x) + (al * self.variances.to(x) * y / v) @ self.axes.to(x)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        v = alpha**2 * self.variances + sigma**2
        within, axes = (self.variances * sigma**2 / v).to(x.dtype), self.axes.to(x)
        return torch.einsum("mi,ij,ik->mjk", within, axes, axes)

    def to(self, device=None, dtype=None) -> "FittedGaussian":
        """A copy on another device; answers have the dtype of x, so dtype changes nothing."""
        other = object.__new__(type(self))
        other.event_shape, other.size, other.own_schedule = self.event_shape, self.size, self.own_schedule
        for name in ("mean", "variances", "axes"):
            setattr(other, name, getattr(self, name).to(device=device))
        return other

    def __repr__(self) -> str:
        return f"FittedGaussian(rank={len(self.variances)}, event_shape={self.event_shape})"
