"""natpunch-go's protocol: bytes that the real programs accepted, a second implementation of both sides, and whoever
sends what kills the original."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto import original
from tests.proto.parts import mutated
from warren.proto.address import Address
from warren.proto.natpunch import client as clients
from warren.proto.natpunch import packet as packets
from warren.proto.natpunch import server as servers
from warren.proto.natpunch.client import Client, Found, Greeted, Silent, Unknown
from warren.proto.natpunch.packet import (
    PROLOGUE,
    Answer,
    Init,
    Reply,
    Request,
    read_at_client,
    read_at_server,
    read_place,
    write,
)
from warren.proto.natpunch.server import Came, Left, Older, Server
from warren.proto.noise import Initiator, KeyPair, Transport
from warren.proto.refusal import Refusal

# Accepted and answered by a real natpunch-go server (1d4be15), and then used by a session of its own making.
SERVER, CLIENT = (KeyPair.of(bytes(range(n, n + 32))) for n in (1, 33))
EPHEMERALS = tuple(bytes(range(n, n + 32)) for n in (65, 97))
TIME = 1_700_000_000_000_000_000
INIT = bytes.fromhex(
    "010a0b0c0d64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484660806c371c2f5b89e49d5c606b01d6586a9712bf5"
    "80bcfb3a6c2d1d66cc5a95916adee4ce9cc0fc27ca15dfa8a7f6dd451baaca02a91495ea2b6f3b21023f2618b7995ead1ca181c2"
)
ANSWER = bytes.fromhex(
    "020a0b0c0e244fe3b963e899dd295baffce248d3530f3a9a7479ba063002680ebfe7adad49f1137928e141e955cc5ce79496a20e95"
)
REQUEST = bytes.fromhex(
    "030a0b0c0e00000000000000008315ea5317ce6ec0eb6aacee01dae034bebc088b3dab0415c2fa3239d0ebf4d4dda0bfcc57d43a4ffa9bd532"
    "bdcdbae089647870c09faabe95c0d132d8ec8a9f95624794a12478d225113540d42e16be"
)
REPLY = bytes.fromhex("030000000000000000ada0710597b8730fa7779f7cdd9e9b34d2d635dce188")
NOT_FOUND = bytes.fromhex("03000000000000000124e5fbea2f83d31f6e4b8bccc8e06f57")
K1, K2 = (
    bytes.fromhex(one)
    for one in (
        "d5e58dae60ff25cc337ac1ea707d6c02dd1de177f8bc6d566627fc383ac00af8",
        "6efd2cd4516d87a0827fbc5863fa03c5d58eafd0da54497d5190362fe50b0f6f",
    )
)
HERE, THERE, AWAY = (Address.of(f"198.51.100.{n}", 51820) for n in (7, 8, 9))
AT = Address.of("203.0.113.1", 12345)


def drawing(*said: bytes) -> Callable[[int], bytes]:
    """Draw what is said, and then from a seeded source."""
    left, more = list(said), random.Random(7)
    return lambda size: left.pop(0) if left else more.randbytes(size)


def key(number: int) -> KeyPair:
    return KeyPair.of(bytes([number]) * 32)


def a_client(who: KeyPair) -> original.Client:
    return original.Client(who.private, who.public, SERVER.public)


def told(server: Server, data: bytes, source: Address, now: float = 0.0) -> bytes | None:
    """What a server answers to a datagram; it always goes back to where that came from, and is shorter."""
    server.receive(data, source, now)
    out = server.to_send(now)
    assert len(out) <= 1
    for answer, to in out:
        assert to == source and len(answer) < len(data)
        return answer
    return None


def greeted(server: Server, who: KeyPair, source: Address, now: float = 0.0, clock: int = TIME) -> original.Client:
    client = a_client(who)
    answer = told(server, client.init(77, clock), source, now)
    assert answer is not None and len(answer) == 53
    client.answered(answer)
    return client


def asked(server: Server, client: original.Client, wanted: KeyPair, source: Address, now: float = 0.0) -> str | None:
    """Where the server says somebody is."""
    answer = told(server, client.request(wanted.public), source, now)
    assert answer is not None
    place = client.replied(answer)
    assert len(answer) == (31 if place else 25)
    return f"{place[0]}:{place[1]}" if place else None


# --- vectors ----------------------------------------------------------------------------------------------


def test_our_server_says_to_the_byte_what_a_real_client_accepted() -> None:
    server = Server(SERVER, drawing(EPHEMERALS[1], bytes.fromhex("0a0b0c0e")))

    assert told(server, INIT, HERE) == ANSWER
    assert told(server, REQUEST, HERE) == write(Reply(0, _sealed(K2, 0, b"")))  # a server is nobody's client
    assert server.events() == [Came(CLIENT.public, HERE)]


def test_our_client_says_to_the_byte_what_a_real_server_accepted() -> None:
    client = Client(CLIENT, (SERVER.public, AT), drawing(EPHEMERALS[0], bytes.fromhex("0a0b0c0d")), lambda: TIME)
    client.want([SERVER.public, HERE.ip.packed * 8])

    assert client.to_send(1.0) == [(INIT, AT)]
    client.receive(ANSWER, AT, 1.0)
    assert client.to_send(1.0) == [(REQUEST, AT)]
    client.receive(REPLY, AT, 1.1)
    assert client.events() == [Greeted(), Found(SERVER.public, HERE)]
    client.receive(NOT_FOUND, AT, 1.2)
    assert client.events() == [Unknown(HERE.ip.packed * 8)]


def test_the_keys_of_the_vector() -> None:
    assert write(Reply(0, _sealed(K2, 0, HERE.ip.packed + HERE.port.to_bytes(2)))) == REPLY
    assert write(Reply(1, _sealed(K2, 1, b""))) == NOT_FOUND
    assert write(Request(0x0A0B0C0E, 0, _sealed(K1, 0, CLIENT.public + SERVER.public))) == REQUEST


def _sealed(by: bytes, counter: int, plain: bytes) -> bytes:
    transport = Transport(by, bytes(32))
    transport.sent = counter
    return transport.seal(plain)[1]


@pytest.mark.parametrize("data", [INIT, REQUEST])
def test_what_a_server_reads_is_written_the_same(data: bytes) -> None:
    packet = read_at_server(data)
    assert isinstance(packet, Init | Request) and write(packet) == data


@pytest.mark.parametrize("data", [ANSWER, REPLY, NOT_FOUND])
def test_what_a_client_reads_is_written_the_same(data: bytes) -> None:
    packet = read_at_client(data)
    assert isinstance(packet, Answer | Reply) and write(packet) == data


# --- the server, and clients as the original's ----------------------------------------------------------------


def test_two_clients_learn_where_the_other_is() -> None:
    server = Server(SERVER, drawing())
    a = greeted(server, key(1), HERE)
    assert asked(server, a, key(2), HERE) is None
    b = greeted(server, key(2), THERE)

    assert asked(server, b, key(1), THERE) == str(HERE)
    assert asked(server, a, key(2), HERE) == str(THERE)
    assert asked(server, a, key(1), HERE) == str(HERE)  # and how they are seen themselves
    assert server.answered == {"found": 3, "unknown": 1}


def test_a_client_that_moves_is_where_it_asked_from_last() -> None:
    server = Server(SERVER, drawing())
    a, b = greeted(server, key(1), HERE), greeted(server, key(2), THERE)
    asked(server, a, key(2), HERE)
    asked(server, b, key(1), THERE)
    asked(server, a, key(2), AWAY)

    assert asked(server, b, key(1), THERE) == str(AWAY)
    assert server.events() == [Came(key(1).public, HERE), Came(key(2).public, THERE), Came(key(1).public, AWAY)]


def test_a_clock_that_goes_back_locks_nobody_out() -> None:
    """The original ignores such a client until it is started anew itself."""
    server, strict = Server(SERVER, drawing()), original.Server(SERVER.private)
    for nanoseconds, answers in ((2**64 - 1, True), (TIME, False)):
        init = a_client(key(1)).init(77, nanoseconds)
        assert (strict.receive(init, ("198.51.100.7", 1)) is not None) is answers
        a = greeted(server, key(1), HERE, clock=nanoseconds)
        assert asked(server, a, key(1), HERE) == str(HERE)


def test_a_recorded_init_moves_nobody() -> None:
    server = Server(SERVER, drawing())
    a, b = a_client(key(1)), greeted(server, key(2), THERE)
    init = a.init(77, TIME)
    answer = told(server, init, HERE)
    assert answer is not None
    a.answered(answer)
    asked(server, a, key(2), HERE)

    told(server, init, AWAY)

    assert asked(server, b, key(1), THERE) == str(HERE)
    assert asked(server, a, key(1), HERE) == str(HERE)  # and its session is still good


def test_packets_that_come_late_or_twice() -> None:
    server = Server(SERVER, drawing())
    a = greeted(server, key(1), HERE)
    first = a.request(key(1).public)
    a.counter = 5000
    assert told(server, a.request(key(1).public), HERE) is not None
    a.counter = 4041
    assert told(server, a.request(key(1).public), HERE) is not None
    assert told(server, first, AWAY) is None
    assert server.refused == {Refusal.FORGED: 1}
    assert asked(server, a, key(1), HERE) == str(HERE)


def test_only_members_are_served_and_learn_of_those_they_are_linked_with() -> None:
    one, two, three, stranger = (key(n) for n in (1, 2, 3, 4))
    links = {one.public: {two.public}, two.public: {one.public}, three.public: set[bytes]()}
    server = Server(SERVER, drawing(), links)
    a, b, c = greeted(server, one, HERE), greeted(server, two, THERE), greeted(server, three, AWAY)
    asked(server, a, one, HERE)
    asked(server, c, three, AWAY)

    assert told(server, a_client(stranger).init(1, TIME), AWAY) is None
    assert server.refused == {Refusal.STRANGER: 1}
    assert asked(server, b, one, THERE) == str(HERE)
    assert asked(server, b, three, THERE) is None
    assert asked(server, c, one, AWAY) is None


def test_a_client_that_was_silent_for_a_day_is_forgotten() -> None:
    server = Server(SERVER, drawing())
    a, b = greeted(server, key(1), HERE), greeted(server, key(2), THERE)
    asked(server, a, key(1), HERE)
    asked(server, b, key(2), THERE)
    asked(server, b, key(2), THERE, 100.0)
    server.events()

    assert server.next_timer() == servers.GONE
    assert server.to_send(servers.GONE) == [] and server.events() == [Left(key(1).public)]
    assert told(server, a.request(key(1).public), HERE, servers.GONE) is None
    assert asked(server, b, key(1), THERE, servers.GONE) is None


# --- what kills the original, and other mischief ----------------------------------------------------------------


def kills() -> dict[str, tuple[bytes, ...]]:
    """Datagrams after which the original is gone; the last of each does it. The index of `a`'s session is 78 there."""
    client = a_client(key(5))
    bare = original.connection(client.private, theirs=SERVER.public)
    return {
        "nothing at all": (b"",),
        "one byte of an init": (b"\x01",),
        "one byte of a request": (b"\x03",),
        "four bytes": (b"\x01\0\0\0",),
        "the index that was proposed": (client.init(1000, TIME), b"\x03" + (1000).to_bytes(4) + bytes(88)),
        "an init without a time": (b"\x01\0\0\0\1" + bytes(bare.write_message()),),
    }


