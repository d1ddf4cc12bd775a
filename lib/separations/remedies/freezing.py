"""Training only some layers, chosen for each copy of a stack."""

from collections.abc import Sequence

import torch

from ..networks import MLP
from ..numerics.checks import shown


def freeze_layers(network: MLP, trained: Sequence[Sequence[bool]]) -> list:
    """Let each copy learn only in the layers chosen for it; the others keep their weights exactly under Adam without weight decay.

    Args:
        network: a stack of c networks of L layers.
        trained: (c, L), whether copy i learns in layer l.

    Returns:
        Handles; `handle.remove()` of each ends it.

    Raises:
        ValueError: for a network that is no stack, a table of another shape, and entries that are neither true nor false.
    """
    if not isinstance(network, MLP) or network.copies is None:
        raise ValueError(f"network is {type(network).__name__}: a stack of MLPs is needed")
    want = f"{network.copies} rows of {network.depth}, each True or False, are needed"
    try:
        masks = torch.as_tensor(trained).to(torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"trained = {shown(trained)}: {want}") from None
    if masks.shape != (network.copies, network.depth):
        raise ValueError(f"trained has shape {tuple(masks.shape)}: {want}")
    if not ((masks == 0) | (masks == 1)).all():
        raise ValueError(f"trained = {shown(masks.tolist())}: {want}")
    handles = []
    for layer in range(network.depth):
        factor = masks[:, layer, None, None]
        for p in (network.weights[layer], network.biases[layer]):
            handles.append(p.register_hook(lambda g, factor=factor: g * factor.to(g)))
    return handles
