"""From runs to the book: stage the executed notebooks with the written pages, render, write outputs back.

`python -m separations.book render` builds `_build/stage` (a copy of the book in which each chapter is the executed copy of
its run, or says that it failed or was not run) and has Jupyter Book turn it into HTML with execution off.

A notebook may carry its claim in one line in its metadata, under `separations.claim`: it stands in the map of chapters.
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
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import pages
from .dependencies import PACKAGE, VOLATILE, fingerprint, read_notebook, source_of
from .files import write_whole
from .parameters import check_overrides, overrides_for, parameters_of
from .run import is_success, read_result

DEFAULT_PROFILE = "laptop"  # the notebooks' own defaults
ERROR_TAG = "papermill-error-cell-tag"


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book and how its last run stands.

    state: 'fresh' (its outputs belong to the present sources), 'failed', 'stale' or 'missing'; error: why not fresh.
    """

    key: str
    path: Path
    run: Path
    state: str
    error: str
    result: dict | None


def toc_entries(root: Path) -> list[tuple[str, str]]:
    """Documents of `_toc.yml` in order, each with the caption of its part."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = [("", toc["root"])]
    for part in toc.get("parts", [{"chapters": toc.get("chapters", [])}]):
        found += [(part.get("caption", ""), name) for name in _files(part.get("chapters") or [])]
    return found


def _files(entries: list[dict]) -> Iterator[str]:
    for entry in entries:
        if "file" in entry:
            yield entry["file"]
        yield from _files(entry.get("sections") or [])


def notebook_keys(root: Path) -> list[str]:
    """Keys of the notebooks that `_toc.yml` lists, in order."""
    return [name.removeprefix("book/") for _, name in toc_entries(root) if (root / f"{name}.ipynb").is_file()]


def run_folder(root: Path, profile: str, key: str) -> Path:
    """Folder of a notebook's run under a profile."""
    return root / "_build" / "runs" / profile / key


def params_file(root: Path, profile: str) -> Path | None:
    """Parameters file of a profile; None for the notebooks' own defaults. ValueError for a profile that is not there."""
    if profile == DEFAULT_PROFILE:
        return None
    path = root / "params" / f"{profile}.yml"
    if not path.is_file():
        there = sorted(item.stem for item in (root / "params").glob("*.yml"))
        raise ValueError(f"profile = {profile!r}: allowed are {', '.join([DEFAULT_PROFILE, *there])}")
    return path


def expected(root: Path, profile: str, key: str) -> dict:
    """Fingerprint that a fresh run of the notebook under the profile has. ValueError for bad parameters."""
    path = root / "book" / f"{key}.ipynb"
    overrides = overrides_for(path, params_file(root, profile))
    return fingerprint(path, check_overrides(parameters_of(read_notebook(path), key), overrides, key))


def chapter(root: Path, profile: str, key: str) -> Chapter:
    """A chapter and the state of its run, judged by content: the sentinel, the result and all its inputs."""
    run = run_folder(root, profile, key)
    result = read_result(run)
    state, error = "missing", "It has not been executed under this profile."
    try:
        wanted = expected(root, profile, key)["key"]
    except ValueError as problem:
        return Chapter(key, root / "book" / f"{key}.ipynb", run, "failed", str(problem), None)
    if result and result.get("hashes", {}).get("key") != wanted:
        state, error = "stale", "The run on disk belongs to other sources or parameters than the present ones."
    elif result and result["status"] != "ok":
        state, error = "failed", str(result["error"])
    elif result and is_success(run):
        state, error = "fresh", ""
    return Chapter(
        key, root / "book" / f"{key}.ipynb", run, state, error, result if state in ("fresh", "failed") else None
    )


def chapters(root: Path, profile: str) -> list[Chapter]:
    """All chapters of the book, in the order of `_toc.yml`. ValueError for an unknown profile."""
    params_file(root, profile)
    return [chapter(root, profile, key) for key in notebook_keys(root)]


# staging


def markdown_cell(text: str, name: str) -> dict:
    """A Markdown cell as nbformat stores it."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def title_of(notebook: Mapping) -> str:
    """Text of the first heading of a notebook."""
    for cell in notebook["cells"]:
        for line in source_of(cell).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return ""


def claim_of(notebook: Mapping) -> str:
    """One-line claim of a chapter, from the notebook's metadata (`separations.claim`)."""
    return notebook["metadata"].get("separations", {}).get("claim", "")


