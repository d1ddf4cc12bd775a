"""One notebook, one run: parameters checked, a kernel of its own, a result that is whole or not there."""

from importlib import import_module

__all__ = ["main", "run"]
LATER = {"execute": ("main", "run")}  # imported when they are asked for: they take longer than the rest


def __getattr__(name: str):
    """One of the names of `LATER`."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
