"""Laws of a random scale: the finite mixtures have the densities that they stand for, and the rates in n that follow."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from separations.distributions import radial_exponential, radial_student
from separations.loss_gap import predicted_gap


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("df", [1, 3, 10])
def test_radial_student_has_the_density_of_the_multivariate_student_law(d, df):
    far = stats.f.isf(1e-6, d, df) ** 0.5  # |x|^2 / d has this F law
    x = np.zeros((60, d))
    x[:, 0] = np.geomspace(1e-3, far, 60) * math.sqrt(d)
    wanted = stats.multivariate_t(np.zeros(d), np.eye(d), df=df).logpdf(x)
    np.testing.assert_allclose(radial_student(d, df).log_prob(torch.from_numpy(x), 0.0), wanted, atol=5e-3)


def test_radial_exponential_is_the_laplace_law_on_a_line():
    x = np.linspace(0.2, 10, 50)[:, None]  # 1e-6 is left beyond 10; at 0 the law has a corner
    wanted = stats.laplace(scale=1 / math.sqrt(2)).logpdf(x[:, 0])
    np.testing.assert_allclose(radial_exponential(1).log_prob(torch.from_numpy(x), 0.0), wanted, atol=5e-3)


def smoothed(power: float, variance: float, x: np.ndarray) -> np.ndarray:
    """log density of exp(-|y|^power) / constant convolved with a normal law, by the trapezoid rule."""
    y = np.linspace(-80, 80, 160001)
    density = -(np.abs(y) ** power) - math.log(2 * math.gamma(1 + 1 / power))
    exponent = density - (x[:, None] - y) ** 2 / (2 * variance) - math.log(2 * math.pi * variance) / 2
    top = exponent.max(1, keepdims=True)
    return top[:, 0] + np.log(np.exp(exponent - top).sum(1) * (y[1] - y[0]))


@pytest.mark.parametrize("power, finite", [(2.0, True), (1.5, True), (1.2, True), (1.0, False), (0.7, False)])
def test_the_chi_square_information_is_finite_for_tails_lighter_than_the_exponential_one(power, finite):
    """Its integrand is p(x; noise sigma^2 / 2) / p(x; noise sigma^2), here with alpha = sigma = 1: exp(-(log p)'^2 / 4) far out."""
    x = np.array([12.0, 24.0])
    log_ratio = smoothed(power, 0.5, x) - smoothed(power, 1.0, x)
    slope = power * x ** (power - 1)
    if power == 2:  # variances 1/2 + 1/2 and 1/2 + 1
        assert log_ratio[1] - log_ratio[0] == pytest.approx((1 / 1.5 - 1) / 2 * (x[1] ** 2 - x[0] ** 2))
    elif finite:
        assert log_ratio[1] - log_ratio[0] == pytest.approx((slope[0] ** 2 - slope[1] ** 2) / 4, rel=0.35)
    else:  # at least a constant: no integral over the line
        assert log_ratio[1] > log_ratio[0] - 1e-3 and log_ratio[1] == pytest.approx(-(slope[1] ** 2) / 4, abs=0.02)


@pytest.mark.parametrize("d, df", [(1, 1), (1, 3), (2, 1), (4, 1)])
def test_the_rate_of_the_gap_is_set_by_the_tail(d, df):
    n = torch.tensor([1e3, 1e5], dtype=torch.float64)
    found = predicted_gap(radial_student(d, df), 0.7, n, samples=40000, generator=torch.Generator().manual_seed(0))
    exponent = float((found.value[1] / found.value[0]).log() / math.log(100))
    # sampling errors of up to 15 % at n = 1e5; in d = 1, df = 3 the bulk, like 1/n, still adds at n = 1e3
    assert exponent == pytest.approx(-df / (df + d), abs=0.08)


@pytest.mark.parametrize(
    "call, message", [(lambda: radial_student(2, 0.1), "df = 0.1"), (lambda: radial_student(0, 1), "d = 0")]
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
