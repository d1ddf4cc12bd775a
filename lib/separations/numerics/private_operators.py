"""Operators of PyTorch behind an underscore, each with the public form that stands in where a version lacks it; no other module names one.

What they gain, with and without in turn (torch 2.14, float32, one thread of an AMD EPYC, medians of pairs), on the network of the recipe
mnist-memorizing: `linear_pointwise` saves 4 % of a call without gradient and costs 2 % of a training step at the recipe's batch of 64, and
saves 20 % and 5 % at a batch of 256. `transforms_active` says when the forms of `networks.dit_kernels` must step aside.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["LINEAR_POINTWISE", "TorchDispatchMode", "linear_pointwise", "transforms_active"]

LINEAR_POINTWISE = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None: this build has no oneDNN
_TRANSFORMS_ACTIVE = getattr(torch._C, "_are_functorch_transforms_active", None)


def linear_pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """x weight^T + bias in one pass of oneDNN, then possibly a GELU (tanh form), for float32 on a CPU.

    Args:
        x: (rows, in).
        weight: (out, in).
        bias: (out,), or None for 0.
        gelu: whether the GELU follows, in the same pass.

    Returns:
        (rows, out), without a gradient: who needs one writes it out.
    """
    if LINEAR_POINTWISE is None:
        out = F.linear(x, weight, bias)
        return F.gelu(out, approximate="tanh") if gelu else out
    return LINEAR_POINTWISE(x, weight, bias, "gelu" if gelu else "none", [], "tanh" if gelu else "")


def transforms_active() -> bool:
    """Whether a transform of torch.func (vmap, grad, ...) is at work; True where PyTorch cannot say, so that the plain forms are taken."""
    return _TRANSFORMS_ACTIVE is None or _TRANSFORMS_ACTIVE()
