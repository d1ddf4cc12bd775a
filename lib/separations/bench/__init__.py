"""Rival theories on the same axes: closed forms and six readings."""

from .ambient import Ambient
from .attractors import attractors, circle_attractors, expected_circle_attractors
from .bias_free import BiasFreeUNet, fit_blind
from .circle import Circle
from .completions import completed
from .data_sets import BenchSet, bench_set
from .drawn_features import DrawnFeatures
from .drawn_images import contour_images, disk_images
from .generated import agreement_readings, copy_readings, paths
from .hierarchy import RandomHierarchy, shared_parts
from .jacobians import JacobianSpectrum, jacobian_spectrum
from .kernel_width import best_kernel_variance, collapse_variance, kernel_likelihood
from .lines import DenoisingLosses, denoising_losses, loss_readings, membership_readings
from .memories import barycentres, crossover_memory, partial_memory
from .own_half import own_half_preference
from .patches import EquivariantPatches, LocalPatches
from .random_features import CopyingTimes, FeatureConstants, RandomFeatures, SpectrumParts, feature_constants
from .reading import AxisReading
from .readings import readings
from .regularised import KernelDensity, SmoothedScore, Tikhonov
from .responses import jacobian_readings, linearity_readings
from .shallow_relu import ShallowReLU, adam, adam_limit, gradient_descent, network_through, random_shallow
from .stable_minima import (
    LineTargets,
    critical_step,
    line_targets,
    network_variation,
    step_bound,
    variation_weight,
    weighted_variation,
)
from .window_cnn import WindowCNN

__all__ = [
    "Ambient",
    "AxisReading",
    "BenchSet",
    "BiasFreeUNet",
    "Circle",
    "CopyingTimes",
    "DenoisingLosses",
    "DrawnFeatures",
    "EquivariantPatches",
    "FeatureConstants",
    "JacobianSpectrum",
    "KernelDensity",
    "LineTargets",
    "LocalPatches",
    "RandomFeatures",
    "RandomHierarchy",
    "ShallowReLU",
    "SmoothedScore",
    "SpectrumParts",
    "Tikhonov",
    "WindowCNN",
    "adam",
    "adam_limit",
    "agreement_readings",
    "attractors",
    "barycentres",
    "bench_set",
    "best_kernel_variance",
    "circle_attractors",
    "collapse_variance",
    "completed",
    "contour_images",
    "copy_readings",
    "critical_step",
    "crossover_memory",
    "denoising_losses",
    "disk_images",
    "expected_circle_attractors",
    "feature_constants",
    "fit_blind",
    "gradient_descent",
    "jacobian_readings",
    "jacobian_spectrum",
    "kernel_likelihood",
    "line_targets",
    "linearity_readings",
    "loss_readings",
    "membership_readings",
    "network_through",
    "network_variation",
    "own_half_preference",
    "partial_memory",
    "paths",
    "random_shallow",
    "readings",
    "shared_parts",
    "step_bound",
    "variation_weight",
    "weighted_variation",
]
