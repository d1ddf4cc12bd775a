"""Networks: a stack is its copies, a denoiser is one function in four words, and both work with samplers and losses."""

import math

import pytest
import torch
from torch.nn.functional import silu

from separations.losses import denoising_loss, implicit_loss
from separations.networks import MLP, Denoiser
from separations.parameterizations import PREDICTIONS, convert
from separations.samplers import ddim, heun, log_snr_times, prior, reverse_sde
from separations.schedules import OU, VE, Flow, VPCosine, VPLinear

SCHEDULES = [OU(), VPLinear(), VPCosine(), VE(), Flow()]


def gen(seed):
    return torch.Generator().manual_seed(seed)


def stirred(network, seed=9):
    """The network in float64 with random numbers added to all its weights: the last layer starts at 0."""
    g = gen(seed)
    for p in network.double().parameters():
        p.data += 0.3 * torch.randn(p.shape, generator=g, dtype=p.dtype)
    return network


def stack(copies=3, d=3, **options):
    return stirred(MLP(d, 16, 3, copies=copies, generator=gen(0), **options))


# --- the network ---


@pytest.mark.parametrize("activation", [torch.relu, silu])
def test_a_stack_is_its_copies(activation):
    net, x, l = stack(activation=activation), torch.randn(3, 7, 3).double(), torch.linspace(-9, 9, 7).double()
    together = net(x, l.expand(3, 7))
    for i in range(3):
        torch.testing.assert_close(together[i], net.copy(i)(x[i], l), rtol=1e-12, atol=1e-12)


def test_a_stack_starts_as_the_single_networks_of_its_generators():
    many = MLP(3, 16, 3, copies=3, generator=[gen(s) for s in (5, 6, 7)])
    for i, seed in enumerate((5, 6, 7)):
        one = MLP(3, 16, 3, generator=gen(seed))
        for p, q in zip(one.parameters(), many.copy(i).parameters()):
            assert torch.equal(p, q)
    shared = MLP(3, 16, 3, copies=2, generator=gen(5))  # one generator: the copies are drawn in turn
    assert torch.equal(shared.weights[0][0], many.weights[0][0])
    assert not torch.equal(shared.weights[0][0], shared.weights[0][1])


def test_copies_can_be_picked_and_joined():
    net = stack()
    picked = MLP.stack([net.copy(2), net.copy(0)])
    for p, q in zip(picked.parameters(), net.parameters()):
        assert torch.equal(p, q[[2, 0]])
    picked.weights[0].data.zero_()
    assert net.weights[0].all()  # weights of its own


def test_gradients_do_not_mix_between_copies():
    net, x = stack(), torch.randn(3, 5, 3).double()
    net(x, torch.zeros(3, 5).double())[1].square().sum().backward()
    for p in net.parameters():
        assert p.grad[1].any() and not p.grad[[0, 2]].any()


def test_a_new_network_is_zero_and_its_weights_follow_the_rule():
    net = MLP(6, 2000, 3, generator=gen(0))
    assert not net(torch.randn(4, 6), torch.zeros(4)).any()
    inputs = 6 + 1 + 2 * 4
    assert net.weights[0].shape == (inputs, 2000) and net.weights[1].shape == (2000, 2000)
    # A uniform number in ±b has variance b^2 / 3; that of 30 000 numbers is known to 0.9 / sqrt(30 000) = 0.5 %.
    assert abs(float(net.weights[0].detach().var()) / (2 / inputs) - 1) < 0.03
    assert float(net.weights[0].detach().abs().max()) <= math.sqrt(6 / inputs)
    assert abs(float(net.biases[0].detach().abs().max()) * math.sqrt(inputs) - 1) < 0.01


def test_he_weights_keep_the_size_of_a_signal():
    """E[h^2] after each ReLU layer is that of its input, up to the biases (1/3 of 1/inputs): the point of He's rule."""
    net, z = MLP(8, 1000, 6, generator=gen(0)), torch.randn(200, 17, generator=gen(1))
    for weight in list(net.weights)[:-1]:
        z = torch.relu(z @ weight.detach())
    assert abs(float(z.square().mean()) - 1) < 0.3  # a factor 1/2 a layer, as without the rule, would give 0.03


