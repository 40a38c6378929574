"""Packets and messages: there and back, any bytes refused in words, no answer larger than its question."""

from __future__ import annotations

import tracemalloc
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto.parts import MESSAGES, addresses, messages, mutated, packets
from warren.proto import cookie, grant, message, packet
from warren.proto.address import Address, Candidate, Origin, may_be_probed
from warren.proto.codec import layout
from warren.proto.message import Call, KeepAlive, Observed, Pong, Probe, Register
from warren.proto.noise import Initiator, KeyPair, NoiseError, Responder
from warren.proto.packet import BLOCK, LARGEST, Hello, Packet
from warren.proto.pair import Pair
from warren.proto.refusal import Refusal

SERVER, HOST, PEER, EPHEMERAL = (KeyPair.of(bytes([n]) * 32) for n in (11, 12, 13, 14))
HERE = Address.of("198.51.100.7", 51820)
THERE = Address.of("203.0.113.9", 51820)


# --- there and back -----------------------------------------------------------------------------------------


@given(packets)
def test_a_packet_comes_back_as_it_was(one: Packet) -> None:
    assert packet.parse(packet.write(one)) == one


@given(messages, st.integers(0, 2**32 - 1))
def test_a_message_comes_back_as_it_was(one: message.Message, number: int) -> None:
    plain = message.write(one, number)

    assert len(plain) % BLOCK == 0
    assert message.parse(plain, MESSAGES) == (one, number)


@given(packets)
def test_nothing_looks_like_wireguard_or_stun(one: Packet) -> None:
    first = packet.write(one)[0]

    assert first not in range(5) and first >> 6 != 0


def test_types_are_told_apart() -> None:
    assert len({one.TYPE for one in packet.PACKETS}) == len(packet.PACKETS)
    assert len({one.TYPE for one in MESSAGES}) == len(MESSAGES)
    assert all(one.TYPE < 16 for one in message.TO_SERVER)
    assert all(16 <= one.TYPE < 32 for one in message.TO_HOST)
    assert all(one.TYPE >= 32 for one in message.TO_PEER)


def test_the_largest_message_fits_into_the_smallest_mtu() -> None:
    many = (Candidate(Origin.HOST, HERE),) * 20
    largest = max(len(message.write(one, 0)) for one in (Register(1, many), message.Introduce(bytes(32), 1, 0, many)))

    assert len(packet.write(packet.Sealed(0, 0, bytes(largest + 16)))) <= LARGEST


# --- any bytes ----------------------------------------------------------------------------------------------


@given(st.binary(max_size=300) | packets.flatmap(lambda one: mutated(packet.write(one))))
@settings(max_examples=400)
def test_any_datagram_is_a_packet_or_refused(data: bytes) -> None:
    taken = packet.parse(data)

    assert isinstance(taken, Refusal) or packet.write(taken) == data


@given(
    st.binary(max_size=300)
    | st.tuples(messages, st.integers(0, 2**32 - 1)).flatmap(lambda one: mutated(message.write(*one)))
)
@settings(max_examples=400)
def test_any_plaintext_is_a_message_or_refused(data: bytes) -> None:
    taken = message.parse(data, MESSAGES)

    assert isinstance(taken, Refusal) or message.write(*taken) == data


def test_a_flood_of_large_garbage_takes_no_memory() -> None:
    garbage = [packet.MAGIC + bytes([packet.VERSION, kind, 0, 0, 0]) + bytes(60_000) for kind in range(12)]
    for data in garbage:
        packet.parse(data)
    tracemalloc.start()
    for _ in range(300):
        assert all(isinstance(packet.parse(data), Refusal) for data in garbage)
    left, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert left < 20_000 and most < 300_000


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda data: b"", Refusal.FOREIGN),
        (lambda data: data[:7], Refusal.FOREIGN),
        (lambda data: b"\x01" + data[1:], Refusal.FOREIGN),
        (lambda data: data[:3] + b"\x02" + data[4:], Refusal.VERSION),
        (lambda data: data[:4] + b"\x63" + data[5:], Refusal.TYPE),
        (lambda data: data[:6] + b"\x01" + data[7:], Refusal.RESERVED),
        (lambda data: data[:-1], Refusal.LENGTH),
        (lambda data: data + b"\0", Refusal.LENGTH),
        (lambda data: data[:8], Refusal.LENGTH),
    ],
)
def test_each_lie_has_its_word(change, refusal: Refusal) -> None:  # type: ignore[no-untyped-def]
    hello = packet.write(Hello(1, bytes(128), bytes(16), bytes(16)))

    assert packet.parse(change(hello)) is refusal


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255", "::", "::1", "ff02::1", "::ffff:127.0.0.1"]
)
def test_nobody_is_sent_to_places_that_are_no_other_machine(text: str) -> None:
    """Else a member could have others spray multicast, or talk to themselves."""
    bad = Address(ip_address(text), 5353)
    assert not may_be_probed(bad)
    plain = message.write(Register(1, (Candidate(Origin.HOST, bad),)), 1)

    assert message.parse(plain, MESSAGES) is Refusal.VALUE


