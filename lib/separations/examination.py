"""Examine a trained image model: generate, count copies, measure quality against images that no model has seen."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .features import DEFAULT, Features, features_of
from .metrics import ImageQuality, MemorizationRatio, image_quality, memorization_ratio
from .networks import Denoiser
from .recipes import Images
from .samplers import generate


@dataclass(frozen=True)
class Examination:
    """What a model generates and how it fares. `row()` has the numbers for a table."""

    samples: Tensor = field(repr=False)  # (m, C, H, W), on the scale of the model
    memorization: MemorizationRatio = field(repr=False)
    quality: ImageQuality | None = field(repr=False)

    def row(self) -> dict[str, float]:
        """Numbers by name: ratio, and each measure of quality, with the ends of its interval as name_low and name_high."""
        found = {
            "ratio": self.memorization.ratio,
            "ratio_low": self.memorization.low,
            "ratio_high": self.memorization.high,
        }
        for name in ("frechet", "kernel", "precision", "recall", "density", "coverage") if self.quality else ():
            measure = getattr(self.quality, name)
            found |= {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}
        return found


def reference_features(images: Images, extractor=DEFAULT) -> Features:
    """Features of the held-out images, the reference set of all measures of quality; compute them once."""
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
    """Generate m images with `samplers.generate` (steps, **options) and measure them.

    Memorization is against images.train, in pixels; quality against `reference` (from `reference_features` with the same extractor),
    and left out if that is None.
    """
    samples = generate(model, m, steps=steps, generator=generator, **options)
    quality = None
    if reference is not None:
        quality = image_quality(
            features_of(images.to_images(samples), extractor, "generated images"), reference, components=32
        )
    return Examination(samples, memorization_ratio(samples, images.train), quality)
