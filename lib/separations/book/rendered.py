"""The rendered book on disk: to which state of its sources it belongs, and how a new one takes its place."""

import os
import shutil
from pathlib import Path

from ..definitions import WHOLE, library
from ..files import PACKAGE, file_hash, sha256, write_whole
from ..run.fingerprint import written_hash
from ..run.notebooks import read_notebook
from ..run.profiles import Book
from .chapters import chapters, notebook_keys
from .staging import book_files

CONTENTS = ".contents"  # names of the files that the rendering wrote; what else lies there is the reader's


def stamp(book: Book, strict: bool) -> Path:
    """The file that holds the fingerprint of what was rendered whole, and without a warning if strict."""
    return book.folder("html") / (".rendered-strict" if strict else ".rendered")


def book_key(book: Book) -> str:
    """Fingerprint of all that the rendered book shows, by content: pages, settings, runs, sweeps, evidence, and the code that renders.

    Time stamps do not count. What is gone counts as much as what is new, and how each chapter stands as much as its run: a page
    that says "not executed" is not that of the same run when its notebook is as it was again.
    """
    files = [PACKAGE / "ledger" / "claims.yml", book.root / "_config.yml", book.root / "_toc.yml"]
    files += [
        book.root / "constraints.txt",
        *book_files(book),
        *book.root.glob("params/*.yml"),
        *book.root.glob("sweeps/*.yml"),
    ]
    build = book.build
    for pattern in ("plan.json", "table.csv", "index.csv", "runs/*/SUCCESS", "runs/*/note.txt"):
        files += build.glob(f"sweeps/*/{pattern}")
    runs = [build / "runs" / name for name in book.profiles if name != "smoke"]
    for folder in {*runs, build / "runs" / book.profile}:
        files += [folder / key / "SUCCESS" for key in notebook_keys(book)]
    lines = [f"{os.path.relpath(path, book.root)} {file_hash(path)}" for path in sorted({*files}) if path.is_file()]
    code = library().meaning([("book.command", WHOLE)])
    items = chapters(book)
    states = [f"{item.key} {item.state} {item.error} {_written(item.path)}" for item in items]
    return sha256("\n".join([code, *lines, *states]))


def _written(path: Path) -> str:
    """Hash of what an author wrote in a notebook; of one that cannot be read, the reason."""
    try:
        return written_hash(read_notebook(path))
    except ValueError as error:
        return str(error)


def is_rendered(book: Book, strict: bool) -> bool:
    """Whether the HTML is whole, and belongs to the present state of everything it shows."""
    path = stamp(book, strict)
    if not path.is_file() or not (path.parent / CONTENTS).is_file():
        return False
    written = (path.parent / CONTENTS).read_text(encoding="utf-8").split("\n")
    there = all(os.path.isfile(path.parent / name) for name in written if name)
    return there and path.read_text(encoding="utf-8").strip() == book_key(book)


def swap(new: Path, place: Path) -> None:
    """Put a rendered book in the place of the former one. Files that somebody laid beside that one stay.

    ValueError where the place holds files and no book that we rendered, or one of somebody where a page is to stand.
    """
    place = place.resolve() if place.is_symlink() else place
    old = place.with_name(f".{place.name}.old")
    if old.exists() and not place.exists():  # what a killed call left
        os.replace(old, place)
    others = _files_of_others(place)
    taken = [name for name in others if (new / name).is_file() and not _same(place / name, new / name)]
    if taken:
        raise ValueError(f"{str(place / taken[0])!r} is not of the rendered book, and would be replaced: move it away")
    ours = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if not path.is_dir())
    write_whole(new / CONTENTS, "\n".join([CONTENTS, *ours]) + "\n")
    for name in others:
        if not os.path.lexists(new / name):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(place / name, new / name, follow_symlinks=False)
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    try:
        os.replace(new, place)
    except OSError:
        if old.exists():
            os.replace(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and not one.is_symlink() and file_hash(one) == file_hash(other)


def _files_of_others(place: Path) -> list[str]:
    """Files in a rendered book that the rendering did not write."""
    if not place.exists() or not any(place.iterdir()):
        return []
    there = [path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_symlink() or not path.is_dir()]
    if (place / CONTENTS).is_file():
        ours = set((place / CONTENTS).read_text(encoding="utf-8").split("\n")) | {".rendered", ".rendered-strict"}
        return [name for name in there if name not in ours]
    if not (place / ".buildinfo").is_file():  # Sphinx writes it into every book
        raise ValueError(f"{str(place)!r} holds files and no rendered book, and would be replaced: move it away")
    return []
