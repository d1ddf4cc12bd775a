"""The posterior over the training points: their own weight and the entropy, against the formula and at both ends of the noise."""

import math

import pytest
import torch

from separations.distributions import Empirical, GaussianMixture
from separations.distributions.posterior import own_weight, posterior_entropy
from separations.numerics import seeded
from separations.schedules import OU, VE

POINTS = torch.randn(30, 4, dtype=torch.float64, generator=seeded(0, 1))


@pytest.mark.parametrize("schedule", [OU(), VE(sigma_max=10.0)])
@pytest.mark.parametrize("t", [0.01, 0.3, 2.0])
def test_the_own_weight_is_that_of_a_softmax_over_distances(schedule, t):
    found = own_weight(Empirical(POINTS), t, 200, schedule=schedule, generator=seeded(0, 2))
    g, a, s = seeded(0, 2), float(schedule.alpha(t)), float(schedule.sigma(t))
    which = torch.randint(30, (200,), generator=g)
    x = a * POINTS[which] + s * torch.randn(200, 4, dtype=torch.float64, generator=g)
    weights = (-torch.cdist(x, a * POINTS).square() / (2 * s * s)).softmax(1)
    torch.testing.assert_close(found.terms, weights[torch.arange(200), which], rtol=1e-9, atol=1e-12)


def test_the_own_weight_goes_from_all_to_an_equal_share():
    law = Empirical(POINTS)
    assert float(own_weight(law, 1e-6, 100, generator=seeded(0, 3))) == pytest.approx(1)
    assert float(own_weight(law, 12.0, 100, generator=seeded(0, 3))) == pytest.approx(1 / 30, rel=0.01)
    single = own_weight(Empirical(POINTS.float().reshape(30, 2, 2)), 0.3, 2000, generator=seeded(0, 4))
    # 32 bits draw other noise, so the two agree within their errors.
    assert abs(float(single) - float(own_weight(law, 0.3, 2000, generator=seeded(0, 4)))) < 5 * math.hypot(
        single.se, single.se
    )


def test_copies_share_the_weight_of_their_point():
    twice = Empirical(torch.cat([POINTS, POINTS]))
    assert float(own_weight(twice, 1e-6, 100, generator=seeded(0, 3))) == pytest.approx(0.5)


def test_the_entropy_is_nothing_at_little_noise_and_all_of_log_n_at_much():
    law = Empirical(POINTS)
    for t, share in ((1e-6, 0.0), (14.0, 1.0)):
        found = posterior_entropy(law, law.sample(20, t, generator=seeded(0, 5)), t)
        torch.testing.assert_close(found, torch.full((20,), share, dtype=torch.float64), atol=1e-3, rtol=0)
    twice = posterior_entropy(Empirical(POINTS[:1].repeat(4, 1)), POINTS[:3], 0.5)
    torch.testing.assert_close(twice, torch.ones(3, dtype=torch.float64))
    x = law.sample(9, 0.3, generator=seeded(0, 6))
    weights = law.responsibilities(x, 0.3)
    torch.testing.assert_close(posterior_entropy(law, x, 0.3), -(weights * weights.log()).sum(1) / math.log(30))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: own_weight(GaussianMixture(POINTS[:2], 1.0), 0.3, 10), "law is GaussianMixture"),
        (lambda: own_weight(Empirical(POINTS), 0.0, 10), "t"),
        (lambda: own_weight(Empirical(POINTS), 0.3, 0), "samples = 0"),
        (lambda: posterior_entropy(POINTS, POINTS, 0.3), "law is Tensor"),
        (lambda: posterior_entropy(Empirical(POINTS[:1]), POINTS, 0.3), "n = 1"),
        (lambda: posterior_entropy(Empirical(POINTS), POINTS, 0.0), "t"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
