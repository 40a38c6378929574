"""A million mutated packets at everything that strangers, members and servers can send something to.

Each target gets packets near to ones that it really got: cut, longer, bits turned, pieces twice, numbers at their
edges; and, where it opens what is sealed, authentic nonsense. An exception ends the run; memory is compared from
when a tenth of the packets is through to the end, since whatever can be made to grow would grow with them.
"""

from __future__ import annotations

import gc
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from bench.row import Row
from warren.lab.simulated import Node, World
from warren.model.lab import Mapping, Ports
from warren.proto import knock, message, packet
from warren.proto.address import Address, Candidate, Origin
from warren.proto.codec import AddressCodec, CandidatesCodec, Number, layout
from warren.proto.message import TO_HOST, TO_PEER, TO_SERVER
from warren.proto.nat import Behaviour
from warren.proto.natpunch.client import Client
from warren.proto.natpunch.server import Server
from warren.proto.noise import KeyPair
from warren.proto.packet import Sealed, header
from warren.proto.portmap.parsers import PARSERS
from warren.proto.refusal import Refusal
from warren.proto.visit import Visit

PACKETS = 150_000  # for each target
EDGES = (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff", b"\x80", b"\0\0\0\0\0\0\0\0")
Feed = Callable[[bytes], object]
# What a target is made of: packets that it really got, and what takes the next one.
Made = tuple[Sequence[bytes], Feed]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes packets."""

    name: str
    make: Callable[[Random], Made]
    packets: int = PACKETS


def rows() -> Iterator[Row]:
    """Throw at one target after the other."""
    total = 0
    for target in TARGETS:
        corpus, feed = target.make(Random(target.name))
        rate, grown = throw(corpus, feed, target.packets, Random(f"at {target.name}"))
        total += target.packets
        what = f"mutated packets, {target.name}"
        yield Row(what, f"{rate:,.0f}/s", f"{target.packets:,} of them", "", f"no crash; grew by {grown:,.0f} KiB")
    yield Row("  all of them, without an exception", f"{total:,}", aim="≥ 1,000,000")


def throw(corpus: Sequence[bytes], feed: Feed, many: int, random: Random) -> tuple[float, float]:
    """Throw so many; gives packets a second, making them included, and by how many KiB the process grew."""
    tenth = many // 10
    for _ in range(tenth):
        feed(mutated(random.choice(corpus), random))
    gc.collect()
    before, began = resident_kibibytes(), time.perf_counter()
    for _ in range(many - tenth):
        feed(mutated(random.choice(corpus), random))
    rate = (many - tenth) / (time.perf_counter() - began)
    gc.collect()
    return rate, resident_kibibytes() - before


def mutated(whole: bytes, random: Random) -> bytes:
    """Make something near to these bytes."""
    data = bytearray(whole)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(0, len(data) + 1)
        match random.randrange(0, 8):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = random.randbytes(random.randrange(1, 40))
            case 2:
                data[at:at] = data[at : at + random.randrange(1, 40)]
            case 3 | 4:
                edge = random.choice(EDGES)
                data[at : at + len(edge)] = edge
            case _ if at < len(data):
                data[at] ^= 1 << random.randrange(0, 8)
    return bytes(data)


def resident_kibibytes() -> float:
    """Give how much memory this process has now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4.0


# --- targets --------------------------------------------------------------------------------------------------------


class _Tapped:
    """Two hosts that have met behind NATs, and what one of them and the server got meanwhile."""

    def __init__(self, random: Random, relayed: bool = False) -> None:
        self.world = World(random.randrange(0, 1000), servers=2, relays=2)
        mapping = Mapping.ADDRESS_AND_PORT_DEPENDENT if relayed else Mapping.ENDPOINT_INDEPENDENT
        boxes = [self.world.box(Behaviour(mapping, ports=Ports.RANDOM)) for _ in range(2)]
        self.nodes: list[Node] = [self.world.node(box) for box in boxes]
        self.host: list[tuple[bytes, Address]] = []
        self.server: list[tuple[bytes, Address]] = []
        self.relay: list[tuple[bytes, Address, int]] = []
        self.world.start()
        self._tap()
        self.world.run(90.0)

    def _tap(self) -> None:
        node, server = self.nodes[0], self.world.servers[0]
        heard, served = node.host.heard, server.host.heard

        def host(data: bytes, source: Address, port: int, now: float) -> None:
            self.host.append((data, source))
            heard(data, source, port, now)

        def serve(data: bytes, source: Address, port: int, now: float) -> None:
            if port == server.place.port:
                self.server.append((data, source))
            else:
                self.relay.append((data, source, port))
            served(data, source, port, now)

        node.host.heard, server.host.heard = host, serve

    def somewhere(self, random: Random, known: Address) -> Address:
        """Say where a packet comes from: where such came from before, or anywhere."""
        return known if random.random() < 0.5 else Address(known.ip, random.randrange(1, 65536))


def _server(random: Random) -> Made:
    tapped = _Tapped(random)
    machine, source = tapped.world.servers[0].machine, [at for _, at in tapped.server]
    now = tapped.world.internet.now

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.0001
        machine.receive(data, tapped.somewhere(random, random.choice(source)), now)
        machine.to_send(now)
        machine.events()

    return [data for data, _ in tapped.server], feed


def _agent(random: Random) -> Made:
    tapped = _Tapped(random)
    agent, source = tapped.nodes[0].agent, [at for _, at in tapped.host]
    now = tapped.world.internet.now

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.0001
        agent.receive(data, tapped.somewhere(random, random.choice(source)), now)
        agent.to_send(now)
        agent.events()

    return [data for data, _ in tapped.host], feed


def _relay(random: Random) -> Made:
    tapped = _Tapped(random, relayed=True)
    relay, ports = tapped.world.servers[0].relay, [port for _, _, port in tapped.relay]
    source = [at for _, at, _ in tapped.relay]

    def feed(data: bytes) -> None:
        relay.receive(data, tapped.somewhere(random, random.choice(source)), random.choice(ports))

    return [data for data, _, _ in tapped.relay], feed


def _peer_nonsense(random: Random) -> Made:
    """What a peer seals that has gone mad, or that somebody else has the key of."""
    tapped = _Tapped(random)
    one, other = tapped.nodes
    path, theirs = one.agent.paths[other.key.public], other.agent.paths[one.key.public]
    assert path.pair is not None and theirs.pair is not None
    source, now = tapped.host[-1][1], tapped.world.internet.now

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.001
        assert theirs.pair is not None
        one.agent.receive(packet.write(theirs.pair.seal(data)), tapped.somewhere(random, source), now)
        one.agent.to_send(now)
        one.agent.events()

    return [message.write(said, number) for number, said in enumerate(_messages(TO_PEER, other.key.public))], feed


class _Babbler(Visit):
    """A member whose agent seals anything."""

    def babble(self, plain: bytes) -> bytes:
        """Seal it for the server."""
        assert self._transport is not None
        bound = header(Sealed) + self._theirs.to_bytes(4) + self._transport.sent.to_bytes(8)
        counter, sealed = self._transport.seal(plain, bound)
        return packet.write(Sealed(self._theirs, counter, sealed))


def _member_nonsense(random: Random) -> Made:
    """What a member seals for the server that has gone mad."""
    tapped = _Tapped(random)
    node, server, now = tapped.nodes[0], tapped.world.servers[0], tapped.world.internet.now
    babbler = _Babbler(node.key, server.place, server.key.public, 77, random.randbytes)
    source = Address.of("198.51.100.99", 51820)
    for _ in range(6):
        for data in babbler.to_send(now):
            server.machine.receive(data, source, now)
        for data, to in server.machine.to_send(now):
            taken = packet.parse(data)
            if to == source and not isinstance(taken, Refusal):
                babbler.receive(taken, now)
    if not babbler.up:
        raise RuntimeError("the server does not know its member")

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.001
        server.machine.receive(babbler.babble(data), tapped.somewhere(random, source), now)
        server.machine.to_send(now)
        server.machine.events()

    return [message.write(said, 1 + n) for n, said in enumerate(_messages(TO_SERVER, tapped.nodes[1].key.public))], feed


def _parsers(random: Random) -> Made:
    """The parsers alone, of packets and of what is sealed in them."""

    def feed(data: bytes) -> None:
        packet.parse(data)
        for kinds in (TO_SERVER, TO_HOST, TO_PEER):
            message.parse(data, kinds)

    plain = [message.write(said, 7) for kinds in (TO_SERVER, TO_HOST, TO_PEER) for said in _messages(kinds, bytes(32))]
    tapped = _Tapped(random)
    return [*plain, *(data for data, _ in tapped.server + tapped.host)], feed


def _router(random: Random) -> Made:
    """What a router answers that is asked for a port, or somebody who passes for it."""
    kind = "urn:schemas-upnp-org:service:WANIPConnection:1"
    device = f"<serviceType>{kind}</serviceType><controlURL>/ctl/IPConn</controlURL>"
    xml = f"<root><device><serviceList><service>{device}</service></serviceList></device></root>"
    fault = "<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>718</errorCode></UPnPError></detail></s:Fault>"
    found = f"HTTP/1.1 200 OK\r\nST: {kind}\r\nLOCATION: http://192.168.1.1:5000/rootDesc.xml\r\n\r\n"
    mapped = Address.of("::ffff:203.0.113.7", 1).ip.packed
    corpus = [
        struct.pack("!BBHIHHI", 0, 129, 0, 77, 51820, 51820, 7200),
        struct.pack("!BBHI4s", 0, 128, 0, 77, b"\xcb\0\x71\x07"),
        struct.pack("!BBBBII12x12sB3xHH16s", 2, 0x81, 0, 0, 7200, 77, b"ours, always", 17, 51820, 51820, mapped),
        found.encode(),
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(xml)}\r\n\r\n{xml}".encode(),
        f"HTTP/1.1 500 no\r\n\r\n{fault}</s:Body></s:Envelope>".encode(),
        f"<?xml version='1.0'?>{xml}".encode(),
    ]

    def feed(data: bytes) -> None:
        for read in PARSERS.values():
            read(data)

    return corpus, feed


