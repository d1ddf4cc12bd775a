"""Parameterisations: one noisy sample fixes all four, every round trip comes back, weights follow from the losses."""

import itertools

import pytest
import torch

from separations import parameterizations as P
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]
PAIRS = list(itertools.permutations(P.PREDICTIONS, 2))
TIMES = torch.tensor([1e-4, 0.02, 0.3, 0.7, 0.95], dtype=torch.float64)


def everything(schedule, t=TIMES, shape=(3, 2), dtype=torch.float64):
    """x and the four quantities of one noisy sample a time, by their definitions."""
    g = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(len(t), *shape, generator=g, dtype=torch.float64) for _ in range(2))
    al, si = (f(t).reshape(-1, *[1] * len(shape)) for f in (schedule.alpha, schedule.sigma))
    values = {"x0": x0, "eps": eps, "v": al * eps - si * x0, "score": -eps / si}
    return (al * x0 + si * eps).to(dtype), {name: value.to(dtype) for name, value in values.items()}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("source, target", PAIRS)
def test_conversion_agrees_with_the_definitions(schedule, source, target):
    x, values = everything(schedule)
    got = P.convert(values[source], x, TIMES, source=source, target=target, schedule=schedule)
    # float64 loses a factor of at most 1 / (sigma^2 alpha), 1e8 for VE at t = 1e-4
    torch.testing.assert_close(got, values[target], rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("source, target", PAIRS)
def test_round_trip(schedule, source, target):
    x, values = everything(schedule)
    there = P.convert(values[source], x, TIMES, source=source, target=target, schedule=schedule)
    torch.testing.assert_close(there, values[target], rtol=1e-7, atol=1e-7)
    back = P.convert(there, x, TIMES, source=target, target=source, schedule=schedule)
    torch.testing.assert_close(back, values[source], rtol=1e-7, atol=1e-7)


def test_the_named_function_is_the_conversion():
    x, values = everything(OU())
    found = P.score_from_eps(values["eps"], x, TIMES)
    assert torch.equal(found, P.convert(values["eps"], x, TIMES, source="eps", target="score"))


def test_posterior_means_convert_alike():
    """Tweedie: the conversions hold for conditional expectations too."""
    from conftest import mixture

    truth = mixture("matrix")
    x = truth.sample(5, 0.4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        P.convert(truth.score(x, 0.4), x, 0.4, source="score", target="x0"), truth.denoise(x, 0.4)
    )


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_loss_weight_relates_squared_errors(schedule):
    x, values = everything(schedule)
    for source, target in PAIRS:
        wrong = values[source] + 0.1
        error = P.convert(wrong, x, TIMES, source=source, target=target, schedule=schedule) - values[target]
        weight = P.loss_weight(source, target, TIMES, schedule=schedule)
        torch.testing.assert_close(error.square().mean((1, 2)), 0.01 * weight, rtol=1e-6, atol=1e-9)


def test_loss_weights_compose():
    for a, b, c in itertools.permutations(P.PREDICTIONS, 3):
        product = P.loss_weight(a, b, TIMES) * P.loss_weight(b, c, TIMES)
        torch.testing.assert_close(product, P.loss_weight(a, c, TIMES))


def test_v_is_well_conditioned_at_both_ends():
    t = OU().time_from_log_snr(torch.linspace(-20, 20, 41, dtype=torch.float64))
    for target in ("eps", "x0"):
        a, b = P.coefficients("v", target, t)
        assert (a.abs() <= 1).all() and (b.abs() <= 1).all()
    assert P.coefficients("x0", "eps", t[-1:])[1].abs() > 1e4 and P.coefficients("eps", "x0", t[:1])[1].abs() > 1e4


def test_float32_and_gradients():
    x, values = everything(OU(), dtype=torch.float32)
    eps = values["eps"].requires_grad_()
    x0 = P.convert(eps, x, TIMES, source="eps", target="x0")
    assert x0.dtype == torch.float32
    x0.sum().backward()
    assert eps.grad is not None and (eps.grad < 0).all()


def test_same_source_and_target_changes_nothing():
    x, values = everything(OU())
    assert torch.equal(P.convert(values["v"], x, TIMES, source="v", target="v"), values["v"])


def test_bad_input():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="source = 'noise': one of score, eps, x0, v"):
        P.convert(x, x, 0.1, source="noise", target="eps")
    with pytest.raises(ValueError, match="target = 'noise'"):
        P.loss_weight("eps", "noise", 0.1)
    with pytest.raises(ValueError, match=r"t = 0 is not allowed"):
        P.score_from_eps(x, x, 0.0)
    with pytest.raises(ValueError, match="alpha is 0 there, so eps does not determine x0"):
        P.convert(x, x, 1.0, source="eps", target="x0", schedule=Flow())
    with pytest.raises(ValueError, match="eps has shape"):
        P.convert(x[:, :2], x, 0.1, source="eps", target="x0")
    with pytest.raises(ValueError, match="t has shape"):
        P.convert(x, x, torch.tensor([0.1, 0.2, 0.3]), source="eps", target="x0")
