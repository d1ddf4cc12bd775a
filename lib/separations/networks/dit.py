"""Diffusion transformer (Peebles and Xie 2023): `DiT` with adaLN-Zero and the names that readers of the DiT paper know.

The network is unconditional and takes (x, log_snr), as every network here; `Denoiser` makes a score of it. Its heads can be
weighted (one weight a sample, layer and head: Algorithm 2 of Ye et al. 2026 differentiates in them) and removed for good
(`separations.pruning`): a block may have fewer heads than it was made with, in the extreme none.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..numerics.checks import check_generator, check_memory, check_whole
from .dit_blocks import DiTBlock, DiTConfig, FinalLayer, PatchEmbed, TimestepEmbedder, positions


class DiT(nn.Module):
    """Diffusion transformer on images (m, C, H, W) with log_snr (m,); made as in the DiT paper, so that it begins as zero.

    `forward(x, log_snr, head_mask)`: head_mask (m, L, H) weighs the output of head h of layer l for each sample, or (m, L, H, N) for
    each sample and token, H the largest number of heads of a block.

    Args:
        config: its size; None for that of the book's digits.
        generator: draws the start; None takes PyTorch's own stream.

    Raises:
        ValueError: a generator of another kind.
        MemoryError: weights that would not fit in memory, with gradients and moments.
    """

    copies = None

    def __init__(self, config: DiTConfig | None = None, *, generator: torch.Generator | None = None):
        super().__init__()
        check_generator(generator)
        self.config = config = config or DiTConfig()
        self.event_shape = config.image
        D = config.width
        # per block and width: qkv and proj 4 D, MLP 8 D, adaLN 6 D; with gradients and two moments of Adam
        check_memory(4 * config.depth * 18 * D * D, torch.get_default_dtype(), f"width = {D}, depth = {config.depth}")
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = TimestepEmbedder(D)
        self.register_buffer("pos_embed", positions(*config.grid, D)[None], persistent=False)
        self.blocks = nn.ModuleList(DiTBlock(config, h) for h in config.heads)
        self.final_layer = FinalLayer(config)
        self._start(generator)

    def forward(self, x: Tensor, log_snr: Tensor, head_mask: Tensor | None = None) -> Tensor:
        """x (m, C, H, W), log_snr (m,), head_mask None, (m, L, H) or (m, L, H, N) -> shape of x."""
        if x.ndim != 4 or x.shape[1:] != self.event_shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: shape (m, {', '.join(map(str, self.event_shape))}) is needed"
            )
        self._check_mask(head_mask, len(x))
        # a number that was expanded over the batch: embed it once
        one_time = log_snr.ndim == 1 and log_snr.stride(0) == 0 and not torch.is_grad_enabled()
        c = F.silu(self.t_embedder(log_snr[:1] if one_time else log_snr))  # (m, D) or (1, D)
        tokens = self.x_embedder(x) + self.pos_embed  # (m, N, D)
        for l, block in enumerate(self.blocks):
            mask = None if head_mask is None else head_mask[:, l, : block.attn.heads]
            tokens = block(tokens, c, mask)
        return self._unpatch(self.final_layer(tokens, c))

    def _check_mask(self, mask: Tensor | None, m: int) -> None:
        if mask is None:
            return
        shape = (m, self.config.depth, max(self.config.heads))
        if tuple(mask.shape) not in {shape, (*shape, self.config.tokens)}:
            raise ValueError(
                f"head_mask has shape {tuple(mask.shape)}: {shape} (samples, layers, heads) or {(*shape, self.config.tokens)} is needed"
            )

    def _unpatch(self, tokens: Tensor) -> Tensor:
        """(m, N, patch^2 C) -> (m, C, H, W)."""
        (rows, columns), p, C = self.config.grid, self.config.patch, self.config.image[0]
        x = tokens.reshape(len(tokens), rows, columns, p, p, C).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(len(tokens), C, rows * p, columns * p)

    @torch.no_grad()
    def _start(self, generator: torch.Generator | None) -> None:
        """Xavier-uniform matrices and zero biases; N(0, 0.02^2) in the time embedding; zero adaLN and last layer."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                weight = module.weight.flatten(1)
                end = math.sqrt(6 / max(sum(weight.shape), 1))
                module.weight.uniform_(-end, end, generator=generator)
                module.bias.zero_()
        for i in (0, 2):
            self.t_embedder.mlp[i].weight.normal_(std=0.02, generator=generator)
        for part in [
            *(b.adaLN_modulation[1] for b in self.blocks),
            self.final_layer.adaLN_modulation[1],
            self.final_layer.linear,
        ]:
            part.weight.zero_()

    def head_slots(self) -> Tensor:
        """Which (layer, head) exist, (L, H) bool: a pruned block has fewer heads than the largest."""
        H = max(self.config.heads)
        return torch.arange(H)[None] < torch.tensor(self.config.heads)[:, None]

    def parameters_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())

    def with_heads(self, kept: Sequence[Sequence[int]]) -> "DiT":
        """A smaller network with the listed heads of each block only, weights copied: the same output as masking the others."""
        if len(kept) != self.config.depth or any(len(set(k)) < len(k) for k in kept):
            raise ValueError(
                f"kept = {kept}: for each of {self.config.depth} blocks, distinct heads that it has are needed"
            )
        kept = [
            [check_whole(h, f"kept[{l}]", 0, n - 1) for h in k] for l, (k, n) in enumerate(zip(kept, self.config.heads))
        ]
        small = DiT(replace(self.config, heads=tuple(len(k) for k in kept)))
        state = self.state_dict()
        for l, k in enumerate(kept):
            size, H = self.config.head_dim, self.config.heads[l]
            rows = (
                torch.tensor(list(k), dtype=torch.long)[:, None] * size + torch.arange(size)
            ).flatten()  # of the width
            name = f"blocks.{l}.attn."
            qkv = torch.cat([part * H * size + rows for part in range(3)]).to(state[name + "qkv.weight"].device)
            for leaf in ("qkv.weight", "qkv.bias"):
                state[name + leaf] = state[name + leaf][qkv]
            state[name + "proj.weight"] = state[name + "proj.weight"][:, rows.to(qkv.device)]
        small.to(next(self.parameters())).load_state_dict(state)
        return small.train(self.training)
