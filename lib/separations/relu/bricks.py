"""Scalar bricks as explicit ReLU networks: square, product, exponential, reciprocal, each with a proved error bound.

All rest on the sawtooth of Yarotsky (2017): with g the tent on [0, 1] and g_s its s-fold composition, u - sum_{s<=m} g_s(u)/4^s
interpolates u^2 at the multiples of 2^-m. So m layers of three ReLUs give the error 4^-(m+1): sizes are powers of log(1/error).
Rounding is part of the bound: each square is granted 2^-49 of its largest value, eight units in the last place of float64,
and errors below twice that are refused. The exponential multiplies early errors by its range, so it ends at about 1e-10.
"""

import math

import numpy as np
import scipy.sparse as sparse
from numpy.polynomial import Chebyshev, Polynomial

from ..numerics.checks import as_real, check_count
from .network import ReLUNetwork, affine, compose, identity, parallel, route

FLOOR = 2.0**-49  # rounding of one square or product, relative to its largest value
SHORTEST = 2.0**-6  # range of an exponential below which the quartic term of its interpolant drowns in rounding


def check_error(error: float, scale: float = 1.0, name: str = "error") -> float:
    """error, if it is positive and float64 can deliver it for values of size `scale`; ValueError otherwise."""
    if not 0 < as_real(error, name) < math.inf:
        raise ValueError(f"{name} = {error!r}: a positive number is needed")
    if error < 2 * FLOOR * scale:
        raise ValueError(
            f"{name} = {error:g} is below {2 * FLOOR * scale:.2g}, what float64 can give for values up to {scale:g}"
        )
    return float(error)


def check_range(low: float, high: float, floor: float = -math.inf) -> tuple[float, float]:
    """low and high as floats; ValueError unless floor < low < high, both finite."""
    low, high = as_real(low, "low"), as_real(high, "high")
    if not (floor < low < high < math.inf and low > -math.inf):
        above = "" if floor == -math.inf else f"{floor:g} < "
        raise ValueError(f"low = {low!r}, high = {high!r}: finite {above}low < high is needed")
    return low, high


def square_on(low: float, high: float, error: float) -> ReLUNetwork:
    """x -> x^2 on [low, high], from above: 0 <= f(x) - x^2 <= error. Three ReLUs a layer, log4((high - low)^2 / error) layers.

    With u = (x - low) / w, w = high - low, x^2 = low^2 + (high^2 - low^2) u - w^2 u (1 - u): the sum of g_s / 4^s replaces
    u (1 - u) with an error in [-4^-(m+1), 0]. What is carried is an interpolant of x^2, so it is >= 0: one ReLU carries it.
    """
    low, high = check_range(low, high)
    w = high - low
    rounding = FLOOR * max(low * low, high * high)
    error = check_error(error, rounding / FLOOR)
    levels = max(1, math.ceil(math.log(w * w / (error - rounding), 4)) - 1)
    start = np.array([1.0, 1.0, (high**2 - low**2)]) / w
    layers = [(start[:, None], np.array([0, -0.5, low**2]) - low * start)]
    tent = np.array([2.0, -4.0, 0.0])
    for s in range(1, levels):
        layers.append(([tent, tent, [0, 0, 1] - w * w / 4**s * tent], [0, -0.5, 0]))
    layers.append(([[0, 0, 1] - w * w / 4**levels * tent], [0.0]))
    return ReLUNetwork(layers, error=w * w / 4 ** (levels + 1) + rounding, valid=(low, high), nonnegative=True)


def square(bound: float, error: float) -> ReLUNetwork:
    """x -> x^2 on [-bound, bound], at most `error` off, always from above."""
    if not 0 < as_real(bound, "bound") < math.inf:
        raise ValueError(f"bound = {bound!r}: a positive number is needed")
    return square_on(-bound, bound, error)


def product(bound_x: float, bound_y: float, error: float) -> ReLUNetwork:
    """(x, y) -> x y on |x| <= bound_x, |y| <= bound_y, at most `error` off, and exactly 0 where x or y is.

    With x, y scaled to [-1, 1], x y = ((x + y)/2)^2 - ((x - y)/2)^2. Both squares err upwards by at most the same amount,
    so their difference errs by no more than one of them.
    """
    bound_x, bound_y = as_real(bound_x, "bound_x"), as_real(bound_y, "bound_y")
    for name, bound in (("bound_x", bound_x), ("bound_y", bound_y)):
        if not 0 < as_real(bound, name) < math.inf:
            raise ValueError(f"{name} = {bound!r}: a positive number is needed")
    scale = bound_x * bound_y
    one = square(1.0, check_error(error, scale) / scale)
    turn = affine([[0.5 / bound_x, 0.5 / bound_y], [0.5 / bound_x, -0.5 / bound_y]])
    network = compose(turn, parallel(one, one), affine([[scale, -scale]]))
    bounds = np.array([bound_x, bound_y])
    return network.certified(scale * one.error, -bounds, bounds)


