"""What the derivative of a score says of the place: magnitude, 1-Laplacian, trace and largest eigenvalue, along a generation."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..bench.jacobians import jacobian_spectrum
from ..bench.over_data import WithoutLaw
from ..distributions import Diffused
from ..numerics.checks import check_memory, check_model, check_real, check_shaped
from ..schedules import Schedule, Time, schedule_of


@dataclass(frozen=True)
class Curvature:
    """A score s and its derivative H at m noisy points, and the signs of a copy that are read off them.

    Attributes:
        score: s, (m, d) float64.
        hessian: H = ds/dx, (m, d, d) float64; of a law the Hessian of log p_t.
    """

    score: Tensor = field(repr=False)
    hessian: Tensor = field(repr=False)

    @property
    def magnitude(self) -> Tensor:
        """|s|, (m,)."""
        return self.score.norm(dim=1)

    @property
    def trace(self) -> Tensor:
        """tr H, (m,): the 2-Laplacian of log p_t."""
        return self.hessian.diagonal(dim1=1, dim2=2).sum(1)

    @property
    def largest(self) -> Tensor:
        """Largest eigenvalue of the symmetric part of H, (m,)."""
        return torch.linalg.eigvalsh((self.hessian + self.hessian.mT) / 2)[:, -1]

    def p_laplacian(self, p: float = 1.0, floor: float = 0.0) -> Tensor:
        """div(r^(p-2) s) with r = sqrt(|s|^2 + floor^2): r^(p-2) tr H + (p-2) r^(p-4) s^T H s.

        Brokman et al. (2025). p = 1 without floor is div(s / |s|): the direction of the score alone. p = 2 is the trace.

        Args:
            p: the power, a finite number.
            floor: >= 0, in the unit of the score; above 0 the number exists at s = 0 as well, where 1 / |s| does not.

        Returns:
            (m,).

        Raises:
            ValueError: for another p or floor, and where r = 0.
        """
        p, floor = check_real(p, "p"), check_real(floor, "floor", "a number >= 0", low=0)
        r = (self.magnitude.square() + floor**2).sqrt()
        if not (r > 0).all():
            raise ValueError(
                f"floor = {floor}: the score is 0 in row {int((r <= 0).nonzero()[0])}, a floor above 0 is needed"
            )
        along = torch.einsum("mi,mij,mj->m", self.score, self.hessian, self.score)
        return r ** (p - 2) * self.trace + (p - 2) * r ** (p - 4) * along


def curvature(model, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Curvature:
    """The score of a law or a network and its derivative at noisy points.

    A law answers by its own `hessian`; of anything else the derivative J of what it denoises to is taken, H = (J - I) / sigma^2 with J in
    y = x / alpha (`bench.jacobian_spectrum`), d backward passes or 2 d questions a point.

    Args:
        model: anything with .denoise or .score.
        x: noisy points, (m, *event_shape); computed in float64.
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the model, OU() where it has none.

    Returns:
        `Curvature`.

    Raises:
        ValueError: for a model without such a method, bad x or t.
    """
    check_model(model, "denoise", "score", name="model", either=True)
    x, schedule = check_shaped(x, "x").detach().double(), schedule_of(schedule, model)
    t, d = schedule.check_time(t), x[0].numel()
    if t.ndim:
        raise ValueError(f"t has shape {tuple(t.shape)}: a number is needed")
    check_memory(3 * len(x) * d * d, torch.float64, f"x has shape {tuple(x.shape)}")
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    with torch.no_grad():
        if hasattr(model, "score"):
            score = model.score(x, t, schedule=schedule).double()
        else:
            score = (alpha * model.denoise(x, t, schedule=schedule).double() - x) / sigma**2
    if _has_hessian(model):
        hessian = model.hessian(x, t, schedule=schedule).detach().double()
    else:
        matrices = jacobian_spectrum(model, x, t, schedule=schedule).matrices
        hessian = (matrices - torch.eye(d, dtype=torch.float64)) / sigma**2
    return Curvature(score.flatten(1), hessian)


def _has_hessian(model) -> bool:
    """Whether a model answers `hessian`; scores of the bench that are those of no law have the name, but no posterior behind it."""
    kind = type(model)
    lawless = isinstance(model, WithoutLaw) and kind._posterior_cov is WithoutLaw._posterior_cov
    return callable(getattr(model, "hessian", None)) and not (lawless and kind.hessian is Diffused.hessian)


def curvature_difference(model, reference, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """tr H of a model less that of a reference at the same noisy points, times sigma^2 / d: how much narrower the model has made the place.

    -tr H sigma^2 / d is 1 where the model is sure of the clean point. Where the law itself is narrow, both are, and the difference is 0.
    The reference is a model that has learned less: one of another training set, or of an earlier update.

    Args:
        model, reference: anything with .denoise or .score.
        x: noisy points, (m, *event_shape).
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the models, OU() where none has its own.

    Returns:
        (m,), below 0 where the model is narrower than the reference.

    Raises:
        ValueError: for models without such a method, bad x or t.
    """
    schedule = schedule_of(schedule, model, reference)
    ours, theirs = (curvature(each, x, t, schedule=schedule).trace for each in (model, reference))
    return float(schedule.sigma(t)) ** 2 * (ours - theirs) / x[0].numel()
