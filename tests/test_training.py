"""Training: a stack is its copies, the same seeds give the same weights, and no network beats the empirical score."""

import copy
import math
from functools import partial

import pytest
import torch

from separations.distributions import Empirical
from separations.losses import denoising_loss, fisher_divergence
from separations.networks import MLP, Denoiser
from separations.numerics import Estimate
from separations.parameterizations import PREDICTIONS
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear
from separations.training import EMA, denoising_terms, log_snr_uniform, train

DATA = 2 * torch.randn(40, 3, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


def gen(seed):
    return torch.Generator().manual_seed(seed)


def single(seed=0, schedule=None, **options):
    return Denoiser(MLP(3, 16, 3, generator=gen(seed)).double(), schedule, **options)


def stacked(seeds=(0, 1, 2)):
    return Denoiser(MLP(3, 16, 3, copies=len(seeds), generator=[gen(s) for s in seeds]).double())


def run(model, data=DATA, steps=20, seed=0, **options):
    generator = options.pop("generator", gen(seed))
    return list(train(model, data, steps=steps, generator=generator, **{"every": steps, "batch": 16, **options}))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# --- a stack is its copies ---


@pytest.mark.parametrize(
    "options",
    [
        {"optimiser": "adam"},
        {"optimiser": "adamw", "weight_decay": 0.1, "decay": "cosine", "warmup": 5},
        {"optimiser": "sgd", "lr": 0.01, "weight": "v", "ema": 0.9},
        {"optimiser": partial(torch.optim.SGD, momentum=0.9), "lr": 1e-3, "weight": lambda t: OU().sigma(t)},
    ],
    ids=["adam", "adamw", "sgd", "a function"],
)
def test_training_a_stack_is_training_each_copy_alone(options):
    """On data sets of different sizes. float64: the two ways round differently, about 1e-15 a step."""
    sets, many = [DATA[:5], DATA[5:12], DATA[12:]], stacked()
    records = run(many, sets, 50, generator=[gen(s) for s in (10, 11, 12)], every=25, **options)
    for i in range(3):
        one = single(i)
        alone = run(one, sets[i], 50, seed=10 + i, every=25, **options)
        torch.testing.assert_close(weights(many.copy(i)), weights(one), rtol=1e-7, atol=1e-9)
        assert weights(one)[-3:].abs().min() > 1e-4  # the last bias started at 0: it has moved
        for a, b in zip(records, alone):
            torch.testing.assert_close(a.loss[i], b.loss, rtol=1e-7, atol=0)
            torch.testing.assert_close(a.grad_norm[i], b.grad_norm, rtol=1e-7, atol=0)
            assert a.lr == b.lr
        if "ema" in options:
            torch.testing.assert_close(weights(records[-1].ema.copy(i)), weights(alone[-1].ema), rtol=1e-7, atol=1e-9)


def test_a_shared_generator_gives_each_copy_draws_of_its_own():
    model = Denoiser(MLP(3, 16, 3, copies=2, generator=[gen(0), gen(0)]))
    assert torch.equal(weights(model.copy(0)), weights(model.copy(1)))
    run(model)
    assert not torch.allclose(weights(model.copy(0)), weights(model.copy(1)))


@pytest.mark.parametrize("make", [single, stacked])
def test_the_same_seeds_give_the_same_weights_bit_for_bit(make):
    models = [make() for _ in range(3)]
    losses = [run(model, seed=s)[-1].loss for model, s in zip(models, (3, 3, 4))]
    assert torch.equal(weights(models[0]), weights(models[1])) and torch.equal(losses[0], losses[1])
    assert not torch.equal(weights(models[0]), weights(models[2]))


@pytest.mark.parametrize("generator", [gen(0), [gen(s) for s in range(3)]], ids=["shared", "one a copy"])
def test_each_copy_sees_its_own_data_and_all_of_it(generator):
    """At t = 1e-12 the network sees the points themselves, up to 1e-5."""
    seen = []

    class Spy(Denoiser):
        def eps(self, x, t, **options):
            seen.append(x.detach().round())
            return super().eps(x, t, **options)

    sets = [torch.arange(n, dtype=torch.float64)[:, None].expand(n, 3) + 100 * i for i, n in enumerate((1, 4, 9))]
    run(Spy(stacked().network), sets, 1, batch=400, times=lambda m, _: torch.full((m,), 1e-12), generator=generator)
    assert seen[0].shape == (3, 400, 3)
    for x, points in zip(seen[0], sets):
        assert set(x[:, 0].tolist()) == set(points[:, 0].tolist())  # a miss has probability 9 (8/9)^400 < 1e-19


# --- the loss ---


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VPCosine(), VE(), Flow()], ids=str)
@pytest.mark.parametrize("weight", [*PREDICTIONS, lambda t: 1 + t], ids=[*PREDICTIONS, "function"])
def test_the_terms_are_those_of_the_score_loss(schedule, weight):
    """Squared errors of all predictions are the score's times b^2: for v, b = r^2 sigma / alpha, and so on."""
    model, eps = single(schedule=schedule, prediction="v", data_std=2.0), torch.randn(40, 3, generator=gen(1)).double()
    t = torch.linspace(0.05, 0.9, 40).double()
    a, s = schedule.alpha(t), schedule.sigma(t)
    factors = {"score": 1, "eps": s**2, "x0": s**4 / a**2, "v": ((a**2 + s**2) * s / a) ** 2}
    factor = weight(t) if callable(weight) else factors[weight]
    wanted = denoising_loss(model, DATA, t, schedule=schedule, eps=eps, weight=factor).terms
    torch.testing.assert_close(denoising_terms(model, DATA, t, eps=eps, weight=weight), wanted)


