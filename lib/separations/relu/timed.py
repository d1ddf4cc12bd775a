"""The empirical score as one ReLU network of (x, t), t in a range [t0, T]: alpha_t and 1/sigma_t^2 are bricks too.

For the Ornstein-Uhlenbeck process write r = 1/sigma^2 and b = alpha r. The score is b m - r x, m the softmax mean of the
points with the logits (b x) . x_i - (alpha b) |x_i|^2 / 2: affine in the d + 1 numbers (b x, alpha b). So the whole dependence
on t costs a number of ReLUs that does not grow with n.
"""

import math

import numpy as np

from .bricks import exponential, product, relative_reciprocal
from .network import ReLUNetwork, affine, clip, compose, identity, parallel, route
from .softmax import gaussian_tail, softmax_mean


def timed_score(points: np.ndarray, counts: np.ndarray, t0: float, T: float, error: float) -> ReLUNetwork:
    """(x, t) -> score of the points (n, d) with multiplicities counts (n,): sigma^4 E ||. - score||^2 <= error on [t0, T].

    In a box, off by at most eta = sqrt(0.9 error) in units of 1/sigma^2; what lies outside adds 0.1 error (`_box`). Write
    B = max |x_i|, X = max |x|, R the largest r, and let r be a relative rho off, alpha a, b a R, alpha b and b x by products.
      m with its exact logits                                            eta / 3
      r: all logits times 1 + e. d m / d s = -Cov(gaps, x_i) under weights exp(-s gap), whose mean s gap is at most log n:
         m moves by 4 B log(n) rho / (1 - rho)                           eta / 6
      a, products: logits off by a R (2 X B + 1.6 B^2) and the products, in all log(1 + K), m by 2 B K / (1 - K)   eta / 6
      b m - r x: rho (B + eta + X), 2 a R (B + eta), products             eta / 9 each
    So sigma^2 is needed to a relative rho only, not to one of order sigma^2.
    """
    d, eta = points.shape[1], math.sqrt(0.9 * error)
    B = max(float(np.linalg.norm(points, axis=1).max()), 1e-9)
    low, high = _box(points, eta + 2 * B, 0.1 * error)
    X = float(np.linalg.norm(np.maximum(-low, high)))
    ratio = eta / 6 / (4 * B * math.log(counts.sum() + 1))
    rho = min(ratio / (1 + ratio), eta / 9 / (B + eta + X), 0.1)
    logit = math.log1p(eta / 6 / (2 * B + eta / 6))
    R = (1 + rho) / -math.expm1(-t0)
    a = min(logit / 2 / (2 * X * B + 1.6 * B * B) / R, eta / 18 / (B + eta) / R, 0.1)
    most = (1 + a) * R + a * R
    rates = parallel(clip(low, high), _rates(t0, T, rho, a, R))  # (x, r, alpha, b)
    last = eta / (18 * math.sqrt(d))
    scaled = _scaled(np.maximum(-low, high), most, 1 + a, logit / (4 * B * math.sqrt(d)), logit / (2 * B * B), last)
    slopes = np.hstack([points, -np.square(points).sum(1, keepdims=True) / 2])
    mean = softmax_mean(slopes, np.log(counts), points, eta / 3)
    split = route(2 * d + 2, (mean, range(d + 1)), (identity(d + 1), range(d + 1, 2 * d + 2)))
    return compose(rates, scaled, split, _combine(d, B + eta, most, last))


def _box(points: np.ndarray, most: float, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a box that holds alpha x_i + sigma z but for the tails of z: their share of the error is at most `error`.

    Outside, the network at the clipped x is off by `most` + |x - clipped x| at the most, in units of 1/sigma^2.
    """
    d, q = points.shape[1], 1.0
    while True:
        outside, excess = gaussian_tail(q)
        if 2 * d * (most**2 * outside + excess) <= error:
            return np.minimum(points.min(0), 0) - q, np.maximum(points.max(0), 0) + q
        q += 0.25


def _rates(t0: float, T: float, rho: float, a: float, R: float) -> ReLUNetwork:
    """t -> (r, alpha, b): r a relative rho off, alpha a, b - alpha r at most a R."""
    low, high, third = -math.expm1(-t0), -math.expm1(-T), rho / 3
    variance = compose(affine([[-1.0]]), exponential(-T, -t0, third * low), affine([[-1.0]], [1.0]))
    inverse = compose(variance, relative_reciprocal(low * (1 - third), high + third * low, third))
    alpha = compose(affine([[-0.5]]), exponential(-T / 2, -t0 / 2, a))
    both = route(1, (inverse, [0]), (alpha, [0]))
    return compose(both, route(2, (identity(2), [0, 1]), (product(R, 1 + a, a * R), [0, 1])))


def _scaled(size: np.ndarray, most: float, alpha: float, error_y: float, error_g: float, error_z: float) -> ReLUNetwork:
    """(x, r, alpha, b) -> (b x, alpha b, r x, b), the three products off by error_y, error_g and error_z."""
    d = len(size)
    y = [(product(most, size[k], error_y), [d + 2, k]) for k in range(d)]
    z = [(product(most, size[k], error_z), [d, k]) for k in range(d)]
    square_rate = product(alpha, most, error_g)
    return route(d + 3, *y, (square_rate, [d + 1, d + 2]), *z, (identity(1), [d + 2]))


def _combine(d: int, size: float, rate: float, error: float) -> ReLUNetwork:
    """(m, r x, b) -> b m - r x."""
    products = [(product(rate, size, error), [2 * d, k]) for k in range(d)]
    eye = np.eye(d)
    return compose(route(2 * d + 1, *products, (identity(d), range(d, 2 * d))), affine(np.hstack([eye, -eye])))