def staged_notebook(item: Chapter) -> dict:
    """What the book shows for a chapter: the executed copy, the partial copy with a notice, or the bare source with one."""
    source = read_notebook(item.path)
    if item.state == "fresh":
        notebook = read_notebook(item.run / f"{item.path.name}")
        notebook["cells"].append(markdown_cell(pages.run_note(item.result), "run-note"))
    else:
        partial = item.run / f"{item.path.stem}.failed.ipynb"
        if item.state == "failed" and item.result and partial.is_file():
            notebook = read_notebook(partial)
            notebook["cells"] = [c for c in notebook["cells"] if ERROR_TAG not in c["metadata"].get("tags", [])]
            notice = pages.failed_notice(item.error, _failing_cell(notebook))
        else:
            notebook = source
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell.update(outputs=[], execution_count=None)
            failed = item.state == "failed"
            notice = pages.failed_notice(item.error, None) if failed else pages.missing_notice(item.error)
        _insert_below_title(notebook, notice)
    notebook["metadata"] = {**source["metadata"], **notebook["metadata"]}
    return notebook


def _failing_cell(notebook: Mapping) -> int | None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    failing = [i for i, cell in enumerate(code, 1) if any(out["output_type"] == "error" for out in cell["outputs"])]
    return failing[0] if failing else None


def _insert_below_title(notebook: dict, notice: str) -> None:
    first = notebook["cells"][0]
    head, mark, rest = source_of(first).partition("\n")
    if head.startswith("(") and head.endswith(")="):  # a label stands above the title
        title, mark, rest = rest.partition("\n")
        head = f"{head}\n{title}"
    if first["cell_type"] == "markdown" and head.splitlines()[-1].startswith("# "):
        first["source"] = f"{head}\n\n{notice}\n{rest}"
    else:
        notebook["cells"].insert(0, markdown_cell(notice, "notice"))


def figure_names(notebook: Mapping) -> list[str]:
    """Names of the figures that a notebook's cells declare."""
    figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in notebook["cells"]]
    return [figure["name"] for figure in figures if figure.get("name")]


def load_registered_claims() -> dict:
    """The table of claims as written in claims.yml."""
    path = PACKAGE / "claims.yml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def staged_files(root: Path, profile: str) -> dict[str, bytes]:
    """Everything that the staged book holds: relative path -> content."""
    files = {name: (root / name).read_bytes() for name in ("_config.yml", "_toc.yml")}
    for path in sorted((root / "book").rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and path.suffix != ".ipynb" and not hidden:
            files[inside.as_posix()] = path.read_bytes()
    items = chapters(root, profile)
    evidence, places, rows = [], {}, []
    for item in items:
        notebook = staged_notebook(item)
        files[f"book/{item.key}.ipynb"] = (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
        fresh = item.result if item.state == "fresh" else None
        evidence += fresh["evidence"] if fresh else []
        places |= {name: item.key for name in figure_names(notebook)}
        rows.append(
            {
                "key": item.key,
                "claim": claim_of(notebook) or title_of(notebook),
                "state": item.state,
                "seconds": fresh["seconds"] if fresh else None,
                "peak_memory_mb": fresh["peak_memory_mb"] if fresh else None,
            }
        )
    files["book/_generated/chapters.md"] = pages.chapter_map(rows).encode()
    files["book/appendix/results.md"] = pages.results_page(load_registered_claims(), evidence, places).encode()
    return files


def stage(root: Path, profile: str) -> Path:
    """Bring `_build/stage` (or `_build/stage-PROFILE`) up to date; only what differs is written. Returns the folder."""
    target = root / "_build" / _named("stage", profile)
    files = staged_files(root, profile)
    listed = [name for _, name in toc_entries(root)]
    absent = [name for name in listed if not any(f"{name}{end}" in files for end in (".ipynb", ".md"))]
    if absent:
        raise ValueError(f"_toc.yml lists {', '.join(absent)}: no such notebook or page")
    for path in [item for item in target.rglob("*") if item.is_file()]:
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(content)
            os.replace(temporary, path)
    return target


def _named(name: str, profile: str) -> str:
    return name if profile == DEFAULT_PROFILE else f"{name}-{profile}"


def html_folder(root: Path, profile: str) -> Path:
    """Where the rendered book of a profile lies."""
    return root / "_build" / _named("html", profile)


# rendering


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


# writing back and handing out


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
    """Copies of all notebooks without solutions and outputs in `_build/student`; returns the folder."""
    target = root / "_build" / "student"
    shutil.rmtree(target, ignore_errors=True)
    for key in notebook_keys(root):
        notebook = read_notebook(root / "book" / f"{key}.ipynb")
        notebook["cells"] = [c for c in notebook["cells"] if "solution" not in c["metadata"].get("tags", [])]
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        path = target / f"{key}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
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
        bad = chapters(root, profile)
        if any(item.state != "fresh" for item in bad) and render(root, profile, quiet=True) == 0:
            _say(f"The book was rendered without them: {html_folder(root, profile) / 'index.html'}")
        return 1 if report(root, profile) else 0
    if task == "refresh":
        changed = refresh(root)
        _say(f"{len(changed)} notebook(s) rewritten{': ' + ', '.join(changed) if changed else ''}")
    elif task == "student":
        _say(f"student edition: {student_edition(root).relative_to(root)}")
    else:
        sys.stdout.write(f"The book: {html_folder(root, profile) / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
