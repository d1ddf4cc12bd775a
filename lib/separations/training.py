"""One training loop for all networks: `train` yields a record now and then, the caller owns logging, evaluation and stopping.

    for record in train(model, data, steps=2000, every=200, generator=g):
        losses[record.step] = record.loss

The loss is denoising score matching (Vincent 2011; Ye et al. 2026, eq. 3.1). A stack of c networks trains on c data sets at
once: its loss is the sum of the c losses, so that no gradient mixes, and each weight moves as if its network were alone with
any optimiser that works weight by weight (SGD, Adam, AdamW; not LAMB, not clipping by a common norm).
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .checks import check_count, check_finite, randn
from .networks import Denoiser, Generators, one_each
from .parameterizations import PREDICTIONS, loss_weight
from .schedules import OU, Schedule

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


@dataclass(frozen=True)
class Record:
    """What training tells. loss, grad_norm: a number for a single network, (c,) for a stack, on the device of the model."""

    step: int  # updates done
    loss: Tensor  # mean over the steps since the last record
    grad_norm: Tensor  # Euclidean norm of the gradient of the last step, weights and biases together
    lr: float  # learning rate of the last step
    seconds: float  # spent in training so far, without what the caller does between records
    ema: nn.Module | None  # the averaged model, live: copy it to keep it


class EMA:
    """Exponential moving average of the weights, mean <- decay mean + (1 - decay) weights, begun at the weights at hand."""

    def __init__(self, model: nn.Module, decay: float):
        if not 0 <= decay < 1:
            raise ValueError(f"ema = {decay}: a decay in [0, 1) is needed")
        self.decay, self.model = decay, copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One step of the average."""
        for mean, weight in zip(self.model.parameters(), model.parameters()):
            mean.lerp_(weight, 1 - self.decay)


def log_snr_uniform(t_min: float, t_max: float, *, schedule: Schedule | None = None) -> Callable[..., Tensor]:
    """Sampler of times whose log signal-to-noise ratio is uniform between those of t_min and t_max: times(m, generator)."""
    schedule = schedule or OU()
    if not 0 < t_min < t_max:
        raise ValueError(f"t_min = {t_min}, t_max = {t_max}: 0 < t_min < t_max is needed")
    ends = schedule.log_snr(schedule.check_time(torch.tensor([t_max, t_min], dtype=torch.float64)))
    if not ends.isfinite().all():
        raise ValueError(f"t_max = {t_max}: the log-SNR is infinite there, take t_max < {schedule.t_max:g}")
    low, high = ends.tolist()

    def times(m: int, generator: torch.Generator | None = None) -> Tensor:
        return schedule.time_from_log_snr(low + (high - low) * _uniform(m, generator))

    return times


def _uniform(m: int, generator: torch.Generator | None) -> Tensor:
    device = None if generator is None else generator.device
    return torch.rand(m, dtype=torch.float64, generator=generator, device=device)


def denoising_terms(
    model: Denoiser, x0: Tensor, t: Tensor | float, *, eps: Tensor | None = None, weight="eps", generator=None
) -> Tensor:
    """Loss of each sample: ||eps_model(x_t, t) - eps||^2, x_t = alpha x0 + sigma eps, times a factor; (m,) or (c, m).

    x0: (m, *event_shape), or (c, m, *event_shape) for a stack (`expand` a set that all copies share); t: a number, (m,) or
    (c, m); eps: the noise, of the shape of x0, drawn if None. weight: what is to be counted, a name out of PREDICTIONS
    ("eps", "score", "x0", "v") or a function of t that multiplies the *score* loss, as in `losses.denoising_loss`;
    "eps" is sigma^2 times the score loss.
    """
    schedule, events = model.schedule, len(model.event_shape)
    t = schedule.check_time(t).to(x0.device)
    column = t.reshape(*t.shape, *[1] * events) if t.ndim else t
    eps = randn(tuple(x0.shape), x0, generator) if eps is None else eps
    if eps.shape != x0.shape:
        raise ValueError(f"eps has shape {tuple(eps.shape)}: the shape of x0, {tuple(x0.shape)}, is needed")
    xt = schedule.alpha(column).to(x0) * x0 + schedule.sigma(column).to(x0) * eps
    terms = (model.eps(xt, t) - eps).square().flatten(-events).sum(-1)
    return terms if weight == "eps" else _factor(weight, t, schedule).to(terms) * terms


