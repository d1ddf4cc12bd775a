"""Charts of the audit's page as SVG text, from numbers: nothing is drawn by colour alone, and each chart says in words what it shows.

Colours are those of Okabe and Ito (`COLORS`); a page may set others for a dark background by the CSS variables of the same names,
--generated, --reference, --third and --fourth. Every chart is 360 units wide, about the width of a phone, unless it needs more.
`name` becomes part of ids: letters, digits and hyphens, another one for each chart of a page.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from .drawing import (
    COLORS,
    KINDS,
    WIDTH,
    ChartFrame,
    broken,
    color_of,
    lettering,
    marker,
    power_of_ten,
    rect,
    span_of,
    stroke,
    threshold_line,
    tick_percent,
    whisker,
    whole,
)
from .words import NONE, estimate, finite, number, percent


def histogram(
    edges: Sequence[float],
    generated: Sequence[float],
    reference: Sequence[float],
    threshold: float | None,
    *,
    name: str,
    about: str,
    x_label: str,
    labels: tuple[str, str] = ("generated", "held-out"),
    band: tuple[float | None, float | None] = (None, None),
) -> str:
    """Two histograms over each other, heights on a square-root scale (Tukey's rootogram): generated as filled bars, the reference as an outline, the threshold as a dashed line.

    Args:
        edges: (k + 1,), increasing; equal ratios of positive edges make the axis logarithmic. An infinite end is drawn one bin wide.
        generated, reference: (k,) shares in [0, 1]; what is not finite counts as 0. Heights are proportional to their square roots,
            so that a few copies are seen beside many samples that are none.
        threshold: in the unit of the edges; None if there is none.
        name, about: see the module; what the chart shows, in words.
        x_label: what the scores are.
        labels: of the two sets.
        band: ends of the interval of the threshold, drawn as a shaded strip.

    Returns:
        The SVG text.

    Raises:
        ValueError: for edges that do not increase, or other numbers of shares than bins.
    """
    edges = _finite_edges(edges)
    filled, outlined = ([max(finite(v) or 0.0, 0.0) for v in values] for values in (generated, reference))
    if not len(edges) - 1 == len(filled) == len(outlined):
        raise ValueError(
            f"edges has {len(edges)} entries: one more than the {len(filled)} and {len(outlined)} shares are needed"
        )
    at, top = finite(threshold), max([*filled, *outlined]) or 1.0
    strip = [finite(end) for end in band]
    low, high = edges[0], edges[-1]
    log = _geometric(edges)
    inside = [v for v in (at, *strip) if v is not None and (v > 0 or not log)]
    low, high = min([low, *inside]), max([high, *inside])
    key = [("bar", 0, labels[0]), ("outline", 1, labels[1])] + (
        [("threshold", 0, f"threshold {number(at)}")] if at is not None else []
    )
    frame = ChartFrame(name, about, (low, high), (0.0, top), len(key), log_x=log, root_y=True)
    x, y = frame.x, frame.y
    inner = []
    if None not in strip and strip[0] < strip[1] and (strip[0] > 0 or not log):
        inner.append(
            rect(
                "band",
                x(strip[0]),
                frame.top,
                x(strip[1]) - x(strip[0]),
                frame.height,
                "fill:currentColor;fill-opacity:.13",
            )
        )
    style = f"fill:{color_of(0)};fill-opacity:.75;stroke:{color_of(0)};stroke-width:.6"
    for left, right, value in zip(edges, edges[1:], filled):
        if value > 0:
            inner.append(rect("bar", x(left), y(value), x(right) - x(left), y(0) - y(value), style))
    steps = f"M{x(edges[0]):.2f} {y(0):.2f}" + "".join(
        f"V{y(value):.2f}H{x(right):.2f}" for right, value in zip(edges[1:], outlined)
    )
    inner.append(
        f'<path class="outline" d="{steps}V{y(0):.2f}" style="fill:none;stroke:{color_of(1)};stroke-width:2"/>'
    )
    if at is not None and (at > 0 or not log):
        inner.append(threshold_line(x(at), frame.top, frame.bottom))
    return frame.svg(inner, key, x_label, "share, square-root scale", tick_percent)


def intervals(rows: Sequence[tuple[str, object]], *, name: str, about: str, x_label: str) -> str:
    """Shares with their intervals under one another on an axis from 0: the first a filled circle, the others open squares.

    Args:
        rows: (label, estimate), an estimate as in `report.json`: {"value", "low", "high"}; those without a value are left out.
        name, about, x_label: as in `histogram`.

    Returns:
        The SVG text.
    """
    rows = [(label, *estimate(value)) for label, value in rows]
    rows = [row for row in rows if row[1] is not None]
    top = max([v for _, *values in rows for v in values if v is not None], default=0.0) or 0.01
    frame = ChartFrame(
        name, about, (0.0, min(1.05 * top, max(top, 1.0))), None, 0, plot_height=max(38.0 * len(rows), 38.0), left=12.0
    )
    inner = []
    for i, (label, value, low, high) in enumerate(rows):
        at = frame.top + 38 * i + 26
        inner.append(
            f'<text x="{frame.left}" y="{at - 11:.1f}">{lettering(label, 46)}: {escape(percent(value))}</text>'
        )
        if low is not None and high is not None:
            inner.append(whisker(frame.x(low), at, frame.x(high), at, min(i, 3)))
        inner.append(marker(i, frame.x(value), at))
    return frame.svg(inner, [], x_label, "", tick_percent)


def scatter(points: Sequence[tuple[str, object, object]], *, name: str, about: str, x_label: str, y_label: str) -> str:
    """Points with error bars both ways, each with a shape of its own: a filled circle, an open square, a triangle, a cross.

    Args:
        points: (label, x, y) with estimates as in `report.json`; y are shares, on a square-root scale. Those
            without a value are left out.
        name, about, x_label, y_label: as in `histogram`.

    Returns:
        The SVG text.
    """
    full = [(label, estimate(x), estimate(y)) for label, x, y in points]
    full = [row for row in full if row[1][0] is not None and row[2][0] is not None]
    top = max([v for _, _, y in full for v in y if v is not None], default=0.0) or 1.0
    frame = ChartFrame(
        name, about, span_of([v for _, x, _ in full for v in x], bare=True), (0.0, 1.1 * top), len(full), root_y=True
    )
    inner = []
    for i, (_, (x, x_low, x_high), (y, y_low, y_high)) in enumerate(full):
        if x_low is not None and x_high is not None:
            inner.append(whisker(frame.x(x_low), frame.y(y), frame.x(x_high), frame.y(y), i))
        if y_low is not None and y_high is not None:
            inner.append(whisker(frame.x(x), frame.y(y_low), frame.x(x), frame.y(y_high), i))
    inner += [marker(i, frame.x(x[0]), frame.y(y[0])) for i, (_, x, y) in enumerate(full)]
    return frame.svg(
        inner,
        [("marker", i, label) for i, (label, *_) in enumerate(full)],
        x_label,
        f"{y_label}, square-root scale",
        tick_percent,
    )


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[object]],
    *,
    name: str,
    about: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    zero: bool = True,
) -> str:
    """Up to four lines with bands for their intervals, each with dashes and markers of its own; a missing value leaves a gap.

    Args:
        x: (n,) places.
        series: label -> (n,) estimates as in `report.json`.
        name, about, x_label, y_label: as in `histogram`.
        log: a logarithmic axis of y; what is not positive is a gap there.
        zero: whether an axis of y that is not logarithmic begins at 0 where all values are positive.

    Returns:
        The SVG text.

    Raises:
        ValueError: for more than four series, or one of another length than x.
    """
    if len(series) > len(KINDS) or any(len(values) != len(x) for values in series.values()):
        raise ValueError(
            f"series has {len(series)} lines of lengths {[*map(len, series.values())]}: at most 4 of {len(x)} are needed"
        )
    place = [finite(value) for value in x]
    found = {label: [_drawable(value, log) for value in values] for label, values in series.items()}
    values = [v for row in found.values() for one in row for v in one]
    frame = ChartFrame(
        name, about, span_of(place, bare=True), span_of(values, log=log, bare=not zero), len(series), log_y=log
    )
    inner = []
    for i, row in enumerate(found.values()):
        whole = [(a, *one) for a, one in zip(place, row)]
        whole = [None if one[0] is None or one[1] is None else one for one in whole]
        for run in _runs(whole):
            if len(run) > 1 and all(None not in one for one in run):
                upper = [f"{frame.x(a):.2f} {frame.y(high):.2f}" for a, _, _, high in run]
                lower = [f"{frame.x(a):.2f} {frame.y(low):.2f}" for a, _, low, _ in reversed(run)]
                inner.append(
                    f'<path class="band" d="M{"L".join(upper + lower)}Z" style="fill:{color_of(i)};fill-opacity:.16"/>'
                )
            line = "L".join(f"{frame.x(a):.2f} {frame.y(v):.2f}" for a, v, *_ in run)
            inner.append(f'<path class="curve" d="M{line}" style="{stroke(i)}"/>')
        inner += [marker(i, frame.x(one[0]), frame.y(one[1]), 3.2) for one in whole if one is not None]
    return frame.svg(
        inner, [("line", i, label) for i, label in enumerate(series)], x_label, y_label, power_of_ten if log else number
    )


def heat_map(
    values: Sequence[Sequence[object]], rows: Sequence[str], columns: Sequence[str], *, name: str, about: str
) -> str:
    """Shares as shaded cells with their numbers in percent; a dash where a share is missing.

    Args:
        values: (rows, columns) shares in [0, 1], or None.
        rows, columns: their labels.
        name, about: as in `histogram`.

    Returns:
        The SVG text.

    Raises:
        ValueError: for values of another shape than the labels.
    """
    if len(values) != len(rows) or any(len(row) != len(columns) for row in values):
        raise ValueError(
            f"values has rows of lengths {[*map(len, values)]}: {len(rows)} rows of {len(columns)} are needed"
        )
    heads = [broken(label) for label in columns]
    left, top, tall = 90.0, 15.0 * max(map(len, heads), default=1) + 6, 30.0
    wide = max((WIDTH - left - 2) / max(len(columns), 1), 52.0)
    inner = []
    for j, head in enumerate(heads):
        for k, part in enumerate(head):
            at = top - 7 - 14 * (len(head) - 1 - k)
            inner.append(
                f'<text x="{left + (j + 0.5) * wide:.1f}" y="{at:.1f}" text-anchor="middle" font-size="11.5">{lettering(part, 9)}</text>'
            )
    for i, (label, row) in enumerate(zip(rows, values)):
        middle = top + (i + 0.5) * tall
        inner.append(f'<text x="{left - 6}" y="{middle + 4.5:.1f}" text-anchor="end">{lettering(label, 15)}</text>')
        for j, value in enumerate(row):
            value = finite(value)
            style = f"fill:var(--heat,{COLORS['generated']});fill-opacity:{0.8 * min(max(value or 0.0, 0.0), 1.0):.3f};stroke:currentColor;stroke-opacity:.35"
            inner.append(rect("cell", left + j * wide, top + i * tall, wide, tall, style))
            text = NONE if value is None else f"{100 * value:.0f}"
            inner.append(
                f'<text x="{left + (j + 0.5) * wide:.1f}" y="{middle + 4.5:.1f}" text-anchor="middle">{text}</text>'
            )
    return whole(name, about, (left + wide * len(columns) + 2, top + tall * len(rows) + 2), inner)


def line(values: Sequence[float], low: float, high: float) -> str:
    """A signal as a small picture of its own, 240 x 120, on white.

    Args:
        values: (length,) finite numbers.
        low, high: of the vertical axis, equal to its lower and upper edge; a grey line marks 0 where it lies between.

    Returns:
        The SVG text, a whole file.
    """
    if not low < high:
        low, high = low - 1, high + 1
    x = 232 / max(len(values) - 1, 1)
    y = lambda v: min(max(116 - 112 * (v - low) / (high - low), -10.0), 130.0)  # noqa: E731
    path = "L".join(f"{4 + i * x:.1f} {y(float(v)):.1f}" for i, v in enumerate(values))
    zero = f'<path d="M4 {y(0.0):.1f}H236" stroke="#999" stroke-dasharray="3 3"/>' if low < 0 < high else ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 120" width="240" height="120"><rect width="240" height="120" fill="#fff"/>'
        f'<g fill="none">{zero}<path d="M{path}" stroke="#111" stroke-width="1.5" stroke-linejoin="round"/></g></svg>'
    )


def _finite_edges(edges: Sequence[float]) -> list[float]:
    found = [float(edge) for edge in edges]
    if len(found) > 2 and math.isinf(found[0]):
        found[0] = 2 * found[1] - found[2]
    if len(found) > 2 and math.isinf(found[-1]):
        found[-1] = 2 * found[-2] - found[-3]
    if (
        len(found) < 2
        or not all(math.isfinite(edge) for edge in found)
        or not all(a < b for a, b in zip(found, found[1:]))
    ):
        raise ValueError(f"edges = {found[:4]}...: at least 2 increasing numbers are needed")
    return found


def _geometric(edges: Sequence[float]) -> bool:
    if edges[0] <= 0 or len(edges) < 3:
        return False
    ratios = [b / a for a, b in zip(edges, edges[1:])]
    return max(ratios) < 1.02 * min(ratios) and edges[-1] > 20 * edges[0]


def _drawable(value: object, log: bool) -> tuple[float | None, float | None, float | None]:
    middle, low, high = estimate(value)
    if log and (middle is None or middle <= 0):
        return None, None, None
    return middle, (middle if log and low is not None and low <= 0 else low), high


def _runs(points: Sequence[tuple | None]) -> list[list[tuple]]:
    runs: list[list[tuple]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]
