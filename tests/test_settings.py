"""What training, networks and pruning are given: numbers of any library are taken, bad ones named, nothing passes in silence."""

import numpy as np
import pytest
import torch

from separations import samplers
from separations.distributions import GaussianMixture
from separations.examination import along_training
from separations.interval_study import Experiment, Job, interval_pairs
from separations.interval_study import jobs as interval_grid
from separations.interval_study import summary as interval_summary
from separations.loss_gap import loss_gap
from separations.metrics import energy_test, mean_distance
from separations.metrics.half_sampling import half_sample_interval, half_samples
from separations.networks import MLP, Denoiser, DiT, DiTConfig, UNet1D
from separations.networks.lipschitz import local_lipschitz, product_of_norms
from separations.networks.unet1d import UNet1DConfig
from separations.numerics import seeds
from separations.numerics.checks import check_real, check_wholes
from separations.pruning import choose_heads, head_importance, head_magnitude, mask_gradients, prune_heads
from separations.schedules import OU, VPLinear
from separations.timesteps import Uniform
from separations.training import PerCopyAdamW, train
from separations.training.gradient_signal import gradient_signal
from separations.training.recipes import named

NAN, DATA = float("nan"), torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
SIZE = DiTConfig(image=(1, 8, 8), patch=4, width=16, depth=3, heads=2)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def small(**options):
    return Denoiser(MLP(2, 8, 2, generator=gen()), **options)


def transformer():
    net = DiT(SIZE, generator=gen())
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=gen(1)))
    return Denoiser(net, VPLinear())


def fit(model=None, **options):
    settings = {"data": DATA, "steps": 3, "batch": 4, "generator": gen(3)} | options
    model = small() if model is None else model
    return list(train(model, **settings)), torch.cat([p.detach().flatten() for p in model.parameters()])


# --- training ---


def test_numbers_of_numpy_are_numbers():
    plain = {
        "steps": 4,
        "batch": 4,
        "lr": 0.01,
        "warmup": 2,
        "every": [1, 3],
        "ema": 0.5,
        "clip": 1.0,
        "weight_decay": 0.0,
    }
    numpy = {key: np.asarray(value)[()] if key != "every" else np.array(value) for key, value in plain.items()}
    (records, weights), (same, others) = fit(**plain), fit(**numpy)
    assert [r.step for r in records] == [r.step for r in same] == [1, 3, 4] and torch.equal(weights, others)
    assert [r.step for r in fit(every=np.int64(2))[0]] == [2, 3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_data_of_another_precision_are_those_numbers(dtype):
    rounded = DATA.to(dtype)
    assert torch.equal(fit(data=rounded)[1], fit(data=rounded.float())[1])


def test_data_that_ask_for_gradients_get_none():
    asking = DATA.clone().requires_grad_()
    assert torch.equal(fit(data=asking)[1], fit()[1]) and asking.grad is None


BAD = {
    "lr NaN": ({"lr": NAN}, "lr = nan"), "lr text": ({"lr": "0.1"}, "lr = '0.1'"), "lr True": ({"lr": True}, "lr = True"),
    "ema NaN": ({"ema": NAN}, "ema = nan"), "ema text": ({"ema": "x"}, "ema = 'x'"), "decay NaN": ({"weight_decay": NAN}, "weight_decay = nan"),
    "clip text": ({"clip": "x"}, "clip = 'x'"), "batch": ({"batch": 2.0}, "batch = 2.0"), "every": ({"every": "ab"}, "every = 'a'"),
    "generator": ({"generator": 3}, "generator = 3"), "generators": ({"generator": [3]}, r"generator\[0\] = 3"),
    "times, a class": ({"times": Uniform}, "times = "), "weight, a class": ({"weight": Uniform}, "weight = "),
    "weight, a number": ({"weight": 1.0}, "weight = 1.0"), "weight, a list": ({"weight": ["eps"]}, "weight = "),
    "optimiser": ({"optimiser": ["adam"]}, "optimiser = "), "decay": ({"decay": ["cosine"]}, "decay = "),
    "data None": ({"data": None}, "data is NoneType"), "data numpy": ({"data": DATA.numpy()}, "data is ndarray"),
    "data list": ({"data": [[1.0, 2.0]]}, r"data\[0\] is list"), "data huge": ({"data": DATA.double() * 1e300}, "data is too large for torch.float32"),
    "checkpoint": ({"checkpoint": 3}, "checkpoint = '3'"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "word"), BAD.values(), ids=BAD.keys())
def test_bad_settings_are_named_at_the_call(options, word):
    with pytest.raises(ValueError, match=word):
        train(small(), **({"data": DATA, "steps": 10} | options))


LATER = {
    "times of another shape": ({"times": lambda m, g: torch.rand(m, 1) + 0.1}, r"times gave torch.float32 of shape \(4, 1\)"),
    "too few times": ({"times": lambda m, g: torch.rand(m - 1)}, "times gave"),
    "no times": ({"times": lambda m, g: None}, "times gave NoneType"),
    "NaN times": ({"times": lambda m, g: torch.full((m,), NAN)}, "t = nan"),
    "negative times": ({"times": lambda m, g: -torch.rand(m)}, "t = -"),
    "times beyond the schedule": ({"times": lambda m, g: torch.full((m,), 2.0), "model": small(schedule=VPLinear())}, "t = 2"),
    "a weight of another shape": ({"weight": lambda t: t[:, None]}, r"weight gave shape \(4, 1\)"),
    "a weight that is none": ({"weight": lambda t: None}, "weight gave None"),
    "an augment of another shape": ({"augment": lambda x, g: x[:2]}, r"augment gave \(2, 2\)"),
    "a NaN learning rate": ({"decay": lambda u: NAN}, r"decay\(0\) = nan"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "word"), LATER.values(), ids=LATER.keys())
def test_what_functions_give_is_checked_before_the_update(options, word):
    model = options.get("model") or small()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=word):
        fit(**(options | {"model": model}))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_a_weight_that_gives_nan_is_blamed_and_not_the_learning_rate():
    with pytest.raises(
        FloatingPointError, match=r"step 1: the loss is nan.*The weight gives values that are not finite"
    ):
        fit(weight=lambda t: t * NAN)


