"""Generation: from noise to data along a grid of falling times, with any object that has ``.score(x, t, schedule=)``.

All samplers share one signature, ``sampler(model, x, times, ...)``, and generate under the schedule that the model owns; for a model without
one give ``schedule=``. x is (m, *event_shape), a draw of X at
times[0] (see `prior`); times is a falling grid (see `uniform_times`, `log_snr_times`); the result is X at times[-1], or with
``trajectory=True`` the whole path (len(times), m, *event_shape). Each step asks the model once (`heun`: twice).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor

from .distributions.diffused import HALVES
from .numerics.checks import (
    as_numbers,
    as_real,
    check_count,
    check_generator,
    check_memory,
    check_model,
    check_shape,
    check_shaped,
    randn,
    shown,
)
from .schedules import Schedule, owned_by, schedule_of


def prior(
    shape: tuple[int, ...],
    t: float,
    *,
    schedule: Schedule | None = None,
    generator=None,
    dtype=torch.float32,
    device=None,
) -> Tensor:
    """Start of generation, N(0, sigma(t)^2 I), of the given shape."""
    schedule = schedule_of(schedule)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"dtype = {shown(dtype)}: a floating-point dtype, as torch.float32, is needed")
    like = torch.empty(0, dtype=dtype, device=device)
    t = schedule.check_time(as_real(t, "t"))
    return schedule.sigma(t).to(like) * randn(check_shape(shape), like, generator)


def uniform_times(t_hi: float, t_lo: float, steps: int) -> Tensor:
    """Falling grid with equal steps of t, (steps + 1,) float64."""
    steps = _check_range(t_hi, t_lo, steps)
    return torch.linspace(float(t_hi), float(t_lo), steps + 1, dtype=torch.float64)


def log_snr_times(t_hi: float, t_lo: float, steps: int, *, schedule: Schedule | None = None) -> Tensor:
    """Falling grid with equal steps of the log signal-to-noise ratio, (steps + 1,) float64."""
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


def denoised(model, x: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[X_0 | X_t = x] of the model: its own ``denoise`` if it has one, Tweedie's formula on its score otherwise."""
    if hasattr(model, "denoise"):
        return model.denoise(x, t, schedule=schedule)
    alpha, sigma = schedule.alpha(t).to(x), schedule.sigma(t).to(x)
    return (x + sigma**2 * model.score(x, t, schedule=schedule)) / alpha


def _run(
    step: Callable, model, x: Tensor, times: Iterable, schedule: Schedule, trajectory: bool, progress: Callable | None
) -> Tensor:
    check_model(model, "score", "denoise", either=True)
    times = schedule.check_time(as_numbers(times, "times"))
    if times.ndim != 1 or len(times) < 2 or not (times.diff() < 0).all():
        raise ValueError(f"times has shape {tuple(times.shape)}: a falling sequence of at least two times is needed")
    check_shaped(x)
    x = x.float() if x.dtype in HALVES else x
    path = [x]
    for t, s in _watched(zip(times[:-1], times[1:]), progress, len(times) - 1):
        x = step(x, t, s)
        if trajectory:
            path.append(x)
    return torch.stack(path) if trajectory else x


def _watched(pairs: Iterable, progress: Callable | None, total: int) -> Iterator:
    return iter(pairs if progress is None else progress(pairs, total=total))


@torch.no_grad()
def reverse_sde(model, x, times, *, schedule=None, generator=None, trajectory=False, progress=None) -> Tensor:
    """Euler-Maruyama on the reverse SDE dX = [f X - g^2 score] dt + g dB, t falling (Anderson 1982).

    progress: a wrapper of the loop over steps, as tqdm.
    """
    check_model(model, "score")
    schedule = schedule_of(schedule, model)

    def step(x, t, s):
        h = (t - s).to(x)
        f, g = schedule.drift(t).to(x), schedule.diffusion(t).to(x)
        drift = f * x - g**2 * model.score(x, t, schedule=schedule)
        return x - h * drift + g * h.sqrt() * randn(tuple(x.shape), x, generator)

    return _run(step, model, x, times, schedule, trajectory, progress)


@torch.no_grad()
def probability_flow(model, x, times, *, schedule=None, trajectory=False, progress=None) -> Tensor:
    """Euler on the probability-flow ODE dX = [f X - g^2 score / 2] dt: same marginals, no noise (Song et al. 2021)."""
    check_model(model, "score")
    schedule = schedule_of(schedule, model)

    def step(x, t, s):
        f, g = schedule.drift(t).to(x), schedule.diffusion(t).to(x)
        return x - (t - s).to(x) * (f * x - g**2 * model.score(x, t, schedule=schedule) / 2)

    return _run(step, model, x, times, schedule, trajectory, progress)


