"""Two-layer ReLU networks of one variable, many at once: their exact Hessian, gradient descent, and the network of a piecewise linear function.

    f(x) = sum_k a_k relu(w_k x + b_k) + c,    L = 1/2 sum_j p_j (f(x_j) - y_j)^2

where x_j with weights p_j are data points, or the nodes of a quadrature: then L is the mean over infinitely many draws of noise, up to a
constant, with y_j the conditional mean of the target. In one variable all is in closed form, with the neurons that are active at x_j,

    df/da = relu(w x + b),  df/dw = a x 1[w x + b > 0],  df/db = a 1[w x + b > 0],  df/dc = 1,
    Hessian of L = sum_j p_j (grad f)(grad f)^T + residual term, the latter with the pairs (a_k, w_k) and (a_k, b_k) alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_finite, check_generator, check_positive, check_whole, randn


@dataclass(frozen=True)
class ShallowReLU:
    """Networks of k neurons; leading dimensions (...) count networks that are computed at once.

    Attributes:
        w: (..., k) weights of the neurons.
        b: (..., k) their shifts.
        a: (..., k) weights of their outputs.
        c: (..., 1) shift of the output.
    """

    w: Tensor
    b: Tensor
    a: Tensor
    c: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Values at x (G,) or (..., G): (..., G)."""
        return torch.einsum("...gk,...k->...g", self._inputs(x).relu_(), self.a) + self.c

    def _inputs(self, x: Tensor) -> Tensor:
        return x[..., None] * self.w[..., None, :] + self.b[..., None, :]

    def kinks(self) -> tuple[Tensor, Tensor]:
        """Where each neuron bends, (..., k), and by how much the slope changes there, (..., k)."""
        return -self.b / self.w, self.a * self.w.abs()

    def vector(self) -> Tensor:
        """All parameters, (..., 3k + 1): w, b, a, c."""
        return torch.cat([self.w, self.b, self.a, self.c], -1)

    @classmethod
    def of_vector(cls, vector: Tensor) -> "ShallowReLU":
        """The networks whose `vector` is (..., 3k + 1)."""
        k = (vector.shape[-1] - 1) // 3
        return cls(*vector.split([k, k, k, 1], -1))

    def gradient(self, x: Tensor, p: Tensor, y: Tensor) -> Tensor:
        """Gradient of L, (..., 3k + 1), for nodes x, weights p and targets y, each (G,) or (..., G)."""
        z = self._inputs(x)
        active, h = z > 0, z.relu_()
        r = (torch.einsum("...gk,...k->...g", h, self.a) + self.c - y) * p
        on = active.to(r.dtype)
        da, on_sum = torch.einsum("...gk,...g->...k", h, r), torch.einsum("...gk,...g->...k", on, r)
        dw = torch.einsum("...gk,...g->...k", on, r * x) * self.a
        return torch.cat([dw, on_sum * self.a, da, r.sum(-1, keepdim=True)], -1)

    def hessian(self, x: Tensor, p: Tensor, y: Tensor) -> Tensor:
        """Hessian of L, (..., 3k + 1, 3k + 1), where no node lies on a kink."""
        z = self._inputs(x)
        on, h = (z > 0).to(z.dtype), z.relu()
        k, one = self.w.shape[-1], torch.ones_like(h[..., :1])
        jacobian = torch.cat([on * x[..., None] * self.a[..., None, :], on * self.a[..., None, :], h, one], -1)
        r = (torch.einsum("...gk,...k->...g", h, self.a) + self.c - y) * p
        found = torch.einsum("...gi,...gj->...ij", jacobian * p[..., None], jacobian)
        i = torch.arange(k)
        for first, cross in ((0, on * x[..., None]), (k, on)):  # (w, a) and (b, a)
            mixed = torch.einsum("...gk,...g->...k", cross, r)
            found[..., first + i, 2 * k + i] += mixed
            found[..., 2 * k + i, first + i] += mixed
        return found

    def sharpness(self, x: Tensor, p: Tensor, y: Tensor, scale: Tensor | None = None) -> Tensor:
        """Largest eigenvalue of the Hessian, (...): a minimum is stable under gradient descent with a step of at most 2 / sharpness.

        Args:
            x, p, y: nodes, weights and targets, as in `gradient`.
            scale: (..., 3k + 1) positive factors on the steps of the parameters, as those of Adam; None for 1. The eigenvalue is that of
                scale^(1/2) Hessian scale^(1/2).

        Returns:
            The eigenvalues.
        """
        matrix = self.hessian(x, p, y)
        if scale is not None:
            matrix = scale.sqrt()[..., None] * matrix * scale.sqrt()[..., None, :]
        return torch.linalg.eigvalsh(matrix)[..., -1]


