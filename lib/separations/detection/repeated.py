"""Images that a model makes again and again: copies found among its samples, without its training set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import beta
from torch import Tensor

from ..numerics.checks import check_positive, check_real, check_rows, check_whole
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows

NEAREST, LEAST_SHARE = 20, 20  # the first neighbour that a distance is measured by, and m / the last one


@dataclass(frozen=True)
class Repeats:
    """Samples that lie closer together than those of a smooth law do.

    Attributes:
        p: p-value of each sample, (m,): how likely its `others` nearest samples would be so near, were the law smooth.
        found: p <= rate, (m,) bool.
        group: number of the group of each found sample, (m,) int64; -1 for those that are not found.
        dimension: intrinsic dimension at the scale of the first reference.
    """

    p: np.ndarray = field(repr=False)
    found: np.ndarray = field(repr=False)
    group: np.ndarray = field(repr=False)
    dimension: float

    @property
    def groups(self) -> int:
        """Images that are made again and again."""
        return len(np.unique(self.group[self.found]))


def repeats(
    samples: Tensor,
    others: int = 2,
    *,
    rate: float = 0.01,
    references: Sequence[int] | None = None,
    dimension: float | None = None,
) -> Repeats:
    """Generate and cluster, calibrated without training data: samples with `others` more samples far too near.

    Carlini et al. (2023) make many images and look for groups that are near to one another, by a threshold that was chosen on data.
    Here the threshold follows from the samples. Near a point of a smooth law the volumes of the balls out to the nearest samples are the
    arrivals of a Poisson process, so that with d_k the distance to the k-th nearest

        (d_j / d_k)^D  follows  Beta(j, k - j),     j = others,

    D the intrinsic dimension, whatever the density. A sample is found where this is too small to be chance at some reference k, its
    p-value times the number of references (Bonferroni). Groups join found samples to those within d_others. What is made fewer than
    others + 1 times cannot be found; what is made as often as the last reference cannot be told from a narrow mode.

    Args:
        samples: (m, *event_shape).
        others: j >= 1, samples that must lie near to one.
        rate: false alarms wanted, in (0, 0.5].
        references: k, each above others and below m; None: 20, 40, 80, ... up to m / 20, at least 20.
        dimension: D > 0; None: at each reference that at which the median over the samples of d_(k/2) / d_k is what it should be, which
            copies do not move as long as they are the lesser part.

    Returns:
        `Repeats`.

    Raises:
        ValueError: for counts in the wrong order, another rate or dimension, and samples of which half have k / 2 others at one distance.
    """
    flat = check_rows(samples, "samples").flatten(1)
    others, m = check_whole(others, "others", 1), len(flat)
    rate = check_real(rate, "rate", "a number in (0, 0.5]", low=0, high=0.5, open_low=True)
    if references is None:
        references = [NEAREST * 2**i for i in range(32) if i == 0 or NEAREST * 2**i * LEAST_SHARE <= m]
    if not isinstance(references, Iterable):
        raise ValueError(f"references = {references!r}: a list of whole numbers is needed")
    ks = sorted({check_whole(k, "references", others + 1, m - 1) for k in references})
    if not ks:
        raise ValueError("references is empty: at least one neighbour is needed")
    distance, index = nearest_distances(flat, Rows(flat), k=ks[-1] + 1)
    distance, index = distance.double().numpy()[:, 1:], index.numpy()[:, 1:]  # the nearest is the sample itself
    given = None if dimension is None else check_positive(dimension, "dimension")
    dimensions = [_dimension(distance[:, :k]) if given is None else given for k in ks]
    p = np.ones(m)
    for k, D in zip(ks, dimensions):
        ratio = distance[:, others - 1] / np.maximum(distance[:, k - 1], np.finfo(float).tiny)
        p = np.minimum(p, len(ks) * beta.cdf(ratio**D, others, k - others))
    found = p <= rate
    return Repeats(p, found, _grouped(index[:, :others], found), dimensions[0])


def _dimension(distance: np.ndarray) -> float:
    """D at which the median of (d_j / d_k)^D is that of Beta(j, k - j), with j = k / 2; distance (m, k)."""
    k = distance.shape[1]
    j = max(1, k // 2)
    ratio = np.median(distance[:, j - 1] / np.maximum(distance[:, -1], np.finfo(float).tiny)) if k > 1 else 0.0
    if not 0 < ratio < 1:
        raise ValueError(f"samples: half of them have {j} others at one place or distance; give the dimension")
    return float(np.log(beta.median(j, k - j)) / np.log(ratio))


def _grouped(index: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Connected groups of found samples, joined to their nearest ones."""
    m, j = index.shape
    rows, columns = np.repeat(np.arange(m), j), index.ravel()
    both = found[rows] & found[columns]
    links = coo_matrix((np.ones(both.sum()), (rows[both], columns[both])), shape=(m, m))
    group = connected_components(links, directed=False)[1]
    group = np.where(found, group, -1)
    group[found] = np.unique(group[found], return_inverse=True)[1]
    return group


def largest_clique(samples: Tensor, radius: float) -> np.ndarray:
    """Rows of a large set of samples that all lie within a radius of one another, found greedily from each sample in turn.

    A set that is merely connected may be a chain through a dense region; in a clique every pair is near (Carlini et al. 2023).
    The greedy answer is a clique, and the largest one where near pairs are nearly transitive.

    Args:
        samples: (m, *event_shape).
        radius: >= 0, in the unit of the samples.

    Returns:
        Row numbers in rising order, at least one.

    Raises:
        ValueError: for samples that are no finite points, and another radius.
    """
    flat = check_rows(samples, "samples").double().flatten(1)
    radius = check_real(radius, "radius", "a number >= 0", low=0)
    distance = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    near, best = distance <= radius, np.zeros(1, int)
    for first in np.argsort(-near.sum(1), kind="stable"):
        if near[first].sum() <= len(best):
            break
        clique, left = [first], near[first].copy()
        left[first] = False
        while left.any():
            rest = np.flatnonzero(left)
            chosen = rest[distance[first, rest].argmin()]
            clique.append(chosen)
            left &= near[chosen]
            left[chosen] = False
        if len(clique) > len(best):
            best = np.sort(np.array(clique))
    return best
