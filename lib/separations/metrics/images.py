"""Images as the extractors take them: (m, C, H, W) in [-1, 1], checked, and rounded as a file would."""

from torch import Tensor

from ..numerics.checks import check_count, check_finite

OVERSHOOT = 1e-4  # rounding that images may leave [-1, 1] by


def check_images(images: object, name: str = "images") -> Tensor:
    """images, if they are finite, (m, C, H, W) with C = 1 or 3, in [-1, 1]; ValueError otherwise."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"{name} is {kind}: a floating-point tensor of shape (m, C, H, W) is needed")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.numel() == 0:
        raise ValueError(f"{name} has shape {tuple(images.shape)}: (m, C, H, W) with C = 1 or 3 and m >= 1 is needed")
    low, high = (float(end) for end in check_finite(images, name).detach().aminmax())
    if low < -1 - OVERSHOOT or high > 1 + OVERSHOOT:
        raise ValueError(f"{name} lies in [{low:.4g}, {high:.4g}]: values in [-1, 1] are needed; clamp samples first")
    return images


def quantised(images: Tensor, levels: int = 256) -> Tensor:
    """Images in [-1, 1] as a file holds them: cut to the range and rounded to so many evenly spaced levels, dtype and shape kept."""
    if check_count(levels, "levels") < 2:
        raise ValueError(f"levels = {levels}: at least 2 are needed")
    return ((images.clamp(-1, 1) + 1) * ((levels - 1) / 2)).round() * (2 / (levels - 1)) - 1
