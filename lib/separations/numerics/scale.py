"""Powers of two that bring numbers near 1 in size, so that no square over- or underflows."""

import math
from typing import TypeVar

import torch
from torch import Tensor

PLAIN = 40  # data whose largest magnitude lies between 2^-PLAIN and 2^PLAIN are taken as they are

Number = TypeVar("Number", Tensor, float)


def working(dtype: torch.dtype) -> torch.dtype:
    """The dtype to compute in: float64 for float64, float32 for all shorter ones."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def scaled(x: Number, exponent: int) -> Number:
    """x 2^exponent for a number or a tensor in float64, exact but at the ends of the range; by two factors, for one alone may overflow."""
    if exponent == 0:
        return x
    half = exponent // 2
    return x * 2.0**half * 2.0 ** (exponent - half)


def size_exponent(*sizes: float) -> int:
    """The e with 2^-e times the largest of the sizes in [1, 2); 0 where it is near enough to 1 as it is."""
    largest = max(sizes)
    exponent = math.frexp(largest)[1] - 1
    return 0 if largest == 0 or abs(exponent) <= PLAIN else exponent


def peak(x: Tensor) -> float:
    """Largest magnitude of a tensor with at least one number; NaN or infinite if one of them is."""
    low, high = x.detach().aminmax()
    return max(abs(float(low)), abs(float(high))) if low == low else math.nan
