"""Data sets by name, and one's own folders and recordings."""

from .byte_images import load_bytes
from .sets import DataSet, data_root, load

__all__ = ["DataSet", "data_root", "load", "load_bytes"]
