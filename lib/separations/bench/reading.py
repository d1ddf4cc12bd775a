"""One reading of one score, and what all of them ask for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_model, check_points, check_shaped
from ..numerics.intervals import IntervalEstimate, bootstrap_interval
from ..samplers import denoised
from ..schedules import Schedule

LOG_SNR = (4.0, 2.0, 0.0, -2.0)


@dataclass(frozen=True)
class AxisReading:
    """One number of one score on one axis.

    Attributes:
        axis: one of the six.
        log_snr: the level; None for samples, at the end of generation.
        estimate: the number with its interval; None where it does not exist there.
        beside: what it is read against, by name.
    """

    axis: str
    log_snr: float | None
    estimate: IntervalEstimate | None
    beside: Mapping[str, float] = field(default_factory=dict)

    def columns(self) -> dict:
        """A row of a table: axis, log_snr, value, value_low, value_high, and what stands beside; NaN where a number does not exist."""
        missing = IntervalEstimate(math.nan, math.nan, math.nan, 0.95)
        level = math.nan if self.log_snr is None else self.log_snr
        return {"axis": self.axis, "log_snr": level, **(self.estimate or missing).columns("value"), **self.beside}


def check_levels(log_snr: Iterable[float]) -> tuple[float, ...]:
    """Levels as distinct finite numbers, little noise first; ValueError otherwise."""
    levels = as_numbers(log_snr if isinstance(log_snr, Tensor) else list(log_snr), "log_snr").flatten()
    if not levels.isfinite().all():
        raise ValueError(f"log_snr = {levels.tolist()}: finite numbers are needed")
    return tuple(sorted(set(levels.tolist()), reverse=True))


def check_read(score, train: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets, if they are points of the shape that the score asks for."""
    check_model(score, "denoise", "score", either=True)
    shape = tuple(getattr(score, "event_shape", check_shaped(train, "train").shape[1:]))
    return check_points(train, shape, "train"), check_points(held_out, shape, "held_out").to(train)


@torch.no_grad()
def asked(score, x: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    return denoised(score, x, t, schedule)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosines of rows, (m,) float64; 0 where one of them is 0."""
    return torch.nn.functional.cosine_similarity(x.flatten(1), y.flatten(1), dim=1, eps=1e-300)


def mean_interval(values: Tensor, confidence: float) -> IntervalEstimate:
    return bootstrap_interval(lambda rows: values[rows].mean(1), len(values), confidence=confidence)
