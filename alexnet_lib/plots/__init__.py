"""Arrays in, pictures out. Nothing here knows torch."""

from __future__ import annotations

from . import palette
from .charts import (
    bars,
    before_after,
    blocks,
    curves,
    feature_maps,
    figure,
    filters,
    image,
    number,
    png,
    spread,
    use_style,
    window_over_channels,
)
from .confusion_matrix import confusion, gallery
from .grids import number_grid, squares
from .images import bare, new_axes, new_figure, pixel_image, quick_png
from .network import cost_shares, towers_map
from .window_grids import MOST_NUMBERS, pixels, vote_counts, windows

__all__ = [
    "MOST_NUMBERS",
    "bare",
    "bars",
    "before_after",
    "blocks",
    "confusion",
    "cost_shares",
    "curves",
    "feature_maps",
    "figure",
    "filters",
    "gallery",
    "image",
    "new_axes",
    "new_figure",
    "number",
    "number_grid",
    "palette",
    "pixel_image",
    "pixels",
    "png",
    "quick_png",
    "spread",
    "squares",
    "towers_map",
    "use_style",
    "vote_counts",
    "window_over_channels",
    "windows",
]
