"""The loop of `warren netcheck` against real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess

import pytest

from tests.lab.enclosed import enclosed
from warren.daemon.asked import Asked
from warren.daemon.netcheck import check
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, encode_key
from warren.proto.check import NOBODY, Filtering, Hairpin
from warren.proto.checked import Kind, Report, findings
from warren.proto.noise import KeyPair
from warren.proto.shown import Shown
from warren.sys import datagram

pytestmark = pytest.mark.lab

KEY = KeyPair.of(b"k" * 32)


def checked(serving: bool) -> tuple[Report, int]:
    """Ask a server on a machine that has nothing but itself; gives what was found, and how often it was answered."""

    async def work() -> tuple[Report, int]:
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
        loop = asyncio.get_running_loop()
        desk = Asked(KEY, os.urandom)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as at:
            at.setblocking(False)
            at.bind(("127.0.0.1", 0))
            port = at.getsockname()[1]

            def take() -> None:
                for data, source in datagram.taken(at):
                    assert desk.take(data, source, at, loop.time())
                    assert not desk.take(b"\4" + data[1:], source, at, loop.time())

            if serving:
                loop.add_reader(at, take)
            else:
                at.close()
            server = Endpoint("127.0.0.1", port), PublicKey(encode_key(KEY.public))
            try:
                found = await check([server], lambda seconds: None)
                assert not desk.refused
                return found, desk.answered
            finally:
                if serving:
                    loop.remove_reader(at)

    return enclosed(lambda: asyncio.run(work()))


def test_a_server_on_this_very_machine() -> None:
    report, answered = checked(serving=True)
    one = report.versions[0].checked
    assert one is not None and report.ok
    assert (one.shown, one.filtering, one.hairpin) == (Shown.NO_NAT, Filtering.LOOSE, Hairpin.NEEDLESS)
    assert one.servers[0].rtt is not None and one.servers[0].rtt < 1
    assert answered == 3
    assert findings(report) == ()


def test_where_nobody_listens_the_kernel_says_so() -> None:
    report, _ = checked(serving=False)
    one = report.versions[0].checked
    assert one is not None and not report.ok
    assert one.servers[0].trouble == f"{NOBODY}, says 127.0.0.1"
    assert [found.kind for found in findings(report)] == [Kind.NO_SERVER]
