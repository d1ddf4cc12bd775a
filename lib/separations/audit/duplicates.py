"""Who is copied: duplicates inside the training set, and how often each training point is copied."""

import numpy as np
from scipy.stats import binomtest

from ..numerics.intervals import wilson_interval
from .detectors import TrainingSet
from .record import interval

TOP = 20  # training points listed


def duplicates(train: TrainingSet, near: np.ndarray | None, asked: int, confidence: float) -> dict:
    """Equal points in the training set, and the share of points with a near twin.

    Args:
        train: the training set.
        near: (asked,) bool, for points drawn from it: whether the nearest other one passes the threshold of copies; None: not asked.
        asked: how many were drawn.
        confidence: of the interval.

    Returns:
        `report["duplicates"]`.
    """
    sizes = np.bincount(train.group.numpy())
    several = sizes[sizes > 1]
    words = f"{int(several.sum())} of {len(train.values)} training points stand there more than once, as {len(several)} different ones"
    share = None if near is None else interval(wilson_interval(int(near.sum()), asked, confidence))
    if share:
        words += (
            f"; of {asked} drawn at random, {share['value']:.1%} have another one, not equal, that is as near as a copy"
        )
    return {"exact_groups": len(several), "exact_copies": int((several - 1).sum()), "near": share, "words": words}


def times_copied(train: TrainingSet, rows: np.ndarray) -> np.ndarray:
    """How often each training point, or an equal one, is copied, (n,); rows: (f,) training points that samples are copies of."""
    group = train.group.numpy()
    return np.bincount(group[rows], minlength=int(group.max()) + 1)[group]


def copied(train: TrainingSet, rows: np.ndarray, labels: list[str], confidence: float) -> dict:
    """How often each training point is copied, and whether those that stand in the set several times are copied more.

    Args:
        train: the training set.
        rows: (f,) training points that samples were found to be copies of.
        labels: of the training points.
        confidence: of the intervals.

    Returns:
        `report["copied"]`. The comparison is one of counts: if each copy fell on a row of the training set with equal chance, those of duplicated
        points would be a share of them equal to these rows' share of the set (exact binomial test).
    """
    group = train.group.numpy()
    sizes = np.bincount(group)
    times = np.bincount(group[rows], minlength=len(sizes)) if len(rows) else np.zeros(len(sizes), int)
    first = np.unique(group, return_index=True)[1]
    order = np.argsort(-times, kind="stable")[:TOP]
    listed = [
        {"train": labels[int(first[g])], "times": int(times[g]), "duplicates": int(sizes[g])} for g in order if times[g]
    ]
    several = sizes > 1
    found = {"rows": listed, "distinct": int((times > 0).sum()), "duplicated": None, "single": None}
    if not len(rows):
        return found | {"words": "no sample was found to be a copy, so no training point is listed"}
    words = f"{len(rows)} samples were found to be copies, of {found['distinct']} different training points"
    if several.any() and not several.all():
        for key, which in (("duplicated", several), ("single", ~several)):
            found[key] = interval(wilson_interval(int((times[which] > 0).sum()), int(which.sum()), confidence))
        share, observed = float(sizes[several].sum() / sizes.sum()), int(times[several].sum())
        p = binomtest(observed, len(rows), share).pvalue
        words += (
            f"; {observed} of them fall on points that stand in the set more than once, which are {share:.1%} of the set "
            f"(by chance {share * len(rows):.1f} would, p = {p:.2g})"
        )
    return found | {"words": words}
