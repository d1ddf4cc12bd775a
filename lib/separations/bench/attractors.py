"""Attractors of a score at one noise level: where the walk x <- alpha D(x) comes to rest, and how many there are on a circle.

For a diffused training set the walk is mean shift (Fukunaga and Hostetler 1975): each step goes to the weighted mean of the training points
and raises log p_t, and it rests at the maxima of p_t, which Pham et al. (2025) read as the memories of an associative memory.
"""

import math

import numpy as np
import torch
from scipy.special import ive
from torch import Tensor

from ..numerics.checks import check_count, check_model, check_real, check_shaped
from ..samplers import denoised
from ..schedules import Schedule, Time, schedule_of

MERGE = 0.05  # two ends within this share of the noise are one attractor
ANGLES = 4096  # of the ridge of a ring
TERMS = 400  # of a Fourier series


@torch.no_grad()
def attractors(
    score, starts: Tensor, t: Time, *, steps: int = 400, schedule: Schedule | None = None
) -> tuple[Tensor, Tensor]:
    """Where the walk y <- D(alpha y, t) from many places ends, in the unit of the data, and which share of the places goes there.

    Ends within a twentieth of the noise-to-signal ratio of one another are one attractor; flat places are reached slowly, so that few steps
    leave more attractors than there are.

    Args:
        score: anything with .denoise or .score.
        starts: y, (m, *event_shape), in the unit of the data.
        t: time in (0, t_max], a number.
        steps: of the walk.
        schedule: what noise at time t means; by default that of the score, OU() where it has none.

    Returns:
        The attractors (k, *event_shape), the one with the largest basin first, and the shares (k,) of the starts.

    Raises:
        ValueError: for a score without such a method, t that is no number, steps below 1.
    """
    check_model(score, "denoise", "score", either=True)
    y, schedule = check_shaped(starts, "starts"), schedule_of(schedule, score)
    t, steps = schedule.check_time(t), check_count(steps, "steps")
    if t.ndim:
        raise ValueError(f"t has shape {tuple(t.shape)}: a number is needed")
    alpha, radius = float(schedule.alpha(t)), MERGE * float(schedule.sigma(t) / schedule.alpha(t))
    for _ in range(steps):
        y = denoised(score, alpha * y, t, schedule)
    left, found, shares = y, [], []
    while len(left):
        near = (left - left[:1]).flatten(1).norm(dim=1) <= radius
        found.append(left[near].mean(0))
        shares.append(int(near.sum()) / len(y))
        left = left[~near]
    order = sorted(range(len(found)), key=lambda i: -shares[i])
    return torch.stack([found[i] for i in order]), torch.tensor([shares[i] for i in order], dtype=torch.float64)


def circle_attractors(angle: Tensor, sigma: float, *, angles: int = ANGLES) -> tuple[Tensor, Tensor]:
    """All attractors of training points on the unit circle at noise sigma, and the weight of the heaviest training point at each.

    In each direction the density has one ridge radius r = E[cos(theta_i - theta)] under the weights; along the ridge attractors are where the
    mean of the sines passes 0 from above. They are counted on a grid of directions, so that shallow ones are found as well as deep ones, for
    which a walk would take long.

    Args:
        angle: of the training points, (n,), radians.
        sigma: noise over signal, in (0, 0.5]; beyond a half a ring has begun to close.
        angles: directions; attractors are at least 2 pi / angles apart.

    Returns:
        Directions of the attractors (k,), and the largest weight of one training point there (k,), in (0, 1].

    Raises:
        ValueError: for other angles, sigma outside its range, a grid coarser than the noise.
    """
    angle = check_shaped(angle[:, None], "angle")[:, 0].double()
    sigma = check_real(sigma, "sigma", "a number in (0, 0.5]", low=0, high=0.5, open_low=True)
    if check_count(angles, "angles") * sigma < 8 * math.pi:
        raise ValueError(f"angles = {angles}: at least {8 * math.pi / sigma:.0f} are needed for sigma = {sigma:g}")
    theta = 2 * math.pi * torch.arange(angles, dtype=torch.float64) / angles
    slope, weight, outside = [], [], []
    for part in theta.split(max(1, 2**20 // len(angle))):
        apart = angle - part[:, None]
        radius = _ridge(apart.cos(), sigma)
        w = (radius * apart.cos() / sigma**2).softmax(1)
        outside.append(radius[:, 0] > 0)  # else all points lie behind: this is the ridge of the direction opposite
        slope.append((w * apart.sin()).sum(1))
        weight.append(w.amax(1))
    s, w, there = torch.cat(slope), torch.cat(weight), torch.cat(outside)
    here = (s > 0) & (s.roll(-1) <= 0) & there & there.roll(-1)
    ahead = s / (s - s.roll(-1)).where(here, torch.ones_like(s))
    return theta[here] + 2 * math.pi / angles * ahead[here], w[here]


def _ridge(cosine: Tensor, sigma: float) -> Tensor:
    """The root of r = E[cos] under the weights exp(r cos / sigma^2), (m, 1), by Newton's rule with a derivative kept away from 0."""
    radius, left = torch.ones(len(cosine), 1, dtype=torch.float64), torch.arange(len(cosine))
    for _ in range(200):
        c, r = cosine[left], radius[left]
        w = (r * c / sigma**2).softmax(1)
        mean = (w * c).sum(1, keepdim=True)
        slope = 1 - (w * (c - mean).square()).sum(1, keepdim=True) / sigma**2
        move = (mean - r) / slope.clamp(min=0.2)
        radius[left] = r + move
        left = left[move[:, 0].abs() > 1e-10]
        if not len(left):
            break
    return radius


def expected_circle_attractors(sigma: float) -> float:
    """How many attractors infinitely many random points on the unit circle have at noise sigma: about sqrt(3/2) / sigma.

    The density along the circle is then a constant plus a small stationary Gaussian process whose spectrum is I_k(1 / sigma^2)^2, k = 1, 2, ...;
    by Rice's formula (Rice 1945) it has sqrt(sum k^4 I_k^2 / sum k^2 I_k^2) maxima in one round. Here I_k is the modified Bessel function, from
    which sqrt(3/2) / sigma follows where sigma is small. Our derivation, for the radius 1; the ridge lies a little inside.

    Args:
        sigma: noise over signal, in (0, 0.5].

    Returns:
        The mean number.

    Raises:
        ValueError: for sigma outside its range.
    """
    sigma = check_real(sigma, "sigma", "a number in (0, 0.5]", low=0, high=0.5, open_low=True)
    if sigma < 8 / TERMS:
        return math.sqrt(1.5) / sigma
    k = np.arange(1, TERMS)
    spectrum = ive(k, 1 / sigma**2) ** 2
    return float(np.sqrt((k**4 * spectrum).sum() / (k**2 * spectrum).sum()))
