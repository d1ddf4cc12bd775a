"""Memorization ratio: the rule, its ties and duplicates, its interval."""

import math

import numpy as np
import pytest
import torch

from separations.metrics import memorization_ratio
from separations.numerics import wilson_interval

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
        result = memorization_ratio(torch.where(memorized, 0.0, 0.5), train)
        hits += result.low <= 0.3 <= result.high
    assert 0.90 < hits / 300 < 0.98


def test_the_interval_is_wilsons_and_has_a_width_at_0_and_1():
    train = torch.tensor([[0.0], [1.0]])
    for share in (0.0, 0.3, 1.0):
        memorized = torch.arange(100)[:, None] < 100 * share
        found = memorization_ratio(torch.where(memorized, 0.0, 0.5), train, confidence=0.9)
        assert found.ratio == share and found.ends == wilson_interval(int(100 * share), 100, 0.9).ends
        assert found.high - found.low > 0.01


def test_wilson_against_scipy():
    from scipy.stats import binomtest

    for k, m in [(0, 20), (3, 20), (20, 20), (500, 1000)]:
        peer = binomtest(k, m).proportion_ci(0.95, method="wilson")
        assert wilson_interval(k, m).ends == pytest.approx((peer.low, peer.high))


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
        (lambda: memorization_ratio([[0.0]], TRAIN), "samples is list"),
        (lambda: wilson_interval(3, 2), "k = 3"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def copies_and_fresh(unit=1.0, dtype=torch.float32):
    """Ten near-copies and ten fresh points, in 60 dimensions, and the training set."""
    g = torch.Generator().manual_seed(1)
    train, fresh = torch.randn(40, 60, generator=g), torch.randn(10, 60, generator=g)
    samples = torch.cat([train[:10] + 0.02 * torch.randn(10, 60, generator=g), fresh])
    return samples.to(dtype) * unit, train.to(dtype) * unit


@pytest.mark.parametrize("dtype, unit", [(torch.float32, 1e20), (torch.float32, 1e-23), (torch.float32, 2.0**66),
                                         (torch.float64, 1e-170), (torch.float64, 1e170), (torch.float64, 2.0**-600)])  # fmt: skip
def test_the_ratio_does_not_depend_on_the_unit(dtype, unit):
    plain, other = (memorization_ratio(*copies_and_fresh(u, dtype)) for u in (1.0, unit))
    assert other.memorized.tolist() == plain.memorized.tolist() and plain.ratio == 0.5
    for threshold in (0.01, 0.5, 0.99):
        assert other.at(threshold) == plain.at(threshold)
    torch.testing.assert_close(other.d1 / unit, plain.d1, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=0)
    if math.frexp(unit)[0] == 0.5:  # a power of two: to the last bit
        assert torch.equal(other.d1, plain.d1 * unit) and torch.equal(other.d2, plain.d2 * unit)


@pytest.mark.parametrize("kinds", [(torch.float16, torch.float16), (torch.float32, torch.float16), (torch.bfloat16,) * 2,
                                   (torch.float64, torch.float32), (torch.float16, torch.float64)])  # fmt: skip
def test_every_floating_point_kind_is_measured_in_full(kinds):
    """The distances are those of the same numbers in float64; squares of white images would overflow 16 bits."""
    samples, train = (5 + x.to(kind) for x, kind in zip(copies_and_fresh(), kinds))
    found = memorization_ratio(samples * 30, train * 30)
    want = memorization_ratio((samples * 30).double(), (train * 30).double())
    assert torch.equal(found.d1, want.d1) and torch.equal(found.d2, want.d2) and found.ratio == want.ratio


def test_sets_that_ask_for_gradients_are_measured():
    samples, train = copies_and_fresh()
    train = torch.cat([train, train[:3]]).requires_grad_()
    found = memorization_ratio(samples.requires_grad_(), train)
    assert (found.ratio, found.duplicates) == (0.5, 3) and not found.d1.requires_grad


def test_a_distance_that_overflows_is_an_error():
    with pytest.raises(ValueError, match="distances overflow"):
        memorization_ratio(torch.full((1, 9), 1.5e308, dtype=torch.float64), -torch.eye(9).double() * 1.5e308)


def test_numbers_of_any_library_are_taken():
    samples, train = copies_and_fresh()
    plain = memorization_ratio(samples, train, 0.25, confidence=0.9)
    other = memorization_ratio(samples, train, np.float32(0.25), confidence=np.float64(0.9))
    assert (plain.low, plain.high, plain.ratio, plain.threshold) == (
        other.low,
        other.high,
        other.ratio,
        other.threshold,
    )
    assert wilson_interval(np.int64(3), np.int32(10)) == wilson_interval(3, 10)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: memorization_ratio(TRAIN, TRAIN, math.nan), "threshold = nan"),
        (lambda: memorization_ratio(TRAIN, TRAIN, "0.1"), "threshold = '0.1'"),
        (lambda: memorization_ratio(TRAIN, TRAIN, None), "threshold = None"),
        (lambda: memorization_ratio(TRAIN, TRAIN, confidence=math.nan), "confidence = nan"),
        (lambda: memorization_ratio(TRAIN, TRAIN, confidence="high"), "confidence = 'high'"),
        (lambda: memorization_ratio(TRAIN, TRAIN).at(math.nan), "threshold = nan"),
        (lambda: memorization_ratio(TRAIN, None), "train is NoneType"),
        (lambda: memorization_ratio(TRAIN.numpy(), TRAIN), "samples is ndarray"),
        (lambda: memorization_ratio(TRAIN, "set"), "train is str"),
        (lambda: memorization_ratio(TRAIN.to_sparse(), TRAIN), "samples is torch.sparse_coo"),
        (lambda: memorization_ratio(TRAIN, TRAIN.to(torch.float8_e4m3fn)), "train is torch.float8_e4m3fn"),
        (lambda: memorization_ratio(TRAIN[:, :0], TRAIN[:, :0]), "at least one value a point"),
        (lambda: wilson_interval(2.5, 10), "k = 2.5"),
        (lambda: wilson_interval(1, 10, math.nan), "confidence = nan"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()
