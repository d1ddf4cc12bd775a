"""Peers of the transformer: a plain one, written as the DiT paper describes it, and that of Hugging Face diffusers; same weights."""

import importlib.util
import math

import torch
from torch import Tensor, nn

from separations.networks import DiT, DiTConfig


class PlainBlock(nn.Module):
    """A DiT block without any trick: three maps for queries, keys and values, softmax attention by hand, its own adaLN."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        D, hidden = config.width, round(config.width * config.mlp_ratio)
        self.heads = config.heads[0]
        self.norm1, self.norm2 = (nn.LayerNorm(D, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.q, self.k, self.v, self.proj = (nn.Linear(D, D) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(D, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, D))
        self.adaLN = nn.Sequential(nn.SiLU(), nn.Linear(D, 6 * D))

    def attention(self, x: Tensor) -> Tensor:
        m, N, D = x.shape
        q, k, v = (f(x).view(m, N, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1)  # (m, heads, N, N)
        return self.proj((weights @ v).transpose(1, 2).reshape(m, N, D))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN(c).chunk(6, dim=1)
        x = x + gate1[:, None] * self.attention(self.norm1(x) * (1 + scale1[:, None]) + shift1[:, None])
        return x + gate2[:, None] * self.mlp(self.norm2(x) * (1 + scale2[:, None]) + shift2[:, None])


class PlainDiT(nn.Module):
    """The transformer around `PlainBlock`: patches by a convolution, the time embedded once for all blocks."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        self.config, D = config, config.width
        self.patches = nn.Conv2d(config.image[0], D, config.patch, stride=config.patch)
        self.time = nn.Sequential(nn.Linear(256, D), nn.SiLU(), nn.Linear(D, D))
        self.blocks = nn.ModuleList(PlainBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(D, elementwise_affine=False, eps=1e-6)
        self.adaLN = nn.Sequential(nn.SiLU(), nn.Linear(D, 2 * D))
        self.last = nn.Linear(D, config.patch**2 * config.image[0])
        self.register_buffer("places", torch.zeros(1, config.tokens, D))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        rates = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
        angles = t[:, None] * rates
        c = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            tokens = block(tokens, c)
        shift, scale = self.adaLN(c).chunk(2, dim=1)
        out = self.last(self.norm(tokens) * (1 + scale[:, None]) + shift[:, None])
        (rows, columns), p, C = self.config.grid, self.config.patch, self.config.image[0]
        return torch.einsum("nhwpqc->nchpwq", out.reshape(-1, rows, columns, p, p, C)).reshape(x.shape)


def plain_names(config: DiTConfig) -> dict[str, tuple[str, slice]]:
    """Where each weight of `PlainDiT` stands in ours: its name there, and which rows."""
    D, every = config.width, slice(None)
    found = {"places": ("pos_embed", every)}
    for leaf in ("weight", "bias"):
        found[f"patches.{leaf}"] = (f"x_embedder.proj.{leaf}", every)
        found[f"adaLN.1.{leaf}"], found[f"last.{leaf}"] = (
            (f"final_layer.{part}.{leaf}", every) for part in ("adaLN_modulation.1", "linear")
        )
        found |= {f"time.{i}.{leaf}": (f"t_embedder.mlp.{i}.{leaf}", every) for i in (0, 2)}
        for l in range(config.depth):
            b = f"blocks.{l}."
            found |= {f"{b}{n}.{leaf}": (f"{b}attn.qkv.{leaf}", slice(i * D, i * D + D)) for i, n in enumerate("qkv")}
            parts = {"proj": "attn.proj", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2", "adaLN.1": "adaLN_modulation.1"}
            found |= {f"{b}{theirs}.{leaf}": (f"{b}{ours}.{leaf}", every) for theirs, ours in parts.items()}
    return found


def diffusers_names(config: DiTConfig) -> dict[str, tuple[str, slice]]:
    """The same for the DiT of diffusers, whose blocks embed the time each by itself."""
    D, every, found = config.width, slice(None), {}
    for leaf in ("weight", "bias"):
        found[f"pos_embed.proj.{leaf}"] = (f"x_embedder.proj.{leaf}", every)
        found[f"proj_out_1.{leaf}"] = (f"final_layer.adaLN_modulation.1.{leaf}", every)
        found[f"proj_out_2.{leaf}"] = (f"final_layer.linear.{leaf}", every)
        for l in range(config.depth):
            a, b = f"blocks.{l}.", f"transformer_blocks.{l}."
            for i, name in enumerate(("to_q", "to_k", "to_v")):
                found[f"{b}attn1.{name}.{leaf}"] = (f"{a}attn.qkv.{leaf}", slice(i * D, i * D + D))
            parts = {
                "attn1.to_out.0": "attn.proj", "ff.net.0.proj": "mlp.fc1", "ff.net.2": "mlp.fc2",
                "norm1.linear": "adaLN_modulation.1",
            }  # fmt: skip
            found |= {f"{b}{theirs}.{leaf}": (f"{a}{ours}.{leaf}", every) for theirs, ours in parts.items()}
            for i, name in ((0, "linear_1"), (2, "linear_2")):
                found[f"{b}norm1.emb.timestep_embedder.{name}.{leaf}"] = (f"t_embedder.mlp.{i}.{leaf}", every)
    return found


class Peer(nn.Module):
    """A peer with our weights, called as ours is, (x, log_snr); `pairs` says which of its weights are which of ours."""

    def __init__(self, network: nn.Module, ours: DiT, pairs: dict[str, tuple[str, slice]], labels: bool = False):
        super().__init__()
        self.network, self.pairs, self.labels, self.timestep = network, pairs, labels, ours.t_embedder.timestep
        state = {name: value.detach() for name, value in [*ours.named_parameters(), *ours.named_buffers()]}
        found = {theirs: state[name][rows].clone() for theirs, (name, rows) in pairs.items()}
        found |= {k: torch.zeros_like(v) for k, v in network.state_dict().items() if "class_embedder" in k}
        missing, unexpected = network.load_state_dict(found, strict=False)
        if missing or unexpected:
            raise RuntimeError(f"weights without a partner: {missing + unexpected}")

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        t = self.timestep(log_snr)
        if not self.labels:
            return self.network(x, t)
        return self.network(x, timestep=t, class_labels=torch.zeros(len(x), dtype=torch.long)).sample


def plain(ours: DiT) -> Peer:
    """`PlainDiT` with the weights of ours."""
    return Peer(PlainDiT(ours.config), ours, plain_names(ours.config))


def of_diffusers(ours: DiT) -> Peer:
    """The DiT of diffusers with the weights of ours, and a class embedding of 0."""
    import diffusers

    c = ours.config
    network = diffusers.DiTTransformer2DModel(
        num_attention_heads=c.heads[0], attention_head_dim=c.head_dim, in_channels=c.image[0], out_channels=c.image[0],
        num_layers=c.depth, sample_size=c.image[1], patch_size=c.patch, num_embeds_ada_norm=10, norm_eps=1e-6,
    )  # fmt: skip
    for block in (
        network.transformer_blocks
    ):  # its frequencies are spread by 1/(half - 1), those of the paper and ours by 1/half
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    network.eval()  # no class is dropped
    return Peer(network, ours, diffusers_names(c), labels=True)


PEERS = {"plain blocks": plain, "diffusers": of_diffusers}


def left_out(name: str) -> str:
    """Why a peer is not measured, or an empty string."""
    if name == "diffusers" and importlib.util.find_spec("diffusers") is None:
        return "diffusers is not installed (pip install -r benchmarks/requirements.txt)"
    return ""
