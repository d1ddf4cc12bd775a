"""Covariances in their principal axes, beside torch.linalg on the matrices that they stand for."""

import copy
import math

import pytest
import torch

from separations.distributions import GaussianMixture
from separations.numerics import Covariance

K, d = 3, 4


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def full(*batch, seed=0):
    root = drawn(*batch, d, d, seed=seed)
    return root @ root.mT + 0.1 * torch.eye(d, dtype=torch.float64)


ARRAYS = {
    "a number": torch.tensor(0.3, dtype=torch.float64),
    "variances": torch.tensor([0.1, 0.5, 1.0, 2.0], dtype=torch.float64),
    "a matrix": full(),
    "a number each": torch.tensor([[0.1], [0.5], [1.0]], dtype=torch.float64),
    "variances each": drawn(K, d).square() + 0.1,
    "a matrix each": full(K),
    "a huge ratio": torch.diag(torch.tensor([1e-5, 1e-3, 1.0, 1e6], dtype=torch.float64)),
    "a huger one, of variances": torch.tensor([1e-12, 1e-3, 1.0, 1e12], dtype=torch.float64),
}


def matrices(cov):
    """(K, d, d), by the shapes alone."""
    eye = torch.eye(d, dtype=torch.float64)
    if cov.ndim == 0 or tuple(cov.shape) == (K, 1):
        return (cov[..., None] * eye).expand(K, d, d)
    return (cov if cov.shape[-2:] == (d, d) else torch.diag_embed(cov)).expand(K, d, d)


@pytest.fixture(params=ARRAYS, ids=str)
def pair(request):
    return Covariance.of(ARRAYS[request.param], K, d), matrices(ARRAYS[request.param])


def same(found, wanted, rtol=1e-9):
    torch.testing.assert_close(found.expand(wanted.shape), wanted, rtol=rtol, atol=rtol * float(wanted.abs().max()))


def test_it_does_what_the_matrices_do(pair):
    cov, matrix = pair
    x, eye = drawn(5, K, d, seed=1), torch.eye(d, dtype=torch.float64)
    same(cov.matrix(), matrix)
    same(cov @ x, torch.einsum("kij,mkj->mki", matrix, x))
    same(cov.inv().matrix(), torch.linalg.inv(matrix), 1e-6)  # condition numbers up to 1e24
    same(cov.inv() @ (cov @ x), x, 1e-9)
    same(cov.sqrt().matrix() @ cov.sqrt().matrix(), matrix)
    same(cov.logdet(), torch.linalg.slogdet(matrix).logabsdet)
    same((2 * cov + 0.7).matrix(), 2 * matrix + 0.7 * eye)
    same(cov.average(drawn(5, K, seed=2)), torch.einsum("mk,kij->mij", drawn(5, K, seed=2), matrix))
    same(cov.expand(K).matrix(), matrix)
    same(cov.from_axes(cov.to_axes(x)), x)
    assert not cov.singular.any()


def test_noise_at_many_times_is_a_batch_in_front(pair):
    cov, matrix = pair
    alpha, sigma = torch.tensor([[0.9], [0.5]], dtype=torch.float64), torch.tensor([[0.1], [2.0]], dtype=torch.float64)
    noisy = alpha**2 * cov + sigma**2  # a tensor on the left as well
    wanted = alpha[..., None, None] ** 2 * matrix + sigma[..., None, None] ** 2 * torch.eye(d, dtype=torch.float64)
    same(noisy.matrix(), wanted)
    same(noisy.logdet(), torch.linalg.slogdet(wanted).logabsdet)
    x = drawn(2, K, d)
    same(noisy @ x, torch.einsum("tkij,tkj->tki", wanted, x))
    same(noisy.average(drawn(2, K)), torch.einsum("tk,tkij->tij", drawn(2, K), wanted))


