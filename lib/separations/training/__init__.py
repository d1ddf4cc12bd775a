"""One training loop, its state, its checkpoints, and the recipes of the shipped models."""

from .average import EMA
from .gradient_signal import per_sample_gradients
from .loop import log_snr_uniform, random_flip, train
from .per_copy import PerCopyAdamW
from .state import Record, denoising_terms

__all__ = [
    "EMA",
    "PerCopyAdamW",
    "Record",
    "denoising_terms",
    "log_snr_uniform",
    "per_sample_gradients",
    "random_flip",
    "train",
]
