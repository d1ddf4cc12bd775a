"""The interval sampler of Vu et al. (2026), whole steps instead of a continuous time, and the min-SNR weight: more of `timesteps`."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, as_real, check_count, check_model, uniform
from ..schedules import Schedule, VPLinear, check_schedule


@dataclass(frozen=True)
class ConfidenceInterval:
    """Times from a normal law that has the share `coverage` in [low, high] (Vu et al. 2026, eqs. 6 to 12), on [0, T].

    `sample`, `density` and `cdf` speak of t, in units of the schedule; what begins with `step_` speaks of steps. The
    normal law has

        mean = (low + high) / 2,   std = (high - low) / (2 z),   P(|Z| <= z) = coverage (0.5: z = 0.67449),

    is cut to [0, T], and the mass that was outside, `tail`, is spread evenly: p = inside * cut + (1 - inside) / T with
    inside = 1 - tail. Since cut = normal / inside on [0, T], that is p = normal + tail / T.

    Args:
        low, high: in units of T.
        coverage: share of the normal law in [low, high].
        T: 1,000 as in DDPM; step T is the time t_max, and between them t = t_max * step / T.
        schedule: what noise at time t means.
        t_max: by default the last time of the schedule; OU has none and needs one.

    Raises:
        ValueError: unless 0 <= low < high <= T, 0 < coverage < 1, and for a schedule without a last time or t_max
            beyond it.
    """

    low: float
    high: float
    coverage: float = 0.5
    T: float = 1000.0
    schedule: Schedule = field(default_factory=VPLinear)
    t_max: float | None = None

    def __post_init__(self):
        check_schedule(self.schedule)
        if not 0 < as_real(self.T, "T") < math.inf:
            raise ValueError(f"T = {self.T}: a positive number of steps is needed")
        if not 0 <= as_real(self.low, "low") < as_real(self.high, "high") <= self.T:
            raise ValueError(f"low = {self.low}, high = {self.high}: 0 <= low < high <= T = {self.T:g} is needed")
        if not 0 < as_real(self.coverage, "coverage") < 1:
            raise ValueError(f"coverage = {self.coverage}: a number in (0, 1) is needed")
        if self.t_max is None and math.isinf(self.schedule.t_max):
            raise ValueError(
                f"t_max = None: {self.schedule} has no last time, the time that step T stands for is needed"
            )
        if self.t_max is not None and not 0 < as_real(self.t_max, "t_max") <= self.schedule.t_max:
            raise ValueError(f"t_max = {self.t_max}: a number in (0, {self.schedule.t_max:g}] is needed")

    @property
    def mean(self) -> float:
        """Mean of the normal law before it is cut, in steps."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """high - low, in steps."""
        return self.high - self.low

    @property
    def std(self) -> float:
        """Standard deviation of the normal law before it is cut, in steps."""
        z = float(torch.special.ndtri(torch.tensor((1 + self.coverage) / 2, dtype=torch.float64)))
        return self.width / (2 * z)

    @property
    def tail(self) -> float:
        """P_tail, the mass of the normal law outside [0, T]."""
        below, above = self.mean / self.std, (self.T - self.mean) / self.std
        return (math.erfc(below / math.sqrt(2)) + math.erfc(above / math.sqrt(2))) / 2

    def step_density(self, step) -> Tensor:
        """p(step) per step, shape of step; 0 outside [0, T]."""
        step = as_numbers(step, "step")
        inside = (step >= 0) & (step <= self.T)
        return inside * (self._normal(step) + self.tail / self.T)

    def step_density_slope(self, step) -> Tensor:
        """d p(step) / d mean at a fixed width, shape of step: that of the normal law, and that of the mass that moves.

            (step - mean) / std^2 normal(step) + (normal(T) - normal(0)) / T

        Vu et al. give (step - mean) / std^2 p(step), which is right where no mass is moved.
        """
        step = as_numbers(step, "step")
        inside = (step >= 0) & (step <= self.T)
        ends = self._normal(torch.tensor([0.0, self.T], dtype=torch.float64))
        return inside * ((step - self.mean) / self.std**2 * self._normal(step) + float(ends[1] - ends[0]) / self.T)

    def density(self, t) -> Tensor:
        """p(t) per unit of t, shape of t."""
        return self.step_density(as_numbers(t, "t") / self._unit) / self._unit

    def cdf(self, t) -> Tensor:
        """P(time <= t), shape of t."""
        step = (as_numbers(t, "t") / self._unit).clamp(0, self.T)
        below = self._ndtr(torch.tensor(0.0, dtype=torch.float64))
        return self._ndtr(step) - below + self.tail * step / self.T

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times in (0, t_max], float64: with probability 1 - tail from the cut normal law, else uniform."""
        moved, u = uniform(m, generator) < self.tail, 1 - uniform(m, generator)  # u in (0, 1]
        low, high = (self._ndtr(torch.tensor(end, dtype=torch.float64)) for end in (0.0, self.T))
        cut = self.mean + self.std * torch.special.ndtri(float(low) + u * float(high - low))
        step = torch.where(moved, u * self.T, cut)
        return self._unit * step.clamp(1e-9 * self.T, self.T)  # rounding; at time 0 there is no noise to learn from

    @property
    def _unit(self) -> float:
        """Time of one step."""
        return (self.schedule.t_max if self.t_max is None else self.t_max) / self.T

    def _normal(self, step: Tensor) -> Tensor:
        return torch.exp(-((step - self.mean) / self.std).square() / 2) / (self.std * math.sqrt(2 * math.pi))

    def _ndtr(self, step: Tensor) -> Tensor:
        return torch.special.ndtr((step - self.mean) / self.std)


