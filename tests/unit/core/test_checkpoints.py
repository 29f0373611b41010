"""Checkpoints: whole or not there, free of code, and clear about what can't be read."""

from __future__ import annotations

import json
import os
import pickle
import stat
import zipfile
from dataclasses import asdict

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from alexnet_lib import architectures, checkpoints, models


@pytest.fixture
def state(toy_spec):
    """A small checkpoint with everything in it that a run keeps."""
    model = models.build(toy_spec, seed=0).to(memory_format=torch.channels_last)
    return {
        "network": asdict(toy_spec), "model": model.state_dict(),
        "velocity": {name: torch.randn_like(p) for name, p in model.named_parameters()},
        "schedule": {"best": float("inf"), "waited": 2, "initial": 0.01},
        "run": {"losses": torch.tensor([1 / 3, 2.0], dtype=torch.float64), "diary": [[0.5, 0.001]],
                "epoch": 3, "recipe": {"biases": {"fc6": 0.0}, "name": "toy"}},
        "classes": ["a", "b"], "input": {"mean": torch.rand(4, 4, 3)}, "steps": 4, "data": "toy",
    }


@pytest.fixture
def saved(state, tmp_path):
    path = tmp_path / "run" / checkpoints.NAME
    checkpoints.save(path, state)
    return path


def assert_same(one, other) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other) and one.dtype == other.dtype
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_same(value, other[key])
    elif isinstance(one, list | tuple):  # JSON knows lists alone
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other and type(one) is type(other)


def test_what_is_saved_is_loaded(state, saved):
    loaded = checkpoints.load(saved)
    assert loaded.pop("format") == checkpoints.FORMAT
    assert_same(state, loaded)
    assert_same(state, {k: v for k, v in checkpoints.load(saved.parent).items() if k != "format"})


def test_the_file_is_safetensors_and_json_without_code(state, saved):
    with safe_open(saved, "pt") as file:
        assert "model/features.conv1.weight" in file.keys()  # noqa: SIM118
        header = json.loads(file.metadata()["alexnet_course"])
    assert header["run"]["recipe"]["name"] == "toy"
    assert header["network"]["layers"][0]["name"] == "conv1"
    with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError)):
        pickle.loads(saved.read_bytes())
    assert not zipfile.is_zipfile(saved)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_others_may_read_it(saved):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o644


def test_the_file_isn_t_held_open_and_can_be_replaced(state, saved):
    loaded = checkpoints.load(saved)
    state["model"] = {name: t + 1 for name, t in state["model"].items()}
    checkpoints.save(saved, state)
    saved.unlink()
    name = "features.conv1.weight"
    assert torch.equal(loaded["model"][name] + 1, state["model"][name])


def test_a_network_is_built_around_its_weights(state, saved, toy_spec):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    model, whole = checkpoints.load_model(saved.parent)
    assert torch.equal(torch.rand(2), expected)  # nothing was drawn
    assert model.spec == toy_spec
    assert not model.training
    assert whole["classes"] == ["a", "b"]
    reference = models.Net(toy_spec).eval()
    reference.load_state_dict(state["model"])
    x = torch.randn(2, 3, 10, 10)
    with torch.no_grad():
        torch.testing.assert_close(model(x), reference(x))
    model(x).sum().backward()  # its weights can be trained on
    assert model.stage("conv1").weight.grad is not None


@pytest.mark.parametrize("variant", architectures.VARIANTS)
def test_the_spec_of_every_variant_comes_back(variant):
    spec = architectures.network(variant, 7)
    kept = json.loads(json.dumps(asdict(spec)))
    assert checkpoints.spec_of({"network": kept}) == spec


# ---------------------------------------------------------------- bad input

def test_a_missing_checkpoint_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*; train first: python"):
        checkpoints.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint .*x.safetensors"):
        checkpoints.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_truncated_files(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    message = r"can't be read as a checkpoint \(truncated, or another program's\): .*Take another"
    with pytest.raises(ValueError, match=message):
        checkpoints.load(saved)


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n" + bytes(99), b"a text\n" * 50, b"PK\x03\x04"]
)
def test_files_of_other_programs(tmp_path, content):
    (tmp_path / checkpoints.NAME).write_bytes(content)
    with pytest.raises(ValueError, match="can't be read as a checkpoint .*train again without"):
        checkpoints.load(tmp_path)


class _Code:
    def __reduce__(self):
        return os.mkdir, ("it-ran",)


def test_a_pickle_with_code_isn_t_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 2, "network": _Code(), "model": {}}, checkpoints.NAME)
    with pytest.raises(ValueError, match="can't be read as a checkpoint"):
        checkpoints.load(".")
    assert not (tmp_path / "it-ran").exists()


def test_bare_weights_are_no_checkpoint(tmp_path, toy_spec):
    weights = models.build(toy_spec, 0).state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="not a checkpoint of this course: .* bare state dict"):
        checkpoints.load(tmp_path / "weights.safetensors")


def test_a_newer_format(state, saved, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 3)
    checkpoints.save(saved, state)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format 3; this version reads up to 2. Update the"):
        checkpoints.load(saved)


def test_weights_that_don_t_fit(state):
    state["model"]["classifier.fc.bias"] = torch.zeros(99)
    with pytest.raises(ValueError, match="the checkpoint's weights don't fit the network 'small'"):
        checkpoints.model_of(state)
    del state["model"]["classifier.fc.bias"]
    with pytest.raises(ValueError, match="the checkpoint's weights don't fit the network 'small'"):
        checkpoints.model_of(state)


def test_networks_that_nobody_can_build(state):
    state["network"]["layers"][0]["wings"] = 2
    with pytest.raises(ValueError, match="network can't be built: .*wings.*Update the course"):
        checkpoints.model_of(state)
    with pytest.raises(ValueError, match="network can't be built: 'layers'"):
        checkpoints.spec_of({"network": {}})


@pytest.mark.parametrize("error", [
    OSError(28, "No space left on device"), PermissionError(13, "Permission denied"),
])
@pytest.mark.parametrize("where", ["save_file", "replace"])
def test_when_writing_fails_the_one_before_stays(saved, state, monkeypatch, error, where):
    before = saved.read_bytes()

    def fail(*arguments, **options):
        raise error

    target = checkpoints if where == "save_file" else os
    monkeypatch.setattr(target, where, fail)
    message = f"can't write the checkpoint .*{error.strerror}.*Free some space or choose another"
    with pytest.raises(OSError, match=message):
        checkpoints.save(saved, state)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]


def test_a_file_where_the_folder_should_be(tmp_path, state):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OSError, match="can't write the checkpoint .*choose another folder"):
        checkpoints.save(tmp_path / "run" / checkpoints.NAME, state)
