"""Each fault leaves its own trace, and the record that ships tells them apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from alexnet_lib import datasets, experiments, models, records
from alexnet_lib.course import widgets
from alexnet_lib.course.widgets import ch09
from alexnet_lib.experiments import faults, faulty_training
from alexnet_lib.experiments.faults import FAULTS, HEALTHY, LETTERS

CLASSES = ("Trouser", "Bag", "Ankle boot")


@pytest.fixture(scope="module")
def pictures():
    return tuple(
        datasets.load("fashion_mnist", split, limit=count, classes=CLASSES)
        for split, count in (("train", 120), ("test", 30))
    )


@pytest.fixture(scope="module")
def measured(pictures):
    """Return a function that trains with a fault for a few steps; with each only once."""
    kept = {}

    def run(name):
        if name not in kept:
            kept[name] = faulty_training.train_with_fault(
                FAULTS[name], faulty_training.small_spec(), *pictures, steps=6, batch_size=8,
                lr=0.02, look_every=3, pixel_scale=1 / 80,
            )
        return kept[name]

    return run


def last(file, measure) -> np.ndarray:
    return np.array([layer[measure][-1] for layer in file["layers"].values()], dtype=float)


def test_a_file_holds_a_number_a_look_and_layer(measured):
    file = measured("healthy")
    assert file["looks"] == [1, 4, 6] and len(file["loss"]) == 6 and file["stopped"] is None
    for layer in file["layers"].values():
        assert layer.keys() == faulty_training.MEASURES.keys()
        assert all(len(values) == 3 for values in layer.values())


def test_the_same_seed_gives_the_same_file(measured, pictures):
    torch.manual_seed(99)
    again = faulty_training.train_with_fault(
        HEALTHY, faulty_training.small_spec(), *pictures, steps=6, batch_size=8, lr=0.02,
        look_every=3, pixel_scale=1 / 80,
    )
    first = measured("healthy")
    assert again["loss"] == first["loss"] and again["layers"] == first["layers"]


def test_first_step_agrees_with_plain_torch(measured, pictures):
    """The first update of a rule whose velocity begins at 0 is rate times (gradient + decay w)."""
    file = measured("healthy")
    gradient, update = (
        np.array([layer[key][0] for layer in file["layers"].values()])
        for key in ("gradient", "update")
    )
    np.testing.assert_allclose(update, 0.02 * gradient, rtol=0.05)
    assert file["loss"][0] == pytest.approx(math.log(3), abs=0.2)


def test_each_fault_leaves_its_trace(measured):
    healthy = measured("healthy")
    assert measured("fast")["stopped"] is not None or max(measured("fast")["loss"]) > 10
    names = list(healthy["layers"])
    conv4 = names.index("conv4")
    silent = measured("silent")
    assert last(silent, "dead")[conv4] == 1 and (last(silent, "gradient")[:conv4] == 0).all()
    frozen = measured("frozen")
    assert (last(frozen, "update")[:5] == 0).all() and (last(frozen, "update")[5:] > 0).all()
    assert (last(frozen, "gradient")[:5] > 0).all()
    assert last(measured("faint"), "across")[-1] < 1e-4
    printed = measured("printed")
    assert last(printed, "mean")[conv4] == pytest.approx(1, abs=0.1)
    assert last(printed, "across")[conv4] < 0.01
    growing = measured("growing")
    assert (last(growing, "weight")[:5] > 1.005 * last(healthy, "weight")[:5]).all()
    assert measured("coin")["loss"] == healthy["loss"]
    assert measured("coin")["test"]["changed_answers"] > 0 == healthy["test"]["changed_answers"]
    bright = measured("brightness")
    assert bright["layers"]["conv1"]["mean"][0] > 1.1 * healthy["layers"]["conv1"]["mean"][0]


def test_shuffled_labels_are_the_same_labels_in_another_order(measured):
    assert measured("labels")["loss"] != measured("healthy")["loss"]
    first = [measured(name)["layers"]["conv5"]["across"][0] for name in ("labels", "healthy")]
    assert first[0] == first[1]  # before the first update the pictures decide, not the labels


def test_growth_is_not_scaled_by_the_rate():
    """Without a gradient each weight grows by the factor that the fault adds to the velocity."""
    net = models.Net(faulty_training.small_spec()).initialize(0)
    optimizer = faulty_training.optimizer_of(net, FAULTS["growing"], lr=0.003)
    weight = net.stage("conv2").weight
    before = weight.detach().clone()
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), before * (1 + 5e-4))


def test_letters_stand_for_all_faults_once_and_unknown_ones_are_told():
    assert set(LETTERS.values()) == FAULTS.keys() - {"healthy"} and len(LETTERS) == len(FAULTS) - 1
    assert list(LETTERS.values()) != sorted(LETTERS.values(), key=list(FAULTS).index)
    assert faults.find("A") is FAULTS[LETTERS["A"]] and faults.find("faint").start == "faint"
    with pytest.raises(ValueError, match="unknown fault 'fant'; did you mean 'faint'"):
        faults.find("fant")
    assert len({fault.fault for fault in FAULTS.values()}) == len(FAULTS)


# The record that ships


@pytest.fixture(scope="module")
def record():
    return experiments.load("clinic")


def test_record_is_of_the_whole_network_and_its_healthy_run_learns(record):
    assert record["network"] == "paper" and record["input_size"] == 227 and not record["small"]
    assert record["patients"].keys() == FAULTS.keys()
    healthy = record["patients"]["healthy"]
    chance = math.log(len(record["classes"]))
    assert np.median(healthy["loss"][-20:]) < 0.95 * chance
    assert healthy["test"]["loss"] < 0.95 * chance
    assert healthy["test"]["top1"] > 1.3 / len(record["classes"])
    assert (records.folder() / "clinic.json").stat().st_size < 75_000


def test_files_demo_names_letters_but_no_fault(record):
    demo = widgets.clinic_files()
    for letter, name in LETTERS.items():
        demo.controls["patient"].value = letter
        assert demo.summary.startswith(f"Patient {letter} at step"), demo.summary
        assert FAULTS[name].fault not in demo.summary and f" {name}" not in demo.summary
    for look in range(len(record["patients"]["healthy"]["looks"])):
        demo.controls["look"].value = look
        assert "don't work" not in demo.summary


def test_sentence_chart_and_pictures_cover_every_patient(record):
    said = experiments.summary(record)
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["healthy", *LETTERS]
    for letter in LETTERS:
        chart = faulty_training.chart(record, letter)
        assert chart.startswith(f"patient {letter}, step") and "fc8" in chart
        assert ch09.spoken(record, letter).endswith(".")
        assert len(ch09.dashboard(record, letter).axes) == 8
    panels = dict(zip(LETTERS, ch09.ward(record).axes, strict=True))
    for letter, panel in panels.items():
        _, patient, healthy = (line.get_ydata() for line in panel.lines)
        assert letter in (panel.get_title("left"), panel.get_title())
        assert healthy[0] == record["patients"]["healthy"]["loss"][0]
        if letter != "C":
            mean = np.mean(record["patients"][LETTERS[letter]]["loss"][-8:])
            assert patient[-1] == pytest.approx(mean) or patient[-1] > 2.2
    assert panels["C"].lines[1].get_ydata()[-1] > 2.2  # gone


def test_chart_at_an_earlier_look_has_that_looks_numbers_and_no_result(record):
    first, whole = (faulty_training.chart(record, "H", look).splitlines() for look in (0, -1))
    assert first[0] == "patient H, step 1" and len(first) == len(whole) - 2
    mean = record["patients"][LETTERS["H"]]["layers"]["conv1"]["mean"][0]
    assert first[2].split()[:2] == ["mean", f"{mean:.2g}"]
    assert f"loss {record['patients'][LETTERS['H']]['test']['loss']:.2f};" in whole[-1]
    assert faulty_training.chart(record, "healthy").startswith("the healthy network, step 40")


def test_files_say_dashed_only_where_a_patient_is_compared(record):
    for who, shown in (("healthy", False), ("A", True)):
        loss = ch09.dashboard(record, who).axes[0]
        (note,) = [text for text in loss.texts if text.get_text() == "dashed: healthy"]
        assert note.get_visible() is shown
