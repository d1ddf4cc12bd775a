"""The true score of a Hölder density without closed form, as a ReLU network: local polynomials, then a division (d = 1, 2).

The density is that of theorem 5.1: sub-Gaussian and Hölder, p(x) proportional to exp(-c |x|^2 / 2) f(x), f between two positive
bounds. With v = alpha^2 + c sigma^2, s^2 = sigma^2 / v and Z standard normal, completing the square gives

    grad log p_t(x) = -c x / v + grad h / h,   h(x) = E f(alpha x / v + s Z),   grad h(x) = alpha / (sigma sqrt v) E Z f(alpha x / v + s Z).

h stays between the bounds of f, so nothing small is divided by. h and sigma grad h are as smooth as f, whatever t is, so local
polynomials on cells of width error^(1/2 beta) do: error^(-d/2 beta) of them.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_points, check_whole, randn
from ..schedules import Schedule, Time, schedule_of
from .bricks import check_error, piecewise_linear, product, square
from .network import ReLUNetwork, affine, clip, compose, identity, route, shared
from .scores import ScoreNetwork
from .softmax import division, gaussian_tail


class HolderLaw:
    """Density proportional to exp(-rate |x|^2 / 2) factor(x) in d = 1 or 2: samples by rejection, score by quadrature.

    Args:
        factor: (m, d) -> (m,), float64.
        bounds: low and high with 0 < low <= factor <= high; where the factor leaves them, the law's answers are a ValueError.
        d: dimension, 1 or 2.
        rate: > 0, one over the variance of the Gaussian.
        nodes: points of the trapezoidal rule an axis over 9 deviations of the noise, exact to rounding where the factor is smooth
            on their spacing; by default 1801, in two dimensions 73.

    Raises:
        ValueError: for another dimension, bounds or a rate that are not positive.
    """

    def __init__(
        self, factor: Callable, bounds: tuple[float, float], d: int = 1, *, rate: float = 1.0, nodes: int | None = None
    ):
        if check_whole(d, "d", 1, 2) and not callable(factor):
            raise ValueError(f"factor = {factor!r}: a function of (m, d) is needed")
        if not isinstance(bounds, tuple | list) or len(bounds) != 2:
            raise ValueError(f"bounds = {bounds!r}: two numbers, (low, high), are needed")
        as_real(bounds[0], "bounds[0]"), as_real(bounds[1], "bounds[1]"), as_real(rate, "rate")
        if not 0 < bounds[0] <= bounds[1] < math.inf or not 0 < rate < math.inf:
            raise ValueError(f"bounds = {bounds}, rate = {rate}: 0 < low <= high < inf and a positive rate are needed")
        self.factor, self.bounds, self.rate = factor, (float(bounds[0]), float(bounds[1])), float(rate)
        self.d, self.event_shape = d, (d,)
        axis = torch.linspace(-9, 9, nodes or (1801 if d == 1 else 73), dtype=torch.float64)
        self.nodes = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
        self.masses = (-self.nodes.square().sum(1) / 2).softmax(0)

    def _values(self, x: Tensor) -> Tensor:
        f = self.factor(x)
        low, high = self.bounds
        if f.shape != x.shape[:1] or not ((f >= low * (1 - 1e-12)) & (f <= high * (1 + 1e-12))).all():
            raise ValueError(
                f"factor leaves its bounds [{low:g}, {high:g}] or has shape {tuple(f.shape)}, not {(len(x),)}"
            )
        return f

    def _sample0(self, m: int, generator) -> Tensor:
        """Rejection from N(0, I / rate)."""
        kept = torch.zeros(0, self.d, dtype=torch.float64)
        while len(kept) < m:
            x = randn((2 * m, self.d), kept, generator) / math.sqrt(self.rate)
            # a uniform number as the distribution function of a normal one, on the generator's own device
            accept = torch.special.ndtr(randn((2 * m,), kept, generator)) * self.bounds[1] < self._values(x)
            kept = torch.cat([kept, x[accept]])
        return kept[:m]

    def sample(self, m: int, t: Time = 0.0, *, schedule: Schedule | None = None, generator=None) -> Tensor:
        """m samples of X_t, (m, d), float64, at one time t."""
        _, sigma = _levels(t, schedule, zero=True)
        x0 = self._sample0(check_count(m), generator)
        return schedule_of(schedule).add_noise(x0, t, randn((m, self.d), x0, generator)) if sigma else x0

    def smoothed(self, x: Tensor, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
        """h (m,) and grad h (m, d) at x (m, d)."""
        v = alpha**2 + self.rate * sigma**2
        parts = []
        for rows in x.split(max(1, 2**22 // len(self.nodes))):
            points = (alpha / v * rows)[:, None] + sigma / math.sqrt(v) * self.nodes
            f = self._values(points.reshape(-1, self.d)).reshape(len(rows), -1) * self.masses
            parts.append(torch.cat([f.sum(1, keepdim=True), alpha / (sigma * math.sqrt(v)) * (f @ self.nodes)], 1))
        out = torch.cat(parts)
        return out[:, 0], out[:, 1:]

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x), (m, d), at one time t > 0, by quadrature."""
        alpha, sigma = _levels(t, schedule)
        x64 = check_points(x, self.event_shape).double()
        h, slope = self.smoothed(x64, alpha, sigma)
        return (slope / h[:, None] - self.rate / (alpha**2 + self.rate * sigma**2) * x64).to(x.dtype)


