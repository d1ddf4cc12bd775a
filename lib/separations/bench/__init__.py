"""Rival theories on the same axes: closed forms and six readings."""

from .ambient import Ambient
from .circle import Circle
from .data_sets import BenchSet, bench_set
from .drawn_features import DrawnFeatures
from .generated import agreement_readings, copy_readings, paths
from .hierarchy import RandomHierarchy, shared_parts
from .jacobians import JacobianSpectrum, jacobian_spectrum
from .lines import DenoisingLosses, denoising_losses, loss_readings, membership_readings
from .memories import barycentres, crossover_memory, partial_memory
from .own_half import own_half_preference
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
    "DrawnFeatures",
    "EquivariantPatches",
    "FeatureConstants",
    "JacobianSpectrum",
    "KernelDensity",
    "LocalPatches",
    "RandomFeatures",
    "RandomHierarchy",
    "SmoothedScore",
    "SpectrumParts",
    "Tikhonov",
    "agreement_readings",
    "barycentres",
    "bench_set",
    "copy_readings",
    "crossover_memory",
    "denoising_losses",
    "feature_constants",
    "jacobian_readings",
    "jacobian_spectrum",
    "linearity_readings",
    "loss_readings",
    "membership_readings",
    "own_half_preference",
    "partial_memory",
    "paths",
    "readings",
    "shared_parts",
]
