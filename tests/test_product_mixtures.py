"""Mixtures with heavy tails and bounded support: each law against a convolution by quadrature, and each rule against it."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from separations.distributions import GaussianMixture, StudentMixture, UniformMixture
from separations.distributions.product_mixtures import ProductMixture
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]
MEANS = torch.tensor([[0.0, 1, -1], [2.0, -1, 0.5]], dtype=torch.float64)
WIDTHS = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
WEIGHTS = torch.tensor([1.0, 3.0], dtype=torch.float64)
EVERY = {
    "Student": lambda: StudentMixture(MEANS, WIDTHS, 3.0, WEIGHTS),
    "Cauchy": lambda: StudentMixture(MEANS, 0.7, 1.0, WEIGHTS),
    "uniform": lambda: UniformMixture(MEANS, WIDTHS, WEIGHTS),
}


@pytest.fixture(params=EVERY, ids=str)
def law(request):
    return EVERY[request.param]()


def points(law, t, m=4, schedule=None):
    x = law.sample(m, t, schedule=schedule, generator=torch.Generator().manual_seed(3))
    return x.clamp(-10, 10).requires_grad_()  # a Cauchy point far out would leave finite differences without digits


def column(values):
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1)


def one(df=None, width=1.0):
    """A single component at 0 in one dimension."""
    return UniformMixture(column([0.0]), width) if df is None else StudentMixture(column([0.0]), width, df)


def convolution(df, z, width, sigma):
    """log density of width * xi + sigma * eps at z, its derivative, and the mean and variance of width * xi there.

    The integral over v, width * xi = z + sigma v, by Gauss-Legendre on panels that grow from every scale of the integrand.
    """
    end = 1 if df is None else math.inf
    low, high = (-end * width - z) / sigma, (end * width - z) / sigma
    near = min(max(0, low), high)  # where the normal factor is largest
    steps = np.concatenate([[0], np.geomspace(1e-7, 1e4, 120)])
    edges = np.concatenate([(z0 + sign * steps * unit) for sign in (-1, 1) for z0, unit in ((near, 1), (-z / sigma, width / sigma))])  # fmt: skip
    edges = np.unique(np.clip(edges, max(low, near - 40), min(high, near + 40)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    v, w = edges[:-1, None] + half * (1 + nodes), half * weights
    log_pdf = math.log(0.5) if df is None else scipy.stats.t.logpdf((z + sigma * v) / width, df)
    log = log_pdf - math.log(width) - v**2 / 2 - math.log(2 * math.pi) / 2
    p = w * np.exp(log - log.max())
    mean = (p * v).sum() / p.sum()
    variance = (p * (v - mean) ** 2).sum() / p.sum()
    return math.log(p.sum()) + log.max(), mean / sigma, z + sigma * mean, sigma**2 * variance


# The two laws in one dimension.


@pytest.mark.parametrize("df", [1.0, 1.5, 3.0, 10.0, 30.0])
@pytest.mark.parametrize("sigma", [1e-4, 0.03, 1.0, 10.0])
@pytest.mark.parametrize("width", [1.0, 1e-3])
def test_the_student_law_is_the_convolution(df, sigma, width):
    law, z = one(df, width), [0.0, 0.3, 2.0, 7.0, 40.0, 1e4]
    log_density, slope, _, variance = torch.tensor([convolution(df, v, width, sigma) for v in z]).double().T
    x, options = column(z), dict(t=sigma, schedule=VE())
    torch.testing.assert_close(law.log_prob(x, **options), log_density, rtol=0, atol=1e-10)
    torch.testing.assert_close(law.score(x, **options)[:, 0], slope, rtol=1e-9, atol=1e-9 / sigma)
    curvature = (variance / sigma**2 - 1) / sigma**2  # cancels: the precision of the reference is 1e-10 / sigma^2
    torch.testing.assert_close(law.hessian(x, **options)[:, 0, 0], curvature, rtol=1e-9, atol=1e-9 / sigma**2)
    cancels = 1e-12 * max(1, (sigma / width) ** 2) * width**2  # beside sigma^2, as the docstring of posterior_cov says
    torch.testing.assert_close(law.posterior_cov(x, **options)[:, 0, 0], variance, rtol=1e-8, atol=cancels)


@pytest.mark.parametrize("df", [0.5, 1.0, 3.0, 30.0, 120.0])
def test_student_without_noise_is_in_closed_form(df):
    law = StudentMixture(column([0.3]), 2.0, df)
    x = column(np.concatenate([-np.geomspace(1e-3, 1e4, 40), [0], np.geomspace(1e-3, 1e4, 40)]))
    z = (x - 0.3) / 2
    expected = torch.from_numpy(scipy.stats.t.logpdf(z.numpy(), df) - math.log(2))[:, 0]
    torch.testing.assert_close(law.log_prob(x), expected, rtol=0, atol=1e-11)
    torch.testing.assert_close(law.score(x), -(df + 1) * z / (df + z**2) / 2, rtol=1e-11, atol=1e-13)
    curvature = -(df + 1) * (df - z**2) / (df + z**2) ** 2 / 4
    torch.testing.assert_close(law.hessian(x)[:, :, 0], curvature, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("width", [1.0, 1e-3])
@pytest.mark.parametrize("sigma", [1e-4, 0.03, 0.3, 0.99, 1.01, 10.0])
def test_the_uniform_law_is_the_convolution(width, sigma):
    # On both sides of every change of formula: the edge, beta = 1, beta y = 30, 5 sigma outside; then far outside.
    outside = [width + k * sigma for k in (1e-3, 1, 4.9, 5.1, 12, 40, 1000)]
    z = [0.0, 0.1 * width, 0.97 * width, width, *outside, 29.9 * sigma**2 / width, 30.1 * sigma**2 / width]
    z, law, options = [v for v in z if v < 1e4 * sigma + width], one(None, width), dict(t=sigma, schedule=VE())
    x = column(z)
    log_density, slope, _, variance = torch.tensor([convolution(None, v, width, sigma) for v in z]).double().T
    torch.testing.assert_close(law.log_prob(x, **options), log_density, rtol=1e-13, atol=1e-10)
    torch.testing.assert_close(law.score(x, **options)[:, 0], slope, rtol=1e-10, atol=1e-10 / sigma)
    curvature = (variance / sigma**2 - 1) / sigma**2
    torch.testing.assert_close(law.hessian(x, **options)[:, 0, 0], curvature, rtol=1e-9, atol=1e-10 / sigma**2)


def test_uniform_far_outside_feels_a_wall_and_deep_inside_nothing():
    law, sigma = one(), 1e-3
    x = column([1 + 40 * sigma, -1 - 40 * sigma, 0.0, 0.5])
    score = law.score(x, sigma, schedule=VE())[:, 0]
    mills = 40 + 1 / 40 - 2 / 40**3 + 10 / 40**5  # the asymptotic series of the hazard rate
    torch.testing.assert_close(score[:2], torch.tensor([-mills, mills], dtype=torch.float64) / sigma, rtol=1e-8, atol=0)
    assert (score[2:] == 0).all()
    assert law.log_prob(x, sigma, schedule=VE())[2:].exp().tolist() == pytest.approx([0.5, 0.5], rel=1e-15)
    assert law.hessian(x, sigma, schedule=VE()).flatten().tolist()[2:] == [0, 0]


@pytest.mark.parametrize("question", ["log_prob", "score", "denoise", "hessian", "posterior_cov", "responsibilities"])
def test_many_degrees_of_freedom_are_gaussian(question):
    student, normal = StudentMixture(MEANS, WIDTHS, 1e6, WEIGHTS), GaussianMixture(MEANS, WIDTHS**2, WEIGHTS)
    x = normal.sample(5, 0.2, generator=torch.Generator().manual_seed(0))
    expected = getattr(normal, question)(x, 0.2)
    torch.testing.assert_close(getattr(student, question)(x, 0.2), expected, rtol=1e-4, atol=1e-5)  # O(x^4 / df)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("t", [1e-4, 0.1, 2.0])
def test_density_integrates_to_one(kind, t):
    law = {"Student": lambda: StudentMixture(MEANS[:, :1], 0.5, 3.0, WEIGHTS),
           "Cauchy": lambda: StudentMixture(MEANS[:, :1], 0.5, 1.0, WEIGHTS),
           "uniform": lambda: UniformMixture(MEANS[:, :1], 0.5, WEIGHTS)}[kind]()  # fmt: skip
    y = torch.linspace(-26, 26, 40_001, dtype=torch.float64)
    if kind == "uniform":
        x, dx = y / 2, torch.full_like(y, 1 / 2)  # steps of 7e-4 in x, sigma >= 1e-2
    else:
        x, dx = y.sinh(), y.cosh()  # out to 1e11: the Cauchy tail beyond holds 1e-11
    assert torch.trapezoid(law.log_prob(x[:, None], t).exp() * dx, y).item() == pytest.approx(1, abs=1e-9)


# What holds for every mixture.


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("t", [0.05, 0.6])
def test_score_is_the_gradient_of_log_prob_and_hessian_of_score(law, t, schedule):
    x = points(law, t, schedule=schedule)
    log_prob, score = (lambda x: law.log_prob(x, t, schedule=schedule)), (lambda x: law.score(x, t, schedule=schedule))
    torch.testing.assert_close(torch.autograd.grad(log_prob(x).sum(), x)[0], score(x), rtol=1e-10, atol=1e-10)
    columns = [torch.autograd.grad(score(x)[:, i].sum(), x)[0] for i in range(3)]
    hessian = law.hessian(x, t, schedule=schedule)
    torch.testing.assert_close(torch.stack(columns, 2), hessian, rtol=1e-9, atol=1e-9)
    # The derivatives of each law are formulas, not autograd's: finite differences confirm both orders.
    assert torch.autograd.gradcheck(log_prob, x, rtol=1e-5, atol=1e-5)
    assert torch.autograd.gradcheck(score, x, rtol=1e-5, atol=1e-5)


def test_second_derivatives_of_log_prob_are_known_and_third_ones_refused(law):
    x = points(law, 0.3)
    gradient = torch.autograd.grad(law.log_prob(x, 0.3).sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(gradient[:, 0].sum(), x, create_graph=True)[0]
    torch.testing.assert_close(second, law.hessian(x, 0.3)[:, 0], rtol=1e-9, atol=1e-9)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        second.sum().backward()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_lemma_c1_and_tweedie_tie_the_questions(law, schedule):
    x, t = points(law, 0.4, schedule=schedule), 0.4
    alpha, variance = schedule.alpha(t), schedule.sigma(t) ** 2
    tweedie = (x + variance * law.score(x, t, schedule=schedule)) / alpha
    torch.testing.assert_close(law.denoise(x, t, schedule=schedule), tweedie, rtol=1e-10, atol=1e-10)
    cov = law.posterior_cov(x, t, schedule=schedule)
    lemma = alpha**2 / variance**2 * cov - torch.eye(3, dtype=torch.float64) / variance
    torch.testing.assert_close(law.hessian(x, t, schedule=schedule), lemma, rtol=1e-8, atol=1e-8)
    assert (torch.linalg.eigvalsh(cov) > 0).all()


@pytest.mark.parametrize("df", [None, 1.0, 3.0])
def test_denoise_and_covariance_are_those_of_the_posterior(df):
    # Directly: posterior moments of X_0 in each component by quadrature, weighted by the densities of the components.
    mu, width, t, x = [-1.0, 2.0], 0.8, 0.5, [-6.0, 0.2, 0.9, 3.5]
    law = StudentMixture(column(mu), width, df, WEIGHTS) if df else UniformMixture(column(mu), width, WEIGHTS)
    alpha, sigma = math.exp(-t / 2), math.sqrt(-math.expm1(-t))
    parts = np.array([[convolution(df, v - alpha * u, alpha * width, sigma) for u in mu] for v in x])
    r = np.array([0.25, 0.75]) * np.exp(parts[..., 0])
    mean, within = np.array(mu) + parts[..., 2] / alpha, parts[..., 3] / alpha**2
    responsibilities = r / r.sum(1, keepdims=True)
    expected = (responsibilities * mean).sum(1)
    cov = (responsibilities * (within + (mean - expected[:, None]) ** 2)).sum(1)
    np.testing.assert_allclose(law.responsibilities(column(x), t), responsibilities, rtol=1e-9)
    np.testing.assert_allclose(law.denoise(column(x), t)[:, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(law.posterior_cov(column(x), t)[:, 0, 0], cov, rtol=1e-8)
    np.testing.assert_allclose(law.log_prob(column(x), t), np.log(r.sum(1)), rtol=1e-10)


@pytest.mark.parametrize("t", [0.3, 2.0])
def test_log_prob_solves_the_fokker_planck_equation(law, t):
    # d log p/dt = d/2 + x.s/2 + (tr H + |s|^2)/2 for dX = -X/2 dt + dB; the left side by a difference of order 4 in t.
    x, h = points(law, t).detach(), 1e-2
    at = lambda k: law.log_prob(x, t * math.exp(k * h))  # noqa: E731
    rate = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h * t)
    score, hessian = law.score(x, t), law.hessian(x, t)
    expected = (3 + (x * score).sum(1) + hessian.diagonal(dim1=1, dim2=2).sum(1) + score.square().sum(1)) / 2
    torch.testing.assert_close(rate, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("question", ["log_prob", "score", "denoise", "hessian", "posterior_cov", "responsibilities"])
def test_pieces_and_time_per_row_do_not_change_the_answer(law, question):
    x, t = points(law, 0.2).detach(), torch.tensor([0.01, 0.2, 0.2, 2.0], dtype=torch.float64)
    whole = getattr(law, question)(x, t)
    one_by_one = torch.cat([getattr(law, question)(x[i : i + 1], float(t[i])) for i in range(4)])
    torch.testing.assert_close(whole, one_by_one, rtol=1e-9, atol=1e-9)
    law.piece = 1
    torch.testing.assert_close(getattr(law, question)(x, t), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sigma", [1e-3, 0.5, 5.0])
def test_single_precision_follows_double(law, sigma):
    x = points(law, sigma, m=50, schedule=VE()).detach()
    single = law.to(dtype=torch.float32)
    for question in ("log_prob", "score", "responsibilities"):
        exact = getattr(law, question)(x.float().double(), sigma, schedule=VE())
        rounded = getattr(single, question)(x.float(), sigma, schedule=VE())
        assert rounded.dtype == torch.float32
        # Rounding moves x by 6e-8 |x|: beside an edge that is 6e-5 of sigma = 1e-3, and the score there is of order 1 / sigma.
        error = 1e-3 / sigma if question == "score" else 1e-3
        torch.testing.assert_close(rounded.double(), exact, rtol=1e-3, atol=error)


@pytest.mark.parametrize("event", [(3,), (1, 2, 4)])
@pytest.mark.parametrize("kind", [StudentMixture, UniformMixture])
def test_any_trailing_shape(kind, event):
    law = kind(torch.randn(5, *event, generator=torch.Generator().manual_seed(0)))
    x = law.sample(6, torch.linspace(0.1, 2, 6), generator=torch.Generator().manual_seed(1))
    assert isinstance(law, ProductMixture) and (law.K, law.d) == (5, math.prod(event))
    assert x.shape == law.score(x, 0.3).shape == law.denoise(x, 0.3).shape == (6, *event)
    assert law.hessian(x, 0.3).shape == (6, law.d, law.d) and law.responsibilities(x, 0.3).shape == (6, 5)
    assert str(law) == f"{kind.__name__}(K=5, event_shape={event})"


# Samples.


@pytest.mark.parametrize("df", [None, 1.0, 3.0])
def test_samples_have_the_law(df):
    mu, width, generator = [-1.0, 2.0], 0.8, torch.Generator().manual_seed(11)
    law = StudentMixture(column(mu), width, df, WEIGHTS) if df else UniformMixture(column(mu), width, WEIGHTS)
    base = scipy.stats.t(df) if df else scipy.stats.uniform(-1, 2)
    cdf = lambda x: 0.25 * base.cdf((x + 1) / width) + 0.75 * base.cdf((x - 2) / width)  # noqa: E731
    assert scipy.stats.kstest(law.sample(20_000, generator=generator)[:, 0], cdf).pvalue > 1e-3
    y = torch.linspace(-17, 17, 20_001, dtype=torch.float64)  # the cdf of X_t, from its density
    density = law.log_prob(y.sinh()[:, None], 0.5).exp() * y.cosh()
    noisy = scipy.integrate.cumulative_trapezoid(density, y, initial=0)
    x = law.sample(20_000, 0.5, generator=generator)[:, 0]
    assert scipy.stats.kstest(x, lambda v: np.interp(np.arcsinh(v), y, noisy)).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["Student", "uniform"])
def test_samples_have_the_moments_and_independent_coordinates(kind):
    m, df, g = 40_000, 12.0, torch.Generator().manual_seed(5)
    law = StudentMixture(MEANS, WIDTHS, df, WEIGHTS) if kind == "Student" else UniformMixture(MEANS, WIDTHS, WEIGHTS)
    x, w = law.sample(m, generator=g), WEIGHTS / 4
    spread = MEANS - w @ MEANS
    variance = WIDTHS**2 * (df / (df - 2) if kind == "Student" else 1 / 3)
    cov = torch.diag(variance) + torch.einsum("k,ki,kj->ij", w, spread, spread)
    error = 5 * float(cov.diagonal().max()) / m**0.5  # five standard errors
    torch.testing.assert_close(x.mean(0), w @ MEANS, rtol=0, atol=error)
    torch.testing.assert_close(x.T.cov(), cov, rtol=0, atol=4 * error)
    xi = type(law)(0 * MEANS[:1], *((1.0, df) if kind == "Student" else ())).sample(m, generator=g)
    dependence = xi.square().T.corrcoef() - torch.eye(3)  # of the squares: a shared radius would show
    assert dependence.abs().max() < 5 / m**0.5


# Fisher information.


@pytest.mark.parametrize("df", [None, 1.0, 2.5, 30.0, 1e6])
@pytest.mark.parametrize("t", [1e-3, 0.2, 1.0, 8.0])
def test_component_information_is_the_mean_square_of_the_score(df, t):
    law = one(df, 0.7)

    def integrand(y):
        x = column([math.sinh(y)])
        return float(law.log_prob(x, t).exp() * law.score(x, t).square()) * math.cosh(y)

    edge, width = math.asinh(0.7 * math.exp(-t / 2)), math.sqrt(t)
    breaks = sorted(v for v in (0, edge - 6 * width, edge, edge + 6 * width, 3, 8, 20) if v >= 0)
    value = 2 * sum(scipy.integrate.quad(integrand, a, b, epsrel=1e-8, epsabs=1e-10)[0] for a, b in zip(breaks, breaks[1:]))  # fmt: skip
    assert law.component_information(t) == pytest.approx(value, rel=1e-7)


def test_component_information_near_the_data():
    student = StudentMixture(MEANS, WIDTHS, 3.0)
    closed = float((WIDTHS**-2.0).sum()) * 4 / 6
    assert student.component_information(0.0) == pytest.approx(closed, rel=1e-10)
    assert student.component_information(1e-9) == pytest.approx(closed, rel=1e-7)
    normal = scipy.stats.norm
    constant = scipy.integrate.quad(lambda a: math.exp(2 * normal.logpdf(a) - normal.logcdf(a)), -30, 12)[0]
    assert constant == pytest.approx(0.903197285568, rel=1e-9)
    for sigma in (1e-4, 1e-2):
        expected = constant * float((1 / WIDTHS).sum()) / sigma
        value = UniformMixture(MEANS, WIDTHS).component_information(sigma, schedule=VE())
        assert value == pytest.approx(expected, rel=1e-10)  # each edge alone: the other is beyond 50 sigma


def test_component_information_of_a_nearly_normal_component_and_its_bound(law):
    normal = StudentMixture(MEANS, WIDTHS, 1e6)
    expected = float((1 / (math.exp(-0.5) * WIDTHS**2 - math.expm1(-0.5))).sum())
    assert normal.component_information(0.5) == pytest.approx(expected, rel=1e-5)
    for schedule in SCHEDULES:  # noise adds information at most 1 / sigma^2, and takes it away with time
        values = [law.component_information(t, schedule=schedule) for t in (0.2, 0.9)]
        assert all(v <= 3 / float(schedule.sigma(t)) ** 2 for v, t in zip(values, (0.2, 0.9)))


# The ends of time and bad input.


def test_without_any_signal_the_law_is_normal(law):
    x = points(law, 0.5).detach()
    normal = -x.square().sum(1) / 2 - 1.5 * math.log(2 * math.pi)
    for t, schedule in ((1.0, Flow()), (200.0, OU())):  # at t = 60 a Cauchy tail still shows at x = 10
        torch.testing.assert_close(law.log_prob(x, t, schedule=schedule), normal, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(law.score(x, t, schedule=schedule), -x, rtol=1e-10, atol=1e-10)
    for question in (law.denoise, law.posterior_cov):
        with pytest.raises(ValueError, match=r"alpha\(t\) = 0"):
            question(x, 1.0, schedule=Flow())


def test_bad_time_and_points(law):
    x = torch.zeros(2, 3, dtype=torch.float64)
    for t in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="t must lie in"):
            law.score(x, t)
    with pytest.raises(ValueError, match="t requires a gradient"):
        law.log_prob(x, torch.full((2,), 0.5, requires_grad=True))
    with pytest.raises(ValueError, match=r"t has shape \(3,\)"):
        law.log_prob(x, torch.full((3,), 0.5))
    with pytest.raises(ValueError, match=r"t has shape \(2,\)"):
        law.component_information(torch.full((2,), 0.5))
    for bad in (
        torch.zeros(2, 4),
        torch.zeros(0, 3),
        torch.full((1, 3), math.nan),
        torch.zeros(2, 3, dtype=torch.long),
    ):
        with pytest.raises(ValueError, match="x "):
            law.log_prob(bad, 0.5)


def test_student_without_noise_denoises_to_itself():
    x = points(EVERY["Cauchy"](), 0.0).detach()
    torch.testing.assert_close(EVERY["Cauchy"]().denoise(x, 0.0), x, rtol=0, atol=0)
    assert (EVERY["Cauchy"]().posterior_cov(x, 0.0) == 0).all()


@pytest.mark.parametrize("question", ["log_prob", "score", "hessian", "responsibilities"])
def test_the_density_of_a_uniform_mixture_needs_noise(question):
    x = torch.zeros(2, 3, dtype=torch.float64)
    assert getattr(EVERY["Student"](), question)(x, 0.0).isfinite().all()
    with pytest.raises(ValueError, match="t must lie in"):
        getattr(EVERY["uniform"](), question)(x, 0.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, torch.ones(2), torch.tensor([1.0, -1, 1])])
def test_bad_widths(bad):
    with pytest.raises(ValueError, match=r"^scale = "):
        StudentMixture(MEANS, bad)
    with pytest.raises(ValueError, match=r"^half_width = "):
        UniformMixture(MEANS, bad)


@pytest.mark.parametrize("kind", [StudentMixture, UniformMixture])
@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(means=torch.zeros(3)), "means has shape"),
        (dict(means=torch.zeros(2, 3, dtype=torch.long)), "means has shape"),
        (dict(means=MEANS * math.nan), "means has NaN"),
        (dict(means=MEANS, weights=torch.ones(3)), "weights = "),
        (dict(means=MEANS, weights=torch.tensor([1.0, 0])), "weights = "),
        (dict(means=MEANS, weights=torch.tensor([1.0, math.nan])), "weights = "),
        (dict(means=MEANS, piece=0), "piece = 0"),
    ],
)
def test_bad_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


@pytest.mark.parametrize("df", [0.0, -1.0, math.nan, math.inf])
def test_bad_degrees_of_freedom(df):
    with pytest.raises(ValueError, match=r"df = .*a positive number"):
        StudentMixture(MEANS, 1.0, df)
