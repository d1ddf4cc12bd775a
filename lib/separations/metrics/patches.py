"""Copies of parts: the memorization rule on patches of images, place by place."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..numerics.checks import as_real, check_count
from ..numerics.scale import peak, scaled, size_exponent
from .memorization import check_sets, memorization_ratio


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
    if not isinstance(images, Tensor):
        raise ValueError(f"images is {type(images).__name__}: a tensor of shape (m, c, h, w) is needed")
    if images.ndim != 4:
        raise ValueError(f"images has shape {tuple(images.shape)}: (m, c, h, w) is needed")
    size = check_count(size, "size")
    m, c, h, w = images.shape
    if h % size or w % size:
        raise ValueError(f"size = {size}: a divisor of the height {h} and the width {w} is needed")
    tiles = images.reshape(m, c, h // size, size, w // size, size)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(m, h // size, w // size, -1)


def patch_matches(
    samples: Tensor, train: Tensor, size: int, threshold: float = 1 / 9, *, contrast: float = 0.25
) -> PatchMatches:
    """The rule d1^2 <= threshold d2^2 on each patch against the patches of all training images at the same place.

    A blank patch is a copy of every other blank patch and says nothing: only textured ones are looked at. Equal
    training patches count once; where all of them are equal there is no second nearest, and only an exact copy counts.

    Args:
        samples: (m, c, h, w).
        train: (n, c, h, w), n >= 2.
        size: of the square patches that tile an image, in pixels; a divisor of h and of w.
        threshold: on the ratio of the squared distances, in (0, 1).
        contrast: least standard deviation of a textured patch, >= 0, in the unit of the data.

    Returns:
        `PatchMatches`, with booleans (m, h // size, w // size).

    Raises:
        ValueError: for shapes that differ, fewer than 2 training images, and other values of size, threshold or
            contrast.
    """
    check_sets(train, samples=samples)
    if len(train) < 2:
        raise ValueError("train has 1 points: at least 2 are needed to have a second nearest")
    contrast = as_real(contrast, "contrast")
    if not contrast >= 0:
        raise ValueError(f"contrast = {contrast}: a standard deviation >= 0 is needed")
    ours, theirs = cut_patches(samples, size), cut_patches(train, size)
    textured = _spread(ours) >= contrast
    copied = torch.zeros_like(textured)
    for i, j in [(i, j) for i in range(ours.shape[1]) for j in range(ours.shape[2])]:
        who = textured[:, i, j].nonzero()[:, 0]
        if len(who):
            copied[who, i, j] = _copied(ours[who, i, j], theirs[:, i, j], threshold).to(copied.device)
    return PatchMatches(copied, textured)


def _copied(ours: Tensor, theirs: Tensor, threshold: float) -> Tensor:
    """The rule on the patches of one place, (m,) bool."""
    differ = bool((theirs != theirs[0]).any())
    return memorization_ratio(ours, theirs, threshold, merge_duplicates=differ).memorized


def _spread(patches: Tensor) -> Tensor:
    """Standard deviation over the last axis, 0 for a single value; in any unit, for the squares do not overflow."""
    if patches.shape[-1] == 1:
        return torch.zeros_like(patches[..., 0])
    if exponent := size_exponent(peak(patches)):
        return scaled(scaled(patches.double(), -exponent).std(-1), exponent)
    return patches.to(torch.promote_types(patches.dtype, torch.float32)).std(-1)
