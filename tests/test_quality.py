"""Quality of samples: closed forms, other implementations, what a lost mode does, and whether the intervals hold the truth."""

import math

import numpy as np
import pytest
import torch

from separations.metrics import (
    Features,
    density_coverage,
    features_of,
    frechet_distance,
    image_quality,
    kernel_distance,
    precision_recall,
    quality,
)
from separations.metrics.extractors import Pixels
from separations.metrics.half_sampling import half_sample_interval, half_samples
from separations.metrics.neighbourhoods import coverage_curve, reachable_coverage


def made(values: torch.Tensor, source: str = "samples", extractor: str = "coordinates") -> Features:
    return Features(values, extractor, source)


def normal(m: int, D: int, seed: int) -> torch.Tensor:
    return torch.randn(m, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(m: int, centres: list[float], seed: int) -> torch.Tensor:
    """m points in the plane, in equal shares around centres on the first axis that are far apart."""
    values = normal(m, 2, seed)
    values[:, 0] += torch.tensor(centres, dtype=torch.float64).repeat(m // len(centres) + 1)[:m]
    return values


# Closed forms


@pytest.mark.parametrize("D, components", [(3, None), (3, 64), (40, 5)])
def test_moving_a_sample_changes_its_frechet_distance_by_the_square_of_the_move(D, components):
    x = normal(60, D, 0) * torch.logspace(1, -1, D, dtype=torch.float64)
    move = torch.zeros(D, dtype=torch.float64)
    move[0] = 2.0  # along what is (nearly) the first principal axis
    if D == 40:
        _, axes = quality.principal_axes(x, components)
        move = 2 * axes[:, 0]
    result = frechet_distance(made(x + move), made(x), components, resamples=5)
    assert float(result) == pytest.approx(
        4, rel=1e-7
    )  # equal covariances: |mu_x - mu_y|^2; rounding in the matrix root


def test_frechet_distance_of_known_covariances():
    """Diagonal covariances: sum of (s_x - s_y)^2 over the coordinates. Samples are made to have the moments exactly."""
    white = normal(50, 4, 1)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(white.T))).T
    s = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    for x, y in [(white * s, white), (white, white * s)]:
        assert float(frechet_distance(made(x), made(y), None, resamples=2)) == pytest.approx(
            float(((s - 1) ** 2).sum())
        )


@pytest.mark.parametrize("m, n, D", [(40, 30, 5), (20, 30, 60), (30, 80, 50)])
def test_the_fast_frechet_distance_is_that_of_the_library_and_of_scipy(m, n, D):
    from scipy.linalg import sqrtm

    x, y = normal(m, D, 2), normal(n, D, 3) * 2 + 1
    fast = float(quality._frechet(x, y))
    # the library takes roots of eigenvalues that are 0 up to rounding, 1e-16: 1e-8 each
    assert fast == pytest.approx(quality._torch_fidelity_frechet(x, y), rel=1e-6)
    root = sqrtm(np.cov(x.T.numpy()) @ np.cov(y.T.numpy()) + 1e-12 * np.eye(D)).real  # sqrtm needs a regular matrix
    trace = np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * np.trace(root)
    assert fast == pytest.approx(float((x.mean(0) - y.mean(0)).square().sum()) + trace, rel=1e-3)


