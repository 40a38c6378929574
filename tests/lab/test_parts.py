"""The lab's pure parts: what a packet is, what is told of it, and what keeps a promise."""

from __future__ import annotations

import base64
import socket
import stat
from dataclasses import replace
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.lab.enclosed import enclosed
from warren.core.allot import allot
from warren.core.world import place_world
from warren.lab.ask import Ask
from warren.lab.judge import Found, observed, predicted, shortfall, unlike
from warren.lab.keys import with_fresh_keys, write_keys
from warren.lab.questions import Questions
from warren.lab.sight import TOKEN, Eye, Sighting, dissect
from warren.lab.spaces import Spaces
from warren.lab.topology import INTERNET, SWITCH, wire
from warren.model.endpoint import Endpoint
from warren.model.expect import Expect, Target
from warren.model.host import Host, Lan
from warren.model.key import PublicKey
from warren.model.lock import Lock
from warren.model.network import Network
from warren.model.place import Place, PlaceKind
from warren.model.portal import Portal
from warren.model.prefix import Family, ip_network
from warren.model.trace import Disposition, Header, Trace

KEY = PublicKey("A" * 43 + "=")
LAN = Lan("lan", (ip_interface("192.168.5.1/24"), ip_interface("fd05::1/64")))
NETWORK = Network(
    "parts",
    (ip_network("10.77.0.0/24"), ip_network("fd77::/64")),
    (
        Host("a", KEY, Endpoint("a.example.net", 51820), lans=(LAN,), psk=(("b", "/etc/psk"),)),
        Host("b", KEY, psk=(("a", "/etc/other"),)),
    ),
)
LOCK = allot(NETWORK, Lock())
WORLD = place_world(NETWORK, LOCK)
A, B, A_LAN = Place(PlaceKind.HOST, "a"), Place(PlaceKind.HOST, "b"), Place(PlaceKind.LAN, "a", "lan")
THERE = Target(address=ip_address("1.1.1.1"))
KEPT = Found(
    Family.IPV4, True, ("b",), INTERNET, ip_address("192.168.5.100"), ip_address("198.51.100.1"), ("a", "b"), 1420
)


def test_an_ipv4_packet_is_read() -> None:
    udp = bytes.fromhex("4000 0035 0000 0000") + b"warren-0123456789ab!"
    raw = bytes.fromhex("45000000 00000000 40110000 c0a80501 01010101") + udp

    packet = dissect(raw)

    assert packet is not None
    assert (str(packet.source), str(packet.destination)) == ("192.168.5.1", "1.1.1.1")
    assert (packet.proto, packet.dport, packet.fragment, packet.token) == ("udp", 53, False, "warren-0123456789ab")


def test_fragments_are_known_in_both_families() -> None:
    first = bytes.fromhex("45000000 00002000 40110000 c0a80501 01010101") + bytes(8)
    later = bytes.fromhex("45000000 00000010 40110000 c0a80501 01010101") + bytes(8)
    ipv6 = bytes.fromhex("60000000 00082c40") + bytes(32) + bytes(8)

    assert [packet.fragment for raw in (first, later, ipv6) if (packet := dissect(raw))] == [True] * 3


@pytest.mark.parametrize("raw", [b"", bytes(19), bytes(40), b"\x45" + bytes(19), b"\x60" + bytes(20)])
def test_what_is_no_packet_of_ours_is_passed_over(raw: bytes) -> None:
    assert dissect(raw) is None


@pytest.mark.parametrize(
    ("space", "device", "leaving", "proves"),
    [
        ("host.a", "up", True, True),
        ("host.b", "up", True, False),
        ("host.a", "lan", True, False),
        ("host.a", "up", False, False),
    ],
)
def test_an_eye_is_proved_by_what_it_saw_leave_itself(space: str, device: str, leaving: bool, proves: bool) -> None:
    ask = Ask("host.a", Family.IPV4, "udp", ip_address("0.0.0.0"))
    ask.take(Sighting(1, space, device, leaving, ask.destination, ask.destination, ask.token))

    assert ask.left_by("up") is proves


@pytest.mark.lab
def test_packets_that_found_an_eye_too_slow_are_counted() -> None:
    """With the smallest queue there is, and so much that it cannot be taken in."""

    def look() -> tuple[int, int, int]:
        spaces = Spaces()
        spaces.make("crowded")
        spaces.run("crowded", ("ip", "link", "set", "lo", "up"))
        eye = Eye(spaces, "crowded")
        before = eye.missed()
        eye.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with spaces.inside("crowded"):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(100):
            sender.sendto(bytes(1000), ("127.0.0.1", 9))
        return before, eye.missed(), eye.missed()

    before, during, after = enclosed(look)

    assert before == after == 0 and during > 0


def test_keys_are_fresh_and_fit_and_lie_in_files_of_their_own(tmp_path: Path) -> None:
    keyed, files = with_fresh_keys(NETWORK)

    for host in keyed.hosts:
        private = X25519PrivateKey.from_private_bytes(base64.b64decode(files[Path(host.private_key)]))
        assert base64.b64encode(private.public_key().public_bytes_raw()).decode() == host.key
    secrets = [files[Path(path)] for host in keyed.hosts for _, path in host.psk]
    assert secrets[0] == secrets[1], "both ends of a link have the same"
    assert len({host.key for host in keyed.hosts} | {KEY}) == 3

    write_keys({tmp_path / "x" / "key": "secret"})
    assert stat.S_IMODE((tmp_path / "x" / "key").stat().st_mode) == 0o600


