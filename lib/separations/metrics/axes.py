"""Principal axes of points, by scikit-learn in double precision."""

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count, check_points
from ..numerics.scale import peak, scaled, size_exponent


def principal_axes(values: Tensor, components: int, *, fewer: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and first principal axes of features, by the directions in which they vary.

    Directions in which the standard deviation is below rounding, max(n, D) eps of the largest, are of no meaning:
    coordinates along them divided by their spread are rounding errors times 1e15.

    Args:
        values: (n, D), floating point.
        components: number of axes, < min(n, D).
        fewer: where the points vary in r < components directions, whether to give those alone, (D, r) with r >= 1.

    Returns:
        Mean (D,) and axes (D, components), float64.

    Raises:
        ValueError: for another number of components, points that are all equal, and, unless fewer=True, points that
            vary in fewer directions.
    """
    check_points(values, tuple(values.shape[1:]) if getattr(values, "ndim", 0) == 2 else ("D",), "values")
    n, D = values.shape
    if not (components := check_count(components, "components")) < min(n, D):
        raise ValueError(f"components = {components}: fewer than n = {n} points and D = {D} features are needed")
    if bool((values == values[0]).all()):
        raise ValueError(f"values has {n} points that are all equal: principal axes need points that differ")
    exponent = size_exponent(peak(values))
    mean, axes, spread = _fitted(scaled(values.detach().double().cpu(), -exponent).numpy(), components)
    axes = axes[:, spread > max(n, D) * torch.finfo(torch.float64).eps * spread[0]]
    if axes.shape[1] < components and not fewer:
        raise ValueError(
            f"components = {components}: the {n} points vary in {axes.shape[1]} directions, at most so many are possible"
        )
    return scaled(mean, exponent).to(values.device), axes.to(values.device)


def _fitted(values: np.ndarray, components: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), axes (D, components) and singular values (components,), the largest first."""
    from scipy.sparse.linalg import ArpackError
    from sklearn.decomposition import PCA

    try:  # ARPACK finds the first axes to full precision, ten times faster than all of them
        fitted = PCA(components, svd_solver="arpack", random_state=0).fit(values)
    except ArpackError:  # it may give up where the points vary in fewer directions
        fitted = PCA(components, svd_solver="full").fit(values)
    axes = torch.from_numpy(fitted.components_.T.copy())
    return torch.from_numpy(fitted.mean_), axes, torch.from_numpy(fitted.singular_values_.copy())
