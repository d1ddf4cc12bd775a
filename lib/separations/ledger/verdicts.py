"""Verdicts: what numbers with intervals say about a claim, by one rule for all chapters.

A claim is taken apart into findings. A finding is an estimate with an interval, a criterion (the values under which its part
of the claim is true) and a precondition (what must be given for the number to mean what it says):

    holds        the precondition is met and the whole interval lies inside the criterion
    differs      the precondition is met and the whole interval lies outside
    not decided  the precondition is not met, nothing was measured, or the interval has both kinds of values

So an interval that is too wide to differ decides nothing: there is no "holds" without power, and "the same as" needs an
interval inside a stated margin. The findings together:

    holds          all hold
    differs        all differ
    holds in part  some hold and others differ
    not decided    anything else

So a failed precondition can only leave a verdict or withdraw it to *not decided*, and a finding that turns from holding to
differing never raises it in the order holds, in part, differs, nor makes it *holds*. `findings` makes findings
from what chapters measure.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real

HOLDS, IN_PART, DIFFERS, NOT_DECIDED = "holds", "holds in part", "differs", "not decided"
VERDICTS = (HOLDS, IN_PART, DIFFERS, NOT_DECIDED)


@dataclass(frozen=True)
class Criterion:
    """The values under which a part of a claim is true: least <= value <= most, or strictly between if `strict`."""

    least: float = -math.inf
    most: float = math.inf
    strict: bool = False

    def __post_init__(self):
        for name in ("least", "most"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
                raise ValueError(f"{name} = {value!r}: a number is needed")
            object.__setattr__(self, name, float(value))
        if self.least > self.most or (self.strict and self.least == self.most):
            raise ValueError(f"least = {self.least}, most = {self.most}: no value can meet this criterion")
        if self.least == -math.inf and self.most == math.inf:
            raise ValueError("a criterion needs an end: every value would meet this one")

    def contains(self, value: float) -> bool:
        """Whether a value meets the criterion."""
        if self.strict:
            return self.least < value < self.most
        return self.least <= value <= self.most

    def judge(self, low: float, high: float) -> str:
        """What an interval says: holds, differs or not decided. low <= high."""
        if self.contains(low) and self.contains(high):
            return HOLDS
        outside = (high <= self.least or low >= self.most) if self.strict else (high < self.least or low > self.most)
        return DIFFERS if outside else NOT_DECIDED

    def __str__(self) -> str:
        least, most = f"{self.least:.4g}", f"{self.most:.4g}"
        if self.most == math.inf:
            return f"above {least}" if self.strict else f"at least {least}"
        if self.least == -math.inf:
            return f"below {most}" if self.strict else f"at most {most}"
        if self.least == self.most:
            return f"exactly {least}"
        return f"between {least} and {most}"


def above(bound: float) -> Criterion:
    """The criterion value > bound."""
    return Criterion(least=bound, strict=True)


def below(bound: float) -> Criterion:
    """The criterion value < bound."""
    return Criterion(most=bound, strict=True)


def at_least(bound: float) -> Criterion:
    """The criterion value >= bound."""
    return Criterion(least=bound)


def at_most(bound: float) -> Criterion:
    """The criterion value <= bound."""
    return Criterion(most=bound)


def between(least: float, most: float) -> Criterion:
    """The criterion least <= value <= most.

    Args:
        least, most: the ends; one of them may be infinite.

    Returns:
        `Criterion`.

    Raises:
        ValueError: for NaN, least > most, and two infinite ends.
    """
    return Criterion(least, most)


def near(value: float, margin: float) -> Criterion:
    """The criterion |x - value| <= margin: equality needs a margin, stated before the number is known.

    Args:
        value: what x is to equal.
        margin: finite, >= 0.

    Returns:
        `Criterion`.

    Raises:
        ValueError: for another margin.
    """
    if not 0 <= margin < math.inf:
        raise ValueError(f"margin = {margin}: a finite number, not negative, is needed")
    return Criterion(value - margin, value + margin)


@dataclass(frozen=True)
class Finding:
    """One part of a claim: a number, its interval, the criterion that it is to meet. Made by the functions of `findings`.

    what: a few words that name the number; estimate: None where nothing was measured; unmet: the precondition that is not given,
    empty where all are. ValueError for an interval without its estimate.
    """

    what: str
    estimate: float | None
    low: float
    high: float
    criterion: Criterion
    unmet: str = ""

    def __post_init__(self):
        if not isinstance(self.what, str) or not self.what.strip():
            raise ValueError(f"what = {self.what!r}: a few words that name the number are needed")
        if not isinstance(self.criterion, Criterion):
            raise ValueError(
                f"criterion = {self.criterion!r}: above, below, at_least, at_most, between or near is needed"
            )
        if self.estimate is not None and not (math.isfinite(self.estimate) and self.low <= self.estimate <= self.high):
            raise ValueError(
                f"interval = ({self.low}, {self.high}) of {self.what!r} does not hold its estimate {self.estimate}"
            )

    @property
    def verdict(self) -> str:
        """holds, differs or not decided."""
        if self.estimate is None or self.unmet:
            return NOT_DECIDED
        return self.criterion.judge(self.low, self.high)

    @property
    def number(self) -> str:
        """The estimate with its interval, as a reader says it."""
        if self.estimate is None:
            return "not measured"
        if self.low == self.high:
            return f"{self.estimate:.4g}"
        return f"{self.estimate:.4g} ({self.low:.3g} to {self.high:.3g})"

    def __str__(self) -> str:
        unmet = f", without {self.unmet}" if self.unmet else ""
        return f"{self.what}: {self.number}, {self.criterion} needed{unmet}: {self.verdict}"

    def as_record(self) -> dict:
        """The finding for a JSON file: an open end is None."""
        ends = {"low": self.low, "high": self.high, "least": self.criterion.least, "most": self.criterion.most}
        ends = {name: value if math.isfinite(value) else None for name, value in ends.items()}
        record = {"what": self.what, "estimate": self.estimate, **ends, "strict": self.criterion.strict}
        return record | {"unmet": self.unmet, "verdict": self.verdict}

    @classmethod
    def from_record(cls, record: Mapping) -> "Finding":
        """The finding that `as_record` wrote. ValueError for anything else, and for a verdict that does not follow."""
        if not isinstance(record, Mapping):
            raise ValueError(f"finding = {record!r}: a mapping is needed")
        names = {"what", "estimate", "low", "high", "least", "most", "strict", "unmet", "verdict"}
        if set(record) != names or not all(isinstance(record[name], str) for name in ("what", "unmet", "verdict")):
            raise ValueError(f"finding with {', '.join(map(str, record))}: {', '.join(sorted(names))} are needed")
        numbers = [record[name] for name in ("estimate", "low", "high", "least", "most")]
        if not all(x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for x in numbers):
            raise ValueError(f"finding {record['what']!r}: its ends are to be numbers or null")
        if not isinstance(record["strict"], bool):
            raise ValueError(f"finding {record['what']!r}: strict = {record['strict']!r} is neither true nor false")
        low, high, least, most = (
            side if record[name] is None else float(record[name])
            for name, side in zip(("low", "high", "least", "most"), (-math.inf, math.inf) * 2)
        )
        criterion = Criterion(least, most, record["strict"])
        found = cls(record["what"], record["estimate"], low, high, criterion, record["unmet"])
        if found.verdict != record["verdict"]:
            raise ValueError(f"finding {found.what!r} is said to read {record['verdict']!r}: {found.verdict!r} follows")
        return found


@dataclass(frozen=True)
class Verdict:
    """What findings together say about a claim, at which scale; analogue: what stands here in place of the source's object."""

    findings: tuple[Finding, ...]
    scale: str
    analogue: str = ""

    @property
    def word(self) -> str:
        """One of `VERDICTS`."""
        return combined(found.verdict for found in self.findings)

    def __str__(self) -> str:
        return self.word


