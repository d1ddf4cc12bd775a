"""Block means of the middle of a point, exact in whole numbers, so that they do not depend on what is computed beside them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

MIDDLE = 0.7  # of the side, what a descriptor sees
GRID, GRID_GREY, GRID_SIGNAL = 6, 9, 64  # blocks along a side
STEPS = 64  # weights are multiples of one over this; with it all sums are whole numbers that float64 holds
FINE = 16  # block means are rounded to multiples of one over this, in grey levels
CONTRAST = 4  # grey levels added to the length of a descriptor, for each block: nearly flat points are near to nothing
_NEAR, _FAR = (-0.1, -0.034, 0.034, 0.1), (-0.08, 0.08)
# By zoom, where the middle of the training image may lie in a sample, relative to the sample's own middle and in units of its side.
LOOKS = {
    1.0: [(0.0, 0.0), *((y, x) for y in _NEAR for x in _NEAR)],
    1.25: [(0.0, 0.0), *((y, x) for y in _FAR for x in _FAR)],
    0.8: [(0.0, 0.0), *((y, x) for y in (-0.06, 0.06) for x in (-0.06, 0.06))],
}
SHIFTS_OF_SIGNALS = np.linspace(-0.15, 0.15, 31)


class Descriptor:
    """Block means of the middle of points (c, h, w), their mean removed and of length 1; h = 1 for signals.

    Args:
        size: c, h, w of a point.
    """

    def __init__(self, size: tuple[int, int, int]):
        self.c, self.h, self.w = size
        self.signal = self.h == 1
        grid = GRID_SIGNAL if self.signal else GRID if self.c == 3 else GRID_GREY
        self.grid = min(grid, self.w // 2)
        self.dimension = self.c * self.grid ** (1 if self.signal else 2)

    def __call__(self, points: Tensor) -> Tensor:
        """Descriptors (m, dimension) float32 of points (m, c, h, w) of whole numbers below 2^16, float64."""
        return self._seen(points, 1.0, 0.0, 0.0, False)

    def versions(self, points: Tensor) -> Iterator[Tensor]:
        """Descriptors of what training points would be, if the points were mirrored, moved or zoomed ones."""
        if self.signal:
            for x in SHIFTS_OF_SIGNALS:
                yield self._seen(points, 1.0, 0.0, float(x), False)
            return
        for zoom, middles in LOOKS.items():
            for y, x in middles:
                for mirror in (False, True):
                    yield self._seen(points, zoom, y, x, mirror)

    def _seen(self, points: Tensor, zoom: float, y: float, x: float, mirror: bool) -> Tensor:
        across = block_weights(self.w, self.grid, MIDDLE * zoom, 0.5 + x)
        across = across.flip(0) if mirror else across
        if self.signal:
            sums, unit = points @ across.T, STEPS
        else:
            sums = block_weights(self.h, self.grid, MIDDLE * zoom, 0.5 + y) @ points @ across.T
            unit = STEPS**2
        means = (sums * (FINE / unit)).round().flatten(1)  # whole numbers, and so is all that follows up to the root
        centred = self.dimension * means - means.sum(1, keepdim=True)
        length = centred.square().sum(1, keepdim=True).sqrt()
        return (centred / (length + CONTRAST * FINE * self.dimension)).float()


def block_weights(s: int, grid: int, side: float, middle: float) -> Tensor:
    """Weights (grid, s) by which `grid` blocks average s pixels: multiples of 1 / STEPS, times STEPS; each row sums up to STEPS.

    The blocks tile a window of `side`, about `middle`, both in units of all s pixels; what lies outside repeats the edge.
    """
    ends = (middle + side * (np.arange(grid + 1) / grid - 0.5)) * s
    places = np.arange(-s, 2 * s)
    share = np.minimum(ends[1:, None], places + 1) - np.maximum(ends[:-1, None], places)
    share = np.clip(share, 0, None)
    folded = np.zeros((grid, s))
    np.add.at(folded.T, places.clip(0, s - 1), share.T)
    # Cumulated, rounded and taken apart again, so that they sum up to STEPS.
    total = np.rint(STEPS * np.cumsum(folded, 1) / folded.sum(1, keepdims=True))
    return torch.from_numpy(np.diff(total, axis=1, prepend=0))
