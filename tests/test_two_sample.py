"""Two-sample tests: the statistic against its definition and scipy, the p-value against its law, the power against a wrong law."""

import numpy as np
import pytest
import scipy.stats
import torch

from conftest import mixture
from separations.metrics import energy_test, mmd_test, p_values
from separations.metrics.two_sample import permutation_test


def normal(m, d=2, seed=0, shift=0.0):
    return shift + torch.randn(m, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_energy_distance_is_scipys_in_one_dimension():
    x, y = normal(50, 1), normal(70, 1, seed=1, shift=0.5)
    assert energy_test(x, y).statistic == pytest.approx(scipy.stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-12)


def test_energy_distance_of_equal_samples_is_zero_and_of_two_points_twice_their_distance():
    x = normal(20)
    assert energy_test(x, x).statistic == pytest.approx(0, abs=1e-12)
    a, b = torch.zeros(2, 3), torch.full((2, 3), 4.0)
    assert energy_test(a, b).statistic == pytest.approx(2 * 4 * 3**0.5)


def test_the_statistic_of_the_kernel_test_is_the_mean_discrepancy():
    x, y = normal(9), normal(7, seed=1)

    def k(a, b):
        return torch.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 0.8**2))

    by_hand = k(x, x).mean() + k(y, y).mean() - 2 * k(x, y).mean()
    assert mmd_test(x, y, bandwidth=0.8).statistic == pytest.approx(float(by_hand), rel=1e-10)


def test_p_value_agrees_with_all_permutations_by_scipy():
    x, y = normal(5, 1), normal(5, 1, seed=4, shift=0.8)

    def statistic(a, b):
        return scipy.stats.energy_distance(a, b) ** 2

    exact = scipy.stats.permutation_test((x[:, 0].numpy(), y[:, 0].numpy()), statistic, alternative="greater")
    ours = energy_test(x, y, permutations=20_000)
    assert 0.05 < exact.pvalue < 0.6
    assert ours.p_value == pytest.approx(exact.pvalue, abs=4 * (0.25 / 20_000) ** 0.5)  # four standard errors


@pytest.mark.parametrize("test", [energy_test, mmd_test])
def test_p_values_are_uniform_under_the_null(test, generator):
    law = mixture("matrix", d=2)
    x, y = law.sample(9000, generator=generator), law.sample(9000, generator=generator)
    p = p_values(x, y, 60, test=test, permutations=99, generator=generator)
    assert len(p) == 150
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001


@pytest.mark.parametrize("test", [energy_test, mmd_test])
@pytest.mark.parametrize("change", [lambda x: x + 0.35, lambda x: 1.5 * x, lambda x: x * torch.tensor([1.0, -1.0])])
def test_a_wrong_law_is_detected(test, change, generator):
    law = mixture("matrix", d=2)
    x, y = law.sample(400, generator=generator), change(law.sample(400, generator=generator))
    assert test(x, y, generator=generator).p_value == 1 / 200


def test_the_shape_of_a_sample_and_the_size_of_the_other_do_not_matter():
    x, y = normal(30, 12), normal(20, 12, seed=1)
    images = energy_test(x.reshape(30, 3, 2, 2), y.reshape(20, 3, 2, 2))
    assert images.statistic == pytest.approx(energy_test(x, y).statistic)
    assert images.p_value == energy_test(x, y).p_value
    assert (images.m, images.n, images.null.shape) == (30, 20, (199,))


def test_same_arguments_same_p_value_and_a_generator_changes_it(generator):
    x, y = normal(30), normal(30, seed=1)
    assert float(energy_test(x, y)) == float(energy_test(x, y))
    assert not np.array_equal(energy_test(x, y).null, energy_test(x, y, generator=generator).null)


def test_constant_samples_have_p_value_one():
    assert float(energy_test(torch.ones(5, 2), torch.ones(6, 2))) == 1
    assert float(mmd_test(torch.ones(5, 2), torch.ones(6, 2))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_test(normal(5), normal(5, 3)), r"y has shape \(5, 3\): shape \(m, 2\)"),
        (lambda: energy_test(normal(1), normal(5)), "x has 1 point"),
        (lambda: energy_test(normal(5), normal(5) * float("nan")), "y has NaN"),
        (lambda: energy_test(normal(5)[:, 0], normal(5)), "x has shape"),
        (lambda: energy_test([1.0], normal(5)), "x is list"),
        (lambda: energy_test(normal(5), normal(5), permutations=0), "permutations = 0"),
        (lambda: mmd_test(normal(5), normal(5), bandwidth=-1.0), "bandwidth = -1.0"),
        (lambda: p_values(normal(5), normal(9), 6), "size = 6: at most .* 5"),
        (lambda: permutation_test(np.eye(4), 4), "m = 4"),
        (lambda: permutation_test(np.ones((4, 3)), 2), r"shape \(4, 3\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("unit", [2.0**560, 2.0**-560])
def test_tests_do_not_depend_on_the_unit(unit):
    x, y = normal(30), normal(40, seed=1, shift=0.8)
    assert energy_test(x * unit, y * unit).statistic == energy_test(x, y).statistic * unit
    for plain, other in (
        (energy_test(x, y), energy_test(x * unit, y * unit)),
        (mmd_test(x, y), mmd_test(x * unit, y * unit)),
        (mmd_test(x, y, bandwidth=0.5), mmd_test(x * unit, y * unit, bandwidth=0.5 * unit)),
    ):
        assert plain.p_value == other.p_value
    assert energy_test(x * unit, y * unit).null == pytest.approx(energy_test(x, y).null * unit)


def test_samples_in_16_bits_are_those_numbers_in_float64():
    for kind in (torch.float16, torch.bfloat16):
        x, y = normal(30).to(kind) * 50, normal(40, seed=1).to(kind) * 50
        assert energy_test(x, y).statistic == energy_test(x.double(), y.double()).statistic


def test_a_bandwidth_far_below_all_distances_leaves_the_copies():
    x = normal(10)
    assert np.isfinite(mmd_test(x, x + 1, bandwidth=1e-300).statistic)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: energy_test(normal(5), normal(5), generator=3), "generator = 3"),
        (lambda: mmd_test(normal(5), normal(5), bandwidth="wide"), "bandwidth = 'wide'"),
        (lambda: mmd_test(normal(5), normal(5), bandwidth=float("nan")), "bandwidth = nan"),
        (lambda: p_values([1.0], normal(5), 2), "x is list"),
        (lambda: p_values(normal(5), normal(5), 2, generator="g"), "generator = 'g'"),
        (lambda: permutation_test(np.full((4, 4), np.nan), 2), "similarity has shape"),
        (lambda: permutation_test("none", 2), "similarity is str"),
        (lambda: permutation_test(np.eye(4), 2.0), "m = 2.0"),
        (lambda: permutation_test(np.eye(4), 4), "m = 4"),
        (lambda: energy_test(normal(3) * 1e308, -normal(3) * 1e308), "x has NaN|overflows"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_similarities_of_any_library():
    x = normal(6)
    kernel = x @ x.mT
    plain = permutation_test(kernel.numpy(), 3)
    other = permutation_test(kernel, np.int64(3), permutations=np.int32(199))
    assert (plain.statistic, plain.p_value) == (other.statistic, other.p_value)
