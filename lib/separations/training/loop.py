"""One training loop for all networks: `train` yields a record now and then, the caller owns logging, evaluation and stopping.

    for record in train(model, data, steps=2000, every=200, generator=g):
        losses[record.step] = record.loss

The loss is denoising score matching (Vincent 2011; Ye et al. 2026, eq. 3.1). A stack of c networks trains on c data sets at
once: its loss is the sum of the c losses, so that no gradient mixes, and each weight moves as if its network were alone with
any optimiser that works weight by weight (SGD, Adam, AdamW; not LAMB). Clipping takes the norm of each copy by itself.

A long run names a `checkpoint` file: killed at any moment and started again with the same arguments, it goes on from the last
one and ends with the weights of a run that was never stopped, bit for bit on one machine (see `checkpoints`). Several GPUs,
several processes and bfloat16 come from Hugging Face Accelerate: every process draws the joint batch and takes its part of it.
`model.network.compile()` before the call lets torch.compile fuse what the network does: worth its minute for long trainings.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ..networks.denoiser import Denoiser
from ..networks.mlp import Generators
from ..numerics.checks import check_count, check_positive, check_real, check_weights, check_whole, uniform
from ..schedules import OU, Schedule
from ..timesteps.times import LogSNRUniform
from .average import EMA
from .state import Record, TrainingRun

OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def log_snr_uniform(t_min: float, t_max: float, *, schedule: Schedule | None = None) -> Callable[..., Tensor]:
    """Sampler of times whose log signal-to-noise ratio is uniform between those of t_min and t_max.

    Args:
        t_min, t_max: ends, 0 < t_min < t_max.
        schedule: of the noise; None for the Ornstein-Uhlenbeck process.

    Returns:
        times(m, generator), (m,).

    Raises:
        ValueError: ends that are not in this order, or that the schedule does not have.
    """
    return LogSNRUniform(t_min, t_max, schedule or OU()).sample


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
    clip: float | None = None,
    augment: Callable[..., Tensor] | None = None,
    every: int | Iterable[int] = 100,
    generator: Generators = None,
    checkpoint: str | Path | None = None,
    save_every: int = 500,
    accelerator=None,
) -> Iterator[Record]:
    """Train `model` in place; yields a `Record` every `every` steps (or at the steps listed) and after the last one.

    Arguments are checked at the call.

    Args:
        model: a single denoiser, or a stack of c.
        data: (n, *event_shape), for all copies, or a list of c sets of any sizes, one a copy; a batch is drawn with replacement, for
            each copy by itself.
        steps: updates in all.
        batch: rows of a copy in a step.
        times: `times(m, generator)`, or an object with `.sample(m, generator)`, gives (m,); None for a log-SNR uniform in [-5, 7]
            (OU: t from 0.0009 to 5).
        weight: see `denoising_terms`.
        optimiser: "adam" (weight_decay is an L2 penalty), "adamw", "sgd", or a function (parameters, lr=, weight_decay=).
        lr: learning rate.
        weight_decay: of the optimiser, a number from 0 on.
        decay: of the learning rate: "constant", "cosine" (to 0), or a function of the fraction done in [0, 1].
        warmup: steps of linear rise before it.
        ema: decay of the averaged weights, in [0, 1); None for no average.
        clip: largest norm of the gradient of a copy; None for no limit.
        augment: a function (x0, generator) to x0 on each batch, as `random_flip`.
        every: a number of steps, or the steps with a record.
        generator: one for all, or a list of c: copy i then sees the draws of a single network trained with generator[i].
        checkpoint: a file (safetensors), written whole at the start, every `save_every` steps and at the end; if it is there, the run
            goes on from it, provided that data, model and arguments are the same in content (a larger `steps` is allowed with
            decay="constant"); a finished run gives its last record again. A disk that is full is a RuntimeWarning: the run goes on.
        save_every: steps between two writings.
        accelerator: an `accelerate.Accelerator` ("no" or "bf16"); all processes need equal generators, and `batch` is that of all
            together.

    Returns:
        An iterator of records; training goes on as it is asked for the next one.

    Raises:
        ValueError: an argument of another kind or size, or a checkpoint that is damaged or of another run.
        FloatingPointError: a loss or gradient that is not finite, before the update.
        MemoryError: too little memory; both say which checkpoint is left.
    """
    steps, batch, save_every = (
        check_count(steps, "steps"),
        check_count(batch, "batch"),
        check_count(save_every, "save_every"),
    )
    lr, weight_decay = check_positive(lr, "lr"), check_real(weight_decay, "weight_decay", "a number >= 0", low=0)
    if not isinstance(model, Denoiser):
        raise ValueError(f"model is {type(model).__name__}: a Denoiser is needed")
    path = None if checkpoint is None else _path(checkpoint)
    if path is None or not path.exists():
        check_weights(model)
    run = TrainingRun(model, data, times, weight, batch, generator, accelerator)
    warmup = check_whole(warmup, "warmup", 0, steps - 1)
    run.optimiser = _optimiser(optimiser, model, lr, weight_decay)
    run.rate = _rate(decay, lr, warmup, steps)
    run.ema = None if ema is None else EMA(model, ema)
    clip = None if clip is None else check_real(clip, "clip", "a positive number, or None,", low=0, open_low=True)
    if augment is not None and not callable(augment):
        raise ValueError(f"augment = {augment!r}: a function (x0, generator), or None, is needed")
    run.clip, run.augment = clip, augment
    marks = _marks(every, steps)
    if path is not None:
        settings = {
            "steps": steps, "batch": batch, "lr": lr, "weight_decay": weight_decay, "warmup": warmup,
            "ema": None if ema is None else run.ema.decay, "clip": clip, "decay": decay, "weight": weight, "optimiser": optimiser,
            "times": times, "augment": augment, "precision": getattr(accelerator, "mixed_precision", "no"),
        }  # fmt: skip
        run.open(path, save_every, settings)
    return run.records(steps, marks | {steps})


def _marks(every: int | Iterable[int], steps: int) -> set[int]:
    """The steps with a record."""
    if isinstance(every, Iterable) and getattr(every, "ndim", 1):
        return {check_count(step, "every") for step in every}
    first = check_count(every, "every")
    return set(range(first, steps, first))


def _path(checkpoint: str | Path) -> Path:
    if not isinstance(checkpoint, str | Path) or Path(checkpoint).is_dir():
        raise ValueError(f"checkpoint = {str(checkpoint)!r}: the path of a file, not of a folder, is needed")
    return Path(checkpoint)


def random_flip(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images, each mirrored left to right with probability 1/2: an `augment` for `train`.

    Args:
        x: (..., C, H, W).
        generator: throws the coins; None takes PyTorch's own stream.

    Returns:
        The shape of x.
    """
    lead = x.shape[:-3]
    coin = uniform(math.prod(lead), generator).reshape(*lead, 1, 1, 1).to(x.device) < 0.5
    return torch.where(coin, x.flip(-1), x)


def _optimiser(make, model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("model has no weight that asks for gradients: at least one is needed")
    if callable(make):
        return make(parameters, lr=lr, weight_decay=weight_decay)
    if not isinstance(make, str) or make not in OPTIMISERS:
        raise ValueError(f"optimiser = {make!r}: one of {', '.join(OPTIMISERS)} or a function is needed")
    return OPTIMISERS[make](parameters, lr=lr, weight_decay=weight_decay, fused=True)  # one kernel for all weights


def _rate(decay, lr: float, warmup: int, steps: int) -> Callable[[int], float]:
    """Learning rate of step 1, 2, ..., steps."""
    shapes = {"constant": lambda u: 1.0, "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2}
    if not callable(decay) and not (isinstance(decay, str) and decay in shapes):
        raise ValueError(f"decay = {decay!r}: one of {', '.join(shapes)} or a function of the fraction done is needed")
    shape = decay if callable(decay) else shapes[decay]

    def rate(step: int) -> float:
        if step <= warmup:
            return lr * step / warmup
        u = (step - 1 - warmup) / (steps - warmup)
        return lr * check_real(shape(u), f"decay({u:g})", "a finite number >= 0", low=0)

    return rate
