"""Operators of PyTorch behind an underscore, each with the public form that stands in where a version lacks it; no other module names one."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["LINEAR_POINTWISE", "TorchDispatchMode", "linear_pointwise", "softmax_gradient", "transforms_active"]

LINEAR_POINTWISE = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None: this build has no oneDNN
_TRANSFORMS_ACTIVE = getattr(torch._C, "_are_functorch_transforms_active", None)
_SOFTMAX_GRADIENT = getattr(torch, "_softmax_backward_data", None)


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


def softmax_gradient(g: Tensor, p: Tensor) -> Tensor:
    """Gradient in the logits of p = softmax over the last axis, p (g - sum p g), from g, that in p; all of one shape."""
    if _SOFTMAX_GRADIENT is None:
        return p * (g - (p * g).sum(-1, keepdim=True))
    return _SOFTMAX_GRADIENT(g, p, -1, p.dtype)
