"""Score-matching losses: three ways to measure how far a model's score is from that of P_t.

    Fisher     E ||grad log p_t(X) - s(X)||^2                      needs the true score
    implicit   E [||s(X)||^2 + 2 div s(X)]                         needs the divergence (Hyvarinen 2005)
    denoising  E ||s(X) + eps / sigma||^2, X = alpha x0 + sigma eps  needs the noise (Vincent 2011)

For each model s: Fisher = implicit + E||grad log p_t||^2, and denoising = implicit + d / sigma^2. A model is anything with
``.score(x, t, schedule=)``. Each loss is an `Estimate`: its mean can be differentiated, its terms give a standard error.
"""

import torch
from torch import Tensor

from .numerics.checks import as_numbers, check_count, check_generator, check_model, check_points, check_shaped, randn
from .numerics.estimates import Estimate
from .schedules import Schedule, Time, schedule_of


def fisher_divergence(model, truth, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Estimate:
    """E ||truth.score(x, t) - model.score(x, t)||^2 over samples x of the law that it is taken under.

    With x from P_t and truth = P_t it is Fisher(P_t, model); the factor 1/2 of some authors is left out.

    Args:
        model, truth: anything with .score.
        x: (m, *event_shape).
        t: time, a number or (m,).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        An `Estimate` of m terms, in 1 / (unit of the data)^2.

    Raises:
        ValueError: for objects without a score, x that is not finite, schedules that disagree.
    """
    schedule = schedule_of(schedule, model, truth)
    check_shaped(x, "x"), check_model(model, "score"), check_model(truth, "score", name="truth")
    difference = truth.score(x, t, schedule=schedule) - model.score(x, t, schedule=schedule)
    return Estimate(difference.flatten(1).square().sum(1))


def denoising_loss(
    model,
    x0: Tensor,
    t: Time,
    *,
    schedule: Schedule | None = None,
    eps: Tensor | None = None,
    weight=1.0,
    generator=None,
) -> Estimate:
    """Denoising score matching (Vincent 2011; Ye et al. 2026, eq. 3.1): weight * ||s(X_t, t) + eps / sigma||^2.

    Args:
        model: anything with .score.
        x0: data, (m, *event_shape).
        t: time > 0, a number or (m,).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        eps: the noise, of the shape of x0; drawn if None.
        weight: a number or (m,), 1 for the score loss, sigma^2 for the eps loss (see `parameterizations.loss_weight`).
        generator: of the random numbers; None for torch's own.

    Returns:
        An `Estimate` of m terms, in the unit of weight / sigma^2.

    Raises:
        ValueError: for shapes that do not fit, values that are not finite, t outside (0, t_max].
    """
    schedule = schedule_of(schedule, model)
    check_shaped(x0, "x0")
    check_model(model, "score"), check_generator(generator)
    eps = randn(tuple(x0.shape), x0, generator) if eps is None else check_points(eps, tuple(x0.shape[1:]), "eps")
    if len(eps) != len(x0):
        raise ValueError(f"eps has shape {tuple(eps.shape)}: the shape of x0, {tuple(x0.shape)}, is needed")
    times = _per_row(schedule.check_time(t), x0)
    residual = model.score(schedule.add_noise(x0, times, eps), t, schedule=schedule) + eps / schedule.sigma(times).to(
        x0
    )
    return Estimate(_weighted(residual.flatten(1).square().sum(1), weight))


def implicit_loss(
    model,
    x: Tensor,
    t: Time,
    *,
    probes: int | None = None,
    schedule: Schedule | None = None,
    weight=1.0,
    generator=None,
) -> Estimate:
    """Vanilla score matching (Hyvarinen 2005): weight * (||s(x, t)||^2 + 2 div s(x, t)) for x drawn from P_t.

    Args:
        model: anything with .score that is differentiable.
        x: (m, *event_shape).
        t: time, a number or (m,).
        probes: None for the exact divergence (d backward passes), or a number of Hutchinson probes (one pass each).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        weight: a number or (m,).
        generator: of the random numbers; None for torch's own.

    Returns:
        An `Estimate` of m terms; it may be negative.

    Raises:
        ValueError: as `score_and_divergence`, and for a weight of another shape.
    """
    score, divergence = score_and_divergence(model, x, t, probes=probes, schedule=schedule, generator=generator)
    return Estimate(_weighted(score.flatten(1).square().sum(1) + 2 * divergence, weight))


def score_and_divergence(
    model, x: Tensor, t: Time, *, probes: int | None = None, schedule: Schedule | None = None, generator=None
) -> tuple[Tensor, Tensor]:
    """s(x, t) and its divergence sum_i ds_i/dx_i, by vector-Jacobian products.

    Gradients to the model's parameters flow unless grad mode is off.

    Args:
        model: anything with .score that is differentiable.
        x: (m, *event_shape).
        t: time, a number or (m,).
        probes: None, exact: one product for each of the d coordinates. k: the mean of v^T (ds/dx) v over k random sign vectors v
            (Hutchinson 1989), without bias.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        generator: of the random numbers; None for torch's own.

    Returns:
        The score, shape of x, and the divergence, (m,).

    Raises:
        ValueError: for x that is not finite, probes < 1, and a score that is cut off from x: its divergence would silently be 0.
    """
    check_shaped(x, "x"), check_model(model, "score"), check_generator(generator)
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        score = model.score(x, t, schedule=schedule_of(schedule, model))
        if not score.requires_grad:
            raise ValueError("model.score(x, t) carries no gradient to x: a differentiable model is needed")
        terms = []
        for v in _directions(x, probes, generator):
            product = torch.autograd.grad(score, x, v, create_graph=keep_graph, retain_graph=True, allow_unused=True)[0]
            if product is None:
                raise ValueError(
                    "model.score(x, t) does not depend on x through autograd: a differentiable model is needed"
                )
            terms.append((product * v).flatten(1).sum(1))
    divergence = sum(terms) / (1 if probes is None else probes)
    return (score, divergence) if keep_graph else (score.detach(), divergence)


def _directions(x: Tensor, probes: int | None, generator):
    """The d unit vectors, or `probes` random sign vectors, each repeated or drawn for every row of x."""
    if probes is None:
        for i in range(x[0].numel()):
            v = torch.zeros_like(x).flatten(1)
            v[:, i] = 1
            yield v.reshape(x.shape)
    else:
        for _ in range(check_count(probes, "probes")):
            # the sign of a normal number: + and - with the same probability, on the generator's own device
            yield torch.where(randn(tuple(x.shape), x.detach(), generator) < 0, -1.0, 1.0).to(x.dtype)


def _per_row(t: Tensor, x: Tensor) -> Tensor:
    if t.ndim and t.shape != x.shape[:1]:
        raise ValueError(f"t has shape {tuple(t.shape)}: a number or shape ({len(x)},), one time per row, is needed")
    return t.to(x.device).reshape(-1, *[1] * (x.ndim - 1)) if t.ndim else t


def _weighted(terms: Tensor, weight) -> Tensor:
    weight = as_numbers(weight, "weight").to(terms)
    if weight.ndim and weight.shape != terms.shape:
        raise ValueError(f"weight has shape {tuple(weight.shape)}: a number or shape ({len(terms)},) is needed")
    return weight * terms
