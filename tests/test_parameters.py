"""Types of parameters between YAML, the command line and the notebook: nested as in the default, numbers that survive."""

import numpy as np
import pytest

from separations.numerics import seeds
from separations.run import parameter_types
from separations.run.parameters import check_overrides, literal_cell, parameters_of

DEFAULTS = {
    "shape": (1, 4),
    "widths": [(8, 2), (16, 4)],
    "grid": {"a": (1, 2), "b": (3, 4)},
    "mixed": ["x", 1, (2.0, 3)],
    "numbers": [1, 2.5],
    "by_size": {16: 0.5, 32: 0.1},
    "options": {"lr": 0.1, "steps": 3, "name": "adam"},
    "deep": [[(1,)]],
    "empty": [],
    "some": [None, 0.5],
    "any": None,
    "seed": 0,
    "data_seeds": [0, 1],
    "n": 3,
    "rate": 0.5,
}


@pytest.mark.parametrize(
    ("name", "value", "arrives"),
    [
        ("shape", [1, 4], (1, 4)),
        ("widths", [[8, 2], [16, 4], [1, 1]], [(8, 2), (16, 4), (1, 1)]),
        ("widths", ((8, 2),), [(8, 2)]),
        ("grid", {"a": [1, 2], "c": [5]}, {"a": (1, 2), "c": (5,)}),
        ("mixed", ["y", 2, [1, 4]], ["y", 2, (1.0, 4)]),
        ("mixed", [[1, 4], "z"], [(1.0, 4), "z"]),
        ("numbers", [3.5, 4], [3.5, 4.0]),
        ("by_size", {64: 1}, {64: 1.0}),
        ("options", {"lr": 1, "steps": 2, "name": "sgd"}, {"lr": 1.0, "steps": 2, "name": "sgd"}),
        ("deep", [[[2, 3]], []], [[(2, 3)], []]),
        ("empty", [[1, 2], "a"], [[1, 2], "a"]),
        ("some", [1, None], [1.0, None]),
        ("any", {"k": [1, [2]]}, {"k": [1, [2]]}),
        ("n", 2**63 - 1, 2**63 - 1),
        ("n", np.int64(5), 5),
        ("rate", np.float32(0.5), 0.5),
        ("shape", np.array([3, 4]), (3, 4)),
        ("seed", seeds.MAX_SEED, seeds.MAX_SEED),
    ],
)
def test_overrides_take_the_types_of_the_default_and_reach_the_notebook_so(name, value, arrives):
    checked = check_overrides(DEFAULTS, {name: value})[name]
    scope: dict = {}
    exec(literal_cell({name: checked}), scope)
    assert repr(scope[name]) == repr(checked) == repr(arrives)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("widths", [[8, "2"]], r"widths\[0\]\[1\]' = '2' is of type str, not int; it is text: write 2"),
        ("widths", [8, 2], r"widths\[0\]' = 8 is of type int, not tuple; write \[8\]"),
        ("shape", "1, 4", r"not tuple; write \['1, 4'\]"),
        ("grid", {"a": [1, 2.5]}, r"grid\['a'\]\[1\]\S = 2.5 is of type float, not int"),
        ("grid", {3: [1, 2]}, "has the key 3 of type int, not str; in quotes it is text"),
        ("by_size", {"16": 0.5}, "has the key '16' of type str, not int; it is text: write 16, without quotes"),
        ("options", {"lr": "fast"}, r"options\['lr'\]\S = 'fast' is of type str, not float"),
        ("options", {"other": [1]}, r"options\['other'\]"),
        ("mixed", [{}], r"mixed\[0\]' = \{\} is of type dict"),
        ("any", float("nan"), "'any' = nan is not a finite number"),
        ("any", [1, {"k": [float("inf")]}], r"any\[1\]\['k'\]\[0\]\S = inf is not a finite number"),
        ("mixed", ["y", float("-inf")], r"mixed\[1\]' = -inf"),
        ("any", 2**63, "whole numbers from -2\\^63 to 2\\^63 - 1"),
        ("n", -(2**63) - 1, "whole numbers from"),
        ("rate", 10**400, "whole numbers from"),
        ("empty", [10**30], r"empty\[0\]"),
        ("any", "half \ud800", "is not allowed"),
        ("any", {1, 2}, "is not allowed"),
        ("any", b"x", "is not allowed"),
        ("any", {(1, 2): 3}, "is not allowed"),
        ("any", {"1": 3, 1: 4}, "is not allowed"),
        ("seed", -1, "seeds from 0 to 4294966"),
        ("seed", seeds.MAX_SEED + 1, "'seed' = 4294967: seeds from 0 to 4294966 are allowed, others would be cut"),
        ("seed", 2**32 + 1, "would be cut"),
        ("data_seeds", [1, 2**32], r"data_seeds\[1\]' = 4294967296: seeds"),
    ],
)
def test_what_could_not_arrive_as_it_is_is_refused_in_one_line(name, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_overrides(DEFAULTS, {name: value})
    assert "\n" not in str(caught.value)


def test_no_hint_says_to_write_what_would_be_refused():
    for text in ("nan", "NaN", "inf", "-inf", "Infinity"):
        for name in ("rate", "some", "n"):
            with pytest.raises(ValueError) as caught:
                check_overrides({"rate": 0.5, "some": [0.5], "n": 1}, {name: [text] if name == "some" else text})
            assert "write" not in str(caught.value)


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ValueError) as caught:
        check_overrides({"n": 1}, {"n": list(range(10**5))})
    assert len(str(caught.value)) < 400


def test_the_largest_seed_is_that_of_the_random_streams():
    assert parameter_types.MAX_SEED == seeds.MAX_SEED


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 1e999", "'x' = inf is not a finite number"),
        ("x = [1, -1e999]", r"x\[1\]"),
        ("n = 9223372036854775808", "whole numbers from"),
        ("n = '\\ud800'", "is not a literal"),
        ("n = {1: 2, '1': 3}", "is not a literal"),
        ("n = 1\x00", "not valid Python"),
        ("n = " + "(" * 300 + ")" * 300, "not valid Python"),
        ("n = " + "9" * 5000, "not valid Python"),
    ],
)
def test_defaults_that_no_result_could_hold_are_refused(cell, message):
    content = {"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": cell}]}
    with pytest.raises(ValueError, match=message):
        parameters_of(content)
