"""A model by its recipe: before training, along its training, and trained on for a while from where it is."""

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from ..networks.dit import DiT
from ..networks.dit_blocks import DiTConfig
from ..networks.unet1d import UNet1D, UNet1DConfig
from ..numerics.checks import check_count
from .loop import random_flip, train
from .recipe import FINE_TUNING, START, TRAINING, Recipe, stream
from .state import Record


def untrained(recipe: Recipe, shape: tuple[int, ...]) -> Denoiser:
    """The model of a recipe before training, from its seed.

    Args:
        recipe: whose model.
        shape: (C, H, W) of an image, or (length,) of a signal.

    Returns:
        A denoiser on the CPU.

    Raises:
        ValueError: a shape that its network does not take.
    """
    generator = torch.Generator().manual_seed(stream(recipe.seed, START))
    if recipe.unet is None:
        config = DiTConfig(image=shape, patch=recipe.patch, width=recipe.width, depth=recipe.depth, heads=recipe.heads)
        network = DiT(config, generator=generator)
    elif len(shape) == 1:
        network = UNet1D(UNet1DConfig(length=shape[0], **recipe.unet), generator=generator)
    else:
        raise ValueError(f"unet = {recipe.unet}: signals are needed, {recipe.data_name} has rows of shape {shape}")
    return Denoiser(network, recipe.noise(), prediction=recipe.prediction)


def train_recipe(
    recipe: Recipe, model: Denoiser, data: Tensor, *, every=500, checkpoint: Path | None = None, **changes
) -> Iterator[Record]:
    """`train` with the settings of a recipe.

    Args:
        recipe: the settings.
        model: trained in place, as `untrained` gives it.
        data: (n, *event_shape), on the scale of the model, as `Images.train`.
        every, checkpoint: as in `train`.
        changes: arguments of `train` that replace those of the recipe.

    Returns:
        What `train` yields.

    Raises:
        ValueError: as `train`.
    """
    settings = {
        "steps": recipe.steps, "batch": recipe.batch, "lr": recipe.lr, "warmup": recipe.warmup, "decay": recipe.decay,
        "ema": recipe.ema, "weight_decay": recipe.weight_decay, "clip": recipe.clip, "times": recipe.time_distribution(),
        "weight": recipe.prediction, "optimiser": "adamw", "augment": random_flip if recipe.flip else None,
        "checkpoint": checkpoint, "generator": torch.Generator().manual_seed(stream(recipe.seed, TRAINING)),
    }  # fmt: skip
    return train(model, data, every=every, **(settings | changes))


def fine_tune(
    recipe: Recipe,
    model: Denoiser,
    data: Tensor,
    *,
    steps: int,
    lr: float,
    ema: float = 0.98,
    warmup: int = 10,
    **changes,
) -> Iterator[Record]:
    """`train_recipe` of a copy of a trained model at a constant rate, as after pruning; the result is `record.ema`.

    Draws are others than those of training.

    Args:
        recipe: the settings that are not given here.
        model: where it begins; it is not changed.
        data: (n, *event_shape), on the scale of the model.
        steps, lr: updates and their rate.
        ema: shorter than in training: an average begins at the weights at hand, and with one longer than `steps` most of the result
            would be the model before fine-tuning.
        warmup: steps of linear rise, at most steps - 1.
        changes: as in `train_recipe` (a `generator` of its own for a repetition).

    Returns:
        What `train` yields.

    Raises:
        ValueError: as `train`.
    """
    steps = check_count(steps, "steps")
    settings = {"decay": "constant", "generator": torch.Generator().manual_seed(stream(recipe.seed, FINE_TUNING))}
    copied = copy.deepcopy(model).requires_grad_(True)
    return train_recipe(
        recipe, copied, data, steps=steps, lr=lr, ema=ema, warmup=min(warmup, steps - 1), **(settings | changes)
    )
