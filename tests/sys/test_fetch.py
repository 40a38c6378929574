"""A file over HTTPS is bounded in time, whatever the server does."""

from __future__ import annotations

import socket
import threading
import time
from http.client import HTTPResponse

import pytest

from warren.sys import fetch
from warren.sys.errors import HostError


def test_a_server_that_drips_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is never silence, and a block of them would take days."""
    monkeypatch.setattr(fetch, "LONGEST", 0.3)
    near, far = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(1200):
            if ended.wait(0.05):
                break
            far.sendall(b"x")
        far.close()

    server = threading.Thread(target=drip)
    server.start()
    try:
        with near:
            answer = HTTPResponse(near)
            answer.begin()
            began = time.monotonic()
            with pytest.raises(HostError, match="was not through"):
                fetch._read(answer, 1000, "https://registry.example", lambda _: None)
            assert time.monotonic() - began < 20
    finally:
        ended.set()
        server.join()
