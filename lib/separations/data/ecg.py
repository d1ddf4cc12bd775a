"""Single heartbeats from a recording of the heart: gaps and pops are cut out, an inverted record is turned."""

from collections import Counter
from dataclasses import dataclass
from numbers import Real

import numpy as np
from torch import Tensor

from .formats import ECG_LENGTH

FILLED = 0.01  # s: a shorter gap is filled by a straight line, a QRS complex is ten times as long
MARGIN = 0.05  # s: cut on both sides of a pop
FLAT = 1.0  # s: the same value for as long is no heart
BRIDGED = 1.0  # s: over a longer gap the detector starts anew
BLOCK = 2.0  # s: holds a beat at 30 beats a minute
SHORTEST = 5.0  # s: the detector needs two to learn
WINDOW = 10.0  # s: in which it is decided whether the record is upside down
LONGEST_BEAT = 2.0  # s: after a longer interval the electrode was off, the beat has no end
POP = 5.0  # times the usual amplitude: an extra beat has up to three
SKEWNESS = 0.5  # of the band of the QRS complex: about 2 where the R peaks point up, -2 where they point down


@dataclass(frozen=True)
class Beats:
    """Heartbeats of a recording, and what became of the rest of it."""

    x: np.ndarray  # float64 (n, 140), mean 0 and variance 1
    peaks: np.ndarray  # int64 (n,), the sample of each R peak
    notes: tuple[str, ...]  # what was filled, cut, turned or left out; empty if nothing was


def cut_beats(ecg: object, rate: float) -> Beats:
    """All whole heartbeats in a recording, from 40 % of the local beat length before each R peak to 60 % after it.

    ecg: one lead, (samples,), in any unit; NaN and infinite samples are missing. rate: samples a second, above 60.
    A gap of up to 10 ms is filled. What is missing for longer, or further from the baseline than 5 times the usual
    amplitude, is cut out, with the beats that touch it. Where the R peaks point down the record is turned.
    ValueError for another shape or kind, and if no heartbeat is left.
    """
    signal, rate = _one_lead(ecg), _rate(rate)
    if len(signal) < SHORTEST * rate:
        raise ValueError(
            f"ecg has {len(signal)} samples, {len(signal) / rate:.3g} s: at least {SHORTEST:g} s are needed"
        )
    signal, bad, limit, notes = _mended(signal, rate)
    left_out = Counter()
    found = [
        _beats_of(signal, bad, rate, piece, notes, left_out)
        for stretch in _stretches(signal, bad, rate, limit, notes)
        for piece in _turned(signal, rate, stretch, limit, notes)
    ]
    notes += [f"{count} beats {what}: left out" for what, count in left_out.items() if count]
    x, peaks, lengths = (np.concatenate(parts) for parts in zip(_NOTHING, *found))
    return Beats(x, peaks, tuple(_checked(len(signal), rate, lengths, notes)))


_NOTHING = (np.empty((0, ECG_LENGTH)), np.empty(0, dtype=np.int64), np.empty(0))


def _one_lead(ecg: object) -> np.ndarray:
    """The recording as float64 (samples,), missing samples NaN, by a power of two where squares would overflow."""
    try:
        values = ecg.detach().cpu().double().numpy() if isinstance(ecg, Tensor) else np.ma.asarray(ecg)
    except (TypeError, ValueError, RuntimeError):
        values = np.ma.asarray("")
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise ValueError(
            f"ecg is {values.dtype} of shape {values.shape}: the numbers of one lead, (samples,), are needed"
        )
    with np.errstate(over="ignore"):
        signal = np.ma.filled(values.astype(np.float64), np.nan)
    finite = np.isfinite(signal)
    if not finite.any():
        raise ValueError(f"ecg has {len(signal)} samples, none of them a finite number: a recording is needed")
    _, exponent = np.frexp(np.median(np.abs(signal[finite])))
    if abs(exponent) > 100:
        signal = np.ldexp(signal, -exponent)
    return np.where(finite & (np.abs(signal) < 1e100), signal, np.nan)


def _rate(rate: object) -> float:
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 60 < rate < 1e6:
        raise ValueError(f"rate = {rate!r}: samples a second are needed, a number above 60 (and under 1,000,000)")
    return float(rate)


