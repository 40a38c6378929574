"""The server and a host's visits to it, wired back to back: who learns of whom, what is repeated, who gets nothing."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto.parts import mutated
from warren.proto import grant, message, packet
from warren.proto.address import Address, Candidate, Origin
from warren.proto.codec import ADDRESS
from warren.proto.door import LOAD, TRIALS
from warren.proto.lend import LIFETIME, Lender
from warren.proto.member import ALL, Links, Member, by_one_port
from warren.proto.message import Call, Grant, Introduce, WantRelay
from warren.proto.noise import KeyPair
from warren.proto.refusal import Refusal
from warren.proto.relay import Relay
from warren.proto.rendezvous import GONE, Came, Closed, Left, Opened, Rendezvous
from warren.proto.visit import KEEPS, Pushed, Visit

SERVER = KeyPair.of(bytes([9]) * 32)
A, B, C, STRANGER = (KeyPair.of(bytes([n]) * 32) for n in (1, 2, 3, 4))
LINKS = by_one_port(
    {
        A.public: frozenset({B.public, C.public}),
        B.public: frozenset({A.public}),
        C.public: frozenset({B.public}),  # C claims B, which does not claim C; A claims C, which does not claim A
    }
)
PLACE = Address.of("203.0.113.1", 51819)
PLACE_V6 = ip_address("2001:db8::1")


def lan(number: int) -> tuple[Candidate, ...]:
    return (Candidate(Origin.HOST, Address.of(f"192.168.1.{number}", 51820)),)


class Wire:
    """A server, and hosts at addresses; `lose` says of each datagram whether it is lost."""

    def __init__(self, seed: int = 1, lender: bool = False, links: Links = LINKS) -> None:
        self.random = Random(seed)
        lent = Lender((PLACE.ip, PLACE_V6), range(40000, 40004), self.random.randbytes) if lender else None
        self.make: Callable[[], Rendezvous] = lambda: Rendezvous(SERVER, links, self.random.randbytes, lent)
        self.server = self.make()
        self.now = 100.0
        self.visits: dict[Address, Visit] = {}
        self.got: dict[Visit, list[Pushed]] = {}
        self.lose: Callable[[bytes], bool] = lambda data: False
        self.sent: list[tuple[bytes, Address]] = []
        self.said: list[tuple[bytes, Address]] = []

    def host(self, static: KeyPair, number: int, epoch: int | None = None, only: bytes = ALL) -> Visit:
        visit = Visit(static, PLACE, SERVER.public, epoch or 1000 + number, self.random.randbytes, only)
        visit.offer(lan(number), self.now)
        self.visits[Address.of(f"198.51.100.{number}", 51820)] = visit
        self.got[visit] = []
        return visit

    def move(self, visit: Visit, number: int) -> None:
        self.visits = {at: one for at, one in self.visits.items() if one is not visit}
        self.visits[Address.of(f"198.51.100.{number}", 51820)] = visit

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            moving = True
            while moving:
                moving = False
                for at, visit in list(self.visits.items()):
                    for data in visit.to_send(self.now):
                        moving = True
                        self.said.append((data, at))
                        if not self.lose(data):
                            self.server.receive(data, at, self.now)
                for data, to in self.server.to_send(self.now):
                    moving = True
                    self.sent.append((data, to))
                    if to in self.visits and not self.lose(data):
                        taken = packet.parse(data)
                        assert not isinstance(taken, Refusal)
                        pushed = self.visits[to].receive(taken, self.now)
                        if not isinstance(pushed, Refusal):
                            self.got[self.visits[to]] += pushed
            times = [one.next_timer() for one in self.visits.values()]
            timer = self.server.next_timer()
            self.now = max(min([*times, end, *([timer] if timer is not None else [])]), self.now + 0.001)
            if self.now >= end:
                self.now = end
                return


def test_linked_hosts_learn_of_each_other_and_of_nobody_else() -> None:
    wire = Wire()
    a, b, c = (wire.host(who, n) for n, who in enumerate((A, B, C), 1))

    wire.run(1.0)

    assert all(one.up for one in (a, b, c))
    assert a.observed == Address.of("198.51.100.1", 51820)
    seen = (Candidate(Origin.OBSERVED, Address.of("198.51.100.2", 51820)), *lan(2))
    assert wire.got[a][-1] == Introduce(B.public, 1002, 0, seen)
    assert {push.peer for push in wire.got[a]} == {B.public}
    assert {push.peer for push in wire.got[b]} == {A.public}
    assert wire.got[c] == []
    assert {one.who for one in wire.server.events() if isinstance(one, Came)} == set(LINKS)


def test_nothing_is_repeated_once_it_was_acknowledged() -> None:
    wire = Wire()
    a, _ = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    before = len(wire.got[a])
    wire.sent.clear()

    wire.run(200.0)

    assert len(wire.got[a]) == before
    assert len(wire.sent) == 2 * 200 / KEEPS  # the answers to signs of life


def test_what_was_to_be_said_in_a_session_that_ends_is_not_said() -> None:
    wire = Wire()
    a, _ = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    for _ in range(40):  # the server is silent until the host takes the session for lost
        wire.now = max(a.next_timer(), wire.now)
        a.say(Call(B.public))
        a.to_send(wire.now)
        if not a.up:
            break

    assert not a.up
    wire.run(2.0)
    assert a.up


def test_strangers_and_forgers_are_met_with_silence() -> None:
    wire = Wire()
    lost = wire.host(STRANGER, 4)
    wire.run(10.0)
    assert not lost.up and wire.sent == [] and wire.server.refused[Refusal.STRANGER] == 6

    other = Visit(A, PLACE, STRANGER.public, 1, wire.random.randbytes)  # thinks that the server has another key
    wire.server.receive(other.to_send(0)[0], PLACE, wire.now)
    assert wire.server.to_send(wire.now) == [] and wire.server.refused[Refusal.MAC] == 1
    assert wire.server.size == 0


@pytest.mark.parametrize("seed", range(20))
def test_through_loss_everybody_is_introduced(seed: int) -> None:
    wire = Wire(seed)
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.lose = lambda data: wire.random.random() < 0.3
    wire.run(60.0)

    for visit, peer in ((a, B), (b, A)):
        last = wire.got[visit][-1]
        assert isinstance(last, Introduce) and last.peer == peer.public and len(last.candidates) == 2


def test_a_server_that_forgot_everything_is_told_again() -> None:
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(5.0)
    wire.server = wire.make()
    wire.got[a].clear()

    wire.run(2 * KEEPS + 10)

    assert a.up and b.up and wire.got[a]


def test_a_move_is_believed_when_the_host_receives_there() -> None:
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    wire.move(b, 7)
    b.moved(wire.now)
    wire.got[a].clear()
    wire.run(1.0)

    last = wire.got[a][-1]
    assert isinstance(last, Introduce)
    assert last.candidates[0] == Candidate(Origin.OBSERVED, Address.of("198.51.100.7", 51820))


def test_pushes_do_not_go_to_an_address_that_nobody_proved() -> None:
    """A member that sends from somebody else's address gets that somebody answers no larger than what was sent."""
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    victim = Address.of("192.0.2.66", 53)
    asked = 0
    for _ in range(20):
        b.moved(wire.now)
        for data in b.to_send(wire.now):
            asked += len(data)
            wire.server.receive(data, victim, wire.now)
    a.offer(lan(99), wire.now)
    wire.sent.clear()
    wire.run(10.0)

    answered = [len(data) for data, to in wire.sent if to == victim]
    assert answered and sum(answered) <= asked
    assert wire.got[b][-1].peer == A.public and lan(99)[0] in wire.got[b][-1].candidates  # type: ignore[union-attr]


