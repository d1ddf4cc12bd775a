"""Operators of PyTorch behind an underscore, each with the public form that stands in where a version lacks it; no other module names one.

What they gain, with and without in turn (torch 2.14, float32, one thread of an AMD EPYC, medians of pairs), on the network of the recipe
mnist-memorizing: `linear_pointwise` saves 4 % of a call without gradient and costs 2 % of a training step at the recipe's batch of 64, and
saves 20 % and 5 % at a batch of 256. `byte_product` takes a fifth of the time of a product in float32, where the processor has instructions
for it (`rounded_rows` measures whether). `transforms_active` says when the forms of `networks.dit_kernels` must step aside.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["LINEAR_POINTWISE", "TorchDispatchMode", "byte_product", "linear_pointwise", "transforms_active"]

LINEAR_POINTWISE = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # None: this build has no oneDNN
_BYTE_PRODUCT = getattr(torch, "_int_mm", None)
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


def byte_product(a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor | None:
    """Exact products of signed bytes on a CPU.

    Args:
        a: (m, d) int8.
        b: (n, d) int8.
        out: (m, n) int32 to write to, or None for new memory.

    Returns:
        (m, n) int32; None where this PyTorch has no kernel for it, or the factors lie on another device.
    """
    if _BYTE_PRODUCT is None or a.device.type != "cpu":  # on a GPU its shapes are restricted, and bfloat16 is as fast
        return None
    if (
        a.shape[1] == 1
    ):  # torch 2.14 gives wrong products of single columns (findings/torch_int8_product_of_one_column.sh)
        return torch.mul(a.int(), b.T, out=out)
    try:
        return _BYTE_PRODUCT(a, b.T) if out is None else _BYTE_PRODUCT(a, b.T, out=out)
    except (RuntimeError, NotImplementedError):
        return None


def transforms_active() -> bool:
    """Whether a transform of torch.func (vmap, grad, ...) is at work; True where PyTorch cannot say, so that the plain forms are taken."""
    return _TRANSFORMS_ACTIVE is None or _TRANSFORMS_ACTIVE()
