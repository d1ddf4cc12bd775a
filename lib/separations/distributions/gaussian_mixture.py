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
from ..numerics.covariance import Covariance
from ..schedules import Schedule, Time, check_schedule
from .diffused import Diffused, widened


class GaussianMixture(Diffused):
    """Mixture of K Gaussians, one covariance for all or one per component, all at t = 0.

    Args:
        means: (K, *event_shape), floating point.
        cov: a number; (d,) variances; (d, d) a shared matrix; (K, 1), (K, d) or (K, d, d) per component. A (d, d) array is
            read as a shared matrix, also where K = d: give (K, d, d) then. It may be singular or 0; log_prob, score and
            hessian then need t > 0.
        weights: (K,), positive; they are normalised. Equal ones by default.
        piece: numbers of a query, m * K * d, that are computed at a time.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.

    Raises:
        ValueError: for shapes that do not fit, a cov that is not positive semi-definite, weights that are not positive.
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
        self.covariance = Covariance.of(
            check_finite(self.cov.reshape(-1, 1), "cov").reshape(self.cov.shape), self.K, self.d
        )

    @property
    def K(self) -> int:
        """Number of components."""
        return len(self.means)

    @property
    def variances(self) -> Tensor:
        """Eigenvalues of the covariances, (1 or K, d)."""
        return self.covariance.eigenvalues

    @property
    def axes(self) -> Tensor | None:
        """Principal axes as columns, (1 or K, d, d); None where they are the axes of the data."""
        return self.covariance.eigenvectors

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

    def _prepare(self, x, t, schedule, zero=True):
        if self.covariance.singular.any():
            zero = False  # the density is singular at t = 0
        return super()._prepare(x, t, schedule, zero=zero)

    def _sample0(self, m: int, generator) -> Tensor:
        device = generator_device(generator, self.means.device)
        k = torch.multinomial(self.weights.to(device), m, replacement=True, generator=generator).to(self.means.device)
        noise = self.variances.sqrt().expand(self.K, -1)[k] * randn((m, self.d), self.means, generator)
        return (self.means[k] + self.covariance.from_axes(noise, k)).reshape(m, *self.event_shape)

    def _pieces(self, x: Tensor, alpha: Tensor, sigma: Tensor):
        """For pieces of the rows: whitened differences u (m, K, d) in principal axes, the covariance V of X_t given a component, log weights
        (m, K), and alpha and sigma of the piece (m, 1)."""
        step, covariance = max(1, self.piece // (self.K * self.d)), self.covariance.to(x)
        log_weights, means = self.weights.to(x).log(), self.means.to(x)
        for xs, al, si in zip(x.split(step), alpha.split(step), sigma.split(step)):
            al = al.to(x.dtype)
            V = (al**2 * covariance + si**2).to(x.dtype)
            u = V.to_axes(xs[:, None] - al[..., None] * means) / V.eigenvalues.sqrt()
            yield u, V, log_weights - (u.square().sum(-1) + V.logdet()) / 2, al, si

    def log_prob(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """log p_t(x), (m,)."""
        parts = [logits.logsumexp(1) for _, _, logits, *_ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts) - self.d / 2 * math.log(2 * math.pi), x, "log_prob")

    def responsibilities(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Probability of each component given X_t = x, (m, K)."""
        parts = [logits.softmax(1) for _, _, logits, *_ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts), x, "responsibilities")

    def score(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x) = -sum_k r_k (alpha^2 Sigma_k + sigma^2 I)^-1 (x - alpha mu_k), (m, *event_shape)."""
        parts = [
            (logits.softmax(1)[..., None] * V.from_axes(-u / V.eigenvalues.sqrt())).sum(1)
            for u, V, logits, *_ in self._pieces(*self._prepare(x, t, schedule))
        ]
        return self._answer(torch.cat(parts), x, "score").reshape(x.shape)

    def _component_means(self, u: Tensor, V: Covariance, al: Tensor) -> Tensor:
        """E[X_0 | X_t = x, component k], (m, K, d)."""
        return self.means.to(u) + V.from_axes(al[..., None] * self.variances.to(u) * u / V.eigenvalues.sqrt())

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = [
            (logits.softmax(1)[..., None] * self._component_means(u, V, al)).sum(1)
            for u, V, logits, al, _ in self._pieces(x, alpha, sigma)
        ]
        return torch.cat(parts)

    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = []
        for u, V, logits, al, si in self._pieces(x, alpha, sigma):
            r, mean = logits.softmax(1), self._component_means(u, V, al)
            spread = mean - (r[..., None] * mean).sum(1, keepdim=True)
            within = Covariance(self.variances.to(u) * (si**2).to(u)[..., None] / V.eigenvalues, V.eigenvectors)
            parts.append(within.average(r) + torch.einsum("mk,mki,mkj->mij", r, spread, spread))
        return torch.cat(parts)

    def hessian(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): sum_k r_k (g_k g_k^T - V_k^-1) - s s^T, g_k the score of component k, s the score."""
        parts = []
        for u, V, logits, *_ in self._pieces(*self._prepare(x, t, schedule)):
            r, g = logits.softmax(1), V.from_axes(-u / V.eigenvalues.sqrt())
            spread = g - (r[..., None] * g).sum(1, keepdim=True)
            parts.append(torch.einsum("mk,mki,mkj->mij", r, spread, spread) - V.map(torch.reciprocal).average(r))
        return self._answer(torch.cat(parts), x, "hessian")

    def __repr__(self) -> str:
        return f"GaussianMixture(K={self.K}, event_shape={self.event_shape})"


def spread_means(K: int, d: int, distance: float) -> Tensor:
    """K means about the origin: a regular simplex where there is room for one, a cubic grid otherwise.

    Args:
        K: number of means.
        d: dimension. For K <= d + 1 any two means are `distance` apart, along the first K axes if K <= d; for more the nearest two.
        distance: >= 0, in the unit of the data.

    Returns:
        (K, d), float64.

    Raises:
        ValueError: for counts below 1, a distance that is negative or not finite.
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
