"""The six readings at the ends of their axes, the truth and the empirical score, and on scores that are known; the data sets."""

import math

import pytest
import torch

from separations.bench import (
    AxisReading,
    EquivariantPatches,
    KernelDensity,
    agreement_readings,
    bench_set,
    copy_readings,
    denoising_losses,
    jacobian_readings,
    jacobian_spectrum,
    linearity_readings,
    loss_readings,
    membership_readings,
    partial_memory,
    paths,
    readings,
)
from separations.bench.readings import AXES
from separations.distributions import Empirical, FittedGaussian, GaussianMixture
from separations.numerics.intervals import IntervalEstimate
from separations.numerics.seeds import seeded
from separations.schedules import OU, VE

LEVELS = (4.0, 0.0)


@pytest.fixture(scope="module")
def mixture():
    return bench_set("mixture", 100, held_out=200, generator=seeded(0, 1))


def read(score, twin, data, **options):
    found = readings(
        score, data.train, data.held_out, twin=twin, truth=data.truth, log_snr=LEVELS, samples=60, points=2, most=150,
        generator=seeded(0, 2), **options,
    )  # fmt: skip
    return found, {(each.axis, each.log_snr): each for each in found}


def test_the_truth_is_at_one_end_of_every_axis(mixture):
    found, by = read(mixture.truth, mixture.truth, mixture)
    assert [axis for axis in AXES if any(each.axis == axis for each in found)] == list(AXES)
    assert [each.axis for each in found] == sorted((each.axis for each in found), key=AXES.index)
    for level in LEVELS:
        assert by["loss", level].estimate.value == 0.0
        assert by["agreement", level].estimate.value > 1 - 1e-12
        low, high = by["membership", level].estimate.ends
        assert low < 0.5 < high
    assert by["copies", None].estimate.value == 0.0
    assert by["agreement", None].beside["floor"] < 0.1
    # E tr Cov / nu in the modes, of unit variance: d / (1 + nu).
    assert abs(by["jacobian", 4.0].estimate.value - 50 / (1 + math.exp(-4))) < 0.1
    assert by["jacobian", 0.0].beside["antisymmetric"] < 1e-10


def test_the_empirical_score_is_at_the_other(mixture):
    _, by = read(Empirical(mixture.train), Empirical(mixture.twin), mixture)
    for level in LEVELS:
        assert by["loss", level].estimate.value == 1.0
        assert by["membership", level].estimate.value > 0.99
        # Held-out points lie between a few training points; the truth keeps 50 / (1 + nu) directions, 25 and 49.
        assert by["jacobian", level].estimate.value < 10 / (1 + math.exp(-level))
        assert by["linearity", level].estimate.value < by["linearity", level].beside["gaussian"] + 0.02
    copies = by["copies", None]
    assert copies.estimate.value == 1.0 and copies.beside == {"ratio": 1.0, "held_out": 0.0}
    agreement = by["agreement", None]
    assert agreement.estimate.high < 0.5 and agreement.beside["nearest"] > 0.99


def test_gaussian_density_and_partial_memory_lie_where_theory_says(mixture):
    train = mixture.train
    _, gauss = read(FittedGaussian(train), FittedGaussian(mixture.twin), mixture)
    for level in LEVELS:
        line = gauss["linearity", level]
        assert line.estimate.value > 1 - 1e-10 and line.beside["superposition"] > 1 - 1e-10
        assert line.beside["gaussian"] > 1 - 1e-10
    assert gauss["agreement", None].estimate.value > 0.7 and gauss["copies", None].estimate.value == 0.0
    assert gauss["membership", 0.0].estimate.low > 0.6  # a covariance gives its points away
    half = partial_memory(train, 50, generator=seeded(0, 3))
    losses = denoising_losses(
        half, train, mixture.held_out, truth=mixture.truth, log_snr=(4.0,), generator=seeded(0, 4)
    )
    (auc,) = membership_readings(losses)
    # Half of the points have loss 0, the others that of a held-out one: 1/2 + 1/4.
    assert abs(auc.estimate.value - 0.75) < 0.06 and auc.beside == {"chance": 0.5}
    assert (losses.empirical <= losses.train + 1e-12).all()


