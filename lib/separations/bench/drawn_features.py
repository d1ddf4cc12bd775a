"""The random-feature score of given points and given draws of noise: its gradient flow, solved, at every training time.

`RandomFeatures` has the mean over infinitely many draws of noise, through a Gaussian equivalent; here they are counted. With m draws of noise for each
of n points there are N = n m noisy points x = mean x_0 + sqrt(Delta) xi, their features phi(W x / sqrt(d)) (N, p), and U = their second moment (p, p), V
= their moment with the noise (p, d). The noise that the score predicts after a training time tau is

    xi_tau(x) = V^T U^-1 (1 - exp(-2 Delta U tau / psi_p)) phi(W x / sqrt(d)),

for tau = infinity the solution of least norm. U has at most N eigenvalues above 0: for N <= p all N noises are fitted exactly (George, Veiga and
Macris 2025 ask what the number of draws does). With noise that is drawn anew at each step there is no N.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_generator, check_memory, check_points, check_real, check_shaped, randn

NULL = 1e-10  # eigenvalues below this share of the largest count as 0


class DrawnFeatures:
    """The random-feature score of a training set with m draws of noise a point, trained by gradient flow at one noise level.

    Args:
        train: (n, d).
        p: features.
        log_snr: of the noise level, log of signal^2 / Delta with signal^2 + Delta = 1.
        draws: m of noise, for each point.
        weights: W (p, d), frozen; None draws standard normal ones.
        phi: the nonlinearity, elementwise.
        generator: of the weights and the noise; None for torch's own.

    Attributes:
        eigenvalues: (p,) of U, rising, float64.

    Raises:
        ValueError: for points that are not (n, d), counts below 1, a level that is not finite, weights of another shape.
    """

    def __init__(
        self,
        train: Tensor,
        p: int,
        log_snr: float,
        *,
        draws: int,
        weights: Tensor | None = None,
        phi: Callable[[Tensor], Tensor] = torch.tanh,
        generator: torch.Generator | None = None,
    ):
        train = check_points(train, tuple(check_shaped(train, "train").shape[1:]), "train").flatten(1).double()
        self.n, self.d = train.shape
        self.p, self.draws, self.phi = check_count(p, "p"), check_count(draws, "draws"), phi
        level, generator = check_real(log_snr, "log_snr"), check_generator(generator)
        check_memory(4 * self.p**2 + 2 * self.n * self.draws * self.p, torch.float64, f"p = {p}, draws = {draws}")
        self.signal, self.noise = math.sqrt(1 / (1 + math.exp(-level))), math.sqrt(1 / (1 + math.exp(level)))
        self.weights = randn((self.p, self.d), train, generator) if weights is None else weights.to(train)
        if tuple(self.weights.shape) != (self.p, self.d):
            raise ValueError(f"weights has shape {tuple(self.weights.shape)}: (p, d) = {(self.p, self.d)} is needed")
        xi = randn((self.n * self.draws, self.d), train, generator)
        Z = self.features(self.signal * train.repeat(self.draws, 1) + self.noise * xi)  # (N, p)
        self._own = (train.repeat(self.draws, 1), xi)
        self.eigenvalues, self._Q = torch.linalg.eigh(Z.T @ Z / len(Z))
        self._noise = (xi.T @ Z / len(Z)) @ self._Q  # V^T Q, (d, p)

    @property
    def psi_p(self) -> float:
        """p / d."""
        return self.p / self.d

    def features(self, x: Tensor) -> Tensor:
        """phi(W x / sqrt(d)), (k, p) float64, of noisy points (k, d)."""
        return self.phi(x.double() @ self.weights.T / math.sqrt(self.d))

    def readout(self, tau: float) -> Tensor:
        """What the features are multiplied by after training time tau, (d, p). ValueError unless tau >= 0, infinity included."""
        tau = float(tau)
        if not tau >= 0:
            raise ValueError(f"tau = {tau}: a number >= 0 is needed")
        seen = self.eigenvalues > NULL * self.eigenvalues[-1].clamp(min=1e-300)
        values = torch.where(seen, self.eigenvalues, torch.ones_like(self.eigenvalues))
        gain = -torch.expm1(-2 * self.noise**2 / self.psi_p * values * tau) / values
        return (self._noise * torch.where(seen, gain, torch.zeros_like(gain))) @ self._Q.T

    def eps(self, x: Tensor, tau: float) -> Tensor:
        """The noise that it sees in noisy points x (k, d) after training time tau, (k, d)."""
        return (self.features(x) @ self.readout(tau).T).to(x.dtype)

    def denoise(self, x: Tensor, tau: float) -> Tensor:
        """(x - noise eps) / signal, (k, d)."""
        return (x - self.noise * self.eps(x, tau)) / self.signal

    def loss(self, tau: float, points: Tensor | None = None, noise: Tensor | None = None) -> float:
        """(1/d) E |eps(x) - xi|^2 at points and noise of the same shape (k, d); without them at those of training.

        Args:
            tau: training time >= 0, infinity for the end.
            points, noise: both or neither.

        Returns:
            The loss, 1 at tau = 0 but for the draws.

        Raises:
            ValueError: for one without the other, shapes that differ, a negative time.
        """
        if (points is None) != (noise is None) or (points is not None and points.shape != noise.shape):
            raise ValueError("points and noise of one shape, or neither, are needed")
        points, noise = self._own if points is None else (points.double(), noise.double())
        return float((self.eps(self.signal * points + self.noise * noise, tau) - noise).square().mean())
