"""Averages over networks that saw different shards: of the weights, now and then, or of the answers, at the end."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..numerics.checks import as_numbers, check_model, check_whole, shown
from ..samplers import denoised
from ..schedules import Schedule, owned_by, schedule_of


@torch.no_grad()
def average_copies(model: nn.Module, groups: Sequence[Sequence[int]]) -> nn.Module:
    """Give the copies of each group the mean of their weights, in place: a round of iterative ensemble training (Guan et al. 2025).

    Args:
        model: a stack, each parameter (c, ...).
        groups: of copies, no copy in two of them; a group of one stays as it is.

    Returns:
        The model.

    Raises:
        ValueError: a model that is no stack, a copy that is not there, or stands in two groups.
    """
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    sizes = {len(p) if p.ndim else 0 for p in parameters}
    if len(sizes) != 1 or sizes == {0} or getattr(model, "copies", 1) is None:
        raise ValueError(f"model is {type(model).__name__}: a stack, each parameter (c, ...), is needed")
    copies = sizes.pop()
    try:
        groups = [list(group) for group in groups]
    except TypeError:
        raise ValueError(f"groups = {shown(groups)}: lists of copies, as [[0, 1], [2]], are needed") from None
    groups = [[check_whole(i, "groups", 0, copies - 1) for i in group] for group in groups]
    every = [i for group in groups for i in group]
    if len(set(every)) < len(every):
        raise ValueError(f"groups = {groups}: each copy at most once is needed")
    for group in groups:
        for p in parameters if len(group) > 1 else ():
            p[group] = p[group].mean(0, keepdim=True).expand(len(group), *p.shape[1:])
    return model


class MeanDenoiser:
    """The mean of what several scores answer: as a score that of the normalised geometric mean of their laws, at every noise level.

    Args:
        parts: anything with .denoise or .score, of one schedule.
        weights: of the parts, >= 0 with sum 1; None for equal ones.

    Raises:
        ValueError: for no parts, parts that are no scores or of points of two shapes, weights that do not fit.
    """

    def __init__(self, parts: Sequence, weights: Sequence[float] | None = None):
        if not isinstance(parts, Sequence) or isinstance(parts, str):
            raise ValueError(f"parts is {type(parts).__name__}: a list of scores is needed")
        self.parts = list(parts)
        if not self.parts:
            raise ValueError("parts is empty: at least one score is needed")
        for i, part in enumerate(self.parts):
            check_model(part, "denoise", "score", name=f"parts[{i}]", either=True)
        count = len(self.parts)
        self.weights = [1 / count] * count if weights is None else as_numbers(weights, "weights").reshape(-1).tolist()
        if len(self.weights) != count or not min(self.weights) >= 0 or not abs(sum(self.weights) - 1) <= 1e-9:
            raise ValueError(f"weights = {self.weights}: {count} numbers >= 0 with sum 1 are needed")
        schedule_of(None, *self.parts)  # an error where two of them disagree
        self.own_schedule = next(filter(None, map(owned_by, self.parts)), None)
        shapes = {tuple(shape) for part in self.parts if (shape := getattr(part, "event_shape", None)) is not None}
        if len(shapes) > 1:
            raise ValueError(f"parts have the event shapes {sorted(shapes)}: one is needed")
        self.event_shape = next(iter(shapes), None)

    @property
    def schedule(self) -> Schedule:
        """That of the parts, OU() where none has one."""
        return schedule_of(None, self)

    def parameters(self):
        """Parameters of the networks among the parts, for their dtype and device."""
        for part in self.parts:
            yield from part.parameters() if hasattr(part, "parameters") else ()

    def denoise(self, x: Tensor, t, *, schedule: Schedule | None = None) -> Tensor:
        """The weighted mean of E[X_0 | X_t = x], the shape of x."""
        schedule = schedule_of(schedule, self)
        return sum(w * denoised(part, x, t, schedule) for w, part in zip(self.weights, self.parts))
