"""Six readings that place any score, closed form or trained, on the same axes.

    loss        share of the way from the line of the law to the line of the empirical score that its training loss has gone
    copies      share of samples that the 1/9 rule calls copies, beyond that of held-out points
    agreement   cosine of what two scores of disjoint training sets make of the same noise
    linearity   share of its denoised images that the best affine map explains
    jacobian    how many directions it keeps: eigenvalues of the derivative of denoise, each at most 1
    membership  AUC of telling training from held-out points by the denoising loss

Each is taken at levels of log-SNR, with an interval, as a `AxisReading`. The truth and the empirical score are the ends of the axes: loss 0
and 1, copies at the held-out level and at 1, membership 1/2 and near 1 where the noise still tells the points apart. A score is anything with
``denoise(x, t, schedule=)`` or ``score``. Scores that are read with generators of one seed see the same noise.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ..distributions import Diffused
from ..numerics.checks import check_count, randn
from ..numerics.intervals import check_confidence
from ..schedules import Schedule, schedule_of
from .generated import agreement_readings, copy_readings, paths
from .lines import denoising_losses, loss_readings, membership_readings
from .reading import LOG_SNR, AxisReading, check_levels, check_read
from .responses import jacobian_readings, linearity_readings

AXES = ("loss", "copies", "agreement", "linearity", "jacobian", "membership")


def readings(
    score,
    train: Tensor,
    held_out: Tensor,
    *,
    twin=None,
    truth: Diffused | None = None,
    log_snr: Iterable[float] = LOG_SNR,
    samples: int = 200,
    points: int = 4,
    draws: int = 2,
    most: int = 512,
    steps: int = 24,
    schedule: Schedule | None = None,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> tuple[AxisReading, ...]:
    """All six readings of one score.

    Args:
        score: anything with .denoise or .score.
        train: its training set, (n, *event_shape).
        held_out: points of the same law, (k, *event_shape).
        twin: the score of a disjoint training set of equal size, made in the same way; None leaves agreement out.
        truth: the law, where it is known: the line of the loss.
        log_snr: levels.
        samples: generated, for copies and agreement.
        points: held-out points at which derivatives are taken.
        draws: of noise for each loss.
        most: points of each set whose losses are taken, and at which linearity is judged.
        steps: of the generation.
        schedule: what noise at time t means; by default that of the scores, OU() where none has its own.
        confidence: of the intervals, in (0, 1).
        generator: of all random numbers; None for torch's own.

    Returns:
        `AxisReading`, axis after axis in the order of `AXES`, each with its levels from little noise to much.

    Raises:
        ValueError: for sets that do not fit, counts below 1, levels that are not finite.
    """
    train, held_out = check_read(score, train, held_out)
    schedule, levels = schedule_of(schedule, score, twin, truth), check_levels(log_snr)
    check_count(samples, "samples"), check_count(points, "points"), check_confidence(confidence)
    common = {"schedule": schedule, "generator": generator, "log_snr": levels}
    losses = denoising_losses(score, train, held_out, truth=truth, draws=draws, most=most, **common)
    start = randn((samples, *train.shape[1:]), train, generator)
    end = max(6.0, levels[0])
    made = paths(score, start, log_snr=levels, end=end, steps=steps, schedule=schedule)
    agreement: tuple[AxisReading, ...] = ()
    if twin is not None:
        other = paths(twin, start, log_snr=levels, end=end, steps=steps, schedule=schedule)
        agreement = agreement_readings(made, other, train, held_out, confidence=confidence)
    return (
        *loss_readings(losses, confidence=confidence),
        *copy_readings(made, train, held_out, confidence=confidence),
        *agreement,
        *linearity_readings(score, train, most=most, confidence=confidence, **common),
        *jacobian_readings(score, held_out[:points], confidence=confidence, **common),
        *membership_readings(losses, confidence=confidence),
    )
