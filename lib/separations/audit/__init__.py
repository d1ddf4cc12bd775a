"""Does a model copy its training set? Sets, detectors, calibration, report; and what the model itself knows."""

from .auditing import Audit, audit
from .calibration import Calibrated, calibrate
from .model import examine_model
from .open_model import open_model

__all__ = ["Audit", "Calibrated", "audit", "calibrate", "examine_model", "open_model"]
