"""Sets in tables: Parquet and Arrow files with a column of images, as Hugging Face's datasets store them, or of signals."""

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.images import read_image
from .array_sources import source_of_array
from .source import LOW, PEEK, Choice, Source, stamp_of


def source_of_tables(paths: list[Path], role: str, key: str, name: str, notes: Sequence[str] = ()) -> Source:
    """Parquet or Arrow files with a column of images (the layout of Hugging Face's datasets: bytes and path), or of signals."""
    import pyarrow as pa

    try:
        tables = [_arrow(path) for path in paths]
        table = pa.concat_tables([each.select([_column(each, key, role, name)]) for each in tables])
    except Choice as error:
        raise ValueError(str(error)) from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ValueError(f"{role} = {name!r} cannot be read ({' '.join(str(error).split())}): whole Parquet or Arrow files of one layout are needed") from error  # fmt: skip
    column = table.column(0)
    if not len(column):
        raise ValueError(f"{role} = {name!r} has no rows: at least one is needed")
    stamp = stamp_of(paths)
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type) or pa.types.is_large_list(column.type):
        return replace(source_of_array(_numbers(column, role, name), role, name, stamp), notes=list(notes))

    def content(row: int) -> bytes | None:
        value = column[row]
        return (value["bytes"] if isinstance(value, pa.StructScalar) and value.is_valid else value).as_py()

    def label(row: int) -> str:  # without the bytes, which would all be read
        value = column[row]
        known = isinstance(value, pa.StructScalar) and value.is_valid and "path" in value
        return (value["path"].as_py() if known else None) or f"row {row}"

    def image(row: int, side: int) -> np.ndarray:
        if not (found := content(row)):
            raise ValueError(f"{label(row)} has no bytes in the table")
        return read_image(io.BytesIO(found), side, name=label(row), deep=True)

    side = _side_of_bytes([content(int(row)) for row in np.unique(np.linspace(0, len(column) - 1, PEEK).astype(int))])
    return Source(role, name, "images", len(column), label, stamp, side, image, notes=list(notes))


def _arrow(path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        return pq.read_table(path, memory_map=True)
    mapped = pa.memory_map(os.fspath(path))
    try:
        return pa.ipc.open_file(mapped).read_all()
    except pa.ArrowInvalid:  # the streaming format, which Hugging Face writes
        return pa.ipc.open_stream(mapped).read_all()


def _column(table, key: str, role: str, name: str) -> str:
    import pyarrow as pa

    def holds(kind) -> bool:
        if pa.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or (lists and pa.types.is_floating(kind.value_type))  # fmt: skip

    fitting = [each.name for each in table.schema if holds(each.type)]
    if key:
        if key not in fitting:
            raise Choice(f"{role} = {name!r}: columns of images or signals are {', '.join(fitting) or 'not there'}")
        return key
    if not fitting:
        raise Choice(
            f"{role} = {name!r} has columns {', '.join(table.column_names)}: one of images (bytes) or signals is needed"
        )
    return next((each for each in ("image", "img", "images") if each in fitting), fitting[0])


def _numbers(column, role: str, name: str) -> np.ndarray:
    rows = [each.as_py() for each in column]
    length = next((len(row) for row in rows if row is not None), 0)
    rows = [np.full(length, np.nan, np.float32) if row is None else np.asarray(row, dtype=np.float32) for row in rows]
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"{role} = {name!r} has signals of different lengths: one length is needed")
    return np.stack(rows)


def _side_of_bytes(contents: list[bytes | None]) -> int:
    from PIL import Image

    found = []
    for content in contents:
        try:
            with Image.open(io.BytesIO(content or b"")) as image:
                found.append(min(image.size))
        except Exception:  # the reason is said when it is read
            continue
    return int(np.quantile(found, LOW, method="lower")) if found else 0
