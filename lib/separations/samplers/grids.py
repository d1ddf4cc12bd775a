"""Where generation starts, and the falling grids of times that it goes along."""

import math

import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_shape, randn, shown
from ..schedules import Schedule, schedule_of


def prior(
    shape: tuple[int, ...],
    t: float,
    *,
    schedule: Schedule | None = None,
    generator=None,
    dtype=torch.float32,
    device=None,
) -> Tensor:
    """Start of generation, N(0, sigma(t)^2 I).

    Args:
        shape: (m, *event_shape).
        t: time of the start, in (0, t_max].
        schedule: what noise at time t means, OU() by default.
        generator: of the random numbers; None for torch's own.
        dtype: of the result, a floating-point one.
        device: of the result.

    Returns:
        Random numbers of the shape, in the unit of the data.

    Raises:
        ValueError: for a time outside of the schedule, a dtype without fractions, a shape that is not one of whole numbers >= 1.
    """
    schedule = schedule_of(schedule)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype = {shown(dtype)}: a floating-point dtype, as torch.float32, is needed")
    like = torch.empty(0, dtype=dtype, device=device)
    t = schedule.check_time(as_real(t, "t"))
    return schedule.sigma(t).to(like) * randn(check_shape(shape), like, generator)


def uniform_times(t_hi: float, t_lo: float, steps: int) -> Tensor:
    """Falling grid with equal steps of t.

    Args:
        t_hi: first time.
        t_lo: last time, where generation stops early.
        steps: number of steps.

    Returns:
        (steps + 1,), float64.

    Raises:
        ValueError: unless 0 < t_lo < t_hi < inf and steps >= 1.
    """
    steps = _check_range(t_hi, t_lo, steps)
    return torch.linspace(float(t_hi), float(t_lo), steps + 1, dtype=torch.float64)


def log_snr_times(t_hi: float, t_lo: float, steps: int, *, schedule: Schedule | None = None) -> Tensor:
    """Falling grid with equal steps of the log signal-to-noise ratio.

    Args:
        t_hi: first time.
        t_lo: last time, where generation stops early.
        steps: number of steps.
        schedule: what noise at time t means, OU() by default.

    Returns:
        (steps + 1,), float64.

    Raises:
        ValueError: unless 0 < t_lo < t_hi <= t_max with a finite log-SNR and steps >= 1.
    """
    schedule = schedule_of(schedule)
    steps = _check_range(t_hi, t_lo, steps)
    ends = schedule.log_snr(schedule.check_time(torch.tensor([float(t_hi), float(t_lo)], dtype=torch.float64)))
    if not ends.isfinite().all():
        raise ValueError(f"t_hi = {t_hi}: the log-SNR is infinite there, take t_hi < {schedule.t_max:g}")
    times = schedule.time_from_log_snr(torch.linspace(float(ends[0]), float(ends[1]), steps + 1, dtype=torch.float64))
    times[0], times[-1] = float(t_hi), float(t_lo)
    return times


def _check_range(t_hi: float, t_lo: float, steps: int) -> int:
    if not 0 < as_real(t_lo, "t_lo") < as_real(t_hi, "t_hi") < math.inf:
        raise ValueError(f"t_hi = {t_hi}, t_lo = {t_lo}: 0 < t_lo < t_hi < inf is needed (early stopping at t_lo)")
    return check_count(steps, "steps")
