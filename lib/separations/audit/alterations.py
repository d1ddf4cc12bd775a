"""Copies as a model or a person might alter them: what the power analysis of the detectors plants.

Each alteration takes 8-bit images uint8 (m, c, s, s), c = 1 or 3, and gives as many of that shape; what is random comes from
`generator`. Each says in `WORDS` what it does, in one sentence. Those of signals, float32 (n, length), stand in `ALTERATIONS_OF_SIGNALS`.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..numerics.checks import check_generator, generator_device, uniform

Alteration = Callable[[np.ndarray, torch.Generator | None], np.ndarray]

NOISE = 0.1  # standard deviation, in the range of the values (images) or in their standard deviation (signals)
SHIFT = 8  # the most an image is shifted by, as a divisor of its side
BLUR = 32  # standard deviation of the blur, as a divisor of the side
CROP = 0.75, 0.85  # of the side that a crop keeps
BRIGHTER = 1.3  # factor of brightening; darkening has its inverse
TURN = 3.0, 8.0  # degrees, either way
QUALITY = 30  # of JPEG
SCALE = 0.8, 1.25  # factors of a signal


def check_bytes(images: object, name: str = "images", least: int = 8) -> np.ndarray:
    """images, if they are an array uint8 (m, c, s, s) with c = 1 or 3 and s >= least; ValueError otherwise."""
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = getattr(images, "dtype", type(images).__name__)
        raise ValueError(f"{name} is {kind}: a numpy array uint8 of shape (m, c, s, s) is needed")
    square = images.ndim == 4 and images.shape[2] == images.shape[3] >= least
    if not square or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"{name} has shape {images.shape}: (m, c, s, s) with m >= 1, c = 1 or 3 and s >= {least} is needed"
        )
    return images


def check_signals(signals: object, name: str = "signals", least: int = 16) -> np.ndarray:
    """signals, if they are a finite array float32 (n, length) with length >= least; ValueError otherwise."""
    if not isinstance(signals, np.ndarray) or signals.dtype != np.float32:
        kind = getattr(signals, "dtype", type(signals).__name__)
        raise ValueError(f"{name} is {kind}: a numpy array float32 of shape (n, length) is needed")
    if signals.ndim != 2 or len(signals) == 0 or signals.shape[1] < least:
        raise ValueError(f"{name} has shape {signals.shape}: (n, length) with n >= 1 and length >= {least} is needed")
    if not np.isfinite(signals).all():
        row = int(np.argmax(~np.isfinite(signals).all(1)))
        raise ValueError(f"{name} has NaN or infinite values (first in row {row}): finite values are needed")
    return signals


def to_bytes(images: Tensor) -> np.ndarray:
    """Values on [0, 255], cut to it and rounded, as uint8."""
    return images.clamp(0, 255).round().to(torch.uint8).numpy()


def _real(images: np.ndarray) -> Tensor:
    return torch.from_numpy(check_bytes(images).astype(np.float32))


def flipped(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """The mirror image, left to right; nothing is drawn.

    Args:
        images: uint8 (m, c, s, s), c = 1 or 3, s >= 8.
        generator: source of randomness.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    return check_bytes(images)[..., ::-1].copy()


