"""Skipped samples whose share of the batch the others take over."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..networks import Denoiser
from .term_functions import Terms, by_copy, strengths


class RescaledTerms:
    """The mean over the samples that are kept: each loss times m / kept, where `kept` of the m losses are not 0.

    Around `SkippedTerms` it is anti-gradient control as the code of its conference version has it (Liu et al. 2024): skipping alone makes the
    gradient smaller, the more the more is skipped. Where nothing is skipped it is the loss itself, bit for bit.

    Args:
        inner: the loss that skips, that is gives 0.
        on: whether it is rescaled, one for all copies or one for each.

    Raises:
        ValueError: an `inner` that is no function, another kind of `on`.
    """

    def __init__(self, inner: Terms, on: bool | Sequence[bool] = True):
        if not callable(inner) or isinstance(inner, type):
            raise ValueError(f"inner = {inner!r}: a loss (model, x0, t, eps, rows) is needed")
        self.inner, self.on = inner, strengths(torch.as_tensor(on).double(), "on")

    def __call__(self, model: Denoiser, x0: Tensor, t: Tensor, eps: Tensor, rows: Tensor) -> Tensor:
        """Losses, the shape of t."""
        terms = self.inner(model, x0, t, eps, rows)
        kept = (terms.detach() != 0).sum(-1, keepdim=True).clamp(min=1)
        factor = torch.where(by_copy(self.on, terms, "on").to(terms) > 0, terms.shape[-1] / kept, torch.ones_like(kept))
        return terms * factor.to(terms)
