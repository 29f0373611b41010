"""Filters that ship are the network's; activations are what the stages put out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from alexnet_lib import architectures, checkpoints, models, pretrained


@pytest.fixture(scope="module")
def small():
    return models.build(architectures.small_network(channels=(4, 6)), seed=0)


SHIPPED = pytest.mark.parametrize("name", ["imagenette_paper", "imagenette_long"])


@SHIPPED
def test_shipped_filters_fit_the_network(name):
    filters = pretrained.learned_filters(name)
    spec = architectures.network("paper", 10)
    model = models.blueprint(spec)
    for key, array in filters.items():
        assert array.shape == tuple(model.get_parameter(f"features.{key}").shape)
        assert array.dtype == np.float32 and np.isfinite(array).all()
    assert len(filters) == 10
    initial = 0.01  # a trained conv1 has left its initial spread
    assert filters["conv1.weight"].std() > 1.3 * initial


@SHIPPED
def test_moments_begin_with_noise_and_end_with_the_shipped_filters(name):
    steps, pictures = pretrained.filter_moments(name)
    assert pictures.shape == (len(steps), 96, 11, 11, 3) and pictures.dtype == np.uint8
    assert (np.diff(steps) > 0).all() and steps[0] == 0 and len(steps) >= 40
    last = pretrained.learned_filters(name)["conv1.weight"].transpose(0, 2, 3, 1)
    shown = (pictures[-1].astype(float) - 127.5) / 127.5 * np.abs(last).max()
    assert np.abs(shown - last).max() < 0.02 * np.abs(last).max()


def test_activations_are_those_of_the_stages(small):
    x = torch.randn(2, 1, 28, 28)
    taken = pretrained.activations(small.eval(), x, ["conv1", "pool2", "fc"])
    np.testing.assert_allclose(taken["conv1"], small.stage("conv1")(x).detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(taken["fc"], small(x).detach().numpy(), rtol=1e-5)
    assert taken["pool2"].shape == (2, 6, 6, 6)
    assert not any(module._forward_hooks for module in small.modules())


def test_activations_of_an_unknown_stage(small):
    with pytest.raises(ValueError, match="did you mean 'conv1'"):
        pretrained.activations(small, torch.zeros(1, 1, 28, 28), ["conf1"])


def test_export_keeps_weights_and_moments(tmp_path, small, monkeypatch):
    checkpoints.save(tmp_path / "run" / checkpoints.NAME, {
        "network": asdict(small.spec), "model": small.state_dict(), "classes": list("abcdefghij"),
        "data": "nothing",
    })
    rng = np.random.default_rng(0)
    steps, pictures = np.array([0, 5, 9]), rng.integers(0, 256, (3, 4, 5, 5, 1)).astype(np.uint8)
    np.savez_compressed(tmp_path / "run" / "conv1_moments.npz", steps=steps, filters=pictures)
    pretrained.export_filters(tmp_path / "run", "mine", tmp_path)
    monkeypatch.setattr(pretrained, "filters_folder", lambda: tmp_path)
    again, same = pretrained.filter_moments("mine")
    assert (again == steps).all() and same.dtype == np.uint8 and (same == pictures).all()
    filters = pretrained.learned_filters("mine")
    assert filters.keys() == {f"conv{n}.{part}" for n in (1, 2) for part in ("weight", "bias")}
    for name, value in filters.items():
        exact = small.get_parameter(f"features.{name}").detach().numpy()
        allowed = 1e-3 if value.ndim == 1 or name == "conv1.weight" else 4e-3 + 1e-3
        largest = np.abs(exact).reshape(len(exact), -1).max(axis=1)
        error = np.abs(value - exact).reshape(len(exact), -1).max(axis=1)
        assert (error <= allowed * largest).all(), name


def test_export_keeps_the_convolutions(tmp_path, small):
    checkpoints.save(tmp_path / "run" / checkpoints.NAME, {
        "network": asdict(small.spec), "model": small.state_dict(), "classes": list("abcdefghij"),
        "data": "nothing",
    })
    (path,) = pretrained.export_filters(tmp_path / "run", "mine", tmp_path)
    assert path == tmp_path / "mine.npz"
    with pytest.raises(FileNotFoundError, match="python -m alexnet_lib export"):
        pretrained.learned_filters("nobody")


def test_small_archives_are_whole_alike_and_read_by_numpy(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.int8).reshape(2, 3), "b": np.array("words"),
              "c": np.empty((0, 2), np.float16)}  # fmt: skip
    one, two = (
        pretrained.write_arrays(tmp_path / name / "x.npz", arrays) for name in ("one", "two")
    )
    assert one.read_bytes() == two.read_bytes()
    with np.load(one) as saved:
        assert set(saved) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(saved[name], array, strict=True)
    assert [path.name for path in one.parent.iterdir()] == ["x.npz"]