def test_a_silent_host_is_gone_and_its_links_are_told() -> None:
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    wire.visits = {at: one for at, one in wire.visits.items() if one is not b}
    wire.server.events()

    wire.run(GONE + KEEPS)

    assert wire.got[a][-1] == Introduce(B.public, 0, 0, ())
    assert wire.server.events() == [Left(Member(B.public))]


def test_a_recorded_hello_takes_nothing_from_its_owner() -> None:
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    hello = next(data for data, at in wire.said if isinstance(packet.parse(data), packet.Hello))
    size = wire.server.size
    for n in range(1, 60):
        wire.server.receive(hello, Address.of(f"192.0.2.{n}", 9), wire.now)
    wire.got[a].clear()
    b.offer(lan(50), wire.now)
    wire.run(2.0)

    assert wire.got[a]  # still reached where it is
    assert wire.server.size <= size + TRIALS


def test_under_load_a_source_has_to_prove_that_it_receives() -> None:
    wire = Wire()
    noise = Visit(A, PLACE, SERVER.public, 5, wire.random.randbytes)
    hello = noise.to_send(wire.now)[0]
    for n in range(LOAD + 1):
        wire.server.receive(hello, Address.of(f"192.0.2.{n % 250}", n + 1), wire.now)
    wire.server.to_send(wire.now)
    wire.server.receive(hello, PLACE, wire.now)
    [(answer, _)] = wire.server.to_send(wire.now)
    assert isinstance(packet.parse(answer), packet.CookieReply) and len(answer) < len(hello)

    honest = wire.host(B, 2)
    wire.run(0.5)
    assert honest.up


