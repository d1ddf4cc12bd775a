"""Weighted variation, critical steps, and shallow networks with their exact Hessian."""

import math

import pytest
import torch

from separations.bench import (
    ShallowReLU,
    adam,
    adam_limit,
    critical_step,
    gradient_descent,
    line_targets,
    network_through,
    network_variation,
    random_shallow,
    step_bound,
    variation_weight,
    weighted_variation,
)
from separations.distributions import Empirical, GaussianMixture
from separations.schedules import OU, VE


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensor(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def law(n: int = 12, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Nodes, uneven probabilities and targets."""
    g = generator(seed)
    x, p = (
        torch.randn(n, dtype=torch.float64, generator=g).sort().values,
        torch.rand(n, dtype=torch.float64, generator=g),
    )
    return x, p / p.sum(), torch.randn(n, dtype=torch.float64, generator=g)


def loss(vector: torch.Tensor, x, p, y) -> torch.Tensor:
    return (p * (ShallowReLU.of_vector(vector)(x) - y).square()).sum() / 2


# --- networks


def test_gradient_and_hessian_are_those_of_autograd():
    x, p, y = law()
    net = random_shallow((), 5, generator=generator())
    theta = net.vector()
    gradient = torch.func.grad(loss)(theta, x, p, y)
    hessian = torch.func.hessian(loss)(theta, x, p, y)
    assert torch.allclose(net.gradient(x, p, y), gradient, atol=1e-12)  # float64, sums of a dozen terms
    assert torch.allclose(net.hessian(x, p, y), hessian, atol=1e-12)
    scale = torch.rand(16, dtype=torch.float64, generator=generator(2)) + 0.1
    scaled = torch.linalg.eigvals(scale[:, None] * hessian).real.max()  # similar to scale^(1/2) H scale^(1/2)
    assert math.isclose(float(net.sharpness(x, p, y, scale)), float(scaled), rel_tol=1e-9)


def test_many_networks_at_once_are_each_alone():
    laws = [law(seed=s) for s in (1, 2)]
    x, p, y = (torch.stack(part) for part in zip(*laws))
    nets = random_shallow((2, 3), 4, generator=generator())
    args = (x[:, None], p[:, None], y[:, None])
    assert nets(x[:, None]).shape == (2, 3, 12) and nets.sharpness(*args).shape == (2, 3)
    step = tensor(0.1, 0.2, 0.3).expand(2, -1)
    ((_, ends),) = gradient_descent(nets, *args, step, 7)
    for i, (a, b, c) in enumerate(laws):
        for j in range(3):
            one = ShallowReLU.of_vector(nets.vector()[i, j])
            assert torch.allclose(nets.hessian(*args)[i, j], one.hessian(a, b, c), atol=1e-12)
            ((_, end),) = gradient_descent(one, a, b, c, float(step[i, j]), 7)
            assert torch.allclose(ends.vector()[i, j], end.vector(), atol=1e-12)


def test_a_network_through_points_has_their_values_and_nearly_its_bound():
    x, p, _ = law(30)
    knots = torch.linspace(float(x[0]) - 0.1, float(x[-1]) + 0.1, 9, dtype=torch.float64)
    values = torch.randn(9, dtype=torch.float64, generator=generator(3))
    net = network_through(knots, values, x, p)
    places = torch.linspace(float(knots[0]), float(knots[-1]), 101, dtype=torch.float64)
    piece = torch.searchsorted(knots, places, right=True).clamp(1, 8)
    share = (places - knots[piece - 1]) / (knots[piece] - knots[piece - 1])
    line = values[piece - 1] + share * (values[piece] - values[piece - 1])
    assert net.w.shape == (9,) and torch.allclose(net(places), line, atol=1e-10)
    V = weighted_variation(x, p, knots, values)
    assert math.isclose(float(network_variation(net, x, p)), V, rel_tol=1e-9)  # the outer two kinks have no weight
    sharp = float(net.sharpness(x, p, net(x)))
    assert 1 + 2 * V <= sharp < 6 * (1 + 2 * V)


def test_sharpness_without_residual_is_at_least_the_bound_whatever_the_parameters():
    x, p, _ = law(40)
    nets = random_shallow((50,), 7, generator=generator(4))
    values = nets(x)
    sharp, V = nets.sharpness(x, p, values), network_variation(nets, x, p)
    assert (sharp >= 1 + 2 * V - 1e-9).all()


def test_a_constant_has_sharpness_one():
    x, p, _ = law()
    zero = torch.zeros(3, dtype=torch.float64)
    dead = ShallowReLU(torch.ones(3, dtype=torch.float64), zero - 100, zero, tensor(2.0))
    assert math.isclose(float(dead.sharpness(x, p, dead(x))), 1.0, rel_tol=1e-12)


def test_gradient_descent_stays_below_two_over_the_sharpness_and_leaves_above():
    x, p, _ = law(30)
    knots = torch.linspace(float(x[0]) - 0.1, float(x[-1]) + 0.1, 9, dtype=torch.float64)
    net = network_through(knots, torch.randn(9, dtype=torch.float64, generator=generator(5)), x, p)
    y = net(x)
    moved = ShallowReLU.of_vector(net.vector() * (1 + 1e-6))
    limit = 2 / float(net.sharpness(x, p, y))
    first = float(loss(moved.vector(), x, p, y))
    ((n, below),) = gradient_descent(moved, x, p, y, 0.9 * limit, 300)
    looks = [
        float(loss(net.vector(), x, p, y)) for _, net in gradient_descent(moved, x, p, y, 1.5 * limit, 300, every=10)
    ]
    assert n == 300 and len(looks) == 30
    assert float(loss(below.vector(), x, p, y)) <= first and max(looks) > 1e4 * first


def test_fresh_draws_take_the_place_of_the_nodes():
    x, p, y = law()
    net, seen = random_shallow((), 3, generator=generator()), []

    def fresh(i):
        seen.append(i)
        return x, p, y

    ((_, same),) = gradient_descent(net, x + 1, p, y, 0.1, 5, fresh=fresh)
    ((_, plain),) = gradient_descent(net, x, p, y, 0.1, 5)
    assert seen == [1, 2, 3, 4, 5] and torch.equal(same.vector(), plain.vector())
    ((_, same, _),) = adam(net, x + 1, p, y, 0.1, 5, fresh=fresh)
    ((_, plain, _),) = adam(net, x, p, y, 0.1, 5)
    assert torch.equal(same.vector(), plain.vector())


def test_adam_is_that_of_torch():
    x, p, y = law()
    net = random_shallow((), 4, generator=generator())
    theta = net.vector().clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=0.01)
    for _ in range(20):
        optimiser.zero_grad()
        loss(theta, x, p, y).backward()
        optimiser.step()
    *_, (n, end, factors) = adam(net, x, p, y, 0.01, 20, every=5)
    assert n == 20 and torch.allclose(end.vector(), theta.detach(), atol=1e-9) and (factors > 0).all()


def test_the_limit_of_adam_is_where_a_quadratic_stops_being_stable():
    assert math.isclose(adam_limit(), 38.0) and math.isclose(adam_limit(0.0), 2.0)
    for factor, grows in (
        (0.98, False),
        (1.02, True),
    ):  # averaged gradient descent on x^2 / 2 with the step at its limit
        x, m, step = 1.0, 0.0, factor * adam_limit()
        for _ in range(3000):
            m = 0.9 * m + 0.1 * x
            x -= step * m
        assert (abs(x) > 1) == grows


# --- variation and steps


def test_the_weight_of_three_points_by_hand_and_zero_at_the_ends():
    x, p = tensor(-1, 0.5, 2), torch.full((3,), 1 / 3, dtype=torch.float64)
    left = (1 / 9) * (0 + 1) * math.sqrt(2)  # one point to the left of 0, at -1
    right = (4 / 9) * 1.25 * math.sqrt(1 + 1.25**2)
    assert math.isclose(float(variation_weight(x, p, tensor(0.0))[0]), min(left, right), rel_tol=1e-12)
    assert variation_weight(x, p, tensor(-5, -1, 2, 9)).tolist() == [0.0] * 4
    assert weighted_variation(x, p, tensor(-2, 0, 3), tensor(-4, 0, 6)) < 1e-12  # a line
    tent = weighted_variation(x, p, tensor(-2, 0, 3), tensor(0, 2, -1))
    assert math.isclose(tent, 2 * min(left, right), rel_tol=1e-12)


def test_variation_of_the_empirical_score_at_little_noise_is_a_sum_over_gaps():
    points, sigma = tensor(-1.0, -0.2, 0.5, 1.0), 0.03
    found = line_targets(Empirical(points[:, None], schedule=VE(10.0)), sigma, nodes=40001)
    gaps, middle = points.diff(), (points[1:] + points[:-1]) / 2
    weight = variation_weight(found.x, found.p, middle)
    expected = float((weight * gaps.square()).sum()) / (2 * sigma**4)
    assert math.isclose(
        found.variation("score"), expected, rel_tol=0.03
    )  # the rise has a width, and g is not flat there
    assert math.isclose(found.variation("noise"), sigma * found.variation("score"), rel_tol=1e-9)
    assert math.isclose(found.variation("image"), sigma**2 * found.variation("score"), rel_tol=1e-6)


def test_a_normal_law_bends_nowhere_and_the_clock_is_that_of_the_schedule():
    normal = GaussianMixture(torch.zeros(1, 1, dtype=torch.float64), 0.5)
    found = line_targets(normal, 0.3, nodes=501, schedule=OU())
    alpha2, sigma2 = math.exp(-0.3), -math.expm1(-0.3)
    assert torch.allclose(found.score, -found.x / (0.5 * alpha2 + sigma2), atol=1e-9)
    assert math.isclose(found.sigma, math.sqrt(sigma2)) and found.variation("score") < 1e-9
    assert math.isclose(float(found.p.sum()), 1.0) and math.isclose(
        float(found.p @ found.x.square()), 0.5 * alpha2 + sigma2, rel_tol=1e-3
    )  # the ends cut some of it off


def test_steps_and_bounds():
    assert critical_step(0.0) == 2.0 and math.isclose(critical_step(4.5), 0.2)
    assert math.isclose(step_bound(0.5, 0.0, 3.0), 1.5)
    assert math.isclose(step_bound(0.5, 0.5, 3.0), 2.5)
    V = 7.0
    assert math.isclose(step_bound(critical_step(V), 0.0, 1.0), V)  # the two say the same without a residual


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: critical_step(-1), "variation = -1"),
        (lambda: step_bound(0, 1, 1), "step = 0"),
        (lambda: step_bound(1, -1, 1), "loss = -1"),
        (lambda: variation_weight(tensor(1, 0), tensor(0.5, 0.5), tensor(0.0)), "x increasing"),
        (lambda: variation_weight(tensor(0, 1), tensor(0.5, 0.6), tensor(0.0)), "probabilities"),
        (lambda: weighted_variation(tensor(0, 1), tensor(0.5, 0.5), tensor(0, 1), tensor(0, 1)), "knots has shape"),
        (lambda: network_through(tensor(0, 1, 2), tensor(0, 1, 2), tensor(0.5, 3), tensor(0.5, 0.5)), "nodes within"),
        (
            lambda: network_through(tensor(0, 1, 1), tensor(0, 1, 2), tensor(0.5, 1), tensor(0.5, 0.5)),
            "knots has shape",
        ),
        (lambda: random_shallow((), 0), "k = 0"),
        (lambda: random_shallow((), 2, reach=0), "reach = 0"),
        (lambda: adam_limit(1.0), "beta1 = 1.0"),
        (lambda: next(gradient_descent(random_shallow((), 2), *law(), 0.0, 1)), "step has 0"),
        (lambda: next(gradient_descent(random_shallow((), 2), *law(), 0.1, 0)), "updates = 0"),
        (lambda: next(adam(random_shallow((), 2), *law(), -1.0, 1)), "step has -1"),
        (lambda: line_targets(Empirical(torch.zeros(2, 2)), 0.5), "shape"),
        (lambda: line_targets(Empirical(torch.zeros(2, 1)), 0.5, nodes=3), "nodes = 3"),
        (lambda: line_targets(Empirical(torch.zeros(2, 1)), 0.5, ends=(1.0, 0.0)), "low < high"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