def test_kernel_distance_against_the_library():
    """One subset of all points: torch-fidelity's unbiased estimate is the same sum. It needs equal counts."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = normal(60, 7, 4), normal(60, 7, 5) + 0.3
    peer = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=60, verbose=False)
    ours = kernel_distance(made(x), made(y), resamples=2)
    assert float(ours) == pytest.approx(peer["kernel_inception_distance_mean"])


def test_kernel_distance_by_hand():
    """Two points each in one dimension, (ab + 1)^3: pairs (0, 1), (2, 3) and the four across."""
    x, y = torch.tensor([[0.0], [1.0]] * 2), torch.tensor([[2.0], [3.0]] * 2)
    kernel = lambda a, b: (a * b + 1) ** 3  # noqa: E731
    a, b = [0, 1, 0, 1], [2, 3, 2, 3]
    within = sum(kernel(p[i], p[j]) for p in (a, b) for i in range(4) for j in range(4) if i != j) / 12
    across = sum(kernel(i, j) for i in a for j in b) / 16
    assert float(kernel_distance(made(x), made(y), resamples=2)) == pytest.approx(within - 2 * across)


def test_precision_recall_density_coverage_against_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    x, y = normal(120, 5, 6) * 0.8, normal(90, 5, 7) + 0.3
    distance = np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=-1)

    def radius(z, k):  # without query points a point is no neighbour of itself
        return NearestNeighbors(n_neighbors=k).fit(z).kneighbors()[0][:, -1]

    found = *precision_recall(made(x), made(y), resamples=2), *density_coverage(made(x), made(y), resamples=2)
    inside = distance <= radius(y, 5)
    expected = [
        (distance <= radius(y, 3)).any(1).mean(),
        (distance <= radius(x, 3)[:, None]).any(0).mean(),
        inside.sum() / (5 * 120),
        inside.any(0).mean(),
    ]
    assert [float(each) for each in found] == pytest.approx(expected, rel=1e-6)  # the library returns float32 shares
    assert all(0.1 < share != 1 for share in expected)


def test_radii_within_a_subset():
    points, subset = normal(70, 3, 8), torch.arange(0, 70, 2)
    from separations.metrics.balls import _distinct, _Radii

    within = torch.cdist(points[subset], points[subset]).kthvalue(4).values  # itself and three others
    radii = _Radii(_distinct(points), 3)(subset)
    torch.testing.assert_close(radii[subset], within)
    assert (radii[1::2] == -1).all()


# Laws


def test_a_set_against_itself():
    x = normal(100, 6, 9)
    result = image_quality(made(x), made(x, "the same"), resamples=50)
    assert [float(result.precision), float(result.recall), float(result.coverage)] == [1, 1, 1]
    assert float(result.frechet) == pytest.approx(0, abs=1e-6)  # roots of rounding errors
    assert float(result.kernel) < 0  # each point meets itself across the sets only
    assert result.kernel.low <= 0


def test_two_samples_of_one_law():
    result = image_quality(made(normal(300, 4, 10)), made(normal(300, 4, 11), "fresh"))
    assert result.kernel.low < 0 < result.kernel.high
    assert result.density.low < 1 < result.density.high
    assert result.coverage.low < 1 - 2**-5 < result.coverage.high  # each of the next 5 of 2 n points is as likely of x
    assert float(result.precision) > 0.85 and float(result.recall) > 0.85
    assert result.frechet.at_half > 1.5 * float(result.frechet)  # all of it is bias, which doubles at half the counts


def test_a_lost_mode_costs_recall_and_coverage_only():
    reference = made(clusters(400, [0, 20, 40, 60], 12), "four clusters")
    whole = image_quality(made(clusters(400, [0, 20, 40, 60], 13)), reference, resamples=50)
    half = image_quality(made(clusters(400, [0, 20], 14)), reference, resamples=50)
    for lost in ("recall", "coverage"):
        assert getattr(half, lost).high < 0.6 < 0.8 < getattr(whole, lost).low
    for kept in ("precision", "density"):
        assert getattr(half, kept).high > float(getattr(whole, kept)) - 0.1
    assert half.frechet.low > whole.frechet.high and half.kernel.low > whole.kernel.high


def test_samples_off_the_reference_cost_precision_and_density_only():
    reference = made(clusters(300, [0, 20], 15))
    result = image_quality(made(clusters(300, [0, 20, 400, 420], 16)), reference, resamples=50)
    assert result.precision.high < 0.65 and result.density.high < 0.75
    assert float(result.recall) > 0.8
    # a ball is missed if the next 5 of 450 points are all of the reference: 1 - (2/3)^5 = 0.87; 0.03 is one sigma over seeds
    assert abs(float(result.coverage) - 0.87) < 0.12


def test_exchange_of_the_sets_exchanges_precision_and_recall():
    x, y = made(normal(80, 3, 17)), made(normal(60, 3, 18) * 1.5, "wide")
    (precision, recall), (other_precision, other_recall) = precision_recall(x, y), precision_recall(y, x)
    assert (float(precision), float(recall)) == (float(other_recall), float(other_precision))
    assert float(precision) > float(recall)
    for measure in (frechet_distance, kernel_distance):
        assert float(measure(x, y)) == pytest.approx(float(measure(y, x)))


def test_rotations_and_moves_change_nothing_but_the_kernel_distance():
    x, y = normal(50, 4, 19), normal(50, 4, 20) * 2
    turn = torch.linalg.qr(normal(4, 4, 21)).Q
    for measure in (frechet_distance, lambda *a: precision_recall(*a)[0], lambda *a: density_coverage(*a)[1]):
        one, two = measure(made(x), made(y)), measure(made(x @ turn + 3), made(y @ turn + 3))
        assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high), abs=1e-6)


def test_large_features_lose_no_digits():
    x, y = normal(50, 4, 22), normal(50, 4, 23)
    near, far = (precision_recall(made(x + c), made(y + c), resamples=2) for c in (0.0, 1e5))
    assert [float(p) for p in near] == [float(p) for p in far]


# Intervals


def test_intervals_hold_the_mean_over_fresh_samples():
    """60 replications at m = n = 60 in 4 dimensions: intervals are about the mean of the measure at these counts.

    A true coverage of 0.95 gives fewer than 0.87 of 60 once in 200 times; half-sampling tends to be too wide.
    """
    found = []
    for r in range(60):
        x, y = made(normal(60, 4, 1000 + r) + 0.5), made(normal(60, 4, 2000 + r))
        found.append([(q.value, q.low, q.high) for q in image_quality(x, y, resamples=80)])
    value, low, high = torch.tensor(found, dtype=torch.float64).unbind(2)  # (60, 6) each
    mean = value.mean(0)
    held = ((low <= mean) & (mean <= high)).double().mean(0)
    assert (held >= 0.87).all(), held
    ideal = 2 * 1.96 * value.std(0)
    assert ((high - low).mean(0) < 2 * ideal).all()  # sqrt(3) at worst, and the error of 60 replications


def test_a_share_of_zero_or_one_has_an_honest_interval():
    none, _ = precision_recall(made(normal(100, 2, 24) + 100), made(normal(100, 2, 25)))
    assert (none.value, none.low) == (0, 0) and 0.02 < none.high < 0.05  # the rule of three: 3 / 100
    all_of_them, _ = precision_recall(made(normal(100, 2, 24) / 100), made(normal(100, 2, 25)))
    assert all_of_them.high == 1 and all_of_them.low < 0.98


def test_more_samples_narrow_the_interval_and_more_confidence_widens_it():
    x, y = normal(800, 3, 26), normal(800, 3, 27) + 0.5
    few, many = (precision_recall(made(x[:m]), made(y[:m]))[0] for m in (100, 800))
    assert many.high - many.low < 0.6 * (few.high - few.low)
    sure = precision_recall(made(x[:100]), made(y[:100]), confidence=0.99)[0]
    assert sure.low < few.low and sure.high >= few.high


def test_half_samples_are_halves_without_repetition():
    i, j = half_samples(7, 10, resamples=300)
    assert i.shape == (300, 3) and j.shape == (300, 5)
    assert (i.diff(dim=1) > 0).all()
    share = torch.bincount(i.flatten(), minlength=7) / 300
    assert ((share - 3 / 7).abs() < 5 * math.sqrt(3 / 7 * 4 / 7 / 300)).all()


def test_half_sampling_of_a_mean_is_the_usual_interval():
    x = normal(400, 1, 28)[:, 0]
    halves = x[half_samples(400, 4, resamples=4000)[0]].mean(1)
    low, high = half_sample_interval(float(x.mean()), halves, 0.95, (-math.inf, math.inf)).ends
    assert high - low == pytest.approx(2 * 1.96 * float(x.std()) / 20, rel=0.06)  # 4,000 draws: 3 % of a 95 % quantile


def test_the_same_features_give_the_same_interval():
    x, y = made(normal(40, 3, 29)), made(normal(40, 3, 30))
    assert image_quality(x, y) == image_quality(x, y)
    g = torch.Generator().manual_seed(5)
    assert image_quality(x, y, generator=g).kernel.low != image_quality(x, y).kernel.low


# Names and images


def test_every_number_says_what_it_depends_on():
    x, y = (
        made(normal(30, 9, 31), "DiT, 6 heads", "nine features"),
        made(normal(40, 9, 32), "held out", "nine features"),
    )
    result = image_quality(x, y, components=5, resamples=5)
    assert [each.label for each in result] == [
        "Fréchet distance (nine features, PCA 5)",
        "kernel distance (nine features, cubic)",
        "precision (nine features, k = 3)",
        "recall (nine features, k = 3)",
        "density (nine features, k = 5)",
        "coverage (nine features, k = 5)",
        "reachable coverage (nine features, k = 5)",
    ]
    for each in result:
        assert (each.m, each.n_reference, each.features, each.reference) == (30, 40, "nine features", "held out")
        assert each.low <= float(each) <= each.high
        assert "95% interval" in str(each) and "30 of DiT, 6 heads against 40 of held out" in str(each)
    assert "FID" not in str(result)
    assert image_quality(x, y, components=9, resamples=5).frechet.label == "Fréchet distance (nine features)"


def test_images_and_their_features_give_the_same():
    g = torch.Generator().manual_seed(33)
    x, y = (2 * torch.rand(24, 1, 4, 4, generator=g) - 1 for _ in range(2))
    options = {"components": 6, "resamples": 5}
    one = image_quality(x, y, extractor="pixels", samples_name="x", reference_name="y", **options)
    two = image_quality(features_of(x, Pixels(), "x"), features_of(y, Pixels(), "y"), **options)
    assert (
        one == two == image_quality(x, features_of(y, "pixels", "y"), extractor=Pixels(), samples_name="x", **options)
    )


A, B = made(normal(20, 3, 34)), made(normal(20, 3, 35), "reference")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: kernel_distance(A.values, B), "samples is Tensor: Features are needed"),
        (lambda: kernel_distance(A, made(B.values[:3])), "reference has 3 points: at least 4"),
        (lambda: precision_recall(made(A.values[:7]), B), "samples has 7 points: at least 8 are needed for k = 3"),
        (lambda: density_coverage(A, made(B.values[:11])), "reference has 11 points: at least 12 are needed for k = 5"),
        (lambda: precision_recall(A, B, k=0), "k = 0"),
        (lambda: density_coverage(A, B, k=2.5), "k = 2.5"),
        (
            lambda: frechet_distance(A, made(B.values[:, :2])),
            "samples have 3 features of 'coordinates', reference has 2",
        ),
        (lambda: frechet_distance(A, made(B.values, extractor="other")), "of 'other': the same extractor"),
        (lambda: frechet_distance(A, B, components=0), "components = 0"),
        (
            lambda: frechet_distance(made(normal(9, 30, 0)), made(normal(9, 30, 1)), 20),
            "components = 20: fewer than n = 9",
        ),
        (lambda: kernel_distance(A, B, confidence=1), "confidence = 1"),
        (lambda: kernel_distance(A, B, resamples=0), "resamples = 0"),
        (lambda: image_quality(A, B, k=10), "at least 22 are needed for k = 10"),
        (lambda: image_quality(A.values, B), "images has shape"),
        (lambda: image_quality(A, torch.zeros(9, 1, 8, 8), extractor="nothing"), "extractor = 'nothing'"),
        (lambda: image_quality(torch.zeros(9, 1, 8, 8) - 2, B), r"images lies in \[-2, -2\]"),
        (lambda: made(A.values * math.nan), "values has NaN"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Copies, ties, few points, other units


def shares_by_differences(x, y, k=3, k_density=5):
    """Precision, recall, density, coverage from float64 differences, as they are defined."""
    x, y = x.double().numpy(), y.double().numpy()
    squares = lambda a, b: np.stack([((row - b) ** 2).sum(1) for row in a])  # noqa: E731

    def radii(z, k):
        own = squares(z, z)
        np.fill_diagonal(own, np.inf)
        return np.sort(own, 1)[:, k - 1]

    across = squares(x, y)
    inside = across <= radii(y, k_density)
    precision, recall = (across <= radii(y, k)).any(1).mean(), (across <= radii(x, k)[:, None]).any(0).mean()
    return [precision, recall, inside.sum() / (k_density * len(x)), inside.any(0).mean()]


def four_shares(x, y):
    both = (made(x), made(y, "reference"))
    return [float(each) for each in (*precision_recall(*both, resamples=2), *density_coverage(*both, resamples=2))]


def hard_pairs():
    g = torch.Generator().manual_seed(40)
    some, few, many = normal(40, 30, 41), normal(12, 1280, 42), normal(40, 9, 43)
    huge = torch.cat([some, some[:1] * 0 + 1e10])
    whole = lambda *shape: torch.randint(0, 3, shape, generator=g).float()  # noqa: E731
    line = torch.rand(50, 1, generator=g).double()
    return {
        "points held six times": (few.repeat(6, 1), few.repeat(6, 1)),
        "the same in another order": (few.repeat(6, 1).float(), few.repeat_interleave(6, 0).float()),
        "near-duplicates": (torch.cat([some, some + 1e-7]) + 100, torch.cat([some - 1e-7, some]) + 100),
        "one point far out": (huge, torch.cat([some + 0.01, some[:1] * 0 - 3e9])),
        "all points equal": (torch.full((20, 700), 0.1), torch.full((30, 700), 0.1)),
        "equal points elsewhere": (torch.full((20, 700), 0.1), torch.full((30, 700), 0.3)),
        "points along the diagonal": (line[:30].expand(-1, 600), line[20:].expand(-1, 600)),
        "one feature": (normal(30, 1, 44), normal(33, 1, 45)),
        "whole numbers": (whole(80, 3), whole(90, 3)),
        "a lattice and its middles": (whole(80, 3), whole(90, 3) + 0.5),
        "far from the origin": (many + 1e8, many.flip(0) + 1e8),
    }  # fmt: skip


@pytest.mark.parametrize("name", hard_pairs())
def test_shares_are_those_of_explicit_differences(name):
    x, y = hard_pairs()[name]
    assert four_shares(x, y) == pytest.approx(shares_by_differences(x, y), rel=1e-12)


@pytest.mark.parametrize("times", [1, 5, 6])
@pytest.mark.parametrize("D", [64, 1280])
def test_exact_copies_are_precise_and_cover_all(D, times):
    x = normal(60, D, 46)
    precision, recall, density, coverage = four_shares(x.repeat(times, 1), x.repeat(6, 1))
    assert (precision, recall, coverage) == (1, 1, 1) and density == pytest.approx(6 / 5)  # six copies inside, k = 5


@pytest.mark.parametrize("unit", [2.0**560, 2.0**-560])
def test_quality_in_another_unit(unit):
    x, y = normal(40, 9, 47), normal(40, 9, 48) + 0.3
    assert four_shares(x * unit, y * unit) == four_shares(x, y)
    small = 2.0 ** math.copysign(400, math.log(unit))
    plain, other = (frechet_distance(made(x * u), made(y * u), 4, resamples=3) for u in (1.0, small))
    assert [v / small / small for v in (other.value, other.low, other.high)] == pytest.approx(
        [plain.value, plain.low, plain.high]
    )


def test_what_overflows_is_an_error():
    x, y = made(normal(20, 3, 49) * 1e170), made(normal(20, 3, 50) * 1e170)
    with pytest.raises(ValueError, match="Fréchet distance overflows"):
        frechet_distance(x, y)
    with pytest.raises(ValueError, match=r"features up to .*sixth powers"):
        kernel_distance(x, y)


def test_a_blank_reference_is_refused_or_measured():
    blank, x = made(torch.full((30, 9), -1.0), "blank"), made(normal(30, 9, 51))
    with pytest.raises(ValueError, match=r"reference has 30 points that are all equal \(blank, in coordinates"):
        image_quality(x, blank, components=4)
    result = image_quality(x, blank, components=None, resamples=5)
    variances = float(x.values.double().var(0).sum() + (x.values.double().mean(0) + 1).square().sum())
    assert float(result.frechet) == pytest.approx(variances)  # |mu_x - mu_y|^2 + tr S_x
    assert [float(each) for each in (result.precision, result.density, result.coverage)] == [0, 0, 0]
    assert float(image_quality(blank, x, components=4, resamples=5).recall) == 0


def test_axes_that_the_reference_does_not_vary_in_are_left_out_and_the_label_says_so():
    few = normal(10, 50, 52)
    reference, x = made(few.repeat(8, 1), "copies"), made(normal(80, 50, 53))
    result = frechet_distance(x, reference, 40, resamples=3)
    assert result.label == "Fréchet distance (coordinates, PCA 9: all that vary)"
    assert float(result) == pytest.approx(float(frechet_distance(x, reference, 9, resamples=3)))


def test_frechet_distance_of_few_points_and_of_one_feature():
    x, y = normal(20, 60, 54), normal(20, 1, 55)
    assert float(frechet_distance(made(x), made(x), None, resamples=3)) < 1e-9 * float(x.square().sum())
    moved = float(frechet_distance(made(2 * y + 3), made(y), resamples=3))
    assert moved == pytest.approx(float((y.mean() + 3) ** 2 + y.var()))


def test_features_in_16_bits():
    x, y = (normal(40, 9, seed) for seed in (56, 57))
    for kind in (torch.float16, torch.bfloat16):
        found = image_quality(made(x.to(kind)), made(y.to(kind)), components=4, resamples=3)
        want = image_quality(made(x.to(kind).double()), made(y.to(kind).double()), components=4, resamples=3)
        assert [float(each) for each in found] == [float(each) for each in want]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: image_quality(A, B, components=2, generator=3), "generator = 3"),
        (lambda: precision_recall(A, B, k="3"), "k = '3'"),
        (lambda: density_coverage(A, B, k=None), "k = None"),
        (lambda: kernel_distance(A, B, resamples=10**13), "resamples = 10000000000000: .* GB of memory"),
        (lambda: half_samples(-1, 4), "m = -1"),
        (lambda: made(torch.zeros(9, 0)), "at least one feature"),
        (lambda: kernel_distance(A, B, confidence=math.nan), "confidence = nan"),
        (lambda: kernel_distance(A, B, confidence=None), "confidence = None"),
        (lambda: frechet_distance(A, B, 2.0), "components = 2.0"),
        (lambda: image_quality(A, torch.zeros(9, 1, 8, 8), extractor=3), "extractor is int"),
    ],
)
def test_bad_arguments_of_other_kinds(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_counts_of_any_library():
    plain = precision_recall(A, B, 3, resamples=4)
    assert precision_recall(A, B, np.int64(3), resamples=np.int32(4)) == plain


# Coverage within reach


def copies(m: int, of: torch.Tensor, seed: int) -> torch.Tensor:
    """m draws of a few points, with a trace of noise."""
    rows = torch.randint(len(of), (m,), generator=torch.Generator().manual_seed(seed))
    return of[rows] + 1e-3 * normal(m, of.shape[1], seed + 1)


def test_reachable_coverage_is_stable_in_the_number_of_samples():
    """Recall ranks the copyist first with few samples and last with many; coverage within reach does not change the order."""
    reference, few = made(normal(500, 6, 0), "reference"), normal(40, 6, 1)
    known = float(density_coverage(made(few), reference, resamples=2)[1])  # no number of copies can reach more
    recalls, reached = {}, {}
    for m in (100, 200, 400, 800):
        sets = {"copyist": made(copies(m, few, m)), "fresh": made(normal(m, 6, 7 * m))}
        recalls[m] = {name: float(precision_recall(x, reference, resamples=2)[1]) for name, x in sets.items()}
        reached[m] = {name: float(reachable_coverage(x, reference, resamples=2)) for name, x in sets.items()}
    assert all(abs(found["copyist"] - known) < 0.05 and found["fresh"] > 0.85 for found in reached.values())
    assert recalls[800]["copyist"] < 0.1 < 0.4 < recalls[100]["copyist"]


def test_the_curve_of_coverage_is_the_mean_over_parts():
    x, y = normal(60, 3, 2), made(normal(80, 3, 3), "reference")
    curve = coverage_curve(made(x), y, [1, 7, 30, 60])
    gen = torch.Generator().manual_seed(0)
    for count, found in zip([7, 30], curve[1:3]):
        parts = [x[torch.randperm(60, generator=gen)[:count]] for _ in range(200)]
        drawn = torch.tensor(
            [
                float(density_coverage(made(part), y, resamples=2)[1]) if count > 11 else _covered(part, y.values)
                for part in parts
            ]
        )
        assert abs(float(found) - float(drawn.mean())) < 4 * float(drawn.std()) / 200**0.5
    assert float(curve[-1]) == pytest.approx(float(density_coverage(made(x), y, resamples=2)[1]), abs=1e-12)
    assert (curve.diff() > 0).all()


def _covered(x: torch.Tensor, y: torch.Tensor, k: int = 5) -> float:
    radii = torch.cdist(y, y).kthvalue(k + 1, 1).values
    return float((torch.cdist(y, x) <= radii[:, None]).any(1).double().mean())


def test_intervals_of_reachable_coverage_hold_the_mean_over_fresh_samples():
    values = [
        float(reachable_coverage(made(normal(80, 2, i)), made(normal(90, 2, 900 + i)), resamples=2)) for i in range(60)
    ]
    mean = sum(values) / len(values)
    held = 0
    for i in range(40):
        found = reachable_coverage(made(normal(80, 2, 2000 + i)), made(normal(90, 2, 3000 + i)), resamples=100)
        assert 0 <= found.low <= float(found) <= found.high <= 1
        held += found.low <= mean <= found.high
    assert held >= 34


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: coverage_curve(A, B, []), r"counts = \[\]"),
        (lambda: coverage_curve(A, B, [0]), "counts = 0"),
        (lambda: coverage_curve(A, B, [10**6]), "the number of samples"),
        (lambda: reachable_coverage(A, made(B.values[:11])), "reference has 11 points: at least 12"),
    ],
)
def test_bad_arguments_of_coverage_within_reach(call, message):
    with pytest.raises(ValueError, match=message):
        call()
