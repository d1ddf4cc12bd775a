"""Distances per principal component: known shifts, the identity case, intervals that hold, bad input."""

import math

import pytest
import torch
from scipy.stats import norm

from separations.metrics import component_distances, distance_parts, mean_distance
from separations.metrics.components import distances, jensen_shannon, wasserstein


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def cloud(m, seed, shift=0.0, d=6):
    """Gaussian with standard deviations 5, 2, 1, ... along the axes, shifted along the first."""
    spread = torch.tensor([5.0, 2.0] + [1.0] * (d - 2), dtype=torch.float64)
    x = torch.randn(m, d, generator=gen(seed), dtype=torch.float64) * spread
    x[:, 0] += shift
    return x


def test_a_shift_along_the_first_component_is_its_wasserstein_distance():
    train = cloud(500, 0)
    moved = train + 3 * torch.tensor([1.0, 0, 0, 0, 0, 0], dtype=torch.float64)
    found = component_distances(moved, train, resamples=20)
    # the first principal axis of 500 points is the first axis up to an angle of about 1/sqrt(500)
    assert float(found.wasserstein[0]) == pytest.approx(3, abs=0.05) and float(found.wasserstein[1]) < 0.3
    assert found.samples.shape == (500, 2) and found.train.shape == (500, 2)
    total = float((train - train.mean(0)).square().sum())
    assert sum(found.explained) == pytest.approx(float(found.train.square().sum()) / total)


def test_a_set_has_no_distance_to_itself():
    train = cloud(200, 0)
    found = component_distances(train, train, resamples=20)
    assert all(float(x) < 1e-12 for x in (*found.wasserstein, *found.jensen_shannon))
    assert all(x.low == 0 for x in found.wasserstein) and all(x.at_half > 0 for x in found.wasserstein)


def test_jensen_shannon_of_disjoint_and_of_known_histograms():
    a, b = torch.zeros(50), torch.ones(50)
    assert jensen_shannon(a, b) == pytest.approx(1)  # one bit: the root of one
    half = torch.cat([a, b])
    p, q, mid = (1.0, 0.0), (0.5, 0.5), (0.75, 0.25)
    bits = sum(sum(u * math.log2(u / v) for u, v in zip(r, mid) if u) for r in (p, q)) / 2
    assert jensen_shannon(a, half, bins=2, ends=(0, 1)) == pytest.approx(math.sqrt(bits))
    assert jensen_shannon(half, half) == 0


def test_wasserstein_is_the_area_between_quantiles():
    x, y = torch.randn(400, generator=gen(1)), 2 * torch.randn(400, generator=gen(2)) + 1
    assert wasserstein(x, y) == pytest.approx(float((x.sort().values - y.sort().values).abs().mean()), rel=1e-5)


def test_images_and_signals_and_axes_of_the_training_set():
    train = torch.randn(30, 1, 4, 4, generator=gen(0))
    a = component_distances(train[:10], train, resamples=10)
    b = component_distances(train[:10].flatten(1), train.flatten(1), resamples=10)
    assert a.wasserstein == b.wasserstein


@pytest.mark.slow
def test_the_intervals_hold_the_distance_of_the_laws():
    """A shifted normal law in one component: the Wasserstein distance is the shift; 95 % intervals of 60 trials."""
    held = 0
    for trial in range(60):
        x = torch.randn(100, 3, generator=gen(2 * trial), dtype=torch.float64) * torch.tensor([3.0, 0.5, 0.5]) + 2
        y = torch.randn(100, 3, generator=gen(2 * trial + 1), dtype=torch.float64) * torch.tensor([3.0, 0.5, 0.5])
        found = component_distances(x, y, 1, resamples=100, generator=gen(trial)).wasserstein[0]
        held += found.low <= 2 * math.sqrt(found_axis(y)) <= found.high
    assert held >= 50  # 57 are expected; fewer than 50 at a true coverage of 93 % has probability 0.5 %


def found_axis(y):
    """Squared length of the shift (1, 1, 1) along the first axis of y."""
    axis = torch.linalg.svd(y - y.mean(0), full_matrices=False)[2][0]
    return float(axis.sum()) ** 2


def test_mean_distance_over_all_and_to_the_nearest():
    train = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    sample = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]])
    assert distances(sample, train, per_value=False).tolist() == pytest.approx([2.5, 2.5, 3.5])
    assert distances(sample, train, nearest_only=True, per_value=False).tolist() == pytest.approx([0, 0, 3])
    root = math.sqrt(2)
    assert float(mean_distance(sample, train)) == pytest.approx(8.5 / 3 / root)
    far = mean_distance(sample + 1e6, train + 1e6, per_value=False)
    assert float(far) == pytest.approx(8.5 / 3, rel=1e-3)  # centred before the product: no cancellation


def test_the_bootstrap_of_a_mean_has_its_width():
    x, train = torch.randn(2000, 8, generator=gen(0)), torch.randn(50, 8, generator=gen(1))
    found, each = mean_distance(x, train), distances(x, train)
    half = norm.ppf(0.975) * float(each.std()) / math.sqrt(2000)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)  # 2,000 resamples know a quantile to 3 %
    assert found.low < float(found) < found.high and mean_distance(x, train) == found


