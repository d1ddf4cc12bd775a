"""Noise schedules: what noise at time t means. X_t = alpha(t) X_0 + sigma(t) eps, with eps standard normal.

Every schedule is a linear forward process dX = drift(t) X dt + diffusion(t) dB (Song et al. 2021), so that

    drift(t) = d log alpha / dt,        diffusion(t)^2 = d sigma^2 / dt - 2 drift(t) sigma^2.

Time runs from 0 (data) to ``t_max`` (noise). All methods take a number or a tensor and return a tensor of the same
shape; numbers give float64. The formulas avoid 1 - (something close to 1), so sigma is right to full precision as t -> 0.
"""

import math

from torch import Tensor

from ..numerics.checks import as_numbers, ends, is_plain

Time = float | Tensor


def _as_level(log_snr: Time) -> Tensor:
    """log_snr as it is where it is a floating-point tensor, else as float64. ValueError for what is no number."""
    if not isinstance(log_snr, Tensor) or not log_snr.is_floating_point():
        return as_numbers(log_snr, "log_snr")
    if log_snr.device.type == "cpu" and log_snr.isnan().any():
        raise ValueError("log_snr has NaN: numbers are needed")
    return log_snr


class Schedule:
    """Base of all schedules. A subclass gives alpha, sigma, drift, diffusion and _time_of_level."""

    t_max: float = math.inf

    def _time(self, t: Time) -> Tensor:
        """t as it is where it is a floating-point tensor, else as float64. ValueError outside [0, t_max]; on a GPU not looked at."""
        if not is_plain(t) or not t.is_floating_point():
            t = as_numbers(t, "t", nan=True)
        if t.device.type == "cpu" and t.numel():
            (low, high), last = ends(t), self.t_max * (1 + 1e-6)  # a grid in float32 may end a rounding error late
            if not (low >= 0 and high <= last):
                self._refuse(t[~((t >= 0) & (t <= last))].flatten()[0].item(), "[")
            if high > self.t_max:
                return t.clamp(max=self.t_max)
        return t

    def _refuse(self, t: float, bracket: str):
        end = "inf)" if math.isinf(self.t_max) else f"{self.t_max:g}]"
        raise ValueError(f"t = {t:g} is not allowed: t must lie in {bracket}0, {end} for {self}")

    def alpha(self, t: Time) -> Tensor:
        """Factor on the data at time t, shape of t."""
        raise TypeError(f"{type(self).__name__} does not define alpha(t)")

    def sigma(self, t: Time) -> Tensor:
        """Standard deviation of the noise at time t, shape of t."""
        raise TypeError(f"{type(self).__name__} does not define sigma(t)")

    def drift(self, t: Time) -> Tensor:
        """Coefficient of X dt in the forward process, d log alpha / dt (per unit of t), shape of t."""
        raise TypeError(f"{type(self).__name__} does not define drift(t)")

    def diffusion(self, t: Time) -> Tensor:
        """Coefficient of dB in the forward process (per square root of the unit of t), shape of t."""
        raise TypeError(f"{type(self).__name__} does not define diffusion(t)")

    def time_from_log_snr(self, log_snr: Time) -> Tensor:
        """Inverse of log_snr: the time at which alpha^2 / sigma^2 is exp(log_snr).

        Args:
            log_snr: a number or a tensor; inf is t = 0, and -inf is t_max where the noise leaves nothing of the data there.

        Returns:
            Times in [0, t_max], shape of log_snr; float64 for numbers.

        Raises:
            ValueError: for NaN, and below the log-SNR of t_max, which the schedule never reaches (on a GPU not looked at).
        """
        level = _as_level(log_snr)
        t = self._time_of_level(level)
        if t.device.type == "cpu" and (late := ~(t <= self.t_max * (1 + 1e-6))).any():
            raise ValueError(
                f"log_snr = {level[late].flatten()[0].item():g}: at least {float(self.log_snr(self.t_max)):g}, that of the last time "
                f"of {self}, is needed"
            )
        return t.clamp(max=self.t_max)

    def _time_of_level(self, level: Tensor) -> Tensor:
        """The inverse where there is one; later than t_max, or NaN, where there is none."""
        raise TypeError(f"{type(self).__name__} does not define _time_of_level(level)")

    def log_snr(self, t: Time) -> Tensor:
        """Log signal-to-noise ratio log(alpha^2 / sigma^2) at time t, shape of t."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def add_noise(self, x0: Tensor, t: Time, eps: Tensor) -> Tensor:
        """X_t = alpha(t) x0 + sigma(t) eps in the dtype of x0: the one place where noise is added.

        Args:
            x0: data, (m, *event_shape).
            t: a number, (m,) for the m rows of x0, or of as many dimensions as x0 or one less, and then it broadcasts against it.
            eps: standard normal noise, the shape of x0.

        Returns:
            The shape of x0.

        Raises:
            ValueError: where eps has another shape than x0, t has not one time for each row, or leaves [0, t_max].
        """
        if eps.shape != x0.shape:
            raise ValueError(f"eps has shape {tuple(eps.shape)}: the shape of x0, {tuple(x0.shape)}, is needed")
        t = as_numbers(t, "t", nan=True).to(x0.device)
        if t.ndim == 1:
            if t.shape != x0.shape[:1]:
                raise ValueError(
                    f"t has shape {tuple(t.shape)}: a number, or shape ({len(x0)},), one time per row, is needed"
                )
            t = t.reshape(-1, *[1] * (x0.ndim - 1))
        return self.alpha(t).to(x0) * x0 + self.sigma(t).to(x0) * eps

    def check_time(self, t: Time, *, zero: bool = False) -> Tensor:
        """t, if 0 < t <= t_max and finite.

        Args:
            t: a number or a tensor.
            zero: whether t = 0 is allowed as well.

        Returns:
            t as a float64 tensor of its shape.

        Raises:
            ValueError: for another t, naming the first one.
        """
        t = as_numbers(t, "t", nan=True)
        low, high = ends(t)
        if not ((low >= 0 if zero else low > 0) and high <= self.t_max and math.isfinite(high)):
            good = (t >= 0 if zero else t > 0) & (t <= self.t_max) & t.isfinite()
            self._refuse(t[~good].flatten()[0].item(), "[" if zero else "(")
        return t
