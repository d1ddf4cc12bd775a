"""Per-sample gradients: equal to autograd one by one, the chain rule, closed forms at a zero start, statistics without bias, bad input."""

import itertools
import math

import pytest
import torch

from separations.networks import MLP, Denoiser, DiT, DiTConfig, UNet1D
from separations.networks.unet1d import UNet1DConfig
from separations.schedules import DDPM, OU, VPLinear
from separations.timesteps import MinSNR
from separations.training import denoising_terms, per_sample_gradients
from separations.training.gradient_signal import _inner, _signal, gradient_signal

SCHEDULE = VPLinear()


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(network, scale=0.2):
    g = gen(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(scale * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return network


NETWORKS = {
    "mlp": lambda: MLP(6, 8, 3, generator=gen(), activation=torch.nn.functional.silu),
    "dit": lambda: DiT(DiTConfig(image=(1, 4, 4), patch=2, width=8, depth=2, heads=2), generator=gen()),
    "unet": lambda: UNet1D(UNet1DConfig(length=8, width=8, factors=(1, 2), heads=2), generator=gen()),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_equal_to_the_gradient_of_each_sample_by_itself(kind, prediction):
    model = Denoiser(shaken(NETWORKS[kind]()).double(), SCHEDULE, prediction=prediction, data_std=0.7)
    x0, eps = (torch.randn(5, *model.event_shape, generator=gen(s), dtype=torch.float64) for s in (2, 3))
    for weight in ("eps", "v", MinSNR(2.0, SCHEDULE)):
        found, losses = per_sample_gradients(model, x0, 0.3, eps, weight=weight, chunk=2)
        for i in range(5):
            loss = denoising_terms(model, x0[i : i + 1], 0.3, eps=eps[i : i + 1], weight=weight)[0]
            wanted = torch.autograd.grad(loss, list(model.network.parameters()))
            torch.testing.assert_close(losses[i], loss.detach(), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(found[i], torch.cat([w.flatten() for w in wanted]), rtol=1e-7, atol=1e-9)


def test_the_weight_is_a_factor_on_the_gradient():
    model = Denoiser(shaken(NETWORKS["mlp"]()), DDPM())
    x0, eps = torch.randn(4, 6, generator=gen(2)), torch.randn(4, 6, generator=gen(3))
    snr = float(DDPM().log_snr(0.2).exp())
    a, b = (per_sample_gradients(model, x0, 0.2, eps, weight=w)[0] for w in ("eps", "x0"))
    torch.testing.assert_close(a, b * snr, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("prediction,target,factor", [
    ("eps", lambda a, s, x, e: e, lambda snr: 1.0),
    ("x0", lambda a, s, x, e: x, lambda snr: snr),
    ("v", lambda a, s, x, e: a * e - s * x, lambda snr: snr / (1 + snr)),
])  # fmt: skip
def test_at_a_zero_start_the_chain_rule_is_all_there_is(prediction, target, factor):
    """Only the last layer moves: ||g||^2 = 4 b^4 ||target||^2 (||features||^2 + 1), the loss b^2 ||target||^2."""
    schedule, net = DDPM(), MLP(6, 32, 3, generator=gen()).double()
    x0, eps = (torch.randn(40, 6, generator=gen(k), dtype=torch.float64) for k in (2, 3))
    for t in (0.001, 0.05, 0.4, 1.0):
        model = Denoiser(net, schedule, prediction=prediction)
        g, loss = per_sample_gradients(model, x0, t, eps)
        alpha, sigma, l = schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t)
        h = torch.cat([alpha * x0 + sigma * eps, net._embed(l.expand(40))], -1)
        for b, w in list(zip(net.biases, net.weights))[:-1]:
            h = torch.relu(h @ w + b)
        size = target(alpha, sigma, x0, eps).square().sum(1)
        b2 = factor(float(l.exp()))
        torch.testing.assert_close(loss, b2 * size, rtol=1e-8, atol=1e-12)
        wanted = 4 * b2**2 * size * (h.square().sum(1) + 1)
        torch.testing.assert_close(g.square().sum(1), wanted, rtol=1e-8, atol=1e-12)


def test_an_x0_network_with_a_loss_in_the_noise_has_slope_one_at_its_start():
    model = Denoiser(MLP(32, 64, 3, generator=gen()), DDPM(), prediction="x0")
    t = torch.tensor([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0], dtype=torch.float64)
    found = gradient_signal(model, torch.randn(100, 32, generator=gen(4)), t, samples=100, generator=gen(5))
    assert found.slope() == pytest.approx(1, abs=0.03)  # the features of the time vary by some per cent
    low, high = found.slope_interval().ends
    assert low < found.slope() < high < low + 0.1 and (low, high) == found.slope_interval().ends
    assert float(found.slope_interval()) == pytest.approx(found.slope())
    torch.testing.assert_close(found.squares.mean(1), found.square.value)


def test_the_interval_of_a_slope_has_the_width_of_its_spread():
    model, t = Denoiser(MLP(8, 32, 3, generator=gen()), DDPM(), prediction="v"), [0.01, 0.1, 0.5, 0.9]
    data = torch.randn(2000, 8, generator=gen(4)) * torch.rand(2000, 1, generator=gen(6))
    found = [gradient_signal(model, data, t, samples=40, chunk=40, generator=gen(k)) for k in range(60)]
    spread = float(torch.tensor([f.slope() for f in found]).std())
    width = sum(e.high - e.low for e in (f.slope_interval(resamples=200) for f in found)) / 60
    assert 0.75 < width / (2 * 1.96 * spread) < 1.3  # a standard deviation of 60 numbers is known to 9 %


def test_gain_does_not_depend_on_the_units_of_the_loss():
    model = Denoiser(shaken(NETWORKS["mlp"]()), DDPM(), prediction="x0")
    data = torch.randn(50, 6, generator=gen(4))
    a, b = (
        gradient_signal(model, data, [0.1, 0.5], samples=40, weight=w, generator=gen(5)).gain for w in ("eps", "x0")
    )
    torch.testing.assert_close(a, b, rtol=1e-4, atol=0)


def test_the_signal_is_the_mean_over_pairs_of_different_samples():
    g = torch.randn(7, 3, generator=gen(), dtype=torch.float64) + 0.5
    pairs = [float(g[i] @ g[j]) for i, j in itertools.permutations(range(7), 2)]
    value, se = _signal(g @ g.T)
    assert value == pytest.approx(sum(pairs) / len(pairs))
    leave = []
    for k in range(7):
        rest = torch.cat([g[:k], g[k + 1 :]])
        leave.append(sum(float(rest[i] @ rest[j]) for i, j in itertools.permutations(range(6), 2)) / 30)
    mean = sum(leave) / 7
    assert se == pytest.approx(math.sqrt(6 / 7 * sum((v - mean) ** 2 for v in leave)))


def test_the_signal_has_no_bias_and_its_error_is_right():
    """Gradients N(mu, I) in 20 dimensions: ||mu||^2 = 1, where the norm of the mean of 30 gives 1.67."""
    mu, values, errors = torch.full((20,), 20**-0.5, dtype=torch.float64), [], []
    for trial in range(300):
        x = mu + torch.randn(30, 20, generator=gen(trial), dtype=torch.float64)
        value, se = _signal(x @ x.T)
        values.append(value), errors.append(se)
    values = torch.tensor(values)
    spread = float(values.std())
    assert abs(float(values.mean()) - 1) < 4 * spread / math.sqrt(300)
    assert 0.9 < float(torch.tensor(errors).mean()) / spread < 1.25  # the jackknife errs on the safe side


def test_inner_products_have_the_signal_on_their_diagonal():
    model = Denoiser(shaken(NETWORKS["mlp"]()), DDPM())
    data = torch.randn(50, 6, generator=gen(4))
    found = gradient_signal(model, data, [0.1, 0.3, 0.5], samples=30, cross=True, generator=gen(5))
    torch.testing.assert_close(found.inner.diagonal(), found.signal.value, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.inner, found.inner.T, rtol=1e-4, atol=1e-4)
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    wanted = sum(float(a[i] @ b[j]) for i, j in itertools.permutations(range(4), 2)) / 12
    assert float(_inner([a, b])[0, 1]) == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_every_point_is_used_before_one_is_used_twice():
    model = Denoiser(MLP(2, 4, 2, generator=gen()), OU())
    data = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    found = gradient_signal(model, data, [5.0], samples=8, weight="x0", generator=gen())
    assert found.m == 8 and found.t.shape == (1,)


@pytest.mark.parametrize(
    "call,word",
    [
        (lambda m, x: gradient_signal(m, x, [0.5], samples=1), "samples = 1"),
        (lambda m, x: gradient_signal(m, x[:, :3], [0.5]), "data has shape"),
        (lambda m, x: gradient_signal(m, x, [1.5]), "t = 1.5"),
        (lambda m, x: gradient_signal(m, x, [0.5], weight="size"), "weight = 'size'"),
        (lambda m, x: gradient_signal(m, x, [0.5], chunk=0), "chunk = 0"),
        (lambda m, x: per_sample_gradients(m, x, 0.5, x[:2]), "eps has shape"),
        (lambda m, x: gradient_signal(m, x, [0.2, 0.4], samples=4).slope(1e9), "at least 2 times"),
        (lambda m, x: gradient_signal(Denoiser(MLP(6, 8, 3, copies=2)), x, [0.5]), "2 copies"),
    ],
)
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call(Denoiser(MLP(6, 8, 3, generator=gen()), DDPM()), torch.randn(9, 6, generator=gen(2)))