def test_one_source_may_not_ask_for_everything() -> None:
    wire = Wire()
    for _ in range(100):
        knocking = Visit(A, PLACE, SERVER.public, 5, wire.random.randbytes)
        wire.server.receive(knocking.to_send(wire.now)[0], PLACE, wire.now)

    assert len(wire.server.to_send(wire.now)) == 20 and wire.server.refused[Refusal.BUSY] == 80
    assert wire.server.size <= TRIALS


def test_a_member_may_not_have_others_flooded() -> None:
    wire = Wire()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    wire.got[a].clear()
    for n in range(200):
        b.offer(lan(n % 250), wire.now)
        wire.run(0.05)

    assert len(wire.got[a]) < 20 and wire.server.refused[Refusal.BUSY] > 100


def test_call_me_maybe_reaches_the_peer_and_no_other() -> None:
    wire = Wire()
    a, b, c = (wire.host(who, n) for n, who in enumerate((A, B, C), 1))
    wire.run(1.0)
    for visit in (a, b, c):
        wire.got[visit].clear()
    a.say(Call(B.public))
    a.say(Call(C.public))
    wire.run(1.0)

    assert [one.urgent for one in wire.got[b] if isinstance(one, Introduce)] == [1]
    assert wire.got[a] == wire.got[c] == [] and wire.server.refused[Refusal.STRANGER] == 1


# --- ports that are kept for one peer ------------------------------------------------------------------------

APART = {
    Member(A.public): frozenset({Member(C.public)}),
    Member(A.public, B.public): frozenset({Member(B.public)}),
    Member(B.public): frozenset({Member(A.public, B.public), Member(C.public)}),
    Member(C.public): frozenset({Member(A.public), Member(B.public)}),
}


def seen_at(visit: Visit, wire: Wire, peer: KeyPair) -> set[Address]:
    """Where a host was told that a peer was seen."""
    told = [one for one in wire.got[visit] if isinstance(one, Introduce) and one.peer == peer.public]
    return {one.candidates[0].address for one in told if one.candidates}


def test_each_port_of_a_host_is_a_member_with_links_of_its_own() -> None:
    wire = Wire(links=APART)
    a, b, c = (wire.host(who, n) for n, who in enumerate((A, B, C), 1))
    kept = wire.host(A, 11, only=B.public)
    wire.run(1.0)

    assert a.up and kept.up
    assert {push.peer for push in wire.got[a]} == {C.public} and {push.peer for push in wire.got[kept]} == {B.public}
    assert seen_at(b, wire, A) == {Address.of("198.51.100.11", 51820)}
    assert seen_at(c, wire, A) == {Address.of("198.51.100.1", 51820)}
    assert {one.who for one in wire.server.events() if isinstance(one, Came)} == set(APART)


def test_a_port_that_nobody_is_to_find_is_a_strangers() -> None:
    wire = Wire(links=APART)
    lost = wire.host(A, 1, only=C.public)
    wire.run(1.0)

    assert not lost.up and wire.sent == [] and wire.server.refused[Refusal.STRANGER]


def test_a_port_that_is_silent_has_gone_and_the_others_stay() -> None:
    wire = Wire(links=APART)
    a, b, c = (wire.host(who, n) for n, who in enumerate((A, B, C), 1))
    kept = wire.host(A, 11, only=B.public)
    wire.run(1.0)
    wire.visits = {at: one for at, one in wire.visits.items() if one is not kept}
    wire.server.events()
    wire.got[c].clear()
    wire.run(GONE + KEEPS)

    assert wire.got[b][-1] == Introduce(A.public, 0, 0, ()) and wire.got[c] == [] and a.up
    assert wire.server.events() == [Left(Member(A.public, B.public))]


