"""Run a command without a network: `python tests/chapters/offline.py COMMAND ...`.

On Linux the command gets a network namespace with nothing but the loopback interface, which
Jupyter's kernels need. Where the system doesn't allow that, the command runs plainly and a line
on standard error says so.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

__all__ = ["isolate"]

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h


def isolate() -> bool:
    """Cut this process and its children off from the network; returns whether that worked."""
    if sys.platform != "linux":
        return False
    uid, gid = os.getuid(), os.getgid()
    unshare = ctypes.CDLL(None, use_errno=True).unshare
    try:
        if unshare(CLONE_NEWNET) != 0:  # only the superuser may; anyone may in a user namespace
            if unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
                return False
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        _bring_up_loopback()
    except OSError:
        return False
    return True


def _bring_up_loopback() -> None:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    if not isolate():
        print("offline: not possible on this system, the network stays on", file=sys.stderr)
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