def test_a_model_with_nan_weights_is_named_before_anything_is_done():
    model = small()
    model.network.weights[1].data[0, 0] = NAN
    with pytest.raises(ValueError, match=r"NaN or infinite values in its weight network\.weights\.1"):
        train(model, DATA, steps=3)
    with pytest.raises(ValueError, match=r"weight weights\.1"):
        product_of_norms(model.network)
    with pytest.raises(ValueError, match=r"weight network\.weights\.1"):
        gradient_signal(model, DATA, [0.5], samples=4)
    with pytest.raises(ValueError, match="model is MLP: a Denoiser"):
        train(model.network, DATA, steps=3)
    with pytest.raises(ValueError, match="asks for gradients"):
        train(small().requires_grad_(False), DATA, steps=3)


# --- networks ---


def test_networks_take_whole_numbers_of_numpy_and_keep_plain_ones():
    w = np.int64
    config = DiTConfig(image=(w(1), w(8), w(8)), patch=w(4), width=w(16), depth=w(3), heads=w(2))
    assert config == SIZE and all(type(v) is int for v in (*config.image, *config.heads, config.width, config.head_dim))
    assert DiTConfig(image=(1, 8, 8), patch=4, width=16, depth=2, heads=np.array([2, 1])).heads == (2, 1)
    signal = UNet1DConfig(length=w(16), width=w(8), factors=np.array([1, 2]), heads=w(2))
    assert signal == UNet1DConfig(length=16, width=8, factors=(1, 2), heads=2) and type(signal.factors[0]) is int
    stack = MLP(w(2), w(8), w(2), copies=w(2), features=w(3), generator=gen())
    assert torch.equal(stack.copy(w(1)).weights[0], stack.weights[0][1]) and type(stack.event_shape[0]) is int


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: DiTConfig(image=(1, 28.0, 28)), "image = 28.0"), (lambda: DiTConfig(image=28), "image = 28"),
        (lambda: DiTConfig(heads=2.0), "heads = 2.0"), (lambda: DiTConfig(heads=True), "heads = True"), (lambda: DiTConfig(heads=0), "heads = 0"),
        (lambda: DiTConfig(depth=2, heads=(2.5, 1)), "heads = 2.5"), (lambda: DiTConfig(depth=2, heads=(-1, 1)), "heads = -1"),
        (lambda: DiTConfig(heads=200), "heads = 200"), (lambda: DiTConfig(head_dim=0), "head_dim = 0"),
        (lambda: DiTConfig(mlp_ratio=NAN), "mlp_ratio = nan"), (lambda: DiTConfig(mlp_ratio=1e-6), "mlp_ratio = 1e-06"),
        (lambda: DiT(SIZE, generator=3), "generator = 3"), (lambda: UNet1D(generator=3), "generator = 3"),
        (lambda: MLP(2, 4, 2, generator=3), "generator = 3"), (lambda: MLP(2, 4, 2, features=1.5), "features = 1.5"),
        (lambda: MLP(2, 4, 2, activation="relu"), "activation = 'relu'"), (lambda: MLP(2, 4, 2, copies=2).copy(0.5), "i = 0.5"),
        (lambda: DiT(SIZE).with_heads([[0.7], [0], [0]]), r"kept\[0\] = 0.7"), (lambda: small(data_std=NAN), "data_std = nan"),
        (lambda: small(data_std="1"), "data_std = '1'"), (lambda: small(mean=NAN), "mean = nan"), (lambda: small(schedule=OU), "schedule = "),
        (lambda: small(schedule="OU"), "schedule = 'OU'"), (lambda: small(prediction=["eps"]), "prediction = "),
        (lambda: Denoiser(torch.nn.Linear(2, 2)), "network is Linear"), (lambda: UNet1DConfig(factors=(1, 2.0)), "factors = 2.0"),
        (lambda: PerCopyAdamW([torch.nn.Parameter(torch.ones(2, 1))], decays=["a", "b"]), "decays = "),
        (lambda: local_lipschitz(small(), None, 0.5), "x is None"), (lambda: local_lipschitz(small(), DATA, 0.5, tol=NAN), "tol = nan"),
        (lambda: product_of_norms(torch.nn.Softmax(), slope=NAN), "slope = nan"),
    ],
)  # fmt: skip
def test_sizes_that_are_none_are_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


