"""What the loss gap must be: closed forms and bounds, without training a network and mostly without drawing a training set.

Write J(P) = E_P ||grad log p||^2 for the Fisher information and mmse for the error of the posterior mean E[X_0 | X_t]. The loss of
the true score is d / sigma^2 - J(P_t) on fresh data, that of the empirical score d / sigma^2 - J(P-hat_t), so over training sets

    E_D[Loss-Gap_t] = E_D[J(P-hat_t)] - J(P_t) = alpha^2 / sigma^4 (mmse(P, t) - E_D[mmse(P-hat, t)]),

an identity for every n, d, t and truth. It lies below its first term, the `plateau`, and the plateau above the closed form
`small_t_limit`, since J is convex. How far below is bounded by the chance that noise takes x_i closer to another training point
(`gap_lower_bound`), and follows over the whole range of n from the information density of one point (`predicted_gap`).

These statements are ours; Theorem 4.3 of Ye et al. (2026) is the order of the small-t form under more assumptions.
"""

import math

import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..distributions.gaussian_mixture import GaussianMixture
from ..numerics.checks import as_numbers, as_real, check_count, check_generator, check_model, check_result, randn
from ..numerics.estimates import Curve, Estimate
from ..schedules import Schedule, Time, schedule_of
from .control import KnownPosterior, as_empirical

MORE_NOISE = "a larger t is needed"


def small_t_limit(
    truth: Diffused, t: Time, *, data: Tensor | Empirical | None = None, schedule: Schedule | None = None
) -> Tensor:
    """The loss gap where points and components are far apart on the scale of the noise: tr(I / sigma^2 - V_k^-1).

    Averaged over components k, V_k = alpha^2 Sigma_k + sigma^2 I: for each principal variance lambda the term
    alpha^2 lambda / (sigma^2 (alpha^2 lambda + sigma^2)). It needs no separation to be a lower bound of the plateau
    (`fisher_information` is convex in P).

    Args:
        truth: a GaussianMixture, or a law with `component_information`.
        t: time in (0, t_max], of any shape.
        data: None for the expectation over training sets; a training set, (n, *event_shape) or an `Empirical`, for the value of
            these points, each counted to its likeliest component.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        float64, shape of t, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for another truth, with data one that is no GaussianMixture, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, truth)
    times = schedule.check_time(t)
    if data is not None:
        control = KnownPosterior.of(as_empirical(data, truth, True), truth, schedule)
        if control is None:
            raise ValueError(f"data: the form for given points needs a GaussianMixture as truth, not {truth}")
        return torch.stack([control.mean(s) for s in times.reshape(-1)]).reshape(times.shape)
    if not isinstance(truth, GaussianMixture):
        if not hasattr(truth, "component_information"):
            raise ValueError(f"truth = {truth}: a GaussianMixture, or a law with component_information(t), is needed")
        own = [float(truth.component_information(float(s), schedule=schedule)) for s in times.reshape(-1)]
        return truth.d / schedule.sigma(times) ** 2 - torch.tensor(own, dtype=torch.float64).reshape(times.shape)
    a2, s2 = (f(times)[..., None] ** 2 for f in (schedule.alpha, schedule.sigma))
    signal = a2 * truth.covariance.to("cpu", torch.float64)  # (..., K or 1, d) eigenvalues
    per_axis = signal.eigenvalues / (s2[..., None] * (signal + s2).eigenvalues)
    per_component = per_axis.sum(-1).expand(*times.shape, truth.K)
    return (per_component * truth.weights.double().cpu()).sum(-1)


def fisher_information(
    truth: Diffused, t: Time, *, samples: int = 20_000, schedule: Schedule | None = None, generator=None
) -> Curve:
    """J(P_t) = E_{X ~ P_t} ||grad log p_t(X)||^2 by Monte Carlo.

    Args:
        truth: anything with sample and score.
        t: time in (0, t_max], of any shape.
        samples: fresh points for each t.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `Curve` of the shape of t, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for a law without these methods, samples < 1, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, truth)
    return _over_times(t, schedule, lambda s: _squared_scores(truth, s, samples, schedule, generator))


