"""Distributions: exactness. Each test is a law, held in float64 to what autograd can confirm."""

import math

import numpy as np
import pytest
import torch

from conftest import COVARIANCES, empirical, mixture
from separations.distributions import Empirical, GaussianMixture, spread_means
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]
EVERY = {kind: lambda kind=kind: mixture(kind) for kind in COVARIANCES} | {"empirical": empirical}


@pytest.fixture(params=EVERY, ids=str)
def distribution(request):
    return EVERY[request.param]()


def points(distribution, t, m=5):
    return distribution.sample(m, t, generator=torch.Generator().manual_seed(3)).requires_grad_()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("t", [0.01, 0.5])
def test_score_is_the_gradient_of_log_prob(distribution, t, schedule):
    x = points(distribution, t)
    gradient = torch.autograd.grad(distribution.log_prob(x, t, schedule=schedule).sum(), x)[0]
    torch.testing.assert_close(distribution.score(x, t, schedule=schedule), gradient, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("t", [0.01, 0.5, 3.0])
def test_tweedie_ties_denoise_to_score(distribution, t):
    x, schedule = points(distribution, t), OU()
    tweedie = (x + schedule.sigma(t) ** 2 * distribution.score(x, t)) / schedule.alpha(t)
    torch.testing.assert_close(distribution.denoise(x, t), tweedie, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("t", [0.01, 0.5])
def test_hessian_is_the_jacobian_of_the_score_and_lemma_c1(distribution, t):
    x, schedule = points(distribution, t), OU()
    jacobian = torch.stack([
        torch.autograd.grad(distribution.score(x, t)[:, i].sum(), x)[0] for i in range(distribution.d)
    ]).movedim(0, 1)  # fmt: skip
    hessian = distribution.hessian(x, t)
    torch.testing.assert_close(hessian, jacobian, rtol=1e-7, atol=1e-7)
    variance = schedule.sigma(t) ** 2
    lemma = (
        schedule.alpha(t) ** 2 / variance**2 * distribution.posterior_cov(x, t)
        - torch.eye(3, dtype=torch.float64) / variance
    )
    torch.testing.assert_close(hessian, lemma, rtol=1e-8, atol=1e-7)


def test_density_integrates_to_one_and_matches_a_brute_force_sum():
    g = GaussianMixture(torch.tensor([[-1.0], [2.0]], dtype=torch.float64), 0.3, weights=torch.tensor([0.25, 0.75]))
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)[:, None]
    for t in (0.0, 0.2, 2.0):
        a, v = math.exp(-t / 2), 0.3 * math.exp(-t) + 1 - math.exp(-t)
        brute = sum(
            w * torch.exp(-((x[:, 0] - a * mu) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
            for w, mu in [(0.25, -1), (0.75, 2)]
        )
        torch.testing.assert_close(g.log_prob(x, t).exp(), brute, rtol=1e-10, atol=1e-14)
        assert torch.trapezoid(g.log_prob(x, t).exp(), x[:, 0]).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("t", [0.3, 2.0])
def test_log_prob_solves_the_fokker_planck_equation(distribution, t):
    # d log p/dt = d/2 + x.s/2 + (tr H + |s|^2)/2 for dX = -X/2 dt + dB.
    x, times = points(distribution, t).detach(), torch.full((5,), t, dtype=torch.float64, requires_grad=True)
    rate = torch.autograd.grad(distribution.log_prob(x, times).sum(), times)[0]
    score, hessian = distribution.score(x, t), distribution.hessian(x, t)
    expected = (3 + (x * score).sum(1) + hessian.diagonal(dim1=1, dim2=2).sum(1) + score.square().sum(1)) / 2
    torch.testing.assert_close(rate, expected, rtol=1e-7, atol=1e-7)


def test_one_data_point_is_a_gaussian():
    point = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    schedule, t = OU(), 0.4
    torch.testing.assert_close(Empirical(point).score(x, t), -(x - schedule.alpha(t) * point) / schedule.sigma(t) ** 2)
    torch.testing.assert_close(Empirical(point).denoise(x, t), point.expand(6, 2))


@pytest.mark.parametrize("t", [1e-6, 1e-3, 0.1, 2.0, torch.linspace(0.01, 3, 7, dtype=torch.float64)], ids=str)
@pytest.mark.parametrize("block", [None, 1, 7])
def test_mixture_of_points_is_empirical(t, block):
    points = empirical(30, block=block)
    same = GaussianMixture(points.data, cov=0.0)
    x = points.sample(7, t, generator=torch.Generator().manual_seed(5))
    for question in ("log_prob", "score", "denoise", "hessian", "posterior_cov"):
        expected = getattr(same, question)(x, t)
        torch.testing.assert_close(
            getattr(points, question)(x, t), expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max())
        )
    torch.testing.assert_close(points.responsibilities(x, t), same.responsibilities(x, t), rtol=1e-8, atol=1e-12)


def test_a_matrix_times_identity_is_a_number_and_to_keeps_the_law():
    means = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, t = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 0.3
    number = GaussianMixture(means, 0.5)
    for cov in (torch.full((2,), 0.5), 0.5 * torch.eye(2), torch.full((3, 1), 0.5), 0.5 * torch.eye(2).expand(3, 2, 2)):
        torch.testing.assert_close(GaussianMixture(means, cov).score(x, t), number.score(x, t))
    torch.testing.assert_close(number.to(dtype=torch.float32).score(x.float(), t), number.score(x, t).float())


@pytest.mark.parametrize("event", [(3,), (1, 4, 4), (2, 5)])
def test_any_trailing_shape_and_time_per_row(event):
    g = torch.Generator().manual_seed(0)
    data = torch.randn(9, *event, generator=g)
    t = torch.linspace(0.1, 2, 6)
    for distribution in (Empirical(data), GaussianMixture(data, 0.2)):
        x = distribution.sample(6, t, generator=g)
        assert x.shape == (6, *event)
        assert distribution.score(x, t).shape == distribution.denoise(x, t).shape == x.shape
        one_by_one = torch.cat([distribution.score(x[i : i + 1], float(t[i])) for i in range(6)])
        torch.testing.assert_close(distribution.score(x, t), one_by_one, rtol=1e-4, atol=1e-4)  # float32


def test_pieces_do_not_change_the_answer():
    whole, pieces = mixture("matrix per component"), mixture("matrix per component")
    pieces.piece = 1
    x = points(whole, 0.2).detach()
    for question in ("log_prob", "score", "denoise", "hessian", "posterior_cov", "responsibilities"):
        torch.testing.assert_close(getattr(pieces, question)(x, 0.2), getattr(whole, question)(x, 0.2))


@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("t", [0.0, 0.7])
def test_samples_have_the_moments_of_the_law(kind, t):
    law, m = mixture(kind), 40_000
    x = law.sample(m, t, generator=torch.Generator().manual_seed(7))
    a2 = math.exp(-t)
    w, mu = law.weights, law.means
    cov_k = torch.diag_embed(law.variances.expand(4, -1))
    if law.axes is not None:
        axes = law.axes.expand(4, -1, -1)
        cov_k = axes @ cov_k @ axes.mT
    mean = w @ mu
    spread = mu - mean
    cov = a2 * (torch.einsum("k,kij->ij", w, cov_k) + torch.einsum("k,ki,kj->ij", w, spread, spread)) + (
        1 - a2
    ) * torch.eye(3)
    error = 5 * float(cov.diagonal().max()) / m**0.5  # five standard errors
    torch.testing.assert_close(x.mean(0), math.sqrt(a2) * mean, rtol=0, atol=error)
    torch.testing.assert_close(x.T.cov(), cov, rtol=0, atol=4 * error)


def test_empirical_samples_are_data_points_at_t_zero_and_spread_evenly():
    law = empirical(10)
    x = law.sample(20_000, generator=torch.Generator().manual_seed(0))
    index = torch.cdist(x, law.data).argmin(1)
    assert torch.equal(x, law.data[index])
    counts = torch.bincount(index, minlength=10)
    assert ((counts - 2000).abs() < 5 * 2000**0.5).all()


def test_a_memory_map_gives_the_same_answers(tmp_path):
    data = np.random.default_rng(0).normal(size=(50, 2, 3)).astype("float32")
    np.save(tmp_path / "data.npy", data)
    mapped = Empirical(np.load(tmp_path / "data.npy", mmap_mode="r"), block=8)
    plain = Empirical(torch.from_numpy(data))
    x = plain.sample(4, 0.3, generator=torch.Generator().manual_seed(0))
    for t in (1e-5, 0.3):
        torch.testing.assert_close(mapped.score(x, t), plain.score(x, t))
    assert mapped.sample(5).shape == (5, 2, 3)


# Bad input: each a clear error that names the argument.

GOOD = torch.zeros(2, 3, dtype=torch.float64)
BAD_X = {
    "wrong trailing shape": (torch.zeros(2, 4), r"x has shape \(2, 4\): shape \(m, 3\)"),
    "no batch": (torch.zeros(3), r"x has shape \(3,\)"),
    "empty": (torch.zeros(0, 3), r"x has shape \(0, 3\)"),
    "integers": (torch.zeros(2, 3, dtype=torch.long), "x is torch.int64: a floating-point"),
    "not a tensor": (np.zeros((2, 3)), "x is ndarray"),
    "NaN": (torch.tensor([[0.0, 0, 0], [math.nan, 0, 0]]), r"x has NaN or infinite values \(first in row 1\)"),
    "infinite": (torch.tensor([[math.inf, 0, 0]]), "x has NaN or infinite"),
}


@pytest.mark.parametrize("bad", BAD_X, ids=str)
@pytest.mark.parametrize("question", ["log_prob", "score", "denoise", "hessian", "posterior_cov"])
@pytest.mark.parametrize("law", ["number", "empirical"])
def test_bad_x(bad, question, law):
    x, message = BAD_X[bad]
    with pytest.raises(ValueError, match=message):
        getattr(EVERY[law](), question)(x, 0.5)


@pytest.mark.parametrize("t", [0.0, -0.1, math.nan, math.inf])
def test_bad_time(t):
    for law in (empirical(), mixture("zero")):
        with pytest.raises(ValueError, match="t must lie in"):
            law.score(GOOD, t)


def test_time_zero_is_fine_where_the_density_is():
    assert mixture("number").log_prob(GOOD, 0.0).isfinite().all()
    torch.testing.assert_close(mixture("matrix").score(GOOD), mixture("matrix").score(GOOD, 1e-12))


@pytest.mark.parametrize("t", [torch.zeros(3) + 0.1, torch.zeros(2, 1) + 0.1])
def test_time_of_a_wrong_shape(t):
    with pytest.raises(ValueError, match="t has shape"):
        empirical().score(GOOD, t)


def test_time_beyond_a_bounded_schedule():
    with pytest.raises(ValueError, match=r"t = 1.5 .* \(0, 1\]"):
        empirical().score(GOOD, 1.5, schedule=Flow())


@pytest.mark.parametrize(
    "data, message",
    [
        (torch.zeros(3, 2, dtype=torch.long), "data is torch.int64"),
        ([[0.0]], "data is list"),
        (np.zeros((3, 2), dtype="int16"), "data is int16"),
        (torch.zeros(0, 2), r"data has shape \(0, 2\)"),
        (torch.zeros(3), r"data has shape \(3,\)"),
        (torch.tensor([[0.0], [math.nan]]), r"data has NaN or infinite values \(first in row 1\)"),
    ],
)
def test_bad_data(data, message):
    with pytest.raises(ValueError, match=message):
        Empirical(data)


MEANS = torch.zeros(3, 2)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianMixture(torch.zeros(3), 1.0), "means has shape"),
        (lambda: GaussianMixture(torch.zeros(3, 2, dtype=torch.long), 1.0), "means has shape"),
        (lambda: GaussianMixture(MEANS * math.nan, 1.0), "means has NaN"),
        (lambda: GaussianMixture(MEANS, -1.0), "cov has the negative eigenvalue -1"),
        (lambda: GaussianMixture(MEANS, torch.ones(3)), r"cov has shape \(3,\)"),
        (lambda: GaussianMixture(MEANS, torch.tensor([[1.0, 2], [0, 1]])), "not symmetric"),
        (lambda: GaussianMixture(MEANS, torch.tensor([[1.0, 2], [2, 1]])), "cov has the negative eigenvalue"),
        (lambda: GaussianMixture(MEANS, math.nan), "cov has NaN"),
        (lambda: GaussianMixture(MEANS, 1.0, weights=torch.tensor([1.0, 1])), "weights = "),
        (lambda: GaussianMixture(MEANS, 1.0, weights=torch.tensor([1.0, -1, 1])), "weights = "),
        (lambda: mixture("number").sample(0), "m = 0"),
        (lambda: mixture("number").sample(2.5), "m = 2.5"),
        (lambda: Empirical(MEANS, block=0), "block = 0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("K", [1, 2, 3, 4, 5, 8, 9])
def test_spread_means_are_apart_in_every_dimension(K, d):
    means = spread_means(K, d, 3.0)
    assert means.shape == (K, d) and means.dtype == torch.float64
    torch.testing.assert_close(means.mean(0), torch.zeros(d, dtype=torch.float64))
    distances = torch.pdist(means)
    if K > 1:
        assert float(distances.min()) == pytest.approx(3.0)
    if 1 < K <= d + 1:  # a simplex; torch.eye(K, d) has means at 0 below d = K
        torch.testing.assert_close(distances, torch.full_like(distances, 3.0))
    assert not spread_means(K, d, 0).any()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((0, 2, 1.0), "K = 0"),
        ((2, 0, 1.0), "d = 0"),
        ((2, 2, -1.0), "distance = -1"),
        ((2, 2, math.nan), "distance = nan"),
    ],
)
def test_spread_means_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        spread_means(*arguments)
