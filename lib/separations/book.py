"""From runs to the book: render the staged copy, say what failed, write outputs back, hand out a student edition.

`python -m separations.book render` stages the executed notebooks with the written pages and has Jupyter Book turn them
into HTML with execution off.
"""

import argparse
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import pages
from .chapters import DEFAULT_PROFILE, Chapter, chapters, notebook_keys, profile_folder
from .dependencies import VOLATILE, read_notebook, tables_of
from .files import write_whole
from .staging import stage


def html_folder(root: Path, profile: str) -> Path:
    """Where the rendered book of a profile lies."""
    return profile_folder(root, "html", profile)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One rendering at a time: a second waits for the first."""
    (root / "_build").mkdir(exist_ok=True)
    with (root / "_build" / ".render.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def render(root: Path, profile: str, strict: bool = False, quiet: bool = False) -> int:
    """Stage and render; returns Jupyter Book's exit status. The former HTML stays until the new one is whole.

    strict: every warning is an error; quiet: warnings go to the log alone.
    """
    with _locked(root):
        source = stage(root, profile)
        work = root / "_build" / "render" / profile
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
        command += ["--path-output", str(work), "--all", *(["-W", "-n", "--keep-going"] if strict else [])]
        log = root / "_build" / "render" / f"{profile}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as handle:
            code = subprocess.run(command, stdout=handle, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8")).replace(f"{source}/", "")
        write_whole(log, text)
        for line in [] if quiet else text.splitlines():
            if "WARNING" in line or "ERROR" in line:
                _say(line)
        if code:
            _say(f"rendering failed; the whole log: {log.relative_to(root)}")
            return code
        _swap(work / "_build" / "html", html_folder(root, profile))
    return 0


def _swap(new: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        os.replace(place, old)
    os.replace(new, place)
    shutil.rmtree(old, ignore_errors=True)


def report(root: Path, profile: str) -> list[Chapter]:
    """Say which chapters are not fresh, why, and where their logs are; returns them."""
    bad = [item for item in chapters(root, profile) if item.state != "fresh"]
    for item in bad:
        log, partial = item.run / "run.log", item.run / f"{item.path.stem}.failed.ipynb"
        _say(f"{item.state.upper()}: book/{item.key}.ipynb: {pages.one_line(item.error)[:300]}")
        for path in (log, partial):
            if item.result and path.is_file():
                _say(f"    {path.relative_to(root)}")
    return bad


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def refresh(root: Path) -> list[str]:
    """Write the outputs of the default profile back into `book/`; returns the keys of the notebooks that changed.

    Outputs and execution counts are kept, the metadata of the execution is not. ValueError if a chapter is not fresh.
    """
    items = chapters(root, DEFAULT_PROFILE)
    behind = [item.key for item in items if item.state != "fresh"]
    if behind:
        raise ValueError(f"no fresh run for {', '.join(behind)}: execute the book first")
    changed = []
    for item in items:
        notebook = read_notebook(item.path)
        executed = [c for c in read_notebook(item.run / item.path.name)["cells"] if c["cell_type"] == "code"]
        for cell in notebook["cells"]:
            cell["metadata"] = {name: value for name, value in cell["metadata"].items() if name not in VOLATILE}
            if cell["cell_type"] == "code":
                done = executed.pop(0)
                cell.update(outputs=done["outputs"], execution_count=done["execution_count"])
        notebook["metadata"] = plain_metadata(notebook["metadata"])
        text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        if text != item.path.read_text(encoding="utf-8"):
            write_whole(item.path, text)
            changed.append(item.key)
    return changed


def plain_metadata(metadata: Mapping) -> dict:
    """Notebook metadata as it is committed: the kernel's name, the language, and what is ours."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    ours = {"separations": metadata["separations"]} if "separations" in metadata else {}
    return {"kernelspec": kernel, "language_info": {"name": "python"}, **ours}


def student_edition(root: Path) -> Path:
    """Copies of all notebooks without solutions and outputs in `_build/student`, with the tables they read; returns the folder."""
    target = root / "_build" / "student"
    shutil.rmtree(target, ignore_errors=True)
    for key in notebook_keys(root):
        notebook = read_notebook(root / "book" / f"{key}.ipynb")
        notebook["cells"] = [c for c in notebook["cells"] if "solution" not in c["metadata"].get("tags", [])]
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        write_whole(target / f"{key}.ipynb", json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        for table in tables_of(root / "book" / f"{key}.ipynb"):
            write_whole(target / Path(key).parent / "data" / table.name, table.read_bytes())
    return target


def main(arguments: list[str] | None = None) -> int:
    """The command line: render, finish, refresh, student; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m separations.book", description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("render", "finish", "refresh", "student", "where"))
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: this folder)")
    parser.add_argument("--profile", default=DEFAULT_PROFILE)
    parser.add_argument("--strict", action="store_true", help="every warning is an error")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    try:
        return _do(options.task, root, options.profile, options.strict)
    except ValueError as error:
        _say(f"separations.book: {pages.one_line(error)}")
        return 2


def _do(task: str, root: Path, profile: str, strict: bool) -> int:
    if task == "render":
        return render(root, profile, strict)
    if task == "finish":  # after a failure: show what there is, and say what failed
        failed = any(item.state != "fresh" for item in chapters(root, profile))
        if failed and render(root, profile, quiet=True) == 0:
            _say(f"The book was rendered without them: {html_folder(root, profile) / 'index.html'}")
        return 1 if report(root, profile) else 0
    if task == "refresh":
        changed = refresh(root)
        _say(f"{len(changed)} notebook(s) rewritten{': ' + ', '.join(changed) if changed else ''}")
    elif task == "student":
        _say(f"student edition: {student_edition(root).relative_to(root)}")
    else:
        sys.stdout.write(f"The book: {html_folder(root, profile) / 'index.html'}\n")
        return 1 if report(root, profile) else 0  # a source edited while it ran: its page does not show the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
