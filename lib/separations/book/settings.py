"""Settings of a build as they come from `make` and Snakemake: text, or what Snakemake has made of it."""

import re

YES, NO = ("1", "true", "yes"), ("0", "false", "no", "", "none")
LONGEST = 10**7  # seconds; a kernel's clock overflows beyond, and nobody waits for four months


def whole(value: object, name: str, low: int = 1, high: int = 10**6) -> int:
    """A whole number from low to high. name: of the setting, for the message of the ValueError otherwise."""
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
        raise ValueError(f"{name} = {'' if value is None else value}: a whole number from {low} to {high} is needed")
    return int(text)


def yes(value: object, name: str) -> bool:
    """Whether a setting says yes: 1, true, yes; or 0, false, no, nothing. ValueError for any other word."""
    text = str(value).strip().lower()
    if text not in YES + NO:
        raise ValueError(f"{name} = {value}: 1, true, yes, 0, false, no or nothing is needed")
    return text in YES


def one_of(value: object, name: str, words: tuple[str, ...]) -> str:
    """One of some words. ValueError otherwise."""
    if str(value) not in words:
        raise ValueError(f"{name} = {value}: one of {', '.join(words) or 'nothing'} is needed")
    return str(value)