def test_sizes_and_nonzero_parameters():
    net = MLP(2, 5, 3, features=1, copies=4, generator=gen(0))
    first, middle, last = (2 + 3) * 5 + 5, 5 * 5 + 5, 5 * 2 + 2
    assert (net.width, net.depth, net.parameters_per_copy) == (5, 3, first + middle + last)
    assert net.nonzero() == [first + middle] * 4  # the last layer starts at 0
    net.weights[0].data[2, :, 0] = 0
    assert net.nonzero()[2] == first + middle - 5 and net.copy(2).nonzero() == first + middle - 5
    assert MLP(2, 5, 1).parameters_per_copy == (2 + 9) * 2 + 2  # depth 1: one affine map, no hidden layer


def test_a_relu_network_is_piecewise_linear_in_x_and_finite_at_any_noise():
    net, x, h = stack(1).copy(0), torch.randn(50, 3, generator=gen(1)).double(), 1e-6
    l = torch.zeros(50).double()
    bend = (net(x + h, l) - 2 * net(x, l) + net(x - h, l)).detach()
    # A kink within 1e-6 of one of 50 points has a chance below 1e-3; without one the second difference is rounding.
    assert float(bend.abs().max()) < 1e-12
    assert net(x[:2], torch.tensor([math.inf, -math.inf]).double()).isfinite().all()


# --- the denoiser ---


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_score_denoise_and_eps_are_one_answer(prediction, schedule):
    model = Denoiser(stack(1).copy(0), schedule, prediction=prediction, data_std=2.0, mean=0.5)
    x, t = torch.randn(6, 3).double(), torch.linspace(0.05, 0.9, 6).double()
    answers = {"score": model.score(x, t), "x0": model.denoise(x, t), "eps": model.eps(x, t)}
    for source, value in answers.items():
        for target, wanted in answers.items():
            found = convert(value, x, t, source=source, target=target, schedule=schedule)
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    raw = model.network((x - 0.5 * alpha) / (4 * alpha**2 + sigma**2).sqrt(), schedule.log_snr(t))
    torch.testing.assert_close(model.predict(prediction, x, t), raw)


def test_a_zero_network_is_the_denoiser_of_its_prediction():
    x = torch.randn(5, 3).double()
    zero = MLP(3, 8, 2).double()
    torch.testing.assert_close(Denoiser(zero).denoise(x, 0.7), x / OU().alpha(0.7))
    torch.testing.assert_close(Denoiser(zero, prediction="x0").score(x, 0.7), -x / OU().sigma(0.7) ** 2)
    # v = 0 is the linear denoiser alpha x of standard normal data
    torch.testing.assert_close(Denoiser(zero, prediction="v").score(x, 0.7), -x)


@pytest.mark.parametrize(
    "t", [0.3, torch.linspace(0.1, 2, 6), torch.linspace(0.1, 2, 18).reshape(3, 6)], ids=["number", "(m,)", "(c, m)"]
)
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_stacked_denoiser_is_its_copies(t, prediction):
    model = Denoiser(stack(), prediction=prediction, data_std=2.0, mean=torch.arange(3.0))
    x = torch.randn(3, 6, 3).double()
    together = model.score(x, t)
    for i in range(3):
        own = t[i] if torch.as_tensor(t).ndim == 2 else t
        torch.testing.assert_close(together[i], model.copy(i).score(x[i], own), rtol=1e-12, atol=1e-12)
    again = Denoiser.stack([model.copy(i) for i in range(3)])
    torch.testing.assert_close(again.score(x, t), together, rtol=0, atol=0)


def test_images_through_a_plain_network():
    mean = torch.linspace(0, 1, 6).reshape(1, 2, 3).double()
    flat = Denoiser(stack(d=6), mean=mean.flatten()).double()
    model = Denoiser(flat.network, mean=mean, event_shape=(1, 2, 3)).double()
    x, t = torch.randn(3, 4, 1, 2, 3).double(), torch.linspace(0.1, 1, 4)
    assert model.d == 6 and model.event_shape == (1, 2, 3)
    torch.testing.assert_close(model.score(x, t).flatten(2), flat.score(x.flatten(2), t))


def test_the_dtype_of_x_comes_back():
    model = Denoiser(MLP(3, 8, 2, generator=gen(0)))
    assert model.score(torch.randn(4, 3).double(), 0.1).dtype == torch.float64
    assert model.score(torch.randn(4, 3), 0.1).dtype == torch.float32