def random_shallow(
    shape: tuple[int, ...], k: int, *, reach: float = 1.0, generator: torch.Generator | None = None
) -> ShallowReLU:
    """Networks with w ~ N(0, 1), kinks uniform on [-reach, reach], a ~ N(0, 1 / k), c = 0, float64.

    Args:
        shape: leading dimensions, () for one network.
        k: neurons.
        reach: of the kinks, > 0.
        generator: of the draws; None for torch's own.

    Returns:
        `ShallowReLU`.

    Raises:
        ValueError: for k < 1 or a reach that is not positive.
    """
    k, reach, generator = check_count(k, "k"), check_positive(reach, "reach"), check_generator(generator)
    like = torch.empty(0, dtype=torch.float64)
    w, a = randn((*shape, k), like, generator), randn((*shape, k), like, generator) / k**0.5
    kinks = (2 * torch.rand((*shape, k), dtype=torch.float64, generator=generator) - 1) * reach
    return ShallowReLU(w, -kinks * w, a, torch.zeros(*shape, 1, dtype=torch.float64))


def network_through(knots: Tensor, values: Tensor, x: Tensor, p: Tensor) -> ShallowReLU:
    """The network that is linear between knots and takes given values there, as flat as this construction makes it.

    A bend may be made by a neuron that is active to its right or to its left. Each is turned to the side where it moves the outputs least
    under the law (x, p), the side of `variation_weight`; two neurons whose kinks are the outer knots carry the slope in between. The
    weights of each neuron are scaled, a w fixed, so that both contribute alike to the shift of the mean output.

    Args:
        knots: (K,) increasing, K >= 3; beyond the outer two the first and last slopes go on as far as the nodes x.
        values: (K,) of the function.
        x: (G,) increasing nodes of the law of the inputs, within the outer knots.
        p: (G,) their probabilities.

    Returns:
        `ShallowReLU` with K neurons: K - 2 bends, one that carries the slope to the right, one to the left.

    Raises:
        ValueError: for knots that do not increase, other shapes, or nodes outside of the knots.
    """
    knots, values, x, p = (
        as_numbers(v, name) for v, name in ((knots, "knots"), (values, "values"), (x, "x"), (p, "p"))
    )
    if knots.ndim != 1 or len(knots) < 3 or values.shape != knots.shape or not (knots.diff() > 0).all():
        raise ValueError(
            f"knots has shape {tuple(knots.shape)}, values {tuple(values.shape)}: (K,), increasing, K >= 3"
        )
    if x.ndim != 1 or p.shape != x.shape or float(x[0]) < float(knots[0]) or float(x[-1]) > float(knots[-1]):
        raise ValueError(f"x from {float(x[0]):g} to {float(x[-1]):g}: nodes within the knots are needed")
    slopes = values.diff() / knots.diff()
    bends, places = slopes.diff(), knots[1:-1]
    left, right = side_moments(x, p, places)  # of the sides
    rightward = right[3] <= left[3]
    middle = int(rightward.to(torch.int64).argmax()) if rightward.any() else len(places)
    base = slopes[
        middle
    ]  # between the bends that open to the left and those to the right; two neurons that see all nodes share it
    sign = torch.where(rightward, 1.0, -1.0).double()
    P, E, h = (torch.where(rightward, r, s) for r, s in zip(right[:3], left[:3]))
    scale = (bends.abs() * P * (1 + E**2).sqrt() / h.clamp(min=1e-12)).sqrt().clamp(min=1e-3)
    ends = torch.stack([knots[0], knots[-1]])
    mean = float(p @ x)
    outer_h = torch.stack([mean - ends[0], ends[1] - mean])
    outer = (base.abs() / 2 * (1 + mean**2) ** 0.5 / outer_h).sqrt().clamp(min=1e-3)
    w = torch.cat([sign * scale, outer * torch.tensor([1.0, -1.0], dtype=torch.float64)])
    kinks = torch.cat([places, ends])
    strength = torch.cat([bends / scale, base / 2 / outer * torch.tensor([1.0, -1.0], dtype=torch.float64)])
    net = ShallowReLU(w, -w * kinks, strength, torch.zeros(1, dtype=torch.float64))
    return ShallowReLU(net.w, net.b, net.a, values[:1] - net(knots[:1]))


