"""What code means: a hash of each definition of the library, with that of all it names."""

from .merkle import Library, library
from .names import NAME, WHOLE, Key

__all__ = ["NAME", "WHOLE", "Key", "Library", "library"]
