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
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .chapters import DEFAULT_PROFILE, params_file
from .dependencies import read_notebook, sha256
from .parameters import _closest, check_overrides, overrides_for, parameters_of

KEYS = ("title", "notebook", "profile", "fixed", "grid", "list", "zip", "seeds", "seed_parameter", "resources")
KEYS += ("timeout", "limit", "retries", "measures")
RESOURCES = {"cores": 1, "memory": None, "gpus": 0, "time": None}  # count, MB, count, minutes
SHAPE = "a mapping 'parameter: [value, value, ...]' is needed, or a list of such mappings"


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file was read. points: overrides of each run, all of them checked, over profile and fixed."""

    name: str
    file: str  # relative to the repository where it lies in it
    sha256: str  # of the file and, if there is one, of the profile's file
    title: str
    notebook: str  # key in book/
    profile: str
    defaults: Mapping  # of the notebook
    points: tuple[dict, ...]
    swept: tuple[str, ...]  # parameters that the file varies, in its order, the seed last
    seed: str | None  # the parameter that `seeds` varies
    resources: Mapping = field(default_factory=lambda: dict(RESOURCES))
    timeout: int = 900  # seconds a cell
    limit: int = 9000  # seconds a run
    retries: int = 1
    measures: tuple[str, ...] = ()  # what the report shows first


class _Unique(yaml.SafeLoader):
    """YAML without keys that stand there twice: the first would be lost without a word."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict:
    seen = set()
    for key, _ in node.value:
        if str(key.value) in seen:
            raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands there twice", problem_mark=key.start_mark)
        seen.add(str(key.value))
    return dict(loader.construct_pairs(node, deep=True))


_Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def content_hash(root: Path, path: Path, profile: str) -> str:
    """SHA-256 of a sweep file and of the profile that it names, to notice that they were edited."""
    other = params_file(root, profile)
    return sha256(path.read_bytes() + b"\0" + (other.read_bytes() if other else b""))


def read_sweep(path: str | Path, root: Path) -> Sweep:
    """Read and check a sweep file of the book in `root`. ValueError names file, key, value and what is allowed."""
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8")
        table = yaml.load(content, Loader=_Unique)
    except OSError as error:
        raise ValueError(f"sweep file {str(path)!r} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"sweep file {str(path)!r} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return _checked(table, path, root)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _checked(table, path: Path, root: Path) -> Sweep:
    if not isinstance(table, dict):
        raise ValueError(f"it holds a {type(table).__name__}; a mapping with the key 'notebook' is needed")
    for key in table:
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}{_closest(str(key), list(KEYS))} Allowed: {', '.join(KEYS)}.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", path.stem):
        raise ValueError(f"name = {path.stem!r}: letters, digits, _ and - are allowed, for it names a folder")
    notebook, key = _notebook(table.get("notebook"), root)
    profile = _text(table, "profile", DEFAULT_PROFILE)
    defaults = parameters_of(read_notebook(notebook), key)
    fixed = table.get("fixed") or {}
    if not isinstance(fixed, dict):
        raise ValueError(f"fixed = {fixed!r}: a mapping 'parameter: value' is needed")
    points, swept, seed = _points(table, fixed, defaults)
    base = {**overrides_for(notebook, params_file(root, profile)), **fixed}
    checked = tuple(_named(point, {**base, **point}, defaults, key) for point in points)
    _no_duplicates(points, [{**defaults, **point} for point in checked])
    numbers = {name: _whole(table, name, low, default) for name, low, default in _NUMBERS}
    resources = _resources(table.get("resources") or {})
    minutes = resources["time"]
    limit = numbers.pop("limit") or (60 * minutes if minutes else 10 * numbers["timeout"])
    return Sweep(
        path.stem,
        str(whole.relative_to(root) if (whole := path.resolve()).is_relative_to(root) else whole),
        content_hash(root, path, profile),
        _text(table, "title", path.stem.replace("_", " ").replace("-", " ")),
        key,
        profile,
        defaults,
        checked,
        swept,
        seed,
        resources,
        limit=limit,
        measures=_measures(table),
        **numbers,
    )


