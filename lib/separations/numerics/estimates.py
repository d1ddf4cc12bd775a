"""Means over independent samples with their standard errors: what Monte-Carlo numbers come as, before an interval is asked for."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .intervals import IntervalEstimate, normal_interval


@dataclass(frozen=True)
class Estimate:
    """A mean over independent samples. terms: (m,), one value a sample; differentiable where the terms are.

    It keeps its terms, unlike an `IntervalEstimate`: a training loss is differentiated through them, and a paired difference of two
    estimates on the same samples is Estimate(a.terms - b.terms).
    """

    terms: Tensor

    def __post_init__(self):
        if not isinstance(self.terms, Tensor) or not self.terms.is_floating_point():
            kind = self.terms.dtype if isinstance(self.terms, Tensor) else type(self.terms).__name__
            raise ValueError(f"terms is {kind}: a floating-point tensor of shape (m,) is needed")
        if self.terms.ndim != 1 or len(self.terms) == 0:
            raise ValueError(f"terms has shape {tuple(self.terms.shape)}: (m,) with m >= 1 is needed")

    @property
    def value(self) -> Tensor:
        """The mean, a tensor without dimensions."""
        return self.terms.to(_at_least_single(self.terms)).mean()

    @property
    def se(self) -> float:
        """Standard error of the mean; needs m >= 2."""
        if len(self.terms) < 2:
            raise ValueError(f"m = {len(self.terms)}: a standard error needs at least 2 samples")
        return float(self.terms.detach().to(_at_least_single(self.terms)).std()) / math.sqrt(len(self.terms))

    def interval(self, confidence: float = 0.95) -> IntervalEstimate:
        """The mean with its normal interval; needs m >= 2."""
        return normal_interval(float(self), self.se, confidence)

    def __float__(self) -> float:
        return float(self.value.detach())

    def __repr__(self) -> str:
        spread = f" ± {self.se:.2g}" if len(self.terms) > 1 else ""
        return f"Estimate({float(self):.4g}{spread}, m={len(self.terms)})"


def _at_least_single(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


@dataclass(frozen=True)
class Curve:
    """Means with standard errors along an axis, such as t.

    Errors, not intervals: they scale, and add as squares where curves are compared.

    Attributes:
        value, se: (T,) or without dimensions, one error each.
    """

    value: Tensor
    se: Tensor

    @property
    def relative_error(self) -> Tensor:
        """se / |value|, inf where the value is 0 and its error is not, (T,)."""
        error = self.se / self.value.abs()
        return error.nan_to_num(0.0, posinf=math.inf)

    def __getitem__(self, i) -> "Curve":
        return Curve(self.value[i], self.se[i])

    def __mul__(self, factor) -> "Curve":
        return Curve(self.value * factor, self.se * abs(factor))

    def sigmas_from(self, other: "Curve | Tensor | float") -> Tensor:
        """Distance to another curve, or to known values, in joint standard errors, (T,). Independent errors are assumed."""
        value, se = (other.value, other.se) if isinstance(other, Curve) else (other, 0.0)
        return (self.value - value).abs() / (self.se**2 + se**2) ** 0.5
