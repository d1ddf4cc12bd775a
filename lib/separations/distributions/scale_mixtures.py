"""Heavy tails that depend on the distance from the centre alone: Gaussians of a random scale, as finite mixtures.

A law X = sqrt(V) z with z ~ N(0, I) and a random variance V is a mixture of Gaussians over V. Here V takes a finite number of
values, evenly spaced in log V, so that the law is a `GaussianMixture` and all its questions have exact answers. Its density is that of
the law that it stands for to half a per cent up to the distance that is passed with probability 1e-6; beyond, it ends like a Gaussian.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count
from .gaussian_mixture import GaussianMixture

STEP = 0.5  # in log V: the trapezoid sum of a function that is smooth on the scale of 1
MASS = 1e-9  # left outside on either side


def radial_student(d: int, df: float) -> GaussianMixture:
    """The multivariate Student law: V = df / chi^2_df, density like |x|^-(d + df) far out, df = 1 Cauchy.

    Args:
        d: dimension.
        df: degrees of freedom, in [0.5, 1000].

    Returns:
        A mixture of Gaussians about 0 with one variance each, float64.

    Raises:
        ValueError: for d < 1 or df outside [0.5, 1000].
    """
    df = as_real(df, "df")
    if not 0.5 <= df <= 1000:
        raise ValueError(f"df = {df:g}: a number from 0.5 to 1000 is needed")
    from scipy.stats import loggamma

    precision = loggamma(df / 2, scale=1.0)  # the law of log(chi^2_df / 2)
    return _over_scales(d, precision, math.log(df / 2), -1)


def radial_exponential(d: int) -> GaussianMixture:
    """A law with tails like exp(-sqrt(2) |x|): V exponential with mean 1. In d = 1 the Laplace law of variance 1."""
    from scipy.stats import loggamma

    return _over_scales(d, loggamma(1.0), 0.0, 1)


def _over_scales(d: int, law, centre: float, sign: int) -> GaussianMixture:
    """Weights of log V = sign * (u - centre), u ~ law, on even steps of u."""
    low, high = law.ppf(MASS), law.isf(MASS)
    u = np.linspace(low, high, math.ceil((high - low) / STEP) + 1)
    weights = np.exp(law.logpdf(u) - law.logpdf(u).max())
    variances: Tensor = torch.from_numpy(np.exp(sign * (u - centre)))[:, None]
    means = torch.zeros(len(u), check_count(d, "d"), dtype=torch.float64)
    return GaussianMixture(means, variances, torch.from_numpy(weights))
