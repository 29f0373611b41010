"""What a learner can ask to be trained on: counted first, and bad folders in plain words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from alexnet_lib import architectures, models, shapes
from alexnet_lib.course.widgets.run_settings import CHOICES, RECIPE_CHOICES, Assignment, from_record
from alexnet_lib.datasets import catalogue
from alexnet_lib.paper import RECIPES


@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    """No data sets on this machine, and a cache of its own."""
    monkeypatch.setenv("ALEXNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(catalogue, "_REPOSITORY", tmp_path)


def folder(path, **options) -> Assignment:
    return Assignment("folder", str(path), pictures=0, **options)


def test_every_recipe_can_be_chosen_and_those_not_of_2012_say_so():
    assert RECIPE_CHOICES.keys() == RECIPES.keys()
    for name, words in RECIPE_CHOICES.items():
        assert ("not 2012" in words) == RECIPES[name].source.startswith("not from 2012")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "shape"}, "unknown data 'shape'; did you mean 'shapes'"),
        ({"recipe": "paper"}, "unknown recipe 'paper'"),
        ({"epochs": 0}, "epochs is 0; give 1 or more"),
        ({"pictures": -1}, "pictures is -1; give 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Assignment(**given)


@pytest.mark.parametrize("data", ["shapes", "plain_shapes", "clothes"])
def test_a_survey_counts_what_load_loads(data):
    chosen = Assignment(data, pictures=30)
    survey = chosen.survey()
    train, val, left_out = chosen.load()
    assert (survey.train, survey.val, survey.classes) == (len(train), len(val), len(train.classes))
    assert survey.train == 30 and not left_out and not survey.missing
    assert train.images.shape[1] == chosen.side


def test_all_clothes_are_counted():
    survey = Assignment("clothes", pictures=0).survey()
    sizes = [len(catalogue.load("fashion_mnist", split)) for split in ("train", "val")]
    assert [survey.train, survey.val] == sizes


@pytest.mark.parametrize(("data", "count"), [("imagenette", 9_469), ("imagenet", 1_281_167)])
def test_what_is_not_here_is_still_counted(data, count):
    survey = Assignment(data, pictures=0).survey()
    assert survey.train == count
    assert "isn't on this machine yet" in survey.missing and "ALEXNET_DATA" in survey.missing


def test_the_network_is_the_papers_and_for_clothes_a_small_one():
    assert Assignment("shapes").network(10) == architectures.network("paper", 10)
    small = Assignment("clothes").network(10)
    assert shapes.totals(small).parameters < 50_000
    train, _, _ = Assignment("clothes", pictures=10).load()
    assert small.input_size < train.images.shape[1], "room for crops"
    assert models.build(small, seed=0).spec.input_channels == train.images.shape[3]


def test_a_folder_is_counted_and_loaded(tmp_path, save_pictures):
    root = save_pictures(tmp_path / "pets", {"cats": 10, "dogs": 6})
    survey = folder(root).survey()
    train, val, left_out = folder(root).load()
    assert (survey.train, survey.val, survey.classes) == (len(train), len(val), 2) == (13, 3, 2)
    assert not survey.packed and not left_out
    assert train.images.shape[1:] == (256, 256, 3)
    assert replace(folder(root), pictures=4).survey().train == 4


def test_a_relative_folder_is_found_below_the_data(tmp_path, save_pictures):
    save_pictures(tmp_path / "data" / "pets", {"cats": 6, "dogs": 6})
    assert folder("pets").survey().classes == 2


def test_a_folder_of_one_class_is_told_what_to_do(tmp_path, save_pictures):
    root = save_pictures(tmp_path / "pets", {"cats": 6})
    with pytest.raises(ValueError, match="one folder of a kind, 'cats'; a classifier needs two"):
        folder(root).survey()


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "Name your folder first"), ("  ", "Name your folder first"),
     ("no/such", "no/such is no folder; .*Looked for in")],
)  # fmt: skip
def test_no_folder(name, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        folder(name).survey()


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="a.jpg is a file; name one that holds"):
        folder(path).survey()


def test_broken_and_huge_pictures_are_left_out_and_named(tmp_path, save_pictures, monkeypatch):
    root = save_pictures(tmp_path / "pets", {"cats": 10, "dogs": 10})
    (root / "cats" / "000.jpg").write_bytes(b"no picture")
    whole = (root / "dogs" / "001.png").read_bytes()
    (root / "dogs" / "001.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (300, 200)).save(root / "dogs" / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    train, val, left_out = folder(root).load()
    assert len(train) + len(val) == 21 - 3
    text = "\n".join(left_out)
    for name in ("000.jpg is not a readable", "001.png is not a readable",
                 "big.png is too large"):  # fmt: skip
        assert name in text


def test_grey_and_tiny_pictures_become_colour_and_full_size(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            grey = rng.integers(0, 256, (1 + number, 3), np.uint8)
            Image.fromarray(grey).save(tmp_path / "pets" / name / f"{number}.png")
    train, _, left_out = folder(tmp_path / "pets").load()
    assert train.images.shape == (8, 256, 256, 3) and not left_out
    assert (np.ptp(np.array(train.images).astype(int), axis=3) == 0).all()


def test_a_kind_of_which_nothing_is_left_is_named(tmp_path, save_pictures):
    root = save_pictures(tmp_path / "pets", {"cats": 10, "dogs": 5})
    for path in (root / "dogs").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="No picture of 'dogs' is left to train on: .*not a read"):
        folder(root).load()


def test_photos_of_a_kind_that_cannot_be_read_here_are_named(tmp_path, save_pictures):
    root = save_pictures(tmp_path / "pets", {"cats": 5})
    (root / "dogs").mkdir()
    (root / "dogs" / "a.HEIC").write_bytes(b"x")
    words = r"dogs holds no pictures .*its \.heic files must be saved"
    with pytest.raises(ValueError, match=words):
        folder(root).survey()


def test_a_record_brings_its_assignment_back():
    chosen = Assignment("folder", "pets", "modern", "cpu", 7, 5, 0)
    assert from_record({"desk": chosen.as_dict()}, Assignment()) == chosen


def test_a_record_from_the_terminal_or_an_older_version():
    record = {"data_from": "imagenette", "recipe": {"name": "modern"}, "batch_size": 64,
              "total_epochs": 8}  # fmt: skip
    kept = from_record(record, Assignment(device="cpu"))
    assert kept == Assignment("imagenette", "", "modern", "cpu", 8, 64, 0)
    assert from_record(record | {"data_from": "pets/mine"}, kept).folder == "pets/mine"
    assert from_record(record | {"data_from": "fashion_mnist"}, kept).data == "clothes"
    old = Assignment("shapes", epochs=3)
    assert from_record({}, old) == replace(old, pictures=0)
    with_more = {"desk": {"data": "shapes", "of a later version": 1}}
    assert from_record(with_more, Assignment()).data == "shapes"


def test_a_record_of_an_unknown_recipe_says_so():
    with pytest.raises(ValueError, match="recipe 'best2030', which this version"):
        from_record({"recipe": {"name": "best2030"}}, Assignment())


def test_the_choices_are_all_served():
    assert {"shapes", "imagenette", "imagenet", "folder"} < CHOICES.keys()
    assert {data for data in CHOICES if data != "folder"} >= {"clothes", "plain_shapes"}
