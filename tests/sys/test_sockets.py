"""What listens on this host, by ss(8) and, where that is missing, by /proc/net."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from warren.model.surroundings import Listener
from warren.sys import sockets


@pytest.fixture
def opened() -> Iterator[tuple[list[int], list[int]]]:
    """Ports that anybody can speak to (TCP, TCP, UDP), and ports that only this machine can."""
    with ExitStack() as stack:
        everywhere = [
            stack.enter_context(socket.create_server(("0.0.0.0", 0))),
            stack.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6)),
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        ]
        everywhere[-1].bind(("0.0.0.0", 0))
        here = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6)),
        ]
        yield [one.getsockname()[1] for one in everywhere], [one.getsockname()[1] for one in here]


def test_without_ss_nobody_who_listens_is_overlooked(
    opened: tuple[list[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that publishes everything and knew of no sshd would send the operator's ssh into the tunnel."""
    everywhere, here = opened
    told = []
    for find in (sockets.find_program, lambda _: None):
        monkeypatch.setattr(sockets, "find_program", find)
        told.append({(one.proto, one.port) for one in sockets.listeners()})
    for found in told:
        assert {("tcp", everywhere[0]), ("tcp", everywhere[1]), ("udp", everywhere[2])} <= found
        assert not {("tcp", port) for port in here} & found


PROC = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  25: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  26: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
  27: 07020AC0:A028 09090909:0035 01 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
"""


def test_udp_that_is_connected_is_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets.sys, "byteorder", "little")
    assert list(sockets.parse_proc("udp", PROC)) == [
        Listener("udp", 68),
        Listener("udp", 0xA028, passing=True),
    ]
