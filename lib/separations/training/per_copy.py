"""An optimiser for a stack of networks in which each copy has settings of its own.

A sweep over weight decays or learning rates then trains as one stack: `train(..., optimiser=partial(PerCopyAdamW, decays=...))`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PerCopyAdamW(torch.optim.Adam):
    """AdamW (Loshchilov and Hutter 2019) with a decoupled weight decay and a factor on the learning rate for each copy.

    With learning rate h, copy i moves as under AdamW with learning rate f_i h and weight decay l_i, all else equal:
    w <- (1 - h f_i l_i) w - h f_i mean / (sqrt(square) + eps), mean and square the corrected moments of its gradient.

    Args:
        parameters: tensors (c, ...), as of a network with `copies=c`.
        lr: h.
        weight_decay: 0; it is there because `train` passes it.
        decays: l_i, c numbers from 0 on; None for all 0.
        factors: f_i, c positive numbers; None for all 1.

    Raises:
        ValueError: another number of values, values below these, a weight decay for all.
    """

    def __init__(
        self,
        parameters,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        decays: Sequence[float] | None = None,
        factors: Sequence[float] | None = None,
    ):
        if weight_decay != 0:
            raise ValueError(f"weight_decay = {weight_decay}: 0 is needed, the weight decay of each copy is in decays")
        super().__init__(parameters, lr=lr, fused=True)
        shapes = [tuple(p.shape) for group in self.param_groups for p in group["params"]]
        self.copies = shapes[0][0] if shapes[0] else 0
        if any(shape[:1] != (self.copies,) for shape in shapes):
            raise ValueError(
                f"parameters have the shapes {shapes}: one first dimension, the number of copies, is needed"
            )
        self.decays = self._one_each(decays, "decays", 0.0)
        self.factors = self._one_each(factors, "factors", 1.0)
        if (self.factors == 0).any():
            raise ValueError(f"factors = {self.factors.tolist()}: numbers > 0 are needed")

    def _one_each(self, values, name: str, default: float) -> Tensor:
        """c numbers, float64, on the CPU."""
        try:
            values = torch.full((self.copies,), default) if values is None else torch.as_tensor(values)
            values = values.detach().double().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"{name} = {values!r}: {self.copies} finite numbers >= 0, one a copy, are needed"
            ) from None
        if values.shape != (self.copies,) or not values.isfinite().all() or (values < 0).any():
            raise ValueError(f"{name} = {values.tolist()}: {self.copies} finite numbers >= 0, one a copy, are needed")
        return values

    @torch.no_grad()
    def step(self, closure=None):
        """One update of all copies; returns what closure, if given, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        scaled, before = bool((self.factors != 1).any()), []
        for group in self.param_groups:
            shrink = 1 - group["lr"] * self.factors * self.decays
            for p in (p for p in group["params"] if p.grad is not None):
                p.mul_(_column(shrink, p))
                before += [(p, p.clone())] if scaled else []
        super().step()
        for p, old in before:  # Adam's moments know no learning rate, so its step is proportional to it
            p.copy_(old + _column(self.factors, p) * (p - old))
        return loss


def _column(values: Tensor, p: nn.Parameter) -> Tensor:
    """c numbers in the shape (c, 1, ...) of a parameter, and in its type and place."""
    return values.to(p).reshape(-1, *[1] * (p.ndim - 1))
