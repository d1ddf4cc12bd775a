"""The statistical separation: what the true score loses in training, by sampling, by quadrature and in closed form."""

from .control import NoiseLength
from .estimate import LossGap, generalization_error, loss_gap
from .integral import IntegratedGap, integrated_gap, kl_gap, likelihood_weight
from .quadrature import quadrature_error, quadrature_gap
from .theory import (
    fisher_information,
    gap_lower_bound,
    gaussian_information,
    information_density,
    large_n_constant,
    plateau,
    predicted_gap,
    small_t_limit,
)

__all__ = [
    "IntegratedGap",
    "LossGap",
    "NoiseLength",
    "fisher_information",
    "gap_lower_bound",
    "gaussian_information",
    "generalization_error",
    "information_density",
    "integrated_gap",
    "kl_gap",
    "large_n_constant",
    "likelihood_weight",
    "loss_gap",
    "plateau",
    "predicted_gap",
    "quadrature_error",
    "quadrature_gap",
    "small_t_limit",
]
