"""Figures with sliders that work offline: inline SVG, JSON and a little JavaScript, nothing fetched.

Every frame is computed beforehand and stored as small whole numbers. Without JavaScript the starting frame is shown.
The same arguments give the same HTML, byte for byte: ids come from `name`, which must be unique on its page.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from .colors import CYCLE, array, color_of, number
from .live_page import CURVES, FIELDS, ORDERED, SIXES, Slider, assemble, canvas, plot

WIDTH = 300.0  # of a panel's plotting area, in units of its SVG
LARGEST = 150_000  # bytes of HTML


class InteractiveFigure:
    """A figure that a notebook displays as HTML. `.html` is the whole of it."""

    def __init__(self, name: str, html: str):
        size = len(html.encode())
        if size > LARGEST:
            raise ValueError(
                f"figure {name!r} takes {size} bytes, {LARGEST} are allowed: fewer frames or a coarser grid"
            )
        self.name, self.html = name, html

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"InteractiveFigure({self.name!r})"


def score_field_slider(
    name: str, x, y, t, fields: Sequence, *, log_densities: Sequence | None = None, train=None, alpha=None, sigma=None,
    labels: Sequence[str] = ("true score", "empirical score"), colors: Sequence = ("truth", "empirical"),
    readouts: Sequence[str] | None = None, start: int | None = None, depth: float = 8.0, power: float = 0.5,
) -> InteractiveFigure:  # fmt: skip
    """Score fields side by side over one window, with a slider over t.

    An arrow's length is proportional to |s|**power; each panel says |s| of its longest arrow. 20 frames, 16 arrows and
    32 cells of shade along a side take about 80 KB.

    Args:
        name: unique on its page; lower-case letters, digits and hyphens, a letter first.
        x, y: (nx,) and (ny,), equally spaced centres of cells, as from `cells`.
        t: (frames,).
        fields: for each panel the scores (frames, ny, nx, 2).
        log_densities: for each panel (frames, ny', nx') at the centres of cells of the same window, of any resolution,
            or None.
        train: (n, 2), drawn as crosses.
        alpha: (frames,); the crosses then stand at alpha x_i.
        sigma: (frames,), added to the text at the slider.
        labels: of the panels.
        colors: of the shades, one for each panel.
        readouts: (frames,) texts at the slider, in place of t and sigma.
        start: index of the frame shown first (default: the middle).
        depth: the shades reach from the frame's maximum down to so many nats below it, > 0.
        power: in (0, 1].

    Returns:
        The figure, which a notebook displays.

    Raises:
        ValueError: for shapes or numbers of panels that do not fit, values that are not finite, another name, start,
            depth or power, and a figure of more than 150,000 bytes.
    """
    x, y, t = _regular(x, "x"), _regular(y, "y"), array(t, "t", ("frames",))
    if not 1 <= len(fields) == len(labels) == len(colors):
        raise ValueError(
            f"{len(fields)} fields, {len(labels)} labels, {len(colors)} colors: one of each per panel is needed"
        )
    if not 0 < power <= 1 or not depth > 0:
        raise ValueError(f"power = {power}, depth = {depth}: 0 < power <= 1 and depth > 0 are needed")
    heats = [None] * len(fields) if log_densities is None else list(log_densities)
    if len(heats) != len(fields):
        raise ValueError(f"log_densities has {len(heats)} entries: one for each of the {len(fields)} panels is needed")
    slider = Slider("time t", _readouts(t, sigma, readouts), _start(start, len(t)))
    strengths = [_strength(field, label, (len(t), len(y), len(x), 2), power) for label, field in zip(labels, fields)]
    shades = [_shade(heat, label, len(t), depth) for label, heat in zip(labels, heats)]
    stage = _Stage(x, y, train, array(np.ones(len(t)) if alpha is None else alpha, "alpha", (len(t),)))
    shown = [stage.panel(*each, slider.start) for each in zip(map(str, labels), colors, strengths, shades)]
    law = {0.5: "the square root of |s|", 1: "|s| itself"}.get(power, f"|s| to the power {power:g}")
    note = (
        f"An arrow's length is proportional to {law}; each panel has its own scale at each time, given by its longest."
    )
    data = stage.data() | {"panels": [panel for _, _, panel in shown]}
    about = f"{' and '.join(map(str, labels))}, with a slider over time"
    return _figure(name, about, [panel[:2] for panel in shown], [slider], data, FIELDS, note)


def curves_slider(
    name: str, x, curves: Mapping[str, object], sliders: Mapping[str, Sequence], *, xlabel: str, ylabel: str,
    ylim: tuple[float, float] | None = None, log_x: bool = False, colors: Sequence | None = None,
    readouts: Sequence[Sequence[str]] | None = None, start: Sequence[int] | None = None, ordered: bool = False,
) -> InteractiveFigure:  # fmt: skip
    """Curves over x with one or two sliders.

    Args:
        name: unique on its page; lower-case letters, digits and hyphens, a letter first.
        x: (nx,), increasing, positive if log_x.
        curves: label -> (k1, nx), or (k1, k2, nx) with two sliders.
        sliders: label -> its values (k,).
        xlabel, ylabel: of the axes.
        ylim: (low, high), by default what all frames need, and the same for all.
        log_x: whether the x axis is logarithmic.
        colors: one for each curve.
        readouts: for each slider its texts (k,).
        start: for each slider its first position.
        ordered: two sliders are the ends of an interval, the first stays at a smaller position than the second and
            pushes it on; what the curves are at other pairs of positions (any finite numbers) is never shown.

    Returns:
        The figure, which a notebook displays.

    Raises:
        ValueError: for shapes or numbers of sliders that do not fit, values that are not finite, another name, x, ylim
            or start, and a figure of more than 150,000 bytes.
    """
    x = array(x, "x", ("nx",))
    if len(sliders) not in (1, 2) or not curves:
        raise ValueError(
            f"{len(sliders)} sliders, {len(curves)} curves: one or two sliders and at least one curve are needed"
        )
    if len(x) < 2 or (np.diff(x) <= 0).any() or (log_x and x[0] <= 0):
        raise ValueError("x must increase over at least two values, all > 0 if log_x")
    shape = (*(len(values) for values in sliders.values()), len(x))
    values = [array(value, f"curve {label!r}", shape) for label, value in curves.items()]
    low, high = _limits(values) if ylim is None else array(ylim, "ylim", (2,))
    if not low < high:
        raise ValueError(f"ylim = {ylim}: (low, high) with low < high is needed")
    size, along = (1.4 * WIDTH, 0.8 * WIDTH), np.log10(x) if log_x else x
    place = (along - along[0]) / (along[-1] - along[0]) * size[0]
    heights = [np.clip((value - low) / (high - low), -0.5, 1.5) for value in values]
    texts = readouts or [[f"{label} = {value:.3g}" for value in numbers] for label, numbers in sliders.items()]
    controls = [
        Slider(label, _texts(text, len(numbers)), _start(None if start is None else start[i], len(numbers)))
        for i, ((label, numbers), text) in enumerate(zip(sliders.items(), texts))
    ]
    if ordered and (len(controls) != 2 or not controls[0].start < controls[1].start):
        raise ValueError(
            f"ordered = {ordered}, start = {start}: two sliders, the first starting below the second, are needed"
        )
    tints = [color_of(color) for color in (colors or [CYCLE[i % len(CYCLE)] for i in range(len(values))])]
    now = tuple(slider.start for slider in controls)
    paths = [_curve(place, height[now], size[1], tint) for height, tint in zip(heights, tints)]
    ticks = _ticks(along[0], along[-1], size[0], log_x), _ticks(low, high, size[1], flip=True)
    keys = "".join(
        f'<span class="sep-key" style="color:{tint}">{escape(label)}</span>' for label, tint in zip(curves, tints)
    )
    about = f"{', '.join(curves)} against {xlabel}"
    data = {
        "x": np.round(place, 1).tolist(), "h": size[1],
        "curves": [_pack(np.round(16384 + 32767 * height), "<u2") for height in heights],
    }  # fmt: skip
    panel = f"{keys}", plot(size, *ticks, (xlabel, ylabel), "".join(paths), f"{about}; the sliders change the curves")
    return _figure(
        name, f"{about}, with {len(controls)} slider(s)", [panel], controls, data, CURVES + ORDERED * ordered, ""
    )


class _Stage:
    """What the panels of a score figure share: the window, the training points, and how they shrink."""

    def __init__(self, x: np.ndarray, y: np.ndarray, train, alpha: np.ndarray):
        self.step = np.array([x[1] - x[0], y[1] - y[0]])
        self.nx, self.ny, self.alpha = len(x), len(y), alpha
        self.low, self.high = np.array([x[0], y[0]]) - self.step / 2, np.array([x[-1], y[-1]]) + self.step / 2
        self.size = (WIDTH, round(WIDTH * (self.high - self.low)[1] / (self.high - self.low)[0], 1))
        self.scale = np.array([1, -1]) * self.size / (self.high - self.low)
        self.origin = np.array([-self.low[0], -self.high[1]]) * self.scale
        self.points = np.empty((0, 2)) if train is None else array(train, "train", ("n", 2)) * self.scale

    def data(self) -> dict:
        """What the script needs of it."""
        lists = {"points": (self.points, 1), "alpha": (self.alpha, 5), "origin": (self.origin, 2)}
        rounded = {name: np.round(values, digits).tolist() for name, (values, digits) in lists.items()}
        return {"nx": self.nx, "ny": self.ny, "w": self.size[0], "h": self.size[1]} | rounded

    def panel(self, label: str, color, strength: tuple, shade: np.ndarray | None, start: int) -> tuple[str, str, dict]:
        """Caption, drawing of the starting frame, and data of a panel."""
        arrows, longest = strength
        data = {"field": _pack(arrows + 128), "longest": [f"longest |s| = {number(value)}" for value in longest]}
        crosses = "".join(
            f"M{a - 3.5:.1f} {b - 3.5:.1f}l7 7m0-7l-7 7" for a, b in self.origin + self.alpha[start] * self.points
        )
        inner = (
            f'<path class="sep-arrows" d="{self.arrow_path(arrows[start])}"/>'
            f'<path class="sep-halo" d="{crosses}"/><path class="sep-cross" d="{crosses}"/>'
        )
        ticks = [_ticks(self.low[i], self.high[i], self.size[i], flip=i == 1) for i in (0, 1)]
        about = f"{label}: arrows over a window of the plane, training points as crosses; the slider changes the time"
        drawing = plot(self.size, *ticks, ("x₁", "x₂"), inner, about)
        if shade is not None:
            rows, columns = shade.shape[1:]
            rgb = [round(255 * part) for part in to_rgb(color_of(color))]
            data |= {"heat": "".join(SIXES[level] for level in shade.ravel()), "size": [columns, rows], "rgb": rgb}
            drawing = canvas(self.size, (columns, rows)) + drawing
        caption = f"<b>{escape(label)}</b> <span>{escape(data['longest'][start])}</span>"
        return caption, drawing, data

    def arrow_path(self, arrows: np.ndarray) -> str:
        """Path of one frame, (ny, nx, 2) whole numbers: half an arrow each side of its cell's centre, and a head."""
        cell = np.array(self.size) / (self.nx, self.ny)
        halves = arrows.reshape(-1, 2) * (1, -1) * cell.min() / 254
        parts = []
        for j, (a, b) in enumerate(halves):
            x, y = (j % self.nx + 0.5) * cell[0] + a, self.size[1] - (j // self.nx + 0.5) * cell[1] + b
            if a or b:
                e, g = 0.8 * a + 0.45 * b, 0.8 * b - 0.45 * a
                shaft = f"M{x - 2 * a:.1f} {y - 2 * b:.1f}l{2 * a:.1f} {2 * b:.1f}m{-e:.1f} {-g:.1f}"
                parts.append(f"{shaft}l{e:.1f} {g:.1f} {0.45 * b - 0.8 * a:.1f} {-0.8 * b - 0.45 * a:.1f}")
        return "".join(parts)


def _figure(name: str, about: str, panels, sliders, data: dict, draw: str, note: str) -> InteractiveFigure:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"name = {name!r}: lower-case letters, digits and hyphens are needed, a letter first")
    return InteractiveFigure(name, assemble(name, about, panels, sliders, data, draw, note))


