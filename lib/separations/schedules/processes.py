"""The forward processes of the field: Ornstein-Uhlenbeck, variance preserving, variance exploding, flow matching."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..numerics.checks import as_real, check_whole
from .base import Schedule, Time


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
    """Variance preserving, beta(t) = beta_min + (beta_max - beta_min) t on [0, 1] (Ho et al. 2020; Song et al. 2021).

    Args:
        beta_min: beta(0) > 0, per unit of time.
        beta_max: beta(1) >= beta_min.

    Raises:
        ValueError: unless 0 < beta_min <= beta_max < inf.
    """

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

    Args:
        steps: number of steps, a whole number >= 1.
        beta_first: beta_1 > 0.
        beta_last: beta of the last step, < 1.

    Raises:
        ValueError: unless steps >= 1 and 0 < beta_first <= beta_last < 1.
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
