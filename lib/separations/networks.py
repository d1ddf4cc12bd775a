"""Learned scores: a plain network of the class F(W, L, N), and `Denoiser`, which makes a score of any network.

A network is a module that maps (x, log_snr) to the shape of x. Two shapes of x are known, and everything here takes both:

    single    x (m, *event_shape),     log_snr (m,)
    stacked   x (c, m, *event_shape),  log_snr (c, m):  c independent networks of one size, run together

A stack costs little more than one small network, so a chapter trains all its seeds and training sets at once. Nothing mixes
between copies: the derivative of copy i's output in the weights of copy j is 0. A network says ``event_shape`` and ``copies``
(None for a single one) and has ``copy(i)``, which takes one copy out.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .checks import (
    check_count,
    check_finite,
    check_generator,
    check_memory,
    check_positive,
    check_real,
    check_result,
    check_whole,
    check_wholes,
    shown,
)
from .parameterizations import PREDICTIONS, coefficients
from .schedules import OU, Schedule, Time

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
    layer 0: every network begins as the zero function. copies=c makes c networks, weights (c, inputs, outputs);
    `generator` is one generator, from which the copies are drawn in turn, or a list of c: then copy i is the single network
    made from generator[i]. activation: any elementwise function.
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


class Denoiser(nn.Module):
    """A network as a diffused distribution: `score`, `denoise`, `eps`, each the same answer in other words.

    The network sees (x - alpha mean) / sqrt(alpha^2 data_std^2 + sigma^2) and the log-SNR, and returns `prediction`, one of
    "eps", "x0", "v", "score"; `parameterizations` makes the others of it. event_shape: the shape of a sample, where it is not
    the network's own (an MLP on images). A stack of c networks takes x (c, m, *event_shape) and t a number, (m,) or (c, m);
    the samplers run all copies at once when they start from `prior((c, m, *event_shape), ...)`.
    The network works in the dtype of its weights, everything around it in the dtype of x.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule | None = None,
        *,
        prediction: str = "eps",
        data_std: float = 1.0,
        mean: float | Tensor = 0.0,
        event_shape: tuple[int, ...] | None = None,
    ):
        super().__init__()
        if not isinstance(prediction, str) or prediction not in PREDICTIONS:
            raise ValueError(f"prediction = {shown(prediction)}: one of {', '.join(PREDICTIONS)} is needed")
        if not isinstance(network, nn.Module) or not hasattr(network, "event_shape"):
            raise ValueError(f"network is {type(network).__name__}: a module with an event_shape is needed")
        if schedule is not None and (isinstance(schedule, type) or not hasattr(schedule, "log_snr")):
            raise ValueError(f"schedule = {shown(schedule)}: a Schedule, or None, is needed")
        self.network, self.schedule = network, schedule or OU()
        self.prediction, self.data_std = prediction, check_positive(data_std, "data_std")
        self.event_shape = check_wholes(network.event_shape if event_shape is None else event_shape, "event_shape")
        if self.d != math.prod(network.event_shape):
            raise ValueError(f"event_shape = {self.event_shape}: {math.prod(network.event_shape)} values are needed")
        given = mean.detach().clone() if isinstance(mean, Tensor) else torch.tensor(check_real(mean, "mean"))
        self.register_buffer("mean", given)
        if not self.mean.isfinite().all():
            raise ValueError(
                f"mean = {self.mean.tolist() if self.mean.ndim == 0 else 'a tensor'}: finite values are needed"
            )
        if self.mean.ndim and self.mean.shape != self.event_shape:
            raise ValueError(f"mean has shape {tuple(self.mean.shape)}: a number or {self.event_shape} is needed")

    @property
    def d(self) -> int:
        """Dimension: the number of values of one sample."""
        return math.prod(self.event_shape)

    @property
    def copies(self) -> int | None:
        """Number of networks in the stack, None for a single network."""
        return getattr(self.network, "copies", None)

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned grad log p_t(x), shape of x. `schedule`, if given, must be the one of this denoiser."""
        return self.predict("score", x, t, schedule=schedule)

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned E[X_0 | X_t = x], shape of x."""
        return self.predict("x0", x, t, schedule=schedule)

    def eps(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned E[eps | X_t = x] = -sigma score, shape of x."""
        return self.predict("eps", x, t, schedule=schedule)

    def predict(
        self, target: str, x: Tensor, t: Time, *, schedule: Schedule | None = None, head_mask: Tensor | None = None
    ) -> Tensor:
        """Any of "eps", "x0", "v", "score", shape of x. Raises ValueError for another schedule, bad x or bad t.

        head_mask: weights of the heads of a `dit.DiT`, (m, L, H) or (m, L, H, N).
        """
        if schedule is not None and schedule != self.schedule:
            raise ValueError(f"schedule = {schedule}: the network was made for {self.schedule} only")
        lead = self._check(x)
        t = self._times(t, lead).to(x.device)
        out = self._raw(x, t, lead, {} if head_mask is None else {"head_mask": head_mask})
        if target == self.prediction:
            return out
        factors = coefficients(self.prediction, target, t, schedule=self.schedule)
        a, b = (check_result(k.to(x), f"{target} at this t", "more noise is needed") for k in factors)
        return a * x + b * out

    def _raw(self, x: Tensor, t: Tensor, lead: tuple[int, ...], options: dict) -> Tensor:
        """What the network says, shape of x; t broadcasts against x."""
        like = next(self.network.parameters())
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        scale = (alpha**2 * self.data_std**2 + sigma**2).rsqrt().to(x)
        z = (x - alpha.to(x) * self.mean.to(x)) * scale
        log_snr = self.schedule.log_snr(t).to(like).reshape(t.shape[: len(lead)]).expand(lead)
        z = z.reshape(*lead, *self.network.event_shape).to(like)
        return self.network(z, log_snr, **options).to(x).reshape(x.shape)

    def _check(self, x: Tensor) -> tuple[int, ...]:
        """(m,) or (c, m), after the check of x."""
        lead = () if self.copies is None else (self.copies,)
        good = isinstance(x, Tensor) and x.is_floating_point() and x.ndim == len(lead) + 1 + len(self.event_shape)
        if not good or x.shape[: len(lead)] != lead or x.shape[len(lead) + 1 :] != self.event_shape or not x.numel():
            found = f"shape {tuple(x.shape)}, {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
            want = ", ".join(map(str, (*lead, "m", *self.event_shape)))
            raise ValueError(f"x is {found}: a floating-point tensor of shape ({want}) is needed")
        check_finite(x, "x")
        return tuple(x.shape[: len(lead) + 1])

    def _times(self, t: Time, lead: tuple[int, ...]) -> Tensor:
        """t in float64 with as many dimensions as x: (1, 1, ...), (1, m, 1, ...) or (c, m, 1, ...)."""
        t = self.schedule.check_time(t)
        if tuple(t.shape) not in {(), lead[-1:], lead}:
            raise ValueError(f"t has shape {tuple(t.shape)}: a number, {lead[-1:]} or {lead} is needed")
        return t.reshape(*[1] * (len(lead) - t.ndim), *t.shape, *[1] * len(self.event_shape))

    def copy(self, i: int) -> "Denoiser":
        """Copy i of a stack as a denoiser with a single network of its own."""
        return self.with_network(self.network.copy(i))

    @classmethod
    def stack(cls, models: Sequence["Denoiser"]) -> "Denoiser":
        """Single denoisers that differ only in their weights, as a stack."""
        first = models[0]
        for m in models:
            same = (m.schedule, m.prediction, m.data_std, m.event_shape)
            if (
                same != (first.schedule, first.prediction, first.data_std, first.event_shape)
                or (m.mean != first.mean).any()
            ):
                raise ValueError(
                    "models differ in schedule, prediction, data_std, mean or event_shape: equal ones are needed"
                )
        return first.with_network(type(first.network).stack([m.network for m in models]))

    def with_network(self, network: nn.Module) -> "Denoiser":
        """The same denoiser around another network for the same samples."""
        return type(self)(
            network, self.schedule, prediction=self.prediction, data_std=self.data_std, mean=self.mean,
            event_shape=self.event_shape,
        )  # fmt: skip
