"""The points of a sweep: what stands under `grid`, `list`, `zip` and `seeds`, and all combinations of it."""

import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..run.parameters import closest

SHAPE = "a mapping 'parameter: [value, value, ...]' is needed, or a list of such mappings"

Axis = list[dict]  # parts of points, one after another


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
        return joined(self.base, reversed(parts))

    def __iter__(self) -> Iterator[dict]:
        return (joined(self.base, parts) for parts in itertools.product(*self.axes))

    def __eq__(self, other) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other))

    __hash__ = None


def joined(base: Mapping, parts: Iterable[Mapping]) -> dict:
    point = dict(base)
    for part in parts:
        point.update(part)
    return point


def kinds_of(table: Mapping, fixed: Mapping, defaults: Mapping) -> tuple[list[tuple[str, list[Axis]]], str | None]:
    """What is varied under each key, in the order of the file, the seeds last; and the parameter of the seeds."""
    kinds = [(name, _BLOCKS[name](table[name])) for name in table if name in _BLOCKS]
    seed = None
    if "seeds" in table:
        seed = text_of(table, "seed_parameter", "seed")
        if seed not in defaults:
            raise ValueError(f"seed_parameter = {seed!r}: the notebook has no such parameter{closest(seed, list(defaults))} Allowed: {', '.join(defaults)}.")  # fmt: skip
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


def one_line(text: str) -> bool:
    """Whether a text has no line break or other control character, and can be written as UTF-8."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def text_of(table: Mapping, name: str, default: str) -> str:
    value = table.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} = {value!r}: a text is needed")
    if not one_line(value.strip()):
        raise ValueError(f"{name} = {value!r}: one line of text is needed")
    return value.strip()
