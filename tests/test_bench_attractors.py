"""Attractors of the empirical score, the width of kernels, and completions by the truth: against closed forms and against each other."""

import math

import pytest
import torch

from separations.bench import (
    KernelDensity,
    attractors,
    best_kernel_variance,
    circle_attractors,
    collapse_variance,
    completed,
    expected_circle_attractors,
    kernel_likelihood,
)
from separations.distributions import Empirical, GaussianMixture
from separations.distributions.posterior import own_weight
from separations.numerics import seeded
from separations.schedules import OU, VE

NOISE = VE(1000.0)


def ring(n: int, seed: int) -> torch.Tensor:
    return 2 * math.pi * torch.rand(n, dtype=torch.float64, generator=seeded(seed))


def on_circle(angle: torch.Tensor) -> torch.Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


# Attractors


def test_points_far_apart_are_their_own_attractors_with_basins_of_their_share():
    points = torch.tensor([[0.0, 0.0], [10.0, 0.0]], dtype=torch.float64)
    starts = torch.tensor([[1.0, 3.0], [2.0, -1.0], [4.9, 0.0], [5.1, 0.0]], dtype=torch.float64)
    found, share = attractors(Empirical(points), starts, 0.5, schedule=NOISE)
    assert torch.allclose(found, points, atol=1e-12) and share.tolist() == [0.75, 0.25]


def test_two_points_merge_where_the_noise_passes_half_of_their_distance():
    """N(-1, s^2) + N(1, s^2) has one maximum for s >= 1 and two below, at the roots of y = tanh(y / s^2)."""
    points = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    starts = torch.linspace(-1.5, 1.5, 30, dtype=torch.float64)[:, None]
    one, _ = attractors(Empirical(points), starts, 1.2, schedule=NOISE)
    two, _ = attractors(Empirical(points), starts, 0.8, schedule=NOISE)
    assert len(one) == 1 and float(one.abs()) < 1e-6 and len(two) == 2
    assert torch.allclose(two, torch.tanh(two / 0.64), atol=1e-9)


def test_attractors_do_not_depend_on_the_clock_and_are_places_where_the_score_vanishes():
    law = Empirical(on_circle(ring(12, 1)))
    starts = 3 * torch.rand(100, 2, dtype=torch.float64, generator=seeded(2)) - 1.5
    t = float(OU().time_from_log_snr(-2 * math.log(0.2)))
    here, share = attractors(law, starts, t)
    there, other = attractors(law, starts, 0.2, schedule=NOISE)
    assert len(here) == len(there) and torch.allclose(share, other) and torch.cdist(here, there).amin(1).max() < 1e-6
    assert law.score(there, 0.2, schedule=NOISE).norm(dim=1).max() < 1e-4


@pytest.mark.parametrize("n, sigma", [(5, 0.1), (16, 0.14), (40, 0.2), (12, 0.3)])
def test_the_ridge_has_the_attractors_that_walks_find(n, sigma):
    angle = ring(n, n)
    law = Empirical(on_circle(angle))
    theta, weight = circle_attractors(angle, sigma)
    starts = 1.2 * torch.cat([on_circle(ring(300, 77)), on_circle(angle)])
    ends, _ = attractors(law, starts, sigma, schedule=NOISE, steps=3000)
    at = torch.atan2(ends[:, 1], ends[:, 0]).remainder(2 * math.pi).sort().values
    assert len(at) == len(theta)
    apart = (at[:, None] - theta).remainder(2 * math.pi)
    assert torch.minimum(apart, 2 * math.pi - apart).amin(1).max() < 2e-3  # the grid, and the shallowest walk
    assert torch.allclose(
        law.responsibilities(ends, sigma, schedule=NOISE).amax(1).sort().values, weight.sort().values, atol=0.02
    )


def test_points_on_one_side_have_no_attractor_on_the_other():
    assert len(circle_attractors(torch.tensor([0.0, 0.3], dtype=torch.float64), 0.05)[0]) == 2
    assert len(circle_attractors(torch.tensor([0.0], dtype=torch.float64), 0.2)[0]) == 1


