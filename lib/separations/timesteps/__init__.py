"""Where training looks: distributions of the time t."""

from .interval import ConfidenceInterval, DiscreteTimes, MinSNR, contribution
from .times import Beta, LogNormal, LogSNRUniform, Uniform

__all__ = [
    "Beta",
    "ConfidenceInterval",
    "DiscreteTimes",
    "LogNormal",
    "LogSNRUniform",
    "MinSNR",
    "Uniform",
    "contribution",
]
