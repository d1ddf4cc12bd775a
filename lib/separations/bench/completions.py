"""What the truth makes of a noisy point: an exact draw from the law of X_0 given X_t = x, the end of the reverse SDE with the true score."""

import torch
from torch import Tensor

from ..distributions import GaussianMixture
from ..numerics.checks import check_generator, randn
from ..schedules import Schedule, Time, schedule_of


def completed(
    truth: GaussianMixture,
    x: Tensor,
    t: Time,
    *,
    schedule: Schedule | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One draw of X_0 given X_t = x for each row: a component by its responsibility, then a fresh pair of it, corrected.

    With X_0' of component k and X_t' = alpha X_0' + sigma z the draw is X_0' + alpha Sigma_k (alpha^2 Sigma_k + sigma^2 I)^-1 (x - X_t'), the
    conditional simulation of Gaussians (Hoffman and Ribak 1991). It is what the reverse SDE with the true score makes of x, without its steps.

    Args:
        truth: the mixture.
        x: noisy points, (m, *event_shape).
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the truth, OU() where it has none.
        generator: of the draws; None for torch's own.

    Returns:
        (m, *event_shape).

    Raises:
        ValueError: for another truth, x that does not fit, t outside (0, t_max].
    """
    if not isinstance(truth, GaussianMixture):
        raise ValueError(f"truth is {type(truth).__name__}: a GaussianMixture is needed")
    check_generator(generator)
    schedule = schedule_of(schedule, truth)
    t = schedule.check_time(t)
    r = truth.responsibilities(x, t, schedule=schedule)
    k = torch.multinomial(r.double().cpu(), 1, generator=generator)[:, 0].to(truth.means.device)
    flat = x.flatten(1).to(truth.means)
    variances = truth.variances.expand(truth.K, -1)[k]
    alpha, sigma = schedule.alpha(t).to(flat), schedule.sigma(t).to(flat)
    fresh = variances.sqrt() * randn(tuple(flat.shape), flat, generator)  # in principal axes
    noise = sigma * randn(tuple(flat.shape), flat, generator)
    apart = _to_axes(truth, flat - alpha * truth.means[k], k) - alpha * fresh - noise
    gain = alpha * variances / (alpha**2 * variances + sigma**2)
    found = truth.means[k] + truth.covariance.from_axes(fresh + gain * apart, k)
    return found.to(x.dtype).reshape(x.shape)


def _to_axes(truth: GaussianMixture, x: Tensor, k: Tensor) -> Tensor:
    """Rows in the principal axes of their components, (m, d)."""
    if truth.axes is None:
        return x
    return torch.einsum("md,mde->me", x, truth.axes.expand(truth.K, -1, -1)[k])
