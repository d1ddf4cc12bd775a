"""The example that runs through chapters 13, 21, 31 and 33, two points on a line: its formulas are those of the library."""

import torch

from separations.distributions import Empirical, GaussianMixture
from separations.schedules import OU

PAIR = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
TRUTH = GaussianMixture(torch.zeros(1, 1, dtype=torch.float64), cov=1.0)
LINE = torch.linspace(-4, 4, 4001, dtype=torch.float64)[:, None]


def scales(t):
    return float(OU().alpha(t)), float(OU().sigma(t))


def step(t):
    alpha, sigma = scales(t)
    return torch.tanh(alpha * LINE / sigma**2)


def test_the_empirical_score_is_a_tanh():
    for t in (0.05, 0.5, 2.0):
        alpha, sigma = scales(t)
        score = Empirical(PAIR).score(LINE, t)
        assert torch.allclose(score, (alpha * step(t) - LINE) / sigma**2, atol=1e-9)
        assert torch.allclose(Empirical(PAIR).denoise(LINE, t), step(t), atol=1e-9)


def test_the_gap_is_the_distance_of_a_step_from_a_line():
    for t in (0.02, 0.5, 2.0):
        alpha, sigma = scales(t)
        density = Empirical(PAIR).log_prob(LINE, t).exp()
        apart = (Empirical(PAIR).score(LINE, t) - TRUTH.score(LINE, t)).squeeze() ** 2
        gap, said = (
            torch.trapezoid(density * f, LINE.squeeze())
            for f in (apart, alpha**2 / sigma**4 * (step(t) - alpha * LINE).squeeze() ** 2)
        )
        assert torch.isclose(gap, said, rtol=1e-9)
    t = 1e-3
    alpha, sigma = scales(t)
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    law = torch.exp(-(z**2) / 2) / (2 * torch.pi) ** 0.5
    little = torch.trapezoid(law * alpha**2 / sigma**4 * (1 - alpha * (alpha + sigma * z)) ** 2, z)
    assert torch.isclose(little * sigma**2, torch.ones((), dtype=torch.float64), rtol=5e-3)


def test_it_is_steepest_half_way_between_the_points():
    for t in (0.05, 0.3):
        alpha, sigma = scales(t)
        slope = torch.gradient(Empirical(PAIR).score(LINE, t).squeeze(), spacing=(LINE.squeeze(),))[0]
        said = (alpha**2 / sigma**2 - 1) / sigma**2
        assert abs(float(slope.max()) / said - 1) < 1e-2 and abs(float(LINE[slope.argmax()])) < 1e-9
        assert abs(float(slope[-2]) + 1 / sigma**2) < 1e-6 / sigma**2
