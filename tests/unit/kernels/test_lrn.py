"""The fast LRN: the compiled path gives what the portable one gives, and either can be missing."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from alexnet_lib.kernels import build, dispatch
from alexnet_lib.kernels import lrn as lrn_kernel

ROOT = Path(__file__).resolve().parents[3]
compiled = pytest.mark.skipif(
    not dispatch.compiled(), reason="no C compiler here: the portable path serves"
)

# groups, behind, ahead, c, beta, k
WINDOWS = [
    (1, 2, 2, 1e-4, 0.75, 2.0), (2, 2, 2, 0.3, 0.75, 1.0), (4, 2, 1, 0.3, 0.5, 1.0),
    (1, 0, 0, 0.3, 1.6, 0.1), (2, 50, 50, 0.01, 0.75, 1.0), (1, 0, 3, 0.3, 0.75, 1.0),
]


def random_maps(*shape: int, seed: int = 0, channels_last: bool = False) -> torch.Tensor:
    x = 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last) if channels_last else x


def in_another_process(code: str, **environment: str) -> str:
    """Run Python code in a fresh process at the repository's root; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@compiled
@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_both_paths_give_the_same(window, channels_last):
    for shape in ((3, 16, 9, 11), (1, 96, 8, 8), (2, 8, 16, 17)):  # 1 to 3 blocks of positions
        x = random_maps(*shape, channels_last=channels_last).requires_grad_()
        assert x.numel() >= 4096
        g = random_maps(*shape, seed=1)
        y = lrn_kernel.lrn(x, *window)
        y.backward(g)
        wide, g_wide = x.detach().double(), g.double()
        expected = lrn_kernel.lrn_portable(wide, *window)
        torch.testing.assert_close(y.double(), expected, rtol=2e-5, atol=1e-6)
        slope = lrn_kernel._portable_backward(g_wide, wide, *window)
        torch.testing.assert_close(x.grad.double(), slope, rtol=2e-4, atol=2e-4)
        portable = lrn_kernel.lrn_portable(x.detach(), *window)
        torch.testing.assert_close(y, portable, rtol=2e-5, atol=1e-6)
        assert y.stride() == portable.stride() == x.stride() == x.grad.stride()


@compiled
@pytest.mark.parametrize("shape", [(600, 16), (30, 8, 40), (2, 8, 4, 9, 11)])
def test_both_paths_give_the_same_in_any_number_of_dimensions(shape):
    x = random_maps(*shape)
    y = lrn_kernel.lrn(x, 2, 2, 2, 0.3, 0.75, 1.0)
    torch.testing.assert_close(y, lrn_kernel.lrn_portable(x, 2, 2, 2, 0.3, 0.75, 1.0))


