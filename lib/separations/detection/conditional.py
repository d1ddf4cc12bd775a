"""How much a condition changes what a score says: the number by which memorized prompts are looked for."""

import math

import torch
from torch import Tensor

from ..numerics.checks import as_numbers, check_model, check_rows, check_shaped
from ..samplers import denoised
from ..schedules import Schedule, Time, schedule_of


@torch.no_grad()
def conditional_gap(conditional, unconditional, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
    """|eps(x, t, condition) - eps(x, t)| / sqrt(d), the difference of the two noise predictions per value.

    The number of Wen et al. (2024), who average it over the steps of generation. As eps = (x - alpha D) / sigma, it is
    alpha / sigma times the distance of the two denoised images: it says how much a condition changes the answer.

    Args:
        conditional: the score under the condition, anything with .denoise or .score.
        unconditional: the score without it, likewise.
        x: noisy points, (m, *event_shape).
        t: time in (0, t_max], a number.
        schedule: what noise at time t means; by default that of the scores, OU() where none has its own.

    Returns:
        (m,) float64, >= 0.

    Raises:
        ValueError: for models without such a method, bad x or t.
    """
    for model, name in ((conditional, "conditional"), (unconditional, "unconditional")):
        check_model(model, "denoise", "score", name=name, either=True)
    x, schedule = check_shaped(x, "x"), schedule_of(schedule, conditional, unconditional)
    t = schedule.check_time(t)
    with_it, without = (denoised(model, x, t, schedule).double().flatten(1) for model in (conditional, unconditional))
    return (schedule.alpha(t) / schedule.sigma(t)) * (with_it - without).norm(dim=1) / math.sqrt(with_it.shape[1])


def gap_of_means(group: Tensor, data: Tensor, log_snr: float) -> float:
    """What `conditional_gap` is where all is noise: alpha / sigma |mean of the group - mean of the data| / sqrt(d).

    There the denoised image is a mean whatever the noisy one, under every law. So the first moments alone are in it.

    Args:
        group: training points that share the condition, (k, *event_shape).
        data: the whole training set, (n, *event_shape).
        log_snr: the level, far below that at which noise hides everything.

    Returns:
        A number >= 0.

    Raises:
        ValueError: for points of different shape, and a level that is not finite or at which the number is not.
    """
    group, data = check_rows(group, "group"), check_rows(data, "data")
    if group.shape[1:] != data.shape[1:]:
        raise ValueError(f"group has points of shape {tuple(group.shape[1:])}: {tuple(data.shape[1:])} is needed")
    level = as_numbers(log_snr, "log_snr")
    if level.ndim or not level.isfinite():
        raise ValueError(f"log_snr = {log_snr}: a finite number is needed")
    apart = group.double().flatten(1).mean(0) - data.double().flatten(1).mean(0)
    found = float((level / 2).exp() * apart.norm() / math.sqrt(len(apart)))
    if not math.isfinite(found):
        raise ValueError(f"log_snr = {log_snr}: the number overflows, a lower level is needed")
    return found


def images_that_hide(data: Tensor, labels: Tensor) -> float:
    """How many images may share a prompt before `conditional_gap`, at much noise, is no larger for it than for a class: 1 / R^2.

    A group of k random images has |mean of group - mean|^2 = tr C (1/k - 1/n) / (1 - 1/n) on average, C the covariance of the data; a
    class has the share R^2 of tr C that lies between classes. Both are equal at k = 1 / R^2, up to 1/n.

    Args:
        data: (n, *event_shape).
        labels: class of each, (n,) whole numbers; at least two classes.

    Returns:
        k, at least 1.

    Raises:
        ValueError: for labels of another shape, one class only, and classes with equal means.
    """
    flat = check_rows(data, "data").double().flatten(1)
    whole = isinstance(labels, Tensor) and not (labels.is_floating_point() or labels.is_complex())
    if not whole or labels.shape != (len(flat),):
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        shape = tuple(getattr(labels, "shape", ()))
        raise ValueError(f"labels is {kind} of shape {shape}: a tensor of whole numbers ({len(flat)},) is needed")
    classes, centre = labels.unique(), flat.mean(0)
    if len(classes) < 2:
        raise ValueError(f"labels has {len(classes)} class: at least two are needed")
    between = torch.stack([(flat[labels == k].mean(0) - centre).square().sum() for k in classes]).mean()
    if not between > 0:
        raise ValueError("labels: the classes have equal means, and no number of images is like them")
    return float((flat - centre).square().sum(1).mean() / between)
