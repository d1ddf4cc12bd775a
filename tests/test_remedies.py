"""Remedies against copying: at strength zero each is the untouched thing bit for bit; beyond it, closed forms and limits."""

import math

import pytest
import torch

from separations.bench import Ambient
from separations.distributions import Empirical, FittedGaussian
from separations.networks import MLP, Denoiser, DiT, DiTConfig
from separations.numerics import seeded
from separations.remedies import (
    PARTS,
    AmbientTerms,
    Labelled,
    LabelledTerms,
    MeanDenoiser,
    PlainTerms,
    Repelled,
    RescaledTerms,
    SkippedTerms,
    average_copies,
    freeze_layers,
    part_of,
    prune_smallest,
    repeated_points,
    replaced_below,
    shards,
    told,
    train_only,
    train_with_terms,
    with_dummies,
)
from separations.samplers import generate
from separations.schedules import OU, VPLinear
from separations.training import denoising_terms, train

X = torch.randn(6, 3, generator=seeded(1))
HOW = {"steps": 25, "batch": 8, "lr": 1e-2, "ema": 0.9, "warmup": 3}


def stack(copies=3, depth=3, width=8, schedule=None):
    generators = None if copies is None else [seeded(2, k) for k in range(copies)]
    network = MLP(3, width, depth, copies=copies, generator=generators or seeded(2))
    return Denoiser(network, schedule or VPLinear(), prediction="v")


def trained(terms=None, weight="v", copies=3, data=X, **how):
    model, generators = stack(copies), [seeded(3, k) for k in range(copies)]
    if terms is None:
        records = list(train(model, data, weight=weight, generator=generators, **HOW | how))
    else:
        records = list(train_with_terms(model, data, terms, generator=generators, **HOW | how))
    return [p.detach() for p in model.parameters()], records


@pytest.mark.parametrize("weight", ["eps", "v"])
@pytest.mark.parametrize("data", [X, [X, X[:4], X[2:]]])
def test_at_strength_zero_training_is_the_untouched_one_bit_for_bit(weight, data):
    rows = len(X) if torch.is_tensor(data) else sum(map(len, data))
    noise = torch.randn(rows, 3, generator=seeded(4))
    plain, told = trained(weight=weight, data=data)
    for terms in (
        PlainTerms(weight),
        AmbientTerms(noise, 0.0, weight=weight),
        SkippedTerms(PlainTerms(weight), 0.0),
        SkippedTerms(AmbientTerms(noise, [0.0, 0.0, 0.0], weight=weight), [0.0, 0.0, 0.0]),
    ):
        found, records = trained(terms, data=data)
        assert all(map(torch.equal, plain, found)) and torch.equal(records[-1].loss, told[-1].loss)
        assert all(map(torch.equal, told[-1].ema.parameters(), records[-1].ema.parameters()))


def test_a_copy_at_strength_zero_does_not_see_that_others_are_treated():
    plain, _ = trained()
    noise = torch.randn(len(X), 3, generator=seeded(4))
    terms = SkippedTerms(AmbientTerms(noise, [0.0, 0.7, 0.0], weight="v"), [0.0, 0.0, 0.8])
    found, _ = trained(terms)
    for a, b in zip(plain, found):
        assert torch.equal(a[0], b[0])
    assert all((plain[0][i] != found[0][i]).any() for i in (1, 2))
    assert terms.skipped[0] == 0 and 0 < terms.skipped[2] < 1


def test_fresh_noise_is_a_matter_of_each_copy():
    noise = torch.randn(len(X), 3, generator=seeded(4))
    kept, _ = trained(AmbientTerms(noise, 0.7, weight="v"))
    mixed, _ = trained(AmbientTerms(noise, 0.7, fresh=[False, True, False], weight="v", generator=seeded(18)))
    assert all(torch.equal(a[i], b[i]) for a, b in zip(kept, mixed) for i in (0, 2))
    assert (kept[0][1] != mixed[0][1]).any()


