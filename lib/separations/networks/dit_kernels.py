"""Faster forms of what a transformer's block does most, for float32 on a CPU: the same values to rounding, gradients written out.

Linear maps go to oneDNN, which adds the bias (and the GELU, where no gradient is asked for) in the same pass; GELU and its slope
come from one sigmoid in pieces that stay in the cache; attention over few tokens is two batched products. Anything else (a GPU,
float64, autocast, a transform of torch.func) takes the plain form, by which `tests/test_dit.py` judges the fast one. Neither has
a second derivative on a CPU, where the streaming attention kernel has none.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..numerics.private_operators import linear_pointwise, transforms_active

FEW_TOKENS = 64  # up to here attention by two batched products is faster than the streaming kernel, its gradient by far
PIECE = 1 << 18  # numbers of a hidden layer worked on at a time: they fit in the cache of a core
# GELU, tanh form: h sigmoid(2 sqrt(2 / pi) (h + 0.044715 h^3))
_A = 2 * math.sqrt(2 / math.pi)
_B = 0.044715 * _A


def linear(x: Tensor, layer: nn.Linear | nn.Conv2d) -> Tensor:
    """layer.weight x + layer.bias over the last axis of x (..., in) -> (..., out); the weight of a convolution is flattened."""
    weight = layer.weight.flatten(1)
    if not _fast(x, weight):
        return F.linear(x, weight, layer.bias)
    rows = x.reshape(-1, x.shape[-1])
    out = (
        _Linear.apply(rows, weight, layer.bias)
        if torch.is_grad_enabled()
        else linear_pointwise(rows, weight, layer.bias)
    )
    return out.view(*x.shape[:-1], -1)


def mlp(x: Tensor, fc1: nn.Linear, fc2: nn.Linear) -> Tensor:
    """fc2(GELU(fc1(x))), GELU in its tanh form: (..., D) -> (..., D)."""
    if not _fast(x, fc1.weight):
        return fc2(F.gelu(fc1(x), approximate="tanh"))
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        out = _MLP.apply(rows, fc1.weight, fc1.bias, fc2.weight, fc2.bias)
    else:
        out = linear_pointwise(linear_pointwise(rows, fc1.weight, fc1.bias, gelu=True), fc2.weight, fc2.bias)
    return out.view(*x.shape[:-1], -1)


def attention(qkv: Tensor, heads: int) -> Tensor:
    """softmax(q k / sqrt(head_dim)) v of each head; qkv (m, N, 3 heads head_dim) -> (m, heads, N, head_dim)."""
    m, N, _ = qkv.shape
    if N <= FEW_TOKENS and torch.is_grad_enabled() and qkv.requires_grad and _fast(qkv, qkv):
        return _Attention.apply(qkv, heads)
    q, k, v = qkv.view(m, N, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    # the streaming kernel knows no vmap: it would go row by row
    if not torch.compiler.is_compiling() and transforms_active():
        return torch.softmax(q @ k.mT * k.shape[-1] ** -0.5, -1) @ v
    return F.scaled_dot_product_attention(q, k, v)


def _fast(x: Tensor, weight: Tensor) -> bool:
    """Whether the fast form may be taken: float32 on a CPU that has oneDNN, no compiler, and nothing that changes dtypes."""
    return (
        not torch.compiler.is_compiling()  # the compiler fuses the plain form by itself
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not transforms_active()
    )


def _gelu_and_slope(h: Tensor) -> Tensor:
    """GELU of h (rows, hidden) in a new tensor; h itself becomes the slope, for the backward pass."""
    found, rows = torch.empty_like(h), max(1, PIECE // h.shape[1])
    first = h.new_tensor(_A)
    for x, out in zip(h.split(rows), found.split(rows)):
        q = torch.addcmul(first, x, x, value=_B)
        s = (q * x).sigmoid_()
        torch.mul(x, s, out=out)
        # d/dx (x s) = s + x s (1 - s) (A + 3 B x^2), and the last factor is 3 (q - 2 A / 3)
        torch.addcmul(s, torch.addcmul(out, out, s, value=-1), q.sub_(2 * _A / 3), value=3, out=x)
    return found


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return linear_pointwise(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        return _gradients(g.contiguous(), x, weight, ctx.needs_input_grad)


def _gradients(g: Tensor, x: Tensor, weight: Tensor, asked) -> tuple[Tensor | None, ...]:
    """Of x, weight and bias, from that of the output g (rows, out); None for what is not asked for."""
    return (
        linear_pointwise(g, weight.t()) if asked[0] else None,
        g.t() @ x if asked[1] else None,
        g.sum(0) if asked[2] else None,
    )


class _MLP(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight1, bias1, weight2, bias2):
        slope = linear_pointwise(x, weight1, bias1)
        hidden = _gelu_and_slope(slope)
        ctx.save_for_backward(x, weight1, slope, hidden, weight2)
        return linear_pointwise(hidden, weight2, bias2)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight1, slope, hidden, weight2 = ctx.saved_tensors
        asked = ctx.needs_input_grad
        inner, *second = _gradients(g.contiguous(), hidden, weight2, (True, *asked[3:]))
        return (*_gradients(inner.mul_(slope), x, weight1, asked[:3]), *second)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv, heads):
        m, N, D = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        qkv = qkv.view(m, N, 3, heads, -1).permute(2, 0, 3, 1, 4).reshape(3, m * heads, N, -1)
        q, k, v = qkv
        logits = torch.baddbmm(q.new_empty(()), q, k.mT, beta=0, alpha=(D // heads) ** -0.5)
        weights = torch.softmax(logits, -1)  # (m heads, N, N)
        ctx.save_for_backward(qkv, weights)
        ctx.heads = heads
        return torch.bmm(weights, v).view(m, heads, N, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (q, k, v), weights = ctx.saved_tensors
        m, heads, N, size = g.shape
        g, found = g.reshape(m * heads, N, size), g.new_empty(3, m * heads, N, size)
        torch.bmm(weights.mT, g, out=found[2])
        slope = torch.bmm(g, v.mT)
        slope = slope.sub_((weights * slope).sum(-1, keepdim=True)).mul_(weights).mul_(size**-0.5)
        torch.bmm(slope, k, out=found[0])
        torch.bmm(slope.mT, q, out=found[1])
        return found.view(3, m, heads, N, size).permute(1, 3, 0, 2, 4).reshape(m, N, -1), None