def test_a_port_that_starts_anew_gets_a_new_secret_for_its_relay_alone() -> None:
    wire = Wire(lender=True, links=APART)
    a, *_ = (wire.host(who, n) for n, who in enumerate((A, B, C), 1))
    kept = wire.host(A, 11, only=B.public)
    wire.run(1.0)
    a.say(WantRelay(C.public))
    kept.say(WantRelay(B.public))
    kept.say(WantRelay(C.public))
    wire.run(1.0)
    before = [one.lent for one in wire.server.events() if isinstance(one, Opened)]
    assert [set(lent.pair) for lent in before] == [{A.public, C.public}, {A.public, B.public}]
    assert wire.server.refused[Refusal.STRANGER] == 1

    wire.host(A, 11, epoch=77, only=B.public)
    wire.run(1.0)
    assert [set(one.lent.pair) for one in wire.server.events() if isinstance(one, Opened)] == [{A.public, B.public}]


def test_what_a_server_has_to_do_for_one_packet_does_not_grow_with_its_members() -> None:
    """Nobody is looked at but those for whom something is due."""
    wire = Wire()
    a, _ = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    looked: list[object] = []
    pushed = wire.server._pushed
    wire.server._pushed = lambda host, session, now: (looked.append(host), pushed(host, session, now))[1]  # type: ignore[method-assign]
    wire.run(2 * KEEPS)

    assert a.up and len(looked) <= 8


# --- relays -------------------------------------------------------------------------------------------------


def test_a_pair_gets_one_relay_that_carries_for_it_alone() -> None:
    wire, relay = Wire(lender=True), Relay()
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    a.say(WantRelay(B.public))
    b.say(WantRelay(A.public))
    wire.run(1.0)
    opened = [one.lent for one in wire.server.events() if isinstance(one, Opened)]
    assert len(opened) == 1
    relay.open(opened[0])
    grants = [next(one for one in reversed(wire.got[visit]) if isinstance(one, Grant)) for visit in (a, b)]
    assert (grants[0].secret, grants[0].grant) == (grants[1].secret, grants[1].grant)
    places = [Address.of("198.51.100.1", 1), Address.of("198.51.100.2", 2)]
    ports = [one.relay.port for one in grants]
    assert relay.receive(b"early", places[0], ports[0]) is Refusal.UNKNOWN

    hellos = [
        packet.write(grant.hello(got.grant, got.secret, who.public, 0)) for got, who in zip(grants, (A, B), strict=True)
    ]
    for hello, place, port in zip(hellos, places, ports, strict=True):
        answer = relay.receive(hello, place, port)
        assert not isinstance(answer, Refusal) and answer[1:] == (place, port) and len(answer[0]) <= len(hello)

    assert relay.receive(b"\x04 wireguard", places[0], ports[0]) == (b"\x04 wireguard", places[1], ports[1])
    assert relay.receive(b"\x04 back", places[1], ports[1]) == (b"\x04 back", places[0], ports[0])
    elsewhere = Address.of("192.0.2.66", 66)
    assert relay.receive(b"\x04 forged", elsewhere, ports[0]) is Refusal.UNKNOWN
    assert relay.receive(hellos[0], elsewhere, ports[0]) is Refusal.FORGED  # a replay moves nobody
    assert relay.receive(hellos[0], elsewhere, ports[1]) is Refusal.STRANGER

    anew = wire.host(A, 1, epoch=77)  # the host starts again: its counters do too, under a new secret
    wire.run(1.0)
    anew.say(WantRelay(B.public))
    wire.run(1.0)
    [again] = [one.lent for one in wire.server.events() if isinstance(one, Opened)]
    relay.open(again)
    fresh = wire.got[anew][-1]
    assert isinstance(fresh, Grant) and fresh.secret != grants[0].secret and fresh.relay == grants[0].relay
    assert relay.receive(b"\x04 still", places[0], ports[0]) == (b"\x04 still", places[1], ports[1])
    hello = packet.write(grant.hello(fresh.grant, fresh.secret, A.public, 0))
    assert not isinstance(relay.receive(hello, elsewhere, ports[0]), Refusal)


