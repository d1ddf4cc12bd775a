"""Importance of attention heads: Algorithm 2 of Ye et al. (2026), and the rival that needs no data.

An importance is a (L, H) tensor, layers by heads; a place without a head (a network that was pruned before) holds NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from ..networks.dit import DiT
from ..numerics.checks import check_count, check_generator, check_points, check_weights, randn, shown
from ..training.objective import draw_times, loss_factor

AVERAGES = ("sample", "batch", "token")


@dataclass(frozen=True)
class HeadImportance:
    """Importance of the heads, and what it is made of. All tensors (L, H) float64 on the CPU, NaN where there is no head."""

    score: Tensor  # mean absolute gradient over the L2 norm of its layer: I(h) of Algorithm 2
    gradient: Tensor  # mean absolute gradient, before the norm
    error: Tensor  # standard error of `gradient` over samples (average="sample" and "token") or batches ("batch")
    average: str


def mask_gradients(
    model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, *, weight="eps", per_token: bool = False
) -> Tensor:
    """d loss_i / d xi_{i, l, h} at xi = 1, for each sample i by one backward pass.

    xi weighs the output of head h of layer l (Michel et al. 2019). The loss is the sum over samples, and each sample
    has its own xi, so the gradient of the sum is that of each sample.

    Args:
        model: a denoiser with a DiT.
        x0: data, (m, *event_shape).
        t: (m,).
        eps: the noise, of the shape of x0.
        weight: which loss, see `train`.
        per_token: whether each token has a xi of its own.

    Returns:
        (m, L, H), or (m, L, H, N) per token.

    Raises:
        ValueError: for a model without a DiT, shapes that do not fit, values that are not finite, t outside (0, t_max].
    """
    net = _dit_of(model)
    check_points(x0, model.event_shape, "x0")
    t = model.schedule.check_time(t).to(x0.device)
    check_points(eps, model.event_shape, "eps")
    if eps.shape != x0.shape or t.shape != x0.shape[:1]:
        raise ValueError(
            f"eps has shape {tuple(eps.shape)}, t {tuple(t.shape)}: that of x0, {tuple(x0.shape)}, and ({len(x0)},) are needed"
        )
    column = t.reshape(-1, *[1] * (x0.ndim - 1))
    xt = model.schedule.add_noise(x0, column, eps)
    shape = (len(x0), net.config.depth, max(net.config.heads), *([net.config.tokens] if per_token else []))
    mask = torch.ones(shape, dtype=x0.dtype, device=x0.device, requires_grad=True)
    with _frozen(net):  # the gradient in the weights is not asked for: half of the backward pass is saved
        error = model.predict("eps", xt, t, head_mask=mask) - eps
        terms = error.square().flatten(1).sum(1)
        terms = terms * loss_factor(weight, t, model.schedule).to(terms)
        (gradient,) = torch.autograd.grad(terms.sum(), mask)
    return gradient.detach()


class _frozen:
    """No weight of the network asks for a gradient inside this block."""

    def __init__(self, net: DiT):
        self.asking = [p for p in net.parameters() if p.requires_grad]

    def __enter__(self):
        for p in self.asking:
            p.requires_grad_(False)

    def __exit__(self, *error):
        for p in self.asking:
            p.requires_grad_(True)


def head_importance(
    model: Denoiser,
    data: Tensor,
    times,
    *,
    samples: int = 2048,
    batch: int = 64,
    average: str = "sample",
    weight="eps",
    generator: torch.Generator | None = None,
) -> HeadImportance:
    """I(h) = E |d L(x, t) / d xi_h| over x of data and t of times, divided by the L2 norm over its layer (Algorithm 2).

    Args:
        model: a denoiser with a DiT.
        data: (n, *event_shape).
        times: an object with ``.sample(m, generator)`` or such a function, as in `train`.
        samples: how many (x, t, noise) are drawn.
        batch: how many of them a backward pass takes.
        average: what stands inside the absolute value: the gradient of a sample ("sample", the formula), of the mean of
            a batch ("batch", the pseudocode), or of a sample and token ("token", the code of Liang et al. 2021).
        weight: which loss, see `train`.
        generator: of the random numbers; None for torch's own.

    Returns:
        A `HeadImportance`, tables (L, H) with NaN where there is no head.

    Raises:
        ValueError: for a model without a DiT, without heads, with weights that are not finite or that does not depend
            on the heads of a layer, bad data or times, gradients that are not finite, an unknown average, or samples <
            2 batches with average="batch".
    """
    net = _dit_of(model)
    check_weights(model), check_generator(generator)
    if not any(net.config.heads):
        raise ValueError(f"model has heads = {net.config.heads}: at least one head is needed")
    check_points(data, model.event_shape, "data")
    samples, batch = check_count(samples, "samples"), check_count(batch, "batch")
    if average not in AVERAGES:
        raise ValueError(f"average = {shown(average)}: one of {', '.join(AVERAGES)} is needed")
    if average == "batch" and samples < 2 * batch:
        raise ValueError(f"samples = {samples}, batch = {batch}: at least two batches are needed with average='batch'")
    like = next(net.parameters())
    draw, terms = getattr(times, "sample", times), []
    if not callable(draw) or isinstance(times, type):
        raise ValueError(f"times = {shown(times)}: a function (m, generator) or an object with .sample is needed")
    for done in range(0, samples, batch):
        m = min(batch, samples - done)
        device = None if generator is None else generator.device
        index = torch.randint(len(data), (m,), generator=generator, device=device)
        x0 = data[index.to(data.device)].to(like)
        t = draw_times(draw, m, generator).to(like.device)
        gradient = mask_gradients(
            model, x0, t, randn(tuple(x0.shape), x0, generator), weight=weight, per_token=average == "token"
        )
        terms.append(_inside(gradient.double(), average))
    terms, slots = torch.cat(terms).cpu(), net.head_slots()
    if not terms[:, slots].isfinite().all():
        raise ValueError("the gradients are not finite: a weight and times that give a finite loss are needed")
    mean = terms.mean(0).masked_fill(~slots, torch.nan)
    error = (terms.std(0) / len(terms) ** 0.5).masked_fill(~slots, torch.nan)
    norm = mean.nan_to_num().square().sum(1, keepdim=True).sqrt()
    if (norm[slots.any(1)] == 0).any():
        raise ValueError("model does not depend on the heads of a layer at all (adaLN gates of 0?): train it first")
    return HeadImportance(mean / norm, mean, error, average)


def _inside(gradient: Tensor, average: str) -> Tensor:
    """What is averaged over the rows: (rows, L, H)."""
    if average == "batch":
        return gradient.mean(0, keepdim=True).abs()
    return gradient.abs() if average == "sample" else gradient.abs().sum(-1)


def head_magnitude(model: Denoiser) -> Tensor:
    """Frobenius norm of the product of a head's value and output maps, over the L2 norm of its layer, (L, H): needs no data.

    The rival "magnitude": what head h can add to a token is W_proj,h W_v,h times the token, whatever the attention is. NaN where
    there is no head, a whole row of it for a layer that lost all; ValueError for weights that are not finite.
    """
    net = _dit_of(model)
    check_weights(model)
    found = torch.full(net.head_slots().shape, torch.nan, dtype=torch.float64)
    for l, (block, heads) in enumerate(zip(net.blocks, net.config.heads)):
        if heads == 0:
            continue
        size = net.config.head_dim
        value = block.attn.qkv.weight.detach().double()[2 * heads * size :].reshape(heads, size, -1)
        out = block.attn.proj.weight.detach().double().reshape(-1, heads, size)
        for h in range(heads):
            found[l, h] = (out[:, h] @ value[h]).norm()
        found[l] /= (
            found[l, :heads].norm().clamp(min=torch.finfo(found.dtype).tiny)
        )  # heads that can add nothing stay 0
    return found


def _dit_of(model: Denoiser) -> DiT:
    """The network of a model. ValueError unless it is a `Denoiser` of a `DiT`."""
    net = getattr(model, "network", None)
    if not isinstance(net, DiT):
        raise ValueError(f"model is {type(model).__name__} with {type(net).__name__}: a Denoiser of a DiT is needed")
    return net