@dataclass(frozen=True)
class DiscreteTimes:
    """Whole steps 1, ..., T as in DDPM (Ho et al. 2020): a time drawn from `times` is moved up to the next of t_max s / T.

    With `schedules.DDPM` these times have the noise levels of DDPM exactly. `mass` is what a density is for a
    continuous time.

    Args:
        times: any distribution of this module on (0, t_max].
        T: number of steps.
        t_max: the time of step T.

    Raises:
        ValueError: for times without sample or cdf, and unless T is a positive whole number and t_max positive and
            finite.
    """

    times: object
    T: int = 1000
    t_max: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "T", check_count(self.T, "T"))
        if not callable(getattr(self.times, "sample", None)) or not callable(getattr(self.times, "cdf", None)):
            raise ValueError(f"times = {self.times!r}: a distribution with .sample and .cdf is needed")
        if not 0 < as_real(self.t_max, "t_max") < math.inf:
            raise ValueError(f"t_max = {self.t_max}: a positive number is needed")

    def steps(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) whole numbers in 1..T, int64. A time above t_max is an error."""
        t = self.times.sample(m, generator)
        if float(t.max()) > self.t_max * (1 + 1e-12):
            raise ValueError(
                f"t_max = {self.t_max}: {self.times} drew t = {float(t.max()):g}; a larger t_max is needed"
            )
        # a time on the grid stays there, whatever the last digit of t T / t_max is
        return (t * (self.T / self.t_max) - 1e-9).ceil().clamp(1, self.T).long()

    def sample(self, m: int, generator: torch.Generator | None = None) -> Tensor:
        """(m,) times t_max s / T, float64."""
        return self.steps(m, generator).double() * (self.t_max / self.T)

    def mass(self) -> Tensor:
        """P(s) for s = 1, ..., T, (T,) float64."""
        grid = torch.arange(1, self.T + 1, dtype=torch.float64) * (self.t_max / self.T)
        grid[-1] = self.t_max
        return torch.diff(self.times.cdf(grid), prepend=grid.new_zeros(1))


@dataclass(frozen=True)
class MinSNR:
    """Min-SNR weight (Hang et al. 2023): the squared error of x0 times min(SNR, gamma), as a `weight` of `training.train`.

    In units of the noise that is the eps loss times min(1, gamma / SNR); called with t it gives the factor on the score
    loss, sigma^2 min(1, gamma / SNR), which is what a function as `weight` has to be.

    Args:
        gamma: the largest weight, a positive number.
        schedule: what noise at time t means.

    Raises:
        ValueError: unless gamma is positive and finite.
    """

    gamma: float = 5.0
    schedule: Schedule = field(default_factory=VPLinear)

    def __post_init__(self):
        check_schedule(self.schedule)
        if not 0 < as_real(self.gamma, "gamma") < math.inf:
            raise ValueError(f"gamma = {self.gamma}: a positive number is needed")

    def __call__(self, t) -> Tensor:
        """Factor on the score loss, shape of t."""
        return self.schedule.sigma(t) ** 2 * (math.log(self.gamma) - self.schedule.log_snr(t)).clamp(max=0).exp()


def contribution(times, t, *, schedule: Schedule) -> Tensor:
    """C(t) = p(t) SNR(t): what Vu et al. (2026, eq. 3) take time t to contribute to the gradient, up to a factor.

    Args:
        times: anything with a density.
        t: time, a number or an array.
        schedule: what noise at time t means.

    Returns:
        C(t), shape of t.

    Raises:
        ValueError: for t outside (0, t_max], and times without a density.
    """
    t = check_schedule(schedule).check_time(t)
    check_model(times, "density", name="times")
    return times.density(t) * schedule.log_snr(t).exp()
