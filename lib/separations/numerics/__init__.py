"""Numbers without diffusion: checks of arguments, random streams, estimates with intervals, data read in blocks, covariances, eigenvalues, costs."""

from .covariance import Covariance
from .estimates import Curve, Estimate
from .intervals import (
    IntervalEstimate,
    bootstrap_interval,
    normal_interval,
    percentile_interval,
    t_interval,
    wilson_interval,
)
from .nearest_rows import nearest
from .rows import Rows
from .seeds import numpy_seeded, seeded, stream

__all__ = [
    "Covariance",
    "Curve",
    "Estimate",
    "IntervalEstimate",
    "Rows",
    "bootstrap_interval",
    "nearest",
    "normal_interval",
    "numpy_seeded",
    "percentile_interval",
    "seeded",
    "stream",
    "t_interval",
    "wilson_interval",
]
