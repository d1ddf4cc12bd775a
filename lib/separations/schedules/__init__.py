"""What noise at time t means: the forward processes, and who owns the one of a computation."""

from .base import Schedule
from .base import Time as Time
from .ownership import check_schedule, owned_by, schedule_of
from .processes import DDPM, OU, VE, Flow, VPCosine, VPLinear

__all__ = [
    "DDPM",
    "OU",
    "VE",
    "Flow",
    "Schedule",
    "VPCosine",
    "VPLinear",
    "check_schedule",
    "owned_by",
    "schedule_of",
]
