"""What the tests of experiments share: each small version run once, on fewer pictures."""

from __future__ import annotations

import pytest

from alexnet_lib import datasets, records
from alexnet_lib.datasets import catalogue
from alexnet_lib.experiments import arms, faulty_training, hand_made_features, registry

FEW = 128  # pictures


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """small_run(name): the record of an experiment's small version, cut to FEW pictures a set.

    It finds nothing that must be downloaded, and may write nothing.
    """
    done = {}

    def few(name, split="train", **options):
        options["limit"] = min(FEW, options["limit"])
        return catalogue.load(name, split, **options)

    def run(name):
        if name not in done:
            folder, begun = tmp_path_factory.mktemp(name), arms.unfinished(name).exists()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(records, "folder", lambda: folder)
                patch.setattr(catalogue, "data_folders", list)
                patch.setattr(datasets, "load", few)
                patch.setattr(faulty_training, "STEPS", 9)
                patch.setattr(hand_made_features, "SMALL_SIZES", {80: 2})
                done[name] = registry.run(name, small=True, progress=False)
            assert not list(folder.iterdir()) and arms.unfinished(name).exists() == begun
        return done[name]

    return run
