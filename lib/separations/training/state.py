"""The state of a training run and its step: what `training.train` drives, and all that a checkpoint has to hold."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..networks.denoiser import Denoiser
from ..networks.mlp import Generators
from ..timesteps.times import LogSNRUniform
from .average import EMA
from .batches import Batches
from .objective import DenoisingLoss, check_weight, loss_factor
from .run_identity import check_same_run, words_of_run
from .saved_run import read_state, write_state


@dataclass(frozen=True)
class Record:
    """What training tells.

    Attributes:
        step: updates done.
        loss: mean over the steps since the last record; a number, or (c,) for a stack, on the device of the model.
        grad_norm: Euclidean norm of the gradient of the last step, weights and biases together; as loss.
        lr: learning rate of the last step.
        seconds: spent in training so far, without what the caller does between records.
        ema: the averaged model, live: copy it to keep it.
    """

    step: int
    loss: Tensor
    grad_norm: Tensor
    lr: float
    seconds: float
    ema: nn.Module | None


class TrainingRun:
    """The state of a training run: model, optimiser, average, generators, step. All that a checkpoint has to hold."""

    optimiser: torch.optim.Optimizer
    rate: Callable[[int], float]
    ema: EMA | None = None
    clip: float | None = None
    augment: Callable[..., Tensor] | None = None
    checkpoint: Path | None = None
    ended: Record | None = None  # of a finished run

    def __init__(self, model: Denoiser, data, times, weight, batch: int, generator: Generators, accelerator=None):
        check_weight(weight)
        ends = model.schedule.time_from_log_snr(torch.tensor([7.0, -5.0], dtype=torch.float64)).tolist()
        times = LogSNRUniform(*ends, model.schedule) if times is None else times
        sample = getattr(times, "sample", times)
        if not callable(sample) or isinstance(times, type):
            raise ValueError(f"times = {times!r}: a function (m, generator) or an object with .sample is needed")
        self.model, self.batch, self.step, self.seconds = model, batch, 0, 0.0
        self.total, self.last = 0.0, 0  # sum of the losses since the last record, and its step
        self.c = model.copies or 1
        self.loss, self.accelerator = DenoisingLoss(model, weight), accelerator
        if accelerator is not None:
            self._distribute(accelerator)
        self.batches = Batches(model, data, sample, batch, generator)

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
        x0, t, eps = self.batches.draw()
        if self.augment is not None:
            x0 = self._augmented(x0)
        if self.accelerator is not None:
            x0, t, eps = (self._share(v) for v in (x0, t, eps))
        self.times_seen = t
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

    def _augmented(self, x0: Tensor) -> Tensor:
        found = self.augment(x0, self.batches.generators[0])
        if not isinstance(found, Tensor) or found.shape != x0.shape:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"augment gave {what} for x0 of shape {tuple(x0.shape)}: a tensor of its shape is needed")
        return found

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
            f"of step {self.step} are kept{self._left()}. {self._cure()}"
        )

    def _cure(self) -> str:
        """What to do about a loss that is not finite: the weight may be to blame, else the learning rate."""
        weight = self.loss.weight if isinstance(self.loss, DenoisingLoss) else "eps"
        if callable(weight) and not loss_factor(weight, self.times_seen, self.model.schedule).isfinite().all():
            return "The weight gives values that are not finite at these times: finite ones are needed"
        return f"A smaller lr than {self.rate(self.step + 1):g} is the usual cure"

    def _left(self) -> str:
        return "" if self.checkpoint is None else f", and the checkpoint of step {self.saved} in {self.checkpoint}"

    def open(self, path: Path, save_every: int, settings: Mapping) -> None:
        """Go on from the checkpoint if it is there; write the first one otherwise."""
        if any(g is None for g in self.batches.generators):
            raise ValueError("generator = None: a torch.Generator is needed with a checkpoint, for its state is saved")
        self.checkpoint, self.save_every, self.saved = path, save_every, 0
        self.settings = words_of_run(
            self.model, self.batches.rows, self.batches.sizes, self.batches.generators, path, settings
        )
        if path.exists():
            self._restore()
        else:
            self.save()

    def save(self, record: Record | None = None) -> None:
        """Write everything that the rest of the run depends on; only the first of several processes writes.

        record: of this very step, so that a finished run can hand over its last one again.
        """
        if self.accelerator is None or self.accelerator.is_main_process:
            last = {} if record is None else {"loss": record.loss, "grad_norm": record.grad_norm}
            write_state(
                self.checkpoint,
                modules=self._modules(),
                optimiser=self.optimiser,
                generators=self.batches.generators,
                numbers={"total": self.total, **last},
                facts={
                    "step": self.step,
                    "last": self.last,
                    "seconds": self.seconds,
                    "lr": None if record is None else record.lr,
                    "settings": self.settings,
                },
            )
        self.saved = self.step

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.model, **({"ema": self.ema.model} if self.ema else {})}

    def _keep(self, record: Record | None) -> None:
        """`save`, but a disk that is full does not take the training along: it stays in memory and the earlier file stays whole."""
        try:
            self.save(record)
        except OSError as error:
            warnings.warn(
                f"checkpoint = {self.checkpoint}: step {self.step} could not be written ({error}); the file still holds step "
                f"{self.saved}, and training goes on",
                RuntimeWarning,
                stacklevel=4,
            )

    def _restore(self) -> None:
        facts, numbers = read_state(
            self.checkpoint, modules=self._modules(), optimiser=self.optimiser, generators=self.batches.generators,
            check=lambda facts: check_same_run(self.checkpoint, facts["settings"], self.settings, facts["step"]),
        )  # fmt: skip
        self.step, self.last, self.seconds = facts["step"], facts["last"], facts["seconds"]
        self.saved, self.total = self.step, numbers["total"].to(self.batches.rows)
        if "loss" in numbers:
            loss, norm = (numbers[name].to(self.batches.rows.device) for name in ("loss", "grad_norm"))
            self.ended = Record(self.step, loss, norm, facts["lr"], self.seconds, self.ema.model if self.ema else None)

    def records(self, steps: int, marks: set[int]) -> Iterator[Record]:
        """The records of the steps that are left; of a finished run its last one, so that what was trained can be delivered."""
        if self.step >= steps and self.ended is not None:
            yield self.ended
        while self.step < steps:
            start = time.perf_counter()
            try:
                loss, norm = self.update()
            except (RuntimeError, MemoryError) as error:
                raise self._explained(error) from error
            self.total = self.total + loss
            self.seconds += time.perf_counter() - start
            due = self.checkpoint is not None and (self.step % self.save_every == 0 or self.step == steps)
            record = self._record(norm) if due or self.step in marks else None
            if self.step in marks:
                self.total, self.last = 0.0, self.step
            if due:
                self._keep(record)
            if self.step in marks:
                yield record

    def _record(self, norm: Tensor) -> Record:
        ema = None if self.ema is None else self.ema.model
        lr = self.optimiser.param_groups[0]["lr"]
        return Record(self.step, self.total / (self.step - self.last), norm, lr, self.seconds, ema)

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