def _levels(t: Time, schedule: Schedule | None, *, zero: bool = False) -> tuple[float, float]:
    """alpha and sigma at one time."""
    schedule = schedule_of(schedule)
    t = schedule.check_time(t, zero=zero)
    if t.ndim:
        raise ValueError(f"t has shape {tuple(t.shape)}: one time, a number, is needed")
    return float(schedule.alpha(t)), float(schedule.sigma(t))


def holder_score_network(
    law: HolderLaw, t: float, error: float, *, beta: float = 2.0, schedule: Schedule | None = None, most: int = 4096
) -> ScoreNetwork:
    """A ReLU network with E ||network - grad log p_t||^2 <= error / sigma^2, of about error^(-d / 2 beta) pieces.

    beta <= 2: h and sigma grad h are interpolated linearly. 2 < beta <= 3, d = 1: parabolas through three knots, blended
    linearly: error O(cell^3). The number of cells is the smallest
    (to 10 %) for which the mean square error of the polynomials, by quadrature, is at most 0.4 error; the bricks add at most
    0.3 sqrt(error) in norm, by their bounds, and what lies outside of the window 0.1 error: (sqrt 0.4 + 0.3)^2 + 0.1 < 1.

    Args:
        law: the truth.
        t: a time in (0, t_max].
        error: > 0, of the theorem, in units of sigma^-2.
        beta: the smoothness that the polynomials use, in (0, 3] for d = 1, in (0, 2] for d = 2.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.
        most: cells an axis that are allowed.

    Returns:
        A `ScoreNetwork` with power 2.

    Raises:
        ValueError: for another law, a beta or an error out of range, and where more than `most` cells would be needed.
    """
    schedule = schedule_of(schedule, law)
    error, most = check_error(error), check_count(most, "most")
    if not isinstance(law, HolderLaw):
        raise ValueError(f"law = {law!r}: a HolderLaw is needed")
    if not 0 < as_real(beta, "beta") <= (3 if law.d == 1 else 2):
        raise ValueError(f"beta = {beta!r}: a number in (0, {3 if law.d == 1 else 2}] is needed in d = {law.d}")
    alpha, sigma = _levels(t, schedule)
    half = _window(law, alpha, sigma, error)
    pieces = _pieces(law, alpha, sigma, half, 0.4 * error / sigma**2, beta > 2, most)
    quotient = _quotient(half, pieces, 0.3 * math.sqrt(error) / sigma)
    inside = compose(clip([-half] * law.d, [half] * law.d), quotient)
    pull = law.rate / (alpha**2 + law.rate * sigma**2)
    eye = np.eye(law.d)
    network = compose(shared(inside, identity(law.d)), affine(np.hstack([eye, -pull * eye])))
    return ScoreNetwork(network, float(t), float(error), 2, schedule)


def _window(law: HolderLaw, alpha: float, sigma: float, error: float) -> float:
    """Half width of a window outside of which at most 0.1 error / sigma^2 of the mean square lies.

    p_t is at most (high / low) N(0, v / c), and |grad h / h| at most S = (high / low) sqrt(d) alpha / (sigma sqrt v); so is the
    quotient of the interpolants, doubled for the overshoot of cubic ones, plus the error of the bricks.
    """
    v, ratio = alpha**2 + law.rate * sigma**2, law.bounds[1] / law.bounds[0]
    S = ratio * math.sqrt(law.d) * alpha / (sigma * math.sqrt(v))
    q = 1.0
    while ratio * law.d * gaussian_tail(q)[0] * (3 * S + math.sqrt(error) / sigma) ** 2 > 0.1 * error / sigma**2:
        q += 0.25
    return q * math.sqrt(v / law.rate)


def _pieces(law: HolderLaw, alpha: float, sigma: float, half: float, goal: float, cubic: bool, most: int) -> np.ndarray:
    """Local polynomials of (h, grad h) at the knots of the coarsest grid on which their quotient reaches the goal."""
    number = 4001 if law.d == 1 else 61  # midpoint rule on the window, weighted by p_t
    axis = (torch.arange(number, dtype=torch.float64) + 0.5) * (2 * half / number) - half
    x = torch.cartesian_prod(*[axis] * law.d).reshape(-1, law.d)
    h, slope = law.smoothed(x, alpha, sigma)
    masses = h * torch.exp(-law.rate / (2 * (alpha**2 + law.rate * sigma**2)) * x.square().sum(1))
    cells = 2
    while cells <= most:
        pieces = _local_polynomials(law, alpha, sigma, half, cells, cubic)
        values = _evaluate(half, pieces, x)
        off = (values[:, 1:] / values[:, :1] - slope / h[:, None]).square().sum(1)
        if _bounds(pieces)[0][0] > 0 and float(masses @ off / masses.sum()) <= goal:
            return pieces
        cells = max(cells + 1, math.ceil(1.1 * cells))
    raise ValueError(f"most = {most}: more cells an axis are needed for this error")