def test_a_lan_with_one_client_needs_no_switch_and_one_with_more_does() -> None:
    more = replace(NETWORK, portals=(Portal(replace(A_LAN, kind=PlaceKind.MAC, mac="02:00:00:00:00:01"), "b"),))

    assert SWITCH not in wire(WORLD, NETWORK).spaces
    assert SWITCH in wire(place_world(more, None), more).spaces


def test_without_a_port_all_kinds_of_packets_are_sent_and_each_can_be_told_apart() -> None:
    questions = Questions(NETWORK, LOCK, WORLD)

    asks = [asks for _ in range(2) for _, asks in questions.of(Expect(A_LAN, THERE, exit="a")).values()]

    assert [[ask.proto for ask in some] for some in asks] == [["icmp", "udp", "tcp"]] * 2
    assert len({ask.token for some in asks for ask in some}) == 6
    assert all(TOKEN.fullmatch(ask.token.encode()) for some in asks for ask in some)
    assert len({ask.dport for some in asks for ask in some if ask.dport}) == 4


def test_with_a_port_just_that_is_sent_in_every_family_there_is() -> None:
    expect = Expect(B, Target(place=A_LAN, proto="tcp", port=445), arrives=True, mtu=1400)

    made = Questions(NETWORK, LOCK, WORLD).of(expect)

    assert list(made) == [Family.IPV4, Family.IPV6]
    assert [(ask.proto, ask.dport, ask.size) for ask in made[Family.IPV4][1]] == [("tcp", 445, 0), ("icmp", 0, 1400)]
    assert made[Family.IPV4][1][0].ends == {"client.0", INTERNET}


@pytest.mark.parametrize(("device", "answered"), [("lo", False), ("veth", True)])
def test_what_the_internet_answers_itself_is_no_answer(device: str, answered: bool) -> None:
    """It has every address there is, also those of a LAN that it knows no way to."""
    ask = Ask(INTERNET, Family.IPV4, "icmp", ip_address("192.168.5.100"), ends=frozenset({"client.0", INTERNET}))
    ask.take(Sighting(1, INTERNET, device, True, ip_address("192.31.196.1"), ask.destination, ask.token))
    ask.answered = True

    found = observed(Family.IPV4, [ask], WORLD)

    assert found.answered is answered
    kept = shortfall(Expect(Place(PlaceKind.INTERNET), Target(place=A_LAN), blocked=True), found, WORLD, LOCK) == ""
    assert kept is not answered


@pytest.mark.parametrize(
    ("expect", "found", "lacks"),
    [
        (Expect(A_LAN, THERE, exit="b"), KEPT, ""),
        (Expect(A_LAN, THERE, exit="a"), KEPT, "exits at b"),
        (Expect(A_LAN, THERE, exit="b"), replace(KEPT, exits=("b", "a")), "exits at b, a"),
        (Expect(A_LAN, THERE, exit="b"), replace(KEPT, answered=False), "exits at b, unanswered"),
        (Expect(A_LAN, THERE, blocked=True), KEPT, "exits at b"),
        (Expect(A_LAN, THERE, blocked=True), Found(Family.IPV4, False, ("a",)), "exits at a, unanswered"),
        (Expect(A_LAN, THERE, blocked=True), Found(Family.IPV4, False, says="silence"), ""),
        (Expect(A_LAN, THERE, path=("a", "b")), KEPT, ""),
        (Expect(A_LAN, THERE, path=("a",)), KEPT, "its way is a, b"),
        (Expect(A_LAN, THERE, source="kept"), KEPT, "its source 192.168.5.100 becomes 198.51.100.1"),
        (Expect(A_LAN, THERE, source="b"), KEPT, ""),
        (Expect(A_LAN, THERE, source="a"), KEPT, "its source is 198.51.100.1"),
        (Expect(A_LAN, THERE, mtu=1420), KEPT, ""),
        (Expect(A_LAN, THERE, mtu=1421), KEPT, "1421 bytes do not fit"),
        (Expect(A_LAN, Target(place=B), arrives=True), replace(KEPT, exits=(), at="b"), ""),
        (Expect(A_LAN, Target(place=B), arrives=True), replace(KEPT, exits=(), at="a"), "arrives at a"),
        (Expect(B, Target(place=A), arrives=A_LAN), replace(KEPT, exits=(), at="a.lan"), ""),
    ],
)
def test_a_promise_is_kept_or_not(expect: Expect, found: Found, lacks: str) -> None:
    said = shortfall(expect, found, WORLD, LOCK)

    assert said.removesuffix(", 1420 bytes fit") == lacks


def test_walk_and_kernel_agree_or_not() -> None:
    other_way = replace(KEPT, path=("a",))

    assert unlike(KEPT, KEPT) == ""
    assert unlike(KEPT, replace(KEPT, exits=("a",))).startswith("walk says exits at b")
    assert unlike(KEPT, other_way).startswith("walk says by a, b")
    silent = Found(Family.IPV4, False, says="tunnel-down")
    assert unlike(silent, replace(silent, says="silence")) == "", "why there was no answer is not for packets to say"


def test_a_trace_is_put_in_the_same_words() -> None:
    header = Header(ip_address("198.51.100.2"), ip_address("1.1.1.1"), "icmp")
    lost = Trace(Disposition.TUNNEL_DOWN, "", "a", (), header)

    assert str(predicted(Family.IPV4, lost)) == "blocked (tunnel-down)"
