"""Rival theories on the same axes: closed forms and six readings."""

from .ambient import Ambient
from .bias_free import BiasFreeUNet, fit_blind
from .circle import Circle
from .data_sets import BenchSet, bench_set
from .drawn_images import contour_images, disk_images
from .generated import agreement_readings, copy_readings, paths
from .jacobians import JacobianSpectrum, jacobian_spectrum
from .lines import DenoisingLosses, denoising_losses, loss_readings, membership_readings
from .memories import barycentres, crossover_memory, partial_memory
from .patches import EquivariantPatches, LocalPatches
from .random_features import CopyingTimes, FeatureConstants, RandomFeatures, SpectrumParts, feature_constants
from .reading import AxisReading
from .readings import readings
from .regularised import KernelDensity, SmoothedScore, Tikhonov
from .responses import jacobian_readings, linearity_readings
from .window_cnn import WindowCNN

__all__ = [
    "Ambient",
    "AxisReading",
    "BenchSet",
    "BiasFreeUNet",
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
    "WindowCNN",
    "agreement_readings",
    "barycentres",
    "bench_set",
    "contour_images",
    "copy_readings",
    "crossover_memory",
    "denoising_losses",
    "disk_images",
    "feature_constants",
    "fit_blind",
    "jacobian_readings",
    "jacobian_spectrum",
    "linearity_readings",
    "loss_readings",
    "membership_readings",
    "partial_memory",
    "paths",
    "readings",
]
