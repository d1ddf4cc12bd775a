"""Total variation between laws whose densities are known, and what the exact sampler makes of a training set.

Every law of the book is a mixture at some noise level, so both densities are at hand and no density has to be estimated:

    TV(P, Q) = 1/2 int |p - q| = E_P (1 - q/p)_+ = E_Q (1 - p/q)_+.

The middle form is a plain mean over samples, in any dimension, with a standard error and without a finite-sample floor.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_points, check_shaped, randn
from ..numerics.estimates import Estimate
from ..schedules import VE, Schedule, schedule_of
from .diffused import Diffused
from .empirical import Empirical
from .gaussian_mixture import GaussianMixture
from .one_dimension import cdf, quantile_map


@dataclass(frozen=True)
class Law:
    """A distribution at one noise level: ``sample(m)`` and ``log_prob(x)`` without a time argument."""

    distribution: Diffused
    t: float = 0.0
    schedule: Schedule | None = None

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """m samples, (m, *event_shape)."""
        return self.distribution.sample(m, self.t, schedule=self.schedule, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density at x, (m,)."""
        return self.distribution.log_prob(x, self.t, schedule=self.schedule)


def standard_normal(event_shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Law:
    """N(0, I): where generation starts."""
    return Law(GaussianMixture(torch.zeros(1, *event_shape, dtype=dtype), 1.0))


def blurred(data: Tensor, std: float) -> Law:
    """The training set convolved with N(0, std^2 I): (1/n) sum_i N(x_i, std^2 I). data: (n, *event_shape)."""
    std = as_real(std, "std")
    return Law(Empirical(data), std, VE(sigma_max=max(std, 1.0)))


def total_variation(p: Law, q: Law, m: int, generator: torch.Generator | None = None) -> Estimate:
    """TV(P, Q) by Monte Carlo, m samples from each: the mean of E_P (1 - q/p)_+ and E_Q (1 - p/q)_+.

    Unbiased, with a standard error; both densities must be positive wherever the other is.
    """
    m = check_count(m)
    x, y = p.sample(m, generator), q.sample(m, generator)
    values = torch.stack([_shortfall(p, q, x), _shortfall(q, p, y)]).double()
    return Estimate(values.mean(0))


def _shortfall(p: Law, q: Law, x: Tensor) -> Tensor:
    """(1 - q/p)_+ at x, exact also where the two are nearly equal."""
    return (-torch.expm1(q.log_prob(x) - p.log_prob(x))).clamp(min=0)


def quadrature_total_variation(p: Tensor, q: Tensor, cell: float) -> float:
    """1/2 sum |p - q| cell of two densities on one equally spaced grid; cell: its length, or area.

    Raises ValueError if a density does not integrate to 1 on the grid (to 1e-6): the grid is too narrow or too coarse.
    """
    for name, density in {"p": p, "q": q}.items():
        mass = float(density.double().sum()) * cell
        if not abs(mass - 1) < 1e-6:
            raise ValueError(
                f"{name} has mass {mass:.8f} on the grid: a wider or finer grid is needed (mass 1 to 1e-6)"
            )
    return float((p - q).double().abs().sum()) * cell / 2


def start_error_bound(data: Tensor, t: float, *, schedule: Schedule | None = None) -> float:
    """Upper bound on TV(N(0, I), P-hat_t) from the second moment alone. data: (n, *event_shape).

    The divergence is convex, so KL(P-hat_t, N(0, I)) is at most the mean over i of
    KL(N(alpha x_i, sigma^2 I), N(0, I)) = (alpha^2 |x_i|^2 + d (sigma^2 - 1 - log sigma^2)) / 2; Pinsker: TV <= sqrt(KL / 2).
    """
    schedule = schedule_of(schedule)
    t = schedule.check_time(t)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    flat = check_shaped(data, "data").reshape(len(data), -1).double()
    excess = flat.shape[1] * (sigma**2 - 1 - 2 * sigma.log())
    return float(((alpha**2 * flat.square().sum(1).mean() + excess) / 4).sqrt())


def flow_density(data: Tensor, x: Tensor, t_hi: float, t_lo: float, *, schedule: Schedule | None = None) -> Tensor:
    """Density at t_lo of what the exact probability flow makes of N(0, 1) at t_hi, in one dimension.

    data: (n, 1); x: (m, 1) -> (m,). The flow is the map y -> x with F_lo(x) = F_hi(y) (see `one_dimension`), so by the
    change of variables q(x) = phi(y) p_lo(x) / p_hi(y), with y = F_hi^-1(F_lo(x)).
    """
    points = GaussianMixture(check_points(data, (1,), "data").double(), 0.0)
    u = cdf(points, x, t_lo, schedule=schedule)
    inside = (u > 1e-14) & (u < 1 - 1e-14)  # further out the density is taken as 0
    x = x[inside]
    y = quantile_map(points, x, t_lo, t_hi, schedule=schedule)
    log_ratio = points.log_prob(x, t_lo, schedule=schedule) - points.log_prob(y, t_hi, schedule=schedule)
    density = torch.exp(standard_normal((1,)).log_prob(y) + log_ratio)
    return torch.zeros_like(u).masked_scatter(inside, density)


def copy_probabilities(
    empirical: Empirical, t: float, m: int, *, schedule: Schedule | None = None, generator=None
) -> tuple[Tensor, Tensor]:
    """Probability q_i that the exact reverse SDE, started at t from N(0, I), ends in training point i; and its error, (n,).

    Given X_t = z the reverse SDE ends in x_i with the posterior weight w_i(z), hence q_i = E w_i(z) over z ~ N(0, I).
    m antithetic pairs z, -z: they cancel the term of first order in alpha. Memory: m * n numbers.
    """
    m = check_count(m)
    like = torch.empty(0, dtype=torch.float64)
    z = randn((m, *empirical.event_shape), like, generator)
    weights = (
        empirical.responsibilities(z, t, schedule=schedule) + empirical.responsibilities(-z, t, schedule=schedule)
    ) / 2
    return weights.mean(0), weights.std(0) / math.sqrt(m)


def effective_points(empirical: Empirical, x: Tensor, t: float, *, schedule: Schedule | None = None) -> Tensor:
    """Effective number of training points behind X_t = x, 1 / sum_i w_i(x)^2, between 1 and n. x: (m, ...) -> (m,).

    The sum of squares is the sum of exp(2 l_i) over the square of the sum of exp(l_i), with l_i the logits, and doubling a
    logit is dividing sigma by sqrt(2): two streaming passes, no (m, n) array.
    """
    schedule = schedule_of(schedule, empirical)
    time = schedule.check_time(t)
    alpha, sigma = schedule.alpha(time), schedule.sigma(time)
    y, r = x.double() / alpha, float(sigma / alpha)

    def log_sum(std: float) -> Tensor:
        constant = math.log(empirical.n) + empirical.d * (math.log(2 * math.pi) / 2 + math.log(std))
        return empirical.under(VE(sigma_max=max(1.0, std))).log_prob(y, std) + constant

    return torch.exp(2 * log_sum(r) - log_sum(r / math.sqrt(2))).clamp(1.0, float(empirical.n))


def information(truth: Diffused, t: float, m: int, *, schedule: Schedule | None = None, generator=None) -> Estimate:
    """Mutual information I(X_0; X_t) in nats, E[log p(X_t | X_0) - log p_t(X_t)], by Monte Carlo with m draws.

    Of n training points about n exp(-I) are still compatible with X_t: the posterior collapses where I reaches log n.
    """
    schedule = schedule_of(schedule, truth)
    m = check_count(m)
    x = truth.sample(m, t, schedule=schedule, generator=generator)
    sigma = schedule.sigma(schedule.check_time(t))
    # h(X_t | X_0) is the entropy of N(0, sigma^2 I), known exactly
    conditional = truth.d / 2 * float((2 * math.pi * math.e * sigma**2).log())
    values = -truth.log_prob(x, t, schedule=schedule).double() - conditional
    return Estimate(values)