def test_the_line_of_the_law_is_the_held_out_loss_where_no_truth_is_given(mixture):
    score = Empirical(mixture.train)
    losses = denoising_losses(
        score, mixture.train, mixture.held_out, log_snr=(2.0, 4.0), draws=1, generator=seeded(0, 1)
    )
    assert losses.truth is None and losses.log_snr == (4.0, 2.0) and losses.train.shape == (100, 2)
    for each in loss_readings(losses):
        assert each.estimate.value == 1.0 and "loss_truth" not in each.beside
    again = denoising_losses(
        score, mixture.train, mixture.held_out, log_snr=(2.0, 4.0), draws=1, generator=seeded(0, 1)
    )
    assert torch.equal(losses.train, again.train)
    nothing = denoising_losses(
        score, mixture.train, mixture.held_out, truth=score, log_snr=(2.0,), generator=seeded(0, 1)
    )
    assert loss_readings(nothing)[0].estimate is None  # two lines that are one


def test_any_schedule_gives_the_same_readings(mixture):
    score, found = KernelDensity(mixture.train, 0.5), []
    for schedule in (OU(), VE(200.0)):
        losses = denoising_losses(
            score, mixture.train, mixture.held_out, schedule=schedule, log_snr=LEVELS, generator=seeded(0, 1)
        )
        found.append(losses.held_out)
        points = mixture.held_out[:3]
        spectra = jacobian_readings(score, points, schedule=schedule, log_snr=LEVELS, generator=seeded(0, 2))
        found.append(torch.tensor([each.estimate.value for each in spectra]))
    assert torch.allclose(found[0], found[2], rtol=1e-9) and torch.allclose(found[1], found[3], rtol=1e-6)


def test_a_jacobian_is_the_posterior_covariance_over_nu_by_either_way():
    g = torch.Generator().manual_seed(0)
    law = GaussianMixture(torch.randn(4, 3, generator=g, dtype=torch.float64), 0.3)
    x, t = torch.randn(5, 3, generator=g, dtype=torch.float64), 0.6
    nu = (OU().sigma(t) / OU().alpha(t)) ** 2
    exact = law.posterior_cov(x, t) / nu
    for method, error in (("autograd", 1e-12), ("differences", 1e-7), ("auto", 1e-12)):
        found = jacobian_spectrum(law, x, t, method=method)
        assert (found.matrices - exact).abs().max() < error and (found.antisymmetric < 1e-6).all()
        assert torch.allclose(found.eigenvalues, torch.linalg.eigvalsh(exact).flip(-1), atol=1e-6)

    class Turned:
        """No gradient of anything: x times a matrix that is not symmetric, without a graph."""

        def denoise(self, x, t, schedule=None):
            return (x.detach() @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=x.dtype)).to(x.dtype)

    found = jacobian_spectrum(Turned(), torch.randn(2, 2, generator=g), 0.6)
    alpha = float(OU().alpha(0.6))
    assert torch.allclose(found.antisymmetric, torch.full((2,), math.sqrt(0.5), dtype=torch.float64), atol=1e-9)
    assert torch.allclose(found.eigenvalues, torch.full((2, 2), alpha, dtype=torch.float64), atol=1e-9)
    with pytest.raises(ValueError, match="no gradient"):
        jacobian_spectrum(Turned(), torch.randn(2, 2, generator=g), 0.6, method="autograd")


def test_best_affine_map_of_the_empirical_score_is_the_gaussian_one(mixture):
    (line,) = linearity_readings(
        Empirical(mixture.train), mixture.train, log_snr=(0.0,), rows=20_000, most=4_000, generator=seeded(0, 1)
    )
    # n against n - 1 in the covariance, and 20,000 rows for 51 numbers.
    assert abs(line.estimate.value - line.beside["gaussian"]) < 0.01 and line.estimate.value < 0.8


def test_paths_do_not_depend_on_how_they_are_asked_and_end_in_samples(mixture):
    start = torch.randn(5, 50, generator=seeded(0, 1), dtype=torch.float64)
    law = FittedGaussian(mixture.train)
    made = paths(law, start, log_snr=(2.0,), steps=80)
    # The flow of a Gaussian in closed form: coordinate by coordinate, sqrt of the ratio of variances.
    t, level = OU().time_from_log_snr(-8.0), OU().time_from_log_snr(6.0)
    spread = [OU().alpha(s) ** 2 * law.variances + OU().sigma(s) ** 2 for s in (t, level)]
    diff = (OU().sigma(t) * start - OU().alpha(t) * law.mean) @ law.axes.mT
    end = OU().alpha(level) * law.mean + (diff * (spread[1] / spread[0]).sqrt()) @ law.axes
    assert (made[None] - law.denoise(end, level)).abs().max() < 0.02
    assert list(made) == [2.0, None] and made[2.0].shape == (5, 50)
    with pytest.raises(ValueError, match="log_snr"):
        paths(law, start, log_snr=(7.0,))