def shifted(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Shifts by whole pixels, up to 1/8 of the side along each axis, never (0, 0); the edge is repeated.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    m, _, s, _ = check_bytes(images).shape
    most = s // SHIFT
    way = _not_the_middle(m, 2 * most + 1, generator)
    place = np.arange(s)
    down, right = way // (2 * most + 1) - most, way % (2 * most + 1) - most
    rows, columns = ((place - by[:, None]).clip(0, s - 1) for by in (down, right))
    index = np.arange(m)[:, None, None, None], np.arange(images.shape[1])[:, None, None]
    return images[(*index, rows[:, None, :, None], columns[:, None, None, :])]


def _not_the_middle(m: int, side: int, generator: torch.Generator | None) -> np.ndarray:
    """m cells of a square grid, row-major, evenly likely and without the one amid it."""
    cells = side**2 - 1
    found = (_uniform(m, generator) * cells).long()
    return (found + (found >= cells // 2)).numpy()


def _uniform(m: int, generator: torch.Generator | None, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * uniform(m, check_generator(generator)).cpu()


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator_device(generator)).cpu()


def noisy(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Gaussian noise on each value, of standard deviation 0.1 of the range.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    values = _real(images)
    return to_bytes(values + 255 * NOISE * _normal(values, generator))


def blurred(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """A Gaussian blur of standard deviation s / 32, at least 0.6 pixels; the edge is repeated, nothing is drawn.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    values = _real(images)
    return to_bytes(blur(values, max(values.shape[-1] / BLUR, 0.6)))


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur (m, c, h, w) of standard deviation sigma pixels, cut at 3 sigma; the edge is repeated."""
    reach = math.ceil(3 * sigma)
    weight = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=images.dtype) / sigma) ** 2)
    weight = weight / weight.sum()
    m, c, h, w = images.shape
    flat = functional.pad(images.reshape(m * c, 1, h, w), (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(flat, weight[None, None, None]), weight[None, None, :, None]).view(
        m, c, h, w
    )


def cropped(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """A square of 75 to 85 % of the side, anywhere in the image, resized to all of it (bilinear).

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    values, m = _real(images), len(images)
    side = _uniform(m, generator, *CROP)
    x, y = ((1 - side) * _uniform(m, generator, -1, 1) for _ in range(2))
    return to_bytes(_seen(values, side, torch.zeros(m), x, y))


def rotated(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """A turn about the middle by 3 to 8 degrees either way (bilinear); the edge is repeated.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    values, m = _real(images), len(images)
    size = _uniform(m, generator, *TURN) * torch.where(_uniform(m, generator) < 0.5, -1.0, 1.0)
    nothing = torch.zeros(m)
    return to_bytes(_seen(values, torch.ones(m), size * math.pi / 180, nothing, nothing))


def _seen(values: Tensor, side: Tensor, turn: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """What a square window of each image (m, c, s, s) shows: its side (1: all), its turn, and its middle ((0, 0): amid the image)."""
    cos, sin = side * turn.cos(), side * turn.sin()
    rows = torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1).float()
    grid = functional.affine_grid(rows, list(values.shape), align_corners=False)
    return functional.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)


def brightened(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Values times 1.3, cut at white, or divided by 1.3, each with probability 1/2.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    values = _real(images)
    factor = torch.where(_uniform(len(values), generator) < 0.5, BRIGHTER, 1 / BRIGHTER)
    return to_bytes(values * factor.float()[:, None, None, None])


def recompressed(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """JPEG of quality 30 (Pillow) and back; nothing is drawn.

    Args:
        images, generator: as in `flipped`.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images.
    """
    return np.stack([_through_jpeg(image) for image in check_bytes(images)])


def _through_jpeg(image: np.ndarray) -> np.ndarray:
    file, grey = io.BytesIO(), len(image) == 1
    Image.fromarray(image[0] if grey else np.ascontiguousarray(image.transpose(1, 2, 0))).save(
        file, "JPEG", quality=QUALITY
    )
    with Image.open(file, formats=("JPEG",)) as found:
        back = np.asarray(found)
    return back[None] if grey else back.transpose(2, 0, 1)


def partial(images: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """One half of the image (left, right, upper or lower, drawn), the other half from the next image of the batch.

    Args:
        images, generator: as in `flipped`; at least two.

    Returns:
        uint8 (m, c, s, s).

    Raises:
        ValueError: for other images, and for a single one.
    """
    m, _, s, _ = check_bytes(images).shape
    if m < 2:
        raise ValueError("images has 1 image: at least 2 are needed, the other half comes from the next one")
    half = (_uniform(m, generator) * 4).long().numpy()[:, None, None]
    down, right = np.arange(s)[:, None] < s // 2, np.arange(s) < s // 2
    kept = np.where(half < 2, right[None] ^ (half == 1), down[None] ^ (half == 3))[:, None]
    return np.where(kept, images, np.roll(images, -1, axis=0))


PARTIAL = "partial"  # the one alteration that mixes two images
ALTERATIONS: dict[str, Alteration] = {
    "flipped": flipped,
    "shifted": shifted,
    "noisy": noisy,
    "blurred": blurred,
    "cropped": cropped,
    "brightened": brightened,
    "rotated": rotated,
    "recompressed": recompressed,
    PARTIAL: partial,
}


def shifted_signals(signals: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Shifts by whole samples, up to 1/8 of the length either way, never 0; the end is repeated.

    Args:
        signals: float32 (n, length), finite, length >= 16.
        generator: source of randomness.

    Returns:
        float32 (n, length).

    Raises:
        ValueError: for other signals.
    """
    n, length = check_signals(signals).shape
    most = length // SHIFT
    by = (_uniform(n, generator) * 2 * most).long().numpy() - most
    by += by >= 0
    place = (np.arange(length) - by[:, None]).clip(0, length - 1)
    return np.take_along_axis(signals, place, 1)


def scaled_signals(signals: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Each signal times a factor from 0.8 to 1.25, evenly spread in its logarithm.

    Args:
        signals, generator: as in `shifted_signals`.

    Returns:
        float32 (n, length).

    Raises:
        ValueError: for other signals.
    """
    low, high = map(math.log, SCALE)
    factor = _uniform(len(check_signals(signals)), generator, low, high).exp().float().numpy()
    return signals * factor[:, None]


def noisy_signals(signals: np.ndarray, generator: torch.Generator | None = None) -> np.ndarray:
    """Gaussian noise of 0.1 times the standard deviation of each signal.

    Args:
        signals, generator: as in `shifted_signals`.

    Returns:
        float32 (n, length).

    Raises:
        ValueError: for other signals.
    """
    spread = check_signals(signals).astype(np.float64).std(1, keepdims=True).astype(np.float32)
    return signals + np.float32(NOISE) * spread * _normal(torch.from_numpy(signals), generator).numpy()


ALTERATIONS_OF_SIGNALS: dict[str, Alteration] = {
    "shifted": shifted_signals,
    "scaled": scaled_signals,
    "noisy": noisy_signals,
}

WORDS = {
    "flipped": "The mirror image, left to right.",
    "shifted": "Moved by whole steps, up to 1/8 of the side (or of the length) along each axis; what comes in repeats the edge.",
    "noisy": "With Gaussian noise of a tenth of the range of the values (of a signal: of its standard deviation).",
    "blurred": "Blurred by a Gaussian whose standard deviation is 1/32 of the side.",
    "cropped": "A square of 75 to 85 % of the side, enlarged to the whole image.",
    "brightened": "Made brighter by a factor of 1.3 and cut at white, or darker by as much.",
    "rotated": "Turned by 3 to 8 degrees about the middle.",
    "recompressed": "Saved as JPEG of quality 30 and opened again.",
    "partial": "Half of the image, beside half of another one.",
    "scaled": "Multiplied by a factor from 0.8 to 1.25.",
}
