"""Models of limited memory: laws that hold M of n training points, as they are or as the means of groups."""

import torch
from torch import Tensor

from ..distributions import Empirical, GaussianMixture
from ..numerics.checks import check_count, check_generator, check_real, check_shaped, check_whole
from ..schedules import Schedule


def partial_memory(
    data: Tensor, M: int, *, schedule: Schedule | None = None, generator: torch.Generator | None = None
) -> Empirical:
    """The empirical law of M of the n training points, drawn without replacement: what a memory of that size can hold.

    In image units it loses C (1 - M/n) d tau^2 to the full memory on the training points, tau^2 the variance within a mode and C between 1
    and 2 (Buchanan et al. 2025 take C = 1).

    Args:
        data: (n, *event_shape), floating point.
        M: points that are held, 1 to n; n is the empirical law itself.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.
        generator: of the choice; None for torch's own.

    Returns:
        `Empirical` of the points held, in the order of the data.

    Raises:
        ValueError: for data that are no finite floating-point points, and M outside 1 to n.
    """
    data = check_shaped(data, "data")
    M = check_whole(M, "M", 1, len(data))
    kept = torch.randperm(len(data), generator=check_generator(generator), device=_device(generator))[:M]
    return Empirical(data[kept.sort().values.to(data.device)], schedule=schedule)


def barycentres(
    data: Tensor, M: int, *, variance: float = 0.0, schedule: Schedule | None = None, seed: int = 0
) -> GaussianMixture:
    """A memory of M group means with one variance, sum_k n_k / n N(c_k, variance I): the groups of k-means and their shares.

    The model of Buchanan et al. (2025), there trained by gradient descent; here the means stand where k-means puts them.

    Args:
        data: (n, *event_shape), floating point.
        M: groups, from 1 to the number of distinct points; n distinct points with M = n and variance 0 are the empirical law.
        variance: of each component, >= 0, in the squared unit of the data.
        schedule: that the law owns; None for a law of OU() that follows another where one is given.
        seed: of k-means, below 2^32.

    Returns:
        `GaussianMixture` of M components in the dtype of the data.

    Raises:
        ValueError: for data that are no finite floating-point points, M outside its range, and a negative variance.
    """
    from sklearn.cluster import KMeans

    data = check_shaped(data, "data")
    variance = check_real(variance, "variance", "a number >= 0", low=0)
    seed, flat = check_whole(seed, "seed", 0, 2**32 - 1), data.detach().cpu().double().flatten(1)
    distinct = len(flat.unique(dim=0))
    M = check_whole(M, "M", 1, distinct)
    if M == distinct:
        _, group = flat.unique(dim=0, return_inverse=True)
    else:
        group = torch.from_numpy(KMeans(M, n_init=1, random_state=seed).fit(flat.numpy()).labels_).long()
    counts = torch.bincount(group, minlength=M).double()
    if not counts.all():
        raise ValueError(f"M = {M}: only {int((counts > 0).sum())} groups can be told apart; take less")
    means = torch.zeros(M, flat.shape[1], dtype=torch.float64).index_add_(0, group, flat) / counts[:, None]
    means = means.reshape(M, *data.shape[1:]).to(data)
    return GaussianMixture(means, variance, counts.to(data), schedule=schedule)


def _device(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def crossover_memory(
    n: int, log_snr: Tensor, variance: float, *, weight: Tensor | None = None, C: float = 1.0
) -> float:
    """The number of points M* at which a memory costs as much training loss as the truth (Buchanan et al. 2025).

    M* = n (1 - E[w / (psi tau^2 + 1)] / (C E[w])), psi the signal-to-noise ratio, the means over training's noise levels with the weight
    w of the loss in image units. Both sides hold where a noisy point tells which training point it comes from.

    Args:
        n: training points.
        log_snr: levels at which training looks, (T,), equally often.
        variance: tau^2 > 0 within a mode, in the squared unit of the data.
        weight: w >= 0 of the image loss at each level, (T,); None for 1.
        C: what a forgotten point costs in units of d tau^2, > 0.

    Returns:
        M*, below 0 where the truth is always cheaper.

    Raises:
        ValueError: for shapes that do not fit, and numbers outside their ranges.
    """
    n = check_count(n, "n")
    tau2 = check_real(variance, "variance", "a positive number", low=0, open_low=True)
    C = check_real(C, "C", "a positive number", low=0, open_low=True)
    levels = torch.as_tensor(log_snr, dtype=torch.float64).reshape(-1)
    w = torch.ones_like(levels) if weight is None else torch.as_tensor(weight, dtype=torch.float64).reshape(-1)
    if (
        w.shape != levels.shape
        or not len(levels)
        or not levels.isfinite().all()
        or not (w >= 0).all()
        or not w.sum() > 0
    ):
        raise ValueError(f"log_snr, weight have shapes {tuple(levels.shape)}, {tuple(w.shape)}: one finite level and one weight >= 0 each, "
                         "not all 0, are needed")  # fmt: skip
    return float(n * (1 - (w / (levels.exp() * tau2 + 1)).sum() / (C * w.sum())))
