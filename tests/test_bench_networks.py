"""Images of known geometry, denoisers without biases, and a network of known window: each is what it says."""

import math

import pytest
import torch

from separations.bench import BiasFreeUNet, WindowCNN, contour_images, disk_images, fit_blind, jacobian_spectrum
from separations.networks import Denoiser
from separations.numerics import seeded
from separations.schedules import OU, VE


def test_contour_images_have_the_shape_and_the_scale_that_they_say():
    x = contour_images(400, 2.0, 16, generator=seeded(0, 0))
    assert x.shape == (400, 1, 16, 16) and x.dtype == torch.float32
    assert abs(float(x.mean()) - 0.5) < 0.05  # both levels are uniform in [0, 1]; 400 images
    assert torch.equal(x, contour_images(400, 2.0, 16, generator=seeded(0, 0)))


def test_smoother_images_have_less_of_their_variance_at_high_frequencies():
    high = []
    for alpha in (1.0, 2.0, 4.0):
        x = contour_images(300, alpha, 16, generator=seeded(0, 1))[:, 0]
        power = torch.fft.fft2(x - x.mean((1, 2), keepdim=True)).abs().square().mean(0)
        k = torch.fft.fftfreq(16, 1 / 16).abs()
        norm = torch.hypot(k[:, None], k)
        high.append(float(power[norm > 5].sum() / power.sum()))
    assert high[0] > high[1] > high[2]


def test_shades_may_be_smoother_than_the_contour():
    rough, smooth = (contour_images(50, 1.0, 16, inside=inside, generator=seeded(0, 2)) for inside in (1.0, 5.0))
    steps = [float((x[..., 1:] - x[..., :-1]).abs().median()) for x in (rough, smooth)]
    assert steps[1] < steps[0]  # the same contours: the median pixel lies inside of a region


def test_a_disk_has_the_area_and_the_levels_of_its_parameters():
    x = disk_images(200, 24, generator=seeded(0, 3))[:, 0].double()
    assert x.shape == (200, 24, 24) and 0 <= float(x.min()) and float(x.max()) <= 1
    for image in x[:50]:
        ground = image[0, 0]  # the disk touches no corner
        inside = image.flatten()[(image - ground).abs().argmax()]
        if abs(inside - ground) < 0.05:
            continue
        area = float((image - ground).sum() / (inside - ground))
        radius = math.sqrt(area / math.pi)
        assert 24 / 8 - 0.1 <= radius <= 24 / 3 + 0.1  # contours are averaged over 16 points a pixel


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: contour_images(0, 1.0), "m = 0"),
        (lambda: contour_images(2, 0.0), "alpha = 0"),
        (lambda: contour_images(2, 1.0, 3), "size = 3"),
        (lambda: contour_images(2, 1.0, inside=-1.0), "inside = -1"),
        (lambda: disk_images(2, 2), "size = 2"),
        (lambda: BiasFreeUNet((1, 10, 12)), "event_shape"),
        (lambda: BiasFreeUNet((12, 12)), "event_shape"),
        (lambda: BiasFreeUNet(channels=0), "channels = 0"),
        (lambda: WindowCNN((1, 8, 8), 4), "window = 4"),
        (lambda: WindowCNN((8, 8), 5), "event_shape"),
        (lambda: fit_blind(BiasFreeUNet(), torch.zeros(2, 1, 20, 20), steps=0), "steps = 0"),
        (lambda: fit_blind(BiasFreeUNet(), torch.zeros(2, 1, 20, 20), steps=1, sigma=(1.0, 0.5)), "sigma"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ValueError, match=name):
        call()


def test_a_bias_free_denoiser_is_homogeneous_and_its_derivative_times_its_input():
    net = BiasFreeUNet((1, 8, 8), 6, generator=seeded(0, 4)).double()
    y = torch.randn(3, 1, 8, 8, generator=seeded(0, 5), dtype=torch.float64)
    assert torch.allclose(net(3 * y), 3 * net(y), atol=1e-12)
    spectrum = jacobian_spectrum(net, y, 0.5, schedule=VE(100.0))
    through = torch.einsum("kij,kj->ki", spectrum.matrices, y.flatten(1))
    assert torch.allclose(through, net(y).flatten(1), atol=1e-10)


def test_a_blind_denoiser_reads_x_over_alpha():
    net = BiasFreeUNet((1, 8, 8), 4, generator=seeded(0, 6))
    x = torch.randn(2, 1, 8, 8, generator=seeded(0, 7))
    t = torch.tensor([0.5, 1.5])
    alpha = OU().alpha(t).float()
    expected = torch.cat([net(x[i : i + 1] / alpha[i]) for i in (0, 1)])
    assert torch.allclose(net.denoise(x, t), expected, atol=1e-5)  # float32


def test_training_lowers_the_error_and_starts_the_same_each_time():
    x = contour_images(60, 2.0, 8, generator=seeded(0, 8))
    runs = []
    for _ in (0, 1):
        net = BiasFreeUNet((1, 8, 8), 6, generator=seeded(0, 9))
        runs.append(list(fit_blind(net, x, steps=150, generator=seeded(0, 10))))
    assert runs[0] == runs[1] and len(runs[0]) == 150
    assert sum(runs[0][-30:]) < 0.7 * sum(runs[0][:30])  # it falls to about a half


@pytest.mark.parametrize("window", [3, 5, 9])
def test_a_pixel_of_a_window_network_sees_its_window_and_nothing_else(window):
    net = WindowCNN((1, 13, 13), window, 8, generator=seeded(0, 11))
    torch.nn.init.normal_(net.last.weight, generator=seeded(0, 12))
    x = torch.randn(1, 1, 13, 13, generator=seeded(0, 13), requires_grad=True)
    out = net(x, torch.zeros(1))
    (gradient,) = torch.autograd.grad(out[0, 0, 6, 6], x)
    r = window // 2
    inside = torch.zeros(13, 13, dtype=torch.bool)
    inside[6 - r : 7 + r, 6 - r : 7 + r] = True
    assert bool((gradient[0, 0] != 0)[inside].all()) and not bool((gradient[0, 0] != 0)[~inside].any())


def test_a_window_network_is_a_network_for_a_denoiser():
    model = Denoiser(WindowCNN((2, 6, 6), 3, 4, generator=seeded(0, 14)), prediction="v")
    x = torch.randn(3, 2, 6, 6, generator=seeded(0, 15))
    assert model.denoise(x, 0.7).shape == x.shape
    zero = model.network(x, torch.zeros(3))
    assert not zero.any()  # every network begins as the zero function
