"""What profiles larger than the present one found: `python -m separations.book.evidence --profile paper` stores it in the book.

Evidence comes from finished runs only, those in `_build/runs/<profile>` or what this command stored from such runs in
`book/appendix/evidence/<profile>.json`, with the SHA-256 of each record and of all of them together. It is never written by hand.

Exit status: 0 done, 1 a notebook of the profile has no finished run (the others are stored), 2 bad input.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..command_line import guarded, parser, say, tell
from ..files import file_hash, sha256, write_whole
from ..run.profiles import DEFAULT_PROFILE, PROFILE_NAME, Book
from .chapters import chapter, notebook_keys
from .records import check_record, read_json

NO_EVIDENCE = ("smoke", DEFAULT_PROFILE)  # the numbers of the one mean nothing, the other is the book itself
VERSIONS = ("separations", "python", "torch", "numpy")


def record_hash(record: Mapping) -> str:
    """SHA-256 of a record without the hashes that it carries of itself and of its file."""
    content = {name: value for name, value in record.items() if name not in ("sha256", "file_sha256")}
    return sha256(json.dumps(content, sort_keys=True))


def file_digest(records: Sequence[Mapping]) -> str:
    """SHA-256 over all records of a file, in their order: each record carries it, so that none can go missing unseen."""
    return sha256("\n".join(record["sha256"] for record in records))


def from_runs(book: Book) -> list[dict]:
    """A record for each notebook that the profile names and that has a finished run of the present sources."""
    records = []
    for key in book.named():
        item = chapter(book, key, tables=False)
        if item.state != "fresh":
            continue
        result = item.result
        record = {
            "notebook": key,
            "profile": book.profile,
            "parameters": result["overrides"],
            "seconds": round(result["seconds"]),
            "machine": _mapping(result.get("machine")) | {"threads": result["threads"]},
            "versions": {name: result["versions"][name] for name in VERSIONS if name in result["versions"]},
            "key": result["hashes"]["key_without_tables"],
            "result": file_hash(item.run / "result.json"),
            "claims": [claim for evidence in result["evidence"] for claim in evidence.get("claims", [])],
        }
        records.append(check_record(record | {"sha256": record_hash(record)}, f"result of {key}"))
    return records


def _mapping(value: object) -> dict:
    return dict(value) if isinstance(value, dict) else {}


def read_stored(book: Book) -> list[dict]:
    """The stored records of a profile; none where there is no file. ValueError where one is not as it was written, or missing."""
    path = book.evidence_file
    if not path.exists():
        return []
    name = path.relative_to(book.root).as_posix()
    again = "remove the file and store it again from the runs"
    records = read_json(path, name)
    if not isinstance(records, list) or not records:
        kind = "no record" if records == [] else f"a {type(records).__name__}"
        raise ValueError(f"{name} holds {kind}: a list of records is needed; {again}")
    for i, record in enumerate(records):
        check_record(record, f"{name}: record {i}")
        if record["sha256"] != record_hash(record) or record["profile"] != book.profile:
            raise ValueError(f"{name}: the record of {record['notebook']!r} is not as it was written; {again}")
    if len({record["notebook"] for record in records}) < len(records):
        raise ValueError(f"{name}: a notebook has two records; {again}")
    if any(record.get("file_sha256") != file_digest(records) for record in records):
        raise ValueError(f"{name}: a record was added, removed or moved, or none is sealed; {again}")
    return records


def present_key(book: Book, key: str) -> str:
    """Fingerprint of a notebook under a profile; empty where it no longer exists or refuses the parameters."""
    try:
        return book.expected(key)["key_without_tables"]
    except ValueError:
        return ""


def larger(book: Book) -> list[dict]:
    """Records of all other profiles that count as evidence, runs before stored ones, each with `outdated`."""
    found, in_book = [], notebook_keys(book)
    for profile in book.profiles:
        if profile in (*NO_EVIDENCE, book.profile) or not PROFILE_NAME.fullmatch(profile):
            continue
        other = book.under(profile)
        here = {record["notebook"]: record for record in from_runs(other)}
        stored = {record["notebook"]: record for record in read_stored(other)}
        for key, record in ({**stored, **here}).items():
            if key not in in_book:  # nothing to link to
                continue
            found.append({**record, "outdated": record["key"] != present_key(other, key)})
    return found


def store(book: Book) -> tuple[Path | None, list[str]]:
    """Store what the finished runs of a profile found; returns the file, and the notebooks without such a run.

    Records of notebooks without a finished run here stay as they are stored. ValueError for a profile that is no evidence.
    """
    if book.profile in NO_EVIDENCE:
        raise ValueError(f"profile = {book.profile!r}: {' and '.join(NO_EVIDENCE)} are no evidence beside the book")
    book.params_file()
    here = {record["notebook"]: record for record in from_runs(book)}
    kept = {record["notebook"]: record for record in read_stored(book)}
    named = book.named()
    records = [record for key in named if (record := here.get(key) or kept.get(key))]
    if not records:
        return None, named
    path, seal = book.evidence_file, file_digest(records)
    records = [record | {"file_sha256": seal} for record in records]
    write_whole(path, json.dumps(records, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return path, [key for key in named if key not in here]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parser("evidence", __doc__)
    options.add_argument("--profile", required=True, help="profile of the runs, as paper")
    given = options.parse_args(arguments)
    return guarded("evidence", lambda: _store(Book(given.root.resolve(), given.profile)))


def _store(book: Book) -> int:
    path, left = store(book)
    if path:
        tell(f"{path.relative_to(book.root)}")
    for key in left:
        say(f"NOT RUN: book/{key}.ipynb has no finished run under {book.profile}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
