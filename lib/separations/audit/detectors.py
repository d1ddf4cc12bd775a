"""Detectors of copies: each gives a sample a score, small where it is near to a training point, and says which point that is.

A score means nothing by itself: `calibration` reads it against the scores of points that cannot be copies. So a detector has no threshold.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..metrics.extractors import Extractor
from ..metrics.memorization import row_groups, two_nearest_distinct
from ..numerics.rows import Rows, in_rows

RULE = 1 / 9  # of the squared distances: Yoon et al. (2023)
PLACES = 4  # places along a side at which parts are compared
TEXTURE = 0.25  # least standard deviation, in [-1, 1], of a part that says something
TEXTURE_OF_SIGNALS = 0.25  # the same, as a share of the standard deviation of all signals
AT_ONCE = 2048  # queries in floating point at a time


@dataclass(frozen=True)
class Found:
    """What a detector says of m samples.

    Attributes:
        score: (m,) float64, small where a sample is near to a training point.
        row: (m,) int64, the training point that it is nearest to.
        second: (m,) int64, the next one that differs from it.
        how: (m,) words on what was done to the training point, "" for nothing.
        distance: (m,) to that point, in the values or in features; None for a detector that measures no distance.
    """

    score: np.ndarray
    row: np.ndarray
    second: np.ndarray
    how: list[str] = field(repr=False)
    distance: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.score)


class Detector(Protocol):
    """values: as in `AuditSet`. own: (m,) rows of the training set, where the values are training points; each leaves out its own group."""

    name: str
    label: str
    unit: str

    def __call__(self, values: np.ndarray, own: np.ndarray | None = None) -> Found: ...


@dataclass(frozen=True)
class TrainingSet:
    """The training set as the detectors need it.

    Attributes:
        values: as in `AuditSet`.
        group: (n,) int64, equal for equal points.
    """

    values: np.ndarray = field(repr=False)
    group: Tensor = field(repr=False)

    @classmethod
    def of(cls, values: np.ndarray) -> "TrainingSet":
        """The set with equal points found."""
        return cls(values, row_groups(Rows(in_rows(values))))

    def own(self, rows: np.ndarray | None) -> Tensor | None:
        """Groups of training points."""
        return None if rows is None else self.group[torch.as_tensor(rows)]


def as_points(values: np.ndarray) -> Tensor:
    """Values as points (m, d), a copy in memory."""
    return torch.from_numpy(np.array(values).reshape(len(values), -1))


def _in_pieces(
    values: np.ndarray, own: Tensor | None, rows: Rows, group: Tensor, owner: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`two_nearest_distinct`, so many queries at a time."""
    found = [
        two_nearest_distinct(as_points(values[i : i + AT_ONCE]), rows, group, own=None if own is None else own[i : i + AT_ONCE], owner=owner)
        for i in range(0, len(values), AT_ONCE)
    ]  # fmt: skip
    return tuple(torch.cat(each).numpy() for each in zip(*found))


class InPixels:
    """d_1^2 / d_2^2, the squared distances to the nearest training point and to the next distinct one: the number in the 1/9 rule."""

    name, label, unit = "pixels", "pixels, place by place", "d1²/d2²"

    def __init__(self, train: TrainingSet, index: Path | None = None):
        self.train, self.rows = train, Rows(in_rows(train.values), index=index)
        if train.values.dtype != np.uint8:
            self.label = "values, place by place"

    def __call__(self, values: np.ndarray, own: np.ndarray | None = None) -> Found:
        distance, index = _in_pieces(values, self.train.own(own), self.rows, self.train.group)
        ratio = np.square(distance[:, 0] / np.maximum(distance[:, 1], np.finfo(float).tiny))
        return Found(ratio, index[:, 0], index[:, 1], [""] * len(values), distance[:, 0])


class InFeatures:
    """1 - cosine of the features of a sample and of the nearest training point.

    Args:
        train: the training set.
        features: (n, D) float32 of the training set, rows of length 1, as from `unit_features`.
        extractor: what made them; its name is that of the detector, unless it is the name of another detector.
    """

    unit = "1 - cosine"

    def __init__(self, train: TrainingSet, features: np.ndarray, extractor: Extractor):
        self.train, self.extractor, self.rows = train, extractor, Rows(features)
        taken = extractor.name in (InPixels.name, InParts.name, "aligned")
        self.name = f"{extractor.name} as features" if taken else extractor.name
        self.label = f"features of {extractor.name}"

    def __call__(self, values: np.ndarray, own: np.ndarray | None = None) -> Found:
        return self.search(unit_features(values, self.extractor), own)

    def search(self, features: np.ndarray, own: np.ndarray | None = None) -> Found:
        """The same for points whose features (m, D) are known."""
        queries = torch.from_numpy(np.array(features))
        distance, index = two_nearest_distinct(queries, self.rows, self.train.group, own=self.train.own(own))
        d1 = distance[:, 0].numpy()
        return Found(d1**2 / 2, index[:, 0].numpy(), index[:, 1].numpy(), [""] * len(features), d1)


