"""Everything interactive, under one name: `from alexnet_lib import widgets`.

`Demo` and `show` are in `demos`, `predict` and `recall` in `predictions`, the JavaScript labs in
`labs`; their JavaScript and style sheets in alexnet_lib/js.
"""

from __future__ import annotations

from .demos import Demo, show
from .labs import ConventionsLab, LRNLab
from .predictions import predict, recall

__all__ = ["ConventionsLab", "Demo", "LRNLab", "predict", "recall", "show"]
