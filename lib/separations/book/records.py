"""What runs recorded, checked where it is read: results come from clusters and colleagues, and a page shows what they say."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ..ledger.ledger import check_findings
from ..ledger.verdicts import VERDICTS

NAME = re.compile(r"[\w.-]+(/[\w.-]+)*")  # of a notebook in book/
HASH = re.compile(r"[0-9a-f]{64}")


def read_json(path: Path, name: str):
    """The value that a JSON file holds. name: what to call it in an error. ValueError where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not valid JSON: {' '.join(str(error).split())[:200]}") from None


def _no_number(word: str):
    raise ValueError(f"{word} is no number of JSON")


def check_claims(claims: object, name: str) -> list[dict]:
    """Claims with evidence, as the ledger records them. name: what to call them in an error. ValueError names what is odd."""
    if not isinstance(claims, list):
        raise ValueError(f"{name}: claims = {_short(claims)}: a list is needed")
    for i, entry in enumerate(claims):
        where = f"{name}: claims[{i}]"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} = {_short(entry)}: a mapping with id, ours, verdict and figure is needed")
        for key in ("id", "ours"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise ValueError(f"{where}[{key!r}] = {_short(entry.get(key))}: a text is needed")
        if entry.get("verdict") not in VERDICTS:
            raise ValueError(
                f"{where}['verdict'] = {_short(entry.get('verdict'))}: one of {', '.join(VERDICTS)} is needed"
            )
        if not isinstance(entry.get("figure", ""), str):
            raise ValueError(f"{where}['figure'] = {_short(entry['figure'])}: a text is needed")
        try:
            check_findings(entry)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return claims


def check_evidence(evidence: object, name: str) -> list[dict]:
    """The evidence of a run: records of claims and measures. ValueError names what is odd."""
    if not isinstance(evidence, list) or not all(isinstance(record, dict) for record in evidence):
        raise ValueError(f"{name}: evidence = {_short(evidence)}: a list of mappings is needed")
    for record in evidence:
        check_claims(record.get("claims", []), name)
        measures = record.get("measures", {})
        if not isinstance(measures, dict) or not all(is_number(value) for value in measures.values()):
            raise ValueError(f"{name}: measures = {_short(measures)}: a mapping from names to finite numbers is needed")
    return evidence


def check_result(result: Mapping, name: str) -> None:
    """A finished run's result, as far as the book shows it. ValueError names what is odd."""
    for key in ("seconds", "peak_memory_mb"):
        if not is_number(result.get(key)) or result[key] < 0:
            raise ValueError(f"{name}: {key} = {_short(result.get(key))}: a number is needed")
    if not isinstance(result.get("threads"), int) or isinstance(result["threads"], bool):
        raise ValueError(f"{name}: threads = {_short(result.get('threads'))}: a whole number is needed")
    for key in ("overrides", "versions", "hashes"):
        if not isinstance(result.get(key), dict):
            raise ValueError(f"{name}: {key} = {_short(result.get(key))}: a mapping is needed")
    check_evidence(result.get("evidence"), name)


def check_record(record: object, name: str) -> dict:
    """A stored record of evidence: a notebook, how it was run, and its claims. ValueError names what is odd or missing."""
    if not isinstance(record, dict):
        raise ValueError(f"{name} = {_short(record)}: a mapping is needed")
    kinds = {"notebook": str, "profile": str, "parameters": dict, "seconds": int, "machine": dict, "versions": dict}
    kinds |= {"key": str, "result": str, "claims": list, "sha256": str}
    for key, kind in kinds.items():
        if not isinstance(record.get(key), kind) or isinstance(record[key], bool):
            raise ValueError(f"{name}: {key} = {_short(record.get(key))}: a {kind.__name__} is needed")
    if not NAME.fullmatch(record["notebook"]) or ".." in record["notebook"].split("/"):
        raise ValueError(f"{name}: notebook = {record['notebook']!r}: the path of a notebook in book/ is needed")
    for key in ("key", "result", "sha256"):
        if not HASH.fullmatch(record[key]):
            raise ValueError(f"{name}: {key} = {_short(record[key])}: a SHA-256 is needed")
    check_claims(record["claims"], name)
    return record


def is_number(value: object) -> bool:
    """Whether a value is a finite number and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def file_inside(folder: Path, name: object) -> Path | None:
    """The file of that name in a folder; None where there is none, or where the name or a link leads out of the folder."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        return None
    path = folder / name
    return path if path.is_file() and path.resolve().parent == folder.resolve() else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
