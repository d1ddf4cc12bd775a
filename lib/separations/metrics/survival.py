"""How much noise a copy survives: where another score, taking over during generation, still leaves a copy memorized."""

import math

from ..numerics.checks import as_real, check_count
from .memorization import _check_threshold


def perpendicular_limit(threshold: float = 1 / 9) -> float:
    """Size of the noise up to which the rule finds a copy, in units of its gap: sqrt(threshold / (1 - threshold)).

    For noise perpendicular to the differences of training points, as Gaussian noise in high dimension nearly is; the gap is
    the distance to the nearest other training point. With threshold = 1/9 it is 1 / sqrt(8). ValueError unless 0 < threshold < 1.
    """
    threshold = _check_threshold(threshold)
    return math.sqrt(threshold / (1 - threshold))


def takeover_log_snr(gap: float, d: int, *, stochastic: bool, threshold: float = 1 / 9) -> float:
    """Log-SNR at which the true score has to take over from the empirical one for a copy with this gap to be half lost.

    With r = sigma / alpha at the takeover, generation ends at x_i + r e by the probability flow and at x_i + r (e + e')
    by the reverse SDE, e and e' independent N(0, I), if the true density is nearly constant around x_i at the scale r.
    So a copy survives up to r^2 = gap^2 / (8 d), and up to half of that for stochastic samplers (at threshold 1/9).

    Args:
        gap: distance to the nearest other training point, > 0, in the unit of the data.
        d: dimension, large.
        stochastic: whether the sampler adds fresh noise (`reverse_sde`, `ddim` with eta = 1) or not
            (`probability_flow`, `ddim`, `heun`).
        threshold: on the ratio of the squared distances, in (0, 1).

    Returns:
        -log r^2.

    Raises:
        ValueError: for other values.
    """
    gap, d = as_real(gap, "gap"), check_count(d, "d")
    if not 0 < gap < math.inf:
        raise ValueError(f"gap = {gap}: a positive, finite distance is needed")
    if not isinstance(stochastic, bool):
        raise ValueError(f"stochastic = {stochastic!r}: True or False is needed")
    noises = 2 if stochastic else 1
    return math.log(noises * d) - 2 * math.log(gap * perpendicular_limit(threshold))