def _strength(field, label: str, shape: tuple[int, ...], power: float) -> tuple[np.ndarray, np.ndarray]:
    """Compressed arrows as whole numbers in [-127, 127], 127 for the longest of a frame; and |s| of the longest."""
    field = array(field, f"field of {label!r}", shape)
    norm = np.linalg.norm(field, axis=-1, keepdims=True)
    longest = norm.max(axis=(1, 2, 3))
    top = np.where(longest > 0, longest, 1)[:, None, None, None]
    size = 127 * (norm / top) ** power
    return np.round(np.divide(field * size, norm, out=np.zeros_like(field), where=norm > 0)).astype(int), longest


def _shade(heat, label: str, frames: int, depth: float) -> np.ndarray | None:
    """Log density as shades 0 to 63: 63 at a frame's maximum, 0 from `depth` nats below it."""
    if heat is None:
        return None
    heat = array(heat, f"log density of {label!r}", (frames, "ny", "nx"), lowest=True)
    top = heat.max(axis=(1, 2), keepdims=True)
    if np.isneginf(top).any():
        raise ValueError(
            f"log density of {label!r} is -inf on a whole frame: a positive density in the window is needed"
        )
    return np.round(63 * np.clip(1 + (heat - top) / depth, 0, 1)).astype(int)


