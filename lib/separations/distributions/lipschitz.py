"""Lipschitz constants: of the true score, of the empirical score C_t = sup_x ||Hessian of log p_t||.

Lemma C.1 of Ye et al. (2026), Hessian = -I / sigma^2 + alpha^2 / sigma^4 Cov[X_0 | X_t = x], fixes the signs: no eigenvalue is
below -1 / sigma^2, and only where the posterior is spread is one large and positive. Section 5 bounds C_t from both sides
(`empirical_lipschitz_bounds`). Both bounds hold for every training set and every t, with room (`sharp_lipschitz_bounds`):

  above  a posterior inside a set of diameter D has variance <= D^2 / 4 in every direction (Popoviciu 1935), and eigenvalues
         >= -1 / sigma^2, so C_t <= max(1 / sigma^2, alpha^2 D^2 / (4 sigma^4) - 1 / sigma^2).
  below  let theta expose an edge of the convex hull of the data: <theta, x_i> is largest on that edge alone. At
         x = R theta + c, R -> inf, the posterior keeps only the edge's points, and c along the edge moves the weight of
         an end point through all of (0, 1). At weight 1/2 the variance along the edge is at least 1/4 of the squared distance to
         the next point on it, so C_t >= alpha^2 e^2 / (4 sigma^4) - 1 / sigma^2, e the length of an edge that has no
         further point on it. Where one point is left alone, Hessian -> -I / sigma^2, so C_t >= 1 / sigma^2.

Where all pairs of points are edges (n <= d + 1 points in general position) both ends meet. The point need not lie near the data.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import (  # fmt: skip
    as_numbers,
    as_real,
    check_count,
    check_generator,
    check_result,
    check_shaped,
    check_whole,
    randn,
    shown,
)
from ..numerics.lanczos import EXACT, extreme_pairs
from ..schedules import Schedule, Time, schedule_of
from .empirical import Empirical
from .gaussian_mixture import GaussianMixture
from .hessians import NUMBERS, _hessian_product, hessian_extremes, hessian_norms


def gaussian_lipschitz(truth: GaussianMixture, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """1 / (sigma^2 + alpha^2 lambda_min), shape of t: the Lipschitz constant of the score of one Gaussian, O(1) for every t."""
    if not isinstance(truth, GaussianMixture) or truth.K != 1:
        raise ValueError(f"truth = {shown(truth)}: a GaussianMixture with K = 1 is needed")
    schedule, least = schedule_of(schedule, truth), truth.covariance.eigenvalues.double().min()
    t = schedule.check_time(t, zero=bool(least > 0)).to(least.device)
    return 1 / (schedule.sigma(t) ** 2 + schedule.alpha(t) ** 2 * least)


def empirical_lipschitz_bounds(data, t: Time, *, schedule: Schedule | None = None) -> tuple[Tensor, Tensor]:
    """The bounds on C_t of Ye et al. (2026, section 5), each of the shape of t, in float64.

    low = -1 / sigma^2 + alpha^2 / (16 sigma^4) min ||x_i - x_j||^2, high = 1 / sigma^2 + alpha^2 / (4 sigma^4) max ||x_i - x_j||^2
    over pairs i != j. data: (n, ...), n >= 2, or an `Empirical`. A repeated point makes the minimum 0 and low = -1 / sigma^2,
    which says nothing. O(n^2 d) time.
    """
    points, distinct = _points(data)
    rate, floor = _scales(t, schedule, points)
    near = _pairs(distinct, 1, largest=False)[1][0] if len(distinct) == len(points) else 0.0
    far = _pairs(distinct, 1, largest=True)[1][0] if len(distinct) > 1 else 0.0
    return rate * near**2 / 16 - floor, rate * far**2 / 4 + floor


def sharp_lipschitz_bounds(data, t: Time, *, schedule: Schedule | None = None) -> tuple[Tensor, Tensor]:
    """Tighter bounds on C_t, proved at the top of this module: max(1 / sigma^2, alpha^2 e^2 / (4 sigma^4) - 1 / sigma^2).

    low with e the least distance of two *distinct* points (repeats do not matter), high with e the largest. Equal for n = 2.
    """
    points, distinct = _points(data)
    rate, floor = _scales(t, schedule, points)
    if len(distinct) == 1:
        return floor, floor.clone()
    near, far = (_pairs(distinct, 1, largest=end)[1][0] for end in (False, True))
    return torch.maximum(floor, rate * near**2 / 4 - floor), torch.maximum(floor, rate * far**2 / 4 - floor)


def _points(data) -> tuple[Tensor, Tensor]:
    """All points (n, d) and the distinct ones, float64."""
    data = data.data if isinstance(data, Empirical) else data
    if isinstance(data, np.ndarray):
        as_numbers(data, "data", nan=True)
        data = torch.as_tensor(data)
    points = check_shaped(data, "data").reshape(len(data), -1).double()
    if points.shape[1] == 0:
        raise ValueError(f"data has shape {tuple(data.shape)}: at least one value a point is needed")
    if len(points) < 2:
        raise ValueError(f"data has n = {len(points)} points: n >= 2 is needed")
    return points, points.unique(dim=0)


def _scales(t: Time, schedule: Schedule | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha^2 / sigma^4 and 1 / sigma^2, float64, shape of t."""
    schedule = schedule_of(schedule)
    t = schedule.check_time(t).to(like.device)
    rate = (schedule.alpha(t) / schedule.sigma(t) ** 2) ** 2
    return check_result(rate, "alpha^2 / sigma^4", "a larger t is needed"), 1 / schedule.sigma(t) ** 2


