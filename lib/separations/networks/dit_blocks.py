"""Parts of a diffusion transformer: its size, patches, time, attention, blocks (Peebles and Xie 2023). `dit.DiT` joins them."""

import math
import warnings
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..numerics.checks import check_count, check_positive, check_whole, check_wholes
from .dit_kernels import attention, linear, mlp


@dataclass(frozen=True)
class DiTConfig:
    """Size of a DiT.

    Args:
        image: (channels, height, width).
        patch: side of a patch, which divides height and width.
        width: of a token, a multiple of 4.
        depth: blocks.
        heads: a number, or one number a block, for a network that has lost heads.
        head_dim: width of a head; None for width / heads, as a network is made.
        mlp_ratio: hidden width of the MLP over the width.

    Raises:
        ValueError: sizes that do not fit.
    """

    image: tuple[int, int, int] = (1, 28, 28)
    patch: int = 7
    width: int = 96
    depth: int = 6
    heads: int | tuple[int, ...] = 6
    head_dim: int | None = None
    mlp_ratio: float = 4.0

    def __post_init__(self):
        for name in ("patch", "width", "depth"):
            object.__setattr__(self, name, check_count(getattr(self, name), name))
        image = check_wholes(self.image, "image")
        if len(image) != 3 or any(size < 1 for size in image) or any(size % self.patch for size in image[1:]):
            raise ValueError(
                f"image = {self.image}, patch = {self.patch}: (channels, height, width) is needed, patch divides both"
            )
        many = isinstance(self.heads, list | tuple) or getattr(self.heads, "ndim", 0)
        heads = check_wholes(self.heads, "heads", 0) if many else (check_whole(self.heads, "heads", 0),) * self.depth
        made = self.width // max((1, *heads)) if self.head_dim is None else self.head_dim
        head_dim = check_count(made, "head_dim" if self.head_dim is not None else f"heads = {self.heads}, head_dim")
        if len(heads) != self.depth or max(heads) * head_dim > self.width:
            raise ValueError(
                f"heads = {self.heads}: a number, or {self.depth} numbers, each from 0 to {self.width // head_dim}, is needed"
            )
        if self.head_dim is None and (max(heads) < 1 or self.width % max(heads)):
            raise ValueError(f"heads = {self.heads}: a number that divides width = {self.width} is needed")
        if self.width % 4:
            raise ValueError(f"width = {self.width}: a multiple of 4 is needed (sines and cosines of two axes)")
        ratio = check_positive(self.mlp_ratio, "mlp_ratio")
        if round(self.width * ratio) < 1:
            raise ValueError(f"mlp_ratio = {ratio}, width = {self.width}: a hidden layer of at least 1 is needed")
        for name, value in (("image", image), ("heads", heads), ("head_dim", head_dim), ("mlp_ratio", ratio)):
            object.__setattr__(self, name, value)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches down and across."""
        return self.image[1] // self.patch, self.image[2] // self.patch

    @property
    def tokens(self) -> int:
        """Number of tokens, one a patch."""
        return math.prod(self.grid)

    def dict(self) -> dict:
        """The fields as plain values, for a checkpoint: DiTConfig(**config.dict()) gives it back."""
        return asdict(self)


# depth, width, heads; S, B, L as in the DiT paper, "laptop" is ours
SIZES = {"laptop": (6, 96, 6), "S": (12, 384, 6), "B": (12, 768, 12), "L": (24, 1024, 16)}


def dit_config(size: str, *, image: tuple[int, int, int], patch: int = 2) -> DiTConfig:
    """Configuration by name (Peebles and Xie 2023, table 1).

    Args:
        size: "S", "B" or "L" of the paper, or "laptop", which is ours; see `SIZES`.
        image: (channels, height, width).
        patch: side of a patch.

    Returns:
        The `DiTConfig`.

    Raises:
        ValueError: another size, or a patch that does not divide the image.
    """
    if size not in SIZES:
        raise ValueError(f"size = {size!r}: one of {', '.join(SIZES)} is needed")
    depth, width, heads = SIZES[size]
    return DiTConfig(image=image, patch=patch, width=width, depth=depth, heads=heads)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm without weights, then (1 + scale) . + shift. x (m, N, D), shift and scale (m, 1, D), or (1, 1, D) for all."""
    if len(shift) == 1 and not shift.requires_grad:  # one time for the whole batch: the kernel of LayerNorm does it all
        return F.layer_norm(x, x.shape[-1:], 1 + scale.flatten(), shift.flatten(), 1e-6)
    D = x.shape[-1]
    plain = F.layer_norm(x, (D,), x.new_ones(D), x.new_zeros(D), 1e-6)  # on a CPU twice as fast as without weights
    return torch.addcmul(shift, plain, 1 + scale)


