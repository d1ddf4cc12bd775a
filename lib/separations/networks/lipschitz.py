"""Lipschitz constants of networks: an upper bound by the product of norms, and the exact local one by the Jacobian."""

import math

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_generator, check_positive, check_real, check_weights, randn
from ..numerics.lanczos import extreme_pairs, is_exact
from ..parameterizations import coefficients
from ..schedules import Schedule, Time
from .denoiser import Denoiser
from .mlp import MLP

# sup |f'|, rounded up in the last digit; tests/test_lipschitz.py checks each on a grid.
SLOPES = {"relu": 1.0, "tanh": 1.0, "sigmoid": 0.25, "softplus": 1.0, "silu": 1.0999, "gelu": 1.1290, "identity": 1.0}


@torch.no_grad()
def product_of_norms(network: torch.nn.Module, *, slope: float | None = None) -> Tensor:
    """Upper bound on the Lipschitz constant of a network in x: the product of spectral norms and of sup |activation'|.

    network: an `MLP` (of its first weight only the rows of x count; a stack gives (c,)), or a nest of torch.nn.Sequential of
    Linear, elementwise activations, Identity, Flatten. slope: sup |f'| of an activation not known here. In float64.
    Raises ValueError for any other module. For the score of a `Denoiser` see `score_lipschitz_bound`.
    """
    if isinstance(network, torch.nn.Module):
        check_weights(network, "network")
    if isinstance(network, MLP):
        d, (first, *rest) = network.event_shape[0], network.weights
        norms = [torch.linalg.matrix_norm(w.double(), 2) for w in (first[..., :d, :], *rest)]
        return math.prod(norms) * _slope(network.activation, slope) ** (network.depth - 1)
    if isinstance(network, torch.nn.Sequential):
        return math.prod((product_of_norms(layer, slope=slope) for layer in network), start=torch.tensor(1.0).double())
    if isinstance(network, torch.nn.Linear):
        return torch.linalg.matrix_norm(network.weight.double(), 2)
    return torch.tensor(_slope(network, slope), dtype=torch.float64)


def _slope(activation, slope: float | None) -> float:
    """sup |f'| of an elementwise function or module."""
    name = getattr(activation, "__name__", type(activation).__name__).lower()
    if name == "leakyrelu":
        return max(1.0, abs(activation.negative_slope))
    own = {} if slope is None else {name: check_real(slope, "slope", "a number >= 0", low=0)}
    known = SLOPES | {"flatten": 1.0} | own
    if name not in known:
        raise ValueError(f"network has a {name}: Linear and {', '.join(known)} are known, or give slope=")
    return float(known[name])


def score_lipschitz_bound(model: Denoiser, t: Time, *, slope: float | None = None) -> Tensor:
    """Upper bound on the Lipschitz constant of model.score(., t): shape of t, or (c,) and (c, *t.shape) for a stack.

    score = a x + b network((x - alpha mean) / scale), scale^2 = alpha^2 data_std^2 + sigma^2, so |a| + |b| / scale *
    `product_of_norms`. The factor b grows like 1 / sigma for "eps": at small t it outweighs what weight decay can do.
    """
    if not isinstance(model, Denoiser):
        raise ValueError(f"model is {type(model).__name__}: a Denoiser is needed")
    t = model.schedule.check_time(t)
    a, b = coefficients(model.prediction, "score", t, schedule=model.schedule)
    scale = (model.schedule.alpha(t) ** 2 * model.data_std**2 + model.schedule.sigma(t) ** 2).sqrt()
    norm = product_of_norms(model.network, slope=slope)
    a, b = a.to(norm), (b / scale).to(norm)
    return a.abs() + b.abs() * (norm[(..., *[None] * t.ndim)] if norm.ndim else norm)


def local_lipschitz(
    model, x: Tensor, t: Time, *, schedule: Schedule | None = None, method: str = "auto", tol: float = 1e-4,
    max_steps: int = 300, generator=None,
) -> Tensor:  # fmt: skip
    """Spectral norm of the Jacobian of model.score in x at each x: (m,), or (c, m) for a stack of networks.

    x: (m, *event_shape) or (c, m, *event_shape); t: what model.score takes; rows must not mix in the model. method "exact": all d
    rows of the Jacobian by backward passes; "krylov": Lanczos on J^T J with products with J and J^T; "auto": exact for d <= 64.
    Raises ValueError for a score that autograd cannot follow, RuntimeError if `max_steps` products do not reach `tol`.
    """
    event = tuple(model.event_shape)
    tol, max_steps, generator = (
        check_positive(tol, "tol"),
        check_count(max_steps, "max_steps"),
        check_generator(generator),
    )
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        raise ValueError(f"x is {x.dtype if isinstance(x, torch.Tensor) else x!r}: a floating-point tensor is needed")
    lead = tuple(x.shape[: max(0, x.ndim - len(event))])
    d, x = math.prod(event), x.detach().clone().requires_grad_()
    exact = is_exact(method, d)
    with torch.enable_grad():
        score = model.score(x, t) if schedule is None else model.score(x, t, schedule=schedule)
    if not score.requires_grad or torch.autograd.grad(score.sum(), x, retain_graph=True, allow_unused=True)[0] is None:
        raise ValueError("model.score(x, t) carries no gradient to x: a differentiable model is needed")
    if exact:
        units = torch.eye(d, dtype=x.dtype, device=x.device).reshape(d, *[1] * len(lead), *event)
        rows = [torch.autograd.grad(score, x, u.expand_as(x), retain_graph=True)[0].detach() for u in units]
        return torch.linalg.matrix_norm(torch.stack(rows, -1).reshape(*lead, d, d), 2)
    start = randn((math.prod(lead), d), x.detach(), generator)
    squares, _ = extreme_pairs(
        _gram_product(score, x), start, ends=(-1,), tol=tol, max_steps=max_steps, generator=generator
    )
    return squares[:, 0].clamp(min=0).sqrt().reshape(lead)


def _gram_product(score: Tensor, x: Tensor):
    """v -> J^T J v. J v is the derivative in u of <J^T u, v>: two backward passes, and no forward-mode rules are needed."""
    with torch.enable_grad():
        u = torch.zeros_like(score, requires_grad=True)
        pulled = torch.autograd.grad(score, x, u, create_graph=True)[0]

    def apply(v: Tensor) -> Tensor:
        pushed = torch.autograd.grad(pulled, u, v.reshape(x.shape), retain_graph=True)[0]
        return torch.autograd.grad(score, x, pushed, retain_graph=True)[0].reshape(v.shape)

    return apply
