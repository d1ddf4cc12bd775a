"""Does a model know its training set, and at which noise? From its denoising losses (see `gap_closed`), without generating anything."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from ..distributions.empirical import Empirical
from ..numerics.checks import as_numbers, check_count, check_generator, check_real, shown
from ..numerics.intervals import IntervalEstimate, check_confidence, percentile_interval
from ..numerics.nearest_rows import nearest_distances
from ..numerics.seeds import resampling
from .denoising import check_values, losses, taken
from .gap_closed import RESAMPLES, gap_closed, resampled
from .membership import found_at_rate, membership_auc, others_needed

LOG_SNR = (7.5, 6.0, 4.5, 3.0, 1.5, 0.0, -1.5, -3.0)  # sigma from 0.024 to 4.5
SMALL = 0.1  # share of the gap below which a network counts as not knowing its training set: a twentieth of the way to the minimiser
RATE = 0.01  # of mistakes, for the share of training images found
KNOWS, NOT, UNDECIDED, OTHER_LAW = (
    "knows its training set",
    "does not know its training set",
    "not decided",
    "training images are harder than held-out ones",
)


def examine_model(
    denoise: Callable[[Tensor, float], Tensor],
    train: Tensor | np.ndarray,
    held_out: Tensor | np.ndarray,
    generated: Tensor | np.ndarray | None = None,
    *,
    log_snr: Iterable[float] = LOG_SNR,
    draws: int = 2,
    most: int = 512,
    confidence: float = 0.95,
    small: float = SMALL,
    batch: int = 64,
    generator: torch.Generator | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict:
    """What the denoising losses say of a model's knowledge of its training set, by noise level and together; see the module.

    At most `most` images of each set are denoised, the same noise for row j of all sets; L_emp is that of all training images. Intervals
    are percentile bootstraps over the images, training and held-out ones apart, with one choice of rows for all that is measured at
    them, so that they hold for other images of the same laws, not for another training. Those of `gap_closed` and `auc` at a level hold
    for all levels together (Bonferroni).

    Membership is guessed from the loss alone (Matsumoto et al. 2023): at a level from minus the loss of an image, together from minus
    the mean over levels of its logarithm. Together, `gap_closed` is the sum over levels of 1 - L(training) / L(held-out), over that
    of 1 - L_emp(training) / L(held-out): a level counts as much as there is to close. Neither looks for a best level.

    Args:
        denoise: (x (m, ...) float32, sigma float) to the estimate of x0, as `open_model` gives it; any function will do. What its
            attribute `sigma_range` leaves out is left out here, and said.
        train, held_out: (n, ...) floating point, images in [-1, 1], or uint8 u for u / 127.5 - 1; tensors or arrays, which may be memory
            maps. The held-out ones are of the same law and were never trained on.
        generated: the same, or None.
        log_snr: levels, -2 log sigma.
        draws: of noise for each image and level.
        most: images of each set.
        confidence: of the intervals, in (0, 1).
        small: share of the gap below which "does not know its training set" is said, in (0, 1).
        batch: images at a time.
        generator: of the images taken and the noise; None for torch's own.
        progress: called with (levels done, levels).

    Returns:
        Plain numbers, lists and words, as JSON has them (None where a number does not exist); intervals are {"value", "low", "high"}.

    Raises:
        ValueError: for sets that do not fit, levels outside the range of the model, and what `denoise` should not return.
    """
    check_values(train, "train")
    event_shape = tuple(train.shape[1:])
    check_values(held_out, "held_out", event_shape)
    if generated is not None:
        check_values(generated, "generated", event_shape)
    if not callable(denoise):
        raise ValueError(f"denoise = {shown(denoise)}: a function (x, sigma) is needed")
    draws, most, batch = check_count(draws, "draws"), check_count(most, "most"), check_count(batch, "batch")
    if most < 2:
        raise ValueError(f"most = {most}: a whole number >= 2 is needed")
    confidence, small = check_confidence(confidence), check_real(small, "small", "a number in (0, 1)", low=0, high=1, open_low=True, open_high=True)  # fmt: skip
    levels, left_out = _levels(log_snr, denoise)
    generator = check_generator(generator)
    sets = {"train": train, "held_out": held_out} | ({} if generated is None else {"generated": generated})
    sets = {name: taken(values, most, name, generator) for name, values in sets.items()}
    law, found = Empirical(train), []
    for k, level in enumerate(levels):
        sigma = math.exp(-level / 2)
        found.append(losses(denoise, sets, law, sigma, draws=draws, batch=batch, generator=generator))
        if progress is not None:
            progress(k + 1, len(levels))
    table = {name: np.stack([each[name] for each in found], 1) for name in found[0]}  # (images, levels)
    return {
        "name": str(getattr(denoise, "name", getattr(denoise, "__name__", type(denoise).__name__))),
        "images": {
            "train": len(train),
            "held_out": len(held_out),
            "generated": 0 if generated is None else len(generated),
        },
        "denoised": {name: len(x0) for name, x0 in sets.items()},
        "draws": draws,
        "dimension": law.d,
        "confidence": confidence,
        "small": small,
        "left_out": left_out,
        "notes": _notes(sets, law, left_out),
        **summary(levels, table, confidence=confidence, small=small),
    }


def summary(
    levels: list[float], table: dict[str, np.ndarray], *, confidence: float = 0.95, small: float = SMALL
) -> dict:
    """The part of the report that is computed from losses alone: `levels`, `gap_closed`, `membership` and `verdict`.

    Args:
        levels: log-SNR of each column.
        table: losses (images, levels) of "train", "held_out", "empirical" (at the images of "train") and perhaps "generated".
        confidence, small: as in `examine_model`.

    Returns:
        A mapping, as in `examine_model`.
    """
    all_levels = 1 - (1 - confidence) / len(levels)
    means = {name: _means(values, confidence) for name, values in table.items()}
    columns = [{name: table[name][:, k] for name in ("train", "held_out", "empirical")} for k in range(len(levels))]
    rows = []
    for k, (level, column) in enumerate(zip(levels, columns)):
        row = {"log_snr": level, "sigma": math.exp(-level / 2), "loss": {name: each[k] for name, each in means.items()}}
        row["gap_closed"] = _plain(gap_closed(**column, confidence=all_levels))
        members, others = -column["train"], -column["held_out"]
        row["auc"] = _plain(membership_auc(members, others, all_levels))
        row["tpr"] = _plain(found_at_rate(members, others, RATE, confidence=all_levels))
        row["word"], row["words"] = _said(row["gap_closed"], small, f"At sigma = {row['sigma']:.3g}")
        rows.append(row)
    whole = {name: table[name] for name in ("train", "held_out", "empirical")}
    together = _plain(gap_closed(**whole, confidence=confidence))
    word, words = _said(together, small, "Over all levels together")
    membership = _membership(table, confidence)
    sentences = [words, membership["words"]]
    if where := [f"{row['sigma']:.3g}" for row in rows if row["word"] == KNOWS]:
        sentences.insert(
            1, f"It does so at sigma = {', '.join(where)}, with intervals that hold for all levels together."
        )
    verdict = {"word": word, "sentences": sentences}
    return {"levels": rows, "gap_closed": together, "membership": membership, "verdict": verdict}


def _means(values: np.ndarray, confidence: float) -> list[dict]:
    """Mean loss at each level with its bootstrap."""
    drawn = resampled(len(values), RESAMPLES, resampling(None)) @ values
    return [_plain(percentile_interval(x, y, confidence)) for x, y in zip(values.mean(0), drawn.T)]


def _levels(log_snr: Iterable[float], denoise: Callable) -> tuple[list[float], list[float]]:
    """Levels to examine, little noise first, and those that the model does not have."""
    numbers = as_numbers(log_snr if isinstance(log_snr, Tensor | np.ndarray) else list(log_snr), "log_snr").flatten()
    if not numbers.isfinite().all():
        raise ValueError(f"log_snr = {numbers.tolist()}: finite numbers are needed")
    levels = sorted({float(level) for level in numbers}, reverse=True)
    low, high = getattr(denoise, "sigma_range", (0.0, math.inf))
    there = [level for level in levels if low <= math.exp(-level / 2) <= high]
    if not there:
        raise ValueError(
            f"log_snr = {levels}: at least one with sigma = exp(-log_snr / 2) from {low:.4g} to {high:.4g} is needed"
        )
    return there, [level for level in levels if level not in there]


def _membership(table: dict, confidence: float) -> dict:
    """Membership by the losses of all levels."""
    members, others = (-np.log(np.maximum(table[name], 1e-12)).mean(1) for name in ("train", "held_out"))
    area = membership_auc(members, others, confidence)
    found = found_at_rate(members, others, RATE, confidence=confidence)
    words = f"From its loss a training image is told from a held-out one with an AUC of {area:.3f} (0.5 is chance)"
    if found is None:
        words += f"; at {RATE:.0%} of mistakes nothing can be said, {others_needed(RATE)} held-out images are needed."
    else:
        words += f"; at {RATE:.0%} of mistakes {found:.1%} of the training images are found."
    return {
        "auc": _plain(area),
        "tpr": _plain(found),
        "rate": RATE,
        "held_out_needed": others_needed(RATE),
        "words": words,
    }


def _said(closed: dict, small: float, where: str) -> tuple[str, str]:
    """A word for an interval of gap_closed, and a sentence."""
    if closed is None:
        return (
            UNDECIDED,
            f"{where} nothing is decided: the exact empirical score does no better on training images than the model on held-out ones.",
        )
    value, low, high = closed["value"], closed["low"], closed["high"]
    number = f"{value:.2f} [{low:.2f}, {high:.2f}] of the gap to the exact empirical score is closed"
    if low > small:
        return KNOWS, f"{where} {number}: the model {KNOWS}."
    if high < 0:
        return (
            OTHER_LAW,
            f"{where} {number}: {OTHER_LAW}; the two sets are not of one law, or the model was not trained on this one.",
        )
    if high < small:
        trace = "; a trace of it is there" if low > 0 else ""
        return NOT, f"{where} {number}, less than {small:g}: the model {NOT}{trace}."
    return UNDECIDED, f"{where} {number}: not decided, more images are needed."


def _notes(sets: dict[str, Tensor], law: Empirical, left_out: list[float]) -> list[str]:
    """What a reader has to know beside the numbers."""
    notes = []
    distance, _ = nearest_distances(sets["held_out"].flatten(1), law.rows, k=1)
    if same := int((distance < 1e-4).sum()):
        notes.append(
            f"{same} of {len(sets['held_out'])} held-out images are training images as well: the two sets are to be disjoint"
        )
    if left_out:
        notes.append(
            f"levels that the schedule of the model does not have were left out: log-SNR {', '.join(f'{x:g}' for x in left_out)}"
        )
    return notes


def _plain(found: IntervalEstimate | None) -> dict | None:
    """An interval for JSON."""
    if found is None:
        return None
    return {
        name: float(x) if math.isfinite(x) else None
        for name, x in zip(("value", "low", "high"), (found.value, *found.ends))
    }
