"""Which training point was it? The posterior over the training set of a noisy point, and when it is decided.

Given X_t = x the point i of n has weight w_i(x), the softmax of -||x - alpha x_i||^2 / (2 sigma^2) (`Empirical.responsibilities`). At
little noise all of it lies on one point, at much noise each has 1/n.
"""

import math

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_generator, randn
from ..numerics.estimates import Estimate
from ..schedules import Schedule, Time, schedule_of
from .empirical import Empirical


def own_weight(
    law: Empirical,
    t: float,
    samples: int,
    *,
    schedule: Schedule | None = None,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Mean of w_i(X) over X = alpha x_i + sigma z with i drawn: the weight of the training point that a noisy point was made from.

    It is exp(i(x_i, X)) / n with the information density i = log p(X | x_i) - log p_t(X), so no table of weights is made.

    Args:
        law: the training set.
        t: time in (0, t_max], a number.
        samples: noisy points.
        schedule: what noise at time t means; by default that of the law, OU() where it has none.
        generator: of the points and of their noise; None for torch's own.

    Returns:
        `Estimate`, terms in [0, 1]: 1/n for noise alone, 1 where each noisy point tells where it comes from.

    Raises:
        ValueError: for another law, samples < 1, t outside (0, t_max].
    """
    law, schedule = _training_set(law), schedule_of(schedule, law)
    t = schedule.check_time(t)
    check_generator(generator)
    x0 = law.sample(check_count(samples, "samples"), generator=generator)
    z = randn(tuple(x0.shape), x0, generator)
    x = schedule.add_noise(x0, t, z)
    sigma = float(schedule.sigma(t))
    own = -z.double().flatten(1).square().sum(1) / 2 - law.d * (math.log(2 * math.pi) / 2 + math.log(sigma))
    density = own - law.log_prob(x, t, schedule=schedule).double()
    return Estimate((density - math.log(law.n)).exp().clamp(max=1.0))


def posterior_entropy(law: Empirical, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """Entropy of the posterior over the training points, -sum_i w_i log w_i, in shares of log n.

    Args:
        law: the training set, n >= 2.
        x: noisy points, (m, *event_shape).
        t: time in (0, t_max], a number or (m,).
        schedule: what noise at time t means; by default that of the law, OU() where it has none.

    Returns:
        (m,), in [0, 1]: 0 where one point has all the weight, 1 where all have the same.

    Raises:
        ValueError: for another law, a set of one point, bad x or t.
    """
    law = _training_set(law)
    if law.n < 2:
        raise ValueError(f"law has n = {law.n} points: at least 2 are needed")
    weights = law.responsibilities(x, t, schedule=schedule)
    return torch.special.entr(weights).sum(1) / math.log(law.n)


def _training_set(law: object) -> Empirical:
    if not isinstance(law, Empirical):
        raise ValueError(f"law is {type(law).__name__}: an Empirical is needed")
    return law
