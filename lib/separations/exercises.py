"""Checks of exercises report: a wrong answer, or one that fails, becomes a word, and the notebook runs on."""

import functools
from collections.abc import Callable

BLANK = "not attempted yet"
WRONG = "not yet"
RIGHT = ("right", "correct")  # how the word for a right answer begins


def reported(check: Callable[..., str | None]) -> Callable[..., str]:
    """A check that always returns a word, as a decorator.

    Args:
        check: takes answers of a student; it returns its word, or raises where an answer is wrong.

    Returns:
        The check; where it raised, its word is "not yet: " and what was raised.
    """

    @functools.wraps(check)
    def report(*answers) -> str:
        try:
            return str(check(*answers) or RIGHT[0])
        except Exception as error:
            return word_of(error)

    return report


def word_of(error: BaseException) -> str:
    """What a check says of an exception: its text, and its kind where it is not the check's own."""
    said = " ".join(str(error).split())
    if isinstance(error, AssertionError):
        return f"{WRONG}: {said}" if said else WRONG
    return f"{WRONG}: {type(error).__name__}: {said}" if said else f"{WRONG}: {type(error).__name__}"


def outcome(word: str) -> str:
    """'right', 'blank' or 'wrong', of the word that a check returned."""
    said = word.strip()
    if said.startswith(BLANK):
        return "blank"
    return "right" if said.startswith(RIGHT) else "wrong"