@pytest.mark.parametrize("sampler", [ddim, heun], ids=lambda s: s.__name__)
def test_samplers_run_all_copies_at_once(sampler):
    model = Denoiser(stack(), prediction="v")
    x = prior((3, 20, 3), 5.0, generator=gen(1), dtype=torch.float64)
    times = log_snr_times(5.0, 0.01, 12)
    together = sampler(model, x, times)
    for i in range(3):
        torch.testing.assert_close(together[i], sampler(model.copy(i), x[i], times), rtol=1e-9, atol=1e-9)


def test_the_library_takes_a_denoiser_for_a_distribution():
    model = Denoiser(stack(1).copy(0), VPLinear())
    x = torch.randn(40, 3).double()
    assert reverse_sde(model, x, [0.9, 0.5, 0.1], schedule=VPLinear(), generator=gen(0)).shape == (40, 3)
    assert denoising_loss(model, x, 0.3, schedule=VPLinear(), generator=gen(0)).value.requires_grad
    assert implicit_loss(model, x, 0.3, schedule=VPLinear()).value.requires_grad
    own = ddim(model, x, [0.9, 0.5, 0.1])  # the schedule of the network
    assert torch.equal(own, ddim(model, x, [0.9, 0.5, 0.1], schedule=VPLinear()))
    with pytest.raises(ValueError, match=r"schedule has OU\(\) and Denoiser has VPLinear"):
        ddim(model, x, [0.9, 0.5, 0.1], schedule=OU())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MLP(3, 0, 2), "width = 0"),
        (lambda: MLP(0, 4, 2), "d = 0"),
        (lambda: MLP(3, 4, 2, features=-1), "features = -1"),
        (lambda: MLP(3, 4, 2, copies=0), "copies = 0"),
        (lambda: MLP(3, 4, 2, copies=3, generator=[gen(0)]), "generator has 1 generators"),
        (lambda: MLP(3, 4, 2)(torch.zeros(2, 5, 3), torch.zeros(2, 5)), r"x has shape \(2, 5, 3\)"),
        (lambda: MLP(3, 4, 2).copy(0), "i = 0"),
        (lambda: MLP(3, 4, 2, copies=2).copy(2), "i = 2"),
        (lambda: MLP.stack([MLP(3, 4, 2), MLP(3, 5, 2)]), "networks has 2 kinds"),
        (lambda: MLP.stack([MLP(3, 4, 2, copies=2)]), "single networks"),
        (lambda: Denoiser(MLP(3, 4, 2), prediction="noise"), "prediction = 'noise'"),
        (lambda: Denoiser(MLP(3, 4, 2), data_std=0), "data_std = 0"),
        (lambda: Denoiser(MLP(3, 4, 2), mean=torch.zeros(4)), r"mean has shape \(4,\)"),
        (lambda: Denoiser(MLP(3, 4, 2), event_shape=(2, 2)), r"event_shape = \(2, 2\): 3 values"),
        (lambda: Denoiser(MLP(3, 4, 2)).score(torch.zeros(5, 4), 0.1), r"x is shape \(5, 4\)"),
        (lambda: Denoiser(MLP(3, 4, 2)).score(torch.full((5, 3), math.nan), 0.1), "x has NaN"),
        (lambda: Denoiser(MLP(3, 4, 2, copies=2)).score(torch.zeros(5, 3), 0.1), r"shape \(2, m, 3\) is needed"),
        (lambda: Denoiser(MLP(3, 4, 2)).score(torch.zeros(5, 3), 0.0), "t = 0 is not allowed"),
        (lambda: Denoiser(MLP(3, 4, 2)).score(torch.zeros(5, 3), torch.ones(4)), r"t has shape \(4,\)"),
        (lambda: Denoiser.stack([Denoiser(MLP(3, 4, 2)), Denoiser(MLP(3, 4, 2), VE())]), "models differ"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_stack_larger_than_the_memory_is_refused_before_anything_is_allocated():
    with pytest.raises(
        ValueError, match=r"width = 10000, depth = 4, copies = 100000: [\d,]+ GB of memory, this machine"
    ):
        MLP(8, 10_000, 4, copies=100_000)
    assert MLP(8, 16, 3, copies=100).copies == 100
