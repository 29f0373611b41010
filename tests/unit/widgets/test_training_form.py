"""The training desk: it estimates, starts, stops, resumes, and says what is wrong."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest

from alexnet_lib import checkpoints, models, records, training
from alexnet_lib.benchmarks import estimate
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import desk_words, training_form
from alexnet_lib.course.widgets.run_settings import Assignment
from alexnet_lib.course.widgets.training_form import PRESETS, TrainingDesk
from alexnet_lib.datasets import catalogue
from alexnet_lib.paper import RECIPES

QUICK = {"data": "clothes", "recipe": "paper2012_small_data", "epochs": 2, "batch_size": 20,
         "pictures": 100}  # fmt: skip


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("ALEXNET_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(catalogue, "_REPOSITORY", tmp_path)
    return TrainingDesk(tmp_path / "run", **QUICK)


def press(desk, name):
    desk._buttons[name].click()
    desk.wait(120)


def enabled(desk):
    return {name for name, button in desk._buttons.items() if not button.disabled}


def test_widgets_offers_the_desk_and_it_does_nothing_by_itself(desk):
    assert widgets.TrainingDesk is TrainingDesk
    assert desk.state == "idle" and not desk.busy and desk.run is None
    assert not desk.out.exists()
    assert enabled(desk) == {"start", "measure"}
    assert repr(desk).startswith("TrainingDesk(data='clothes', recipe='paper2012_small_data'")
    assert desk._repr_mimebundle_()["text/plain"] == repr(desk)


def test_a_run_from_start_to_end_is_kept_whole(desk):
    press(desk, "start")
    assert desk.state == "finished" and "Finished: 2 epochs, " in desk.summary
    assert len(desk.run.losses) == 10 and len(desk.val) == 100
    record = records.read(desk.out / "record.json")
    assert record["status"] == "finished" and record["desk"]["data"] == "clothes"
    assert (desk.out / "log.csv").exists()
    model, _ = checkpoints.load_model(desk.out)
    for name, value in model.state_dict().items():
        assert value.equal(desk.model.state_dict()[name])
    assert enabled(desk) == {"start", "resume", "measure"}
    assert "done: step 10 of 10" in desk._monitor.summary
    assert desk.figure().axes


def test_stopped_and_resumed_equals_a_run_left_alone(desk, tmp_path):
    desk.start(stop_after=3)
    assert desk.wait(120).status == "stopped" and len(desk.run.losses) == 3
    assert "Stopped after 3 steps" in desk.summary and "resume" in enabled(desk)
    press(desk, "resume")
    assert desk.state == "finished"
    alone = TrainingDesk(tmp_path / "alone", **QUICK)
    alone.start()
    assert alone.wait(120).losses == desk.run.losses
    for name, value in alone.model.state_dict().items():
        assert value.equal(desk.model.state_dict()[name])


def test_another_desk_resumes_by_the_runs_own_choices(desk, tmp_path):
    desk.start(stop_after=3)
    desk.wait(120)
    another = TrainingDesk(tmp_path / "run")  # plain shapes and the paper's network: not the run's
    assert "resume" in enabled(another)
    press(another, "resume")
    assert another.state == "finished" and len(another.run.losses) == 10
    assert another.assignment == Assignment(**QUICK)


def test_the_stop_button_stops(desk, monkeypatch):
    arrived, go = threading.Event(), threading.Event()
    update = training_form.TrainingMonitor.update

    def slow(self, run, **options):
        if len(getattr(run, "losses", ())) == 2:
            arrived.set()
            go.wait(30)
        return update(self, run, **options)

    monkeypatch.setattr(training_form.TrainingMonitor, "update", slow)
    desk.start()
    assert arrived.wait(60) and enabled(desk) == {"stop"}
    with pytest.raises(ValueError, match="One run at a time"):
        desk.start()
    desk._buttons["stop"].click()
    assert desk.state == "stopping" and enabled(desk) == set()
    go.set()
    assert desk.wait(120).status == "stopped" and len(desk.run.losses) < 10
    assert checkpoints.find(desk.out).exists()


def test_a_stop_while_loading_stops_at_once(desk, monkeypatch):
    load = Assignment.load
    monkeypatch.setattr(Assignment, "load", lambda self: (desk.stop(), load(self))[1])
    press(desk, "start")
    assert desk.state == "stopped" and len(desk.run.losses) == 1


def test_a_folder_with_a_run_is_not_overwritten(desk):
    press(desk, "start")
    before = (desk.out / "record.json").read_bytes()
    press(desk, "start")
    assert desk.state == "failed" and "run-2 is free" in desk.summary
    assert "--" not in desk.summary
    assert (desk.out / "record.json").read_bytes() == before


def test_a_finished_run_goes_on_for_more_epochs_only(desk):
    press(desk, "start")
    press(desk, "resume")
    assert "is finished, after 2 epochs. Give more epochs" in desk.summary
    desk.controls["epochs"].value = 3
    press(desk, "resume")
    assert desk.state == "finished" and len(desk.run.epochs) == 3


def test_nothing_to_resume(desk):
    with pytest.raises(FileNotFoundError, match="holds no run to go on with; press Start"):
        desk.resume()


def test_a_run_without_a_record_goes_on_by_the_fields(desk):
    desk.start(stop_after=3)
    desk.wait(120)
    (desk.out / "record.json").unlink()
    press(desk, "resume")
    assert desk.state == "finished" and len(desk.run.losses) == 10


@pytest.mark.parametrize(
    ("record", "words"),
    [({"format": records.FORMAT + 1}, "Update the course"), ("broken", "is not a record")],
)
def test_a_record_that_cannot_be_read_is_named_and_nothing_lost(desk, record, words):
    desk.start(stop_after=3)
    desk.wait(120)
    text = record if isinstance(record, str) else json.dumps(record)
    (desk.out / "record.json").write_text(text)
    checkpoint = checkpoints.find(desk.out).read_bytes()
    press(desk, "resume")
    assert desk.state == "failed" and words in desk.summary
    assert checkpoints.find(desk.out).read_bytes() == checkpoint


def test_a_record_of_an_older_version_still_resumes(desk):
    desk.start(stop_after=3)
    desk.wait(120)
    record = records.read(desk.out / "record.json")
    old = {key: value for key, value in record.items() if key not in ("desk", "total_epochs")}
    (desk.out / "record.json").write_text(json.dumps(old))
    desk._set({"recipe": "modern", "pictures": 100})  # the recipe comes from the record
    press(desk, "resume")
    assert "trained" not in desk.summary
    assert desk.assignment.recipe == "paper2012_small_data"


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(desk, monkeypatch):
    desk.start(stop_after=3)
    desk.wait(120)
    before = checkpoints.find(desk.out).read_bytes()

    def full(tensors, path, header):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    press(desk, "resume")
    assert desk.state == "failed" and "No space left" in desk.summary
    assert "the checkpoint before this one is still whole" in desk.summary
    assert "--out" not in desk.summary and "keep in" in desk.summary
    assert checkpoints.find(desk.out).read_bytes() == before
    assert not list(desk.out.glob("*.partial"))
    monkeypatch.undo()
    press(desk, "resume")
    assert desk.state == "finished" and len(desk.run.losses) == 10


def test_a_stop_during_a_checkpoint_loses_nothing(desk, tmp_path, monkeypatch):
    save, pressed = checkpoints.save_file, []

    def save_and_press(tensors, path, header):
        path.write_bytes(b"half")
        if not pressed:  # within the first epoch's checkpoint
            desk._buttons["stop"].click()
        pressed.append(True)
        save(tensors, path, header)

    monkeypatch.setattr(checkpoints, "save_file", save_and_press)
    press(desk, "start")
    assert desk.state == "stopped" and pressed and 5 <= len(desk.run.losses) < 10
    press(desk, "resume")
    alone = TrainingDesk(tmp_path / "alone", **QUICK)
    alone.start()
    assert alone.wait(120).losses == desk.run.losses


def test_a_kernel_that_died_within_a_checkpoint_left_the_one_before(desk):
    desk.start(stop_after=3)
    desk.wait(120)
    half = desk.out / (checkpoints.find(desk.out).name + ".partial")
    half.write_bytes(b"half a checkpoint")
    press(desk, "resume")
    assert desk.state == "finished" and len(desk.run.losses) == 10 and not half.exists()


def test_a_loss_that_is_no_number_ends_in_the_desks_words(desk, monkeypatch):
    from dataclasses import replace

    wild = replace(RECIPES["paper2012_small_data"], lr=1e30)
    monkeypatch.setattr(training, "recipe_of", lambda name: wild)
    press(desk, "start")
    assert desk.state == "failed" and "take another recipe" in desk.summary
    assert "--" not in desk.summary and "start" in enabled(desk)


def test_whatever_goes_wrong_the_desk_stays_alive(desk, monkeypatch):
    monkeypatch.setattr(models, "build", lambda *a, **k: 1 / 0)
    press(desk, "start")
    assert desk.state == "failed" and desk.summary.startswith("ZeroDivisionError: ")
    monkeypatch.undo()
    press(desk, "start")
    assert desk.state == "finished"


def test_the_estimate_follows_every_choice(desk):
    said = {desk.estimate}
    for name, value in {"pictures": 4_000, "batch_size": 64, "epochs": 9}.items():
        desk.controls[name].value = value
        said.add(desk.estimate)
    assert len(said) == 4
    for preset in PRESETS:
        desk.apply(preset)
        said.add(desk.estimate)
        assert "Memory" in desk.estimate and "Disk" in desk.estimate
    assert len(said) == 8
    assert "Imagenette isn't on this machine yet" in next(s for s in said if "9,469" in s)


def test_what_is_not_here_does_not_start(desk):
    desk.apply("Imagenette")
    press(desk, "start")
    assert desk.state == "failed" and "isn't on this machine yet" in desk.summary
    assert not desk.out.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "folder"}, "Name your folder first"),
        ({"data": "folder", "folder": "no/such"}, "no/such is no folder"),
        ({"batch_size": 101}, "The batch has 101 pictures, and there are 100 to train on"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_start(desk, change, words):
    desk._set(change)
    assert words in desk.estimate and "alexnet-error" in desk._estimate_line.value
    press(desk, "start")
    assert desk.state == "failed" and words in desk.summary and not desk.out.exists()


def test_a_folder_of_one_class_is_explained_at_the_desk(desk, tmp_path, save_pictures):
    root = save_pictures(tmp_path / "pets", {"cats": 3})
    desk.controls["data"].value = "folder"
    assert desk.controls["folder"].layout.display != "none"
    desk.controls["folder"].value = str(root)
    assert "one folder of a kind, 'cats'" in desk.estimate
    desk.controls["data"].value = "clothes"
    assert desk.controls["folder"].layout.display == "none"


def test_too_little_disk_is_said(desk, monkeypatch):
    monkeypatch.setattr(training_form, "free_bytes", lambda folder: 1_000)
    desk.controls["epochs"].value = 5
    assert "Only 1 KB are free: make room" in desk.estimate


def test_measuring_puts_this_machines_pace_into_the_estimate(desk, monkeypatch):
    assert "at the pace of our record" in desk.estimate
    monkeypatch.setattr(estimate, "measure_throughput", lambda *given, **options: 50.0)
    press(desk, "measure")
    assert desk.summary == "Measured: 50 images a second."
    assert "about 3 s an epoch" in desk.estimate  # 100 + a third of 100, at 50 a second
    assert "at the pace measured here" in desk.estimate
    desk.controls["batch_size"].value = 25
    assert "at the pace of our record" in desk.estimate


def test_left_out_pictures_are_named():
    assert desk_words.left_out_words([], 9) == ""
    words = desk_words.left_out_words(["a is broken", "b", "c", "d", "e"], 9)
    assert words == " Left out: a is broken; b; c and 2 more. That leaves 9 to train on."


def test_the_free_name_is_one_that_is_free(tmp_path):
    for name in ("run", "run-2"):
        (tmp_path / name).mkdir()
    assert desk_words.next_free(tmp_path / "run").name == "run-3"
    assert desk_words.free_bytes(tmp_path / "not" / "there") > 0


@pytest.mark.parametrize(
    "error",
    [FileExistsError("x already holds a run; go on with it by --resume, or choose another --out."),
     ValueError("device 'cuda' isn't available on this machine; use --device cpu."),
     ValueError("x. Take another checkpoint, or train again without --resume.")],
)  # fmt: skip
def test_no_word_of_the_command_line(error):
    assert "--" not in desk_words.in_desk_words(error)


def test_how_a_run_ended_in_words():
    row = {"val_top1": 0.5}
    run = SimpleNamespace(status="finished", epochs=[row], total_epochs=3, losses=[1.0] * 9)
    assert desk_words.end_words(run, "there", 50) == (
        "Finished: 3 epochs, 50.0% of new pictures right. It is kept in there."
    )
    run.total_epochs = 1
    assert desk_words.end_words(run, "there", 2) == (
        "Finished: 1 epoch, 1 of 2 new pictures right (too few to tell much). It is kept in there."
    )
    run.status, run.losses = "stopped", [1.0]
    assert desk_words.end_words(run, "there", 2).startswith("Stopped after 1 step, and kept")


def test_a_name_that_is_misspelled_gets_the_nearest_one(desk):
    for wrong, words in (({"data": "cloths"}, "'clothes'"), ({"epoch": 3}, "'epochs'"),
                         ({"recipe": "moderne"}, "'modern'")):  # fmt: skip
        with pytest.raises(ValueError, match=f"did you mean {words}"):
            desk.start(**wrong)
    assert desk.state == "idle"
