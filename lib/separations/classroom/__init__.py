"""Exercises handed out and graded, slides."""

from importlib import import_module

__all__ = ["Limits", "grade", "main"]
LATER = {"bounds": ("Limits",), "grading": ("grade",), "command": ("main",)}


def __getattr__(name: str):
    """One of the names of `LATER`."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
