"""The book without a run: chapters with the outputs that their notebooks carry, and what was recorded with exactly these outputs.

`make refresh` writes the outputs of the runs back into the notebooks, and what the runs recorded into `KEPT`, with a digest of the
outputs. Where a notebook has other outputs by now, its record is left out: numbers on a page belong to the outputs beside them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import file_hash, sha256, write_whole
from ..run.notebooks import read_notebook, tags_of
from ..run.profiles import DEFAULT_PROFILE, Book
from .chapters import Chapter, notebook_keys
from .evidence import VERSIONS, file_digest, read_stored, record_hash
from .records import check_record

STATE = "committed"
NO_RECORD = "What its last run recorded belongs to other outputs than these, or was not kept."


def outputs_digest(notebook: Mapping) -> str:
    """SHA-256 of all that the code cells of a notebook put out, however the file splits its lines; cells of injected parameters left out."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "injected-parameters" not in tags_of(cell):
            found += [_content(output) for output in cell.get("outputs", [])]
    return sha256(json.dumps(found, sort_keys=True))


def _content(output: Mapping) -> list:
    data = output.get("data") or {}
    return [output["output_type"], _text(output.get("text")), {kind: _text(value) for kind, value in data.items()}]


def _text(value: object) -> object:
    return "".join(value) if isinstance(value, list) and all(isinstance(line, str) for line in value) else value


def committed_chapters(book: Book) -> list[Chapter]:
    """The chapters as they are in `book/`, each with the record that belongs to its outputs, if one was kept."""
    kept, items = kept_records(book), []
    for key in notebook_keys(book):
        path = book.notebook(key)
        record = kept.get(key)
        result = None
        if record and record.get("outputs") == outputs_digest(read_notebook(path)):
            result = record | {
                "overrides": record["parameters"],
                "evidence": [{"notebook": key, "claims": record["claims"]}],
            }
        items.append(Chapter(key, path, book.run_folder(key), STATE, "" if result else NO_RECORD, result))
    return items


def kept_records(book: Book) -> dict[str, dict]:
    """What was kept of the runs, by chapter. ValueError where the file is not as it was written."""
    return {record["notebook"]: record for record in read_stored(book.under(DEFAULT_PROFILE))}


def kept_record(key: str, result: Mapping, run: Path) -> dict:
    """What is kept of a finished run.

    Args:
        key: of the chapter.
        result: of its run.
        run: the folder of the run.

    Returns:
        A record as `separations.book.evidence` stores them, with the digest of the outputs and the peak memory.
    """
    record = {
        "notebook": key,
        "profile": DEFAULT_PROFILE,
        "parameters": result["overrides"],
        "seconds": round(result["seconds"]),
        "peak_memory_mb": round(result["peak_memory_mb"]),
        "threads": result["threads"],
        "machine": dict(result.get("machine") or {}) | {"threads": result["threads"]},
        "versions": {name: result["versions"][name] for name in VERSIONS if name in result["versions"]},
        "key": result["hashes"]["key_without_tables"],
        "result": file_hash(run / "result.json"),
        "outputs": outputs_digest(read_notebook(run / result["file"])),
        "claims": [claim for evidence in result["evidence"] for claim in evidence.get("claims", [])],
    }
    return check_record(record | {"sha256": record_hash(record)}, f"result of {key}")


def keep(book: Book, runs: Sequence[tuple[str, Mapping, Path]]) -> Path:
    """Store what runs recorded beside what was kept of other chapters; returns the file.

    Args:
        book: under any profile.
        runs: key, result and folder of finished runs at the defaults.

    Returns:
        The file.
    """
    records = kept_records(book) | {key: kept_record(key, result, run) for key, result, run in runs}
    ordered = [records[key] for key in notebook_keys(book) if key in records]
    seal, path = file_digest(ordered), book.under(DEFAULT_PROFILE).evidence_file
    text = json.dumps(
        [record | {"file_sha256": seal} for record in ordered], indent=1, ensure_ascii=False, sort_keys=True
    )
    if ordered and (not path.is_file() or path.read_text(encoding="utf-8") != text + "\n"):
        write_whole(path, text + "\n")
    return path
