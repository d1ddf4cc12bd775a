"""Denoising losses beside those of the truth and of the empirical score: where a score lies between the two, and what its losses give away."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..audit.gap_closed import gap_closed
from ..audit.membership import membership_auc
from ..distributions import Diffused, Empirical
from ..numerics.checks import check_count, check_generator, randn
from ..numerics.intervals import IntervalEstimate, bootstrap_interval
from ..schedules import Schedule, schedule_of
from .reading import LOG_SNR, AxisReading, asked, check_levels, check_read


@dataclass(frozen=True)
class DenoisingLosses:
    """Denoising losses |D(X_t, t) - x_0|^2 / d, image by image, at some levels.

    Attributes:
        log_snr: of the columns.
        train: of the score at training points, (m, levels) float64.
        held_out: at held-out points, (k, levels).
        empirical: of the empirical score at the same noisy training points, (m, levels).
        truth: of the truth at them, (m, levels); None where it is not known.
    """

    log_snr: tuple[float, ...]
    train: Tensor
    held_out: Tensor
    empirical: Tensor
    truth: Tensor | None


def denoising_losses(
    score,
    train: Tensor,
    held_out: Tensor,
    *,
    truth: Diffused | None = None,
    log_snr: Iterable[float] = LOG_SNR,
    draws: int = 2,
    most: int = 512,
    schedule: Schedule | None = None,
    generator: torch.Generator | None = None,
) -> DenoisingLosses:
    """Losses of a score at training and at held-out points under the same noise, and those of the lines between which it lies.

    Args:
        score: anything with .denoise or .score.
        train: its whole training set, (n, *event_shape); the empirical score is that of all of it.
        held_out: points of the same law, (k, *event_shape).
        truth: the law, where it is known.
        log_snr: levels.
        draws: of noise for each point and level, with which losses are averaged.
        most: points of each set that are denoised, the first ones.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.
        generator: of the noise; None for torch's own.

    Returns:
        `DenoisingLosses`.

    Raises:
        ValueError: for sets that do not fit, levels that are not finite, counts below 1.
    """
    train, held_out = check_read(score, train, held_out)
    levels, schedule = check_levels(log_snr), schedule_of(schedule, score, truth)
    draws, most = check_count(draws, "draws"), check_count(most, "most")
    a, b, empirical = train[:most], held_out[:most], Empirical(train)
    check_generator(generator)
    found = {name: [] for name in ("train", "held_out", "empirical", "truth")}
    for level in levels:
        t = schedule.time_from_log_snr(level)
        sums: dict[str, Tensor] = {}
        for _ in range(draws):
            eps = randn(tuple((a if len(a) > len(b) else b).shape), a, generator)
            x, y = (schedule.add_noise(x0, t, eps[: len(x0)]) for x0 in (a, b))
            lines = [("train", score, x, a), ("held_out", score, y, b), ("empirical", empirical, x, a)]
            for name, model, noisy, clean in lines + ([] if truth is None else [("truth", truth, x, a)]):
                loss = (asked(model, noisy, t, schedule).double() - clean.double()).square().flatten(1).mean(1)
                sums[name] = sums.get(name, 0) + loss / draws
        for name, loss in sums.items():
            found[name].append(loss)
    columns = {name: torch.stack(each, 1) if each else None for name, each in found.items()}
    return DenoisingLosses(levels, **columns)


def loss_readings(losses: DenoisingLosses, *, confidence: float = 0.95) -> tuple[AxisReading, ...]:
    """Where the training loss lies between two lines: 0 on that of the law, 1 on that of the empirical score (`audit.gap_closed`).

    Where the truth is known the line is its loss on the training points, (L_truth - L) / (L_truth - L_emp); else the score's own loss on
    held-out points stands in for it, so that a score that knows no point better than another is at 0, good or bad. Below 0 a score is
    worse than the line.

    Args:
        losses: from `denoising_losses`.
        confidence: of the intervals, in (0, 1).

    Returns:
        A `AxisReading` a level; its estimate is None where the two lines are not apart.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    line, found = losses.held_out if losses.truth is None else losses.truth, []
    for k, level in enumerate(losses.log_snr):
        ours, ends = losses.train[:, k], (line[:, k], losses.empirical[:, k])
        share = (
            gap_closed(ours, *ends, confidence=confidence) if losses.truth is None else _share(ours, *ends, confidence)
        )
        each = {
            "train": losses.train,
            "held_out": losses.held_out,
            "empirical": losses.empirical,
            "truth": losses.truth,
        }
        beside = {f"loss_{name}": float(values[:, k].mean()) for name, values in each.items() if values is not None}
        found.append(AxisReading("loss", level, share, beside))
    return tuple(found)


def membership_readings(losses: DenoisingLosses, *, confidence: float = 0.95) -> tuple[AxisReading, ...]:
    """How well training points are told from held-out ones by their loss alone: AUC, 1/2 is chance (`audit.membership`).

    Args:
        losses: from `denoising_losses`.
        confidence: of the intervals, in (0, 1).

    Returns:
        A `AxisReading` a level.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    columns = zip(losses.log_snr, losses.train.T, losses.held_out.T)
    return tuple(
        AxisReading("membership", level, membership_auc(-a, -b, confidence), {"chance": 0.5}) for level, a, b in columns
    )


def _share(ours: Tensor, truth: Tensor, empirical: Tensor, confidence: float) -> IntervalEstimate | None:
    """(L_truth - L) / (L_truth - L_emp) of losses at the same noisy points, (m,) each, which are resampled together; None as `gap_closed`."""
    over, under = truth - ours, truth - empirical
    if not bootstrap_interval(lambda rows: under[rows].mean(1), len(under), confidence=confidence).low > 0:
        return None
    return bootstrap_interval(lambda rows: over[rows].mean(1) / under[rows].mean(1), len(under), confidence=confidence)
