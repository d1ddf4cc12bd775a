"""A pretrained model trained on, each time from the same weights, with another choice of timesteps, and measured (Vu et al. 2026).

    pairs = interval_pairs()                               # the 45 intervals of the preprint
    jobs = [interval_job(low, high) for low, high in pairs]
    for row, losses in run_jobs(experiment, jobs, workers=2): ...

A `Job` says with which times, how long and how fast; an `Experiment` says from which model and how its samples are measured. Nothing but
the job differs between rows: batches, noise and the starts of the samples come from the same seeds. Jobs are independent, so they
run in several processes, each with one thread; the rows do not depend on how many.
"""

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from .. import timesteps
from ..metrics.features import Features
from ..networks.denoiser import Denoiser
from ..numerics import seeds
from ..numerics.checks import check_count, check_positive, check_whole
from ..training import recipes
from ..training.recipe import Recipe
from ..training.recipe_data import Images, recipe_data
from ..training.recipe_training import fine_tune
from ..training.state import Record
from .experiment import Experiment, draw, features, measures


def interval_pairs(step: int = 100, T: int = 1000) -> list[tuple[int, int]]:
    """All (low, high) with low < high among step, 2 step, ..., T: 45 pairs for 100 and 1000 (Vu et al. 2026, experiments).

    Args:
        step: distance of neighbouring ends, in steps.
        T: number of steps.

    Returns:
        The pairs, rising.

    Raises:
        ValueError: unless both are positive whole numbers.
    """
    step, T = check_count(step, "step"), check_count(T, "T")
    ends = range(step, T + 1, step)
    return [(low, high) for low in ends for high in ends if low < high]


@dataclass(frozen=True)
class Job:
    """One way to train on.

    Args:
        name: of the job, in its row.
        times: a class of `timesteps` and its arguments, without the schedule; None for the times of the pretraining.
        epochs: passes over the training set, may be 0 (the model as it was).
        lr: learning rate, constant.
        batch: samples in an update.
        weight: as in `training.train`, or ("MinSNR", {...}); None for what the network predicts, as in pretraining.
        seed: of batches, times and noise.
        low, high: set for an interval alone.

    Raises:
        ValueError: for times or a weight that `timesteps` does not have, and unless epochs >= 0, batch >= 1, lr > 0 and
            seed fits.
    """

    name: str
    times: tuple | None = None
    epochs: int = 30
    lr: float = 1e-4
    batch: int = 32
    weight: object = None
    seed: int = 0
    low: float | None = None
    high: float | None = None

    def __post_init__(self):
        checked = {
            "epochs": check_whole(self.epochs, "epochs", 0), "batch": check_count(self.batch, "batch"), "lr": check_positive(self.lr, "lr"),
            "seed": seeds.check_seed(self.seed),
        }  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("times", "weight"):
            value = getattr(self, name)
            pair = isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], str)
            known = pair and isinstance(getattr(timesteps, value[0], None), type) and isinstance(value[1], Mapping)
            if not known and (isinstance(value, tuple | list) or (name == "times" and value is not None)):
                raise ValueError(f"{name} = {value!r}: a class of separations.timesteps and its arguments is needed")


def interval_job(low: float, high: float, *, coverage: float = 0.5, **options) -> Job:
    """Training on with `timesteps.ConfidenceInterval(low, high, coverage)`.

    Args:
        low, high: of the interval, in steps out of 1,000.
        coverage: share of the normal law in it.
        options: further arguments of `Job`.

    Returns:
        A `Job` named "low to high".

    Raises:
        ValueError: for a wrong interval.
    """
    timesteps.ConfidenceInterval(low, high, coverage)  # a wrong one is an error here, not in a process far away
    times = ("ConfidenceInterval", {"low": low, "high": high, "coverage": coverage})
    return Job(f"{low:g} to {high:g}", times, low=low, high=high, **options)


def epoch_updates(n: int, batch: int) -> int:
    """Updates that see n samples: n / batch, rounded up (batches are drawn with replacement, so some are seen twice).

    Args:
        n: rows of the training set.
        batch: samples in an update.

    Returns:
        A whole number >= 1.

    Raises:
        ValueError: unless both are positive whole numbers.
    """
    return math.ceil(check_count(n, "n") / check_count(batch, "batch"))


def stream(job: Job) -> int:
    """Number of the random stream of a job's batches, times and noise: jobs with different seeds never share one.

    The first 59 seeds lie among the streams of `training.fine_tune`, which trains on too: job seed s draws as a recipe of seed 17 s.
    """
    first = 3_000 + 17 * job.seed
    return first if first < 4_000 else seeds.stream(job.seed, 17)


