"""The server's connection: small messages leave at once."""

from __future__ import annotations

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from alexnet_lib.cli.jupyter_server import PromptConnection


class Handler:
    """Stands in for tornado's websocket handler."""

    def __init__(self, calls: list) -> None:
        self.calls = calls

    def set_nodelay(self, value: bool) -> None:
        self.calls.append(("nodelay", value))


def test_connection_sets_nodelay_and_then_connects(monkeypatch):
    calls: list = []
    monkeypatch.setattr(
        ZMQChannelsWebsocketConnection, "connect", lambda self: calls.append("connect") or "future"
    )
    connection = PromptConnection.__new__(PromptConnection)
    connection._trait_values["websocket_handler"] = Handler(calls)
    assert connection.connect() == "future"
    assert calls == [("nodelay", True), "connect"]