def test_the_expected_number_is_rices_and_what_many_points_have():
    for sigma in (0.05, 0.1, 0.2):
        assert math.isclose(expected_circle_attractors(sigma), math.sqrt(1.5) / sigma, rel_tol=0.01)
    numbers = [len(circle_attractors(ring(1500, 10 + k), 0.2, angles=400)[0]) for k in range(24)]
    mean, error = sum(numbers) / 24, torch.tensor(numbers, dtype=torch.float64).std() / math.sqrt(24)
    assert abs(mean - expected_circle_attractors(0.2)) < 4 * float(error)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: attractors(Empirical(torch.eye(2)), torch.eye(2), torch.tensor([1.0, 2.0])), "a number is needed"),
        (lambda: attractors(Empirical(torch.eye(2)), torch.eye(2), 1.0, steps=0), "steps"),
        (lambda: circle_attractors(torch.zeros(3), 0.6), "sigma"),
        (lambda: circle_attractors(torch.zeros(3), 0.1, angles=100), "angles"),
        (lambda: expected_circle_attractors(0.0), "sigma"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# Kernel width


@pytest.mark.parametrize("n, D", [(2, 1), (50, 4), (1000, 64), (10**6, 2)])
def test_the_collapse_is_where_half_an_information_is_the_logarithm_of_n(n, D):
    nu = collapse_variance(n, D, 2.5)
    assert math.isclose(D / 2 * math.log1p(2.5 / nu), math.log(n), rel_tol=1e-12)


@pytest.mark.parametrize("n, D", [(2, 1), (50, 4), (50, 64), (1000, 64), (10**6, 2), (3, 10**4)])
def test_the_best_width_solves_its_equation_scales_and_is_inside_the_collapse(n, D):
    nu = best_kernel_variance(n, D)
    u = (math.sqrt(1 + 4 * nu) - 1) / 2
    assert math.isclose((u * u - u - math.log(u)) / 2, math.log(n) / D, rel_tol=1e-6, abs_tol=1e-12)
    assert nu < collapse_variance(n, D) and math.isclose(best_kernel_variance(n, D, 9.0), 9 * nu, rel_tol=1e-12)


def test_the_best_width_is_the_distance_to_the_nearest_point_in_high_dimension():
    n, D, g = 400, 400, seeded(5)
    x, y = (torch.randn(n, D, dtype=torch.float64, generator=g) for _ in range(2))
    nearest = float(torch.cdist(y, x).amin(1).square().mean()) / D
    assert math.isclose(nearest, best_kernel_variance(n, D), rel_tol=0.05)  # the limit in D


def test_the_likelihood_is_that_of_the_kernel_density():
    g = seeded(6)
    x, y = (
        torch.randn(30, 2, 3, dtype=torch.float64, generator=g),
        torch.randn(50, 2, 3, dtype=torch.float64, generator=g),
    )
    nu = torch.tensor([1e-4, 0.3, 50.0], dtype=torch.float64)
    expected = [float(KernelDensity(x, math.sqrt(v)).log_prob(y).mean()) for v in nu.tolist()]
    assert torch.allclose(kernel_likelihood(x, y, nu), torch.tensor(expected, dtype=torch.float64), rtol=1e-10)


def test_the_own_weight_at_the_collapse_is_about_a_half():
    x = torch.randn(500, 32, dtype=torch.float64, generator=seeded(7))
    t = math.sqrt(collapse_variance(500, 32))
    assert 0.4 < float(own_weight(Empirical(x), t, 4000, schedule=NOISE, generator=seeded(8))) < 0.7


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: collapse_variance(1, 4), "n = 1"),
        (lambda: best_kernel_variance(10, 0), "D"),
        (lambda: best_kernel_variance(10, 3, -1.0), "variance"),
        (lambda: kernel_likelihood(torch.zeros(3, 2), torch.zeros(3, 3), [1.0]), "points"),
        (lambda: kernel_likelihood(torch.zeros(3, 2), torch.zeros(3, 2), [0.0]), "variances"),
    ],
)
def test_bad_numbers_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# Completions


@pytest.mark.parametrize("cov", ["number", "axes", "matrices"])
def test_a_completion_has_mean_and_covariance_of_the_posterior(cov):
    g = seeded(9)
    means = 2 * torch.randn(3, 4, dtype=torch.float64, generator=g)
    root = torch.randn(3, 4, 4, dtype=torch.float64, generator=g)
    spread = {"number": 0.7, "axes": torch.tensor([[0.1], [1.0], [2.0]]), "matrices": root @ root.mT / 4}[cov]
    truth = GaussianMixture(means, spread, torch.tensor([1.0, 2.0, 3.0]))
    x, t, m = torch.randn(1, 4, dtype=torch.float64, generator=g), 0.8, 40_000
    y = completed(truth, x.expand(m, -1), t, generator=g)
    wanted, covariance = truth.denoise(x, t), truth.posterior_cov(x, t)[0]
    error = (covariance.diagonal() / m).sqrt()
    assert ((y.mean(0) - wanted[0]).abs() < 5 * error).all()
    assert (torch.cov(y.T) - covariance).abs().max() < 0.05 * covariance.diagonal().max()


def test_noised_data_completed_has_the_law_of_the_data():
    truth = GaussianMixture(torch.tensor([[-2.0], [2.0]], dtype=torch.float64), 0.25)
    g = seeded(11)
    x0 = truth.sample(20_000, generator=g)
    x = OU().add_noise(x0, 1.0, torch.randn(x0.shape, dtype=torch.float64, generator=g))
    y = completed(truth, x, 1.0, generator=g)
    grid = torch.linspace(-3, 3, 13, dtype=torch.float64)
    assert max(abs(float((x0 < v).double().mean() - (y < v).double().mean())) for v in grid) < 0.02


def test_completion_keeps_shape_and_dtype_and_names_bad_input():
    truth = GaussianMixture(torch.zeros(2, 1, 3, 3), 1.0)
    assert completed(truth, torch.zeros(5, 1, 3, 3), 0.5, generator=seeded(1)).shape == (5, 1, 3, 3)
    with pytest.raises(ValueError, match="GaussianMixture"):
        completed(Empirical(torch.eye(2)), torch.eye(2), 0.5)