def test_rows_go_into_the_axes_of_their_own_component(pair):
    cov, _ = pair
    component, rows = torch.tensor([2, 0, 0, 1, 2]), drawn(7, 5, d)
    all_ways = cov.to_axes(rows[..., None, :].expand(7, 5, K, d))
    found = cov.to_axes(rows, component)
    same(found, all_ways[:, torch.arange(5), component])
    same(cov.from_axes(found, component), rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_matrix_has_eigenvalues_of_zero_and_no_inverse(dtype):
    root = drawn(d, 2).to(dtype)
    cov = Covariance.of(root @ root.mT, K, d)  # rank 2; rounding leaves eigenvalues on either side of 0
    assert cov.singular.tolist() == [True] and (cov.eigenvalues >= 0).all()
    assert cov.logdet().item() < 2 * math.log(torch.finfo(dtype).eps) / 2
    assert ((cov + 0.5).inv().eigenvalues <= 2).all()
    same(cov.sqrt().matrix()[0].double() @ cov.sqrt().matrix()[0].double(), (root @ root.mT).double(), 1e-5)
    with pytest.raises(ValueError, match="the covariance has the eigenvalue 0: add noise first"):
        cov.inv()


def test_one_dimension_and_no_covariance_at_all():
    one = Covariance.of(torch.tensor([[0.5], [2.0]]), 2, 1)
    same(one.inv().matrix().flatten(), torch.tensor([2.0, 0.5]))
    assert torch.equal(Covariance.of(torch.tensor([[4.0]]), 1, 1).sqrt().eigenvalues, torch.tensor([[2.0]]))
    nothing = Covariance.of(torch.tensor(0.0), 5, 3)
    assert nothing.singular.all() and torch.equal(nothing @ torch.ones(5, 3), torch.zeros(5, 3))


def test_a_square_array_is_one_matrix_also_where_there_are_as_many_components():
    assert len(Covariance.of(torch.eye(3), 3, 3).eigenvalues) == 1
    assert len(Covariance.of(torch.eye(3).expand(3, 3, 3), 3, 3).eigenvalues) == 3


@pytest.mark.parametrize(
    ("cov", "says"),
    [
        (torch.eye(2)[None].expand(2, 2, 2), r"cov has shape \(2, 2, 2\): \(\), \(4,\), \(4, 4\), \(3, 1\)"),
        (torch.arange(16.0).reshape(4, 4), r"cov of shape \(4, 4\) is not symmetric: a symmetric matrix is needed$"),
        (torch.diag(torch.tensor([1.0, 1.0, 1.0, -1e-3])), "cov has the negative eigenvalue -0.001: variances >= 0"),
        (torch.tensor(-1.0), "cov has the negative eigenvalue -1"),
    ],
)
def test_what_is_no_covariance_is_refused(cov, says):
    with pytest.raises(ValueError, match=says):
        Covariance.of(cov, K, d)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"eigenvalues has shape \(4,\), eigenvectors None: \(..., K, d\)"):
        Covariance(torch.ones(4))
    with pytest.raises(ValueError, match=r"eigenvectors \(1, 4, 4\)"):
        Covariance(torch.ones(3, 4), torch.eye(4)[None])
    with pytest.raises(ValueError, match="eigenvalues has -1: numbers >= 0"):
        Covariance(torch.tensor([[1.0, -1.0]]))


def test_gradients_flow_and_copies_keep_everything(pair):
    cov, matrix = pair
    x = drawn(K, d).requires_grad_()
    (x * (cov @ x)).sum().backward()
    same(x.grad, 2 * torch.einsum("kij,kj->ki", matrix, x.detach()))
    values = (drawn(1, d).square() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: (2 * Covariance(v) + 0.5).inv().logdet(), values)
    for other in (copy.deepcopy(cov), cov.to(torch.float32).to("cpu", torch.float64)):
        same(other.matrix(), matrix, 1e-6)
        assert other.eigenvalues.dtype == torch.float64 and (other.eigenvectors is None) == (cov.eigenvectors is None)


@pytest.mark.parametrize("cov", ARRAYS.values(), ids=ARRAYS)
def test_a_mixture_keeps_its_covariance_through_every_copy(cov):
    law = GaussianMixture(drawn(K, d), cov)
    for other in (
        law.to(dtype=torch.float32),
        law.to(dtype=torch.float32).to("cpu", torch.float64),
        law.under(law.schedule),
    ):
        assert torch.equal(other.variances, other.covariance.eigenvalues)
        same(other.covariance.to(torch.float64).matrix(), law.covariance.matrix(), 1e-5)


def test_a_mixture_with_a_singular_matrix_in_single_precision_can_be_made():
    root = drawn(d, 1).float()
    law = GaussianMixture(torch.zeros(1, d), root @ root.mT)
    assert law.score(torch.zeros(1, d), 0.5).isfinite().all()
    with pytest.raises(ValueError, match="t = 0"):
        law.score(torch.zeros(1, d), 0.0)
