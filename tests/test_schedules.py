"""Schedules: the laws that tie alpha, sigma, drift, diffusion and log-SNR."""

import math

import pytest
import torch

from separations.schedules import DDPM, OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow(), DDPM(), DDPM(20, 0.01, 0.3)]
TIMES = torch.tensor([1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999], dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_drift_and_diffusion_are_those_of_the_marginals(schedule):
    t = TIMES.clone().requires_grad_()
    alpha, variance = schedule.alpha(t), schedule.sigma(t) ** 2
    growth = torch.autograd.grad(variance.sum(), t)[0]
    decay = torch.autograd.grad(alpha.log().sum() + 0 * t.sum(), t)[0]
    torch.testing.assert_close(schedule.drift(t), decay, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(schedule.diffusion(t) ** 2, growth - 2 * decay * variance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_time_from_log_snr_inverts_log_snr(schedule):
    torch.testing.assert_close(schedule.time_from_log_snr(schedule.log_snr(TIMES)), TIMES, rtol=1e-8, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_log_snr_falls_and_agrees_with_its_definition(schedule):
    l = schedule.log_snr(TIMES)
    assert (l.diff() < 0).all()
    torch.testing.assert_close(l, (schedule.alpha(TIMES) ** 2 / schedule.sigma(TIMES) ** 2).log(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VPCosine(), DDPM()], ids=str)
def test_variance_preserving(schedule):
    torch.testing.assert_close(schedule.alpha(TIMES) ** 2 + schedule.sigma(TIMES) ** 2, torch.ones_like(TIMES))


def test_ou_is_the_convention_of_the_paper():
    assert float(OU().alpha(1.0)) == pytest.approx(math.exp(-0.5))
    assert float(OU().sigma(1.0) ** 2) == pytest.approx(1 - math.exp(-1))
    assert float(OU().sigma(1e-14)) == pytest.approx(1e-7)  # expm1: no cancellation


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("t", [0.0, -1.0, math.nan, math.inf, 1e3])
def test_time_outside_the_range_is_an_error(schedule, t):
    if isinstance(schedule, OU) and t == 1e3:
        assert schedule.check_time(t) == t
        return
    with pytest.raises(ValueError, match=r"t = .* t must lie in \(0, "):
        schedule.check_time(t)


@pytest.mark.parametrize(
    "make", [lambda: VPLinear(beta_min=0), lambda: VPLinear(2, 1), lambda: VPCosine(-1), lambda: VE(0)]
)
def test_bad_parameters_of_a_schedule(make):
    with pytest.raises(ValueError, match="needed"):
        make()


def test_ddpm_has_the_noise_levels_of_the_product_of_its_betas():
    schedule = DDPM()
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    steps = torch.arange(1, 1001, dtype=torch.float64)
    torch.testing.assert_close(schedule.alpha(steps / 1000) ** 2, (1 - betas).cumprod(0), rtol=1e-11, atol=0)
    assert (schedule.log_snr(steps / 1000) - VPLinear().log_snr(steps / 1000)).abs().max() < 0.1
    assert schedule.alpha(torch.tensor(0.5)).dtype == torch.float32


def test_ddpm_with_one_step_and_bad_parameters():
    assert float(DDPM(1, 0.3, 0.3).alpha(1.0) ** 2) == pytest.approx(0.7)
    for make in (
        lambda: DDPM(0),
        lambda: DDPM(beta_first=0.0),
        lambda: DDPM(beta_last=1.0),
        lambda: DDPM(10, 0.2, 0.1),
    ):
        with pytest.raises(ValueError, match="needed"):
            make()
