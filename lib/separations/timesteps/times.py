"""Where training looks: distributions of the time t, with ``.sample(m, generator)``, ``.density(t)`` and ``.cdf(t)``.

A draw is (m,) float64 on the device of the generator, a density is per unit of t and integrates to 1. Any of them is a `times`
of `training.train` and of `pruning.head_importance`. A distribution that is stated in the noise (log-SNR, sigma) needs the
schedule that turns noise into time; the density follows from d log-SNR / dt = -g(t)^2 / sigma(t)^2.
`ConfidenceInterval`, whole steps instead of a continuous time (`DiscreteTimes`) and the weight `MinSNR` are in `timesteps.interval`.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, as_real, check_count, generator_device, uniform
from ..schedules import OU, Schedule, check_schedule


def _check_interval(t_min: float, t_max: float) -> None:
    if not 0 < as_real(t_min, "t_min") < as_real(t_max, "t_max") < math.inf:
        raise ValueError(f"t_min = {t_min}, t_max = {t_max}: 0 < t_min < t_max is needed")


def _as_times(t) -> Tensor:
    return as_numbers(t, "t").detach()


@dataclass(frozen=True)
class Uniform:
    """t uniform on [t_min, t_max]; with VPLinear() the usual choice of DDPM (Ho et al. 2020).

    Args:
        t_min, t_max: ends, in units of the schedule.

    Raises:
        ValueError: unless 0 < t_min < t_max, finite.
    """

    t_min: float = 1e-3
    t_max: float = 1.0

    def __post_init__(self):
        _check_interval(self.t_min, self.t_max)

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times."""
        return self.t_min + (self.t_max - self.t_min) * uniform(m, generator)

    def density(self, t) -> Tensor:
        """p(t), shape of t."""
        t = _as_times(t)
        return ((t >= self.t_min) & (t <= self.t_max)).double() / (self.t_max - self.t_min)

    def cdf(self, t) -> Tensor:
        """P(time <= t), shape of t."""
        return ((_as_times(t) - self.t_min) / (self.t_max - self.t_min)).clamp(0, 1)


@dataclass(frozen=True)
class Beta:
    """t = t_min + (t_max - t_min) u with u ~ Beta(a, b). Ye et al. (2026), section 6.2: Beta(0.8, 2) leans to small t.

    Args:
        a, b: the shape of the law, positive numbers.
        t_min: keeps the noise above 0; 1e-3 is the first step of a schedule of 1,000 steps on [0, 1].
        t_max: the last time.

    Raises:
        ValueError: unless 0 < t_min < t_max, 0 < a and 0 < b, all finite.
    """

    a: float
    b: float
    t_min: float = 1e-3
    t_max: float = 1.0

    def __post_init__(self):
        _check_interval(self.t_min, self.t_max)
        if not (0 < as_real(self.a, "a") < math.inf and 0 < as_real(self.b, "b") < math.inf):
            raise ValueError(f"a = {self.a}, b = {self.b}: positive numbers are needed")

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times, by the inverse of the distribution function."""
        from scipy.special import betaincinv

        u = uniform(m, generator)
        share = torch.from_numpy(betaincinv(self.a, self.b, u.cpu().numpy())).to(u.device)
        return self.t_min + (self.t_max - self.t_min) * share

    def density(self, t) -> Tensor:
        """p(t), shape of t."""
        from scipy.stats import beta

        width = self.t_max - self.t_min
        return torch.as_tensor(beta.pdf(((_as_times(t) - self.t_min) / width).cpu().numpy(), self.a, self.b) / width)

    def cdf(self, t) -> Tensor:
        """P(time <= t), shape of t."""
        from scipy.special import betainc

        share = ((_as_times(t) - self.t_min) / (self.t_max - self.t_min)).clamp(0, 1)
        return torch.as_tensor(betainc(self.a, self.b, share.cpu().numpy()))


@dataclass(frozen=True)
class LogSNRUniform:
    """Log signal-to-noise ratio uniform between those of t_min and t_max.

    Args:
        t_min, t_max: ends, in units of the schedule.
        schedule: what noise at time t means.

    Raises:
        ValueError: unless 0 < t_min < t_max, and for an end that the schedule does not have or where the log-SNR is
            infinite.
    """

    t_min: float
    t_max: float
    schedule: Schedule = field(default_factory=OU)

    def __post_init__(self):
        _check_interval(self.t_min, self.t_max), check_schedule(self.schedule)
        if not all(map(math.isfinite, self._ends())):
            raise ValueError(
                f"t_max = {self.t_max}: the log-SNR is infinite there, take t_max < {self.schedule.t_max:g}"
            )

    def _ends(self) -> list[float]:
        ends = torch.tensor([self.t_max, self.t_min], dtype=torch.float64)
        return self.schedule.log_snr(self.schedule.check_time(ends)).tolist()

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times."""
        low, high = self._ends()
        return self.schedule.time_from_log_snr(low + (high - low) * uniform(m, generator))

    def density(self, t) -> Tensor:
        """p(t) = (g^2 / sigma^2) / (range of the log-SNR) inside, shape of t."""
        t, (low, high) = _as_times(t), self._ends()
        inside = (t >= self.t_min) & (t <= self.t_max)
        at = t.where(inside, torch.full_like(t, self.t_min))  # away from where the schedule is not defined
        return inside * log_snr_speed(at, self.schedule) / (high - low)

    def cdf(self, t) -> Tensor:
        """P(time <= t), shape of t: the log-SNR is what is uniform, and it falls."""
        low, high = self._ends()
        return (high - self.schedule.log_snr(_as_times(t).clamp(self.t_min, self.t_max))) / (high - low)


