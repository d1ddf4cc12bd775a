"""A generative model of fixed capacity without a network: K local Gaussians fitted to n points."""

import torch
from torch import Tensor

from .checks import check_count, check_points, randn


class LocalGaussians:
    """K groups of points by k-means; in each a Gaussian with the group's mean and covariance, cut to `rank` directions.

    With n = K every group is a single point and sampling returns training points; with more points a group, a sample is a
    random mix of the points of one group. data: (n, *event_shape) on the CPU. ValueError if there are fewer than K distinct
    points, or rank < 0.
    """

    def __init__(self, data: Tensor, K: int, rank: int, *, seed: int = 0):
        from sklearn.cluster import KMeans

        check_points(data, tuple(data.shape[1:]), "data"), check_count(K, "K")
        if not isinstance(rank, int) or rank < 0:
            raise ValueError(f"rank = {rank!r}: a whole number >= 0 is needed")
        if K > (distinct := len(data.flatten(1).unique(dim=0))):
            raise ValueError(f"K = {K}: at most {distinct}, one component for each distinct point, are possible")
        self.event_shape, flat = tuple(data.shape[1:]), data.reshape(len(data), -1)
        group = KMeans(K, n_init=1, random_state=seed).fit(flat.numpy()).labels_
        self.group = torch.from_numpy(group).long()  # (n,) component of each training point
        self.means, self.factors = zip(*[_mean_and_factor(flat[self.group == k], rank) for k in range(K)])
        self.weights = torch.bincount(self.group, minlength=K).double() / len(flat)

    @property
    def K(self) -> int:
        """Number of components."""
        return len(self.means)

    def sample(self, m: int, *, generator=None) -> Tensor:
        """m samples, (m, *event_shape)."""
        k = torch.multinomial(self.weights, check_count(m), replacement=True, generator=generator)
        out = torch.stack([self.means[i] for i in k.tolist()])
        for row, i in enumerate(k.tolist()):
            out[row] += randn((len(self.factors[i]),), out, generator) @ self.factors[i]
        return out.reshape(m, *self.event_shape)


def _mean_and_factor(points: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Mean (d,) and F (r, d) with F^T F the sample covariance of the points, cut to its r <= rank largest directions."""
    mean = points.mean(0)
    _, s, directions = torch.linalg.svd((points - mean) / max(1, len(points) - 1) ** 0.5, full_matrices=False)
    r = min(rank, len(points) - 1)
    return mean, s[:r, None] * directions[:r]
