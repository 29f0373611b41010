"""Every number on the page of formulas, computed with the library."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, augment, ops, optim, paper, shapes
from alexnet_lib.analysis import activation_functions
from alexnet_lib.benchmarks import estimate
from alexnet_lib.course import checks

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formulas.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r'^### <a id="([\w-]+)"></a>(.*?)(?=^### |\Z)', PAGE, re.M | re.S))
ROWS = {row.name: row for row in shapes.walk(architectures.network("paper"))}


def bold(section: str) -> list[str]:
    """The numbers that an example gives in bold, a plain minus for the typographic one."""
    example = section.split("**Example.**")[1]
    return [text.replace("−", "-") for text in re.findall(r"\*\*(.+?)\*\*", example)]


def output_size():
    size = shapes.output_size
    return [size(227, 11, 4), size(224, 11, 4), size(224, 11, 4, rounding="ceil")]


def convolution():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    w = torch.tensor([[[[1.0, 0.0], [0.0, -1.0]]]])
    return [ops.conv2d(x, w, torch.tensor([0.5])).item()]


def receptive_field():
    return [ROWS[name].receptive_field for name in ("conv1", "pool1", "conv2", "pool5")]


def pooling():
    row = torch.tensor([1.0, 0, 4, 7, 9, 4, 0, 2, 0])
    out = ops.max_pool2d(row.expand(1, 1, 3, 9), kernel=3, stride=2)[0, 0, 0]
    return [" ".join(f"{value:g}" for value in out.tolist())]


def slopes():
    at = np.array([3.0])
    return [
        activation_functions.ACTIVATIONS[n].slope(at).item() for n in ("relu", "tanh", "sigmoid")
    ]


def gain():
    std = architectures.network("paper").layer("fc7").weight_std
    return [std * math.sqrt(4096)]


def lrn():
    x = torch.full((1, 5, 1, 1), 100.0)
    found = []
    for convention in ("paper", "source2012"):
        c = paper.CONVENTIONS[convention]
        y = ops.local_response_norm(x, c.size, c.alpha, c.beta, c.k, convention=convention)
        found.append(y[0, 2].item())
    return found


def softmax():
    z = torch.tensor([2.0, 1.0, 0.0])
    loss = torch.nn.functional.cross_entropy(z[None], torch.tensor([0]))
    guess = torch.nn.functional.cross_entropy(torch.zeros(1, 10), torch.tensor([0]))
    return [*z.softmax(0).tolist(), loss.item(), guess.item()]


def update():
    recipe = paper.RECIPES["paper2012"]
    w = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    step = optim.SGD2012([w], recipe.lr, recipe.momentum, recipe.weight_decay)
    step.state[w]["velocity"] = torch.tensor([0.1], dtype=torch.float64)
    w.grad = torch.tensor([2.0], dtype=torch.float64)
    step.step()
    return [step.state[w]["velocity"].item(), w.item()]


def dropout():
    torch.manual_seed(0)
    drawn = sorted(set(ops.mask_dropout(torch.full((50,), 3.0), 0.5).tolist()), reverse=True)
    return [*drawn, ops.mask_dropout(torch.tensor([3.0]), 0.5, training=False).item()]


def colour_noise():
    """The library's noise, its random factor replaced by the example's."""
    vectors = torch.full((3, 3), 1 / math.sqrt(3))
    picture = torch.full((1, 3, 1, 1), 100.0)
    seed = next(s for s in range(100) if abs(_draw(s)) > 0.5)
    std = 0.1 / _draw(seed)  # so that the factor becomes 0.1
    values = torch.tensor([4800.0, 0.0, 0.0])
    generator = torch.Generator().manual_seed(seed)
    noisy = augment.colour_noise(picture, values, vectors, std, generator)
    return [noisy[0, 0].item() * (1 + std) / 1.1]


def _draw(seed):
    return torch.randn(1, 3, generator=torch.Generator().manual_seed(seed))[0, 0].item()


def costs():
    return [value for n in ("conv2", "fc6") for value in (ROWS[n].parameters, ROWS[n].macs)]


def communication():
    spec = architectures.network("paper")
    crossing = shapes.transfer_bytes(spec, paper.TRANSFERS)
    shown = SECTIONS["communication"].replace("{,}", ",")
    assert " + ".join(f"{count:,}" for count in crossing.values()) in shown
    return [sum(crossing.values()), 4 * shapes.totals(spec).parameters]


def run_costs():
    spec = architectures.network("paper", num_classes=10)
    takes = estimate.estimate(
        spec, 9_469, 3_925, batch_size=1, side=256, throughput=13.0, held=False
    )
    said = SECTIONS["time"]
    assert f"{shapes.totals(spec).parameters:,}" in said and f"{ROWS['fc6'].parameters:,}" in said
    return [takes.weights / 1e6, takes.maps / 1e6, takes.disk / 1e6, takes.seconds]


def top_k():
    logits = -torch.arange(10.0).expand(4, 10)  # the classes 0, 1, ... in this order
    labels = torch.tensor([1, 3, 2, 7]) - 1
    error = checks.solution_function("top_k_error")
    return [float(error(logits, labels, k)) for k in (1, 5)]


def ten_views():
    logits = torch.zeros(1, 10, 2)
    logits[0, 0, 0] = 10
    mean = checks.solution_function("ten_crop_average")(logits)
    return [float(mean[0, 0]), logits.mean(1).softmax(1)[0, 0].item()]


def crops():
    def positions(side):  # every place that random_crops can take
        return shapes.output_size(side, 224) ** 2 * 2

    return [positions(255), positions(256)]


NUMBERS = {
    "output-size": output_size, "convolution": convolution, "receptive-field": receptive_field,
    "pooling": pooling, "activations": slopes, "gain": gain, "lrn": lrn, "softmax": softmax,
    "update": update, "dropout": dropout, "colour-noise": colour_noise, "costs": costs,
    "communication": communication, "time": run_costs, "top-k": top_k,
    "ten-views": ten_views, "crops": crops,
}  # fmt: skip


def same(said: str, value: float | str) -> bool:
    """Whether a printed number is this value, rounded to the digits that are printed."""
    if isinstance(value, str):
        return said == value
    percent = said.endswith("%")
    number = said.rstrip("%").replace(",", "")
    digits = len(number.partition(".")[2])
    return number == f"{value * (100 if percent else 1):.{digits}f}"


def test_every_formula_has_a_number_and_a_test():
    assert list(SECTIONS) == list(NUMBERS)
    for name, section in SECTIONS.items():
        assert "$$" in section or "| function |" in section, name
        assert bold(section), f"{name} has no number"
        assert re.search(r"\(chapters? \d", section.splitlines()[0]), f"{name} names no chapter"


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_are_the_library_s(name):
    said, values = bold(SECTIONS[name]), NUMBERS[name]()
    assert len(said) == len(values), (said, values)
    wrong = [
        f"{text} is said, {value} comes out"
        for text, value in zip(said, values, strict=True) if not same(text, value)
    ]  # fmt: skip
    assert wrong == []


def test_a_wrong_number_is_found():
    assert same("2,048", 2048) and not same("2,049", 2048)
    assert same("0.0452", 0.045177) and not same("0.0451", 0.045177)
    assert same("75%", 0.75) and not same("75%", 75) and not same("4 9 2", "4 9 9 2")
