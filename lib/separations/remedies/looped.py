"""The training loop of `training.train` around any loss of this room, step for step the same draws."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ..networks import Denoiser
from ..numerics.checks import check_count, check_positive, check_weights, check_whole
from ..training import EMA, Record
from ..training.batches import Batches
from ..training.state import TrainingRun
from .term_functions import Terms


class _Loss(nn.Module):
    """The mean of the terms, () or (c,), where `TrainingRun` has its own loss."""

    def __init__(self, model: Denoiser, terms: Terms, batches: Batches):
        super().__init__()
        self.model, self.terms, self.batches = model, terms, batches
        self.weight = "eps"

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        terms = self.terms(self.model, x0, t, eps, self.batches.drawn)
        if not isinstance(terms, Tensor) or terms.shape != t.shape or not terms.requires_grad:
            what = f"shape {tuple(terms.shape)}" if isinstance(terms, Tensor) else type(terms).__name__
            raise ValueError(
                f"terms gave {what}: losses of shape {tuple(t.shape)} that depend on the weights are needed"
            )
        return terms.mean(-1)


def train_with_terms(
    model: Denoiser,
    data,
    terms: Terms,
    *,
    steps: int,
    batch: int = 128,
    times=None,
    optimiser: Callable[..., torch.optim.Optimizer] | None = None,
    lr: float = 1e-3,
    warmup: int = 0,
    ema: float | None = None,
    every: int | Iterable[int] = 100,
    generator=None,
) -> Iterator[Record]:
    """`training.train` with a loss of this room: yields a `training.Record` at the steps asked for and after the last one.

    With `PlainTerms(weight)` it is `train(..., weight=weight)`, bit for bit. Weights may be changed in place between two records
    (`average_copies`).

    Args:
        model: a single denoiser, or a stack of c.
        data: a set for all copies, or a list of c sets.
        terms: the loss, (model, x0, t, eps, rows) to (m,) or (c, m); rows are those of the sets put one behind the other, or of the one set.
        steps, batch, times: as in `train`.
        optimiser: a function (parameters, lr=, weight_decay=); None for Adam.
        lr, warmup, ema: as in `train`.
        every: a number of steps, or the steps with a record.
        generator: one for all, or a list of c.

    Returns:
        An iterator of records.

    Raises:
        ValueError: arguments that `train` would refuse, terms that are no function or give no loss a sample.
        FloatingPointError: a loss or gradient that is not finite, before the update.
    """
    if not isinstance(model, Denoiser):
        raise ValueError(f"model is {type(model).__name__}: a Denoiser is needed")
    check_weights(model)
    if not callable(terms) or isinstance(terms, type):
        raise ValueError(f"terms = {terms!r}: a function (model, x0, t, eps, rows) is needed")
    steps, lr = check_count(steps, "steps"), check_positive(lr, "lr")
    warmup = check_whole(warmup, "warmup", 0, steps - 1)
    run = TrainingRun(model, data, times, "eps", check_count(batch, "batch"), generator)
    run.loss = _Loss(model, terms, run.batches)
    make = partial(torch.optim.Adam, fused=True) if optimiser is None else optimiser
    if not callable(make):
        raise ValueError(f"optimiser = {make!r}: a function (parameters, lr=, weight_decay=), or None, is needed")
    learned = [p for p in model.parameters() if p.requires_grad]
    if not learned:
        raise ValueError("model has no weight that asks for gradients: at least one is needed")
    run.optimiser = make(learned, lr=lr, weight_decay=0.0)
    if not isinstance(run.optimiser, torch.optim.Optimizer):
        raise ValueError(f"optimiser gave {type(run.optimiser).__name__}: a torch.optim.Optimizer is needed")
    run.rate = lambda step: lr * step / warmup if step <= warmup else lr
    run.ema = None if ema is None else EMA(model, ema)
    return run.records(steps, _marks(every, steps) | {steps})


def _marks(every: int | Iterable[int], steps: int) -> set[int]:
    """The steps with a record, as `train` reads them."""
    if isinstance(every, str) or not isinstance(every, Iterable) or not getattr(every, "ndim", 1):
        first = check_count(every, "every")
        return set(range(first, steps, first))
    return {check_count(step, "every") for step in every}
