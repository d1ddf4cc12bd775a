"""One-shot pruning of attention heads: which are to go, and the network without them.

Algorithm 1 of Ye et al. (2026) is three calls: `head_importance` with a timestep distribution, `choose_heads`, `prune_heads`; then
`train` again.
"""

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from ..numerics.checks import check_generator, check_real, check_whole, shown
from .importance import HeadImportance, _dit_of

ORDERS = ("lowest", "highest", "random")


def choose_heads(
    importance: HeadImportance | Tensor,
    ratio: float,
    order: str = "lowest",
    *,
    at_least: int = 1,
    generator: torch.Generator | None = None,
) -> list[tuple[int, int]]:
    """The floor(ratio H) heads to remove: the least important ones (Algorithm 1), the most important, or random.

    Args:
        importance: (L, H), NaN where there is no head; with order="random" only its shape counts.
        ratio: share of the heads that goes, in [0, 1).
        order: "lowest", "highest" or "random".
        at_least: heads that every layer keeps, here 1 (the paper does not say); with 0 a layer may lose all of them.
        generator: of the random order; None for torch's own.

    Returns:
        The heads as (layer, head), sorted.

    Raises:
        ValueError: for a ratio outside [0, 1), an unknown order, or a ratio that `at_least` does not leave room for.
    """
    values = _table(importance)
    ratio = check_real(ratio, "ratio", "a number in [0, 1)", low=0, high=1, open_high=True)
    at_least, generator = check_whole(at_least, "at_least", 0), check_generator(generator)
    if order not in ORDERS:
        raise ValueError(f"order = {shown(order)}: one of {', '.join(ORDERS)} is needed")
    slots = [(l, h) for l, h in (~values.isnan()).nonzero().tolist()]
    left = (~values.isnan()).sum(1).tolist()
    wanted = int(ratio * len(slots) + 1e-9)
    room = sum(max(n - at_least, 0) for n in left)
    if wanted > room:
        raise ValueError(
            f"ratio = {ratio}, at_least = {at_least}: {wanted} of {len(slots)} heads are to go, but only {room} can if each layer keeps {at_least}"
        )
    chosen = []
    for l, h in _ranked(slots, values, order, generator):
        if len(chosen) < wanted and left[l] > at_least:
            chosen.append((l, h))
            left[l] -= 1
    return sorted(chosen)


def _table(importance: HeadImportance | Tensor) -> Tensor:
    """(L, H) numbers or NaN."""
    try:
        values = importance.score if isinstance(importance, HeadImportance) else torch.as_tensor(importance)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"importance is {type(importance).__name__}: a (layers, heads) tensor is needed") from None
    if values.ndim != 2 or values.is_complex():
        raise ValueError(
            f"importance has shape {tuple(values.shape)}, {values.dtype}: (layers, heads) numbers are needed"
        )
    if values.isinf().any():
        raise ValueError("importance has infinite values: finite ones, or NaN where there is no head, are needed")
    return values


def _ranked(slots, values: Tensor, order: str, generator) -> list[tuple[int, int]]:
    if order == "random":
        device = None if generator is None else generator.device
        return [slots[i] for i in torch.randperm(len(slots), generator=generator, device=device).tolist()]
    return sorted(slots, key=lambda slot: float(values[slot]), reverse=order == "highest")


def prune_heads(model: Denoiser, heads: list[tuple[int, int]]) -> Denoiser:
    """A smaller denoiser without the listed heads, weights copied: it computes what masking them computes.

    Args:
        model: a denoiser with a DiT; it is not changed.
        heads: (layer, head) each.

    Returns:
        A new denoiser.

    Raises:
        ValueError: for a model without a DiT, and a head that is not there or is listed twice.
    """
    net = _dit_of(model)
    listed = [_slot(one, net.config.depth, i) for i, one in enumerate(heads if hasattr(heads, "__iter__") else [heads])]
    gone, there = set(listed), {(l, h) for l, n in enumerate(net.config.heads) for h in range(n)}
    if len(gone) != len(listed) or not gone <= there:
        wrong = sorted(gone - there) or "a head listed twice"
        raise ValueError(
            f"heads has {wrong}: distinct (layer, head) out of {len(there)} heads, {net.config.heads} a layer, are needed"
        )
    kept = [[h for h in range(n) if (l, h) not in gone] for l, n in enumerate(net.config.heads)]
    return model.with_network(net.with_heads(kept))


def _slot(one, depth: int, i: int) -> tuple[int, int]:
    """One entry of a list of heads."""
    try:
        layer, head = one
    except (TypeError, ValueError):
        raise ValueError(f"heads[{i}] = {one!r}: a pair (layer, head) is needed") from None
    try:
        return check_whole(layer, "layer", 0, depth - 1), check_whole(head, "head", 0)
    except ValueError as error:
        raise ValueError(f"heads has {one!r} as entry {i}: {error}") from None
