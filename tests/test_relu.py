"""ReLU networks: the algebra is exact, sizes are counted right, each brick keeps its guaranteed error on its range."""

import copy
import math

import numpy as np
import pytest
import torch

from separations.relu import ReLUNetwork, affine, bricks, compose, maximum, parallel
from separations.relu.network import clip, copies, identity, route, shared

ROUNDING = 1e-12  # float64 through a hundred layers of numbers of order 1


def grid(low, high, m=20_001):
    return torch.linspace(low, high, m, dtype=torch.float64)[:, None]


def points(m, d, seed=0):
    return torch.randn(m, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_network(*widths, seed=0):
    g = np.random.default_rng(seed)
    return ReLUNetwork([(g.normal(size=(b, a)), g.normal(size=b)) for a, b in zip(widths, widths[1:])])


def test_forward_is_affine_relu_affine():
    network, x = random_network(2, 5, 3), points(7, 2)
    (A, a), (B, b) = [(torch.from_numpy(w.toarray()), torch.from_numpy(v)) for w, v in network.layers]
    torch.testing.assert_close(network(x), (x @ A.T + a).relu() @ B.T + b)
    torch.testing.assert_close(network.dense()(x), network(x))
    assert [type(m).__name__ for m in network.dense()] == ["Linear", "ReLU", "Linear"]
    torch.testing.assert_close(copy.deepcopy(network)(x), network(x))


def test_sizes_count_relus_affine_maps_and_what_is_not_zero():
    network = ReLUNetwork([([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], [0.0, 1.0, 3.0]), ([[1.0, 0.0, 4.0]], [0.0])])
    assert (network.width, network.depth, network.nonzero) == (3, 2, 6)
    dense = [p for module in network.dense() for p in module.parameters()]
    assert network.nonzero == sum(int((p != 0).sum()) for p in dense)
    assert all(p.dtype == torch.float64 for p in dense)
    assert affine([[1.0, 2.0]]).depth == 1


def test_composition_merges_adjacent_affine_maps():
    f, g, x = random_network(2, 4, 3), random_network(3, 6, 6, 1, seed=1), points(9, 2)
    both = compose(f, g)
    assert both.depth == f.depth + g.depth - 1
    torch.testing.assert_close(both(x), g(f(x)), rtol=1e-12, atol=ROUNDING)


def test_parallel_pads_the_shallower_network_with_identities():
    f, g, x = random_network(2, 4, 3), random_network(1, 3, 3, 3, 2, seed=1), points(9, 3)
    both = parallel(f, g)
    assert both.depth == 4 and both.inputs == 3 and both.outputs == 5
    torch.testing.assert_close(both(x), torch.cat([f(x[:, :2]), g(x[:, 2:])], 1), rtol=1e-12, atol=ROUNDING)


def test_copies_shared_and_route_read_what_they_should():
    f, g, x = random_network(1, 4, 2), random_network(2, 3, 1, seed=1), points(5, 3)
    torch.testing.assert_close(copies(f, 3)(x), torch.cat([f(x[:, [i]]) for i in range(3)], 1))
    torch.testing.assert_close(shared(g, g)(x[:, :2]), g(x[:, :2]).repeat(1, 2))
    torch.testing.assert_close(route(3, (g, [2, 0]), (f, [1]))(x), torch.cat([g(x[:, [2, 0]]), f(x[:, [1]])], 1))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_identities_are_exact_with_one_relu_for_what_is_not_negative(depth):
    x = points(20, 3)
    network = identity(3, depth)
    assert torch.equal(network(x), x) and network.depth == depth
    short = identity(3, depth, nonnegative=True)
    assert torch.equal(short(x.abs()), x.abs()) and short.width == 3


def test_clip_and_maximum_are_exact():
    x = 3 * points(200, 2)
    expected = torch.stack([x[:, 0].clamp(-1, 2), x[:, 1].clamp(0, 1)], 1)
    torch.testing.assert_close(clip([-1, 0], [2, 1])(x), expected, rtol=0, atol=1e-14)
    for n in (1, 2, 5, 8, 13):
        x = points(50, n)
        torch.testing.assert_close(maximum(n)(x)[:, 0], x.amax(1), rtol=0, atol=1e-14)
        assert maximum(n).depth == 1 + math.ceil(math.log2(n))


@pytest.mark.parametrize("error", [0.3, 1e-3, 1e-6, 1e-9])
def test_squares_and_products_keep_their_error_and_nearly_use_it(error):
    x = grid(-3, 3)
    f = bricks.square(3.0, error)
    off = f(x) - x * x
    assert -1e-14 < off.min() and off.max() <= f.error + 1e-15 and f.error <= error
    assert off.max() > error / 4.5  # the number of layers is whole: a factor of 4 at the most
    g, xy = bricks.product(3.0, 2.0, error), torch.cartesian_prod(grid(-3, 3, 301)[:, 0], grid(-2, 2, 402)[:, 0])
    off = (g(xy)[:, 0] - xy.prod(1)).abs().max()
    assert off <= g.error <= error and off > error / 4.5
    zero = torch.stack([torch.zeros(50).double(), grid(-2, 2, 50)[:, 0]], 1)
    assert g(zero).abs().max() < 1e-14 and g(zero.flip(1) * 1.0).abs().max() < 1e-14


def test_the_square_interpolates_at_the_knots_of_its_grid():
    f = bricks.square(1.0, 4.0**-6 * 1.01)  # error 4 * 4^-(m+1): m = 6 layers, knots 2 / 2^6 apart
    knots = grid(-1, 1, 65)
    torch.testing.assert_close(f(knots), knots**2, rtol=0, atol=1e-14)
    assert f.depth == 7 and f.width == 3


@pytest.mark.parametrize("error", [0.1, 1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("low, high", [(-1e-3, 0.0), (-12.0, 1.0), (-30.0, -2.0)])
def test_exponentials_keep_their_error(low, high, error):
    f, x = bricks.exponential(low, high, error), grid(low, high)
    off = (f(x) - x.exp()).abs().max()
    assert off <= error and f.width <= 4
    assert (
        off > error / 200 or high <= -2 or low > -1
    )  # not idle: the bound is within a factor, where exp is of order 1


def test_the_weight_of_a_gaussian_keeps_its_relative_and_absolute_error_and_is_constant_beyond():
    v = grid(0, 14)
    f = bricks.gaussian_weight(14.0, 0.05, 1e-5)
    assert ((f(v) - (-v).exp()).abs() / (0.05 * (-v).exp() + 1e-5)).max() <= 1
    far = f(torch.tensor([[14.0], [20.0], [1e6]], dtype=torch.float64))
    torch.testing.assert_close(far, far[:1].expand(3, 1), rtol=0, atol=1e-12)
    assert f(v).min() >= 0
    assert bricks.gaussian_weight(14.0, 0.05, 1e-9).nonzero < 2.5 * f.nonzero


@pytest.mark.parametrize("error", [0.3, 1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("low, high", [(1.0, 1.0001), (0.1, 50.0), (1e-3, 1.0)])
def test_reciprocals_keep_their_absolute_and_relative_error(low, high, error):
    y = torch.cat([grid(low, high), grid(math.log(low), math.log(high)).exp().clamp(low, high)])
    assert (bricks.relative_reciprocal(low, high, error)(y) * y - 1).abs().max() <= error
    absolute = error / low  # below 1e-8 / low float64 ends
    assert (bricks.reciprocal(low, high, absolute)(y) - 1 / y).abs().max() <= absolute


@pytest.mark.parametrize(
    "build",
    [
        lambda e: bricks.square(1.0, e),
        lambda e: bricks.product(1.0, 1.0, e),
        lambda e: bricks.exponential(-10.0, 0.0, e),
        lambda e: bricks.reciprocal(1.0, 20.0, e),
    ],
)
def test_sizes_are_powers_of_the_logarithm_of_the_error(build):
    coarse, fine = build(1e-4), build(1e-8)
    assert fine.depth <= 4.5 * coarse.depth and fine.nonzero <= 4.5 * coarse.nonzero  # log^2: 4; a root: 100
    assert fine.width == coarse.width


def test_piecewise_linear_networks_interpolate():
    x = grid(-2, 2, 1001)
    f = bricks.piecewise_linear(2.0, np.sin(np.linspace(-2, 2, 8))[:, None])
    expected = np.interp(x[:, 0].numpy(), np.linspace(-2, 2, 8), np.sin(np.linspace(-2, 2, 8)))
    np.testing.assert_allclose(f(x)[:, 0].numpy(), expected, atol=1e-13)
    plane = np.linspace(-2, 2, 6)
    g = bricks.piecewise_linear(2.0, (1 + 2 * plane[:, None] - 3 * plane)[..., None])
    at = 4 * torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 2
    torch.testing.assert_close(g(at)[:, 0], 1 + 2 * at[:, 0] - 3 * at[:, 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: bricks.square(0.0, 0.1), "bound = 0.0"),
        (lambda: bricks.square(1.0, 0.0), "error = 0.0"),
        (lambda: bricks.square(1.0, 1e-16), "float64"),
        (lambda: bricks.product(1.0, -1.0, 0.1), "bound_y = -1.0"),
        (lambda: bricks.product(1.0, 1.0, math.nan), "error = nan"),
        (lambda: bricks.exponential(1.0, 1.0, 0.1), "low < high"),
        (lambda: bricks.exponential(0.0, 800.0, 0.1), "overflows"),
        (lambda: bricks.exponential(-30.0, 0.0, 1e-12), "float64 cannot"),
        (lambda: bricks.exponential(-1.0, 0.0, -1.0), "error = -1.0"),
        (lambda: bricks.reciprocal(0.0, 1.0, 0.1), "low = 0.0"),
        (lambda: bricks.reciprocal(2.0, 1.0, 0.1), "low < high"),
        (lambda: bricks.relative_reciprocal(1.0, 2.0, 1.0), "below 1"),
        (lambda: identity(0), "inputs = 0"),
        (lambda: maximum(0), "n = 0"),
        (lambda: affine(np.zeros((0, 2))), "k, j >= 1"),  # a layer of width 0
        (lambda: affine([[math.inf]]), "infinite"),
        (lambda: ReLUNetwork([]), "layers is empty"),
        (lambda: compose(identity(2), identity(3)), "2 outputs meet 3 inputs"),
        (lambda: clip([1.0], [1.0]), "low < high"),
        (lambda: identity(6000).dense(), "dense network"),
        (lambda: identity(2)(torch.zeros(3, 3)), "shape"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_check_names_the_first_value_outside_of_the_valid_range():
    f = bricks.reciprocal(0.5, 2.0, 1e-3)
    assert f.check(grid(0.5, 2.0, 9)) is not None
    with pytest.raises(ValueError, match=r"x\[1, 0\] = 3 is outside \[0.5, 2\]"):
        f.check(torch.tensor([[1.0], [3.0]]))