@pytest.mark.parametrize("name", kills())
def test_what_kills_the_original_does_nothing(name: str) -> None:
    *before, deadly = kills()[name]
    server, dies = Server(SERVER, drawing()), original.Server(SERVER.private)
    a = greeted(server, key(1), HERE)
    for each in before:
        dies.receive(each, ("198.51.100.8", 1))
        told(server, each, THERE)
    with pytest.raises(original.Panic):
        dies.receive(deadly, ("198.51.100.8", 1))

    assert told(server, deadly, THERE) is None
    assert server.refused.total() == 1
    assert asked(server, a, key(1), HERE) == str(HERE)


@pytest.mark.parametrize("size", [3, 32, 63, 65, 200])
def test_a_request_of_another_length_does_nothing(size: int) -> None:
    """Of one that is too short the original dies; one that is too long it answers, but no client sends such."""
    server, dies = Server(SERVER, drawing()), original.Server(SERVER.private)
    a, mischief, theirs = greeted(server, key(1), HERE), greeted(server, key(5), THERE), a_client(key(5))
    answer = dies.receive(theirs.init(1000, TIME), ("198.51.100.8", 1))
    assert answer is not None
    theirs.answered(answer)
    for client in (mischief, theirs):
        plain = (client.public + bytes(200))[:size]
        data = b"\x03" + client.index.to_bytes(4) + bytes(8) + original.sealed(client.noise, 0, plain)  # type: ignore[arg-type]
        if client is mischief:
            assert told(server, data, THERE) is None
        elif size < 64:
            with pytest.raises(original.Panic):
                dies.receive(data, ("198.51.100.8", 1))

    assert server.refused == {Refusal.LENGTH: 1}
    assert asked(server, a, key(1), HERE) == str(HERE)


