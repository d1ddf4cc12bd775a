"""What a ratio is read against: the chance level, held-out data, near-duplicates; patches; the model of fixed capacity."""

import math

import pytest
import torch

from separations.distributions import GaussianMixture
from separations.metrics import (
    against_held_out,
    chance_level,
    excess_ratio,
    intrinsic_dimension,
    memorization_ratio,
    memorized_distinct,
)


def gaussian(d: int, *sizes: int, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(m, d, generator=g, dtype=torch.float64) for m in sizes]


def within(share: float, expected: float, m: int, sigmas: float = 4.0) -> bool:
    return abs(share - expected) <= sigmas * math.sqrt(expected * (1 - expected) / m)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("threshold", [1 / 9, 0.5])
def test_fresh_samples_fire_at_the_chance_level(d, threshold):
    train, fresh = gaussian(d, 3000, 4000)
    # m fresh points share one training set, so the share varies more than a binomial one: 6 standard errors
    assert within(memorization_ratio(fresh, train, threshold).ratio, chance_level(d, threshold), 4000, 6)


def test_the_chance_level_of_the_usual_rule():
    assert [chance_level(d) for d in (1, 2, 3)] == pytest.approx([1 / 3, 1 / 9, 1 / 27])


@pytest.mark.parametrize("d", [1, 2, 5])
def test_intrinsic_dimension_of_a_plane_in_space(d):
    train, fresh = gaussian(d, 3000, 3000)
    turn = torch.linalg.qr(gaussian(20, 20)[0])[0][:d]  # isometry into 20 dimensions
    estimate, error = intrinsic_dimension(memorization_ratio(fresh @ turn, train @ turn))
    assert abs(estimate - d) < 5 * error
    assert error == pytest.approx(d / math.sqrt(3000), rel=0.1)


def test_excess_ratio_recovers_the_share_of_copies():
    train, fresh, held_out = gaussian(2, 2000, 2000, 2000)
    samples = torch.cat([train + 1e-9, fresh])
    found = excess_ratio(samples, train, held_out)
    assert found.ratio == memorization_ratio(samples, train).ratio
    assert found.baseline == memorization_ratio(held_out, train).ratio
    assert float(found) == found.ratio - found.baseline
    assert found.low < 0.5 * (1 - 1 / 9) < found.high
    assert found.copied_share == pytest.approx(0.5, abs=0.03)
    assert (found.m, found.m_held_out) == (4000, 2000)


def test_excess_ratio_of_fresh_samples_has_zero_in_its_interval():
    hits = 0
    for seed in range(60):
        train, fresh, held_out = gaussian(2, 500, 200, 200, seed=seed)
        found = excess_ratio(fresh, train, held_out)
        hits += found.low <= 0 <= found.high
    assert 52 <= hits  # 95 % of 60 is 57, standard deviation 1.7


def test_excess_interval_against_a_worked_example():
    """Newcombe (1998), table II, contrast 56/70 - 48/80, method 10: 0.0524 to 0.3339."""
    train = torch.tensor([[0.0], [1.0]])
    points = [torch.where(torch.arange(m) < k, 0.0, 0.5)[:, None] for k, m in [(56, 70), (48, 80)]]
    found = excess_ratio(points[0], train, points[1])
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("d", [1, 3, 30])
def test_fresh_samples_are_closer_to_train_half_of_the_time(d):
    shares = []
    for seed in range(20):
        train, held_out, fresh = gaussian(d, 100, 100, 200, seed=seed)
        shares.append(against_held_out(fresh, train, held_out).closer)
    shares = torch.tensor(shares)
    assert abs(float(shares.mean()) - 0.5) < 4 * float(shares.std()) / math.sqrt(20)


def test_held_out_comparison_ties_copies_and_sizes():
    train, held_out, _ = gaussian(3, 300, 100, 1)
    found = against_held_out(torch.cat([train[:50], held_out[:50]]), train, held_out)
    assert found.copied()[:50].all() and not found.copied()[50:].any()
    assert found.closer == 0.5
    assert found.closer_by_chance == 0.75
    low, high = found.interval().ends
    assert low < 0.5 < high
    tied = against_held_out(torch.zeros(4, 3).double(), train, train)
    assert tied.closer == 0.5


def test_distinct_neighbours_see_through_near_duplicates():
    train, copies = gaussian(5, 200, 1)
    noise = gaussian(5, 200, seed=1)[0]
    train = torch.cat([train] + [train + 1e-4 * noise * k for k in range(1, 8)])  # eight versions of each point
    copies = train[:200] + 1e-4 * gaussian(5, 200, seed=2)[0]
    assert memorization_ratio(copies, train).ratio < 0.5
    assert memorized_distinct(copies, train, radius=0.02).all()
    assert not memorized_distinct(gaussian(5, 50, seed=3)[0], train, radius=0.02).all()


