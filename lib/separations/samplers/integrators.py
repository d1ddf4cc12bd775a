"""Generation: from noise to data along a grid of falling times, with any object that has ``.score(x, t, schedule=)``.

All samplers share one signature, ``sampler(model, x, times, ...)``, and generate under the schedule that the model owns; for a model without
one give ``schedule=``. x is (m, *event_shape), a draw of X at
times[0] (see `prior`); times is a falling grid (see `uniform_times`, `log_snr_times`); the result is X at times[-1], or with
``trajectory=True`` the whole path (len(times), m, *event_shape). Each step asks the model once (`heun`: twice).
"""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ..distributions.diffused import HALVES
from ..numerics.checks import as_numbers, as_real, check_generator, check_model, check_shaped, randn
from ..schedules import Schedule, schedule_of


def denoised(model, x: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """E[X_0 | X_t = x] of the model: its own ``denoise`` if it has one, Tweedie's formula on its score otherwise.

    Args:
        model: anything with .denoise or .score.
        x: (m, *event_shape).
        t: time > 0, a tensor without dimensions.
        schedule: what noise at time t means.

    Returns:
        The shape of x.
    """
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

    Args:
        model: anything with .score.
        x: (m, *event_shape), a draw of X at times[0], see `prior`; 16 bits are taken as float32.
        times: falling, (T,) with T >= 2, in (0, t_max], see `uniform_times` and `log_snr_times`.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        generator: of the random numbers; None for torch's own.
        trajectory: whether to return the whole path.
        progress: a wrapper of the loop over steps, as tqdm.

    Returns:
        X at times[-1], the shape of x; with `trajectory` the path, (T, *x.shape).

    Raises:
        ValueError: for a model without such a method, times that do not fall or leave the schedule, x that is not finite.
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
    """Euler on the probability-flow ODE dX = [f X - g^2 score / 2] dt: same marginals, no noise (Song et al. 2021).

    Args:
        model: anything with .score.
        x: (m, *event_shape), a draw of X at times[0], see `prior`; 16 bits are taken as float32.
        times: falling, (T,) with T >= 2, in (0, t_max], see `uniform_times` and `log_snr_times`.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        trajectory: whether to return the whole path.
        progress: a wrapper of the loop over steps, as tqdm.

    Returns:
        X at times[-1], the shape of x; with `trajectory` the path, (T, *x.shape).

    Raises:
        ValueError: for a model without such a method, times that do not fall or leave the schedule, x that is not finite.
    """
    check_model(model, "score")
    schedule = schedule_of(schedule, model)

    def step(x, t, s):
        f, g = schedule.drift(t).to(x), schedule.diffusion(t).to(x)
        return x - (t - s).to(x) * (f * x - g**2 * model.score(x, t, schedule=schedule) / 2)

    return _run(step, model, x, times, schedule, trajectory, progress)


def ddim_step(
    model, x: Tensor, t: Tensor, s: Tensor, schedule: Schedule, *, eta: float = 0.0, generator=None
) -> Tensor:
    """One step of `ddim`, towards less noise or, at eta = 0, more; with its gradient where one is wanted.

    Args:
        model: anything with .denoise or .score.
        x: X at t, (m, *event_shape).
        t, s: times > 0, tensors without dimensions; s < t unless eta = 0.
        schedule: what noise at time t means.
        eta: share of the noise of ancestral sampling, in [0, 1].
        generator: of that noise; None for torch's own.

    Returns:
        X at s, the shape of x.
    """
    a_t, s_t, a_s, s_s = schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s)
    x0 = denoised(model, x, t, schedule)
    eps = (x - a_t.to(x) * x0) / s_t.to(x)
    noise_level = eta * s_s * (1 - (a_t * s_s / (a_s * s_t)) ** 2).clamp(min=0).sqrt()
    kept = (s_s**2 - noise_level**2).clamp(min=0).sqrt()
    x = a_s.to(x) * x0 + kept.to(x) * eps
    return x + noise_level.to(x) * randn(tuple(x.shape), x, generator) if eta else x


@torch.no_grad()
def ddim(
    model, x, times, *, schedule=None, eta: float = 0.0, generator=None, trajectory=False, progress=None
) -> Tensor:
    """DDIM (Song et al. 2021): x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c noise, with x0, eps as seen from x_t.

    eta = 0 is deterministic (the probability-flow ODE with its linear part solved exactly); eta = 1 is ancestral sampling,
    where c is the posterior standard deviation sigma_s sqrt(1 - (alpha_t sigma_s / (alpha_s sigma_t))^2).

    Args:
        model: anything with .score or .denoise.
        x: (m, *event_shape), a draw of X at times[0], see `prior`; 16 bits are taken as float32.
        times: falling, (T,) with T >= 2, in (0, t_max], see `uniform_times` and `log_snr_times`.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        eta: share of the noise of ancestral sampling, in [0, 1].
        generator: of the random numbers; None for torch's own.
        trajectory: whether to return the whole path.
        progress: a wrapper of the loop over steps, as tqdm.

    Returns:
        X at times[-1], the shape of x; with `trajectory` the path, (T, *x.shape).

    Raises:
        ValueError: for a model without such a method, times that do not fall or leave the schedule, x that is not finite, eta outside [0, 1].
    """
    schedule = schedule_of(schedule, model)
    check_generator(generator)
    if not 0 <= (eta := as_real(eta, "eta")) <= 1:
        raise ValueError(f"eta = {eta}: a number in [0, 1] is needed")

    def step(x, t, s):
        return ddim_step(model, x, t, s, schedule, eta=eta, generator=generator)

    return _run(step, model, x, times, schedule, trajectory, progress)


@torch.no_grad()
def heun(model, x, times, *, schedule=None, trajectory=False, progress=None) -> Tensor:
    """Second-order Heun on the probability-flow ODE in y = x / alpha, r = sigma / alpha: dy/dr = eps (Karras et al. 2022).

    Args:
        model: anything with .score or .denoise.
        x: (m, *event_shape), a draw of X at times[0], see `prior`; 16 bits are taken as float32.
        times: falling, (T,) with T >= 2, in (0, t_max], see `uniform_times` and `log_snr_times`.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        trajectory: whether to return the whole path.
        progress: a wrapper of the loop over steps, as tqdm.

    Returns:
        X at times[-1], the shape of x; with `trajectory` the path, (T, *x.shape).

    Raises:
        ValueError: for a model without such a method, times that do not fall or leave the schedule, x that is not finite, and where alpha(times[0]) = 0.
    """
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

    Args:
        model: anything with .score or .denoise.
        x: (m, *event_shape), a draw of X at times[0], see `prior`; 16 bits are taken as float32.
        times: falling, (T,) with T >= 2, in (0, t_max], see `uniform_times` and `log_snr_times`.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        trajectory: whether to return the whole path.
        progress: a wrapper of the loop over steps, as tqdm.

    Returns:
        X at times[-1], the shape of x; with `trajectory` the path, (T, *x.shape).

    Raises:
        ValueError: for a model without such a method, times that do not fall or leave the schedule, x that is not finite.
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
