"""The model of fixed capacity: copies when n = K, moments and span otherwise."""

import numpy as np
import pytest
import torch

from separations.distributions import LocalGaussians


@pytest.fixture
def data(generator):
    return torch.randn(60, 2, 3, generator=generator)


def test_with_one_point_a_component_it_copies(data, generator):
    samples = LocalGaussians(data, 60, rank=4).sample(200, generator=generator)
    gap = (samples[:, None] - data).flatten(2).norm(dim=2).amin(1)
    assert gap.max() < 1e-5  # float32


def test_one_component_has_the_mean_and_covariance_of_the_data(data, generator):
    model = LocalGaussians(data, 1, rank=6)
    flat = data.reshape(60, 6)
    torch.testing.assert_close(model.means[0], flat.mean(0))
    torch.testing.assert_close(model.factors[0].mT @ model.factors[0], flat.mT.cov(), rtol=1e-4, atol=1e-5)
    samples = model.sample(20000, generator=generator).reshape(-1, 6)
    torch.testing.assert_close(samples.mT.cov(), flat.mT.cov(), rtol=0.1, atol=0.05)  # 20,000 draws


def test_samples_stay_in_the_span_of_their_group(data, generator):
    model = LocalGaussians(data, 30, rank=6)
    for k in range(model.K):
        assert len(model.factors[k]) <= min(6, int((model.group == k).sum()) - 1)
    assert float(model.weights.sum()) == pytest.approx(1)


def test_rank_cuts_to_the_largest_directions(data):
    full, cut = LocalGaussians(data, 1, rank=6), LocalGaussians(data, 1, rank=2)
    torch.testing.assert_close(cut.factors[0].norm(dim=1), full.factors[0].norm(dim=1)[:2])
    assert len(LocalGaussians(data, 1, rank=0).factors[0]) == 0


def test_the_same_seed_gives_the_same_model(data):
    one, two = (LocalGaussians(data, 5, rank=2, seed=3) for _ in range(2))
    assert torch.equal(one.group, two.group)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: LocalGaussians(x, 61, 2), "K = 61: at most"),
        (lambda x: LocalGaussians(x, 0, 2), "K = 0"),
        (lambda x: LocalGaussians(x, 2, -1), "rank = -1"),
        (lambda x: LocalGaussians(x[:2].expand(2, 2, 3)[[0, 0, 0, 1]], 3, 1), "K = 3: at most 2"),
        (lambda x: LocalGaussians(x / 0, 2, 2), "data has NaN"),
        (lambda x: LocalGaussians(x, 2, 2).sample(0), "m = 0"),
    ],
)
def test_bad_arguments(data, make, message):
    with pytest.raises(ValueError, match=message):
        make(data)


@pytest.mark.parametrize("unit", [2.0**80, 2.0**-80])
def test_groups_do_not_depend_on_the_unit(data, unit):
    plain, other = LocalGaussians(data, 5, 2), LocalGaussians(data * unit, 5, 2)
    assert torch.equal(plain.group, other.group)
    torch.testing.assert_close(torch.stack(other.means) / unit, torch.stack(plain.means))
    for one, two in zip(plain.factors, other.factors):
        torch.testing.assert_close(two / unit, one)


def test_data_of_any_floating_point_kind(data):
    for kind in (torch.float16, torch.bfloat16):
        given = data.to(kind)
        one, two = LocalGaussians(given.clone().requires_grad_(), 4, 2), LocalGaussians(given.float(), 4, 2)
        assert torch.equal(one.group, two.group) and one.sample(3).dtype == torch.float32


def test_counts_of_any_library(data):
    one, two = LocalGaussians(data, 4, 2, seed=1), LocalGaussians(data, np.int64(4), np.int32(2), seed=np.int64(1))
    assert torch.equal(one.group, two.group) and two.sample(np.int64(3)).shape == (3, 2, 3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: LocalGaussians([0.0], 1, 1), "data is list"),
        (lambda x: LocalGaussians(x, "4", 1), "K = '4'"),
        (lambda x: LocalGaussians(x, 4, True), "rank = True"),
        (lambda x: LocalGaussians(x, 4, 1, seed=-1), "seed = -1"),
        (lambda x: LocalGaussians(x, 4, 1).sample(2, generator=3), "generator = 3"),
        (lambda x: LocalGaussians(x * float("nan"), 4, 1), "data has NaN"),
    ],
)
def test_bad_arguments_of_other_kinds(data, make, message):
    with pytest.raises(ValueError, match=message):
        make(data)
