"""The approximation separation: scores as ReLU networks built by hand, with proved errors."""

from .hoelder import HolderLaw, holder_score_network
from .network import ReLUNetwork, affine, compose, maximum, parallel
from .scores import ScoreNetwork, empirical_score_network, mixture_score_network, theorem_error
from .softmax import softmax_mean

__all__ = [
    "HolderLaw",
    "ReLUNetwork",
    "ScoreNetwork",
    "affine",
    "compose",
    "empirical_score_network",
    "holder_score_network",
    "maximum",
    "mixture_score_network",
    "parallel",
    "softmax_mean",
    "theorem_error",
]
