"""Are two samples draws of one law? Permutation tests on the energy distance and on the kernel mean discrepancy.

Both statistics are quadratic forms in the pooled sample z of N = m + n points: with weights h = 1/m on the first sample
and -1/n on the second,

    energy distance  2 E|X - Y| - E|X - X'| - E|Y - Y'| = -h^T D h,   D_ij = |z_i - z_j|     (Szekely and Rizzo 2013)
    squared MMD      E k(X, X') + E k(Y, Y') - 2 E k(X, Y) = h^T K h,  K_ij = k(z_i, z_j)     (Gretton et al. 2012)

Both are zero in the limit only for equal laws. Shuffling the labels gives draws of the statistic under the null, so the
p-value is exact at every sample size, provided that all N points are independent. Memory: a few N x N arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_memory, check_points, check_whole
from ..numerics.scale import peak, scaled, size_exponent
from ..numerics.seeds import resampling


@dataclass(frozen=True)
class TwoSampleTest:
    """Result of a permutation test: the statistic, its p-value, and the statistics under shuffled labels."""

    statistic: float
    p_value: float
    m: int  # points of the first sample
    n: int  # points of the second sample
    null: np.ndarray = field(repr=False)  # (permutations,) statistics under shuffled labels

    def __float__(self) -> float:
        return self.p_value


def energy_test(
    x: Tensor, y: Tensor, *, permutations: int = 199, generator: torch.Generator | None = None
) -> TwoSampleTest:
    """Permutation test of "x and y have the same law" by the energy distance.

    It is blind to no difference between two laws with finite means, and it has no scale to choose.

    Args:
        x: (m, *event_shape), m >= 2.
        y: (n, *event_shape), n >= 2.
        permutations: shuffles of the labels; the p-value is at least 1 / (permutations + 1).
        generator: of the shuffles; None is a fixed stream.

    Returns:
        `TwoSampleTest`: the distance, in the unit of x, and its p-value.

    Raises:
        ValueError: for samples of different shape, with NaN, of fewer than 2 points, or so large that the distance
            overflows.
    """
    x, y, exponent = _check_samples(x, y)
    z = np.concatenate([x, y])
    found = permutation_test(-cdist(z, z), len(x), permutations=permutations, generator=generator)
    null = scaled(torch.from_numpy(found.null), exponent).numpy()
    return TwoSampleTest(_in_unit(found.statistic, exponent), found.p_value, found.m, found.n, null)


def mmd_test(
    x: Tensor,
    y: Tensor,
    *,
    bandwidth: float | None = None,
    permutations: int = 199,
    generator: torch.Generator | None = None,
) -> TwoSampleTest:
    """Permutation test by the squared kernel mean discrepancy with k(a, b) = exp(-|a - b|^2 / (2 bandwidth^2)).

    Args:
        x: (m, *event_shape), m >= 2.
        y: (n, *event_shape), n >= 2.
        bandwidth: > 0, in units of x; a small one sees fine detail, a large one sees means. By default the median
            distance in the pooled sample, which does not depend on the labels, so that the test stays exact.
        permutations: shuffles of the labels; the p-value is at least 1 / (permutations + 1).
        generator: of the shuffles; None is a fixed stream.

    Returns:
        `TwoSampleTest`: the squared discrepancy and its p-value.

    Raises:
        ValueError: for another bandwidth, and samples of different shape, with NaN, or of fewer than 2 points.
    """
    if bandwidth is not None and not 0 < as_real(bandwidth, "bandwidth") < np.inf:
        raise ValueError(f"bandwidth = {bandwidth}: a positive number is needed")
    x, y, exponent = _check_samples(x, y)
    z = np.concatenate([x, y])
    distance = cdist(z, z)
    if bandwidth is None:
        scale = float(np.median(distance[np.triu_indices(len(z), 1)])) or 1.0  # equal points: any scale will do
    else:
        scale = scaled(float(bandwidth), -exponent)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # far beyond the bandwidth the kernel is 0
        kernel = np.where(distance == 0, 1.0, np.exp(-((distance / scale) ** 2) / 2))
    return permutation_test(kernel, len(x), permutations=permutations, generator=generator)


def p_values(
    x: Tensor,
    y: Tensor,
    size: int,
    *,
    test: Callable[..., TwoSampleTest] = energy_test,
    permutations: int = 199,
    generator: torch.Generator | None = None,
) -> np.ndarray:
    """p-values of independent replications: a test on consecutive blocks of points of x and of y.

    For equal laws and independent rows they are uniform on {1/(permutations + 1), ..., 1}; scipy.stats.kstest looks at
    that.

    Args:
        x: (m, *event_shape).
        y: (n, *event_shape).
        size: points of a block, of either sample; at most min(m, n).
        test: `energy_test`, `mmd_test`, or another with their arguments.
        permutations: shuffles of the labels in each test.
        generator: of all the shuffles; None is a fixed stream.

    Returns:
        (replications,), of which there are min(m, n) // size.

    Raises:
        ValueError: for another size, and samples of different shape or with NaN.
    """
    size = check_count(size, "size")
    _check_samples(x, y, least=1)
    blocks = min(len(x), len(y)) // size
    if blocks < 1:
        raise ValueError(f"size = {size}: at most the number of points of x and y, {min(len(x), len(y))}, is allowed")
    generator = resampling(generator)
    pairs = zip(x[: blocks * size].split(size), y[: blocks * size].split(size))
    return np.array([test(a, b, permutations=permutations, generator=generator).p_value for a, b in pairs])


def permutation_test(
    similarity: np.ndarray, m: int, *, permutations: int = 199, generator: torch.Generator | None = None
) -> TwoSampleTest:
    """Permutation test of h^T S h, h = 1/m on the first m points and -1/n on the others; large values speak against one law.

    similarity: S, (N, N) symmetric, over the pooled sample, the first m rows being the first sample. The p-value is
    (1 + number of shuffled statistics >= the observed one) / (permutations + 1): at least 1 / (permutations + 1).
    """
    permutations, similarity = check_count(permutations, "permutations"), _matrix(similarity)
    m, N = check_whole(m, "m", 0), len(similarity)
    if similarity.shape != (N, N) or not 0 < m < N:
        raise ValueError(f"similarity has shape {similarity.shape} and m = {m}: (N, N) with 0 < m < N is needed")
    check_memory(3 * (permutations + 1) * N, torch.float64, f"permutations = {permutations}")
    h = np.full((permutations + 1, N), -1 / (N - m))  # one row a labelling, the observed one first
    h[0, :m] = 1 / m
    generator = resampling(generator)
    keys = torch.rand(permutations, N, dtype=torch.float64, generator=generator, device=generator.device)
    first = keys.cpu().numpy().argpartition(m - 1, axis=1)[:, :m]  # a random subset of m points
    np.put_along_axis(h[1:], first, 1 / m, axis=1)
    values = np.einsum("bi,bi->b", h, h @ similarity)
    # A shuffle that gives back the same split must count as equal whatever the rounding of the sums.
    as_large = values[1:] >= values[0] - 1e-12 * np.abs(similarity).max()
    return TwoSampleTest(float(values[0]), float((1 + as_large.sum()) / (permutations + 1)), m, N - m, values[1:])


def _matrix(similarity: object) -> np.ndarray:
    """The similarities as a finite float64 array with two axes."""
    try:
        given = similarity.detach().cpu() if isinstance(similarity, Tensor) else similarity
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"similarity is {type(similarity).__name__}: an (N, N) array of numbers is needed") from None
    if found.ndim != 2 or not np.isfinite(found).all():
        raise ValueError(f"similarity has shape {found.shape}: (N, N) finite numbers are needed")
    return found


def _in_unit(statistic: float, exponent: int) -> float:
    found = scaled(float(statistic), exponent)
    if not np.isfinite(found):
        raise ValueError("the energy distance overflows float64: smaller samples are needed")
    return found


def _check_samples(x: Tensor, y: Tensor, least: int = 2) -> tuple[np.ndarray, np.ndarray, int]:
    """Both samples as float64 arrays (m, d) and (n, d) in units of 2^exponent, in which no square overflows; the exponent."""
    shape = tuple(x.shape[1:]) if isinstance(x, Tensor) and x.ndim > 1 else ("d",)
    for name, sample in {"x": x, "y": y}.items():
        check_points(sample, shape, name)
        if sample[0].numel() == 0:
            raise ValueError(f"{name} has shape {tuple(sample.shape)}: at least one value a point is needed")
        if len(sample) < least:
            raise ValueError(f"{name} has 1 point: at least 2 are needed")
    exponent = size_exponent(peak(x), peak(y))
    flat = (s.detach().reshape(len(s), -1).double().cpu() for s in (x, y))
    return *(scaled(s, -exponent).numpy() for s in flat), exponent
