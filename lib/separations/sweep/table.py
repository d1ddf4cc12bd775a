"""All runs of a sweep as one tidy table, and two sweeps side by side.

One row a run: every parameter (a list as JSON text, one of a single number as that number), how it stands, seconds, memory,
every recorded measure as `measure.NAME` and every verdict as `verdict.CLAIM`. The tables that the notebooks recorded are put
together as well, one row of theirs a row, with the parameters that the sweep varies in front. A parameter named as a column of
the table itself (`seconds`, `state`) stands under `parameter.NAME`.
"""

import json
import math
import statistics
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..definitions import file_hash
from ..files import write_whole
from ..ledger.tables import read_table
from ..run.results import table_path
from .plan import OWN, Run, Standing, checked_result, column, csv_lines, read_plan, standings, sweep_folder

COMPARED = ("measure", "first", "second", "difference", "low", "high", "runs_first", "runs_second", "interval")


def plain(value):
    """A parameter's value for a table or an axis: numbers and text as they are, a list of one as its item, else JSON text."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def _outcomes(root: Path, name: str) -> list[tuple[Run, Standing, dict]]:
    """Each run of a sweep as it was last planned, how it stands, and its result where it is done."""
    runs = read_plan(root, name)[1]
    return [(run, how, checked_result(run.folder) if how.state == "done" else {}) for run, how in zip(runs, standings(runs))]  # fmt: skip


def rows_of(root: Path, name: str) -> list[dict]:
    """A row for each run of a sweep as it was last planned, also of those that did not finish."""
    return _rows(_outcomes(root, name))


def _rows(outcomes: Sequence[tuple[Run, Standing, dict]]) -> list[dict]:
    parameters = _columns([result.get("parameters") or {**run.overrides, **run.swept} for run, _, result in outcomes])
    rows = []
    for (run, how, result), own in zip(outcomes, parameters):
        row = dict(zip(OWN, (run.id, how.state, how.reason, how.seconds, result.get("peak_memory_mb")))) | own
        for record in result.get("evidence", []):
            row |= {f"measure.{key}": _scalar(value) for key, value in record.get("measures", {}).items()}
            row |= {f"verdict.{entry['id']}": entry["verdict"] for entry in record.get("claims", [])}
        rows.append(row)
    return rows


def _columns(parameters: Sequence[Mapping]) -> list[dict]:
    """The parameters of each run as they stand in the table: as `plain` shows them, where that tells all values apart."""
    names = dict.fromkeys(name for point in parameters for name in point)
    exact = {name for name in names if not _told_apart([point[name] for point in parameters if name in point])}
    return [
        {column(name): json.dumps(value) if name in exact else plain(value) for name, value in point.items()}
        for point in parameters
    ]


def _told_apart(values: Sequence) -> bool:
    """Whether `plain` leaves different values different, as text and as numbers: not for [3] and 3, "3" and 3, 1 and 1.0."""
    shown = {json.dumps(value, sort_keys=True): plain(value) for value in values}
    as_text = {"" if value is None else str(value) for value in shown.values()}
    as_numbers = {(isinstance(value, bool), value) for value in shown.values()}
    return len(as_text) == len(as_numbers) == len(shown)


def _scalar(value):
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def recorded_tables(root: Path, name: str) -> dict[str, list[dict]]:
    """The tables that the runs recorded, by name: their rows under the run and the parameters that the sweep varies."""
    return _recorded(_outcomes(root, name))


def _recorded(outcomes: Sequence[tuple[Run, Standing, dict]]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    points = _columns([{f"sweep.{key}": value for key, value in run.swept.items()} for run, _, _ in outcomes])
    for (run, _, result), point in zip(outcomes, points):
        for table, mark in result.get("tables", {}).items():
            path = table_path(run.folder, table)
            if file_hash(path) != mark:
                raise ValueError(f"{path}: not the table that the run left")
            head = {"run": run.id, **point}
            rows = [{f"table.{key}" if key in head else key: value for key, value in row.items()} for row in read_table(path)]  # fmt: skip
            found.setdefault(table, []).extend({**head, **row} for row in rows)
    return found


def columns_of(rows: Sequence[Mapping]) -> list[str]:
    """The columns of rows that need not have the same: parameters first, then measures, then verdicts."""
    names = dict.fromkeys(key for row in rows for key in row)
    rank = {"measure": 1, "verdict": 2}
    return sorted(names, key=lambda name: rank.get(name.partition(".")[0], 0) if "." in name else 0)


def csv_text(rows: Sequence[Mapping]) -> str:
    """Rows as CSV; what a row lacks is an empty field."""
    columns = columns_of(rows)
    return csv_lines([columns, *([row.get(column) for column in columns] for row in rows)])


def parquet_bytes(rows: Sequence[Mapping]) -> bytes:
    """Rows as a Parquet file. A column of whole and other numbers becomes one of floats where that keeps them, any other
    mixture text, and so do whole numbers of more than 64 bits."""
    import pyarrow
    import pyarrow.parquet

    columns = {_unicode(name): _one_kind([row.get(name) for row in rows]) for name in columns_of(rows)}
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue().to_pybytes()


def _one_kind(values: list) -> list:
    kinds = {type(value) for value in values if value is not None}
    whole = [value for value in values if type(value) is int]
    if kinds == {int, float} and all(_as_float(value) == value for value in whole):
        return [None if value is None else float(value) for value in values]
    if kinds in ({bool}, {float}) or (kinds == {int} and all(-(2**63) <= value < 2**63 for value in whole)):
        return values
    return [None if value is None else _unicode(str(value)) for value in values]


def _as_float(value: int | float) -> float:
    """A number as a float; infinite where it is beyond the largest one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # half a character cannot be written


