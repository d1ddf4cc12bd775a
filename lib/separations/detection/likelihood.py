"""Do samples explain their training set better than held-out points? Gaussians about the samples, and about the two sets."""

import math

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_points, check_positive, check_result, check_rows, check_whole
from ..numerics.intervals import IntervalEstimate, bootstrap_interval

WIDTHS = 25  # bandwidths that are tried
FINEST = 0.05  # of them, as a share of the typical distance to a nearest point


def _log_kernels(at: Tensor, centres: Tensor, widths: Tensor) -> Tensor:
    """log density at each point under equal Gaussians about the centres, (len(widths), m) float64."""
    squared = torch.cdist(at, centres, compute_mode="donot_use_mm_for_euclid_dist").square()  # (m, k)
    d = at.shape[1]
    found = [
        (-squared / (2 * h**2)).logsumexp(1) - math.log(len(centres)) - d * (math.log(h) + math.log(2 * math.pi) / 2)
        for h in widths.tolist()
    ]
    return torch.stack(found)


def best_width(at: Tensor, centres: Tensor) -> float:
    """The bandwidth, of a grid, at which Gaussians about the centres explain the points at which they are read best.

    Args:
        at: (m, *event_shape).
        centres: (k, *event_shape).

    Returns:
        A number > 0, in the unit of the points.

    Raises:
        ValueError: for points of different shape, or all at the centres.
    """
    at = check_rows(at, "at")
    x, c = at.double().flatten(1), check_points(centres, tuple(at.shape[1:]), "centres").detach().double().flatten(1)
    typical = float(torch.cdist(x, c).min(1).values.square().mean().sqrt()) / math.sqrt(x.shape[1])
    if not typical > 0:
        raise ValueError("at: every point is one of the centres; others are needed")
    widths = typical * torch.logspace(math.log10(FINEST), 0.5, WIDTHS, dtype=torch.float64)
    return float(widths[_log_kernels(x, c, widths).mean(1).argmax()])


def likelihood_gaps(samples: Tensor, train: Tensor, held_out: Tensor, *, width: float | None = None) -> np.ndarray:
    """log density of Gaussians about the training points, less that of Gaussians about held-out points, at each sample.

    The question of the feature likelihood divergence (Jiralerspong et al. 2023), turned round to be asked of one sample: is it where the
    training points are, rather than where others of the same law are? About 0 for fresh samples.

    Args:
        samples: (m, *event_shape).
        train, held_out: (n, *event_shape) and (k, *event_shape).
        width: standard deviation of the Gaussians, > 0; None: that at which those about the held-out points explain the training points best.

    Returns:
        (m,) float64, large at copies.

    Raises:
        ValueError: for points of different shape, and another width, or one so small that densities are no numbers.
    """
    train = check_rows(train, "train")
    shape = tuple(train.shape[1:])
    x, b = (check_points(each, shape, name).detach() for each, name in ((samples, "samples"), (held_out, "held_out")))
    h = torch.tensor([best_width(train, b) if width is None else check_positive(width, "width")], dtype=torch.float64)
    x, a, b = (each.double().flatten(1) for each in (x, train, b))
    found = _log_kernels(x, a, h) - _log_kernels(x, b, h)
    return check_result(found, "the likelihood gap", f"a width above {float(h):.3g} is needed")[0].numpy()


def likelihood_gap(samples: Tensor, train: Tensor, held_out: Tensor, *, confidence: float = 0.95) -> IntervalEstimate:
    """Mean log density, per value, of Gaussians about the samples at training points, less that at held-out points: one number for a set.

    After the generalization gap of the feature likelihood divergence (Jiralerspong et al. 2023), which gives each sample a bandwidth of its
    own; here all have the one that explains the training points best. 0 for a model that owes its training points nothing; large for copies.

    Args:
        samples: (m, *event_shape).
        train, held_out: (n, *event_shape) and (k, *event_shape), at least two points each.
        confidence: of the interval, over the draw of both sets, in (0, 1).

    Returns:
        An `IntervalEstimate`, in natural units of information a value.

    Raises:
        ValueError: for points of different shape, and one point alone, of which no interval can be made.
    """
    samples = check_rows(samples, "samples")
    shape = tuple(samples.shape[1:])
    train, held_out = (check_points(x, shape, name).detach() for x, name in ((train, "train"), (held_out, "held_out")))
    for x, name in ((train, "train"), (held_out, "held_out")):
        check_whole(len(x), f"len({name})", 2)
    h = torch.tensor([best_width(train, samples)], dtype=torch.float64)
    centres, d = samples.double().flatten(1), samples[0].numel()
    ours, theirs = (_log_kernels(x.double().flatten(1), centres, h)[0] / d for x in (train, held_out))
    return _mean(ours, confidence).minus(_mean(theirs, confidence))


def _mean(values: Tensor, confidence: float) -> IntervalEstimate:
    return bootstrap_interval(lambda rows: values[rows].mean(1), len(values), confidence=confidence)
