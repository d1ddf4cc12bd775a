"""A diffused Gaussian mixture in closed form: the truth of most chapters.

It answers questions about X_t = alpha X_0 + sigma eps, with the keyword ``schedule`` (default OU()):
``sample(m, t)``, ``log_prob(x, t)``, ``score(x, t)`` = grad log p_t, ``denoise(x, t)`` = E[X_0 | X_t = x],
``hessian(x, t)`` of log p_t, ``posterior_cov(x, t)`` = Cov[X_0 | X_t = x].

Shapes: x is (m, *event_shape), t a number or (m,); gradients flow through x. The dtype of x decides the precision.
Source: Ye et al. (2026), section 3; Tweedie's formula and Lemma C.1 tie score, denoise, hessian and posterior_cov.
"""

import math

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, as_real, check_count, check_finite, ends, generator_device, randn
from ..schedules import Schedule, Time, check_schedule
from .diffused import Diffused, widened


class GaussianMixture(Diffused):
    """Mixture of K Gaussians: means (K, *event_shape), one covariance for all or one per component, weights (K,).

    cov: a number; (d,) variances; (d, d) a shared matrix; (K, 1), (K, d) or (K, d, d) per component. A (d, d) array is
    read as a shared matrix, also where K = d: give (K, d, d) then. cov may be singular or 0; log_prob, score and
    hessian then need t > 0. Memory of a query: m * K * d numbers in pieces of at most `piece`.
    Raises ValueError for shapes that do not fit, a cov that is not positive semi-definite, weights that are not positive.
    """

    def __init__(
        self,
        means: Tensor,
        cov: Tensor | float,
        weights: Tensor | None = None,
        *,
        piece: int = 2**23,
        schedule: Schedule | None = None,
    ):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        means = widened(means)
        if not means.is_floating_point() or means.ndim < 2 or means.numel() == 0:
            raise ValueError(
                f"means has shape {tuple(means.shape)}, {means.dtype}: a floating-point (K, d, ...) tensor is needed"
            )
        self.event_shape, self.piece = tuple(means.shape[1:]), check_count(piece, "piece")
        self.means = check_finite(means, "means").reshape(len(means), -1)
        self.size = max(map(abs, ends(self.means)))
        self.cov = self._fitting(as_numbers(cov, "cov", nan=True))
        self.weights = self._check_weights(weights)
        # Sigma_k = U diag(variances) U^T, with U = None where the axes are the principal ones.
        self.variances, self.axes = self._decompose(
            check_finite(self.cov.reshape(-1, 1), "cov").reshape(self.cov.shape)
        )

    @property
    def K(self) -> int:
        """Number of components."""
        return len(self.means)

    def _arguments(self):
        return self.means.reshape(self.K, *self.event_shape), self.cov, self.weights

    def _fitting(self, cov: Tensor) -> Tensor:
        """The covariance in the dtype of the means; ValueError where it would become infinite or 0 by that."""
        found = cov.to(self.means)
        lost = (found.isinf() & cov.isfinite()) | ((found == 0) & (cov != 0)).to(found.device)
        if lost.any():
            raise ValueError(
                f"cov has {float(cov[lost][0]):g}, which {str(found.dtype).removeprefix('torch.')} cannot hold: means in float64 "
                "are needed"
            )
        return found

    def _check_weights(self, weights: Tensor | None) -> Tensor:
        if weights is None:
            return self.means.new_full((self.K,), 1 / self.K)
        weights = as_numbers(weights, "weights", nan=True).to(self.means)
        if weights.shape != (self.K,) or not (weights > 0).all() or not weights.isfinite().all():
            raise ValueError(f"weights = {weights.tolist()}: {self.K} positive numbers are needed, one per component")
        return weights / weights.sum()

    def _decompose(self, cov: Tensor) -> tuple[Tensor, Tensor | None]:
        K, d, shape = self.K, self.d, tuple(cov.shape)
        if shape in {(), (1,), (d,), (K, 1)} or (shape == (K, d) and K != d):
            variances, axes = cov.reshape(1, -1) if cov.ndim < 2 else cov, None
        elif shape in {(d, d), (K, d, d)}:
            if not torch.allclose(cov, cov.mT, rtol=1e-5, atol=1e-6 * float(cov.abs().max())):
                hint = (
                    " (per-component variances with K = d must be given as (K, d, d))"
                    if shape == (d, d) and K == d
                    else ""
                )
                raise ValueError(f"cov of shape {shape} is not symmetric: a symmetric matrix is needed{hint}")
            variances, axes = torch.linalg.eigh(cov.reshape(-1, d, d).double())
            variances = torch.where(variances.abs() < 1e-12 * variances.abs().amax(-1, keepdim=True), 0.0, variances)
            variances, axes = variances.to(cov.dtype), axes.to(cov.dtype)
        else:
            raise ValueError(
                f"cov has shape {shape}: (), ({d},), ({d}, {d}), ({K}, 1), ({K}, {d}) or ({K}, {d}, {d}) is needed"
            )
        if (variances < 0).any():
            raise ValueError(f"cov has the negative eigenvalue {float(variances.min()):g}: variances >= 0 are needed")
        return variances.expand(-1, d), axes

    def _prepare(self, x, t, schedule, zero=True):
        if not (self.variances > 0).all():
            zero = False  # the density is singular at t = 0
        return super()._prepare(x, t, schedule, zero=zero)

    def _sample0(self, m: int, generator) -> Tensor:
        device = generator_device(generator, self.means.device)
        k = torch.multinomial(self.weights.to(device), m, replacement=True, generator=generator).to(self.means.device)
        noise = self.variances.sqrt().expand(self.K, -1)[k] * randn((m, self.d), self.means, generator)
        if self.axes is not None:
            noise = torch.cat(
                [_rotate(n, self.axes.expand(self.K, -1, -1)[c]) for n, c in zip(noise.split(4096), k.split(4096))]
            )
        return (self.means[k] + noise).reshape(m, *self.event_shape)

    def _pieces(self, x: Tensor, alpha: Tensor, sigma: Tensor):
        """For pieces of the rows: whitened differences u (m, K, d) in principal axes, variances v (m, K, d), log weights (m, K)."""
        step = max(1, self.piece // (self.K * self.d))
        log_weights = self.weights.to(x).log()
        for xs, al, si in zip(x.split(step), alpha.split(step), sigma.split(step)):
            al, v = al.to(x.dtype), (al[..., None] ** 2 * self.variances.to(x) + si[..., None] ** 2).to(x.dtype)
            diff = xs[:, None] - al[..., None] * self.means.to(x)
            if self.axes is not None:
                diff = torch.einsum("mki,kij->mkj", diff, self.axes.to(x).expand(self.K, -1, -1))
            u = diff / v.sqrt()
            logits = log_weights - (u.square() + v.log()).sum(-1).expand(-1, self.K) / 2
            yield u, v, logits, al

    def _back(self, y: Tensor) -> Tensor:
        """From principal axes to the axes of the data, (m, K, d)."""
        return y if self.axes is None else torch.einsum("mkj,kij->mki", y, self.axes.to(y).expand(self.K, -1, -1))

    def log_prob(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """log p_t(x), (m,)."""
        parts = [logits.logsumexp(1) for _, _, logits, _ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts) - self.d / 2 * math.log(2 * math.pi), x, "log_prob")

    def responsibilities(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Probability of each component given X_t = x, (m, K)."""
        parts = [logits.softmax(1) for _, _, logits, _ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts), x, "responsibilities")

    def score(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x) = -sum_k r_k (alpha^2 Sigma_k + sigma^2 I)^-1 (x - alpha mu_k), (m, *event_shape)."""
        parts = [
            (logits.softmax(1)[..., None] * self._back(-u / v.sqrt())).sum(1)
            for u, v, logits, _ in self._pieces(*self._prepare(x, t, schedule))
        ]
        return self._answer(torch.cat(parts), x, "score").reshape(x.shape)

    def _component_means(self, u: Tensor, v: Tensor, al: Tensor) -> Tensor:
        """E[X_0 | X_t = x, component k], (m, K, d)."""
        return self.means.to(u) + self._back(al[..., None] * self.variances.to(u) * u / v.sqrt())

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = [
            (logits.softmax(1)[..., None] * self._component_means(u, v, al)).sum(1)
            for u, v, logits, al in self._pieces(x, alpha, sigma)
        ]
        return torch.cat(parts)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts, sigmas, step = [], iter(sigma.split(max(1, self.piece // (self.K * self.d)))), None
        for u, v, logits, al in self._pieces(x, alpha, sigma):
            step = next(sigmas)
            r, mean = logits.softmax(1), self._component_means(u, v, al)
            spread = mean - (r[..., None] * mean).sum(1, keepdim=True)
            within = (self.variances.to(u) * (step[..., None] ** 2).to(u) / v).expand(-1, self.K, -1)  # (m, K, d)
            if self.axes is None:
                cov = torch.diag_embed((r[..., None] * within).sum(1))
            else:
                axes = self.axes.to(u).expand(self.K, -1, -1)
                cov = torch.einsum("mk,kij,mkj,klj->mil", r, axes, within, axes)
            parts.append(cov + torch.einsum("mk,mki,mkj->mij", r, spread, spread))
        return torch.cat(parts)

    def hessian(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): sum_k r_k (g_k g_k^T - V_k^-1) - s s^T, g_k the score of component k, s the score."""
        parts = []
        for u, v, logits, _ in self._pieces(*self._prepare(x, t, schedule)):
            r, g = logits.softmax(1), self._back(-u / v.sqrt())
            spread = g - (r[..., None] * g).sum(1, keepdim=True)
            inverse = (1 / v).expand(-1, self.K, -1)
            if self.axes is None:
                curvature = torch.diag_embed((r[..., None] * inverse).sum(1))
            else:
                axes = self.axes.to(u).expand(self.K, -1, -1)
                curvature = torch.einsum("mk,kij,mkj,klj->mil", r, axes, inverse, axes)
            parts.append(torch.einsum("mk,mki,mkj->mij", r, spread, spread) - curvature)
        return self._answer(torch.cat(parts), x, "hessian")

    def __repr__(self) -> str:
        return f"GaussianMixture(K={self.K}, event_shape={self.event_shape})"


def _rotate(noise: Tensor, axes: Tensor) -> Tensor:
    return torch.einsum("mj,mij->mi", noise, axes)


def spread_means(K: int, d: int, distance: float) -> Tensor:
    """K means about the origin, `distance` >= 0 apart: any two of them for K <= d + 1, the nearest two for more, (K, d), float64.

    A regular simplex where there is room for one, along the first K axes if K <= d; on a cubic grid, side by side, otherwise.
    """
    K, d, distance = check_count(K, "K"), check_count(d, "d"), as_real(distance, "distance")
    if not 0 <= distance < math.inf:
        raise ValueError(f"distance = {distance:g}: a finite number >= 0 is needed")
    if K <= d + 1:
        means = torch.eye(K, max(K, d), dtype=torch.float64) / math.sqrt(2)
        means = means if K <= d else means @ _across_the_diagonal(K)
    else:
        side = next(s for s in range(2, K + 1) if s**d >= K)
        number = torch.arange(K)
        means = torch.stack([number // side**j % side if side**j < K else 0 * number for j in range(d)], 1).double()
    return distance * (means - means.mean(0))


def _across_the_diagonal(K: int) -> Tensor:
    """Orthonormal axes (K, K - 1) of the space on which the coordinates sum to 0: K >= 2 unit vectors keep their distances there."""
    axes, j = torch.ones(K, K - 1, dtype=torch.float64).triu(), torch.arange(K - 1)
    axes[j + 1, j] = -(j + 1.0).double()  # (1, ..., 1, -j, 0, ...): Helmert's matrix
    return axes / axes.norm(dim=0)
