"""Covariance matrices in their principal axes: the few operations that a theory of Gaussians needs, without building a matrix."""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

ROUNDING = 1e-12  # an eigenvalue of a matrix in float64 below this share of the largest one is 0


class Covariance:
    """Covariances Sigma_k = U_k diag(lambda_k) U_k^T in R^d, a shared one or one for each of K components.

    With a batch in front, as of noise levels, the axes are common to it: ``alpha**2 * cov + sigma**2`` is the covariance
    of X_t = alpha X_0 + sigma eps at all times at once. Scaling, adding c I, inverse and root act on the eigenvalues alone.

    Args:
        eigenvalues: lambda, (..., 1 or K, d), all >= 0, in the squared unit of the data.
        eigenvectors: U, (1 or K, d, d), orthonormal columns; None where the axes of the data are the principal ones.

    Raises:
        ValueError: for an eigenvalue that is negative, or shapes that do not fit.
    """

    def __init__(self, eigenvalues: Tensor, eigenvectors: Tensor | None = None):
        shape, d = tuple(eigenvalues.shape), eigenvalues.shape[-1] if eigenvalues.ndim else 0
        if len(shape) < 2 or (eigenvectors is not None and tuple(eigenvectors.shape) != (shape[-2], d, d)):
            found = None if eigenvectors is None else tuple(eigenvectors.shape)
            raise ValueError(
                f"eigenvalues has shape {shape}, eigenvectors {found}: (..., K, d) and (K, d, d) or None are needed"
            )
        if eigenvalues.device.type == "cpu" and (eigenvalues < 0).any():
            raise ValueError(f"eigenvalues has {float(eigenvalues.min()):g}: numbers >= 0 are needed")
        self.eigenvalues, self.eigenvectors = eigenvalues, eigenvectors

    @classmethod
    def of(cls, cov: Tensor, K: int, d: int) -> "Covariance":
        """The covariances that an array stands for; a (d, d) array is one matrix for all, also where K = d.

        Args:
            cov: finite, floating point: a number, (d,) variances or a (d, d) matrix, shared; (K, 1), (K, d) or (K, d, d), one each.
            K: number of components.
            d: dimension.

        Returns:
            One covariance where cov is shared, else K, in the dtype of cov. A matrix is decomposed in float64; what is
            negative by the rounding of cov itself counts as 0.

        Raises:
            ValueError: for another shape, a matrix that is not symmetric, or an eigenvalue that is negative.
        """
        shape, vectors = tuple(cov.shape), None
        if shape in {(), (1,), (d,), (K, 1)} or (shape == (K, d) and K != d):
            values = cov.reshape(1, -1) if cov.ndim < 2 else cov
        elif shape in {(d, d), (K, d, d)}:
            if not torch.allclose(cov, cov.mT, rtol=1e-5, atol=1e-6 * float(cov.abs().max())):
                each = " (per-component variances with K = d must be given as (K, d, d))"
                hint = each if shape == (d, d) and K == d else ""
                raise ValueError(f"cov of shape {shape} is not symmetric: a symmetric matrix is needed{hint}")
            values, vectors = torch.linalg.eigh(cov.reshape(-1, d, d).double())
            top = values.abs().amax(-1, keepdim=True)
            lost = (values.abs() < ROUNDING * top) | ((values < 0) & (-values < d * torch.finfo(cov.dtype).eps * top))
            values, vectors = torch.where(lost, 0.0, values).to(cov.dtype), vectors.to(cov.dtype)
        else:
            raise ValueError(
                f"cov has shape {shape}: (), ({d},), ({d}, {d}), ({K}, 1), ({K}, {d}) or ({K}, {d}, {d}) is needed"
            )
        if (values < 0).any():
            raise ValueError(f"cov has the negative eigenvalue {float(values.min()):g}: variances >= 0 are needed")
        return cls(values.expand(-1, d), vectors)

    @property
    def singular(self) -> Tensor:
        """Whether a covariance has the eigenvalue 0, (..., 1 or K)."""
        return (self.eigenvalues <= 0).any(-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> "Covariance":
        """U diag(f(lambda)) U^T for a function f of the eigenvalues, whose values are >= 0."""
        return self._with(function(self.eigenvalues), self.eigenvectors)

    def _with(self, eigenvalues: Tensor, eigenvectors: Tensor | None) -> "Covariance":
        """The like with other numbers, which are right by how they were made."""
        made = copy(self)
        made.eigenvalues, made.eigenvectors = eigenvalues, eigenvectors
        return made

    def __mul__(self, factor: float | Tensor) -> "Covariance":
        """factor >= 0, a number or a tensor that broadcasts against (..., 1 or K)."""
        return self.map(lambda values: values * _per_matrix(factor))

    __rmul__ = __mul__

    def __add__(self, variance: float | Tensor) -> "Covariance":
        """Sigma + variance I: independent noise in every direction; variance as the factor of a product."""
        return self.map(lambda values: values + _per_matrix(variance))

    def inv(self) -> "Covariance":
        """Sigma^-1, the precision. ValueError where a covariance is singular."""
        if self.singular.any():
            raise ValueError("the covariance has the eigenvalue 0: add noise first, as cov + sigma**2")
        return self.map(torch.reciprocal)

    def sqrt(self) -> "Covariance":
        """The symmetric root Sigma^(1/2)."""
        return self.map(torch.sqrt)

    def logdet(self) -> Tensor:
        """log det Sigma, (..., 1 or K); -inf where it is singular."""
        return self.eigenvalues.log().sum(-1)

    def matrix(self) -> Tensor:
        """Sigma as matrices, (..., 1 or K, d, d)."""
        if self.eigenvectors is None:
            return torch.diag_embed(self.eigenvalues)
        return (self.eigenvectors * self.eigenvalues[..., None, :]) @ self.eigenvectors.mT

    def __matmul__(self, x: Tensor) -> Tensor:
        """Sigma_k x_k for vectors x, (..., K, d) -> (..., K, d); a shared covariance multiplies each of them."""
        return self.from_axes(self.eigenvalues * self.to_axes(x))

    def to_axes(self, x: Tensor, component: Tensor | None = None) -> Tensor:
        """U^T x, the coordinates of vectors in the principal axes.

        Args:
            x: (..., K, d), the k-th in the axes of the k-th covariance, or (..., m, d) where `component` is given.
            component: (m,), the covariance that each row belongs to.

        Returns:
            The shape of x.
        """
        return x if self.eigenvectors is None else _rotated(x, self.eigenvectors, component)

    def from_axes(self, y: Tensor, component: Tensor | None = None) -> Tensor:
        """U y, the inverse of `to_axes`, with its arguments.

        Args:
            y: (..., K, d), or (..., m, d) where `component` is given.
            component: (m,), the covariance that each row belongs to.

        Returns:
            The shape of y.
        """
        return y if self.eigenvectors is None else _rotated(y, self.eigenvectors.mT, component)

    def average(self, weights: Tensor) -> Tensor:
        """sum_k w_k Sigma_k as matrices, (..., d, d), for weights (..., K): no matrix for each component is built."""
        values = weights[..., None] * self.eigenvalues
        if self.eigenvectors is None:
            return torch.diag_embed(values.sum(-2))
        if len(self.eigenvectors) == 1:
            return self._with(values.sum(-2, keepdim=True), self.eigenvectors).matrix()[..., 0, :, :]
        return torch.einsum("kij,...kj,klj->...il", self.eigenvectors, values, self.eigenvectors)

    def expand(self, K: int) -> "Covariance":
        """K covariances, a shared one as many times; no number is copied."""
        vectors = None if self.eigenvectors is None else self.eigenvectors.expand(K, -1, -1)
        return self._with(self.eigenvalues.expand(*self.eigenvalues.shape[:-2], K, -1), vectors)

    def to(self, *args, **options) -> "Covariance":
        """On another device or in another dtype: the arguments of `torch.Tensor.to`."""
        vectors = None if self.eigenvectors is None else self.eigenvectors.to(*args, **options)
        return self._with(self.eigenvalues.to(*args, **options), vectors)


def _per_matrix(number: float | Tensor) -> float | Tensor:
    """A number of each matrix, as one that goes with all its eigenvalues."""
    return number[..., None] if isinstance(number, Tensor) else number


def _rotated(x: Tensor, axes: Tensor, component: Tensor | None) -> Tensor:
    """x_k times the k-th of the axes, row by row."""
    if len(axes) == 1:
        return x @ axes[0]
    if component is None:
        return torch.einsum("...ki,kij->...kj", x, axes)
    out = torch.empty_like(x)
    for k in component.unique().tolist():
        out[..., component == k, :] = x[..., component == k, :] @ axes[k]
    return out
