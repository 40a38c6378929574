"""What the agent and the servers make of what they are told, without a network."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from warren.core.parse import parse
from warren.daemon.carrier import Carrier
from warren.daemon.kept import Kept, Memory, Sqlite
from warren.daemon.meeting import Left, by_set, is_traffic, meeting_of
from warren.daemon.metrics import serve
from warren.daemon.rendezvous import Event, Server, Settings
from warren.model.key import PublicKey, SecretRef, encode_key
from warren.model.state import HostState, Peer, WgInterface
from warren.proto.address import Address
from warren.proto.lend import Lender, Lent
from warren.proto.noise import KeyPair
from warren.proto.relay import Relay
from warren.sys import datagram
from warren.sys.errors import HostError

HERE, RELAY, OTHER = (Address.of(f"198.51.100.{n}", 5000 + n) for n in (1, 2, 3))
A, B = b"a" * 32, b"b" * 32
LOOPBACK = ip_address("127.0.0.1")


def test_what_wireguard_says_by_itself_is_no_traffic() -> None:
    assert not is_traffic(0)
    assert not is_traffic(32)  # a keepalive
    assert not is_traffic(148 + 92 + 32)  # a handshake, and the keepalive that follows
    assert is_traffic(128)  # a ping
    assert is_traffic(128 + 32)
    assert is_traffic(1_000_000)


def test_places_that_were_left_are_refused_only_while_another_is_used() -> None:
    left = Left()
    left.at(A, RELAY)
    assert left.refused({A: (RELAY, False, ())}) == frozenset()
    left.at(A, HERE)
    assert left.refused({A: (HERE, True, (RELAY,))}) == {RELAY}
    left.at(A, RELAY)
    assert left.refused({A: (RELAY, False, (RELAY,))}) == frozenset()


def test_a_place_that_another_peer_is_at_is_not_refused() -> None:
    """Behind one NAT a port may pass from one host to another."""
    left = Left()
    left.at(A, OTHER)
    left.at(A, HERE)
    assert left.refused({A: (HERE, True, ()), B: (OTHER, True, ())}) == frozenset()


def test_places_are_sorted_into_the_sets_of_their_family() -> None:
    six = Address.of("2001:db8::1", 7)
    assert by_set(frozenset((RELAY, six))) == (("left4", (RELAY,)), ("left6", (six,)))


def lent(port: int = 30000) -> Lent:
    return Lent((A, B), LOOPBACK, port, 7, b"s" * 32, 0.0)


def test_what_is_kept_comes_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    kept = Kept(lent(), time.time() + 60, ((HERE, 3), (None, -1)))
    store = Sqlite(str(path))
    store.save([kept])
    store.save([kept])
    store.close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sqlite(str(path)).load() == [kept]
    assert Memory().load() == []


def test_a_store_that_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot keep anything"):
        Sqlite(str(tmp_path / "nowhere" / "kept.sqlite"))


def test_a_lent_relay_is_taken_up_once_and_one_that_cannot_be_carried_is_not_lent_again() -> None:
    lender = Lender(LOOPBACK, range(30000, 30004), lambda size: b"x" * size)
    assert lender.take_up(lent()) and not lender.take_up(lent())
    assert not lender.take_up(lent(40000))  # of another range
    lender.withdraw(lender.lent[0])

    first, _ = lender.lend(A, B, 0.0)
    second, _ = lender.lend(A, b"c" * 32, 0.0)
    assert first is not None and first.port == 30002
    assert second is None


def test_a_relay_that_is_taken_up_knows_where_the_two_are() -> None:
    before, after = Relay(), Relay()
    before.open(lent())
    after.remember(lent(), ((HERE, 3), (OTHER, 5)))

    assert before.receive(b"\4data", HERE, 30000) is not None
    assert after.receive(b"\4data", HERE, 30000) == (b"\4data", OTHER, 30001)
    assert after.known(lent()) == ((HERE, 3), (OTHER, 5))


def test_ports_that_somebody_else_has_are_not_carried() -> None:
    async def work() -> tuple[bool, list[str]]:
        told: list[str] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            return Carrier(told.append).open(lent(taken.getsockname()[1])), told

    fine, told = asyncio.run(work())
    assert not fine
    assert "it is not lent any more" in told[0]


def test_an_address_of_another_machine_is_listened_at_everywhere() -> None:
    sockets = datagram.bind_here((ip_address("198.51.100.77"),), 0)
    assert {one.getsockname()[0] for one in sockets} <= {"0.0.0.0", "::"}
    for each in sockets:
        each.close()


def test_metrics_are_given_to_who_asks() -> None:
    key = KeyPair.of(b"k" * 32)
    links = {A: frozenset((B,)), B: frozenset((A,))}
    settings = Settings(key, (Address(LOOPBACK, 51819),), {A: "a", B: "b"}, links, range(30000, 30010))
    told: list[Event] = []
    server = Server(settings, Memory(), told.append)

    async def work() -> tuple[bytes, bytes]:
        gives = await serve("127.0.0.1", 0, server.metrics)
        port = gives.sockets[0].getsockname()[1]
        said = []
        for path in ("/metrics", "/secrets"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
            said.append(await reader.read())
            writer.close()
        gives.close()
        return said[0], said[1]

    given, refused = asyncio.run(work())
    assert b"200 OK" in given and b"warren_rendezvous_members 2\n" in given
    assert b"# TYPE warren_relay_bytes_total counter" in given
    assert refused.startswith(b"HTTP/1.0 404")


@pytest.mark.parametrize(
    ("word", "uplink"), [("", "wan"), (", port_mapping: true", "wan"), (", port_mapping: false", "")]
)
def test_the_router_of_the_uplink_is_asked_for_a_port_unless_the_file_says_no(word: str, uplink: str) -> None:
    keys = [encode_key(KeyPair.of(each).public) for each in (A, B, b"c" * 32)]
    parsed = parse(
        f"""
network: mesh
overlay: [10.77.0.0/24]
rendezvous: [{{address: rv.example.net:51819, key: {keys[2]}}}]
hosts:
  home: {{key: {keys[0]}, uplink: wan{word}}}
  cabin: {{key: {keys[1]}, uplink: wan}}
""".encode(),
        "mesh.yaml",
    )
    assert parsed.network is not None, parsed.diagnostics
    peer = Peer(PublicKey(keys[1]), (), name="cabin")
    device = WgInterface("mesh", PublicKey(keys[0]), SecretRef("/nowhere"), 51820, 0, 1420, (), (peer,))
    meeting = meeting_of(parsed.network, "home", HostState("home", "mesh", interfaces=(device,)))
    assert meeting is not None and meeting.uplink == uplink
