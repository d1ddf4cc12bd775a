"""Copies of parts: the memorization rule on patches of images, place by place."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .checks import check_count, check_points
from .metrics import memorization_ratio


@dataclass(frozen=True)
class PatchMatches:
    """Which patches of which samples the rule calls copies; float(...) is the share among textured patches."""

    copied: Tensor = field(repr=False)  # (m, rows, columns) bool
    textured: Tensor = field(repr=False)  # (m, rows, columns) bool: patches that say something

    @property
    def per_sample(self) -> Tensor:
        """Share of the textured patches of each sample that are copies, (m,); 0 for a sample without texture."""
        counts = self.textured.flatten(1).sum(1)
        return (self.copied & self.textured).flatten(1).sum(1) / counts.clamp(min=1)

    def __float__(self) -> float:
        return float((self.copied & self.textured).sum() / self.textured.sum().clamp(min=1))


def cut_patches(images: Tensor, size: int) -> Tensor:
    """Patches that tile images (m, c, h, w) without overlap: (m, h // size, w // size, c * size * size)."""
    if images.ndim != 4:
        raise ValueError(f"images has shape {tuple(images.shape)}: (m, c, h, w) is needed")
    check_count(size, "size")
    m, c, h, w = images.shape
    if h % size or w % size:
        raise ValueError(f"size = {size}: a divisor of the height {h} and the width {w} is needed")
    tiles = images.reshape(m, c, h // size, size, w // size, size)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(m, h // size, w // size, -1)


def patch_matches(
    samples: Tensor, train: Tensor, size: int, threshold: float = 1 / 9, *, contrast: float = 0.25
) -> PatchMatches:
    """The rule d1^2 <= threshold d2^2 on each patch against the patches of all training images at the same place.

    samples: (m, c, h, w), train: (n, c, h, w). A patch is textured if its standard deviation is at least contrast, in units
    of the data: a blank patch is a copy of every other blank patch and says nothing. Equal training patches count once.
    """
    shape = tuple(train.shape[1:])
    check_points(train, shape, "train"), check_points(samples, shape, "samples")
    if contrast < 0:
        raise ValueError(f"contrast = {contrast}: a standard deviation >= 0 is needed")
    ours, theirs = cut_patches(samples, size), cut_patches(train, size)
    textured = ours.std(-1) >= contrast
    copied = torch.zeros_like(textured)
    for i, j in [(i, j) for i in range(ours.shape[1]) for j in range(ours.shape[2])]:
        who = textured[:, i, j].nonzero()[:, 0]
        if len(who):
            copied[who, i, j] = memorization_ratio(ours[who, i, j], theirs[:, i, j], threshold, resamples=1).memorized
    return PatchMatches(copied, textured)
