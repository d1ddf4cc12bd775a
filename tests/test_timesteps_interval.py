"""The interval sampler: laws of its definition, whole steps, min-SNR, all distributions in `train`, bad input."""

import math

import pytest
import torch
from scipy import integrate, stats

from separations.networks import MLP, Denoiser
from separations.schedules import DDPM, OU, VE, VPLinear
from separations.timesteps import (
    Beta,
    ConfidenceInterval,
    DiscreteTimes,
    LogNormal,
    LogSNRUniform,
    MinSNR,
    Uniform,
    contribution,
)
from separations.training import denoising_terms, train
from separations.training.objective import loss_factor
from separations.training.recipes import named

GRID = [(100 * i, 100 * j) for i in range(1, 11) for j in range(i + 1, 11)]


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_normal_law_has_the_share_in_its_interval():
    for low, high, coverage in ((300, 600, 0.5), (0, 1000, 0.9), (10, 11, 0.99)):
        kind = ConfidenceInterval(low, high, coverage)
        law = stats.norm(kind.mean, kind.std)
        assert law.cdf(high) - law.cdf(low) == pytest.approx(coverage, abs=1e-12)
        assert kind.mean == (low + high) / 2 and kind.width == high - low
        assert kind.tail == pytest.approx(law.cdf(0) + law.sf(1000), abs=1e-14)
    assert ConfidenceInterval(900, 1000).std == pytest.approx(100 / (2 * 0.67449), rel=1e-5)
    assert ConfidenceInterval(900, 1000).tail == pytest.approx(0.25, abs=1e-9)  # T is the upper end of the central half


@pytest.mark.parametrize("low,high", [(100, 200), (900, 1000), (100, 1000), (500, 600)])
def test_the_density_is_the_mixture_of_the_definition(low, high):
    kind = ConfidenceInterval(low, high)
    s = torch.linspace(0, 1000, 101, dtype=torch.float64)
    law = stats.norm(kind.mean, kind.std)
    inside = law.cdf(1000) - law.cdf(0)
    share = inside / (inside + kind.tail)  # lambda of the source; the denominator is 1
    wanted = share * law.pdf(s.numpy()) / inside + (1 - share) / 1000
    torch.testing.assert_close(
        kind.step_density(s), torch.as_tensor(wanted), rtol=1e-10, atol=1e-18
    )  # 1 - inside is rounded
    assert float(kind.step_density(-1)) == 0 and float(kind.step_density(1001)) == 0
    total = integrate.quad(lambda u: float(kind.step_density(u)), 0, 1000, points=[low, high])[0]
    assert total == pytest.approx(1, abs=1e-9)
    # what the redistribution adds to the share in the interval
    extra = kind.tail * kind.width / 1000
    held = float(
        kind.cdf(torch.tensor(high / 1000, dtype=torch.float64))
        - kind.cdf(torch.tensor(low / 1000, dtype=torch.float64))
    )
    assert held == pytest.approx(0.5 + extra, abs=1e-9)


def test_wide_coverage_limits():
    # nearly all of the mass outside: uniform; nearly none: normal
    flat = ConfidenceInterval(0, 1000, 1e-4)
    assert (flat.step_density(torch.linspace(1, 999, 9)) * 1000 - 1).abs().max() < 1e-3
    assert ConfidenceInterval(450, 550).tail < 1e-9


