"""Examine an image model: generate, count copies, measure quality against images that no model has seen; also along its training."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .metrics.extractors import DEFAULT
from .metrics.features import Features, features_of
from .metrics.images import quantised
from .metrics.memorization import MemorizationRatio, memorization_ratio
from .metrics.quality import ImageQuality, image_quality
from .networks.denoiser import Denoiser
from .numerics.checks import check_count, check_generator, check_real
from .numerics.seeds import MAX_STREAM, check_seed
from .samplers import generate
from .training.objective import denoising_terms
from .training.recipe import Recipe
from .training.recipe_data import Images
from .training.recipe_training import train_recipe, untrained

BATCH = 256  # noisy images at a time


@dataclass(frozen=True)
class Examination:
    """What a model generates and how it fares. `row()` has the numbers for a table.

    Attributes:
        samples: (m, C, H, W), on the scale of the model.
        memorization: copies among the samples, with an interval.
        quality: against images that no model has seen; None where there was no reference.
    """

    samples: Tensor = field(repr=False)
    memorization: MemorizationRatio = field(repr=False)
    quality: ImageQuality | None = field(repr=False)

    def row(self) -> dict[str, float]:
        """Numbers by name: ratio, and each measure of quality, with the ends of its interval as name_low and name_high."""
        found = self.memorization.columns("ratio")
        for name, measure in vars(self.quality).items() if self.quality else ():
            found |= measure.columns(name)
        return found


def reference_features(images: Images, extractor=DEFAULT) -> Features:
    """Features of the held-out images, the reference set of all measures of quality; compute them once.

    Args:
        images: their held-out set is taken.
        extractor: a name, or a function of images with a name.

    Returns:
        `Features` with the names of the extractor and of the set.

    Raises:
        ValueError: for an unknown extractor.
    """
    return features_of(images.held_out_set.x, extractor, f"held-out images of {images.held_out_set.name}")


def examine(
    model: Denoiser,
    images: Images,
    m: int,
    *,
    reference: Features | None = None,
    extractor=DEFAULT,
    steps: int = 18,
    generator: torch.Generator | None = None,
    **options,
) -> Examination:
    """Generate m images with `samplers.generate` and measure them.

    Args:
        model: a denoiser of images.
        images: memorization is against images.train, in pixels.
        m: number of images.
        reference: quality is against it (from `reference_features` with the same extractor), and left out if it is
            None.
        extractor: a name, or a function of images with a name.
        steps: of the sampler.
        generator: of the random numbers; None for torch's own.
        options: further arguments of `samplers.generate`.

    Returns:
        An `Examination`, its samples on the device of images.train.

    Raises:
        ValueError: as `samplers.generate`, and for an unknown extractor.
    """
    samples = generate(model, m, steps=steps, generator=generator, **options).to(images.train)  # to its device
    quality = None
    if reference is not None:
        quality = image_quality(
            features_of(images.to_images(samples), extractor, "generated images"), reference, components=32
        )
    return Examination(samples, memorization_ratio(samples, images.train), quality)


def noise_yardstick(
    images: Images,
    extractor=DEFAULT,
    m: int = 200,
    *,
    deviations: Iterable[float] = (0.0, 0.01, 0.02, 0.05),
    generator: torch.Generator | None = None,
) -> dict[float, ImageQuality]:
    """Quality of held-out images under noise, by its standard deviation on pixels in [-1, 1]: what measures say of nearly nothing.

    A standard deviation of 0.02 is 2.5 of 256 grey levels; nobody sees it. Some held-out images, made noisy and rounded
    to 256 levels as a file holds them, against the other held-out images: no model has seen either, the reference is a
    little smaller than in `examine`. A difference between models that is not above those of these rows says nothing
    about what one sees.

    Args:
        images: their held-out set is taken.
        extractor: a name, or a function of images with a name.
        m: min(m, half of the held-out images) are made noisy.
        deviations: standard deviations of the noise.
        generator: of the order and of the noise; None for torch's own.

    Returns:
        The `ImageQuality` for each deviation.

    Raises:
        ValueError: for m < 1, and a deviation that is not a finite number from 0 on.
    """
    m, generator = check_count(m), check_generator(generator)
    deviations = [check_real(each, "deviation", "a finite number from 0 on", low=0) for each in deviations]
    held_out = images.held_out_set.x
    order = torch.randperm(len(held_out), generator=generator)
    some = order[: min(m, len(held_out) // 2)]
    reference = features_of(held_out[order[len(some) :]], extractor, "other held-out images")
    noise = torch.randn(held_out[some].shape, generator=generator).to(held_out)
    found = {}
    for deviation in deviations:
        noisy = features_of(quantised(held_out[some] + deviation * noise), extractor, "noisy held-out images")
        found[deviation] = image_quality(noisy, reference, components=32)
    return found


@torch.no_grad()
def denoising_losses(
    model: Denoiser, recipe: Recipe, images: Images, draws: int, *, generator: torch.Generator | None = None
) -> tuple[float, float]:
    """The recipe's loss per pixel on training and on held-out images, times and noise as in training.

    Rows are taken in turn, with the same times and noise for both sets; their difference is what the network has
    learned of the training images themselves.

    Args:
        model: a denoiser of images.
        recipe: gives the times and what is predicted, so the weight.
        images: the training and the held-out set.
        draws: noisy images of each set.
        generator: of times and noise; None for torch's own.

    Returns:
        The loss on training and on held-out images.

    Raises:
        ValueError: for draws < 1.
    """
    draws, generator = check_count(draws, "draws"), check_generator(generator)
    times = recipe.time_distribution().sample(draws, generator)
    eps = torch.randn(draws, *images.train.shape[1:], generator=generator)
    device = next(model.parameters()).device
    losses = []
    for rows in (images.train, images.held_out):
        total = 0.0
        for at in torch.arange(draws).split(BATCH):  # a large network has no room for all of them at once
            x0 = rows[at % len(rows)].to(device)
            terms = denoising_terms(model, x0, times[at], eps=eps[at].to(x0), weight=recipe.prediction)
            total += float(terms.double().sum())
        losses.append(total / draws / rows[0].numel())
    return tuple(losses)


@dataclass(frozen=True)
class Moment:
    """A training run at one of its steps.

    Attributes:
        step: updates so far.
        loss: of training, per pixel, mean since the last moment.
        loss_train, loss_held_out: of the averaged weights, per pixel, on training images and on held-out ones.
        averaged, raw: what the averaged and the raw weights generate.
    """

    step: int
    loss: float
    loss_train: float
    loss_held_out: float
    averaged: Examination
    raw: Examination

    def row(self) -> dict[str, float]:
        """Numbers by name: those of the averaged weights as in `Examination.row`, and `ratio_raw`."""
        losses = {"loss": self.loss, "loss_train": self.loss_train, "loss_held_out": self.loss_held_out}
        return {"step": self.step, **losses, **self.averaged.row(), "ratio_raw": self.raw.memorization.ratio}


def along_training(
    recipe: Recipe,
    images: Images,
    marks: int | Iterable[int],
    m: int,
    *,
    reference: Features | None = None,
    extractor=DEFAULT,
    steps: int = 18,
    draws: int = 512,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Callable | None = None,
) -> Iterator[Moment]:
    """Train a recipe from its start and examine the averaged and the raw weights at `marks`, with the same m starts each time.

    Args:
        recipe: what is trained, and how.
        images: the training and the held-out set.
        marks: every so many steps, or the steps themselves.
        m: number of images at each mark.
        reference, extractor, steps: as in `examine`; the raw weights are never compared with the reference.
        draws: for `denoising_losses`.
        seed: of the starts, and the next number of `denoising_losses`.
        device: of the model.
        progress: called with each `Record` of training before it is examined.

    Returns:
        An iterator over a `Moment` each mark.

    Raises:
        ValueError: for a seed that is no such number, marks that training does not have, and as `examine` and
            `denoising_losses`.
    """
    seed = check_seed(seed, most=MAX_STREAM - 1)
    model = untrained(recipe, tuple(images.train.shape[1:])).to(device)

    def look(which: Denoiser, features: Features | None) -> Examination:
        start = torch.Generator().manual_seed(seed)
        return examine(which, images, m, reference=features, extractor=extractor, steps=steps, generator=start)

    for record in train_recipe(recipe, model, images.train, every=marks):
        if progress is not None:
            progress(record)
        losses = denoising_losses(record.ema, recipe, images, draws, generator=torch.Generator().manual_seed(seed + 1))
        loss = float(record.loss) / images.train[0].numel()
        yield Moment(record.step, loss, *losses, look(record.ema, reference), look(model, None))
