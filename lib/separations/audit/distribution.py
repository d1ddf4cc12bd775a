"""Measures of two whole sets: does the generated set lie nearer to the training set than held-out data do, and is it as good and as varied?"""

import numpy as np
import torch
from scipy.stats import norm, rankdata

from ..metrics.features import Features
from ..metrics.neighbourhoods import density_coverage, precision_recall
from ..metrics.quality import frechet_distance, kernel_distance
from ..numerics.checks import check_count
from ..numerics.intervals import IntervalEstimate, wilson_interval
from ..numerics.seeds import seeded
from .record import interval

MOST = 1000  # points of a set in the measures that compare all pairs
PREDICTED = 4096  # points whose cell is found at a time
QUALITY = 20  # and the two after it: what a stream of random numbers is for
CELLS = 30  # of the training set, in C_T
LEAST_IN_CELL = 5  # points of either set, for a cell to count


def drawn(count: int, most: int, seed: int, purpose: int) -> np.ndarray:
    """At most so many of `count` rows, drawn at random, in rising order; seed and purpose as in `numerics.seeds.stream`."""
    return torch.randperm(count, generator=seeded(seed, purpose))[:most].sort().values.numpy()


def authenticity(distance: np.ndarray, own: np.ndarray, confidence: float) -> IntervalEstimate:
    """Share of samples that lie farther from their nearest training point than that lies from its own nearest other one.

    AuthPct of Alaa et al. (2022), with their notion of an authentic sample. 0 if all are copies; for fresh samples about one half.

    Args:
        distance: (m,) of each sample to its nearest training point.
        own: (m,) of that training point to the nearest other one.
        confidence: of Wilson's interval.
    """
    return wilson_interval(int((distance > own).sum()), len(distance), confidence)


def three_sample_test(
    samples: np.ndarray, held_out: np.ndarray, cells: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
) -> tuple[float, float, int]:
    """C_T of Meehan, Chaudhuri and Dasgupta (2020): are samples nearer to the training set than held-out points are?

    In each cell of the training set, z of the Mann-Whitney test of the samples' distances to the training set against those of held-out
    points; over cells, the mean weighted by the training points in them. Far below 0: copies; far above: the model underfits.

    Args:
        samples: (m,) distances of the samples to the training set.
        held_out: (m',) of held-out points.
        cells: cell of each sample (m,), of each held-out point (m',), and the share of training points in each cell (c,); None: one cell.

    Returns:
        C_T, its two-sided p-value by the normal law (cells are independent), and the number of cells that count.
    """
    if cells is None:
        cells = np.zeros(len(samples), int), np.zeros(len(held_out), int), np.ones(1)
    ours, theirs, share = cells
    z, weight = [], []
    for cell in range(len(share)):
        x, y = samples[ours == cell], held_out[theirs == cell]
        if min(len(x), len(y)) >= LEAST_IN_CELL:
            z.append(mann_whitney_z(x, y))
            weight.append(share[cell])
    if not z:
        return float("nan"), float("nan"), 0
    weight = np.array(weight) / np.sum(weight)
    statistic = float(weight @ np.array(z))
    return statistic, float(2 * norm.sf(abs(statistic) / np.linalg.norm(weight))), len(z)


