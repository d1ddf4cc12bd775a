"""Signs of a copy against closed forms: means at much noise, Gaussians, single points, Poisson processes, and judges that agree by chance."""

import math
import warnings

import numpy as np
import pytest
import torch

from separations.audit.membership import membership_auc
from separations.bench import LocalPatches
from separations.detection import (
    agreement_table,
    authentic,
    cohen_kappa,
    conditional_gap,
    curvature,
    curvature_difference,
    denoising_loss,
    gap_of_means,
    images_that_hide,
    judged,
    largest_clique,
    likelihood_gap,
    likelihood_gaps,
    loss_ratio,
    repeats,
    t_error,
)
from separations.distributions import Empirical, FittedGaussian, GaussianMixture
from separations.metrics.extractors import Pixels
from separations.numerics.seeds import seeded
from separations.schedules import OU, VE

SCHEDULE = OU()


def normal(*shape: int, stream: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(0, 650 + stream), dtype=torch.float64)


def at(level: float) -> torch.Tensor:
    return SCHEDULE.time_from_log_snr(torch.tensor(level, dtype=torch.float64))


def noisy(x0: torch.Tensor, level: float, stream: int = 9) -> torch.Tensor:
    return SCHEDULE.add_noise(x0, at(level), normal(*x0.shape, stream=stream))


# ---------------------------------------------------------------- what a condition says


def test_at_much_noise_the_gap_is_that_of_the_means_whatever_the_law():
    data, level = normal(200, 6), -14.0
    group = data[:7]
    laws = ((Empirical(group), Empirical(data)), (FittedGaussian(group), FittedGaussian(data)))
    x = normal(5, 6, stream=1) * SCHEDULE.sigma(at(level))
    for with_it, without in laws:
        found = conditional_gap(with_it, without, x, at(level))
        assert torch.allclose(found, torch.full((5,), gap_of_means(group, data, level), dtype=torch.float64), rtol=0.02)


def test_the_gap_is_the_distance_of_two_noise_predictions():
    one, two = GaussianMixture(torch.zeros(1, 4).double(), 1.0), GaussianMixture(torch.ones(1, 4).double(), 1.0)
    t = at(1.0)
    x = noisy(normal(3, 4), 1.0)
    alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
    # unit Gaussians: D_two - D_one = sigma^2 (mean two - mean one), as alpha^2 + sigma^2 = 1.
    expected = alpha / sigma * sigma**2 * torch.ones(3, dtype=torch.float64)
    assert torch.allclose(conditional_gap(two, one, x, t), expected)
    assert (conditional_gap(one, one, x, t) == 0).all()


def test_a_prompt_shared_by_as_many_images_as_hide_has_the_gap_of_a_class():
    centres = normal(5, 8, stream=2)
    labels = torch.arange(4000) % 5
    data = centres[labels] + normal(4000, 8, stream=3)
    k = images_that_hide(data, labels)
    between, whole = (centres - centres.mean(0)).square().sum(1).mean(), data.var(0).sum()
    assert abs(k - float(whole / between)) < 0.03 * k  # the means of the classes are those of samples
    size = round(k) + 1
    groups = [
        gap_of_means(data[torch.randperm(4000, generator=seeded(1, 100 + i))[:size]], data, -9.0) ** 2
        for i in range(400)
    ]
    classes = [gap_of_means(data[labels == c], data, -9.0) ** 2 for c in range(5)]
    assert abs(np.mean(groups) / np.mean(classes) - k / size) < 0.1  # a mean over 400 random groups


