"""`verify`: every check holds, and each kind of mistake is noticed."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import pytest
import torch

from alexnet_lib import architectures, models, ops
from alexnet_lib.experiments import reference_values, verify


@pytest.fixture(scope="module")
def results():
    return verify.checks()


def test_every_check_holds(results):
    assert [result for result in results if not result.ok] == []
    assert len(results) > 150
    names = [(result.group, result.name) for result in results]
    assert len(set(names)) == len(names)


def test_the_numbers_that_matter_most_are_among_them(results):
    expected = {repr(result.expected) for result in results}
    for number in (60_965_224, 724_406_816, 659_272, 234_496, 62_378_344, 1_135_256_096, 2178):
        assert repr(number) in expected
    groups = {result.group for result in results}
    for group in ("parameters", "shapes", "two GPUs", "two towers", "torchvision", "ten views"):
        assert group in groups


def test_what_comes_out_is_computed_not_copied(results):
    for result in results:
        if result.name == "neurons":
            assert isinstance(result.got, int)
        assert not isinstance(result.got, torch.Tensor)


def failed(groups: dict) -> set[str]:
    return {result.name for result in reference_values.run_groups(groups) if not result.ok}


def test_another_width_is_noticed(monkeypatch):
    wrong = architectures.VARIANTS["paper"]
    monkeypatch.setitem(architectures.VARIANTS, "paper", lambda n: replace(
        wrong(n), layers=tuple(
            replace(x, channels=258) if x.name == "conv5" else x for x in wrong(n).layers
        )
    ))
    names = {result.name for result in reference_values.checks() if not result.ok}
    assert {"parameters, paper", "MACs, paper", "neurons", "parameters of conv5"} <= names
    assert "parameters, caffe" not in names


def test_an_undivided_alpha_is_noticed(monkeypatch):
    monkeypatch.setattr(ops, "coefficient", lambda convention, size, alpha: alpha)
    names = failed({"rows": verify._lrn_rows, "others": verify._lrn_conventions})
    assert {"factor where all channels are 100, source2012", "pytorch, size 5: c / alpha"} <= names
    assert "factor where all channels are 100, paper" not in names


def test_lrn_across_the_towers_is_noticed(monkeypatch):
    lrn = ops.local_response_norm
    monkeypatch.setattr(
        ops, "local_response_norm", lambda *a, groups=1, **options: lrn(*a, groups=1, **options)
    )
    assert "LRN per half of 96 channels: largest difference" in failed(
        {"towers": verify._two_towers}
    )


def test_rounding_down_is_noticed(monkeypatch):
    monkeypatch.setattr(
        ops, "conv2d", lambda x, weight, bias=None, stride=1, padding=0, groups=1, rounding="":
        torch.nn.functional.conv2d(x, weight, bias, stride, padding, groups=groups)
    )
    assert "conv1 of a 224 image, rounded up: side" in failed({"one": verify._first_layer})


def test_a_group_that_breaks_is_one_failed_check(monkeypatch):
    def broken(spec):
        raise RuntimeError("out of order")

    monkeypatch.setattr(models, "blueprint", broken)
    (result,) = reference_values.run_groups({"the models": verify._built})
    assert (result.ok, result.group) == (False, "the models")
    assert result.got == "RuntimeError: out of order"


@pytest.mark.parametrize(
    ("result", "ok"),
    [
        (reference_values.equal("a", 5, 5), True),
        (reference_values.equal("a", 5, 6), False),
        (reference_values.close("a", 1.0, 1.04, 0.05), True),
        (reference_values.close("a", 1.0, 1.06, 0.05), False),
        (reference_values.close("a", [1, 2], [1, 2], 0), True),
        (reference_values.close("a", [1, 2], [1], 0), False),
        (reference_values.close("a", 1.0, float("nan"), 9.0), False),
        (reference_values.close("a", 1.0, float("inf"), 9.0), False),
    ],
)
def test_how_checks_compare(result, ok):
    assert result.ok is ok


def prepared(monkeypatch, *checks):
    monkeypatch.setattr(verify, "checks", lambda: list(checks))


GOOD = reference_values.Result("neurons", 659_272, 659_272, True, "activations")
BAD = reference_values.Result("sides", [55, 27], [54, 27], False, "shapes")


def test_the_table(monkeypatch, capsys):
    prepared(monkeypatch, GOOD, BAD)
    assert verify.report() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "activations" in lines and "shapes" in lines
    assert "  ✓ neurons  659,272 | 659,272" in lines
    assert "  ✗ sides    55 27 | 54 27" in lines
    assert lines[-1].startswith("1 of 2 checks hold (")
    prepared(monkeypatch, GOOD)
    assert verify.report() == 0


def test_the_table_where_ticks_can_t_be_printed(monkeypatch, capfdbinary):
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", stream)
    prepared(monkeypatch, GOOD, BAD)
    assert verify.report() == 1
    stream.flush()
    text = stream.buffer.getvalue().decode("cp1252")
    assert "  ok neurons" in text
    assert "  NO sides" in text


def test_it_leaves_torch_s_random_state_alone():
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    reference_values.run_groups({"a": verify._learning, "b": verify._ten_views,
                      "c": verify._initialization})
    assert torch.equal(torch.rand(2), expected)


def test_arithmetic_takes_no_time():
    started = time.process_time()
    reference_values.checks()
    assert time.process_time() - started < 2
