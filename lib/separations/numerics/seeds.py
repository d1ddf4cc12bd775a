"""Random streams: one rule that makes a generator from a seed and a purpose, so that no two of them coincide.

torch's generator for CPUs keeps the low 32 bits of a seed (1 and 1 + 2^32 are one run), and NumPy's `default_rng([seed, 0])` is
`default_rng(seed)`. So the pair becomes one whole number below 2^32, 1000 seed + purpose, and what does not fit is an error.

One rule for ``generator=None`` in the whole library: what is *drawn* (samples, noise, starts, batches, weights) comes from PyTorch's
own global stream, as in PyTorch itself; an interval or a p-value of *given* numbers is resampled from a stream of its own (`resampling`), so
that the same numbers have the same interval. No function sets a global seed.
"""

import numpy as np
import torch

from .checks import check_generator, check_whole

PURPOSES = 1000
MAX_SEED = 2**32 // PURPOSES - 1  # 4,294,966
MAX_STREAM = 2**32 - 1
RESAMPLING = 4_294_967_291  # the largest prime below 2^32


def check_seed(seed: object, name: str = "seed", most: int = MAX_SEED) -> int:
    """seed as an int, if it is a whole number in [0, most]; ValueError otherwise: it would be cut, and two seeds coincide."""
    return check_whole(seed, name, 0, most)


def stream(seed: int, purpose: int = 0) -> int:
    """The number of a random stream, 1000 seed + purpose: another pair is another number, and all are below 2^32.

    Args:
        seed: 0 to 4,294,966.
        purpose: 0 to 999, what the numbers are for.

    Returns:
        The number.

    Raises:
        ValueError: what would not fit.
    """
    return PURPOSES * check_seed(seed) + check_seed(purpose, "purpose", PURPOSES - 1)


def seeded(seed: int, purpose: int = 0, device: str | torch.device = "cpu") -> torch.Generator:
    """PyTorch's generator of the stream (seed, purpose).

    Args:
        seed, purpose: as in `stream`.
        device: where it draws.

    Returns:
        A generator of its own.

    Raises:
        ValueError: as `stream`.
    """
    return torch.Generator(device).manual_seed(stream(seed, purpose))


def resampling(generator: torch.Generator | None) -> torch.Generator:
    """The generator of a bootstrap or a permutation: the given one, or a fixed stream that no sample is likely to have been drawn with."""
    return torch.Generator().manual_seed(RESAMPLING) if check_generator(generator) is None else generator


def numpy_seeded(seed: int, purpose: int = 0) -> np.random.Generator:
    """NumPy's generator of the stream (seed, purpose).

    Args:
        seed, purpose: as in `stream`.

    Returns:
        A generator of its own.

    Raises:
        ValueError: as `stream`.
    """
    return np.random.default_rng(stream(seed, purpose))