def test_the_index_of_another_clients_session_may_be_proposed() -> None:
    """After which the original dies of that client's next request."""
    server, dies = Server(SERVER, drawing()), original.Server(SERVER.private)
    a, theirs = greeted(server, key(1), HERE), a_client(key(1))
    asked(server, a, key(1), HERE)
    answer = dies.receive(theirs.init(1000, TIME), ("198.51.100.7", 1))
    assert answer is not None
    theirs.answered(answer)
    dies.receive(a_client(key(5)).init(theirs.index, TIME), ("198.51.100.8", 1))
    with pytest.raises(original.Panic):
        dies.receive(theirs.request(key(1).public), ("198.51.100.7", 1))

    told(server, a_client(key(5)).init(a.index, TIME), THERE)

    assert asked(server, a, key(1), HERE) == str(HERE)


def test_an_answer_of_garbage_ends_no_client() -> None:
    """Anybody who can send from the server's address kills the original's client so."""
    theirs = a_client(key(1))
    theirs.init(77, TIME)
    with pytest.raises(original.Panic):
        theirs.answered(b"\x02" + bytes(52))
    client = Client(CLIENT, (SERVER.public, AT), drawing(EPHEMERALS[0], bytes.fromhex("0a0b0c0d")), lambda: TIME)
    client.want([SERVER.public])
    client.to_send(1.0)

    for garbage in (b"", b"\x02", b"\x02" + bytes(52), b"\x03" + bytes(30), b"\x01" * 109, bytes(64)):
        client.receive(garbage, AT, 1.0)
    client.receive(ANSWER, HERE, 1.0)  # of somebody else
    client.receive(ANSWER, AT, 1.0)

    assert client.refused.total() == 7
    assert client.to_send(1.0) == [(REQUEST, AT)]


