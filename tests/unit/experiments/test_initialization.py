"""The record of initializations that ships covers all of them, on photos too."""

from __future__ import annotations

from alexnet_lib.analysis import signal_propagation
from alexnet_lib.experiments import registry


def test_shipped_initialization_record_covers_photos():
    record = registry.load("initialization")
    assert {"shapes", "photos"} <= record["pictures"].keys()
    for measured in record["pictures"].values():
        assert set(measured["layers"]) == set(signal_propagation.INITIALIZATIONS)
        logits = {name: rows[-1]["across_images"] for name, rows in measured["layers"].items()}
        assert logits["source2012"] > 5 * logits["printed"]
    assert "std .01 everywhere, biases 1" in registry.summary(record)
