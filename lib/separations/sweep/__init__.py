"""Many runs of one notebook, on this machine or a cluster."""

from importlib import import_module

__all__ = ["main"]
LATER = {"command": ("main",)}  # imported when they are asked for: they take longer than the rest


def __getattr__(name: str):
    """One of the names of `LATER`."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
