"""Recipes of trained models: everything that a model depends on in one record, so that it can be trained again anywhere.

    recipe = recipes.named("mnist-memorizing")
    model, facts = recipes.trained(recipe)          # shipped weights, or from a folder, or trained here and kept there
    images = recipe.data()                          # what it was trained on, and what was held out

`shipped_models` trains the shipped ones again (`make checkpoints`) and records what they are.
"""

import copy
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from .. import schedules, timesteps
from ..data.sets import DataSet, load
from ..machine import cores, versions
from ..networks.denoiser import Denoiser
from ..networks.dit import DiT
from ..networks.dit_blocks import DiTConfig
from ..networks.unet1d import UNet1D, UNet1DConfig
from ..numerics import seeds
from ..numerics.checks import check_count, check_real, check_whole
from . import checkpoints, identity, run_identity
from .loop import random_flip, train
from .state import Record

# Whose code decides what a recipe gives: a model that was kept before one of them changed is trained again.
CODE = (*run_identity.CODE, "training.recipes", "numerics.seeds")
WHOLE = {"n": 1, "n_held_out": 1, "patch": 1, "width": 1, "depth": 1, "heads": 1, "steps": 1, "batch": 1, "warmup": 0}
SPLIT, START, TRAINING, FINE_TUNING = range(4)  # what a stream of random numbers is for


def stream(seed: int, purpose: int) -> int:
    """Number of the random stream of a recipe's seed for a purpose: no two pairs share one. ValueError for a seed that would be cut.

    Below 1000, 1000 purpose + seed, as the shipped models were made; from there on that of `seeds.stream`, which lies above all those.
    """
    seed = seeds.check_seed(seed)
    return 1000 * purpose + seed if seed < 1000 else seeds.stream(seed, purpose)


@dataclass(frozen=True, eq=False)
class Images:
    """Training and held-out images of a recipe, shifted and scaled so that the training set has mean 0 and variance 1."""

    train: Tensor  # (n, C, H, W)
    held_out: Tensor  # (n_held_out, C, H, W), never trained on by any model of this data set
    train_set: DataSet  # the same images as they came, with labels and source
    held_out_set: DataSet
    mean: float
    std: float

    def to_images(self, x: Tensor) -> Tensor:
        """Back to the range of the data set, shape of x; images are cut to [-1, 1], signals are not."""
        back = x * self.std + self.mean
        return back.clamp(-1, 1) if back.ndim == 4 else back


