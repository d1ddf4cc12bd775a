"""Rival theories on the same axes: closed forms and six readings."""

from .ambient import Ambient
from .attractors import attractors, circle_attractors, expected_circle_attractors
from .circle import Circle
from .completions import completed
from .data_sets import BenchSet, bench_set
from .generated import agreement_readings, copy_readings, paths
from .jacobians import JacobianSpectrum, jacobian_spectrum
from .kernel_width import best_kernel_variance, collapse_variance, kernel_likelihood
from .lines import DenoisingLosses, denoising_losses, loss_readings, membership_readings
from .memories import barycentres, crossover_memory, partial_memory
from .patches import EquivariantPatches, LocalPatches
from .random_features import CopyingTimes, FeatureConstants, RandomFeatures, SpectrumParts, feature_constants
from .reading import AxisReading
from .readings import readings
from .regularised import KernelDensity, SmoothedScore, Tikhonov
from .responses import jacobian_readings, linearity_readings

__all__ = [
    "Ambient",
    "AxisReading",
    "BenchSet",
    "Circle",
    "CopyingTimes",
    "DenoisingLosses",
    "EquivariantPatches",
    "FeatureConstants",
    "JacobianSpectrum",
    "KernelDensity",
    "LocalPatches",
    "RandomFeatures",
    "SmoothedScore",
    "SpectrumParts",
    "Tikhonov",
    "agreement_readings",
    "attractors",
    "barycentres",
    "bench_set",
    "best_kernel_variance",
    "circle_attractors",
    "collapse_variance",
    "completed",
    "copy_readings",
    "crossover_memory",
    "denoising_losses",
    "expected_circle_attractors",
    "feature_constants",
    "jacobian_readings",
    "jacobian_spectrum",
    "kernel_likelihood",
    "linearity_readings",
    "loss_readings",
    "membership_readings",
    "partial_memory",
    "paths",
    "readings",
]
