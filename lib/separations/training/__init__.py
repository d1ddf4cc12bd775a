"""One training loop, its state, its checkpoints, and the recipes of the shipped models."""

from .average import EMA
from .gradient_signal import per_sample_gradients
from .loop import log_snr_uniform, random_flip, train
from .objective import denoising_terms
from .per_copy import PerCopyAdamW
from .recipe import Recipe
from .recipe_data import Images, recipe_data
from .recipe_training import fine_tune, train_recipe, untrained
from .state import Record

__all__ = [
    "EMA",
    "Images",
    "PerCopyAdamW",
    "Recipe",
    "Record",
    "denoising_terms",
    "fine_tune",
    "log_snr_uniform",
    "per_sample_gradients",
    "random_flip",
    "recipe_data",
    "train",
    "train_recipe",
    "untrained",
]
