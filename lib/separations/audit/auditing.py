"""The audit: three sets in, one record of what was found out. `report` writes it, `command` is its command line."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..machine import cores, threads_in_use, versions
from ..metrics.baselines import chance_level
from ..networks.denoiser import Denoiser
from ..numerics import seeds
from ..numerics.checks import check_whole
from ..numerics.intervals import IntervalEstimate, check_confidence, wilson_interval
from ..version import __version__
from . import distribution
from .alterations import ALTERATIONS, ALTERATIONS_OF_SIGNALS, PARTIAL, WORDS
from .calibration import Calibrated, calibrate, check_rate, most_unusual
from .detectors import RULE
from .distribution import drawn
from .duplicates import copied, duplicates, times_copied
from .model import examine_model
from .open_model import open_model
from .pairs import make_pairs
from .record import interval, number
from .scoring import Scored, Scoring
from .sets import AuditSet, read_sets
from .store import Store
from .verdict import verdict

FORMAT = "separations audit 1"
MOST_AUTHENTIC = 2000  # points of either set that are asked for their authenticity
MOST_TWINS = 1000  # training points that are asked for a near twin
PLANTED, TWINS, MODEL, AUTHENTIC, ALTERED = range(11, 16)  # what a stream of random numbers is for
BINS = 40
UNALTERED = "unaltered"
SEARCHES = ("pixels", "aligned", "patches")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        report: plain values, as they stand in report.json.
        pairs: the samples nearest to a training point with it, worst first, as they stand in pairs.csv, with their images.
        p: (m,) joint p-value of each generated sample.
        flagged: (m,) bool, whether it is called a copy.
    """

    report: dict = field(repr=False)
    pairs: list[dict] = field(repr=False)
    p: np.ndarray = field(repr=False)
    flagged: np.ndarray = field(repr=False)

    @property
    def verdict(self) -> str:
        """The verdict in a word or two."""
        return self.report["verdict"]["word"]

    @property
    def copies(self) -> IntervalEstimate:
        """Share of generated samples that are copies, beyond the false alarms."""
        given = self.report["joint"]["excess"]
        return IntervalEstimate(given["value"], given["low"], given["high"], self.report["setting"]["confidence"])


