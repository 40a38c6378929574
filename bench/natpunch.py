"""The server for natpunch-go's clients: how much it answers, what a client costs it, and packets nobody should send."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from random import Random

from bench.fuzz import PACKETS, Made, Target, resident_kibibytes, throw
from bench.row import Row
from warren.proto.address import Address
from warren.proto.natpunch.client import Client
from warren.proto.natpunch.packet import PROLOGUE, Answer, Request, read_at_client, write
from warren.proto.natpunch.server import MOST, Server
from warren.proto.noise import Initiator, KeyPair, Transport

CLIENTS, QUESTIONS = 2000, 20  # that greet, and that each of them asks
AT = Address.of("203.0.113.1", 12345)


def rows() -> Iterator[Row]:
    """Measure the machine alone, without sockets, then throw packets at it."""
    random = Random(4)
    gc.collect()
    before = resident_kibibytes()
    server = Server(KeyPair.of(random.randbytes(32)), random.randbytes)
    sessions, greeted = _greet(server, random)
    asked = _ask(server, sessions)
    gc.collect()
    each = (resident_kibibytes() - before) / CLIENTS
    if len(server) != CLIENTS or server.answered["found"] != CLIENTS * QUESTIONS:
        raise RuntimeError("the server did not answer everybody")
    yield Row("natpunch server, greetings a second of a core", f"{greeted:,.0f}/s")
    yield Row("natpunch server, questions a second of a core", f"{asked:,.0f}/s")
    most = f"{each * MOST / 1024:.0f} MiB for the {MOST:,} at most"
    yield Row("  memory of a client, both sides of it", f"{each:.1f} KiB", aim=most)
    for target in TARGETS:
        corpus, feed = target.make(Random(target.name))
        rate, grown = throw(corpus, feed, target.packets, Random(f"at {target.name}"))
        what, many = f"mutated packets, {target.name}", f"{target.packets:,} of them"
        yield Row(what, f"{rate:,.0f}/s", many, "", f"no crash; grew by {grown:,.0f} KiB")


Session = tuple[KeyPair, int, Transport, Address]


def _greet(server: Server, random: Random) -> tuple[list[Session], float]:
    """Have clients greet the server; gives their sessions, and greetings a second of the server's time."""
    sessions, took = list[Session](), 0.0
    for number in range(CLIENTS):
        who, source = KeyPair.of(random.randbytes(32)), Address.of(f"10.{number >> 8}.{number & 255}.1", 51820)
        initiator = Initiator(who, server.public, KeyPair.of(random.randbytes(32)), PROLOGUE)
        init = b"\x01" + bytes(4) + initiator.write(bytes(8))
        now, began = number / 100, time.process_time()
        server.receive(init, source, now)
        ((data, _),) = server.to_send(now)
        took += time.process_time() - began
        answer = read_at_client(data)
        assert isinstance(answer, Answer)
        _, transport = initiator.read(answer.noise)
        _asks(server, (who, answer.index, transport, source), who.public, now)
        server.to_send(now)
        sessions.append((who, answer.index, transport, source))
    return sessions, CLIENTS / took


def _asks(server: Server, session: Session, wanted: bytes, now: float) -> None:
    who, index, transport, source = session
    server.receive(write(Request(index, *transport.seal(who.public + wanted))), source, now)


def _ask(server: Server, sessions: list[Session]) -> float:
    """Have each ask for others; gives questions a second, the sealing of them included."""
    server.to_send(CLIENTS / 100)
    server.answered.clear()
    began = time.process_time()
    for turn in range(QUESTIONS):
        for number, session in enumerate(sessions):
            _asks(server, session, sessions[number - turn - 1][0].public, CLIENTS / 100 + turn)
        server.to_send(CLIENTS / 100 + turn)
        server.events()
    return CLIENTS * QUESTIONS / (time.process_time() - began)


# --- targets --------------------------------------------------------------------------------------------------------


def _server(random: Random, sealed: bool = False) -> Made:
    """A server with living clients; with `sealed`, one of these is out of its mind, and seals anything."""
    server = Server(KeyPair.of(random.randbytes(32)), random.randbytes)
    who, source = KeyPair.of(random.randbytes(32)), Address.of("198.51.100.7", 51820)
    client, now, got = Client(who, (server.public, AT), random.randbytes, lambda: 1), 0.0, list[bytes]()
    client.want((who.public, random.randbytes(32)))
    for _ in range(4):
        for data, _ in client.to_send(now):
            got.append(data)
            server.receive(data, source, now)
        for data, _ in server.to_send(now):
            client.receive(data, AT, now)
    initiator = Initiator(who, server.public, KeyPair.of(random.randbytes(32)), PROLOGUE)
    server.receive(b"\x01" + bytes(4) + initiator.write(bytes(8)), source, now)
    answer = read_at_client(server.to_send(now)[0][0])
    assert isinstance(answer, Answer) and len(got) == 3
    _, transport = initiator.read(answer.noise)

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.01
        if sealed:
            data = write(Request(answer.index, *transport.seal(data)))
        there = source if random.random() < 0.5 else Address(source.ip, random.randrange(1, 65536))
        server.receive(data, there, now)
        server.to_send(now)
        server.events()

    return [who.public + who.public] if sealed else got, feed


def _client(random: Random) -> Made:
    """A client that asks, and whoever can send from the server's address."""
    server = Server(KeyPair.of(random.randbytes(32)), random.randbytes)
    who, source = KeyPair.of(random.randbytes(32)), Address.of("198.51.100.7", 51820)
    client, now, got = Client(who, (server.public, AT), random.randbytes, lambda: 1), 0.0, list[bytes]()
    client.want((who.public,))

    def feed(data: bytes) -> None:
        nonlocal now
        now += 0.01
        client.receive(data, AT, now)
        client.to_send(now)
        client.events()

    for _ in range(3):
        for data, _ in client.to_send(now):
            server.receive(data, source, now)
        for data, _ in server.to_send(now):
            got.append(data)
            client.receive(data, AT, now)
    return got, feed


TARGETS = (
    Target("natpunch server, from anybody", _server, PACKETS // 2),
    Target("natpunch server, from a client gone mad", lambda random: _server(random, sealed=True), PACKETS // 2),
    Target("natpunch client, from its server's place", _client, PACKETS // 2),
)
