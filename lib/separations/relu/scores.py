"""Scores as explicit ReLU networks: the empirical one (n terms) and that of a Gaussian mixture (K terms), as grad p / p.

grad p and p are sums with a common factor, so a score is a softmax mean (`relu.softmax`) and an affine map. With t fixed the
logits of the empirical score, and those of a mixture with one covariance, are affine in x, and x itself is carried: then the
guarantee holds for every x in R^d, not only on average, and neither x nor a denominator needs a clip.
Source: Ye et al. (2026), theorem 5.1: E ||s_1 - grad log p-hat_t||^2 <= error / sigma^4, E ||s_2 - grad log p_t||^2 <= error / sigma^2.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..distributions.empirical import Empirical
from ..distributions.gaussian_mixture import GaussianMixture
from ..losses import fisher_divergence
from ..numerics.checks import as_real, check_count
from ..numerics.estimates import Estimate
from ..schedules import OU, Schedule, Time, schedule_of
from .bricks import check_error
from .network import ReLUNetwork, affine, compose, identity, shared
from .quadratic import quadratic_mixture
from .softmax import softmax_mean
from .timed import timed_score


class ScoreNetwork(torch.nn.Module):
    """A ReLU network that is a score: `.score(x, t, schedule=)` for the samplers and losses, sizes as of the network.

    `score` raises ValueError for a time or schedule that it is not built for.

    Args:
        network: from x, or from (x, t) where t is a range, to the score.
        t: the time that it is built for, or a range (t0, T).
        error: guaranteed bound on E sigma_t^power ||network - score||^2 at each t.
        power: of sigma in that bound, 4 for an empirical score and 2 for that of a mixture.
        schedule: what noise at time t means.
    """

    def __init__(
        self, network: ReLUNetwork, t: float | tuple[float, float], error: float, power: int, schedule: Schedule
    ):
        super().__init__()
        self.network, self.t, self.error, self.power, self.schedule = network, t, error, power, schedule
        self.event_shape = (network.outputs,)

    width = property(lambda self: self.network.width, doc="W: the largest number of ReLUs in a layer.")
    depth = property(lambda self: self.network.depth, doc="L: the number of affine maps.")
    nonzero = property(lambda self: self.network.nonzero, doc="N: the number of non-zero weights and biases.")

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """The network at x, (m, d) -> (m, d) in the dtype of x; t: a number or (m,), and one of those it is built for."""
        schedule_of(schedule, self)  # the network is built for its own
        t = self.schedule.check_time(t).to(x.device)
        low, high = self.t if isinstance(self.t, tuple) else (self.t, self.t)
        if ((t < low) | (t > high)).any():
            bad = float(t[(t < low) | (t > high)].flatten()[0]) if t.ndim else float(t)
            raise ValueError(f"t = {bad:g}: the network is built for t in [{low:g}, {high:g}]")
        if isinstance(self.t, tuple):
            x = torch.cat([x, t.to(x).expand(len(x))[:, None]], 1)
        return self.network(x).to(x.dtype)

    def extra_repr(self) -> str:
        return f"t={self.t}, error={self.error:g}, sense=sigma^{self.power}, {self.schedule}"


def theorem_error(network: ScoreNetwork, law, t: float, m: int, generator=None) -> Estimate:
    """E sigma_t^power ||network - score of the law||^2 over samples of the law at t, to be compared with network.error.

    Args:
        network: as built in this room.
        law: what the network stands for, an Empirical (power 4) or a mixture (power 2).
        t: a time that the network is built for.
        m: number of samples.
        generator: of the random numbers; None for torch's own.

    Returns:
        An `Estimate` of m terms, float64.

    Raises:
        ValueError: for m < 1, and a time that the network is not built for.
    """
    x = law.sample(check_count(m), t, schedule=network.schedule, generator=generator).double()
    terms = fisher_divergence(network, law, x, t, schedule=network.schedule).terms
    return Estimate(terms.detach() * float(network.schedule.sigma(t)) ** network.power)


def _distinct(data) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, (n', d), and how often each occurs, (n',)."""
    data = torch.as_tensor(Empirical(data).data)
    if data.ndim != 2:
        raise ValueError(f"data has shape {tuple(data.shape)}: (n, d) is needed, flat vectors")
    return np.unique(data.detach().cpu().double().numpy(), axis=0, return_counts=True)


def _with_carried_input(mean: ReLUNetwork, on_mean: np.ndarray, on_input: np.ndarray) -> ReLUNetwork:
    """x -> on_mean mean(x) + on_input x."""
    return compose(shared(mean, identity(mean.inputs)), affine(np.hstack([on_mean, on_input])))


