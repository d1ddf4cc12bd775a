"""What scores generate: copies of their training points, and how far two scores of disjoint sets make the same."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ..metrics import excess_ratio
from ..numerics.checks import check_count, check_model, check_real, check_shaped
from ..numerics.intervals import check_confidence
from ..numerics.nearest_rows import nearest_distances
from ..numerics.rows import Rows
from ..samplers import heun
from ..schedules import Schedule, schedule_of
from .reading import LOG_SNR, AxisReading, asked, check_levels, cosine, mean_interval

START = -8.0  # log-SNR at which generation starts


def paths(
    score,
    start: Tensor,
    *,
    log_snr: Iterable[float] = LOG_SNR,
    end: float = 6.0,
    steps: int = 24,
    schedule: Schedule | None = None,
) -> dict[float | None, Tensor]:
    """What a score makes of noise, by Heun's rule from log-SNR -8: its denoised images on the way, and its samples.

    Args:
        score: anything with .denoise or .score.
        start: standard normal numbers, (m, *event_shape).
        log_snr: levels at which E[X_0 | X_t] is given.
        end: level of the last step, after which the samples are denoised.
        steps: even steps in log-SNR, beside those at the levels.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.

    Returns:
        Denoised images by level, the samples under None; each of the shape of start.

    Raises:
        ValueError: for levels outside (-8, end], and as `heun`.
    """
    check_model(score, "denoise", "score", either=True)
    start, levels, schedule = check_shaped(start, "start"), check_levels(log_snr), schedule_of(schedule, score)
    end = check_real(end, "end", f"a number above {START:g}", low=START, open_low=True)
    if levels and not START < levels[-1] <= levels[0] <= end:
        raise ValueError(f"log_snr = {list(levels)}: numbers in ({START:g}, {end:g}] are needed")
    grid = sorted({*torch.linspace(START, end, check_count(steps, "steps") + 1, dtype=torch.float64).tolist(), *levels})
    times = schedule.time_from_log_snr(torch.tensor(grid, dtype=torch.float64))
    path = heun(score, start * schedule.sigma(times[0]).to(start), times, schedule=schedule, trajectory=True)
    found: dict[float | None, Tensor] = {
        level: asked(score, path[grid.index(level)], times[grid.index(level)], schedule) for level in levels
    }
    found[None] = asked(score, path[-1], times[-1], schedule)
    return found


def copy_readings(
    made: Mapping[float | None, Tensor], train: Tensor, held_out: Tensor, *, confidence: float = 0.95
) -> tuple[AxisReading, ...]:
    """Share of copies by the 1/9 rule beyond that among held-out points (`metrics.excess_ratio`), on the way and at the end.

    Args:
        made: from `paths`.
        train: (n, *event_shape).
        held_out: (k, *event_shape).
        confidence: of the intervals, in (0, 1).

    Returns:
        A `AxisReading` for each entry; beside it both ratios.

    Raises:
        ValueError: as `excess_ratio`.
    """
    found = []
    for level, x in made.items():
        excess = excess_ratio(x.to(train.dtype), train, held_out, confidence=confidence)
        found.append(AxisReading("copies", level, excess, {"ratio": excess.ratio, "held_out": excess.baseline}))
    return tuple(found)


def agreement_readings(
    made: Mapping[float | None, Tensor],
    twin: Mapping[float | None, Tensor],
    train: Tensor,
    held_out: Tensor,
    *,
    confidence: float = 0.95,
) -> tuple[AxisReading, ...]:
    """Cosine between what two scores of disjoint training sets make of the same noise, the mean of the training set taken off.

    Kadkhodaie et al. (2024). Beside it the floor, the same of pairs of different held-out points, and how near the samples are to their nearest
    training point; a score that agrees with its twin no more than the Gaussian of equal n does has shown no more than that.

    Args:
        made: from `paths` with the score of `train`.
        twin: the same start through the score of the disjoint set.
        train: (n, *event_shape).
        held_out: (k, *event_shape), k >= 2.
        confidence: of the intervals, in (0, 1).

    Returns:
        A `AxisReading` for each entry: the mean cosine with its bootstrap over the samples.

    Raises:
        ValueError: for entries that differ, fewer than two held-out points.
    """
    if list(made) != list(twin) or any(made[level].shape != twin[level].shape for level in made):
        raise ValueError(
            f"twin has the levels {list(twin)}: those of made, {list(made)}, at the same number of points are needed"
        )
    check_confidence(confidence)
    if len(held_out) < 2:
        raise ValueError(f"held_out has {len(held_out)} points: at least 2 are needed")
    centre, rows = train.double().mean(0), Rows(train.flatten(1))
    floor, found = float(cosine(held_out.double() - centre, held_out.double().roll(1, 0) - centre).mean()), []
    for level, x in made.items():
        _, nearest = nearest_distances(x.to(train.dtype).flatten(1), rows, k=1)
        one, two = x.double() - centre, twin[level].double() - centre
        near = float(cosine(one, train.double()[nearest[:, 0].to(train.device)] - centre).mean())
        found.append(
            AxisReading(
                "agreement", level, mean_interval(cosine(one, two), confidence), {"floor": floor, "nearest": near}
            )
        )
    return tuple(found)
