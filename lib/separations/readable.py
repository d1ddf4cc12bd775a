"""Durations and memory in words that people read."""


def duration(seconds: float | None) -> str:
    """Seconds as a reader says them: '8 s', '1 min 40 s'."""
    if seconds is None:
        return "not run"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{max(rest, 1)} s"


def memory(megabytes: float | None) -> str:
    """Megabytes as a reader says them: '640 MB', '1.2 GB'."""
    if megabytes is None:
        return "–"
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