def unit_features(values: np.ndarray, extractor: Extractor) -> np.ndarray:
    """Features of images, each divided by its length, (m, D) float32; a vector that is 0 stays so."""
    images = torch.from_numpy(np.array(values)).float().div_(127.5).sub_(1)
    found = extractor(images).float()
    return torch.nn.functional.normalize(found, dim=1).numpy()


class InParts:
    """Parts copied from one training image: the 1/9 rule on each of 4 x 4 parts against the same part of all training images.

    The score is the mean ratio of the textured parts that the rule calls copies of one training image, that from which most of them are, halved
    once for each of them; without any, the least ratio. A part without texture is a copy of any other such part, and is not looked at.
    """

    name, label, unit = "patches", "parts, place by place", "d1²/d2² · 2^-parts"

    def __init__(self, train: TrainingSet, parts: list[np.ndarray]):
        self.train, self.parts = train, [Rows(in_rows(part)) for part in parts]
        self.groups = [row_groups(rows) for rows in self.parts]
        self.usable = [int(group.max()) >= 2 for group in self.groups]
        self.texture = (
            TEXTURE * 127.5
            if train.values.dtype == np.uint8
            else TEXTURE_OF_SIGNALS * float(np.std(train.values[:4096]))
        )

    def __call__(self, values: np.ndarray, own: np.ndarray | None = None) -> Found:
        m = len(values)
        ratio, row, second = (
            np.ones((m, len(self.parts))),
            np.zeros((m, len(self.parts)), int),
            np.zeros((m, len(self.parts)), int),
        )
        for place, part in enumerate(cut(values)):
            textured = as_points(part).float().std(1).numpy() >= self.texture
            who = np.flatnonzero(textured) if self.usable[place] else np.empty(0, int)
            if not len(who):
                continue
            group, mine = self.groups[place], self.train.own(None if own is None else own[who])
            try:  # of training points only they themselves are left out: others with an equal part are as near as they are to fresh images
                distance, index = _in_pieces(part[who], mine, self.parts[place], group, self.train.group)
            except ValueError:  # fewer than three distinct parts at this place
                continue
            ratio[who, place] = np.square(distance[:, 0] / np.maximum(distance[:, 1], np.finfo(float).tiny))
            row[who, place], second[who, place] = index[:, 0], index[:, 1]
        return self._joined(ratio, row, second)

    def _joined(self, ratio: np.ndarray, row: np.ndarray, second: np.ndarray) -> Found:
        """From the ratios of the parts (m, p) to one score a sample."""
        m = len(ratio)
        score, chosen, next_one, how = ratio.min(1), np.zeros(m, int), np.zeros(m, int), [""] * m
        copied, group = ratio <= RULE, self.train.group.numpy()
        for i in range(m):
            places = np.flatnonzero(copied[i])
            best = int(ratio[i].argmin())
            if len(places):
                whole, counts = np.unique(group[row[i, places]], return_counts=True)
                places = places[group[row[i, places]] == whole[counts.argmax()]]
                best = int(places[ratio[i, places].argmin()])
                score[i] = ratio[i, places].mean() / 2.0 ** len(places)
                how[i] = f"{len(places)} of {ratio.shape[1]} parts"
            chosen[i], next_one[i] = row[i, best], second[i, best]
        return Found(score, chosen, next_one, how)


def cut(values: np.ndarray) -> list[np.ndarray]:
    """Parts that tile images (m, c, s, s), 4 x 4 of them, or signals (m, length), 4; what is left over at the far edges stays out."""
    step = max(1, values.shape[-1] // PLACES)
    places = [slice(i * step, (i + 1) * step) for i in range(min(PLACES, values.shape[-1]))]
    if values.ndim == 2:
        return [values[:, each] for each in places]
    return [values[:, :, up, left] for up in places for left in places]
