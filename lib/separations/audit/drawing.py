"""What the audit's charts are drawn with: axes, signs and colours, as pieces of SVG."""

import math
import re
from collections.abc import Callable, Sequence
from html import escape

from .words import NONE, RAISED, number, shown

COLORS = {"generated": "#0072b2", "reference": "#d55e00", "third": "#009e73", "fourth": "#cc79a7"}
KINDS = tuple(COLORS)
DASHES = ("", "7 4", "2 3", "9 3 2 3")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360.0, 236.0, 50.0, 14.0, 10.0, 42.0
KEY = 18.0  # height of a line of the key
Scale = Callable[[float], float]


class ChartFrame:
    """Axes around a plotting area; x and y take values to their places."""

    def __init__(self, name, about, x, y, keys, *, log_x=False, log_y=False, root_y=False, plot_height=None, left=LEFT):
        self.name, self.about, self.span_x, self.span_y, self.log_x, self.log_y = name, about, x, y, log_x, log_y
        self.root_y = root_y
        self.left, self.right, self.top = left, WIDTH - RIGHT, TOP + KEY * keys + (KEY if y else 0)
        self.height = HEIGHT - TOP - BOTTOM if plot_height is None else plot_height
        self.bottom = self.top + self.height
        self.x = _scale(x, (self.left, self.right), log_x)
        if root_y:
            self.y = lambda value: self.bottom - self.height * math.sqrt(max(value, 0.0) / y[1])
        else:
            self.y = _scale(y, (self.bottom, self.top), log_y) if y else None

    def _y_ticks(self) -> list[float]:
        if not self.root_y:
            return _ticks(*self.span_y, self.log_y, 4)
        found = [0.0]
        for value in (m * 10.0**k for k in range(-5, 1) for m in (1, 2, 5)):
            if value <= self.span_y[1] and self.y(found[-1]) - self.y(value) >= 24:
                found.append(value)
        return found

    def svg(self, inner, key, x_label, y_label, y_text):
        x_text = number if self.y else y_text
        edge = f'<path class="frame" d="M{self.left:.1f} {self.bottom:.1f}H{self.right:.1f}'
        parts = [
            edge
            + (f'M{self.left:.1f} {self.bottom:.1f}V{self.top:.1f}"' if self.y else '"')
            + ' style="stroke:currentColor;fill:none"/>'
        ]
        last = -math.inf
        for value in _ticks(*self.span_x, self.log_x, 5):
            at, text = self.x(value), x_text(value)
            half = 3.4 * len(text)
            if at - half < last + 4 or at + half > WIDTH + 2:
                continue
            last = at + half
            parts.append(f'<path d="M{at:.1f} {self.bottom:.1f}v4" style="stroke:currentColor"/>')
            parts.append(f'<text x="{at:.1f}" y="{self.bottom + 17:.1f}" text-anchor="middle">{text}</text>')
        for value in self._y_ticks() if self.y else ():
            at = self.y(value)
            parts.append(
                f'<path d="M{self.left:.1f} {at:.1f}h{self.right - self.left:.1f}" style="stroke:currentColor;stroke-opacity:.15"/>'
            )
            parts.append(f'<text x="{self.left - 5}" y="{at + 4.5:.1f}" text-anchor="end">{y_text(value)}</text>')
        middle = (self.left + self.right) / 2
        parts.append(
            f'<text x="{middle:.1f}" y="{self.bottom + 35:.1f}" text-anchor="middle">{lettering(x_label, 50)}</text>'
        )
        if y_label:
            parts.append(f'<text x="2" y="{self.top - 8:.1f}">{lettering(y_label, 50)}</text>')
        for i, (kind, which, label) in enumerate(key):
            at = TOP + KEY * i
            parts.append(key_sign(kind, which, self.left, at))
            parts.append(f'<text x="{self.left + 34}" y="{at + 4.5:.1f}">{lettering(label, 44)}</text>')
        return whole(self.name, self.about, (WIDTH, self.bottom + BOTTOM), parts + inner)


def whole(name: str, about: str, size: tuple[float, float], parts: Sequence[str]) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
        raise ValueError(f"name = {name!r}: a letter, then letters, digits and hyphens are needed")
    title, _, rest = about.partition(". ")
    desc = f'<desc id="{name}-desc">{escape(shown(rest, 1000))}</desc>' if rest else ""
    ids = f"{name}-title {name}-desc" if rest else f"{name}-title"
    return (
        f'<svg class="chart" viewBox="0 0 {size[0]:g} {size[1]:g}" role="img" aria-labelledby="{ids}" style="max-width:{1.25 * size[0]:g}px">'
        f'<title id="{name}-title">{escape(shown(title, 300))}</title>{desc}<g font-size="13" fill="currentColor">{"".join(parts)}</g></svg>'
    )


