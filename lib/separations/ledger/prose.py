"""Numbers and words for the text of a chapter: the one `glue` of the book, lists as words, and numbers that may be missing."""

import math
import re
from collections.abc import Iterable
from numbers import Integral, Real

from myst_nb import glue as keep

NAME = re.compile(r"[^\s:`<>](?:[^:`<>\n]*[^\s:`<>])?")


def glue(name: str, value, display: bool = False) -> None:
    """Keep a value under a name, for {glue:text} in the prose.

    Args:
        name: unique in the chapter, as a role can hold it.
        value: text or a number. A number of NumPy or PyTorch, also as an array without dimensions, becomes a plain one:
            the page could not format another, and would drop it.
        display: whether the cell shows it as well.

    Returns:
        None.

    Raises:
        ValueError: for an array of several numbers, and for a name with a colon, a backquote, an angle bracket, or a
            blank at its ends.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"name = {name!r}: a text without colon, backquote, < and >, and without blanks at its ends, is needed"
        )
    keep(name, plain_value(value, name), display=display)


def plain_value(value, name: str = "value"):
    """A number of any library as a plain int, float, bool or complex; text as plain text; anything else as it is.

    ValueError for an array or a tensor of one dimension or more: take the number out of it.
    """
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "item") and hasattr(value, "ndim"):  # NumPy, PyTorch
        if value.ndim:
            raise ValueError(f"glue {name!r}: an array of shape {tuple(value.shape)} is no number: take one out of it")
        value = value.item()
    if isinstance(value, Integral | bool):
        return value if isinstance(value, bool | int) else int(value)
    return float(value) if isinstance(value, Real) else value


def listed(names: Iterable[object]) -> str:
    """Names as words: "a", "a and b", "a, b and c". ValueError for none."""
    *most, last = [str(name) for name in names] or [None]
    if last is None:
        raise ValueError("names is empty: one or more are needed")
    return f"{', '.join(most)} and {last}" if most else last


def filled(form: str, *values: float, otherwise: str = "(not reached)") -> str:
    """A text with numbers in its places, or other words where one of them does not exist.

    Args:
        form: for `str.format`, as "{:.2f} [{:.2f}, {:.2f}]".
        values: for its places.
        otherwise: what stands there if a value is NaN or infinite.

    Returns:
        The text.
    """
    return form.format(*values) if all(math.isfinite(value) for value in values) else otherwise
