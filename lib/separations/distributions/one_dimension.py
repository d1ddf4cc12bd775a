"""Exact answers in one dimension: distribution function, quantiles, the probability flow, the law of Euler-Maruyama.

In one dimension the probability-flow ODE cannot let two paths cross, so it is the increasing map that takes P_T to P_t:

    x_T -> F_t^-1(F_T(x_T)),     F_t the distribution function of P_t.

It is therefore known without solving the ODE, and the Wasserstein distance between two laws is the distance between their
quantile functions. All points have shape (m, 1), as everywhere in the library; all arithmetic is float64.
"""

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, as_real, check_count, check_finite, check_model, check_points
from ..schedules import Schedule, schedule_of
from .gaussian_mixture import GaussianMixture


def _components(mixture: GaussianMixture, t: float, schedule: Schedule | None) -> tuple[Tensor, Tensor]:
    """Means and standard deviations (1, K) of the components of P_t."""
    if not isinstance(mixture, GaussianMixture):
        raise ValueError(f"mixture = {mixture!r}: a GaussianMixture in one dimension is needed")
    if mixture.event_shape != (1,):
        raise ValueError(f"mixture has event shape {mixture.event_shape}: one dimension, (1,), is needed")
    schedule = schedule_of(schedule, mixture)
    t = schedule.check_time(as_real(t, "t"), zero=True)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    std = (alpha**2 * mixture.covariance.to(torch.float64) + sigma**2).sqrt().expand(mixture.K)
    return alpha * mixture.means.double().mT, std.eigenvalues.mT


def cdf(mixture: GaussianMixture, x: Tensor, t: float = 0.0, *, schedule: Schedule | None = None) -> Tensor:
    """Distribution function F_t(x) = P(X_t <= x) of a diffused mixture. x: (m, 1) -> (m,)."""
    means, stds = _components(mixture, t, schedule)
    z = (check_points(x, (1,)).double() - means) / stds
    return (mixture.weights.double() * torch.special.ndtr(z.nan_to_num(0.0))).sum(1)


def quantile(
    mixture: GaussianMixture, u: Tensor, t: float = 0.0, *, schedule: Schedule | None = None, iterations: int = 100
) -> Tensor:
    """Quantile function F_t^-1(u), by bisection to the last digits of float64. u: (m,) in (0, 1) -> (m, 1)."""
    u = as_numbers(u, "u")
    iterations = check_count(iterations, "iterations")
    if u.ndim != 1 or not ((u > 0) & (u < 1)).all():
        raise ValueError(f"u has shape {tuple(u.shape)}: shape (m,) with 0 < u < 1 is needed")
    means, stds = _components(mixture, t, schedule)
    # A quantile of a mixture lies between the smallest and the largest quantile of its components.
    ends = means + stds * torch.special.ndtri(u)[:, None]
    low, high = ends.amin(1, keepdim=True), ends.amax(1, keepdim=True)
    for _ in range(iterations):
        middle = (low + high) / 2
        below = (cdf(mixture, middle, t, schedule=schedule) < u)[:, None]
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def quantile_map(
    mixture: GaussianMixture, x: Tensor, t_from: float, t_to: float, *, schedule: Schedule | None = None
) -> Tensor:
    """The probability flow in one dimension, x -> F_to^-1(F_from(x)), exactly. x: (m, 1), a state at t_from -> (m, 1).

    Beyond about 8 standard deviations F is 1 to the last digit and the map is not defined: ValueError.
    """
    u = cdf(mixture, x, t_from, schedule=schedule)
    if not ((u > 0) & (u < 1)).all():
        raise ValueError(
            "x has points so far out that F(x) rounds to 0 or 1: points within about 8 deviations are needed"
        )
    return quantile(mixture, u, t_to, schedule=schedule)


def reverse_sde_law(model, density: Tensor, grid: Tensor, times, *, schedule: Schedule | None = None) -> Tensor:
    """Density at times[-1] of Euler-Maruyama on the reverse SDE, without sampling: one Gaussian transition a step.

    model: anything with .score; density: (m,), or (k, m) for k starts at once, that of the start at times[0]; grid: (m, 1),
    equally spaced, wide enough for the law and finer than the noise g sqrt(h) of each step (ValueError otherwise).
    Returns the density at times[-1] on the grid, in the shape of `density`.
    The sum over the grid converges faster than any power of the spacing, since the integrands are smooth and decay.
    """
    schedule = schedule_of(schedule, model)
    check_points(grid, (1,), "grid"), check_finite(density, "density"), check_model(model, "score")
    density = density.to(grid)
    spacing = grid.diff(dim=0)
    if (
        len(grid) < 2
        or density.shape[-1:] != (len(grid),)
        or not torch.allclose(spacing, spacing[:1].expand_as(spacing))
    ):
        raise ValueError(
            f"grid has shape {tuple(grid.shape)}: an equally spaced (m, 1) grid and a density (m,) are needed"
        )
    dx, times = spacing[0, 0], schedule.check_time(as_numbers(times, "times"))
    if times.ndim != 1 or len(times) < 2 or not (times.diff() < 0).all():
        raise ValueError(f"times has shape {tuple(times.shape)}: a falling sequence of at least two times is needed")
    for t, s in zip(times[:-1], times[1:]):
        h, f, g = t - s, schedule.drift(t), schedule.diffusion(t)
        mean = grid - h * (f * grid - g**2 * model.score(grid, t, schedule=schedule))
        std = g * h.sqrt()
        if std < dx:
            raise ValueError(
                f"grid has spacing {float(dx):g}: less than the noise of a step, {float(std):g}, is needed"
            )
        kernel = torch.exp(-(((grid.mT - mean) / std) ** 2) / 2)  # row: from a grid point, column: to a grid point
        density = density @ kernel * (dx / (std * (2 * torch.pi) ** 0.5))
    return density


def wasserstein(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of two laws in one dimension, E|F^-1(U) - G^-1(U)|, from values at the same levels u.

    x, y: (m, 1) quantiles or samples of the two laws, in any order. Order 1 of a scheme shows in this distance even where
    the law has gaps: a mass delta on the wrong side of a gap costs delta times its width (the square root in W2).
    """
    check_points(x, (1,), "x"), check_points(y, (1,), "y")
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} and y has {len(y)} points: the same number is needed")
    return float((x.sort(0).values - y.sort(0).values).double().abs().mean())