def _knocked_at(random: Random) -> Made:
    """A port that hears knocks: those of a member and of a stranger, turned about."""
    host, member, stranger = (KeyPair.of(random.randbytes(32)) for _ in range(3))
    listener, wall, now = knock.Listener(host, "mesh", 0), 10**15, 0.0
    listener.admit({member.public: None})
    corpus = [
        knock.write(who, host.public, "mesh", KeyPair.of(random.randbytes(32)), wall + step)
        for who in (member, stranger)
        for step in range(20)
    ]

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.001
        source = Address.of(f"198.51.100.{random.randrange(1, 250)}", random.randrange(1, 65536))
        listener.receive(data, source, now, wall + int(now * 1e6))

    return corpus, feed


def _natpunch(random: Random, at_server: bool) -> Made:
    """Two clients of a server that speaks natpunch-go's protocol, and what it, or one of them, really got."""
    place, own = Address.of("203.0.113.1", 9999), KeyPair.of(random.randbytes(32))
    server, clock = Server(own, random.randbytes), count(10**18)
    statics = [KeyPair.of(random.randbytes(32)) for _ in range(2)]
    clients = {
        Address.of(f"198.51.100.{n}", 51820): Client(static, (own.public, place), random.randbytes, lambda: next(clock))
        for n, static in enumerate(statics, 1)
    }
    got: dict[bool, list[tuple[bytes, Address]]] = {True: [], False: []}
    now = 0.0
    for client in clients.values():
        client.want(static.public for static in statics)
    for _ in range(40):
        now += 1.0
        for at, client in clients.items():
            for data, _ in client.to_send(now):
                got[True].append((data, at))
                server.receive(data, at, now)
        for data, to in server.to_send(now):
            got[False].append((data, place))
            clients[to].receive(data, place, now)
    machine = server if at_server else clients[next(iter(clients))]

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.001
        machine.receive(data, random.choice(got[at_server])[1], now)
        machine.to_send(now)
        machine.events()

    return [data for data, _ in got[at_server]], feed


def _messages(kinds: Sequence[type[message.Message]], peer: bytes) -> Iterator[message.Message]:
    """Give one of each kind, with fields that mean something."""
    place = Address.of("198.51.100.7", 51820)
    for kind in kinds:
        fields: dict[str, Any] = {}
        for name, codec in layout(kind):
            match codec:
                case AddressCodec():
                    fields[name] = place
                case CandidatesCodec():
                    fields[name] = (Candidate(Origin.HOST, place), Candidate(Origin.OBSERVED, place))
                case Number():
                    fields[name] = 1
                case _:
                    fields[name] = peer
        yield kind(**fields)


TARGETS = (
    Target("parsers of packets and messages", _parsers, 2 * PACKETS),
    Target("server, from anybody", _server),
    Target("server, from a member gone mad", _member_nonsense),
    Target("agent, from anybody", _agent),
    Target("agent, from a peer gone mad", _peer_nonsense),
    Target("relay", _relay),
    Target("port mapping, from a router", _router, PACKETS // 2),
    Target("knocks", _knocked_at),
    Target("natpunch-go's protocol, server", lambda random: _natpunch(random, at_server=True)),
    Target("natpunch-go's protocol, client", lambda random: _natpunch(random, at_server=False)),
)
