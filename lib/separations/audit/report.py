"""The folder of an audit: report.html, report.json, pairs.csv, pairs.parquet, audit.log, each written whole or not at all."""

import contextlib
import csv
import fcntl
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

from ..files import write_whole
from .auditing import FORMAT, Audit
from .page import page
from .sources import LOCK, PAIRS

REPORT, PAGE, LOG = "report.json", "report.html", "audit.log"
TABLE, PARQUET = "pairs.csv", PAIRS
COLUMNS = ("rank", "sample", "train", "second", "p", "found", "by", "how", "sample_row", "train_row", "times")


@contextlib.contextmanager
def opened_folder(folder: str | Path) -> Iterator[Path]:
    """The folder, made if it is not there, for this audit alone.

    Args:
        folder: where the report is to stand.

    Raises:
        ValueError: where a file stands in its place, where it holds a report that is not of an audit, or while another audit writes to it.
        OSError: where it cannot be made.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out = {str(folder)!r} is a file: a folder is needed")
    folder.mkdir(parents=True, exist_ok=True)
    _check_ours(folder)
    with (folder / LOCK).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"out = {str(folder)!r}: another audit writes to this folder now; wait for it, or name another one"
            ) from None
        yield folder


def _check_ours(folder: Path) -> None:
    """ValueError where files stand that we would overwrite, and that are not a former report."""
    names = [name for name in (REPORT, PAGE, TABLE, PARQUET) if (folder / name).exists()]
    if (folder / LOCK).exists() and not (folder / REPORT).exists():
        return  # an audit began here, and was killed before its report.json, which comes last
    try:
        ours = json.loads((folder / REPORT).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if names and not ours:
        raise ValueError(f"out = {str(folder)!r} holds {names[0]}, which is not of an audit: name another folder")


def write_report(folder: Path, audit: Audit) -> None:
    """Writes all files of the report. The page comes before report.json, so that whoever finds that one finds all."""
    rows = [
        {name: each[name] for name in COLUMNS} | {f"score_{name}": score for name, score in each["scores"].items()}
        for each in audit.pairs
    ]
    for row in rows:
        row["by"] = " ".join(row["by"])
    write_whole(folder / TABLE, _csv(rows))
    write_whole(folder / PARQUET, _parquet(rows))
    write_whole(folder / PAGE, page(audit.report, audit.pairs))
    write_whole(folder / REPORT, json.dumps(audit.report, indent=1, allow_nan=False) + "\n")


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace").decode()


def _parquet(rows: list[dict]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    clean = [
        {
            key: each.encode("utf-8", "backslashreplace").decode() if isinstance(each, str) else each
            for key, each in row.items()
        }
        for row in rows
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(clean), sink)
    return sink.getvalue().to_pybytes()


class Log:
    """audit.log: what was done when, line by line, kept from one start to the next."""

    def __init__(self, folder: Path):
        self.path, self.last = folder / LOG, ""

    def say(self, text: str) -> None:
        """A line, unless it is the same as the one before."""
        if text == self.last:
            return
        self.last = text
        clean = " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {clean}\n")