def _factor(weight, t: Tensor, schedule: Schedule) -> Tensor:
    """Weight on the squared error of eps."""
    return weight(t) / schedule.sigma(t) ** 2 if callable(weight) else loss_weight("eps", weight, t, schedule=schedule)


def train(
    model: Denoiser,
    data: Tensor | Sequence[Tensor],
    *,
    steps: int,
    batch: int = 128,
    times=None,
    weight: str | Callable[[Tensor], Tensor] = "eps",
    optimiser: str | Callable[..., torch.optim.Optimizer] = "adam",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    decay: str | Callable[[float], float] = "constant",
    warmup: int = 0,
    ema: float | None = None,
    every: int | Iterable[int] = 100,
    generator: Generators = None,
) -> Iterator[Record]:
    """Train `model` in place; yields a `Record` every `every` steps (or at the steps listed) and after the last one.

    data: (n, *event_shape), for all copies, or a list of c sets of any sizes, one a copy; a batch is drawn with replacement,
    for each copy by itself. times: ``times(m, generator)`` or an object with ``.sample(m, generator)`` -> (m,); default:
    log-SNR uniform in [-5, 7] (OU: t from 0.0009 to 5). weight: see `denoising_terms`. optimiser: "adam" (weight_decay is an
    L2 penalty), "adamw", "sgd", or a function (parameters, lr=, weight_decay=). decay: "constant", "cosine" (to 0), or a
    function of the fraction done in [0, 1]; warmup: steps of linear rise before it. ema: decay of the averaged weights.
    generator: one for all, or a list of c: copy i then sees the draws of a single network trained with generator[i].

    Arguments are checked at the call. A loss or gradient that is not finite raises FloatingPointError before the update.
    """
    run = _Run(model, data, times, weight, check_count(batch, "batch"), generator)
    check_count(steps, "steps")
    if not 0 < lr < math.inf or not 0 <= weight_decay < math.inf:
        raise ValueError(f"lr = {lr}, weight_decay = {weight_decay}: lr > 0 and weight_decay >= 0 are needed")
    run.optimiser = _optimiser(optimiser, model, lr, weight_decay)
    run.rate = _rate(decay, lr, warmup, steps)
    run.ema = None if ema is None else EMA(model, ema)
    if isinstance(every, Iterable):
        marks = {check_count(step, "every") for step in every}
    else:
        marks = set(range(check_count(every, "every"), steps, every))
    return run.records(steps, marks | {steps})