@torch.no_grad()
def ddim(
    model, x, times, *, schedule=None, eta: float = 0.0, generator=None, trajectory=False, progress=None
) -> Tensor:
    """DDIM (Song et al. 2021): x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c noise, with x0, eps as seen from x_t.

    eta = 0 is deterministic (the probability-flow ODE with its linear part solved exactly); eta = 1 is ancestral sampling,
    where c is the posterior standard deviation sigma_s sqrt(1 - (alpha_t sigma_s / (alpha_s sigma_t))^2).
    """
    schedule = schedule_of(schedule, model)
    check_generator(generator)
    if not 0 <= (eta := as_real(eta, "eta")) <= 1:
        raise ValueError(f"eta = {eta}: a number in [0, 1] is needed")

    def step(x, t, s):
        a_t, s_t, a_s, s_s = schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s)
        x0 = denoised(model, x, t, schedule)
        eps = (x - a_t.to(x) * x0) / s_t.to(x)
        noise_level = eta * s_s * (1 - (a_t * s_s / (a_s * s_t)) ** 2).clamp(min=0).sqrt()
        kept = (s_s**2 - noise_level**2).clamp(min=0).sqrt()
        x = a_s.to(x) * x0 + kept.to(x) * eps
        return x + noise_level.to(x) * randn(tuple(x.shape), x, generator) if eta else x

    return _run(step, model, x, times, schedule, trajectory, progress)


@torch.no_grad()
def heun(model, x, times, *, schedule=None, trajectory=False, progress=None) -> Tensor:
    """Second-order Heun on the probability-flow ODE in y = x / alpha, r = sigma / alpha: dy/dr = eps (Karras et al. 2022)."""
    schedule = schedule_of(schedule, model)
    times = schedule.check_time(as_numbers(times, "times"))
    if schedule.alpha(first := times.flatten()[0]) <= 0:
        raise ValueError(f"times[0] = {float(first):g}: alpha is 0 there, start a little earlier")

    def eps(x, t):
        a, s = schedule.alpha(t).to(x), schedule.sigma(t).to(x)
        return (x - a * denoised(model, x, t, schedule)) / s

    def step(x, t, s):
        a_t, a_s = schedule.alpha(t), schedule.alpha(s)
        h = (schedule.sigma(s) / a_s - schedule.sigma(t) / a_t).to(x)
        slope = eps(x, t)
        y = x / a_t.to(x)
        guess = a_s.to(x) * (y + h * slope)
        return a_s.to(x) * (y + h * (slope + eps(guess, s)) / 2)

    return _run(step, model, x, times, schedule, trajectory, progress)


@torch.no_grad()
def dpm_solver_2m(model, x, times, *, schedule=None, trajectory=False, progress=None) -> Tensor:
    """DPM-Solver++ (2M) on the probability-flow ODE, second order with one call of the model a step (Lu et al. 2022).

    With l = log(alpha / sigma), from t to s: x_s = sigma_s / sigma_t x_t + alpha_s (1 - e^(-h)) D, h = l_s - l_t, where D is the
    denoised sample continued along a line through the last two of them to the middle of the step; the first step has one only.
    """
    schedule, last = schedule_of(schedule, model), []

    def step(x, t, s):
        h = (schedule.log_snr(s) - schedule.log_snr(t)) / 2
        ahead = seen = denoised(model, x, t, schedule)
        if last:
            before, h_before = last
            ahead = seen + (h / (2 * h_before)).to(x) * (seen - before)
        last[:] = seen, h
        ratio = schedule.sigma(s) / schedule.sigma(t)
        return ratio.to(x) * x - (schedule.alpha(s) * torch.expm1(-h)).to(x) * ahead

    return _run(step, model, x, times, schedule, trajectory, progress)