def test_only_what_this_side_is_sent_is_taken() -> None:
    plain = message.write(Call(PEER.public), 1)

    assert message.parse(plain, message.TO_HOST) is Refusal.UNEXPECTED


# --- who made it --------------------------------------------------------------------------------------------


def greeted(prove: bytes = b"") -> Hello:
    noise = Initiator(HOST, SERVER.public, EPHEMERAL, b"").write(bytes(32))
    return cookie.signed(7, noise, SERVER.public, prove)


def test_a_hello_to_another_server_costs_one_hash() -> None:
    assert cookie.knows_server(greeted(), SERVER.public)
    assert not cookie.knows_server(greeted(), PEER.public)


def test_a_cookie_proves_an_address_and_only_that() -> None:
    secret, nonce = bytes([1]) * 32, bytes([2]) * 16
    hello = greeted()
    reply = cookie.cookie_reply(hello, HERE, SERVER.public, secret, nonce)
    got = cookie.read_cookie(reply, hello.mac1, SERVER.public)
    again = greeted(got)

    assert cookie.receives_there(again, cookie.cookie_for(HERE, secret))
    assert not cookie.receives_there(again, cookie.cookie_for(THERE, secret))
    assert not cookie.receives_there(again, cookie.cookie_for(HERE, bytes(32)))  # the secret has changed since
    assert not cookie.receives_there(hello, cookie.cookie_for(HERE, secret))
    with pytest.raises(NoiseError):  # of another hello
        cookie.read_cookie(reply, bytes(16), SERVER.public)


def test_no_answer_to_an_unproven_address_is_larger_than_its_question() -> None:
    hello = greeted()
    responder = Responder(SERVER, b"")
    responder.read(hello.noise)
    responder.accept()
    noise, _ = responder.write(EPHEMERAL, bytes(19))
    asked = len(packet.write(hello))

    assert len(packet.write(packet.Welcome(1, 7, noise))) <= asked
    assert len(packet.write(cookie.cookie_reply(hello, HERE, SERVER.public, bytes(32), bytes(16)))) <= asked
    least = len(message.write(KeepAlive(0), 0))
    assert all(len(message.write(one, 0)) <= least for one in (Observed(HERE, 2**64 - 1), Probe(3), Pong(HERE)))
    shown = grant.hello(1, bytes(32), HOST.public, 0)
    assert len(packet.write(grant.welcome(shown, bytes(32)))) <= len(packet.write(shown))


def test_two_hosts_share_keys_that_nobody_gave_them() -> None:
    ours, theirs = Pair(HOST, 1, PEER.public, 2), Pair(PEER, 2, HOST.public, 1)
    sealed = ours.seal(message.write(Probe(3), 5))

    assert message.parse(theirs.open(sealed), message.TO_PEER) == (Probe(3), 5)
    with pytest.raises(NoiseError):  # a replay
        theirs.open(sealed)
    with pytest.raises(NoiseError):  # our own, sent back to us
        ours.open(sealed)
    later = Pair(PEER, 3, HOST.public, 1)  # it has started again: what was recorded means nothing now
    with pytest.raises(NoiseError):
        later.open(packet.Between(later.tag_in, sealed.counter, sealed.sealed))


@given(st.data())
def test_no_packet_of_a_pair_survives_a_change(data: st.DataObject) -> None:
    ours, theirs = Pair(HOST, 1, PEER.public, 2), Pair(PEER, 2, HOST.public, 1)
    true = packet.write(ours.seal(message.write(Pong(HERE), 5)))
    taken = packet.parse(data.draw(mutated(true).filter(lambda forged: forged != true)))
    if isinstance(taken, packet.Between):
        with pytest.raises(NoiseError):
            theirs.open(taken)


def test_a_relay_knows_its_hosts() -> None:
    secret = bytes([5]) * 32
    shown = grant.hello(1, secret, HOST.public, 3)
    answer = grant.welcome(shown, secret)

    assert grant.is_authentic(shown, secret, HOST.public)
    assert not grant.is_authentic(shown, bytes(32), HOST.public)
    assert not grant.is_authentic(grant.hello(2, secret, HOST.public, 3), bytes(32), HOST.public)
    assert grant.is_authentic(answer, secret, HOST.public)
    assert not grant.is_authentic(answer, secret, PEER.public)


@given(addresses)
def test_addresses_print_as_they_are_written(one: Address) -> None:
    host, _, port = str(one).rpartition(":")

    assert Address.of(host.strip("[]"), int(port)) == one


def test_every_layout_has_a_length_that_docs_can_say() -> None:
    for one in (*packet.PACKETS, *MESSAGES):
        assert all(codec.length for _, codec in layout(one)), one
