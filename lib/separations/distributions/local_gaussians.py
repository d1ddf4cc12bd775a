"""A generative model of fixed capacity without a network: K local Gaussians fitted to n points."""

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_generator, check_points, check_whole, randn
from ..numerics.scale import peak, scaled, size_exponent, working


class LocalGaussians:
    """K groups of points by k-means; in each a Gaussian with the group's mean and covariance, cut to `rank` directions.

    With n = K every group is a single point and sampling returns training points; with more points a group, a sample is a
    random mix of the points of one group.

    Args:
        data: (n, *event_shape), in 16 bits taken as float32.
        K: number of groups.
        rank: directions that are kept, >= 0.
        seed: of k-means, below 2^32.

    Raises:
        ValueError: for fewer than K distinct points, groups that cannot be told apart in the dtype of the data, rank < 0.
    """

    def __init__(self, data: Tensor, K: int, rank: int, *, seed: int = 0):
        from sklearn.cluster import KMeans

        check_points(data, tuple(data.shape[1:]) if isinstance(data, Tensor) and data.ndim > 1 else ("d",), "data")
        if data[0].numel() == 0:
            raise ValueError(f"data has shape {tuple(data.shape)}: at least one value a point is needed")
        K, rank, seed = check_count(K, "K"), check_whole(rank, "rank", 0), check_whole(seed, "seed", 0, 2**32 - 1)
        data = data.detach().cpu().to(working(data.dtype))
        if K > (distinct := len(data.flatten(1).unique(dim=0))):
            raise ValueError(f"K = {K}: at most {distinct}, one component for each distinct point, are possible")
        self.event_shape, flat = tuple(data.shape[1:]), data.reshape(len(data), -1)
        exponent = size_exponent(peak(flat))  # of groups, 2^exponent being the unit: squares must not overflow
        small = scaled(flat.double(), -exponent).to(flat.dtype)
        group = KMeans(K, n_init=1, random_state=seed).fit(small.numpy()).labels_
        self.group = torch.from_numpy(group).long()  # (n,) component of each training point
        counts = torch.bincount(self.group, minlength=K)
        if not counts.all():
            raise ValueError(
                f"K = {K}: only {int((counts > 0).sum())} groups can be told apart in {flat.dtype}; take less"
            )
        found = [_mean_and_factor(small[self.group == k], rank) for k in range(K)]
        self.means, self.factors = (tuple(scaled(z.double(), exponent).to(z.dtype) for z in zs) for zs in zip(*found))
        self.weights = counts.double() / len(flat)

    @property
    def K(self) -> int:
        """Number of components."""
        return len(self.means)

    def sample(self, m: int, *, generator=None) -> Tensor:
        """m samples, (m, *event_shape)."""
        m, generator = check_count(m), check_generator(generator)
        weights = self.weights if generator is None else self.weights.to(generator.device)
        k = torch.multinomial(weights, m, replacement=True, generator=generator)
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
