"""When an image counts as found again: it is three times nearer to its target than to anything else."""

from dataclasses import dataclass, field

from torch import Tensor

from ..numerics.checks import check_points, check_real, check_shaped
from ..numerics.intervals import IntervalEstimate, wilson_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows

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
        others: what else an image might be, (n, *event_shape); a point that equals its target is passed over.
        rule: in (0, 1).
        confidence: of the interval, in (0, 1).

    Returns:
        `Recovered`.

    Raises:
        ValueError: for shapes that do not fit, fewer than two others, a rule outside (0, 1).
    """
    images = check_shaped(images, "images")
    shape = tuple(images.shape[1:])
    targets, others = check_points(targets, shape, "targets"), check_points(others, shape, "others")
    rule = check_real(rule, "rule", "a number in (0, 1)", low=0, high=1, open_low=True)
    if not rule < 1:
        raise ValueError(f"rule = {rule}: a number in (0, 1) is needed")
    if len(targets) != len(images) or len(others) < 2:
        raise ValueError(
            f"targets has {len(targets)} points and others {len(others)}: one target for each of {len(images)} images is needed, and two others"
        )
    flat = images.to(others).flatten(1)
    near, which = nearest_distances(flat, Rows(others.flatten(1)), k=2)
    own = (others[which.to(others.device)].flatten(2) == targets.to(others).flatten(1)[:, None]).all(2).to(near.device)
    rival = near[:, 0].where(~own[:, 0], near[:, 1])
    distance = (flat.double() - targets.to(others).double().flatten(1)).norm(dim=1)
    found = distance.square() <= rule * rival.double().to(distance.device).square()
    return Recovered(found, wilson_interval(int(found.sum()), len(found), confidence))