def test_distinct_with_radius_zero_merges_exact_duplicates_only():
    train, samples = gaussian(2, 100, 500)
    twice = torch.cat([train, train[:50]])
    expected = memorization_ratio(samples, twice).memorized
    assert torch.equal(memorized_distinct(samples, twice, radius=0.0), expected)


def test_any_shape_and_dtype():
    truth = GaussianMixture(torch.zeros(1, 1, 2, 2), 1.0)
    g = torch.Generator().manual_seed(0)
    train, held_out, samples = (truth.sample(m, generator=g) for m in (50, 40, 30))
    assert against_held_out(samples, train, held_out).d_train.shape == (30,)
    assert memorized_distinct(samples, train, 0.1).shape == (30,)
    assert -1 <= float(excess_ratio(samples, train, held_out)) <= 1


POINTS = torch.tensor([[0.0], [1.0], [2.0]])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: chance_level(0), "d = 0"),
        (lambda: chance_level(2, 1.0), "threshold = 1"),
        (lambda: intrinsic_dimension(memorization_ratio(POINTS[:2] + 0.1, POINTS)), "fresh has 2 samples"),
        (lambda: intrinsic_dimension(memorization_ratio(POINTS, POINTS)), "fresh has an exact copy"),
        (lambda: excess_ratio(POINTS, POINTS, POINTS * math.nan), "held_out has NaN"),
        (lambda: excess_ratio(POINTS, POINTS, POINTS.expand(3, 2)), "held_out has shape"),
        (lambda: against_held_out(POINTS, POINTS, POINTS.expand(3, 2)), "held_out has shape"),
        (lambda: against_held_out(POINTS, POINTS, POINTS).copied(0), "threshold = 0"),
        (lambda: memorized_distinct(POINTS, POINTS, -1.0), "radius = -1"),
        (lambda: memorized_distinct(POINTS, POINTS, 5.0), "radius = 5.0: all 3 training points"),
        (lambda: memorized_distinct(POINTS, POINTS, 0.5, 2), "threshold = 2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Other units, kinds and inputs


def near_copies(unit=1.0, kind=torch.float64):
    train, held_out, fresh = gaussian(6, 60, 60, 20, seed=7)
    samples = torch.cat([train[:10] * (1 + 1e-3), fresh])
    train = torch.cat([train, train[:1] * (1 + 1e-6)])  # a near-duplicate that hides a copy
    return [(z.to(kind) * unit) for z in (samples, train, held_out)]


@pytest.mark.parametrize("unit", [2.0**600, 2.0**-600])
def test_no_measure_depends_on_the_unit(unit):
    (x, train, held_out), (x_, train_, held_out_) = near_copies(), near_copies(unit)
    radius = 1e-4
    assert torch.equal(memorized_distinct(x_, train_, radius * unit), memorized_distinct(x, train, radius))
    plain, other = against_held_out(x, train, held_out), against_held_out(x_, train_, held_out_)
    assert torch.equal(other.copied(), plain.copied()) and plain.copied().sum() >= 10
    assert other.closer == plain.closer
    assert excess_ratio(x_, train_, held_out_) == excess_ratio(x, train, held_out)
    assert intrinsic_dimension(memorization_ratio(held_out_, train_)) == intrinsic_dimension(
        memorization_ratio(held_out, train)
    )


def test_distinct_neighbours_in_16_bits_and_with_gradients():
    for kind in (torch.float16, torch.bfloat16):
        x, train, held_out = near_copies(kind=kind)
        want = memorized_distinct(x.double(), train.double(), 0.01)
        assert torch.equal(memorized_distinct(x, train.requires_grad_(), 0.01), want)
        assert torch.equal(
            against_held_out(x, train, held_out).d_train,
            against_held_out(x.double(), train.double(), held_out.double()).d_train,
        )


FRESH = memorization_ratio(*gaussian(2, 9, 20))
LATTICE = torch.tensor([[0.0], [2.0], [4.0]])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: chance_level("3"), "d = '3'"),
        (lambda: chance_level(math.nan), "d = nan"),
        (lambda: chance_level(3, math.nan), "threshold = nan"),
        (lambda: intrinsic_dimension(0.5), "fresh is float"),
        (
            lambda: intrinsic_dimension(memorization_ratio(LATTICE[:1] + torch.ones(4, 1), LATTICE)),
            "d1 = d2 in every row",
        ),
        (lambda: excess_ratio([0.0], LATTICE, LATTICE), "samples is list"),
        (lambda: excess_ratio(LATTICE, [0.0], LATTICE), "train is list"),
        (lambda: against_held_out(LATTICE, LATTICE, None), "held_out is NoneType"),
        (lambda: against_held_out(LATTICE, LATTICE, LATTICE).copied("x"), "threshold = 'x'"),
        (lambda: memorized_distinct(LATTICE, LATTICE, math.nan), "radius = nan"),
        (lambda: memorized_distinct(LATTICE, LATTICE, "0"), "radius = '0'"),
        (lambda: memorized_distinct("x", LATTICE, 0.1), "samples is str"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()
