"""Small tables of results as CSV: one line a row, numbers that come back as they were written.

`Ledger.table` writes them, notebooks read the stored ones with `read_table`.
"""

import math
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from pathlib import Path

Value = int | float | str | None

NAME = re.compile(r"[a-z][a-z0-9_]*")  # a file name on every system: no two differ in case alone
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
FRACTION = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
QUOTED = re.compile(r'[,"\r\n]')  # what a field may hold only in quotation marks
FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r?\n)')


def check_name(name: str) -> str:
    """The name of a table, if it may be one. ValueError otherwise."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"name = {name!r}: small letters, digits and _ are allowed, a letter first, as 'runs'")
    return name


def table_text(rows: Iterable[Mapping], digits: int | None = None) -> str:
    """The rows as CSV text: a line of column names, then one line a row.

    rows: mappings from column names to numbers, text or None, all with the keys of the first, whose order counts. None
    becomes an empty field. A number must be finite: a step that was never reached, a mean of nothing, is None.
    digits: significant digits of floats; None keeps all that it takes to read the same number back.
    ValueError for no rows, differing keys, a value of another kind, or text that would not come back as it was.
    """
    if not isinstance(rows, Iterable) or isinstance(rows, str | Mapping):
        raise ValueError(f"rows = {rows!r}: a list of mappings from column names to values is needed")
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: at least one row is needed")
    digits = _digits(digits)
    columns = _columns(rows[0])
    lines = [",".join(map(_quoted, columns))]
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping) or set(row) != set(columns):
            keys = list(row) if isinstance(row, Mapping) else f"none, it is {row!r}"
            raise ValueError(f"rows[{i}] has the keys {keys}: those of the first row are needed, {columns}")
        fields = [_field(row[column], f"rows[{i}][{column!r}]", digits) for column in columns]
        if fields == [""]:  # would be an empty line
            raise ValueError(f"rows[{i}][{columns[0]!r}] = None: a table of one column needs a value in each row")
        lines.append(",".join(map(_quoted, fields)))
    return "".join(f"{line}\n" for line in lines)


def _digits(digits: object) -> int | None:
    if digits is None:
        return None
    try:
        whole = 0 if isinstance(digits, bool) else operator.index(digits)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"digits = {digits!r}: a number of significant digits, at least 1, or None is needed")
    return min(whole, 17)  # tells any two floats apart


def _columns(row: object) -> list[str]:
    columns = list(row) if isinstance(row, Mapping) else []
    if not columns or not all(isinstance(column, str) and column.strip() for column in columns):
        raise ValueError(f"rows[0] has the keys {columns}: at least one is needed, each a text that is not empty")
    for column in columns:
        _check_text(column, f"rows[0] has the key {column!r}")
    if columns[0].startswith("\ufeff"):
        raise ValueError(f"rows[0] has the key {columns[0]!r}: it begins with a byte-order mark, leave that out")
    return columns


def _check_text(text: str, what: str) -> None:
    """ValueError for text that is none in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what}: it has half a character (a surrogate), whole text is needed") from None


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if QUOTED.search(field) else field


def _field(value, name: str, digits: int | None) -> str:
    """One value as text that `_value` turns back into it."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value == "" or _is_like_a_number(value):
            kind = "a number" if value else "None"
            raise ValueError(f"{name} = {value!r} would come back as {kind}: another text, or {kind} itself, is needed")
        _check_text(value, f"{name} = {value!r}")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} = {value!r} is of type {type(value).__name__}: a number, a text or None is needed")
    try:
        return str(int(value)) if isinstance(value, Integral) else _fraction(float(value), name, digits)
    except (OverflowError, ValueError) as error:
        if str(error).startswith(name):
            raise
        raise ValueError(f"{name} is too large to be written ({error}): a smaller number is needed") from None


def _fraction(value: float, name: str, digits: int | None) -> str:
    rounded = value if digits is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
    if not math.isfinite(rounded):
        why = f" with {digits} digits" if math.isfinite(value) else ""
        raise ValueError(f"{name} = {value}{why}: a finite number is needed, or None where there is none")
    return repr(rounded)


def _is_like_a_number(text: str) -> bool:
    """Whether Python, or another reader of tables, would take the text for a number: also nan, 1_0, 007."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _value(text: str) -> Value:
    """A field as int, float or text; an empty one is None. ValueError for what is like a number but is none."""
    if text == "":
        return None
    if WHOLE.fullmatch(text):
        return int(text)
    if FRACTION.fullmatch(text) and text != "-0":
        value = float(text)
        if math.isfinite(value) and (value != 0 or not re.search("[1-9]", re.split("[eE]", text)[0])):
            return value
    if _is_like_a_number(text):
        raise ValueError(f"{text!r} is no number as it is written here (-12, 0.5, 1e-05), and no other text either")
    return text


def read_table(path: str | Path) -> list[dict[str, Value]]:
    """Rows of a CSV file that `Ledger.table` wrote: whole numbers as int, others as float, empty fields as None.

    ValueError, naming the line, where the file is not one: no row, a column name missing or twice there, another number
    of fields, a number in another form (nan, 1_0, 007), a quotation mark that is open, a last line without an end.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"path = {path.name}: no table, byte {error.start} is not UTF-8") from None
    records = list(_records(text, path.name))
    if len(records) < 2:
        raise ValueError(f"path = {path.name}: no table, a line of column names and at least one row are needed")
    columns = records[0][1]
    if len(set(columns)) < len(columns) or not all(column.strip() for column in columns):
        raise ValueError(f"path = {path.name}: the column names {columns} are not all there and different")
    return [_row(columns, fields, f"path = {path.name}: line {line}") for line, fields in records[1:]]


def _row(columns: list[str], fields: list[str], where: str) -> dict[str, Value]:
    if len(fields) != len(columns):
        raise ValueError(f"{where} has {len(fields)} fields, {len(columns)} are needed")
    row = {}
    for column, field in zip(columns, fields):
        try:
            row[column] = _value(field)
        except ValueError as error:
            raise ValueError(f"{where}, column {column!r}: {error}") from None
    return row


def _records(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The records of CSV text, each with the line in which it begins. All must be in its form to the last byte."""
    if text.startswith("\ufeff"):
        raise ValueError(f"path = {name}: line 1 begins with a byte-order mark, save the file without one")
    place, line, start, fields = 0, 1, 1, []
    while place < len(text):
        match = FIELD.match(text, place)
        if match is None:
            raise ValueError(f"path = {name}: line {line} {_trouble(text, place)}")
        quoted, plain, end = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        place, line = match.end(), line + match.group().count("\n")
        if end != ",":
            yield start, [] if fields == [""] and quoted is None else fields  # an empty line holds nothing
            start, fields = line, []
    if fields:
        raise ValueError(f"path = {name}: line {line} {_trouble(text, place)}")


def _trouble(text: str, place: int) -> str:
    """What is wrong with the field that begins there."""
    if text[place : place + 1] == '"':
        return "has a quotation mark that is not closed, or text behind it"
    if QUOTED.search(text, place) is None:
        return "has no end: the file is cut short"
    return "has a quotation mark or a carriage return inside a field without quotation marks"