# --- heads ---


def importance(model, **options):
    data = torch.randn(12, 1, 8, 8, generator=gen(2))
    settings = {"times": Uniform(0.1, 0.9), "samples": 8, "batch": 4, "generator": gen(3)} | options
    return head_importance(model, data, **settings)


def test_a_layer_that_lost_all_its_heads_has_a_row_of_nan_everywhere():
    pruned = prune_heads(transformer(), [(1, 0), (1, 1), (0, 1)])
    for found in (head_magnitude(pruned), importance(pruned).score):
        assert torch.equal(~found.isnan(), pruned.network.head_slots())
        assert choose_heads(found, 0.4) == [min(((2, 0), (2, 1)), key=lambda slot: float(found[slot]))]
    none = prune_heads(pruned, [(0, 0), (2, 0), (2, 1)])
    assert head_magnitude(none).numel() == 0 and choose_heads(head_magnitude(none), 0.5) == []
    with pytest.raises(ValueError, match=r"heads = \(0, 0, 0\): at least one head"):
        importance(none)


def test_heads_that_can_add_nothing_have_magnitude_0_and_are_still_there():
    model = transformer()
    model.network.blocks[1].attn.proj.weight.data.zero_()
    assert head_magnitude(model)[1].tolist() == [0.0, 0.0]


def test_nan_weights_are_named_by_both_measures_of_heads():
    model = transformer()
    model.network.blocks[1].mlp.fc1.weight.data[0, 0] = NAN
    for measure in (importance, head_magnitude):
        with pytest.raises(
            ValueError, match=r"NaN or infinite values in its weight network\.blocks\.1\.mlp\.fc1\.weight"
        ):
            measure(model)


def test_heads_are_whole_numbers_of_any_library():
    model, w = transformer(), np.int64
    for heads in ([(w(0), w(1))], np.array([[0, 1]]), torch.tensor([[0, 1]]), {(0, 1)}, [[0, 1]]):
        assert prune_heads(model, heads).network.config.heads == (1, 2, 2)
    assert choose_heads(torch.rand(3, 2), np.float64(0.5), at_least=w(1)) and choose_heads([[1, 2], [3, 4]], 0.25) == [
        (0, 0)
    ]


@pytest.mark.parametrize(
    "heads",
    [[(0.7, 0.2)], [(0, 0.0)], [(True, False)], [(0, -1)], [(-1, 0)], [(0, 2)], [(0, 1, 0)], [0], "01", None, 3, [(0, NAN)], [("0", "1")],
     [(0, 1), (np.int64(0), 1)]],
    ids=str,
)  # fmt: skip
def test_heads_that_are_none_are_named(heads):
    with pytest.raises(ValueError, match=r"heads(\[0\])? (has|=)"):
        prune_heads(transformer(), heads)


