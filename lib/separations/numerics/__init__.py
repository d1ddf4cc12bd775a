"""Numbers without diffusion: checks of arguments, random streams, estimates with intervals, data read in blocks, eigenvalues, costs."""

from .estimates import Curve, Estimate, wilson_interval
from .nearest_rows import nearest
from .rows import Rows
from .seeds import numpy_seeded, seeded, stream

__all__ = ["Curve", "Estimate", "Rows", "nearest", "numpy_seeded", "seeded", "stream", "wilson_interval"]
