"""From runs to the book: check what was asked for, render the staged copy, say what failed, write outputs back.

`python -m separations.book render` stages the executed notebooks with the written pages and has Jupyter Book turn them
into HTML with execution off.
"""

import contextlib
import fcntl
import json
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..command_line import guarded, parser, say, tell
from ..files import write_whole
from ..run.fingerprint import VOLATILE
from ..run.notebooks import read_notebook
from ..run.profiles import DEFAULT_PROFILE, Book
from . import offline
from .chapters import Chapter, chapters, check_pages
from .committed import keep
from .icons import slim_icons
from .markup import one_line
from .readme import write_readme
from .rendered import book_key, stamp, swap
from .settings import whole, yes
from .staging import check_settings, entry, stage, with_outputs
from .student import changed_in, student_edition


@contextlib.contextmanager
def _locked(book: Book) -> Iterator[None]:
    """One rendering at a time: a second waits for the first."""
    book.build.mkdir(exist_ok=True)
    with (book.build / ".render.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def render(
    book: Book, strict: bool = False, quiet: bool = False, whole_book: bool = True, committed: bool = False
) -> int:
    """Stage and render; returns Jupyter Book's exit status. The former HTML stays until the new one is whole.

    strict: every warning is an error; quiet: warnings go to the log alone; whole_book: leave stamps that say what was rendered;
    committed: the outputs that the notebooks carry, into `_build/html-committed`, without stamps.
    """
    with _locked(book):
        key = book_key(book)  # before anything is read: what changes meanwhile makes the book stale
        source = stage(book, committed)
        work = book.build / "render" / ("committed" if committed else book.profile)
        log = work.with_name(f"{work.name}.log")
        code, text = _jupyter_book(source, work, log, strict)
        for line in [] if quiet else text.splitlines():
            if "WARNING" in line or "ERROR" in line:
                say(line)
        if code:
            say(f"rendering failed; the whole log: {log.relative_to(book.root)}")
            return code
        slim_icons(work / "_build" / "html")
        swap(work / "_build" / "html", book.folder("html-committed" if committed else "html"))
        for kind in (False, True)[: 1 + strict] if whole_book and not committed else ():
            write_whole(stamp(book, kind), key + "\n")
    return 0


