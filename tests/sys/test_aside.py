"""A port of ours that is WireGuard's for one peer: on the wire it is another, for conntrack and firewalls it is not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.walk.test_meeting import states
from tests.sys.boxes import Box, boxes
from warren.core.compile.meeting import bound, home
from warren.core.render.nft import render_table
from warren.proto.address import Address
from warren.sys import nft
from warren.sys.peers import lead

pytestmark = pytest.mark.lab
NEAR, FAR = "10.9.0.1", "10.9.0.2"
PEER = Address.of(NEAR, 5000)
PORT, OTHER = 51820, 61450


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    """Far is the host, behind a firewall that lets answers in; near is its peer."""
    (table,) = states()["a"].tables
    with boxes(tmp_path, "near", "far") as (near, far):
        near.wire("v0", far, "v0")
        near.sh(f"ip addr add {NEAR}/24 dev v0")
        far.sh(f"ip addr add {FAR}/24 dev v0")
        rules = tmp_path / "rules"
        rules.write_text(render_table(table))
        far.sh(f"nft -f {rules}")
        far.sh("nft 'add table inet fw; add chain inet fw in { type filter hook input priority 0; policy drop; }'")
        far.sh("nft 'add rule inet fw in ct state established accept'")
        yield near, far


def plug(ip: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ip, port))
    made.settimeout(5)
    return made


def test_the_port_is_another_on_the_wire_alone(pair: tuple[Box, Box]) -> None:
    near, far = pair
    table = states()["a"].table_name
    peer, wireguard = near.call(lambda: plug(NEAR, PEER.port)), far.call(lambda: plug(FAR, PORT))

    wireguard.sendto(b"before", (NEAR, PEER.port))  # a flow that conntrack knows by then
    assert peer.recvfrom(100) == (b"before", (FAR, PORT))
    maps = (bound(PORT).name, {PEER: OTHER}), (home(PORT).name, {PEER: PORT})
    far.call(lambda: lead(table, maps))
    wireguard.sendto(b"out", (NEAR, PEER.port))
    assert peer.recvfrom(100) == (b"out", (FAR, OTHER))
    peer.sendto(b"in", (FAR, OTHER))
    assert wireguard.recvfrom(100) == (b"in", (NEAR, PEER.port))

    far.call(lambda: lead(table, ((bound(PORT).name, {}), (home(PORT).name, {}))))
    wireguard.sendto(b"after", (NEAR, PEER.port))
    assert peer.recvfrom(100) == (b"after", (FAR, PORT))


def test_what_the_agent_puts_into_the_maps_is_no_change_of_the_table(pair: tuple[Box, Box]) -> None:
    _, far = pair
    (table,) = states()["a"].tables
    live = frozenset(held.name for held in table.sets if held.live)

    def digest() -> str:
        listed = nft.listing("inet", table.name)
        assert listed is not None and nft.lacks(listed, table) == ""
        return nft.digest(listed, live)

    before = far.call(digest)
    far.call(lambda: lead(table.name, ((bound(PORT).name, {PEER: OTHER}), (home(PORT).name, {PEER: PORT}))))

    assert far.call(digest) == before
