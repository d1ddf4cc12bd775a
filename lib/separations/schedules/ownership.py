"""The one schedule of a computation: the laws and networks in it own theirs, and two that disagree are an error."""

from ..numerics.checks import shown
from .base import Schedule
from .processes import OU


def check_schedule(schedule: object) -> Schedule:
    """schedule, if it is one; ValueError otherwise."""
    if not isinstance(schedule, Schedule):
        raise ValueError(f"schedule = {shown(schedule)}: a Schedule, as OU(), is needed")
    return schedule


def owned_by(owner: object) -> Schedule | None:
    """The schedule that a law, a network or a hybrid was given; None where it has none of its own. ValueError for what is no schedule."""
    own = owner.own_schedule if hasattr(owner, "own_schedule") else getattr(owner, "schedule", None)
    if own is not None and not isinstance(own, Schedule):
        raise ValueError(f"{type(owner).__name__}.schedule = {shown(own)}: a Schedule, as OU(), or None is needed")
    return own


def schedule_of(given: object, *owners: object) -> Schedule:
    """The one schedule of a computation: the given one, else that of the owners; OU() where nobody has one.

    A law that was made without a schedule follows the others.

    Args:
        given: a schedule, or None.
        owners: laws, networks or hybrids that take part.

    Returns:
        The schedule.

    Raises:
        ValueError: where two disagree, naming both, and for what is no schedule.
    """
    found = [] if given is None else [("schedule", check_schedule(given))]
    found += [(type(owner).__name__, own) for owner in owners if (own := owned_by(owner))]
    for (first, one), (second, other) in zip(found, found[1:]):
        if (type(one), vars(one)) != (type(other), vars(other)):
            raise ValueError(
                f"schedule: {first} has {one} and {second} has {other}; one is needed, and law.under(schedule) gives a law another"
            )
    return found[0][1] if found else OU()
