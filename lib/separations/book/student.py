"""The student edition: copies of the notebooks without solutions and outputs, and the quiz without answers, never over what somebody has worked on."""

import json
import re
from pathlib import Path

from ..files import file_hash, sha256, write_whole
from ..run.fingerprint import tables_of
from ..run.notebooks import read_notebook, tags_of
from ..run.profiles import Book
from .chapters import notebook_keys
from .records import read_json

MARK = ".student-edition.json"  # what we wrote into the folder, with digests
QUIZ = "book/appendix/quiz.md"
ANSWER = re.compile(r"^:::\{dropdown\} Answer\n.*?^:::\n\n?", re.MULTILINE | re.DOTALL)
TOOLS = (".ipynb_checkpoints",)  # folders that Jupyter makes beside a notebook


def student_files(book: Book) -> dict[str, bytes]:
    """The edition: relative path -> content. All notebooks without solutions and outputs, with the tables they read."""
    files: dict[str, bytes] = {}
    for key in notebook_keys(book):
        path = book.notebook(key)
        notebook = read_notebook(path)
        notebook["cells"] = [cell for cell in notebook["cells"] if "solution" not in tags_of(cell)]
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        files[f"{key}.ipynb"] = (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
        for table in tables_of(path):
            files[(Path(key).parent / "data" / table.name).as_posix()] = table.read_bytes()
    if (book.root / QUIZ).is_file():
        files["quiz.md"] = ANSWER.sub("", (book.root / QUIZ).read_text(encoding="utf-8")).encode()
    return files


def changed_in(folder: Path) -> list[str]:
    """What lies in a folder and is not as we wrote it there: changed files, and those of others. Relative paths, sorted."""
    try:
        written = read_json(folder / MARK, MARK)
    except ValueError:
        written = {}
    written = written if isinstance(written, dict) else {}
    found = []
    if not folder.is_dir():
        return [folder.name]
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == MARK or (path.is_dir() and not path.is_symlink()):
            continue
        same = path.is_file() and not path.is_symlink() and written.get(name) == file_hash(path)
        copy = path.parent.name in TOOLS and path.is_file() and file_hash(path) in written.values()
        if not same and not copy:
            found.append(name)
    return found


def student_edition(book: Book) -> Path:
    """Write the edition to `_build/student`; where that was worked in, beside it, to `_build/student-2` and so on.

    Returns the folder. Nothing that differs from what we wrote is touched.
    """
    files = student_files(book)
    first = book.build / "student"
    target, count = first, 1
    while (target.exists() or target.is_symlink()) and not _is_ours(target):
        count += 1
        target = first.with_name(f"student-{count}")
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        write_whole(target / name, content)
    digests = {name: sha256(content) for name, content in files.items()}
    write_whole(target / MARK, json.dumps(digests, indent=1) + "\n")
    return target


def _is_ours(folder: Path) -> bool:
    """Whether all in a folder is as we wrote it."""
    return folder.is_dir() and not changed_in(folder)
