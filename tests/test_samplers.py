"""Samplers against laws that are known in closed form."""

import math

import pytest
import torch

from conftest import mixture
from separations.distributions import Empirical, GaussianMixture
from separations.samplers import (
    ddim,
    dpm_solver_2m,
    generate,
    heun,
    log_snr_times,
    prior,
    probability_flow,
    reverse_sde,
    switch,
    uniform_times,
)
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

GAUSSIAN = GaussianMixture(torch.tensor([[0.5, -1.0]], dtype=torch.float64), 0.25)
SAMPLERS = [reverse_sde, probability_flow, ddim, heun, dpm_solver_2m]


def start(m, t, seed=0):
    return GAUSSIAN.sample(m, t, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sampler", [probability_flow, ddim, heun, dpm_solver_2m], ids=lambda f: f.__name__)
def test_deterministic_samplers_follow_the_exact_flow_of_a_gaussian(sampler):
    # For N(mu, c I) the flow keeps (x - alpha mu) / sqrt(alpha^2 c + sigma^2) constant.
    def standard(x, t):
        a2 = math.exp(-t)
        return (x - math.sqrt(a2) * GAUSSIAN.means[0]) / math.sqrt(0.25 * a2 + 1 - a2)

    errors = []
    for steps in (160, 320) if sampler is dpm_solver_2m else (40, 80):  # its error changes sign in between
        x = start(50, 4.0)
        end = sampler(GAUSSIAN, x, log_snr_times(4.0, 0.05, steps))
        errors.append(float((standard(end, 0.05) - standard(x, 4.0)).abs().max()))
    order = 2 if sampler in (heun, dpm_solver_2m) else 1
    assert errors[1] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.35)


@pytest.mark.parametrize(
    "sampler", [reverse_sde, lambda *a, **k: ddim(*a, eta=1.0, **k)], ids=["reverse_sde", "ancestral"]
)
def test_stochastic_samplers_reach_the_right_moments(sampler):
    m, t = 20_000, 0.05
    x = sampler(GAUSSIAN, start(m, 4.0), log_snr_times(4.0, t, 200), generator=torch.Generator().manual_seed(1))
    a2 = math.exp(-t)
    variance = 0.25 * a2 + 1 - a2
    torch.testing.assert_close(
        x.mean(0), math.sqrt(a2) * GAUSSIAN.means[0], rtol=0, atol=5 * math.sqrt(variance / m) + 0.01
    )
    torch.testing.assert_close(x.var(0), torch.full((2,), variance, dtype=torch.float64), rtol=0.05, atol=0)


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VPCosine(), VE(), Flow()], ids=str)
def test_every_schedule_brings_back_the_training_points(schedule):
    data = torch.tensor([[2.0, 0], [-2, 0], [0, 3]], dtype=torch.float64)
    hi, lo = {OU: (8.0, 1e-5), VE: (80.0, 1e-3)}.get(type(schedule), (0.995, 1e-3))
    times = log_snr_times(hi, lo, 100, schedule=schedule)
    x = prior((200, 2), hi, schedule=schedule, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for sampler in (heun, ddim, dpm_solver_2m):
        end = sampler(Empirical(data), x, times, schedule=schedule)
        distance = torch.cdist(end, data).amin(1)
        assert float(distance.max()) < 5 * float(schedule.sigma(lo)) + 1e-3
        assert len(torch.cdist(end, data).argmin(1).unique()) == 3


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda f: f.__name__)
def test_trajectory_holds_every_step_and_ends_at_the_result(sampler):
    seeded = {"generator": torch.Generator().manual_seed(2)} if sampler is reverse_sde else {}
    x, times = start(4, 2.0), uniform_times(2.0, 0.1, 6)
    path = sampler(GAUSSIAN, x, times, trajectory=True, **seeded)
    assert path.shape == (7, 4, 2) and torch.equal(path[0], x)
    seeded = {"generator": torch.Generator().manual_seed(2)} if seeded else {}
    assert torch.equal(sampler(GAUSSIAN, x, times, **seeded), path[-1])


def test_a_model_with_only_a_score_will_do():
    class OnlyScore:
        def score(self, x, t, *, schedule=None):
            return GAUSSIAN.score(x, t, schedule=schedule)

    x, times = start(5, 2.0), uniform_times(2.0, 0.1, 10)
    for sampler in (heun, ddim, dpm_solver_2m):
        torch.testing.assert_close(sampler(OnlyScore(), x, times), sampler(GAUSSIAN, x, times))


def test_progress_wraps_the_steps():
    seen = []
    progress = lambda pairs, total: (seen.append(total), pairs)[1]  # noqa: E731
    ddim(GAUSSIAN, start(2, 1.0), uniform_times(1.0, 0.1, 5), progress=progress)
    assert seen == [5]


def test_grids_fall_from_end_to_end():
    for times in (uniform_times(3.0, 0.01, 20), log_snr_times(3.0, 0.01, 20)):
        assert times[0] == 3.0 and times[-1] == 0.01 and (times.diff() < 0).all()
    steps = OU().log_snr(log_snr_times(3.0, 0.01, 20)).diff()
    torch.testing.assert_close(steps, steps.mean().expand(20))


