"""What the agent and the servers make of what they are told, without a network."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from warren.core.allot import allot
from warren.core.check import check_network
from warren.core.compile import compile_network
from warren.core.diagnostics import has_errors
from warren.core.parse import parse
from warren.daemon import whereabouts
from warren.daemon.carrier import Carrier
from warren.daemon.kept import Kept, Memory, Sqlite
from warren.daemon.lanes import lanes_of
from warren.daemon.meeting import Left, Meeting, by_set, is_traffic, meetings_of
from warren.daemon.metrics import serve
from warren.daemon.rendezvous import Event, Server
from warren.daemon.served import links_of
from warren.daemon.settings import Carried, Settings
from warren.model.endpoint import Endpoint
from warren.model.key import PublicKey, SecretRef, decode_key, encode_key
from warren.model.lock import Lock
from warren.model.state import Backend, HostState, Peer, WgInterface
from warren.proto.address import Address
from warren.proto.lend import Lender, Lent
from warren.proto.member import Member, by_one_port
from warren.proto.noise import KeyPair
from warren.proto.relay import Relay
from warren.sys import datagram
from warren.sys.errors import HostError
from warren.sys.store import Store

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
    assert by_set(frozenset((RELAY, six)), 51821) == (("left4_51821", (RELAY,)), ("left6_51821", (six,)))


def lent(port: int = 30000) -> Lent:
    return Lent((A, B), (LOOPBACK,), port, 7, b"s" * 32, 0.0)


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
    lender = Lender((LOOPBACK,), range(30000, 30004), lambda size: b"x" * size)
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


def test_who_carries_what_is_relayed_is_said_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warren.daemon.lanes.obstacle", lambda: "it may not")
    settings = Settings(KeyPair.of(b"k" * 32), (Address(LOOPBACK, 51819),), {}, {}, range(30000, 30010))

    def said(carried: Carried) -> str:
        return lanes_of(replace(settings, carried=carried), lambda: (), print)[1]

    assert said("process") == "this process, as asked for"
    assert said("auto") == "this process, which is slower than the kernel, for it may not"
    with pytest.raises(HostError, match="the kernel cannot carry what is relayed: it may not"):
        said("kernel")


def test_metrics_are_given_to_who_asks() -> None:
    key = KeyPair.of(b"k" * 32)
    links = by_one_port({A: frozenset((B,)), B: frozenset((A,))}) | {Member(A, B): frozenset((Member(B),))}
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
    assert b"# TYPE warren_relay_bytes_total counter" in given and b"warren_relay_kernel_lanes 0\n" in given
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
    applied = HostState("home", "mesh", interfaces=(device,))
    assert [one.uplink for one in meetings_of(parsed.network, "home", applied, Store(Path("/nowhere")))] == [uplink]


# --- whom the agent of a host finds, by which devices ---------------------------------------------------------

KEYS = (
    "vwztBHLYuj354hgI6Y5hs0QEqtc34rrhd4zrxpi0Dzc=",
    "OdwugTu0X/Bjo3bjFrEM0K3dcwZVXKDdKJAZTTeWAVI=",
    "ARiJoJiMy+1/SIh4xiwCBYfeI+u7rpulbdZ/2fQy+Ag=",
)
TEXT = f"""
network: mesh
overlay: [10.78.0.0/24, "fd78::/64"]
rendezvous: [{{address: rv.example.net:51819, key: KoxN2ZaCrbA2YyeDci+kGcQ5AxN5SUhlp+yFtGO760w=}}]
hosts:
  a: {{key: {KEYS[0]}, uplink: eth0, lans: {{lan0: {{address: [192.168.1.1/24, "fd78:1::1/64"]}}}}}}
  b: {{key: {KEYS[1]}, uplink: eth0}}
  c: {{key: {KEYS[2]}, uplink: eth0}}
"""
PORTAL = "portals: [{from: a, exit: b}]\n"
DELEGATE = 'delegate: [{prefix: "2001:db8:77:100::/64", from: b, to: a, lans: [lan0]}]\n'


def meetings(text: str, host: str) -> dict[str, tuple[int, list[str], str]]:
    parsed = parse(text.encode(), "mesh.yaml")
    assert parsed.network is not None and not has_errors(check_network(parsed.network))
    lock = allot(parsed.network, Lock())
    state = compile_network(parsed.network, lock, {})[host]
    found = meetings_of(parsed.network, host, state, Store(Path("/nowhere")))
    return {one.device: (one.port, [peer.name for peer in one.peers], one.only) for one in found}


@pytest.mark.parametrize("way", [PORTAL, DELEGATE])
def test_each_device_has_its_peers_found_from_its_own_port(way: str) -> None:
    assert meetings(TEXT, "a") == {"mesh": (51820, ["b", "c"], "")}
    assert meetings(TEXT + way, "a") == {"mesh": (51820, ["c"], ""), "mesh-b": (51821, ["b"], KEYS[1])}
    assert meetings(TEXT + way, "b") == {"mesh": (51820, ["a", "c"], "")}


@pytest.mark.parametrize("way", [PORTAL, DELEGATE])
def test_the_server_knows_by_which_ports_two_hosts_are_linked(way: str) -> None:
    parsed = parse((TEXT + way).encode(), "mesh.yaml")
    assert parsed.network is not None
    a, b, c = map(decode_key, map(PublicKey, KEYS))

    assert links_of(parsed.network) == {
        Member(a): {Member(c)},
        Member(a, b): {Member(b)},
        Member(b): {Member(a, b), Member(c)},
        Member(c): {Member(a), Member(b)},
    }


# --- where servers are ----------------------------------------------------------------------------------------


class Anywhere:
    """A port from which there is a way to everybody."""

    def source(self, to: Address) -> object:
        return to


def test_servers_whose_names_nobody_answers_are_asked_where_they_were_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server may be reached only by a tunnel that is to be found with their help."""
    named, other = Endpoint("rv.example.net", 51819), Endpoint("rv2.example.net", 51819)
    key = PublicKey(KEYS[0])
    meeting = Meeting("mesh", 1, 0, "", "", Backend.KERNEL, (), ((named, key), (other, key)), Store(tmp_path))
    answers = {named: ("192.0.2.7",), other: ()}
    monkeypatch.setattr(whereabouts, "every_address", lambda endpoint: answers[endpoint])

    async def asked() -> list[list[str]]:
        served: list[list[str]] = []
        servers = whereabouts.Servers(Anywhere(), lambda found: served.append(sorted(map(str, found))), print)  # type: ignore[arg-type]
        await servers._visit(meeting)
        return served

    first, second = "192.0.2.7:51819", "192.0.2.8:51819"
    assert asyncio.run(asked()) == [[first]]
    answers = {named: (), other: ("192.0.2.8",)}
    assert asyncio.run(asked()) == [[first], [first, second]]
    answers = {named: ("192.0.2.9",), other: ()}
    assert asyncio.run(asked()) == [[first, second], [second, "192.0.2.9:51819"]]
