"""The state of a training run and its step: what `training.train` drives, and all that a checkpoint has to hold."""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoints import read_state, write_state
from .checks import check_finite, randn
from .networks import Denoiser, Generators, one_each
from .parameterizations import PREDICTIONS, loss_weight
from .schedules import Schedule
from .timesteps import LogSNRUniform, uniform


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
    return terms if weight == "eps" else loss_factor(weight, t, schedule).to(terms) * terms


def loss_factor(weight: str | Callable[[Tensor], Tensor], t: Tensor, schedule: Schedule) -> Tensor:
    """Factor on the squared error of eps that `weight` asks for, shape of t; see `denoising_terms`."""
    _check_weight(weight)
    return weight(t) / schedule.sigma(t) ** 2 if callable(weight) else loss_weight("eps", weight, t, schedule=schedule)


def _check_weight(weight) -> None:
    if not callable(weight) and weight not in PREDICTIONS:
        raise ValueError(f"weight = {weight!r}: one of {', '.join(PREDICTIONS)} or a function of t is needed")


class _Loss(nn.Module):
    """The loss as a module, () or (c,): what Accelerate wraps, since it synchronises gradients in `forward`."""

    def __init__(self, model: Denoiser, weight):
        super().__init__()
        self.model, self.weight = model, weight

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        return denoising_terms(self.model, x0, t, eps=eps, weight=self.weight).mean(-1)


