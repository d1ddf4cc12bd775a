"""The closed-form scores of the bench: gradients of their laws, the limits in which they are one another, and bad input."""

import math

import pytest
import torch

from separations.bench import (
    Ambient,
    Circle,
    KernelDensity,
    SmoothedScore,
    Tikhonov,
    barycentres,
    crossover_memory,
    partial_memory,
)
from separations.distributions import Empirical, FittedGaussian, GaussianMixture
from separations.schedules import OU, VE

N, D = 12, 3
TIMES = (0.02, 0.5, 3.0)


def points(n: int = N, d: int = D, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def made(data: torch.Tensor, **options) -> dict:
    g = torch.Generator().manual_seed(3)
    return {
        "density": KernelDensity(data, 0.4, **options),
        "penalty": Tikhonov(data, 0.2, **options),
        "averaged": SmoothedScore(data, 0.3, 6, generator=g, **options),
        "ambient": Ambient(data, 0.7, generator=g, **options),
    }


def log_density(name: str, law, x: torch.Tensor, t: float) -> torch.Tensor:
    """What the score is the gradient of, up to a constant."""
    alpha, sigma = float(law.schedule.alpha(t)), float(law.schedule.sigma(t))
    clean = law.empirical
    if name == "density":
        return law.log_prob(x, t)
    if name == "penalty":
        return sigma**2 / (sigma**2 + alpha**2 * law.c) * clean.log_prob(x, t)
    if name == "averaged":
        return torch.stack([clean.log_prob(x + alpha * law.width * z, t) for z in law.moves]).mean(0)
    if sigma <= alpha * law.std:
        return clean.log_prob(x, t)
    r = math.sqrt((sigma / alpha) ** 2 - law.std**2)
    return law.noisy.empirical.log_prob(x / alpha, r, schedule=VE(10.0))


@pytest.mark.parametrize("name", ["density", "penalty", "averaged", "ambient"])
@pytest.mark.parametrize("t", TIMES)
def test_a_score_is_the_gradient_of_its_log_density_and_agrees_with_denoise_and_hessian(name, t):
    law, x = made(points())[name], points(5, seed=1).requires_grad_()
    value = log_density(name, law, x, t)
    gradient = torch.autograd.grad(value.sum(), x)[0]
    score = law.score(x, t)
    scale = float(score.detach().abs().max())
    assert (score - gradient).abs().max() < 1e-9 * scale
    alpha, sigma = law.schedule.alpha(t), law.schedule.sigma(t)
    assert ((alpha * law.denoise(x, t) - x) / sigma**2 - score).abs().max() < 1e-9 * scale
    rows = [torch.autograd.grad(score[:, i].sum(), x, retain_graph=True)[0] for i in range(D)]
    hessian = law.hessian(x.detach(), t)
    assert (torch.stack(rows, 1) - hessian).abs().max() < 1e-8 * float(hessian.abs().max())
    assert (hessian - hessian.mT).abs().max() < 1e-12 * float(hessian.abs().max())


@pytest.mark.parametrize("t", TIMES)
def test_without_their_number_all_are_the_empirical_score(t):
    data, x = points(), points(5, seed=1)
    empirical, g = Empirical(data), torch.Generator().manual_seed(0)
    ours = [
        KernelDensity(data, 0),
        Tikhonov(data, 0),
        SmoothedScore(data, 0, 4, generator=g),
        Ambient(data, 0, generator=g),
    ]
    ours += [partial_memory(data, N, generator=g), barycentres(data, N)]
    for law in ours:
        assert (law.denoise(x, t) - empirical.denoise(x, t)).abs().max() < 1e-12
        assert torch.allclose(law.score(x, t), empirical.score(x, t), rtol=1e-9, atol=1e-9)
        assert torch.allclose(law.hessian(x, t), empirical.hessian(x, t), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("t", TIMES)
def test_a_kernel_density_is_the_mixture_of_its_kernels_also_without_noise(t):
    data, x = points(), points(5, seed=1)
    law, mixture = KernelDensity(data, 0.4), GaussianMixture(data, 0.16)
    for time in (0.0, t):
        assert torch.allclose(law.log_prob(x, time), mixture.log_prob(x, time), atol=1e-11)
        assert torch.allclose(law.score(x, time), mixture.score(x, time), atol=1e-10)
        assert torch.allclose(law.hessian(x, time), mixture.hessian(x, time), atol=1e-9)
    assert torch.allclose(law.denoise(x, t), mixture.denoise(x, t), atol=1e-11)
    assert torch.allclose(law.posterior_cov(x, t), mixture.posterior_cov(x, t), atol=1e-11)
    many = law.sample(20_000, generator=torch.Generator().manual_seed(0))
    spread = (data - data.mean(0)).mT @ (data - data.mean(0)) / N + 0.16 * torch.eye(D, dtype=torch.float64)
    assert (torch.cov(many.T) - spread).abs().max() < 0.06  # 4 standard errors of a covariance of 20,000


def test_averaging_moves_has_the_limits_of_a_mean_of_nearest_points_and_of_gauss_and_hermite():
    data = points(6, 1)
    z, w = (torch.from_numpy(a) for a in __import__("numpy").polynomial.hermite_e.hermegauss(60))
    x, t = torch.tensor([[0.3], [-1.0]], dtype=torch.float64), 0.7
    alpha = float(OU().alpha(t))
    exact = sum(wi * Empirical(data).denoise(x + alpha * 0.3 * zi, t) for zi, wi in zip(z, w)) / w.sum()
    many = SmoothedScore(data, 0.3, 20_000, generator=torch.Generator().manual_seed(0))
    assert (many.denoise(x, t) - exact).abs().max() < 0.01  # about 0.2 / sqrt(20,000), 5 standard errors
    law = SmoothedScore(data, 0.5, torch.tensor([[1.0], [-1.0], [0.2]], dtype=torch.float64))
    t = 1e-6
    places = 0.3 / float(OU().alpha(t)) + 0.5 * law.moves[:, 0]
    nearest = data[(places[:, None] - data[:, 0]).abs().argmin(1), 0]
    assert abs(float(law.denoise(torch.tensor([[0.3]], dtype=torch.float64), t)) - float(nearest.mean())) < 1e-9


def test_ambient_sees_clean_points_below_its_noise_and_copies_above_in_one_question():
    data, g = points(), torch.Generator().manual_seed(0)
    law, x = Ambient(data, 0.7, generator=g), points(4, seed=1)
    times = torch.tensor([0.1, 2.0, 0.2, 3.0], dtype=torch.float64)
    assert not (OU().sigma(times) / OU().alpha(times) > 0.7).equal(torch.ones(4, dtype=torch.bool))
    each = torch.cat([law.denoise(x[i : i + 1], float(times[i])) for i in range(4)])
    assert torch.allclose(law.denoise(x, times), each, atol=1e-13)
    assert torch.equal(law.denoise(x[:1], 0.1), Empirical(data).denoise(x[:1], 0.1))
    copies = law.noisy.empirical.data
    assert 0.4 < float((copies - data).std()) < 1.0
    t, m = 2.0, 40_000
    sample = law.sample(m, t, generator=g)
    alpha, sigma = float(OU().alpha(t)), float(OU().sigma(t))
    centred = copies - copies.mean(0)
    spread = alpha**2 * centred.mT @ centred / N + (sigma**2 - alpha**2 * 0.49) * torch.eye(D, dtype=torch.float64)
    assert (sample.mean(0) - alpha * copies.mean(0)).abs().max() < 0.03 and (
        torch.cov(sample.T) - spread
    ).abs().max() < 0.04
    assert torch.isin(law.sample(50, generator=g), data).all()
    eye = torch.eye(D, dtype=torch.float64)
    assert torch.allclose(law.hessian(x, t), alpha**2 / sigma**4 * law.posterior_cov(x, t) - eye / sigma**2, atol=1e-9)


@pytest.mark.parametrize("name", ["density", "penalty", "averaged", "ambient"])
def test_float32_and_blocks_and_schedules(name):
    data, x = points(), points(5, seed=1)
    law, small, blocks = made(data)[name], made(data.float())[name], made(data, block=5)[name]
    if name == "averaged":  # the moves are drawn in float64 for both
        assert torch.equal(small.moves, law.moves)
    if name == "ambient":
        small = Ambient(data.float(), 0.7, law.noisy.empirical.data.float())
    for t in TIMES:
        found = small.denoise(x.float(), t)
        assert found.dtype == torch.float32 and (found - law.denoise(x, t)).abs().max() < 2e-5
        assert torch.allclose(blocks.denoise(x, t), law.denoise(x, t), atol=1e-13)
    # One posterior for one log-SNR, whatever the schedule: y = x / alpha is what matters.
    level = 0.4
    t, s = OU().time_from_log_snr(level), VE(10.0).time_from_log_snr(level)
    ve = law.under(VE(10.0))
    assert torch.allclose(ve.denoise(x, s), law.denoise(x * OU().alpha(t), t), atol=1e-12)
    assert ve.schedule == VE(10.0) and repr(law).startswith(type(law).__name__)
    moved = law.to(dtype=torch.float64)
    assert torch.allclose(moved.denoise(x, 0.5), law.denoise(x, 0.5), atol=1e-13)


def test_memories_hold_their_points_and_cost_what_was_derived():
    g = torch.Generator().manual_seed(0)
    data = points(40, 5)
    part = partial_memory(data, 10, generator=g)
    assert part.n == 10 and all((row == data).all(1).any() for row in part.data)
    groups = barycentres(data, 4, variance=0.5)
    assert groups.K == 4 and torch.allclose(groups.weights @ groups.means, data.mean(0), atol=1e-12)
    twice = torch.cat([data[:3], data[:1]])
    merged = barycentres(twice, 3)
    assert torch.allclose(merged.denoise(data[:5], 0.3), Empirical(twice).denoise(data[:5], 0.3), atol=1e-12)
    # Truth and memory of M* cost the same: d tau^2 / (psi tau^2 + 1) against C (1 - M / n) d tau^2.
    levels = torch.tensor([0.0, 2.0, 4.0], dtype=torch.float64)
    M = crossover_memory(200, levels, 0.5, C=1.5)
    assert math.isclose(float((0.5 / (levels.exp() * 0.5 + 1)).mean()), 1.5 * (1 - M / 200) * 0.5, rel_tol=1e-12)


@pytest.mark.parametrize("t", [0.05, 0.5, 4.0])
def test_the_circle_has_the_score_of_many_points_on_it(t):
    law = Circle(1.5)
    angle = 2 * math.pi * torch.arange(20_000, dtype=torch.float64) / 20_000
    many = Empirical(1.5 * torch.stack([angle.cos(), angle.sin()], 1))
    x = torch.cat([points(6, 2, 2), torch.tensor([[1e-6, 0.0], [1.4, 0.1]], dtype=torch.float64)])
    assert torch.allclose(law.log_prob(x, t), many.log_prob(x, t), atol=1e-9)
    assert torch.allclose(law.denoise(x, t), many.denoise(x, t), atol=1e-9)
    assert torch.allclose(law.posterior_cov(x, t), many.posterior_cov(x, t), atol=1e-8)
    q = x.clone().requires_grad_()
    gradient = torch.autograd.grad(law.log_prob(q, t).sum(), q)[0]
    assert torch.allclose(law.score(x, t), gradient, rtol=1e-7, atol=1e-8)
    assert (law.denoise(x.float(), t) - law.denoise(x, t)).abs().max() < 1e-5
    assert torch.equal(law.denoise(torch.zeros(1, 2, dtype=torch.float64), t), torch.zeros(1, 2, dtype=torch.float64))
    drawn = law.sample(100, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.norm(dim=1), torch.full((100,), 1.5, dtype=torch.float64))


def test_at_much_noise_every_score_is_the_gaussian_one():
    data, x = points(), points(5, seed=1)
    t = 7.0  # alpha^2 = 0.001: the posterior mean is the mean plus a term linear in x, up to alpha^2
    gaussian = FittedGaussian(data).denoise(x, t)
    for law in (KernelDensity(data, 0.2), SmoothedScore(data, 0.2, 8, generator=torch.Generator().manual_seed(0))):
        assert (law.denoise(x, t) - gaussian).abs().max() < 0.03


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: KernelDensity(x, -1), "bandwidth = -1"),
        (lambda x: Tikhonov(x, math.nan), "c = nan"),
        (lambda x: SmoothedScore(x, 0.1, 3), "moves = 3"),
        (lambda x: SmoothedScore(x, 0.1, torch.zeros(4, 2)), "moves has shape"),
        (lambda x: Ambient(x, math.inf), "std = inf"),
        (lambda x: Ambient(x, 0.1, x[:3]), "copies has 3 rows"),
        (lambda x: KernelDensity(x[0], 0.1), "data has shape"),
        (lambda x: partial_memory(x, N + 1), "M = 13"),
        (lambda x: partial_memory(x, 0), "M = 0"),
        (lambda x: barycentres(x, 3, variance=-1), "variance = -1"),
        (lambda x: Circle(0), "radius = 0"),
        (lambda x: crossover_memory(10, torch.tensor([1.0]), 0.0), "variance = 0"),
        (lambda x: crossover_memory(10, torch.tensor([1.0]), 1.0, weight=torch.zeros(1)), "weights? have|weight have"),
        (lambda x: Tikhonov(x, 0.1).sample(3), "score without a law"),
        (lambda x: SmoothedScore(x, 0.1).posterior_cov(x, 0.1), "has no posterior"),
        (lambda x: Tikhonov(x, 0.1, schedule=VE(1.0)).denoise(x, 0.1, schedule=OU()), "one is needed"),
        (lambda x: KernelDensity(x, 0.0).score(x, 0.0), "t = 0"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(points())