def key_sign(kind: str, i: int, x: float, y: float) -> str:
    if kind == "bar":
        return rect("key", x, y - 6, 26, 11, f"fill:{color_of(i)};fill-opacity:.75;stroke:{color_of(i)}")
    if kind == "outline":
        return rect("key", x + 1, y - 5, 24, 10, f"fill:none;stroke:{color_of(i)};stroke-width:2")
    if kind == "threshold":
        return f'<path d="M{x:.1f} {y:.1f}h26" style="stroke:currentColor;stroke-width:2;stroke-dasharray:5 4"/>'
    path = f'<path d="M{x:.1f} {y:.1f}h26" style="{stroke(i)}"/>' if kind == "line" else ""
    return path + marker(i, x + 13, y, 3.2 if kind == "line" else 5.0)


def threshold_line(x: float, top: float, bottom: float) -> str:
    style = "stroke:currentColor;stroke-width:2;stroke-dasharray:5 4"
    return f'<path class="threshold" d="M{x:.2f} {bottom:.2f}V{top:.2f}" style="{style}"/>'


def rect(kind: str, x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{max(height, 0):.2f}" style="{style}"/>'


def whisker(x1: float, y1: float, x2: float, y2: float, i: int) -> str:
    cap = "v-4v8" if y1 == y2 else "h-4h8"
    return f'<path class="whisker" d="M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}{cap}M{x1:.2f} {y1:.2f}{cap}" style="fill:none;stroke:{color_of(i)};stroke-width:2"/>'


def marker(i: int, x: float, y: float, r: float = 5.0) -> str:
    """A filled circle, an open square, a filled triangle, a cross, and round again."""
    color, back = color_of(i), "var(--back,#fff)"
    if i % 4 == 0:
        return f'<circle class="marker" cx="{x:.2f}" cy="{y:.2f}" r="{r}" style="fill:{color}"/>'
    path = (
        f"M{x - r:.2f} {y - r:.2f}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x:.2f} {y - 1.2 * r:.2f}l{1.1 * r:.2f} {2 * r}h{-2.2 * r:.2f}z",
        f"M{x - r:.2f} {y - r:.2f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}",
    )[i % 4 - 1]
    fill = (back, color, "none")[i % 4 - 1]
    return f'<path class="marker" d="{path}" style="fill:{fill};stroke:{color};stroke-width:2"/>'


def stroke(i: int) -> str:
    dashes = f";stroke-dasharray:{DASHES[i % 4]}" if DASHES[i % 4] else ""
    return f"fill:none;stroke:{color_of(i)};stroke-width:2;stroke-linejoin:round{dashes}"


def color_of(i: int) -> str:
    kind = KINDS[i % len(KINDS)]
    return f"var(--{kind},{COLORS[kind]})"


def tick_percent(share: float) -> str:
    return f"{round(100 * share, 6):g} %".replace("-", "−")


def power_of_ten(value: float) -> str:
    k = round(math.log10(value))
    return number(value) if -3 <= k <= 3 or abs(value / 10.0**k - 1) > 1e-9 else f"10{str(k).translate(RAISED)}"


def lettering(label: object, longest: int) -> str:
    return escape(shown(label, longest))


def broken(label: object) -> list[str]:
    """A label in up to three lines of nine letters, broken where it has blanks, hyphens or underscores."""
    lines: list[str] = []
    for word in re.findall(r"[^\s_-]+[_-]?", shown(label, 60)) or [NONE]:
        if lines and len(lines[-1]) + len(word) < 9:
            lines[-1] += (" " if lines[-1][-1] not in "-_" else "") + word
        else:
            lines.append(word)
    return lines[:3]


def _scale(span: tuple[float, float], places: tuple[float, float], log: bool) -> Scale:
    (low, high), (a, b) = (map(math.log, span) if log else span), places
    return lambda value: a + (b - a) * ((math.log(value) if log else value) - low) / (high - low)


def span_of(values: Sequence[float | None], log: bool = False, bare: bool = False) -> tuple[float, float]:
    """Lowest and highest value with some room; from 0 on where all are positive and the axis is not logarithmic."""
    values = [v for v in values if v is not None] or [1.0]
    low, high = min(values), max(values)
    if log:
        return (low / 1.2, high * 1.2)
    low = min(low, 0.0) if low > -0.05 * abs(high) and not bare else low
    room = (high - low or abs(high) or 1.0) * 0.05
    return (low if low == 0.0 and not bare else low - room, high + room)


def _ticks(low: float, high: float, log: bool, most: int) -> list[float]:
    """Round numbers in [low, high], at most about `most`."""
    if log and high / low > 30:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        return [10.0**k for k in range(first, last + 1, max(1, math.ceil((last - first + 1) / most)))]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(k for k in (1, 2, 2.5, 5, 10) if k * step * most >= (high - low) * 0.999)
    return [
        round(k * step, 12)
        for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        if k or not log
    ]
