"""Memorization ratio: the rule, its ties and duplicates, its interval."""

import math

import numpy as np
import pytest
import torch

from separations.metrics import memorization_ratio, wilson_interval

TRAIN = torch.tensor([[0.0, 0], [4, 0], [0, 40]], dtype=torch.float64)


def test_the_rule_on_a_line_between_two_points():
    # Between x = 0 and x = 4: |x| <= |4 - x| / 3 exactly up to x = 1.
    samples = torch.tensor([[0.0, 0], [0.999, 0], [1.0, 0], [1.001, 0], [2, 0], [3.5, 0]], dtype=torch.float64)
    result = memorization_ratio(samples, TRAIN)
    assert result.memorized.tolist() == [True, True, True, False, False, True]
    assert result.nearest.tolist() == [0, 0, 0, 0, 0, 1]
    assert result.ratio == float(result) == pytest.approx(4 / 6)
    assert result.low <= result.ratio <= result.high
    torch.testing.assert_close(result.d1[:2], torch.tensor([0.0, 0.999], dtype=torch.float64))


def test_it_agrees_with_a_peer_from_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    g = torch.Generator().manual_seed(0)
    train, samples = torch.randn(500, 3, 4, generator=g), torch.randn(200, 3, 4, generator=g)
    samples[:50] = train[:50] + 0.05 * torch.randn(50, 3, 4, generator=g)
    distance, index = NearestNeighbors(n_neighbors=2).fit(train.reshape(500, -1)).kneighbors(samples.reshape(200, -1))
    result = memorization_ratio(samples, train)
    assert np.array_equal(result.nearest, index[:, 0])
    assert result.ratio == np.mean(distance[:, 0] ** 2 <= distance[:, 1] ** 2 / 9)
    assert 0.2 < result.ratio < 0.3


def test_duplicates_are_merged_unless_asked_not_to():
    train = torch.cat([TRAIN, TRAIN[:1]])
    near_copy = torch.tensor([[0.1, 0]], dtype=torch.float64)
    merged, literal = memorization_ratio(near_copy, train), memorization_ratio(near_copy, train, merge_duplicates=False)
    assert (merged.ratio, merged.duplicates, merged.n) == (1.0, 1, 3)
    assert (literal.ratio, literal.duplicates, literal.n) == (0.0, 0, 4)
    exact = memorization_ratio(TRAIN[:1], train, merge_duplicates=False)
    assert exact.ratio == 1.0  # 0 <= 0: an exact copy counts even to the letter


def test_nearest_points_to_the_set_as_given():
    train = torch.tensor([[5.0], [5.0], [1.0], [9.0]])
    result = memorization_ratio(torch.tensor([[1.1], [8.9], [5.0]]), train)
    assert result.nearest.tolist() == [2, 3, 0]
    assert memorization_ratio(torch.tensor([[0.0]]), torch.tensor([[-0.0], [0.0], [1.0]])).duplicates == 1


def test_a_tie_is_not_memorized():
    assert memorization_ratio(torch.tensor([[2.0, 0]], dtype=torch.float64), TRAIN).ratio == 0.0


def test_other_thresholds_from_the_same_distances():
    g = torch.Generator().manual_seed(0)
    train, samples = torch.randn(50, 2, generator=g), torch.randn(300, 2, generator=g)
    result = memorization_ratio(samples, train)
    for threshold in (0.01, 1 / 9, 0.5, 0.99):
        assert result.at(threshold) == memorization_ratio(samples, train, threshold).ratio
    assert result.at(0.01) < result.at(0.5)


def test_the_interval_covers_at_its_level():
    """A share of 0.3 of 100 samples, 300 times: a 95 % interval holds the truth about 95 times in 100."""
    rng = torch.Generator().manual_seed(0)
    train = torch.tensor([[0.0], [1.0]])
    hits = 0
    for _ in range(300):
        memorized = torch.rand(100, 1, generator=rng) < 0.3
        result = memorization_ratio(torch.where(memorized, 0.0, 0.5), train, generator=rng)
        hits += result.low <= 0.3 <= result.high
    assert 0.90 < hits / 300 < 0.98


def test_the_same_samples_give_the_same_interval():
    g = torch.Generator().manual_seed(0)
    samples = torch.rand(100, 1, generator=g)
    one, two = (memorization_ratio(samples, torch.tensor([[0.0], [1.0]])) for _ in range(2))
    assert (one.low, one.high) == (two.low, two.high)


def test_wilson_against_scipy():
    from scipy.stats import binomtest

    for k, m in [(0, 20), (3, 20), (20, 20), (500, 1000)]:
        peer = binomtest(k, m).proportion_ci(0.95, method="wilson")
        assert wilson_interval(k, m) == pytest.approx((peer.low, peer.high))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: memorization_ratio(TRAIN, TRAIN[:1]), "train has 1 points, 1 distinct"),
        (lambda: memorization_ratio(TRAIN, TRAIN[:1].expand(5, 2)), "train has 5 points, 1 distinct"),
        (lambda: memorization_ratio(TRAIN[:, :1], TRAIN), "samples has shape"),
        (lambda: memorization_ratio(TRAIN[0], TRAIN), "samples has shape"),
        (lambda: memorization_ratio(TRAIN, TRAIN[0]), "train has shape"),
        (lambda: memorization_ratio(TRAIN * math.nan, TRAIN), "samples has NaN"),
        (lambda: memorization_ratio(TRAIN, TRAIN * math.inf), "train has NaN or infinite"),
        (lambda: memorization_ratio(TRAIN.long(), TRAIN), "samples is torch.int64"),
        (lambda: memorization_ratio(TRAIN, TRAIN, threshold=0), "threshold = 0"),
        (lambda: memorization_ratio(TRAIN, TRAIN, threshold=1.5), "threshold = 1.5"),
        (lambda: memorization_ratio(TRAIN, TRAIN, confidence=1), "confidence = 1"),
        (lambda: memorization_ratio(TRAIN, TRAIN, resamples=0), "resamples = 0"),
        (lambda: memorization_ratio([[0.0]], TRAIN), "samples is list"),
        (lambda: wilson_interval(3, 2), "k = 3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
