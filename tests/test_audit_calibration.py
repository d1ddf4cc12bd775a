"""Calibration: false alarms stay within the stated rate, whatever the detectors; the uncertainty of a threshold is what it says."""

import numpy as np
import pytest
from scipy.stats import beta, kstest, mannwhitneyu, norm

from separations.audit.calibration import (
    beta_interval,
    calibrate,
    joint_p_values,
    most_unusual,
    p_values,
    quantile_interval,
)
from separations.audit.distribution import authenticity, cells_of, mann_whitney_z, three_sample_test

DRAWS = 200


def draws(random, n: int, detectors: int, ties: bool) -> np.ndarray:
    """Scores (n, J) of detectors that agree in part; with ties, most are equal."""
    x = random.normal(size=(n, detectors))
    x[:, 1:] += x[:, :1]
    return np.exp(np.round(x) if ties else x)


@pytest.mark.parametrize(("detectors", "ties"), [(1, False), (1, True), (3, False), (3, True)])
def test_false_alarms_keep_the_rate_and_the_interval_holds_zero(detectors, ties):
    random = np.random.default_rng(1)
    rates, held = [], 0
    for _ in range(DRAWS):
        reference, samples = draws(random, 199, detectors, ties), draws(random, 400, detectors, ties)
        if detectors == 1:
            reference, samples = reference[:, 0], samples[:, 0]
        found = calibrate(samples, reference, 0.05)
        rates.append(found.found.value)
        held += found.excess.low <= 0 <= found.excess.high or (ties and found.excess.low <= 0)
    mean, error = np.mean(rates), np.std(rates) / DRAWS**0.5
    assert mean <= 0.05 + 3 * error
    if not ties:
        assert mean >= 0.05 - 3 * error  # and no power is given away
    assert held / DRAWS >= 0.95 - 3 * (0.05 * 0.95 / DRAWS) ** 0.5


@pytest.mark.parametrize("n", [9, 30, 31])
def test_joint_p_values_are_those_of_the_definition(n):
    random = np.random.default_rng(0)
    reference, samples = draws(random, n, 3, False), draws(random, 20, 3, False)
    expected = []
    for x in samples:
        points = np.log(np.vstack([reference, x]))
        ordered = np.sort(points, axis=0)
        middle, low = ordered[int(0.5 * (n + 1))], ordered[int(0.1 * (n + 1))]
        unit = np.maximum(middle - low, (middle - ordered[max(1, int(0.01 * (n + 1)))]) / 3)
        statistic = ((points - middle) / np.maximum(unit, 0.01)).min(1)
        expected.append((statistic <= statistic[-1]).sum() / (n + 1))
    assert np.allclose(joint_p_values(samples, reference), expected, rtol=0, atol=1e-12)
    assert np.allclose(
        p_values(samples[:, 0], reference[:, 0]), [(1 + (reference[:, 0] <= x).sum()) / (n + 1) for x in samples[:, 0]]
    )


def test_a_copy_that_one_detector_alone_sees_is_found_among_few_reference_points():
    random = np.random.default_rng(0)
    reference, samples = draws(random, 99, 4, False), draws(random, 5, 4, False)
    samples[0, 2] = 1e-6
    assert calibrate(samples, reference).flagged.tolist() == [True, False, False, False, False]


def test_p_values_of_fresh_scores_are_uniform():
    random = np.random.default_rng(2)
    p = [joint_p_values(draws(random, 1, 2, False), draws(random, 99, 2, False))[0] for _ in range(400)]
    assert kstest(np.array(p) - random.uniform(0, 0.01, 400), "uniform").pvalue > 1e-3


def test_the_threshold_and_its_interval_hold_the_quantile():
    random, inside = np.random.default_rng(3), 0
    for _ in range(DRAWS):
        found = quantile_interval(random.normal(size=299), 6, 0.95)
        inside += found.low <= norm.ppf(6 / 300) <= found.high
    assert 0.95 - 3 * (0.05 * 0.95 / DRAWS) ** 0.5 <= inside / DRAWS
    given = beta_interval(6, 299, 0.9)
    assert np.allclose([given.low, given.high], beta.ppf([0.05, 0.95], 6, 294)) and given.value == 6 / 300