def test_conditional_bad_input_is_named():
    data = normal(10, 3)
    law = Empirical(data)
    with pytest.raises(ValueError, match="conditional is int"):
        conditional_gap(1, law, data, 1.0)
    with pytest.raises(ValueError, match="group has points"):
        gap_of_means(normal(2, 4), data, -6.0)
    with pytest.raises(ValueError, match="log_snr"):
        gap_of_means(data[:2], data, math.inf)
    with pytest.raises(ValueError, match=r"labels is torch\.int64 of shape \(3,\)"):
        images_that_hide(data, torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="at least two"):
        images_that_hide(data, torch.zeros(10, dtype=torch.long))
    with pytest.raises(ValueError, match=r"labels is torch\.complex64"):
        images_that_hide(data, torch.zeros(10, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"group has shape \(10,\)"):
        gap_of_means(data[:, 0], data[:, 0], -6.0)
    with pytest.raises(ValueError, match="the number overflows"):
        gap_of_means(data, data + 1, 5000.0)


# ---------------------------------------------------------------- direction and curvature


def test_the_p_laplacian_of_an_isotropic_gaussian_is_known():
    d, level = 5, 0.5
    law = GaussianMixture(torch.zeros(1, d).double(), 2.0)
    t = at(level)
    x = noisy(normal(6, d), level)
    v = float(SCHEDULE.alpha(t) ** 2 * 2 + SCHEDULE.sigma(t) ** 2)
    found, r = curvature(law, x, t), x.norm(dim=1)
    # s = -x / v, so that s / |s| = -x / |x|, whose divergence is -(d - 1) / |x|.
    assert torch.allclose(found.p_laplacian(1.0), -(d - 1) / r)
    for p in (1.5, 2.0, 3.0):
        assert torch.allclose(found.p_laplacian(p), -(r ** (p - 2)) * (d + p - 2) / v ** (p - 1))
    assert torch.allclose(found.magnitude, r / v) and torch.allclose(found.trace, torch.full((6,), -d / v).double())
    assert torch.allclose(found.largest, torch.full((6,), -1 / v).double())


@pytest.mark.parametrize("floor", [0.0, 0.7])
def test_the_p_laplacian_is_the_divergence_that_autograd_finds(floor):
    law = GaussianMixture(normal(3, 4, stream=4), torch.tensor([[0.2], [1.0], [2.0]], dtype=torch.float64))
    t, x = at(1.0), noisy(normal(5, 4), 1.0)

    def field(point: torch.Tensor) -> torch.Tensor:
        s = law.score(point[None], t)[0]
        return s / (s.square().sum() + floor**2).sqrt()

    expected = torch.stack([torch.autograd.functional.jacobian(field, point).trace() for point in x])
    assert torch.allclose(curvature(law, x, t).p_laplacian(1.0, floor), expected, atol=1e-9)


def test_a_score_without_a_hessian_is_differentiated():
    law = FittedGaussian(normal(30, 4))

    class Bare:
        "A denoiser alone."

        def denoise(self, x, t, *, schedule=None):
            return law.denoise(x, t, schedule=schedule)

    t, x = at(0.0), noisy(normal(4, 4), 0.0)
    ours, theirs = curvature(Bare(), x, t), curvature(law, x, t)
    assert torch.allclose(ours.hessian, theirs.hessian, atol=1e-6) and torch.allclose(ours.score, theirs.score)
    patches = LocalPatches(normal(20, 1, 4, 4), 3)
    assert curvature(patches, noisy(normal(2, 1, 4, 4), 0.0), t).hessian.shape == (2, 16, 16)


def test_the_curvature_difference_is_one_at_a_point_that_only_the_model_knows():
    d, level = 6, 4.0
    data = normal(200, d)
    t, x = at(level), noisy(data[:5], level)
    law, copy = FittedGaussian(data), Empirical(data[:1])
    assert torch.allclose(curvature_difference(law, law, x, t), torch.zeros(5).double())
    nu = math.exp(-level)
    share = float((law.variances / (law.variances + nu)).mean())  # tr Cov / (nu d), of the fitted law
    assert torch.allclose(curvature_difference(copy, law, x, t), torch.full((5,), -share).double())


def test_curvature_bad_input_is_named():
    law = GaussianMixture(torch.zeros(1, 3).double(), 1.0)
    with pytest.raises(ValueError, match=r"floor = 0\.0: the score is 0 in row 1"):
        curvature(law, torch.tensor([[1.0, 0, 0], [0, 0, 0]]).double(), 0.5).p_laplacian()
    assert curvature(law, torch.zeros(1, 3).double(), 0.5).p_laplacian(1.0, 1.0) == -3.0
    with pytest.raises(ValueError, match="p = nan"):
        curvature(law, torch.ones(1, 3), 0.5).p_laplacian(math.nan)
    with pytest.raises(ValueError, match="t has shape"):
        curvature(law, torch.ones(2, 3), torch.tensor([0.5, 0.6]))


# ---------------------------------------------------------------- repeated samples


def test_false_alarms_of_a_smooth_law_are_as_many_as_were_asked_for():
    x = torch.rand(4000, 3, generator=seeded(0, 660), dtype=torch.float64)
    for others in (1, 2, 4):
        found = repeats(x, others, rate=0.05)
        assert abs(found.dimension - 3) < 0.3  # the cube has sides
        assert 0.005 < found.found.mean() < 0.06  # several references, each with its share of the rate
        assert 0.025 < repeats(x, others, rate=0.05, references=[20]).found.mean() < 0.08
    narrow = repeats(torch.cat([x[:2000], 100 + 0.01 * x[2000:]]), 2, rate=0.05)
    assert 0.005 < narrow.found.mean() < 0.08  # whatever the density


def test_images_that_are_made_again_and_again_are_found_and_grouped():
    fresh, points = normal(500, 10), normal(4, 10, stream=5)
    copies = points.repeat_interleave(torch.tensor([1, 3, 5, 9]), 0) + 1e-3 * normal(18, 10, stream=6)
    found = repeats(torch.cat([fresh, copies]), 2, rate=0.001)
    assert found.found[501:].all() and found.found[:501].mean() < 0.01
    groups = found.group[501:]
    assert [len(set(part)) for part in np.split(groups, [3, 8])] == [1, 1, 1] and len(set(groups)) == 3
    assert (found.group[~found.found] == -1).all() and found.groups >= 3
    assert repeats(torch.cat([fresh, copies]), 2, rate=0.001, dimension=10.0).found[501:].all()


def test_what_is_made_often_is_found_against_farther_neighbours():
    samples = torch.cat([normal(2000, 10), normal(1, 10, stream=5) + 1e-3 * normal(60, 10, stream=6)])
    assert not repeats(samples, 2, rate=0.001, references=[20]).found[2000:].any()
    found = repeats(samples, 2, rate=0.001).found
    assert found[2000:].all() and found[:2000].mean() < 0.01


def test_exact_copies_are_no_trouble():
    x = torch.cat([normal(100, 4), torch.zeros(5, 4).double()])
    assert repeats(x, 2).found[100:].all()
    with pytest.raises(ValueError, match="give the dimension"):
        repeats(torch.zeros(100, 4), 2)


def test_a_chain_is_no_clique():
    chain = torch.arange(30, dtype=torch.float64)[:, None] * 0.9
    assert len(largest_clique(chain, 1.0)) == 2 and len(largest_clique(chain, 0.5)) == 1
    ball = torch.cat([chain, 100 + 0.1 * normal(6, 1)])
    assert largest_clique(ball, 1.0).tolist() == list(range(30, 36))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"others": 0}, "others = 0"),
        ({"references": [2]}, "references = 2"),
        ({"references": [20, 60]}, "references = 60"),
        ({"references": []}, "references is empty"),
        ({"references": 20}, "references = 20: a list"),
        ({"rate": 0.7}, "rate = 0.7"),
        ({"dimension": 0.0}, "dimension = 0.0"),
    ],
)
def test_repeats_bad_input_is_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        repeats(normal(50, 3), **{"others": 2, **arguments})
    with pytest.raises(ValueError, match="radius"):
        largest_clique(normal(5, 2), -1.0)
    for call in (repeats, lambda x: largest_clique(x, 1.0)):
        with pytest.raises(ValueError, match=r"samples has shape \(50,\)"):
            call(normal(50))