@dataclass(frozen=True)
class Recipe:
    """A trained model in words and numbers. Two equal recipes give equal weights on one machine with equal versions.

    data: name of a data set; n: training images, drawn with `seed` from what is not held out; times: class of `timesteps` and its
    arguments, on `schedule`; steps, batch, lr, warmup, decay, weight_decay, ema, clip: as in `train`; flip: mirror images at random.
    """

    name: str
    data_name: str = "mnist5k"
    n: int = 64
    n_held_out: int = 1000
    size: int | None = None
    seed: int = 0
    patch: int = 7
    width: int = 96
    depth: int = 6
    heads: int = 6
    schedule: str = "VPLinear"
    prediction: str = "v"
    times: tuple = ("LogNormal", {"mean": 1.0, "std": 1.0})
    steps: int = 4000
    batch: int = 64
    lr: float = 2e-3
    warmup: int = 100
    decay: str = "constant"
    weight_decay: float = 0.0
    ema: float = 0.995
    clip: float | None = None
    flip: bool = False
    note: str = field(default="", compare=False)
    unet: dict | None = (
        None  # settings of a `UNet1DConfig`: the network is a UNet1D on signals, not a DiT; patch to heads say nothing then
    )

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name or self.name != Path(self.name).name or "\0" in self.name:
            raise ValueError(f"name = {self.name!r}: text that can be the name of a file is needed")
        for name, low in WHOLE.items():
            object.__setattr__(self, name, check_whole(getattr(self, name), name, low))
        object.__setattr__(self, "seed", seeds.check_seed(self.seed))
        for name in ("lr", "weight_decay", "ema", "clip"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_real(getattr(self, name), name))
        for name, module in (("schedule", schedules), ("times", timesteps)):
            kind = getattr(self, name) if name == "schedule" else (self.times or (None,))[0]
            if not isinstance(kind, str) or not isinstance(getattr(module, kind, None), type):
                raise ValueError(
                    f"{name} = {getattr(self, name)!r}: the name of a class of separations.{name} is needed"
                )

    def data(self) -> Images:
        """The images. The held-out ones depend on the data set and n_held_out only, so they are held out of every recipe."""
        whole = load(self.data_name, size=self.size)
        if not 1 <= self.n <= whole.n - self.n_held_out:
            raise ValueError(
                f"n = {self.n}: from 1 to {whole.n - self.n_held_out}, {self.data_name} has {whole.n} images, {self.n_held_out} held out"
            )
        held_out, pool = whole.split(self.n_held_out)
        chosen = (
            pool if self.n == pool.n else pool.split(self.n, torch.Generator().manual_seed(stream(self.seed, SPLIT)))[0]
        )
        mean, std = _moments(chosen.x)
        scaled = [(part.x - mean) / std for part in (chosen, held_out)]
        return Images(*scaled, chosen, held_out, mean, std)

    def time_distribution(self):
        """The object that draws the times of training."""
        kind, options = self.times
        schedule = {} if kind in {"Uniform", "Beta"} else {"schedule": self.noise()}
        return getattr(timesteps, kind)(**options, **schedule)

    def noise(self) -> schedules.Schedule:
        """The noise schedule."""
        return getattr(schedules, self.schedule)()

    def untrained(self, shape: tuple[int, ...]) -> Denoiser:
        """The model before training, from its seed; shape: (C, H, W), of a signal (length,)."""
        generator = torch.Generator().manual_seed(stream(self.seed, START))
        if self.unet is not None:
            if len(shape) != 1:
                raise ValueError(f"unet = {self.unet}: signals are needed, {self.data_name} has rows of shape {shape}")
            network = UNet1D(UNet1DConfig(length=shape[0], **self.unet), generator=generator)
        else:
            config = DiTConfig(image=shape, patch=self.patch, width=self.width, depth=self.depth, heads=self.heads)
            network = DiT(config, generator=generator)
        return Denoiser(network, self.noise(), prediction=self.prediction)

    def training(
        self, model: Denoiser, data: Tensor, *, every=500, checkpoint: Path | None = None, **changes
    ) -> Iterator[Record]:
        """`train` with the settings of the recipe; `changes` replaces some of them."""
        settings = {
            "steps": self.steps, "batch": self.batch, "lr": self.lr, "warmup": self.warmup, "decay": self.decay, "ema": self.ema,
            "weight_decay": self.weight_decay, "clip": self.clip, "times": self.time_distribution(), "weight": self.prediction,
            "optimiser": "adamw", "augment": random_flip if self.flip else None, "checkpoint": checkpoint,
            "generator": torch.Generator().manual_seed(stream(self.seed, TRAINING)),
        }  # fmt: skip
        return train(model, data, every=every, **(settings | changes))

    def fine_tuning(
        self, model: Denoiser, data: Tensor, *, steps: int, lr: float, ema: float = 0.98, warmup: int = 10, **changes
    ) -> Iterator[Record]:
        """`training` of a copy of a trained model at a constant rate, as after pruning; the result is `record.ema`.

        The model itself is not changed. ema is shorter than in training: an average begins at
        the weights at hand, and with a longer one than `steps` most of the result would be the model before fine-tuning. Draws are
        others than those of training; `changes` as in `training` (a `generator` of its own for a repetition).
        """
        steps = check_count(steps, "steps")
        settings = {"decay": "constant", "generator": torch.Generator().manual_seed(stream(self.seed, FINE_TUNING))}
        copied = copy.deepcopy(model).requires_grad_(True)
        return self.training(
            copied, data, steps=steps, lr=lr, ema=ema, warmup=min(warmup, steps - 1), **(settings | changes)
        )

    def words(self) -> dict:
        """The recipe as plain values, as they stand in a checkpoint."""
        found = {key: value for key, value in asdict(self).items() if key != "note"}
        if self.unet is None:  # older checkpoints know no such field
            del found["unet"]
        return json.loads(checkpoints.as_json(found, f"recipe {self.name}"))


def _moments(x: Tensor) -> tuple[float, float]:
    """Mean and standard deviation, on one thread: their last digits depend on the number of threads, and the data are the same on any."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return float(x.mean()), float(x.std())
    finally:
        torch.set_num_threads(threads)


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
    """A shipped recipe by name, with changes of its fields, as named("mnist-memorizing", seed=3). ValueError for another name."""
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

    folder: where a model trained here is kept, and its checkpoint while it trains (killed and called again, it goes on);
    None keeps nothing. A model that was kept is taken if recipe, data and the library's code of training are still the same; one that
    cannot be written, as on a full disk, is a RuntimeWarning, and it is returned all the same. data: recipe.data(), if it is at hand.
    progress: called with each `Record` of training. shipped: whether the weights that come with the library may be taken. device: where
    it trains and where the model lies at the end. ValueError for a file that is damaged.
    """
    if recipe.ema is None:
        raise ValueError("ema = None: the averaged model is what is kept, a decay is needed")
    place = _shipped(recipe) if shipped else None
    if place is not None:
        model, facts = checkpoints.load_model(place)
        if facts.get("recipe") == recipe.words():
            return model.to(device), facts
    data, start = data or recipe.data(), time.monotonic()
    about = {"recipe": recipe.words(), "data": identity.digest(data.train), "code": identity.code(CODE)}
    path = _place(recipe, folder, about)
    if path is not None and path.is_file():
        model, facts = checkpoints.load_model(path)
        if {name: facts.get(name) for name in about} == about:
            return model.to(device), facts
    model = recipe.untrained(tuple(data.train.shape[1:])).to(device)
    going = None if path is None else path.with_name(f"{path.stem}.training.safetensors")
    for record in recipe.training(model, data.train, checkpoint=going):
        if progress is not None:
            progress(record)
    made = {"seconds": round(time.monotonic() - start), "cores": cores(), "threads": torch.get_num_threads()}
    facts = {**about, "made": made, "versions": versions()}
    if path is not None:
        _keep(path, going, record.ema, facts)
    return record.ema, facts


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
