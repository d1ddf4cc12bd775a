"""Data sets by name, and one's own folders and recordings."""

from .byte_images import load_bytes
from .data_set import DataSet
from .sets import data_root, load

__all__ = ["DataSet", "data_root", "load", "load_bytes"]
