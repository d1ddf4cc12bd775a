"""A network without its smallest weights."""

import copy

import torch

from ..networks import MLP, Denoiser
from ..numerics.checks import check_real


@torch.no_grad()
def prune_smallest(model: Denoiser, share: float) -> Denoiser:
    """A copy of a single MLP denoiser in which the given share of the weights of each layer, the smallest in size, is 0 (Han et al. 2015).

    Args:
        model: a denoiser around a single MLP.
        share: in [0, 1); at 0 the weights stay as they are. Biases stay.

    Returns:
        A new denoiser.

    Raises:
        ValueError: another network, a share outside.
    """
    if not isinstance(model, Denoiser) or not isinstance(model.network, MLP) or model.copies is not None:
        raise ValueError(f"model is {type(model).__name__}: a denoiser around a single MLP is needed")
    share = check_real(share, "share", "a number in [0, 1)", low=0, high=1)
    if share == 1:
        raise ValueError("share = 1: a number in [0, 1) is needed")
    pruned = copy.deepcopy(model)
    for p in pruned.network.weights:
        k = int(share * p.numel())
        if k:
            p.view(-1)[p.abs().view(-1).argsort(stable=True)[:k]] = 0
    return pruned
