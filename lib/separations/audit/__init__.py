"""Does a model copy its training set? Sets, detectors, calibration, report; and what the model itself knows."""

from .auditing import Audit, audit
from .calibration import Calibrated, calibrate
from .gap_closed import gap_closed
from .membership import found_at_rate, membership_auc
from .model import examine_model
from .open_model import OpenedModel, open_model

__all__ = [
    "Audit",
    "Calibrated",
    "OpenedModel",
    "audit",
    "calibrate",
    "examine_model",
    "found_at_rate",
    "gap_closed",
    "membership_auc",
    "open_model",
]
