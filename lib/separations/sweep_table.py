"""All runs of a sweep as one tidy table, and two sweeps side by side.

One row a run: every parameter (a list as JSON text, one of a single number as that number), how it stands, seconds, memory,
every recorded measure as `measure.NAME` and every verdict as `verdict.CLAIM`. The tables that the notebooks recorded are put
together as well, one row of theirs a row, with the parameters that the sweep varies in front.
"""

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from .dependencies import file_hash
from .files import write_whole
from .results import read_result, table_path
from .sweep_plan import read_plan, standing, sweep_folder
from .tables import read_table


def plain(value):
    """A parameter's value for a table or an axis: numbers and text as they are, a list of one as its item, else JSON text."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def rows_of(root: Path, name: str) -> list[dict]:
    """A row for each run of a sweep as it was last planned, also of those that did not finish."""
    plan, runs = read_plan(root, name)
    rows = []
    for run in runs:
        how = standing(run)
        result = (read_result(run.folder) or {}) if how.state == "done" else {}
        parameters = result.get("parameters") or {**run.overrides, **run.swept}
        row = {"run": run.id, "state": how.state, "reason": how.reason, "seconds": how.seconds}
        row |= {"peak_memory_mb": result.get("peak_memory_mb")}
        row |= {key: plain(value) for key, value in parameters.items() if key not in row}
        for record in result.get("evidence", []):
            row |= {f"measure.{key}": value for key, value in record.get("measures", {}).items()}
            row |= {f"verdict.{entry['id']}": entry["verdict"] for entry in record.get("claims", [])}
        rows.append(row)
    return rows


def recorded_tables(root: Path, name: str) -> dict[str, list[dict]]:
    """The tables that the runs recorded, by name: their rows under the run and the parameters that the sweep varies."""
    plan, runs = read_plan(root, name)
    found: dict[str, list[dict]] = {}
    for run in runs:
        if standing(run).state != "done":
            continue
        for table, mark in (read_result(run.folder) or {}).get("tables", {}).items():
            path = table_path(run.folder, table)
            if file_hash(path) != mark:
                raise ValueError(f"{path}: not the table that the run left")
            head = {"run": run.id, **{f"sweep.{key}": plain(value) for key, value in run.swept.items()}}
            found.setdefault(table, []).extend({**head, **row} for row in read_table(path))
    return found


def columns_of(rows: Sequence[Mapping]) -> list[str]:
    """The columns of rows that need not have the same: parameters first, then measures, then verdicts."""
    names = dict.fromkeys(key for row in rows for key in row)
    rank = {"measure": 1, "verdict": 2}
    return sorted(names, key=lambda name: rank.get(name.partition(".")[0], 0) if "." in name else 0)


def csv_text(rows: Sequence[Mapping]) -> str:
    """Rows as CSV; what a row lacks is an empty field."""
    text, columns = io.StringIO(), columns_of(rows)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(column) is None else row[column] for column in columns])
    return text.getvalue()


def parquet_bytes(rows: Sequence[Mapping]) -> bytes:
    """Rows as a Parquet file. A column of whole and other numbers becomes one of floats, any other mixture text."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: _one_kind([row.get(name) for row in rows]) for name in columns_of(rows)}
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue().to_pybytes()


def _one_kind(values: list) -> list:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1:
        return values
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def write_tables(root: Path, name: str) -> list[Path]:
    """Write `table.csv` and `table.parquet` of a sweep, and those of the recorded tables in `tables/`; returns the files."""
    folder = sweep_folder(root, name)
    files = {folder / "table": rows_of(root, name)}
    files |= {folder / "tables" / table: rows for table, rows in recorded_tables(root, name).items()}
    written = []
    for stem, rows in files.items():
        for ending, content in ((".csv", csv_text(rows)), (".parquet", parquet_bytes(rows))):
            written.append(stem.with_name(stem.name + ending))
            write_whole(written[-1], content)
    return written


def _t_975(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds, and half the width of its 95 % t-interval; NaN for a single seed."""
    mean, n = statistics.fmean(values), len(values)
    return mean, _t_975(n - 1) * statistics.stdev(values) / math.sqrt(n) if n > 1 else math.nan


def compare(root: Path, first: str, second: str) -> list[dict]:
    """Two sweeps point by point: a row for each measure at each point that both have, second minus first.

    Points are joined on the parameters that both sweeps vary, the seeds left out. The interval is that of Welch's t for
    independent seeds where both have two or more; where both ran the same seeds, of the paired differences.
    """
    plans = [read_plan(root, name)[0] for name in (first, second)]
    seeds = {plan["seed"] for plan in plans} - {None}
    common = [name for name in plans[0]["swept"] if name in plans[1]["swept"] and name not in seeds]
    tables = [[row for row in rows_of(root, name) if row["state"] == "done"] for name in (first, second)]
    groups = [_grouped(rows, common) for rows in tables]
    both = [point for point in groups[0] if point in groups[1]]
    if not both:
        on = ", ".join(common) or "nothing that both vary"
        raise ValueError(f"{first} and {second} have no finished point in common (joined on {on})")
    seed = plans[0]["seed"] if plans[0]["seed"] == plans[1]["seed"] else None
    out = []
    for point in both:
        a, b = groups[0][point], groups[1][point]
        names = [name for name in columns_of(a) if name.startswith("measure.") and any(name in row for row in b)]
        for name in names:
            out.append(
                {**dict(zip(common, point)), "measure": name.removeprefix("measure."), **_difference(a, b, name, seed)}
            )
    return out


def _grouped(rows: Sequence[Mapping], names: Sequence[str]) -> dict[tuple, list[Mapping]]:
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _difference(a: Sequence[Mapping], b: Sequence[Mapping], name: str, seed: str | None) -> dict:
    left, right = ([row[name] for row in rows if row.get(name) is not None] for rows in (a, b))
    by_seed = (
        [{row[seed]: row[name] for row in rows if row.get(name) is not None} for rows in (a, b)] if seed else [{}, {}]
    )
    paired = seed and by_seed[0].keys() == by_seed[1].keys() and len(by_seed[0]) == len(left) == len(right)
    if paired:
        difference, half = mean_and_interval([by_seed[1][key] - value for key, value in by_seed[0].items()])
    else:
        difference, half = statistics.fmean(right) - statistics.fmean(left), math.nan
        if len(left) > 1 and len(right) > 1:
            parts = [statistics.variance(values) / len(values) for values in (left, right)]
            total = sum(parts)
            weight = sum(part**2 / (len(v) - 1) for part, v in zip(parts, (left, right)))
            half = _t_975(total**2 / weight) * math.sqrt(total) if weight else 0.0
    return {
        "first": statistics.fmean(left),
        "second": statistics.fmean(right),
        "difference": difference,
        "low": None if math.isnan(half) else difference - half,
        "high": None if math.isnan(half) else difference + half,
        "runs_first": len(left),
        "runs_second": len(right),
        "interval": "paired seeds"
        if paired and not math.isnan(half)
        else "independent seeds"
        if not math.isnan(half)
        else "none",
    }
