"""All runs of a sweep as one tidy table.

One row a run: every parameter (a list as JSON text, one of a single number as that number), how it stands, seconds, memory,
every recorded measure as `measure.NAME` and every verdict as `verdict.CLAIM`. The tables that the notebooks recorded are put
together as well, one row of theirs a row, with the parameters that the sweep varies in front. A parameter named as a column of
the table itself (`seconds`, `state`) stands under `parameter.NAME`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import file_hash, write_whole
from ..ledger.tables import read_table
from ..run.profiles import Book
from ..run.results import table_path
from .columns import OWN, column, csv_lines
from .intervals import as_float
from .plan import Run, read_plan
from .standing import Standing, checked_result, standings


def plain(value):
    """A parameter's value for a table or an axis: numbers and text as they are, a list of one as its item, else JSON text."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value)


def _outcomes(book: Book, name: str) -> list[tuple[Run, Standing, dict]]:
    """Each run of a sweep as it was last planned, how it stands, and its result where it is done."""
    runs = read_plan(book, name)[1]
    return [(run, how, checked_result(run.folder) if how.state == "done" else {}) for run, how in zip(runs, standings(runs))]  # fmt: skip


def rows_of(book: Book, name: str) -> list[dict]:
    """A row for each run of a sweep as it was last planned, also of those that did not finish."""
    return _rows(_outcomes(book, name))


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


def recorded_tables(book: Book, name: str) -> dict[str, list[dict]]:
    """The tables that the runs recorded, by name: their rows under the run and the parameters that the sweep varies."""
    return _recorded(_outcomes(book, name))


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
    if kinds == {int, float} and all(as_float(value) == value for value in whole):
        return [None if value is None else float(value) for value in values]
    if kinds in ({bool}, {float}) or (kinds == {int} and all(-(2**63) <= value < 2**63 for value in whole)):
        return values
    return [None if value is None else _unicode(str(value)) for value in values]


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # half a character cannot be written


def write_tables(book: Book, name: str) -> list[Path]:
    """Write `table.csv` and `table.parquet` of a sweep, and those of the recorded tables in `tables/`; returns the files."""
    folder = book.sweep_folder(name)
    outcomes = _outcomes(book, name)
    files = {folder / "table": _rows(outcomes)}
    files |= {folder / "tables" / table: rows for table, rows in _recorded(outcomes).items()}
    written = []
    for stem, rows in files.items():
        for ending, content in ((".csv", csv_text(rows)), (".parquet", parquet_bytes(rows))):
            written.append(stem.with_name(stem.name + ending))
            write_whole(written[-1], content)
    return written
