"""The training sets of all copies of a network, and the batches that are drawn from them."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..networks.denoiser import Denoiser
from ..networks.mlp import Generators, one_each
from ..numerics.checks import check_finite, randn, uniform
from .objective import draw_times


class Batches:
    """Training sets in one tensor, and the draws of a batch with its times and noise.

    Set i begins at row first[i] of `rows` and has sizes[i] rows, both (c, 1). `drawn` has the rows of the last draw, (m,) or (c, m).

    Args:
        model: for whose dtype, device, event_shape and copies.
        data: (n, *event_shape) for all copies, or a list of c such sets of any sizes, one a copy.
        times: times(m, generator) -> (m,).
        batch: m, rows a copy.
        generator: one for all copies, or a list of c: then copy i draws what a single network would with generator[i].

    Raises:
        ValueError: data of another kind or shape, numbers that are not finite in the dtype of the model, another number of generators.
    """

    def __init__(self, model: Denoiser, data, times: Callable, batch: int, generator: Generators):
        self.times, self.batch = times, batch
        self.c, self.stacked = model.copies or 1, model.copies is not None
        shared = generator is None or isinstance(generator, torch.Generator)
        # One generator for all draws once for all copies; a list draws c times what a single network would.
        self.groups = [(self.c, generator)] if shared else [(1, g) for g in one_each(generator, self.c)]
        self.generators = [g for _, g in self.groups]
        if not isinstance(data, Tensor | list | tuple):
            raise ValueError(f"data is {type(data).__name__}: a tensor, or a list of tensors, one a copy, is needed")
        sets = [data] if isinstance(data, Tensor) else list(data)
        if len(sets) not in {1, self.c}:
            raise ValueError(f"data has {len(sets)} sets: one, or one a copy ({self.c}), is needed")
        for i, one in enumerate(sets):
            name = "data" if isinstance(data, Tensor) else f"data[{i}]"
            if not isinstance(one, Tensor):
                raise ValueError(f"{name} is {type(one).__name__}: a tensor is needed")
            if not one.is_floating_point() or one.shape[1:] != model.event_shape or len(one) == 0:
                want = ", ".join(map(str, ("n", *model.event_shape)))
                raise ValueError(
                    f"{name} is {tuple(one.shape)}, {one.dtype}: a floating-point ({want}) tensor is needed"
                )
            check_finite(one, name)
        self.rows = torch.cat([one.detach() for one in sets]).to(next(model.parameters()))
        if not self.rows.isfinite().all():
            raise ValueError(
                f"data is too large for {self.rows.dtype}, the dtype of the model: smaller values are needed"
            )
        self.sizes = torch.tensor([len(s) for s in sets]).expand(self.c)[:, None]
        self.first = self.sizes.cumsum(0) - self.sizes if len(sets) > 1 else torch.zeros_like(self.sizes)

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """x0 and eps, (c, m, *event_shape), and t, (c, m); without the c for a single network."""
        m, rows = self.batch, self.rows
        parts = []
        for c, g in self.groups:
            where, t = uniform(c * m, g), draw_times(self.times, c * m, g)
            parts.append((where.reshape(c, m), t.reshape(c, m), randn((c, m, *rows.shape[1:]), rows, g)))
        where, t, eps = (torch.cat(p) if len(p) > 1 else p[0] for p in zip(*parts))
        # In float64 u < 1 gives floor(u n) < n for every n below 2^52.
        index = self.first.to(where.device) + (where * self.sizes.to(where.device)).long()
        index = index.to(rows.device)
        self.drawn = index if self.stacked else index[0]
        found = rows[index], t.to(rows.device), eps
        return found if self.stacked else tuple(v[0] for v in found)
