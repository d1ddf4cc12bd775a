"""Pictures of the audit's page: images as PNG, signals as small drawings, and what differs between two of them."""

import io

import numpy as np
from PIL import Image

from .charts import line

EQUAL = 128  # the grey of `difference` where two images agree
STEP = 8  # of that grey, in what the page shows: noise that no eye sees would make it twice as large


def png(image: np.ndarray) -> bytes:
    """An image as PNG, pixel for pixel; a small one is enlarged by the page that shows it.

    Args:
        image: uint8 (c, h, w), c = 1 (grey) or 3 (red, green, blue).

    Returns:
        The bytes of the file; the same image, the same bytes.

    Raises:
        ValueError: for another type or shape.
    """
    image = _checked(image, "image")
    buffer = io.BytesIO()
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b at half its size around middle grey: equal values become 128, brighter ones in a lie above, darker ones below.

    Args:
        a, b: uint8 (c, h, w) of one shape.

    Returns:
        uint8 (c, h, w), floor((256 + a - b) / 2).

    Raises:
        ValueError: for another type, or different shapes.
    """
    a, b = _checked(a, "a"), _checked(b, "b")
    if a.shape != b.shape:
        raise ValueError(f"b has shape {b.shape}: that of a, {a.shape}, is needed")
    return ((2 * EQUAL + a.astype(np.int16) - b) // 2).astype(np.uint8)


def pair_pictures(sample: np.ndarray, train: np.ndarray, second: np.ndarray) -> dict[str, bytes | str]:
    """What the page shows of one pair, `pairs[i]["images"]`: PNG bytes for images, SVG text for signals.

    The difference of two images is shown in steps of 16 of their 255 levels, so that one below 8 is grey. Signals are drawn to
    one scale, that of the three together; so is their difference, around zero.

    Args:
        sample: the generated one: uint8 (c, h, w), or a signal (length,) of finite numbers.
        train: the training image or signal matched, of the same kind and shape.
        second: the second nearest, of the same kind and shape.

    Returns:
        The pictures under "sample", "train", "second" and "difference" (sample - train).

    Raises:
        ValueError: for other kinds, or different shapes.
    """
    three = {"sample": sample, "train": train, "second": second}
    if np.ndim(sample) != 1:
        pictures = {name: png(image) for name, image in three.items()}
        coarse = (difference(sample, train).astype(np.int16) + STEP // 2) // STEP * STEP
        return pictures | {"difference": png(coarse.clip(0, 255).astype(np.uint8))}
    signals = {name: _signal(values, name, np.shape(sample)) for name, values in three.items()}
    low = min(float(values.min()) for values in signals.values())
    high = max(float(values.max()) for values in signals.values())
    half = (high - low) / 2
    pictures = {name: line(values, low, high) for name, values in signals.items()}
    return pictures | {"difference": line(signals["sample"] - signals["train"], -half, half)}


def _checked(image: object, name: str) -> np.ndarray:
    kind = getattr(image, "dtype", type(image).__name__)
    if not isinstance(image, np.ndarray) or kind != np.uint8:
        raise ValueError(f"{name} is {kind}: uint8 (c, h, w) is needed")
    if image.ndim != 3 or image.shape[0] not in (1, 3) or 0 in image.shape:
        raise ValueError(f"{name} has shape {image.shape}: (c, h, w) with c = 1 or 3 is needed")
    return image


def _signal(values: object, name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != shape or not found.size or not np.isfinite(found).all():
        raise ValueError(f"{name} has shape {found.shape}: finite values of shape {shape} are needed, at least one")
    return found
