"""What endpoints stand for, and how wide the way there is."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes
from warren.model.endpoint import Endpoint
from warren.sys.endpoints import look_up, path_mtu, resolve
from warren.sys.errors import HostError


def test_literal_addresses_need_nobody() -> None:
    given = [Endpoint("192.0.2.7", 1), Endpoint("2001:db8::7", 2), Endpoint("192.0.2.7", 3)]
    assert resolve(given) == ("192.0.2.7", "2001:db8::7")


def test_a_name_that_cannot_be_asked_for_yet_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wg does: 1 s, then 1.2 times as long each time. The resolver alone is made up; it cannot be made to fail."""
    answers: list[object] = [socket.gaierror(socket.EAI_AGAIN, "later")] * 3
    answers.append([(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.9", 1))])

    def lookup(*_: object, **__: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    waited: list[float] = []
    assert resolve([Endpoint("vpn.example", 1)], waited.append) == ("192.0.2.9",)
    assert waited == pytest.approx([1.0, 1.2, 1.44])


@pytest.mark.parametrize(("error", "waits"), [(socket.EAI_NONAME, 0), (socket.EAI_AGAIN, 4)])
def test_a_name_that_stands_for_nothing_is_an_error(error: int, waits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> object:
        raise socket.gaierror(error, "no")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setenv("WG_ENDPOINT_RESOLUTION_RETRIES", "4")
    waited: list[float] = []
    with pytest.raises(HostError, match=r"vpn\.example:1 stands for no address"):
        resolve([Endpoint("vpn.example", 1)], waited.append)
    assert len(waited) == waits


def test_names_are_asked_for_together_and_nobody_waits_for_the_slowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver alone is made up: one name answers when all have been asked for, one never does, one is not."""
    asked = threading.Barrier(3, timeout=10)
    for_ever = threading.Event()

    def lookup(host: str, *_: object, **__: object) -> object:
        asked.wait()
        if host == "slow.example":
            for_ever.wait(60)
        if host == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "no")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.9", 1))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    names = [Endpoint(f"{word}.example", 7) for word in ("good", "slow", "gone")]
    began = time.monotonic()
    assert look_up([*names, names[0]], 0.5) == {names[0]: Endpoint("192.0.2.9", 7)}
    assert time.monotonic() - began < 30
    for_ever.set()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with boxes(tmp_path, "box") as (made,):
        made.sh(
            "ip link add up0 type veth peer name far0; ip link set far0 up; ip link set up0 mtu 1480 up\n"
            "ip addr add 192.0.2.2/24 dev up0; ip route add default via 192.0.2.1\n"
            "ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1400; ip route add unreachable 203.0.113.0/24\n"
            "ip route add default via 192.0.2.1 table 99 mtu 1300; ip rule add fwmark 7 lookup 99"
        )
        yield made


@pytest.mark.lab
@pytest.mark.parametrize(
    ("addresses", "mark", "mtu"),
    [
        (["192.0.2.9"], 0, 1480),
        (["192.0.2.9", "198.51.100.1"], 0, 1400),
        (["203.0.113.1"], 0, 1480),  # it cannot be reached, so the default route's counts
        (["203.0.113.1", "198.51.100.1"], 0, 1400),
        (["192.0.2.9", "8.8.8.8"], 7, 1300),
        ([], 0, 1480),
        (["127.0.0.1"], 0, 65536),
    ],
)
def test_the_narrowest_way_counts(box: Box, addresses: list[str], mark: int, mtu: int) -> None:
    assert box.call(lambda: path_mtu(addresses, {"up0": 1480, "lo": 65536}, mark)) == mtu


@pytest.mark.lab
def test_without_any_way_nothing_is_known(box: Box) -> None:
    box.sh("ip link del up0")
    assert box.call(lambda: path_mtu(["192.0.2.9"], {"lo": 65536})) is None