@pytest.mark.parametrize("low,high", [(100, 200), (700, 1000), (200, 900)])
def test_the_slope_in_the_mean_is_that_of_finite_differences(low, high):
    s, h = torch.linspace(0.5, 999.5, 50, dtype=torch.float64), 1e-3
    move = {"low": low, "high": high}
    # low and high move together: T is large enough for both ends only if the law is shifted by hand
    up, down = (ConfidenceInterval(low + d, high + d, T=1000.0) if high + d <= 1000 else None for d in (h, -h))
    if up is None:  # at the upper end, one-sided
        here = ConfidenceInterval(**move)
        slope = (here.step_density(s) - down.step_density(s)) / h
        torch.testing.assert_close(here.step_density_slope(s), slope, rtol=1e-3, atol=1e-10)
    else:
        slope = (up.step_density(s) - down.step_density(s)) / (2 * h)
        torch.testing.assert_close(ConfidenceInterval(**move).step_density_slope(s), slope, rtol=1e-6, atol=1e-13)
    total = integrate.quad(lambda u: float(ConfidenceInterval(**move).step_density_slope(u)), 0, 1000, limit=200)[0]
    assert abs(total) < 1e-9  # mass only moves


def test_time_is_step_over_T_on_every_schedule():
    step = torch.tensor([100.0, 250.0, 900.0], dtype=torch.float64)
    for options, last in (({}, 1.0), ({"schedule": OU(), "t_max": 5.0}, 5.0), ({"schedule": VE(10.0)}, 10.0)):
        kind = ConfidenceInterval(200, 400, **options)
        torch.testing.assert_close(kind.density(step / 1000 * last) * last / 1000, kind.step_density(step))
        assert float(kind.sample(1000, gen()).max()) <= last