@dataclass(frozen=True)
class LogNormal:
    """log(sigma / alpha) ~ N(mean, std^2), for data of variance 1 (Karras et al. 2022: mean -1.2, std 1.2 at std 0.5 of
    the data).

    Args:
        mean, std: of log(sigma / alpha).
        schedule: what noise at time t means.
        limit: the log-SNR is -2 log(sigma / alpha), cut to [-limit, limit] and to that of the schedule's last time,
            which is where the mass outside goes: VE(sigma_max=80) ends at -8.76.

    Raises:
        ValueError: unless mean, std > 0 and limit > 0 are finite.
    """

    mean: float = -1.2 + math.log(2)
    std: float = 1.2
    schedule: Schedule = field(default_factory=OU)
    limit: float = 9.0

    def __post_init__(self):
        check_schedule(self.schedule)
        mean, std, limit = (as_real(getattr(self, name), name) for name in ("mean", "std", "limit"))
        if not (math.isfinite(mean) and 0 < std < math.inf and 0 < limit < math.inf):
            raise ValueError(
                f"mean = {self.mean}, std = {self.std}, limit = {self.limit}: finite, std > 0 and limit > 0, are needed"
            )

    @property
    def lowest(self) -> float:
        """The log-SNR of the largest time: -limit, or that of the schedule's last time where it is higher."""
        if math.isinf(self.schedule.t_max):
            return -self.limit
        return max(-self.limit, float(self.schedule.log_snr(self.schedule.t_max)))

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times."""
        device = generator_device(generator)
        normal = torch.randn(check_count(m), dtype=torch.float64, generator=generator, device=device)
        log_snr = -2 * (self.mean + self.std * normal)
        times = self.schedule.time_from_log_snr(log_snr.clamp(self.lowest, self.limit))
        return times.clamp(max=self.schedule.t_max)  # rounding at the last time

    def density(self, t) -> Tensor:
        """p(t) between the two ends, shape of t; the mass at the ends themselves (`mass_at_ends`) has no density."""
        t = _as_times(t)
        log_snr = self.schedule.log_snr(self.schedule.check_time(t))
        z = (-log_snr / 2 - self.mean) / self.std
        normal = torch.exp(-z.square() / 2) / (2 * self.std * math.sqrt(2 * math.pi))  # per unit of log-SNR
        return ((log_snr > self.lowest) & (log_snr < self.limit)) * normal * log_snr_speed(t, self.schedule)

    def cdf(self, t) -> Tensor:
        """P(time <= t), shape of t, with a jump at either end (`mass_at_ends`)."""
        log_snr = self.schedule.log_snr(self.schedule.check_time(_as_times(t)))
        inside = torch.special.ndtr((-log_snr / 2 - self.mean) / self.std)
        slack = 1e-9  # a time at an end may come back on the wrong side of it
        return inside.where(log_snr <= self.limit + slack, torch.zeros_like(inside)).where(
            log_snr > self.lowest + slack, torch.ones_like(inside)
        )

    def mass_at_ends(self) -> tuple[float, float]:
        """Probability that is moved to the smallest and to the largest time."""
        ends = [(self.mean + self.limit / 2) / self.std, (-self.lowest / 2 - self.mean) / self.std]
        return tuple(math.erfc(end / math.sqrt(2)) / 2 for end in ends)


def log_snr_speed(t: Tensor, schedule: Schedule) -> Tensor:
    """|d log-SNR / dt| = g(t)^2 / sigma(t)^2, float64, shape of t."""
    return schedule.diffusion(t) ** 2 / schedule.sigma(t) ** 2
