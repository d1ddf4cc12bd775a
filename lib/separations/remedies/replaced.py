"""A network that is asked only at much noise."""

import math

from ..numerics.checks import check_model, check_real
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
        ValueError: for no scores, scores of points of two shapes, a log-SNR that is NaN, or that the schedule does not have.
    """
    shapes = []
    for name, one in (("score", score), ("other", other)):
        check_model(one, "score", "denoise", name=name, either=True)
        shapes.append(getattr(one, "event_shape", None))
    if None not in shapes and tuple(shapes[0]) != tuple(shapes[1]):
        raise ValueError(f"other has the event shape {tuple(shapes[1])}: that of score, {tuple(shapes[0])}, is needed")
    schedule = schedule_of(None, score, other)
    level = check_real(log_snr, "log_snr", "a number, or inf,") if log_snr != math.inf else math.inf
    top = schedule.t_max
    if level == math.inf:
        return switch({(top, 0.0): score})
    t = float(schedule.time_from_log_snr(level))
    if not 0 < t < top:
        raise ValueError(
            f"log_snr = {level:g}: one at a time between 0 and {top:g}, which rounding keeps, or inf, is needed"
        )
    return switch({(top, t): score, (t, 0.0): other})