def test_a_client_that_speaks_for_another_is_not_answered() -> None:
    server = Server(SERVER, drawing())
    a, liar = greeted(server, key(1), HERE), greeted(server, key(5), THERE)
    asked(server, a, key(1), HERE)
    liar.public = key(1).public

    assert told(server, liar.request(key(2).public), THERE) is None
    assert server.refused == {Refusal.VALUE: 1}
    assert asked(server, a, key(1), HERE) == str(HERE)


def test_the_older_protocol_is_told_of_and_not_answered() -> None:
    server = Server(SERVER, drawing())
    for first in (0, 1, 2, 3, 200):
        assert told(server, bytes([first]) + bytes(63), HERE) is None
    assert server.events() == [Older(HERE)] * 5


def test_nobody_is_answered_over_ipv6() -> None:
    server = Server(SERVER, drawing())
    assert told(server, a_client(key(1)).init(1, TIME), Address.of("2001:db8::1", 7)) is None


def test_one_source_may_ask_for_so_much() -> None:
    server = Server(SERVER, drawing())
    answered = [told(server, INIT, HERE) is not None for _ in range(servers.HELLOS + 5)]

    assert answered == [True] * servers.HELLOS + [False] * 5
    assert told(server, INIT, THERE) is not None
    assert told(server, INIT, HERE, 1.0) is not None