def generate(
    model,
    m: int,
    *,
    shape: tuple[int, ...] | None = None,
    schedule: Schedule | None = None,
    steps: int = 18,
    log_snr: tuple[float, float] = (-8.0, 4.0),
    last_denoise: bool = True,
    sampler: Callable = heun,
    generator=None,
    batch: int = 512,
    progress: Callable | None = None,
) -> Tensor:
    """m samples of a model by one call, (m, *shape): from noise at log_snr[0] to data at log_snr[1], equal steps in log-SNR.

    last_denoise: replace the end by the model's E[X_0 | X_t], a last step to no noise at all (Karras et al. 2022); without it the
    end should lie at less noise. shape and schedule: by default the model's own event_shape and schedule. sampler: one of this module. batch: samples at a
    time; the start is drawn for all of them first, so the result does not depend on it. progress: a wrapper of the loop over batches.
    """
    m, batch, steps = check_count(m), check_count(batch, "batch"), check_count(steps, "steps")
    check_model(model, "score", "denoise", either=True)
    if not callable(sampler) or isinstance(sampler, type):
        raise ValueError(f"sampler = {shown(sampler)}: one of this module, as heun, is needed")
    shape = check_shape(model.event_shape if shape is None else shape)
    schedule = schedule_of(schedule, model)
    ends = as_numbers(log_snr, "log_snr").reshape(-1).tolist()
    low, high = ends if len(ends) == 2 else (math.nan, math.nan)
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"log_snr = {shown(log_snr)}: (low, high) with low < high is needed")
    t_hi, t_lo = schedule.time_from_log_snr(torch.tensor([low, high], dtype=torch.float64)).tolist()
    like = next(iter(model.parameters()), torch.empty(0)) if hasattr(model, "parameters") else torch.empty(0)
    check_memory(m * math.prod(shape), like.dtype, f"m = {shown(m)}, shape = {shape}")
    start = prior(
        (m, *shape),
        t_hi,
        schedule=schedule,
        generator=generator,
        dtype=like.dtype,
        device=like.device,
    )
    times = log_snr_times(t_hi, t_lo, steps, schedule=schedule)
    options = {"generator": generator} if sampler is reverse_sde else {}
    parts, found = start.split(min(batch, m)), []
    for x in parts if progress is None else progress(parts):
        x = sampler(model, x, times, schedule=schedule, **options)
        with torch.no_grad():
            found.append(denoised(model, x, times[-1], schedule) if last_denoise else x)
    return torch.cat(found)


class Switch:
    """A model that uses different scores over different parts of the trajectory; see `switch`."""

    def __init__(self, parts: Mapping[tuple[float, float], object]):
        if not isinstance(parts, Mapping) or not all(isinstance(key, tuple) and len(key) == 2 for key in parts):
            raise ValueError(f"parts = {shown(parts)}: {{(t_hi, t_lo): model, ...}} is needed")
        if not parts:
            raise ValueError("parts is empty: {(t_hi, t_lo): model, ...} is needed")
        for (hi, lo), model in parts.items():
            (
                as_real(hi, "t_hi"),
                as_real(lo, "t_lo"),
                check_model(model, "score", "denoise", name=f"parts[{hi}, {lo}]", either=True),
            )
        self.parts = dict(sorted(parts.items(), reverse=True))
        schedule_of(None, *self.parts.values())  # an error where two of them disagree
        self.own_schedule = next(filter(None, map(owned_by, self.parts.values())), None)
        edges = list(self.parts)
        for hi, lo in edges:
            if not 0 <= lo < hi:
                raise ValueError(f"parts has the interval ({hi}, {lo}): 0 <= t_lo < t_hi is needed")
        for (_, lo), (hi, _) in zip(edges, edges[1:]):
            if lo != hi:
                raise ValueError(f"parts leaves a gap or an overlap between {lo} and {hi}: intervals must meet")

    @property
    def schedule(self) -> Schedule:
        """That of the parts that have one of their own, OU() where none has."""
        return schedule_of(None, self)

    def parameters(self) -> Iterator[Tensor]:
        """Parameters of the networks among the models: `generate` takes dtype and device from them."""
        for model in self.parts.values():
            yield from model.parameters() if hasattr(model, "parameters") else ()

    def at(self, t: float):
        """The model in charge at time t: t_lo < t <= t_hi (the last part takes its t_lo too)."""
        t = as_real(t, "t")
        for (hi, lo), model in self.parts.items():
            if lo < t <= hi or (t == lo and (hi, lo) == list(self.parts)[-1]):
                return model
        raise ValueError(
            f"t = {t:g} is not covered: parts cover ({list(self.parts)[-1][1]}, {next(iter(self.parts))[0]}]"
        )

    def score(self, x: Tensor, t, *, schedule: Schedule | None = None) -> Tensor:
        """Score of the model in charge at t (one time for all rows)."""
        return self.at(t).score(x, t, schedule=schedule_of(schedule, self))

    def denoise(self, x: Tensor, t, *, schedule: Schedule | None = None) -> Tensor:
        """E[X_0 | X_t = x] of the model in charge at t."""
        return denoised(self.at(t), x, t, schedule_of(schedule, self))


def switch(parts: Mapping[tuple[float, float], object]) -> Switch:
    """Model that follows {(t_hi, t_lo): model, ...}: each model is used for t_lo < t <= t_hi. Intervals must meet."""
    return Switch(parts)
