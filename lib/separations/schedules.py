"""Noise schedules: what noise at time t means. X_t = alpha(t) X_0 + sigma(t) eps, with eps standard normal.

Every schedule is a linear forward process dX = drift(t) X dt + diffusion(t) dB (Song et al. 2021), so that

    drift(t) = d log alpha / dt,        diffusion(t)^2 = d sigma^2 / dt - 2 drift(t) sigma^2.

Time runs from 0 (data) to ``t_max`` (noise). All methods take a number or a tensor and return a tensor of the same
shape; numbers give float64. The formulas avoid 1 - (something close to 1), so sigma is right to full precision as t -> 0.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .numerics.checks import as_numbers, as_real, check_whole, ends, is_plain, shown

Time = float | Tensor


def _as_level(log_snr: Time) -> Tensor:
    """log_snr as it is where it is a floating-point tensor, else as float64. ValueError for what is no number."""
    if not isinstance(log_snr, Tensor) or not log_snr.is_floating_point():
        return as_numbers(log_snr, "log_snr")
    if log_snr.device.type == "cpu" and log_snr.isnan().any():
        raise ValueError("log_snr has NaN: numbers are needed")
    return log_snr


def check_schedule(schedule: object) -> "Schedule":
    """schedule, if it is one; ValueError otherwise."""
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule = {shown(schedule)}: a Schedule, as OU(), is needed")
    return schedule


def owned_by(owner: object) -> "Schedule | None":
    """The schedule that a law, a network or a hybrid was given; None where it has none of its own. ValueError for what is no schedule."""
    own = owner.own_schedule if hasattr(owner, "own_schedule") else getattr(owner, "schedule", None)
    if own is not None and not isinstance(own, Schedule):
        raise ValueError(f"{type(owner).__name__}.schedule = {shown(own)}: a Schedule, as OU(), or None is needed")
    return own


def schedule_of(given: object, *owners: object) -> "Schedule":
    """The one schedule of a computation: the given one, else that of the owners, laws or networks; OU() where nobody has one.

    ValueError that names both where two disagree, and for what is no schedule. A law that was made without a schedule follows.
    """
    found = [] if given is None else [("schedule", check_schedule(given))]
    found += [(type(owner).__name__, own) for owner in owners if (own := owned_by(owner))]
    for (first, one), (second, other) in zip(found, found[1:]):
        if (type(one), vars(one)) != (type(other), vars(other)):
            raise ValueError(
                f"schedule: {first} has {one} and {second} has {other}; one is needed, and law.under(schedule) gives a law another"
            )
    return found[0][1] if found else OU()


class Schedule:
    """Base of all schedules. A subclass gives alpha, sigma, drift, diffusion and _time_of_level."""

    t_max: float = math.inf

    def _time(self, t: Time) -> Tensor:
        """t as it is where it is a floating-point tensor, else as float64. ValueError outside [0, t_max]; on a GPU not looked at."""
        if not is_plain(t) or not t.is_floating_point():
            t = as_numbers(t, "t", nan=True)
        if t.device.type == "cpu" and t.numel():
            (low, high), last = ends(t), self.t_max * (1 + 1e-6)  # a grid in float32 may end a rounding error late
            if not (low >= 0 and high <= last):
                self._refuse(t[~((t >= 0) & (t <= last))].flatten()[0].item(), "[")
            if high > self.t_max:
                return t.clamp(max=self.t_max)
        return t

    def _refuse(self, t: float, bracket: str):
        end = "inf)" if math.isinf(self.t_max) else f"{self.t_max:g}]"
        raise ValueError(f"t = {t:g} is not allowed: t must lie in {bracket}0, {end} for {self}")

    def alpha(self, t: Time) -> Tensor:
        """Factor on the data at time t, shape of t."""
        raise TypeError(f"{type(self).__name__} does not define alpha(t)")

    def sigma(self, t: Time) -> Tensor:
        """Standard deviation of the noise at time t, shape of t."""
        raise TypeError(f"{type(self).__name__} does not define sigma(t)")

    def drift(self, t: Time) -> Tensor:
        """Coefficient of X dt in the forward process, d log alpha / dt (per unit of t), shape of t."""
        raise TypeError(f"{type(self).__name__} does not define drift(t)")

    def diffusion(self, t: Time) -> Tensor:
        """Coefficient of dB in the forward process (per square root of the unit of t), shape of t."""
        raise TypeError(f"{type(self).__name__} does not define diffusion(t)")

    def time_from_log_snr(self, log_snr: Time) -> Tensor:
        """Inverse of log_snr: the time at which alpha^2 / sigma^2 is exp(log_snr).

        Args:
            log_snr: a number or a tensor; inf is t = 0, and -inf is t_max where the noise leaves nothing of the data there.

        Returns:
            Times in [0, t_max], shape of log_snr; float64 for numbers.

        Raises:
            ValueError: for NaN, and below the log-SNR of t_max, which the schedule never reaches (on a GPU not looked at).
        """
        level = _as_level(log_snr)
        t = self._time_of_level(level)
        if t.device.type == "cpu" and (late := ~(t <= self.t_max * (1 + 1e-6))).any():
            raise ValueError(
                f"log_snr = {level[late].flatten()[0].item():g}: at least {float(self.log_snr(self.t_max)):g}, that of the last time "
                f"of {self}, is needed"
            )
        return t.clamp(max=self.t_max)

    def _time_of_level(self, level: Tensor) -> Tensor:
        """The inverse where there is one; later than t_max, or NaN, where there is none."""
        raise TypeError(f"{type(self).__name__} does not define _time_of_level(level)")

    def log_snr(self, t: Time) -> Tensor:
        """Log signal-to-noise ratio log(alpha^2 / sigma^2) at time t, shape of t."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def add_noise(self, x0: Tensor, t: Time, eps: Tensor) -> Tensor:
        """X_t = alpha(t) x0 + sigma(t) eps in the dtype of x0, shape of x0.

        t: a number, (m,) for the m rows of x0, or of as many dimensions as x0 or one less, and then it broadcasts against it.
        ValueError where eps has another shape than x0, or t has not one time for each row.
        """
        if eps.shape != x0.shape:
            raise ValueError(f"eps has shape {tuple(eps.shape)}: the shape of x0, {tuple(x0.shape)}, is needed")
        t = as_numbers(t, "t", nan=True).to(x0.device)
        if t.ndim == 1:
            if t.shape != x0.shape[:1]:
                raise ValueError(
                    f"t has shape {tuple(t.shape)}: a number, or shape ({len(x0)},), one time per row, is needed"
                )
            t = t.reshape(-1, *[1] * (x0.ndim - 1))
        return self.alpha(t).to(x0) * x0 + self.sigma(t).to(x0) * eps

    def check_time(self, t: Time, *, zero: bool = False) -> Tensor:
        """t as a float64 tensor, after checking 0 < t <= t_max (0 <= t where `zero`). Raises ValueError."""
        t = as_numbers(t, "t", nan=True)
        low, high = ends(t)
        if not ((low >= 0 if zero else low > 0) and high <= self.t_max and math.isfinite(high)):
            good = (t >= 0 if zero else t > 0) & (t <= self.t_max) & t.isfinite()
            self._refuse(t[~good].flatten()[0].item(), "[" if zero else "(")
        return t


