"""What training minimises: the denoising loss of each sample, its weight, and the times at which it is taken."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..networks.denoiser import Denoiser
from ..numerics.checks import randn
from ..parameterizations import PREDICTIONS, loss_weight
from ..schedules import Schedule


def denoising_terms(
    model: Denoiser, x0: Tensor, t: Tensor | float, *, eps: Tensor | None = None, weight="eps", generator=None
) -> Tensor:
    """Loss of each sample: ||eps_model(x_t, t) - eps||^2, x_t = alpha x0 + sigma eps, times a factor (Vincent 2011).

    Args:
        model: a single denoiser, or a stack of c.
        x0: (m, *event_shape), or (c, m, *event_shape) for a stack (`expand` a set that all copies share).
        t: a number, (m,) or (c, m).
        eps: the noise, of the shape of x0, drawn if None.
        weight: what is to be counted, "eps", "score", "x0" or "v", or a function of t that multiplies the *score* loss, as in
            `losses.denoising_loss`; "eps" is sigma^2 times the score loss.
        generator: of the noise.

    Returns:
        (m,) or (c, m).

    Raises:
        ValueError: shapes that do not fit, times that the schedule does not have, another weight.
    """
    schedule, events = model.schedule, len(model.event_shape)
    t = schedule.check_time(t).to(x0.device)
    column = t.reshape(*t.shape, *[1] * events) if t.ndim else t
    eps = randn(tuple(x0.shape), x0, generator) if eps is None else eps
    xt = schedule.add_noise(x0, column, eps)
    terms = (model.eps(xt, t) - eps).square().flatten(-events).sum(-1)
    return terms if weight == "eps" else loss_factor(weight, t, schedule).to(terms) * terms


def loss_factor(weight: str | Callable[[Tensor], Tensor], t: Tensor, schedule: Schedule) -> Tensor:
    """Factor on the squared error of eps that `weight` asks for, shape of t; see `denoising_terms`."""
    check_weight(weight)
    if not callable(weight):
        return loss_weight("eps", weight, t, schedule=schedule)
    given = weight(t)
    factor = given / schedule.sigma(t) ** 2 if isinstance(given, int | float | Tensor) else None
    if factor is None or factor.shape != t.shape:
        what = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else repr(given)
        raise ValueError(f"weight gave {what} for t of shape {tuple(t.shape)}: a tensor of the shape of t is needed")
    return factor


def check_weight(weight: object) -> None:
    """ValueError for a weight that is neither a name out of PREDICTIONS nor a function of t."""
    if isinstance(weight, type) or not (callable(weight) or (isinstance(weight, str) and weight in PREDICTIONS)):
        raise ValueError(f"weight = {weight!r}: one of {', '.join(PREDICTIONS)} or a function of t is needed")


def draw_times(times: Callable, m: int, generator: torch.Generator | None) -> Tensor:
    """times(m, generator) as (m,) numbers; ValueError for anything else. Whether the schedule allows them is checked where they are used."""
    given = times(m, generator)
    try:
        t = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        t = None
    if t is None or t.shape != (m,) or t.is_complex() or t.dtype is torch.bool:
        what = type(given).__name__ if t is None else f"{t.dtype} of shape {tuple(t.shape)}"
        raise ValueError(f"times gave {what} for m = {m}: {m} times in a tensor of shape ({m},) are needed")
    return t.detach()


class DenoisingLoss(nn.Module):
    """The loss as a module, () or (c,): what Accelerate wraps, since it synchronises gradients in `forward`."""

    def __init__(self, model: Denoiser, weight):
        super().__init__()
        self.model, self.weight = model, weight

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return denoising_terms(self.model, x0, t, eps=eps, weight=self.weight).mean(-1)
