"""No process is left behind: each ends when the one that started it is gone."""

from __future__ import annotations

import os
import threading
import time
from multiprocessing import connection, parent_process

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """From now on, end this process as soon as the one that started it is gone.

    At once and with status 1, whatever it is doing, even if a read or another process hangs.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    if parent_process() is not None:  # started by multiprocessing, which knows on any system
        connection.wait([parent_process().sentinel])
    else:
        while os.getppid() == parent:
            time.sleep(1.0)
    os._exit(1)
