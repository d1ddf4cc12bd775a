"""Monte-Carlo terms of the loss gap: training points, noise, and the five quantities that each noisy point gives."""

import math

import torch
from torch import Tensor

from ..distributions.diffused import Diffused
from ..distributions.empirical import Empirical
from ..numerics.checks import check_count, randn
from ..numerics.estimates import Curve
from ..schedules import Schedule, Time

PIECE = 2**22  # numbers in one piece of noisy points
MIN_REGRESSED = 64  # terms below which a regression slope would be worth less than it costs
NOISE_FLOOR = 1e3  # sigma must be this many rounding errors of alpha |x| / sqrt(d): the score then has three digits


def mean_curve(x: Tensor) -> Curve:
    """Mean and standard error of independent terms (m,), without dimensions."""
    return Curve(x.mean(), x.std() / math.sqrt(len(x)))


def curves(terms: list[Tensor], shape) -> Curve:
    """One mean and standard error for each time; terms: T tensors (m,), of any lengths."""
    means = [mean_curve(x) for x in terms]
    return Curve(*(torch.stack(c).reshape(shape) for c in ([m.value for m in means], [m.se for m in means])))


def best_terms(terms: Tensor, control, t: Tensor) -> Tensor:
    """Fisher side with the control regressed out, (m,); the slope comes from the other half, so there is no bias."""
    fisher = terms[:, 0]
    if control is None or len(fisher) < MIN_REGRESSED:
        return fisher
    deviation = terms[:, 4] - control.mean(t)
    half = len(fisher) // 2
    slopes = [_slope(deviation[part], fisher[part]) for part in (slice(half, None), slice(None, half))]
    return torch.cat([fisher[:half] - slopes[0] * deviation[:half], fisher[half:] - slopes[1] * deviation[half:]])


def _slope(x: Tensor, y: Tensor) -> Tensor:
    x = x - x.mean()
    return (x @ (y - y.mean())) / (x @ x).clamp(min=torch.finfo(x.dtype).tiny)


class Draws:
    """Training points and noise, drawn once for all times; the points without replacement where stratified."""

    def __init__(self, empirical: Empirical, antithetic: bool, stratified: bool, generator):
        self.empirical, self.stratified, self.generator = empirical, stratified, generator
        self.copies = 2 if antithetic else 1
        self.queue = torch.zeros(0, dtype=torch.long)

    def take(self, m: int) -> tuple[Tensor, Tensor, Tensor]:
        """Indices (m,), their points (m, d), and noise with its mirror image (copies, m, d)."""
        index, rows = self._index(m), self.empirical.rows
        x0 = rows.take(index, rows.squared_norms.device, dtype_of(self.empirical))
        z = randn(tuple(x0.shape), x0, self.generator)
        return index, x0, torch.stack([z, -z])[: self.copies]

    def _index(self, m: int) -> Tensor:
        device = "cpu" if self.generator is None else self.generator.device
        if not self.stratified:
            return torch.randint(self.empirical.n, (m,), generator=self.generator, device=device).cpu()
        while len(self.queue) < m:
            order = torch.randperm(self.empirical.n, generator=self.generator, device=device).cpu()
            self.queue = torch.cat([self.queue, order])
        index, self.queue = self.queue[:m], self.queue[m:]
        return index


def gap_terms(draws, empirical: Empirical, truth: Diffused, times: Tensor, schedule: Schedule, control) -> Tensor:
    """(T, m, 5) float64 on the CPU: Fisher, difference, losses of the true and the empirical score, control; means of a pair."""
    index, x0, z = draws
    step = max(1, PIECE // (z.shape[-1] * len(z) * len(times)))
    pieces = [slice(s, s + step) for s in range(0, len(x0), step)]
    parts = [_piece(index[p], x0[p], z[:, p], empirical, truth, times, schedule, control) for p in pieces]
    return torch.cat(parts, 1)


@torch.no_grad()
def _piece(index, x0, z, empirical, truth, times, schedule, control) -> Tensor:
    column, shape = times[:, None, None, None], (len(times), *z.shape)  # (T, copies, m, d)
    x, sigma = schedule.add_noise(x0.expand(shape), column, z.expand(shape)), schedule.sigma(column).to(x0)
    t = times.to(x.device)[:, None, None].expand(x.shape[:3]).flatten()
    points = x.reshape(-1, *empirical.event_shape)
    true, fitted = (law.score(points, t, schedule=schedule).reshape(x.shape) for law in (truth, empirical))
    target = -z / sigma
    pairs = ((fitted, true), (target, true), (target, fitted))
    fisher, truth_loss, empirical_loss = ((a - b).square().sum(-1) for a, b in pairs)
    known = torch.zeros_like(fisher) if control is None else control.terms(index, z, times)
    columns = [fisher, truth_loss - empirical_loss, truth_loss, empirical_loss, known]
    return torch.stack([c.double().mean(1) for c in columns], -1).cpu()


def dtype_of(empirical: Empirical) -> torch.dtype:
    """Dtype of the training set, which decides the precision."""
    return torch.as_tensor(empirical.data[:1]).dtype


def check_samples(samples: int, antithetic: bool) -> int:
    """Number of independent terms: pairs where antithetic."""
    samples = check_count(samples, "samples")
    if samples < 8:
        raise ValueError(f"samples = {samples}: at least 8 are needed for an error bar")
    return samples // 2 if antithetic else samples


def check_times(t: Time, empirical: Empirical, schedule: Schedule) -> Tensor:
    """t as (T,), checked against the schedule and against the rounding of alpha x_i + sigma z."""
    t = schedule.check_time(t)
    if t.ndim > 1 or t.numel() == 0:
        raise ValueError(f"t has shape {tuple(t.shape)}: a number or shape (T,) with T >= 1 is needed")
    t, dtype = t.reshape(-1), dtype_of(empirical)
    floor = NOISE_FLOOR * torch.finfo(dtype).eps * empirical.rows.max_norm / math.sqrt(empirical.d)
    bad = schedule.sigma(t) < floor * schedule.alpha(t)
    if bad.any():
        raise ValueError(
            f"t = {float(t[bad][0]):g}: sigma = {float(schedule.sigma(t[bad][0])):.2g} is lost in the rounding of data in "
            f"{str(dtype).removeprefix('torch.')}; sigma / alpha >= {floor:.2g} is needed"
        )
    return t
