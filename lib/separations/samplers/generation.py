"""Samples of a model by one call."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_memory, check_model, check_shape, shown
from ..schedules import Schedule, schedule_of
from .grids import log_snr_times, prior
from .integrators import denoised, heun, reverse_sde


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
    """m samples of a model by one call: from noise at log_snr[0] to data at log_snr[1], equal steps in log-SNR.

    Args:
        model: anything with .score or .denoise.
        m: number of samples.
        shape: of one sample; by default the model's event_shape.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        steps: of the sampler.
        log_snr: of the start and of the end, the lower first.
        last_denoise: whether to replace the end by the model's E[X_0 | X_t], a last step to no noise at all (Karras et al. 2022);
            without it the end should lie at less noise.
        sampler: one of this room.
        generator: of the random numbers; None for torch's own.
        batch: samples at a time; the start is drawn for all of them first, so the result does not depend on it.
        progress: a wrapper of the loop over batches, as tqdm.

    Returns:
        (m, *shape), in the dtype and on the device of the model's parameters, float32 where it has none.

    Raises:
        ValueError: for a model without such a method, counts below 1, log-SNRs that do not rise or that the schedule never
            reaches, more samples than memory holds.
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
