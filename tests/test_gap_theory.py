"""Theory of the loss gap: closed forms against estimates, bounds on both sides, limits in t and in n."""

import math

import pytest
import torch

from conftest import mixture
from separations.distributions import GaussianMixture
from separations.distributions.total_variation import information
from separations.loss_gap import (
    fisher_information,
    gap_lower_bound,
    gaussian_information,
    large_n_constant,
    loss_gap,
    plateau,
    predicted_gap,
    quadrature_gap,
    small_t_limit,
)
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

COVARIANCES = ["number", "diagonal", "matrix", "number per component", "diagonal per component", "matrix per component"]


def apart(kind: str, d: int = 3) -> GaussianMixture:
    """The mixture of the other tests, with its components far apart."""
    close = mixture(kind, d)
    return GaussianMixture(20 * close.means, close.cov, close.weights)


def one_gaussian(variances) -> GaussianMixture:
    variances = torch.tensor(variances, dtype=torch.float64)
    return GaussianMixture(torch.zeros(1, len(variances), dtype=torch.float64), variances)


@pytest.mark.parametrize("kind", COVARIANCES)
def test_small_t_limit_is_the_mean_of_the_gap_over_training_sets(kind, generator):
    truth, t = apart(kind), 1e-3
    gaps = torch.stack(
        [
            loss_gap(truth.sample(40, generator=generator), truth, t, samples=160, generator=generator).value
            for _ in range(80)
        ]
    )
    error = gaps.std() / math.sqrt(len(gaps))
    limit = small_t_limit(truth, t)
    assert (gaps.mean() - limit).abs() < 4.5 * error + 1e-6 * limit
    assert error < 0.02 * limit
    wrong = truth.d / OU().sigma(t) ** 2 + small_t_limit(truth, t) * 0.1  # negative control: a form 10 % off is seen
    assert (gaps.mean() - wrong).abs() > 4.5 * error


@pytest.mark.parametrize("kind", COVARIANCES)
@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VE(), Flow(), VPCosine()], ids=str)
def test_small_t_limit_is_the_trace_of_a_difference_of_inverses(kind, schedule):
    truth, t = mixture(kind), 0.03
    alpha2, sigma2 = schedule.alpha(t) ** 2, schedule.sigma(t) ** 2
    eye = torch.eye(truth.d, dtype=torch.float64)
    cov = torch.as_tensor(truth.cov)
    if kind.startswith("matrix"):
        full = cov.expand(truth.K, -1, -1)
    else:
        full = torch.diag_embed((cov * torch.ones(truth.d)).expand(truth.K, -1).double())
    traces = torch.stack([torch.trace(eye / sigma2 - torch.linalg.inv(alpha2 * c + sigma2 * eye)) for c in full])
    torch.testing.assert_close(small_t_limit(truth, t, schedule=schedule), (truth.weights * traces).sum())


def test_plateau_lies_above_the_separated_form_and_meets_it_where_components_are_apart(generator):
    t = 0.2
    near = mixture("number")
    limit = small_t_limit(near, t)
    overlap = plateau(near, t, samples=100_000, generator=generator)
    assert overlap.value > limit + 4.5 * overlap.se
    separate = plateau(apart("number"), t, samples=100_000, generator=generator)
    assert separate.sigmas_from(limit) < 4.5


def test_plateau_is_what_fisher_information_leaves(generator):
    truth, t = mixture("diagonal"), torch.tensor([0.1, 1.0])
    info = fisher_information(truth, t, samples=100_000, generator=generator)
    rest = truth.d / OU().sigma(t.double()) ** 2 - info.value
    top = plateau(truth, t, samples=100_000, generator=generator)
    assert ((top.value - rest).abs() < 4.5 * (top.se**2 + info.se**2).sqrt()).all()


