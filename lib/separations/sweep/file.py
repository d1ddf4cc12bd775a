"""Sweep files: one notebook, many parameters, as YAML. All is checked before anything runs.

    notebook: approximation/34_size_sample_dimension
    profile: smoke              # optional: the notebook's entry in params/smoke.yml comes first
    fixed: {steps: 500}         # over the profile, the same in every run
    grid: {widths: [[8], [32]], lr: [1.0e-3, 3.0e-3]}     # every combination
    seeds: [0, 1, 2]            # every point once for each

`list` holds points as mappings, `zip` lists of equal length that go in step. `grid` and `zip` may be lists of blocks, whose
points come one after another. What stands under different keys is combined: every point of one with every point of the others.
"""

import itertools
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ..files import sha256
from ..parameter_rules import _compiled, check_rules, rules_of
from ..run.notebooks import read_notebook
from ..run.parameter_types import MAX_SEED
from ..run.parameters import _closest, check_overrides, overrides_for, parameters_of
from ..run.profiles import DEFAULT_PROFILE, Book
from ..yaml_files import parse_yaml

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # of a sweep, and so of its folder
SEED_NAME = re.compile(r"(\w*_)?seeds?")  # parameters that hold seeds in any notebook

KEYS = ("title", "notebook", "profile", "fixed", "grid", "list", "zip", "seeds", "seed_parameter", "resources")
KEYS += ("timeout", "limit", "retries", "measures")
RESOURCES = {"cores": 1, "memory": None, "gpus": 0, "time": None}  # count, MB, count, minutes
SHAPE = "a mapping 'parameter: [value, value, ...]' is needed, or a list of such mappings"


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


class Points(Sequence):
    """The overrides of each run: every combination of the parts of some axes, over what is the same in all of them.

    A point is put together when it is asked for, so a million of them take no room. axes: lists of mappings, the last one
    goes fastest; no parameter stands in two of them.
    """

    def __init__(self, base: Mapping, axes: Sequence[Sequence[Mapping]]):
        self.base, self.axes = dict(base), [list(axis) for axis in axes]

    def __len__(self) -> int:
        return math.prod(map(len, self.axes))

    def __getitem__(self, index: int) -> dict:
        index, parts = range(len(self))[index], []
        for axis in reversed(self.axes):
            index, at = divmod(index, len(axis))
            parts.append(axis[at])
        return _joined(self.base, reversed(parts))

    def __iter__(self) -> Iterator[dict]:
        return (_joined(self.base, parts) for parts in itertools.product(*self.axes))

    def __eq__(self, other) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    __hash__ = None


def _joined(base: Mapping, parts: Iterable[Mapping]) -> dict:
    point = dict(base)
    for part in parts:
        point.update(part)
    return point


def watched(items: Iterable, total: int, what: str) -> Iterable:
    """The items, with a bar on standard error when they take a while and someone watches."""
    return tqdm(items, desc=what, total=total, leave=False, delay=1, disable=None if sys.stderr else True)


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
    book = book.under(check_profile_name(_text(table, "profile", DEFAULT_PROFILE)))
    title = _text(table, "title", path.stem.replace("_", " ").replace("-", " "))
    source = read_notebook(notebook)
    defaults = parameters_of(source, key)
    fixed = {} if table.get("fixed") is None else table["fixed"]
    if not isinstance(fixed, dict):
        raise ValueError(f"fixed = {fixed!r}: a mapping 'parameter: value' is needed")
    kinds, seed = _kinds(table, fixed, defaults)
    base = _base(book, fixed, defaults, key, seed)
    axes = [_fitted(axis, defaults, key, seed) for _, given in kinds for axis in given]
    if seed:
        _check_seeds([part[seed] for part in axes[-1]])
    _check_rules_of(rules_of(source, key), {**defaults, **base}, axes, key)
    for axis in axes:
        _no_duplicates(axis, {**defaults, **base})
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
            raise ValueError(f"unknown key {key!r}{_closest(str(key), list(KEYS))} Allowed: {', '.join(KEYS)}.")
    if not NAME.fullmatch(path.stem):
        raise ValueError(f"name = {path.stem!r}: letters, digits, _ and - are allowed, for it names a folder")


_NUMBERS = (("timeout", 1, 10**6, 900), ("limit", 1, 10**7, 0), ("retries", 0, 1000, 1))  # seconds, seconds, count