class PatchEmbed(nn.Module):
    """Non-overlapping patches through one linear map: (m, C, H, W) -> (m, N, D)."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.config = config
        self.proj = nn.Conv2d(config.image[0], config.width, config.patch, stride=config.patch)

    def forward(self, x: Tensor) -> Tensor:
        (rows, columns), p = self.config.grid, self.config.patch
        x = x.reshape(len(x), -1, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5).reshape(len(x), rows * columns, -1)
        return linear(x, self.proj)  # a matrix product: faster than the convolution


class TimestepEmbedder(nn.Module):
    """Sines and cosines of a timestep in [0, 1000], then two linear maps. The log-SNR in [-20, 20] is mapped onto [1000, 0]."""

    frequencies = 256

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(self.frequencies, width), nn.SiLU(), nn.Linear(width, width))

    @staticmethod
    def timestep(log_snr: Tensor) -> Tensor:
        """Timestep that stands for a log-SNR, cut to [0, 1000]."""
        return 500 - 25 * log_snr.clamp(-20, 20)

    def forward(self, log_snr: Tensor) -> Tensor:
        half = self.frequencies // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half).to(log_snr)
        angles = self.timestep(log_snr)[:, None] * rates  # (m, 128)
        return self.mlp(torch.cat([angles.cos(), angles.sin()], -1))


class Attention(nn.Module):
    """Self-attention over tokens with `heads` heads of `head_dim`; each head's output can be weighted."""

    def __init__(self, width: int, heads: int, head_dim: int):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        with warnings.catch_warnings():  # torch warns of a matrix without entries, here what a block without heads has
            warnings.simplefilter("ignore", UserWarning)
            self.qkv = nn.Linear(width, 3 * heads * head_dim)
            self.proj = nn.Linear(heads * head_dim, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (m, N, D); mask None, (m, heads) or (m, heads, N) -> (m, N, D)."""
        m, N, D = x.shape
        if self.heads == 0:  # what remains of an attention without heads is its bias
            return self.proj.bias.expand(m, N, D)
        out = attention(linear(x, self.qkv), self.heads)  # (m, heads, N, head_dim)
        if mask is not None:
            out = out * mask.reshape(m, self.heads, -1, 1)
        return linear(out.transpose(1, 2).reshape(m, N, -1), self.proj)


class FeedForward(nn.Module):
    """Two linear maps with a GELU (tanh form) between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return mlp(x, self.fc1, self.fc2)


class DiTBlock(nn.Module):
    """x + gate attention(modulated x), then x + gate MLP(modulated x); shift, scale and gate come from the time (adaLN-Zero)."""

    def __init__(self, config: DiTConfig, heads: int):
        super().__init__()
        self.attn = Attention(config.width, heads, config.head_dim)
        self.mlp = FeedForward(config.width, round(config.width * config.mlp_ratio))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 6 * config.width))

    def forward(self, x: Tensor, c: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (m, N, D), c (m, D) after its SiLU, mask (m, heads) or (m, heads, N) or None -> (m, N, D)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation[1](c)[:, None].chunk(
            6, -1
        )  # (m, 1, D) each
        x = torch.addcmul(x, gate1, self.attn(modulate(x, shift1, scale1), mask))
        return torch.addcmul(x, gate2, self.mlp(modulate(x, shift2, scale2)))


class FinalLayer(nn.Module):
    """Modulated LayerNorm and a linear map to the pixels of a patch: (m, N, D) -> (m, N, patch^2 C)."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.linear = nn.Linear(config.width, config.patch**2 * config.image[0])
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(config.width, 2 * config.width))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation[1](c)[:, None].chunk(2, -1)
        return linear(modulate(x, shift, scale), self.linear)


def positions(rows: int, columns: int, width: int) -> Tensor:
    """Fixed embedding of the grid, (rows columns, width): sines and cosines of the column, then of the row (DiT, MAE)."""
    rates = 1 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width // 4))

    def one_axis(place: Tensor) -> Tensor:
        angles = place.flatten()[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], 1)

    y, x = torch.meshgrid(torch.arange(rows).double(), torch.arange(columns).double(), indexing="ij")
    return torch.cat([one_axis(x), one_axis(y)], 1).to(torch.get_default_dtype())
