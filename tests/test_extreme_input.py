"""Precision, range and kind of input: the laws answer in at least float32, never with NaN, and refuse what is no number."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from separations import samplers, schedules, timesteps
from separations.distributions import Empirical, GaussianMixture, StudentMixture
from separations.distributions.lipschitz import empirical_lipschitz_bounds
from separations.loss_gap import loss_gap
from separations.losses import denoising_loss
from separations.networks import MLP, Denoiser, DiTConfig
from separations.numerics import wilson_interval
from separations.numerics.checks import all_finite
from separations.schedules import OU, VE, Flow, VPCosine

MEANS = torch.tensor([[-2.0, 0.0, 1.0], [2.0, 1.0, 0.0]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def points(m=6):
    return torch.randn(m, 3, generator=generator(1))


DATA = torch.randn(12, 3, generator=generator(2))
LAWS = {
    "empirical": Empirical(DATA),
    "mixture": GaussianMixture(MEANS, 0.1),
    "student": StudentMixture(MEANS, 1.0, 4.0),
}
QUESTIONS = ("score", "denoise", "log_prob", "hessian", "posterior_cov", "responsibilities")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", LAWS)
def test_sixteen_bits_count_as_float32(name, question, dtype):
    x = points().to(dtype)
    found = getattr(LAWS[name], question)(x, 0.3)
    assert found.dtype == torch.float32
    assert torch.equal(found, getattr(LAWS[name], question)(x.float(), 0.3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_means_and_data_of_sixteen_bits(dtype):
    x = points()
    mixture = GaussianMixture(MEANS.to(dtype), 0.1)
    assert mixture.sample(3, generator=generator()).dtype == torch.float32
    assert torch.equal(mixture.score(x, 0.3), LAWS["mixture"].score(x, 0.3))
    coarse = DATA.to(dtype)
    assert torch.equal(Empirical(coarse).denoise(x, 0.3), Empirical(coarse.float()).denoise(x, 0.3))


@pytest.mark.parametrize("t", [1e-38, 1e-30, 1e-20, 1e-12])
def test_at_vanishing_noise_the_empirical_posterior_mean_is_the_nearest_point(t):
    x = points()
    nearest = DATA[(x[:, None] - DATA).square().sum(-1).argmin(1)]
    assert torch.equal(LAWS["empirical"].denoise(x, t), nearest)
    assert torch.allclose(LAWS["empirical"].denoise(x.double(), t).float(), nearest)


@pytest.mark.parametrize("name", ["mixture", "empirical"])
@pytest.mark.parametrize("size", [1e16, 1e19, 1e25])
def test_far_away_points_get_the_score_of_the_nearest_component(name, size):
    x = size * points().sign()
    score = LAWS[name].score(x, 0.5)
    variance = float(OU().sigma(0.5)) ** 2 + (0.1 * float(OU().alpha(0.5)) ** 2 if name == "mixture" else 0)
    assert torch.allclose(score, -x / variance, rtol=1e-5)


def test_what_does_not_fit_is_an_error_and_not_infinite():
    x = 10 * points()
    with pytest.raises(ValueError, match="score overflows float32"):
        LAWS["empirical"].score(x, 1e-38)
    with pytest.raises(ValueError, match="hessian overflows float32"):
        LAWS["empirical"].hessian(x, 1e-40)
    with pytest.raises(ValueError, match="overflows float64"):
        LAWS["mixture"].score(x.double() * 1e200, 0.5)
    assert LAWS["empirical"].score(x.double(), 1e-38).isfinite().all()


@pytest.mark.parametrize("bad", ["soon", None, [], {}, torch.tensor(1j), True, torch.empty(0)], ids=repr)
@pytest.mark.parametrize("name", LAWS)
def test_a_time_that_is_none(name, bad):
    with pytest.raises(ValueError, match="t "):
        LAWS[name].score(points(), bad)
    with pytest.raises(ValueError, match="t "):
        LAWS[name].sample(3, bad)


@pytest.mark.parametrize("bad", ["wide", None, [], torch.tensor(1j)], ids=repr)
def test_a_covariance_that_is_none(bad):
    with pytest.raises(ValueError, match="cov"):
        GaussianMixture(MEANS, bad)


@pytest.mark.parametrize("bad", [3, "g", True, math.nan], ids=repr)
def test_a_generator_that_is_none(bad):
    calls = (
        lambda: LAWS["mixture"].sample(3, generator=bad),
        lambda: LAWS["empirical"].sample(3, generator=bad),
        lambda: LAWS["student"].sample(3, generator=bad),
        lambda: samplers.prior((3, 2), 1.0, generator=bad),
        lambda: samplers.ddim(LAWS["mixture"], points(), [1.0, 0.5], generator=bad),
        lambda: timesteps.Uniform().sample(3, bad),
        lambda: timesteps.LogNormal().sample(3, bad),
        lambda: denoising_loss(LAWS["mixture"], points(), 0.5, generator=bad),
        lambda: loss_gap(DATA, LAWS["mixture"], 0.5, generator=bad),
    )
    for call in calls:
        with pytest.raises(ValueError, match="generator = "):
            call()


def test_a_schedule_or_a_model_that_is_none():
    x = points()
    for bad in (3, "OU", OU):
        with pytest.raises(ValueError, match="schedule = "):
            LAWS["mixture"].score(x, 0.5, schedule=bad)
    for bad in (None, 3, torch.zeros(2)):
        with pytest.raises(ValueError, match="model is"):
            samplers.heun(bad, x, [1.0, 0.5])
        with pytest.raises(ValueError, match="truth is"):
            loss_gap(DATA, bad, 0.5)


@pytest.mark.parametrize("ends", [(math.inf, 0.1), (1.0, math.nan), (math.nan, 0.1), (1.0, "0"), (None, 0.1)], ids=repr)
def test_grids_of_times_have_finite_ends(ends):
    for grid in (samplers.uniform_times, samplers.log_snr_times):
        with pytest.raises(ValueError, match=r"t_hi|t_lo"):
            grid(*ends, 5)


def test_empty_lists_of_times():
    for sampler in (samplers.reverse_sde, samplers.probability_flow, samplers.ddim, samplers.heun):
        with pytest.raises(ValueError, match="times"):
            sampler(LAWS["mixture"], points(), [])
        with pytest.raises(ValueError, match="times"):
            sampler(LAWS["mixture"], points(), [1.0])
    with pytest.raises(ValueError, match="t is empty"):
        loss_gap(DATA, LAWS["mixture"], [])


@pytest.mark.parametrize("bad", [math.nan, 0.0, -0.1, math.inf, "small"], ids=repr)
def test_the_relative_error_of_a_loss_gap_is_a_positive_number(bad):
    with pytest.raises(ValueError, match="relative_error"):
        loss_gap(DATA, LAWS["mixture"], 0.5, relative_error=bad)


@pytest.mark.parametrize(
    "schedule", [VE(), VE(sigma_max=5.0), Flow(), VPCosine(), schedules.VPLinear(), schedules.DDPM()]
)
def test_log_normal_times_stay_within_the_schedule(schedule):
    law = timesteps.LogNormal(mean=2.0, std=2.0, schedule=schedule)
    t = law.sample(20_000, generator())
    assert float(t.max()) <= schedule.t_max
    schedule.check_time(t)
    below, above = law.mass_at_ends()
    assert float((t == t.max()).double().mean()) == pytest.approx(above, abs=4 * math.sqrt(above / 20_000) + 1e-9)
    # The distribution function rises from its first jump to 1, and is what the draws say in between.
    middle = torch.quantile(t, 0.4)
    if below < 0.39 < 0.41 < 1 - above:
        assert float(law.cdf(middle)) == pytest.approx(0.4, abs=0.02)
    assert float(law.cdf(t.max())) == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", [Flow(), VPCosine(), VE(), schedules.DDPM(), schedules.VPLinear()])
def test_no_schedule_speaks_of_times_beyond_its_last(schedule):
    for question in ("alpha", "sigma", "drift", "diffusion", "log_snr"):
        for t in (1.5 * schedule.t_max, -0.1, math.nan, torch.tensor([0.5, -1.0])):
            with pytest.raises(ValueError, match="t must lie in"):
                getattr(schedule, question)(t)


def test_numbers_of_python_are_read_in_double_precision():
    assert float(OU().sigma(1e-300)) == pytest.approx(1e-150)
    assert float(OU().sigma([1e-300])[0]) == pytest.approx(1e-150)


def test_numbers_of_numpy_are_numbers():
    steps = np.int64(4)
    assert len(samplers.uniform_times(np.float64(1.0), np.float32(0.5), steps)) == 5
    assert schedules.DDPM(steps=np.int64(10)) == schedules.DDPM(steps=10)
    found = samplers.generate(LAWS["mixture"], np.int64(5), steps=steps, batch=np.int64(2), generator=generator())
    assert torch.equal(found, samplers.generate(LAWS["mixture"], 5, steps=4, batch=2, generator=generator()))


def test_no_level_is_no_time_and_a_score_is_enough_for_a_truth():
    """An empty tensor of log-SNRs has an empty answer; a loss gap asks its truth for the score alone."""
    assert OU().time_from_log_snr(torch.empty(0, dtype=torch.float64)).shape == (0,)

    class Zero:
        event_shape = (3,)

        def score(self, x, t, schedule=None):
            return torch.zeros_like(x)

    found = loss_gap(DATA, Zero(), 0.5, samples=200, generator=generator())
    own = LAWS["empirical"].score(LAWS["empirical"].sample(4000, 0.5, generator=generator(1)), 0.5).square().sum(1)
    assert float(found.value) == pytest.approx(float(own.mean()), rel=0.2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_one_number_that_is_not_finite_is_found_wherever_it_stands(dtype):
    for n in (1, 2, 7, 16, 33, 1000):
        assert all_finite(torch.zeros(n, dtype=dtype))
        for place in (0, n // 2, n - 1):
            for value in (math.nan, math.inf, -math.inf):
                x = torch.zeros(n, 3, dtype=dtype)
                x[place, 1] = value
                assert not all_finite(x[:, 1]) and not all_finite(x.mT)


def test_means_far_out_do_not_overflow():
    means, x = torch.tensor([[1e20, 0.0], [-1e20, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    for law in (GaussianMixture, StudentMixture):
        found, exact = (law(m, 0.5).score(y, 0.3) for m, y in ((means, x), (means.double(), x.double())))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, exact.float())


@pytest.mark.parametrize("cov", [1e-50, 1e40, [1.0, 1e-50, 1.0]])
def test_a_covariance_that_the_means_cannot_hold_is_named(cov):
    with pytest.raises(ValueError, match=r"cov has 1e.*float32 cannot hold"):
        GaussianMixture(MEANS, cov)
    assert GaussianMixture(MEANS.double(), cov).cov.dtype == torch.float64


@pytest.mark.parametrize("unit", [1e-170, 1e-23, 1e20, 1e170])
def test_weights_of_the_points_do_not_depend_on_the_unit(unit):
    x, data = points().double(), DATA.double()
    plain = Empirical(data).responsibilities(x, 0.7, schedule=VE(1e300))
    torch.testing.assert_close(Empirical(data * unit).responsibilities(x * unit, 0.7 * unit, schedule=VE(1e300)), plain)


WRONG_KINDS = {
    "sparse times": lambda: OU().alpha(torch.eye(2).to_sparse()),
    "times of 8 bits": lambda: OU().sigma(torch.ones(2).to(torch.float8_e4m3fn)),
    "sparse means": lambda: GaussianMixture(torch.eye(2).to_sparse(), 0.1),
    "means of text": lambda: StudentMixture(np.array([["a", "b"]])),
    "a logical count": lambda: timesteps.Uniform().sample(torch.tensor(True)),
    "no memory holds it": lambda: timesteps.Uniform().sample(10**400),
    "no memory holds them": lambda: LAWS["mixture"].sample(10**30),
    "a sampler by name": lambda: samplers.generate(LAWS["mixture"], 3, sampler="heun"),
    "more samples than memory": lambda: samplers.generate(LAWS["mixture"], 10**30),
    "a part at no time": lambda: samplers.switch({(1.0, 0.5): LAWS["mixture"]}).at("late"),
    "no dtype": lambda: samplers.prior((2, 3), 0.5, dtype="float32"),
    "no distribution": lambda: timesteps.contribution(3, 0.5, schedule=VPCosine()),
    "a tensor as count": lambda: LAWS["mixture"].sample(torch.zeros(30, 30)),
    "a tensor as schedule": lambda: LAWS["mixture"].score(points(), 0.3, schedule=torch.zeros(30, 30)),
    "a tensor as generator": lambda: LAWS["mixture"].sample(2, generator=torch.zeros(30, 30)),
}


@pytest.mark.parametrize("name", WRONG_KINDS)
def test_what_is_of_another_kind_is_refused_in_one_short_line(name):
    with pytest.raises(ValueError) as caught:
        WRONG_KINDS[name]()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_fractions_large_batches_and_times_with_gradients_are_taken():
    assert torch.equal(samplers.uniform_times(Fraction(1), Fraction(1, 2), 2), samplers.uniform_times(1.0, 0.5, 2))
    assert len(samplers.generate(LAWS["mixture"], 3, steps=2, batch=10**30, generator=generator())) == 3
    t = torch.tensor([0.2, 0.5], requires_grad=True)
    assert torch.equal(timesteps.Beta(1.0, 2.0).cdf(t), timesteps.Beta(1.0, 2.0).cdf(t.detach()))


def test_a_grid_of_times_with_two_axes_is_refused_by_every_sampler():
    for sampler in (samplers.heun, samplers.ddim, samplers.probability_flow, samplers.reverse_sde):
        with pytest.raises(ValueError, match=r"times has shape \(1, 2\)"):
            sampler(LAWS["mixture"], points(), [[1.0, 0.5]])


@pytest.mark.parametrize("schedule", [VPCosine(), Flow(), schedules.VPLinear(), schedules.DDPM()])
def test_a_time_of_32_bits_that_rounds_past_the_last_counts_as_the_last(schedule):
    last = torch.tensor(1.0)
    beyond = last.nextafter(torch.tensor(2.0))
    for question in ("alpha", "sigma", "drift", "diffusion"):
        found = getattr(schedule, question)(last)
        assert not found.isnan() and torch.equal(getattr(schedule, question)(beyond), found)
    assert (schedule.time_from_log_snr(torch.tensor([20.0, 60.0, math.inf])) >= 0).all()


def test_a_learned_score_that_does_not_fit_its_dtype_is_refused():
    network = MLP(3, 4, 2, generator=generator())
    with pytest.raises(ValueError, match="score at this t overflows float32: more noise is needed"):
        Denoiser(network).score(points(), 1e-100)
    assert Denoiser(network.double()).score(points().double(), 1e-100).isfinite().all()


OTHERS = {
    "text as points": lambda: empirical_lipschitz_bounds(np.array([["a", "b"]]), 0.5),
    "points without values": lambda: empirical_lipschitz_bounds(torch.zeros(3, 0), 0.5),
    "a list as mean": lambda: Denoiser(MLP(3, 4, 2), mean=[1.0]),
    "no heads at all": lambda: DiTConfig(heads=[]),
    "more trials than a float counts": lambda: wilson_interval(1, 10**400),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_arguments_of_another_kind_are_refused_in_one_line(name):
    with pytest.raises(ValueError) as caught:
        OTHERS[name]()
    assert "\n" not in str(caught.value)


def test_a_model_that_only_denoises_is_enough_where_no_score_is_asked():
    class Denoises:
        event_shape = (3,)

        def denoise(self, x, t, *, schedule=None):
            return LAWS["mixture"].denoise(x, t, schedule=schedule)

    for sampler in (samplers.heun, samplers.ddim):
        found, exact = (sampler(model, points(), [1.0, 0.5]) for model in (Denoises(), LAWS["mixture"]))
        assert torch.equal(found, exact)
    half = samplers.switch({(1.0, 0.5): Denoises(), (0.5, 0.1): LAWS["mixture"]})
    assert samplers.heun(half, points(), [1.0, 0.5, 0.2]).isfinite().all()
    for sampler in (samplers.reverse_sde, samplers.probability_flow):
        with pytest.raises(ValueError, match=r"model is Denoises: .* with \.score"):
            sampler(Denoises(), points(), [1.0, 0.5])
