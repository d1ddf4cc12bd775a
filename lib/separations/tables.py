"""Small tables of results as CSV: one line a row, numbers that come back as they were written.

`Ledger.table` writes them, notebooks read the stored ones with `read_table`.
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path

Value = int | float | str | None

NAME = re.compile(r"[a-z][a-z0-9_]*")  # a file name on every system: no two differ in case alone


def check_name(name: str) -> str:
    """The name of a table, if it may be one. ValueError otherwise."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name = {name!r}: small letters, digits and _ are allowed, a letter first, as 'runs'")
    return name


def table_text(rows: Sequence[Mapping], digits: int | None = None) -> str:
    """The rows as CSV text: a line of column names, then one line a row.

    rows: mappings from column names to numbers, text or None, all with the keys of the first, whose order counts. None
    becomes an empty field. A number must be finite: a step that was never reached, a mean of nothing, is None.
    digits: significant digits of floats; None keeps all that it takes to read the same number back.
    ValueError for no rows, differing keys, a value of another kind, or text that would come back as something else.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: at least one row is needed")
    if digits is not None and (not isinstance(digits, Integral) or digits < 1):
        raise ValueError(f"digits = {digits!r}: a number of significant digits, at least 1, or None is needed")
    columns = list(rows[0])
    if not columns or not all(isinstance(column, str) and column.strip() for column in columns):
        raise ValueError(f"rows[0] has the keys {columns}: at least one is needed, each a text that is not empty")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    for i, row in enumerate(rows):
        if set(row) != set(columns):
            raise ValueError(f"rows[{i}] has the keys {list(row)}: those of the first row are needed, {columns}")
        fields = [_field(row[column], f"rows[{i}][{column!r}]", digits) for column in columns]
        if fields == [""]:  # would be an empty line
            raise ValueError(f"rows[{i}][{columns[0]!r}] = None: a table of one column needs a value in each row")
        writer.writerow(fields)
    return text.getvalue()


def _field(value, name: str, digits: int | None) -> str:
    """One value as text that `_value` turns back into it."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value == "" or not isinstance(_value(value), str):
            kind = "a number" if value else "None"
            raise ValueError(f"{name} = {value!r} would come back as {kind}: another text, or {kind} itself, is needed")
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} = {value!r} is of type {type(value).__name__}: a number, a text or None is needed")
    if isinstance(value, Integral):
        return str(int(value))
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{name} = {value}: a finite number is needed, or None where there is none")
    return repr(value if digits is None else float(f"{value:.{digits}g}"))


def _value(text: str) -> Value:
    """A field as int, float or text; an empty one is None."""
    if text == "":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_table(path: str | Path) -> list[dict[str, Value]]:
    """Rows of a CSV file that `Ledger.table` wrote: whole numbers as int, others as float, empty fields as None.

    ValueError where there is no row, a column name is missing or twice there, or a row has another number of fields.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    name = Path(path).name
    if len(lines) < 2:
        raise ValueError(f"path = {name}: no table, a line of column names and at least one row are needed")
    columns = lines[0]
    if len(set(columns)) < len(columns) or "" in columns:
        raise ValueError(f"path = {name}: the column names {columns} are not all there and different")
    for i, line in enumerate(lines[1:], 2):
        if len(line) != len(columns):
            raise ValueError(f"path = {name}: line {i} has {len(line)} fields, {len(columns)} are needed")
    return [dict(zip(columns, map(_value, line))) for line in lines[1:]]
