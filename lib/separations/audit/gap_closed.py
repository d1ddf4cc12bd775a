"""The share of the loss gap that training has closed: 0 for a network that knows the law alone, 1 for the empirical score.

A network that has learned the law and nothing of its sample denoises training images no better than held-out ones. The minimiser of
the training loss, the score of the diffused training set (`distributions.Empirical`; Ye et al. 2026, eq. 3.1), denoises them as well
as can be. How far a network has gone from the one to the other is a number at each noise level, `gap_closed`:

    gap_closed(sigma) = (L(held-out) - L(training)) / (L(held-out) - L_emp(training)),   L = E |D(x0 + sigma eps, sigma) - x0|^2 / d

The numerator is the generalization gap of the network. The denominator is the gap that it would have if it fitted the training set as
the minimiser does: what the *loss gap* of chapter 21, L_true(training) - L_emp(training), becomes where the true score is unknown and
the network's own loss on held-out images stands in for it. So it is the share of the loss gap that training has closed. 0: training
images are nothing special; 1: the network is the empirical score at training images. For D = lambda empirical + (1 - lambda) truth it
is 1 - (1 - lambda)^2 up to what the empirical score errs on held-out images: twice lambda at first.

Where it means something. At little noise L_emp(training) is 0, for the posterior has collapsed to one training image, and the number
is the relative generalization gap 1 - L(training) / L(held-out); at much noise both denoisers return the mean, the denominator is 0 and
nothing is decided, which the interval of the denominator says. It is negative where training images are harder than held-out ones, by
chance, within the interval, or because the two sets are not of one law: then the sets are to be looked at, not the network. A network
that denoises held-out images badly has a large denominator and is compared with itself: the number says what it knows of *its* training
set, not whether it is good.
"""

import numpy as np
import torch
from torch import Tensor

from ..numerics.checks import check_count
from ..numerics.intervals import IntervalEstimate, check_confidence, percentile_interval
from ..numerics.seeds import resampling

RESAMPLES = 2000


def gap_closed(
    train,
    held_out,
    empirical,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    generator: torch.Generator | None = None,
) -> IntervalEstimate | None:
    """Share of the loss gap that is closed, from losses of images, with its percentile bootstrap over the images.

    Training and held-out images are resampled apart, and the losses of the model and of the empirical score at a training image stay
    together. Over several levels it is the sum of 1 - L(training) / L(held-out) over that of 1 - L_emp(training) / L(held-out), so that
    a level counts as much as there is to close; a level at which there is nothing has no weight, and none is chosen.

    Args:
        train: losses of the model at training images, (m,) or (m, levels).
        held_out: at held-out images, (k,) or (k, levels).
        empirical: of the exact empirical score at the same noisy training images, the shape of train.
        confidence: of the interval, in (0, 1).
        resamples: of the bootstrap.
        generator: of the resamples; None is a fixed stream, so that the same numbers have the same interval.

    Returns:
        An `IntervalEstimate`; None where the interval of the denominator reaches 0, and nothing can be said.

    Raises:
        ValueError: for shapes that do not fit, losses that are negative or not finite, and as `bootstrap_interval`.
    """
    train, held_out, empirical = (
        _losses(values, name) for values, name in ((train, "train"), (held_out, "held_out"), (empirical, "empirical"))
    )
    if train.shape != empirical.shape or train.shape[1] != held_out.shape[1]:
        raise ValueError(
            f"train, held_out, empirical have shapes {train.shape}, {held_out.shape}, {empirical.shape}: (m, levels), (k, levels) and "
            "(m, levels) are needed"
        )
    confidence, generator = check_confidence(confidence), resampling(generator)
    of_train, of_held_out = (
        resampled(len(x), check_count(resamples, "resamples"), generator) for x in (train, held_out)
    )
    over, under = _fraction(train.mean(0), held_out.mean(0), empirical.mean(0))
    overs, unders = _fraction(of_train @ train, of_held_out @ held_out, of_train @ empirical)
    if not (under > 0 and percentile_interval(under, unders, confidence).low > 0):
        return None
    return percentile_interval(over / under, overs / np.where(unders > 0, unders, np.nan), confidence)


def resampled(n: int, resamples: int, generator: torch.Generator) -> np.ndarray:
    """Share of each of n rows in each of the resamples, (resamples, n): times losses (n, levels) it gives their means."""
    rows = torch.randint(n, (resamples, n), generator=generator)
    counts = torch.zeros(resamples, n, dtype=torch.float64)
    return (counts.scatter_add_(1, rows, torch.ones_like(rows, dtype=torch.float64)) / n).numpy()


def _losses(values, name: str) -> np.ndarray:
    """Losses (m, levels) in float64."""
    found = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or not found.size or not np.isfinite(found).all() or found.min() < 0:
        raise ValueError(
            f"{name} has shape {found.shape}, or values that are no losses: (m,) or (m, levels) numbers >= 0 are needed"
        )
    return found


def _fraction(train: np.ndarray, held_out: np.ndarray, empirical: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator over the last axis, each level in units of the loss on held-out images."""
    unit = np.where(held_out > 0, held_out, np.inf)  # a loss of 0 leaves nothing to close
    return ((held_out - train) / unit).sum(-1), ((held_out - empirical) / unit).sum(-1)
