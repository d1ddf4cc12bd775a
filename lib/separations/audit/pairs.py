"""The pairs that a person looks at: each suspicious sample, the training point behind it, the second nearest, and their difference."""

import numpy as np

from .calibration import Calibrated
from .pictures import pair_pictures
from .sets import AuditSet


def make_pairs(
    sets: dict[str, AuditSet], scored: list, judged: dict[str, Calibrated], joint: Calibrated, best: np.ndarray, times: np.ndarray, listed: int
) -> list[dict]:  # fmt: skip
    """The `listed` samples with the least p-values, those that all detectors find nearer first.

    Args:
        sets: by role.
        scored: detectors with their scores of the generated samples.
        judged: by detector.
        joint: of all detectors together.
        best: (m,) the detector that says most against each sample.
        times: (n,) how often each training point is copied, see `duplicates.times_copied`.
        listed: how many.

    Returns:
        `pairs`, see `report`.
    """
    ranks = np.mean([each.generated.score.argsort(kind="stable").argsort(kind="stable") for each in scored], axis=0)
    order = np.lexsort((ranks, joint.p))[:listed]
    return [
        _pair(sets, scored, judged, joint, int(i), scored[best[i]], rank + 1, times) for rank, i in enumerate(order)
    ]


def _pair(sets, scored, judged, joint: Calibrated, i: int, by, rank: int, times: np.ndarray) -> dict:
    generated, train = sets["generated"], sets["train"]
    row, second = int(by.generated.row[i]), int(by.generated.second[i])
    sample, original, other = generated.values[i], train.values[row], train.values[second]
    return {
        "rank": rank, "sample": generated.labels[i], "train": train.labels[row], "second": train.labels[second],
        "p": float(joint.p[i]), "found": bool(joint.flagged[i]),
        "by": [each.name for each in scored if judged[each.name].flagged[i]], "how": by.generated.how[i],
        "scores": {each.name: float(each.generated.score[i]) for each in scored}, "sample_row": i, "train_row": row,
        "times": int(times[row]),
        "images": pair_pictures(sample, original, other) | _mirrored(sample, original, other, by.generated.how[i]),
    }  # fmt: skip


def _mirrored(sample: np.ndarray, original: np.ndarray, other: np.ndarray, how: str) -> dict:
    """The training image as it was found in the sample, and the difference to it, where it is its mirror image; else nothing."""
    if "flipped" not in how or original.ndim != 3:
        return {}
    found = pair_pictures(sample, np.ascontiguousarray(original[..., ::-1]), other)
    return {"aligned": found["train"], "difference": found["difference"]}