# ---------------------------------------------------------------- membership


def test_a_point_that_the_model_knows_has_no_t_error_and_others_have_the_one_of_the_closed_form():
    point = normal(1, 5)
    assert t_error(Empirical(point), point, 0.0) < 1e-25
    # Of N(0, 1) every DDIM step multiplies x, with alpha_s alpha_t + sigma_s sigma_t: both ways the same number.
    law, x0 = GaussianMixture(torch.zeros(1, 5).double(), 1.0), normal(4, 5, stream=7)
    grid = torch.tensor([8.0, 4.0, 0.0, -0.5], dtype=torch.float64)
    times = SCHEDULE.time_from_log_snr(grid)
    a, s = SCHEDULE.alpha(times), SCHEDULE.sigma(times)
    factor = a[1:] * a[:-1] + s[1:] * s[:-1]
    expected = (x0 * a[0] * factor[:-1].prod() * (1 - factor[-1] ** 2)).square().mean(1)
    assert torch.allclose(t_error(law, x0, 0.0, step=0.5, steps=2), expected)


def test_the_t_error_does_not_depend_on_the_clock():
    data = normal(20, 4)
    found = [
        t_error(Empirical(data, schedule=schedule), data[:3] + 0.3, 1.0, start=6.0) for schedule in (SCHEDULE, VE())
    ]
    # x is in another unit under VE: its error is 1 / alpha^2 times as large, at the level where it is read.
    t = at(1.0)
    assert torch.allclose(found[0] / SCHEDULE.alpha(t) ** 2, found[1], rtol=1e-6)


def test_the_loss_of_the_posterior_mean_of_a_gaussian_is_known():
    law, level = GaussianMixture(torch.zeros(1, 400).double(), 1.0), 0.0
    x0 = normal(20, 400, stream=8)
    found = denoising_loss(law, x0, at(level), draws=50, generator=seeded(0, 661))
    v = float(SCHEDULE.sigma(at(level)) ** 2)  # D = alpha x: the error of x0 is sigma^4 x0^2 + alpha^2 sigma^2
    expected = v**2 * x0.square().mean(1) + v * (1 - v)
    assert torch.allclose(found, expected, rtol=0.05)  # 50 draws of 400 values


