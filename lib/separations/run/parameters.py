"""Parameters of a notebook: read from its tagged cell, and checked before anything runs.

A notebook declares its parameters in one code cell tagged `parameters`, by assignments of literals; the literals are the
defaults and their types the types. Overrides come from a YAML file: either flat (`steps: 200`) or a profile whose
top-level keys are notebook paths in `book/` (`foundations/13_two_scores: {steps: 200}`).
"""

import ast
import difflib
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..parameter_rules import check_rules, rules_of
from ..yaml_files import read_yaml
from .notebooks import book_root, notebook_key, source_of, tags_of
from .parameter_types import check_kind, check_seeds, check_size, fit, plain, shown

LITERALS = "real numbers, strings, True/False, None, and lists, tuples or dictionaries of them"


def parameter_cell(notebook: Mapping, name: str = "notebook") -> str:
    """Source of the one code cell tagged `parameters`. ValueError where there is none or more than one."""
    tagged = [
        source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "code" and "parameters" in tags_of(cell)
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
            check_kind(literal)
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise ValueError(
                f"{name}: parameter {target.id!r} = {ast.unparse(value)} is not a literal; allowed: {LITERALS}"
            ) from None
        check_size(target.id, literal, f"{name}: ")
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
            raise ValueError(f"{name}: {entry!r} is no notebook of the book{closest(str(entry), known)}")
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
                f"unknown parameter {key!r} for {name}{closest(str(key), list(defaults))} Allowed: {allowed}."
            )
        value = plain(value)
        try:
            check_kind(value)
        except (TypeError, ValueError, RecursionError):
            raise ValueError(f"parameter {key!r} = {shown(value)} is not allowed; allowed: {LITERALS}") from None
        check_size(key, value)
        checked[key] = fit(key, value, defaults[key])
        check_seeds(key, checked[key])
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


def closest(word: str, names: list[str]) -> str:
    """The end of an error about an unknown name: the known one that is nearest to it, if any is near."""
    match = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {match[0]!r}?" if match else "."


@dataclass(frozen=True)
class Described:
    """A parameter as its cell declares it: the value as it is written, what it means, its unit or, where none is named, its kind."""

    name: str
    value: str
    meaning: str
    unit: str


def described_parameters(notebook: Mapping, name: str = "notebook") -> list[Described]:
    """The parameters of a notebook, with what the comments beside them say: `name = literal  # meaning (unit)`.

    Args:
        notebook: as `read_notebook` gives it.
        name: of the notebook, for errors.

    Returns:
        One for each parameter, in the order of the cell.

    Raises:
        ValueError: the cell is none of parameters, see `parameters_of`.
    """
    defaults, source = parameters_of(notebook, name), parameter_cell(notebook, name)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    comments = {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}
    found = []
    for statement in ast.parse(source).body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        text = " ".join(comments[line] for line in lines if line in comments)
        meaning, unit = _with_unit(text)
        value = " ".join(ast.get_source_segment(source, statement.value).split())
        found.append(Described(target.id, value, meaning, unit or _kind(defaults[target.id])))
    return found


def _with_unit(text: str) -> tuple[str, str]:
    """A comment without the bracket at its end, and what is in it."""
    depth, start = 0, len(text)
    if text.endswith(")"):
        for start in range(len(text) - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(text[start], 0)
            if depth == 0:
                break
    unit = text[start + 1 : -1].strip() if depth == 0 and start < len(text) else ""
    return (text[:start].rstrip(" ,;"), unit) if unit and start else (text, "")


def _kind(value: object) -> str:
    """What a literal is, in words."""
    if isinstance(value, list | tuple):
        kinds = {_kind(item) for item in value}
        return f"list of {kinds.pop()}s" if len(kinds) == 1 else "list"
    words = ((bool, "yes or no"), (int, "whole number"), (float, "number"), (str, "text"), (dict, "table"))
    return next((word for kind, word in words if isinstance(value, kind)), "nothing")
