"""The chapters of the book and how the last run of each stands, judged by content: fresh, failed, stale or missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .dependencies import fingerprint, read_notebook
from .parameters import checked_parameters, overrides_for, read_params
from .results import is_success, read_result

DEFAULT_PROFILE = "laptop"  # the notebooks' own defaults


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


def profile_folder(root: Path, name: str, profile: str) -> Path:
    """Folder `name` in `_build` that belongs to a profile; the default profile has the plain name."""
    return root / "_build" / (name if profile == DEFAULT_PROFILE else f"{name}-{profile}")


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
    return fingerprint(path, checked_parameters(read_notebook(path), overrides, key)[1])


def named_by(root: Path, profile: str) -> list[str]:
    """Keys of the notebooks that a profile has an entry for, in the order of the book; none for the default profile."""
    path = params_file(root, profile)
    table = read_params(path) if path else {}
    return [key for key in notebook_keys(root) if key in table]


def chapter(root: Path, profile: str, key: str, tables: bool = True) -> Chapter:
    """A chapter and the state of its run, judged by content: the sentinel, the result and all its inputs.

    tables: whether the stored tables that the chapter shows are inputs. They are not for a run that makes such tables:
    otherwise storing them would make it stale.
    """
    run = run_folder(root, profile, key)
    result = read_result(run)
    name = "key" if tables else "key_without_tables"
    state, error = "missing", "It has not been executed under this profile."
    try:
        wanted = expected(root, profile, key)[name]
    except ValueError as problem:
        return Chapter(key, root / "book" / f"{key}.ipynb", run, "failed", str(problem), None)
    if result and result.get("hashes", {}).get(name) != wanted:
        state, error = "stale", "The run on disk belongs to other sources or parameters than the present ones."
    elif result and result["status"] != "ok":
        state, error = "failed", str(result["error"])
    elif result and is_success(run):
        state, error = "fresh", ""
    elif result:
        error = "The run on disk is not whole: its sentinel, its result and its notebook do not belong together."
    return Chapter(
        key, root / "book" / f"{key}.ipynb", run, state, error, result if state in ("fresh", "failed") else None
    )


def chapters(root: Path, profile: str) -> list[Chapter]:
    """All chapters of the book, in the order of `_toc.yml`. ValueError for an unknown profile."""
    params_file(root, profile)
    return [chapter(root, profile, key) for key in notebook_keys(root)]
