"""What training refuses, and the words with which it does."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from alexnet_lib import checkpoints, paper, training
from alexnet_lib.datasets import ImageSet
from alexnet_lib.runs import recipe_settings


def stop_after(steps: int):
    return lambda run: len(run.losses) >= steps


def test_labels_that_don_t_match_the_network(fit, toy_images):
    ten = ImageSet(np.zeros((20, 12, 12, 3), np.uint8), np.arange(20) % 10,
                   list("abcdefghij"), "letters", "train")
    message = "the network has 3 classes, letters has 10; build it with num_classes=10"
    with pytest.raises(ValueError, match=message):
        fit(None, train=ten)
    with pytest.raises(ValueError, match=message):
        fit(None, val=ten)
    shuffled = replace(toy_images(12, "val"), classes=["green", "red", "blue"])
    message = "trained on other classes than toy has: 'red' there, 'green' here; give pictures of"
    with pytest.raises(ValueError, match=message):
        fit(None, val=shuffled)


def test_images_that_don_t_match_the_network(fit, toy_images):
    grey = replace(toy_images(32), images=np.zeros((32, 12, 12, 1), np.uint8))
    with pytest.raises(ValueError, match=r"takes 3 channel\(s\), the images have 1; build it with"):
        fit(None, train=grey)
    with pytest.raises(ValueError, match="takes 10 x 10 pixels, the images have 8 x 8; load them"):
        fit(None, train=toy_images(32, side=8))
    empty = toy_images(32).subset([])
    with pytest.raises(ValueError, match=r"toy \(train\) holds no images; give at least one"):
        fit(None, train=empty)
    with pytest.raises(ValueError, match=r"toy \(train\) holds no images"):
        fit(None, val=empty)


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"batch_size": 0}, {"lr": -0.1}, {"lr": 0.0}])
def test_numbers_that_make_no_sense(fit, bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be above 0"):
        fit(None, **bad)


def test_batches_larger_than_the_set(fit):
    with pytest.raises(ValueError, match="batch_size is 33, but there are 32 training images"):
        fit(None, batch_size=33)


def test_a_folder_that_holds_a_run(fit, whole):
    with pytest.raises(FileExistsError, match="already holds a run; go on with it by --resume, or"):
        fit(whole[2])


def test_resuming_what_isn_t_there(fit, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*; train first"):
        fit(tmp_path / "nothing", resume=True)
    with pytest.raises(ValueError, match="nothing to resume without a folder; name it with out"):
        fit(None, resume=True)


def test_resuming_with_something_else(fit, whole, toy_recipe, toy_spec, toy_images):
    out = whole[2]
    with pytest.raises(ValueError, match=r"another recipe \(momentum, nesterov differ\); resume"):
        fit(out, replace(toy_recipe, momentum=0.5, nesterov=True), resume=True)
    norm = replace(toy_spec.layer("lrn1"), k=1.0)  # as many weights, yet another network
    other = replace(toy_spec, layers=tuple(
        norm if stage.name == "lrn1" else stage for stage in toy_spec.layers
    ))
    with pytest.raises(ValueError, match="trained the network 'small'; 'small' here has other"):
        fit(out, spec=other, resume=True)
    renamed = replace(toy_images(32), classes=["red", "green", "violet"])
    with pytest.raises(ValueError, match="was trained on the classes .*blue.*violet.*same data"):
        fit(out, train=renamed, val=None, resume=True)
    with pytest.raises(ValueError, match="makes 4 steps an epoch, these 32 images in .* of 16 mak"):
        fit(out, batch_size=16, resume=True)
    with pytest.raises(ValueError, match="makes 4 steps an epoch, these 34 images in .* of 8 make"):
        fit(out, train=toy_images(34), resume=True)


def test_a_checkpoint_that_can_t_be_read_stops_the_resuming(fit, whole, tmp_path):
    data = (whole[2] / checkpoints.NAME).read_bytes()
    (tmp_path / checkpoints.NAME).write_bytes(data[:1000])
    with pytest.raises(ValueError, match="can't be read as a checkpoint"):
        fit(tmp_path, resume=True)


def test_a_loss_that_isn_t_finite_says_what_to_try(fit, tmp_path):
    message = r"the (validation )?loss is (nan|inf) in epoch \d, step \d; lower the rate \(--rate\)"
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "first", lr=1e25)
    fit(tmp_path / "later", on_step=stop_after(6))
    before = (tmp_path / "later" / checkpoints.NAME).read_bytes()
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "later", resume=True, lr=1e25)
    assert (tmp_path / "later" / checkpoints.NAME).read_bytes() == before  # still good
    assert fit(tmp_path / "later", resume=True)[1].status == "finished"


def test_a_validation_loss_that_isn_t_finite(fit, monkeypatch):
    broken = {"loss": math.nan, "top1": 0.0, "top5": 0.0}
    monkeypatch.setattr(training, "evaluate", lambda *arguments, **options: broken)
    with pytest.raises(ValueError, match="the validation loss is nan in epoch 1, step"):
        fit(None)


@pytest.mark.parametrize(("number", "words"), [(28, "no space left"), (13, "no permission")])
@pytest.mark.parametrize("where", ["checkpoint", "log", "moments"])
def test_no_space_and_no_permission(fit, tmp_path, monkeypatch, number, words, where):
    def refuse(*arguments, **options):
        raise OSError(number, f"{words}, as the system says it")

    if where == "checkpoint":
        monkeypatch.setattr(checkpoints, "save_file", refuse)
    elif where == "log":
        monkeypatch.setattr(csv.DictWriter, "writeheader", refuse)
    else:
        monkeypatch.setattr(np, "savez_compressed", refuse)
    with pytest.raises(OSError, match=f"{words}.*Free some space,? or choose another folder with"):
        fit(tmp_path, epochs=1, filter_moments=2)


def test_devices():
    assert training.choose_device("cpu") == torch.device("cpu")
    assert training.choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'; did you mean 'cpu'"):
        training.choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device 'cuda' isn't available .*use --device cpu"):
            training.choose_device("cuda")


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="unknown recipe 'paper2021'; did you mean 'paper2012'"):
        training.recipe_of("paper2021")
    assert training.recipe_of("modern") is paper.RECIPES["modern"]


def test_recipes_survive_a_checkpoint():
    for recipe in paper.RECIPES.values():
        kept = json.loads(json.dumps(recipe_settings(recipe)))
        assert {k: training._listed(v) for k, v in recipe_settings(recipe).items()} == kept
