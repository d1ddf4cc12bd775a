"""Was this point in the training set? Two signs beside the plain loss: an error of two steps, and a second network as a reference."""

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_finite, check_generator, check_model, check_real, check_shaped, randn
from ..numerics.seeds import seeded
from ..samplers import ddim_step, denoised
from ..schedules import Schedule, Time, schedule_of


@torch.no_grad()
def t_error(
    model,
    x0: Tensor,
    log_snr: float,
    *,
    step: float = 0.5,
    steps: int = 8,
    start: float = 8.0,
    schedule: Schedule | None = None,
) -> Tensor:
    """|x~ - x^|^2 / d: a point is carried to a noise level without noise, one step further, and one step back (Duan et al. 2023).

    All steps are those of deterministic DDIM, x_s = alpha_s D + sigma_s eps with D and eps as the model sees them at t. Where the model
    returns the same D and eps on both steps, as at a training point that it knows, the error is 0. There with steps of time; here even
    steps in log-SNR, as no clock matters then.

    Args:
        model: anything with .denoise or .score.
        x0: clean points, (m, *event_shape).
        log_snr: the level.
        step: of the last step, > 0, in log-SNR.
        steps: that lead to the level.
        start: level at which a clean point is asked about first, above log_snr.
        schedule: what noise at time t means; by default that of the model, OU() where it has none.

    Returns:
        (m,) float64, small where a point is likelier to be a member.

    Raises:
        ValueError: for a model without such a method, levels in the wrong order, other steps.
    """
    check_model(model, "denoise", "score", either=True)
    x0, schedule, steps = check_shaped(x0, "x0"), schedule_of(schedule, model), check_count(steps, "steps")
    start, step = check_real(start, "start"), check_real(step, "step", "a positive number", low=0, open_low=True)
    level = check_real(log_snr, "log_snr", f"a number below start = {start:g}", high=start, open_high=True)
    grid = [*torch.linspace(start, level, steps + 1, dtype=torch.float64).tolist(), level - step]
    times = schedule.time_from_log_snr(torch.tensor(grid, dtype=torch.float64))
    x = x0 * schedule.alpha(times[0]).to(x0)
    for t, s in zip(times[:-2], times[1:-1]):
        x = ddim_step(model, x, t, s, schedule)
    back = ddim_step(model, ddim_step(model, x, times[-2], times[-1], schedule), times[-1], times[-2], schedule)
    return (x.double() - back.double()).square().flatten(1).mean(1)


@torch.no_grad()
def denoising_loss(
    model,
    x0: Tensor,
    t: Time,
    *,
    draws: int = 8,
    schedule: Schedule | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """|D(x_t, t) - x0|^2 / d of each point, the mean over draws of noise.

    Args:
        model: anything with .denoise or .score.
        x0: clean points, (m, *event_shape).
        t: time in (0, t_max], a number.
        draws: of noise for each point.
        schedule: what noise at time t means; by default that of the model, OU() where it has none.
        generator: of the noise; None for torch's own.

    Returns:
        (m,) float64.

    Raises:
        ValueError: for a model without such a method, bad x0, t or draws.
    """
    check_model(model, "denoise", "score", either=True)
    x0, schedule, draws = check_shaped(x0, "x0"), schedule_of(schedule, model), check_count(draws, "draws")
    check_generator(generator)
    t, total = schedule.check_time(t), torch.zeros(len(x0), dtype=torch.float64, device=x0.device)
    for _ in range(draws):
        x = schedule.add_noise(x0, t, randn(tuple(x0.shape), x0, generator))
        total += (denoised(model, x, t, schedule).double() - x0.double()).square().flatten(1).mean(1) / draws
    return check_finite(total, "the loss")


def loss_ratio(
    model, reference, x0: Tensor, t: Time, *, draws: int = 8, schedule: Schedule | None = None, seed: int = 0
) -> Tensor:
    """log of the loss of a reference less that of the model, both under the same noise: what the model knows of a point beyond how easy it is.

    The reference has seen other points of the same law. An easy image has a small loss under both, and is no member for that. It is the
    likelihood ratio of membership inference (Carlini et al. 2022) with one reference and the denoising loss for the likelihood.

    Args:
        model, reference: anything with .denoise or .score.
        x0: clean points, (m, *event_shape).
        t: time in (0, t_max], a number.
        draws: of noise for each point.
        schedule: what noise at time t means; by default that of the models, OU() where none has its own.
        seed: of the noise, the same for both, see `numerics.seeded`.

    Returns:
        (m,) float64, large where a point is likelier to be a member.

    Raises:
        ValueError: for models without such a method, bad x0, t, draws or seed.
    """
    schedule = schedule_of(schedule, model, reference)
    ours, theirs = (
        denoising_loss(each, x0, t, draws=draws, schedule=schedule, generator=seeded(seed))
        for each in (model, reference)
    )
    tiny = torch.finfo(torch.float64).tiny
    return theirs.clamp(min=tiny).log() - ours.clamp(min=tiny).log()