def plateau(
    truth: Diffused, t: Time, *, samples: int = 20_000, schedule: Schedule | None = None, generator=None
) -> Curve:
    """d / sigma^2 - J(P_t) = alpha^2 / sigma^4 mmse(P, t): the loss of the true score on fresh data, and the largest expected gap.

    The gap stays here while noise does not confuse training points. Estimated by E||-z/sigma - grad log p_t(X)||^2, whose terms
    vanish with the noise's own fluctuation (better conditioned than the difference).

    Args:
        truth: anything with sample and score.
        t: time in (0, t_max], of any shape.
        samples: fresh points for each t.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `Curve` of the shape of t, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for a law without these methods, samples < 1, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, truth)

    def terms(s: float) -> Tensor:
        x, z, sigma = _noisy(truth, s, samples, schedule, generator)
        return (z / sigma + truth.score(x, s, schedule=schedule)).flatten(1).square().sum(1)

    return _over_times(t, schedule, terms)


def gap_lower_bound(truth: GaussianMixture, t: Time, n: int, *, schedule: Schedule | None = None) -> Tensor:
    """Below the expected loss gap for every Gaussian mixture, n and t, separated or not: closed form.

        small_t_limit - (n - 1) alpha^2 / (2 sigma^4) E[ D^2 exp(-alpha^2 D^2 / (8 sigma^2)) ],  D the distance of two data points.

    Proof: J is convex, which gives the first term; the posterior mean of the training set errs less than the nearest
    training point does, and noise takes x_i nearer to another point at distance D with probability Q(alpha D / (2 sigma)).
    Worth something while log n < about d/2 log(1 + alpha^2 lambda / (2 sigma^2)); it may be negative beyond.

    Args:
        truth: the mixture.
        t: time in (0, t_max], of any shape.
        n: number of training points.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        float64, shape of t, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for another truth, n < 1, t outside (0, t_max] or so small that the bound overflows.
    """
    schedule = schedule_of(schedule, truth)
    times = schedule.check_time(t)
    _check_mixture(truth)
    rate = (schedule.alpha(times) / schedule.sigma(times)) ** 2 / 8  # c in exp(-c D^2)
    confusion = (check_count(n, "n") - 1) * rate * 4 / schedule.sigma(times) ** 2 * _pair_moment(truth, rate)
    return check_result(small_t_limit(truth, times, schedule=schedule) - confusion, "the bound", MORE_NOISE)


def _pair_moment(truth: GaussianMixture, rate: Tensor) -> Tensor:
    """E[D^2 exp(-c D^2)] over two independent draws, D their distance: Gaussian integrals, pair of components by pair."""
    cov = truth.covariance.to("cpu", torch.float64).expand(truth.K).matrix()
    total = torch.zeros_like(rate)
    c = rate[..., None]
    for k in range(truth.K):
        for j in range(k + 1):
            variances, axes = torch.linalg.eigh(cov[k] + cov[j])
            shift2 = ((truth.means[k] - truth.means[j]).double().cpu() @ axes).square()
            shrink = 1 + 2 * c * variances.clamp(min=0)
            log_mass = -(shrink.log() / 2 + c * shift2 / shrink).sum(-1)
            moment = (variances / shrink + shift2 / shrink**2).sum(-1)
            weight = truth.weights[k].double().cpu() * truth.weights[j].double().cpu() * (1 if j == k else 2)
            total = total + weight * log_mass.exp() * moment
    return total


def predicted_gap(
    truth: Diffused,
    t: float,
    n: Tensor | int,
    *,
    samples: int = 20_000,
    schedule: Schedule | None = None,
    generator=None,
) -> Curve:
    """The expected loss gap for any n, without a training set: E[ ||grad_x i||^2 / (1 + (n - 1) exp(-i)) ].

    i(x_0, X) = log p(X | x_0) - log p_t(X) is the information density, grad_x i = -z/sigma - grad log p_t(X), and the fraction
    the posterior weight of the point that X was made from, with the weights of the others at their mean. An approximation: exact as n
    stays and t -> 0 (the plateau) and as n -> inf at fixed t (the 1/n law); in between low by up to a third (chapter 22).

    Args:
        truth: anything with sample, log_prob and score.
        t: time in (0, t_max], a number.
        n: numbers of training points >= 1, of any shape; they need not be whole.
        samples: fresh points.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `Curve` of the shape of n, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for n < 1, samples < 1, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, truth)
    n = as_numbers(n, "n")
    if not (n >= 1).all():
        raise ValueError(f"n = {n.min().item():g}: n >= 1 is needed")
    x, z, sigma = _noisy(truth, float(schedule.check_time(as_real(t, "t"))), samples, schedule, generator)
    density = information_density(truth, x, z, sigma, t, schedule)
    squared = (z / sigma + truth.score(x, t, schedule=schedule)).flatten(1).square().sum(1).double()
    others = torch.log((n - 1).clamp(min=torch.finfo(torch.float64).tiny)).reshape(-1, 1)
    terms = squared * torch.sigmoid(density - others)
    return Curve(terms.mean(1).reshape(n.shape), (terms.std(1) / math.sqrt(terms.shape[1])).reshape(n.shape))