def _jupyter_book(source: Path, work: Path, log: Path, strict: bool) -> tuple[int, str]:
    """Exit status of Jupyter Book, and what it said, without colours and the folder of the sources."""
    shutil.rmtree(work / "_build" / "html", ignore_errors=True)  # of a rendering that failed: pages that are gone since
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    command += ["--path-output", str(work), "--all", *(["-W", "-n", "--keep-going"] if strict else [])]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as handle:
        code = subprocess.run(command, stdout=handle, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
    text = log.read_bytes().decode("utf-8", "replace")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace(f"{source}/", "")
    write_whole(log, text)
    return code, text


def report(book: Book) -> list[Chapter]:
    """Say which chapters are not fresh, why, and where their logs are; returns them."""
    bad = [item for item in chapters(book) if item.state != "fresh"]
    for item in bad:
        log, partial = item.run / "run.log", item.run / f"{item.path.stem}.failed.ipynb"
        say(f"{item.state.upper()}: book/{item.key}.ipynb: {one_line(item.error)[:300]}")
        for path in (log, partial):
            if item.result and path.is_file():
                say(f"    {path.relative_to(book.root)}")
    return bad


def refresh(book: Book) -> list[str]:
    """Write the outputs of the default profile back into `book/`; returns the keys of the notebooks that changed.

    Outputs and execution counts are kept, the metadata of the execution is not. ValueError if a chapter is not fresh.
    """
    items = chapters(book.under(DEFAULT_PROFILE))
    behind = [item.key for item in items if item.state != "fresh"]
    if behind:
        raise ValueError(f"no fresh run for {', '.join(behind)}: execute the book first")
    texts = {item.key: refreshed(item) for item in items}  # all of them, before the first is written
    changed = [item for item in items if texts[item.key] != item.path.read_text(encoding="utf-8")]
    for item in changed:
        write_whole(item.path, texts[item.key])
    keep(book, [(item.key, item.result, item.run) for item in items])
    return [item.key for item in changed]


def refreshed(item: Chapter) -> str:
    """Text of a chapter's notebook with the outputs of its run. ValueError where the executed copy has other code cells."""
    notebook = read_notebook(item.path)
    notebook["cells"] = with_outputs(notebook, read_notebook(item.run / item.path.name), item.key)["cells"]
    for cell in notebook["cells"]:
        cell["metadata"] = {name: value for name, value in entry(cell, "metadata").items() if name not in VOLATILE}
    notebook["metadata"] = plain_metadata(entry(notebook, "metadata"))
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def plain_metadata(metadata: Mapping) -> dict:
    """Notebook metadata as it is committed: the kernel's name, the language, and what is ours."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    ours = {"separations": metadata["separations"]} if "separations" in metadata else {}
    return {"kernelspec": kernel, "language_info": {"name": "python"}, **ours}


def check(book: Book, strict: str, jobs: str) -> None:
    """ValueError in one line for what a build cannot begin with: a setting, `_toc.yml`, `_config.yml`, a page that is missing."""
    yes(strict, "STRICT")
    whole(jobs, "JOBS", high=4096)
    book.params_file()
    check_pages(book)
    check_settings(book)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = parser("book", __doc__)
    tasks = ("check", "render", "finish", "refresh", "readme", "student", "where", "offline")
    options.add_argument("task", choices=tasks)
    options.add_argument("--profile", default=DEFAULT_PROFILE)
    options.add_argument("--strict", nargs="?", const="1", default="", help="every warning is an error")
    options.add_argument("--jobs", default="1", help="notebooks at a time")
    options.add_argument(
        "--committed", action="store_true", help="show the outputs that the notebooks carry, without a run"
    )
    given = options.parse_args(arguments)
    return guarded("book", lambda: _do(given, Book(given.root.resolve(), given.profile)))


def _do(given: Namespace, book: Book) -> int:
    check(book, given.strict, given.jobs)
    task, strict = given.task, yes(given.strict, "STRICT")
    if task == "render":
        return render(book, strict, committed=given.committed)
    if task == "finish":
        return _finish(book)
    if task == "offline":
        return _offline(book, given.committed)
    if task == "refresh":
        changed = refresh(book) + write_readme(book)
        say(f"{len(changed)} file(s) rewritten{': ' + ', '.join(changed) if changed else ''}")
    elif task == "readme":
        say(f"rewritten: {', '.join(write_readme(book)) or 'nothing'}")
    elif task == "student":
        folder, first = student_edition(book), book.build / "student"
        if folder != first:
            changed = changed_in(first)
            kept = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
            say(f"_build/student was worked in ({kept}) and stays as it is")
        say(f"student edition: {folder.relative_to(book.root)}")
    elif task == "where":
        tell(f"The book: {book.folder('html') / 'index.html'}")
        return 1 if report(book) else 0  # a source edited while it ran: its page does not show the result
    return 0


def _offline(book: Book, committed: bool) -> int:
    """The rendered book as one zip and one PDF; where there is no Chromium, the zip alone, and a line that says so."""
    made, missing = offline.offline(book, committed)
    for path in made:
        tell(f"{path.relative_to(book.root)}  {path.stat().st_size / 1e6:.0f} MB")
    for line in missing:
        say(line)
    return 0


def _finish(book: Book) -> int:
    """After a failure: show what there is, and say what failed."""
    failed = any(item.state != "fresh" for item in chapters(book))
    if failed and render(book, quiet=True, whole_book=False) == 0:
        say(f"The book was rendered without them: {book.folder('html') / 'index.html'}")
    return 1 if report(book) else 0
