"""Data sets by name, and one's own folders and recordings."""

from .sets import DataSet, data_root, load

__all__ = ["DataSet", "data_root", "load"]
