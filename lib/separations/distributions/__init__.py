"""Laws whose diffused score is known in closed form, and what follows from it."""

from .diffused import Diffused
from .empirical import Empirical
from .fitted_gaussian import FittedGaussian
from .gaussian_mixture import GaussianMixture, spread_means
from .local_gaussians import LocalGaussians
from .product_mixtures import StudentMixture, UniformMixture
from .scale_mixtures import radial_exponential, radial_student

__all__ = [
    "Diffused",
    "Empirical",
    "FittedGaussian",
    "GaussianMixture",
    "LocalGaussians",
    "StudentMixture",
    "UniformMixture",
    "radial_exponential",
    "radial_student",
    "spread_means",
]
