"""A network that is asked only at much noise."""

import math

from ..numerics.checks import check_real
from ..samplers import Switch, switch
from ..schedules import schedule_of


def replaced_below(score, other, log_snr: float) -> Switch:
    """The score down to a noise level, and another from there on: `score` at log-SNRs below `log_snr`, `other` at those above, that is at less noise.

    Args:
        score: anything with .denoise or .score; inf as `log_snr` leaves it alone.
        other: what replaces it at little noise.
        log_snr: where it is replaced.

    Returns:
        `samplers.Switch` of the two.

    Raises:
        ValueError: for a log-SNR that is NaN, or that the schedule does not have.
    """
    schedule = schedule_of(None, score, other)
    level = check_real(log_snr, "log_snr", "a number, or inf,") if log_snr != math.inf else math.inf
    top = schedule.t_max
    if level == math.inf:
        return switch({(top, 0.0): score})
    t = float(schedule.time_from_log_snr(level))
    return switch({(top, t): score, (t, 0.0): other})