class Run:
    """The state of a training run: model, optimiser, average, generators, step. All that a checkpoint has to hold."""

    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]
    ema: EMA | None = None
    clip: float | None = None
    augment: Callable[..., Tensor] | None = None
    checkpoint: Path | None = None

    def __init__(self, model: Denoiser, data, times, weight, batch: int, generator: Generators, accelerator=None):
        _check_weight(weight)
        ends = model.schedule.time_from_log_snr(torch.tensor([7.0, -5.0], dtype=torch.float64)).tolist()
        times = LogSNRUniform(*ends, model.schedule) if times is None else times
        self.times = getattr(times, "sample", times)
        if not callable(self.times):
            raise ValueError(f"times = {times!r}: a function (m, generator) or an object with .sample is needed")
        self.model, self.batch, self.step, self.seconds = model, batch, 0, 0.0
        self.total, self.last = 0.0, 0  # sum of the losses since the last record, and its step
        self.c = model.copies or 1
        self.loss, self.accelerator = _Loss(model, weight), accelerator
        if accelerator is not None:
            self._distribute(accelerator)
        shared = generator is None or isinstance(generator, torch.Generator)
        # One generator for all draws once for all copies; a list draws c times what a single network would.
        self.groups = [(self.c, generator)] if shared else [(1, g) for g in one_each(generator, self.c)]
        self.generators = [g for _, g in self.groups]
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
            where, t = uniform(c * m, g), torch.as_tensor(self.times(c * m, g))
            parts.append((where.reshape(c, m), t.reshape(c, m), randn((c, m, *rows.shape[1:]), rows, g)))
        where, t, eps = (torch.cat(p) if len(p) > 1 else p[0] for p in zip(*parts))
        # In float64 u < 1 gives floor(u n) < n for every n below 2^52.
        index = self.first.to(where.device) + (where * self.sizes.to(where.device)).long()
        found = rows[index.to(rows.device)], t.to(rows.device), eps
        return tuple(v[0] for v in found) if self.model.copies is None else found

    def _distribute(self, accelerator) -> None:
        """Move to the device of this process and let Accelerate average the gradients of all."""
        if accelerator.mixed_precision not in {"no", "bf16"}:
            raise ValueError(
                f"accelerator has mixed_precision = {accelerator.mixed_precision!r}: 'no' or 'bf16' is needed"
            )
        if self.batch % accelerator.num_processes:
            raise ValueError(f"batch = {self.batch}: a multiple of the {accelerator.num_processes} processes is needed")
        self.loss = accelerator.prepare_model(self.loss)

    def _share(self, x: Tensor) -> Tensor:
        """The part of a joint batch (m, ...) or (c, m, ...) that belongs to this process."""
        k, axis = self.accelerator.num_processes, 0 if self.model.copies is None else 1
        return x.chunk(k, axis)[self.accelerator.process_index]

    def update(self) -> tuple[Tensor, Tensor]:
        """One step of the optimiser; loss and norm of the gradient before clipping, () or (c,)."""
        x0, t, eps = self.draw()
        if self.augment is not None:
            x0 = self.augment(x0, self.generators[0])
        if self.accelerator is not None:
            x0, t, eps = (self._share(v) for v in (x0, t, eps))
        self.optimiser.zero_grad()
        loss = self.loss(x0, t, eps)
        loss.sum().backward()
        if self.accelerator is not None:
            loss = self.accelerator.reduce(loss.detach(), "mean")
        norm = self._grad_norm().reshape(loss.shape)
        bad = ~(loss.isfinite() & norm.isfinite())
        if bad.any():
            self._stop(loss.detach(), norm, bad)
        if self.clip is not None:
            self._clip(norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step + 1)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update(self.model)
        self.step += 1
        return loss.detach(), norm

    def _clip(self, norm: Tensor) -> None:
        factor = (self.clip / norm.clamp(min=self.clip)).reshape(-1)  # (c,)
        for p in self.model.parameters():
            if p.grad is not None:
                p.grad.mul_(factor if self.c == 1 else factor.reshape(-1, *[1] * (p.grad.ndim - 1)))

    def _grad_norm(self) -> Tensor:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = [torch.linalg.vector_norm(g.reshape(self.c, -1), dim=1) for g in gradients]
        return torch.linalg.vector_norm(torch.stack(norms), dim=0)  # (c,)

    def _stop(self, loss: Tensor, norm: Tensor, bad: Tensor) -> None:
        i = int(bad.reshape(-1).nonzero()[0])
        where = f"step {self.step + 1}" + ("" if self.model.copies is None else f", copy {i}")
        raise FloatingPointError(
            f"{where}: the loss is {loss.reshape(-1)[i]:g}, the norm of its gradient {norm.reshape(-1)[i]:g}; the weights "
            f"of step {self.step} are kept{self._left()}. A smaller lr than {self.rate(self.step + 1):g} is the usual cure"
        )

    def _left(self) -> str:
        return "" if self.checkpoint is None else f", and the checkpoint of step {self.saved} in {self.checkpoint}"

    def open(self, path: Path, save_every: int, settings: dict[str, str]) -> None:
        """Go on from the checkpoint if it is there; write the first one otherwise."""
        if any(g is None for g in self.generators):
            raise ValueError("generator = None: a torch.Generator is needed with a checkpoint, for its state is saved")
        self.checkpoint, self.save_every, self.settings, self.saved = path, save_every, settings, 0
        if path.exists():
            self._restore()
        else:
            self.save()

    def save(self) -> None:
        """Write everything that the rest of the run depends on; only the first of several processes writes."""
        self.saved = self.step
        if self.accelerator is not None and not self.accelerator.is_main_process:
            return
        write_state(
            self.checkpoint,
            modules={"model": self.model, **({"ema": self.ema.model} if self.ema else {})},
            optimiser=self.optimiser,
            generators=self.generators,
            numbers={"total": self.total},
            facts={
                "step": self.step,
                "last": self.last,
                "seconds": self.seconds,
                "rows": len(self.rows),
                "settings": self.settings,
            },
        )

    def _restore(self) -> None:
        modules = {"model": self.model, **({"ema": self.ema.model} if self.ema else {})}

        def check(facts: dict) -> None:
            was, now = dict(facts["settings"]), dict(self.settings)
            longer = int(now["steps"]) >= facts["step"] and now["decay"] == "'constant'"
            if longer and was["decay"] == now["decay"]:
                was.pop("steps"), now.pop("steps")
            differ = [f"{k} = {now[k]} (it was {was.get(k)})" for k in now if now[k] != was.get(k)]
            differ += (
                [] if facts["rows"] == len(self.rows) else [f"data has {len(self.rows)} rows (it had {facts['rows']})"]
            )
            if differ:
                raise ValueError(
                    f"checkpoint = {self.checkpoint} belongs to another run: {', '.join(differ)}; the same, or another file, is needed"
                )

        facts, numbers = read_state(
            self.checkpoint, modules=modules, optimiser=self.optimiser, generators=self.generators, check=check
        )
        self.step, self.last, self.seconds = facts["step"], facts["last"], facts["seconds"]
        self.saved, self.total = self.step, numbers["total"].to(self.rows)

    def records(self, steps: int, marks: set[int]) -> Iterator[Record]:
        while self.step < steps:
            start = time.perf_counter()
            try:
                loss, norm = self.update()
            except (RuntimeError, MemoryError) as error:
                raise self._explained(error) from error
            self.total = self.total + loss
            self.seconds += time.perf_counter() - start
            record = self._record(norm) if self.step in marks else None
            if self.checkpoint is not None and (self.step % self.save_every == 0 or self.step == steps):
                self.save()
            if record is not None:
                yield record

    def _record(self, norm: Tensor) -> Record:
        ema = None if self.ema is None else self.ema.model
        lr = self.optimiser.param_groups[0]["lr"]
        record = Record(self.step, self.total / (self.step - self.last), norm, lr, self.seconds, ema)
        self.total, self.last = 0.0, self.step
        return record

    def _explained(self, error: Exception) -> Exception:
        """An allocator's error with what to do about it; any other error as it is."""
        words = ("out of memory", "not enough memory", "can't allocate memory")
        if not isinstance(error, MemoryError) and not any(w in str(error).lower() for w in words):
            return error
        shape = tuple(self.model.event_shape)
        return MemoryError(
            f"step {self.step + 1}: batch = {self.batch} samples of shape {shape} do not fit in memory{self._left()}. "
            f"A smaller batch is the usual cure ({' '.join(str(error).split())[:200]})"
        )
