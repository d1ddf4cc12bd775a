"""How a score answers when its input changes: how nearly it is a linear map, and how many directions it keeps."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ..distributions import FittedGaussian
from ..numerics.checks import check_count, check_generator, check_shaped, randn
from ..numerics.intervals import bootstrap_interval, check_confidence, t_interval
from ..schedules import Schedule, schedule_of
from .jacobians import jacobian_spectrum
from .reading import LOG_SNR, AxisReading, asked, check_levels, check_read, cosine

ABOVE = 0.1  # eigenvalues beyond it are counted
TINY = 1e-300


def linearity_readings(
    score,
    train: Tensor,
    *,
    log_snr: Iterable[float] = LOG_SNR,
    most: int = 512,
    rows: int | None = None,
    schedule: Schedule | None = None,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> tuple[AxisReading, ...]:
    """Share of the variance of denoise(X_t) that the best affine map of X_t explains, X_t noisy training points (Li, Dai and Qu 2024).

    The map is fitted by least squares and judged under fresh noise. Beside it: what the Gaussian denoiser of the training set explains, which is
    the best affine map for every score that is a posterior mean of a law of these moments, the empirical one included, so that only what is *not*
    explained tells two such scores apart; and `superposition`, the mean cosine of D((x + y) / sqrt(2)) and (D(x) + D(y)) / sqrt(2), with
    alpha times the mean of the training set taken off x and y, and the mean itself off D.

    Args:
        score: anything with .denoise or .score.
        train: (n, *event_shape), n >= 2.
        log_snr: levels.
        most: noisy points at which it is judged.
        rows: noisy points that the map is fitted to; None for four times as many as it has numbers an output.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.
        confidence: of the intervals, in (0, 1).
        generator: of the noise and of the points; None for torch's own.

    Returns:
        A `AxisReading` a level, its interval a bootstrap over the points; None where denoise is constant.

    Raises:
        ValueError: for sets that do not fit, fewer rows than numbers, counts below 1.
    """
    train, _ = check_read(score, train, train)
    levels, schedule, d = check_levels(log_snr), schedule_of(schedule, score), train[0].numel()
    rows = 4 * (d + 1) if rows is None else check_count(rows, "rows")
    if rows <= d:
        raise ValueError(f"rows = {rows}: more than d = {d} are needed for a map of {d} numbers")
    most, confidence, generator = check_count(most, "most"), check_confidence(confidence), check_generator(generator)
    gaussian, centre, found = FittedGaussian(train), train.double().flatten(1).mean(0), []
    for level in levels:
        t = schedule.time_from_log_snr(level)
        x, y, z = (_noisy(train, count, t, schedule, generator) for count in (rows, most, most))
        fitted = _affine(x, asked(score, x, t, schedule))
        target = asked(score, y, t, schedule).double().flatten(1)
        other = gaussian.denoise(y.double(), t, schedule=schedule).flatten(1)
        variance = (target - target.mean(0)).square().sum(1)
        share = None
        if float(variance.sum()) > 0:
            left = (target - fitted(y)).square().sum(1)
            share = bootstrap_interval(
                lambda r, a=left, b=variance: 1 - a[r].mean(1) / b[r].mean(1).clamp(min=TINY),
                most,
                confidence=confidence,
            )
        mean = (schedule.alpha(t) * centre).to(y).reshape(train.shape[1:])
        mixed = asked(score, mean + (y - mean + z - mean) / math.sqrt(2), t, schedule).double().flatten(1) - centre
        parts = target - centre + asked(score, z, t, schedule).double().flatten(1) - centre
        explained = float(1 - (target - other).square().sum() / variance.sum()) if share is not None else math.nan
        beside = {"gaussian": explained, "superposition": float(cosine(mixed, parts).mean())}
        found.append(AxisReading("linearity", level, share, beside))
    return tuple(found)


def jacobian_readings(
    score,
    points: Tensor,
    *,
    log_snr: Iterable[float] = LOG_SNR,
    method: str = "auto",
    schedule: Schedule | None = None,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> tuple[AxisReading, ...]:
    """How many directions a score keeps at noisy points: the eigenvalues of the derivative of denoise in y = x / alpha, each counted as at most 1.

    For a posterior mean the derivative is Cov[X_0 | X_t] / nu, nu = sigma^2 / alpha^2, and nu times the mean of its trace over its own law is the
    loss (Kadkhodaie et al. 2024). Between two training points an empirical score has one eigenvalue of the squared distance over 4 nu, so
    that the trace itself has no useful mean. Beside it: the trace, how many eigenvalues of the symmetric part are above 0.1, the largest one,
    and the share of the norm in the antisymmetric part, which is 0 for the score of a law.

    Args:
        score: anything with .denoise or .score.
        points: clean points to which noise is added, (k, *event_shape), k >= 2: d questions for each.
        log_snr: levels.
        method: as in `jacobian_spectrum`.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.
        confidence: of the intervals, in (0, 1).
        generator: of the noise; None for torch's own.

    Returns:
        A `AxisReading` a level, its interval Student's over the points.

    Raises:
        ValueError: as `jacobian_spectrum`.
    """
    points, schedule, found = check_shaped(points, "points"), schedule_of(schedule, score), []
    for level in check_levels(log_snr):
        t = schedule.time_from_log_snr(level)
        x = schedule.add_noise(points, t, randn(tuple(points.shape), points, generator))
        spectrum = jacobian_spectrum(score, x, t, method=method, schedule=schedule)
        values = spectrum.eigenvalues
        beside = {
            "above": float((values > ABOVE).sum(1).double().mean()), "largest": float(values[:, 0].mean()),
            "antisymmetric": float(spectrum.antisymmetric.mean()),
        }  # fmt: skip
        found.append(AxisReading("jacobian", level, t_interval(values.clamp(0, 1).sum(1), confidence), beside))
    return tuple(found)


def _noisy(train: Tensor, m: int, t: Tensor, schedule: Schedule, generator: torch.Generator | None) -> Tensor:
    """m noisy training points, each training point as often as the next."""
    index = torch.arange(m, device=train.device) % len(train)
    clean = train[index]
    return schedule.add_noise(clean, t, randn(tuple(clean.shape), clean, generator))


def _affine(x: Tensor, y: Tensor):
    """The best affine map of x to y by least squares, as a function."""

    def with_one(z: Tensor) -> Tensor:
        return torch.cat([z.double().flatten(1), z.new_ones(len(z), 1, dtype=torch.float64)], 1)

    weights = torch.linalg.lstsq(with_one(x), y.double().flatten(1)).solution
    return lambda z: with_one(z) @ weights
