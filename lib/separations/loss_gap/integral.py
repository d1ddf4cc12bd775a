"""The loss gap integrated over training times: by quadrature, and as a difference of Kullback-Leibler divergences."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..numerics.checks import as_numbers, as_real, check_count, check_model
from ..numerics.estimates import Estimate
from ..schedules import Schedule, schedule_of
from .control import as_empirical, control_for
from .terms import Draws, best_terms, check_samples, check_times, gap_terms


@dataclass(frozen=True)
class IntegratedGap:
    """An integral of the gap over time.

    Attributes:
        estimate: with the standard error of the sampling.
        quadrature_error: of the rule in time.
    """

    estimate: Estimate
    quadrature_error: float

    @property
    def value(self) -> float:
        return float(self.estimate)

    @property
    def se(self) -> float:
        return self.estimate.se


def integrated_gap(
    data: Tensor | Empirical,
    truth: Diffused,
    t0: float,
    t1: float,
    *,
    weight=None,
    schedule: Schedule | None = None,
    samples: int = 1000,
    nodes: int = 48,
    allow_singular: bool = False,
    generator: torch.Generator | None = None,
) -> IntegratedGap:
    """The gap integrated over training times, int_{t0}^{t1} weight(t) Loss-Gap_t dt, with its errors.

    Gauss-Legendre in log t with common noise for all nodes, so the standard error is that of the whole integral; its
    quadrature_error is the change against the rule with two thirds of the nodes.

    Args:
        data: the training set, (n, *event_shape), or an `Empirical`; its dtype decides the precision.
        truth: anything with sample, log_prob and score, of the same event_shape.
        t0, t1: ends of the integral, 0 < t0 < t1 <= t_max.
        weight: None for 1 (eq. 3.1 of Ye et al. 2026), or a function of t (T,); `likelihood_weight` gives the diffusion squared,
            for which the integral is known (`kl_gap`).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        samples: noisy points for each time, at least 8.
        nodes: of the rule in time.
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.
        generator: of the random numbers; None for torch's own.

    Returns:
        An `IntegratedGap`.

    Raises:
        ValueError: as `loss_gap`, and unless 0 < t0 < t1 <= t_max.
    """
    schedule, empirical = schedule_of(schedule, data, truth), as_empirical(data, truth, allow_singular)
    _check_interval(t0, t1)
    draws = Draws(empirical, True, True, generator).take(check_samples(samples, True))
    control = control_for(empirical, truth, schedule)
    integrals = []
    for count in (check_count(nodes, "nodes"), max(1, 2 * int(nodes) // 3)):
        times, factor = _legendre(t0, t1, count)
        times = check_times(times, empirical, schedule)
        if weight is not None:
            factor = factor * as_numbers(weight(times), "weight(t)")
        terms = gap_terms(draws, empirical, truth, times, schedule, control)
        best = torch.stack([best_terms(x, control, t) for x, t in zip(terms, times)])
        integrals.append(factor @ best)
    fine, coarse = integrals
    return IntegratedGap(Estimate(fine), float((fine - coarse).mean().abs()))


def likelihood_weight(schedule: Schedule):
    """The weight g(t)^2 under which the integrated gap is a Kullback-Leibler divergence; 1 for OU (Song et al. 2021)."""
    return lambda t: schedule.diffusion(t) ** 2


def _legendre(t0: float, t1: float, nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes t and factors of int_{t0}^{t1} f(t) dt, Gauss-Legendre in log t."""
    u, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(nodes))
    length = math.log(t1 / t0)
    t = torch.exp(math.log(t0) + length * (u + 1) / 2)
    return t, w * t * length / 2


def kl_gap(
    data: Tensor | Empirical,
    truth: Diffused,
    t0: float,
    t1: float | None = None,
    *,
    schedule: Schedule | None = None,
    samples: int = 1000,
    allow_singular: bool = False,
    generator: torch.Generator | None = None,
) -> Estimate:
    """2 [KL(P-hat_t0, P_t0) - KL(P-hat_t1, P_t1)] in nats: the integrated gap under likelihood weighting, without a time grid.

    From d/dt KL(P-hat_t, P_t) = -g^2 / 2 Loss-Gap_t (Song et al. 2021). For OU, g = 1 and it is the plain integral. Common
    points and noise in both terms.

    Args:
        data: the training set, (n, *event_shape), or an `Empirical`; its dtype decides the precision.
        truth: anything with sample, log_prob and score, of the same event_shape.
        t0: start of the integral, > 0.
        t1: its end; None leaves out the second term, that is t1 = inf for OU.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        samples: noisy points for each time, at least 8.
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.
        generator: of the random numbers; None for torch's own.

    Returns:
        An `Estimate`, in nats.

    Raises:
        ValueError: as `loss_gap`, and unless 0 < t0 < t1 <= t_max.
    """
    schedule, empirical = schedule_of(schedule, data, truth), as_empirical(data, truth, allow_singular)
    as_real(t0, "t0"), check_model(truth, "log_prob", name="truth")
    if t1 is not None:
        _check_interval(t0, t1)
    times = check_times(torch.tensor([t0] if t1 is None else [t0, t1]), empirical, schedule)
    _, x0, z = Draws(empirical, True, True, generator).take(check_samples(samples, True))
    total = torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    for sign, t in zip((2, -2), times.tolist()):
        points = schedule.add_noise(x0.expand_as(z), t, z).reshape(-1, *empirical.event_shape)
        ratio = empirical.log_prob(points, t, schedule=schedule) - truth.log_prob(points, t, schedule=schedule)
        total = total + sign * ratio.double().reshape(z.shape[:2]).mean(0)
    return Estimate(total)


def _check_interval(t0: float, t1: float) -> None:
    if not 0 < as_real(t0, "t0") < as_real(t1, "t1") < math.inf:
        raise ValueError(f"t0 = {t0}, t1 = {t1}: 0 < t0 < t1 is needed")
