"""Signs of a copy: some need the training set, some only the model."""

from .conditional import conditional_gap, gap_of_means, images_that_hide
from .direction import Curvature, curvature, curvature_difference
from .likelihood import likelihood_gap, likelihood_gaps
from .membership import denoising_loss, loss_ratio, t_error
from .panel import agreement_table, authentic, cohen_kappa, judged
from .repeated import Repeats, largest_clique, repeats

__all__ = [
    "Curvature",
    "Repeats",
    "agreement_table",
    "authentic",
    "cohen_kappa",
    "conditional_gap",
    "curvature",
    "curvature_difference",
    "denoising_loss",
    "gap_of_means",
    "images_that_hide",
    "judged",
    "largest_clique",
    "likelihood_gap",
    "likelihood_gaps",
    "loss_ratio",
    "repeats",
    "t_error",
]
