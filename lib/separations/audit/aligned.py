"""Copies in pixels that are mirrored, moved, cropped, enlarged, or brighter: the detector "aligned".

Two steps. *Candidates*: block means of the middle of each training image, mean removed and of length 1, so that brightness and contrast drop
out; a sample is asked for in many versions, one for each mirror image, shift and zoom, by an exact search. Seen in the middle alone, a
moved image shows the same as the training image, whatever came in at its edge. *Alignment*: for the best candidates, the normalised
cross-correlation (Lewis 1995) over all shifts, zooms and mirror images, over what both images show.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..numerics.nearest_rows import nearest
from ..numerics.rows import Rows
from .alignment import Frame, Place
from .alterations import check_bytes, check_signals
from .block_means import Descriptor
from .detectors import Found

CANDIDATES = 8  # distinct training points aligned with each sample
EACH = 4  # of them that one version of the sample may name
ASKED = 8192  # samples searched for at a time
NUMBERS = 2**22  # of the points read at a time
SIGNAL_STEPS = 2.0**11  # to which the largest value of a signal is rounded


@dataclass(frozen=True)
class Alignments(Found):
    """What `Aligned` says of m samples, and where it found them.

    Attributes:
        residual: (m,) float64 in [0, 1], 1 - correlation^2 with the training point, aligned.
        places: (m,) the alignments.
    """

    residual: np.ndarray | None = field(default=None, repr=False)
    places: list[Place] = field(default_factory=list, repr=False)


class Aligned:
    """Residual after the best alignment with a training point, relative to that of other candidates.

    The residual is 1 - correlation^2 over what both show, after a mirror image, a shift by up to a sixth of the side, and a zoom from 0.75 to 1.33,
    whichever is best; gain and offset are fitted. Correlations below 0 count as 0, and contrasts below about two grey levels hardly count, so
    that a flat image, which correlates with nothing, has the residual 1. The score is that residual over the median one of the other
    candidates: smooth images are near to many others, a copy is near to one (or to a few, where the training set has near-duplicates).
    Signals: shifts by up to a sixth of the length, and a positive gain.

    A sample's score depends on nothing but the sample and the training set.

    Args:
        train: uint8 (n, c, s, s), c = 1 or 3, s >= 8, or signals float32 (n, length), length >= 16; may be a memory map.
        group: (n,) whole numbers, equal for equal points; None: found by their bytes.
        keep: (count, dimension, produce) -> the rows float32 (count, dimension) that produce(start, stop) gives piece by piece, kept in a
            file, say; None: in memory.

    Raises:
        ValueError: for another training set, or one of fewer than two distinct points.
    """

    name, label, unit = "aligned", "pixels, aligned", "relative residual"

    def __init__(
        self,
        train: np.ndarray,
        group: np.ndarray | Tensor | None = None,
        *,
        keep: Callable[[int, int, Callable], np.ndarray] | None = None,
    ):
        self.train, self.shape = _checked(train, "train"), train.shape[1:]
        self.images = train.ndim == 4
        if not self.images:
            self.label = "values, aligned"
        size = train.shape[1:] if self.images else (1, 1, train.shape[1])
        self.descriptor, self.frame = Descriptor(size), Frame(size)
        self.step = max(1, NUMBERS // train[0].size)
        self.group = _digests(train) if group is None else _checked_group(group, len(train))
        self.row_of = np.unique(self.group, return_index=True)[1]  # first row of each group
        self.row_of.sort()
        if len(self.row_of) < 2:
            raise ValueError(f"train has {len(train)} points, {len(self.row_of)} distinct: at least 2 are needed")
        self.rows = Rows(self._described(keep))

    @classmethod
    def of(cls, train: np.ndarray, **options) -> "Aligned":
        """The detector of a training set; options as in `Aligned`."""
        return cls(train, **options)

    def _described(self, keep: Callable | None) -> np.ndarray:
        """Descriptors of the distinct training points, in the order of `row_of`."""

        def produce(start: int, stop: int) -> np.ndarray:
            return self.descriptor(self._points(self.train[self.row_of[start:stop]])).numpy()

        count, dimension = len(self.row_of), self.descriptor.dimension
        if keep is not None:
            return keep(count, dimension, produce)
        return np.concatenate([produce(i, min(i + self.step, count)) for i in range(0, count, self.step)])

    def _points(self, values: np.ndarray) -> Tensor:
        """Points as whole numbers (m, c, h, w) float64: bytes; signals without their mean, from -2^11 to 2^11."""
        if self.images:
            return torch.from_numpy(np.array(values)).double()
        x = values.astype(np.float64)
        x -= x.mean(1, keepdims=True)
        peak = np.abs(x).max(1, keepdims=True)
        return torch.from_numpy(np.rint(x * (SIGNAL_STEPS / np.where(peak > 0, peak, 1))))[:, None, None, :]

    @torch.no_grad()
    def __call__(self, values: np.ndarray, own: np.ndarray | None = None) -> Alignments:
        """The nearest training point of each sample.

        Args:
            values: (m, ...) as the training points.
            own: (m,) rows of the training set, where the values are training points themselves: equal points are left out.

        Returns:
            `Alignments`.

        Raises:
            ValueError: for other values.
        """
        _checked(values, "values")
        if values.shape[1:] != self.shape:
            raise ValueError(
                f"values has shape {values.shape}: (m, {', '.join(map(str, self.shape))}), as the training set, is needed"
            )
        mine = None if own is None else _position(self.row_of, self.group, own, len(values))
        if len(self.row_of) < 2 + (own is not None):
            raise ValueError(
                f"train has {len(self.row_of)} distinct points: at least 3 are needed where one is left out"
            )
        found = []
        for i in range(0, len(values), ASKED):
            some = values[i : i + ASKED]
            named = self._candidates(some, None if mine is None else mine[i : i + ASKED])
            found += [self._aligned(self._points(value[None])[0], rows) for value, rows in zip(some, named)]
        score, row, second, residual, places = zip(*found)
        how = [place.words(self.shape[-1]) for place in places]
        return Alignments(
            np.array(score), np.array(row), np.array(second), how, residual=np.array(residual), places=list(places)
        )

    def _candidates(self, values: np.ndarray, mine: np.ndarray | None) -> list[np.ndarray]:
        """Positions among the distinct training points, of each sample, those nearest in any version first."""
        each = min(EACH + (mine is not None), len(self.row_of))
        parts = [
            list(self.descriptor.versions(self._points(values[i : i + self.step])))
            for i in range(0, len(values), self.step)
        ]
        distance, index = zip(*(nearest(torch.cat(version), self.rows, each) for version in zip(*parts)))
        distance, index = torch.cat(distance, 1).numpy(), torch.cat(index, 1).numpy()
        named = []
        for i, (near, which) in enumerate(zip(distance, index)):
            which = which[np.lexsort((which, near))]
            if mine is not None:
                which = which[which != mine[i]]
            first = np.sort(np.unique(which, return_index=True)[1])
            named.append(which[first[:CANDIDATES]])
        return named

    def _aligned(self, point: Tensor, named: np.ndarray) -> tuple[float, int, int, float, Place]:
        """Score, row, second row, residual and place of one sample among its candidates."""
        rows = self.row_of[named]
        residual, places = self.frame.align(point, self._points(self.train[rows]))
        order = np.lexsort((rows, residual))
        best = order[0]
        score = float(residual[best] / max(np.median(residual[order[1:]]), 1e-12)) if len(order) > 1 else 1.0
        return score, int(rows[best]), int(rows[order[1]]), float(residual[best]), places[best]


def _checked(values: object, name: str) -> np.ndarray:
    if isinstance(values, np.ndarray) and values.dtype == np.float32:
        return check_signals(values, name)
    return check_bytes(values, name)


def _checked_group(group: object, n: int) -> np.ndarray:
    group = np.asarray(group)
    if group.shape != (n,) or group.dtype.kind not in "iu":
        raise ValueError(f"group is {group.dtype} of shape {group.shape}: whole numbers ({n},) are needed")
    return group


def _digests(train: np.ndarray) -> np.ndarray:
    """A number for each point, equal for equal ones, (n,)."""
    digests = [
        hashlib.blake2b(np.ascontiguousarray(point) + point.dtype.type(0), digest_size=16).digest() for point in train
    ]
    return np.unique(np.frombuffer(b"".join(digests), "S16"), return_inverse=True)[1].reshape(-1)


def _position(row_of: np.ndarray, group: np.ndarray, own: np.ndarray, m: int) -> np.ndarray:
    """Positions among the distinct points of training points by row."""
    own = np.asarray(own)
    if own.shape != (m,) or own.dtype.kind not in "iu" or own.min() < 0 or own.max() >= len(group):
        raise ValueError(
            f"own is {own.dtype} of shape {own.shape}: rows of the training set, ({m},) from 0 to {len(group) - 1}, are needed"
        )
    names = group[row_of]
    order = np.argsort(names)
    return order[np.searchsorted(names[order], group[own])]