def information_density(truth: Diffused, x: Tensor, z: Tensor, sigma, t: float, schedule: Schedule) -> Tensor:
    """log p(X | x_0) - log p_t(X) in nats at X = alpha x_0 + sigma z; its mean is the mutual information I(X_0; X_t).

    Args:
        truth: anything with log_prob.
        x: noisy points X, (m, *event_shape).
        z: their noise, the shape of x.
        sigma: its standard deviation at t, a number.
        t: time, a number.
        schedule: what noise at time t means.

    Returns:
        (m,), float64.
    """
    conditional = -z.flatten(1).square().sum(1).double() / 2 - truth.d * (math.log(2 * math.pi) / 2 + math.log(sigma))
    return conditional - truth.log_prob(x, t, schedule=schedule).double()


def gaussian_information(truth: GaussianMixture, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """I(X_0; X_t) = 1/2 sum_j log(1 + alpha^2 lambda_j / sigma^2) for one Gaussian, closed form.

    The gap of n points stays near its plateau while log n is below it: the sample size that a noise level asks for is exp(I).

    Args:
        truth: a mixture of one component.
        t: time in (0, t_max], of any shape.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        float64, shape of t, in nats.

    Raises:
        ValueError: for another truth, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, truth)
    snr = torch.exp(schedule.log_snr(schedule.check_time(t)))[..., None]
    return torch.log1p(snr * _one_gaussian(truth)).sum(-1) / 2


def large_n_constant(truth: GaussianMixture, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """lim n E_D[Loss-Gap_t] as n -> inf for one Gaussian: small_t_limit * exp(2 I(X_0; X_t)), closed form.

    First order of p-hat_t around p_t: E||grad (p-hat_t - p_t) / p_t||^2 under P_t, summed in Hermite polynomials.

    Args:
        truth: a mixture of one component.
        t: time in (0, t_max], of any shape.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        float64, shape of t, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for another truth, t outside (0, t_max] or so small that the constant overflows.
    """
    growth = torch.exp(2 * gaussian_information(truth, t, schedule=schedule))
    return check_result(small_t_limit(truth, t, schedule=schedule) * growth, "the constant", MORE_NOISE)


def _check_mixture(truth: object) -> None:
    if not isinstance(truth, GaussianMixture):
        raise ValueError(f"truth = {truth!r}: a GaussianMixture is needed")


def _one_gaussian(truth: GaussianMixture) -> Tensor:
    if not isinstance(truth, GaussianMixture) or truth.K != 1:
        raise ValueError(f"truth = {truth}: a GaussianMixture with one component is needed")
    return truth.covariance.eigenvalues[0].double().cpu()


def _noisy(truth: Diffused, t: float, samples: int, schedule: Schedule, generator) -> tuple[Tensor, Tensor, float]:
    check_model(truth, "sample", "score", name="truth"), check_generator(generator)
    x0 = truth.sample(check_count(samples, "samples"), generator=generator)
    z = randn(tuple(x0.shape), x0, generator)
    return schedule.add_noise(x0, t, z), z, float(schedule.sigma(t))


def _squared_scores(truth: Diffused, t: float, samples: int, schedule: Schedule, generator) -> Tensor:
    x, _, _ = _noisy(truth, t, samples, schedule, generator)
    return truth.score(x, t, schedule=schedule).flatten(1).square().sum(1)


def _over_times(t: Time, schedule: Schedule, terms) -> Curve:
    times = schedule.check_time(t)
    found = [Estimate(terms(float(s)).double()) for s in times.reshape(-1)]
    values = torch.tensor([float(f) for f in found], dtype=torch.float64)
    errors = torch.tensor([f.se for f in found], dtype=torch.float64)
    return Curve(values.reshape(times.shape), errors.reshape(times.shape))
