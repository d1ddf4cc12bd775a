"""What profiles larger than the present one found: `python -m separations.evidence --profile paper` stores it in the book.

Evidence comes from finished runs only, those in `_build/runs/<profile>` or what this command stored from such runs in
`book/appendix/evidence/<profile>.json`, with the SHA-256 of each record. It is never written by hand.

Exit status: 0 done, 1 a notebook of the profile has no finished run (the others are stored), 2 bad input.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from .chapters import DEFAULT_PROFILE, chapter, expected, named_by, params_file
from .dependencies import file_hash, sha256
from .files import write_whole

NO_EVIDENCE = ("smoke", DEFAULT_PROFILE)  # the numbers of the one mean nothing, the other is the book itself
VERSIONS = ("separations", "python", "torch", "numpy")


def stored_file(root: Path, profile: str) -> Path:
    """Where the evidence of a profile is stored."""
    return root / "book" / "appendix" / "evidence" / f"{profile}.json"


def record_hash(record: Mapping) -> str:
    """SHA-256 of a record without its own hash."""
    return sha256(json.dumps({name: value for name, value in record.items() if name != "sha256"}, sort_keys=True))


def from_runs(root: Path, profile: str) -> list[dict]:
    """A record for each notebook that the profile names and that has a finished run of the present sources."""
    records = []
    for key in named_by(root, profile):
        item = chapter(root, profile, key, tables=False)
        if item.state != "fresh":
            continue
        result = item.result
        record = {
            "notebook": key,
            "profile": profile,
            "parameters": result["overrides"],
            "seconds": round(result["seconds"]),
            "machine": result["machine"] | {"threads": result["threads"]},
            "versions": {name: result["versions"][name] for name in VERSIONS if name in result["versions"]},
            "key": result["hashes"]["key_without_tables"],
            "result": file_hash(item.run / "result.json"),
            "claims": [claim for evidence in result["evidence"] for claim in evidence.get("claims", [])],
        }
        records.append(record | {"sha256": record_hash(record)})
    return records


def read_stored(root: Path, profile: str) -> list[dict]:
    """The stored records of a profile; none where there is no file. ValueError where one is not as it was written."""
    path = stored_file(root, profile)
    if not path.is_file():
        return []
    records = json.loads(path.read_text(encoding="utf-8"))
    for record in records:
        if record.get("sha256") != record_hash(record) or record.get("profile") != profile:
            name = path.relative_to(root)
            raise ValueError(
                f"{name}: the record of {record.get('notebook')!r} is not as it was written: store it again"
            )
    return records


def present_key(root: Path, profile: str, key: str) -> str:
    """Fingerprint of a notebook under a profile; empty where it no longer exists or refuses the parameters."""
    try:
        return expected(root, profile, key)["key_without_tables"]
    except ValueError:
        return ""


def larger(root: Path, present: str) -> list[dict]:
    """Records of all other profiles that count as evidence, runs before stored ones, each with `outdated`."""
    found = []
    for path in sorted((root / "params").glob("*.yml")):
        profile = path.stem
        if profile in (*NO_EVIDENCE, present):
            continue
        here = {record["notebook"]: record for record in from_runs(root, profile)}
        stored = {record["notebook"]: record for record in read_stored(root, profile)}
        for key, record in ({**stored, **here}).items():
            found.append({**record, "outdated": record["key"] != present_key(root, profile, key)})
    return found


def store(root: Path, profile: str) -> tuple[Path | None, list[str]]:
    """Store what the finished runs of a profile found; returns the file, and the notebooks without such a run.

    Records of notebooks without a finished run here stay as they are stored. ValueError for a profile that is no evidence.
    """
    if profile in NO_EVIDENCE:
        raise ValueError(f"profile = {profile!r}: {' and '.join(NO_EVIDENCE)} are no evidence beside the book")
    params_file(root, profile)
    here = {record["notebook"]: record for record in from_runs(root, profile)}
    kept = {record["notebook"]: record for record in read_stored(root, profile)}
    named = named_by(root, profile)
    records = [record for key in named if (record := here.get(key) or kept.get(key))]
    if not records:
        return None, named
    path = stored_file(root, profile)
    write_whole(path, json.dumps(records, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return path, [key for key in named if key not in here]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m separations.evidence", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: this folder)")
    parser.add_argument("--profile", required=True, help="profile of the runs, as paper")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        path, left = store(root, options.profile)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"separations.evidence: {' '.join(str(error).split())}\n")
        return 2
    if path:
        sys.stdout.write(f"{path.relative_to(root)}\n")
    for key in left:
        sys.stderr.write(f"NOT RUN: book/{key}.ipynb has no finished run under {options.profile}\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
