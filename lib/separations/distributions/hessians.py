"""Eigenvalues of the Hessian of log p_t at given points, exact or by Lanczos with Hessian-vector products.

Lemma C.1 of Ye et al. (2026), Hessian = -I / sigma^2 + alpha^2 / sigma^4 Cov[X_0 | X_t = x], fixes the signs: no eigenvalue is
below -1 / sigma^2, and only where the posterior is spread is one large and positive.
"""

import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count, check_generator, check_model, check_points, check_result, randn
from ..numerics.lanczos import extreme_pairs, is_exact
from ..schedules import Schedule, Time, schedule_of
from .empirical import Empirical

NUMBERS = 2**23  # numbers one array of a query may have


def hessian_extremes(
    law, x: Tensor, t: Time, *, schedule: Schedule | None = None, method: str = "auto", tol: float = 1e-6,
    max_steps: int = 300, generator=None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Smallest and largest eigenvalue of the Hessian of log p_t at each x (m, *event_shape): two (m,) in float64.

    method "exact": eigenvalues of ``law.hessian``, (m, d, d); "krylov": Lanczos with Hessian-vector products, O(m d) memory a
    step (for `Empirical` streamed over the data); "auto": exact for d <= 64. tol: error, relative to the spectral norm.
    Raises ValueError for bad x, t, method, and RuntimeError if `max_steps` products do not reach `tol`.
    """
    schedule, x = schedule_of(schedule, law), check_points(x, _event_shape(law)).detach().double()
    max_steps = check_count(max_steps, "max_steps")
    check_generator(generator)
    if not 0 < as_real(tol, "tol") < 1:
        raise ValueError(f"tol = {tol}: a number in (0, 1) is needed")
    exact = is_exact(method, law.d)
    law._prepare(x, t, schedule)  # checks t
    step = max(1, NUMBERS // (law.d**2 if exact else max(64 * law.d, getattr(law, "n", 1))))
    found = []
    for xs, ts in zip(x.split(step), torch.as_tensor(t, dtype=torch.float64).expand(len(x)).split(step)):
        if exact:
            found.append(torch.linalg.eigvalsh(law.hessian(xs, ts, schedule=schedule).detach())[:, [0, -1]])
        else:
            apply, start = _hessian_product(law, xs, ts, schedule), randn((len(xs), law.d), xs, generator)
            found.append(extreme_pairs(apply, start, tol=tol, max_steps=max_steps, generator=generator)[0])
    low, high = torch.cat(found).unbind(1)
    return low, high


def _event_shape(law) -> tuple[int, ...]:
    return check_model(law, "score", "hessian", name="law").event_shape


def hessian_norms(law, x: Tensor, t: Time, **options) -> Tensor:
    """Spectral norm of the Hessian of log p_t at each x, (m,) in float64: the larger of |`hessian_extremes`|, with its options."""
    low, high = hessian_extremes(law, x, t, **options)
    return torch.maximum(low.abs(), high.abs())


def _hessian_product(law, x: Tensor, t: Tensor, schedule: Schedule):
    """v -> Hessian v, (m, d) -> (m, d), one Hessian a row. The Hessian is symmetric: one backward pass through the score."""
    if isinstance(law, Empirical):
        return _posterior_product(law, *law._prepare(x, t, schedule))
    with torch.enable_grad():
        x = x.requires_grad_()
        score = law.score(x, t, schedule=schedule)
    return lambda v: torch.autograd.grad(score, x, v.reshape(x.shape), retain_graph=True)[0].flatten(1)


def _posterior_product(law: Empirical, x: Tensor, alpha: Tensor, sigma: Tensor):
    """Lemma C.1 without a matrix: Cov v = sum_i w_i (x_i . v - mean . v) x_i, two products with the data."""
    check_result((alpha / sigma**2) ** 2, "alpha^2 / sigma^4", "a larger t is needed")
    weights = law._weights(x, alpha, sigma)  # (m, n)

    def apply(v: Tensor) -> Tensor:
        along = torch.cat([v @ block.mT for _, block in law.rows.blocks(x.device, torch.float64)], 1)
        pull = weights * (along - (weights * along).sum(1, keepdim=True))
        cov = sum(pull[:, part] @ block for part, block in law.rows.blocks(x.device, torch.float64))
        return (alpha / sigma**2) ** 2 * cov - v / sigma**2

    return apply
