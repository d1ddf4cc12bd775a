"""What a network may predict, score, eps, x0 or v, and how each becomes the others.

With X_t = alpha x0 + sigma eps and v = alpha eps - sigma x0 (Salimans and Ho 2022), each of the four is an affine function of
X_t and any other one: target = a X_t + b source. The two coefficients say everything: how to convert (`convert`), which
weight a squared error takes along (`loss_weight`, b^2), and where a conversion is ill-conditioned (|b| large).

The same formulas hold for one noisy sample (score = -eps / sigma, the conditional score) and, by linearity, for conditional
expectations given X_t = x (score = grad log p_t, x0 = E[X_0 | X_t = x]: Tweedie's formula).
"""

import torch
from torch import Tensor

from .numerics.checks import as_numbers, check_shaped
from .schedules import Schedule, Time, schedule_of

PREDICTIONS = ("score", "eps", "x0", "v")


def coefficients(source: str, target: str, t: Time, *, schedule: Schedule | None = None) -> tuple[Tensor, Tensor]:
    """a and b of target = a X_t + b source.

    Args:
        source, target: names out of PREDICTIONS.
        t: time in (0, t_max], of any shape.
        schedule: what noise at time t means, OU() by default.

    Returns:
        a and b, float64, each of the shape of t.

    Raises:
        ValueError: for another name, t outside (0, t_max], and where alpha(t) = 0 so that the conversion does not exist.
    """
    for name, value in (("source", source), ("target", target)):
        if value not in PREDICTIONS:
            raise ValueError(f"{name} = {value!r}: one of {', '.join(PREDICTIONS)} is needed")
    schedule = schedule_of(schedule)
    t = schedule.check_time(t)
    al, si = schedule.alpha(t), schedule.sigma(t)
    r2 = al**2 + si**2  # 1 for variance-preserving schedules
    zero = torch.zeros_like(al)
    table = {
        ("score", "eps"): (zero, -si),
        ("score", "x0"): (1 / al, si**2 / al),
        ("score", "v"): (-si / al, -r2 * si / al),
        ("eps", "score"): (zero, -1 / si),
        ("eps", "x0"): (1 / al, -si / al),
        ("eps", "v"): (-si / al, r2 / al),
        ("x0", "score"): (-1 / si**2, al / si**2),
        ("x0", "eps"): (1 / si, -al / si),
        ("x0", "v"): (al / si, -r2 / si),
        ("v", "score"): (-1 / r2, -al / (si * r2)),
        ("v", "eps"): (si / r2, al / r2),
        ("v", "x0"): (al / r2, -si / r2),
    }
    a, b = (zero, zero + 1) if source == target else table[source, target]
    bad = ~(a.isfinite() & b.isfinite())
    if bad.any():
        raise ValueError(
            f"t = {t[bad].flatten()[0].item():g}: alpha is 0 there, so {source} does not determine {target}"
        )
    return a, b


def convert(value: Tensor, x: Tensor, t: Time, *, source: str, target: str, schedule: Schedule | None = None) -> Tensor:
    """The target that belongs to the source `value` at X_t = x, in the dtype of x.

    Args:
        value: the source, (m, *event_shape).
        x: X_t, the shape of value.
        t: time in (0, t_max], a number or (m,).
        source, target: names out of PREDICTIONS.
        schedule: what noise at time t means, OU() by default.

    Returns:
        The shape of x.

    Raises:
        ValueError: as `coefficients`, and for shapes that do not fit.
    """
    check_shaped(x), check_shaped(value, source if source in PREDICTIONS else "value")
    if value.shape != x.shape:
        raise ValueError(f"{source} has shape {tuple(value.shape)}: the shape of x, {tuple(x.shape)}, is needed")
    t = as_numbers(t, "t").to(x.device)
    if t.ndim and t.shape != x.shape[:1]:
        raise ValueError(
            f"t has shape {tuple(t.shape)}: a number or shape ({len(x)},), one time per row of x, is needed"
        )
    if t.ndim:
        t = t.reshape(-1, *[1] * (x.ndim - 1))
    a, b = (c.to(x) for c in coefficients(source, target, t, schedule=schedule))
    return a * x + b * value


def loss_weight(source: str, target: str, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """b^2: a squared error of the target is loss_weight times that of the source.

    loss_weight("score", "eps", t) = sigma^2: the eps loss is the score loss times sigma^2.

    Args:
        source, target: names out of PREDICTIONS.
        t: time in (0, t_max], of any shape.
        schedule: what noise at time t means, OU() by default.

    Returns:
        float64, shape of t.

    Raises:
        ValueError: as `coefficients`.
    """
    return coefficients(source, target, t, schedule=schedule)[1] ** 2


def score_from_eps(eps: Tensor, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """score = -eps / sigma.

    Args:
        eps: (m, *event_shape).
        x: X_t, the shape of eps.
        t: time in (0, t_max], a number or (m,).
        schedule: what noise at time t means, OU() by default.

    Returns:
        The shape of x.

    Raises:
        ValueError: as `convert`.
    """
    return convert(eps, x, t, source="eps", target="score", schedule=schedule)
