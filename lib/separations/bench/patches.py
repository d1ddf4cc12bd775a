"""Scores of networks that see only a window: each pixel is denoised by the training patches that the window round it resembles.

The minimiser of the denoising loss over all maps whose output at a pixel i depends on x in a P x P window Omega_i alone is the posterior mean
given that window; over all that do the same at every pixel, the posterior mean over all places as well (Kamb and Ganguli 2025):

    local              D(x)[i] = sum_j w_j x_j[i],           w_j     ~ exp(-|x[Omega_i] - alpha x_j[Omega_i]|^2 / (2 sigma^2))
    local-equivariant  D(x)[i] = sum_{j, k} w_jk x_j[k],     w_jk    ~ exp(-|x[Omega_i] - alpha x_j[Omega_k]|^2 / (2 sigma^2))

Both are minimisers of a training loss, and in general not the gradient of any function. The window of pixel i holds the rows from i - (P-1)//2 to
i + P//2 and the columns alike, of those in the image; with P >= 2 max(H, W) - 1 every window is the whole image, and the local score the
empirical one.

All distances at once: for the local score squared differences are summed over windows by two products with band matrices, at a cost that does
not depend on P; for the other the patches are rows of one matrix product (see `patch_softmax`).
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ..numerics.checks import check_count, check_shaped, ends, shown
from ..numerics.softmax import LEAST, LOGIT_TOLERANCE
from ..schedules import Schedule, check_schedule
from .over_data import WithoutLaw
from .patch_softmax import PatchBank, Running, distinct, slices

DIFFERENCES = 2**21  # of pixels of pairs (query, training image) at a time
PATCH_NUMBERS = 2**24  # of training patches that are kept from one question to the next
BLOCK_NUMBERS = 2**22  # of training patches that are made at a time
BORDERS = ("seen", "wrapped")


class LocalPatches(WithoutLaw):
    """Each pixel the mean of that pixel in the training images, weighted by how near their windows at the same place are.

    The local score of Kamb and Ganguli (2025): what the best map does that sees windows and knows where it is. Beyond the border there is
    nothing, which is what zeros on both sides come to. Memory: blocks of pairs (query, training image).

    Args:
        data: images, (n, C, H, W), floating point.
        window: P >= 1, pixels a side.
        schedule: that the score owns; None for one of OU() that follows another where one is given.

    Raises:
        ValueError: for data that are no finite floating-point images, and a window that is no whole number >= 1.
    """

    def __init__(self, data: Tensor, window: int, *, schedule: Schedule | None = None):
        self.own_schedule = None if schedule is None else check_schedule(schedule)
        data = check_shaped(data, "data")
        if data.ndim != 4 or 0 in data.shape:
            raise ValueError(f"data has shape {tuple(data.shape)}: images (n, C, H, W) are needed")
        self.window = check_count(window, "window")
        self.data, self.event_shape = data.detach(), tuple(data.shape[1:])
        self.size = max(map(abs, ends(self.data)))

    @property
    def n(self) -> int:
        """Number of training images."""
        return len(self.data)

    def _arguments(self):
        return self.data, self.window

    def _settings(self) -> dict:
        return {}

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._local(x.reshape(-1, *self.event_shape), alpha, sigma).flatten(1)

    # ------------------------------------------------------------------------------------------------------------- the same place
    def _bands(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows (H, H) and which columns (W, W) lie in the window of a row or a column, as 0 and 1."""
        low, high = (self.window - 1) // 2, self.window // 2
        found = []
        for size in self.event_shape[1:]:
            place = torch.arange(size, device=like.device)
            apart = place - place[:, None]
            found.append(((apart >= -low) & (apart <= high)).to(like.dtype))
        return found[0], found[1]

    def _local(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The local score's denoised images, (m, C, H, W)."""
        pixels = math.prod(self.event_shape[1:])
        queries = max(1, min(len(x), 16, DIFFERENCES // pixels))
        parts = []
        for xs, al, si in zip(x.split(queries), alpha.split(queries), sigma.split(queries)):
            found, error = self._local_part(xs, al, si)
            if xs.dtype == torch.float32 and error > LOGIT_TOLERANCE:
                found = self._local_part(xs.double(), al, si)[0].to(xs.dtype)
            parts.append(found)
        return torch.cat(parts)

    def _local_part(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, float]:
        """The same for a few queries, and how far rounding may have moved a logit. Differences are explicit, so it is relative to the logit."""
        m, (_, H, W) = len(x), self.event_shape
        tall, wide = self._bands(x)
        scale = (1 / (sigma * math.sqrt(2 * math.log(2)))).to(x.dtype)[..., None, None]
        moved, rate = x * scale, alpha.to(x.dtype)[..., None, None] * scale
        top, mass = x.new_full((m, 1, H, W), -torch.inf), x.new_zeros(m, 1, H, W)
        mean = torch.zeros_like(x)
        for part in slices(self.n, max(1, DIFFERENCES // (m * H * W))):
            images = self.data[part].to(x)
            squares = sum((moved[:, None, c] - rate * images[None, :, c]).square() for c in range(images.shape[1]))
            logits = -(tall @ (squares @ wide.T))  # (m, b, H, W)
            new = torch.maximum(top, logits.detach().amax(1, keepdim=True))
            weights = (logits - new).clamp(min=LEAST).exp2()
            shrink = (top - new).exp2()
            mass = mass * shrink + weights.sum(1, keepdim=True)
            sums = torch.stack([(weights * images[:, c]).sum(1) for c in range(images.shape[1])], 1)
            mean, top = mean * shrink + sums, new
        return mean / mass, -float(top.min()) * 16 * torch.finfo(x.dtype).eps

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, window={self.window}, event_shape={self.event_shape})"


class EquivariantPatches(LocalPatches):
    """Each pixel the mean of the centres of all training patches, from every place, weighted by how near they are to its window.

    The local-equivariant score of Kamb and Ganguli (2025): what the best convolutional network of that receptive field does. At the
    border a network with zeros beyond it sees how far away the border is, so that

        "seen"      a window that leaves the image is compared with training windows that leave it in the same way (their boundary-broken score);
        "wrapped"   queries go on at the opposite border, and are compared with the training windows inside of the images (their equivariant one).

    With "seen", and a window of the height and width of the image or more, no place is like another, and it is `LocalPatches`. The cost
    is that of a product of all pairs of patches; windows at the border are compared row by row and column by column.

    Args:
        data: images, (n, C, H, W), floating point.
        window: P >= 1, pixels a side.
        borders: "seen" or "wrapped".
        schedule: that the score owns; None for one of OU() that follows another where one is given.

    Raises:
        ValueError: as `LocalPatches`, for other borders, and with "wrapped" for windows larger than the image.
    """

    def __init__(self, data: Tensor, window: int, *, borders: str = "seen", schedule: Schedule | None = None):
        super().__init__(data, window, schedule=schedule)
        if borders not in BORDERS:
            raise ValueError(f"borders = {shown(borders)}: one of {', '.join(BORDERS)} is needed")
        if borders == "wrapped" and self.window > min(self.event_shape[1:]):
            raise ValueError(
                f"window = {self.window}: at most {min(self.event_shape[1:])} is possible where images are wrapped"
            )
        self.borders, self._kept = borders, {}

    def _settings(self) -> dict:
        return {"borders": self.borders}

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        images, (_, H, W) = x.reshape(-1, *self.event_shape), self.event_shape
        low, high = (self.window - 1) // 2, self.window // 2
        if self.borders == "wrapped":
            padded = F.pad(images, (low, high, low, high), mode="circular") if self.window > 1 else images
            return self._at(
                padded, (0, H + self.window - 1), (0, W + self.window - 1), low, low, alpha, sigma, inner=True
            ).flatten(1)
        tall, wide = H - self.window + 1, W - self.window + 1  # rows and columns whose windows are whole
        if max(tall, wide) <= 1:
            return self._local(images, alpha, sigma).flatten(1)
        found = self._local(images, alpha, sigma)  # right where neither the row nor the column of a window is whole
        inner_rows, inner_columns = max(tall, 0), max(wide, 0)
        if inner_rows and inner_columns:
            found[:, :, low : low + tall, low : low + wide] = self._at(images, (0, H), (0, W), low, low, alpha, sigma)
        if inner_columns:
            for i in _cut(H, low, high):
                rows = (max(0, i - low), min(H, i + high + 1))
                found[:, :, i : i + 1, low : low + wide] = self._at(
                    images, rows, (0, W), i - rows[0], low, alpha, sigma
                )
        if inner_rows:
            for j in _cut(W, low, high):
                columns = (max(0, j - low), min(W, j + high + 1))
                found[:, :, low : low + tall, j : j + 1] = self._at(
                    images, (0, H), columns, low, j - columns[0], alpha, sigma
                )
        return found.flatten(1)

    def _at(
        self, images: Tensor, rows: tuple[int, int], columns: tuple[int, int], up: int, left: int, alpha: Tensor, sigma: Tensor,
        *, inner: bool = False,
    ) -> Tensor:  # fmt: skip
        """Denoised centres of all windows that fit into some rows and columns of the images, (m, C, h, w); the centre lies at (up, left).

        The training patches are those of the same rows and columns; with inner=True those of the whole images.
        """
        area = ((0, self.event_shape[1]), (0, self.event_shape[2])) if inner else (rows, columns)
        kernel = (min(self.window, rows[1] - rows[0]), min(self.window, columns[1] - columns[0]))
        m, C = len(images), self.event_shape[0]
        queries = F.unfold(images[:, :, slice(*rows), slice(*columns)], kernel)  # (m, k, L)
        L = queries.shape[2]
        x = queries.transpose(1, 2).reshape(m * L, -1)
        reach = 2 * self.size * math.sqrt(x.shape[1])
        running = Running(x, alpha.repeat_interleave(L, 0), sigma.repeat_interleave(L, 0), C, reach)
        for patches in self._patches(*area, kernel, up, left):
            running.add(patches)
        height = rows[1] - rows[0] - kernel[0] + 1
        return running.mean().reshape(m, L, C).transpose(1, 2).reshape(m, C, height, -1)

    def _patches(
        self, rows: tuple[int, int], columns: tuple[int, int], kernel: tuple[int, int], up: int, left: int
    ) -> Iterator[PatchBank]:
        """Training patches of some rows and columns, a block of images at a time; few enough of them are kept."""
        key, area = (rows, columns, kernel), self.data[:, :, slice(*rows), slice(*columns)]
        if key in self._kept:
            yield from self._kept[key]
            return
        places = (area.shape[2] - kernel[0] + 1) * (area.shape[3] - kernel[1] + 1)
        numbers = places * kernel[0] * kernel[1] * area.shape[1]
        centres = tuple((c * kernel[0] + up) * kernel[1] + left for c in range(area.shape[1]))
        kept = []
        for part in slices(self.n, max(1, BLOCK_NUMBERS // numbers)):
            some = F.unfold(area[part].float() if area.dtype.itemsize < 4 else area[part], kernel)
            patches = PatchBank(*distinct(some.transpose(1, 2).reshape(-1, some.shape[1])), centres)
            if numbers * self.n <= PATCH_NUMBERS:
                kept.append(patches)
            yield patches
        if kept:
            self._kept[key] = tuple(kept)


def _cut(size: int, low: int, high: int) -> list[int]:
    """Places along a side whose windows leave the image."""
    return [i for i in range(size) if i < low or i + high >= size]
