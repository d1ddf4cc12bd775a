"""The loss gap and the generalisation error in one dimension, by quadrature: exact to the tolerance, without sampling.

Both are integrals over x of a density times |grad log p-hat_t - grad log p_t|^2. The trapezoidal rule on an equally spaced grid
converges faster than any power of the spacing once it resolves the integrand, so doubling until nothing moves gives the error.
"""

import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..numerics.checks import as_real
from ..schedules import Schedule, schedule_of
from .control import as_empirical
from .terms import check_times

MAX_POINTS = 2**20


def quadrature_gap(
    data: Tensor | Empirical,
    truth: Diffused,
    t: float,
    *,
    schedule: Schedule | None = None,
    tolerance: float = 1e-8,
    allow_singular: bool = False,
) -> float:
    """The loss gap Fisher(P-hat_t, P_t) in d = 1 by quadrature, to a relative `tolerance`.

    Args:
        data: (n, 1), or an `Empirical`.
        truth: anything with sample, log_prob and score in d = 1.
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        tolerance: relative, in (0, 1).
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.

    Returns:
        The value, in 1 / (unit of the data)^2.

    Raises:
        ValueError: as `loss_gap`; for d > 1, and where 2^20 grid points are too few for the tolerance.
    """
    return _integrate(data, truth, t, schedule_of(schedule, data, truth), tolerance, allow_singular, under_truth=False)


def quadrature_error(
    data: Tensor | Empirical,
    truth: Diffused,
    t: float,
    *,
    schedule: Schedule | None = None,
    tolerance: float = 1e-8,
    allow_singular: bool = False,
) -> float:
    """The generalisation error Fisher(P_t, P-hat_t) of the empirical score in d = 1 by quadrature, to a relative `tolerance`.

    Args:
        data: (n, 1), or an `Empirical`.
        truth: anything with sample, log_prob and score in d = 1.
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        tolerance: relative, in (0, 1).
        allow_singular: whether a truth with a singular covariance is accepted; its score is unbounded as t -> 0.

    Returns:
        The value, in 1 / (unit of the data)^2.

    Raises:
        ValueError: as `loss_gap`; for d > 1, and where 2^20 grid points are too few for the tolerance.
    """
    return _integrate(data, truth, t, schedule_of(schedule, data, truth), tolerance, allow_singular, under_truth=True)


def _integrate(data, truth, t, schedule, tolerance, allow_singular, *, under_truth: bool) -> float:
    empirical = as_empirical(data, truth, allow_singular)
    if not 0 < as_real(tolerance, "tolerance") < 1:
        raise ValueError(f"tolerance = {tolerance}: a number in (0, 1) is needed")
    if empirical.event_shape != (1,):
        raise ValueError(f"data has points of shape {tuple(empirical.event_shape)}: quadrature needs shape (1,)")
    empirical = Empirical(torch.as_tensor(empirical.data).double())
    t = float(check_times(as_real(t, "t"), empirical, schedule)[0])
    low, high = _range(empirical if not under_truth else truth, t, schedule)
    sigma, points, previous = float(schedule.sigma(t)), 257, None
    while points <= MAX_POINTS:
        value = _trapezoid(empirical, truth, t, schedule, low, high, points, under_truth)
        resolved = (high - low) / points < sigma / 2
        if resolved and previous is not None and abs(value - previous) <= tolerance * abs(value):
            return value
        previous, points = value, 2 * points - 1
    raise ValueError(f"t = {t:g}: more than {MAX_POINTS} grid points are needed for tolerance = {tolerance:g}")


def _range(law: Diffused, t: float, schedule: Schedule) -> tuple[float, float]:
    """Where the density of the law at t is more than about exp(-100) of its largest value; found from samples outward."""
    x = law.sample(1000, t, schedule=schedule, generator=torch.Generator().manual_seed(0)).double()
    ends, step = [], max(float(x.max() - x.min()), 1e-3) / 4
    peak = float(law.log_prob(x, t, schedule=schedule).max())
    for start, direction in ((x.min(), -1.0), (x.max(), 1.0)):
        end = float(start)
        while float(law.log_prob(x.new_full((1, 1), end), t, schedule=schedule)) > peak - 100:
            end += direction * step
        ends.append(end)
    return ends[0], ends[1]


def _trapezoid(empirical, truth, t, schedule, low, high, points, under_truth) -> float:
    grid = torch.linspace(low, high, points, dtype=torch.float64)
    total = 0.0
    for x in grid[:, None].split(2**16):
        difference = empirical.score(x, t, schedule=schedule) - truth.score(x, t, schedule=schedule)
        density = (truth if under_truth else empirical).log_prob(x, t, schedule=schedule).exp()
        total += float((density * difference[:, 0].square()).sum())
    return total * (high - low) / (points - 1)
