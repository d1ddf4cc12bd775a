"""Pictures of a sweep: each recorded measure against the parameters that vary, small multiples with the spread over seeds."""

import io
import itertools
import math
from collections.abc import Mapping, Sequence

from .intervals import mean_and_interval

LINES = 6  # in one panel; more cannot be told apart
CELLS = 64  # of a heat map that carry their number


def axes_of(rows: Sequence[Mapping], swept: Sequence[str], seed: str | None) -> list[str]:
    """Parameters that vary by themselves: no seed, none with one value, none that only goes in step with one before it."""
    found: list[str] = []
    for name in swept:
        values = {row[name] for row in rows}
        pairs = {other: {(row[other], row[name]) for row in rows} for other in found}
        in_step = any(len(pair) == len(values) == len({row[o] for row in rows}) for o, pair in pairs.items())
        if name != seed and len(values) > 1 and not in_step:
            found.append(name)
    return found


def is_number(value) -> bool:
    """Whether a value can stand on an axis of numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def in_order(values) -> list:
    """Different values: numbers by size, anything else in the order of its appearance."""
    values = list(dict.fromkeys(values))
    return sorted(values) if all(is_number(value) for value in values) else values


def as_text(text: object) -> str:
    """Text for a picture that shows as it is: matplotlib would read mathematics between dollars."""
    return " ".join(str(text).split()).replace("$", r"\$")


def grouped(rows: Sequence[Mapping], names: Sequence[str], measure: str) -> dict[tuple, tuple[float, float]]:
    """Mean and half interval of a measure at each point, over the seeds there."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        if row.get(measure) is not None:
            groups.setdefault(tuple(row[name] for name in names), []).append(row[measure])
    return {point: mean_and_interval(values) for point, values in groups.items()}


def picture(rows: Sequence[Mapping], axes: Sequence[str], measures: Sequence[str]) -> bytes:
    """One panel a measure as PNG: points (nothing varies but the seed), lines, or heat maps (two parameters vary)."""
    import matplotlib
    from matplotlib.figure import Figure

    from ..plotting.figures import use_style

    with matplotlib.rc_context():
        use_style()
        columns = min(2 if len(axes) == 2 else 3, len(measures))
        lines = math.ceil(len(measures) / columns)
        height = lines * (2.9 if len(axes) == 2 else 2.4) + (0.5 if len(axes) > 2 else 0.1)
        fig = Figure(figsize=(7.0 * max(columns, 2) / (2 if len(axes) == 2 else 3), height), layout="constrained")
        panels = list(fig.subplots(lines, columns, squeeze=False).flat)
        for ax in panels[len(measures) :]:
            ax.set_visible(False)
        draw = _points if not axes else _heat if len(axes) == 2 else _lines
        for ax, measure in zip(panels, measures):
            ax.set_title(as_text(measure.removeprefix("measure.").replace("_", " ")), loc="left", fontsize=8)
            draw(ax, rows, axes, measure)
        if len(axes) > 2:
            handles, labels = panels[0].get_legend_handles_labels()
            fig.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7)
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", metadata={"Software": None})  # the same rows, the same bytes
    return buffer.getvalue()


def _points(ax, rows: Sequence[Mapping], axes: Sequence[str], measure: str) -> None:
    """All values, and their mean with its interval."""
    from ..plotting.colors import COLORS

    values = [row[measure] for row in rows if row.get(measure) is not None]
    ax.plot(values, [0] * len(values), "|", ms=14, color=COLORS["muted"])
    if values:
        mean, half = mean_and_interval(values)
        ax.errorbar([mean], [0], xerr=None if math.isnan(half) else [half], fmt="o", color=COLORS["learned"], capsize=3)
    ax.set_yticks([]), ax.set_ylim(-1, 1), ax.tick_params(labelsize=7)


def _lines(ax, rows: Sequence[Mapping], axes: Sequence[str], measure: str) -> None:
    """Against the first parameter, one line for each combination of the others, the first six."""
    from ..plotting.colors import CYCLE

    x_name, others = axes[0], axes[1:]
    xs = in_order(row[x_name] for row in rows)
    numbers = all(is_number(x) for x in xs)
    place = {x: x if numbers else i for i, x in enumerate(xs)}
    found = grouped(rows, axes, measure)
    combinations = list(itertools.product(*(in_order(row[name] for row in rows) for name in others)))
    for color, rest in zip(CYCLE, combinations[:LINES]):
        at = [x for x in xs if (x, *rest) in found]
        values = [found[(x, *rest)] for x in at]
        halves = [0 if math.isnan(half) else half for _, half in values]
        label = as_text(", ".join(f"{name} = {value}" for name, value in zip(others, rest)))
        style = {
            "fmt": "o-" if numbers else "o",
            "ms": 3.5,
            "lw": 1.2,
            "capsize": 2,
            "color": color,
            "label": label or None,
        }
        ax.errorbar([place[x] for x in at], [mean for mean, _ in values], yerr=halves, **style)
    if not numbers:
        ax.set_xticks(
            range(len(xs)), [_label(x) for x in xs], rotation=30 if max(len(_label(x)) for x in xs) > 4 else 0
        )
    elif min(xs) > 0 and max(xs) / min(xs) >= 8:
        ax.set_xscale("log"), ax.minorticks_off()
        shown = xs if len(xs) <= 5 else xs[:: math.ceil(len(xs) / 5)]
        ax.set_xticks(shown, [f"{x:g}" for x in shown])
    ax.set_xlabel(as_text(x_name), fontsize=8), ax.tick_params(labelsize=7)


def _heat(ax, rows: Sequence[Mapping], axes: Sequence[str], measure: str) -> None:
    """Means as colours, with their numbers where there is room."""
    import numpy as np

    from ..plotting.heat_maps import heat_map

    first, second = (in_order(row[name] for row in rows) for name in axes)
    found = grouped(rows, axes, measure)
    mean = np.array([[found.get((x, y), (math.nan,))[0] for x in first] for y in second])
    few = mean.size <= CELLS
    texts = [[_number(found.get((x, y))) for x in first] for y in second] if few else None
    image = heat_map(ax, mean, [_label(y) for y in second], [_label(x) for x in first], texts=texts)
    ax.set_xlabel(as_text(axes[0]), fontsize=8), ax.set_ylabel(as_text(axes[1]), fontsize=8)
    ax.tick_params(labelsize=7)
    if not few:
        ax.figure.colorbar(image, ax=ax, shrink=0.85).ax.tick_params(labelsize=6)


def _number(found: tuple[float, float] | None) -> str:
    """A mean above its half interval, if it has one."""
    mean, half = found or (math.nan, math.nan)
    return f"{mean:.3g}" if math.isnan(half) else f"{mean:.3g}\n±{half:.2g}"


def _label(value) -> str:
    """A value on an axis: a list without its brackets."""
    return as_text(str(value).strip("[]")[:14])
