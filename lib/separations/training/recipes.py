"""Recipes of trained models, so that each can be trained again anywhere: the shipped ones by name, and the model of any.

    recipe = recipes.named("mnist-memorizing")
    model, facts = recipes.trained(recipe)          # shipped weights, or from a folder, or trained here and kept there
    images = recipes.recipe_data(recipe)            # what it was trained on, and what was held out

`shipped_models` trains the shipped ones again (`make checkpoints`) and records what they are.
"""

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path

import torch

from ..machine import cores, versions
from ..networks.denoiser import Denoiser
from . import checkpoints, identity, run_identity
from .recipe import Recipe
from .recipe_data import Images, recipe_data
from .recipe_training import train_recipe, untrained

# Whose code decides what a recipe gives: a model that was kept before one of them changed is trained again.
CODE = (
    *run_identity.CODE,
    "training.recipe",
    "training.recipe_data",
    "training.recipe_training",
    "training.recipes",
    "numerics.seeds",
)

_ALL = {
    recipe.name: recipe
    for recipe in (
        Recipe("mnist-memorizing", note="64 digits, seen 4,000 times each: most of what it generates are copies"),
        Recipe(
            "mnist-generalizing",
            n=4000,
            lr=1e-3,
            decay="cosine",
            ema=0.99,
            note="4,000 digits, seen 64 times each: copies are rare",
        ),
        Recipe(
            "emoji-pretrained",
            data_name="emoji",
            n=200,
            n_held_out=400,
            size=32,
            patch=4,
            depth=4,
            prediction="eps",
            times=("Uniform", {}),
            steps=700,
            batch=32,
            lr=1e-3,
            note="200 sprites, 100 passes, noise prediction at uniform times: a start for the chapters on control",
        ),
        Recipe(
            "heartbeats-pretrained",
            data_name="heartbeats",
            n=236,
            n_held_out=236,
            unet={},
            prediction="eps",
            times=("Uniform", {}),
            steps=400,
            batch=32,
            lr=1e-3,
            ema=0.99,
            note="236 heartbeats, 50 passes, noise prediction at uniform times",
        ),
    )
}
NAMES = tuple(_ALL)


def named(name: str, /, **changes) -> Recipe:
    """A shipped recipe by name, with changes of its fields, as named("mnist-memorizing", seed=3).

    Raises:
        ValueError: a name that is not one of `NAMES`, a change of no field, or a value that no model can have.
    """
    if not isinstance(name, str) or name not in _ALL:
        raise ValueError(f"name = {name!r}: one of {', '.join(NAMES)} is needed")
    unknown = sorted(changes.keys() - {one.name for one in fields(Recipe)})
    if unknown:
        raise ValueError(f"{unknown[0]} is no field of a recipe: {', '.join(one.name for one in fields(Recipe))} are")
    return replace(_ALL[name], **changes)


def trained(
    recipe: Recipe,
    *,
    folder: str | Path | None = None,
    data: Images | None = None,
    progress: Callable | None = None,
    shipped: bool = True,
    device: str | torch.device = "cpu",
) -> tuple[Denoiser, dict]:
    """The averaged model of a recipe, and its facts: shipped if this very recipe is, else from `folder`, else trained here.

    A model that was kept is taken if recipe, data and the library's code of training are still the same; one that cannot be written,
    as on a full disk, is a RuntimeWarning, and it is returned all the same.

    Args:
        recipe: which model; its ema is not None.
        folder: where a model trained here is kept, and its checkpoint while it trains (killed and called again, it goes on); None
            keeps nothing.
        data: recipe_data(recipe), if it is at hand.
        progress: called with each `Record` of training.
        shipped: whether the weights that come with the library may be taken.
        device: where it trains, and where the model lies at the end.

    Returns:
        The model, in float32, and its facts: recipe, digests of data and code, how it was made, versions.

    Raises:
        ValueError: a file that is damaged, or a recipe that no model can have.
    """
    if recipe.ema is None:
        raise ValueError("ema = None: the averaged model is what is kept, a decay is needed")
    place = _shipped(recipe) if shipped else None
    if place is not None:
        model, facts = checkpoints.load_model(place)
        if facts.get("recipe") == recipe.words():
            return model.to(device), facts
    data, start = data or recipe_data(recipe), time.monotonic()
    about = {"recipe": recipe.words(), "data": identity.digest(data.train), "code": identity.code(CODE)}
    path = _place(recipe, folder, about)
    if path is not None and path.is_file():
        model, facts = checkpoints.load_model(path)
        if {name: facts.get(name) for name in about} == about:
            return model.to(device), facts
    model = untrained(recipe, tuple(data.train.shape[1:])).to(device)
    going = None if path is None else path.with_name(f"{path.stem}.training.safetensors")
    for record in train_recipe(recipe, model, data.train, checkpoint=going):
        if progress is not None:
            progress(record)
    made = {"seconds": round(time.monotonic() - start), "cores": cores(), "threads": torch.get_num_threads()}
    facts = {**about, "made": made, "versions": versions()}
    if path is not None:
        _keep(path, going, record.ema, facts)
    return record.ema, facts


def model_of_seed(
    name: str,
    seed: int,
    *,
    changes: Iterable = (),
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> tuple[Denoiser, Recipe, Images]:
    """The trained model of a seed, its recipe and its images.

    Args:
        name: of a recipe, see `named`.
        seed: of the model; 0 is shipped.
        changes: fields of the recipe that differ, as pairs of a name and a value.
        folder, device: as in `trained`.

    Raises:
        ValueError: another name, or no field of a recipe.
    """
    recipe = named(name, **{**dict(changes), "seed": seed})
    return trained(recipe, folder=folder, device=device)[0], recipe, recipe_data(recipe)


def _keep(path: Path, going: Path, model: Denoiser, facts: dict) -> None:
    """Write the model and remove its checkpoint. If that fails the checkpoint stays, so that another call has only to write."""
    try:
        checkpoints.save_model(path, model, facts=facts)
        going.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"path = {path}: the trained model could not be kept ({error})", RuntimeWarning, stacklevel=3)


def _shipped(recipe: Recipe) -> Path | None:
    return checkpoints.shipped(recipe.name) if recipe.name in NAMES else None


def _place(recipe: Recipe, folder: str | Path | None, about: dict) -> Path | None:
    if folder is None:
        return None
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:10]
    return Path(folder) / f"{recipe.name}-{digest}.safetensors"