def test_whole_steps_have_the_mass_of_their_cell():
    kind = DiscreteTimes(ConfidenceInterval(600, 700, schedule=DDPM()))
    mass, steps = kind.mass(), kind.steps(20_000, gen())
    assert float(mass.sum()) == pytest.approx(1, abs=1e-12) and mass.shape == (1000,)
    middle = kind.times.step_density(torch.arange(1000) + 0.5)
    assert (mass - middle).abs().max() < 1e-6  # the density hardly changes within a step
    assert steps.min() >= 1 and steps.max() <= 1000 and steps.dtype == torch.int64
    counts = torch.bincount((steps - 1) // 100, minlength=10).numpy()
    wanted = 20_000 * mass.reshape(10, 100).sum(1).numpy()
    keep = wanted > 5
    assert stats.chisquare(counts[keep], wanted[keep] * counts[keep].sum() / wanted[keep].sum()).pvalue > 1e-3
    t = kind.sample(50, gen(1))
    torch.testing.assert_close(t * 1000, (t * 1000).round(), rtol=0, atol=1e-9)


def test_uniform_in_whole_steps_is_ddpm():
    kind = DiscreteTimes(Uniform(1e-12, 1.0))
    torch.testing.assert_close(kind.mass(), torch.full((1000,), 1e-3, dtype=torch.float64), rtol=1e-8, atol=0)

    class OnGrid:
        def sample(self, m, generator=None):
            return torch.arange(1, 1001, dtype=torch.float64) / 1000

        def cdf(self, t):
            return t

    assert torch.equal(DiscreteTimes(OnGrid()).steps(1000), torch.arange(1, 1001))  # a time on the grid stays


def test_min_snr_is_the_clipped_weight():
    for schedule in (VPLinear(), DDPM(), OU()):
        t = torch.tensor([1e-3, 0.05, 0.2, 0.7, 1.0], dtype=torch.float64)
        snr = schedule.log_snr(t).exp()
        torch.testing.assert_close(loss_factor(MinSNR(5.0, schedule), t, schedule), snr.clamp(max=5.0) / snr)
        # the same in words of Hang et al.: the x0 loss times min(SNR, gamma)
        x0_factor = loss_factor("x0", t, schedule)
        torch.testing.assert_close(
            loss_factor(MinSNR(2.0, schedule), t, schedule), x0_factor * snr.clamp(max=2.0), rtol=1e-9, atol=0
        )


def test_contribution_is_density_times_snr():
    kind, t = ConfidenceInterval(400, 700), torch.tensor([0.2, 0.5], dtype=torch.float64)
    schedule = VPLinear()
    snr = schedule.alpha(t) ** 2 / schedule.sigma(t) ** 2
    torch.testing.assert_close(contribution(kind, t, schedule=schedule), kind.density(t) * snr)


SCHEDULE = DDPM()
RIVALS = {
    "interval": ConfidenceInterval(300, 600, schedule=SCHEDULE),
    "whole steps": DiscreteTimes(ConfidenceInterval(300, 600, schedule=SCHEDULE)),
    "uniform": Uniform(),
    "uniform steps": DiscreteTimes(Uniform(1e-12, 1.0)),
    "log-SNR": LogSNRUniform(1e-3, 1.0, SCHEDULE),
    "log-normal": LogNormal(0.0, 1.0, SCHEDULE),
    "beta": Beta(0.8, 2),
}


@pytest.mark.parametrize("name", RIVALS)
def test_all_are_interchangeable_in_train(name):
    x = torch.randn(32, 3, generator=gen(0))
    model = Denoiser(MLP(3, 16, 3, generator=gen(1)), SCHEDULE)
    for weight in ("eps", MinSNR(5.0, SCHEDULE)):
        for record in train(
            model, x, steps=60, batch=64, times=RIVALS[name], weight=weight, generator=gen(2), every=60
        ):
            assert math.isfinite(float(record.loss))
    at = RIVALS[name].sample(2000, gen(3))
    fresh = x[torch.randint(32, (2000,), generator=gen(4))]
    untrained = Denoiser(MLP(3, 16, 3, generator=gen(1)), SCHEDULE)
    before, after = (float(denoising_terms(m, fresh, at, generator=gen(5)).detach().mean()) for m in (untrained, model))
    assert after < before


def test_a_recipe_can_name_the_interval_without_a_new_field():
    recipe = named("mnist-generalizing", times=("ConfidenceInterval", {"low": 300, "high": 600}))
    kind = recipe.time_distribution()
    assert kind == ConfidenceInterval(300, 600, schedule=recipe.noise())


def test_the_grid_of_the_source_has_45_pairs():
    assert len(GRID) == 45 and len({ConfidenceInterval(*pair) for pair in GRID}) == 45


@pytest.mark.parametrize(
    "make,word",
    [
        (lambda: ConfidenceInterval(500, 500), "low = 500, high = 500"),
        (lambda: ConfidenceInterval(600, 500), "low < high"),
        (lambda: ConfidenceInterval(-1, 500), "low = -1"),
        (lambda: ConfidenceInterval(500, 1001), "high = 1001"),
        (lambda: ConfidenceInterval(math.nan, 500), "low = nan"),
        (lambda: ConfidenceInterval(0.2, 0.8, T=0.5), "T = 0.5"),
        (lambda: ConfidenceInterval(1, 2, T=0), "T = 0"),
        (lambda: ConfidenceInterval(1, 2, T=math.inf), "T = inf"),
        (lambda: ConfidenceInterval(1, 2, 0.0), "coverage = 0.0"),
        (lambda: ConfidenceInterval(1, 2, 1.0), "coverage = 1.0"),
        (lambda: ConfidenceInterval(1, 2, math.nan), "coverage = nan"),
        (lambda: ConfidenceInterval(1, 2, schedule=OU()), "t_max = None"),
        (lambda: ConfidenceInterval(1, 2, t_max=2.0), "t_max = 2.0"),
        (lambda: DiscreteTimes(Uniform(), T=0), "T = 0"),
        (lambda: DiscreteTimes(torch.rand), "times = "),
        (lambda: DiscreteTimes(Uniform(), t_max=0), "t_max = 0"),
        (lambda: DiscreteTimes(Uniform(0.5, 2.0)).steps(100, gen()), "larger t_max"),
        (lambda: MinSNR(0.0), "gamma = 0.0"),
        (lambda: contribution(ConfidenceInterval(1, 2), 1.5, schedule=VPLinear()), "t = 1.5"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()