def _mended(signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, float, list[str]]:
    """The signal without holes, where it is bad all the same, the deviation that makes a pop, and notes."""
    missing, notes = ~np.isfinite(signal), []
    short = np.zeros_like(missing)
    for start, end in _runs(missing):
        short[start:end] = 0 < start and end < len(signal) and end - start <= max(1, FILLED * rate)
    if short.any():
        notes.append(f"missing samples, at most {FILLED:g} s at a time: {short.sum()} filled by straight lines")
    if (missing & ~short).any():
        notes.append(f"{_lengths(missing & ~short, rate)} missing: cut out")
    deviation, amplitude = _deviation(signal, rate)
    pops = np.zeros_like(missing)
    pops[~missing] = deviation[~missing] > POP * amplitude
    for start, end in _runs(pops):
        pops[max(0, start - int(MARGIN * rate)) : end + int(MARGIN * rate)] = True
    if pops.any():
        notes.append(f"{_lengths(pops, rate)} beyond {POP:g} times the usual amplitude: cut out")
    flat = np.zeros_like(missing)
    for start, end in _runs(np.diff(signal) == 0):
        flat[start : end + 1] = end - start >= FLAT * rate
    if flat.any():
        notes.append(f"{_lengths(flat, rate)} without any change: cut out")
    good = ~(missing | pops | flat)
    if not good.any():
        raise ValueError(f"ecg: nothing is left of it ({'; '.join(notes)}): a recording is needed")
    filled = signal.copy()
    filled[~good] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), signal[good])
    return filled, ~(good | short), POP * amplitude, notes


def _deviation(signal: np.ndarray, rate: float) -> tuple[np.ndarray, float]:
    """Distance of each sample from the baseline (medians of two seconds), and the usual range within two seconds."""
    width = int(BLOCK * rate)
    blocks = signal[: len(signal) // width * width].reshape(-1, width)
    known = np.isfinite(blocks).sum(1) > width / 2
    if not known.any():
        raise ValueError(f"ecg has no {BLOCK:g} s of which half is there: a recording is needed")
    deviation = signal - _baseline(np.nanmedian(blocks[known], axis=1), np.flatnonzero(known), width, len(signal))
    rows = deviation[: blocks.size].reshape(-1, width)[known]
    ranges = np.nanmax(rows, axis=1) - np.nanmin(rows, axis=1)
    if not (ranges > 0).any():
        raise ValueError("ecg is flat, all its samples are the same: a recording is needed")
    return np.abs(deviation), float(np.median(ranges[ranges > 0]))


def _baseline(medians: np.ndarray, blocks: np.ndarray, width: int, n: int) -> np.ndarray:
    """Straight lines through the medians at the centres of their blocks, and on to both ends."""
    centres = (blocks + 0.5) * width
    if len(centres) > 1:
        slopes = np.diff(medians)[[0, -1]] / np.diff(centres)[[0, -1]]
        ends = np.array([centres[0] - width, centres[-1] + width])
        outer = medians[[0, -1]] + slopes * (ends - centres[[0, -1]])
        centres = np.concatenate([ends[:1], centres, ends[1:]])
        medians = np.concatenate([outer[:1], medians, outer[1:]])
    return np.interp(np.arange(n), centres, medians)


def _stretches(
    signal: np.ndarray, bad: np.ndarray, rate: float, limit: float, notes: list[str]
) -> list[tuple[int, int]]:
    """Stretches over which the detector may run: between long gaps, and jumps of the baseline."""
    breaks = [
        (start, end)
        for start, end in _runs(bad)
        if end - start > BRIDGED * rate or start == 0 or end == len(bad) or abs(signal[end] - signal[start - 1]) > limit
    ]
    starts, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(bad)]
    stretches = [(start, end) for start, end in zip(starts, ends) if end > start]
    short = [end - start for start, end in stretches if end - start < SHORTEST * rate]
    if short:
        notes.append(
            f"{len(short)} stretches between them of less than {SHORTEST:g} s, {sum(short) / rate:.3g} s: left out"
        )
    return [(start, end) for start, end in stretches if end - start >= SHORTEST * rate]


def _turned(
    signal: np.ndarray, rate: float, stretch: tuple[int, int], limit: float, notes: list[str]
) -> list[tuple[int, int, int]]:
    """The stretch in pieces (start, end, sign): sign -1 where the R peaks point down; cut out where that changes."""
    start, end = stretch
    edges = np.linspace(start, end, max(1, int((end - start) / (WINDOW * rate))) + 1).astype(int)
    band = _qrs_band(signal[start:end], rate)
    quiet = limit / POP / 100  # the filter rings where the record becomes flat: no sign of anything
    signs = _settled([_sign(band[a - start : b - start], quiet) for a, b in zip(edges, edges[1:])])
    changes = [i for i in range(1, len(signs)) if signs[i] != signs[i - 1]]
    pieces = []
    for first, last in zip([0, *changes], [*changes, len(signs)]):
        a, b = edges[first + (first > 0)], edges[last - (last < len(signs))]
        if b - a >= SHORTEST * rate:
            pieces.append((int(a), int(b), signs[first]))
            if signs[first] < 0:
                notes.append(f"upside down from {a / rate:.4g} s to {b / rate:.4g} s, the R peaks point down: turned")
    if changes:
        times = ", ".join(f"{edges[i] / rate:.4g} s" for i in changes)
        notes.append(f"the record turns upside down or back about {times}: {WINDOW:g} s on both sides cut out")
    return pieces


