"""Numbers and foreign text in words, for the audit's page and for a terminal.

File names, metadata and notes come from outside: whatever they hold, they show as that text, on one line.
"""

import html
import math
import re

LONGEST = 120  # characters of a text from outside that are shown
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # no page can hold these
TURNING = re.compile(
    "[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)  # unseen, or turns what stands around it
BLANKS = re.compile(r"[ \t\n\r]+")
NONE = "–"
NBSP = "\u00a0"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def shown(text: object, longest: int = LONGEST) -> str:
    """Any text on one line, the middle of a long one left out; marks that turn the direction of writing show as their codes."""
    if text is None or (isinstance(text, float) and not math.isfinite(text)):
        return NONE
    line = BLANKS.sub(" ", UNSEEN.sub("�", str(text))).strip(" ")
    line = TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    if len(line) > longest:
        tail = longest // 3
        line = f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return line or NONE


def plain(text: object, longest: int = LONGEST) -> str:
    """Any text as HTML that shows exactly that text: for the inside of an element, and for an attribute in double quotes."""
    return html.escape(shown(text, longest), quote=True)


def name(text: object, longest: int = LONGEST) -> str:
    """Any text as an element of its own: letters written from right to left stay inside it."""
    return f"<bdi>{plain(text, longest)}</bdi>"


def finite(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    try:
        value = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def estimate(value: object) -> tuple[float | None, float | None, float | None]:
    """(value, low, high) of {"value": x, "low": a, "high": b} or of a number; None for what is missing or not finite."""
    if isinstance(value, dict):
        return finite(value.get("value")), finite(value.get("low")), finite(value.get("high"))
    return finite(value), None, None


def known(value: object) -> bool:
    """Whether an estimate has a value."""
    return estimate(value)[0] is not None


def number(value: object) -> str:
    """Three digits: 0.0123, 26.8, 2,550; a power of ten below 0.0001 and from a million on; a dash for what is no number."""
    value = finite(value)
    if value is None:
        return NONE
    size = abs(value)
    if 1000 <= size < 1e6:
        return _minus(f"{round(value, 2 - int(math.log10(size))):,.0f}")
    return _minus(f"{value:.3g}")


def count(value: object) -> str:
    """A whole number with commas: 60,000."""
    value = finite(value)
    return NONE if value is None else _minus(f"{value:,.0f}")


def percent(value: object) -> str:
    """A share in [-1, 1] in percent: 3.2 %, 97.5 %, 0.042 %."""
    value = finite(value)
    return NONE if value is None else f"{_hundredths(value)}{NBSP}%"


def share(value: object) -> str:
    """A share with its interval: 3.2 % (2.2 to 4.6 %)."""
    middle, low, high = estimate(value)
    if middle is None or low is None or high is None:
        return percent(middle)
    return f"{percent(middle)} ({_hundredths(low)} to {percent(high)})"


def measure(value: object) -> str:
    """A number with its interval: 0.231 (0.20 to 0.26)."""
    middle, low, high = estimate(value)
    if middle is None or low is None or high is None:
        return number(middle)
    return f"{number(middle)} ({number(low)} to {number(high)})"


def _hundredths(value: float) -> str:
    hundred = 100 * value
    if 0 < abs(hundred) < 0.001:
        return f">{NBSP}−0.001" if hundred < 0 else f"<{NBSP}0.001"
    size = abs(hundred)
    text = f"{hundred:.3g}" if size >= 9.95 or size == 0 else f"{hundred:.1f}" if size >= 0.995 else f"{hundred:.2g}"
    if abs(value) < 1 and text in ("100", "-100"):
        text = f"{hundred:.4g}"
    return _minus(text)


def _minus(text: str) -> str:
    digits, _, power = re.sub(r"^-(0(?:\.0*)?)$", r"\1", text).partition("e")
    raised = f"{NBSP}×{NBSP}10{str(int(power)).translate(RAISED)}" if power else ""
    return digits.replace("-", "−") + raised