def continued(model: Denoiser, recipe: Recipe, data: Tensor, job: Job, *, ema: float = 0.98) -> Iterator[Record]:
    """Train a copy of a pretrained model as the job says.

    Args:
        model: the pretrained denoiser; it is not changed.
        recipe: of the pretraining.
        data: (n, *event_shape), on the scale of the model.
        job: at least one epoch.
        ema: decay of the averaged weights.

    Returns:
        An iterator over a record after each epoch, whose `ema` is the result.

    Raises:
        ValueError: for a job of no epoch.
    """
    updates = epoch_updates(len(data), job.batch)
    weight = job.weight or recipe.prediction
    if isinstance(weight, tuple | list):
        weight = getattr(timesteps, weight[0])(**weight[1], schedule=recipe.noise())
    changes = {} if job.times is None else {"times": replace(recipe, times=job.times).time_distribution()}
    generator = torch.Generator().manual_seed(stream(job))
    steps = check_count(job.epochs, "epochs") * updates
    return fine_tune(
        recipe, model, data, steps=steps, lr=job.lr, ema=ema, warmup=0, batch=job.batch, every=updates, weight=weight,
        generator=generator, **changes,
    )  # fmt: skip


_SHARED: dict[str, tuple] = {}  # of this process, for the experiment at work


def _shared(experiment: Experiment) -> tuple[Denoiser, Images, Features | None]:
    """Pretrained model, data and reference features, made once a process."""
    key = repr(experiment)
    if key not in _SHARED:
        images = recipe_data(experiment.recipe)
        model, _ = recipes.trained(experiment.recipe, folder=experiment.folder, data=images, device=experiment.device)
        reference = features(images.held_out, images, experiment, "held-out") if experiment.quality else None
        _SHARED.clear()
        _SHARED[key] = model, images, reference
    return _SHARED[key]


@dataclass(frozen=True, eq=False)
class JobOutcome:
    """What a job leaves: `row, losses = outcome`, and the first samples.

    losses: the training loss of each epoch, per value, over the job's own times: those of different jobs are means of different quantities.
    """

    row: dict
    losses: list[dict]
    samples: Tensor  # (experiment.keep, *event_shape), on the scale of the model
    model: Denoiser | None = None  # on the CPU, if experiment.keep_models names the job

    def __iter__(self):
        return iter((self.row, self.losses))


@contextlib.contextmanager
def _settings(tf32: bool) -> Iterator[None]:
    """One thread, and the precision of matrix products; what was set before comes back."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1), torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_num_threads(before[0]), torch.set_float32_matmul_precision(before[1])


def run_job(experiment: Experiment, job: Job) -> JobOutcome:
    """Train on as the job says, generate and measure, with one thread."""
    with _settings(experiment.tf32):
        return _run_job(experiment, job)


def _run_job(experiment: Experiment, job: Job) -> JobOutcome:
    model, images, reference = _shared(experiment)
    losses, result = [], model
    if job.epochs:
        records = continued(model, experiment.recipe, images.train, job, ema=experiment.ema)
        size = images.train[0].numel()
        for epoch, record in enumerate(records, 1):
            losses.append({"job": job.name, "seed": job.seed, "epoch": epoch, "loss": float(record.loss) / size})
        result = record.ema
    about = {"job": job.name, "low": job.low, "high": job.high, "epochs": job.epochs, "seed": job.seed}
    samples = draw(result, experiment)
    row = about | measures(result, samples, experiment, images, reference)
    kept = copy.deepcopy(result).cpu() if job.name in experiment.keep_models else None
    return JobOutcome(row, losses, samples[: experiment.keep].clone(), kept)


def run_jobs(experiment: Experiment, jobs: Sequence[Job], workers: int = 1) -> Iterator[JobOutcome]:
    """`run_job` for each job, in their order, as they are done.

    The pretrained model is made first if it is not there.

    Args:
        experiment: what all jobs share.
        jobs: at least one.
        workers: processes with one thread each; for one the jobs run here.

    Returns:
        An iterator over a `JobOutcome` each.

    Raises:
        ValueError: for no job, something that is no `Job`, and workers < 1.
        RuntimeError: in processes, for an error in a job, with its name.
    """
    workers, jobs = check_count(workers, "workers"), list(jobs)
    if not jobs:
        raise ValueError("jobs is empty: at least one Job is needed")
    if any(not isinstance(job, Job) for job in jobs):
        raise ValueError("jobs has something that is no Job: see interval_job and Job")
    if workers == 1 or len(jobs) == 1:
        yield from (run_job(experiment, job) for job in jobs)
        return
    with TemporaryDirectory() as folder:
        if experiment.folder is None:  # so that the processes find the pretrained model, if it is not a shipped one
            experiment = replace(experiment, folder=folder)
        recipes.trained(experiment.recipe, folder=experiment.folder, device=experiment.device)
        yield from _in_processes(experiment, jobs, workers)


def _in_processes(experiment: Experiment, jobs: Sequence[Job], workers: int) -> Iterator[JobOutcome]:
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(run_job, experiment, job) for job in jobs]
        try:
            for job, future in zip(jobs, waiting):
                try:
                    yield future.result()
                except Exception as error:
                    raise RuntimeError(f"job {job.name!r}, seed {job.seed}: {type(error).__name__}: {error}") from error
        finally:
            for future in waiting:
                future.cancel()