class Exact:
    """A closed form with the face of a denoiser."""

    copies = None

    def __init__(self, law, schedule):
        self.law, self.schedule, self.event_shape = law, schedule, law.event_shape

    def eps(self, x, t):
        return -self.schedule.sigma(t)[:, None].to(x) * self.law.score(x, t, schedule=self.schedule)


def test_the_ambient_optimum_in_closed_form_has_the_least_ambient_loss():
    schedule, std, x = OU(), 0.8, X.double()
    xi = torch.randn(x.shape, generator=seeded(5), dtype=torch.float64)
    law = Ambient(x, std, x + std * xi)
    m = 20_000
    rows = torch.randint(len(x), (m,), generator=seeded(6))
    t = schedule.time_from_log_snr(torch.linspace(-3, 4, m, dtype=torch.float64))  # both sides of std
    eps = torch.randn(m, 3, generator=seeded(7), dtype=torch.float64)
    terms = AmbientTerms(xi, std)
    best = terms(Exact(law, schedule), x[rows], t, eps, rows)
    for other in (Empirical(x), Empirical(x + std * xi), FittedGaussian(x)):
        excess = terms(Exact(other, schedule), x[rows], t, eps, rows) - best
        assert excess.mean() > 4 * excess.std() / math.sqrt(m)
    # the gradient at the optimum vanishes: the error is orthogonal to any function of what the network sees
    assert best.isfinite().all() and (best > 0).all()


def test_below_its_noise_the_ambient_loss_is_the_plain_one():
    model, t = stack(None), torch.full((6,), 0.02, dtype=torch.float64)
    eps, noise = torch.randn(2, 6, 3, generator=seeded(8))
    sigma_over_alpha = float(model.schedule.sigma(t)[0] / model.schedule.alpha(t)[0])
    ambient = AmbientTerms(noise, sigma_over_alpha * 1.01)(model, X, t, eps, torch.arange(6))
    assert torch.equal(ambient, denoising_terms(model, X, t, eps=eps))
    other = AmbientTerms(noise, sigma_over_alpha * 0.5)(model, X, t, eps, torch.arange(6))
    assert (other != ambient).all()


def test_fresh_noise_has_the_plain_minimiser():
    """With xi drawn anew the seen points are alpha x_0 + sigma N(0, I): the empirical score of the clean points has the least loss."""
    schedule, x, m = OU(), X.double(), 40_000
    rows = torch.randint(len(x), (m,), generator=seeded(9))
    t = schedule.time_from_log_snr(torch.full((m,), -1.0, dtype=torch.float64))
    eps = torch.randn(m, 3, generator=seeded(10), dtype=torch.float64)
    losses = []
    for law in (Empirical(x), Ambient(x, 0.8, x + 0.8 * torch.randn(x.shape, generator=seeded(5)).double())):
        terms = AmbientTerms(torch.zeros_like(x), 0.8, fresh=True, generator=seeded(11))
        losses.append(terms(Exact(law, schedule), x[rows], t, eps, rows))
    excess = losses[1] - losses[0]
    assert excess.mean() > 4 * excess.std() / math.sqrt(m)


def test_skipping_counts_by_noise_level():
    terms = SkippedTerms(lambda model, x0, t, eps, rows: x0[:, 0], 0.5, levels=2, ends=(-10.0, 10.0), momentum=0.5)
    model = stack(None)
    t = model.schedule.time_from_log_snr(torch.tensor([5.0, 5.0, -5.0, -5.0]))
    values = torch.tensor([[1.0], [1.0], [10.0], [10.0]])
    assert terms(model, values, t, None, None).tolist() == [1.0, 1.0, 10.0, 10.0]
    second = torch.tensor([[0.4], [0.6], [4.0], [6.0]])  # the small ones are small for their own level only
    assert terms(model, second, t, None, None).tolist() == [0.0, pytest.approx(0.6), 0.0, 6.0]
    assert float(terms.skipped) == 2 / 8
    assert terms.usual.tolist() == [7.5, 0.75]


