"""Numbers with intervals as they stand in report.json."""

import math

from ..numerics.intervals import IntervalEstimate


def interval(given: IntervalEstimate | float | None) -> dict | None:
    """{"value", "low", "high"}; what is not finite is null, for JSON has no other word for it."""
    if given is None:
        return None
    numbers = (
        (given.value, given.low, given.high) if isinstance(given, IntervalEstimate) else (given, math.nan, math.nan)
    )
    return {name: number(each) for name, each in zip(("value", "low", "high"), numbers)}


def number(given: float) -> float | None:
    """A finite number, or None."""
    return float(given) if math.isfinite(given) else None
