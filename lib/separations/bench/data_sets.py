"""The data sets on which all scores are read, by name: two disjoint training sets of one size, held-out points, and the truth where it is known."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..data import load
from ..distributions import Diffused, GaussianMixture
from ..numerics.checks import check_count, check_generator, shown
from ..numerics.seeds import seeded
from ..schedules import Schedule
from .circle import Circle

DIMENSION, COMPONENTS = 50, 12  # of the mixture: the first figure of Buchanan et al. (2025)
MEANS = 5  # stream of the mixture's centres: the same law for everybody
FILES = {"digits": "digits", "mnist": "mnist5k"}
NAMES = ("circle", "mixture", *FILES)


@dataclass(frozen=True)
class BenchSet:
    """A data set of the bench.

    Attributes:
        name: what `bench_set` was asked for.
        train: (n, *event_shape).
        twin: a second training set of n points, disjoint from the first; None if it was not asked for.
        held_out: (k, *event_shape), in neither.
        truth: the law that all are drawn from; None for images.
    """

    name: str
    train: Tensor = field(repr=False)
    twin: Tensor | None = field(repr=False)
    held_out: Tensor = field(repr=False)
    truth: Diffused | None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of a point."""
        return tuple(self.train.shape[1:])


def bench_set(
    name: str,
    n: int,
    *,
    held_out: int = 500,
    twin: bool = True,
    schedule: Schedule | None = None,
    generator: torch.Generator | None = None,
) -> BenchSet:
    """Training points, a disjoint second set of them, and held-out points, all of one shuffle.

    circle: uniform on the unit circle in the plane, float64. mixture: 12 unit Gaussians in 50 dimensions with centres on the sphere of radius
    sqrt(50), which are the same in every call, float64. digits: 8 x 8 images of scikit-learn, 1,797 in all. mnist: 28 x 28, 5,000 in all, so that
    4,000 points have no twin. Images are float32 (1, H, W) in [-1, 1].

    Args:
        name: circle, mixture, digits or mnist.
        n: training points, in each of the two sets.
        held_out: points kept out of both.
        twin: whether a second training set is wanted.
        schedule: that the truth owns.
        generator: of the points, or of the shuffle; None for torch's own.

    Returns:
        `BenchSet`.

    Raises:
        ValueError: for another name, counts below 1, and more points than there are.
    """
    n, k, generator = check_count(n, "n"), check_count(held_out, "held_out"), check_generator(generator)
    if not isinstance(name, str) or name not in NAMES:
        raise ValueError(f"name = {shown(name)}: one of {', '.join(NAMES)} is needed")
    if not isinstance(twin, bool):
        raise ValueError(f"twin = {shown(twin)}: True or False is needed")
    total = (1 + twin) * n + k
    if name in FILES:
        truth, x = None, load(FILES[name]).x
        if total > len(x):
            half = "" if not twin else ", or twin=False,"
            raise ValueError(
                f"n = {n}, held_out = {k}: {total} points of {name} are asked for; at most {len(x)}{half} are possible"
            )
        device = torch.device("cpu") if generator is None else generator.device
        x = x[torch.randperm(len(x), generator=generator, device=device)[:total].cpu()]
    else:
        truth = Circle(schedule=schedule) if name == "circle" else _mixture(schedule)
        x = truth.sample(2 * n + k, generator=generator)  # with or without a twin the same points
    return BenchSet(name, x[:n], x[n + k : 2 * n + k] if twin else None, x[n : n + k], truth)


def _mixture(schedule: Schedule | None) -> GaussianMixture:
    generator = seeded(0, MEANS)
    means = torch.randn(COMPONENTS, DIMENSION, generator=generator, dtype=torch.float64)
    return GaussianMixture(means * math.sqrt(DIMENSION) / means.norm(dim=1, keepdim=True), 1.0, schedule=schedule)
