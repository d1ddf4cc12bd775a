"""Own-half preference: a trace of the training set in samples that are no copies."""

from torch import Tensor

from ..numerics.checks import check_points, check_shaped
from ..numerics.intervals import IntervalEstimate, wilson_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows


def own_half_preference(
    samples: Tensor, train: Tensor, held_out: Tensor, *, confidence: float = 0.95
) -> IntervalEstimate:
    """By how much samples are nearer to the training set than to an equal number of points held out: a share less one half.

    Of the 2n points of both sets the nearest to a sample is a training point with probability 1/2, if training had no part in the sample, and if the
    two sets are exchangeable: one law, one shuffle, one size. This is the null over the draw of the *split*. For one given split the share of
    samples of the truth is off 1/2 by about 0.35 / sqrt(n), since some of the 2n points own more of space than others; the interval, which is
    Wilson's, has only the draw of the samples in it. So take the same of fresh points of the truth off, or the mean over several splits.
    (A measure of what Garnier-Brun et al. 2025 call traces of memorization before overfitting.)

    Args:
        samples: (k, *event_shape).
        train: (n, *event_shape).
        held_out: (n, *event_shape).
        confidence: of the interval, in (0, 1).

    Returns:
        The share less 1/2, with its interval; a sample as near to one set as to the other counts as held out.

    Raises:
        ValueError: for shapes that do not fit, sets of different size.
    """
    shape = tuple(check_shaped(train, "train").shape[1:])
    (
        check_points(train, shape, "train"),
        check_points(held_out, shape, "held_out"),
        check_points(samples, shape, "samples"),
    )
    if len(train) != len(held_out):
        raise ValueError(f"held_out has {len(held_out)} points: as many as train, {len(train)}, are needed")
    x = samples.flatten(1).to(train.dtype)
    to_train, to_held = (
        nearest_distances(x, Rows(points.flatten(1).to(train.dtype)), k=1)[0][:, 0] for points in (train, held_out)
    )
    share = wilson_interval(int((to_train < to_held).sum()), len(x), confidence)
    return IntervalEstimate(share.value - 0.5, share.low - 0.5, share.high - 0.5, confidence)