def test_hosts_of_different_families_meet_at_one_relay() -> None:
    """Each is granted the address of the family in which it speaks to the server; ports and secret are one relay's."""
    wire, relay = Wire(lender=True), Relay()
    a, b = wire.host(A, 1), wire.host(B, 2)
    six = Address.of("2001:db8:2::2", 51820)
    wire.visits = {next(at for at, one in wire.visits.items() if one is a): a, six: b}
    wire.run(1.0)
    a.say(WantRelay(B.public))
    wire.run(1.0)
    ours, theirs = (next(one for one in reversed(wire.got[visit]) if isinstance(one, Grant)) for visit in (a, b))
    assert (ours.relay.ip, theirs.relay.ip) == (PLACE.ip, PLACE_V6)
    assert (ours.secret, {ours.relay.port, theirs.relay.port}) == (theirs.secret, {40000, 40001})

    [lent] = [one.lent for one in wire.server.events() if isinstance(one, Opened)]
    relay.open(lent)
    four = Address.of("198.51.100.1", 7)
    for got, who, at in ((ours, A, four), (theirs, B, six)):
        hello = packet.write(grant.hello(got.grant, got.secret, who.public, 0))
        assert not isinstance(relay.receive(hello, at, got.relay.port), Refusal)
    assert relay.receive(b"\x04 over", four, ours.relay.port) == (b"\x04 over", six, theirs.relay.port)
    assert {(way.source, way.target) for way in relay.joined()} == {(four, six), (six, four)}


def test_relays_end_and_are_lent_again() -> None:
    wire = Wire(lender=True)
    a, _ = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    a.say(WantRelay(B.public))
    wire.run(LIFETIME + 2)
    kinds = [type(one) for one in wire.server.events()]
    assert kinds.count(Opened) == kinds.count(Closed) == 1

    a.say(WantRelay(B.public))
    wire.run(1.0)
    assert Opened in [type(one) for one in wire.server.events()]


def test_no_more_relays_than_ports() -> None:
    lender = Lender((PLACE.ip,), range(40000, 40005), Random(1).randbytes)
    lent = [lender.lend(bytes([n]) * 32, bytes([n + 100]) * 32, 0)[0] for n in range(4)]

    assert [one.port for one in lent if one] == [40000, 40002] and lent[2:] == [None, None]


# --- any bytes ----------------------------------------------------------------------------------------------


def recorded() -> list[bytes]:
    wire = Wire(lender=True)
    a, _ = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    a.say(WantRelay(B.public))
    wire.run(KEEPS)
    return [data for data, _ in wire.said] + [data for data, _ in wire.sent]


RECORDED = recorded()


@given(st.lists(st.sampled_from(RECORDED).flatmap(mutated) | st.binary(max_size=200), max_size=20), st.data())
@settings(max_examples=60)
def test_whatever_comes_the_server_goes_on(datagrams: list[bytes], data: st.DataObject) -> None:
    wire = Wire(lender=True)
    a, b = wire.host(A, 1), wire.host(B, 2)
    wire.run(1.0)
    size = wire.server.size
    for one in datagrams:
        wire.server.receive(one, data.draw(st.sampled_from([*wire.visits, PLACE])), wire.now)
        taken = packet.parse(one)
        if not isinstance(taken, Refusal):
            a.receive(taken, wire.now)
    answered = wire.server.to_send(wire.now)

    assert wire.server.size <= size + TRIALS
    assert sum(len(one) for one, _ in answered) <= sum(map(len, datagrams))
    b.offer(lan(77), wire.now)
    wire.run(KEEPS + 40)
    assert lan(77)[0] in wire.got[a][-1].candidates  # type: ignore[union-attr]


def test_what_a_member_seals_may_still_be_nonsense() -> None:
    wire = Wire()
    a = wire.host(A, 1)
    wire.run(1.0)
    for plain in (bytes(32), b"\xff" * 32, message.write(Introduce(B.public, 1, 0, ()), 1), ADDRESS.write(PLACE) * 2):
        sealed = seal_as(a, plain[:-6] if len(plain) == 38 else plain)
        wire.server.receive(sealed, Address.of("198.51.100.1", 51820), wire.now)

    assert wire.server.refused.total() == 4 and wire.server.to_send(wire.now) == []


def seal_as(visit: Visit, plain: bytes) -> bytes:
    assert visit._transport is not None
    bound = packet.header(packet.Sealed) + visit._theirs.to_bytes(4) + visit._transport.sent.to_bytes(8)
    counter, sealed = visit._transport.seal(plain, bound)
    return packet.write(packet.Sealed(visit._theirs, counter, sealed))
