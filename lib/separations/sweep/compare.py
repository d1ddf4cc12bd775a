"""Two sweeps side by side, point by point."""

import math
from collections.abc import Iterable, Mapping, Sequence

from ..run.profiles import Book
from .columns import column
from .intervals import as_float, half_width, mean_and_interval
from .plan import read_plan
from .table import columns_of, rows_of

COMPARED = ("measure", "first", "second", "difference", "low", "high", "runs_first", "runs_second", "interval")


def compare(book: Book, first: str, second: str) -> list[dict]:
    """Two sweeps point by point: a row for each measure at each point that both have, second minus first.

    Points are joined on the parameters that both sweeps vary, the seeds left out. The interval is that of Welch's t for
    independent seeds where both have two or more; where both ran the same seeds, of the paired differences.
    """
    plans = [read_plan(book, name, ("swept", "seed", "runs"))[0] for name in (first, second)]
    seeds = {plan["seed"] for plan in plans} - {None}
    common = [name for name in plans[0]["swept"] if name in plans[1]["swept"] and name not in seeds]
    tables = [[row for row in rows_of(book, name) if row["state"] == "done"] for name in (first, second)]
    groups = _grouped(tables, [column(name) for name in common])
    both = [point for point in groups[0] if point in groups[1]]
    if not both:
        on = ", ".join(common) or "nothing that both vary"
        raise ValueError(f"{first} and {second} have no finished point in common (joined on {on})")
    seed = column(plans[0]["seed"]) if plans[0]["seed"] and plans[0]["seed"] == plans[1]["seed"] else None
    out = []
    for point in both:
        a, b = groups[0][point], groups[1][point]
        values = {column(name, COMPARED): a[0][column(name)] for name in common}
        names = [name for name in columns_of(a) if name.startswith("measure.") and any(name in row for row in b)]
        for name in names:
            out.append({**values, "measure": name.removeprefix("measure."), **_difference(a, b, name, seed)})
    return out


def _grouped(tables: Sequence[Sequence[Mapping]], names: Sequence[str]) -> list[dict[tuple, list[Mapping]]]:
    """The rows of each table by their point: 1 and 1.0 are one, unless a table has points that differ in nothing else."""
    exact = any(
        len({_point(row, names, True) for row in rows}) > len({_point(row, names, False) for row in rows})
        for rows in tables
    )
    found: list[dict[tuple, list[Mapping]]] = []
    for rows in tables:
        groups: dict[tuple, list[Mapping]] = {}
        for row in rows:
            groups.setdefault(_point(row, names, exact), []).append(row)
        found.append(groups)
    return found


def _point(row: Mapping, names: Iterable[str], exact: bool) -> tuple:
    """What tells points apart: True is never 1; exact: 1 is not 1.0 either."""
    values = [row.get(name) for name in names]
    return tuple((type(value) if exact or isinstance(value, bool) else None, value) for value in values)


def _difference(a: Sequence[Mapping], b: Sequence[Mapping], name: str, seed: str | None) -> dict:
    """Means of a measure on both sides and their difference, with its interval where there can be one."""
    left, right = ([row[name] for row in rows if row.get(name) is not None] for rows in (a, b))
    row = dict.fromkeys(COMPARED[1:]) | {"runs_first": len(left), "runs_second": len(right), "interval": "none"}
    if not left or not right:
        return row
    if not all(isinstance(value, int | float) for value in (*left, *right)):
        return row | {"interval": "not numbers"}
    row |= {"first": mean_and_interval(left)[0], "second": mean_and_interval(right)[0]}
    if not all(math.isfinite(as_float(value)) for value in (*left, *right)):
        return row | {"difference": row["second"] - row["first"], "interval": "not finite"}
    pairs = _pairs(a, b, name, seed)
    if pairs:
        difference, half = mean_and_interval([after - before for before, after in pairs])
    else:
        difference, half = row["second"] - row["first"], half_width(right, left)
    row["difference"] = difference
    if math.isnan(half):
        return row
    kind = "paired seeds" if pairs else "independent seeds"
    return row | {"low": difference - half, "high": difference + half, "interval": kind}


def _pairs(a: Sequence[Mapping], b: Sequence[Mapping], name: str, seed: str | None) -> list[tuple]:
    """The measure before and after, seed by seed; nothing unless both sides ran the same seeds, each once."""
    if not seed:
        return []
    sides = [[(row[seed], row[name]) for row in rows if row.get(name) is not None] for rows in (a, b)]
    first, second = map(dict, sides)
    whole = first.keys() == second.keys() and all(len(first) == len(side) for side in sides)
    return [(value, second[key]) for key, value in first.items()] if whole else []
