"""Models that follow different scores over different parts of the trajectory."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from ..numerics.checks import as_real, check_model, shown
from ..schedules import Schedule, owned_by, schedule_of
from .integrators import denoised


class Switch:
    """A model that uses different scores over different parts of the trajectory; see `switch`."""

    def __init__(self, parts: Mapping[tuple[float, float], object]):
        if not isinstance(parts, Mapping) or not all(isinstance(key, tuple) and len(key) == 2 for key in parts):
            raise ValueError(f"parts = {shown(parts)}: {{(t_hi, t_lo): model, ...}} is needed")
        if not parts:
            raise ValueError("parts is empty: {(t_hi, t_lo): model, ...} is needed")
        for (hi, lo), model in parts.items():
            (
                as_real(hi, "t_hi"),
                as_real(lo, "t_lo"),
                check_model(model, "score", "denoise", name=f"parts[{hi}, {lo}]", either=True),
            )
        self.parts = dict(sorted(parts.items(), reverse=True))
        schedule_of(None, *self.parts.values())  # an error where two of them disagree
        self.own_schedule = next(filter(None, map(owned_by, self.parts.values())), None)
        edges = list(self.parts)
        for hi, lo in edges:
            if not 0 <= lo < hi:
                raise ValueError(f"parts has the interval ({hi}, {lo}): 0 <= t_lo < t_hi is needed")
        for (_, lo), (hi, _) in zip(edges, edges[1:]):
            if lo != hi:
                raise ValueError(f"parts leaves a gap or an overlap between {lo} and {hi}: intervals must meet")

    @property
    def schedule(self) -> Schedule:
        """That of the parts that have one of their own, OU() where none has."""
        return schedule_of(None, self)

    def parameters(self) -> Iterator[Tensor]:
        """Parameters of the networks among the models: `generate` takes dtype and device from them."""
        for model in self.parts.values():
            yield from model.parameters() if hasattr(model, "parameters") else ()

    def at(self, t: float):
        """The model in charge at time t: t_lo < t <= t_hi (the last part takes its t_lo too)."""
        t = as_real(t, "t")
        for (hi, lo), model in self.parts.items():
            if lo < t <= hi or (t == lo and (hi, lo) == list(self.parts)[-1]):
                return model
        raise ValueError(
            f"t = {t:g} is not covered: parts cover ({list(self.parts)[-1][1]}, {next(iter(self.parts))[0]}]"
        )

    def score(self, x: Tensor, t, *, schedule: Schedule | None = None) -> Tensor:
        """Score of the model in charge at t (one time for all rows)."""
        return self.at(t).score(x, t, schedule=schedule_of(schedule, self))

    def denoise(self, x: Tensor, t, *, schedule: Schedule | None = None) -> Tensor:
        """E[X_0 | X_t = x] of the model in charge at t."""
        return denoised(self.at(t), x, t, schedule_of(schedule, self))


def switch(parts: Mapping[tuple[float, float], object]) -> Switch:
    """Model that follows {(t_hi, t_lo): model, ...}: each model is used for t_lo < t <= t_hi. Intervals must meet."""
    return Switch(parts)
