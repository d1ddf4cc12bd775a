"""The mean of n vectors under the softmax of n affine functions, as an explicit ReLU network: what every score here is.

    1. g_i = max l - l_i >= 0, exactly (a tournament of ReLUs); the common factor exp(max l) of grad p and p is gone;
    2. e_i = exp(-g_i) by n copies of one brick, cut off at a reach of log(n / error);
    3. D = sum e_i, in [1, n], and N = sum e_i v_i, one affine map; then N / D by a reciprocal and products.

So D needs no clip from below, and the guarantee holds for every input.
"""

import math

import numpy as np
import scipy.sparse as sparse
from scipy.special import ndtr

from .bricks import check_error, gaussian_weight, product, relative_reciprocal
from .network import ReLUNetwork, affine, compose, copies, identity, maximum, route


def softmax_mean(slopes: np.ndarray, offsets: np.ndarray, values: np.ndarray, error: float) -> ReLUNetwork:
    """y -> sum_i w_i(y) values_i, w = softmax(slopes y + offsets), at most `error` off in the Euclidean norm, for every y.

    With c the middle of the values and r the largest |values_i - c|: let each
    e_i be off by at most R e^-v + A, and K = R + n A. Since D >= 1, the mean is off by at most 2 r K / (1 - K), which takes
    half of the error; a relative error of the reciprocal counts r times, the products count each for itself: a quarter each.

    Args:
        slopes: (n, p).
        offsets: (n,).
        values: (n, k).
        error: > 0, in the unit of the values.

    Returns:
        A network (m, p) -> (m, k) that is certified for every input.

    Raises:
        ValueError: for an error that is not positive, or too small for float64.
    """
    n, k = values.shape
    middle = (values.min(0) + values.max(0)) / 2
    centred = values - middle
    radius = float(np.linalg.norm(centred, axis=1).max())
    if n == 1 or radius == 0:
        return affine(np.zeros((k, slopes.shape[1])), middle).certified(0.0, -np.inf, np.inf)
    check_error(float(error), radius * n)
    K = error / 2 / (2 * radius + error / 2)
    reach = math.log(4 * n * (1 + K) / K)  # what is cut off: n exp(-reach) (1 + R) <= K / 4
    weight = gaussian_weight(reach, K / 2, K / (4 * n))
    spread = affine(np.vstack([slopes, slopes]), np.append(offsets, offsets))
    gaps = route(2 * n, (maximum(n), range(n)), (identity(n), range(n, 2 * n)))
    difference = affine(sparse.hstack([np.ones((n, 1)), -sparse.eye_array(n)]))
    kernel = compose(spread, gaps, difference, copies(weight, n), affine(np.vstack([np.ones(n), centred.T])))
    largest = np.abs(centred).max(0) * n * (1 + K)
    quotient = division((1 - K, n * (1 + K)), largest, error / 4 / radius, error / 4 / math.sqrt(k))
    return compose(kernel, quotient, affine(np.eye(k), middle)).certified(error, -np.inf, np.inf)


def division(denominator: tuple[float, float], largest: np.ndarray, relative: float, error: float) -> ReLUNetwork:
    """(D, N_1, ..., N_k) -> N_j / D, the reciprocal `relative` off and the products `error`; |N_j| <= largest_j."""
    k, low, high = len(largest), *denominator
    relative = min(relative, 0.5)
    inverse = route(k + 1, (relative_reciprocal(low, high, relative), [0]), (identity(k), range(1, k + 1)))
    branches = []
    for j, bound in enumerate(largest):
        # a coordinate in which all values agree is 0 and stays so
        times = product(bound, (1 + relative) / low, error) if bound > 0 else affine([[0.0, 0.0]])
        branches.append((times, [j + 1, 0]))
    return compose(inverse, route(k + 1, *branches))


def gaussian_tail(q: float) -> tuple[float, float]:
    """P(|Z| > q) and E (|Z| - q)_+^2 for a standard normal Z."""
    tail, density = float(ndtr(-q)), math.exp(-q * q / 2) / math.sqrt(2 * math.pi)
    return 2 * tail, max(2 * ((1 + q * q) * tail - q * density), 0.0)
