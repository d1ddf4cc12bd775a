"""Checks of exercises report: a wrong answer, or one that fails, becomes a word, and the notebook runs on."""

import functools
from collections.abc import Callable, Mapping

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


def must_be_right(word: str) -> None:
    """For graders that go by exceptions: AssertionError unless the word of a check is one for a right answer."""
    if outcome(word) != "right":
        raise AssertionError(word)


def tally(notebook: Mapping) -> dict[str, int]:
    """How many exercises of an executed notebook are 'right', 'wrong' and 'blank', by what their checks printed last."""
    found = {"right": 0, "wrong": 0, "blank": 0}
    for cell in notebook["cells"]:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] != "code" or "check_" not in source or "solution" in (cell["metadata"].get("tags") or []):
            continue
        streams = [out.get("text", "") for out in cell.get("outputs", []) if out["output_type"] == "stream"]
        said = "".join(text if isinstance(text, str) else "".join(text) for text in streams).strip().splitlines()
        if said and said[-1].startswith((BLANK, WRONG, *RIGHT)):
            found[outcome(said[-1])] += 1
    return found


def summary(found: Mapping[str, int]) -> str:
    """One line on the exercises of a notebook, '' where it has none that was checked."""
    total = sum(found.values())
    if not total:
        return ""
    if found["blank"] == total:
        return f"exercises: none of {total} attempted yet"
    return f"exercises: {found['right']} of {total} right, {found['wrong']} not yet, {found['blank']} not attempted yet"