_NUMBERS = (("timeout", 1, 900), ("limit", 1, 0), ("retries", 0, 1))


def _whole(table: Mapping, name: str, low: int, default: int) -> int:
    value = table.get(name, default)
    if type(value) is not int or (name in table and value < low):
        raise ValueError(f"{name} = {value!r}: a whole number, at least {low}, is needed")
    return value


def _text(table: Mapping, name: str, default: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} = {value!r}: a text is needed")
    return value


def _measures(table: Mapping) -> tuple[str, ...]:
    names = table.get("measures", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"measures = {names!r}: a list of names that the notebook records is needed")
    return tuple(names)


def _notebook(name, root: Path) -> tuple[Path, str]:
    if not isinstance(name, str):
        raise ValueError(f"notebook = {name!r}: the path of a notebook in book/ is needed")
    key = name.removeprefix("book/").removesuffix(".ipynb")
    known = sorted(p.relative_to(root / "book").with_suffix("").as_posix() for p in (root / "book").rglob("*.ipynb"))
    if key not in known:
        raise ValueError(f"notebook = {name!r}: no such notebook in book/{_closest(key, known)}")
    return root / "book" / f"{key}.ipynb", key


def _resources(given) -> dict:
    if not isinstance(given, dict):
        raise ValueError(f"resources = {given!r}: a mapping with {', '.join(RESOURCES)} is needed")
    for name, value in given.items():
        if name not in RESOURCES:
            raise ValueError(f"unknown resource {name!r}{_closest(str(name), list(RESOURCES))} Allowed: {', '.join(RESOURCES)}.")  # fmt: skip
        if type(value) is not int or value < (0 if name == "gpus" else 1):
            unit = {"memory": " (MB)", "time": " (minutes)"}.get(name, "")
            raise ValueError(f"resources.{name} = {value!r}: a whole number{unit} is needed")
    return {**RESOURCES, **given}


def _points(table: Mapping, fixed: Mapping, defaults: Mapping) -> tuple[list[dict], tuple[str, ...], str | None]:
    """All points, in the order of the file; the parameters varied; the parameter of the seeds."""
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
    for kind, points in kinds:
        for name in {name for point in points for name in point}:
            if name in owner:
                raise ValueError(
                    f"parameter {name!r} stands under {owner[name]} and under {kind}: one of them is needed"
                )
            owner[name] = kind
    combined = [
        {k: v for part in parts for k, v in part.items()} for parts in itertools.product(*(p for _, p in kinds))
    ]
    swept = dict.fromkeys(name for point in combined for name in point)
    swept = [name for name in swept if name != seed] + ([seed] if seed else [])
    return combined, tuple(swept), seed


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


def _grid(given, kind: str = "grid") -> list[dict]:
    blocks = _blocks(given, kind)
    return [dict(zip(block, values)) for block in blocks for values in itertools.product(*block.values())]


def _zip(given) -> list[dict]:
    points = []
    for block in _blocks(given, "zip"):
        lengths = {name: len(values) for name, values in block.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"zip: lists of equal length are needed, these are {', '.join(f'{n}: {k}' for n, k in lengths.items())} long")  # fmt: skip
        points += [dict(zip(block, values)) for values in zip(*block.values())]
    return points


def _list(given) -> list[dict]:
    if not isinstance(given, list) or not given or not all(isinstance(point, dict) and point for point in given):
        raise ValueError(f"list = {given!r}: a list of mappings 'parameter: value' is needed")
    return given


_BLOCKS = {"grid": _grid, "list": _list, "zip": _zip}


def _named(point: Mapping, overrides: Mapping, defaults: Mapping, key: str) -> dict:
    try:
        return check_overrides(defaults, overrides, key)
    except ValueError as error:
        raise ValueError(f"{error} (point {json.dumps(point, default=str)})") from None


def _no_duplicates(points: list[dict], full: list[dict]) -> None:
    seen: dict[str, dict] = {}
    for point, parameters in zip(points, full):
        mark = json.dumps(parameters, sort_keys=True)
        if mark in seen:
            raise ValueError(f"two runs would be the same: {json.dumps(seen[mark])} and {json.dumps(point)}")
        seen[mark] = point
