"""Sweep files: one notebook, many parameters, as YAML. All is checked before anything runs.

    notebook: approximation/34_size_sample_dimension
    profile: smoke              # optional: the notebook's entry in params/smoke.yml comes first
    fixed: {steps: 500}         # over the profile, the same in every run
    grid: {widths: [[8], [32]], lr: [1.0e-3, 3.0e-3]}     # every combination
    seeds: [0, 1, 2]            # every point once for each

`list` holds points as mappings, `zip` lists of equal length that go in step. `grid` and `zip` may be lists of blocks, whose
points come one after another. What stands under different keys is combined: every point of one with every point of the others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files import sha256
from ..parameter_rules import rules_of
from ..run.notebooks import read_notebook
from ..run.parameters import closest, overrides_for, parameters_of
from ..run.profiles import DEFAULT_PROFILE, Book
from ..yaml_files import parse_yaml
from .point_checks import check_rules_of, check_seeds, fit_part, fitted, no_duplicates
from .points import Points, kinds_of, one_line, text_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # of a sweep, and so of its folder

KEYS = ("title", "notebook", "profile", "fixed", "grid", "list", "zip", "seeds", "seed_parameter", "resources")
KEYS += ("timeout", "limit", "retries", "measures")
RESOURCES = {"cores": 1, "memory": None, "gpus": 0, "time": None}  # count, MB, count, minutes


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file was read. points: overrides of each run, all of them checked, profile and fixed included."""

    book: Book  # under the profile that the file names
    name: str
    file: str  # relative to the repository where it lies in it
    sha256: str  # of the file and, if there is one, of the profile's file
    title: str
    notebook: str  # key in book/
    defaults: Mapping  # of the notebook
    points: Sequence[dict]
    swept: tuple[str, ...]  # parameters that the file varies, in its order, the seed last
    seed: str | None  # the parameter that `seeds` varies
    resources: Mapping = field(default_factory=lambda: dict(RESOURCES))
    timeout: int = 900  # seconds a cell
    limit: int = 9000  # seconds a run
    retries: int = 1
    measures: tuple[str, ...] = ()  # what the report shows first

    @property
    def folder(self) -> Path:
        """Where the sweep lies: its plan, its runs, its tables."""
        return self.book.sweep_folder(self.name)


def content_hash(content: bytes, book: Book) -> str:
    """SHA-256 of a sweep file and of the profile that it names, to notice that they were edited."""
    other = book.params_file()
    return sha256(content + b"\0" + (other.read_bytes() if other else b""))


def read_sweep(path: str | Path, book: Book) -> Sweep:
    """Read and check a sweep file of a book, under the profile that it names. ValueError names file, key, value and what is allowed."""
    path, name = Path(path), f"sweep file {str(path)!r}"
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    table = parse_yaml(text, name)
    try:
        return _checked(table, content, path, book)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _checked(table, content: bytes, path: Path, book: Book) -> Sweep:
    _check_keys(table, path)
    notebook, key = _notebook(table.get("notebook"), book)
    book = book.under(check_profile_name(text_of(table, "profile", DEFAULT_PROFILE)))
    title = text_of(table, "title", path.stem.replace("_", " ").replace("-", " "))
    source = read_notebook(notebook)
    defaults = parameters_of(source, key)
    fixed = {} if table.get("fixed") is None else table["fixed"]
    if not isinstance(fixed, dict):
        raise ValueError(f"fixed = {fixed!r}: a mapping 'parameter: value' is needed")
    kinds, seed = kinds_of(table, fixed, defaults)
    base = _base(book, fixed, defaults, key, seed)
    axes = [fitted(axis, defaults, key, seed) for _, given in kinds for axis in given]
    if seed:
        check_seeds([part[seed] for part in axes[-1]])
    check_rules_of(rules_of(source, key), {**defaults, **base}, axes, key)
    for axis in axes:
        no_duplicates(axis, {**defaults, **base})
    numbers = {name: _whole(table, name, low, high, default) for name, low, high, default in _NUMBERS}
    resources = _resources({} if table.get("resources") is None else table["resources"])
    minutes = resources["time"]
    limit = numbers.pop("limit") or (60 * minutes if minutes else 10 * numbers["timeout"])
    swept = dict.fromkeys(name for axis in axes for part in axis for name in part)
    return Sweep(
        book,
        path.stem,
        str(whole.relative_to(book.root) if (whole := path.resolve()).is_relative_to(book.root) else whole),
        content_hash(content, book),
        title,
        key,
        defaults,
        Points(base, axes),
        tuple(swept),
        seed,
        resources,
        limit=limit,
        measures=_measures(table),
        **numbers,
    )


