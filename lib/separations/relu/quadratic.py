"""The score of a mixture whose components have covariances of their own, as a ReLU network: quadratic logits.

With u the input, clipped to a box and scaled to [-1, 1]^d, the logits are affine in the d (d + 3) / 2 numbers (u_i, u_i u_j), which
the K components share. The score is h - G u, where (h, G) is the softmax mean of the vectors and matrices of the components.
"""

import math

import numpy as np

from .bricks import product, square
from .network import ReLUNetwork, affine, clip, compose, identity, route
from .softmax import gaussian_tail, softmax_mean


def quadratic_mixture(weights: np.ndarray, centres: np.ndarray, precision: np.ndarray, error: float) -> ReLUNetwork:
    """x -> grad log sum_k w_k N(x; centres_k, precision_k^-1), off by at most `error` in mean square under that law.

    weights: (K,), centres: (K, d), precision: (K, d, d). In the box off by at most eta = sqrt(0.9 error): a third for the
    logits, a third for the softmax mean, (1 + sqrt d) times its error, a third for the d^2 products. Outside, see `_box`.
    """
    d, eta = centres.shape[1], math.sqrt(0.9 * error)
    middle, half = _box(centres, precision, eta, 0.1 * error)
    G = precision * half  # the matrix that acts on u
    h = np.einsum("kij,kj->ki", precision, centres - middle)
    values = np.concatenate([h, G.reshape(len(G), -1)], 1)
    radius = np.linalg.norm(values - (values.max(0) + values.min(0)) / 2, axis=1).max() * (1 + math.sqrt(d))
    K = eta / 3 / (2 * radius + eta / 3)
    slopes, offsets, size = _logits(weights, centres - middle, precision, half, h)
    features = _features(d, min(math.log1p(K) / max(size, 1e-12), 1.0))
    mean = softmax_mean(slopes, offsets, values, eta / 3 / (1 + math.sqrt(d)))
    unit = compose(clip(middle - half, middle + half), affine(np.diag(1 / half), -middle / half))
    both = route(slopes.shape[1], (mean, range(slopes.shape[1])), (identity(d), range(d)))
    return compose(unit, features, both, _apply(d, np.abs(G).max() + eta, eta / 3 / d**1.5))


def _box(centres: np.ndarray, precision: np.ndarray, eta: float, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half widths of a box outside of which the law leaves at most `error` of the mean square.

    The score is a posterior mean of -P_k^(1/2) z: E |score|^4 <= d (d + 2) p^2, p the largest eigenvalue. The network is at
    most S there, S the bound of the score in the box plus eta. With P(out) <= d P(|Z| > q): 2 sqrt(E |score|^4 P) + 2 S^2 P.
    """
    d = centres.shape[1]
    deviations = np.sqrt(np.diagonal(np.linalg.inv(precision), axis1=1, axis2=2))
    p = np.linalg.eigvalsh(precision).max()
    q = 1.0
    while True:
        low, high = (centres - q * deviations).min(0), (centres + q * deviations).max(0)
        S = p * 2 * np.linalg.norm(high - low) + eta
        outside = d * gaussian_tail(q)[0]
        if 2 * p * math.sqrt(d * (d + 2) * outside) + 2 * S * S * outside <= error:
            return (low + high) / 2, (high - low) / 2
        q += 0.25


def _pairs(d: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(d) for j in range(i, d)]


def _features(d: int, error: float) -> ReLUNetwork:
    """u in [-1, 1]^d -> (u_i, u_i u_j for i <= j), each of the latter at most `error` off."""
    branches = [(square(1.0, error), [i]) if i == j else (product(1.0, 1.0, error), [i, j]) for i, j in _pairs(d)]
    return route(d, (identity(d), range(d)), *branches)


def _logits(weights, centres, precision, half, h) -> tuple[np.ndarray, np.ndarray, float]:
    """Logits as slopes (K, d (d+3)/2) and offsets (K,) on the features, and the largest sum of |quadratic slopes|."""
    Q = -precision * half[:, None] * half / 2
    Q = Q - (Q.max(0) + Q.min(0)) / 2  # what is common to all components cancels in the softmax
    quadratic = np.stack([Q[:, i, j] * (1 if i == j else 2) for i, j in _pairs(len(half))], 1)
    offsets = np.log(weights) + np.linalg.slogdet(precision)[1] / 2 - (h * centres).sum(1) / 2
    return np.hstack([h * half, quadratic]), offsets, float(np.abs(quadratic).sum(1).max())


def _apply(d: int, size: float, error: float) -> ReLUNetwork:
    """(h, G, u) -> h - G u, each product at most `error` off."""
    inputs = d + d * d + d
    products = [(product(size, 1.0, error), [d + d * i + j, d + d * d + j]) for i in range(d) for j in range(d)]
    total = np.hstack([np.eye(d), -np.kron(np.eye(d), np.ones((1, d)))])
    return compose(route(inputs, (identity(d), range(d)), *products), affine(total))
