"""JupyterLab's server, told to send at once: what `make lab` adds to it.

A moved slider is answered by several small messages. As Jupyter's server comes, the system may
hold each back until the one before is acknowledged, which takes a browser up to 40 ms (Nagle's
algorithm and the delayed acknowledgement): every second picture came two frames late.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

__all__ = ["PromptConnection"]


class PromptConnection(ZMQChannelsWebsocketConnection):
    """A kernel's connection to the browser that doesn't wait for acknowledgements.

    For JupyterLab's `--ServerApp.kernel_websocket_connection_class`, as in the Makefile.
    """

    def connect(self) -> Any:
        """Connect as Jupyter does, with TCP_NODELAY set."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
