"""Extreme eigenvalues of symmetric operators that are known by their products with vectors alone (Lanczos), many at a time."""

import torch
from torch import Tensor

from .checks import as_real, check_count, randn, shown

EXACT = 64  # largest dimension for which "auto" forms matrices


def is_exact(method: str, d: int) -> bool:
    """Whether matrices are formed: method "exact", "krylov", or "auto", which does for d <= EXACT."""
    if method not in ("auto", "exact", "krylov"):
        raise ValueError(f"method = {shown(method)}: one of auto, exact, krylov is needed")
    return method == "exact" or (method == "auto" and d <= EXACT)


def extreme_pairs(
    apply, start: Tensor, *, tol: float, max_steps: int, generator=None, ends: tuple[int, ...] = (0, -1)
) -> tuple[Tensor, Tensor]:
    """Eigenvalues (m, len(ends)) and eigenvectors (m, d, len(ends)) at the ends of the spectrum of m symmetric operators.

    Lanczos with full orthogonalisation and Rayleigh-Ritz. Done when ||A v - value v|| <= tol * norm in every row: an eigenvalue
    is then that close, and with a random start it is the extreme one with probability 1. apply: (m, d) -> (m, d).
    """
    if not 0 < as_real(tol, "tol") < 1:
        raise ValueError(f"tol = {tol}: a number in (0, 1) is needed")
    limit, basis, images, w = min(check_count(max_steps, "max_steps"), start.shape[1]), [], [], start
    for k in range(1, limit + 1):
        basis.append(_new_direction(w, basis, generator))
        w = apply(basis[-1])
        if not w.isfinite().all():
            raise ValueError("the operator has NaN or infinite values: finite values are needed")
        images.append(w)
        if k % 5 and k < limit:
            continue
        v, av = torch.stack(basis, 2), torch.stack(images, 2)  # (m, d, k)
        small = v.mT @ av
        values, vectors = torch.linalg.eigh((small + small.mT) / 2)
        picked = vectors[..., list(ends)]
        residual = (av @ picked - v @ picked * values[:, None, list(ends)]).norm(dim=1)
        norm = values.abs().amax(1, keepdim=True)
        error = float(torch.where(residual == 0, 0.0, residual / norm).max())  # an operator that is 0 has no norm
        if error <= tol or (k == start.shape[1] and error < 1e-3):  # a complete basis leaves nothing out but rounding
            return values[:, list(ends)], v @ picked
    raise RuntimeError(
        f"max_steps = {max_steps}: error {error:.1e} of the norm, above tol = {tol:g}; allow more of either"
    )


def _new_direction(w: Tensor, basis: list[Tensor], generator) -> Tensor:
    """w made orthonormal to the basis, row by row; a random vector instead where the Krylov space is exhausted."""
    q = torch.stack(basis, 2) if basis else w.new_zeros(*w.shape, 0)

    def orthogonal(u: Tensor) -> Tensor:
        for _ in range(2):  # once loses digits when u lies almost inside the span
            u = u - (q @ (q.mT @ u[..., None]))[..., 0]
        return u

    new = orthogonal(w)
    lost = new.norm(dim=1) <= 1e3 * torch.finfo(w.dtype).eps * w.norm(dim=1)
    if lost.any():
        new = torch.where(lost[:, None], orthogonal(randn(tuple(w.shape), w, generator)), new)
    return new / new.norm(dim=1, keepdim=True)
