"""Tables that are stored beside a notebook, and whether they belong to the parameters of a run.

A stored table comes from a longer run of its notebook; the recipe beside it (`store_tables`) has the parameters of that
run, and the defaults of the notebook at that time. A run with those defaults is the short form of the longer one, and
the table may stand in for what it leaves out. With any other parameters another table would have come out: such a run
has its own rows alone to speak of.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from ..yaml_files import read_yaml
from .tables import Value, read_table

FREE = ("threads", "workers", "models")  # parameters that say how fast and where something is made, not what


def belongs(path: str | Path, parameters: Mapping, free: Collection[str] = FREE) -> bool:
    """Whether a stored table belongs to these parameters: there, with a recipe whose defaults they are.

    path: of the CSV file; parameters: of the run by name, others are passed over (`globals()` will do); free: those on
    which the table does not depend. A recipe without defaults belongs to no run. ValueError for one that cannot be read.
    """
    path = Path(path)
    place = path.with_suffix(".yml")
    if not path.is_file() or not place.is_file():
        return False
    recipe = read_yaml(place, "recipe of a stored table")
    defaults = recipe.get("defaults") if isinstance(recipe, Mapping) else None
    if not isinstance(defaults, Mapping) or not defaults:
        return False
    needed = {name: value for name, value in defaults.items() if name not in free}
    return all(name in parameters and _same(parameters[name], value) for name, value in needed.items())


def stored_rows(path: str | Path, parameters: Mapping, free: Collection[str] = FREE) -> list[dict[str, Value]]:
    """Rows of a stored table if it belongs to these parameters (see `belongs`), else none: `stored_rows(...) or rows`.

    Args:
        path: of the CSV file.
        parameters: of the run by name, others are passed over (`globals()` will do).
        free: names of those on which the table does not depend.

    Returns:
        A mapping from column names to values for each row.

    Raises:
        ValueError: for a recipe or a table that cannot be read.
    """
    return read_table(path) if belongs(path, parameters, free) else []


def made_with(path: str | Path) -> dict:
    """Parameters of the run that a stored table comes from, by name: the defaults of that time, and what its profile changed.

    path: of the CSV file. ValueError without a recipe that has them.
    """
    place = Path(path).with_suffix(".yml")
    recipe = read_yaml(place, "recipe of a stored table")
    found = [recipe.get(name) for name in ("defaults", "parameters")] if isinstance(recipe, Mapping) else [None]
    if not all(isinstance(each, Mapping) for each in found):
        raise ValueError(f"path = {place}: a recipe with defaults and parameters is needed")
    return {**found[0], **found[1]}


def _same(one, other) -> bool:
    """Whether two parameters are equal: lists and tuples are, 1 and 1.0 are, 1 and True are not."""
    return _plain(one) == _plain(other)


def _plain(value):
    """A value that == compares by content."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return ("yes or no", value) if isinstance(value, bool) else value
