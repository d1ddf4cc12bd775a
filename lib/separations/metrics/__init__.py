"""Copies and quality of generated samples, with intervals."""

from .axes import principal_axes
from .baselines import against_held_out, chance_level, excess_ratio, intrinsic_dimension, memorized_distinct
from .components import component_distances, distance_parts, mean_distance
from .features import Features, extractor_for, features_of, sees
from .memorization import MemorizationRatio, memorization_ratio
from .neighbourhoods import coverage_curve, density_coverage, precision_recall, reachable_coverage
from .patches import patch_matches
from .quality import ImageQuality, frechet_distance, image_quality, kernel_distance
from .survival import perpendicular_limit, takeover_log_snr
from .two_sample import energy_test, mmd_test, p_values

__all__ = [
    "Features",
    "ImageQuality",
    "MemorizationRatio",
    "against_held_out",
    "chance_level",
    "component_distances",
    "coverage_curve",
    "density_coverage",
    "distance_parts",
    "energy_test",
    "excess_ratio",
    "extractor_for",
    "features_of",
    "frechet_distance",
    "image_quality",
    "intrinsic_dimension",
    "kernel_distance",
    "mean_distance",
    "memorization_ratio",
    "memorized_distinct",
    "mmd_test",
    "p_values",
    "patch_matches",
    "perpendicular_limit",
    "precision_recall",
    "principal_axes",
    "reachable_coverage",
    "sees",
    "takeover_log_snr",
]
