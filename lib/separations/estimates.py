"""A mean over independent samples with its standard error: what every Monte-Carlo number of the library comes as."""

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over independent samples. terms: (m,), one value a sample; differentiable where the terms are.

    A paired difference of two estimates on the same samples is Estimate(a.terms - b.terms).
    """

    terms: Tensor

    def __post_init__(self):
        if self.terms.ndim != 1 or len(self.terms) == 0:
            raise ValueError(f"terms has shape {tuple(self.terms.shape)}: (m,) with m >= 1 is needed")

    @property
    def value(self) -> Tensor:
        """The mean, a tensor without dimensions."""
        return self.terms.mean()

    @property
    def se(self) -> float:
        """Standard error of the mean; needs m >= 2."""
        if len(self.terms) < 2:
            raise ValueError(f"m = {len(self.terms)}: a standard error needs at least 2 samples")
        return float(self.terms.detach().std()) / math.sqrt(len(self.terms))

    def __float__(self) -> float:
        return float(self.value.detach())

    def __repr__(self) -> str:
        spread = f" ± {self.se:.2g}" if len(self.terms) > 1 else ""
        return f"Estimate({float(self):.4g}{spread}, m={len(self.terms)})"
