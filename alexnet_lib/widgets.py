"""Everything interactive, under one name: `from alexnet_lib import widgets`.

`Demo` and `show` are in `demos`, `predict` and `recall` in `predictions`, `TrainingMonitor` in
`monitor`, `TrainingDesk` in `training_desk`, the demos of single chapters in `tours`,
`contest_tour`, `depth_tour`, `inside_tours`, `overfitting_tour` and `recipe_tour`, the JavaScript
labs in `labs`, `network_map`, `pooling_lab`, `size_lab` and `tower_lab`; their JavaScript and style
sheets in alexnet_lib/js.
"""

from __future__ import annotations

from .contest_tour import winners_by_year
from .demos import Demo, show
from .depth_tour import deep_signal
from .inside_tours import hide_a_square, neighbour_rows, unit_portraits
from .labs import ConventionsLab, LRNLab
from .monitor import TrainingMonitor
from .network_map import NetworkMap
from .overfitting_tour import augmented_photo, averaged_dropout
from .pooling_lab import PoolingLab
from .predictions import predict, recall
from .recipe_tour import clinic_files, rolling_ball
from .size_lab import SizeLab
from .tours import channel_window, filters_over_time, window_stops
from .tower_lab import TowerLab
from .training_desk import TrainingDesk

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
