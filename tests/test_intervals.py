"""Interval estimates: peers of SciPy, coverage of the bootstrap, differences, texts, arrays, what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from separations.numerics import (
    Estimate,
    IntervalEstimate,
    bootstrap_interval,
    normal_interval,
    percentile_interval,
    seeded,
    t_interval,
    wilson_interval,
)
from separations.numerics.intervals import interval_of_columns

VALUES = np.array([1.0, 2.0, 4.0, 7.0])


def test_students_interval_is_that_of_scipy_also_column_by_column():
    found = t_interval(VALUES, 0.9)
    assert (found.value, found.confidence) == (3.5, 0.9) and type(found.low) is float
    assert found.ends == pytest.approx(stats.t.interval(0.9, 3, VALUES.mean(), stats.sem(VALUES)))
    both = t_interval(np.stack([VALUES, VALUES**2], 1))
    for k, column in enumerate((VALUES, VALUES**2)):
        one = t_interval(torch.tensor(column))
        assert (both.value[k], both.low[k], both.high[k]) == pytest.approx((one.value, *one.ends))


@pytest.mark.filterwarnings("error")
def test_equal_values_have_no_width_and_one_alone_has_the_whole_line():
    assert t_interval([0.3] * 3).ends == pytest.approx((0.3, 0.3)) and t_interval([0.0, 0.0]).ends == (0, 0)
    assert t_interval([2.0]).ends == (-math.inf, math.inf) and t_interval([[1.0, 2.0]]).high.tolist() == [math.inf] * 2


def test_an_interval_from_a_standard_error_is_normal_or_students():
    assert normal_interval(1.0, 2.0).ends == pytest.approx(stats.norm.interval(0.95, 1.0, 2.0))
    known = normal_interval(VALUES.mean(), stats.sem(VALUES), freedom=3)
    assert known.ends == pytest.approx(t_interval(VALUES).ends)
    terms = Estimate(torch.tensor(VALUES))
    assert terms.interval(0.8).ends == pytest.approx(stats.norm.interval(0.8, 3.5, stats.sem(VALUES)))


def test_a_share_stands_within_its_interval_also_at_0_and_at_1():
    for k in range(8):
        found = wilson_interval(k, 7)
        assert found.value == k / 7 and found.low <= found.value <= found.high and found.high - found.low > 0.3


def test_the_difference_of_symmetric_intervals_adds_squares_and_that_of_shares_is_newcombes():
    a, b = normal_interval(3.0, 3.0), normal_interval(1.0, 4.0)
    assert a.minus(b).ends == pytest.approx(normal_interval(2.0, 5.0).ends)
    share = wilson_interval(56, 70).minus(wilson_interval(48, 80))  # Newcombe 1998, table II, (a), method 10
    assert share.ends == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_bootstrap_of_a_mean_covers_it_and_repeats_itself():
    x, hits = torch.randn(300, 60, generator=seeded(1), dtype=torch.float64), 0
    for row in x:
        found = bootstrap_interval(lambda rows: row[rows].mean(1), 60, resamples=400, generator=seeded(2))  # noqa: B023
        hits += found.low <= 0 <= found.high
    assert 0.9 < hits / 300 < 0.98  # 94 % for 60 values; three standard errors are 4 %
    again = [
        bootstrap_interval(lambda rows: x[0][rows].mean(1), 60, resamples=50, generator=g)
        for g in (None, None, seeded(3))
    ]
    assert again[0] == again[1] != again[2] and again[0].value == pytest.approx(float(x[0].mean()))
    narrow = bootstrap_interval(lambda rows: x[0][rows].mean(1), 60, confidence=0.5)
    assert narrow.high - narrow.low < 0.5 * (again[0].high - again[0].low)


@pytest.mark.filterwarnings("error")
def test_draws_without_a_value_are_left_out():
    draws = np.array([[1.0, math.nan], [2.0, math.nan], [math.nan, math.nan], [3.0, math.nan]])
    found = percentile_interval(np.array([2.0, math.nan]), draws, 0.5)
    assert (found.low[0], found.high[0]) == (1.5, 2.5) and np.isnan([found.low[1], found.high[1]]).all()


def test_texts_and_columns():
    found = IntervalEstimate(0.5, 0.25, 0.75, 0.95)
    assert (str(found), f"{found}", f"{found:+.1f}", f"{found:.0%}") == (
        "0.5 [0.25, 0.75]",
        "0.5 [0.25, 0.75]",
        "+0.5 [+0.2, +0.8]",
        "50% [25%, 75%]",
    )
    assert f"{t_interval([2.0]):.1f}" == "2.0"  # nothing is known of its error
    assert found.columns("x") == {"x": 0.5, "x_low": 0.25, "x_high": 0.75} and float(found) == 0.5
    assert interval_of_columns({"a": 1} | found.columns("x"), "x") == found


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: t_interval([]), "values has shape"),
        (lambda: t_interval([1.0, math.nan]), "not finite"),
        (lambda: t_interval(VALUES, 1), "confidence = 1"),
        (lambda: normal_interval(0.0, 1.0, freedom=0), "freedom = 0"),
        (lambda: percentile_interval(0.0, VALUES, 95), "confidence = 95"),
        (lambda: bootstrap_interval(lambda rows: rows[:, 0], 0), "n = 0"),
        (lambda: bootstrap_interval(lambda rows: rows[:, 0], 5, resamples=0), "resamples = 0"),
        (lambda: bootstrap_interval(lambda rows: rows[:, 0], 10**6, resamples=10**9), "resamples = 1000000000"),
        (lambda: bootstrap_interval(lambda rows: rows[:, 0], 5, generator=3), "generator = 3"),
        (lambda: interval_of_columns({"x": 1.0, "x_low": 0.0}, "x"), "row has no x_high"),
        (lambda: wilson_interval(1, 9).minus(wilson_interval(1, 9, 0.9)), "other has confidence 0.9"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