def empirical_score_network(data, t, error: float, *, schedule: Schedule | None = None) -> ScoreNetwork:
    """A ReLU network with E ||network - grad log p-hat_t||^2 <= error / sigma^4 (theorem 5.1, s_1).

    At one t the score is (alpha m - x) / sigma^2, m the softmax mean of the points with the logits
    alpha x . x_i / sigma^2 - alpha^2 |x_i|^2 / (2 sigma^2): sqrt(error) / alpha for m is enough, for every x. Equal points are
    merged, so n counts distinct points; n = 1 is affine.
    N = O(n log(n/error)^2), L = O(log(n/error)^2), whatever t is, and at one t W = max(4 n, 6 d) + 2 d for n > 1: 4 n for the
    exponentials or 6 d for the products, whichever is more, and 2 d that carry x. (The reciprocal takes 8 and 2 d, which is
    more for n = 2, d = 1 only; a coordinate in which all points agree needs no product.)

    Args:
        data: (n, d), or an `Empirical`.
        t: a time, or a range (t0, T) for a network that also reads t (OU() only, see `relu.timed`).
        error: > 0, of the theorem, in units of sigma^-4.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        A `ScoreNetwork` with power 4.

    Raises:
        ValueError: for data that are no flat vectors, a time outside of the schedule, an error that is not positive or not within reach.
    """
    schedule = schedule_of(schedule, data)
    check_error(error)
    if isinstance(t, (tuple, list)):
        network = timed_score(*_distinct(data), *_time_range(t, schedule), error)
        return ScoreNetwork(network, (float(t[0]), float(t[1])), float(error), 4, schedule)
    time = schedule.check_time(_one_time(t))
    alpha, variance = float(schedule.alpha(time)), float(schedule.sigma(time)) ** 2
    points, counts = _distinct(data)
    rate = alpha / variance
    offsets = np.log(counts) - alpha * rate / 2 * np.square(points).sum(1)
    mean = softmax_mean(rate * points, offsets, alpha * points, math.sqrt(error))
    eye = np.eye(points.shape[1])
    network = _with_carried_input(mean, eye / variance, -eye / variance)
    return ScoreNetwork(network, float(time), float(error), 4, schedule)


def _one_time(t) -> float:
    try:
        return as_real(t, "t")
    except ValueError:
        raise ValueError(f"t = {t!r}: a number, or for the empirical score a range (t0, T), is needed") from None


def _time_range(t, schedule: Schedule) -> tuple[float, float]:
    if len(t) != 2 or not 0 < as_real(t[0], "t[0]") < as_real(t[1], "t[1]") < math.inf:
        raise ValueError(f"t = {t!r}: a range (t0, T) with 0 < t0 < T < inf is needed")
    if schedule != OU():
        raise ValueError(f"schedule = {schedule}: a network that reads t is built for OU() only")
    return float(t[0]), float(t[1])


def mixture_score_network(
    truth: GaussianMixture, t: float, error: float, *, schedule: Schedule | None = None
) -> ScoreNetwork:
    """A ReLU network with E ||network - grad log p_t||^2 <= error / sigma^2 (theorem 5.1, s_2), its size free of n.

    With one covariance for all, P = (alpha^2 Sigma + sigma^2)^-1, the score is alpha P m - P x, m the softmax mean of the
    centres: the network of the empirical score with K terms. Covariances of their own: see `relu.quadratic`.

    Args:
        truth: of flat vectors.
        t: a time in (0, t_max].
        error: > 0, of the theorem, in units of sigma^-2.
        schedule: what noise at time t means; by default that of the laws and networks, OU() where none has its own.

    Returns:
        A `ScoreNetwork` with power 2.

    Raises:
        ValueError: for another law, a time outside of the schedule, an error that is not positive or not within reach.
    """
    schedule = schedule_of(schedule, truth)
    check_error(error)
    if not isinstance(truth, GaussianMixture) or len(truth.event_shape) != 1:
        raise ValueError(f"truth = {truth!r}: a GaussianMixture of flat vectors (d,) is needed")
    time = schedule.check_time(_one_time(t))
    alpha, sigma = float(schedule.alpha(time)), float(schedule.sigma(time))
    covariance = alpha**2 * truth.covariance.to("cpu", torch.float64) + sigma**2
    precision = covariance.inv().expand(truth.K).matrix().numpy()
    weights, centres = truth.weights.double().cpu().numpy(), alpha * truth.means.double().cpu().numpy()
    goal = math.sqrt(error) / sigma
    if np.ptp(precision, axis=0).max() > 1e-12 * np.abs(precision).max():
        network = quadratic_mixture(weights, centres, precision, error / sigma**2)
    else:
        P = precision[0]
        pulls = centres @ P
        mean = softmax_mean(pulls, np.log(weights) - (pulls * centres).sum(1) / 2, pulls, goal)
        network = _with_carried_input(mean, np.eye(len(P)), -P)
    return ScoreNetwork(network, float(time), float(error), 2, schedule)
