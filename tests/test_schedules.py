"""Schedules: the laws that tie alpha, sigma, drift, diffusion and log-SNR."""

import math

import pytest
import torch

from separations import losses, samplers
from separations.distributions import Empirical, FittedGaussian, GaussianMixture, StudentMixture, UniformMixture
from separations.loss_gap import loss_gap
from separations.networks import MLP, Denoiser
from separations.schedules import DDPM, OU, VE, Flow, VPCosine, VPLinear, owned_by, schedule_of

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


VP = VPLinear()
OWNERS = {
    "a mixture": lambda **own: GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), 0.3, **own),
    "a training set": lambda **own: Empirical(torch.tensor([[-1.0], [0.2], [1.0]], dtype=torch.float64), **own),
    "heavy tails": lambda **own: StudentMixture(torch.zeros(1, 1, dtype=torch.float64), 1.0, 3.3, **own),
    "bounded coordinates": lambda **own: UniformMixture(torch.zeros(1, 1, dtype=torch.float64), **own),
    "a fitted Gaussian": lambda **own: FittedGaussian(torch.tensor([[-1.0], [0.2], [1.0]], dtype=torch.float64), **own),
}


@pytest.mark.parametrize("make", OWNERS.values(), ids=OWNERS.keys())
def test_a_law_owns_its_schedule_and_everything_reads_it_there(make, generator):
    free, law = make(), make(schedule=VP)
    x, t = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None], 0.3
    assert free.schedule == OU() and law.schedule == free.under(VP).schedule == VP and free.own_schedule is None
    for other in (free.under(VP), law.to(dtype=torch.float64), law.under(OU()).under(VP)):
        assert torch.equal(other.score(x, t), law.score(x, t)) and other.schedule == VP
    assert torch.equal(law.score(x, t), free.score(x, t, schedule=VP)) and not torch.allclose(
        law.score(x, t), free.score(x, t)
    )
    times = samplers.log_snr_times(0.9, 0.01, 8, schedule=VP)
    assert torch.equal(samplers.ddim(law, x, times), samplers.ddim(free, x, times, schedule=VP))
    assert samplers.generate(law, 3, shape=(1,), generator=generator).shape == (3, 1)
    refusals = [
        lambda: law.score(x, t, schedule=OU()), lambda: law.sample(3, t, schedule=OU()), lambda: samplers.heun(law, x, times, schedule=OU()),
        lambda: samplers.switch({(1.0, 0.5): law, (0.5, 0.0): free.under(Flow())}),
        lambda: losses.fisher_divergence(law, free.under(Flow()), x, t), lambda: loss_gap(x, law, t, schedule=Flow()),
    ]  # fmt: skip
    for refused in refusals:
        with pytest.raises(
            ValueError, match=r"schedule: \w+ has (VPLinear|OU|Flow)\(.*\) and \w+ has (VPLinear|OU|Flow)\("
        ):
            refused()
    with pytest.raises(ValueError, match="a Schedule, as OU"):
        free.under("vp")
    with pytest.raises(ValueError, match="a Schedule, as OU"):
        make(schedule=OU)


def test_a_law_under_another_schedule_shares_its_numbers_and_a_copy_keeps_its_settings():
    data = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    law = Empirical(data, block=7, schedule=VP)
    assert law.under(OU()).data is data and law.under(OU()).rows is law.rows
    moved = law.to(dtype=torch.float64)
    assert moved.rows.block == 7 and moved.schedule == VP and moved.data.dtype == torch.float64
    assert GaussianMixture(data, 0.1, piece=64).to(dtype=torch.float64).piece == 64
    heavy = StudentMixture(data, 1.0, 3.3, piece=64).to(dtype=torch.float32)
    assert heavy.df == 3.3 and heavy.piece == 64


def test_a_hybrid_has_the_schedule_of_its_parts():
    truth, net = OWNERS["a mixture"](), Denoiser(MLP(1, 4, 2), VP)
    hybrid = samplers.switch({(1.0, 0.5): net, (0.5, 0.0): truth})
    assert (
        owned_by(hybrid) == owned_by(net) == VP and owned_by(truth) is None and schedule_of(None, truth, hybrid) == VP
    )
    assert schedule_of(None, truth) == OU() and owned_by(samplers.switch({(1.0, 0.0): truth})) is None
    assert samplers.generate(hybrid, 2, shape=(1,), steps=3).isfinite().all()


def test_noise_is_added_to_each_row_at_its_own_time():
    x0 = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    eps = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.1, 0.2, 0.5, 0.9])
    for schedule in (OU(), VP, Flow(), VE()):
        rows = torch.stack(
            [schedule.alpha(s).float() * x + schedule.sigma(s).float() * e for x, e, s in zip(x0, eps, t)]
        )
        assert torch.allclose(schedule.add_noise(x0, t, eps), rows)
        assert torch.equal(schedule.add_noise(x0, t, eps), schedule.add_noise(x0, t[:, None, None], eps))
        assert (
            torch.allclose(schedule.add_noise(x0, 0.2, eps)[1], rows[1])
            and schedule.add_noise(x0.double(), t, eps.double()).dtype == torch.float64
        )
    with pytest.raises(ValueError, match="one time per row"):
        VP.add_noise(x0, t[:3], eps)
    with pytest.raises(ValueError, match="the shape of x0"):
        VP.add_noise(x0, t, eps[:3])
    with pytest.raises(ValueError, match="t must lie in"):
        VP.add_noise(x0, 1.5, eps)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_log_snr_of_the_schedule_has_its_time_and_no_other_has_one(schedule, dtype):
    last = schedule.log_snr(torch.tensor(schedule.t_max, dtype=torch.float64)).to(dtype)
    ends = schedule.time_from_log_snr(torch.stack([torch.tensor(math.inf, dtype=dtype), last]))
    assert ends[0] == 0 and ends[1] <= schedule.t_max and ends.dtype == dtype
    assert math.isinf(schedule.t_max) == math.isinf(ends[1])
    torch.testing.assert_close(float(ends[1]), float(schedule.t_max), rtol=1e-6, atol=0)
    if last == -math.inf:  # OU, cosine, flow: the noise leaves nothing
        assert float(schedule.time_from_log_snr(-math.inf)) == schedule.t_max
        return
    for level in (-math.inf, float(last) - 1.0):
        with pytest.raises(
            ValueError, match=rf"log_snr = {level:g}: at least -\d+\.?\d*, that of the last time of \w+\("
        ):
            schedule.time_from_log_snr(torch.tensor([0.0, level], dtype=dtype))
