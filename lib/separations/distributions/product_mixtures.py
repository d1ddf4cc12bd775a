"""Diffused mixtures whose components have independent, non-Gaussian coordinates: heavy tails and bounded support.

Component k is X = mu_k + scale * xi with independent entries of xi, all of one law in one dimension: the mixture model of
Ye et al. (2026), Assumption 4.2, without its normalisation to unit variance. Coordinates of a diffused component
stay independent, so everything follows from the log density of one coordinate and its two derivatives.

The questions, shapes and the keyword ``schedule`` are those of ``separations.distributions``. The dtype of x decides the
precision. Gradients flow through x up to the second derivative of log_prob; t must not require a gradient.
"""

import math

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, as_real, check_count, check_finite, ends, generator_device
from ..schedules import Schedule, Time, check_schedule, schedule_of
from .coordinate_laws import StudentLaw, UniformLaw, attach
from .diffused import Diffused, widened


class ProductMixture(Diffused):
    """Base of the mixtures of this module: means (K, *event_shape), scale a number or (d,), weights (K,) or None (equal).

    A subclass sets `law` (see ``coordinate_laws``) and draws `_unit(m, generator)`, xi of shape (m, d). Memory of a query:
    at most `piece` numbers at a time beside the answer, or one row of x if that is more; with gradients, m * K * d more.
    """

    law: StudentLaw | UniformLaw
    at_zero = False  # whether the density exists at t = 0

    def __init__(self, means: Tensor, scale: Tensor | float, weights: Tensor | None, piece: int, name: str):
        means = widened(means)
        if not means.is_floating_point() or means.ndim < 2 or means.numel() == 0:
            raise ValueError(
                f"means has shape {tuple(means.shape)}, {means.dtype}: a floating-point (K, d, ...) tensor is needed"
            )
        self.event_shape, self.piece = tuple(means.shape[1:]), check_count(piece, "piece")
        self.means = check_finite(means, "means").reshape(len(means), -1)
        self.size = max(map(abs, ends(self.means)))
        self.scale = self._check_scale(scale, name)
        self.weights = self._check_weights(weights)

    @property
    def K(self) -> int:
        """Number of components."""
        return len(self.means)

    def _check_scale(self, scale: Tensor | float, name: str) -> Tensor:
        given = as_numbers(scale, name, nan=True).to(self.means)
        if given.shape not in {(), (1,), (self.d,)} or not ((given > 0) & given.isfinite()).all():
            raise ValueError(f"{name} = {given.tolist()}: a positive number or {self.d} of them, shape (d,), is needed")
        return given.expand(self.d)

    def _check_weights(self, weights: Tensor | None) -> Tensor:
        if weights is None:
            return self.means.new_full((self.K,), 1 / self.K)
        weights = as_numbers(weights, "weights", nan=True).to(self.means)
        if weights.shape != (self.K,) or not (weights > 0).all() or not weights.isfinite().all():
            raise ValueError(f"weights = {weights.tolist()}: {self.K} positive numbers are needed, one per component")
        return weights / weights.sum()

    def _unit(self, m: int, generator) -> Tensor:
        raise TypeError(f"{type(self).__name__} does not define _unit(m, generator)")

    def _uniform(self, m: int, generator) -> Tensor:
        """(m, d) numbers in [0, 1), float64: heavy tails need the fine grid near 0."""
        device = generator_device(generator, self.means.device)
        return torch.rand((m, self.d), dtype=torch.float64, device=device, generator=generator).to(self.means.device)

    def _sample0(self, m: int, generator) -> Tensor:
        device = generator_device(generator, self.means.device)
        k = torch.multinomial(self.weights.to(device), m, replacement=True, generator=generator).to(self.means.device)
        x = self.means[k] + self.scale * self._unit(m, generator)
        return x.to(self.means.dtype).reshape(m, *self.event_shape)

    def _prepare(self, x, t, schedule, zero=True):
        if isinstance(t, Tensor) and t.requires_grad:
            raise ValueError("t requires a gradient, which is not known here: give t.detach()")
        return super()._prepare(x, t, schedule, zero=zero and self.at_zero)

    def _numbers(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> int:
        """Numbers held for each coordinate of each component."""
        return 8

    def _pieces(self, x: Tensor, alpha: Tensor, sigma: Tensor):
        """For pieces of the rows: logits (m, K), and slope and curvature of each coordinate's log density (m, K, d)."""
        step = max(1, self.piece // (self.K * self.d * self._numbers(x, alpha, sigma)))
        log_weights, scale = self.weights.to(x).log(), _one_if_equal(self.scale).double()
        for xs, al, si in zip(x.split(step), alpha.split(step), sigma.split(step)):
            z = xs[:, None] - al.to(x.dtype)[..., None] * self.means.to(x)
            b, noise = _one_if_equal(al)[..., None] * scale, _one_if_equal(si)[..., None]
            value, slope, curvature = attach(z, *self.law(z.detach(), b, noise))
            yield log_weights + value.sum(-1), slope, curvature

    def log_prob(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """log p_t(x) = log sum_k w_k prod_j p_kj(x_j), (m,)."""
        parts = [logits.logsumexp(1) for logits, _, _ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts), x, "log_prob")

    def responsibilities(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Probability of each component given X_t = x, (m, K)."""
        parts = [logits.softmax(1) for logits, _, _ in self._pieces(*self._prepare(x, t, schedule))]
        return self._answer(torch.cat(parts), x, "responsibilities")

    def score(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """grad log p_t(x) = sum_k r_k s_k, s_k the score of component k, (m, *event_shape)."""
        return self._answer(self._score(*self._prepare(x, t, schedule)), x, "score").reshape(x.shape)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = [(logits.softmax(1)[..., None] * slope).sum(1) for logits, slope, _ in self._pieces(x, alpha, sigma)]
        return torch.cat(parts)

    @torch.no_grad()
    def hessian(self, x: Tensor, t: Time = 0.0, *, schedule: Schedule | None = None) -> Tensor:
        """Hessian of log p_t at x, (m, d, d): sum_k r_k (diag(h_k) + s_k s_k^T) - s s^T. Without gradients."""
        return self._answer(self._hessian(*self._prepare(x, t, schedule)), x, "hessian")

    def _hessian(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = []
        for logits, slope, curvature in self._pieces(x, alpha, sigma):
            r = logits.softmax(1)
            spread = slope - (r[..., None] * slope).sum(1, keepdim=True)
            diagonal = torch.diag_embed((r[..., None] * curvature).sum(1))
            parts.append(diagonal + torch.einsum("mk,mki,mkj->mij", r, spread, spread))
        return torch.cat(parts)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(x + sigma^2 score) / alpha, Tweedie's formula.

        Its error is the precision of x divided by alpha: benign as sigma -> 0, where the answer is as large as x, but
        large as alpha -> 0, where the two terms cancel. alpha = 0 is refused.
        """
        self._check_alpha(alpha)
        correction = sigma.to(x.dtype) * (sigma.to(x.dtype) * self._score(x, alpha, sigma))
        return (x + correction) / alpha.to(x.dtype)

    @torch.no_grad()
    def _posterior_cov(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """sigma^2 / alpha^2 (I + sigma^2 hessian), Lemma C.1 inverted: error sigma^2 / alpha^2 times the precision of x."""
        self._check_alpha(alpha)
        eye = torch.eye(self.d, dtype=x.dtype, device=x.device)
        noise, ratio = sigma.to(x.dtype)[..., None], (sigma / alpha).to(x.dtype)[..., None]
        return ratio * (ratio * (eye + noise * (noise * self._hessian(x, alpha, sigma))))

    def _check_alpha(self, alpha: Tensor) -> None:
        if not (alpha > 0).all():
            raise ValueError("alpha(t) = 0: Tweedie's formula divides by alpha, so an earlier t is needed")

    def component_information(self, t: Time, *, schedule: Schedule | None = None) -> float:
        """Fisher information E ||grad log p||^2 of one diffused component at the number t: the sum over its coordinates.

        Quadrature in float64, relative error below 1e-8. As t -> 0: Student, sum_j scale_j^-2 (df + 1)/(df + 3);
        uniform, sum_j c / (half_width_j sigma) with c = int phi^2 / Phi = 0.903197..., phi and Phi the normal law.
        """
        schedule = schedule_of(schedule, self)
        t = schedule.check_time(t, zero=self.at_zero)
        if t.ndim:
            raise ValueError(f"t has shape {tuple(t.shape)}: a number is needed")
        b = (schedule.alpha(t) * self.scale.detach().double().cpu())[None]  # (1, d)
        sigma = schedule.sigma(t).reshape(1, 1)
        z, weight = self.law.half_line(b, sigma)
        value, slope, _ = self.law(z[:, None], b[:, None], sigma[:, None])
        return float(2 * (weight * value[:, 0].exp() * slope[:, 0].square()).sum())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(K={self.K}, event_shape={self.event_shape})"


class StudentMixture(ProductMixture):
    """Coordinates mu_kj + scale_j xi, xi Student-t with df degrees of freedom: tails like |x|^-(df + 1); df = 1 is Cauchy.

    Not normalised: the variance is scale^2 df/(df - 2) for df > 2, infinite otherwise. log_prob, responsibilities, score
    and hessian also answer at t = 0. Relative error of a coordinate's diffused density in float64: below 1e-10, also far in
    the tails. Nodes of the quadrature: about 170 for df = 1, 100 for 3, 40 for 30, more for |x| far beyond the scale and
    like sqrt(df) beyond. Samples of df < 1/2 may overflow float32.

    Args:
        means: (K, *event_shape), floating point.
        scale: a number or (d,), positive, in the unit of the data.
        df: degrees of freedom, positive.
        weights: (K,), positive; they are normalised. Equal ones by default.
        piece: numbers of a query that are computed at a time.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.

    Raises:
        ValueError: for shapes that do not fit, NaN, and scale, df or weights that are not positive.
    """

    at_zero = True

    def __init__(
        self,
        means: Tensor,
        scale: Tensor | float = 1.0,
        df: float = 3.0,
        weights: Tensor | None = None,
        *,
        piece: int = 2**20,
        schedule: Schedule | None = None,
    ):
        super().__init__(means, scale, weights, piece, "scale")
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        self.df = as_real(df, "df")
        if not 0 < self.df < math.inf:
            raise ValueError(f"df = {self.df:g}: a positive number is needed")
        self.law = StudentLaw(self.df)

    def _arguments(self):
        means = self.means.reshape(self.K, *self.event_shape)
        return means, self.scale, self.df, self.weights

    def _numbers(self, x, alpha, sigma):
        farthest = x.detach().abs().amax(1, keepdim=True) + alpha * self.means.abs().max()
        return self.law.count(farthest, alpha * self.scale.double().min(), sigma)

    def _unit(self, m, generator):
        # Bailey (1994): the polar method of the normal law, with a power instead of the logarithm.
        radius = torch.sqrt(self.df * torch.expm1(-2 / self.df * torch.log1p(-self._uniform(m, generator))))
        return radius * torch.cos(2 * math.pi * self._uniform(m, generator))


class UniformMixture(ProductMixture):
    """Coordinates uniform on mu_kj +- half_width_j: bounded support, variance half_width^2 / 3.

    All questions need t > 0, log_prob too: at t = 0 the density has jumps and no score.

    Args:
        means: (K, *event_shape), floating point.
        half_width: a number or (d,), positive, in the unit of the data.
        weights: (K,), positive; they are normalised. Equal ones by default.
        piece: numbers of a query that are computed at a time.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.

    Raises:
        ValueError: for shapes that do not fit, NaN, and half_width or weights that are not positive.
    """

    def __init__(
        self,
        means: Tensor,
        half_width: Tensor | float = 1.0,
        weights: Tensor | None = None,
        *,
        piece: int = 2**20,
        schedule: Schedule | None = None,
    ):
        super().__init__(means, half_width, weights, piece, "half_width")
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        self.law = UniformLaw()

    @property
    def half_width(self) -> Tensor:
        """Half of the width of the support in each coordinate, (d,)."""
        return self.scale

    def _arguments(self):
        return self.means.reshape(self.K, *self.event_shape), self.scale, self.weights

    def _unit(self, m, generator):
        return 2 * self._uniform(m, generator) - 1


def _one_if_equal(a: Tensor) -> Tensor:
    """The first row alone where all rows are equal: what is computed from it once serves all."""
    return a[:1] if (a == a[:1]).all() else a
