"""What can be done against copying, each remedy as a path of settings that begins at doing nothing."""

from .averaged import MeanDenoiser, average_copies
from .freezing import freeze_layers
from .labelled import Labelled, LabelledTerms, told
from .looped import train_with_terms
from .parts import PARTS, part_of, train_only
from .pruned import prune_smallest
from .repelling import Repelled
from .replaced import replaced_below
from .rescaled import RescaledTerms
from .term_functions import AmbientTerms, PlainTerms, SkippedTerms
from .training_sets import repeated_points, shards, with_dummies

__all__ = [
    "PARTS",
    "AmbientTerms",
    "Labelled",
    "LabelledTerms",
    "MeanDenoiser",
    "PlainTerms",
    "Repelled",
    "RescaledTerms",
    "SkippedTerms",
    "average_copies",
    "freeze_layers",
    "part_of",
    "prune_smallest",
    "repeated_points",
    "replaced_below",
    "shards",
    "told",
    "train_only",
    "train_with_terms",
    "with_dummies",
]