def _whole(table: Mapping, name: str, low: int, high: int, default: int) -> int:
    value = table.get(name, default)
    if type(value) is not int or (name in table and not low <= value <= high):
        raise ValueError(f"{name} = {value!r}: a whole number, at least {low}, at most {high}, is needed")
    return value


def one_line(text: str) -> bool:
    """Whether a text has no line break or other control character, and can be written as UTF-8."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def _text(table: Mapping, name: str, default: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} = {value!r}: a text is needed")
    if not one_line(value.strip()):
        raise ValueError(f"{name} = {value!r}: one line of text is needed")
    return value.strip()


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
        raise ValueError(f"notebook = {name!r}: no such notebook in book/{_closest(key, known)}")
    return book.notebook(key), key


def _resources(given) -> dict:
    if not isinstance(given, dict):
        raise ValueError(f"resources = {given!r}: a mapping with {', '.join(RESOURCES)} is needed")
    for name, value in given.items():
        if name not in RESOURCES:
            raise ValueError(f"unknown resource {name!r}{_closest(str(name), list(RESOURCES))} Allowed: {', '.join(RESOURCES)}.")  # fmt: skip
        low, high = (0 if name == "gpus" else 1), 10**5 if name == "time" else 10**9
        if type(value) is not int or not low <= value <= high:
            unit = {"memory": " (MB)", "time": " (minutes)"}.get(name, "")
            raise ValueError(f"resources.{name} = {value!r}: a whole number{unit} from {low} to {high} is needed")
    return {**RESOURCES, **given}


Axis = list[dict]  # parts of points, one after another


def _kinds(table: Mapping, fixed: Mapping, defaults: Mapping) -> tuple[list[tuple[str, list[Axis]]], str | None]:
    """What is varied under each key, in the order of the file, the seeds last; and the parameter of the seeds."""
    kinds = [(name, _BLOCKS[name](table[name])) for name in table if name in _BLOCKS]
    seed = None
    if "seeds" in table:
        seed = _text(table, "seed_parameter", "seed")
        if seed not in defaults:
            raise ValueError(f"seed_parameter = {seed!r}: the notebook has no such parameter{_closest(seed, list(defaults))} Allowed: {', '.join(defaults)}.")  # fmt: skip
        kinds.append(("seeds", _grid({seed: _filled("seeds", table["seeds"])}, "seeds")))
    elif "seed_parameter" in table:
        raise ValueError("seed_parameter is there without seeds: give a list of seeds, or leave it out")
    if not kinds:
        raise ValueError(f"nothing is varied: one of {', '.join(_BLOCKS)}, seeds is needed")
    owner = {name: "fixed" for name in fixed}
    for kind, axes in kinds:
        for name in {name for axis in axes for part in axis for name in part}:
            if name in owner:
                raise ValueError(
                    f"parameter {name!r} stands under {owner[name]} and under {kind}: one of them is needed"
                )
            owner[name] = kind
    return kinds, seed


def _filled(name: str, values) -> list:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name} = {values!r}: a list with at least one value is needed")
    return values


def _blocks(given, kind: str) -> list[dict]:
    blocks = given if isinstance(given, list) else [given]
    if not blocks or not all(isinstance(block, dict) and block for block in blocks):
        raise ValueError(f"{kind} = {given!r}: {SHAPE}")
    for block in blocks:
        for name, values in block.items():
            _filled(f"{kind}.{name}", values)
    return blocks


def _grid(given, kind: str = "grid") -> list[Axis]:
    blocks = _blocks(given, kind)
    if len(blocks) == 1:  # an axis for each parameter: all their combinations
        return [[{name: value} for value in values] for name, values in blocks[0].items()]
    return [[dict(zip(block, values)) for block in blocks for values in itertools.product(*block.values())]]


def _zip(given) -> list[Axis]:
    points = []
    for block in _blocks(given, "zip"):
        lengths = {name: len(values) for name, values in block.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"zip: lists of equal length are needed, these are {', '.join(f'{n}: {k}' for n, k in lengths.items())} long")  # fmt: skip
        points += [dict(zip(block, values)) for values in zip(*block.values())]
    return [points]


def _list(given) -> list[Axis]:
    if not isinstance(given, list) or not given or not all(isinstance(point, dict) and point for point in given):
        raise ValueError(f"list = {given!r}: a list of mappings 'parameter: value' is needed")
    return [given]


_BLOCKS = {"grid": _grid, "list": _list, "zip": _zip}


def _base(book: Book, fixed: Mapping, defaults: Mapping, key: str, seed: str | None) -> dict:
    """Checked overrides that all points share: those of the profile, and over them what is fixed."""
    given = overrides_for(book.notebook(key), book.params_file())
    try:
        base = _fit_part(given, defaults, key, seed)
    except ValueError as error:
        raise ValueError(f"profile {book.profile!r}: {error}") from None
    return base | _fit_part(fixed, defaults, key, seed)


def _fit_part(part: Mapping, defaults: Mapping, key: str, seed: str | None) -> dict:
    try:
        fitted = check_overrides(defaults, part, key)
    except OverflowError:
        raise ValueError(f"{_said(part)} holds a number beyond the largest that there is") from None
    for name, value in fitted.items():
        _check_value(name, value, name == seed or bool(SEED_NAME.fullmatch(name)))
    return fitted


def _fitted(axis: Axis, defaults: Mapping, key: str, seed: str | None) -> Axis:
    """The parts of an axis, each checked. ValueError names the point."""
    found = []
    for part in watched(axis, len(axis), "reading"):
        try:
            found.append(_fit_part(part, defaults, key, seed))
        except ValueError as error:
            raise ValueError(f"{error} (point {_said(part)})") from None
    return found


def _said(part: Mapping) -> str:
    text = json.dumps(part, default=str)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _check_value(name: str, value, seed: bool) -> None:
    """ValueError for a whole number that no table can hold, a seed that would be cut, or text that is no Unicode."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            _check_value(name, item, seed)
    elif isinstance(value, str):
        if any(unicodedata.category(character) == "Cs" for character in value):
            raise ValueError(f"parameter {name!r} = {value!r} holds half a character: text of Unicode is needed")
    elif type(value) is int:
        low, high = (0, MAX_SEED) if seed else (-(2**63), 2**63 - 1)
        if not low <= value <= high:
            what = "a seed beyond is cut, and two of them coincide" if seed else "no table holds more than 64 bits"
            raise ValueError(f"parameter {name!r} = {value}: whole numbers from {low} to {high} are needed, for {what}")


