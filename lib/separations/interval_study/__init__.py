"""Pretrained models trained on with other timesteps, and measured: the studies of chapters 53 to 55."""

from .experiment import Experiment, draw
from .jobs import Job, continued, epoch_updates, interval_job, interval_pairs, run_jobs
from .summary import between_seeds, by_pair, correlation, groups, location_slope, matrix, seed_freedom, widenings

__all__ = [
    "Experiment",
    "Job",
    "between_seeds",
    "by_pair",
    "continued",
    "correlation",
    "draw",
    "epoch_updates",
    "groups",
    "interval_job",
    "interval_pairs",
    "location_slope",
    "matrix",
    "run_jobs",
    "seed_freedom",
    "widenings",
]
