"""What a step size forbids: the weighted total variation of a function of one variable, and the largest step at which it can be a stable minimum.

Gradient descent with step eta stays near a minimum only where the sharpness, the largest eigenvalue of the Hessian, is at most 2 / eta. Whatever
two-layer ReLU network has the values of f, and whatever its width, its sharpness at zero residual is at least 1 + 2 V(f),

    V(f) = int |f''(x)| g(x) dx,  g = min(g_-, g_+),  g_-(x) = P(X < x)^2 E[x - X | X < x] (1 + E[X | X < x]^2)^(1/2),

g_+ mirrored (after Mulayoff, Michaeli and Soudry 2021; Qiao et al. 2024): push all outputs up at once, and count what each neuron answers. So f is
out of reach for eta > 2 / (1 + 2 V(f)), `critical_step`. With a residual of mean square 2 L the same argument gives `step_bound`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions import Diffused
from ..numerics.checks import as_numbers, check_positive, check_real, check_whole
from ..schedules import Schedule, schedule_of
from .shallow_relu import ShallowReLU, side_moments


def variation_weight(x: Tensor, p: Tensor, at: Tensor) -> Tensor:
    """g of the module at some places, for a law of nodes x with probabilities p; zero at and beyond its ends.

    Args:
        x: (G,) increasing.
        p: (G,) their probabilities, with sum one.
        at: (...) places.

    Returns:
        The weights, of the shape of `at`.

    Raises:
        ValueError: for nodes that do not increase, probabilities that are negative or of another sum.
    """
    x, p, at = _check_law(x, p), as_numbers(p, "p"), as_numbers(at, "at")
    left, right = side_moments(x, p, at.contiguous())
    return torch.minimum(left[3], right[3])


def weighted_variation(x: Tensor, p: Tensor, knots: Tensor, values: Tensor) -> float:
    """V of the function that is linear between knots: the sum over them of |change of slope| g. Exact for such functions.

    Args:
        x, p: nodes and probabilities of the law of the inputs, as in `variation_weight`.
        knots: (K,) increasing, K >= 3.
        values: (K,) of the function.

    Returns:
        V.

    Raises:
        ValueError: as `variation_weight`, and for knots that do not increase.
    """
    knots, values = as_numbers(knots, "knots"), as_numbers(values, "values")
    if knots.ndim != 1 or len(knots) < 3 or values.shape != knots.shape or not (knots.diff() > 0).all():
        raise ValueError(
            f"knots has shape {tuple(knots.shape)}, values {tuple(values.shape)}: (K,), increasing, K >= 3"
        )
    bends = (values.diff() / knots.diff()).diff().abs()
    return float(bends @ variation_weight(x, p, knots[1:-1]))


def network_variation(net: ShallowReLU, x: Tensor, p: Tensor) -> Tensor:
    """V of networks, (...): the sum over their kinks. Exact where no two kinks of one network coincide, else too large.

    Args:
        net: the networks.
        x, p: nodes and probabilities of the law of the inputs, as in `variation_weight`.

    Returns:
        V of each.

    Raises:
        ValueError: as `variation_weight`, and for networks that have diverged.
    """
    places, bends = net.kinks()
    return (bends.abs() * variation_weight(x, p, places)).sum(-1)


def critical_step(variation: float) -> float:
    """2 / (1 + 2 V): the largest step at which the bound lets gradient descent stay at a function.

    Args:
        variation: V >= 0.

    Returns:
        The step.

    Raises:
        ValueError: for V < 0.
    """
    return 2 / (1 + 2 * check_real(variation, "variation", "a number >= 0", low=0))


def step_bound(step: float, loss: float, second_moment: float) -> float:
    """1 / eta - 1 / 2 + (2 L (1 + E X^2))^(1/2) / 2: V of every stable minimum with loss L is at most that.

    The last term is what a residual can take from the largest eigenvalue. Qiao et al. (2024) have x_max (2 L)^(1/2) in its place, which is
    larger where x_max^2 > 1/3.

    Args:
        step: eta > 0.
        loss: L = half the mean squared residual, >= 0.
        second_moment: E X^2 >= 0 of the inputs.

    Returns:
        The bound.

    Raises:
        ValueError: for other values.
    """
    step = check_positive(step, "step")
    loss, second = (
        check_real(v, name, "a number >= 0", low=0) for v, name in ((loss, "loss"), (second_moment, "second_moment"))
    )
    return 1 / step - 0.5 + math.sqrt(2 * loss * (1 + second)) / 2


@dataclass(frozen=True)
class LineTargets:
    """The regression that denoising is at one noise level on a line, averaged over all noise.

    Attributes:
        x: (G,) nodes of noisy inputs, evenly spaced.
        p: (G,) their probabilities under the diffused law.
        score, noise, image: (G,) conditional means of the three targets: score, -sigma score, posterior mean of the clean point.
        sigma: standard deviation of the noise.
    """

    x: Tensor
    p: Tensor
    score: Tensor
    noise: Tensor
    image: Tensor
    sigma: float

    def variation(self, target: str) -> float:
        """V of one of the targets, under the law of its own inputs."""
        return weighted_variation(self.x, self.p, self.x, getattr(self, target))


def line_targets(
    law: Diffused,
    t: float,
    *,
    nodes: int = 2001,
    ends: tuple[float, float] | None = None,
    schedule: Schedule | None = None,
) -> LineTargets:
    """The best functions for score, noise and image prediction of a law in d = 1, with the law of their inputs.

    Args:
        law: anything with sample, log_prob, score and denoise in d = 1: a training set or a truth.
        t: time, > 0.
        nodes: of the quadrature, >= 9.
        ends: of the nodes; None for five standard deviations of the noise beyond a sample of the law.
        schedule: what noise at time t means; by default that of the law.

    Returns:
        `LineTargets`.

    Raises:
        ValueError: for a law in another dimension, too few nodes, or ends in the wrong order.
    """
    schedule, nodes = schedule_of(schedule, law), check_whole(nodes, "nodes", 9)
    if tuple(law.event_shape) != (1,):
        raise ValueError(f"law has points of shape {tuple(law.event_shape)}: (1,) is needed")
    sigma, alpha = float(schedule.sigma(t)), float(schedule.alpha(t))
    if ends is None:
        points = alpha * law.sample(1000, generator=torch.Generator().manual_seed(0)).double()
        ends = (float(points.min()) - 5 * sigma, float(points.max()) + 5 * sigma)
    low, high = (check_real(end, "ends") for end in ends)
    if not low < high:
        raise ValueError(f"ends = {ends}: (low, high) with low < high is needed")
    x = torch.linspace(low, high, nodes, dtype=torch.float64)
    p = law.log_prob(x[:, None], t, schedule=schedule).double().softmax(0)
    score = law.score(x[:, None], t, schedule=schedule)[:, 0].double()
    image = law.denoise(x[:, None], t, schedule=schedule)[:, 0].double()
    return LineTargets(x, p, score, -sigma * score, image, sigma)


def _check_law(x: Tensor, p: Tensor) -> Tensor:
    x, p = as_numbers(x, "x"), as_numbers(p, "p")
    if x.ndim != 1 or p.shape != x.shape or not (x.diff() > 0).all():
        raise ValueError(f"x has shape {tuple(x.shape)}, p {tuple(p.shape)}: (G,) twice, x increasing, is needed")
    if not (p >= 0).all() or abs(float(p.sum()) - 1) > 1e-6:
        raise ValueError(
            f"p has the sum {float(p.sum()):g} and the least value {float(p.min()):g}: probabilities are needed"
        )
    return x