@compiled
def test_threads_change_nothing():
    x, g = random_maps(5, 16, 9, 11), random_maps(5, 16, 9, 11, seed=1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            one = x.clone().requires_grad_()
            y = lrn_kernel.lrn(one, 2, 2, 2, 0.3, 0.75, 1.0)
            y.backward(g)
            results.append((y.detach(), one.grad))
    finally:
        torch.set_num_threads(before)
    for y, slope in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(slope, results[0][1])


def _forked(maps: torch.Tensor, answers) -> None:
    answers.put(lrn_kernel.lrn(maps, 1, 2, 2, 0.3, 0.75, 1.0).sum().item())


@compiled
@pytest.mark.skipif(sys.platform != "linux", reason="processes aren't forked here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_its_own_threads():
    x, before = random_maps(2, 16, 12, 11), torch.get_num_threads()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    try:
        torch.set_num_threads(2)
        expected = lrn_kernel.lrn(x, 1, 2, 2, 0.3, 0.75, 1.0).sum().item()  # starts the threads
        child = context.Process(target=_forked, args=(x, answers))
        child.start()
        child.join(60)
        assert child.exitcode == 0, "the child waits for threads that the fork left behind"
        assert answers.get() == pytest.approx(expected, rel=1e-5)
    finally:
        torch.set_num_threads(before)
        if child.is_alive():
            child.kill()


def shape_of(draw: random.Random, dimensions: int) -> tuple[int, ...]:
    """A shape of at least 4096 values, with odd sizes."""
    sides = [draw.randint(1, 13) for _ in range(dimensions - 2)]
    C = 2 * draw.randint(1, 40)
    return (-(-4096 // (C * math.prod(sides))) + draw.randint(0, 2), C, *sides)


@compiled
@pytest.mark.parametrize("number", range(30))
def test_random_shapes_layouts_and_types_against_float64(number):
    draw = random.Random(number)
    dimensions = draw.choice((2, 3, 4, 4, 4, 5))
    x = random_maps(*shape_of(draw, dimensions), seed=number)
    if dimensions == 4 and draw.random() < 0.6:
        x = x.to(memory_format=torch.channels_last)
    if draw.random() < 0.3:  # every second value of wider maps: not dense in memory
        x = torch.stack([x, -x], dim=-1)[..., 0]
    dtype = draw.choice((torch.float32, torch.float32, torch.bfloat16))
    beta = draw.choice((0.75, 0.75, 0.5, 1.3))
    behind, ahead = (2, 2) if draw.random() < 0.4 else (draw.randint(0, 60), draw.randint(0, 3))
    window = (draw.choice((1, 2)), behind, ahead, 0.2, beta, draw.choice((0.5, 2.0)))
    x = x.to(dtype).requires_grad_()
    g = random_maps(*x.shape, seed=number + 100).to(dtype)
    y = lrn_kernel.lrn(x, *window)
    y.backward(g)
    wide, g_wide = x.detach().double(), g.double()
    rtol, atol = (2e-4, 1e-5) if dtype == torch.float32 else (8e-3, 5e-3)
    limits = {"rtol": rtol, "atol": atol}
    torch.testing.assert_close(y.double(), lrn_kernel.lrn_portable(wide, *window), **limits)
    slope = lrn_kernel._portable_backward(g_wide, wide, *window)
    torch.testing.assert_close(x.grad.double(), slope, **limits)
    assert y.dtype == x.grad.dtype == dtype
    assert y.stride() == torch.empty_like(x).stride()


@compiled
def test_bfloat16_is_summed_in_float32():
    """k + c S: with c S below 2^-8 of k a sum in bfloat16 would not feel it."""
    x = torch.full((64, 96, 1), 3.0, dtype=torch.bfloat16)
    y = lrn_kernel.lrn(x, 1, 2, 2, 1e-4, 60.0, 2.0)  # so high a power shows what vanished
    expected = 3 * (2 + 1e-4 * 45) ** -60.0
    assert y[0, 50, 0].item() == pytest.approx(expected, rel=2**-8)
    assert abs(3 * 2**-60.0 / expected - 1) > 0.1


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_pass_as_in_torch(value, channels_last):
    x = random_maps(2, 16, 12, 11, channels_last=channels_last)
    x[0, 5, 3, 3] = x[1, 0, 11, 10] = x[1, 15, 0, 0] = value
    x = x.requires_grad_()
    y = lrn_kernel.lrn(x, 1, 2, 2, 0.3 / 5, 0.75, 1.0)
    expected = torch.nn.functional.local_response_norm(x, 5, 0.3, 0.75, 1.0)
    torch.testing.assert_close(y, expected, equal_nan=True)
    y.backward(torch.ones_like(y))
    reached = x.grad.isnan()
    for n, i, row, column in ((0, 5, 3, 3), (1, 0, 11, 10), (1, 15, 0, 0)):
        low, high = max(0, i - 4), min(15, i + 4)  # a window's window
        assert reached[n, i, row, column]
        reached[n, low : high + 1, row, column] = False
    assert not reached.any(), "a position or channel far from it was spoiled"


@compiled
@pytest.mark.parametrize("shape", [(0, 16, 9, 9), (4, 16, 0, 9)])
def test_empty_maps_stay_empty(shape):
    x = torch.zeros(shape, requires_grad=True)
    y = lrn_kernel.lrn(x, 2, 2, 2, 0.3, 0.75, 1.0)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape


@compiled
@pytest.mark.parametrize("fullgraph", [True])
def test_compile_passes_through(fullgraph):
    x = random_maps(4, 16, 12, 11).requires_grad_()

    def layer(x):
        return lrn_kernel.lrn(x.relu(), 2, 2, 2, 0.3, 0.75, 1.0) * 2

    compiled_layer = torch.compile(layer, fullgraph=fullgraph, backend="aot_eager")
    (expected,) = torch.autograd.grad(layer(x).sum(), x)
    (slope,) = torch.autograd.grad(compiled_layer(x).sum(), x)
    torch.testing.assert_close(slope, expected)


def test_gradcheck_in_float64():
    x = random_maps(3, 8, 3, 2).double().requires_grad_()
    for window in ((2, 2, 1, 0.3, 0.75, 1.0), (1, 9, 9, 0.1, 1.2, 2.0)):
        assert torch.autograd.gradcheck(lambda x, w=window: lrn_kernel.lrn(x, *w), x)


CODE = """
import torch
from alexnet_lib import ops
from alexnet_lib.kernels import dispatch
x = (torch.arange(6000.) % 17 - 8).reshape(2, 10, 300).requires_grad_()
y = ops.local_response_norm(x, 5, 0.3, 0.75, 2.0)
y.sum().backward()
print(not dispatch.compiled(), f"{y.abs().sum().item():.2f} {x.grad.sum().item():.2f}")
"""


def test_without_a_compiler_the_portable_path_serves():
    x = (torch.arange(6000.0) % 17 - 8).reshape(2, 10, 300).requires_grad_()
    window = (1, 2, 2, 0.3, 0.75, 2.0)
    y = lrn_kernel.lrn_portable(x.detach().double(), *window)
    slope = lrn_kernel._portable_backward(torch.ones_like(y), x.detach().double(), *window)
    expected = f"{y.abs().sum().item():.2f} {slope.sum().item():.2f}"
    asked = in_another_process(CODE, ALEXNET_KERNELS="portable")
    assert asked == f"True {expected}"


def fresh_library(monkeypatch, tmp_path, **environment: str):
    """Build and load the library as a first call does, with its cache in tmp_path."""
    monkeypatch.setenv("ALEXNET_KERNEL_CACHE", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return build.compiled_library.__wrapped__()


def test_no_compiler_no_library(monkeypatch, tmp_path):
    assert fresh_library(monkeypatch, tmp_path, CC=str(tmp_path / "no-such-compiler")) is None
    assert fresh_library(monkeypatch, tmp_path, CC=sys.executable) is None  # it fails to compile
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fresh_library(monkeypatch, tmp_path) is None


@compiled
def test_the_library_is_built_once(monkeypatch, tmp_path):
    assert fresh_library(monkeypatch, tmp_path) is not None
    built = sorted((tmp_path / "alexnet_lib").iterdir())
    written = [path.stat().st_mtime_ns for path in built]
    assert fresh_library(monkeypatch, tmp_path) is not None
    assert sorted((tmp_path / "alexnet_lib").iterdir()) == built
    assert [path.stat().st_mtime_ns for path in built] == written


@compiled
def test_a_broken_library_or_cache_is_done_without(monkeypatch, tmp_path):
    name = Path(fresh_library(monkeypatch, tmp_path)._name).name.replace("-team", "")
    broken = tmp_path / "broken" / "alexnet_lib"
    broken.mkdir(parents=True)
    (broken / name.replace(".so", "-team.so")).write_bytes(b"not a library")
    other = fresh_library(monkeypatch, broken.parent)
    assert Path(other._name).name == name  # the one with Python's threads
    both = tmp_path / "both" / "alexnet_lib"
    both.mkdir(parents=True)
    for file in (name, name.replace(".so", "-team.so")):
        (both / file).write_bytes(b"not a library")
    assert fresh_library(monkeypatch, both.parent) is None
    (tmp_path / "file").write_text("no folder")
    assert fresh_library(monkeypatch, tmp_path / "file") is None


@compiled
def test_python_s_threads_give_the_same_as_torch_s(monkeypatch, tmp_path):
    x, before, results = random_maps(5, 16, 9, 11), torch.get_num_threads(), []
    library = fresh_library(monkeypatch, tmp_path)
    try:
        torch.set_num_threads(3)
        for home in (build.HOME, -1):  # -1: as after a fork
            monkeypatch.setattr(build, "HOME", home)
            monkeypatch.setattr(build, "compiled_library", lambda: library)
            results.append(lrn_kernel.lrn(x, 2, 2, 2, 0.3, 0.75, 1.0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def make(layout: str) -> torch.Tensor:
    x = random_maps(2, 8, 20, 13)
    return {
        "contiguous": x, "channels_last": x.to(memory_format=torch.channels_last),
        "permuted": random_maps(20, 8, 13, 2).permute(3, 1, 0, 2),
        "half": x.half(),
    }[layout]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "permuted", "half"])
def test_torch_s_own_check_of_custom_operators(layout):
    x = make(layout).requires_grad_()
    torch.library.opcheck(lrn_kernel.lrn, (x, 2, 2, 1, 0.3, 0.75, 1.0))


def test_a_second_derivative_is_refused_not_wrong():
    x = random_maps(2, 8).double().requires_grad_()
    y = lrn_kernel.lrn(x, 1, 2, 2, 0.3, 0.75, 1.0)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(slope.sum(), x)


@pytest.mark.parametrize("kind", ["compiled", "portable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_relu_folded_in_changes_no_bit(kind, dtype, channels_last, monkeypatch):
    if kind == "portable":
        monkeypatch.setenv("ALEXNET_KERNELS", "portable")
    for window in WINDOWS:
        x = random_maps(2, 16, 13, 11, channels_last=channels_last).to(dtype)
        x[0, 3, 2, 2], x[0, 5, 2, 2], x[1, 1, 0, 0] = math.nan, math.inf, -math.inf
        x[0, 0, 0, :3] = torch.tensor([0.0, -0.0, -1.0])
        g = torch.randn_like(x)
        found = []
        for folded in (True, False):
            own = x.clone().requires_grad_()
            y = lrn_kernel.lrn(own if folded else own.relu(), *window, relu=folded)
            y.backward(g)
            found.append((y.detach(), own.grad))
        for mine, theirs in zip(*found, strict=True):
            assert mine.stride() == theirs.stride()
            torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


def test_gradcheck_and_opcheck_with_a_relu_folded_in():
    x = random_maps(2, 6, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lrn_kernel.lrn(x, 2, 2, 1, 0.3, 0.75, 1.0, True), x)
    torch.library.opcheck(lrn_kernel.lrn, (x, 2, 2, 1, 0.3, 0.75, 1.0, True))