@pytest.mark.parametrize(
    "call,word",
    [
        (lambda: component_distances(torch.zeros(5, 3), torch.randn(9, 4)), "samples has shape"),
        (lambda: component_distances(torch.randn(3, 4), torch.randn(9, 4)), "samples has 3 points"),
        (lambda: component_distances(torch.randn(9, 4), torch.randn(3, 4)), "train has 3 points"),
        (lambda: component_distances(torch.randn(9, 4), torch.randn(9, 4), 4), "components = 4"),
        (lambda: component_distances(torch.randn(9, 4), torch.randn(9, 4), bins=0), "bins = 0"),
        (lambda: component_distances(torch.full((9, 4), math.nan), torch.randn(9, 4)), "samples has NaN"),
        (lambda: mean_distance(torch.randn(9, 140), torch.randn(9, 141)), r"\(m, 141\)"),
        (lambda: mean_distance(torch.randn(9, 4), torch.randn(9, 4), confidence=1.0), "confidence = 1.0"),
        (lambda: jensen_shannon(torch.zeros(4), torch.zeros(4)), "all values are equal"),
    ],
)
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@pytest.mark.parametrize("unit", [2.0**560, 2.0**-560])
def test_distances_follow_the_unit(unit):
    x, train = cloud(60, 1), cloud(60, 2)
    plain, other = component_distances(x, train, resamples=5), component_distances(x * unit, train * unit, resamples=5)
    assert [float(w) for w in other.wasserstein] == pytest.approx([float(w) * unit for w in plain.wasserstein])
    assert other.jensen_shannon == plain.jensen_shannon and other.explained == pytest.approx(plain.explained)
    for nearest_only in (True, False):
        one, two = (distances(x * u, train * u, nearest_only=nearest_only) for u in (1.0, unit))
        assert torch.equal(two, one * unit)


def test_distances_of_copies_are_zero():
    one = cloud(1, 3) + 1e4
    assert distances(one.expand(30, -1), one.expand(40, -1)).tolist() == [0.0] * 30
    assert distances(one, one.expand(40, -1), nearest_only=True).tolist() == [0.0]


def test_more_components_than_directions_are_refused():
    few = cloud(4, 4).repeat(5, 1)
    with pytest.raises(ValueError, match="components = 5: the 20 points vary in 3 directions"):
        component_distances(cloud(9, 5), few, 5, resamples=2)
    with pytest.raises(ValueError, match="all equal"):
        component_distances(cloud(9, 5), few[:1].expand(9, -1), 2, resamples=2)


def test_components_in_16_bits_and_with_gradients():
    x, train = cloud(30, 6).half(), cloud(30, 7).bfloat16().requires_grad_()
    found = component_distances(x, train, resamples=3)
    assert found.wasserstein == component_distances(x.double(), train.double().detach(), resamples=3).wasserstein
    assert float(mean_distance(x, train)) == float(mean_distance(x.double(), train.double().detach()))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: component_distances(cloud(9, 0), cloud(9, 1), generator=3), "generator = 3"),
        (lambda: component_distances(cloud(9, 0), None), "train is NoneType"),
        (lambda: component_distances(cloud(9, 0), cloud(9, 1), confidence="95"), "confidence = '95'"),
        (lambda: mean_distance(cloud(9, 0), cloud(9, 1), generator=3), "generator = 3"),
        (lambda: mean_distance("x", cloud(9, 1)), "samples is str"),
        (lambda: wasserstein([1.0], torch.ones(3)), "x is list"),
        (lambda: jensen_shannon(torch.ones(3), torch.tensor([math.nan])), "y has NaN"),
        (lambda: jensen_shannon(torch.ones(3), torch.zeros(3), bins=0), "bins = 0"),
        (lambda: jensen_shannon(torch.ones(3), torch.zeros(3), ends=1.0), "ends = 1.0"),
        (lambda: jensen_shannon(torch.ones(3), torch.zeros(3), ends=(0.0, math.inf)), "ends = "),
        (lambda: jensen_shannon(torch.ones(3), torch.zeros(3), ends=(2.0, 3.0)), "values of both samples between them"),
        (lambda: distances(cloud(3, 0) * 1e308, -cloud(3, 1)), "samples has NaN|overflow"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_three_parts_add_up_to_the_mean_squared_distance():
    g = torch.Generator().manual_seed(5)
    x, y = 2 + torch.randn(9, 2, 3, generator=g), 3 * torch.randn(14, 2, 3, generator=g)
    parts = distance_parts(x, y)
    every = torch.cdist(x.flatten(1).double(), y.flatten(1).double()).square().mean() / 6
    assert sum(parts) == pytest.approx(float(every), rel=1e-12)
    grey = y.double().mean(0, keepdim=True).expand(5, 2, 3)  # the mean, each time: nothing is nearer
    assert distance_parts(grey, y)[:2] == pytest.approx((0, 0), abs=1e-12)
    with pytest.raises(ValueError, match=r"samples|shape"):
        distance_parts(x, y[:, :1])
