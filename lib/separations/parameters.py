"""Parameters of a notebook: read from its tagged cell, and checked before anything runs.

A notebook declares its parameters in one code cell tagged `parameters`, by assignments of literals; the literals are the
defaults and their types the types. Overrides come from a YAML file: either flat (`steps: 200`) or a profile whose
top-level keys are notebook paths in `book/` (`foundations/13_two_scores: {steps: 200}`).
"""

import ast
import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .dependencies import book_root, notebook_key, source_of, tags_of
from .parameter_rules import check_rules, rules_of
from .yaml_files import read_yaml

LITERALS = "real numbers, strings, True/False, None, and lists, tuples or dictionaries of them"
WHOLE = 2**63  # whole numbers from -2^63 to 2^63 - 1: others fit into no column of a table
MAX_SEED = 4_294_966  # that of `seeds`, without torch


def parameter_cell(notebook: Mapping, name: str = "notebook") -> str:
    """Source of the one code cell tagged `parameters`. ValueError where there is none or more than one."""
    tagged = [
        source_of(cell)
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "parameters" in tags_of(cell)
    ]
    if len(tagged) != 1:
        raise ValueError(f"{name} has {len(tagged)} code cells tagged 'parameters'; exactly one is needed")
    return tagged[0]


def parameters_of(notebook: Mapping, name: str = "notebook") -> dict:
    """Names and defaults that the tagged cell declares, in order. Literals only; anything else is a ValueError."""
    try:
        tree = ast.parse(parameter_cell(notebook, name))
    except SyntaxError as error:
        raise ValueError(
            f"{name}: the parameters cell is not valid Python: {error.msg} (line {error.lineno})"
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{name}: the parameters cell is not valid Python: {error or type(error).__name__}") from None
    defaults: dict = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            target, value = None, None
        if not isinstance(target, ast.Name):
            raise ValueError(
                f"{name}: line {statement.lineno} of the parameters cell is not of the form 'name = literal'"
            )
        if target.id in defaults:
            raise ValueError(f"{name}: the parameters cell assigns {target.id!r} twice")
        try:
            literal = ast.literal_eval(value)
            _check_kind(literal)
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise ValueError(
                f"{name}: parameter {target.id!r} = {ast.unparse(value)} is not a literal; allowed: {LITERALS}"
            ) from None
        _check_size(target.id, literal, f"{name}: ")
        defaults[target.id] = literal
    return defaults


def read_params(path: str | Path) -> dict:
    """A parameters file (YAML) as a mapping; an empty file is an empty mapping."""
    table = read_yaml(path, "parameters file")
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ValueError(
            f"parameters file {str(path)!r} holds a {type(table).__name__}; a mapping 'name: value' is needed"
        )
    return table


def is_profile(table: Mapping) -> bool:
    """Whether a parameters file is a profile: its top-level keys are notebook paths, which contain a slash."""
    return any("/" in str(key) for key in table)


def profile_entry(table: Mapping, key: str, name: str = "profile", known: list[str] | None = None) -> dict:
    """Overrides that a profile has for the notebook `key`; none for a notebook that it does not name.

    known: the notebooks that exist; a key outside of it is a ValueError, for a misspelt one would pass unnoticed.
    """
    for entry, overrides in table.items():
        if not isinstance(overrides, dict | None):
            raise ValueError(f"{name}: {entry!r} holds {overrides!r}; a mapping 'parameter: value' is needed")
        if known is not None and entry not in known:
            raise ValueError(f"{name}: {entry!r} is no notebook of the book{_closest(str(entry), known)}")
    return dict(table.get(key) or {})


def overrides_for(notebook: str | Path, params: str | Path | None, key: str | None = None) -> dict:
    """Overrides that a parameters file holds for a notebook, not yet checked. key: its name in a profile."""
    if params is None:
        return {}
    table = read_params(params)
    if not is_profile(table):
        return dict(table)
    book = book_root(notebook) / "book"
    known = sorted(path.relative_to(book).with_suffix("").as_posix() for path in book.rglob("*.ipynb"))
    return profile_entry(table, key or notebook_key(notebook), str(params), known or None)


def check_overrides(defaults: Mapping, overrides: Mapping, name: str = "notebook") -> dict:
    """The overrides, each of a known name and of its default's type (an int will do for a float).

    ValueError names the parameter, its value and what is allowed.
    """
    checked = {}
    for key, value in overrides.items():
        if key not in defaults:
            allowed = ", ".join(defaults) or "none"
            raise ValueError(
                f"unknown parameter {key!r} for {name}{_closest(str(key), list(defaults))} Allowed: {allowed}."
            )
        value = _python(value)
        try:
            _check_kind(value)
        except (TypeError, ValueError, RecursionError):
            raise ValueError(f"parameter {key!r} = {_shown(value)} is not allowed; allowed: {LITERALS}") from None
        _check_size(key, value)
        checked[key] = _fit(key, value, defaults[key])
        _check_seeds(key, checked[key])
    return checked


def checked_parameters(notebook: Mapping, overrides: Mapping, name: str = "notebook") -> tuple[dict, dict]:
    """Defaults and checked overrides of a notebook: known names, right types, and every rule of the notebook kept.

    notebook: as `read_notebook` gives it. ValueError names the parameter, its value and what is allowed.
    """
    defaults = parameters_of(notebook, name)
    checked = check_overrides(defaults, overrides, name)
    check_rules(rules_of(notebook, name), {**defaults, **checked}, name)
    return defaults, checked


def literal_cell(values: Mapping) -> str:
    """Source of the cell that gives a notebook its overrides: assignments of Python literals, types as in the defaults."""
    return "# Parameters\n" + "".join(f"{name} = {value!r}\n" for name, value in values.items())


def _python(value):
    """The value with NumPy's numbers and arrays as Python's own."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    if type(value) in (list, tuple):
        return type(value)(_python(item) for item in value)
    return {key: _python(item) for key, item in value.items()} if type(value) is dict else value


def _check_kind(value) -> None:
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


def _check_size(name: str, value, where: str = "") -> None:
    """ValueError for NaN, an infinity, or a whole number beyond 64 bits, anywhere in the value."""
    for part, number in _numbers(name, value):
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{where}parameter {part!r} = {number!r} is not a finite number")
        if isinstance(number, int) and not -WHOLE <= number < WHOLE:
            raise ValueError(
                f"{where}parameter {part!r} = {_shown(number)}: whole numbers from -2^63 to 2^63 - 1 are allowed"
            )


def _check_seeds(name: str, value) -> None:
    """ValueError for a seed that would be cut: then two seeds give the same run."""
    if not re.fullmatch(r"(.*_)?seeds?", name):
        return
    for part, seed in _numbers(name, value):
        if isinstance(seed, int) and not 0 <= seed <= MAX_SEED:
            raise ValueError(
                f"parameter {part!r} = {seed}: seeds from 0 to {MAX_SEED} are allowed, others would be cut and coincide"
            )


def _closest(word: str, names: list[str]) -> str:
    match = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {match[0]!r}?" if match else "."


def _shown(value) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _fit(name: str, value, default):
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
            f"parameter {name!r} = {_shown(value)} is of type {type(value).__name__}, not {wanted.__name__}{_hint(value, wanted)}"
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
            return _fit(name, value, example)
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
        key: _fit(f"{name}[{key!r}]", item, default[key])
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
        return f"; write {_shown([value])}"
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
