"""The one-dimensional U-Net: shapes, starts as zero, gradients reach everything, sees the whole signal, learns, bad input."""

import copy

import pytest
import torch

from separations.networks import Denoiser, UNet1D
from separations.networks.unet1d import UNet1DConfig
from separations.samplers import heun, log_snr_times, prior
from separations.schedules import DDPM
from separations.training import denoising_terms, train

SMALL = UNet1DConfig(length=20, width=8, factors=(1, 2), heads=2)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def lively(config=SMALL, dtype=torch.float64):
    """A network whose zero layers are not zero, so that everything in it acts on the output."""
    net = UNet1D(config, generator=gen()).to(dtype)
    g = gen(1)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g, dtype=dtype))
    return net


@pytest.mark.parametrize(
    "config",
    [UNet1DConfig(), SMALL, UNet1DConfig(96, 16, (1, 1, 2, 2), blocks=2), UNet1DConfig(7, 8, (1,), heads=1)],
    ids=str,
)
def test_shapes_and_a_start_at_zero(config):
    net = UNet1D(config, generator=gen())
    x, l = torch.randn(3, config.length, generator=gen(1)), torch.tensor([-4.0, 0.0, 4.0])
    out = net(x, l)
    assert out.shape == x.shape and (out == 0).all()
    assert lively(config)(x.double(), l.double()).shape == x.shape
    assert net.parameters_count() == sum(p.numel() for p in net.parameters())
    assert UNet1DConfig(**config.dict()) == config


def test_the_same_generator_gives_the_same_network():
    a, b, c = (UNet1D(SMALL, generator=gen(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a) and any(not torch.equal(a[k], c[k]) for k in a)


def test_gradients_reach_every_parameter():
    net = lively()
    net(torch.randn(4, 20, dtype=torch.float64), torch.randn(4, dtype=torch.float64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_every_place_sees_every_other_and_the_time():
    net = lively(UNet1DConfig(length=140, width=8, factors=(1, 2, 4), heads=2))
    x = torch.randn(1, 140, dtype=torch.float64, generator=gen(2)).requires_grad_()
    l = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    seen, time = torch.autograd.grad(net(x, l)[0, 0], (x, l))
    assert (seen.abs() > 0).all()  # attention: convolutions alone reach 40 places from the end
    assert time.abs().max() > 0


def test_rows_of_a_batch_do_not_mix():
    net = lively()
    x, l = torch.randn(5, 20, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(net(x, l)[3:4], net(x[3:4], l[3:4]), rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_it_learns_a_batch_and_generates_with_the_one_loop():
    data = torch.sin(torch.linspace(0, 6.3, 20)[None] * torch.tensor([[1.0], [2.0], [3.0]])) * 1.4
    model = Denoiser(UNet1D(SMALL, generator=gen()), DDPM(), prediction="v")
    start = copy.deepcopy(model)
    *_, record = train(model, data, steps=200, batch=32, lr=5e-3, optimiser="adamw", generator=gen(1), ema=0.95)
    t = 0.05 + 0.9 * torch.rand(600, generator=gen(2), dtype=torch.float64)
    rows = data[torch.arange(600) % 3]
    before, after = (float(denoising_terms(m, rows, t, generator=gen(3)).detach().mean()) for m in (start, record.ema))
    assert after < 0.3 * before
    times = log_snr_times(
        float(DDPM().time_from_log_snr(-5.0)), float(DDPM().time_from_log_snr(5.0)), 15, schedule=DDPM()
    )
    noise = prior((40, 20), times[0], schedule=DDPM(), generator=gen(4))
    x = heun(record.ema, noise, times, schedule=DDPM())
    # three signals a distance of 6 apart: samples lie near one of them, noise does not
    far, near = (torch.cdist(z, data).min(1).values.median() for z in (noise, x))
    assert near < 0.65 * far


@pytest.mark.parametrize(
    "make,word",
    [
        (lambda: UNet1DConfig(length=141), "length = 141"),
        (lambda: UNet1DConfig(length=0), "length = 0"),
        (lambda: UNet1DConfig(width=12), "width = 12"),
        (lambda: UNet1DConfig(heads=3), "heads = 3"),
        (lambda: UNet1DConfig(factors=()), "factors"),
        (lambda: UNet1DConfig(factors=(1, 0)), "factors = 0"),
        (lambda: UNet1D(SMALL)(torch.zeros(2, 21), torch.zeros(2)), r"\(2, 21\): shape \(m, 20\)"),
        (lambda: UNet1D(SMALL)(torch.zeros(2, 1, 20), torch.zeros(2)), r"shape \(m, 20\)"),
        (lambda: Denoiser(UNet1D(SMALL)).score(torch.zeros(2, 21), 0.5), "20"),
        (lambda: UNet1D(UNet1DConfig(width=2_000_000)), "GB of memory"),
    ],
)
def test_bad_input(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_a_signal_of_another_length_is_an_error_in_train():
    with pytest.raises(ValueError, match=r"data is \(5, 140\)"):
        next(train(Denoiser(UNet1D(SMALL), DDPM()), torch.zeros(5, 140), steps=1))
