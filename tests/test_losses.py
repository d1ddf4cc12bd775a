"""Losses: the divergence against closed forms, and the identities between the three losses within standard errors."""

import pytest
import torch

from conftest import empirical, mixture
from separations.distributions import GaussianMixture
from separations.losses import denoising_loss, fisher_divergence, implicit_loss, score_and_divergence
from separations.numerics import Estimate
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]


class Wrong:
    """A model that is not the truth: a shrunken and bent score."""

    def __init__(self, truth):
        self.truth = truth

    def score(self, x, t, *, schedule=None):
        return 0.7 * self.truth.score(x, t, schedule=schedule) + 0.3 * torch.sin(x.flip(1))


class Linear(torch.nn.Module):
    def __init__(self, matrix):
        super().__init__()
        self.matrix = torch.nn.Parameter(matrix)

    def score(self, x, t, *, schedule=None):
        return (x.flatten(1) @ self.matrix.T).reshape(x.shape)


@pytest.mark.parametrize("kind", ["matrix per component", "number"])
def test_exact_divergence_is_the_trace_of_the_hessian(kind, generator):
    truth = mixture(kind)
    x = truth.sample(6, 0.2, generator=generator)
    score, divergence = score_and_divergence(truth, x, 0.2)
    torch.testing.assert_close(divergence, truth.hessian(x, 0.2).diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(score, truth.score(x, 0.2))


def test_divergence_takes_any_event_shape():
    matrix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    _, divergence = score_and_divergence(Linear(matrix), torch.ones(4, 2, 3), 0.1)
    torch.testing.assert_close(divergence, matrix.trace().expand(4))


def test_hutchinson_has_no_bias_and_the_variance_of_the_formula(generator):
    d, m = 8, 100_000
    matrix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    x = torch.zeros(m, d, dtype=torch.float64)
    with torch.no_grad():
        _, estimates = score_and_divergence(Linear(matrix), x, 0.1, probes=1, generator=generator)
    symmetric = (matrix + matrix.T) / 2
    variance = 2 * (symmetric.square().sum() - symmetric.diagonal().square().sum())
    assert abs(estimates.mean() - matrix.trace()) < 5 * (variance / m).sqrt()
    torch.testing.assert_close(estimates.var(), variance, rtol=0.05, atol=0)  # s.e. of a variance: about 1 %


def test_more_probes_less_variance(generator):
    x = torch.zeros(20_000, 8)
    with torch.no_grad():
        spread = [
            score_and_divergence(Linear(torch.ones(8, 8)), x, 0.1, probes=k, generator=generator)[1].var()
            for k in (1, 4)
        ]
    assert abs(spread[0] / spread[1] - 4) < 0.4


def test_gradients_reach_the_parameters():
    """J(A) = E||A x||^2 + 2 tr A: its gradient is 2 A E[x x^T] + 2 I."""
    model, x = Linear(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))), torch.randn(50, 3)
    implicit_loss(model, x, 0.1).value.backward()
    wanted = 2 * model.matrix.detach() @ (x.T @ x / 50) + 2 * torch.eye(3)
    torch.testing.assert_close(model.matrix.grad, wanted)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("make", [lambda: mixture("matrix"), empirical], ids=["mixture", "empirical"])
def test_the_three_losses_differ_by_known_constants(make, schedule, generator):
    truth, t, m = make(), 0.4, 20_000
    x0 = truth.sample(m, generator=generator)
    eps = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    sigma = float(schedule.sigma(t))
    x = schedule.alpha(t) * x0 + sigma * eps
    model = Wrong(truth)
    with torch.no_grad():
        implicit = implicit_loss(model, x, t, schedule=schedule)
        denoising = denoising_loss(model, x0, t, eps=eps, schedule=schedule)
        fisher = fisher_divergence(model, truth, x, t, schedule=schedule)
        square = truth.score(x, t, schedule=schedule).square().sum(1)
    one = Estimate(denoising.terms - implicit.terms - truth.d / sigma**2)
    two = Estimate(fisher.terms - implicit.terms - square)
    assert abs(float(one)) < 4.5 * one.se and abs(float(two)) < 4.5 * two.se
    assert one.se < 0.1 * float(denoising) and two.se < 0.1 * float(square.mean())  # sharp enough to fail


