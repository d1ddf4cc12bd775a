"""Normalised cross-correlation of two points over shifts, zooms and mirror images, and over what both show."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LARGEST, LARGEST_SIGNAL = 32, 512  # pixels a side at which points are aligned; larger ones are averaged down to it
REACH = 6  # the most a point is moved by, as a divisor of the side
OVERLAP = 0.5  # least share of the training point that both show
ZOOMS = (0.76, 0.82, 0.88, 0.94, 1.0, 1.07, 1.14, 1.22, 1.31)  # of a sample, to lie on the training point
CONTRAST = 2.0  # grey levels: contrasts below this hardly count
SOFT = 36  # standard deviation of the blur that takes noise out of both, as a divisor of the side
SOFT_SIGNAL = 1.0  # the same for signals, in steps of the alignment
GREY_OF_SIGNAL = 1 / 16  # what one of the 2^11 steps of a signal counts, in grey levels
PLAIN = 1e-6  # what any alteration costs in correlation: of two that are equally good, the lesser one is named


@dataclass(frozen=True)
class Place:
    """How a sample lies on a training point.

    Attributes:
        mirrored: whether left and right are exchanged.
        zoom: how much larger the sample shows what the training point shows.
        down, right: how far it is moved, in units of the side.
        gain: contrast of the sample over that of the training point.
        plane: whether there is an up and down.
    """

    mirrored: bool
    zoom: float
    down: float
    right: float
    gain: float
    plane: bool = True

    def words(self, side: int) -> str:
        """What was done to the training point, "" for nothing; side: in pixels."""
        said = ["flipped"] if self.mirrored else []
        if abs(self.zoom - 1) > 0.02:
            said.append(f"{'enlarged' if self.zoom > 1 else 'reduced'} to {100 * self.zoom:.0f} %")
        down, right = round(self.down * side), round(self.right * side)
        if down or right:
            said.append(f"shifted by ({right}, {down})" if self.plane else f"shifted by {right}")
        if not 0.87 < self.gain < 1.15:
            said.append(f"contrast times {self.gain:.2g}")
        return ", ".join(said)


class Frame:
    """Alignment of points (c, h, w), h = w for images and h = 1 for signals: all that depends on their size alone, made once."""

    def __init__(self, size: tuple[int, int, int]):
        self.c, h, w = size
        self.signal = h == 1
        self.w = min(w, LARGEST_SIGNAL if self.signal else LARGEST)
        self.h = 1 if self.signal else self.w
        reach = self.w // REACH
        sides = [self.w] if self.signal else sorted({round(zoom * self.w) for zoom in ZOOMS})
        self.sides, self.mirrors = sides, (False,) if self.signal else (False, True)
        soft = SOFT_SIGNAL if self.signal else max(self.w / SOFT, 0.5)
        self.x = Axis(w, self.w, sides, reach, soft)
        self.y = Axis(1, 1, [1], 0, 0) if self.signal else self.x
        count = self.c * self.y.count[:, :, None] * self.x.count[:, None, :]
        self.allowed, self.count = count >= OVERLAP * self.c * self.h * self.w, count.clamp(min=1)
        moved = self.y.away[:, None] + self.x.away[None, :]
        zoomed = torch.tensor([abs(math.log(side / self.w)) for side in sides])
        cost = PLAIN * (moved + zoomed[:, None, None])
        self.cost = torch.stack([cost + PLAIN * mirror for mirror in self.mirrors])

    def align(self, point: Tensor, others: Tensor) -> tuple[np.ndarray, list[Place]]:
        """The best alignment of one sample with each of some training points.

        Args:
            point: (c, h, w) float64, in grey levels; a signal in steps, see `Aligned`.
            others: (k, c, h, w), likewise.

        Returns:
            Residuals 1 - max(correlation, 0)^2, (k,) float64, and the places.
        """
        q, t = (self._small(each) for each in (torch.stack([point, point.flip(-1)][: len(self.mirrors)]), others))
        of_q, of_t = self._window_moments(q), self._moments(t)
        mean = [each[0] / self.count for each in (of_q, of_t)]
        spread = [each[1] / self.count - m.square() for each, m in zip((of_q, of_t), mean)]
        covariance = self._products(q, t) / self.count - mean[0] * mean[1][:, None]
        spread = [each.clamp(min=0) + CONTRAST**2 for each in spread]
        correlation = (
            covariance / (spread[0] * spread[1][:, None]).sqrt()
        )  # (k, mirrors, zooms, lags down, lags across)
        judged = (correlation - self.cost).masked_fill(~self.allowed, -2.0)
        best = judged.flatten(1).argmax(1)
        found = correlation.flatten(1).gather(1, best[:, None])[:, 0].double().clamp(0, 1)
        gain = (spread[0] / spread[1][:, None]).sqrt().flatten(1).gather(1, best[:, None])[:, 0]
        places = [self._place(int(b), float(g)) for b, g in zip(best, gain)]
        return (1 - found.square()).numpy(), places

    def _small(self, points: Tensor) -> Tensor:
        """Points at the size of the alignment, softened, and without their means, float32."""
        points = self.y.soften @ points.float() @ self.x.soften.T
        if self.signal:
            points = points * GREY_OF_SIGNAL
        return points - points.mean((1, 2, 3), keepdim=True)

    def _window_moments(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of a sample (m, c, h, w), and of its squares, over what both show: (m, zooms, lags, lags)."""
        resized = self.y.resize @ q[:, :, None] @ self.x.resize.mT  # (m, c, zooms, h, w)
        inside = self.y.of_sample, self.x.of_sample.mT
        return tuple(inside[0] @ each.sum(1) @ inside[1] for each in (resized, resized.square()))

    def _moments(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The same of training points (k, c, h, w): (k, zooms, lags, lags)."""
        inside = self.y.of_other, self.x.of_other.mT
        return tuple(inside[0] @ each.sum(1)[:, None] @ inside[1] for each in (t, t.square()))

    def _products(self, q: Tensor, t: Tensor) -> Tensor:
        """Sums of products over what both show, (k, m, zooms, lags, lags), by the convolution theorem."""
        half = self.x.half
        wave_q = (
            self.y.wave @ q[:, :, None].to(torch.complex64) @ self.x.wave[:, :half].mT
        )  # (m, c, zooms, frequencies)
        wave_t = self.y.plain @ t.to(torch.complex64) @ self.x.plain[:half].mT
        product = sum(wave_q[None, :, i].conj() * wave_t[:, None, i, None] for i in range(self.c))
        down = self.y.back @ product
        return down.real @ self.x.back_half.real.mT - down.imag @ self.x.back_half.imag.mT

    def _place(self, best: int, gain: float) -> Place:
        mirror, side, down, right = np.unravel_index(best, self.cost.shape)
        moved = [axis.middle(int(side), int(lag)) / axis.size for axis, lag in ((self.y, down), (self.x, right))]
        return Place(bool(mirror), self.w / self.sides[side], -moved[0], -moved[1], gain, not self.signal)


class Axis:
    """One axis of a frame: samples of `full` pixels, averaged to `size` and softened, resized to each of `sides`, and laid on a training point.

    Lag l lays the first pixel at start + l, l = 0 .. 2 reach; at l = reach the middles lie on one another, up to half a pixel.
    """

    def __init__(self, full: int, size: int, sides: list[int], reach: int, soft: float):
        self.size, self.sides, self.reach = size, sides, reach
        self.soften = _resampling(full, size, soft)
        lags, widest = torch.arange(2 * reach + 1), max(sides)
        period = 1 if size == 1 else _fast(max(size, widest) + 2 * reach)
        self.start = [(size - side) // 2 - reach for side in sides]
        self.away = (lags - reach).abs() / size
        begin = torch.tensor(self.start)[:, None] + lags
        end = begin + torch.tensor(sides)[:, None]
        first, last = begin.clamp(min=0), end.clamp(max=size)
        self.count = (last - first).clamp(min=0)
        self.of_other, self.of_sample = _between(first, last, size), _between(first - begin, last - begin, widest)
        self.resize = torch.zeros(len(sides), widest, size, dtype=torch.float32)
        frequency = torch.arange(period, dtype=torch.float64)

        def waves(places: Tensor, sign: int = -1) -> Tensor:
            return torch.exp(sign * 2j * math.pi * frequency[:, None] * places.double() / period)

        wave = []
        for i, side in enumerate(sides):
            resize = _resampling(size, side, 0)
            self.resize[i, :side] = resize
            wave.append(waves(self.start[i] + torch.arange(side)) @ resize.to(torch.complex128))
        self.wave = torch.stack(wave).to(torch.complex64)  # (sides, frequencies, size)
        self.plain = waves(torch.arange(size)).to(torch.complex64)
        self.back = (waves(lags, 1).mT / period).to(torch.complex64)  # (lags, frequencies)
        self.half = period // 2 + 1
        twice = torch.full((self.half,), 2.0, dtype=torch.float32)
        twice[0] = 1
        if period % 2 == 0:
            twice[-1] = 1
        self.back_half = self.back[:, : self.half] * twice

    def middle(self, side: int, lag: int) -> float:
        """How far the middle of a sample lies from that of the training point, in pixels of the alignment."""
        return self.start[side] + lag + self.sides[side] / 2 - self.size / 2


def _between(first: Tensor, last: Tensor, size: int) -> Tensor:
    """1 where first <= place < last, (..., size) float32."""
    place = torch.arange(size)
    return ((place >= first[..., None]) & (place < last[..., None])).float()


def _resampling(size: int, side: int, soft: float) -> Tensor:
    """Weights (side, size) that resize one axis, rows of sum 1: linear between pixels, averaging where it gets smaller, and a blur of `soft`.

    A triangle of the width of the coarser pixels, as in resizing by Pillow, and a Gaussian in pixels of the result; the edge is repeated.
    """
    scale = size / side
    centre = (torch.arange(side, dtype=torch.float64) + 0.5) * scale - 0.5
    place = torch.arange(-size, 2 * size, dtype=torch.float64)
    away = (place - centre[:, None]).abs()
    weight = (1 - away / max(scale, 1)).clamp(min=0)
    weight = weight / weight.sum(1, keepdim=True)
    if soft:
        away = (torch.arange(side)[:, None] - torch.arange(-side, 2 * side)).double()
        blur = _folded(torch.exp(-0.5 * (away / soft) ** 2), side)
        return (blur / blur.sum(1, keepdim=True) @ _folded(weight, size)).float()
    return _folded(weight, size).float()


def _folded(weight: Tensor, size: int) -> Tensor:
    """Weights on -size .. 2 size - 1, those outside added to the edges."""
    inside = weight[:, size : 2 * size].clone()
    inside[:, 0] += weight[:, :size].sum(1)
    inside[:, -1] += weight[:, 2 * size :].sum(1)
    return inside


def _fast(least: int) -> int:
    """A period that is even."""
    return least + least % 2