def test_images_and_scores_without_a_law_are_read_as_well():
    data = bench_set("digits", 40, held_out=60, generator=seeded(0, 1))
    assert data.train.shape == (40, 1, 8, 8) and data.truth is None and data.event_shape == (1, 8, 8)
    score, twin = EquivariantPatches(data.train, 3), EquivariantPatches(data.twin, 3)
    found, by = None, {}
    found = readings(
        score, data.train, data.held_out, twin=twin, log_snr=(0.0,), samples=10, points=2, most=20, steps=6, draws=1,
        generator=seeded(0, 2),
    )  # fmt: skip
    by = {(each.axis, each.log_snr): each for each in found}
    assert by["copies", None].estimate.value <= 0.1 and by["agreement", 0.0].estimate.value > 0.9
    assert 0 < by["jacobian", 0.0].beside["antisymmetric"] < 1
    rows = [each.columns() for each in found]
    assert {"axis", "log_snr", "value", "value_low", "value_high"} <= set(rows[0])
    assert math.isnan(AxisReading("loss", None, None).columns()["value_low"])
    assert all(each.estimate is None or isinstance(each.estimate, IntervalEstimate) for each in found)


@pytest.mark.parametrize(("name", "n"), [("circle", 20), ("mixture", 20), ("digits", 200), ("mnist", 64)])
def test_sets_are_disjoint_and_of_one_shuffle(name, n):
    data = bench_set(name, n, held_out=30, generator=seeded(0, 1))
    assert len(data.train) == len(data.twin) == n and len(data.held_out) == 30
    rows = torch.cat([data.train, data.twin, data.held_out]).flatten(1)
    if name in ("circle", "mixture"):
        assert len(rows.unique(dim=0)) == 2 * n + 30 and data.truth is not None
    again, other = (
        bench_set(name, n, held_out=30, generator=seeded(0, 1)),
        bench_set(name, n, held_out=30, generator=seeded(0, 2)),
    )
    assert torch.equal(again.train, data.train) and not torch.equal(other.train, data.train)
    alone = bench_set(name, n, held_out=30, twin=False, generator=seeded(0, 1))
    assert alone.twin is None and torch.equal(alone.train, data.train) and torch.equal(alone.held_out, data.held_out)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda data: bench_set("rings", 5), "name = 'rings'"),
        (lambda data: bench_set("mnist", 4000), "n = 4000"),
        (lambda data: bench_set("digits", 0), "n = 0"),
        (lambda data: bench_set("digits", 5, twin=1), "twin = 1"),
        (lambda data: readings(FittedGaussian(data.train), data.train[:, :3], data.held_out), "train has shape"),
        (lambda data: readings(FittedGaussian(data.train), data.train, data.held_out[:, :3]), "held_out has shape"),
        (lambda data: readings(object(), data.train, data.held_out), "score|model"),
        (lambda data: readings(data.truth, data.train, data.held_out, log_snr=[math.inf]), "log_snr"),
        (lambda data: readings(data.truth, data.train, data.held_out, samples=0), "samples = 0"),
        (lambda data: linearity_readings(data.truth, data.train, rows=50), "rows = 50"),
        (lambda data: jacobian_spectrum(data.truth, data.train, 0.1, method="guess"), "method = 'guess'"),
        (lambda data: jacobian_spectrum(data.truth, data.train[:2], torch.tensor([0.1, 0.2])), "t has shape"),
        (lambda data: agreement_readings({None: data.train}, {1.0: data.train}, data.train, data.held_out), "twin has"),
        (lambda data: copy_readings({None: data.train[:, :4]}, data.train, data.held_out), "samples has shape"),
    ],
)
def test_bad_input_is_named(make, words, mixture):
    with pytest.raises(ValueError, match=words):
        make(mixture)
