"""What each noise level contributes to the gradient: norms, means and alignment of per-sample gradients, time by time.

The gradient of one sample at time t is g = d/d(weights) of factor(t) ||eps_model(x_t, t) - eps||^2. A network predicts eps, x0 or v;
with eps_model = a x_t + b out, and r the error of what it predicts,

    g = 2 factor b^2 J^T r,        J the derivative of the network's output in its weights,

so three things decide how large g is: the chain rule (b^2: 1 for eps, SNR for x0, alpha^2 for v where alpha^2 + sigma^2 = 1), the
error that is left, and the gain ||J^T r||^2 / ||r||^2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..networks.denoiser import Denoiser
from ..numerics.checks import check_count, check_generator, check_points, check_real, check_weights, randn
from ..numerics.estimates import Curve
from ..numerics.intervals import IntervalEstimate, bootstrap_interval
from ..parameterizations import coefficients
from ..schedules import Time
from .objective import loss_factor


def per_sample_gradients(
    model: Denoiser,
    x0: Tensor,
    t: float,
    eps: Tensor,
    *,
    weight: str | Callable[[Tensor], Tensor] = "eps",
    chunk: int = 16,
) -> tuple[Tensor, Tensor]:
    """Gradient of the loss of each sample in all weights, in the order of model.parameters(), and the losses.

    Args:
        model: a single denoiser with P weights.
        x0: (m, *event_shape).
        t: one time for all.
        eps: the noise, of the shape of x0.
        weight: as in `training.denoising_terms`.
        chunk: samples at a time.

    Returns:
        Gradients (m, P) and losses (m,).

    Raises:
        ValueError: a stack of networks, bad shapes or bad t.
    """
    if model.copies is not None:
        raise ValueError(f"model has {model.copies} copies: a single network is needed, see model.copy(i)")
    check_weights(model)
    check_points(x0, model.event_shape, "x0")
    if eps.shape != x0.shape:
        raise ValueError(f"eps has shape {tuple(eps.shape)}: the shape of x0, {tuple(x0.shape)}, is needed")
    schedule, net = model.schedule, model.network
    weights = {name: p.detach() for name, p in net.named_parameters()}
    buffers = dict(net.named_buffers())
    like = next(iter(weights.values()))
    t = schedule.check_time(check_real(t, "t", "one time"))
    alpha, sigma, log_snr, factor = (
        v.to(like)
        for v in (schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t), loss_factor(weight, t, schedule))
    )
    x0, eps = x0.to(like), eps.to(like)
    a, b = (v.to(like) for v in coefficients(model.prediction, "eps", t, schedule=schedule))
    scale = (alpha**2 * model.data_std**2 + sigma**2).rsqrt()

    def loss(weights: dict, xt: Tensor, eps: Tensor) -> Tensor:
        z = ((xt - alpha * model.mean.to(like)) * scale).reshape(1, *net.event_shape)
        out = functional_call(net, (weights, buffers), (z, log_snr.reshape(1))).reshape(xt.shape)
        return factor * (a * xt + b * out - eps).square().sum()

    each = vmap(grad_and_value(loss), in_dims=(None, 0, 0), chunk_size=check_count(chunk, "chunk"))
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no batching rule
        found, values = each(weights, schedule.add_noise(x0, t, eps), eps)
    return torch.cat([g.flatten(1) for g in found.values()], 1), values


@dataclass(frozen=True)
class GradientSignal:
    """What `gradient_signal` finds at each of T times; curves are (T,) with standard errors over the samples."""

    t: Tensor
    snr: Tensor
    loss: Curve  # mean loss of a sample
    square: Curve  # E ||g||^2, the mean squared norm of the gradient of one sample
    signal: Curve  # ||E g||^2, without bias (it can come out negative); error by the jackknife
    gain: Tensor  # E||J^T r||^2 / E||r||^2, r the error in the units of the prediction
    squares: Tensor  # (T, m), the squared norm of each gradient
    inner: Tensor | None  # (T, T), E g_s . E g_t without bias, where asked for
    m: int

    @property
    def rms(self) -> Tensor:
        """Root mean square of the norm of a gradient, (T,)."""
        return self.square.value.sqrt()

    @property
    def alignment(self) -> Curve:
        """||E g||^2 / E||g||^2: 1 if all samples pull the same way, 0 if they cancel; 1 / (1 + variance / signal)."""
        return Curve(self.signal.value / self.square.value, self.signal.se / self.square.value)

    def slope(self, low: float = 0.0, high: float = float("inf")) -> float:
        """Least-squares slope of log rms against log SNR, over times with low <= SNR <= high; 1 is proportional to the SNR."""
        kept = self._between(low, high)
        return float(_slope(self.snr[kept].log(), self.rms[kept].log()[None]))

    def slope_interval(
        self,
        low: float = 0.0,
        high: float = float("inf"),
        *,
        confidence: float = 0.95,
        resamples: int = 1000,
        generator: torch.Generator | None = None,
    ) -> IntervalEstimate:
        """`slope` with its percentile bootstrap over the samples, which all times share."""
        kept = self._between(low, high)

        def slopes(rows: Tensor) -> Tensor:
            means = torch.stack([row[rows].mean(1) for row in self.squares[kept]], 1)  # (resamples, T)
            return _slope(self.snr[kept].log(), means.log() / 2)

        return bootstrap_interval(slopes, self.m, confidence=confidence, resamples=resamples, generator=generator)

    def _between(self, low: float, high: float) -> Tensor:
        """Which times have low <= SNR <= high, (T,) bool; ValueError for fewer than 2 of them."""
        kept = (self.snr >= low) & (self.snr <= high)
        if kept.sum() < 2:
            raise ValueError(f"low = {low}, high = {high}: at least 2 times with an SNR between them are needed")
        return kept


def gradient_signal(
    model: Denoiser,
    data: Tensor,
    t: Time,
    *,
    samples: int = 64,
    weight: str | Callable[[Tensor], Tensor] = "eps",
    cross: bool = False,
    chunk: int = 16,
    generator: torch.Generator | None = None,
) -> GradientSignal:
    """Per-sample gradients at the times t (T,), from the same `samples` pairs of a data point and a noise at every time.

    data: (n, *event_shape), drawn without replacement in turns. cross: also E g_s . E g_t for all pairs of times, which holds
    T * samples gradients in memory. ValueError for fewer than 2 samples and as `per_sample_gradients`.
    """
    samples, generator = check_count(samples, "samples"), check_generator(generator)
    if samples < 2:
        raise ValueError(f"samples = {samples}: at least 2 are needed for a mean and its error")
    check_points(data, model.event_shape, "data")
    times = model.schedule.check_time(t).reshape(-1)
    if len(times) == 0:
        raise ValueError("t is empty: at least one time is needed")
    rounds = [torch.randperm(len(data), generator=generator) for _ in range(-(-samples // len(data)))]
    x0 = data[torch.cat(rounds)[:samples].to(data.device)]
    eps = randn(tuple(x0.shape), x0, generator)
    columns, squares, kept = [], [], []
    for at in times.tolist():
        g, loss = per_sample_gradients(model, x0, at, eps, weight=weight, chunk=chunk)
        gram = (g @ g.T).double()
        own = gram.diagonal()
        columns.append((*_mean(loss.double()), *_mean(own), *_signal(gram)))
        squares.append(own)
        if cross:
            kept.append(g)
    numbers = torch.tensor(columns, dtype=torch.float64).T
    b2 = coefficients(model.prediction, "eps", times, schedule=model.schedule)[1] ** 2
    factor = loss_factor(weight, times, model.schedule)
    # norm^2 = 4 factor^2 b^4 ||J^T r||^2, loss = factor b^2 ||r||^2
    gain = numbers[2] / (4 * factor * b2 * numbers[0])
    curves = [Curve(numbers[i], numbers[i + 1]) for i in (0, 2, 4)]
    snr = model.schedule.log_snr(times).exp()
    return GradientSignal(times, snr, *curves, gain, torch.stack(squares), _inner(kept) if cross else None, samples)


def _slope(x: Tensor, y: Tensor) -> Tensor:
    """Least-squares slopes of y (k, T) against x (T,), (k,)."""
    x = x - x.mean()
    return (x * y).sum(1) / x.square().sum()


def _mean(values: Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def _signal(gram: Tensor) -> tuple[float, float]:
    """||E g||^2 from products of different samples, and its jackknife error; gram (m, m)."""
    m, total, trace = len(gram), gram.sum(), gram.trace()
    value = (total - trace) / (m * (m - 1))
    if m < 3:
        return float(value), float("inf")
    without = (total - 2 * gram.sum(0) + gram.diagonal() - (trace - gram.diagonal())) / ((m - 1) * (m - 2))
    return float(value), float(((m - 1) / m * (without - without.mean()).square().sum()).sqrt())


def _inner(gradients: list[Tensor]) -> Tensor:
    """E g_s . E g_t for all pairs of times, from products of different samples, (T, T) float64."""
    m = len(gradients[0])
    sums = torch.stack([g.sum(0) for g in gradients])
    same = torch.tensor([[float((a * b).sum()) for b in gradients] for a in gradients], dtype=torch.float64)
    return ((sums @ sums.T).double() - same) / (m * (m - 1))
