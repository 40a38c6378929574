"""What machines on a portal's LAN may send that is not ordinary: odd, forged, tunnelled, or for the wrong ears.

Each is thrown before any portal is there, and seen on the uplink; then behind the portals, and not seen.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from ipaddress import ip_address
from itertools import count

from warren.lab.leaks.scenario import LIVES, Check, Scenario, Throw
from warren.lab.leaks.senders import ODD, Sender
from warren.lab.leaks.stage import Stage
from warren.lab.packets import (
    ACK,
    DONT_FRAGMENT,
    FIN,
    ICMP,
    ICMP6,
    MORE,
    RST,
    SYN,
    TCP,
    UDP,
    header,
    icmp,
    ip,
    query,
    tcp,
    udp,
)
from warren.model.prefix import Address

_ports = count(30000)
FRAGMENT = 44


def _to(sender: Sender) -> Address:
    return sender.targets[ODD]


def _datagram(
    sender: Sender, text: bytes, port: int, *, source: Address | None = None, to: Address | None = None, **more: object
) -> bytes:
    """A datagram to a target of the sender's, from a port that nobody has used yet."""
    begin, end = source or sender.own, to or _to(sender)
    return ip(begin, end, UDP, udp(begin, end, next(_ports) % 30000 + 20000, port, text), **more)  # type: ignore[arg-type]


def _four(sender: Sender) -> bool:
    return sender.family == 4


def _ports_of(*ports: int) -> Throw:
    def throw(sender: Sender, text: bytes) -> Iterator[bytes]:
        for port in ports:
            yield _datagram(sender, query(text) if port in (53, 5353) else text, port)
            yield ip(sender.own, _to(sender), TCP, tcp(sender.own, _to(sender), next(_ports), port, SYN, text))

    return throw