def test_terms_of_images_and_stacks():
    network = MLP(6, 8, 3, copies=2, generator=gen(0)).double()
    model = Denoiser(network, event_shape=(2, 3), prediction="x0")
    x0, t = torch.randn(2, 5, 2, 3).double(), torch.rand(2, 5).double() + 0.1
    eps = torch.randn_like(x0)
    together = denoising_terms(model, x0, t, eps=eps, weight="x0")
    for i in range(2):
        one = denoising_terms(model.copy(i), x0[i], t[i], eps=eps[i], weight="x0")
        torch.testing.assert_close(together[i], one)


def test_no_network_beats_the_empirical_score():
    """Training on 4 points: the loss falls far below that of the zero model, and stays above the empirical score's
    by the Fisher divergence between the two (times sigma^2), on the same draws: the empirical score is the minimiser."""
    points, m = DATA[:4, :2], 20_000
    model = Denoiser(MLP(2, 32, 3, generator=gen(0)).double(), data_std=2.0)
    g = gen(5)
    x0, t = points[torch.randint(4, (m,), generator=g)], log_snr_uniform(0.05, 3.0)(m, g)
    eps, empirical = torch.randn(m, 2, generator=g, dtype=torch.float64), Empirical(points)
    alpha, sigma = OU().alpha(t)[:, None], OU().sigma(t)[:, None]
    least = denoising_loss(empirical, x0, t, eps=eps, weight=sigma[:, 0] ** 2).terms

    def excess():
        with torch.no_grad():
            return Estimate(denoising_terms(model, x0, t, eps=eps) - least)

    start = excess()
    records = run(model, points, 500, lr=3e-3, batch=128, times=log_snr_uniform(0.05, 3.0), every=100)
    end = excess()
    assert end.value < 0.2 * start.value and end.value > 4 * end.se
    assert records[-1].loss < 0.5 * records[0].loss
    scaled = fisher_divergence(_Scaled(empirical, sigma), _Scaled(model, sigma), alpha * x0 + sigma * eps, t)
    assert abs(end.value - scaled.value) < 4 * Estimate(end.terms - scaled.terms).se


class _Scaled:
    """sigma times a score."""

    def __init__(self, law, sigma):
        self.law, self.sigma = law, sigma

    def score(self, x, t, *, schedule=None):
        return (self.sigma * self.law.score(x, t, schedule=schedule)).detach()


@pytest.mark.parametrize("schedule", [OU(), VPLinear(), VPCosine(), VE(), Flow()], ids=str)
def test_times_are_uniform_in_the_log_snr(schedule):
    l = schedule.log_snr(log_snr_uniform(0.01, 0.9, schedule=schedule)(4000, gen(0))).sort().values
    low, high = schedule.log_snr(torch.tensor([0.9, 0.01], dtype=torch.float64))
    steps = (l - low) / (high - low)
    assert steps[0] >= -1e-9 and steps[-1] <= 1 + 1e-9
    distance = (steps - (torch.arange(4000) + 0.5) / 4000).abs().max()
    assert distance < 1.95 / math.sqrt(4000)  # Kolmogorov-Smirnov at 0.1 %


def test_times_may_be_a_function_or_an_object():
    asked = []

    def sampler(m, generator):
        asked.append(m)
        return torch.full((m,), 0.5)

    class Law:
        sample = staticmethod(sampler)

    one, two = single(), single()
    run(one, times=sampler), run(two, times=Law())
    assert asked == [16] * 40 and torch.equal(weights(one), weights(two))


# --- averages, records, rates ---


def test_the_average_is_the_one_computed_by_hand():
    """Beside the weights of each step, from a run with a record every step."""
    model, decay = single(), 0.8
    mean = weights(model)
    for record in train(model, DATA, steps=12, batch=8, ema=decay, every=1, generator=gen(0)):
        mean = decay * mean + (1 - decay) * weights(model)
        torch.testing.assert_close(weights(record.ema), mean, rtol=1e-12, atol=1e-15)
    assert not torch.allclose(mean, weights(model), rtol=1e-3)
    assert record.ema.score(DATA, 0.1).shape == DATA.shape and not any(p.requires_grad for p in record.ema.parameters())


