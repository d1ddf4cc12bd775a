"""Many small diffusion transformers at once: `DiTStack`, c independent `dit.DiT`s with stacked weights; see `denoiser` for the shapes.

Copies and images lie behind one another in one batch, (c m, N, D), which LayerNorm, attention and all elementwise work take as it is. What has
weights is a batched product with those of each copy.

What it gains on a CPU is little: 6 to 12 networks of the book's size (width 96, depth 6, batch 64) took 1.15 to 1.4 times as long one after
another, in seconds that the processor worked, on a machine with much other work. Their matrix products are about 40 % of a step and near
the speed of the processor in single precision already, so that no stack can be 2.5 times as fast there. What is saved are calls, many small
updates of optimiser and average, and draws; but the tensors of all copies no longer fit in a cache, and elementwise work waits for memory.
Where PyTorch is told to round the factors of products to bfloat16 (`torch.backends.mkldnn.matmul.fp32_precision`, the caller's to set), it was
1.4 times; what that does to trained networks was not examined.
Networks so small that calls are most of their work gain more (3 times at width 16, depth 2). On a GPU, where small kernels wait for their
launches, it was not measured. `benchmarks/stacked_transformers.py` measures it.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..numerics.checks import check_count, check_memory, check_whole
from .dit import DiT
from .dit_blocks import DiTConfig, TimestepEmbedder, modulate
from .dit_kernels import _fast, _gelu_and_slope, attention
from .mlp import Generators, one_each


class DiTStack(nn.Module):
    """c diffusion transformers on images (c, m, C, H, W) with log_snr (c, m); nothing mixes between copies.

    The weights have the names that they have in `DiT`, and one dimension more, the first.

    Args:
        config: size of each; None for that of the book's digits.
        copies: c.
        generator: draws the start; one, from which the copies are drawn in turn, or a list of c: then copy i is DiT(config,
            generator=generator[i]). None takes PyTorch's own stream.

    Raises:
        ValueError: copies that are no count, another number of generators, weights that would not fit in memory, with gradients and
            moments.
    """

    def __init__(self, config: DiTConfig | None = None, *, copies: int, generator: Generators = None):
        super().__init__()
        config, copies = config or DiTConfig(), check_count(copies, "copies")
        D, depth = config.width, config.depth
        about = f"width = {D}, depth = {depth}, copies = {copies}"
        check_memory(4 * copies * depth * 18 * D * D, torch.get_default_dtype(), about)
        self._hold([DiT(config, generator=g) for g in one_each(generator, copies)])

    def _hold(self, networks: Sequence[DiT]) -> None:
        """Take the parts of the first network, and in them the weights of all."""
        first = copy.deepcopy(networks[0])
        self.config, self.event_shape, self.copies = first.config, first.event_shape, len(networks)
        for name, part in first.named_children():
            self.add_module(name, part)
        self.register_buffer("pos_embed", first.pos_embed, persistent=False)
        for name in [name for name, _ in first.named_parameters()]:
            place, _, leaf = name.rpartition(".")
            joined = torch.stack([n.get_parameter(name).detach() for n in networks])
            self.get_submodule(place).register_parameter(leaf, nn.Parameter(joined))

    @classmethod
    def stack(cls, networks: Sequence[DiT]) -> "DiTStack":
        """Single networks of one size as a stack with weights of its own: stack([net.copy(i) for i in ...]) picks copies.

        Args:
            networks: of one config, dtype and device.

        Returns:
            The stack, in the order of the list; a denoiser around it is `denoiser.with_network(...)`.

        Raises:
            ValueError: networks that differ in more than their weights, or none.
        """
        kinds = {(type(n), n.config, n.pos_embed.dtype, n.pos_embed.device) for n in networks}
        if len(kinds) != 1 or not isinstance(networks[0], DiT):
            raise ValueError(f"networks has {len(kinds)} kinds: single DiTs of one config, dtype and device are needed")
        new = cls.__new__(cls)
        nn.Module.__init__(new)
        new._hold(networks)
        return new.train(networks[0].training)

    def copy(self, i: int) -> DiT:
        """Copy i as a single network with weights of its own."""
        i = check_whole(i, "i", -self.copies, self.copies - 1)
        with torch.random.fork_rng(devices=()):  # the first weights of its layers come from PyTorch's own stream
            single = DiT(self.config).to(next(self.parameters()))
        single.load_state_dict({name: p[i] for name, p in self.state_dict().items()})
        return single.train(self.training)

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """x (c, m, C, H, W), log_snr (c, m) -> shape of x."""
        if x.ndim != 5 or x.shape[0] != self.copies or x.shape[2:] != self.event_shape:
            want = ", ".join(map(str, (self.copies, "m", *self.event_shape)))
            raise ValueError(f"x has shape {tuple(x.shape)}: shape ({want}) is needed")
        if log_snr.shape != x.shape[:2]:
            raise ValueError(f"log_snr has shape {tuple(log_snr.shape)}: shape {tuple(x.shape[:2])} is needed")
        cond = F.silu(self._time(log_snr.flatten()))  # (c m, D)
        tokens = affine(self._patches(x), self.x_embedder.proj) + self.pos_embed  # (c m, N, D)
        for block in self.blocks:
            shift1, scale1, gate1, shift2, scale2, gate2 = _parts(cond, block, 6)  # (c m, 1, D) each
            tokens = torch.addcmul(tokens, gate1, self._attend(modulate(tokens, shift1, scale1), block.attn))
            tokens = torch.addcmul(tokens, gate2, feed_forward(modulate(tokens, shift2, scale2), block.mlp))
        shift, scale = _parts(cond, self.final_layer, 2)
        return self._images(affine(modulate(tokens, shift, scale), self.final_layer.linear)).reshape(x.shape)

    def _attend(self, x: Tensor, attn: nn.Module) -> Tensor:
        """(c m, N, D) -> (c m, N, D), or (c m, 1, D) where all heads were removed."""
        if attn.heads == 0:  # what remains of an attention without heads is its bias
            return attn.proj.bias.repeat_interleave(len(x) // self.copies, 0)[:, None]
        out = attention(affine(x, attn.qkv), attn.heads)  # (c m, heads, N, head_dim)
        return affine(out.transpose(1, 2).flatten(2), attn.proj)

    def _time(self, log_snr: Tensor) -> Tensor:
        """As `TimestepEmbedder`: (c m,) -> (c m, D)."""
        half = TimestepEmbedder.frequencies // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half).to(log_snr)
        angles = TimestepEmbedder.timestep(log_snr)[:, None] * rates
        first, _, last = self.t_embedder.mlp
        return affine(F.silu(affine(torch.cat([angles.cos(), angles.sin()], -1), first)), last)

    def _patches(self, x: Tensor) -> Tensor:
        """(c, m, C, H, W) -> (c m, N, C patch^2)."""
        (rows, columns), p, C = self.config.grid, self.config.patch, self.config.image[0]
        return x.reshape(-1, C, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def _images(self, tokens: Tensor) -> Tensor:
        """(c m, N, patch^2 C) -> (c m, C, rows, patch, columns, patch)."""
        (rows, columns), p, C = self.config.grid, self.config.patch, self.config.image[0]
        return tokens.reshape(-1, rows, columns, p, p, C).permute(0, 5, 1, 3, 2, 4)


def _parts(cond: Tensor, part: nn.Module, count: int) -> tuple[Tensor, ...]:
    """Shifts, scales and gates of a part, from the time (c m, D): (c m, 1, D) each."""
    return affine(cond, part.adaLN_modulation[1])[:, None].chunk(count, -1)


def affine(x: Tensor, layer: nn.Module) -> Tensor:
    """weight x + bias over the last axis of x (c m, ..., in), each copy by its own weight (c, out, in) -> (c m, ..., out)."""
    weight, bias = layer.weight.flatten(2), layer.bias
    out = torch.baddbmm(bias[:, None], x.reshape(len(weight), -1, x.shape[-1]), weight.mT)
    return out.view(*x.shape[:-1], -1)


def feed_forward(x: Tensor, mlp: nn.Module) -> Tensor:
    """fc2(GELU(fc1(x))) of each copy, GELU in its tanh form: (c m, N, D) -> (c m, N, D)."""
    if not (torch.is_grad_enabled() and _fast(x, mlp.fc1.weight)):
        return affine(F.gelu(affine(x, mlp.fc1), approximate="tanh"), mlp.fc2)
    rows = x.reshape(len(mlp.fc1.weight), -1, x.shape[-1])
    return _StackedMLP.apply(rows, mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight, mlp.fc2.bias).view(x.shape)


class _StackedMLP(torch.autograd.Function):
    """As in `dit_kernels`, with a weight for each copy: GELU and its slope from one sigmoid, the slope in place."""

    @staticmethod
    def forward(ctx, x, weight1, bias1, weight2, bias2):
        slope = torch.baddbmm(bias1[:, None], x, weight1.mT)
        hidden = _gelu_and_slope(slope.flatten(0, 1)).view_as(slope)
        ctx.save_for_backward(x, weight1, slope, hidden, weight2)
        return torch.baddbmm(bias2[:, None], hidden, weight2.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        x, weight1, slope, hidden, weight2 = ctx.saved_tensors
        inner = torch.bmm(g, weight2).mul_(slope)
        first = torch.bmm(inner, weight1), torch.bmm(inner.mT, x), inner.sum(1)
        return *first, torch.bmm(g.mT, hidden), g.sum(1)
