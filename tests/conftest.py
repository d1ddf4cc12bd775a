"""Shared by all tests: two mixtures and a seeded generator."""

import pytest
import torch

from separations.distributions import Empirical, GaussianMixture


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def mixture(kind: str, d: int = 3, K: int = 4) -> GaussianMixture:
    """A float64 mixture for each accepted form of cov."""
    g = torch.Generator().manual_seed(1)
    means = 2 * torch.randn(K, d, generator=g, dtype=torch.float64)
    root = torch.randn(K, d, d, generator=g, dtype=torch.float64) / d**0.5
    full = root @ root.mT + 0.1 * torch.eye(d, dtype=torch.float64)
    diagonal = 0.2 + torch.rand(K, d, generator=g, dtype=torch.float64)
    covs = {
        "number": 0.7,
        "zero": 0.0,
        "diagonal": diagonal[0],
        "matrix": full[0],
        "number per component": diagonal[:, :1],
        "diagonal per component": diagonal,
        "matrix per component": full,
    }
    return GaussianMixture(means, covs[kind], weights=torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)[:K])


COVARIANCES = [
    "number",
    "zero",
    "diagonal",
    "matrix",
    "number per component",
    "diagonal per component",
    "matrix per component",
]


def empirical(n: int = 30, d: int = 3, **options) -> Empirical:
    g = torch.Generator().manual_seed(2)
    return Empirical(torch.randn(n, d, generator=g, dtype=torch.float64), **options)
