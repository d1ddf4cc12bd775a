"""Store the tables of finished runs beside their notebooks: `python -m separations.book.store_tables --profile longer`.

Each table of a run goes to `book/<part>/data/<number>_<name>.csv`, and how it was made to the `.yml` beside it:
notebook, profile, parameters and defaults, command, seconds, machine, versions, and the SHA-256 of the table. Only runs
that finished and belong to the present sources are taken; all is read and checked before anything is written.

Exit status: 0 done, 1 a notebook of the profile has no such run (the others are stored), 2 bad input.
"""

import csv
import io
import sys
from pathlib import Path

import yaml

from ..command_line import guarded, parser, say, tell
from ..files import sha256, write_whole
from ..ledger.tables import check_name
from ..run.notebooks import read_notebook
from ..run.parameters import parameters_of
from ..run.profiles import Book
from ..run.results import table_path
from .chapters import Chapter, chapter
from .evidence import VERSIONS


def stored_path(book: Book, key: str, name: str) -> Path:
    """Where a table of a notebook is stored: `book/<part>/data/<number>_<name>.csv`."""
    notebook = book.root / "book" / key
    return notebook.parent / "data" / f"{notebook.name.partition('_')[0]}_{name}.csv"


def recipe_of(book: Book, item: Chapter, name: str, content: bytes) -> dict:
    """How a table was made: what is needed to make it again, and to judge whether another outcome is a surprise.

    content: the table. ValueError where it is not the one that the run left.
    """
    result = item.result
    if sha256(content) != result["tables"][name]:
        raise ValueError(f"table {name!r} of {item.key} changed while it was read")
    options = f"--params params/{book.profile}.yml --threads {result['threads']}"
    return {
        "notebook": item.key,
        "table": name,
        "rows": _rows(content, f"table {name!r} of {item.key}"),
        "profile": book.profile,
        "parameters": result["overrides"],  # what differs from the notebook's defaults
        "defaults": parameters_of(read_notebook(item.path), item.key),  # whose short runs the table may stand in for
        "command": f"python -m separations.run book/{item.key}.ipynb {options} --out results/{item.path.stem}",
        "seconds": round(result["seconds"]),
        "machine": dict(result.get("machine") or {}) | {"threads": result["threads"]},
        "versions": {package: result["versions"][package] for package in VERSIONS if package in result["versions"]},
        "sha256": sha256(content),
    }


def _rows(content: bytes, name: str) -> int:
    try:
        return len(list(csv.reader(io.StringIO(content.decode(), newline="")))) - 1
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is no CSV table: {error}") from None


def tables_in(item: Chapter) -> list[str]:
    """Names of the tables that a chapter's fresh run recorded. ValueError where one could lead out of the run's folder."""
    tables = item.result.get("tables", {})
    if not isinstance(tables, dict) or not all(isinstance(mark, str) for mark in tables.values()):
        raise ValueError(f"tables of {item.key} = {tables!r}: a mapping from names to SHA-256 is needed")
    return [check_name(name) for name in tables]


def store(book: Book, keys: list[str] | None = None) -> tuple[list[Path], list[Chapter]]:
    """Store the tables of a profile's fresh runs; returns the files of the tables and the chapters without a fresh run.

    keys: notebooks to store, all that the profile names if None. ValueError for a profile that is not there or a
    notebook that it does not name.
    """
    book.params_file()
    named = book.named()
    for key in keys or []:
        if key not in named:
            raise ValueError(f"notebook = {key!r}: profile {book.profile!r} names {', '.join(named) or 'none'}")
    items = [chapter(book, key, tables=False) for key in keys or named]
    files: dict[Path, bytes] = {}
    for item in items:
        for name in tables_in(item) if item.state == "fresh" else ():
            content, path = table_path(item.run, name).read_bytes(), stored_path(book, item.key, name)
            if path.exists() and not path.with_suffix(".yml").exists():
                shown = path.relative_to(book.root).as_posix()
                raise ValueError(f"{shown} has no recipe, so no run made it, and it would be replaced: move it away")
            recipe = recipe_of(book, item, name, content)
            text = yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
            files[path], files[path.with_suffix(".yml")] = content, text.encode()
    for path, content in files.items():
        write_whole(path, content)
    return [path for path in files if path.suffix == ".csv"], [item for item in items if item.state != "fresh"]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parser("store_tables", __doc__)
    options.add_argument(
        "keys", nargs="*", metavar="NOTEBOOK", help="as part/number_name (default: all of the profile)"
    )
    options.add_argument("--profile", default="longer", help="profile of the runs (default: %(default)s)")
    given = options.parse_args(arguments)
    return guarded("store_tables", lambda: _store(Book(given.root.resolve(), given.profile), given.keys))


def _store(book: Book, keys: list[str]) -> int:
    stored, left = store(book, keys)
    for path in stored:
        tell(f"{path.relative_to(book.root)}")
    for item in left:
        say(f"{item.state.upper()}: book/{item.key}.ipynb: {' '.join(item.error.split())[:300]}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
