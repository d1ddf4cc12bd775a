"""When an image counts as found again: it is three times nearer to its target than to anything else."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import check_points, check_real, check_rows
from ..numerics.intervals import IntervalEstimate, wilson_interval

RULE = 1 / 9  # of squared distances, as in `metrics.memorization_ratio`


@dataclass(frozen=True)
class Recovered:
    """Which targets were found.

    Attributes:
        found: (k,) of booleans.
        share: of the targets that were found, with Wilson's interval.
    """

    found: Tensor = field(repr=False)
    share: IntervalEstimate

    def __float__(self) -> float:
        return self.share.value


def recovered(
    images: Tensor, targets: Tensor, others: Tensor, *, rule: float = RULE, confidence: float = 0.95
) -> Recovered:
    """Which of `images` are copies of their targets: |x - target|^2 <= rule times the squared distance to the nearest of `others`.

    The rule of `metrics.memorization_ratio` with the target in the place of the nearest point, so that held-out targets, which are in no
    training set, can be judged in the same way.

    Args:
        images: (k, *event_shape), one for each target.
        targets: (k, *event_shape).
        others: what else an image might be, (n, *event_shape); points that equal its target, in the coarser of the two dtypes, are passed over.
        rule: in (0, 1).
        confidence: of the interval, in (0, 1).

    Returns:
        `Recovered`.

    Raises:
        ValueError: for shapes that do not fit, fewer than two others, a target that all of the others equal, a rule outside (0, 1).
    """
    images = check_rows(images, "images")
    shape = tuple(images.shape[1:])
    targets, others = (check_points(x, shape, name).detach() for x, name in ((targets, "targets"), (others, "others")))
    rule = check_real(rule, "rule", "a number in (0, 1)", low=0, high=1, open_low=True)
    if not rule < 1:
        raise ValueError(f"rule = {rule}: a number in (0, 1) is needed")
    if len(targets) != len(images) or len(others) < 2:
        raise ValueError(
            f"targets has {len(targets)} points and others {len(others)}: one target for each of {len(images)} images is needed, and two others"
        )
    x, goals, rivals = (each.to(others.device).flatten(1) for each in (images, targets, others))
    coarse = min(goals.dtype, rivals.dtype, key=lambda dtype: dtype.itemsize)
    same = rivals.to(coarse)
    found = []
    for image, goal in zip(
        x.double(), goals
    ):  # k rows of n distances: a target may stand among the others several times
        rest = rivals[(same != goal.to(coarse)).any(1)].double()
        if not len(rest):
            raise ValueError(
                f"others has {len(rivals)} points, all equal to target {len(found)}: another one is needed"
            )
        found.append((image - goal.double()).square().sum() <= rule * (rest - image).square().sum(1).min())
    found = torch.stack(found)
    return Recovered(found, wilson_interval(int(found.sum()), len(found), confidence))
