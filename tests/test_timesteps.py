"""Timestep distributions: densities integrate to 1 and are those of the samples; laws in the noise; bad input."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from separations.schedules import OU, VPCosine, VPLinear
from separations.timesteps import Beta, ConfidenceInterval, LogNormal, LogSNRUniform, Uniform
from separations.timesteps.times import log_snr_speed

KINDS = {
    "uniform": Uniform(0.01, 0.9),
    "beta": Beta(0.8, 2),
    "beta on OU": Beta(2.0, 3.0, t_min=0.05, t_max=4.0),
    "log-SNR": LogSNRUniform(0.01, 0.9, VPLinear()),
    "log-SNR on OU": LogSNRUniform(1e-3, 5.0),
    "log-normal": LogNormal(1.0, 1.0, VPLinear()),
    "log-normal, cosine": LogNormal(0.0, 0.7, VPCosine()),
    "interval": ConfidenceInterval(500, 700),
    "interval at the end": ConfidenceInterval(900, 1000, 0.8),
    "interval on OU": ConfidenceInterval(2, 7, 0.3, T=10, schedule=OU(), t_max=4.0),
}


def ends(kind):
    if isinstance(kind, LogNormal):
        return kind.schedule.time_from_log_snr(torch.tensor([kind.limit, -kind.limit], dtype=torch.float64)).tolist()
    if isinstance(kind, ConfidenceInterval):
        return 1e-9, kind.t_max or kind.schedule.t_max
    return kind.t_min, kind.t_max


def mass(kind, low, high):
    """Integral of the density in log t, where it is smooth."""
    return integrate.quad(
        lambda u: float(kind.density(math.exp(u))) * math.exp(u), math.log(low), math.log(high), limit=400
    )[0]


@pytest.mark.parametrize("name", KINDS)
def test_density_is_that_of_the_sample(name):
    kind = KINDS[name]
    low, high = ends(kind)
    inside = 1 - sum(kind.mass_at_ends()) if isinstance(kind, LogNormal) else 1.0
    assert abs(mass(kind, low * 1.0000001, high * 0.9999999) - inside) < 2e-5
    t = kind.sample(20_000, torch.Generator().manual_seed(0)).numpy()
    assert t.shape == (20_000,) and t.dtype == np.float64 and low - 1e-12 <= t.min() and t.max() <= high + 1e-12
    edges = np.quantile(t, np.linspace(0.1, 0.9, 5))
    shares = np.diff(np.searchsorted(np.sort(t), edges)) / len(t)
    wanted = [mass(kind, a, b) for a, b in zip(edges, edges[1:])]
    # four shares of 0.2 from 20,000 draws: standard deviation 0.003 each
    np.testing.assert_allclose(shares, wanted, atol=5 * 0.003)


@pytest.mark.parametrize("name", KINDS)
def test_same_generator_same_times(name):
    a, b = (KINDS[name].sample(5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)


def test_beta_is_the_law_of_its_name():
    u = (Beta(0.8, 2).sample(5000, torch.Generator().manual_seed(1)).numpy() - 1e-3) / (1 - 1e-3)
    assert stats.kstest(u, stats.beta(0.8, 2).cdf).pvalue > 1e-3
    assert abs(u.mean() - 0.8 / 2.8) < 0.015


@pytest.mark.parametrize("name", KINDS)
def test_cdf_is_the_integral_of_the_density_and_that_of_the_sample(name):
    kind = KINDS[name]
    low, high = ends(kind)
    grid = torch.linspace(low * 1.001, high * 0.999, 7, dtype=torch.float64)
    steps = torch.diff(kind.cdf(grid)).tolist()
    wanted = [mass(kind, a, b) for a, b in zip(grid.tolist(), grid.tolist()[1:])]
    np.testing.assert_allclose(steps, wanted, atol=1e-6)  # accuracy of the quadrature
    last = float(kind.cdf(torch.tensor(high * (1 - 1e-9), dtype=torch.float64)))
    assert abs(last + (kind.mass_at_ends()[1] if isinstance(kind, LogNormal) else 0) - 1) < 1e-6
    t = kind.sample(4000, torch.Generator().manual_seed(3))
    t = t[(t > low * (1 + 1e-9)) & (t < high * (1 - 1e-9))] if isinstance(kind, LogNormal) else t
    assert stats.kstest(t.numpy(), lambda x: kind.cdf(torch.as_tensor(x)).numpy()).pvalue > 1e-3


def test_log_normal_is_normal_in_log_sigma():
    kind = LogNormal(0.4, 0.8, OU())
    t = kind.sample(5000, torch.Generator().manual_seed(1))
    log_sigma = (-kind.schedule.log_snr(t) / 2).numpy()
    assert stats.kstest(log_sigma, stats.norm(0.4, 0.8).cdf).pvalue > 1e-3


def test_mass_at_the_ends_is_where_the_tails_go():
    kind = LogNormal(0.5, 1.0, VPLinear(), limit=2.0)
    low, high = kind.mass_at_ends()
    t = kind.sample(20_000, torch.Generator().manual_seed(1))
    first, last = ends(kind)
    assert abs(float((t <= first * (1 + 1e-9)).double().mean()) - low) < 0.01
    assert abs(float((t >= last * (1 - 1e-9)).double().mean()) - high) < 0.01


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VPCosine()])
def test_speed_of_the_log_snr(schedule):
    t, h = torch.tensor([0.05, 0.3, 0.8], dtype=torch.float64), 1e-6
    slope = (schedule.log_snr(t - h) - schedule.log_snr(t + h)) / (2 * h)
    torch.testing.assert_close(log_snr_speed(t, schedule), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "make,word",
    [
        (lambda: Uniform(0.5, 0.5), "t_min = 0.5"), (lambda: Uniform(0.0, 1.0), "t_min = 0.0"), (lambda: Beta(0, 2), "a = 0"),
        (lambda: Beta(1, math.nan), "b = nan"), (lambda: LogSNRUniform(0.5, 0.1), "t_max = 0.1"), (lambda: LogNormal(std=0), "std = 0"),
        (lambda: LogSNRUniform(0.1, 2.0, VPLinear()), "t = 2"),
    ],
)  # fmt: skip
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