@dataclass(frozen=True)
class OU(Schedule):
    """Ornstein-Uhlenbeck process dX = -X/2 dt + dB: alpha = exp(-t/2), sigma^2 = 1 - exp(-t).

    The convention of Ye et al. (2026, section 3). Some authors use alpha = exp(-t): their time runs twice as fast.
    """

    def alpha(self, t: Time) -> Tensor:
        return torch.exp(-self._time(t) / 2)

    def sigma(self, t: Time) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._time(t)))

    def log_snr(self, t: Time) -> Tensor:
        return -torch.expm1(self._time(t)).log()

    def drift(self, t: Time) -> Tensor:
        return torch.full_like(self._time(t), -0.5)

    def diffusion(self, t: Time) -> Tensor:
        return torch.ones_like(self._time(t))

    def _time_of_level(self, level: Tensor) -> Tensor:
        return softplus(-level)


@dataclass(frozen=True)
class VPLinear(Schedule):
    """Variance preserving, beta(t) = beta_min + (beta_max - beta_min) t on [0, 1] (Ho et al. 2020; Song et al. 2021)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_max = 1.0

    def __post_init__(self):
        as_real(self.beta_min, "beta_min"), as_real(self.beta_max, "beta_max")
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ValueError(
                f"beta_min = {self.beta_min}, beta_max = {self.beta_max}: 0 < beta_min <= beta_max < inf is needed"
            )

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def alpha(self, t: Time) -> Tensor:
        return torch.exp(-0.5 * self._integral(self._time(t)))

    def sigma(self, t: Time) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(self._time(t))))

    def log_snr(self, t: Time) -> Tensor:
        return -torch.expm1(self._integral(self._time(t))).log()

    def drift(self, t: Time) -> Tensor:
        return -0.5 * (self.beta_min + (self.beta_max - self.beta_min) * self._time(t))

    def diffusion(self, t: Time) -> Tensor:
        return torch.sqrt(-2 * self.drift(t))

    def _time_of_level(self, level: Tensor) -> Tensor:
        integral = softplus(-level)
        # The root of the quadratic in the form without cancellation at small t.
        root = torch.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral)
        return 2 * integral / (self.beta_min + root)


@cache
def _ddpm_log_alpha2(steps: int, first: float, last: float) -> Tensor:
    """log alpha^2 after 0, 1, ..., steps steps, (steps + 1,) float64."""
    betas = torch.linspace(first, last, steps, dtype=torch.float64)
    return torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])


@dataclass(frozen=True)
class DDPM(Schedule):
    """The discrete schedule of Ho et al. (2020) on [0, 1]: alpha^2 at t = s / steps is the product of 1 - beta_i over i <= s.

    beta_i rises evenly from beta_first to beta_last. Between two steps log alpha^2 is linear, so that every t has a noise level;
    `timesteps.DiscreteTimes` draws whole steps only. VPLinear() is its limit, nowhere more than 0.1 away in log-SNR.
    """

    steps: int = 1000
    beta_first: float = 1e-4
    beta_last: float = 0.02
    t_max = 1.0

    def __post_init__(self):
        object.__setattr__(self, "steps", check_whole(self.steps, "steps", 1))
        as_real(self.beta_first, "beta_first"), as_real(self.beta_last, "beta_last")
        if not 0 < self.beta_first <= self.beta_last < 1:
            raise ValueError(
                f"beta_first = {self.beta_first}, beta_last = {self.beta_last}: 0 < beta_first <= beta_last < 1 is needed"
            )

    def _piece(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whole steps before t, log alpha^2 there, and its change over the step that t lies in, float64."""
        table = _ddpm_log_alpha2(self.steps, self.beta_first, self.beta_last).to(t.device)
        k = (t.detach().double() * self.steps).floor().clamp(0, self.steps - 1).long()
        return k, table[k], table[k + 1] - table[k]

    def _log_alpha2(self, t: Tensor) -> Tensor:
        k, start, change = self._piece(t)
        return start + (t.double() * self.steps - k) * change

    def alpha(self, t: Time) -> Tensor:
        t = self._time(t)
        return torch.exp(self._log_alpha2(t) / 2).to(t.dtype)

    def sigma(self, t: Time) -> Tensor:
        t = self._time(t)
        return torch.sqrt(-torch.expm1(self._log_alpha2(t))).to(t.dtype)

    def log_snr(self, t: Time) -> Tensor:
        t = self._time(t)
        return -torch.expm1(-self._log_alpha2(t)).log().to(t.dtype)

    def drift(self, t: Time) -> Tensor:
        t = self._time(t)
        return (self._piece(t)[2] * self.steps / 2).to(t.dtype)

    def diffusion(self, t: Time) -> Tensor:
        return torch.sqrt(-2 * self.drift(t))

    def _time_of_level(self, level: Tensor) -> Tensor:
        wanted = -softplus(-level.double())
        table = _ddpm_log_alpha2(self.steps, self.beta_first, self.beta_last).to(wanted.device)
        k = torch.searchsorted(-table, -wanted.detach(), right=True).sub(1).clamp(0, self.steps - 1)
        return ((k + (wanted - table[k]) / (table[k + 1] - table[k])) / self.steps).to(level.dtype)


