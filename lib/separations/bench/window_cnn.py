"""A convolutional network of known window: what the local scores of `patches` are compared with."""

import math

import torch
from torch import Tensor, nn

from ..numerics.checks import check_count, check_generator, check_wholes, shown


class WindowCNN(nn.Module):
    """A score network whose output at a pixel depends on a window of P x P pixels round it, and on the log-SNR.

    (P - 1) / 2 convolutions of 3 x 3 with zeros beyond the border, each followed by one of 1 x 1 and joined to what came before; the log-SNR enters as
    a number for each channel of each block, made of the features that `networks.MLP` has. Use: ``Denoiser(WindowCNN((1, 8, 8), 5), prediction="v")``.

    Args:
        event_shape: (C, H, W) of an image.
        window: P, odd, >= 3.
        channels: of the hidden layers.
        features: pairs of cosine and sine of the log-SNR.
        generator: of the start, the last layer 0; None for torch's own.

    Raises:
        ValueError: for another shape, an even window, and counts outside their ranges.
    """

    copies = None

    def __init__(
        self,
        event_shape: tuple[int, int, int],
        window: int,
        channels: int = 48,
        *,
        features: int = 4,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.event_shape, self.window = check_wholes(event_shape, "event_shape"), check_count(window, "window")
        if len(self.event_shape) != 3:
            raise ValueError(f"event_shape = {shown(event_shape)}: (C, H, W) is needed")
        if self.window % 2 == 0 or self.window < 3:
            raise ValueError(f"window = {window}: an odd number of pixels >= 3 is needed")
        c, self.features = check_count(channels, "channels"), check_count(features, "features")
        blocks = (self.window - 1) // 2
        sizes = [self.event_shape[0], *[c] * blocks]
        self.wide = nn.ModuleList(nn.Conv2d(a, c, 3, padding=1) for a in sizes[:-1])
        self.narrow = nn.ModuleList(nn.Conv2d(c, c, 1) for _ in range(blocks))
        self.levels = nn.ModuleList(nn.Linear(1 + 2 * self.features, c) for _ in range(blocks))
        self.last = nn.Conv2d(c, self.event_shape[0], 1)
        check_generator(generator)
        with torch.no_grad():
            for layer in [*self.wide, *self.narrow, *self.levels]:
                fan = layer.weight[0].numel()
                layer.weight.copy_((2 / fan) ** 0.5 * torch.randn(layer.weight.shape, generator=generator))
                layer.bias.zero_()
            self.last.weight.zero_(), self.last.bias.zero_()

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        """x (m, C, H, W), log_snr (m,) -> shape of x."""
        level = log_snr.clamp(-20, 20)[:, None]
        angles = level * (math.pi / 20 * 2.0 ** torch.arange(self.features, dtype=level.dtype, device=level.device))
        told = torch.cat([level / 8, angles.cos(), angles.sin()], 1)  # (m, 1 + 2 features)
        h = x
        for k, (wide, narrow, levels) in enumerate(zip(self.wide, self.narrow, self.levels)):
            z = torch.nn.functional.silu(wide(h) + levels(told)[:, :, None, None])
            z = torch.nn.functional.silu(narrow(z))
            h = z if k == 0 else h + z
        return self.last(h)