def test_training_sets():
    more = repeated_points(X, 2, 4)
    assert len(more) == 12 and all((more == X[i]).all(1).sum() == (4 if i < 2 else 1) for i in range(6))
    assert torch.equal(repeated_points(X, 2, 1), X) and torch.equal(with_dummies(X, 0), X)
    dummies = with_dummies(X, 9, generator=seeded(12))
    assert torch.equal(dummies[:6], X)
    for i in range(9):
        assert torch.equal(dummies[6 + i].sort()[0], X[i % 6].sort()[0])
    parts = shards(X, 4)
    assert sorted(map(len, parts)) == [1, 1, 2, 2] and torch.equal(torch.cat(parts).sort(0)[0], X.sort(0)[0])
    assert torch.equal(shards(X, 1)[0], X)


def test_averaged_copies():
    model = stack(4)
    before = [p.detach().clone() for p in model.parameters()]
    average_copies(model, [[0], [2]])
    assert all(map(torch.equal, before, model.parameters()))
    average_copies(model, [[1, 3]])
    for old, new in zip(before, model.parameters()):
        assert torch.equal(new[0], old[0]) and torch.equal(new[2], old[2]) and torch.equal(new[1], new[3])
        torch.testing.assert_close(new[1], (old[1] + old[3]) / 2)
    with pytest.raises(ValueError, match="groups"):
        average_copies(model, [[0, 1], [1, 2]])


def test_the_mean_of_one_is_that_one_and_of_gaussians_a_gaussian():
    law, t = Empirical(X.double()), torch.full((5,), 0.7)
    x = torch.randn(5, 3, generator=seeded(13), dtype=torch.float64)
    assert torch.equal(MeanDenoiser([law]).denoise(x, t), law.denoise(x, t))
    both = MeanDenoiser([law, FittedGaussian(X.double())], [1.0, 0.0])
    torch.testing.assert_close(both.denoise(x, t), law.denoise(x, t))
    # one point each: N(alpha a, s^2) and N(alpha b, s^2) have the geometric mean N(alpha (a + b) / 2, s^2)
    one, two = (Empirical(X[i : i + 1].double()) for i in (0, 1))
    middle = (X[:1] + X[1:2]).double() / 2
    torch.testing.assert_close(MeanDenoiser([one, two]).denoise(x, t), middle.expand(5, 3))


def test_frozen_layers_keep_their_weights_and_trained_ones_do_not_notice():
    plain, _ = trained()
    model = stack()
    start = [p.detach().clone() for p in model.parameters()]
    handles = freeze_layers(model.network, [[True] * 3, [False, False, True], [False] * 3])
    list(train(model, X, weight="v", generator=[seeded(3, k) for k in range(3)], **HOW))
    layers = [*zip(model.network.weights, model.network.biases)]
    first = [*zip(start[:3], start[3:])]
    assert all(torch.equal(p[0], q[0]) for p, q in zip(model.parameters(), plain))
    for l, (now, then) in enumerate(zip(layers, first)):
        for p, q in zip(now, then):
            assert torch.equal(p[2], q[2]) and torch.equal(p[1], q[1]) == (l != 2)
    assert len(handles) == 6


def test_pruning():
    model = stack(None, width=20)
    same = prune_smallest(model, 0.0)
    assert all(map(torch.equal, same.parameters(), model.parameters())) and same is not model
    half = prune_smallest(model, 0.5)
    for p, q in zip(half.network.weights, model.network.weights):
        assert (p == 0).sum() >= p.numel() // 2 and torch.equal(p[p != 0], q[p != 0])
        if (q != 0).all():
            assert q[p == 0].abs().max() <= p[p != 0].abs().min()