def _pairs(points: Tensor, k: int, *, largest: bool) -> tuple[Tensor, Tensor]:
    """The k closest (or farthest) pairs i < j: (k, 2) and their distances (k,), sorted; fewer where there are fewer pairs."""
    n, step = len(points), max(1, NUMBERS // len(points))
    index, best = points.new_zeros(0, 2, dtype=torch.long), points.new_zeros(0)
    for start in range(0, n, step):
        rows = points[start : start + step]
        # Explicit differences: |x|^2 + |y|^2 - 2 x.y loses close pairs to cancellation.
        distance = torch.cdist(rows, points, compute_mode="donot_use_mm_for_euclid_dist")
        above = torch.ones_like(distance, dtype=torch.bool).triu(start + 1)
        distance = distance.masked_fill(~above, -math.inf if largest else math.inf).flatten()
        found = distance.topk(min(k, len(distance)), largest=largest)
        index = torch.cat([index, torch.stack([found.indices // n + start, found.indices % n], 1)])
        best, order = torch.cat([best, found.values]).sort(descending=largest)
        index, best = index[order[:k]], best[:k]
    return index[best.isfinite()], best[best.isfinite()]


@dataclass(frozen=True)
class Supremum:
    """What `sup_hessian_norm` found."""

    value: float  # Hessian norm at x: C_t is at least this
    x: Tensor  # (*event_shape), float64: rounding x to less would move the weights
    candidate: str  # the kind of candidate from which x was reached
    start: float  # Hessian norm at that candidate, before the ascent


def sup_hessian_norm(
    law, t: float, *, schedule: Schedule | None = None, pairs: int = 8, keep: int = 8, steps: int = 60, generator=None
) -> Supremum:
    """Search for C_t = sup_x ||Hessian of log p_t(x)||: a lower bound, and the point where it is reached.

    Candidates: midpoints of the `pairs` nearest, farthest and random pairs of points, means of nearest neighbours, the points
    themselves, and points far outside a vertex or an edge of the convex hull (see the module). The best `keep` then climb the largest
    eigenvalue for `steps` steps of Adam. law: an `Empirical`, or a `GaussianMixture`, whose means serve as points.
    """
    schedule = schedule_of(schedule, law)
    if not isinstance(law, (Empirical, GaussianMixture)):
        raise ValueError(f"law is {type(law).__name__}: an Empirical or a GaussianMixture is needed")
    t = as_real(t, "t")
    check_generator(generator)
    if not schedule.alpha(schedule.check_time(t)) > 0:
        raise ValueError(f"t = {t:g}: alpha is 0 there, an earlier t is needed")
    steps = check_whole(steps, "steps", 0)
    raw = torch.as_tensor(law.data) if isinstance(law, Empirical) else law.means
    points = raw.detach().reshape(len(raw), -1).double().unique(dim=0)
    options = {"schedule": schedule, "generator": generator}
    found = _candidates(points, float(t), schedule, check_count(pairs, "pairs"), generator)
    names = [name for name, rows in found for _ in rows]
    x = torch.cat([rows for _, rows in found]).reshape(-1, *law.event_shape)
    low, high = hessian_extremes(law, x, t, **options)
    norms = torch.maximum(low.abs(), high)
    best = high.topk(min(check_count(keep, "keep"), len(x))).indices
    climbed = _climb(law, x[best], t, steps, points, **options)
    everything = torch.cat([x, climbed])
    values = torch.cat([norms, hessian_norms(law, climbed, t, **options)])
    top = int(values.argmax())
    origin = top if top < len(x) else int(best[top - len(x)])
    return Supremum(float(values[top]), everything[top], names[origin], float(norms[origin]))


def _candidates(points: Tensor, t: float, schedule: Schedule, k: int, generator) -> list[tuple[str, Tensor]]:
    """Named rows (count, d) at time t."""
    alpha, variance = float(schedule.alpha(t)), float(schedule.sigma(t)) ** 2
    if len(points) == 1:
        return [("point", alpha * points)]
    near, far = (_pairs(points, k, largest=end)[0] for end in (False, True))
    rand = randn((k, len(points)), points, generator).topk(2, dim=1).indices  # pairs i != j
    around = torch.cdist(points[rand[:, 0]], points).topk(min(4, len(points)), largest=False).indices
    return [
        ("nearest pair", alpha * points[near].mean(1)),
        ("farthest pair", alpha * points[far].mean(1)),
        ("random pair", alpha * points[rand].mean(1)),
        ("cluster", alpha * torch.cat([points[around[:, :c]].mean(1) for c in (3, 4)])),
        ("point", alpha * points[rand[:, 0]]),
        ("outside", _outside(points, torch.cat([far, far.flip(1), rand]), alpha, variance)),
    ]


def _outside(points: Tensor, pairs: Tensor, alpha: float, variance: float) -> Tensor:
    """For each pair (a, b) points x, (<= 2k, d), far outside, that see one vertex only and one edge only of the convex hull.

    theta exposes a vertex i; turned towards b until another point ties with i, it exposes an edge. In whitened coordinates
    the edge is (a, b) itself whenever the points are few (n <= d + 1).
    """
    centred = points - points.mean(0)
    white = torch.linalg.pinv(centred).mT  # row i is the pseudo-inverse of centred^T centred times x_i - mean
    found = []
    for a, b in pairs.tolist():
        i = int((centred @ white[a]).argmax())
        height = (centred[i] - centred) @ white[a]  # >= 0, 0 at i
        speed = (centred - centred[i]) @ (white[b] - white[a])
        turn = torch.where(speed > 0, height / speed, math.inf)
        turn[i] = math.inf
        tied = turn <= turn.min() * (1 + 1e-9)
        j = int(torch.where(tied, (points - points[i]).square().sum(1), math.inf).argmin())
        found.append(_facing(points, i, i, white[a], alpha, variance))
        found.append(_facing(points, i, j, white[a] + turn[j] * (white[b] - white[a]), alpha, variance))
    x = torch.stack(found)
    # Where x is so far out that rounding decides the weights, it is of no use.
    return x[x.isfinite().all(1) & (1e-16 * x.square().sum(1) < 1e-4 * variance)]


def _facing(points: Tensor, i: int, j: int, theta: Tensor, alpha: float, variance: float) -> Tensor:
    """The point (d,) above the middle of (i, j), so far along theta that points lower by a clear gap weigh below exp(-40)."""
    gap = (points[i] - points) @ theta
    gap = gap[gap > 1e-9 * gap.abs().max()]
    edge2 = (points[i] - points[j]).square().sum()
    reach = (40 * variance / alpha + alpha * edge2 / 8) / gap.min() if len(gap) else 0.0
    return alpha * (points[i] + points[j]) / 2 + reach * theta


@torch.enable_grad()
def _climb(law, x: Tensor, t: float, steps: int, points: Tensor, *, schedule: Schedule, generator) -> Tensor:
    """The best point on each path of Adam up the largest eigenvalue, shape of x; for a simple one grad = grad_x v^T H(x) v."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    spread = alpha * float((points - points.mean(0)).square().sum(1).mean().sqrt())
    x = x.clone().requires_grad_()
    # The weights of two points at distance `spread` change over sigma^2 / spread.
    optimizer = torch.optim.Adam([x], lr=0.3 * sigma * min(1.0, sigma / (spread + 1e-300)), betas=(0.8, 0.95))
    settle = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, max(1, steps))
    best, top = x.detach().clone(), x.new_full((len(x),), -math.inf)
    for _ in range(steps):
        times = torch.full((len(x),), float(t), dtype=torch.float64)
        v = _top_vectors(law, x.detach(), times, schedule, generator).reshape(x.shape)
        slope = torch.autograd.grad((law.score(x, t, schedule=schedule) * v).sum(), x, create_graph=True)[0]
        curvature = (slope * v).flatten(1).sum(1)
        better = curvature.detach() > top
        best[better], top = x.detach()[better], torch.maximum(top, curvature.detach())
        (x.grad,) = torch.autograd.grad(-(curvature.sum()), x)
        optimizer.step()
        settle.step()
    return best


def _top_vectors(law, x: Tensor, t: Tensor, schedule: Schedule, generator) -> Tensor:
    if law.d <= EXACT:
        return torch.linalg.eigh(law.hessian(x, t, schedule=schedule)).eigenvectors[..., -1]
    start = randn((len(x), law.d), x, generator)
    apply = _hessian_product(law, x, t, schedule)
    return extreme_pairs(apply, start, ends=(-1,), tol=1e-3, max_steps=300, generator=generator)[1][..., 0]
