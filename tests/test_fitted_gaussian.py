"""The Gaussian of a data set: the same law as a mixture of one component, also where there are fewer points than values."""

import pytest
import torch

from separations.distributions import FittedGaussian, GaussianMixture
from separations.schedules import DDPM


def points(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return 0.5 + torch.randn(n, *shape, generator=g, dtype=torch.float64) * torch.linspace(0.2, 2, shape[-1]).double()


@pytest.mark.parametrize("n", [30, 4])  # more and fewer points than values
@pytest.mark.parametrize("t", [0.01, 0.4, 0.9])
def test_it_is_the_mixture_with_the_sample_covariance(n, t):
    data, x, schedule = points(n, 2, 3), points(7, 2, 3, seed=1), DDPM()
    law = FittedGaussian(data)
    flat = data.flatten(1)
    other = GaussianMixture(data.mean(0, keepdim=True), torch.cov(flat.T))
    for question in ("log_prob", "score", "denoise", "hessian", "posterior_cov"):
        mine, wanted = (getattr(one, question)(x, t, schedule=schedule) for one in (law, other))
        assert torch.allclose(mine, wanted, rtol=1e-6, atol=1e-8), question
    assert len(law.variances) == min(n - 1, 6)
    assert torch.equal(law.to("cpu").denoise(x, t, schedule=schedule), law.denoise(x, t, schedule=schedule))


def test_samples_have_the_moments_of_the_points_and_stay_in_their_span():
    data = points(5, 8)
    made = FittedGaussian(data).sample(40_000, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(made.mean(0), data.mean(0), atol=0.06)  # five standard errors
    assert torch.allclose(torch.cov(made.T), torch.cov(data.T), atol=0.2)
    span = torch.linalg.qr((data - data.mean(0)).T).Q[:, :4]
    rest = (made - data.mean(0)) @ (torch.eye(8).double() - span @ span.T)
    assert float(rest.abs().max()) < 1e-9


def test_a_point_in_single_precision_is_answered_in_single_precision():
    law, x = FittedGaussian(points(6, 4).float()), points(3, 4).float()
    found = law.denoise(x, torch.tensor([0.1, 0.5, 0.9]), schedule=DDPM())
    assert found.dtype == torch.float32 and found.shape == x.shape


@pytest.mark.parametrize(
    "data", [torch.zeros(1, 3), torch.ones(4, 3), torch.tensor([[1.0, float("nan")], [0.0, 1.0]]), [1.0, 2.0]], ids=str
)
def test_bad_data(data):
    with pytest.raises(ValueError, match="data"):
        FittedGaussian(data)
