"""Colours of the book, and the reading of values that are to be drawn: shared by `plotting` and `plotting.live`."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import is_color_like, to_hex, to_rgb

# The colours of Okabe and Ito, told apart with any common colour vision; "memorized" is a red darker than vermilion.
COLORS = {
    "truth": "#0072b2",  # blue
    "empirical": "#d55e00",  # vermilion
    "learned": "#009e73",  # green
    "train": "#222222",
    "sample": "#56b4e9",  # sky blue
    "memorized": "#b3001b",  # red
    "other": "#cc79a7",  # purple
    "extra": "#e69f00",  # orange
    "muted": "#767676",  # notes, baselines, reference lines
}
CYCLE = [COLORS[name] for name in ("truth", "empirical", "learned", "other", "sample", "extra", "train")]


def color_of(value: object, name: str = "color") -> str:
    """A name in COLORS, or any colour matplotlib knows, as '#rrggbb'; ValueError otherwise."""
    if isinstance(value, str) and value in COLORS:
        return COLORS[value]
    if not is_color_like(value):
        raise ValueError(f"{name} = {value!r}: one of {', '.join(COLORS)} or a matplotlib colour is needed")
    return to_hex(value)


def ink(value: object, contrast: float = 4.5) -> str:
    """The colour, darkened until text in it has the given contrast ratio (WCAG 2) with white."""
    rgb = np.array(to_rgb(color_of(value)))
    while 1.05 / (_luminance(rgb) + 0.05) < contrast:
        rgb = 0.95 * rgb
    return to_hex(rgb)


def text_on(color: object) -> str:
    """ "black" or "white", whichever has the greater contrast (WCAG 2) with a colour (name or RGB) behind it."""
    return "black" if _luminance(np.array(to_rgb(color))) > 0.179 else "white"


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def array(value: object, name: str, shape: Sequence[int | str] | None = None, lowest: bool = False) -> np.ndarray:
    """A tensor (any device), array or nested list as a float64 array.

    shape: what is needed, such as ("m", 2); a letter stands for any size >= 1, the same letter for the same size.
    lowest: -inf is allowed (a log density of zero density). ValueError names `name` where the shape is wrong or a value
    is NaN or infinite.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double().numpy() if not value.is_complex() else value.numpy()
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {type(value).__name__}: numbers are needed") from None
    if shape is not None:
        _check_shape(found, name, shape)
    if np.isnan(found).any() or np.isposinf(found).any() or (not lowest and np.isneginf(found).any()):
        raise ValueError(f"{name} has NaN or infinite values: finite values are needed")
    return found


def mask(value: object, name: str, m: int) -> np.ndarray:
    """A boolean array (m,), one truth value for each point; ValueError otherwise."""
    found = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if found.dtype != bool or found.shape != (m,):
        raise ValueError(f"{name} is {found.dtype} of shape {found.shape}: booleans of shape ({m},) are needed")
    return found


def window(extent: object, name: str = "extent") -> tuple[float, float, float, float]:
    """extent as (left, right, bottom, top) with left < right and bottom < top; ValueError otherwise."""
    left, right, bottom, top = array(extent, name, (4,)).tolist()
    if not (left < right and bottom < top):
        raise ValueError(f"{name} = {extent}: (left, right, bottom, top), left < right, bottom < top, is needed")
    return left, right, bottom, top


def cells(extent: object, resolution: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Centres of nearly square cells over extent (left, right, bottom, top), `resolution` along its longer side.

    Returns x (nx,), y (ny,) and points (ny * nx, 2) of torch's default dtype: row j * nx + i is (x[i], y[j]).
    """
    left, right, bottom, top = window(extent)
    step = max(right - left, top - bottom) / count(resolution, "resolution", 2)
    nx, ny = (max(2, round((high - low) / step)) for low, high in ((left, right), (bottom, top)))
    x = left + (right - left) * (np.arange(nx) + 0.5) / nx
    y = bottom + (top - bottom) * (np.arange(ny) + 0.5) / ny
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    return x, y, torch.tensor(points, dtype=torch.get_default_dtype())


def number(value: float) -> str:
    """Three digits for a reader: 0.0123, 26.8, 2,550; a power of ten from a million on."""
    if not 1000 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{round(value, 2 - int(np.log10(abs(value)))):,.0f}"


def count(value: object, name: str, low: int = 1) -> int:
    """value as an int, if it is a whole number >= low; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name} = {value!r}: a whole number >= {low} is needed")
    return int(value)


def _check_shape(found: np.ndarray, name: str, shape: Sequence[int | str]) -> None:
    sizes: dict[str, int] = {}
    fits = found.ndim == len(shape) and found.size > 0
    for have, need in zip(found.shape, shape):
        fits = fits and have == (sizes.setdefault(need, have) if isinstance(need, str) else need)
    if not fits:
        want = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} has shape {found.shape}: shape ({want}) is needed")
