"""A recipe: everything that a trained model depends on in one record of words and numbers."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .. import schedules, timesteps
from ..numerics import seeds
from ..numerics.checks import check_real, check_whole
from .sealed_file import as_json

WHOLE = {"n": 1, "n_held_out": 1, "patch": 1, "width": 1, "depth": 1, "heads": 1, "steps": 1, "batch": 1, "warmup": 0}
SPLIT, START, TRAINING, FINE_TUNING = range(4)  # what a stream of random numbers is for


def stream(seed: int, purpose: int) -> int:
    """Number of the random stream of a recipe's seed for a purpose: no two pairs share one. ValueError for a seed that would be cut.

    Below 1000, 1000 purpose + seed, as the shipped models were made; from there on that of `seeds.stream`, which lies above all those.
    """
    seed = seeds.check_seed(seed)
    return 1000 * purpose + seed if seed < 1000 else seeds.stream(seed, purpose)


@dataclass(frozen=True)
class Recipe:
    """A trained model in words and numbers. Two equal recipes give equal weights on one machine with equal versions.

    Args:
        name: of the model, and of the file that keeps it.
        data_name: of a data set, as in `data.load`.
        n, n_held_out: training images, drawn with `seed` from what is not held out, and how many are held out.
        size: pixels a side, as in `data.load`.
        seed: of the training images, the first weights, the training and the fine-tuning, each with a stream of its own.
        patch, width, depth, heads: of a `DiTConfig`.
        schedule, prediction: class of `schedules`, and what the network predicts, as in `Denoiser`.
        times: class of `timesteps` and its arguments, on `schedule`.
        steps, batch, lr, warmup, decay, weight_decay, ema, clip: as in `train`.
        flip: whether images are mirrored at random.
        note: for people; two recipes that differ in it only are equal.
        unet: settings of a `UNet1DConfig`, for signals, in place of a `DiTConfig`; patch to heads then say nothing.

    Raises:
        ValueError: a field that no model can have; data and shapes are checked where they are used.
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
    unet: dict | None = None

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

    def time_distribution(self):
        """The object that draws the times of training."""
        kind, options = self.times
        schedule = {} if kind in {"Uniform", "Beta"} else {"schedule": self.noise()}
        return getattr(timesteps, kind)(**options, **schedule)

    def noise(self) -> schedules.Schedule:
        """The noise schedule."""
        return getattr(schedules, self.schedule)()

    def words(self) -> dict:
        """The recipe as plain values, as they stand in a checkpoint."""
        found = {key: value for key, value in asdict(self).items() if key != "note"}
        if self.unet is None:  # older checkpoints know no such field
            del found["unet"]
        return json.loads(as_json(found, f"recipe {self.name}"))