def test_bad_arguments_of_importance_and_choice():
    model, scores = transformer(), torch.rand(3, 2)
    for options, word in (
        ({"times": lambda m, g: torch.rand(m, 1)}, "times gave"), ({"times": Uniform}, "times = "), ({"times": None}, "times = "),
        ({"generator": 3}, "generator = 3"), ({"samples": 8.0}, "samples = 8.0"), ({"times": lambda m, g: -torch.rand(m)}, "t = -"),
        ({"weight": lambda t: t * NAN}, "gradients are not finite"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            importance(model, **options)
    for arguments, word in (
        ((scores, "0.5"), "ratio = '0.5'"), ((scores, True), "ratio = True"), (("abc", 0.5), "importance is str"), ((scores * torch.inf, 0.5), "infinite"),
        ((None, 0.5), "importance is NoneType"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=word):
            choose_heads(*arguments)
    with pytest.raises(ValueError, match="generator = 3"):
        choose_heads(scores, 0.5, "random", generator=3)
    x = torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match="eps has shape"):
        mask_gradients(model, x, torch.tensor([0.5]), x)


# --- studies ---


def test_jobs_with_different_seeds_never_share_a_stream():
    numbers = [interval_grid.stream(Job("a", seed=s)) for s in (*range(200), 10**6, seeds.MAX_SEED)]
    assert len(set(numbers)) == len(numbers) and max(numbers) < 2**32 and numbers[:3] == [3000, 3017, 3034]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Job("a", seed=2**32), "seed = 4294967296"), (lambda: Job("a", lr=NAN), "lr = nan"), (lambda: Job("a", batch=2.0), "batch = 2.0"),
        (lambda: Job("a", times="Uniform"), "times = 'Uniform'"), (lambda: Job("a", weight=("Nothing", {})), "weight = "),
        (lambda: Experiment(named("mnist-memorizing"), sample_seed=2**32), "sample_seed = 4294967296"),
        (lambda: Experiment(named("mnist-memorizing"), ema=NAN), "ema = nan"), (lambda: Experiment(named("mnist-memorizing"), keep=-1), "keep = -1"),
        (lambda: next(along_training(named("mnist-memorizing"), None, 1, 1, seed=2**32)), "seed = 4294967296"),
        (lambda: interval_summary.by_pair([{"low": 1, "high": 2, "m": "x"}], "m"), "measure = 'm' is 'x'"),
        (lambda: interval_summary.correlation([{"low": i, "high": i + i * i, "m": NAN} for i in range(1, 6)], "m", "mean"), "NaN or infinite"),
        (lambda: half_sample_interval(NAN, torch.rand(5), 0.9, (0, 1)), "value = nan"),
        (lambda: gradient_signal(small(), DATA, []), "t is empty"), (lambda: list(interval_grid.run_jobs(None, ["a"])), "no Job"),
    ],
)  # fmt: skip
def test_bad_settings_of_studies_are_named(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_studies_take_whole_numbers_of_numpy():
    job = Job("a", epochs=np.int64(2), batch=np.int64(4), seed=np.int64(1), lr=np.float32(0.5))
    assert job == Job("a", epochs=2, batch=4, seed=1, lr=0.5) and repr(job) == repr(
        Job("a", epochs=2, batch=4, seed=1, lr=0.5)
    )
    assert interval_pairs(np.int64(500)) == [(500, 1000)] and type(interval_pairs(np.int64(500))[0][0]) is int


def test_the_checks_of_numbers():
    assert (
        check_real(np.float32(0.5), "x") == 0.5
        and check_real(torch.tensor(2), "x") == 2
        and check_wholes(np.array([1, 2]), "x") == (1, 2)
    )
    for value in (True, "1", None, NAN, np.inf, torch.ones(1), 1j, [1], 10**400):
        with pytest.raises(ValueError, match="x = "):
            check_real(value, "x")


def test_resampling_of_given_numbers_does_not_depend_on_the_global_stream_and_drawing_does():
    x, y = torch.randn(30, 2, generator=seeds.seeded(1)), torch.randn(40, 2, generator=seeds.seeded(2))
    given = {
        "a permutation test": lambda g: energy_test(x, y, generator=g).p_value,
        "half samples": lambda g: half_samples(20, 30, 5, g)[0].tolist(),
        "a mean distance": lambda g: mean_distance(x, y, generator=g).low,
    }
    drawn = {
        "noise": lambda g: samplers.prior((3, 2), 0.5, generator=g).tolist(),
        "samples": lambda g: GaussianMixture(torch.zeros(1, 2), 1.0).sample(3, generator=g).tolist(),
        "a gap": lambda g: float(
            loss_gap(x, GaussianMixture(torch.zeros(1, 2), 1.0), 0.3, samples=16, generator=g).value
        ),
        "weights": lambda g: MLP(2, 4, 2, generator=g).state_dict()["weights.0"].tolist(),
        "batches": lambda g: [r.loss for r in train(small(), DATA, steps=3, every=1, batch=4, generator=g)],
    }
    for functions, moves in ((given, False), (drawn, True)):
        for name, function in functions.items():
            torch.manual_seed(0)
            first = function(None)
            assert (function(None) != first) == moves, name
            assert function(seeds.seeded(3)) == function(seeds.seeded(3)), name
            torch.manual_seed(0)
            assert function(None) == first, name
