"""Reading a grid: means over seeds, groups, correlations against constructed cases."""

import numpy as np
import pytest

from separations.interval_study import (
    between_seeds,
    by_pair,
    correlation,
    groups,
    interval_pairs,
    location_slope,
    matrix,
    seed_freedom,
    widenings,
)


def grid(value, seeds=(0,)):
    rows = [{"job": "as it was", "epochs": 0, "low": None, "high": None, "seed": 0, "y": 99.0}]
    return rows + [
        {"job": f"{low}-{high}", "epochs": 30, "low": low, "high": high, "seed": s, "y": value(low, high) + s}
        for low, high in interval_pairs()
        for s in seeds
    ]


def test_a_pair_counts_once_however_often_it_was_run():
    rows = grid(lambda low, high: low, seeds=(0, 1, 2))
    pairs = by_pair(rows, "y")
    assert len(pairs) == 45 and pairs[(100, 300)] == 101.0
    assert between_seeds(rows, "y") == pytest.approx(1.0)  # 0, 1, 2: sample variance 1
    assert between_seeds(grid(lambda low, high: 0.0), "y") is None


def test_groups_and_matrix_hold_every_pair_in_its_place():
    rows = grid(lambda low, high: 10 * low + high)
    by_width = groups(rows, "y", "width")
    assert list(by_width) == list(range(100, 1000, 100)) and [len(v) for v in by_width.values()] == list(
        range(9, 0, -1)
    )
    values, lows, highs = matrix(rows, "y")
    assert values[lows.index(300), highs.index(700)] == 3700 and np.isnan(values[lows.index(300), highs.index(300)])
    assert np.isfinite(values).sum() == 45


def test_correlations_of_constructed_grids():
    falling = correlation(grid(lambda low, high: -((low + high) ** 3.0)), "y", "mean")
    assert falling.value == pytest.approx(-1) and falling.low == pytest.approx(-1) and falling.p < 0.001
    assert (
        abs(correlation(grid(lambda low, high: -((low + high) ** 3.0)), "y", "width").value) < 0.05
    )  # the grid is symmetric
    assert correlation(grid(lambda low, high: 2.0 * (high - low)), "y", "width", kind="pearson").value == pytest.approx(
        1
    )
    rng, inside, small = np.random.default_rng(1), 0, 0
    for _ in range(40):
        noise = dict(zip(interval_pairs(), rng.normal(size=45)))
        found = correlation(grid(lambda low, high: noise[low, high]), "y", "mean", resamples=200)  # noqa: B023
        inside += found.low <= 0 <= found.high
        small += found.p < 0.05
    assert inside >= 33 and small <= 6  # 95 % and 5 % of 40, within three standard errors


def test_two_measures_are_correlated_over_pairs_not_over_rows():
    rows = grid(lambda low, high: low - 3 * high, seeds=(0, 1, 2))
    rows = [row | {"z": row["y"] ** 3} for row in rows]
    found = correlation(rows, "y", "z")
    assert found.value == pytest.approx(1) and found.pairs == 45
    rows = [row | {"z": -row["low"] if row["low"] else 0.0} for row in grid(lambda low, high: 2 * low)]
    assert correlation(rows, "y", "z", kind="pearson").value == pytest.approx(
        -1
    )  # the row without an interval is left out


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: by_pair(grid(lambda l, h: 0.0), "z"), "measure = 'z'"),
        (lambda: by_pair(grid(lambda l, h: 0.0)[:1], "y"), "no interval"),
        (lambda: groups(grid(lambda l, h: 0.0), "y", "height"), "by = 'height'"),
        (lambda: correlation(grid(lambda l, h: 0.0), "y", "mean"), "45 pairs"),
        (lambda: correlation(grid(lambda l, h: l)[:4], "y", "mean"), "3 pairs"),
        (lambda: correlation(grid(lambda l, h: l), "y", "mean", kind="kendall"), "kind = 'kendall'"),
        (lambda: correlation(grid(lambda l, h: l), "y", "height"), "by = 'height'"),
    ],
)
def test_bad_input_is_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_widening_is_measured_where_the_interval_stands():
    found = widenings(grid(lambda low, high: (low + high) + 3 * (high - low)), "y")
    assert 150 not in found and 950 not in found and found[550] == 3 * (900 - 100)
    assert set(found) == {m for m in np.arange(150, 951, 50) if sum((a + b) / 2 == m for a, b in interval_pairs()) > 1}


def test_a_slope_at_a_fixed_width_does_not_see_the_width():
    rows = grid(lambda low, high: 0.02 * (low + high) / 2 + 5 * (high - low))
    found = location_slope(rows, "y", 1.0, 8)
    assert float(found) == pytest.approx(2.0) and found.pairs == 45  # per 100 steps
    twice = location_slope(rows, "y", 2.0, 8)
    assert twice.high - twice.low == pytest.approx(2 * (found.high - found.low))
    assert found.high - found.value < found.detectable
    one_width = [row for row in rows if row["low"] == 100]  # each width once: no slope
    assert location_slope(one_width, "y", 1.0, 8) is None


def test_the_interval_of_a_slope_holds_it_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    pairs = [pair for pair in interval_pairs() if pair[1] - pair[0] >= 700]
    for _ in range(400):
        rows = [
            {"job": str(p), "epochs": 1, "low": p[0], "high": p[1], "y": 0.3 * sum(p) / 200 + rng.normal()}
            for p in pairs
        ]
        spare = [
            {"job": k, "epochs": 1, "low": None, "high": None, "y": rng.normal()} for k in range(4) for _ in range(3)
        ]
        found = location_slope(rows, "y", between_seeds(spare, "y"), seed_freedom(spare))
        hits += found.low <= 0.3 <= found.high
    assert seed_freedom(spare) == 8 and 0.92 < hits / 400 < 0.98