def _optimiser(make, model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if callable(make):
        return make(parameters, lr=lr, weight_decay=weight_decay)
    if make not in OPTIMISERS:
        raise ValueError(f"optimiser = {make!r}: one of {', '.join(OPTIMISERS)} or a function is needed")
    return OPTIMISERS[make](parameters, lr=lr, weight_decay=weight_decay, fused=True)  # one kernel for all weights


def _rate(decay, lr: float, warmup: int, steps: int) -> Callable[[int], float]:
    """Learning rate of step 1, 2, ..., steps."""
    shapes = {"constant": lambda u: 1.0, "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2}
    if not callable(decay) and decay not in shapes:
        raise ValueError(f"decay = {decay!r}: one of {', '.join(shapes)} or a function of the fraction done is needed")
    if isinstance(warmup, bool) or not isinstance(warmup, int) or not 0 <= warmup < steps:
        raise ValueError(f"warmup = {warmup!r}: a whole number in [0, steps = {steps}) is needed")
    shape = decay if callable(decay) else shapes[decay]

    def rate(step: int) -> float:
        if step <= warmup:
            return lr * step / warmup
        return lr * shape((step - 1 - warmup) / (steps - warmup))

    return rate


class _Run:
    """The state of a training run: model, optimiser, average, generators, step. All that a checkpoint has to hold."""

    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]
    ema: EMA | None = None

    def __init__(self, model: Denoiser, data, times, weight, batch: int, generator: Generators):
        if not callable(weight) and weight not in PREDICTIONS:
            raise ValueError(f"weight = {weight!r}: one of {', '.join(PREDICTIONS)} or a function of t is needed")
        ends = model.schedule.time_from_log_snr(torch.tensor([7.0, -5.0], dtype=torch.float64)).tolist()
        times = log_snr_uniform(*ends, schedule=model.schedule) if times is None else times
        self.times = getattr(times, "sample", times)
        if not callable(self.times):
            raise ValueError(f"times = {times!r}: a function (m, generator) or an object with .sample is needed")
        self.model, self.weight, self.batch, self.step, self.seconds = model, weight, batch, 0, 0.0
        self.c = model.copies or 1
        shared = generator is None or isinstance(generator, torch.Generator)
        # One generator for all draws once for all copies; a list draws c times what a single network would.
        self.groups = [(self.c, generator)] if shared else [(1, g) for g in one_each(generator, self.c)]
        self._load(data)

    def _load(self, data) -> None:
        """All sets in one tensor `rows`; set i begins at first[i] and has sizes[i] rows, both (c, 1)."""
        sets = [data] if isinstance(data, Tensor) else list(data)
        if len(sets) not in {1, self.c}:
            raise ValueError(f"data has {len(sets)} sets: one, or one a copy ({self.c}), is needed")
        for i, one in enumerate(sets):
            name = "data" if isinstance(data, Tensor) else f"data[{i}]"
            if not one.is_floating_point() or one.shape[1:] != self.model.event_shape or len(one) == 0:
                want = ", ".join(map(str, ("n", *self.model.event_shape)))
                raise ValueError(
                    f"{name} is {tuple(one.shape)}, {one.dtype}: a floating-point ({want}) tensor is needed"
                )
            check_finite(one, name)
        self.rows = torch.cat(sets).to(next(self.model.parameters()))
        self.sizes = torch.tensor([len(s) for s in sets]).expand(self.c)[:, None]
        self.first = self.sizes.cumsum(0) - self.sizes if len(sets) > 1 else torch.zeros_like(self.sizes)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """x0 and eps, (c, m, *event_shape), and t, (c, m); without the c for a single network."""
        m, rows = self.batch, self.rows
        parts = []
        for c, g in self.groups:
            where, t = _uniform(c * m, g), torch.as_tensor(self.times(c * m, g))
            parts.append((where.reshape(c, m), t.reshape(c, m), randn((c, m, *rows.shape[1:]), rows, g)))
        where, t, eps = (torch.cat(p) if len(p) > 1 else p[0] for p in zip(*parts))
        # In float64 u < 1 gives floor(u n) < n for every n below 2^52.
        index = self.first.to(where.device) + (where * self.sizes.to(where.device)).long()
        found = rows[index.to(rows.device)], t.to(rows.device), eps
        return tuple(v[0] for v in found) if self.model.copies is None else found

    def update(self) -> tuple[Tensor, Tensor]:
        """One step of the optimiser; loss and norm of the gradient, () or (c,)."""
        x0, t, eps = self.draw()
        self.optimiser.zero_grad()
        loss = denoising_terms(self.model, x0, t, eps=eps, weight=self.weight).mean(-1)
        loss.sum().backward()
        norm = self._grad_norm().reshape(loss.shape)
        bad = ~(loss.isfinite() & norm.isfinite())
        if bad.any():
            self._stop(loss.detach(), norm, bad)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step + 1)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update(self.model)
        self.step += 1
        return loss.detach(), norm

    def _grad_norm(self) -> Tensor:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(g.reshape(self.c, -1), dim=1) for g in gradients]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0)  # (c,)

    def _stop(self, loss: Tensor, norm: Tensor, bad: Tensor) -> None:
        i = int(bad.reshape(-1).nonzero()[0])
        where = f"step {self.step + 1}" + ("" if self.model.copies is None else f", copy {i}")
        raise FloatingPointError(
            f"{where}: the loss is {loss.reshape(-1)[i]:g}, the norm of its gradient {norm.reshape(-1)[i]:g}; the weights "
            f"of step {self.step} are kept. A smaller lr than {self.rate(self.step + 1):g} is the usual cure"
        )

    def records(self, steps: int, marks: set[int]) -> Iterator[Record]:
        total, last = 0.0, self.step
        while self.step < steps:
            start = time.perf_counter()
            loss, norm = self.update()
            total = total + loss
            self.seconds += time.perf_counter() - start
            if self.step in marks:
                ema = None if self.ema is None else self.ema.model
                lr = self.optimiser.param_groups[0]["lr"]
                yield Record(self.step, total / (self.step - last), norm, lr, self.seconds, ema)
                total, last = 0.0, self.step
