"""Curves through points: exponents of power laws, with and without their intervals, and where a level is passed by each rule."""

import math

import numpy as np
import pytest

from separations.numerics.curves import crossing, log_slope, power_law, stays_below


def test_a_power_law_has_its_exponent_whatever_the_factor_and_points_without_a_value_are_left_out():
    x = np.array([1.0, 3.0, 10.0, 40.0])
    assert log_slope(x, 7 * x**-1.5) == pytest.approx(-1.5, abs=1e-12)
    y = [*(x**2), math.nan, math.inf]
    assert log_slope([*x, 50.0, 60.0], y) == pytest.approx(2, abs=1e-12)
    assert (
        math.isnan(log_slope([], []))
        and math.isnan(log_slope([2.0, 2.0], [1.0, 3.0]))
        and math.isnan(log_slope(x[:2], x[:2], least=3))
    )


def test_the_interval_of_an_exponent_covers_it_at_its_rate_and_is_a_point_on_a_line():
    g, x = np.random.default_rng(0), np.geomspace(1, 100, 6)
    found = [power_law(x, x**0.7 * np.exp(0.2 * g.standard_normal(6))) for _ in range(400)]
    covered = np.mean([f.low <= 0.7 <= f.high for f in found])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 400)  # four standard errors of a share
    assert found[0].value == pytest.approx(
        log_slope(x, x**0.7 * np.exp(0.2 * np.random.default_rng(0).standard_normal(6)))
    )
    flat = power_law(x, np.ones(6))
    assert flat.ends == (0, 0) and flat.value == 0
    assert all(math.isnan(v) for v in (power_law([1, 2, 2], [1, 2, 3]).value, *power_law([1, 2], [1, 2]).ends))


def test_a_level_is_passed_on_the_line_between_two_points():
    x = [1.0, 2.0, 4.0]
    assert crossing(x, [0, 0.5, 1], 0.25) == 1.5 and crossing(x, [0, 0.5, 1], 0.5) == 2
    assert crossing(x, [1, 0.5, 0], 0.25, rising=False) == crossing(x, [1, 0.5, 0], 0.25, rising=None) == 3
    assert crossing(x, [0, 0, 1], 0.5, logs="x") == pytest.approx(math.sqrt(8))
    assert crossing(x, [1, 10, 1000], 100, logs="y") == pytest.approx(3)
    assert crossing(x, [1, 10, 1000], 100, logs="xy") == pytest.approx(math.sqrt(8))
    assert crossing([1, 2], [0, 1e-2], 1e-1, logs="y") == 2  # zero has no logarithm, and is below all


def test_a_curve_of_a_power_law_is_crossed_exactly_in_logarithms():
    x = np.geomspace(0.01, 10, 5)
    for power in (-2.0, 0.5):
        assert crossing(x, x**power, 0.3**power, logs="xy", rising=None) == pytest.approx(0.3)


def test_before_its_level_noise_counts_only_where_it_is_asked_for():
    x, y = [0, 1, 2, 3], [0.0, 0.4, 0.2, 0.8]
    assert crossing(x, y, 0.6) == pytest.approx(2.5)  # from the running maximum, 0.4
    assert crossing(x, y, 0.6, monotone=False) == pytest.approx(2 + 2 / 3)
    y = [0.0, 0.6, 0.2, 0.8]
    assert crossing(x, y, 0.3) == crossing(x, y, 0.3, monotone=False) == 0.5  # the first of three passings


def test_a_level_that_is_not_passed_is_an_end_or_nan():
    x = [1.0, 2.0, 3.0]
    assert crossing(x, [0.1, 0.2, 0.3], 0.5) == 3 and crossing(x, [0.6, 0.7, 0.8], 0.5) == 1
    assert crossing(x, [0.6, 0.7, 0.8], 0.5, rising=False) == 3  # it stays above
    for y in ([0.1, 0.2, 0.3], [0.6, 0.7, 0.8], [0.5, 0.7, 0.8]):
        assert math.isnan(crossing(x, y, 0.5, beyond="nan"))


def test_a_curve_stays_below_from_its_last_passing_on():
    x, y = [1.0, 2.0, 4.0, 8.0], [0.9, 0.4, 0.6, 0.2]
    assert stays_below(x, y, 0.5) == pytest.approx(5) and crossing(x, y, 0.5, rising=False) == pytest.approx(1.8)
    assert stays_below(x, y, 0.4, logs="x") == pytest.approx(math.sqrt(32))
    assert stays_below(x, y, 1.0) == 1 and math.isnan(stays_below(x, y, 0.2))  # at the level is not below it
    assert stays_below(x, np.array(x) ** -2.0, 0.1, logs="xy") == pytest.approx(math.sqrt(10))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: crossing([1, 2], [1], 0.5), r"y \(1,\)"),
        (lambda: crossing([], [], 0.5), "x has no points"),
        (lambda: crossing([0, 1], [0, 1], 0.5, logs="x"), "positive numbers"),
        (lambda: crossing([0, 1], [0, 1], 0.0, logs="y"), "positive numbers"),
        (lambda: crossing([0, 1], [0, math.nan], 0.5), "not finite"),
        (lambda: crossing([0, 1], [0, 1], math.nan), "level"),
        (lambda: crossing([0, 1], [0, 1], 0.5, logs="z"), "logs = 'z'"),
        (lambda: crossing([0, 1], [0, 1], 0.5, beyond="none"), "beyond = 'none'"),
        (lambda: stays_below([0, 1], [1, 0], 0.5, logs="x"), "positive numbers"),
        (lambda: stays_below([0, 1], [1], 0.5), r"y \(1,\)"),
        (lambda: log_slope([0, 1], [1, 2]), "not positive"),
        (lambda: log_slope([1, 2], [-1, 2]), "not positive"),
        (lambda: log_slope([1, 2], [1, 2], least=1), "least = 1"),
        (lambda: power_law([1, 2, 3], [1, 2, 3], 1.5), "confidence = 1.5"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