def test_repelling():
    score, points = Empirical(X.double()), X.double()
    start = {"m": 40, "steps": 12, "shape": (3,)}
    plain = generate(score, generator=seeded(14), **start)
    assert torch.equal(generate(Repelled(score, points, 0.0, 0.5), generator=seeded(14), **start), plain)
    t = torch.full((200,), 0.3, dtype=torch.float64)
    x = OU().add_noise(points[torch.arange(200) % 6], t, torch.randn(200, 3, generator=seeded(17), dtype=torch.float64))
    before, after = (torch.cdist(law.denoise(x, t), points) for law in (score, Repelled(score, points, 1.0, 0.2)))
    near = before.argmin(1, keepdim=True)
    moved = (before.min(1)[0] < 0.2) & (before.min(1)[0] > 0)
    assert moved.sum() > 50 and torch.equal(before[~moved], after[~moved])
    assert (after.gather(1, near)[moved] - 0.2).abs().max() < 1e-9
    half = Repelled(FittedGaussian(points), points, 0.5, 10.0)
    x, t = torch.randn(5, 3, generator=seeded(15), dtype=torch.float64), 1.0
    plain = FittedGaussian(points).denoise(x, t)
    r, moved = (torch.cdist(y, points) for y in (plain, half.denoise(x, t)))
    near = r.argmin(1, keepdim=True)
    torch.testing.assert_close(moved.gather(1, near), (r + 0.5 * (10 - r)).gather(1, near))


