"""How much noise a copy survives: the limit of the rule, and the takeover by the true score under both kinds of samplers."""

import math

import pytest
import torch

from separations.distributions import GaussianMixture
from separations.metrics import memorization_ratio, perpendicular_limit, takeover_log_snr
from separations.samplers import ddim, log_snr_times
from separations.schedules import OU


def test_the_limits_of_the_usual_rule():
    assert perpendicular_limit() == pytest.approx(8**-0.5)
    assert takeover_log_snr(2.0, 16, stochastic=False) == pytest.approx(-math.log(4 / (8 * 16)))
    assert takeover_log_snr(2.0, 16, stochastic=True) == pytest.approx(-math.log(4 / (16 * 16)))


@pytest.mark.parametrize("threshold", [1 / 9, 1 / 4])
def test_perpendicular_noise_is_forgiven_up_to_the_limit(threshold):
    train = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]], dtype=torch.float64)
    step = torch.tensor([[0.0, 0, 1]], dtype=torch.float64) * 2 * perpendicular_limit(threshold)
    assert memorization_ratio(train[:1] + 0.999 * step, train, threshold).ratio == 1
    assert memorization_ratio(train[:1] + 1.001 * step, train, threshold).ratio == 0


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize(("scale", "n"), [(1.0, 60), (7.0, 400)])
def test_copies_are_lost_around_the_takeover(stochastic, scale, n):
    d, m, schedule, g = 128, 400, OU(), torch.Generator().manual_seed(3)
    truth = GaussianMixture(scale * torch.randn(3, d, dtype=torch.float64, generator=g), scale**2)
    train = truth.sample(n, generator=g)
    gap = float(torch.cdist(train, train).topk(2, largest=False).values[:, 1].median())
    ratio = {}
    for shift in (-0.5, 0.5):
        t = float(schedule.time_from_log_snr(takeover_log_snr(gap, d, stochastic=stochastic) + shift))
        noise = torch.randn(m, d, dtype=torch.float64, generator=g)
        start = float(schedule.alpha(t)) * train[torch.arange(m) % n] + float(schedule.sigma(t)) * noise
        times = log_snr_times(t, 1e-5 * scale**2, 30)
        x = ddim(truth, start, times, eta=float(stochastic), generator=g)
        ratio[shift] = memorization_ratio(x, train).ratio
    assert ratio[-0.5] < 0.1
    assert ratio[0.5] > 0.9


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"gap": 0.0, "d": 4, "stochastic": True}, "gap"),
        ({"gap": math.nan, "d": 4, "stochastic": True}, "gap"),
        ({"gap": 1.0, "d": 0, "stochastic": True}, "d = "),
        ({"gap": 1.0, "d": 4, "stochastic": 1}, "stochastic"),
        ({"gap": 1.0, "d": 4, "stochastic": True, "threshold": 1.0}, "threshold"),
    ],
)
def test_bad_input_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        takeover_log_snr(**arguments)