def test_switch_uses_each_model_in_its_part():
    class Constant:
        def __init__(self, value):
            self.value = value

        def score(self, x, t, *, schedule=None):
            return torch.full_like(x, self.value)

    both = switch({(1.0, 0.5): Constant(1.0), (0.5, 0.0): Constant(2.0)})
    x = torch.zeros(1, 1)
    assert [float(both.score(x, t)) for t in (1.0, 0.51, 0.5, 0.1)] == [1, 1, 2, 2]
    law = mixture("number")
    x = law.sample(3, 0.4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(switch({(2.0, 0.0): law}).denoise(x, 0.4), law.denoise(x, 0.4))


X = torch.zeros(2, 2, dtype=torch.float64)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: uniform_times(1.0, 0.0, 5), "t_lo = 0.0"),
        (lambda: uniform_times(0.1, 1.0, 5), "0 < t_lo < t_hi"),
        (lambda: uniform_times(1.0, 0.1, 0), "steps = 0"),
        (lambda: log_snr_times(1.0, 0.1, 5, schedule=Flow()), "log-SNR is infinite"),
        (lambda: ddim(GAUSSIAN, X, [1.0]), "times has shape"),
        (lambda: ddim(GAUSSIAN, X, [0.1, 1.0]), "falling"),
        (lambda: ddim(GAUSSIAN, X, [1.0, 0.0]), "t = 0 is not allowed"),
        (lambda: ddim(GAUSSIAN, X, [1.0, 0.5], eta=2), "eta = 2"),
        (lambda: ddim(GAUSSIAN, X * math.nan, [1.0, 0.5]), "x has NaN"),
        (lambda: heun(GAUSSIAN, X, [1.0, 0.5], schedule=Flow()), "alpha is 0 there"),
        (lambda: prior((2, 2), 0.0), "t = 0"),
        (lambda: switch({}), "parts is empty"),
        (lambda: switch({(1.0, 0.5): GAUSSIAN, (0.4, 0.0): GAUSSIAN}), "gap or an overlap"),
        (lambda: switch({(0.5, 1.0): GAUSSIAN}), "t_lo < t_hi"),
        (lambda: switch({(1.0, 0.5): GAUSSIAN}).score(X, 0.2), "t = 0.2 is not covered"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_dpm_solver_on_an_uneven_grid_is_of_second_order_and_asks_once_a_step():
    law = GaussianMixture(torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -2.0]], dtype=torch.float64), 0.1)
    x, asked = 1.1 * start(40, 4.0), []

    class Counting:
        def score(self, x, t, *, schedule=None):
            asked.append(float(t))
            return law.score(x, t, schedule=schedule)

    def grid(steps):  # steps of log-SNR that grow from one to the next
        even = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        return OU().time_from_log_snr(-4 + 8 * (even + even**2) / 2)

    exact = heun(law, x, grid(2000))
    errors = [float((dpm_solver_2m(law, x, grid(n)) - exact).norm(dim=1).mean()) for n in (40, 80)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.35) and errors[1] < 0.01
    assert errors[1] < float((ddim(law, x, grid(80)) - exact).norm(dim=1).mean()) / 5
    torch.testing.assert_close(dpm_solver_2m(Counting(), x, grid(7)), dpm_solver_2m(law, x, grid(7)))
    assert len(asked) == 7
    torch.testing.assert_close(dpm_solver_2m(law, x, grid(1)), ddim(law, x, grid(1)))  # one step is one of DDIM


def test_generate_is_the_sampler_from_noise_to_data_whatever_the_batch():
    truth = mixture("number")
    schedule = VPLinear()
    one, two = (
        generate(truth, 50, shape=(3,), schedule=schedule, generator=torch.Generator().manual_seed(0), batch=b)
        for b in (50, 7)
    )
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
    ends = schedule.time_from_log_snr(torch.tensor([-8.0, 4.0], dtype=torch.float64)).tolist()
    start = prior((50, 3), ends[0], schedule=schedule, generator=torch.Generator().manual_seed(0))
    noisy = heun(truth, start, log_snr_times(*ends, 18, schedule=schedule), schedule=schedule)
    torch.testing.assert_close(one, truth.denoise(noisy, ends[1], schedule=schedule))
    plain = generate(
        truth, 50, shape=(3,), schedule=schedule, generator=torch.Generator().manual_seed(0), last_denoise=False
    )
    torch.testing.assert_close(plain, noisy)
    noisy = generate(truth, 9, shape=(3,), sampler=reverse_sde, generator=torch.Generator().manual_seed(0))
    assert noisy.shape == (9, 3) and noisy.isfinite().all()
    for options, word in (
        ({"log_snr": (8, -8)}, "log_snr = "),
        ({"steps": 0}, "steps = 0"),
        ({"batch": 0}, "batch = 0"),
    ):
        with pytest.raises(ValueError, match=word):
            generate(truth, 4, shape=(3,), **options)


def test_dpm_solver_is_that_of_diffusers():
    schedulers = pytest.importorskip("diffusers.schedulers.scheduling_dpmsolver_multistep")
    law, schedule, steps = mixture("number"), VPLinear(), 9
    times = log_snr_times(0.98, 0.01, steps, schedule=schedule)
    x = prior((20, 3), 0.98, schedule=schedule, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = dpm_solver_2m(law, x, times, schedule=schedule)
    peer = schedulers.DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++",
        solver_order=2,
        prediction_type="sample",
        lower_order_final=False,
        final_sigmas_type="sigma_min",
    )
    peer.set_timesteps(steps)
    peer.sigmas = schedule.sigma(times) / schedule.alpha(times)  # our grid in place of its own
    peer.timesteps = torch.arange(steps, 0, -1)
    for t, name in zip(times, peer.timesteps):
        x = peer.step(law.denoise(x, t, schedule=schedule), name, x).prev_sample
    torch.testing.assert_close(x, ours, rtol=1e-5, atol=1e-6)
