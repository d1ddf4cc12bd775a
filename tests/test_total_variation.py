"""Total variation and what the exact sampler makes of a training set: laws in closed form, float64."""

import math

import pytest
import torch
from scipy.stats import norm

from separations.distributions import Empirical, GaussianMixture
from separations.distributions.one_dimension import cdf
from separations.distributions.total_variation import (
    Law,
    blurred,
    copy_probabilities,
    effective_points,
    flow_density,
    information,
    quadrature_total_variation,
    standard_normal,
    start_error_bound,
    total_variation,
)
from separations.samplers import ddim
from separations.schedules import OU, VE

POINTS = torch.tensor([[-1.5], [-0.2], [0.4], [2.0]], dtype=torch.float64)


def grid(low=-12.0, high=12.0, cell=1e-3):
    return torch.arange(low, high, cell, dtype=torch.float64)[:, None], cell


@pytest.mark.parametrize("shift", [1e-3, 0.1, 1.0, 4.0])
def test_total_variation_of_two_gaussians(shift, generator):
    p, q = standard_normal((3,)), Law(GaussianMixture(torch.tensor([[shift, 0, 0]], dtype=torch.float64), 1.0))
    exact = 2 * norm.cdf(shift / 2) - 1
    estimate = total_variation(p, q, 20_000, generator)
    assert abs(float(estimate) - exact) < 4 * estimate.se  # 4 standard errors
    assert estimate.se < 0.01 * max(exact, 1e-3) or shift > 1e-3


def test_monte_carlo_and_quadrature_agree(generator):
    x, cell = grid()
    p, q = standard_normal((1,)), Law(Empirical(POINTS), 1.0)
    exact = quadrature_total_variation(p.log_prob(x).exp(), q.log_prob(x).exp(), cell)
    estimate = total_variation(p, q, 20_000, generator)
    assert abs(float(estimate) - exact) < 4 * estimate.se
    assert exact <= start_error_bound(POINTS, 1.0)


def test_quadrature_rejects_a_narrow_grid():
    x, cell = grid(-1.0, 1.0)
    p = standard_normal((1,)).log_prob(x).exp()
    with pytest.raises(ValueError, match="mass"):
        quadrature_total_variation(p, p, cell)


def test_total_variation_of_a_law_to_itself_is_zero(generator):
    p = Law(Empirical(POINTS), 0.3)
    assert float(total_variation(p, p, 100, generator)) == 0


def test_blurred_does_not_move_the_points():
    x, _ = grid(-3, 3, 0.1)
    brute = norm.pdf(x.numpy(), POINTS[:, 0].numpy(), 0.2).mean(1)
    torch.testing.assert_close(blurred(POINTS, 0.2).log_prob(x).exp(), torch.from_numpy(brute))


@pytest.mark.parametrize("t_hi, t_lo", [(1.0, 0.05), (3.0, 0.3)])
def test_flow_density_has_the_total_variation_of_the_start(t_hi, t_lo):
    # A bijection keeps the total variation; the two sides are computed on different grids from different densities.
    x, cell = grid(-4, 4, 1e-4)
    generated, target = flow_density(POINTS, x, t_hi, t_lo), Law(Empirical(POINTS), t_lo).log_prob(x).exp()
    y, wide = grid()
    start = quadrature_total_variation(
        standard_normal((1,)).log_prob(y).exp(), Law(Empirical(POINTS), t_hi).log_prob(y).exp(), wide
    )
    assert quadrature_total_variation(generated, target, cell) == pytest.approx(start, rel=1e-3)


def test_flow_density_is_the_law_of_the_flow(generator):
    # Sampled with DDIM: the share below each of some points is the integral of the density.
    t_hi, t_lo = 1.0, 0.05
    z = torch.randn(20_000, 1, dtype=torch.float64, generator=generator)
    out = ddim(Empirical(POINTS), z, torch.linspace(t_hi, t_lo, 800, dtype=torch.float64))
    x, cell = grid(-4, 4, 1e-3)
    density = flow_density(POINTS, x, t_hi, t_lo)
    for cut in (-0.8, 0.1, 1.2):
        expected = float(density[x[:, 0] < cut].sum()) * cell
        assert float((out < cut).double().mean()) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 20_000))
    # and without early stopping the shares differ from 1/n
    assert abs(float(cdf(GaussianMixture(POINTS, 0.0), torch.full((1, 1), 0.1), t_lo)) - 0.5) < 0.05


def test_copy_probabilities_are_the_shares_of_ancestral_sampling(generator):
    empirical, t = Empirical(POINTS), 1.0
    q, error = copy_probabilities(empirical, t, 20_000, generator=generator)
    assert float(q.sum()) == pytest.approx(1, abs=1e-12)
    z = torch.randn(40_000, 1, dtype=torch.float64, generator=generator)
    end = ddim(empirical, z, torch.linspace(t, 1e-4, 300, dtype=torch.float64), eta=1.0, generator=generator)
    share = torch.bincount((end - POINTS.T).abs().argmin(1), minlength=4) / len(z)
    assert ((share - q).abs() < 4 * (q * (1 - q) / len(z)).sqrt() + 4 * error + 2e-3).all()  # 2e-3: 300 steps
    assert (q - 0.25).abs().max() > 0.02


@pytest.mark.parametrize("t", [1e-3, 0.3, 2.0, 8.0])
def test_effective_points_against_the_weights(t, generator):
    empirical = Empirical(torch.randn(50, 6, dtype=torch.float64, generator=generator))
    x = empirical.sample(20, t, generator=generator)
    direct = 1 / empirical.responsibilities(x, t).square().sum(1)
    torch.testing.assert_close(effective_points(empirical, x, t), direct, rtol=1e-6, atol=1e-9)


def test_information_of_a_gaussian_in_closed_form(generator):
    truth = GaussianMixture(torch.zeros(1, 5, dtype=torch.float64), 0.7)
    for t in (0.01, 1.0):
        estimate = information(truth, t, 20_000, generator=generator)
        snr = float(OU().alpha(t) ** 2 / OU().sigma(t) ** 2)
        assert abs(float(estimate) - 2.5 * math.log(1 + 0.7 * snr)) < 4 * estimate.se


def test_the_bound_holds_in_high_dimension_and_for_other_schedules(generator):
    data = 1 + torch.randn(200, 30, dtype=torch.float64, generator=generator)
    for t in (2.0, 6.0):
        estimate = total_variation(standard_normal((30,)), Law(Empirical(data), t), 2000, generator)
        assert float(estimate) - 4 * estimate.se < start_error_bound(data, t)
    assert Law(Empirical(data), 0.5, VE()).sample(3, generator).shape == (3, 30)
