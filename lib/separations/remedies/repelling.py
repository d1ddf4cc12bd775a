"""Guidance away from the training set while sampling."""

import torch
from torch import Tensor

from ..numerics.checks import check_model, check_points, check_positive, check_real
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows
from ..samplers import denoised
from ..schedules import Schedule, Time, owned_by, schedule_of


class Repelled:
    """A score whose denoised image is pushed away from its nearest training point wherever it comes nearer than a radius.

    With D the denoised image, a the training point nearest to it and r = |D - a|: D + strength (radius - r)_+ (D - a) / r. At strength 0 the score
    itself; at strength 1 no denoised image lies nearer than `radius` to its a, but for one that is a exactly and has no direction to go. One of the ways in which guidance can keep samples from the
    training set (Chen et al. 2024 use several at once, for text); it needs the training set at every step.

    Args:
        score: anything with .denoise or .score.
        points: the training set, (n, *event_shape).
        strength: >= 0.
        radius: > 0, in the unit of the data.

    Raises:
        ValueError: for another score, points of another kind, a negative strength, a radius that is not positive.
    """

    def __init__(self, score, points: Tensor, strength: float, radius: float):
        check_model(score, "denoise", "score", name="score", either=True)
        if not isinstance(points, Tensor) or points.ndim < 2:
            raise ValueError(f"points is {type(points).__name__}: a tensor (n, *event_shape) is needed")
        self.score_model, self.event_shape = score, tuple(points.shape[1:])
        self.points = check_points(points, self.event_shape, "points")
        shape = getattr(score, "event_shape", None)
        if shape is not None and tuple(shape) != self.event_shape:
            raise ValueError(
                f"points has shape {tuple(points.shape)}: (n, *event_shape) with that of score, {tuple(shape)}, is needed"
            )
        self.strength = check_real(strength, "strength", "a number >= 0", low=0)
        self.radius = check_positive(radius, "radius")
        self.own_schedule = owned_by(score)
        self.rows = Rows(self.points.flatten(1))

    @property
    def schedule(self) -> Schedule:
        """That of the score, OU() where it has none."""
        return schedule_of(None, self)

    def parameters(self):
        """Parameters of the network, for its dtype and device."""
        yield from self.score_model.parameters() if hasattr(self.score_model, "parameters") else ()

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """The denoised image after the push, the shape of x."""
        d = denoised(self.score_model, x, t, schedule_of(schedule, self))
        if self.strength == 0:
            return d
        flat = d.detach().flatten(1).double()
        _, nearest = nearest_distances(flat, self.rows, k=1)
        away = flat - self.points.flatten(1).double()[nearest[:, 0].to(self.points.device)].to(flat)
        r = away.norm(dim=1, keepdim=True)
        push = self.strength * (self.radius - r).clamp(min=0) * away / r.clamp(min=torch.finfo(flat.dtype).tiny)
        return d + push.reshape(d.shape).to(d)
