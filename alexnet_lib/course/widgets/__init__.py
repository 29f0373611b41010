"""Everything interactive, under one name: `from alexnet_lib.course import widgets`.

`Demo` and `show` are in `demos`, `predict` and `recall` in `predictions`, `TrainingMonitor` in
`monitor`, `TrainingDesk` in `training_desk`, the demos of single chapters in `tours`,
`contest_tour`, `depth_tour`, `inside_tours`, `overfitting_tour` and `recipe_tour`, the JavaScript
labs in `labs`, `network_map`, `pooling_lab`, `size_lab` and `tower_lab`; their JavaScript and style
sheets in course/widgets/js.
"""

from __future__ import annotations

from .ch01 import winners_by_year
from .ch04 import deep_signal
from .ch08 import augmented_photo, averaged_dropout
from .ch09 import clinic_files, rolling_ball
from .ch11 import hide_a_square, neighbour_rows, unit_portraits
from .javascript_lab import ConventionsLab, LRNLab
from .network_map import NetworkMap
from .output_size import SizeLab
from .pooling import PoolingLab
from .predictions import predict, recall
from .python_demo import Demo, show
from .tours import channel_window, filters_over_time, window_stops
from .training_form import TrainingDesk
from .training_monitor import TrainingMonitor
from .two_towers import TowerLab

__all__ = [
    "ConventionsLab", "Demo", "LRNLab", "NetworkMap", "PoolingLab", "SizeLab", "TowerLab",
    "TrainingMonitor",
    "TrainingDesk",
    "hide_a_square", "neighbour_rows", "unit_portraits",
    "augmented_photo", "averaged_dropout",
    "channel_window", "deep_signal", "filters_over_time", "predict", "recall", "show",
    "window_stops",
    "winners_by_year",
    "clinic_files", "rolling_ball",
]
