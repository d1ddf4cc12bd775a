"""A plain network of the class F(W, L, N), single or as a stack of independent copies: see `denoiser` for the shapes."""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..numerics.checks import (
    check_count,
    check_generator,
    check_memory,
    check_whole,
)

Generators = torch.Generator | Sequence[torch.Generator] | None


def one_each(generator: Generators, copies: int, name: str = "generator") -> list[torch.Generator | None]:
    """One generator a copy, from a list of `copies` generators or from one (or None) that all copies share in turn."""
    if not isinstance(generator, list | tuple):
        return [check_generator(generator, name)] * copies
    if len(generator) != copies:
        raise ValueError(f"{name} has {len(generator)} generators: one, or one a copy ({copies}), is needed")
    return [check_generator(one, f"{name}[{i}]") for i, one in enumerate(generator)]


class MLP(nn.Module):
    """Feed-forward network f(z) = A_L act(... act(A_1 z + b_1) ...) + b_L of z = (x, features of the log-SNR).

    With act = ReLU it lies in F(W, L, N) of Ye et al. (2026, section 5): width W, depth L = the number of affine maps (L - 1
    hidden layers), N = `nonzero()` parameters. z has 1 + 2 `features` numbers beside x: l / 8, and the cosine and sine
    of 2^k pi l / 20, k = 0 ... features - 1, where l is the log-SNR, cut to [-20, 20].

    Start: A uniform in ±sqrt(6 / inputs) (He et al. 2015) and b uniform in ±1 / sqrt(inputs) in each hidden layer, the last
    layer 0: every network begins as the zero function.

    Args:
        d: dimension of x.
        width: W, units of a hidden layer.
        depth: L, affine maps.
        copies: c, to make c networks with weights (c, inputs, outputs); None for a single one.
        features: pairs of cosine and sine of the log-SNR.
        activation: any elementwise function.
        generator: draws the start; one, from which the copies are drawn in turn, or a list of c: then copy i is the single network made
            from generator[i]. None takes PyTorch's own stream.

    Raises:
        ValueError: a size that is no count, an activation that is no function, another number of generators.
        MemoryError: weights that would not fit in memory, with gradients and moments.
    """

    def __init__(
        self,
        d: int,
        width: int,
        depth: int,
        *,
        copies: int | None = None,
        features: int = 4,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        generator: Generators = None,
    ):
        super().__init__()
        self.width, self.depth = check_count(width, "width"), check_count(depth, "depth")
        self.copies = None if copies is None else check_count(copies, "copies")
        d, features, copies = check_count(d, "d"), check_whole(features, "features", 0), self.copies
        if not callable(activation):
            raise ValueError(f"activation = {activation!r}: an elementwise function is needed")
        self.event_shape, self.features, self.activation = (d,), features, activation
        sizes = [d + 1 + 2 * features, *[self.width] * (self.depth - 1), d]
        count = (copies or 1) * sum((a + 1) * b for a, b in zip(sizes, sizes[1:]))
        # weights, gradients and the two moments of Adam
        check_memory(4 * count, torch.get_default_dtype(), f"width = {width}, depth = {depth}, copies = {copies}")
        drawn = [_start(sizes, g) for g in one_each(generator, copies or 1)]
        layers = [torch.stack(p) if copies else p[0] for p in zip(*drawn)]  # weight, bias, weight, bias, ...
        self.weights = nn.ParameterList(layers[0::2])  # (inputs, outputs) or (c, inputs, outputs)
        self.biases = nn.ParameterList(layers[1::2])  # (1, outputs) or (c, 1, outputs)

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """x (m, d), log_snr (m,), or with copies x (c, m, d), log_snr (c, m) -> shape of x."""
        lead = () if self.copies is None else (self.copies,)
        if x.ndim != len(lead) + 2 or x.shape[:-2] != lead or x.shape[-1:] != self.event_shape:
            want = ", ".join(map(str, (*lead, "m", *self.event_shape)))
            raise ValueError(f"x has shape {tuple(x.shape)}: shape ({want}) is needed")
        affine = torch.addmm if self.copies is None else torch.baddbmm
        z = torch.cat([x, self._embed(log_snr)], -1)  # (..., m, d + 1 + 2 features)
        *hidden, last = zip(self.biases, self.weights)
        for b, weight in hidden:
            z = self.activation(affine(b, z, weight))
        return affine(last[0], z, last[1])

    def _embed(self, log_snr: Tensor) -> Tensor:
        l = log_snr.clamp(-20, 20)[..., None]  # alpha or sigma may be 0 at the end of a schedule
        angles = l * (math.pi / 20 * 2.0 ** torch.arange(self.features, dtype=l.dtype, device=l.device))
        return torch.cat([l / 8, angles.cos(), angles.sin()], -1)

    @property
    def parameters_per_copy(self) -> int:
        """Number of parameters of one network."""
        return sum(p.numel() for p in self.parameters()) // (self.copies or 1)

    def nonzero(self) -> int | list[int]:
        """N of F(W, L, N), the number of parameters that are not 0: a number, or a list of c for a stack."""
        counts = sum(p.detach().reshape(self.copies or 1, -1).count_nonzero(1) for p in self.parameters())
        return int(counts[0]) if self.copies is None else counts.tolist()

    def copy(self, i: int) -> "MLP":
        """Copy i of a stack as a single network with weights of its own."""
        if self.copies is None:
            raise ValueError(f"i = {i}: a copy of a stack of no copies is needed")
        i = check_whole(i, "i", -self.copies, self.copies - 1)
        return self._with([p.detach()[i] for p in self.weights], [p.detach()[i] for p in self.biases], None)

    @classmethod
    def stack(cls, networks: Sequence["MLP"]) -> "MLP":
        """Single networks of one size as a stack: stack([net.copy(i) for i in ...]) picks copies."""
        kinds = {(n.copies, n.event_shape, n.width, n.depth, n.features, n.activation) for n in networks}
        if len(kinds) != 1 or next(iter(kinds))[0] is not None:
            raise ValueError(
                f"networks has {len(kinds)} kinds: single networks of one size and one activation are needed"
            )
        weights, biases = zip(*[([*n.weights], [*n.biases]) for n in networks])
        joined = [[torch.stack(p).detach() for p in zip(*layers)] for layers in (weights, biases)]
        return networks[0]._with(*joined, len(networks))

    def _with(self, weights: Sequence[Tensor], biases: Sequence[Tensor], copies: int | None) -> "MLP":
        new = copy.deepcopy(self)
        new.copies = copies
        new.weights, new.biases = (nn.ParameterList(p.clone() for p in part) for part in (weights, biases))
        return new


def _start(sizes: list[int], generator: torch.Generator | None) -> list[Tensor]:
    """Weight (inputs, outputs) and bias (1, outputs) of each layer in turn; see `MLP`."""
    found = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        ends = (0.0, 0.0) if i == len(sizes) - 2 else (math.sqrt(6 / inputs), 1 / math.sqrt(inputs))
        for shape, end in zip(((inputs, outputs), (1, outputs)), ends):
            device = None if generator is None else generator.device
            uniform = torch.rand(shape, generator=generator, device=device)
            found.append(((2 * uniform - 1) * end).cpu())
    return found