def combined(words: Iterable[str]) -> str:
    """The verdict on a claim from those on its parts."""
    words = list(words)
    if not words:
        raise ValueError("words is empty: a verdict needs at least one finding")
    if set(words) in ({HOLDS}, {DIFFERS}):
        return words[0]
    return IN_PART if HOLDS in words and DIFFERS in words else NOT_DECIDED


def verdict(findings: Finding | Iterable[Finding], scale: str, analogue: str = "") -> Verdict:
    """The verdict on a claim.

    Args:
        findings: its parts.
        scale: at which sizes they were measured, as "d = 8, n = 64, 79,000 parameters".
        analogue: if not the object of the source was measured, what was in its place.

    Returns:
        `Verdict`, whose word follows from the findings.

    Raises:
        ValueError: for no finding, an empty scale, two of one name.
    """
    parts = (findings,) if isinstance(findings, Finding) else tuple(findings)
    if not parts or not all(isinstance(part, Finding) for part in parts):
        raise ValueError(f"findings = {parts!r}: one or more findings are needed")
    if not isinstance(scale, str) or not scale.strip():
        raise ValueError(f"scale = {scale!r}: say at which sizes the numbers were measured")
    names = [part.what for part in parts]
    if len(set(names)) < len(names):
        raise ValueError(f"findings {', '.join(map(repr, names))}: each needs a name of its own")
    return Verdict(parts, scale, analogue)
