"""What is measured of a model that was trained on from a pretrained one, the same way for every job of `interval_study.jobs`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..examination import denoising_losses
from ..metrics.components import component_distances, mean_distance
from ..metrics.features import Features, features_of
from ..metrics.memorization import memorization_ratio
from ..metrics.neighbourhoods import density_coverage
from ..metrics.quality import kernel_distance
from ..networks.denoiser import Denoiser
from ..numerics.checks import check_count, check_real, check_whole
from ..numerics.seeds import MAX_STREAM, check_seed
from ..samplers import generate
from ..training.recipe import Recipe
from ..training.recipe_data import Images


@dataclass(frozen=True)
class Experiment:
    """What all jobs share: the pretrained model and how samples are measured.

    Args:
        recipe, folder: of the pretrained model, as in `recipes.trained`.
        m: samples of each model.
        ema: decay of the averaged weights that are examined.
        steps: of the sampler (Heun).
        draws: noisy samples for the denoising losses.
        quality: whether features are computed and compared with held-out data.
        extractor: of images (signals are their own features).
        device: "cpu", "cuda".
        tf32: matrix products on a GPU at 10 bits, faster.
        keep: samples that are handed back.
        keep_models: names of jobs whose model is handed back.
        sample_seed: of the starts, the same for all jobs.

    Raises:
        ValueError: unless m, draws and steps are positive whole numbers, keep >= 0, 0 <= ema < 1, and sample_seed is a
            seed.
    """

    recipe: Recipe
    folder: str | None = None
    m: int = 200
    ema: float = 0.98
    steps: int = 18
    draws: int = 512
    quality: bool = True
    extractor: str = "efficientnet-lite0"
    device: str = "cpu"
    tf32: bool = False
    keep: int = 0
    keep_models: tuple[str, ...] = ()
    sample_seed: int = 7

    def __post_init__(self):
        for name in ("m", "draws", "steps"):
            object.__setattr__(self, name, check_count(getattr(self, name), name))
        object.__setattr__(self, "keep", check_whole(self.keep, "keep", 0))
        object.__setattr__(self, "sample_seed", check_seed(self.sample_seed, "sample_seed", MAX_STREAM))
        check_real(self.ema, "ema", "a decay in [0, 1)", low=0, high=1, open_high=True)


def features(x: Tensor, images: Images, experiment: Experiment, source: str) -> Features:
    """Features of samples x on the scale of the model: of images by the extractor, of signals the values themselves."""
    x = images.to_images(x)
    if x.ndim == 4:
        return features_of(x, experiment.extractor, source)
    return Features(x.flatten(1).float().cpu(), "signal values", source)


def draw(model: Denoiser, experiment: Experiment) -> Tensor:
    """The samples of a model that are measured; the same starts for every model.

    Args:
        model: a denoiser.
        experiment: gives m, steps and sample_seed.

    Returns:
        (m, *event_shape) on the CPU.
    """
    start = torch.Generator().manual_seed(experiment.sample_seed)
    return generate(model, experiment.m, steps=experiment.steps, generator=start).cpu()


def measures(
    model: Denoiser, samples: Tensor, experiment: Experiment, images: Images, reference: Features | None
) -> dict:
    """All numbers about a model and its samples, each with its interval as name_low and name_high; lengths are in standard deviations of the data.

    ratio: memorized samples; distance: mean distance to all training points, nearest: to the nearest, nearest_held_out: to the nearest
    held-out point (of as many as were trained on), each per value; w1, w2, js1, js2: Wasserstein and Jensen-Shannon distances of the
    first two principal components; kernel, coverage: against held-out data; loss_train, loss_held_out: of denoising, at
    the times of the pretraining, per value.
    """
    train, held_out, found = images.train, images.held_out[: len(images.train)], {}
    found |= memorization_ratio(samples, train).columns("ratio")
    for name, others, near in (
        ("distance", train, False),
        ("nearest", train, True),
        ("nearest_held_out", held_out, True),
    ):
        found |= mean_distance(samples, others, nearest_only=near).columns(name)
    parts = component_distances(samples, train)
    for k in range(2):
        found |= parts.wasserstein[k].columns(f"w{k + 1}") | parts.jensen_shannon[k].columns(f"js{k + 1}")
    if reference is not None:
        seen = features(samples, images, experiment, "generated")
        coverage = density_coverage(seen, reference)[1]
        found |= kernel_distance(seen, reference).columns("kernel") | coverage.columns("coverage")
    apart = 11 if experiment.sample_seed != 11 else 12  # another stream than that of the samples
    losses = denoising_losses(
        model, experiment.recipe, images, experiment.draws, generator=torch.Generator().manual_seed(apart)
    )
    return found | dict(zip(("loss_train", "loss_held_out"), losses))