def gaussian_weight(reach: float, relative: float, absolute: float) -> ReLUNetwork:
    """v -> exp(-v) on [0, reach], constant beyond (for reach >= 2^-6): |f(v) - exp(-v)| <= relative exp(-v) + absolute, f >= 0.

    A polynomial for exp(-v / 2^k), squared k times. Let d_j bound the error of stage j (j = 0 the polynomial), M = 2^(k-j), and
    z the output. Stage j counts with at most M z^(1-1/M) d_j (mean value theorem; squares err upwards, so each earlier
    value is at most z^(1/M)). By Young's inequality that is at most r z + a for d_j = a^(1/M) (r / (M-1))^(1-1/M). Summed,
    |f - e^-v| <= R z + A with z <= (e^-v + A) / (1 - R): R = relative / (1 + relative), A = absolute / (1 + relative) do.
    So the early stages need an accuracy that does not depend on `absolute`: only the last squares see it.
    """
    _, reach = check_range(0.0, reach)
    relative, absolute = check_error(relative, name="relative"), check_error(absolute, name="absolute")
    if relative >= 1e15 or absolute >= 1e15:  # 1 + it would lose the 1
        raise ValueError(f"relative = {relative:g}, absolute = {absolute:g}: numbers below 1e15 are needed")
    reach = max(reach, SHORTEST)
    plans = [plan for plan in (_plan(reach, relative, absolute, k) for k in range(48)) if plan is not None]
    if not plans:
        raise ValueError(
            f"relative = {relative:g}, absolute = {absolute:g}, reach = {reach:g}: float64 cannot deliver that"
        )
    best = min(plans, key=lambda plan: plan.depth)
    return ReLUNetwork(best.layers, error=relative + absolute, valid=(0, reach), nonnegative=True)


def _plan(reach: float, relative: float, absolute: float, k: int) -> ReLUNetwork | None:
    """The network with k squarings; None where the polynomial or float64 is not accurate enough."""
    R, A = relative / (1 + relative), absolute / (1 + relative)
    bound = (1 + A) / (1 - R)
    powers = [2 ** (k - j) for j in range(k)]
    budgets = [(A / (2 * k)) ** (1 / M) * (R / k / (M - 1)) ** (1 - 1 / M) for M in powers]
    budgets.append(A / 2 if k else A)
    if not SHORTEST <= reach / 2**k <= 4 or min(budgets) < 2 * FLOOR * bound**2:
        return None
    start = _quartic(reach, reach / 2**k, budgets[0])
    if start is None:
        return None
    return compose(start, *[square_on(0.0, bound, budget) for budget in budgets[1:]])


def _quartic(reach: float, top: float, error: float) -> ReLUNetwork | None:
    """v -> exp(-v top / reach) on [0, reach], constant beyond, by its interpolant of degree 4 at the Chebyshev nodes.

    That is off by 2 (top/4)^5 / 5! at most. Completing squares, it is a (q^2 + e)^2 + b q + c with q = w - shift: two
    squares of the ReLU network, which add at most a (2 S err_1 + err_2), S the largest |q^2 + e|.
    """
    slack = (error - 2 * (top / 4) ** 5 / 120) / 2
    if slack <= 0:
        return None
    w = Chebyshev.interpolate(lambda x: np.exp(-x), 4, domain=[0, top]).convert(kind=Polynomial).coef
    a, shift = w[4], -w[3] / (4 * w[4])
    c, b, middle = Polynomial(w)(Polynomial([shift, 1])).coef[:3]
    e = middle / (2 * a)
    most = max(shift**2, (top - shift) ** 2)
    S = max(abs(e), abs(most + e))
    if slack < 4 * FLOOR * a * S * S:
        return None
    flip = ReLUNetwork(
        [([[-1.0]], [reach]), ([[-top / reach], [1.0]], [top - shift, 0.0])]
    )  # (q, z), z = relu(reach - v)
    wire = identity(1, nonnegative=True)
    first = route(2, (square_on(-shift, top - shift, slack / (2 * a * S)), [0]), (wire, [1]))
    second = route(2, (compose(affine([[1.0]], [e]), square_on(e, most + e, slack / a)), [0]), (wire, [1]))
    last = affine([[a, -b * top / reach]], [b * (top - shift) + c - a * e * e])
    return compose(flip, first, second, last)


def exponential(low: float, high: float, error: float) -> ReLUNetwork:
    """x -> exp(x) on [low, high], at most `error` off; exp(low) below. log^2(1/error) layers of at most four ReLUs."""
    low, high = check_range(low, high)
    if high > 700:
        raise ValueError(f"high = {high:g}: exp(high) overflows float64, high <= 700 is needed")
    top = math.exp(high)
    share = check_error(error, 4 * top) / top / 2
    weight = gaussian_weight(high - low, min(share, 0.5), share)
    network = compose(affine([[-1.0]], [high]), weight, affine([[top]]))
    return network.certified(error, low, high, nonnegative=True)


def reciprocal(low: float, high: float, error: float) -> ReLUNetwork:
    """y -> 1/y on [low, high], 0 < low, at most `error` off."""
    low, high = check_range(low, high, 0.0)
    relative = check_error(error, 1 / low) * low
    return relative_reciprocal(low, high, min(relative, 0.5)).certified(error, low, high, nonnegative=True)


