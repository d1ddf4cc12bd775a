"""The images of a recipe: what its model was trained on, and what was held out of all models of a data set."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.data_set import DataSet
from ..data.sets import load
from .recipe import SPLIT, Recipe, stream


@dataclass(frozen=True, eq=False)
class Images:
    """Training and held-out images (or signals) of a recipe, shifted and scaled so that the training set has mean 0 and variance 1.

    Attributes:
        train: (n, C, H, W), or (n, length).
        held_out: (n_held_out, C, H, W), never trained on by any model of this data set.
        train_set, held_out_set: the same as they came, with labels and source.
        mean, std: of train_set, which `to_images` brings back.
    """

    train: Tensor
    held_out: Tensor
    train_set: DataSet
    held_out_set: DataSet
    mean: float
    std: float

    def to_images(self, x: Tensor) -> Tensor:
        """Back to the range of the data set, shape of x; images are cut to [-1, 1], signals are not."""
        back = x * self.std + self.mean
        return back.clamp(-1, 1) if back.ndim == 4 else back


def recipe_data(recipe: Recipe) -> Images:
    """The images of a recipe. The held-out ones depend on the data set and n_held_out only, so they are held out of every recipe.

    Raises:
        ValueError: an unknown data set, or n above what is left of it.
    """
    whole = load(recipe.data_name, size=recipe.size)
    if not 1 <= recipe.n <= whole.n - recipe.n_held_out:
        raise ValueError(
            f"n = {recipe.n}: from 1 to {whole.n - recipe.n_held_out}, {recipe.data_name} has {whole.n} images, "
            f"{recipe.n_held_out} held out"
        )
    held_out, chosen = whole.split(recipe.n_held_out)
    if recipe.n < chosen.n:
        chosen = chosen.split(recipe.n, torch.Generator().manual_seed(stream(recipe.seed, SPLIT)))[0]
    mean, std = _moments(chosen.x)
    scaled = [(part.x - mean) / std for part in (chosen, held_out)]
    return Images(*scaled, chosen, held_out, mean, std)


def _moments(x: Tensor) -> tuple[float, float]:
    """Mean and standard deviation, on one thread: their last digits depend on the number of threads, and the data are the same on any."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return float(x.mean()), float(x.std())
    finally:
        torch.set_num_threads(threads)
