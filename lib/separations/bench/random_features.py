"""Training without training: the gradient flow of a random-feature score at one noise level, solved in the eigenvectors of its features.

A score s_A(x) = A phi(W x / sqrt(d)) / sqrt(p) with W frozen, p features and n training points in d dimensions (Bonnaire et al. 2025). Its
training loss (1/d) E |sqrt(Delta) s_A(x) + xi|^2 is a quadratic function of A, so that gradient flow from 0 is

    A(tau) / sqrt(p) = -V^T U^-1 (1 - exp(-2 Delta U tau / psi_p)) / sqrt(Delta)

with U the covariance of the features (p, p), V their covariance with the noise (p, d), psi_p = p/d, psi_n = n/d and tau the number of steps times
their size over d^2. Here U and V are those of the Gaussian equivalent: infinitely many draws of noise for each training point,

    U = G G^T / n + b^2 W W^T / d + s^2 I,   G = a m W X / sqrt(d) + v Omega,   V = b W / sqrt(d),

with constants of phi under x = m X + sqrt(Delta) xi, m^2 + Delta = 1, and standard normal data. This p x p eigenproblem is all: losses at every tau,
where the score copies, and what of the spectrum each belongs to. For psi_p > psi_n > 1 the spectrum has three parts:

    a delta     (1 - (1 + psi_n) / psi_p) of the mass at s^2: no training point and no direction of the data is seen there;
    a near bulk psi_n / psi_p of it in s^2 + v^2 (1 -+ sqrt(psi_p / psi_n))^2: what tells the training points apart, learned last;
    a far bulk  1 / psi_p of it near (a^2 m^2 + b^2) (sqrt(psi_p) -+ 1)^2 + s^2 + v^2: the law of the data, learned first. With n points in
                place of infinitely many it is wider: a^2 m^2 is multiplied by at most (1 -+ 1 / sqrt(psi_n))^2.

Clock: the level is given as a log-SNR, log(m^2 / Delta); the authors' time t has m = exp(-t), that is half of the time of `schedules.OU`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_count, check_generator, check_memory, check_real, randn, shown

NODES = 80  # of Gauss and Hermite in each of two directions
SAME = 1e-6  # distance to s^2, relative, below which an eigenvalue belongs to the delta


@dataclass(frozen=True)
class FeatureConstants:
    """Moments of phi(Y), Y = m u + sqrt(Delta) w with u, w standard normal.

    Attributes:
        a: E[u phi] / m: how much of the data a feature holds.
        b: E[w phi]: how much of the noise.
        v2: variance of E[phi | u] beyond its part linear in u: what differs from one training point to another.
        s2: what is left, E[phi^2] - a^2 m^2 - b^2 - v2.
        signal2: m^2.
        noise2: Delta.
    """

    a: float
    b: float
    v2: float
    s2: float
    signal2: float
    noise2: float

    @property
    def linear2(self) -> float:
        """a^2 m^2 + b^2: the square of the linear part of phi under N(0, 1)."""
        return self.a**2 * self.signal2 + self.b**2


def feature_constants(log_snr: float, phi: Callable[[Tensor], Tensor] = torch.tanh) -> FeatureConstants:
    """The moments by Gauss and Hermite with 80 nodes in each direction.

    Args:
        log_snr: log of m^2 / Delta, with m^2 + Delta = 1.
        phi: the nonlinearity, elementwise on float64, odd and smooth: the mean of phi is left out of the theory.

    Returns:
        `FeatureConstants`.

    Raises:
        ValueError: for a level that is not finite, and for a phi whose mean is not 0.
    """
    level = check_real(log_snr, "log_snr")
    if not callable(phi):
        raise ValueError(f"phi = {shown(phi)}: a function of a tensor is needed")
    signal2, noise2 = 1 / (1 + math.exp(-level)), 1 / (1 + math.exp(level))
    x, w = (torch.from_numpy(array) for array in np.polynomial.hermite_e.hermegauss(NODES))
    w = w / w.sum()
    m, noise = math.sqrt(signal2), math.sqrt(noise2)
    values = phi(m * x[:, None] + noise * x)  # (u, w)
    given = values @ w  # E[phi | u]
    if abs(mean := float(w @ given)) > 1e-8:
        raise ValueError(f"phi has the mean {mean:.2g} under N(0, 1): an odd function, as torch.tanh, is needed")
    with_data, b = float(w @ (given * x)), float(w @ values @ (w * x))  # E[u phi] = a m
    v2 = float(w @ given.square()) - with_data**2
    s2 = float(w @ values.square() @ w) - with_data**2 - b**2 - v2
    return FeatureConstants(with_data / m, b, max(v2, 0.0), max(s2, 0.0), signal2, noise2)


@dataclass(frozen=True)
class SpectrumParts:
    """The three parts of the spectrum, as predicted and as found.

    Attributes:
        delta_mass: predicted share of eigenvalues at s^2.
        delta_found: share of eigenvalues there.
        bulk: predicted ends of the near bulk, that of the training points.
        bulk_found: least and largest of the n eigenvalues that follow the delta, but for the d largest.
        far: between which the bulk of the population is predicted to lie.
        far_found: least and largest of the d largest eigenvalues.
    """

    delta_mass: float
    delta_found: float
    bulk: tuple[float, float]
    bulk_found: tuple[float, float]
    far: tuple[float, float]
    far_found: tuple[float, float]


@dataclass(frozen=True)
class CopyingTimes:
    """When a score begins to copy, by three definitions, and when it has learned the law; in units of tau.

    Attributes:
        edge: psi_p / (Delta lambda_-), lambda_- the lower end of the bulk of the training points: closed form; infinite for psi_p = psi_n.
        half: half of the final difference of test and training loss is there.
        threshold: this difference reaches a fixed number; infinite where it never does.
        best: the test loss is least.
        learned: the training loss has fallen half of the way from its start to the least test loss.
    """

    edge: float
    half: float
    threshold: float
    best: float
    learned: float


class RandomFeatures:
    """The random-feature score of n standard normal points, solved: its spectrum and its losses at every training time.

    Args:
        d: dimension.
        p: features.
        n: training points.
        log_snr: of the one noise level.
        phi: the nonlinearity, see `feature_constants`.
        generator: of the frozen weights and the points; None for torch's own.

    Raises:
        ValueError: for counts below 1, more features than memory holds, and as `feature_constants`.
    """

    def __init__(
        self,
        d: int,
        p: int,
        n: int,
        log_snr: float,
        *,
        phi: Callable[[Tensor], Tensor] = torch.tanh,
        generator: torch.Generator | None = None,
    ):
        self.d, self.p, self.n = check_count(d, "d"), check_count(p, "p"), check_count(n, "n")
        check_memory(6 * self.p**2 + 2 * self.p * self.n, torch.float64, f"p = {self.p}, n = {self.n}")
        self.constants = c = feature_constants(log_snr, phi)
        like, generator = torch.empty(0, dtype=torch.float64), check_generator(generator)
        W, X = randn((self.p, self.d), like, generator), randn((self.d, self.n), like, generator)
        omega = randn((self.p, self.n), like, generator)
        G = math.sqrt(c.signal2) * c.a * (W @ X) / math.sqrt(self.d) + math.sqrt(c.v2) * omega
        population = W @ W.T / self.d
        eye = torch.eye(self.p, dtype=torch.float64)
        self.eigenvalues, Q = torch.linalg.eigh(G @ G.T / self.n + c.b**2 * population + c.s2 * eye)  # (p,)
        self._noise = (c.b * W / math.sqrt(self.d)).T @ Q  # V^T Q, (d, p)
        # The features of a fresh point: a^2 m^2 and v^2 in place of the sample's.
        self._test = Q.T @ (c.linear2 * population + (c.s2 + c.v2) * eye) @ Q

    @property
    def psi_p(self) -> float:
        """p / d."""
        return self.p / self.d

    @property
    def psi_n(self) -> float:
        """n / d."""
        return self.n / self.d

    def spectrum(self) -> SpectrumParts:
        """The delta and both bulks, predicted and found; the predictions are for psi_p > psi_n > 1."""
        c, found = self.constants, self.eigenvalues
        ratio, root = math.sqrt(self.psi_p / self.psi_n), math.sqrt(self.psi_p)
        bulk = tuple(c.s2 + c.v2 * (1 + sign * ratio) ** 2 for sign in (-1, 1))
        data = c.a**2 * c.signal2
        low, high = ((data * (1 + sign / math.sqrt(self.psi_n)) ** 2 + c.b**2) * (root + sign) ** 2 for sign in (-1, 1))
        far = (low + c.s2, high + c.s2 + bulk[1])
        first = max(self.p - self.n - self.d, 0)
        middle = found[first : max(self.p - self.d, first + 1)]
        at_delta = float(((found - c.s2).abs() <= SAME * max(c.s2, c.v2)).double().mean())
        last = found[-min(self.d, self.p) :]
        return SpectrumParts(
            max(0.0, 1 - (1 + self.psi_n) / self.psi_p), at_delta, bulk, (float(middle[0]), float(middle[-1])), far,
            (float(last[0]), float(last[-1])),
        )  # fmt: skip

    def losses(self, tau) -> tuple[Tensor, Tensor]:
        """Training and test loss (1/d) E |sqrt(Delta) s + xi|^2 after training times tau: exact, over all noise and, for the test, all points.

        Args:
            tau: training times >= 0, a number or (T,); infinity is the minimum of the training loss.

        Returns:
            Two tensors of the shape of tau, float64: 1 at tau = 0.

        Raises:
            ValueError: for negative times.
        """
        tau = as_numbers(tau, "tau")
        if not (tau >= 0).all():
            raise ValueError(f"tau has {float(tau.min()):g}: times >= 0 are needed")
        rate, train, test = 2 * self.constants.noise2 / self.psi_p * self.eigenvalues, [], []
        for each in tau.flatten().tolist():
            gain = -torch.expm1(-rate * each) / self.eigenvalues
            B = -self._noise * gain  # sqrt(Delta) A / sqrt(p), in the eigenvectors
            common = 1 + 2 * float((B * self._noise).sum()) / self.d
            train.append(common + float((B.square() * self.eigenvalues).sum()) / self.d)
            test.append(common + float(((B @ self._test) * B).sum()) / self.d)
        return tuple(torch.tensor(values, dtype=torch.float64).reshape(tau.shape) for values in (train, test))

    def copying_times(self, threshold: float = 0.01, *, points: int = 120) -> CopyingTimes:
        """When copying begins, by three definitions, on an even grid in log tau; between its points lines in log tau.

        Args:
            threshold: of the difference of the losses, > 0: a share of the loss of the score that is 0.
            points: of the grid, from a hundredth of the fastest rate to a thousand times the slowest.

        Returns:
            `CopyingTimes`.

        Raises:
            ValueError: for a threshold that is not positive, fewer than 10 points.
        """
        threshold = check_real(threshold, "threshold", "a positive number", low=0, open_low=True)
        if check_count(points, "points") < 10:
            raise ValueError(f"points = {points}: at least 10 are needed")
        rates = 2 * self.constants.noise2 / self.psi_p * self.eigenvalues
        ends = (math.log(1e-2 / float(rates[-1])), math.log(1e3 / float(rates[0].clamp(min=1e-12))))
        tau = torch.linspace(*ends, points, dtype=torch.float64).exp()
        train, test = self.losses(tau)
        gap, least = test - train, int(test.argmin())
        low = self.spectrum().bulk[0]
        edge = self.psi_p / (self.constants.noise2 * low) if low > 0 else math.inf
        half = _first(tau, gap, float(gap[-1]) / 2)
        learned = _first(tau, -train, -(1 + float(test[least])) / 2)
        return CopyingTimes(edge, half, _first(tau, gap, threshold), float(tau[least]), learned)


def _first(tau: Tensor, values: Tensor, level: float) -> float:
    """The first time at which values reach a level; infinite where they do not."""
    over = (values >= level).nonzero()[:, 0]
    if not len(over):
        return math.inf
    k = int(over[0])
    if k == 0:
        return float(tau[0])
    share = float((level - values[k - 1]) / (values[k] - values[k - 1]))
    return math.exp(float(tau[k - 1].log()) + share * float((tau[k] / tau[k - 1]).log()))