def test_the_expected_gap_lies_between_the_bounds_and_the_bounds_are_close_at_small_t(generator):
    truth, n = one_gaussian([1.0] * 8), 30
    for t in (0.05, 0.3, 1.0):
        gaps = torch.stack(
            [
                loss_gap(truth.sample(n, generator=generator), truth, t, samples=300, generator=generator).value
                for _ in range(60)
            ]
        )
        error = gaps.std() / math.sqrt(len(gaps))
        low, high = gap_lower_bound(truth, t, n), small_t_limit(truth, t)
        assert low - 4.5 * error < gaps.mean() < high + 4.5 * error
    assert gap_lower_bound(truth, 0.05, n) > 0.9 * small_t_limit(truth, 0.05)
    assert gap_lower_bound(truth, 1.0, n) < 0.5 * small_t_limit(truth, 1.0)  # and it may end: log n is too large there


def test_the_lower_bound_has_the_gaussian_integral_right(generator):
    truth, t, n = mixture("matrix per component"), 0.4, 5
    x, y = (truth.sample(200_000, generator=generator) for _ in range(2))
    distance = (x - y).square().sum(1)
    rate = OU().alpha(t) ** 2 / OU().sigma(t) ** 2
    terms = (n - 1) * rate / (2 * OU().sigma(t) ** 2) * distance * torch.exp(-rate * distance / 8)
    error = terms.std() / math.sqrt(len(terms))
    subtracted = small_t_limit(truth, t) - gap_lower_bound(truth, t, n)
    assert (subtracted - terms.mean()).abs() < 4.5 * error < 0.05 * subtracted
    assert gap_lower_bound(truth, t, 1) == small_t_limit(truth, t)


def test_gaussian_information_is_the_mutual_information(generator):
    truth = one_gaussian([0.3, 1.0, 4.0])
    for t in (0.01, 1.0):
        measured = information(truth, t, 100_000, generator=generator)
        assert abs(float(measured) - float(gaussian_information(truth, t))) < 4.5 * measured.se


def test_large_n_law_in_one_dimension(generator):
    """n E[gap] at n = 4,000 from quadrature over 60 training sets; the next order is far below the error bar."""
    truth, t, n = one_gaussian([1.0]), 0.5, 4_000
    scaled = torch.tensor(
        [n * quadrature_gap(truth.sample(n, generator=generator), truth, t, tolerance=1e-3) for _ in range(60)]
    )
    error = scaled.std() / math.sqrt(len(scaled))
    constant = float(large_n_constant(truth, t))
    assert abs(scaled.mean() - constant) < 4.5 * error < 0.6 * constant


def test_predicted_gap_meets_both_ends_and_is_near_in_between(generator):
    truth, t = one_gaussian([1.0, 0.5]), 0.1
    ends = predicted_gap(truth, t, 1, samples=400_000, generator=generator)
    assert ends.sigmas_from(small_t_limit(truth, t)) < 4.5
    # at a larger t: the mean of exp(i) needs few enough rare points there for its error bar to be right
    late = predicted_gap(truth, 1.5, 1_000_000, samples=400_000, generator=generator)
    assert late.sigmas_from(large_n_constant(truth, 1.5) / 1e6) < 4.5 and late.relative_error < 0.02
    between = predicted_gap(truth, t, 30, samples=100_000, generator=generator)
    gaps = torch.stack(
        [
            loss_gap(truth.sample(30, generator=generator), truth, t, samples=300, generator=generator).value
            for _ in range(100)
        ]
    )
    assert 0.95 < float(gaps.mean() / between.value) < 1.6
    assert 0.1 < float(gaps.mean() / small_t_limit(truth, t)) < 0.9  # really in between


def test_bad_input_is_named(generator):
    truth, two = one_gaussian([1.0]), mixture("number")
    for call, message in (
        (lambda: large_n_constant(two, 0.1), "a GaussianMixture with one component"),
        (lambda: gaussian_information(two, 0.1), "a GaussianMixture with one component"),
        (lambda: predicted_gap(truth, 0.1, 0), "n = 0: n >= 1"),
        (lambda: gap_lower_bound(truth, 0.1, 0), "n = 0"),
        (lambda: small_t_limit(truth, 0.0), "t = 0 is not allowed"),
        (lambda: plateau(truth, 0.1, samples=0), "samples = 0"),
        (lambda: small_t_limit(object(), 0.1), "component_information"),
        (lambda: small_t_limit(truth, 0.1, data=torch.zeros(3, 2)), "data has points of shape"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