def test_one_client_may_ask_so_often() -> None:
    server = Server(SERVER, drawing())
    a = greeted(server, key(1), HERE)
    answered = [told(server, a.request(key(1).public), HERE) is not None for _ in range(servers.ASKS + 5)]

    assert answered == [True] * servers.ASKS + [False] * 5
    assert told(server, a.request(key(1).public), HERE, 1.0) is not None


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one source and of all, of clients and of those that only say they are."""
    monkeypatch.setattr(servers, "MOST_OF_ONE", 3)
    monkeypatch.setattr(servers, "TRIALS", 4)
    server = Server(SERVER, drawing(), most=5)
    first = greeted(server, key(1), HERE)
    asked(server, first, key(1), HERE)
    for n in range(2, 6):  # all at another address: of which at most three stay, and the one before them
        asked(server, greeted(server, key(n), THERE, n), key(n), THERE, n)
    assert len(server) == 4 and asked(server, first, key(1), HERE, 6.0) == str(HERE)
    assert [event.who for event in server.events() if isinstance(event, Left)] == [key(2).public]
    for n in range(6, 12):
        here = Address.of(f"192.0.2.{n}", n)
        told(server, a_client(key(100 + n)).init(1, TIME), here, n)
        asked(server, greeted(server, key(n), here, n), key(n), here, n)

    assert len(server) == 5
    assert server.size <= 5 + 5 + 4 + 5 + 20


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_sent_is_taken_or_refused(data: st.DataObject) -> None:
    """Bytes near to true ones, of a living session: at most one answer, shorter, and the session lives."""
    server = Server(SERVER, drawing())
    a = greeted(server, key(1), HERE)
    asked(server, a, key(1), HERE)
    for whole in (INIT, a.request(key(2).public), a_client(key(5)).init(3, TIME)):
        sent = data.draw(mutated(whole))
        if sent != whole:
            told(server, sent, THERE)
    client = Client(CLIENT, (SERVER.public, AT), drawing(), lambda: TIME)
    client.want([SERVER.public])
    client.to_send(0.0)
    for whole in (ANSWER, REPLY, NOT_FOUND):
        client.receive(data.draw(mutated(whole)), AT, 0.0)

    assert asked(server, a, key(1), HERE) == str(HERE)
    assert client.events() == []


# --- our client -----------------------------------------------------------------------------------------------


class Times:
    """Nanoseconds that only grow."""

    def __init__(self) -> None:
        self.last = TIME

    def __call__(self) -> int:
        self.last += 1
        return self.last


def run(
    ours: dict[Address, Client],
    serve: Callable[[bytes, Address, float], bytes | None],
    until: float,
    lost: Callable[[], bool] = lambda: False,
    since: float = 0.0,
) -> list[tuple[float, clients.Event]]:
    """Have clients and a server talk on a virtual clock, in steps of a tenth of a second."""
    events: list[tuple[float, clients.Event]] = []
    for step in range(round((until - since) * 10)):
        now = since + step / 10
        for source, client in ours.items():
            for _ in range(8):  # whatever is asked at once
                out = client.to_send(now)
                for data, to in out:
                    assert to == AT
                    answer = None if lost() else serve(data, source, now)
                    if answer is not None and not lost():
                        client.receive(answer, AT, now)
                if not out:
                    break
            events += [(now, event) for event in client.events()]
    return events


def served_by_ours() -> Callable[[bytes, Address, float], bytes | None]:
    server = Server(SERVER, drawing())
    return lambda data, source, now: told(server, data, source, now)


def served_by_the_original() -> Callable[[bytes, Address, float], bytes | None]:
    server = original.Server(SERVER.private)
    return lambda data, source, _: server.receive(data, (str(source.ip), source.port))


def our_client(number: int, *wanted: int) -> Client:
    made = Client(key(number), (SERVER.public, AT), random.Random(number).randbytes, Times())
    made.want([key(n).public for n in wanted])
    return made


@pytest.mark.parametrize("serving", [served_by_ours, served_by_the_original])
def test_our_clients_find_each_other(serving: Callable[[], Callable[[bytes, Address, float], bytes | None]]) -> None:
    ours = {HERE: our_client(1, 1, 2), THERE: our_client(2, 1, 3)}

    events = run(ours, serving(), 2.5)

    found = {event for _, event in events if isinstance(event, Found)}
    assert found == {Found(key(1).public, HERE), Found(key(2).public, THERE)}
    assert [now for now, event in events if event == Unknown(key(3).public)] == [0.0, 2.0]


@pytest.mark.parametrize("serving", [served_by_ours, served_by_the_original])
def test_a_session_is_renewed_and_lost_packets_are_asked_for_again(
    serving: Callable[[], Callable[[bytes, Address, float], bytes | None]],
) -> None:
    chance = random.Random(5)
    ours = {HERE: our_client(1, 1, 2), THERE: our_client(2, 1, 2)}

    events = run(ours, serving(), 900.0, lambda: chance.random() < 0.2)

    late = [event for now, event in events if now > 600 and isinstance(event, Found)]
    assert set(late) == {Found(key(1).public, HERE), Found(key(2).public, THERE)}
    assert not [event for now, event in events if now > 60 and isinstance(event, Unknown)]
    assert ours[HERE].refused.keys() <= {Refusal.FORGED, Refusal.UNEXPECTED}


def test_a_server_that_is_started_anew_is_greeted_anew() -> None:
    ours = {HERE: our_client(1, 1)}
    events = run(ours, served_by_the_original(), 10.0)
    assert Silent(1) not in [event for _, event in events]

    later = run(ours, served_by_the_original(), 20.0, since=10.0)

    assert [event for _, event in later[:3]] == [Silent(1), Greeted(), Found(key(1).public, HERE)]


def test_a_server_that_is_dead_is_asked_ever_less_often() -> None:
    ours = {HERE: our_client(1, 1)}
    sent: list[float] = []

    def dead(data: bytes, source: Address, now: float) -> None:
        sent.append(now)

    events = run(ours, dead, 60.0)

    assert [round(now) for now in sent] == [0, 3, 6, 11, 21, 31, 41, 51]
    assert [event for _, event in events] == [Silent(n) for n in range(1, 8)]


def test_a_reply_that_comes_late_is_not_taken_for_another_peer() -> None:
    """The original gives its next peer the place of the one before."""
    serve, late = served_by_the_original(), list[bytes]()
    run({THERE: our_client(2, 2)}, serve, 1.0)
    client = our_client(1, 2, 3)

    def slow(data: bytes, source: Address, now: float) -> bytes | None:
        answer = serve(data, source, now)
        if answer is not None and len(answer) == 31:
            late.append(answer)
        return answer if answer is not None and len(answer) == 53 else None

    run({HERE: client}, slow, 3.1)  # greeted, asked, greeted anew, asked again
    client.receive(late[0], AT, 3.2)
    assert client.events() == [] and client.refused == {Refusal.FORGED: 1}
    client.receive(late[1], AT, 3.2)

    assert client.events() == [Greeted(), Found(key(2).public, THERE)]


@pytest.mark.parametrize("said", ["7f000001ca6c", "e0000001ca6c", "ffffffffca6c", "00000000ca6c", "c63364070000", "c6"])
def test_a_place_where_nobody_can_be_is_none(said: str) -> None:
    assert read_place(bytes.fromhex(said)) is None


def test_an_init_can_be_read_by_who_it_is_for() -> None:
    """What the tests above take for granted of the prologue."""
    initiator = Initiator(CLIENT, SERVER.public, KeyPair.of(EPHEMERALS[0]), PROLOGUE)
    assert initiator.write(TIME.to_bytes(8)) == INIT[5:]


def test_the_page_says_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "natpunch.md").read_text()
    lengths = re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]+) \|", page, re.MULTILINE)
    assert lengths == [
        ("Init", str(packets.INIT)),
        ("Answer", str(packets.ANSWER)),
        ("Request", str(packets.REQUEST)),
        ("Reply", f"{packets.FOUND} or {packets.NOT_FOUND}"),
    ]
    page = " ".join(page.split())
    assert f"{servers.MOST:,} clients, at most {servers.MOST_OF_ONE} of one address" in page
    assert f"begin {servers.HELLO_RATE:g} sessions a second ({servers.HELLOS} at once)" in page
    assert f"all together {servers.SHAKE_RATE:g}; a client may ask {servers.ASK_RATE:g} times a second" in page
    assert f"{packets.ANSWER} bytes answer {packets.INIT}, {packets.FOUND} answer {packets.REQUEST}" in page
    assert PROLOGUE.decode() in page and str(packets.OLDER_PORT) in page
    assert (servers.GONE, clients.RENEWS) == (86_400, 300)  # a day, and five minutes