@pytest.mark.parametrize("probes", [1, 3])
def test_hutchinson_loss_agrees_with_the_exact_one(probes, generator):
    truth = mixture("matrix")
    x = truth.sample(20_000, 0.3, generator=generator)
    with torch.no_grad():
        exact = implicit_loss(truth, x, 0.3)
        noisy = implicit_loss(truth, x, 0.3, probes=probes, generator=generator)
    difference = Estimate(noisy.terms - exact.terms)
    assert abs(float(difference)) < 4.5 * difference.se


def test_the_truth_minimises(generator):
    truth = GaussianMixture(torch.zeros(1, 2), 1.0)
    x0 = truth.sample(5000, generator=generator)
    eps = torch.randn(x0.shape, generator=generator)
    best = denoising_loss(truth, x0, 0.5, eps=eps)
    for scale in (-1.0, 0.7, 1.3):
        other = denoising_loss(Linear(-scale * torch.eye(2)), x0, 0.5, eps=eps)
        gap = Estimate((other.terms - best.terms).detach())
        assert float(gap) > 3 * gap.se


def test_noise_drawn_is_noise_given(generator):
    x0 = torch.zeros(7, 3)
    eps = torch.randn(7, 3, generator=torch.Generator().manual_seed(5))
    model = Linear(-torch.eye(3))
    one = denoising_loss(model, x0, 0.5, eps=eps)
    two = denoising_loss(model, x0, 0.5, generator=torch.Generator().manual_seed(5))
    assert torch.equal(one.terms, two.terms)


def test_times_and_weights_per_row():
    model, x0, eps = Linear(-torch.eye(3)), torch.ones(2, 3), torch.ones(2, 3)
    t = torch.tensor([0.1, 2.0], dtype=torch.float64)
    both = denoising_loss(model, x0, t, eps=eps, weight=OU().sigma(t) ** 2)
    each = [float(OU().sigma(s)) ** 2 * float(denoising_loss(model, x0[:1], float(s), eps=eps[:1])) for s in t]
    torch.testing.assert_close(both.terms.detach(), torch.tensor(each))


def test_estimate():
    e = Estimate(torch.tensor([1.0, 2.0, 3.0]))
    assert float(e) == 2 and abs(e.se - 3**-0.5) < 1e-6 and repr(e) == "Estimate(2 ± 0.58, m=3)"
    with pytest.raises(ValueError, match="m = 1"):
        _ = Estimate(torch.ones(1)).se
    with pytest.raises(ValueError, match="terms has shape"):
        Estimate(torch.ones(2, 2))


class Detached(Wrong):
    def score(self, x, t, *, schedule=None):
        return -x.detach()


class Constant(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.value = torch.nn.Parameter(torch.ones(3))

    def score(self, x, t, *, schedule=None):
        return self.value.expand(x.shape)


def test_bad_input():
    x, model = torch.zeros(2, 3), Linear(torch.eye(3))
    with pytest.raises(ValueError, match="carries no gradient to x"):
        score_and_divergence(Detached(None), x, 0.1)
    with pytest.raises(ValueError, match="does not depend on x"):
        score_and_divergence(Constant(), x, 0.1)
    with pytest.raises(ValueError, match="probes = 0"):
        implicit_loss(model, x, 0.1, probes=0)
    with pytest.raises(ValueError, match="t = 0 is not allowed"):
        denoising_loss(model, x, 0.0)
    with pytest.raises(ValueError, match="t has shape"):
        denoising_loss(model, x, torch.tensor([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="eps has shape"):
        denoising_loss(model, x, 0.1, eps=torch.zeros(3, 3))
    with pytest.raises(ValueError, match="x0 has NaN"):
        denoising_loss(model, x / 0, 0.1)
    with pytest.raises(ValueError, match="weight has shape"):
        denoising_loss(model, x, 0.1, weight=torch.ones(3))
