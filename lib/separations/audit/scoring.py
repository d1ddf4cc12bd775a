"""What the detectors of an audit say of its sets, kept by content: an audit that was killed asks nothing twice."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..files import sha256
from .aligned import Aligned
from .detectors import Detector, Found, InFeatures, InParts, InPixels, TrainingSet, cut, unit_features
from .distribution import drawn
from .extractors import open_extractor
from .sets import AuditSet
from .store import Store

MOST_REFERENCE = 2000  # training points that stand in for held-out ones, where there are none
REFERENCE = 10  # the stream of random numbers that draws them
AT_ONCE = 2**25  # numbers of the queries that are searched at a time
LEAST_SIDE = 16  # of images, or least length of signals, whose parts are compared


@dataclass(frozen=True)
class Scored:
    """A detector and what it says of the generated samples and of the reference points."""

    detector: Detector
    generated: Found
    reference: Found

    @property
    def name(self) -> str:
        """Of the detector."""
        return self.detector.name


@dataclass(frozen=True)
class Scoring:
    """The sets and settings of one audit, its detectors, and their scores; each is made when it is first asked for, and kept in the store."""

    sets: dict[str, AuditSet]
    store: Store
    features: tuple[str, ...]
    search: tuple[str, ...]
    rate: float
    confidence: float
    seed: int
    drop_equal: bool

    def check(self) -> None:
        """ValueError where the training points are too few, or the reference points for the rate."""
        distinct = int(self.train.group.max()) + 1
        if distinct < 3:
            raise ValueError(f"train has {len(self.sets['train'])} entries, {distinct} distinct: at least 3 are needed")
        have = len(self.sets["held_out"]) if "held_out" in self.sets else min(MOST_REFERENCE, len(self.sets["train"]))
        need = math.ceil(1 / self.rate - 1e-9) - 1
        if have < need:
            what = "held_out" if "held_out" in self.sets else "train, which stands in for held-out data,"
            raise ValueError(
                f"rate = {self.rate}: {what} has {have} points, {need} are needed; rate >= {math.ceil(1e6 / (have + 1)) / 1e6:g} is possible"
            )

    # -------------------------------------------------------------------------------------------------------- detectors
    @cached_property
    def train(self) -> TrainingSet:
        return TrainingSet.of(self.sets["train"].values)

    @cached_property
    def images(self) -> bool:
        return self.sets["train"].kind == "images"

    @cached_property
    def extractors(self) -> list:
        return [open_extractor(name) for name in self.features] if self.images else []

    def _detectors(self) -> list[Detector]:
        index = None
        if self.store.folder is not None:
            index = self.store.folder / f"rows-{self.sets['train'].digest[:24]}.safetensors"
        try:
            found = [InPixels(self.train, index)]
        except ValueError:  # what is kept of the rows is damaged: it is made anew
            if index is None or not index.is_file():
                raise
            index.unlink()
            found = [InPixels(self.train, index)]
        if "aligned" in self.search:
            found.append(Aligned(self.train.values, self.train.group.numpy(), keep=self._descriptors))
        found += [self._in_features(extractor) for extractor in self.extractors]
        if (
            "patches" in self.search
            and min(self.sets["train"].values.shape[-2:] if self.images else self.sets["train"].values.shape[-1:])
            >= LEAST_SIDE
        ):
            found.append(InParts(self.train, self._parts()))
        return found

    def _descriptors(self, count: int, dimension: int, make: Callable) -> np.ndarray:
        """What `Aligned` keeps of each distinct training point."""
        about = {"train": self.sets["train"].digest, "of": "aligned"}
        text = "describing the training set"
        return self.store.array(
            "descriptors", about, count, (dimension,), np.float32, lambda a, b: (make(a, b), []), text=text
        ).values

    def _parts(self) -> list[np.ndarray]:
        """The parts of all training points, place by place, kept as memory maps."""
        values, digest = self.sets["train"].values, self.sets["train"].digest
        parts = []
        for place, part in enumerate(cut(values[:1])):

            def produce(start: int, stop: int, place: int = place) -> tuple[np.ndarray, list]:
                return np.ascontiguousarray(cut(values[start:stop])[place]), []

            about = {"train": digest, "place": place}
            kept = self.store.array(
                "parts", about, len(values), part.shape[1:], values.dtype, produce, step=4096, text="cutting parts"
            )
            parts.append(kept.values)
        return parts

    def of(self, role: str, extractor) -> np.ndarray:
        """Unit features of a set, (n, D), kept by its content and the name of the extractor."""
        values, digest = self.sets[role].values, self.sets[role].digest

        def produce(start: int, stop: int) -> tuple[np.ndarray, list]:
            return unit_features(values[start:stop], extractor), []

        dimension = extractor.dimension or values[0].size
        about = {"set": digest, "extractor": extractor.name}
        text = f"features of {role} ({extractor.name})"
        return self.store.array(
            "features", about, len(values), (dimension,), np.float32, produce, step=256, text=text
        ).values

    def _in_features(self, extractor) -> InFeatures:
        return InFeatures(self.train, self.of("train", extractor), extractor)

    # ----------------------------------------------------------------------------------------------------------- scores
    @cached_property
    def detectors(self) -> list[Detector]:
        return self._detectors()

    @cached_property
    def scored(self) -> list[Scored]:
        """All detectors with their scores of the generated samples and of the reference points that count."""
        return [
            Scored(each, self.scores(each, "generated"), _taken(self._reference_scores(each), self.kept_reference))
            for each in self.detectors
        ]

    def _reference_scores(self, detector: Detector) -> Found:
        return (
            self.scores(detector, "held_out")
            if "held_out" in self.sets
            else self.scores(detector, "train", self.stand_ins)
        )

    @cached_property
    def stand_ins(self) -> np.ndarray:
        """Training points that stand in for held-out ones."""
        return drawn(len(self.sets["train"]), MOST_REFERENCE, self.seed, REFERENCE)

    @cached_property
    def kept_reference(self) -> np.ndarray:
        """Reference points that count, as row numbers: all of them, or those that are not equal to training points.

        A fresh sample may be equal to a training point where the source has duplicates, and then held-out points are as often: they count.
        """
        found = self._reference_scores(self.detectors[0])
        if "held_out" not in self.sets:
            return np.arange(len(found))
        different = np.flatnonzero(found.score > 0)
        need = math.ceil(1 / self.rate - 1e-9) - 1
        if not len(different) or (self.drop_equal and len(different) < need):
            raise ValueError(
                f"held_out = {self.sets['held_out'].name!r}: {len(found) - len(different)} of its {len(found)} points are equal to "
                f"training points, which leaves {len(different)}; points that were not trained on are needed, {need} for rate = {self.rate}"
            )
        return different if self.drop_equal else np.arange(len(found))

    @property
    def equal(self) -> int:
        """Held-out points that are equal to training points."""
        return int((self._reference_scores(self.detectors[0]).score <= 0).sum()) if "held_out" in self.sets else 0

    def scores(self, detector: Detector, role: str, own: np.ndarray | None = None) -> Found:
        """What a detector says of a set, or of some training points, kept by content."""
        values = self.sets[role].values
        rows = np.arange(len(values)) if own is None else own
        extractor = getattr(detector, "extractor", None)
        features = None if extractor is None else self.of(role, extractor)

        def produce(start: int, stop: int) -> tuple[np.ndarray, list]:
            some = rows[start:stop]
            mine = None if own is None else some
            found = detector(values[some], mine) if features is None else detector.search(features[some], mine)
            distance = np.full(len(found), np.nan) if found.distance is None else found.distance
            numbers = np.stack([found.score, found.row.astype(float), found.second.astype(float), distance], 1)
            return numbers, [[start + i, how] for i, how in enumerate(found.how) if how]

        about = {"set": self.sets[role].digest, "train": self.sets["train"].digest, "detector": detector.name,
                 "own": None if own is None else sha256(np.ascontiguousarray(own, dtype="<i8").tobytes())}  # fmt: skip
        step = int(np.clip(AT_ONCE // max(1, values[0].size), 64, 4096))
        text = f"{detector.name}: searching for {role}"
        kept = self.store.array("scores", about, len(rows), (4,), np.float64, produce, step=step, text=text)
        how = [""] * len(rows)
        for row, words in kept.notes:
            how[row] = words
        score, row, second, distance = np.array(kept.values).T
        return Found(score, row.astype(int), second.astype(int), how, distance)

    def matrix(self, which: str) -> np.ndarray:
        """Scores (m, J) of all detectors."""
        return np.stack([getattr(each, which).score for each in self.scored], 1)

    def primary(self) -> Scored:
        """The detector that measures distances: the first in features, else in pixels."""
        return next((each for each in self.scored if isinstance(each.detector, InFeatures)), self.scored[0])


def _taken(found: Found, rows: np.ndarray) -> Found:
    return Found(
        found.score[rows], found.row[rows], found.second[rows], [found.how[i] for i in rows], found.distance[rows]
    )