def audit(
    generated: object,
    train: object,
    held_out: object = None,
    *,
    features: Sequence[str] = ("efficientnet-lite0",),
    search: Sequence[str] = SEARCHES,
    size: int | None = None,
    rate: float = 0.01,
    confidence: float = 0.95,
    model: object = None,
    planted: int = 200,
    listed: int = 100,
    fail_above: float | None = None,
    drop_equal: bool = False,
    seed: int = 0,
    cache: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Audit:
    """Does the generated set copy the training set, which samples, of what, and more than chance gives?

    Args:
        generated, train, held_out: sets, each a path, the name of a data set, or a tensor or array, see `sources.open_source`. held_out: from
            where the training set comes, but not trained on; None: training points, each against the others, stand in for it.
        features: names or files of extractors, see `extractors.open_extractor`; none for signals, and `()` for pixels alone.
        search: which of "pixels", "aligned", "patches" to search in; "pixels" is always among them. "aligned" takes most of the time.
        size: pixels a side at which all images are compared; None: that of the smallest, at most 64.
        rate: share of fresh images that may be called copies by mistake, in (0, 0.5].
        confidence: of all intervals.
        model: what generated the samples, if it is there, see `open_model`; None: the samples alone are judged.
        planted: training images altered in each way to see what this audit would have found; 0: none.
        listed: pairs kept, worst first.
        fail_above: a share of copies; `report["failed"]` says whether the lower end of the interval lies above it.
        drop_equal: whether held-out points that are equal to training points are left out. Only where they got there by mistake: if the source
            has duplicates, fresh images are equal to training images as often.
        seed: of what is drawn.
        cache: folder in which decoded images, features and scores are kept, so that a killed audit goes on; None: memory.
        progress: told (text, done, total).

    Returns:
        `Audit`.

    Raises:
        ValueError: for bad input, naming the argument or file.
        FileNotFoundError: for a path that is not there.
    """
    begin, confidence, rate, seed = (
        time.monotonic(),
        check_confidence(confidence),
        check_rate(rate),
        seeds.check_seed(seed),
    )
    planted, listed = check_whole(planted, "planted", 0, 10_000), check_whole(listed, "listed", 1, 10_000)
    if fail_above is not None and not (isinstance(fail_above, int | float) and 0 <= fail_above < 1):
        raise ValueError(f"fail_above = {fail_above!r}: a share of copies in [0, 1) is needed")
    if isinstance(search, str) or not set(search) <= set(SEARCHES):
        raise ValueError(f"search = {search!r}: some of {', '.join(SEARCHES)} are needed")
    store = Store(cache, progress=progress)
    if model is not None:
        model, size = _opened(model, size)
    sets, resize = read_sets(generated, train, held_out, size=size, store=store)
    work = _Work(sets, store, tuple(features), tuple(search), rate, confidence, seed, drop_equal, planted)
    work.check()
    shared = "held_out" not in sets
    judged = {
        each.name: calibrate(each.generated.score, each.reference.score, rate, confidence=confidence, shared=shared)
        for each in work.scored
    }
    joint = calibrate(work.matrix("generated"), work.matrix("reference"), rate, confidence=confidence, shared=shared)
    best = most_unusual(work.matrix("generated"), work.matrix("reference"))
    rows = np.array([work.scored[b].generated.row[i] for i, b in enumerate(best)])
    report = {
        "format": FORMAT, "version": __version__, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "sets": {role: sets[role].words() if role in sets else None for role in ("generated", "train", "held_out")},
        "setting": work.setting(resize), "reference": work.reference_words(), "ratio": work.ratio(judged),
        "detectors": [work.detector_words(each, judged[each.name]) for each in work.scored],
        "joint": _three(joint), "power": work.power(),
        "duplicates": duplicates(work.train, *work.twins(judged), confidence),
        "copied": copied(work.train, rows[joint.flagged], sets["train"].labels, confidence),
    }  # fmt: skip
    report["distribution"], report["quality"] = work.distribution(joint)
    report["model"] = None if model is None else _examined(model, sets, store, confidence, seed)
    report["fail_above"] = fail_above
    report["failed"] = fail_above is not None and report["joint"]["excess"]["low"] > fail_above
    report["verdict"] = verdict(report)
    report["machine"] = {"cores": cores(), "threads": threads_in_use(), "versions": versions()}
    report["seconds"] = round(time.monotonic() - begin, 1)
    pairs = make_pairs(sets, work.scored, judged, joint, best, times_copied(work.train, rows[joint.flagged]), listed)
    return Audit(report, pairs, joint.p, joint.flagged)


def _three(judged: Calibrated) -> dict:
    return {name: interval(getattr(judged, name)) for name in ("found", "false_alarms", "excess")}


def _opened(model: object, size: int | None) -> tuple[object, int]:
    """The model as a function, and the side of its images."""
    if not callable(model) or isinstance(model, Denoiser):
        model = open_model(model)
    shape = getattr(model, "event_shape", None)
    if shape is not None and len(shape) == 3:
        if size is not None and size != shape[-1]:
            raise ValueError(f"size = {size}: the model makes images of {shape[-1]} pixels, leave size out")
        size = shape[-1]
    return model, size


def _examined(model: object, sets: dict[str, AuditSet], store: Store, confidence: float, seed: int) -> dict:
    if "held_out" not in sets:
        return {"words": ["the model was not examined: that needs held-out data"]}
    values = [sets[role].values for role in ("train", "held_out", "generated")]
    generator = seeds.seeded(seed, MODEL)
    return examine_model(
        model,
        *values,
        confidence=confidence,
        generator=generator,
        progress=lambda k, n: store.progress("the model", k, n),
    )


@dataclass(frozen=True)
class _Work(Scoring):
    """What is said in the report, from the scores.

    planted: training points altered in each way.
    """

    planted: int

    def setting(self, resize: str) -> dict:
        shape = self.sets["train"].values.shape
        return {
            "size": shape[-1], "channels": shape[1] if self.images else None, "rate": self.rate, "confidence": self.confidence,
            "seed": self.seed, "resized": resize, "features": [each.name for each in self.extractors], "planted": self.planted,
            "drop_equal": self.drop_equal,
        }  # fmt: skip

    def reference_words(self) -> dict:
        m = len(self.kept_reference)
        if "held_out" not in self.sets:
            words = (f"no held-out set was given: {m} training points, each compared with all others that are not equal to it, stand in for it; where the training set "
                     "has near-duplicates this hides copies")  # fmt: skip
            return {"kind": "training, leave-one-out", "m": m, "words": words}
        words, equal = f"{m} held-out points", self.equal
        if equal and self.drop_equal:
            words += f"; {equal} more are equal to training points, and are left out as trained on"
        elif equal:
            words += (
                f"; {equal} of them are equal to training points: the source has duplicates, and such a copy is then no evidence, or "
                "these were trained on, and are to be left out (drop_equal)"
            )
        return {"kind": "held-out", "m": m, "words": words} | ({"equal": equal} if equal else {})

    def ratio(self, judged: dict[str, Calibrated]) -> dict:
        """The 1/9 rule to the letter, beside what it says of reference points, and of chance."""
        first = self.scored[0]
        ours, theirs = (wilson_interval(int((each.score <= RULE).sum()), len(each), self.confidence)
                        for each in (first.generated, first.reference))  # fmt: skip
        rates = -np.log(np.maximum(first.reference.score, 1e-300)).sum() / 2
        dimension = (len(first.reference) - 1) / rates if rates > 0 else math.nan
        return {
            "threshold": RULE, "generated": interval(ours), "held_out": interval(theirs), "excess": interval(ours.minus(theirs)),
            "chance": number(chance_level(dimension)) if math.isfinite(dimension) else None, "dimension": number(dimension),
        }  # fmt: skip

    def detector_words(self, scored: Scored, judged: Calibrated) -> dict:
        ours, theirs = scored.generated.score, scored.reference.score
        low, high = np.quantile(np.concatenate([ours, theirs]), [0, 0.995])
        edges = np.linspace(low, max(high, low + 1e-12), BINS + 1)
        counts = {role: (np.histogram(np.minimum(each, edges[-1]), edges)[0] / len(each)).tolist()
                  for role, each in (("generated", ours), ("reference", theirs))}  # fmt: skip
        threshold = judged.threshold
        return {
            "name": scored.name, "label": scored.detector.label, **_three(judged), "threshold": number(threshold.value),
            "threshold_low": number(threshold.low), "threshold_high": number(threshold.high), "unit": scored.detector.unit,
            "histogram": {"edges": edges.tolist(), **counts},
        }  # fmt: skip

    def power(self) -> list[dict]:
        """Share of altered training points that this audit finds, alteration by alteration."""
        count = min(self.planted, len(self.sets["train"]))
        if not count:
            return []
        rows = drawn(len(self.sets["train"]), count, self.seed, PLANTED)
        originals = np.array(self.sets["train"].values[rows])
        alterations = ALTERATIONS if self.images else ALTERATIONS_OF_SIGNALS
        generator = seeds.seeded(self.seed, ALTERED)
        found = []
        for number_, (name, alter) in enumerate({UNALTERED: None, **alterations}.items()):
            self.store.progress("power: altered training points", number_, len(alterations) + 1)
            altered = originals if alter is None else alter(originals, generator)
            said = [each.detector(altered) for each in self.scored]
            judged = [calibrate(f.score, each.reference.score, self.rate) for f, each in zip(said, self.scored)]
            joint = calibrate(np.stack([f.score for f in said], 1), self.matrix("reference"), self.rate)
            group = self.train.group.numpy()
            sources = [group[rows], group[np.roll(rows, -1)]] if name == PARTIAL else [group[rows]]  # that one has two
            right = [
                c.flagged & np.any([group[f.row] == each for each in sources], axis=0) for f, c in zip(said, judged)
            ]
            shares = {each.name: interval(self._share(ok)) for each, ok in zip(self.scored, right)}
            words = "the training point itself" if alter is None else WORDS[name]
            found.append(
                {
                    "alteration": name,
                    "words": words,
                    "m": count,
                    "joint": interval(self._share(joint.flagged)),
                    "detectors": shares,
                }
            )
        return found

    def _share(self, flags: np.ndarray) -> IntervalEstimate:
        return wilson_interval(int(flags.sum()), len(flags), self.confidence)

    def twins(self, judged: dict[str, Calibrated]) -> tuple[np.ndarray | None, int]:
        """Training points drawn at random: whether the nearest other one passes as a copy; and how many."""
        if "held_out" not in self.sets:
            return None, 0
        rows = drawn(len(self.sets["train"]), MOST_TWINS, self.seed, TWINS)
        primary = self.primary()
        found = self.scores(primary.detector, "train", rows)
        return found.score < judged[primary.name].threshold.value, len(rows)

    def distribution(self, joint: Calibrated) -> tuple[list[dict], dict | None]:
        """Measures of the whole sets, and quality beside copying."""
        primary, confidence = self.primary(), self.confidence
        ours, theirs = primary.generated, primary.reference
        some = [drawn(len(each), MOST_AUTHENTIC, self.seed, AUTHENTIC) for each in (ours, theirs)]
        matched = np.unique(np.concatenate([each.row[rows] for each, rows in zip((ours, theirs), some)]))
        own = self.scores(primary.detector, "train", matched)
        reach = dict(zip(matched.tolist(), own.distance))
        shares = [distribution.authenticity(each.distance[rows], np.array([reach[r] for r in each.row[rows].tolist()]), confidence)
                  for each, rows in zip((ours, theirs), some)]  # fmt: skip
        beside = "held-out points" if "held_out" in self.sets else "training points, each against the others"
        rows = [{"name": "Authenticity", "label": f"share of authentic samples ({primary.name})", "generated": interval(shares[0]),
                 "held_out": interval(shares[1]), "beside": beside,
                 "words": "Samples farther from their nearest training point than that one is from its own nearest other."}]  # fmt: skip
        extractor = getattr(primary.detector, "extractor", None)
        flat = (lambda role: self.of(role, extractor)) if extractor else self._flat
        rows.append(self._three_sample(primary.name, ours.distance, theirs.distance, flat, beside))
        if "held_out" not in self.sets:
            return rows, None
        sets = [flat(role) for role in ("generated", "held_out", "train")]
        name = extractor.name if extractor else "pixels" if self.images else "values"
        more = distribution.quality_measures(*sets, name, "held-out points", seed=self.seed, confidence=confidence)
        return rows + more, _quality(more, joint)

    def _flat(self, role: str) -> np.ndarray:
        """The values of a set, (n, D), as they are: bytes of images, so that no copy of a large set is made."""
        values = self.sets[role].values
        return values.reshape(len(values), -1)

    def _three_sample(self, name: str, ours: np.ndarray, theirs: np.ndarray, flat, beside: str) -> dict:
        cells = None
        if "held_out" in self.sets:
            (a, b), share = distribution.cells_of(
                flat("train"), flat("generated"), flat("held_out")[self.kept_reference], seed=self.seed
            )
            cells = a, b, share
        statistic, p, count = distribution.three_sample_test(ours, theirs, cells)
        words = "Below 0: generated points lie nearer to the training set than " + beside + " do."
        return {"name": "C_T", "label": f"three-sample test ({name}, {count} cells), p = {p:.2g}", "generated": interval(statistic),
                "held_out": interval(0.0), "beside": "no difference", "words": words}  # fmt: skip


def _quality(rows: list[dict], joint: Calibrated) -> dict | None:
    """Kernel distance beside the share of copies, with held-out points as reference."""
    kernel = next((row for row in rows if row["name"] == "kernel distance"), None)
    if kernel is None:
        return None
    none = {"value": 0.0, "low": 0.0, "high": 0.0}
    return {
        "x": kernel["label"] + " to held-out points", "y": "share of copies",
        "points": [
            {"name": "generated", "x": kernel["generated"], "y": interval(joint.found)},
            {"name": "held-out points", "x": none, "y": interval(joint.false_alarms)},
            {"name": "training points", "x": kernel["held_out"], "y": {"value": 1.0, "low": 1.0, "high": 1.0}},
        ],
    }  # fmt: skip