def side_moments(x: Tensor, p: Tensor, places: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """For each side of each place, left then right: its probability, mean there, mean distance E relu, and g = P E relu (1 + mean^2)^(1/2)."""
    zero = torch.zeros(1, dtype=torch.float64)
    mass, moment = torch.cat([zero, p.cumsum(0)]), torch.cat([zero, (p * x).cumsum(0)])
    below, upto = torch.searchsorted(x, places), torch.searchsorted(x, places, right=True)
    sides = []
    for P, M, sign in ((mass[below], moment[below], 1.0), (mass[-1] - mass[upto], moment[-1] - moment[upto], -1.0)):
        mean, h = torch.where(P > 0, M / P.clamp(min=1e-300), 0.0), (sign * (places * P - M)).clamp(min=0)
        sides.append((P, mean, h, P * h * (1 + mean**2).sqrt()))
    return tuple(sides)


def gradient_descent(
    net: ShallowReLU, x: Tensor, p: Tensor, y: Tensor, step: Tensor | float, updates: int,
    *, fresh: Callable[[int], tuple[Tensor, Tensor, Tensor]] | None = None, every: int = 0,
) -> Iterator[tuple[int, ShallowReLU]]:  # fmt: skip
    """Plain gradient descent on L, without momentum, decay or batches; networks that diverge stop where they are, as NaN.

    Args:
        net: where it starts.
        x, p, y: nodes, weights and targets, (G,) or (..., G).
        step: its size, a number or (...), > 0.
        updates: how many, >= 1.
        fresh: nodes, weights and targets of an update in place of the fixed ones, by its number: draws of noise.
        every: updates between two networks that are given; 0 for the last one alone.

    Returns:
        An iterator of the number of updates so far, and the networks.

    Raises:
        ValueError: for a step that is not positive, or fewer than one update.
    """
    updates, every = check_count(updates, "updates"), check_whole(every, "every", 0)
    step = _positive(step, "step")
    theta = net.vector()
    for i in range(1, updates + 1):
        nodes = (x, p, y) if fresh is None else fresh(i)
        theta = theta - step * ShallowReLU.of_vector(theta).gradient(*nodes)
        if i == updates or (every and i % every == 0):
            yield i, ShallowReLU.of_vector(theta)


def adam(
    net: ShallowReLU, x: Tensor, p: Tensor, y: Tensor, step: Tensor | float, updates: int,
    *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    fresh: Callable[[int], tuple[Tensor, Tensor, Tensor]] | None = None, every: int = 0,
) -> Iterator[tuple[int, ShallowReLU, Tensor]]:  # fmt: skip
    """Adam on L (Kingma and Ba 2015), with the factors on the steps of the parameters, for the sharpness that it sees.

    With these factors held fixed, Adam is gradient descent with an averaged gradient: on a quadratic it is stable while step times
    sharpness, that of factors^(1/2) Hessian factors^(1/2), is below 2 (1 + beta1) / (1 - beta1): 38 at the usual 0.9 (`adam_limit`).

    Args:
        net: where it starts.
        x, p, y: nodes, weights and targets, (G,) or (..., G).
        step: its size, a number or (...), > 0.
        updates: how many, >= 1.
        beta1, beta2: of the averages of the gradient and of its square, in [0, 1).
        eps: added to the root of the latter.
        fresh: nodes, weights and targets of an update in place of the fixed ones, by its number: draws of noise.
        every: updates between two networks that are given; 0 for the last one alone.

    Returns:
        An iterator of the number of updates so far, the networks, and their factors (..., 3k + 1).

    Raises:
        ValueError: for a step that is not positive, or fewer than one update.
    """
    updates, every, step = check_count(updates, "updates"), check_whole(every, "every", 0), _positive(step, "step")
    theta = net.vector()
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    for i in range(1, updates + 1):
        gradient = ShallowReLU.of_vector(theta).gradient(*((x, p, y) if fresh is None else fresh(i)))
        m, v = beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient.square()
        factors = 1 / ((v / (1 - beta2**i)).sqrt() + eps)
        theta = theta - step * factors * m / (1 - beta1**i)
        if i == updates or (every and i % every == 0):
            yield i, ShallowReLU.of_vector(theta), factors


def adam_limit(beta1: float = 0.9) -> float:
    """2 (1 + beta1) / (1 - beta1): step times preconditioned sharpness at which Adam with fixed factors stops being stable on a quadratic."""
    if not 0 <= beta1 < 1:
        raise ValueError(f"beta1 = {beta1}: a number in [0, 1) is needed")
    return 2 * (1 + beta1) / (1 - beta1)


def _positive(step: Tensor | float, name: str) -> Tensor:
    found = check_finite(as_numbers(step, name), name)
    if not (found > 0).all():
        raise ValueError(f"{name} has {float(found.min()):g}: positive numbers are needed")
    return found[..., None] if found.ndim else found
