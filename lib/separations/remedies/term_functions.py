"""The loss of each drawn sample, as a remedy has it: on noisy copies, or not at all where it is unusually low.

A loss is a function `terms(model, x0, t, eps, rows)` to (m,) or (c, m), of the drawn points, times, noise, and the rows of the joined training
sets that were drawn. Those here have a strength for each copy of a stack; at strength 0 a copy has the loss of `training.denoising_terms`, bit
for bit.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..networks import Denoiser
from ..numerics.checks import as_numbers, check_count, check_finite, check_real, randn, shown
from ..training import denoising_terms
from ..training.objective import check_weight, loss_factor

Terms = Callable[[Denoiser, Tensor, Tensor, Tensor, Tensor], Tensor]


def strengths(values: float | Sequence[float] | Tensor, name: str) -> Tensor:
    """Finite numbers >= 0, () for all copies or (c,); ValueError for others."""
    found = as_numbers(list(values) if isinstance(values, tuple | range) else values, name).double()
    if found.ndim > 1 or not found.isfinite().all() or (found < 0).any():
        raise ValueError(f"{name} = {found.tolist()}: a finite number >= 0, or one a copy, is needed")
    return found


def _flags(values: bool | Sequence[bool] | Tensor, name: str) -> Tensor:
    """Truth values, () for all copies or (c,), as numbers; ValueError for others."""
    try:
        found = torch.as_tensor(values).double()
    except (TypeError, ValueError, RuntimeError):
        found = torch.tensor(torch.nan)
    if found.ndim > 1 or found.numel() == 0 or not ((found == 0) | (found == 1)).all():
        raise ValueError(f"{name} = {shown(values)}: True or False, or one of them a copy, is needed")
    return found


def by_copy(values: Tensor, like: Tensor, name: str) -> Tensor:
    """The strengths against (m,) or (c, m); ValueError where there are not as many as copies."""
    copies = len(like) if like.ndim == 2 else 1
    if values.ndim and len(values) != copies:
        raise ValueError(f"{name} has {len(values)} numbers: one, or one a copy ({copies}), is needed")
    return values[:, None] if like.ndim == 2 and values.ndim else values.reshape(-1)[:1] if values.ndim else values


class PlainTerms:
    """The untouched loss, `training.denoising_terms`.

    Args:
        weight: as there.

    Raises:
        ValueError: another weight.
    """

    def __init__(self, weight: str | Callable[[Tensor], Tensor] = "eps"):
        check_weight(weight)
        self.weight = weight

    def __call__(self, model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, rows: Tensor) -> Tensor:
        """Losses, the shape of t."""
        return denoising_terms(model, x0, t, eps=eps, weight=self.weight)


class AmbientTerms:
    """Above a noise level only copies that were made noisy once are seen: the loss of ambient diffusion (Shah et al. 2025).

    With nu = sigma^2 / alpha^2 and a noisy copy y = x_0 + std xi, which is kept: for nu <= std^2 the plain loss. For nu > std^2 the network
    sees alpha y + s eps, s^2 = sigma^2 - alpha^2 std^2, and its answer for y, which by Tweedie's formula is x / alpha - (s^2 / sigma) eps_model / alpha,
    is held against y: |(s / sigma) eps_model - eps|^2. The optimum is `bench.Ambient`. `fresh` draws xi anew each time, which costs variance
    but hides nothing: the control.

    Args:
        noise: xi, one for each row of the joined training sets, (rows, *event_shape).
        std: of the noise, in the unit of the data: one number, or one for each copy; at 0 the plain loss.
        fresh: whether xi is drawn anew, from the generator; one for all, or one for each copy.
        weight: of the loss, as in `training.denoising_terms`.
        generator: of fresh noise.

    Raises:
        ValueError: another weight, negative strengths, noise that is not one tensor of finite numbers, `fresh` that is neither true nor false;
            at the first call, numbers that are not one for each copy, and noise that is not one row for each training point.
    """

    def __init__(
        self,
        noise: Tensor,
        std: float | Sequence[float] | Tensor,
        *,
        fresh: bool | Sequence[bool] = False,
        weight: str | Callable[[Tensor], Tensor] = "eps",
        generator: torch.Generator | None = None,
    ):
        check_weight(weight)
        if not isinstance(noise, Tensor) or not noise.is_floating_point() or noise.ndim < 2:
            raise ValueError(f"noise is {type(noise).__name__}: a floating-point tensor, a row a point, is needed")
        self.noise, self.std = check_finite(noise.detach(), "noise"), strengths(std, "std")
        self.fresh = _flags(fresh, "fresh")
        self.weight, self.generator = weight, generator

    def __call__(self, model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, rows: Tensor) -> Tensor:
        """Losses, the shape of t."""
        schedule, events = model.schedule, len(model.event_shape)
        t = schedule.check_time(t).to(x0.device)
        std = by_copy(self.std, t, "std").to(t)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        above = (std > 0) & (sigma > alpha * std)
        s = torch.where(above, (sigma**2 - (alpha * std) ** 2).clamp(min=0).sqrt(), sigma)
        column = (*t.shape, *[1] * events)
        if self.noise.shape[1:] != model.event_shape or int(rows.max()) >= len(self.noise):
            shape, row = tuple(self.noise.shape), int(rows.max())
            event = ", ".join(map(str, model.event_shape))
            raise ValueError(
                f"noise has shape {shape}: (rows, {event}), one row for each training point, is needed; row {row} was drawn"
            )
        xi = self.noise[rows.to(self.noise.device)].to(x0)
        fresh = by_copy(self.fresh, t, "fresh").to(t)
        if self.fresh.any():
            anew = fresh.expand(t.shape).reshape(column) > 0
            xi = torch.where(anew, randn(tuple(xi.shape), xi, self.generator), xi)
        y = x0 + std.expand(t.shape).reshape(column).to(x0) * xi
        plain = schedule.add_noise(x0, t.reshape(column), eps)
        noisy = alpha.reshape(column).to(x0) * y + s.reshape(column).to(x0) * eps
        answer = model.eps(torch.where(above.reshape(column), noisy, plain), t)
        share = torch.where(above, s / sigma, torch.ones_like(s)).reshape(column).to(x0)
        terms = (share * answer - eps).square().flatten(-events).sum(-1)
        return terms if self.weight == "eps" else loss_factor(self.weight, t, schedule).to(terms) * terms


class SkippedTerms:
    """Samples whose loss is far below the usual at their noise level are skipped (anti-gradient control; Guan et al. 2025).

    The usual loss is a running mean in each of `levels` equal parts of the log-SNR between the two ends, for each copy; a loss below `share` times
    it counts 0. It remembers: a second training needs another one. Without the levels the remedy would only move training to other noise levels, since losses differ between these.

    Args:
        inner: the loss that is skipped or not, one of this module.
        share: of the usual loss, one number or one for each copy; at 0 nothing is skipped.
        levels: parts of the log-SNR.
        ends: of the log-SNR; what lies beyond counts to the outer parts.
        momentum: of the running mean, in [0, 1).

    Attributes:
        skipped: share of the losses that were skipped so far, () or (c,).

    Raises:
        ValueError: an inner loss that is no function, negative shares, counts below 1, ends that do not rise, another momentum; at a call, the
            losses of another number of copies than before.
    """

    def __init__(
        self,
        inner: Terms,
        share: float | Sequence[float] | Tensor,
        *,
        levels: int = 12,
        ends: tuple[float, float] = (-5.0, 7.0),
        momentum: float = 0.98,
    ):
        if not callable(inner) or isinstance(inner, type):
            raise ValueError(f"inner = {inner!r}: a function (model, x0, t, eps, rows) is needed")
        self.inner, self.share, self.levels = inner, strengths(share, "share"), check_count(levels, "levels")
        if not isinstance(ends, Sequence) or len(ends) != 2:
            raise ValueError(f"ends = {shown(ends)}: (low, high) with low < high is needed")
        low, high = (check_real(end, "ends") for end in ends)
        if not low < high:
            raise ValueError(f"ends = {ends}: (low, high) with low < high is needed")
        self.ends, self.momentum = (low, high), check_real(momentum, "momentum", "a number in [0, 1)", low=0, high=1)
        if self.momentum == 1:
            raise ValueError(f"momentum = {momentum}: a number in [0, 1) is needed")
        self.usual: Tensor | None = None
        self.gone, self.seen = 0.0, 0

    @property
    def skipped(self) -> Tensor:
        """Share of the losses that were skipped so far."""
        return torch.as_tensor(self.gone) / max(self.seen, 1)

    def __call__(self, model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, rows: Tensor) -> Tensor:
        """Losses, the shape of t; 0 for those that are skipped."""
        terms = self.inner(model, x0, t, eps, rows)
        share = by_copy(self.share, terms, "share").to(terms)
        low, high = self.ends
        part = (
            ((model.schedule.log_snr(t) - low) / (high - low) * self.levels)
            .long()
            .clamp(0, self.levels - 1)
            .to(terms.device)
        )
        kept = terms.detach() >= share * self._usual(terms.detach(), part).gather(-1, part)
        self.gone, self.seen = self.gone + (~kept).double().sum(-1), self.seen + terms.shape[-1]
        return terms * kept

    def _usual(self, terms: Tensor, part: Tensor) -> Tensor:
        """The running means before this batch, (levels,) or (c, levels); a level starts with the mean of its first batch."""
        lead = terms.shape[:-1]
        sums, counts = (
            terms.new_zeros(*lead, self.levels).scatter_add(-1, part, one) for one in (terms, torch.ones_like(terms))
        )
        now = sums / counts.clamp(min=1)
        before = torch.full_like(now, torch.nan) if self.usual is None else self.usual
        if before.shape != now.shape:
            copies = len(before) if before.ndim == 2 else 1
            raise ValueError(
                f"terms has the usual losses of {copies} copies and meets {len(now) if now.ndim == 2 else 1}: a new one for each training is needed"
            )
        before = torch.where(before.isnan() & (counts > 0), now, before)
        mixed = self.momentum * before + (1 - self.momentum) * now
        self.usual = torch.where(counts > 0, mixed, before)
        return before.nan_to_num(0.0)