def test_a_second_network_takes_out_how_easy_a_point_is():
    x0 = normal(300, 30) * torch.exp(0.7 * normal(300, 1, stream=3))  # points of many sizes
    members, others, fresh = x0[:100], x0[100:200], x0[200:]
    model, reference, level = FittedGaussian(members), FittedGaussian(others), at(0.0)
    assert torch.allclose(loss_ratio(model, reference, fresh, level), -loss_ratio(reference, model, fresh, level))
    assert (loss_ratio(model, model, fresh, level) == 0).all()
    ratio = membership_auc(*(loss_ratio(model, reference, x, level) for x in (members, fresh))).value
    loss = membership_auc(*(-denoising_loss(model, x, level, generator=seeded(0, 663)) for x in (members, fresh))).value
    assert ratio > loss + 0.03 > 0.53


def test_membership_bad_input_is_named():
    law, x = Empirical(normal(5, 3)), normal(2, 3)
    for arguments, said in (
        ({"log_snr": 9.0}, "log_snr = 9.0"), ({"log_snr": 0.0, "step": 0}, "step = 0"), ({"log_snr": 0.0, "steps": 0}, "steps = 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            t_error(law, x, **arguments)
    with pytest.raises(ValueError, match="draws = 0"):
        denoising_loss(law, x, 0.5, draws=0)
    with pytest.raises(ValueError, match="model is str"):
        loss_ratio("a", law, x, 0.5)


# ---------------------------------------------------------------- likelihood gaps


def test_the_likelihood_gap_is_a_difference_of_gaussians():
    train, held_out = torch.zeros(1, 3).double(), torch.full((1, 3), 2.0).double()
    x = torch.tensor([[0.0, 0, 0], [2, 2, 2], [1, 1, 1]]).double()
    assert torch.allclose(
        torch.from_numpy(likelihood_gaps(x, train, held_out, width=1.0)), torch.tensor([6.0, -6.0, 0.0]).double()
    )


def test_copies_explain_the_training_set_and_fresh_samples_do_not():
    train, held_out, fresh = normal(150, 6), normal(150, 6, stream=1), normal(300, 6, stream=2)
    copies = train.repeat(2, 1) + 0.05 * normal(300, 6, stream=3)
    ours, theirs = likelihood_gap(copies, train, held_out), likelihood_gap(fresh, train, held_out)
    assert ours.low > 0.5 and theirs.low < 0 < theirs.high
    assert np.median(likelihood_gaps(copies, train, held_out)) > 5 * abs(
        np.median(likelihood_gaps(fresh, train, held_out))
    )
    with pytest.raises(ValueError, match="width"):
        likelihood_gaps(copies, train, held_out, width=0.0)
    with pytest.raises(ValueError, match="held_out has shape"):
        likelihood_gap(copies, train, normal(3, 5))
    with pytest.raises(ValueError, match="the likelihood gap"):
        likelihood_gaps(copies, train, held_out, width=1e-200)
    with pytest.raises(ValueError, match=r"len\(held_out\) = 1"):
        likelihood_gap(copies, train, held_out[:1])


# ---------------------------------------------------------------- the panel


def test_kappa_is_one_for_equal_judges_minus_one_for_opposite_ones_and_zero_by_chance():
    labels = torch.arange(400) % 2 == 0
    assert cohen_kappa(labels, labels).value == 1.0 and cohen_kappa(labels, ~labels).value == -1.0
    by_chance = cohen_kappa(torch.arange(400) % 2 == 0, torch.arange(400) // 2 % 2 == 0)
    assert by_chance.value == 0.0 and by_chance.low < 0 < by_chance.high
    # Two by two table with cells 20, 5, 10, 15 (rows: the first judge): p_o = 0.7, p_e = 0.5.
    one = [True] * 25 + [False] * 25
    other = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert cohen_kappa(one, other).value == pytest.approx(0.4)
    assert cohen_kappa([True] * 5, [True] * 5) is None
    table = agreement_table({"a": one, "b": other, "c": one})
    assert list(table) == [("a", "b"), ("a", "c"), ("b", "c")] and table["a", "c"].value == 1.0


def test_kappa_bad_input_is_named():
    with pytest.raises(ValueError, match=r"one is torch\.int64"):
        cohen_kappa([1, 0], [True, False])
    with pytest.raises(ValueError, match="other has 1 labels"):
        cohen_kappa([True, False], [True])
    with pytest.raises(ValueError, match="said has 1"):
        agreement_table({"a": [True]})
    with pytest.raises(ValueError, match="said is list"):
        agreement_table([[True], [False]])
    with pytest.raises(ValueError, match="one = None"):
        cohen_kappa(None, None)


def test_every_judge_sees_exact_copies_and_none_sees_more_fresh_points_than_it_may():
    train, held_out = normal(200, 1, 6, 6).clamp(-1, 1), normal(400, 1, 6, 6, stream=1).clamp(-1, 1)
    fresh = normal(400, 1, 6, 6, stream=2).clamp(-1, 1)
    copies = (train[:100] + 0.02 * normal(100, 1, 6, 6, stream=3)).clamp(-1, 1)
    said = judged(torch.cat([copies, fresh]), train, held_out, rate=0.05, extractors={"pixels as features": Pixels()})
    assert list(said) == ["1/9", "calibrated L2", "authenticity", "likelihood gap", "pixels as features"]
    for name, labels in said.items():
        assert labels.dtype == bool and labels[:100].all(), name
        assert labels[100:].mean() < (0.6 if name == "authenticity" else 0.12), name
    assert not said["1/9"][100:].any()


def test_authentic_is_the_rule_of_the_audit():
    from separations.audit.distribution import authenticity

    train = torch.tensor([[0.0], [1.0], [5.0]], dtype=torch.float64)
    samples = torch.tensor([[0.4], [-1.5], [4.0], [10.0]], dtype=torch.float64)
    assert authentic(samples, train).tolist() == [False, True, False, True]
    distance, own = np.array([0.4, 1.5, 1.0, 5.0]), np.array([1.0, 1.0, 4.0, 4.0])
    assert authenticity(distance, own, 0.95).value == authentic(samples, train).mean()


def test_the_panel_refuses_what_it_cannot_judge():
    train, held_out = normal(30, 4), normal(30, 4, stream=1)
    with pytest.raises(ValueError, match="rate"):
        judged(train, train, held_out, rate=0.0)
    with pytest.raises(ValueError, match="neighbours = 40"):
        judged(train, train, held_out, neighbours=40)
    with pytest.raises(ValueError, match="held_out has shape"):
        judged(train, train, normal(30, 5))
    for extractors, said in (
        ([Pixels()], "extractors is list"),
        ({"1/9": Pixels()}, "extractors has '1/9'"),
        ({"eye": None}, r"extractors\['eye'\] is NoneType"),
        ({"eye": "no such network"}, "spec = 'no such network'"),
    ):
        with pytest.raises(ValueError, match=said):
            judged(train, train, held_out, extractors=extractors)
    with pytest.raises(FileNotFoundError, match="is not there"):
        judged(train, train, held_out, extractors={"eye": "/nowhere/sscd.torchscript"})


def test_the_panel_seats_a_network_from_a_file(tmp_path):
    """A TorchScript file, as SSCD's authors publish theirs, takes a seat by its path, and a name of the audit by its word."""
    file = tmp_path / "network.torchscript"
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(6), torch.nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch would rather have torch.export
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, 224, 224)), str(file))
    train, held_out = normal(60, 1, 6, 6).clamp(-1, 1), normal(60, 1, 6, 6, stream=1).clamp(-1, 1)
    said = judged(
        torch.cat([train[:10], held_out[:10]]), train, held_out, extractors={"file": str(file), "word": "pixels"}
    )
    assert list(said)[4:] == ["file", "word"]
    assert said["file"][:10].all() and said["word"][:10].all() and not said["file"][10:].all()


@pytest.mark.parametrize("change", [torch.Tensor.float, torch.Tensor.bfloat16, lambda x: x.clone().requires_grad_(True),
                                    lambda x: x.transpose(2, 3).contiguous().transpose(2, 3)])  # fmt: skip
def test_the_panel_takes_images_of_any_dtype_and_layout(change):
    # Values on a grid of 1/64 are exact in every dtype.
    train, held_out = ((normal(60, 1, 6, 6, stream=k).clamp(-1, 1) * 64).round() / 64 for k in (0, 1))
    samples = torch.cat([train[:5], held_out[:5]])
    usual = judged(samples, train, held_out, extractors={"word": "pixels"})
    ours = judged(change(samples), change(train), change(held_out), extractors={"word": "pixels"})
    assert all(np.array_equal(usual[name], ours[name]) for name in usual)
    assert np.array_equal(judged(samples[:1], train, held_out)["1/9"], usual["1/9"][:1])
