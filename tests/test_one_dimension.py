"""One dimension: distribution function, quantiles, the flow as a quantile map, and the law of Euler-Maruyama."""

import math

import pytest
import scipy.stats
import torch

from conftest import mixture
from separations.distributions import GaussianMixture
from separations.distributions.one_dimension import cdf, quantile, quantile_map, reverse_sde_law, wasserstein
from separations.samplers import heun, log_snr_times, reverse_sde, uniform_times
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]
LEVELS = torch.linspace(0.001, 0.999, 21, dtype=torch.float64)


def law(cov="number per component"):
    return mixture(cov, d=1)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_density_is_the_derivative_of_the_distribution_function(schedule):
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None].requires_grad_()
    slope = torch.autograd.grad(cdf(law(), x, 0.3, schedule=schedule).sum(), x)[0][:, 0]
    torch.testing.assert_close(slope, law().log_prob(x, 0.3, schedule=schedule).exp(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("t", [0.0, 0.3, 5.0])
def test_the_quantile_function_inverts_the_distribution_function(t):
    x = quantile(law(), LEVELS, t)
    torch.testing.assert_close(cdf(law(), x, t), LEVELS, rtol=1e-12, atol=1e-14)
    assert (x.diff(dim=0) > 0).all()


def test_quantiles_of_atoms_are_the_atoms():
    atoms = GaussianMixture(torch.tensor([[-1.0], [2.0]], dtype=torch.float64), 0.0, torch.tensor([0.3, 0.7]))
    x = quantile(atoms, torch.tensor([0.1, 0.29, 0.31, 0.9]))
    torch.testing.assert_close(x[:, 0], torch.tensor([-1.0, -1.0, 2.0, 2.0], dtype=torch.float64))


def test_the_map_of_one_gaussian_is_linear():
    one = GaussianMixture(torch.tensor([[1.5]], dtype=torch.float64), 0.4)
    x, a, v = (
        torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64),
        math.exp(-1),
        0.4 * math.exp(-2) + 1 - math.exp(-2),
    )
    torch.testing.assert_close(quantile_map(one, x, 2.0, 0.0), 1.5 + (0.4 / v) ** 0.5 * (x - 1.5 * a))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_the_map_is_the_solution_of_the_probability_flow_ode(schedule):
    t_hi, t_lo = (float(schedule.time_from_log_snr(l)) for l in (-5.0, 4.0))
    x = quantile(law(), LEVELS, t_hi, schedule=schedule)
    solved = heun(law(), x, log_snr_times(t_hi, t_lo, 400, schedule=schedule), schedule=schedule)
    torch.testing.assert_close(solved, quantile_map(law(), x, t_hi, t_lo, schedule=schedule), rtol=0, atol=1e-4)


def test_the_law_of_euler_maruyama_on_a_gaussian_is_the_recursion_of_its_two_moments():
    one, times = GaussianMixture(torch.tensor([[0.7]], dtype=torch.float64), 0.5), uniform_times(2.0, 0.1, 8)
    grid = torch.linspace(-9, 9, 1201, dtype=torch.float64)[:, None]
    density = reverse_sde_law(one, one.log_prob(grid, 2.0).exp(), grid, times)
    mean, variance = 0.7 * math.exp(-1), 0.5 * math.exp(-2) + 1 - math.exp(-2)
    for t, s in zip(times[:-1].tolist(), times[1:].tolist()):
        h, spread = t - s, 0.5 * math.exp(-t) + 1 - math.exp(-t)
        factor = 1 + h / 2 - h / spread
        mean = factor * mean + h * 0.7 * math.exp(-t / 2) / spread
        variance = factor**2 * variance + h
    dx = grid[1, 0] - grid[0, 0]
    ours = (density * grid[:, 0]).sum() * dx
    assert float(density.sum() * dx) == pytest.approx(1, abs=1e-10)
    assert float(ours) == pytest.approx(mean, abs=1e-9)
    assert float((density * (grid[:, 0] - ours) ** 2).sum() * dx) == pytest.approx(variance, abs=1e-9)


def test_the_law_of_euler_maruyama_is_that_of_its_samples(generator):
    times = log_snr_times(3.0, 0.05, 6)  # few steps: far from the exact law
    grid = torch.linspace(-12, 12, 1201, dtype=torch.float64)[:, None]
    density = reverse_sde_law(law(), law().log_prob(grid, 3.0).exp(), grid, times)
    samples = reverse_sde(law(), law().sample(20_000, 3.0, generator=generator), times, generator=generator)[:, 0]
    ours = density.cumsum(0) * (grid[1, 0] - grid[0, 0])
    share = (samples[:, None] <= grid[:, 0]).double().mean(0)
    assert float((share - ours).abs().max()) < 1.95 / 20_000**0.5 + 0.01  # Kolmogorov at 0.1 %, half a cell of the grid
    assert float((share - cdf(law(), grid, 0.05)).abs().max()) > 0.03  # and it is not the exact law


def test_several_starts_at_once_are_those_one_by_one():
    grid = torch.linspace(-9, 9, 401, dtype=torch.float64)[:, None]
    starts = torch.stack([law().log_prob(grid, t).exp() for t in (2.0, 3.0)])
    both = reverse_sde_law(law(), starts, grid, uniform_times(2.0, 0.1, 5))
    torch.testing.assert_close(both[1], reverse_sde_law(law(), starts[1], grid, uniform_times(2.0, 0.1, 5)))


def test_wasserstein_is_scipys_and_a_shift_costs_its_size(generator):
    x, y = law().sample(50, generator=generator), law().sample(50, 1.0, generator=generator)
    assert wasserstein(x, y) == pytest.approx(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-12)
    assert wasserstein(x, x + 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cdf(mixture("number", d=2), torch.zeros(3, 2)), "one dimension"),
        (lambda: cdf(law(), torch.zeros(3)), "x has shape"),
        (lambda: cdf(law(), torch.zeros(3, 1), -1.0), "t = -1"),
        (lambda: quantile(law(), torch.tensor([0.0, 0.5])), "0 < u < 1"),
        (lambda: quantile_map(law(), torch.full((1, 1), 1e3), 1.0, 0.1), "so far out"),
        (lambda: wasserstein(torch.zeros(3, 1), torch.zeros(4, 1)), "same number"),
        (
            lambda: reverse_sde_law(law(), torch.ones(3), torch.tensor([[0.0], [1.0], [3.0]]), [1.0, 0.5]),
            "equally spaced",
        ),
        (
            lambda: reverse_sde_law(law(), torch.ones(3), torch.tensor([[0.0], [1.0], [2.0]]), [1.0, 0.5]),
            "noise of a step",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