def _regular(values, name: str) -> np.ndarray:
    values = array(values, name, ("n",))
    steps = np.diff(values)
    if len(values) < 2 or steps.min() <= 0 or not np.allclose(steps, steps.mean(), rtol=1e-3):
        raise ValueError(f"{name} must be at least two equally spaced, increasing coordinates")
    return values


def _readouts(t: np.ndarray, sigma, readouts) -> list[str]:
    if readouts is not None:
        return _texts(readouts, len(t))
    if sigma is None:
        return [f"t = {at:.3g}" for at in t]
    return [f"t = {at:.3g}, σ = {s:.3g}" for at, s in zip(t, array(sigma, "sigma", t.shape))]


def _texts(texts: Sequence, n: int) -> list[str]:
    if isinstance(texts, str) or len(texts) != n:
        raise ValueError(f"readouts = {texts!r}: {n} texts, one for each position of the slider, are needed")
    return [str(text) for text in texts]


def _start(start, n: int) -> int:
    start = n // 2 if start is None else start
    if not isinstance(start, int | np.integer) or not 0 <= start < n:
        raise ValueError(f"start = {start!r}: a whole number from 0 to {n - 1} is needed")
    return int(start)


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    low, high = min(value.min() for value in values), max(value.max() for value in values)
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float, length: float, log: bool = False, flip: bool = False) -> list[tuple[float, str]]:
    """(position, text) of at most about six round values between low and high; of log10 values the powers of ten."""
    marks = [at for at in MaxNLocator(5, steps=[1, 2, 5, 10], integer=log).tick_values(low, high) if low <= at <= high]
    places = [(at - low) / (high - low) * length for at in marks]
    texts = [f"{10.0**at:g}" if log else f"{at + 0.0:.6g}".replace("-", "−") for at in marks]
    return [(length - place if flip else place, text) for place, text in zip(places, texts)]


def _curve(place: np.ndarray, height: np.ndarray, size: float, tint: str) -> str:
    d = "L".join(f"{a:.1f} {size * (1 - b):.1f}" for a, b in zip(place, height))
    return f'<path class="sep-curve" style="stroke:{tint}" d="M{d}"/>'


def _pack(numbers: np.ndarray, kind: str = "u1") -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).astype(kind).tobytes()).decode()
