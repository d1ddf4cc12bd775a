"""Numbers in the text: whatever library they come from, the page formats them. Words: lists, and numbers that may be missing."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from myst_nb.core.variables import format_plain_text

from separations.ledger import filled, listed, prose


def on_the_page(monkeypatch, value, form: str) -> str:
    """What {glue:text}`x:form` shows: the text of the cell's output, formatted as the page does it."""
    kept = {}
    monkeypatch.setattr(prose, "keep", lambda name, value, display: kept.update({name: repr(value)}))
    prose.glue("x", value)
    return format_plain_text(kept["x"], form)


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (np.float64(0.25), ".3f", "0.250"), (np.float32(0.25), ".0%", "25%"), (np.int64(7), "d", "7"), (np.int32(1234), ",d", "1,234"),
        (np.array(0.5), "g", "0.5"), (np.array(3), "g", "3"), (torch.tensor(0.5), ".1f", "0.5"), (torch.tensor(4), "d", "4"),
        (torch.tensor(0.5, dtype=torch.bfloat16), ".1f", "0.5"), (torch.tensor(1.5, requires_grad=True), ".1f", "1.5"),
        (np.longdouble(0.5), ".1f", "0.5"), (np.float16(0.5), ".1f", "0.5"), (Fraction(1, 4), ".2f", "0.25"), (2, "d", "2"), (0.1, "g", "0.1"),
        (np.str_("a 'b'"), "s", "a 'b'"), ("<b>`$x$`", "s", "<b>`$x$`"), (np.bool_(True), "s", "True"), (torch.tensor(False), "s", "False"),
        (float("inf"), "g", "inf"), (np.float64("nan"), ".2f", "nan"), (10**30, "d", "1" + "0" * 30), ("0.5 to 0.7", "s", "0.5 to 0.7"),
    ],
)  # fmt: skip
def test_a_number_of_any_library_is_formatted(monkeypatch, value, form, shown):
    assert on_the_page(monkeypatch, value, form) == shown


@pytest.mark.parametrize("value", [np.zeros(1), np.zeros((2, 2)), torch.zeros(1), torch.zeros(3)])
def test_an_array_of_several_numbers_is_refused(value):
    with pytest.raises(ValueError, match="glue 'x': an array of shape"):
        prose.glue("x", value)


@pytest.mark.parametrize("name", ["a:b", "a::b", "a`b", " a", "a ", "", "a\nb", "a <b>", None, 3])
def test_a_name_that_a_role_cannot_hold_is_refused(name):
    with pytest.raises(ValueError, match="name = "):
        prose.glue(name, 1.0)


def test_other_values_stay_as_they_are():
    value = Decimal("0.5"), [1, 2]
    assert prose.plain_value(value) is value


def test_names_become_words():
    assert listed(["a"]) == "a" and listed(("a", "b")) == "a and b" and listed({"x": 1, "y": 2}.keys()) == "x and y"
    assert listed(range(4)) == "0, 1, 2 and 3"
    with pytest.raises(ValueError, match="names is empty"):
        listed(iter([]))


def test_a_text_is_filled_where_all_of_its_numbers_exist():
    assert filled("{:.1f} to {:.0f}", 1.25, np.float64(3)) == "1.2 to 3" and filled("{}", torch.tensor(2)) == "2"
    assert filled("{:.1f} to {:.0f}", 1.25, math.nan) == filled("{:.0f}", math.inf) == "(not reached)"
    assert filled("{:.0f}", np.float32("nan"), otherwise="none") == "none" and filled("as it is") == "as it is"
