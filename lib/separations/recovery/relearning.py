"""Does a memory come back? A little more training on a few images, and what is then copied of all the others."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ..metrics import excess_ratio, memorization_ratio
from ..networks.denoiser import Denoiser
from ..numerics.checks import check_count, check_generator, check_points, check_rows, check_whole
from ..samplers import generate
from ..training import Recipe, fine_tune
from .judged import RULE


def relearning_curve(
    recipe: Recipe,
    model: Denoiser,
    few: Tensor,
    train: Tensor,
    held_out: Tensor,
    *,
    at: Iterable[int] = (0, 5, 10, 20),
    lr: float = 5e-4,
    m: int = 200,
    sampler_steps: int = 12,
    generator: torch.Generator | None = None,
) -> list[dict[str, float]]:
    """Train a network on a few images and count copies of the *other* images of its training set among what it generates.

    A network that has lost a training image cannot learn it from others. If images return that were not among the few, they were there all
    the time, and the remedy had hidden them. The control is the same with a few images that the network has never seen.

    Args:
        recipe: by which the network was trained; its noise, batch and prediction are kept.
        model: where it begins; it is not changed.
        few: images to train on, (k, *event_shape), on the scale of the model.
        train: its training set without the few, (n, *event_shape).
        held_out: images that it has not seen, the baseline of copies.
        at: updates at which to look; 0 is the network as it is.
        lr: learning rate.
        m: images that are generated at each look, from the same noise where a generator is given.
        sampler_steps: of the generation.
        generator: of noise of the generation; None for torch's own.

    Returns:
        Rows with step, copies (the excess of `metrics.excess_ratio`, with its ends) and distinct (training images that were copied).

    Raises:
        ValueError: for shapes that do not fit, counts below 1, updates below 0.
    """
    few = check_rows(few, "few")
    shape = tuple(getattr(model, "event_shape", None) or few.shape[1:])
    few, train = check_points(few, shape, "few"), check_points(train, shape, "train")
    held_out = check_points(held_out, shape, "held_out")
    if not isinstance(at, Iterable):
        raise ValueError(f"at = {at!r}: whole numbers from 0 on are needed")
    looks = sorted({check_whole(step, "at", 0) for step in at})
    if not looks:
        raise ValueError("at is empty: at least one update is needed")
    check_count(m, "m"), check_generator(generator)
    state = None if generator is None else generator.get_state()
    rows = []

    def look(step: int, network) -> None:
        if generator is not None:
            generator.set_state(state)
        made = generate(network, m, shape=shape, steps=sampler_steps, generator=generator)
        found = excess_ratio(made, train, held_out)
        rows.append({"step": step, **found.columns("copies"), "distinct": copied_points(made, train)})

    if 0 in looks:
        look(0, model)
    later = [step for step in looks if step > 0]
    if later:
        for record in fine_tune(recipe, model, few, steps=max(later), lr=lr, every=later):
            if record.step in later:
                look(record.step, record.ema)
    return rows


def copied_points(samples: Tensor, train: Tensor, rule: float = RULE) -> int:
    """How many different training points are copied at least once by the 1/9 rule.

    Args:
        samples: (m, *event_shape).
        train: (n, *event_shape), n >= 2.
        rule: on the ratio of the squared distances to the two nearest training points.

    Returns:
        A count, at most n.

    Raises:
        ValueError: as `metrics.memorization_ratio`.
    """
    found = memorization_ratio(samples, train, rule)
    return len(found.nearest[found.memorized].unique())
