"""A one-dimensional U-Net with attention, for signals (Ronneberger et al. 2015; Ho et al. 2020): `UNet1D`.

Residual blocks of convolutions at several lengths, each half of the one before; attention at the shortest; what was seen on the way
down is joined again on the way up. The network takes (x, log_snr), as every network here, and `networks.Denoiser` makes a score of it.
The time acts by scale and shift after the second normalisation of a block (Dhariwal and Nichol 2021); attention and the
embedding of the time are those of `dit_blocks`.
"""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..numerics.checks import check_count, check_generator, check_memory, check_wholes
from .dit_blocks import Attention, TimestepEmbedder, positions


@dataclass(frozen=True)
class UNet1DConfig:
    """Size of a UNet1D.

    Args:
        length: of a signal, divisible by 2^(levels - 1).
        width: channels at the full length, a multiple of 8.
        factors: channels at each level, as multiples of width.
        blocks: residual blocks a level.
        heads: of the attention.

    Raises:
        ValueError: sizes that do not fit.
    """

    length: int = 140
    width: int = 16
    factors: tuple[int, ...] = (1, 2, 4)
    blocks: int = 1
    heads: int = 4

    def __post_init__(self):
        object.__setattr__(self, "factors", check_wholes(self.factors, "factors"))
        for name in ("length", "width", "blocks", "heads"):
            object.__setattr__(self, name, check_count(getattr(self, name), name))
        if not self.factors:
            raise ValueError(f"factors = {self.factors}: a whole number >= 1 a level is needed")
        halvings = len(self.factors) - 1
        if self.length % 2**halvings:
            raise ValueError(f"length = {self.length}: a multiple of {2**halvings} is needed for {halvings + 1} levels")
        if self.width % 8 or self.width * self.factors[-1] % self.heads:
            raise ValueError(
                f"width = {self.width}, heads = {self.heads}: a multiple of 8 is needed, and heads must divide "
                f"{self.width * self.factors[-1]} channels"
            )

    def dict(self) -> dict:
        """The fields as plain values: UNet1DConfig(**config.dict()) gives it back."""
        return asdict(self)


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(8, channels)


class ResBlock(nn.Module):
    """x + conv(scaled norm of conv(norm x)), the last convolution 0 at the start; scale and shift come from the time."""

    def __init__(self, inputs: int, outputs: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv1d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs), nn.Conv1d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, 2 * outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """x (m, inputs, N), c (m, embedding) after its SiLU -> (m, outputs, N)."""
        scale, shift = self.time(c)[..., None].chunk(2, 1)  # (m, outputs, 1) each
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        return self.skip(x) + self.conv2(F.silu(torch.addcmul(shift, h, 1 + scale)))


class AttentionBlock(nn.Module):
    """x + attention over places (norm x + sines and cosines of the place), its last map 0 at the start.

    Convolutions do not know where they are. Without the places a network whose convolutions do not see from end to end could not
    learn that a heartbeat has its peak at one and the same place.
    """

    def __init__(self, channels: int, heads: int, places: int):
        super().__init__()
        self.norm, self.attn = norm(channels), Attention(channels, heads, channels // heads)
        self.register_buffer("place", positions(1, places, 2 * channels)[:, :channels].mT, persistent=False)  # (C, N)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return x + self.attn((self.norm(x) + self.place).mT).mT


class UNet1D(nn.Module):
    """U-Net on signals (m, length) with log_snr (m,); it begins as the zero function.

    Args:
        config: its size; None for that of the book's heartbeats.
        generator: draws the start; None takes PyTorch's own stream.

    Raises:
        ValueError: a generator of another kind.
        MemoryError: weights that would not fit in memory, with gradients and moments.
    """

    copies = None

    def __init__(self, config: UNet1DConfig | None = None, *, generator: torch.Generator | None = None):
        super().__init__()
        check_generator(generator)
        self.config = config = config or UNet1DConfig()
        self.event_shape = (config.length,)
        channels, E = [config.width * f for f in config.factors], 4 * config.width
        # a level has about 2 blocks + 2 residual blocks of 6 to 9 C^2; with gradients and two moments of Adam
        size = sum(9 * (2 * config.blocks + 2) * c * c for c in channels)
        check_memory(4 * size, torch.get_default_dtype(), f"width = {config.width}, factors = {config.factors}")
        self.t_embedder = TimestepEmbedder(E)
        self.enter = nn.Conv1d(1, config.width, 3, padding=1)
        self.down, self.shorten, self.up, self.lengthen = (nn.ModuleList() for _ in range(4))
        kept, now, last = [config.width], config.width, len(channels) - 1
        for i, C in enumerate(channels):
            for _ in range(config.blocks):
                self.down.append(self._block(now, C, E, i == last))
                now = C
                kept.append(C)
            if i < last:
                self.shorten.append(nn.Conv1d(C, C, 3, stride=2, padding=1))
                kept.append(C)
        self.middle = self._block(now, now, E, True)
        for i, C in reversed(list(enumerate(channels))):
            for _ in range(config.blocks + 1):
                self.up.append(self._block(now + kept.pop(), C, E, i == last))
                now = C
            if i:
                self.lengthen.append(nn.Conv1d(C, C, 3, padding=1))
        self.norm, self.leave = norm(now), nn.Conv1d(now, 1, 3, padding=1)
        self._start(generator)

    def _block(self, inputs: int, outputs: int, embedding: int, attention: bool) -> nn.ModuleList:
        parts = [ResBlock(inputs, outputs, embedding)]
        return nn.ModuleList(
            [*parts, AttentionBlock(outputs, self.config.heads, self.config.length >> len(self.config.factors) - 1)]
            if attention
            else parts
        )

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """x (m, length), log_snr (m,) -> (m, length)."""
        if x.ndim != 2 or x.shape[1:] != self.event_shape:
            raise ValueError(f"x has shape {tuple(x.shape)}: shape (m, {self.config.length}) is needed")
        c, B = F.silu(self.t_embedder(log_snr)), self.config.blocks
        h = self.enter(x[:, None])  # (m, C, N)
        kept = [h]
        for i in range(len(self.config.factors)):
            for block in self.down[i * B : (i + 1) * B]:
                h = run(block, h, c)
                kept.append(h)
            if i < len(self.shorten):
                h = self.shorten[i](h)
                kept.append(h)
        h = run(self.middle, h, c)
        for i in range(len(self.config.factors)):
            for block in self.up[i * (B + 1) : (i + 1) * (B + 1)]:
                h = run(block, torch.cat([h, kept.pop()], 1), c)
            if i < len(self.lengthen):
                h = self.lengthen[i](h.repeat_interleave(2, -1))
        return self.leave(F.silu(self.norm(h)))[:, 0]

    @torch.no_grad()
    def _start(self, generator: torch.Generator | None) -> None:
        """Uniform weights of variance 1 / inputs and zero biases; 0 in the last map of every block and of the network."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                end = math.sqrt(3 / module.weight[0].numel())
                module.weight.uniform_(-end, end, generator=generator)
                module.bias.zero_()
        for module in self.modules():
            last = {ResBlock: "conv2", AttentionBlock: "attn.proj", UNet1D: "leave"}.get(type(module))
            if last is not None:
                module.get_submodule(last).weight.zero_()

    def parameters_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())


def run(block: nn.ModuleList, h: Tensor, c: Tensor) -> Tensor:
    """The parts of a block in turn."""
    for part in block:
        h = part(h, c)
    return h
