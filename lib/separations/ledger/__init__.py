"""What a notebook claims, finds and records."""

from importlib import import_module

from .ledger import Ledger, written_for
from .stored_tables import made_with, stored_rows
from .tables import read_table

__all__ = [
    "EXACT",
    "Ledger",
    "above",
    "at_least",
    "at_most",
    "below",
    "between",
    "counted",
    "detectable_difference",
    "filled",
    "finding",
    "glue",
    "listed",
    "made_with",
    "mean_of",
    "near",
    "rank_correlation",
    "read_table",
    "share",
    "stored_rows",
    "verdict",
    "written_for",
]
# Imported when they are asked for: they need PyTorch, and whoever only runs notebooks does without it.
LATER = {
    "findings": ("EXACT", "counted", "detectable_difference", "finding", "mean_of", "rank_correlation", "share"),
    "prose": ("filled", "glue", "listed"),
    "verdicts": ("above", "at_least", "at_most", "below", "between", "near", "verdict"),
}


def __getattr__(name: str):
    """One of the names of `LATER`."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
