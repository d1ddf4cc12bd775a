"""Learned scores: `Denoiser` makes a score of any network.

A network is a module that maps (x, log_snr) to the shape of x. Two shapes of x are known, and everything here takes both:

    single    x (m, *event_shape),     log_snr (m,)
    stacked   x (c, m, *event_shape),  log_snr (c, m):  c independent networks of one size, run together

A stack costs little more than one small network, so a chapter trains all its seeds and training sets at once. Nothing mixes
between copies: the derivative of copy i's output in the weights of copy j is 0. A network says ``event_shape`` and ``copies``
(None for a single one) and has ``copy(i)``, which takes one copy out.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..numerics.checks import (
    check_finite,
    check_positive,
    check_real,
    check_result,
    check_wholes,
    shown,
)
from ..parameterizations import PREDICTIONS, coefficients
from ..schedules import OU, Schedule, Time, check_schedule, schedule_of


class Denoiser(nn.Module):
    """A network as a diffused distribution: `score`, `denoise`, `eps`, each the same answer in other words.

    The network sees (x - alpha mean) / sqrt(alpha^2 data_std^2 + sigma^2) and the log-SNR, and returns `prediction`, one of
    "eps", "x0", "v", "score"; `parameterizations` makes the others of it. A stack of c networks takes x (c, m, *event_shape) and
    t a number, (m,) or (c, m); the samplers run all copies at once when they start from `prior((c, m, *event_shape), ...)`.
    The network works in the dtype of its weights, everything around it in the dtype of x.

    Args:
        network: maps (x, log_snr) to the shape of x, and says its event_shape; see above.
        schedule: of the noise; None for the Ornstein-Uhlenbeck process.
        prediction: what the network returns.
        data_std: standard deviation of the data, a positive number.
        mean: of the data, a number or a tensor of the event_shape.
        event_shape: shape of a sample, where it is not the network's own (an MLP on images).

    Raises:
        ValueError: another prediction, a network without an event_shape, shapes that do not fit, numbers that are not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule | None = None,
        *,
        prediction: str = "eps",
        data_std: float = 1.0,
        mean: float | Tensor = 0.0,
        event_shape: tuple[int, ...] | None = None,
    ):
        super().__init__()
        if not isinstance(prediction, str) or prediction not in PREDICTIONS:
            raise ValueError(f"prediction = {shown(prediction)}: one of {', '.join(PREDICTIONS)} is needed")
        if not isinstance(network, nn.Module) or not hasattr(network, "event_shape"):
            raise ValueError(f"network is {type(network).__name__}: a module with an event_shape is needed")
        self.network, self.schedule = network, OU() if schedule is None else check_schedule(schedule)
        self.prediction, self.data_std = prediction, check_positive(data_std, "data_std")
        self.event_shape = check_wholes(network.event_shape if event_shape is None else event_shape, "event_shape")
        if self.d != math.prod(network.event_shape):
            raise ValueError(f"event_shape = {self.event_shape}: {math.prod(network.event_shape)} values are needed")
        given = mean.detach().clone() if isinstance(mean, Tensor) else torch.tensor(check_real(mean, "mean"))
        self.register_buffer("mean", given)
        if not self.mean.isfinite().all():
            raise ValueError(
                f"mean = {self.mean.tolist() if self.mean.ndim == 0 else 'a tensor'}: finite values are needed"
            )
        if self.mean.ndim and self.mean.shape != self.event_shape:
            raise ValueError(f"mean has shape {tuple(self.mean.shape)}: a number or {self.event_shape} is needed")

    @property
    def d(self) -> int:
        """Dimension: the number of values of one sample."""
        return math.prod(self.event_shape)

    @property
    def copies(self) -> int | None:
        """Number of networks in the stack, None for a single network."""
        return getattr(self.network, "copies", None)

    def score(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned grad log p_t(x), shape of x. `schedule`, if given, must be the one of this denoiser."""
        return self.predict("score", x, t, schedule=schedule)

    def denoise(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned E[X_0 | X_t = x], shape of x."""
        return self.predict("x0", x, t, schedule=schedule)

    def eps(self, x: Tensor, t: Time, *, schedule: Schedule | None = None) -> Tensor:
        """Learned E[eps | X_t = x] = -sigma score, shape of x."""
        return self.predict("eps", x, t, schedule=schedule)

    def predict(
        self, target: str, x: Tensor, t: Time, *, schedule: Schedule | None = None, head_mask: Tensor | None = None
    ) -> Tensor:
        """Any of "eps", "x0", "v", "score", shape of x. Raises ValueError for another schedule, bad x or bad t.

        head_mask: weights of the heads of a `dit.DiT`, (m, L, H) or (m, L, H, N).
        """
        schedule_of(schedule, self)
        lead = self._check(x)
        t = self._times(t, lead).to(x.device)
        out = self._raw(x, t, lead, {} if head_mask is None else {"head_mask": head_mask})
        if target == self.prediction:
            return out
        factors = coefficients(self.prediction, target, t, schedule=self.schedule)
        a, b = (check_result(k.to(x), f"{target} at this t", "more noise is needed") for k in factors)
        return a * x + b * out

    def _raw(self, x: Tensor, t: Tensor, lead: tuple[int, ...], options: dict) -> Tensor:
        """What the network says, shape of x; t broadcasts against x."""
        like = next(self.network.parameters())
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        scale = (alpha**2 * self.data_std**2 + sigma**2).rsqrt().to(x)
        z = (x - alpha.to(x) * self.mean.to(x)) * scale
        log_snr = self.schedule.log_snr(t).to(like).reshape(t.shape[: len(lead)]).expand(lead)
        z = z.reshape(*lead, *self.network.event_shape).to(like)
        return self.network(z, log_snr, **options).to(x).reshape(x.shape)

    def _check(self, x: Tensor) -> tuple[int, ...]:
        """(m,) or (c, m), after the check of x."""
        lead = () if self.copies is None else (self.copies,)
        good = isinstance(x, Tensor) and x.is_floating_point() and x.ndim == len(lead) + 1 + len(self.event_shape)
        if not good or x.shape[: len(lead)] != lead or x.shape[len(lead) + 1 :] != self.event_shape or not x.numel():
            found = f"shape {tuple(x.shape)}, {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
            want = ", ".join(map(str, (*lead, "m", *self.event_shape)))
            raise ValueError(f"x is {found}: a floating-point tensor of shape ({want}) is needed")
        check_finite(x, "x")
        return tuple(x.shape[: len(lead) + 1])

    def _times(self, t: Time, lead: tuple[int, ...]) -> Tensor:
        """t in float64 with as many dimensions as x: (1, 1, ...), (1, m, 1, ...) or (c, m, 1, ...)."""
        t = self.schedule.check_time(t)
        if tuple(t.shape) not in {(), lead[-1:], lead}:
            raise ValueError(f"t has shape {tuple(t.shape)}: a number, {lead[-1:]} or {lead} is needed")
        return t.reshape(*[1] * (len(lead) - t.ndim), *t.shape, *[1] * len(self.event_shape))

    def copy(self, i: int) -> "Denoiser":
        """Copy i of a stack as a denoiser with a single network of its own."""
        return self.with_network(self.network.copy(i))

    @classmethod
    def stack(cls, models: Sequence["Denoiser"]) -> "Denoiser":
        """Single denoisers that differ only in their weights, as a stack."""
        first = models[0]
        for m in models:
            same = (m.schedule, m.prediction, m.data_std, m.event_shape)
            if (
                same != (first.schedule, first.prediction, first.data_std, first.event_shape)
                or (m.mean != first.mean).any()
            ):
                raise ValueError(
                    "models differ in schedule, prediction, data_std, mean or event_shape: equal ones are needed"
                )
        return first.with_network(type(first.network).stack([m.network for m in models]))

    def with_network(self, network: nn.Module) -> "Denoiser":
        """The same denoiser around another network for the same samples."""
        return type(self)(
            network, self.schedule, prediction=self.prediction, data_std=self.data_std, mean=self.mean,
            event_shape=self.event_shape,
        )  # fmt: skip