def _check_keys(table, path: Path) -> None:
    if not isinstance(table, dict):
        raise ValueError(f"it holds a {type(table).__name__}; a mapping with the key 'notebook' is needed")
    for key in table:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}{closest(str(key), list(KEYS))} Allowed: {', '.join(KEYS)}.")
    if not NAME.fullmatch(path.stem):
        raise ValueError(f"name = {path.stem!r}: letters, digits, _ and - are allowed, for it names a folder")


_NUMBERS = (("timeout", 1, 10**6, 900), ("limit", 1, 10**7, 0), ("retries", 0, 1000, 1))  # seconds, seconds, count


def _whole(table: Mapping, name: str, low: int, high: int, default: int) -> int:
    value = table.get(name, default)
    if type(value) is not int or (name in table and not low <= value <= high):
        raise ValueError(f"{name} = {value!r}: a whole number, at least {low}, at most {high}, is needed")
    return value


def check_profile_name(name: str) -> str:
    """The name of a profile, if it is one and no path. ValueError otherwise."""
    if name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError(f"profile = {name!r}: a name is needed, as of a file params/NAME.yml, not a path")
    return name


def _measures(table: Mapping) -> tuple[str, ...]:
    names = table.get("measures", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and one_line(name) for name in names):
        raise ValueError(f"measures = {names!r}: a list of names that the notebook records is needed")
    if len(set(names)) < len(names):
        raise ValueError(f"measures = {names!r}: one of them stands there twice")
    return tuple(names)


def _notebook(name, book: Book) -> tuple[Path, str]:
    if not isinstance(name, str):
        raise ValueError(f"notebook = {name!r}: the path of a notebook in book/ is needed")
    key = name.removeprefix("book/").removesuffix(".ipynb")
    folder = book.root / "book"
    known = sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb"))
    if key not in known:
        raise ValueError(f"notebook = {name!r}: no such notebook in book/{closest(key, known)}")
    return book.notebook(key), key


def _resources(given) -> dict:
    if not isinstance(given, dict):
        raise ValueError(f"resources = {given!r}: a mapping with {', '.join(RESOURCES)} is needed")
    for name, value in given.items():
        if name not in RESOURCES:
            raise ValueError(f"unknown resource {name!r}{closest(str(name), list(RESOURCES))} Allowed: {', '.join(RESOURCES)}.")  # fmt: skip
        low, high = (0 if name == "gpus" else 1), 10**5 if name == "time" else 10**9
        if type(value) is not int or not low <= value <= high:
            unit = {"memory": " (MB)", "time": " (minutes)"}.get(name, "")
            raise ValueError(f"resources.{name} = {value!r}: a whole number{unit} from {low} to {high} is needed")
    return {**RESOURCES, **given}


def _base(book: Book, fixed: Mapping, defaults: Mapping, key: str, seed: str | None) -> dict:
    """Checked overrides that all points share: those of the profile, and over them what is fixed."""
    given = overrides_for(book.notebook(key), book.params_file())
    try:
        base = fit_part(given, defaults, key, seed)
    except ValueError as error:
        raise ValueError(f"profile {book.profile!r}: {error}") from None
    return base | fit_part(fixed, defaults, key, seed)