@dataclass(frozen=True)
class VPCosine(Schedule):
    """Variance preserving, alpha = cos(u) / cos(u0), u = (t + s)/(1 + s) pi/2, on [0, 1] (Nichol and Dhariwal 2021)."""

    s: float = 0.008
    t_max = 1.0

    def __post_init__(self):
        if not 0 <= as_real(self.s, "s") < 1:
            raise ValueError(f"s = {self.s}: 0 <= s < 1 is needed")

    @property
    def _rate(self) -> float:
        return math.pi / 2 / (1 + self.s)

    def _angle(self, t: Time) -> Tensor:
        return (self._time(t) + self.s) * self._rate

    def alpha(self, t: Time) -> Tensor:
        # cos(u) as a sine of the distance to t = 1, where it vanishes.
        return torch.sin((1 - self._time(t)) * self._rate) / math.cos(self.s * self._rate)

    def sigma(self, t: Time) -> Tensor:
        start = self.s * self._rate
        squared = torch.sin(self._time(t) * self._rate) * torch.sin(self._angle(t) + start) / math.cos(start) ** 2
        return torch.sqrt(squared)

    def drift(self, t: Time) -> Tensor:
        # tan(u) as a cotangent of the distance to t = 1: in float32 u may round to beyond its pole
        return -self._rate / torch.tan((1 - self._time(t)) * self._rate)

    def diffusion(self, t: Time) -> Tensor:
        return torch.sqrt(-2 * self.drift(t))  # sigma^2 = 1 - alpha^2, so d sigma^2/dt = -2 drift alpha^2

    def _time_of_level(self, level: Tensor) -> Tensor:
        start = self.s * self._rate
        sin2 = torch.sigmoid(-level) * math.cos(start) ** 2 + math.sin(start) ** 2
        cos2 = torch.sigmoid(level) * math.cos(start) ** 2
        return (torch.atan2(sin2.sqrt(), cos2.sqrt()) / self._rate - self.s).clamp(min=0)


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding, alpha = 1, sigma = t on [0, sigma_max] (Karras et al. 2022)."""

    sigma_max: float = 80.0

    def __post_init__(self):
        if not 0 < as_real(self.sigma_max, "sigma_max") < math.inf:
            raise ValueError(f"sigma_max = {self.sigma_max}: a positive number is needed")

    @property
    def t_max(self) -> float:
        return self.sigma_max

    def alpha(self, t: Time) -> Tensor:
        return torch.ones_like(self._time(t))

    def sigma(self, t: Time) -> Tensor:
        return self._time(t).clone()

    def drift(self, t: Time) -> Tensor:
        return torch.zeros_like(self._time(t))

    def diffusion(self, t: Time) -> Tensor:
        return torch.sqrt(2 * self._time(t))

    def _time_of_level(self, level: Tensor) -> Tensor:
        return torch.exp(-level / 2)


@dataclass(frozen=True)
class Flow(Schedule):
    """Straight-line interpolation of flow matching, alpha = 1 - t, sigma = t on [0, 1] (Lipman et al. 2023).

    drift and diffusion are those of the linear process with the same marginals; they diverge as t -> 1.
    """

    t_max = 1.0

    def alpha(self, t: Time) -> Tensor:
        return 1 - self._time(t)

    def sigma(self, t: Time) -> Tensor:
        return self._time(t).clone()

    def drift(self, t: Time) -> Tensor:
        return -1 / (1 - self._time(t))

    def diffusion(self, t: Time) -> Tensor:
        t = self._time(t)
        return torch.sqrt(2 * t / (1 - t))

    def _time_of_level(self, level: Tensor) -> Tensor:
        return torch.sigmoid(-level / 2)