def write_tables(root: Path, name: str) -> list[Path]:
    """Write `table.csv` and `table.parquet` of a sweep, and those of the recorded tables in `tables/`; returns the files."""
    folder = sweep_folder(root, name)
    outcomes = _outcomes(root, name)
    files = {folder / "table": _rows(outcomes)}
    files |= {folder / "tables" / table: rows for table, rows in _recorded(outcomes).items()}
    written = []
    for stem, rows in files.items():
        for ending, content in ((".csv", csv_text(rows)), (".parquet", parquet_bytes(rows))):
            written.append(stem.with_name(stem.name + ending))
            write_whole(written[-1], content)
    return written


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % t-interval; NaN for a single seed, or where a value is not finite."""
    values = [_as_float(value) for value in values]
    n, finite = len(values), all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else sum(values) / n
    return mean, _half_width(values) if n > 1 and finite else math.nan


def _half_width(values: Sequence[float], others: Sequence[float] | None = None) -> float:
    """Half the width of Student's 95 % interval of a mean, or of Welch's of a difference of means: two or more values a side."""
    from scipy.stats import ttest_1samp, ttest_ind

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal values: the width is 0, as it should be
        values = list(map(float, values))
        found = (
            ttest_1samp(values, 0) if others is None else ttest_ind(values, list(map(float, others)), equal_var=False)
        )
        low, high = found.confidence_interval(0.95)
    return float(high - low) / 2


def compare(root: Path, first: str, second: str) -> list[dict]:
    """Two sweeps point by point: a row for each measure at each point that both have, second minus first.

    Points are joined on the parameters that both sweeps vary, the seeds left out. The interval is that of Welch's t for
    independent seeds where both have two or more; where both ran the same seeds, of the paired differences.
    """
    plans = [read_plan(root, name, ("swept", "seed", "runs"))[0] for name in (first, second)]
    seeds = {plan["seed"] for plan in plans} - {None}
    common = [name for name in plans[0]["swept"] if name in plans[1]["swept"] and name not in seeds]
    tables = [[row for row in rows_of(root, name) if row["state"] == "done"] for name in (first, second)]
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
    if not all(math.isfinite(_as_float(value)) for value in (*left, *right)):
        return row | {"difference": row["second"] - row["first"], "interval": "not finite"}
    pairs = _pairs(a, b, name, seed)
    if pairs:
        difference, half = mean_and_interval([after - before for before, after in pairs])
    else:
        several = min(len(left), len(right)) > 1
        difference, half = row["second"] - row["first"], _half_width(right, left) if several else math.nan
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