def test_an_average_leaves_the_training_alone():
    one, two = single(), single()
    run(one), run(two, ema=0.9)
    assert torch.equal(weights(one), weights(two))
    constant = EMA(one, 0.5)
    constant.update(one)
    assert torch.equal(weights(constant.model), weights(one))


@pytest.mark.parametrize("every, wanted", [(5, [5, 10, 12]), (20, [12]), ([1, 2, 4, 8], [1, 2, 4, 8, 12])], ids=str)
def test_records_come_when_asked_and_average_the_loss_since_the_last(every, wanted):
    records = run(single(), steps=12, every=every)
    each = [r.loss for r in run(single(), steps=12, every=1)]
    assert [r.step for r in records] == wanted and each[0].shape == ()
    for before, record in zip([0, *wanted], records):
        torch.testing.assert_close(record.loss, torch.stack(each[before : record.step]).mean())
    assert 0 < records[0].seconds <= records[-1].seconds


def test_the_gradient_norm_is_that_of_one_plain_step():
    model = single()
    before = copy.deepcopy(model)
    record = run(model, steps=1, optimiser="sgd", lr=0.5)[0]
    moved = (weights(before) - weights(model)).norm() / 0.5
    torch.testing.assert_close(record.grad_norm, moved)


def test_learning_rates():
    low = 1e-3  # so that nothing diverges
    flat = [r.lr for r in run(single(), steps=4, every=1, lr=low, warmup=2)]
    assert flat == pytest.approx([low / 2, low, low, low])
    cosine = [r.lr for r in run(single(), steps=5, every=1, lr=low, decay="cosine", warmup=1)]
    assert cosine == pytest.approx([low, *(low * (1 + math.cos(math.pi * u)) / 2 for u in (0, 0.25, 0.5, 0.75))])
    own = [r.lr for r in run(single(), steps=4, every=1, lr=low, decay=lambda u: 1 - u)]
    assert own == pytest.approx([low, 0.75 * low, 0.5 * low, 0.25 * low])


# --- failures ---


def test_a_bad_loss_stops_before_the_update_and_names_step_and_copy():
    model, good = stacked(), []

    def weight(t):
        factor = torch.ones_like(t)
        if len(good) == 3:
            factor[1] = math.inf
        return factor

    with pytest.raises(FloatingPointError, match=r"step 4, copy 1: the loss is inf, .*step 3 are kept"):
        for _ in train(model, DATA, steps=10, batch=8, weight=weight, every=1, generator=gen(0)):
            good.append(weights(model))
    assert len(good) == 3 and torch.equal(weights(model), good[-1]) and weights(model).isfinite().all()


def test_a_diverging_run_stops_with_finite_weights():
    model = Denoiser(MLP(3, 16, 3, generator=gen(0)))
    with pytest.raises(FloatingPointError, match=r"^step \d+: the loss is"):
        run(model, steps=1000, optimiser="sgd", lr=1e3)
    assert weights(model).isfinite().all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch": 0}, "batch = 0"),
        ({"every": 0}, "every = 0"),
        ({"every": [5, 0]}, "every = 0"),
        ({"every": 2.5}, "every = 2.5"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0"),
        ({"optimiser": "lion"}, "optimiser = 'lion'"),
        ({"decay": "linear"}, "decay = 'linear'"),
        ({"warmup": 20}, "warmup = 20"),
        ({"ema": 1.0}, "ema = 1.0"),
        ({"weight": "noise"}, "weight = 'noise'"),
        ({"times": 0.5}, "times = 0.5"),
        ({"generator": [gen(0), gen(1)]}, "generator has 2 generators"),
        ({"data": DATA[:, :2]}, r"data is \(40, 2\)"),
        ({"data": DATA.long()}, "torch.int64"),
        ({"data": [DATA, DATA[:0], DATA]}, r"data\[1\] is \(0, 3\)"),
        ({"data": [DATA, DATA]}, "data has 2 sets"),
        ({"data": DATA / 0}, "data has NaN or infinite"),
    ],
)
def test_bad_input_is_named_at_the_call(options, message):
    with pytest.raises(ValueError, match=message):
        train(stacked(), **{"data": DATA, "steps": 10, **options})


@pytest.mark.parametrize("ends, message", [((1.0, 0.1), "t_min = 1.0"), ((0.1, 1.0), "log-SNR is infinite")], ids=str)
def test_bad_times_are_named(ends, message):
    with pytest.raises(ValueError, match=message):
        log_snr_uniform(*ends, schedule=Flow())