def _check_seeds(seeds: Sequence) -> None:
    """ValueError unless the runs of different seeds are independent: whole numbers, or lists of them, and none twice."""
    seen: dict = {}
    for i, seed in enumerate(seeds):
        items = seed if isinstance(seed, list | tuple) else [seed]
        if not items or not all(type(item) is int or isinstance(item, str) for item in items):
            raise ValueError(f"seeds[{i}] = {seed!r}: a whole number from 0 to {MAX_SEED} is needed, or a list of them")
        for item in items:
            if item in seen:
                raise ValueError(f"seeds[{i}] = {seed!r}: {item!r} stands there already, in seeds[{seen[item]}]; two runs would be the same random numbers")  # fmt: skip
            seen[item] = i


def _check_rules_of(rules: Sequence[str], base: Mapping, axes: Sequence[Axis], key: str) -> None:
    """ValueError with the first point that a rule of the notebook forbids. base: all parameters, where nothing is varied.

    A rule is tried on the combinations of those axes alone that hold its parameters, which are far fewer than all points.
    """
    names = [{name for part in axis for name in part} for axis in axes]
    groups: dict[tuple[int, ...], list[str]] = {}
    for rule in rules:
        concerned = {i for i, held in enumerate(names) if held & set(_compiled(rule)[3])}
        groups.setdefault(tuple(sorted(concerned)), []).append(rule)
    for concerned, some in groups.items():
        chosen = [axes[i] for i in concerned]
        for parts in watched(itertools.product(*chosen), math.prod(map(len, chosen)), "rules"):
            try:
                check_rules(some, _joined(base, parts), key)
            except ValueError as error:
                point = f" (point {_said(_joined({}, parts))})" if parts else ""
                raise ValueError(f"{error}{point}") from None


def _no_duplicates(axis: Axis, base: Mapping) -> None:
    """ValueError where two parts make the same parameters. base: what a part has that does not name a parameter."""
    names = dict.fromkeys(name for part in axis for name in part)
    common, seen = {name: base[name] for name in names}, set()
    marks = (sha256(json.dumps({**common, **part}, sort_keys=True)) for part in axis)  # 1, 1.0, True and "1" differ
    for i, mark in enumerate(int(text[:32], 16) for text in marks):
        if mark in seen:
            first = next(part for part in axis if _same({**common, **part}, {**common, **axis[i]}))
            raise ValueError(f"two runs would be the same: {_said(first)} and {_said(axis[i])}")
        seen.add(mark)


def _same(one: Mapping, other: Mapping) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
