"""Numbers without diffusion: checks of arguments, random streams, estimates with intervals, data read in blocks, covariances, eigenvalues, costs."""

from .covariance import Covariance
from .estimates import Curve, Estimate, wilson_interval
from .seeds import numpy_seeded, seeded, stream
from .streaming import Rows, nearest

__all__ = ["Covariance", "Curve", "Estimate", "Rows", "nearest", "numpy_seeded", "seeded", "stream", "wilson_interval"]
