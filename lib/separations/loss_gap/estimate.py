"""The loss gap: how much smaller than the true score's the training loss of the empirical score is.

    Loss-Gap_t = (1/n) sum_i [ l_t(x_i, grad log p_t) - l_t(x_i, grad log p-hat_t) ]            difference of losses
               = E_{X ~ P-hat_t} || grad log p-hat_t(X) - grad log p_t(X) ||^2                   Fisher divergence

(Ye et al. 2026, section 4, Proposition 4.1). Both sides come from the same noise: X = alpha x_i + sigma z. The second is the
conditional mean of the first given X, hence never the noisier one (Rao-Blackwell). Three more ways to save work:

  stratified   the points x_i are drawn without replacement, one random order after the other;
  antithetic   each noise z is used with its mirror image -z;
  controlled   for a Gaussian mixture, what the Fisher side would be if posterior and component were known for sure, || -z/sigma - s_k(X) ||^2, has a known
               mean over the noise and over all the data (`loss_gap.theory.small_t_limit`): its deviation is regressed out.
               For any other truth the same with the squared length of the noise.

Also here: the other direction, `generalization_error`; the integral over time, `integrated_gap`, and its closed form `kl_gap`;
quadrature in one dimension, `quadrature_gap`. What the gap must be in theory stands in `loss_gap.theory`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..numerics.checks import as_real, check_count, check_generator, check_model, randn
from ..numerics.estimates import Curve
from ..schedules import Schedule, Time, schedule_of
from .control import as_empirical, control_for
from .terms import Draws, best_terms, check_samples, check_times, curves, dtype_of, gap_terms, mean_curve


@dataclass(frozen=True)
class LossGap:
    """What `loss_gap` finds; each curve has the shape of t, in units of 1 / (units of the data)^2.

    Attributes:
        t: as given.
        best: the best estimate, `value` and `se`: controlled, from 64 terms on; the Fisher side otherwise.
        fisher, difference: the two sides of Proposition 4.1.
        truth_loss, empirical_loss: the two denoising losses.
        samples: noisy points used, (T,).
    """

    t: Tensor
    best: Curve
    fisher: Curve
    difference: Curve
    truth_loss: Curve
    empirical_loss: Curve
    samples: Tensor

    @property
    def value(self) -> Tensor:
        return self.best.value

    @property
    def se(self) -> Tensor:
        return self.best.se


def loss_gap(
    data: Tensor | Empirical,
    truth: Diffused,
    t: Time,
    *,
    schedule: Schedule | None = None,
    samples: int = 1000,
    relative_error: float | None = None,
    max_samples: int = 200_000,
    antithetic: bool = True,
    stratified: bool = True,
    allow_singular: bool = False,
    generator: torch.Generator | None = None,
) -> LossGap:
    """Both sides of Proposition 4.1 for one training set, at one or many times, from the same noise.

    Memory: a few hundred MB beside the data; n = 100,000 in d = 64 is no problem.

    Args:
        data: the training set, (n, *event_shape), or an `Empirical`; its dtype decides the precision.
        truth: anything with sample, log_prob and score, of the same event_shape.
        t: time in (0, t_max], a number or (T,).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        samples: noisy points for each t (a mirrored pair counts as two), at least 8.
        relative_error: go on, at the times that need it, until se / value is below it or max_samples is reached; None for no more.
        max_samples: noisy points for each t, at most.
        antithetic: whether each noise is used with its mirror image.
        stratified: whether training points are drawn without replacement.
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `LossGap`.

    Raises:
        ValueError: for data that do not fit the truth, sigma(t) below the rounding error of the data, a truth with a
            singular covariance unless allow_singular, fewer than 8 samples, a relative_error that is not positive.
    """
    schedule, empirical = schedule_of(schedule, data, truth), as_empirical(data, truth, allow_singular)
    times = check_times(t, empirical, schedule)
    pairs = check_samples(samples, antithetic)
    max_samples = check_count(max_samples, "max_samples")
    check_generator(generator)
    if relative_error is not None and not 0 < as_real(relative_error, "relative_error") < math.inf:
        raise ValueError(f"relative_error = {relative_error}: a positive number, or None, is needed")
    draws = Draws(empirical, antithetic, stratified, generator)
    control = control_for(empirical, truth, schedule)
    terms = [[] for _ in times]
    active = torch.arange(len(times))
    while len(active):
        for k, new in zip(
            active.tolist(), gap_terms(draws.take(pairs), empirical, truth, times[active], schedule, control)
        ):
            terms[k].append(new)
        have = sum(map(len, terms[active[0]]))
        if relative_error is None or have * draws.copies >= max_samples:
            break
        found = [mean_curve(best_terms(torch.cat(terms[k]), control, times[k])) for k in active.tolist()]
        reached = torch.stack([c.relative_error for c in found])
        active, reached = active[reached > relative_error], reached[reached > relative_error]
        if len(active):  # as many again as the first of them to finish seems to need, at most three times what there is
            wanted = have * ((reached.min() / relative_error) ** 2 - 1).clamp(0.25, 3.0)
            pairs = max(16, min(math.ceil(wanted), max_samples // draws.copies - have))
    return _collect(
        torch.as_tensor(t, dtype=torch.float64), times, [torch.cat(x) for x in terms], control, draws.copies
    )


def _collect(t: Tensor, times: Tensor, terms: list[Tensor], control, copies: int) -> LossGap:
    def curve(column) -> Curve:
        return curves([column(x, s) for x, s in zip(terms, times)], t.shape)

    samples = torch.tensor([len(x) * copies for x in terms]).reshape(t.shape)
    columns = [curve(lambda x, s, c=c: x[:, c]) for c in range(4)]
    return LossGap(t, curve(lambda x, s: best_terms(x, control, s)), *columns, samples)


def generalization_error(
    data: Tensor | Empirical,
    truth: Diffused,
    t: Time,
    *,
    schedule: Schedule | None = None,
    samples: int = 1000,
    allow_singular: bool = False,
    generator: torch.Generator | None = None,
) -> Curve:
    """The other direction, E_{X ~ P_t} || grad log p-hat_t(X) - grad log p_t(X) ||^2: the error of the empirical score on
    fresh points, Fisher(P_t, P-hat_t) of Ye et al. (2026, section 4).

    It is not the loss gap: as t -> 0 it grows like alpha^2 sigma^-4 times the squared distance to the nearest training point.
    Common noise for all t.

    Args:
        data: the training set, (n, *event_shape), or an `Empirical`; its dtype decides the precision.
        truth: anything with sample, log_prob and score, of the same event_shape.
        t: time in (0, t_max], a number or (T,).
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        samples: fresh points for each t, at least 8.
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `Curve` of the shape of t, in units of 1 / (units of the data)^2.

    Raises:
        ValueError: as `loss_gap`.
    """
    schedule, empirical = schedule_of(schedule, data, truth), as_empirical(data, truth, allow_singular)
    times = check_times(t, empirical, schedule)
    check_model(truth, "sample", name="truth")
    x0 = truth.sample(check_samples(samples, False), generator=generator)
    x0 = x0.to(empirical.rows.squared_norms.device, dtype_of(empirical))
    z = randn(tuple(x0.shape), x0, generator)
    terms = []
    for s in times.tolist():
        x = schedule.add_noise(x0, s, z)
        error = empirical.score(x, s, schedule=schedule) - truth.score(x, s, schedule=schedule)
        terms.append(error.flatten(1).square().sum(1).double().cpu())
    return curves(terms, torch.as_tensor(t).shape)