def mann_whitney_z(x: np.ndarray, y: np.ndarray) -> float:
    """(U - m n / 2) / its standard deviation, corrected for ties; below 0 where x tends to be smaller; 0 where all are equal."""
    m, n = len(x), len(y)
    ranks = rankdata(np.concatenate([x, y]))
    u = ranks[:m].sum() - m * (m + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
    return float((u - m * n / 2) / variance**0.5) if variance > 0 else 0.0


def cells_of(
    train: np.ndarray, *others: np.ndarray, seed: int, most: int = 20_000
) -> tuple[list[np.ndarray], np.ndarray]:
    """The cell of each point of the other sets, and the share of training points in each cell: k-means of the training features.

    Args:
        train: (n, D) features, or bytes of images.
        others: (m, D) each, likewise.
        seed: of the first centres.
        most: training points that the cells are made from.
    """
    from sklearn.cluster import MiniBatchKMeans

    rows = np.unique(np.linspace(0, len(train) - 1, min(len(train), check_count(most, "most"))).astype(int))
    some = floats(train[rows])
    count = max(1, min(CELLS, len(some) // 20))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=1024).fit(some)
    share = np.bincount(means.predict(some), minlength=count) / len(some)
    cells = [
        [means.predict(floats(each[i : i + PREDICTED])) for i in range(0, len(each), PREDICTED)] for each in others
    ]
    return [np.concatenate(each) for each in cells], share


def floats(points: np.ndarray) -> np.ndarray:
    """Points in floating point, a copy: bytes of images are divided by 127.5."""
    return points.astype(np.float32) / np.float32(127.5) if points.dtype == np.uint8 else np.array(points)


def quality_measures(
    generated: np.ndarray,
    reference: np.ndarray,
    train: np.ndarray,
    name: str,
    words: str,
    *,
    seed: int,
    confidence: float,
) -> list[dict]:
    """Precision, recall, density, coverage, kernel and Fréchet distance of generated against reference points, and beside them those of
    training points against the same reference points: what a perfect model would get. All at equal counts.

    Args:
        generated, reference, train: (m, D) features of one extractor, or bytes of images.
        name: of the extractor.
        words: what the reference points are.
        seed: of what is drawn where a set is larger than needed.
        confidence: of the intervals.

    Returns:
        Rows of `report["distribution"]`; none where a set has fewer than 12 points.
    """
    count = min(MOST, len(generated), len(reference), len(train))
    if count < 12:
        return []
    sets = [Features(torch.from_numpy(floats(each[drawn(len(each), count, seed, QUALITY + i)])), name, said)
            for i, (each, said) in enumerate(((generated, "generated"), (reference, words), (train, "training")))]  # fmt: skip
    found = []
    for say, measure in MEASURES:
        ours, theirs = (measure(each, sets[1], confidence) for each in (sets[0], sets[2]))
        for a, b, said in zip(ours, theirs, say):
            found.append({"name": a.label.split(" (")[0], "label": f"{a.label}, {count} points each", "generated": interval(a),
                          "held_out": interval(b), "beside": f"training points against {words}", "words": said})  # fmt: skip
    ours, theirs = (frechet(each, sets[1], confidence) for each in (sets[0], sets[2]))
    free = [interval(2 * each.value - each.at_half) for each in (ours, theirs)]
    found.append({"name": "Fréchet distance, extrapolated", "label": f"twice {ours.label} minus its mean on halves: the bias of "
                  "first order in 1 / count is gone", "generated": free[0], "held_out": free[1],
                  "beside": f"training points against {words}", "words": "The same with most of its bias taken off."})  # fmt: skip
    return found


def frechet(samples: Features, reference: Features, confidence: float):
    """The Fréchet distance along at most 64 axes, fewer where there are few points."""
    axes = min(64, len(reference) // 2, reference.dimension)
    return frechet_distance(samples, reference, axes, confidence=confidence)


MEASURES = (
    (("Share of generated points that look like real ones.", "Share of real points that the model reaches."),
     lambda x, y, c: precision_recall(x, y, confidence=c)),
    (("As precision, less moved by outliers; 1 for equal laws.", "As recall, less moved by outliers."),
     lambda x, y, c: density_coverage(x, y, confidence=c)),
    (("Distance of the two laws, without bias; 0 for equal laws.",), lambda x, y, c: (kernel_distance(x, y, confidence=c),)),
    (("Distance of two normal laws with the moments of the sets; larger with fewer points.",),
     lambda x, y, c: (frechet(x, y, c),)),
)  # fmt: skip
