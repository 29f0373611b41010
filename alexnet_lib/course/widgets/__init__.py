"""Everything interactive, under one name: `from alexnet_lib.course import widgets`.

Chapters take their widgets from here and from nowhere else. `python_demo` holds what demos share,
`javascript_lab` what the labs share, `chNN` the demos of single chapters, js/ the JavaScript and
the style sheets.
"""

from __future__ import annotations

from .ch01 import directions, winners_by_year, winners_until
from .ch04 import deep_signal
from .ch08 import augmented_photo, averaged_dropout, square_photos
from .ch09 import clinic_files, rolling_ball
from .ch11 import hide_a_square, neighbour_rows, unit_portraits
from .javascript_lab import ConventionsLab, LRNLab
from .network_map import NetworkMap
from .output_size import PRESETS as SIZE_PRESETS
from .output_size import SizeLab, fc6_inputs
from .pooling import SMALL_MAP, PoolingLab
from .predictions import predict, recall
from .python_demo import Demo, show
from .tours import channel_window, filters_over_time, window_stops
from .training_form import TrainingDesk
from .training_monitor import TrainingMonitor
from .two_towers import TowerLab

__all__ = [
    "augmented_photo",
    "averaged_dropout",
    "channel_window",
    "clinic_files",
    "ConventionsLab",
    "deep_signal",
    "Demo",
    "directions",
    "fc6_inputs",
    "filters_over_time",
    "hide_a_square",
    "LRNLab",
    "neighbour_rows",
    "NetworkMap",
    "PoolingLab",
    "predict",
    "recall",
    "rolling_ball",
    "show",
    "SIZE_PRESETS",
    "SizeLab",
    "SMALL_MAP",
    "square_photos",
    "TowerLab",
    "TrainingDesk",
    "TrainingMonitor",
    "unit_portraits",
    "window_stops",
    "winners_by_year",
    "winners_until",
]