def relative_reciprocal(low: float, high: float, error: float) -> ReLUNetwork:
    """y -> r with |y r - 1| <= error on [low, high], 0 < low: a chain of chords, then Newton steps r (2 - y r).

    Chords of 1/y over pieces of ratio q <= 2 lie above it by at most (q-1)^2 / (4q), relatively; halved by scaling. With
    y r = 1 + e, the products off by d_1 and d_2, a step gives y r' = 1 - e^2 - (1 + e) d_1 + y d_2: the error is squared and
    what was wrong before is forgotten. Steps: log log(1/error), each with two products of log(high / low / error) layers.
    """
    low, high = check_range(low, high, 0.0)
    check_error(error, 4 * high / low)
    if error >= 1:
        raise ValueError(f"error = {error:g}: a relative error below 1 is needed")
    network, e = _chords(low, high)
    while e > error:
        target = error if e * e <= error / 2 else 1.5 * e * e
        network = compose(network, _newton(low, high, e, target))
        e = target
    return compose(network, affine([[0.0, 1.0]])).certified(error, low, high, nonnegative=True)


def _chords(low: float, high: float) -> tuple[ReLUNetwork, float]:
    """y -> (y, r) and the relative error of r. Sums of positive terms c relu(knot - y): nothing cancels."""
    pieces = math.ceil(math.log2(high / low) - 1e-9) or 1
    q = (high / low) ** (1 / pieces)
    over = (q - 1) ** 2 / (4 * q)
    knots = low * q ** np.arange(pieces + 1.0)
    slopes = 1 / (knots[:-1] * knots[1:])
    turns = (slopes - np.append(slopes[1:], 0.0)) * 2 / (2 + over)
    first = (np.vstack([[[1.0]], -np.ones((pieces, 1))]), np.append(0.0, knots[1:]))
    second = (np.vstack([np.eye(1, pieces + 1), np.append(0.0, turns)]), [0.0, 2 / (2 + over) / high])
    return ReLUNetwork([first, second], nonnegative=True), over / (2 + over)


def _newton(low: float, high: float, e: float, target: float) -> ReLUNetwork:
    """(y, r) -> (y, r - r (y r - 1)), relative error e -> target."""
    slack, most = (target - e * e) / 2, (1 + e) / low
    first = product(high, most, slack / (1 + e))
    excess = e + first.error
    second = product(most, excess, slack / high)
    wire = identity(2, nonnegative=True)
    step = route(2, (first, [0, 1]), (wire, [0, 1]))  # (y r, y, r)
    less = compose(affine([[0, 0, 1], [1, 0, 0]], [0, -1.0]), second)
    step_two = route(3, (less, [0, 1, 2]), (wire, [1, 2]))  # (r (y r - 1), y, r)
    return compose(step, step_two, affine([[0, 1.0, 0], [-1.0, 0, 1.0]]))


def piecewise_linear(half: float, values: np.ndarray) -> ReLUNetwork:
    """The continuous piecewise-linear interpolant on [-half, half]^d of values (J + 1, outputs) or (J + 1, J + 1, outputs).

    d = 2: triangles with diagonals in one direction; with u, v the distances from a knot in cells, its hat is
    relu(1 - (|u| + |v| + |u - v|) / 2), exactly. J cells an axis.
    """
    J, d = len(values) - 1, values.ndim - 1
    cell = 2 * half / check_count(J, "the number of cells")
    knots = np.linspace(-half, half, J + 1)
    if d == 1:
        slopes = np.diff(values, axis=0) / cell
        turns = np.diff(slopes, axis=0, prepend=np.zeros((1, values.shape[1])))
        return ReLUNetwork([(np.ones((J, 1)), -knots[:-1]), (turns.T, values[0])])
    j, k = (index.ravel() for index in np.meshgrid(range(J + 1), range(J + 1), indexing="ij"))
    lines = [([1, 0], knots), ([0, 1], knots), ([1, -1], cell * np.arange(-J, J + 1))]
    weight = np.concatenate([np.tile(np.array(normal) / cell, (len(at), 1)) for normal, at in lines])
    bias = -np.concatenate([at for _, at in lines]) / cell
    first = (np.vstack([weight, -weight]), np.append(bias, -bias))
    return ReLUNetwork([first, _hats(j, k, J), (values.reshape(-1, values.shape[2]).T, np.zeros(values.shape[2]))])


def _hats(j: np.ndarray, k: np.ndarray, J: int):
    """The layer of the hats: -1/2 at the six ReLUs of the three distances of a knot, bias 1."""
    lines = np.stack([j, J + 1 + k, 2 * (J + 1) + j - k + J], 1)
    columns = np.concatenate([lines, lines + 4 * J + 3], 1).ravel()
    rows = np.repeat(np.arange(len(j)), 6)
    shape = (len(j), 2 * (4 * J + 3))
    return sparse.csr_array((np.full(len(rows), -0.5), (rows, columns)), shape=shape), np.ones(len(j))
