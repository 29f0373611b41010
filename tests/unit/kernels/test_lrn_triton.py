"""The GPU's LRN kernels, run by Triton's interpreter on the CPU, against float64."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import torch
from alexnet_lib.kernels import lrn, lrn_triton

torch.manual_seed(0)
for shape, groups in (((2, 10, 3, 5), 2), ((1, 20, 40), 1), ((3, 6), 1)):
    for behind, ahead, beta, k in ((2, 2, 0.75, 2.0), (3, 0, 1.2, 0.5), (0, 9, 0.75, 0.0)):
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            if dtype != torch.float32 and behind != 2:
                continue  # the interpreter is slow
            for channels_last in (False, True)[: 1 + (len(shape) == 4)]:
                x = (3 * torch.randn(shape)).to(dtype)
                x.flatten()[:2] = 0
                form = torch.channels_last if channels_last else torch.contiguous_format
                x = x.contiguous(memory_format=form)
                g = torch.randn_like(x)
                window = (groups, behind, ahead, 0.2, beta, k)
                for relu in (False, True):
                    wide = x.double().relu() if relu else x.double()
                    y = lrn_triton.forward(x, window, channels_last, relu)
                    dx = lrn_triton.backward(g, x, window, channels_last, relu)
                    expected = lrn.lrn_portable(wide, *window)
                    slope = lrn._portable_backward(g.double(), wide, *window)
                    if relu:
                        slope = slope * (x > 0)
                    limits = dict(rtol=1e-4, atol=1e-4)
                    if dtype != torch.float32:
                        limits = dict(rtol=1e-2, atol=1e-2)
                    torch.testing.assert_close(y.double(), expected, **limits)
                    torch.testing.assert_close(dx.double(), slope, **limits)
                    assert y.dtype == dtype and y.stride() == dx.stride() == x.stride()
print("right", lrn_triton.takes(x, 2, 2))
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton on this system")
def test_the_kernels_in_the_interpreter_against_float64():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "ALEXNET_KERNELS": "portable"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "right False", "tensors on the CPU are not for Triton"
