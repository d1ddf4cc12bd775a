"""Means with errors and intervals: 16 bits, numbers of any library, what is refused. Lanczos: operators that are 0 or not finite."""

import math

import numpy as np
import pytest
import torch

from separations.numerics import Estimate, wilson_interval
from separations.numerics.intervals import check_confidence
from separations.numerics.lanczos import extreme_pairs


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_mean_of_16_bits_is_that_of_the_same_numbers(kind):
    terms = (torch.randn(5000, generator=torch.Generator().manual_seed(0)) + 3).to(kind)
    found, want = Estimate(terms), Estimate(terms.double())
    assert float(found) == pytest.approx(float(want), rel=1e-5) and found.se == pytest.approx(want.se, rel=1e-5)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Estimate([1.0]), "terms is list"),
        (lambda: Estimate(torch.ones(3, dtype=torch.long)), "terms is torch.int64"),
        (lambda: check_confidence(math.nan), "confidence = nan"),
        (lambda: check_confidence("0.9"), "confidence = '0.9'"),
        (lambda: wilson_interval(11, 10), "k = 11"),
        (lambda: wilson_interval(math.nan, 10), "k = nan"),
        (lambda: wilson_interval(1, 10.0), "m = 10.0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_counts_and_shares_of_any_library():
    assert wilson_interval(torch.tensor(3), np.int64(9), np.float32(0.5)) == wilson_interval(3, 9, 0.5)


def test_extreme_values_of_the_operator_zero_and_of_one_that_is_not_finite():
    start = torch.randn(3, 70, generator=torch.Generator().manual_seed(1))
    values, _ = extreme_pairs(torch.zeros_like, start, tol=1e-3, max_steps=40)
    assert torch.equal(values, torch.zeros(3, 2))
    with pytest.raises(ValueError, match="NaN or infinite"):
        extreme_pairs(lambda v: v * math.inf, start, tol=1e-3, max_steps=40)
    with pytest.raises(ValueError, match="tol = nan"):
        extreme_pairs(torch.zeros_like, start, tol=math.nan, max_steps=40)
