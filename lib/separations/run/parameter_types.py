"""Types and sizes of parameter values: nested ones as in the default, numbers that survive, and how to write what does not fit."""

import json
import math
import re
from collections.abc import Iterator, Sequence

WHOLE = 2**63  # whole numbers from -2^63 to 2^63 - 1: others fit into no column of a table
MAX_SEED = 4_294_966  # that of `seeds`, without torch


def plain(value):
    """The value with NumPy's numbers and arrays as Python's own."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return {key: plain(item) for key, item in value.items()} if type(value) is dict else value


def check_kind(value) -> None:
    """TypeError or ValueError for what `result.json` cannot hold: a date, a set, bytes, a complex number, half a character."""
    json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def _numbers(name: str, value) -> Iterator[tuple[str, int | float]]:
    """All numbers inside a value, each under its name."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(f"{name}[{key!r}]", key)
            yield from _numbers(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _numbers(f"{name}[{i}]", item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def check_size(name: str, value, where: str = "") -> None:
    """ValueError for NaN, an infinity, or a whole number beyond 64 bits, anywhere in the value."""
    for part, number in _numbers(name, value):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{where}parameter {part!r} = {number!r} is not a finite number")
        if isinstance(number, int) and not -WHOLE <= number < WHOLE:
            raise ValueError(
                f"{where}parameter {part!r} = {shown(number)}: whole numbers from -2^63 to 2^63 - 1 are allowed"
            )


def check_seeds(name: str, value) -> None:
    """ValueError for a seed that would be cut: then two seeds give the same run."""
    if not re.fullmatch(r"(.*_)?seeds?", name):
        return
    for part, seed in _numbers(name, value):
        if isinstance(seed, int) and not 0 <= seed <= MAX_SEED:
            raise ValueError(
                f"parameter {part!r} = {seed}: seeds from 0 to {MAX_SEED} are allowed, others would be cut and coincide"
            )


def shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def fit(name: str, value, default):
    """`value` in the type of `default`, nested ones included, or ValueError."""
    if default is None:
        return value
    wanted = type(default)
    if wanted is float and type(value) is int:
        return float(value)
    if {type(value), wanted} == {list, tuple}:
        value = wanted(value)
    if type(value) is not wanted:
        raise ValueError(
            f"parameter {name!r} = {shown(value)} is of type {type(value).__name__}, not {wanted.__name__}{_hint(value, wanted)}"
        )
    if wanted in (list, tuple) and default:
        return wanted(_fit_one(f"{name}[{i}]", item, _examples(default, i)) for i, item in enumerate(value))
    if wanted is dict and default:
        return _fit_dict(name, value, default)
    return value


def _examples(items: Sequence, position: int | None = None) -> list:
    """The items of a default that another item may be like, the likeliest first: at its position, not empty, not None."""
    first = list(items[position : position + 1]) if position is not None else []
    kinds: list = []
    for item in sorted([*first, *items], key=lambda item: (item is None, item in ([], (), {}))):
        if not any(type(item) is type(other) for other in kinds):
            kinds.append(item)
    return kinds


def _fit_one(name: str, value, examples: Sequence):
    """`value` in the type of the first example that it fits; ValueError as for the first where it fits none."""
    problem = None
    for example in examples:
        try:
            return fit(name, value, example)
        except ValueError as error:
            problem = problem or error
    raise problem


def _fit_dict(name: str, value: dict, default: dict) -> dict:
    """A dictionary with keys of the default's type, each value as the default's under that key, else as any of them."""
    kinds = {type(key) for key in default}
    for key in value:
        if len(kinds) == 1 and type(key) not in kinds:
            kind = next(iter(kinds))
            raise ValueError(
                f"parameter {name!r} has the key {key!r} of type {type(key).__name__}, not {kind.__name__}{_hint(key, kind)}"
            )
    return {
        key: fit(f"{name}[{key!r}]", item, default[key])
        if key in default
        else _fit_one(f"{name}[{key!r}]", item, _examples(list(default.values())))
        for key, item in value.items()
    }


def _hint(value, wanted: type) -> str:
    """How to write the value so that it has the type, where that can be said."""
    if isinstance(value, str) and wanted in (int, float, bool):
        return _hint_for_text(value, wanted)
    if wanted is int and type(value) is float and value.is_integer() and abs(value) < WHOLE:
        return f"; write {int(value)}"
    if wanted is bool and type(value) is int:
        return "; write true or false"
    if wanted is str and isinstance(value, int | float):
        return "; in quotes it is text"
    if wanted in (list, tuple) and isinstance(value, int | float | str):
        return f"; write {shown([value])}"
    return ""


def _hint_for_text(value: str, wanted: type) -> str:
    if wanted is bool:
        return "; write true or false" if value.lower() in ("yes", "no", "on", "off", "true", "false", "y", "n") else ""
    try:
        number = wanted(value)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return "; a finite number is needed"
    return f"; it is text: write {number!r}, without quotes"
