"""Whether the points of a sweep can be run: types, rules of the notebook, seeds that are independent, no point twice."""

import itertools
import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from tqdm import tqdm

from ..files import sha256
from ..parameter_rules import _compiled, check_rules
from ..run.parameter_types import MAX_SEED
from ..run.parameters import check_overrides
from .points import Axis, joined

SEED_NAME = re.compile(r"(\w*_)?seeds?")  # parameters that hold seeds in any notebook


def watched(items: Iterable, total: int, what: str) -> Iterable:
    """The items, with a bar on standard error when they take a while and someone watches."""
    return tqdm(items, desc=what, total=total, leave=False, delay=1, disable=None if sys.stderr else True)


def fit_part(part: Mapping, defaults: Mapping, key: str, seed: str | None) -> dict:
    try:
        fitted = check_overrides(defaults, part, key)
    except OverflowError:
        raise ValueError(f"{_said(part)} holds a number beyond the largest that there is") from None
    for name, value in fitted.items():
        _check_value(name, value, name == seed or bool(SEED_NAME.fullmatch(name)))
    return fitted


def fitted(axis: Axis, defaults: Mapping, key: str, seed: str | None) -> Axis:
    """The parts of an axis, each checked. ValueError names the point."""
    found = []
    for part in watched(axis, len(axis), "reading"):
        try:
            found.append(fit_part(part, defaults, key, seed))
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


def check_seeds(seeds: Sequence) -> None:
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


def check_rules_of(rules: Sequence[str], base: Mapping, axes: Sequence[Axis], key: str) -> None:
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
                check_rules(some, joined(base, parts), key)
            except ValueError as error:
                point = f" (point {_said(joined({}, parts))})" if parts else ""
                raise ValueError(f"{error}{point}") from None


def no_duplicates(axis: Axis, base: Mapping) -> None:
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