def _qrs_band(signal: np.ndarray, rate: float) -> np.ndarray:
    import scipy.signal

    return scipy.signal.sosfiltfilt(scipy.signal.butter(2, (5, 30), "bandpass", output="sos", fs=rate), signal)


def _sign(band: np.ndarray, quiet: float) -> int:
    """1 or -1 where the skewness shows that the R peaks point up or down, 0 where it does not show."""
    scale = np.sqrt((band**2).mean())
    skewness = ((band / scale) ** 3).mean() if scale > quiet else 0.0
    return int(np.sign(skewness)) if abs(skewness) > SKEWNESS else 0


def _settled(signs: list[int]) -> list[int]:
    """The signs of all windows: one in which none shows, or that stands alone, has that of its neighbours."""
    known = [sign for sign in signs if sign] or [1]
    filled = []
    for sign in signs:
        filled.append(sign or (filled[-1] if filled else known[0]))
    if len(filled) < 3:
        return filled
    ends = [filled[2], *filled, filled[-3]]  # the first and the last window have two neighbours on one side
    return [near if near == after else sign for near, sign, after in zip(ends, filled, ends[2:])]


def _beats_of(
    signal: np.ndarray, bad: np.ndarray, rate: float, piece: tuple[int, int, int], notes: list[str], left_out: Counter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beats of one piece, their R peaks and lengths in samples."""
    import sleepecg

    start, end, sign = piece
    found = np.ptp(signal[start:end]) > 0
    peaks = start + sleepecg.detect_heartbeats(sign * signal[start:end], rate) if found else np.empty(0, dtype=int)
    if len(peaks) < 3:
        what = "no whole heartbeat" if found else "flat"
        notes.append(f"{what} from {start / rate:.4g} s to {end / rate:.4g} s: left out")
        return _NOTHING
    before, after = np.diff(peaks)[:-1], np.diff(peaks)[1:]
    centre, length = peaks[1:-1], (before + after) / 2
    whole = np.maximum(before, after) < LONGEST_BEAT * rate
    first, last = np.floor(centre - 0.4 * length).astype(int), np.ceil(centre + 0.6 * length).astype(int)
    inside = (first >= start) & (last < end)
    sums = np.concatenate([[0], np.cumsum(bad)])
    first, last = np.minimum(first, peaks[:-2]).clip(start), np.maximum(last, peaks[2:]).clip(max=end - 1)
    clean = sums[last + 1] == sums[first]
    left_out["beside an interval of more than two seconds"] += int((~whole).sum())
    left_out["beside what is cut out"] += int((whole & ~clean).sum())
    left_out["that begin or end where the record does not go"] += int((whole & clean & ~inside).sum())
    kept = whole & clean & inside
    return _windows(signal, sign, centre[kept], length[kept], left_out)


def _windows(
    signal: np.ndarray, sign: int, centre: np.ndarray, length: np.ndarray, left_out: Counter
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The beats around their R peaks as 140 samples of mean 0 and variance 1."""
    times = centre[:, None] + length[:, None] * (np.linspace(0, 1, ECG_LENGTH) - 0.4)
    x = sign * np.interp(times, np.arange(len(signal)), signal)
    mean, scale = x.mean(1, keepdims=True), x.std(1, keepdims=True)
    varied = scale[:, 0] > 1e-9 * np.abs(x).max(1)
    left_out["that are flat"] += int((~varied).sum())
    return ((x - mean)[varied] / scale[varied], centre[varied].astype(np.int64), length[varied])


def _checked(n: int, rate: float, lengths: np.ndarray, notes: list[str]) -> list[str]:
    """The notes, with what is odd about all beats together; ValueError if there is none."""
    if not len(lengths):
        reasons = "; ".join(notes) or "nothing looks like one"
        raise ValueError(f"ecg: no heartbeat in {n / rate:.4g} s at rate = {rate:g} ({reasons}): a recording is needed")
    typical, share = np.median(lengths) / rate, lengths.sum() / n
    if not 1 / 3 <= typical <= 1.5:
        notes.append(f"{60 / typical:.0f} beats a minute: is rate = {rate:g} right?")
    if share < 0.8:
        notes.append(f"the heartbeats found cover {share:.0%} of the record only (is rate = {rate:g} right?)")
    return notes


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """The runs of True as (start, end), end not in it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]


def _lengths(mask: np.ndarray, rate: float) -> str:
    runs = _runs(mask)
    return f"{len(runs)} {'stretch' if len(runs) == 1 else 'stretches'}, {mask.sum() / rate:.3g} s in all,"
