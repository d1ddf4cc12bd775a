"""Does any noise make a given image? A search by gradients through the deterministic sampler, on the sphere where noise lies."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_model, check_positive, check_rows, randn
from ..samplers import ddim_step, denoised, log_snr_times
from ..schedules import Schedule, schedule_of


@dataclass(frozen=True)
class NoiseSearch:
    """What a search found.

    Attributes:
        at: updates at which was looked, in order.
        images: what the sampler made of the noise then, (len(at), k, *event_shape).
        errors: mean squared error to the targets, (len(at), k).
        noise: at the end, (k, *event_shape), for a model whose noise has variance 1.
    """

    at: tuple[int, ...]
    images: Tensor = field(repr=False)
    errors: Tensor = field(repr=False)
    noise: Tensor = field(repr=False)


def flow(model, noise: Tensor, times: Tensor, schedule: Schedule) -> Tensor:
    """What DDIM makes of noise, with its gradient, and a last step to no noise.

    Args:
        model: anything with .denoise or .score.
        noise: standard normal numbers, (k, *event_shape).
        times: falling, (T,).
        schedule: what noise at time t means.

    Returns:
        Images, the shape of noise.
    """
    x = noise * schedule.sigma(times[0]).to(noise)
    for t, s in zip(times[:-1], times[1:]):
        x = ddim_step(model, x, t, s, schedule)
    return denoised(model, x, times[-1], schedule)


def search_noise(
    model,
    targets: Tensor,
    *,
    at: Sequence[int] = (0, 10, 25, 50),
    lr: float = 0.1,
    sampler_steps: int = 12,
    log_snr: tuple[float, float] = (-8.0, 4.0),
    free: bool = False,
    schedule: Schedule | None = None,
    batch: int = 64,
    generator: torch.Generator | None = None,
) -> NoiseSearch:
    """Move noise until a model makes given images of it: Adam on the mean squared error, through the whole deterministic generation.

    The flow can be inverted, so that *some* noise leads to nearly every image; what tells a memory is that *usual* noise does, and easily. So after each
    update the noise is put back to the length that it had, about sqrt(d), and the same effort is to be spent on images that the model has not seen. What is not found need not be gone: an exact memory makes
    the same image of all noise around, its gradient vanishes, and the search stands still.

    Args:
        model: anything with .denoise or .score whose gradient exists; it is not changed.
        targets: images on the scale of the model, (k, *event_shape).
        at: updates at which to look, rising; the last one is the budget.
        lr: rate of Adam, in units of the noise.
        sampler_steps: of the generation.
        log_snr: of its start and its end.
        free: True to let the length of the noise go where it will.
        schedule: what noise at time t means; by default that of the model, OU() where it has none.
        batch: targets at a time; the result does not depend on it.
        generator: of the first noise; None for torch's own.

    Returns:
        `NoiseSearch`.

    Raises:
        ValueError: for a model without such a method or whose images have no gradient, updates that do not rise from 0, levels in the wrong
            order, a rate or counts that are not positive.
    """
    check_model(model, "denoise", "score", either=True)
    targets, schedule = check_rows(targets, "targets"), schedule_of(schedule, model)
    if not isinstance(at, Iterable):
        raise ValueError(f"at = {at!r}: whole numbers that rise, from 0 on, are needed")
    at = list(at)
    looks = as_numbers(at, "at").tolist()
    if not looks or looks[0] < 0 or any(b <= a for a, b in zip(looks, looks[1:])) or any(s % 1 for s in looks):
        raise ValueError(f"at = {at}: whole numbers that rise, from 0 on, are needed")
    lr, batch = check_positive(lr, "lr"), check_count(batch, "batch")
    ends_of = as_numbers(log_snr, "log_snr")
    if ends_of.shape != (2,):
        raise ValueError(f"log_snr = {log_snr!r}: two levels, that of the start and that of the end, are needed")
    low, high = ends_of.tolist()
    if not low < high:
        raise ValueError(f"log_snr = {log_snr!r}: a start below the end is needed")
    ends = schedule.time_from_log_snr(torch.tensor([low, high], dtype=torch.float64)).tolist()
    times = log_snr_times(*ends, check_count(sampler_steps, "sampler_steps"), schedule=schedule)
    start = randn(tuple(targets.shape), targets, generator)
    parts = [
        _searched(model, goal, noise, {int(s) for s in looks}, lr, times, free, schedule)
        for goal, noise in zip(targets.split(batch), start.split(batch))
    ]
    images, errors, noise = zip(*parts)
    return NoiseSearch(tuple(int(s) for s in looks), torch.cat(images, 1), torch.cat(errors, 1), torch.cat(noise))


def _searched(model, goal, noise, looks: set[int], lr, times, free: bool, schedule) -> tuple[Tensor, Tensor, Tensor]:
    """Images and errors at the looks, and the noise at the end, of one batch."""
    length = noise.flatten(1).norm(dim=1)
    x, images, errors = noise.clone().requires_grad_(True), [], []
    optimiser = torch.optim.Adam([x], lr=lr)
    for step in range(max(looks) + 1):
        with torch.enable_grad():
            made = flow(model, x, times, schedule)
            error = (made - goal).square().flatten(1).mean(1)
            if not error.requires_grad:
                raise ValueError(
                    f"model is {type(model).__name__}: what it makes has no gradient in the noise (it, or the call, turns gradients off?)"
                )
            (x.grad,) = torch.autograd.grad(error.sum(), [x])
        if step in looks:
            images.append(made.detach()), errors.append(error.detach())
        if step < max(looks):
            optimiser.step()
            if not free:
                with torch.no_grad():
                    scale = length / x.flatten(1).norm(dim=1).clamp(min=math.ulp(0.0))
                    x.mul_(scale.reshape(-1, *[1] * (x.dim() - 1)))
    return torch.stack(images), torch.stack(errors), x.detach()