def test_replacing():
    score, other, x = (
        Empirical(X.double()),
        FittedGaussian(X.double()),
        torch.randn(4, 3, generator=seeded(16)).double(),
    )
    mixed, schedule = replaced_below(score, other, 1.0), OU()
    for level, law in ((0.5, score), (1.5, other)):
        t = float(schedule.time_from_log_snr(level))
        assert torch.equal(mixed.denoise(x, t), law.denoise(x, t))
        assert torch.equal(replaced_below(score, other, math.inf).denoise(x, t), score.denoise(x, t))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: AmbientTerms(X, -1.0), "std"),
        (lambda: AmbientTerms([1], 1.0), "noise"),
        (lambda: PlainTerms("loud"), "weight"),
        (lambda: SkippedTerms(PlainTerms(), [0.1, -0.1]), "share"),
        (lambda: SkippedTerms(PlainTerms(), 0.1, ends=(1, 0)), "ends"),
        (lambda: SkippedTerms(PlainTerms(), 0.1, momentum=1.0), "momentum"),
        (lambda: train_with_terms(stack(), X, None, steps=2), "terms"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, warmup=3), "warmup"),
        (lambda: list(train_with_terms(stack(), X, AmbientTerms(X, [1.0, 1.0]), steps=2)), "std"),
        (lambda: repeated_points(X, 7, 2), "k"),
        (lambda: with_dummies(X, -1), "k"),
        (lambda: shards(X, 7), "count"),
        (lambda: shards([1], 1), "x"),
        (lambda: MeanDenoiser([]), "parts"),
        (lambda: MeanDenoiser([Empirical(X)], [0.5]), "weights"),
        (lambda: freeze_layers(stack().network, [[True]]), "trained"),
        (lambda: freeze_layers(stack(None).network, [[True]]), "network"),
        (lambda: prune_smallest(stack(), 0.5), "model"),
        (lambda: prune_smallest(stack(None), 1.0), "share"),
        (lambda: Repelled(Empirical(X), X, -1.0, 1.0), "strength"),
        (lambda: Repelled(Empirical(X), X, 1.0, 0.0), "radius"),
        (lambda: replaced_below(Empirical(X), Empirical(X), math.nan), "log_snr"),
        (lambda: replaced_below(Empirical(X), Empirical(X), 1e9), "log_snr"),
        (lambda: replaced_below(Empirical(X), None, math.inf), "other"),
        (lambda: replaced_below(Empirical(X), FittedGaussian(X[:, :2]), 1.0), "other"),
        (lambda: Repelled(None, X, 1.0, 1.0), "score"),
        (lambda: Repelled(Empirical(X), X[:, :2], 1.0, 1.0), "points"),
        (lambda: AmbientTerms(X * math.inf, 1.0), "noise"),
        (lambda: AmbientTerms(X, None), "std"),
        (lambda: AmbientTerms(X, 1.0, fresh=None), "fresh"),
        (lambda: AmbientTerms(X, 1.0, fresh=0.5), "fresh"),
        (lambda: AmbientTerms(X, 1.0, fresh="yes"), "fresh"),
        (lambda: list(train_with_terms(stack(), X, AmbientTerms(X, 1.0, fresh=[False, False]), steps=2)), "fresh"),
        (lambda: list(train_with_terms(stack(), X, AmbientTerms(X[:2], 1.0), steps=2)), "noise"),
        (lambda: list(train_with_terms(stack(), X, AmbientTerms(X[:, :1], 1.0), steps=2)), "noise"),
        (lambda: SkippedTerms(3, 0.1), "inner"),
        (lambda: SkippedTerms(PlainTerms, 0.1), "inner"),
        (lambda: SkippedTerms(PlainTerms(), 0.1, ends=None), "ends"),
        (lambda: SkippedTerms(PlainTerms(), 0.1, ends=(1, 2, 3)), "ends"),
        (lambda: train_with_terms(torch.nn.Linear(3, 3), X, PlainTerms(), steps=2), "model"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, every=-1), "every"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, every=None), "every"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, every=True), "every"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, optimiser=3), "optimiser"),
        (lambda: train_with_terms(stack(), X, PlainTerms(), steps=2, optimiser=lambda p, **k: None), "optimiser"),
        (lambda: list(train_with_terms(stack(), X, lambda *a: None, steps=2)), "terms"),
        (lambda: list(train_with_terms(stack(), X, lambda *a: torch.zeros(3, 128), steps=2)), "terms"),
        (lambda: average_copies(stack(None), [[0]]), "model"),
        (lambda: average_copies(None, [[0]]), "model"),
        (lambda: average_copies(stack(), [0, 1]), "groups"),
        (lambda: MeanDenoiser(None), "parts"),
        (lambda: MeanDenoiser([Empirical(X), Empirical(X[:, :2])]), "parts"),
        (lambda: MeanDenoiser([Empirical(X)] * 2, [math.nan, 1.0]), "weights"),
        (lambda: MeanDenoiser([Empirical(X)] * 2, [1.0, math.nan]), "weights"),
        (lambda: MeanDenoiser([Empirical(X)], "a"), "weights"),
        (lambda: freeze_layers(stack().network, ["111", "101", "000"]), "trained"),
        (lambda: freeze_layers(stack().network, [[0.5] * 3] * 3), "trained"),
        (lambda: freeze_layers(stack().network, None), "trained"),
        (lambda: with_dummies(torch.zeros(4, 0), 2), "x"),
    ],
)
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_one_skipping_loss_serves_one_training():
    terms = SkippedTerms(PlainTerms("v"), 0.1)
    trained(terms)
    for copies in (1, 2):
        with pytest.raises(ValueError, match="3 copies"):
            trained(terms, copies=copies)
    with pytest.raises(ValueError, match="3 copies"):
        list(train_with_terms(stack(None), X, terms, steps=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_point_and_a_batch_larger_than_the_set(dtype):
    """Draws are with replacement; a set of one point, in either dtype, trains as it does in the plain loop."""
    torch.set_default_dtype(dtype)
    try:
        one, noise = X[:1].to(dtype), torch.randn(1, 3, generator=seeded(19))
        plain, _ = trained(data=one, batch=40)
        found, _ = trained(SkippedTerms(AmbientTerms(noise, [0.0, 0.7, 0.0], weight="v"), 0.0), data=one, batch=40)
        for a, b in zip(plain, found):
            assert b.dtype == dtype and torch.equal(a[0], b[0]) and torch.equal(a[2], b[2])
        assert (plain[0][1] != found[0][1]).any()
        frozen = stack()
        start = frozen.network.weights[0][1].detach().clone()
        freeze_layers(frozen.network, torch.tensor([[1, 1, 1], [0, 1, 1], [1, 1, 1]]))
        list(train_with_terms(frozen, one, PlainTerms("v"), steps=3, every=torch.tensor(1)))
        assert torch.equal(frozen.network.weights[0][1], start)
        assert Repelled(Empirical(one), one, 1.0, 1.0).denoise(X.to(dtype), 0.5).dtype == dtype
    finally:
        torch.set_default_dtype(torch.float32)


# Labels


def labelled(copies=2, codes=None):
    codes = torch.randn(4, 2, generator=seeded(20)) if codes is None else codes
    generators = seeded(2) if copies is None else [seeded(2, k) for k in range(copies)]
    network = MLP(3 + codes.shape[1], 16, 3, copies=copies, generator=generators)
    return Denoiser(Labelled(network, codes), VPLinear(), prediction="v")


def learned(copies=2, labels=None, steps=25):
    model, labels = labelled(copies), torch.arange(6) % 4 if labels is None else labels
    generators = [seeded(3, k) for k in range(copies)]
    terms = LabelledTerms(PlainTerms("v"), labels)
    *_, record = train_with_terms(model, X, terms, generator=generators, **HOW | {"steps": steps})
    return model, record


def test_codes_that_are_all_the_same_tell_nothing():
    """With equal codes the labels cannot matter, at any weights: training is the same bit for bit."""
    same = torch.ones(4, 2)
    found = []
    for labels in (torch.zeros(6).long(), torch.arange(6) % 4):
        model = labelled(codes=same)
        list(train_with_terms(model, X, LabelledTerms(PlainTerms("v"), labels), generator=seeded(3), **HOW))
        found.append([p.detach() for p in model.parameters()])
    assert all(map(torch.equal, *found))


def test_a_label_reaches_its_own_rows_alone_and_a_copy_its_own_labels():
    model, _ = learned()
    t, x = torch.tensor(0.4), torch.randn(2, 5, 3, generator=seeded(21))
    labels = torch.tensor([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]])
    answer = told(model, labels).denoise(x, t)
    other = labels.clone()
    other[1, 2] = 0
    moved = (told(model, other).denoise(x, t) != answer).any(-1)
    assert moved[1, 2] and moved.sum() == 1
    for i in range(2):  # a copy alone answers as in the stack
        alone = told(model.copy(i), labels[i]).denoise(x[i], t)
        torch.testing.assert_close(alone, answer[i], rtol=1e-5, atol=1e-6)  # float32


def test_told_shares_the_weights():
    model = labelled(None)
    score = told(model, torch.tensor([1]))
    assert {id(p) for p in score.parameters()} == {id(p) for p in model.parameters()}
    assert score.event_shape == (3,) and score.copies is None


def test_with_a_label_for_each_point_the_least_loss_is_zero_and_a_network_comes_near_it():
    """Given its own label a point is certain: the loss of images falls towards 0, far below that without labels."""
    losses = []
    for labels in (torch.zeros(4).long(), torch.arange(4)):
        model = labelled(None)
        terms = LabelledTerms(PlainTerms("v"), labels)
        list(train_with_terms(model, X[:4], terms, steps=500, batch=32, lr=1e-2, generator=seeded(3)))
        t = VPLinear().time_from_log_snr(torch.full((400,), -2.0, dtype=torch.float64))
        rows = torch.arange(400) % 4
        noisy = VPLinear().add_noise(X[rows], t[:, None], torch.randn(400, 3, generator=seeded(22)))
        with torch.no_grad():
            error = told(model, labels[rows]).denoise(noisy, t) - X[rows]
        losses.append(float(error.square().sum(-1).mean()))
    assert losses[1] < losses[0] / 4


def test_labels_that_make_no_sense_are_refused():
    network = MLP(5, 8, 2, generator=seeded(2))
    for bad in ((X, torch.ones(2, 2)), (network, torch.ones(2, 5)), (network, torch.ones(4)), (network, 3)):
        with pytest.raises(ValueError, match=r"is needed|are needed"):
            Labelled(*bad)
    with pytest.raises(ValueError, match="codes"):
        Labelled(network, torch.full((2, 2), math.nan))
    for labels in (torch.tensor([4]), torch.tensor([-1]), torch.tensor([0.5]), 3, torch.zeros(0).long()):
        with pytest.raises(ValueError, match="labels"):
            told(labelled(None), labels)
    with pytest.raises(ValueError, match="labelled network"):
        told(stack(None), torch.tensor([0]))
    with pytest.raises(ValueError, match="labels"):
        LabelledTerms(PlainTerms(), torch.zeros(3))


# Skipping with the weight of what was skipped


def test_where_nothing_is_skipped_rescaling_changes_nothing():
    plain, _ = trained()
    found, _ = trained(RescaledTerms(SkippedTerms(PlainTerms("v"), 0.0)))
    off, _ = trained(RescaledTerms(SkippedTerms(PlainTerms("v"), 0.8), [False] * 3))
    skipped, _ = trained(SkippedTerms(PlainTerms("v"), 0.8))
    assert all(map(torch.equal, plain, found)) and all(map(torch.equal, skipped, off))


def test_the_rescaled_mean_is_that_over_the_kept():
    given = torch.tensor([[2.0, 0.0, 4.0, 0.0], [1.0, 1.0, 1.0, 5.0], [0.0, 0.0, 0.0, 0.0]])

    def inner(*_):
        return given

    found = RescaledTerms(inner, [True, True, True])(None, None, None, None, None)
    assert found.mean(-1).tolist() == [3.0, 2.0, 0.0]
    assert RescaledTerms(inner, [False, True, True])(None, None, None, None, None).mean(-1)[0] == 1.5
    for bad in ((3,), (PlainTerms, True), (inner, [[True]])):
        with pytest.raises(ValueError, match=r"inner|on"):
            RescaledTerms(*bad)


# Parts of a transformer


def transformer():
    config = DiTConfig(image=(1, 4, 4), patch=2, width=12, depth=2, heads=2)
    return Denoiser(DiT(config, generator=seeded(23)), VPLinear(), prediction="v")


def test_every_parameter_of_a_transformer_belongs_to_one_part_and_only_chosen_parts_move():
    model = transformer()
    names = [name for name, _ in model.network.named_parameters()]
    assert {part_of(name) for name in names} == set(PARTS)
    for parts in ([part] for part in PARTS):
        model = transformer()
        for p in model.parameters():  # away from the zeros of the start, which hide gradients
            torch.nn.init.normal_(p, std=0.2, generator=seeded(24))
        before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
        chosen = train_only(model, parts)
        x = torch.randn(4, 1, 4, 4, generator=seeded(25))
        list(train(model, x, steps=2, batch=4, generator=seeded(26)))
        moved = {part_of(name) for name, p in model.network.named_parameters() if not torch.equal(p, before[name])}
        assert moved == set(parts)
        assert sum(map(torch.numel, chosen)) == sum(before[n].numel() for n in names if part_of(n) in parts)


def test_parts_that_are_not_there_are_refused():
    for parts in ([], ["neck"], "neck"):
        with pytest.raises(ValueError, match="parts"):
            train_only(transformer(), parts)
    with pytest.raises(ValueError, match="model"):
        train_only(stack(None), PARTS)
    with pytest.raises(ValueError, match="name"):
        part_of("weights.0")
