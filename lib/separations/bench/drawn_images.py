"""Images whose geometry is known: two smooth regions with a contour of given regularity between them, and disks, which have five parameters.

Kadkhodaie et al. (2024) train denoisers on such images, since the best rate of denoising is known for them. These are drawn anew: everything is
a random Fourier series, evaluated where it is needed, so that contours may run in any direction and are averaged over pixels.
"""

import math

import torch
from torch import Tensor

from ..numerics.checks import check_count, check_generator, check_real, check_whole

FINE = 4  # points of a pixel a side, over which a contour is averaged
LEAST_SIZE = 4  # pixels a side


def contour_images(
    m: int, alpha: float, size: int = 20, *, inside: float | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Images of two regions: the contour between them, and the shades on both sides, are random functions of regularity alpha.

    The contour is the graph v = h(u) in coordinates turned by a random angle about a point near the centre, h a Fourier series of period two
    images with amplitudes k^-(alpha + 1/2); a region has a level and a series with amplitudes |k|^-(alpha + 1): with probability one
    both have every Hölder regularity below alpha. Contours are averaged over 4 x 4 points a pixel.

    Args:
        m: number of images.
        alpha: regularity of the contour, > 0.
        size: pixels a side, >= 4.
        inside: regularity of the shades; None for alpha.
        generator: of all random numbers; None for torch's own.

    Returns:
        (m, 1, size, size) float32, around [0, 1]: the levels are uniform there, the shades have a standard deviation of 0.1.

    Raises:
        ValueError: for counts and regularities outside their ranges.
    """
    m, size = check_count(m, "m"), check_whole(size, "size", LEAST_SIZE)
    alpha = check_real(alpha, "alpha", "a positive number", low=0, open_low=True)
    inside = alpha if inside is None else check_real(inside, "inside", "a positive number", low=0, open_low=True)
    generator = check_generator(generator)
    u, v = _turned(m, size, generator)
    height = size / 6 * _contour(u, alpha, size, generator)
    share = _pixels((v > height).double(), size)
    level = _uniform((2, m, 1, 1), generator)
    one, two = (_shade(m, inside, size, generator) + each for each in level)
    return (share * one + (1 - share) * two).float()[:, None]


def disk_images(m: int, size: int = 20, *, generator: torch.Generator | None = None) -> Tensor:
    """Images of one disk on a ground: a family with five parameters, two of the centre, the radius, and two levels.

    The disk lies inside of the image; its radius is uniform in [size / 8, size / 3], both levels are uniform in [0, 1]. Averaged over 4 x 4 points a pixel.

    Args:
        m: number of images.
        size: pixels a side, >= 4.
        generator: of the parameters; None for torch's own.

    Returns:
        (m, 1, size, size) float32 in [0, 1].

    Raises:
        ValueError: for counts outside their ranges.
    """
    m, size = check_count(m, "m"), check_whole(size, "size", LEAST_SIZE)
    generator = check_generator(generator)
    radius = size / 8 + (size / 3 - size / 8) * _uniform((m, 1, 1), generator)
    centre = radius + (size - 2 * radius) * _uniform((2, m, 1, 1), generator)
    place = (torch.arange(FINE * size, dtype=torch.float64) + 0.5) / FINE
    inside = (place[:, None] - centre[0]) ** 2 + (place - centre[1]) ** 2 <= radius**2
    share, level = _pixels(inside.double(), size), _uniform((2, m, 1, 1), generator)
    return (share * level[0] + (1 - share) * level[1]).float()[:, None]


def _turned(m: int, size: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Coordinates of the fine points, turned about a point within an eighth of the centre, 2 x (m, FINE size, FINE size)."""
    angle = 2 * math.pi * _uniform((m, 1, 1), generator)
    shift = size / 4 * (_uniform((2, m, 1, 1), generator) - 0.5)
    place = (torch.arange(FINE * size, dtype=torch.float64) + 0.5) / FINE - size / 2
    y, x = place[:, None] - shift[0], place - shift[1]
    return angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x


def _contour(u: Tensor, alpha: float, size: int, generator: torch.Generator | None) -> Tensor:
    """A random function of period two images and variance 1 at u, a number a point, on the line between 16 points a pixel, (m, ...)."""
    points = 2 * 16 * size
    k = torch.arange(1, size + 1, dtype=torch.float64)
    wave = _normal((2, len(u), size), generator) * _normed(k ** -(alpha + 0.5))
    whole = torch.zeros(len(u), points // 2 + 1, dtype=torch.complex128)
    whole[:, 1 : size + 1] = torch.complex(wave[0], -wave[1])
    table = torch.fft.irfft(whole, n=points) * points / 2
    place = (u.flatten(1) * 16) % points
    low = place.floor()
    ends = [table.gather(1, (low.long() + step) % points) for step in (0, 1)]
    return ends[0].lerp(ends[1], place - low).reshape(u.shape)


def _shade(m: int, regularity: float, size: int, generator: torch.Generator | None) -> Tensor:
    """A random function of the plane of period two images and standard deviation 0.1, (m, size, size)."""
    k = torch.fft.fftfreq(2 * size, 1 / (2 * size), dtype=torch.float64)
    norm = torch.hypot(k[:, None], k)
    weight = torch.where(norm > 0, norm.clamp(min=1) ** -(regularity + 1), 0)
    white = torch.fft.fft2(_normal((m, 2 * size, 2 * size), generator), norm="ortho")
    found = torch.fft.ifft2(white * _normed(weight) * 2 * size, norm="ortho").real
    return 0.1 * found[:, :size, :size]


def _normed(weight: Tensor) -> Tensor:
    """Amplitudes whose squares sum to 1."""
    return weight / weight.norm()


def _pixels(fine: Tensor, size: int) -> Tensor:
    """Means over the fine points of a pixel, (m, size, size)."""
    return fine.reshape(len(fine), size, FINE, size, FINE).mean((2, 4))


def _normal(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    device = torch.device("cpu") if generator is None else generator.device
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=device).cpu()


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    device = torch.device("cpu") if generator is None else generator.device
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device).cpu()
