"""The same samples before several judges: who says copy, and how far they agree."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ..audit.calibration import Calibrated, calibrate, check_rate
from ..audit.detectors import InFeatures, TrainingSet
from ..audit.extractors import open_extractor
from ..metrics import memorization_ratio
from ..metrics.extractors import Extractor
from ..metrics.memorization import row_groups, two_nearest_distinct
from ..numerics.checks import check_points, check_rows, check_whole, shown
from ..numerics.intervals import IntervalEstimate, bootstrap_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows
from .likelihood import likelihood_gaps

NEIGHBOURS = 20  # training points whose mean distance calibrates an L2 distance
WITHOUT_FEATURES = ("1/9", "calibrated L2", "authenticity", "likelihood gap")  # judges that are always there


def cohen_kappa(one, other, *, confidence: float = 0.95, resamples: int = 2000) -> IntervalEstimate | None:
    """(p_o - p_e) / (1 - p_e): agreement of two judges beyond that of two who say yes as often, but at random (Cohen 1960).

    Args:
        one, other: what they say of the same samples, (m,) booleans.
        confidence: of the percentile bootstrap over the samples, in (0, 1).
        resamples: of the bootstrap.

    Returns:
        An `IntervalEstimate` in [-1, 1], 1 for equal judges; None where both say the same of every sample, so that nothing can be told.

    Raises:
        ValueError: for other shapes or kinds.
    """
    a, b = (_labels(each, name) for each, name in ((one, "one"), (other, "other")))
    if len(a) != len(b):
        raise ValueError(f"other has {len(b)} labels: {len(a)}, as one, are needed")
    if len(torch.cat([a, b]).unique()) < 2:
        return None

    def kappa(rows: Tensor) -> Tensor:
        x, y = a[rows].double(), b[rows].double()
        p, q = x.mean(1), y.mean(1)
        chance = p * q + (1 - p) * (1 - q)
        return ((x == y).double().mean(1) - chance) / (1 - chance)  # NaN where a resample has one label only: left out

    return bootstrap_interval(kappa, len(a), confidence=confidence, resamples=resamples)


def _labels(values, name: str) -> Tensor:
    try:
        found = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} = {shown(values)}: booleans (m,), m >= 1, are needed") from error
    if found.dtype != torch.bool or found.ndim != 1 or not len(found):
        raise ValueError(f"{name} is {found.dtype} of shape {tuple(found.shape)}: booleans (m,), m >= 1, are needed")
    return found.cpu()


def agreement_table(
    said: Mapping[str, object], *, confidence: float = 0.95
) -> dict[tuple[str, str], IntervalEstimate | None]:
    """`cohen_kappa` of every pair of judges.

    Args:
        said: by judge, (m,) booleans on the same samples.
        confidence: of the intervals, in (0, 1).

    Returns:
        By pair of names, in the order of `said`.

    Raises:
        ValueError: for fewer than two judges, and as `cohen_kappa`.
    """
    if not isinstance(said, Mapping):
        raise ValueError(f"said is {type(said).__name__}: a mapping from names of judges to booleans is needed")
    if len(said) < 2:
        raise ValueError(f"said has {len(said)} judges: at least two are needed")
    return {(a, b): cohen_kappa(said[a], said[b], confidence=confidence) for a, b in combinations(said, 2)}


def judged(
    samples: Tensor,
    train: Tensor,
    held_out: Tensor,
    *,
    rate: float = 0.05,
    extractors: Mapping[str, Extractor | str] | None = None,
    neighbours: int = NEIGHBOURS,
) -> dict[str, np.ndarray]:
    """What several judges say of the same samples: is it a copy of a training point?

    "1/9": d1^2 <= d2^2 / 9 (Yoon et al. 2023), a fixed threshold. "calibrated L2": d1 over the mean distance to the nearest `neighbours` training
    points (after Carlini et al. 2023). "authenticity": nearer to its training point than that is to the others (Alaa et al. 2022), a fixed
    threshold. "likelihood gap": `likelihood_gaps`. Then a name an extractor: 1 - cosine to the nearest training point in its features.
    Judges without a fixed threshold flag what is less usual than all but a share `rate` of held-out points (`audit.calibration`).

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape), n > neighbours.
        held_out: (k, *event_shape) of the same law, at least 1 / rate of them; half of them stand against the training set in the
            likelihood gap, the other half calibrate it.
        rate: false alarms wanted, in (0, 0.5].
        extractors: of features of images, by the name of the judge. A word is opened by `audit.open_extractor`: "sscd" where its package is
            installed, a TorchScript file, or an architecture with a file of weights that the reader has; nothing is downloaded.
        neighbours: training points whose mean distance is the unit of an L2 distance.

    Returns:
        By judge, (m,) bool.

    Raises:
        ValueError: for points of different shape, too few of them, another rate, an extractor under the name of another judge, and one that
            is not installed.
        FileNotFoundError: for the file of an extractor that is not there.
    """
    rate, train = check_rate(rate), check_rows(train, "train")
    shape = tuple(train.shape[1:])
    samples, held_out = (
        check_points(x, shape, name).detach() for x, name in ((samples, "samples"), (held_out, "held_out"))
    )
    opened = _opened(extractors)
    neighbours = check_whole(neighbours, "neighbours", 2, len(train) - 1)
    said = {"1/9": memorization_ratio(samples, train).memorized.numpy()}
    ratios = [_calibrated_distance(x, train, neighbours) for x in (samples, held_out)]
    said["calibrated L2"] = calibrate(*ratios, rate).flagged
    said["authenticity"] = ~authentic(samples, train)
    half = len(held_out) // 2
    gaps = [-likelihood_gaps(x, train, held_out[:half]) for x in (samples, held_out[half:])]
    said["likelihood gap"] = calibrate(np.exp(gaps[0]), np.exp(gaps[1]), rate).flagged
    for name, extractor in opened.items():
        said[name] = _by_features(samples, train, held_out, extractor, rate).flagged
    return said


def _opened(extractors: Mapping[str, Extractor | str] | None) -> dict[str, Extractor]:
    """The extractors, those that are given by a word opened, before anything is computed."""
    if extractors is not None and not isinstance(extractors, Mapping):
        raise ValueError(
            f"extractors is {type(extractors).__name__}: a mapping from names of judges to extractors is needed"
        )
    found = {}
    for name, each in (extractors or {}).items():
        if name in WITHOUT_FEATURES:
            raise ValueError(f"extractors has {name!r}: a name that is none of {', '.join(WITHOUT_FEATURES)} is needed")
        found[name] = open_extractor(each) if isinstance(each, str) else each
        if not callable(found[name]):
            raise ValueError(
                f"extractors[{name!r}] is {type(each).__name__}: an extractor, or the name of one, is needed"
            )
    return found


def _calibrated_distance(x: Tensor, train: Tensor, neighbours: int) -> np.ndarray:
    """d1 / mean of d1 .. d_neighbours, (m,)."""
    distance = nearest_distances(x.flatten(1), Rows(train.flatten(1)), k=neighbours)[0].double().numpy()
    return distance[:, 0] / np.maximum(distance.mean(1), np.finfo(float).tiny)


def authentic(samples: Tensor, train: Tensor) -> np.ndarray:
    """Samples that lie farther from their nearest training point than that does from the next distinct one (Alaa et al. 2022).

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape), at least three distinct points.

    Returns:
        (m,) bool.

    Raises:
        ValueError: for points of different shape.
    """
    train = check_rows(train, "train")
    samples = check_points(samples, tuple(train.shape[1:]), "samples").detach()
    rows = Rows(train.flatten(1))
    group = row_groups(rows)
    distance, index = two_nearest_distinct(samples.flatten(1), rows, group)
    own = two_nearest_distinct(train.flatten(1), rows, group, own=group)[0][:, 0]
    return (distance[:, 0] > own[index[:, 0]]).numpy()


def _by_features(samples: Tensor, train: Tensor, held_out: Tensor, extractor: Extractor, rate: float) -> Calibrated:
    """1 - cosine to the nearest training point in the features of images in [-1, 1], held-out ones for the threshold."""
    unit = [
        torch.nn.functional.normalize(extractor(x.float()).float(), dim=1).numpy() for x in (samples, train, held_out)
    ]
    group = row_groups(Rows(train.flatten(1)))
    detector = InFeatures(TrainingSet(train.float().numpy(), group), unit[1], extractor)
    return calibrate(detector.search(unit[0]).score, detector.search(unit[2]).score, rate)