def test_too_few_reference_points_are_said():
    with pytest.raises(ValueError, match=r"rate = 0\.01: 98 reference points are too few, at least 99 are needed"):
        calibrate(np.zeros(5), np.arange(98.0))
    assert calibrate(np.array([-1.0, 1.0]), np.arange(99.0)).flagged.tolist() == [True, False]


def test_the_rank_test_is_scipys():
    random = np.random.default_rng(0)
    for x, y in [
        (random.normal(size=40), random.normal(0.4, 1, 70)),
        (random.integers(0, 4, 30), random.integers(0, 5, 50)),
    ]:
        z = mann_whitney_z(x, y)
        assert np.isclose(2 * norm.sf(abs(z)), mannwhitneyu(x, y, use_continuity=False, method="asymptotic").pvalue)
        assert (z < 0) == (mannwhitneyu(x, y).statistic < len(x) * len(y) / 2)
    assert mann_whitney_z(np.ones(9), np.ones(9)) == 0


def test_c_t_sees_copies_in_one_cell_and_is_normal_for_equal_laws():
    random, values = np.random.default_rng(0), []
    for _ in range(DRAWS):
        cells = random.integers(0, 3, 300), random.integers(0, 3, 200), np.array([0.5, 0.3, 0.2])
        values.append(three_sample_test(random.normal(size=300), random.normal(size=200), cells))
    assert kstest([p for _, p, _ in values], "uniform").pvalue > 1e-3
    x = random.normal(size=300)
    x[cells[0] == 2] -= 3
    assert three_sample_test(x, random.normal(size=200), cells)[0] < -1


def test_cells_follow_the_clusters():
    random = np.random.default_rng(0)
    centre = np.array([[0.0, 0.0], [50.0, 0.0]])
    train = np.concatenate([centre[i] + random.normal(size=(300, 2)) for i in (0, 1)]).astype(np.float32)
    (own,), share = cells_of(train, centre.astype(np.float32), seed=0)
    assert np.isclose(share.sum(), 1) and own[0] != own[1]


def test_authenticity_counts_samples_outside_the_reach_of_their_training_point():
    found = authenticity(np.array([0.1, 2.0, 1.0]), np.array([1.0, 1.0, 1.0]), 0.95)
    assert found.value == 1 / 3


def test_a_detector_that_says_something_of_few_points_alone_does_not_drown_the_others():
    random = np.random.default_rng(0)

    def fresh(m: int) -> np.ndarray:
        parts, textured = np.ones(m), random.random(m) < 0.05
        parts[textured] = random.uniform(0.2, 0.99, textured.sum())
        return np.stack([random.gamma(8, 0.1, m), parts], 1)

    reference, copies = fresh(1000), fresh(200)
    copies[:, 0] = 0
    assert calibrate(copies, reference).flagged.all() and (most_unusual(copies, reference) == 0).all()
    assert calibrate(fresh(2000), reference).flagged.mean() < 0.025


@pytest.mark.parametrize("m", [1, 2, 4, 8])
def test_joint_p_values_are_valid_at_the_least_numbers_of_reference_points(m):
    random = np.random.default_rng(m)
    p = [joint_p_values(each[:1], each[1:])[0] for each in random.standard_normal((2000, m + 1, 2)) ** 2]
    for k in range(1, m + 1):
        assert np.mean(np.array(p) <= k / (m + 1) + 1e-12) <= k / (m + 1) + 0.04


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_the_interval_holds_the_share_of_copies_also_where_nearly_all_are(share):
    """False alarms come from the samples that are no copies: where all are copies, the share is 1 and not 1 - rate."""
    random, held = np.random.default_rng(1), []
    for _ in range(200):
        copy = random.random(5000) < share
        found = calibrate(np.where(copy, 0.0, random.random(5000)), random.random(2000)).excess
        held.append(found.low <= share <= found.high <= 1)
    assert np.mean(held) >= 0.91


def test_scores_that_depend_on_one_another_count_as_half_as_many():
    alone, shared = beta_interval(6, 299, 0.95), beta_interval(6, 299, 0.95, shared=True)
    assert alone.value == shared.value and shared.low < alone.low < alone.high < shared.high
    found = calibrate(np.arange(50.0), np.arange(299.0), shared=True)
    assert found.false_alarms.high > calibrate(np.arange(50.0), np.arange(299.0)).false_alarms.high
