"""The derivative of what a score denoises to, and its spectrum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..numerics.checks import check_memory, check_model, check_shaped, shown
from ..samplers import denoised
from ..schedules import Schedule, Time, schedule_of

STEP = 1e-4  # of a central difference, in units of the noise
AT_ONCE = 2**22  # numbers of moved points at a time
METHODS = ("auto", "autograd", "differences")


@dataclass(frozen=True)
class JacobianSpectrum:
    """Spectra of the derivative of denoise in y = x / alpha at k points.

    Attributes:
        matrices: (k, d, d) float64, output by input.
        eigenvalues: of their symmetric parts, (k, d), the largest first.
        antisymmetric: share of the Frobenius norm that is in the antisymmetric part, (k,).
    """

    matrices: Tensor
    eigenvalues: Tensor
    antisymmetric: Tensor


def jacobian_spectrum(
    score, x: Tensor, t: Time, *, method: str = "auto", schedule: Schedule | None = None
) -> JacobianSpectrum:
    """The derivative d D / d y of the denoised point D(alpha y, t), at given noisy points.

    For the posterior mean of a law it is Cov[X_0 | X_t = x] / nu, nu = sigma^2 / alpha^2: symmetric, with eigenvalues >= 0.

    Args:
        score: anything with .denoise or .score.
        x: noisy points, (k, *event_shape).
        t: time in (0, t_max], a number.
        method: "autograd", d backward passes; "differences", 2 d questions a point in float64, central with steps of 1e-4 sigma; "auto" takes
            the first where the score is differentiable.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.

    Returns:
        `JacobianSpectrum`.

    Raises:
        ValueError: for another method, a score without gradient under "autograd", bad x or t.
    """
    check_model(score, "denoise", "score", either=True)
    if method not in METHODS:
        raise ValueError(f"method = {shown(method)}: one of {', '.join(METHODS)} is needed")
    x, schedule = check_shaped(x, "x").detach(), schedule_of(schedule, score)
    t = schedule.check_time(t)
    if t.ndim:
        raise ValueError(f"t has shape {tuple(t.shape)}: a number is needed")
    d = x[0].numel()
    check_memory(3 * len(x) * d * d, torch.float64, f"x has shape {tuple(x.shape)}")
    found = None if method == "differences" else _by_autograd(score, x, t, schedule)
    if found is None and method == "autograd":
        raise ValueError("score carries no gradient to x: a differentiable one, or method = 'differences', is needed")
    found = _by_differences(score, x, t, schedule) if found is None else found
    matrices = float(schedule.alpha(t)) * found.double()
    whole = matrices.flatten(1).norm(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    even, odd = (matrices + matrices.mT) / 2, (matrices - matrices.mT) / 2
    return JacobianSpectrum(matrices, torch.linalg.eigvalsh(even).flip(-1), odd.flatten(1).norm(dim=1) / whole)


def _by_autograd(score, x: Tensor, t: Tensor, schedule: Schedule) -> Tensor | None:
    """(k, d, d), output by input; None where no gradient comes."""
    with torch.enable_grad():
        x = x.clone().requires_grad_()
        y = denoised(score, x, t, schedule).flatten(1)
        if not y.requires_grad:
            return None
        rows = []
        for i in range(y.shape[1]):
            row = torch.autograd.grad(y[:, i].sum(), x, retain_graph=True, allow_unused=True)[0]
            if row is None:
                return None
            rows.append(row.flatten(1).detach())
    return torch.stack(rows, 1)


@torch.no_grad()
def _by_differences(score, x: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """(k, d, d), output by input, central differences in float64."""
    step, flat = STEP * float(schedule.sigma(t)), x.double().flatten(1)
    d, found = flat.shape[1], []
    eye = step * torch.eye(d, dtype=torch.float64, device=x.device)
    for point in flat:
        columns = []
        for moves in eye.split(max(1, AT_ONCE // d)):
            ends = [
                denoised(score, (point + sign * moves).reshape(-1, *x.shape[1:]), t, schedule).flatten(1)
                for sign in (1, -1)
            ]
            columns.append((ends[0] - ends[1]).double() / (2 * step))
        found.append(torch.cat(columns).T)
    return torch.stack(found)
