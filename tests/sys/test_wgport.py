"""Datagrams from and to a port that another program has: seen by it and by us, and by us only what is ours."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sys.boxes import Box, boxes
from warren.proto.address import Address
from warren.sys.wgport import Port, only_from

pytestmark = pytest.mark.lab
OURS = b"wrn\x01" + bytes(range(61))  # an odd number of bytes: the checksum pads it
MARK = 0x3F000000
ENDS = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    with boxes(tmp_path, "near", "far") as (near, far):
        near.wire("v0", far, "v0")
        for box, number in ((near, 0), (far, 1)):
            box.sh(f"ip addr add {ENDS[4][number]}/24 dev v0; ip addr add {ENDS[6][number]}/64 dev v0 nodad")
        far.sh("nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; policy drop; }'")
        far.sh("nft 'add rule inet fw in meta l4proto { icmp, ipv6-icmp } accept'")
        yield near, far


def heard(port: Port, seconds: float = 5) -> list[tuple[bytes, Address]]:
    found: list[tuple[bytes, Address]] = []
    end = time.monotonic() + seconds
    while not found and time.monotonic() < end:
        for reader in port.readers:
            found += port.taken(reader)
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("version", [4, 6])
def test_ours_is_heard_behind_a_closed_firewall_and_beside_wireguard(pair: tuple[Box, Box], version: int) -> None:
    near, far = pair

    def work() -> list[tuple[bytes, Address]]:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wireguard:
            wireguard.bind(("::", 51820))
            hears = Port(51820, MARK)

            def send() -> None:
                sends, to = Port(4000, MARK), Address.of(ENDS[version][1], 51820)
                for data in (b"\x04\0\0\0 WireGuard's", b"", OURS[:3], OURS):
                    sends.send(data, to)
                sends.send(OURS, Address.of(ENDS[version][1], 51821))

            assert near.fork(send) == 0
            got = heard(hears)
            hears.close()
            return got

    assert far.call(work) == [(OURS, Address.of(ENDS[version][0], 4000))]


def test_what_one_place_says_is_heard_whatever_it_is_and_nothing_else(pair: tuple[Box, Box]) -> None:
    near, far = pair
    to, answer = Address.of(ENDS[4][1], 51820), b"\x02 whatever"

    def work() -> list[tuple[bytes, Address]]:
        hears = Port(51820, MARK, lets_in=only_from(Address.of(ENDS[4][0], 4000)))

        def send() -> None:
            Port(4001, MARK).send(b"of another port", to)
            Port(4000, MARK).send(b"to another port", Address(to.ip, 51821))
            Port(4000, MARK).send(OURS, Address.of(ENDS[6][1], 51820))
            near.sh(f"ip addr add 10.9.0.3/24 dev v0; ip route add {to.ip} dev v0 src 10.9.0.3")
            Port(4000, MARK).send(b"of another address", to)
            near.sh(f"ip route del {to.ip} dev v0")
            Port(4000, MARK).send(answer, to)

        assert near.fork(send) == 0
        got = heard(hears)
        hears.close()
        return got

    assert far.call(work) == [(answer, Address.of(ENDS[4][0], 4000))]


@pytest.mark.parametrize("version", [4, 6])
def test_the_checksum_is_right(pair: tuple[Box, Box], version: int) -> None:
    """An ordinary socket takes it: the kernel would drop it otherwise."""
    near, far = pair
    far.sh("nft delete table inet fw")

    def work() -> tuple[bytes, int]:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as plain:
            plain.bind((ENDS[version][1], 7000))
            plain.settimeout(5)
            assert near.fork(lambda: Port(4000, MARK).send(OURS, Address.of(ENDS[version][1], 7000))) == 0
            data, source = plain.recvfrom(2000)
            return data, source[1]

    assert far.call(work) == (OURS, 4000)


def test_it_leaves_by_the_way_of_its_mark(pair: tuple[Box, Box]) -> None:
    """As under a full tunnel: everything else would go elsewhere."""
    near, _ = pair
    near.sh("ip rule add fwmark 0x3f000000/0x3f000000 lookup main pref 10; ip rule add lookup 99 pref 20")
    near.sh("ip route add unreachable default table 99; ip rule del pref 32766")

    def work() -> tuple[object, object]:
        to = Address.of(ENDS[4][1], 51820)
        return Port(4000, MARK).source(to), Port(4000, 0).source(to)

    marked, plain = near.call(work)
    assert (str(marked), plain) == (ENDS[4][0], None)


def test_a_row_of_ports_is_heard_and_sent_from(pair: tuple[Box, Box]) -> None:
    near, far = pair

    def work() -> list[tuple[bytes, Address, int]]:
        hears = Port(51820, MARK)
        row = hears.hear(61440, 61695)

        def send() -> None:
            sends = Port(4000, MARK)
            for port in (61439, 61440, 61500, 61695, 61696):
                sends.send(OURS + bytes([port % 256]), Address.of(ENDS[4][1], port), 6000 + port % 256)
            sends.send(b"\x04\0\0\0", Address.of(ENDS[4][1], 61500), 6000)

        assert near.fork(send) == 0
        found: list[tuple[bytes, Address, int]] = []
        end = time.monotonic() + 5
        while len(found) < 3 and time.monotonic() < end:
            found += hears.taken_at(row)
        row.close()
        hears.close()
        return found

    expected = [(port, Address.of(ENDS[4][0], 6000 + port % 256)) for port in (61440, 61500, 61695)]
    assert [(port, source) for _, source, port in far.call(work)] == expected