def _local_polynomials(law, alpha: float, sigma: float, half: float, cells: int, cubic: bool) -> np.ndarray:
    """Values (J+1, 1+d, 1) or (J+1, J+1, 1+d, 1), or d = 1 values, slopes and half curvatures in cells, (J+1, 2, 3)."""
    more = 1 if cubic else 0  # a knot beyond each end, for the parabolas there
    axis = torch.arange(-more, cells + 1 + more, dtype=torch.float64) * (2 * half / cells) - half
    h, slope = law.smoothed(torch.cartesian_prod(*[axis] * law.d).reshape(-1, law.d), alpha, sigma)
    f = torch.cat([h[:, None], slope], 1).reshape(*[len(axis)] * law.d, 1 + law.d).numpy()
    if not cubic:
        return f[..., None]
    before, here, after = f[:-2], f[1:-1], f[2:]
    return np.stack([here, (after - before) / 2, (after - 2 * here + before) / 2], -1)


def _bounds(pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds of each output, (1 + d,): blended polynomials lie between the bounds of the polynomials."""
    spread = np.abs(pieces[..., 1:]).sum(-1)
    axes = tuple(range(pieces.ndim - 2))
    return (pieces[..., 0] - spread).min(axes), (pieces[..., 0] + spread).max(axes)


def _powers(pieces: np.ndarray) -> np.ndarray:
    """Coefficients of 1, u, u^2, u = x / half, from those in cells around the knots: same shape."""
    if pieces.shape[-1] == 1:
        return pieces
    cells = len(pieces) - 1
    at = np.linspace(-cells / 2, cells / 2, cells + 1)[:, None]  # the knots in cells
    f, s, q = np.moveaxis(pieces, -1, 0)
    return np.stack([f - s * at + q * at**2, (s - 2 * q * at) * cells / 2, q * cells**2 / 4], -1)


def _evaluate(half: float, pieces: np.ndarray, x: Tensor) -> Tensor:
    """The blended local polynomials at x (m, d), with exact products: (m, 1 + d)."""
    powers = _powers(pieces)
    fields = piecewise_linear(half, powers.reshape(*powers.shape[:-2], -1))(x).reshape(len(x), *powers.shape[-2:])
    u = x[:, :1, None] / half
    return (fields * u ** torch.arange(powers.shape[-1])).sum(-1)


def _quotient(half: float, pieces: np.ndarray, error: float) -> ReLUNetwork:
    """x in the window -> quotient of the local polynomials, at most `error` off.

    With h, grad h off by e in each of the 1 + d numbers and S a bound of the quotient, it is off by e (sqrt d + S) / (low - e);
    this takes a third, where there are products, the reciprocal S times its relative error a third, the products a third.
    """
    low, high = _bounds(pieces)
    largest = np.maximum(-low[1:], high[1:]) + 1e-12
    d, S = len(largest), float(np.linalg.norm(largest)) / low[0]
    off = min(low[0] / 2, error / 6 * low[0] / (math.sqrt(d) + S)) if pieces.shape[-1] > 1 else 0.0
    polynomial = _polynomial(half, _powers(pieces), off)
    denominator = (low[0] - off, max(high[0] + off, (low[0] - off) * (1 + 1e-6)))
    largest, S = largest + off, (S * low[0] + math.sqrt(d) * off) / (low[0] - off)
    return compose(polynomial, division(denominator, largest, error / 3 / S, error / 3 / math.sqrt(d)))


def _polynomial(half: float, powers: np.ndarray, error: float) -> ReLUNetwork:
    """x -> (h, grad h), each at most `error` off: the fields of coefficients times 1, u, u^2; no product where only 1 occurs."""
    outputs, terms = powers.shape[-2:]
    fields = piecewise_linear(half, powers.reshape(*powers.shape[:-2], -1))
    if terms == 1:
        return fields
    most = np.abs(powers).max(0) + 1e-12  # (outputs, 3)
    u = affine([[1 / half]])
    first = shared(fields, u, compose(u, square(1.0, error / 4 / most[:, 2].max())))
    branches = []
    for k in range(outputs):
        branches += [(identity(1), [3 * k])]
        branches += [(product(most[k, a], 1.25, error / 4), [3 * k + a, 3 * outputs + a - 1]) for a in (1, 2)]
    return compose(first, route(3 * outputs + 2, *branches), affine(np.kron(np.eye(outputs), np.ones((1, 3)))))