def _fragments(sender: Sender, text: bytes) -> Iterator[bytes]:
    whole = udp(sender.own, _to(sender), next(_ports), 7000, text * 80)
    half = len(whole) // 2 // 8 * 8
    number = next(_ports)
    if _four(sender):
        yield ip(sender.own, _to(sender), UDP, whole[:half], fragment=MORE, identifier=number)
        yield ip(sender.own, _to(sender), UDP, whole[half:], fragment=half // 8, identifier=number)
    else:
        for at, piece, more in ((0, whole[:half], 1), (half, whole[half:], 0)):
            head = bytes([UDP, 0]) + (at | more).to_bytes(2, "big") + number.to_bytes(4, "big")
            yield ip(sender.own, _to(sender), FRAGMENT, head + piece)


def _stray_fragments(sender: Sender, text: bytes) -> Iterator[bytes]:
    """Tails without a head, heads without a tail, and atomic ones (RFC 6946); some are whole, some never will be."""
    number = next(_ports)
    if _four(sender):
        yield ip(sender.own, _to(sender), UDP, text * 4, fragment=64, identifier=number)
        yield ip(
            sender.own,
            _to(sender),
            UDP,
            udp(sender.own, _to(sender), 5, 7000, text * 3)[:64],
            fragment=MORE,
            identifier=number + 1,
        )
        yield _datagram(sender, text, 7000, fragment=0x8000)  # the reserved bit
    else:
        yield ip(sender.own, _to(sender), FRAGMENT, bytes([UDP, 0, 2, 0]) + number.to_bytes(4, "big") + text * 4)
        body = udp(sender.own, _to(sender), next(_ports), 7000, text)
        yield ip(sender.own, _to(sender), FRAGMENT, bytes([UDP, 0, 0, 0]) + number.to_bytes(4, "big") + body)


def _extensions(sender: Sender, text: bytes) -> Iterator[bytes]:
    body = udp(sender.own, _to(sender), next(_ports), 7000, text)
    if _four(sender):
        for options in (
            b"\x94\x04\x00\x00",
            b"\x07\x07\x04\x00\x00\x00\x00",
            b"\x44\x08\x05\x00\x00\x00\x00\x00",
            b"\x01" * 40,
        ):
            yield ip(
                sender.own, _to(sender), UDP, body, options=options
            )  # router alert, record route, timestamp, padding
        return
    padn = b"\x01\x04\x00\x00\x00\x00"
    routing = b"\x04\x00" + bytes(4)
    yield ip(sender.own, _to(sender), 0, header(UDP, padn) + body)
    yield ip(sender.own, _to(sender), 60, header(UDP, padn) + body)
    yield ip(sender.own, _to(sender), 43, header(UDP, routing) + body)
    yield ip(sender.own, _to(sender), 0, header(60, padn) + header(43, padn) + header(UDP, routing) + body)


def _source_routes(sender: Sender, text: bytes) -> Iterator[bytes]:
    """Loose and strict source routes by way of the target, to somewhere else, and IPv6's old routing header."""
    if _four(sender):
        body = udp(sender.own, _to(sender), next(_ports), 7000, text)
        for kind in (0x83, 0x89):
            yield ip(sender.own, _to(sender), UDP, body, options=bytes([kind, 7, 4]) + _to(sender).packed)
        yield _datagram(sender, text, 7000)
    else:
        body = udp(sender.own, _to(sender), next(_ports), 7000, text)
        yield ip(sender.own, _to(sender), 43, bytes([UDP, 2, 0, 0]) + bytes(4) + _to(sender).packed + body)


def _traceroute(sender: Sender, text: bytes) -> Iterator[bytes]:
    for hops in range(1, 6):
        yield _datagram(sender, text, 33434 + hops, ttl=hops)
        kind = 8 if _four(sender) else 128
        echo = icmp(sender.own, _to(sender), kind, 0, b"\x11\x11" + bytes([0, hops]) + text)
        yield ip(sender.own, _to(sender), ICMP if _four(sender) else ICMP6, echo, ttl=hops)


def _errors(sender: Sender, text: bytes) -> Iterator[bytes]:
    """Errors about flows that never were, and answers that nobody asked for."""
    inner = _datagram(sender, text, 7000, source=_to(sender), to=sender.own)
    kinds = (
        ((3, 1), (3, 4), (11, 0), (5, 1), (0, 0), (13, 0), (17, 0))
        if _four(sender)
        else ((1, 0), (2, 0), (3, 0), (129, 0), (139, 0))
    )
    for kind, code in kinds:
        message = icmp(sender.own, _to(sender), kind, code, bytes(4) + inner)
        yield ip(sender.own, _to(sender), ICMP if _four(sender) else ICMP6, message)


def _segments(sender: Sender, text: bytes) -> Iterator[bytes]:
    """What conntrack calls invalid, which no NAT translates."""
    for flags in (RST, ACK, FIN | ACK, SYN | ACK, RST | ACK, 0, 0x3F, SYN | FIN):
        yield ip(sender.own, _to(sender), TCP, tcp(sender.own, _to(sender), next(_ports), 7000, flags, text))


def _protocols(sender: Sender, text: bytes) -> Iterator[bytes]:
    for number in (2, 33, 46, 50, 51, 89, 103, 108, 112, 115, 132, 136, 137, 253, 254, 255):
        yield ip(sender.own, _to(sender), number, bytes(8) + text)


def _tunnels(sender: Sender, text: bytes) -> Iterator[bytes]:
    """A tunnel of the client's own: 6in4 and 6to4, IP in IP, GRE, Teredo, VXLAN, L2TP, somebody else's WireGuard."""
    six, there = ip_address("2002:c000:201::1"), ip_address("2620:fe::fe")
    inner = ip(six, there, UDP, udp(six, there, 4, 7000, text))
    for number, before in ((41, b""), (4, b""), (47, b"\0\0\x86\xdd"), (47, b"\0\0\x08\0")):
        yield ip(sender.own, _to(sender), number, before + inner)
    for port, before in ((3544, b""), (4789, bytes(8)), (1701, bytes(8)), (51821, b"\4\0\0\0"), (1194, b"\x38")):
        yield _datagram(sender, before + inner, port)


def _wireguards_port(sender: Sender, text: bytes) -> Iterator[bytes]:
    """To the very port at which the network's own WireGuard listens, here as everywhere."""
    for port in (51820, 51821, 51822, 51823):
        yield _datagram(sender, b"\4\0\0\0" + text, port)


def _forged(sender: Sender, text: bytes) -> Iterator[bytes]:
    """Sources that are not the sender's: strangers', neighbours', the host's, nobody's."""
    if sender.kind != "lan":  # who is known by his address is nobody with another's
        yield _datagram(sender, text, 7000)
        return
    forged: tuple[str, ...]
    if _four(sender):
        forged = ("8.8.8.8", "192.168.1.100", "192.168.77.7", "10.77.0.2", "100.64.0.2", "169.254.9.9", "240.1.2.3")
    else:
        forged = ("2001:4860:4860::8888", "fd11:1::64", "fd77:7:7::2", "fdaa::1", "2002:808:808::1", "64:ff9b::808:808")
    for source in map(ip_address, forged):
        yield _datagram(sender, text, 7000, source=source)
    yield _datagram(sender, text, 7000)


def _everybody(sender: Sender, text: bytes) -> Iterator[bytes]:
    """Broadcast, multicast of every reach, anycast: what a router must not pass on; and one that it would."""
    groups = (
        ("255.255.255.255", "192.168.21.255", "224.0.0.251", "239.1.2.3", "232.1.1.1", "233.252.0.1")
        if _four(sender)
        else ("ff02::fb", "ff05::2", "ff08::1", "ff0e::1", "ff3e::8000:1")
    )
    if sender.kind != "own":
        for group in map(ip_address, groups):
            yield _datagram(sender, text, 5353, to=group)
    yield _datagram(sender, text, 5353)


def _big(sender: Sender, text: bytes) -> Iterator[bytes]:
    """As big as the LAN carries, which the tunnel does not: must not be fragmented, and may be."""
    size = 1500 - (28 if _four(sender) else 48)
    padded = (text * 80)[:size]
    if _four(sender):
        yield _datagram(sender, padded, 7000, fragment=DONT_FRAGMENT)
    yield _datagram(sender, padded, 7000)


def _empty(sender: Sender, text: bytes) -> Iterator[bytes]:
    """As short as can be: an empty datagram, a bare header, one byte of TCP; and one that can be known."""
    yield _datagram(sender, b"", 7000)
    yield ip(sender.own, _to(sender), UDP, b"")
    yield ip(sender.own, _to(sender), TCP, b"\x11")
    yield _datagram(sender, text, 7000)


def _zero(sender: Sender, text: bytes) -> Iterator[bytes]:
    body = udp(sender.own, _to(sender), next(_ports), 0, text)
    yield ip(sender.own, _to(sender), UDP, body)
    yield ip(sender.own, _to(sender), UDP, body[:6] + b"\0\0" + body[8:])
    yield _datagram(sender, text, 7000)


def _scenario(name: str, says: str, throws: Throw) -> Scenario:
    def play(stage: Stage) -> Generator[Check]:
        for _ in range(3):
            stage.throw(name, throws)
        yield LIVES

    return Scenario(name, "clients", says, "nothing of it leaks, all else arrives", play, throws=throws)


def _mac_taken(stage: Stage) -> Generator[Check]:
    """Another machine takes the MAC of a portal of one: it is the portal's then, and held like it."""
    for sender in stage.of_kind("mac"):
        other = next(
            (
                one
                for one in stage.lab.world.clients
                if (one.host, one.lan) == (sender.host, sender.lan) and one is not sender.client
            ),
            None,
        )
        if other is None or sender.client is None:
            continue
        space = f"client.{stage.lab.world.clients.index(other)}"
        name = ("ip", "link", "set", "eth0", "address")
        stage.lab.spaces.run(space, (*name, sender.client.mac))
        stage.afterwards(partial(stage.lab.spaces.run, space, (*name, other.mac)))
    # The switch sends some of what is the one's to the other: who arrives is not promised.
    yield Check(uplinks=False)


SCENARIOS = (
    _scenario(
        "dns-anywhere",
        "DNS in the clear, over TCP, TLS, QUIC and HTTPS, mDNS and LLMNR's ports, to a server of their choice",
        _ports_of(53, 853, 443, 784, 8853, 5353, 5355),
    ),
    _scenario("fragments", "datagrams in fragments", _fragments),
    _scenario("stray-fragments", "fragments without their rest, atomic ones, and the reserved bit", _stray_fragments),
    _scenario("extension-headers", "IPv6 extension headers; IPv4 options", _extensions),
    _scenario("source-routes", "loose and strict source routes", _source_routes),
    _scenario("traceroute", "packets whose TTL ends on the way, at every hop", _traceroute),
    _scenario("icmp-errors", "ICMP errors about flows that never were, answers that nobody asked for", _errors),
    _scenario("invalid-tcp", "TCP that conntrack calls invalid, which no NAT translates", _segments),
    _scenario("other-protocols", "IGMP, ESP, AH, OSPF, SCTP, UDP-Lite, and numbers that are nobody's", _protocols),
    _scenario(
        "own-tunnels", "6in4, 6to4, GRE, Teredo, VXLAN and somebody else's WireGuard, begun by the machines", _tunnels
    ),
    _scenario("wireguards-port", "datagrams to the port of the network's own WireGuard, anywhere", _wireguards_port),
    _scenario("forged-sources", "sources that are strangers', neighbours', the hosts' or nobody's", _forged),
    _scenario("broadcast-multicast", "broadcast and multicast of every reach", _everybody),
    _scenario("too-big", "packets that fit the LAN and not the tunnel", _big),
    _scenario("tiny", "datagrams without a byte, headers without a body", _empty),
    _scenario("port-zero", "port 0, and datagrams without a checksum", _zero),
    Scenario(
        "mac-taken",
        "clients",
        "another machine takes the MAC of a portal of one",
        "nothing leaks",
        _mac_taken,
        lambda network: "" if any(one.source.mac for one in network.portals) else "no portal is of one MAC",
    ),
)
