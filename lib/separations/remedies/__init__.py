"""What can be done against copying, each remedy as a path of settings that begins at doing nothing."""

from .averaged import MeanDenoiser, average_copies
from .freezing import freeze_layers
from .looped import train_with_terms
from .pruned import prune_smallest
from .repelling import Repelled
from .replaced import replaced_below
from .term_functions import AmbientTerms, PlainTerms, SkippedTerms
from .training_sets import repeated_points, shards, with_dummies

__all__ = [
    "AmbientTerms",
    "MeanDenoiser",
    "PlainTerms",
    "Repelled",
    "SkippedTerms",
    "average_copies",
    "freeze_layers",
    "prune_smallest",
    "repeated_points",
    "replaced_below",
    "shards",
    "train_with_terms",
    "with_dummies",
]
