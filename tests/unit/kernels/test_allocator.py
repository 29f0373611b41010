"""Memory kept between steps: the next tensors get it, and in the end the system does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alexnet_lib.kernels import allocator

glibc = pytest.mark.skipif(allocator._glibc() is None, reason="this system's C library isn't glibc")

START = """
import threading
import torch
from alexnet_lib.kernels import allocator

def use_and_free():
    torch.ones(25 << 20)  # 100 MiB

def grown():
    with open("/proc/self/statm") as told:
        return round((int(told.read().split()[1]) * 4096 - before) / 2**20, -1)

before = 0
use_and_free()
before = grown() * 2**20
"""


def told_by(code: str) -> list[float]:
    """Run code in a fresh process; returns the numbers that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", START + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@glibc
def test_memory_is_kept_while_open_and_given_back_after():
    open_, nested, again, closed, after = told_by("""
with allocator.kept():
    use_and_free()
    print(grown())
    with allocator.kept():
        pass
    print(grown())
    use_and_free()
    print(grown())
print(grown())
use_and_free()
print(grown())
""")
    assert open_ == nested == pytest.approx(100, abs=20)
    assert 80 <= again <= 220  # a small thing may lie in the way of the first block
    assert closed == after == pytest.approx(0, abs=20)


@glibc
def test_it_is_given_back_after_an_error_and_by_the_last_of_several_threads():
    shared, closed = told_by("""
opened, close = threading.Event(), threading.Event()

def other():
    with allocator.kept():
        opened.set()
        close.wait(20)

thread = threading.Thread(target=other)
thread.start()
opened.wait(20)
try:
    with allocator.kept():
        use_and_free()
        1 / 0
except ZeroDivisionError:
    print(grown())
close.set()
thread.join()
print(grown())
""")
    assert shared == pytest.approx(100, abs=20)
    assert closed == pytest.approx(0, abs=20)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nothing_is_changed(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(allocator, "_glibc", allocator._glibc.__wrapped__)
    with allocator.kept():
        assert allocator._glibc() is None
