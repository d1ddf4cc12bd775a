"""Control variates for the loss gap, and the check that training set and truth fit."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..distributions.gaussian_mixture import GaussianMixture
from ..numerics.checks import check_model
from ..schedules import Schedule

MAX_KEPT = 2**27  # numbers of the training set of which a centred copy is kept


def as_empirical(data, truth: Diffused, allow_singular: bool = False) -> Empirical:
    """The training set as `Empirical`, if it fits the truth and the truth has a density. Raises ValueError otherwise."""
    check_model(truth, "score", name="truth")
    empirical = data if isinstance(data, Empirical) else Empirical(data)
    if tuple(empirical.event_shape) != tuple(truth.event_shape):
        raise ValueError(
            f"data has points of shape {tuple(empirical.event_shape)}, truth of shape {tuple(truth.event_shape)}: "
            "the same shape is needed"
        )
    if isinstance(truth, GaussianMixture) and not allow_singular and (singular := truth.covariance.singular).any():
        component = int(singular.nonzero()[0])
        raise ValueError(
            f"truth has a singular covariance (component {component}): positive variances are needed, or allow_singular=True"
        )
    return empirical


@dataclass
class KnownPosterior:
    """|| -z/sigma - s_k(X) ||^2, the Fisher side if the training point and its component k were known: a control variate.

    s_k is the score of one Gaussian, so the term is quadratic in z and in x_i - mu_k: its mean is known over the noise and over all n
    training points. In principal axes it is sum_j (-z_j/sigma + (alpha c_ij + sigma z_j) / v_j)^2, c_i = U_k^T (x_i - mu_k).
    """

    labels: Tensor  # (n,) likeliest component of each point
    centred: Tensor  # (n, d), c_i
    second: Tensor  # (K, d), mean square of c over the points of a component
    shares: Tensor  # (K,)
    truth: GaussianMixture
    schedule: Schedule

    @classmethod
    def of(cls, empirical: Empirical, truth: Diffused, schedule: Schedule) -> "KnownPosterior | None":
        """None where the truth is not a Gaussian mixture, or the data are too many to keep a copy of."""
        if not isinstance(truth, GaussianMixture) or empirical.n * empirical.d > MAX_KEPT:
            return None
        rows, t = empirical.rows, 0.0
        if truth.covariance.singular.any():
            t = float(schedule.time_from_log_snr(12.0))
        home, dtype = rows.squared_norms.device, torch.as_tensor(empirical.data[:1]).dtype
        labels, centred, axes = [], [], truth.covariance.to(home, dtype)
        for _, block in rows.blocks(home, dtype):
            points = block.reshape(-1, *empirical.event_shape)
            k = truth.responsibilities(points, t, schedule=schedule).argmax(1)
            labels.append(k), centred.append(axes.to_axes(block - truth.means.to(block)[k], k))
        labels, centred = torch.cat(labels), torch.cat(centred)
        counts = torch.bincount(labels, minlength=truth.K).double()
        second = torch.zeros(truth.K, empirical.d, dtype=torch.float64, device=home)
        second = second.index_add(0, labels, centred.double().square()) / counts.clamp(min=1)[:, None]
        return cls(labels, centred, second, counts / len(labels), truth, schedule)

    def _coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a, b of (a z + b c): a = -1/sigma + sigma/v, b = alpha/v; (..., K, d) float64, for t of shape (...)."""
        alpha, sigma = (f(t)[..., None] for f in (self.schedule.alpha, self.schedule.sigma))
        signal = alpha**2 * self.truth.covariance.to("cpu", torch.float64).expand(self.truth.K)
        v = (signal + sigma**2).eigenvalues
        return -signal.eigenvalues / (sigma[..., None] * v), alpha[..., None] / v

    def terms(self, index: Tensor, z: Tensor, times: Tensor) -> Tensor:
        """(T, copies, m) for training points `index` (m,) and noise z (copies, m, d)."""
        k = self.labels[index.to(self.labels.device)]
        noise, centred = self.truth.covariance.to(z).to_axes(z, k), self.centred[index.to(self.labels.device)]
        a, b = (c.to(z)[:, k] for c in self._coefficients(times))  # (T, m, d)
        return (a[:, None] * noise + b[:, None] * centred).square().sum(-1)

    def mean(self, t: Tensor) -> Tensor:
        """Mean over the noise and all training points, float64, without dimensions."""
        a, b = self._coefficients(t.cpu())
        per_component = (a**2 + b**2 * self.second.cpu()).sum(-1)
        return (per_component * self.shares.cpu()).sum(-1)


@dataclass(frozen=True)
class NoiseLength:
    """||z||^2 / sigma^2, mean d / sigma^2 for every truth: at small t nearly all the scatter of the gap is the length of the noise.

    Args:
        d: dimension of the data.
        schedule: what noise at time t means.
    """

    d: int
    schedule: Schedule

    def terms(self, index: Tensor, z: Tensor, times: Tensor) -> Tensor:
        """(T, copies, m) for noise z (copies, m, d)."""
        return z.square().sum(-1) / self.schedule.sigma(times).to(z)[:, None, None] ** 2

    def mean(self, t: Tensor) -> Tensor:
        """Mean over the noise, float64, without dimensions."""
        return self.d / self.schedule.sigma(t.cpu()) ** 2


def control_for(empirical: Empirical, truth: Diffused, schedule: Schedule) -> "KnownPosterior | NoiseLength":
    """The best control there is: `KnownPosterior` for a Gaussian mixture, `NoiseLength` for any other truth."""
    return KnownPosterior.of(empirical, truth, schedule) or NoiseLength(empirical.d, schedule)
