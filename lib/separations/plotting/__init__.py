"""One look for every figure of the book."""

from .colors import COLORS
from .figures import direct_labels, error_points, line_with_band, panel_label, panels, use_style
from .heat_maps import boxes, heat_map
from .images import image_grid, pairs
from .live import curves_slider, score_field_slider
from .plane import density, field, points

__all__ = [
    "COLORS",
    "boxes",
    "curves_slider",
    "density",
    "direct_labels",
    "error_points",
    "field",
    "heat_map",
    "image_grid",
    "line_with_band",
    "pairs",
    "panel_label",
    "panels",
    "points",
    "score_field_slider",
    "use_style",
]
