"""Denoisers without biases that are not told the noise: homogeneous maps, hence their own derivative times their input."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..numerics.checks import check_count, check_generator, check_positive, check_shaped, check_wholes
from ..schedules import Schedule, Time, schedule_of


class BiasFreeUNet(nn.Module):
    """A blind denoiser f(y) = y - g(y): convolutions of 3 x 3 at three scales, zeros beyond the border, ReLU, and not a bias anywhere.

    f(s y) = s f(y) for s > 0, and f(y) = grad f(y) y: the image is taken apart in the eigenvectors of the derivative and shrunk
    by its eigenvalues (Mohan et al. 2020; Kadkhodaie et al. 2024, there larger). Scales are joined by means of 2 x 2 and by repetition.

    Args:
        event_shape: (C, H, W) of an image, H and W multiples of 4.
        channels: at the finest scale, twice as many at the others.
        generator: of the start (He et al. 2015, the last layer a tenth of it); None for torch's own.

    Raises:
        ValueError: for another shape, and counts outside their ranges.
    """

    def __init__(
        self,
        event_shape: tuple[int, int, int] = (1, 20, 20),
        channels: int = 16,
        *,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.event_shape = check_wholes(event_shape, "event_shape")
        if len(self.event_shape) != 3 or self.event_shape[1] % 4 or self.event_shape[2] % 4:
            raise ValueError(f"event_shape = {event_shape!r}: (C, H, W) with H and W multiples of 4 is needed")
        c, d = check_count(channels, "channels"), self.event_shape[0]
        check_generator(generator)
        sizes = {
            "fine": [(d, c), (c, c)], "middle": [(c, 2 * c), (2 * c, 2 * c)], "coarse": [(2 * c, 2 * c), (2 * c, 2 * c)],
            "to_middle": [(4 * c, 2 * c)], "to_fine": [(3 * c, c), (c, c)], "last": [(c, d)],
        }  # fmt: skip
        self.layers = nn.ModuleDict({name: _stage(each, generator) for name, each in sizes.items()})
        self.layers["last"][0].weight.data *= 0.1

    def forward(self, y: Tensor) -> Tensor:
        """y (m, C, H, W) -> the denoised images of the same shape."""
        layers = self.layers
        fine = layers["fine"](y)  # (m, c, H, W)
        middle = layers["middle"](F.avg_pool2d(fine, 2))  # (m, 2c, H/2, W/2)
        coarse = layers["coarse"](F.avg_pool2d(middle, 2))  # (m, 2c, H/4, W/4)
        middle = layers["to_middle"](torch.cat([middle, F.interpolate(coarse, scale_factor=2)], 1))
        fine = layers["to_fine"](torch.cat([fine, F.interpolate(middle, scale_factor=2)], 1))
        return y - layers["last"][0](fine)

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """f(x / alpha_t), the denoised images; beside alpha nothing of t is used."""
        schedule = schedule_of(schedule)
        like = next(self.parameters())
        t = schedule.check_time(t)
        alpha = schedule.alpha(t.reshape(*t.shape, *[1] * (x.ndim - 1)) if t.ndim else t)
        return self((x / alpha.to(x)).to(like)).to(x)


def fit_blind(
    model: nn.Module,
    images: Tensor,
    *,
    steps: int,
    batch: int = 16,
    lr: float = 2e-3,
    sigma: tuple[float, float] = (0.02, 0.5),
    generator: torch.Generator | None = None,
) -> Iterator[float]:
    """Train a map of noisy images to clean ones, in place: |f(x + s eps) - x|^2 / s^2, with s log-uniform in [least, most], one an image.

    The division makes every noise level count, so that little noise is learned as well. Adam, the learning rate falling to 0 as a cosine; a
    step draws `batch` images with replacement.

    Args:
        model: maps (m, C, H, W) to the same shape.
        images: (n, C, H, W).
        steps: updates.
        batch: images in a step.
        lr: learning rate at the start.
        sigma: least and most standard deviation of the noise.
        generator: of images and noise; None for torch's own.

    Returns:
        An iterator over the steps: the loss of each, a pixel.

    Raises:
        ValueError: for counts and numbers outside their ranges, at the call.
    """
    images, steps, batch = check_shaped(images, "images"), check_count(steps, "steps"), check_count(batch, "batch")
    lr, (least, most) = check_positive(lr, "lr"), (check_positive(end, "sigma") for end in sigma)
    if least > most:
        raise ValueError(f"sigma = {sigma!r}: the least standard deviation and the most are needed")
    return _steps(model, images, steps, batch, lr, (least, most), check_generator(generator))


def _steps(model, images, steps, batch, lr, sigma, generator) -> Iterator[float]:
    least, most = sigma
    optimiser = torch.optim.Adam(model.parameters(), lr)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        x = images[torch.randint(len(images), (batch,), generator=generator)]
        spread = most * (least / most) ** torch.rand(batch, *[1] * (x.ndim - 1), generator=generator)
        loss = ((model(x + spread * torch.randn(x.shape, generator=generator)) - x) / spread).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rate.step()
        yield loss.item()


def _stage(sizes: list[tuple[int, int]], generator: torch.Generator | None) -> nn.Sequential:
    """Convolutions without bias, each followed by ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in sizes:
        layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        layer.weight.data = (2 / (9 * inputs)) ** 0.5 * torch.randn(layer.weight.shape, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers)
