"""Scores as ReLU networks: theorem 5.1's errors are kept, for every x where promised; the sizes grow as it says."""

import math

import numpy as np
import pytest
import torch

from conftest import mixture
from separations.distributions import Empirical, GaussianMixture
from separations.losses import score_and_divergence
from separations.relu import (
    HolderLaw,
    empirical_score_network,
    holder_score_network,
    mixture_score_network,
    softmax_mean,
    theorem_error,
)
from separations.relu.softmax import gaussian_tail
from separations.samplers import heun
from separations.schedules import OU, VE, VPCosine

EPS = 1e-2


def data(n, d=1, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slope(sizes, values):
    """Exponent of a power law by least squares."""
    return np.polyfit(np.log(sizes), np.log(values), 1)[0]


@pytest.mark.parametrize("n, k", [(2, 1), (7, 3), (40, 2)])
@pytest.mark.parametrize("error", [0.3, 1e-3])
def test_the_softmax_mean_keeps_its_error_for_every_input(n, k, error):
    g = np.random.default_rng(n)
    slopes, offsets, values = 3 * g.normal(size=(n, 2)), g.normal(size=n), g.normal(size=(n, k))
    values[:, -1] = values[0, -1] if k == 3 else values[:, -1]  # a coordinate in which all agree
    y = torch.from_numpy(g.normal(size=(3000, 2)) * g.choice([0.1, 1, 10, 1000], size=(3000, 1)))
    weights = (y @ torch.from_numpy(slopes).T + torch.from_numpy(offsets)).softmax(1)
    off = (softmax_mean(slopes, offsets, values, error)(y) - weights @ torch.from_numpy(values)).norm(dim=1).max()
    assert error / 100 < off <= error


@pytest.mark.parametrize("schedule, t", [(OU(), 1e-3), (OU(), 0.3), (OU(), 3.0), (VPCosine(), 0.4), (VE(), 0.5)])
@pytest.mark.parametrize("d, eps", [(1, 1e-1), (1, 1e-5), (3, 1e-2)])
def test_the_empirical_score_keeps_the_error_of_the_theorem(schedule, t, d, eps, generator):
    points = data(20, d)
    network = empirical_score_network(points, t, eps, schedule=schedule)
    measured = float(theorem_error(network, Empirical(points), t, 500, generator))
    assert eps / 3000 < measured <= eps  # the sizes are those of this error, not of a much smaller one


def test_the_empirical_score_is_right_far_from_the_data_too():
    points, t = data(12, 2), 0.2
    x = torch.cat([3 * data(500, 2, 1), 1000 * data(500, 2, 2)])
    network, law = empirical_score_network(points, t, EPS), Empirical(points)
    off = (network.score(x, t) - law.score(x, t)).norm(dim=1).max() * float(OU().sigma(t)) ** 2
    assert off <= math.sqrt(EPS)


def test_dense_layers_are_the_same_network_and_are_differentiable():
    network = empirical_score_network(data(2), 0.3, EPS)
    x = data(50, 1, 1)
    torch.testing.assert_close(network.network.dense()(x), network.score(x, 0.3), rtol=1e-10, atol=1e-10)
    value, divergence = score_and_divergence(network, x, 0.3)
    h = 1e-7  # the network is piecewise linear: away from a kink the difference is exact
    difference = (network.score(x + h, 0.3) - network.score(x - h, 0.3))[:, 0] / (2 * h)
    torch.testing.assert_close(divergence.median(), difference.median(), rtol=1e-3, atol=1e-3)
    assert ((divergence - difference).abs() < 1e-3 * (1 + divergence.abs())).double().mean() > 0.9


def test_the_size_grows_like_n_for_the_empirical_score_and_not_for_the_true_one():
    numbers = [32, 64, 128, 256]
    networks = [empirical_score_network(data(n), 0.3, EPS) for n in numbers]
    assert 0.95 < slope(numbers, [net.width for net in networks]) < 1.02
    assert 1.0 < slope(numbers, [net.nonzero for net in networks]) < 1.2  # 1, and powers of log n
    assert networks[-1].depth < 1.4 * networks[0].depth
    # K terms instead of n: what does not grow with the data
    true = mixture_score_network(mixture("number", d=1), 0.3, EPS)
    assert true.width < networks[0].width / 4 and true.nonzero < networks[0].nonzero / 4


@pytest.mark.parametrize("n, d", [(2, 2), (3, 1), (3, 3), (4, 3), (5, 4), (2, 8), (9, 6), (13, 2), (16, 12)])
@pytest.mark.parametrize("t, eps", [(0.01, 1e-1), (1.0, 1e-4)])
def test_the_width_is_that_of_the_exponentials_or_of_the_products(n, d, t, eps):
    network = empirical_score_network(data(n, d), t, eps)
    assert network.width == max(4 * n, 6 * d) + 2 * d


def test_two_points_on_a_line_need_more_for_their_reciprocal():
    assert empirical_score_network(data(2, 1), 0.3, 0.5).width == max(4 * 2, 6) + 2
    assert empirical_score_network(data(2, 1), 0.3, 1e-5).width == 8 + 2 + 2  # with a Newton step: 8, the numerator, x


def test_the_size_is_polylogarithmic_in_the_error_and_flat_in_t():
    points, errors = data(16), [1e-2, 1e-4, 1e-6]
    networks = [empirical_score_network(points, 0.3, eps) for eps in errors]
    assert len({net.width for net in networks}) == 1
    assert networks[2].nonzero < 3 * networks[0].nonzero and networks[2].depth < 3 * networks[0].depth
    depths = [empirical_score_network(points, t, EPS).depth for t in (1e-4, 1e-2, 0.3)]
    assert max(depths) < 1.2 * min(depths)


def test_duplicates_cost_nothing_and_keep_their_weight(generator):
    points = data(16, 2)
    repeated = torch.cat([points[:10], points[:1].expand(6, 2)])  # 6 of 16 repeat the first
    network = empirical_score_network(repeated, 0.3, EPS)
    assert network.width == empirical_score_network(points[:10], 0.3, EPS).width
    assert float(theorem_error(network, Empirical(repeated), 0.3, 500, generator)) <= EPS
    alone = empirical_score_network(points[:1].expand(5, 2), 0.3, EPS)
    assert alone.depth == 1  # one point: a Gaussian, whose score is affine
    x = data(20, 2, 1)
    torch.testing.assert_close(alone.score(x, 0.3), Empirical(points[:1]).score(x, 0.3))


@pytest.mark.parametrize("d, t0, eps", [(1, 1e-4, 1e-2), (2, 1e-2, 1e-1)])
def test_a_network_that_reads_t_keeps_its_error_at_every_t(d, t0, eps, generator):
    points = data(8, d)
    network, law = empirical_score_network(points, (t0, 4.0), eps), Empirical(points)
    for t in (t0, 2 * t0, 0.05, 0.5, 2.0, 4.0):
        assert float(theorem_error(network, law, t, 300, generator)) <= eps
        x = law.sample(300, t, generator=generator)  # within the box the error is bounded point by point
        off = (network.score(x, t) - law.score(x, t)).norm(dim=1).max() * float(OU().sigma(t)) ** 2
        assert off <= math.sqrt(0.9 * eps)
    x, t = law.sample(6, 0.5, generator=generator), torch.linspace(t0, 4.0, 6, dtype=torch.float64)
    rows = torch.cat([network.score(x[[i]], t[i]) for i in range(6)])
    torch.testing.assert_close(network.score(x, t), rows, rtol=1e-9, atol=1e-9)  # one time a row
    assert network.width <= empirical_score_network(points, 0.5, eps).width + 20  # t costs no more for more points


def test_a_network_that_reads_t_generates_the_training_points(generator):
    points = torch.tensor([[-1.5], [0.2], [1.4]], dtype=torch.float64)
    network = empirical_score_network(points, (1e-3, 6.0), 1e-3)
    times = torch.logspace(math.log10(6.0), -3, 60, dtype=torch.float64)
    start = torch.randn(200, 1, dtype=torch.float64, generator=generator)
    by_network, exact = (heun(model, start, times) for model in (network, Empirical(points)))
    near = (by_network - points.T).abs().amin(1)
    assert near.median() < 0.05  # sigma = 0.03 at the end
    assert ((by_network - exact).abs() < 0.1).double().mean() > 0.95  # but for starts at a boundary between two points


@pytest.mark.parametrize("cov", ["number", "matrix", "diagonal", "number per component", "matrix per component"])
@pytest.mark.parametrize("t", [0.01, 1.0])
def test_the_score_of_a_mixture_keeps_the_error_of_the_theorem(cov, t, generator):
    law = mixture(cov, d=2)
    network = mixture_score_network(law, t, EPS)
    assert EPS / 1e4 < float(theorem_error(network, law, t, 500, generator)) <= EPS
    assert network.power == 2


def test_components_that_differ_in_their_correlations_only_are_told_apart(generator):
    tilt = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    law = GaussianMixture(torch.zeros(2, 2, dtype=torch.float64), torch.stack([tilt, 2 * torch.eye(2) - tilt]))
    network = mixture_score_network(law, 0.05, EPS)
    assert float(theorem_error(network, law, 0.05, 1000, generator)) <= EPS
    x = law.sample(1000, 0.05, generator=generator)
    assert (network.score(x, 0.05) - law.score(x, 0.05)).norm(dim=1).max() <= (
        EPS / float(OU().sigma(0.05)) ** 2
    ) ** 0.5


def test_the_score_of_one_gaussian_is_affine():
    law = GaussianMixture(torch.tensor([[1.0, 2.0]], dtype=torch.float64), 0.5)
    network, x = mixture_score_network(law, 0.3, EPS), data(20, 2)
    assert network.depth == 1
    torch.testing.assert_close(network.score(x, 0.3), law.score(x, 0.3))


def test_the_tail_of_a_gaussian():
    z = torch.linspace(-12, 12, 2_000_001, dtype=torch.float64)
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    for q in (1.0, 3.0):
        excess = torch.trapezoid((z.abs() - q).clamp(min=0).square() * density, z)
        assert gaussian_tail(q) == pytest.approx((math.erfc(q / math.sqrt(2)), float(excess)), rel=1e-6)


def wave(d=1):
    return HolderLaw(lambda x: 1 + 0.5 * torch.sin(2 * x[:, 0]) * torch.cos(x[:, -1] * (d - 1)), (0.5, 1.5), d)


@pytest.mark.parametrize("d", [1, 2])
def test_the_score_of_a_holder_law_is_the_gradient_of_its_density(d):
    law, t, x = wave(d), 0.3, data(4, d, 3)
    alpha, sigma = float(OU().alpha(t)), float(OU().sigma(t))
    axis = torch.linspace(-9, 9, 401, dtype=torch.float64)
    y = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    weight = torch.exp(-y.square().sum(1) / 2) * law.factor(y)
    x.requires_grad_()
    density = (weight * torch.exp(-(x[:, None] - alpha * y).square().sum(2) / (2 * sigma**2))).sum(1)
    gradient = torch.autograd.grad(density.log().sum(), x)[0]
    torch.testing.assert_close(law.score(x.detach(), t), gradient, rtol=1e-9, atol=1e-9)


def test_samples_of_a_holder_law_have_its_moments(generator):
    x = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    p = wave().factor(x) * torch.exp(-(x[:, 0] ** 2) / 2)
    mean = float((p * x[:, 0]).sum() / p.sum())
    samples = wave().sample(20_000, generator=generator)
    assert abs(float(samples.mean()) - mean) < 5 * float(samples.std()) / math.sqrt(20_000)


@pytest.mark.parametrize("d, beta, t", [(1, 2.0, 0.1), (1, 3.0, 0.1), (1, 2.0, 1e-3), (2, 2.0, 0.3)])
def test_the_score_of_a_holder_density_keeps_the_error_of_the_theorem(d, beta, t, generator):
    network = holder_score_network(wave(d), t, EPS, beta=beta)
    measured = float(theorem_error(network, wave(d), t, 500 if d == 1 else 100, generator))
    assert EPS / 3000 < measured <= EPS


def test_the_size_for_a_smooth_density_grows_like_a_root_of_the_error():
    errors = [1e-3, 1e-4, 1e-5]
    linear, cubic = ([holder_score_network(wave(), 0.05, e, beta=b).width for e in errors] for b in (2.0, 3.0))
    assert slope(errors, linear) == pytest.approx(-0.25, abs=0.05)  # -d / (2 beta); the cells are a whole number
    assert cubic[-1] < linear[-1]


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: empirical_score_network(data(4), 0.3, 0.0), "error = 0.0"),
        (lambda: empirical_score_network(data(4), 0.0, EPS), "t = 0"),
        (lambda: empirical_score_network(data(4), 0.3, 1e-30), "float64"),
        (lambda: empirical_score_network(data(4)[:0], 0.3, EPS), "n >= 1"),
        (lambda: empirical_score_network(data(4).long(), 0.3, EPS), "floating-point"),
        (lambda: empirical_score_network(data(4)[..., None], 0.3, EPS), r"\(n, d\) is needed"),
        (lambda: empirical_score_network(data(4), (0.5, 0.1), EPS), "t0 < T"),
        (lambda: empirical_score_network(data(4), (0.1, 1.0), EPS, schedule=VE()), "OU"),
        (lambda: empirical_score_network(data(4), (1e-9, 1.0), 1e-6), "float64"),
        (lambda: empirical_score_network(data(4), "0.3", EPS), "t = '0.3'"),
        (lambda: mixture_score_network(data(4), 0.3, EPS), "GaussianMixture"),
        (lambda: mixture_score_network(mixture("number"), (0.1, 1.0), EPS), "a number"),
        (lambda: empirical_score_network(data(4), 0.3, EPS).score(data(2), 0.4), "t = 0.4"),
        (lambda: empirical_score_network(data(4), 0.3, EPS).score(data(2), 0.3, schedule=VE()), "ScoreNetwork has OU"),
        (lambda: empirical_score_network(data(4), (0.1, 1.0), EPS).score(data(2), 2.0), "t = 2"),
        (lambda: HolderLaw(torch.sin, (0.0, 1.0)), "bounds"),
        (lambda: HolderLaw(torch.sin, (0.5, 1.0), 3), "d = 3"),
        (lambda: HolderLaw(lambda x: 3 * x[:, 0] ** 2, (0.5, 1.0)).sample(3), "leaves its bounds"),
        (lambda: holder_score_network(wave(), 0.3, -1.0), "error = -1.0"),
        (lambda: holder_score_network(wave(), 0.3, EPS, beta=5.0), "beta = 5.0"),
        (lambda: holder_score_network(wave(2), 0.3, EPS, beta=3.0), "beta = 3.0"),
        (lambda: holder_score_network(wave(), 0.3, 1e-6, most=10), "most = 10"),
    ],
)
def test_bad_input_is_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
