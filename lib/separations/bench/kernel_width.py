"""Which width of a kernel density is best for new points, beside the noise at which the empirical score collapses on single training points.

For n points of N(0, tau^2 I) in D dimensions, with a = log(n) / D held fixed as D grows:

    collapse         nu_C = tau^2 / (e^(2a) - 1)     (Biroli et al. 2024: half an information, D/2 log(1 + tau^2 / nu), equals log n)
    best kernel      nu* = tau^2 (u + u^2),  (u^2 - u - log u) / 2 = a,  0 < u < 1

The second is the squared distance over D from a new point to its nearest training point: P(|x - X|^2 <= r D) falls as e^(-D I(r)), I(u + u^2) =
(u^2 - u - log u) / 2 by Cramer's theorem, so that the nearest of e^(aD) lies where I = a; a kernel density there is that of one point,
-log nu / 2 - r / (2 nu) per dimension, which is largest at nu = r. Since (u + u^2) (1 - u) < u the weights are on one point there, and
nu* < nu_C always (our derivation; Achilli et al. 2025 have the order of the two).
"""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_points, check_real, check_shaped

AT_ONCE = 2**22  # distances at a time


def collapse_variance(n: int, D: int, variance: float = 1.0) -> float:
    """nu_C = tau^2 / (n^(2/D) - 1): noise over signal, squared, where n points of N(0, tau^2 I_D) collapse on one (Biroli et al. 2024).

    Args:
        n: training points, >= 2.
        D: dimension.
        variance: tau^2 > 0, in the squared unit of the data.

    Returns:
        nu_C, in the squared unit of the data.

    Raises:
        ValueError: for counts below these, a variance that is not positive.
    """
    return _variance(variance) / math.expm1(2 * _information(n, D))


def best_kernel_variance(n: int, D: int, variance: float = 1.0) -> float:
    """nu* = tau^2 (u + u^2) with (u^2 - u - log u) / 2 = log(n) / D: the squared bandwidth with the best likelihood of new points as D grows.

    Args:
        n: training points, >= 2.
        D: dimension; with D below some 16 the measured one is larger.
        variance: tau^2 > 0, in the squared unit of the data.

    Returns:
        nu*, in the squared unit of the data.

    Raises:
        ValueError: for counts below these, a variance that is not positive.
    """
    a = _information(n, D)
    depth = -4 * a - 4  # the rate is above -log(u) / 2 - 1/8, hence above a at this log u
    log_u = brentq(lambda v: (math.exp(2 * v) - math.exp(v) - v) / 2 - a, depth, 0.0, xtol=1e-14)
    u = math.exp(log_u)
    return _variance(variance) * (u + u * u)


def kernel_likelihood(train: Tensor, points: Tensor, variances: Tensor) -> Tensor:
    """Mean log density of points under the kernel densities of a training set, for many squared bandwidths from one table of distances.

    mean over x of log (1/n) sum_i N(x; x_i, nu I), as `KernelDensity(train, sqrt(nu)).log_prob(points)`.

    Args:
        train: (n, *event_shape).
        points: (m, *event_shape), not of the training set.
        variances: nu > 0, (k,), in the squared unit of the data.

    Returns:
        (k,) float64, in nats.

    Raises:
        ValueError: for sets that do not fit, variances that are not positive.
    """
    x = check_shaped(train, "train")
    y = check_points(points, tuple(x.shape[1:]), "points").double().flatten(1)
    nu = as_numbers(variances, "variances").double().reshape(-1)
    if not len(nu) or not (nu > 0).all() or not nu.isfinite().all():
        raise ValueError(f"variances = {nu.tolist()}: positive numbers are needed")
    x, total = x.double().flatten(1), torch.zeros(len(nu), dtype=torch.float64)
    for part in y.split(max(1, AT_ONCE // len(x))):
        squared = torch.cdist(part, x, compute_mode="donot_use_mm_for_euclid_dist").square()
        least = squared.amin(1, keepdim=True)
        squared -= least
        for k, v in enumerate(nu.tolist()):
            total[k] += ((-squared / (2 * v)).exp().sum(1).log() - least[:, 0] / (2 * v)).sum()
    return total / len(y) - math.log(len(x)) - x.shape[1] / 2 * (2 * math.pi * nu).log()


def _information(n: int, D: int) -> float:
    """log(n) / D."""
    if check_count(n, "n") < 2:
        raise ValueError(f"n = {n}: at least 2 points are needed")
    return math.log(n) / check_count(D, "D")


def _variance(variance: float) -> float:
    return check_real(variance, "variance", "a positive number", low=0, open_low=True)
