"""Knocks: who makes one is known, each is good once and for a short time, and whatever else comes opens nothing."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proto.parts import mutated
from warren.proto import knock, packet
from warren.proto.address import Address
from warren.proto.knock import ALL, KEPT, KNOCKS, LENGTH, NEAR, Listener
from warren.proto.noise import KeyPair
from warren.proto.refusal import Refusal

HOST, MEMBER, OTHER, STRANGER = (KeyPair.of(bytes([n]) * 32) for n in (21, 22, 23, 24))
FROM = Address.of("203.0.113.9", 51820)
START = 1_800_000_000_000_000  # microseconds since 1970
SECOND = 1_000_000


def ephemeral(number: int = 1) -> KeyPair:
    return KeyPair.of(number.to_bytes(32, "big"))


def knocks(at: int, static: KeyPair = MEMBER, host: KeyPair = HOST, network: str = "net", number: int = 1) -> bytes:
    return knock.write(static, host.public, network, ephemeral(number), at)


def listener(since: int = START) -> Listener:
    made = Listener(HOST, "net", since)
    made.admit({MEMBER.public: "member", OTHER.public: "other"})
    return made


def test_a_member_is_known_by_its_knock() -> None:
    data = knocks(START + 1)

    assert len(data) == LENGTH
    assert listener().receive(data, FROM, 0.0, START + SECOND) == MEMBER.public


def test_nothing_looks_like_wireguard_or_another_packet_of_ours() -> None:
    data = knocks(START + 1)

    assert data[0] >> 6 != 0
    assert packet.parse(data) is Refusal.TYPE
    assert knock.Knock.TYPE not in {one.TYPE for one in packet.PACKETS}


def test_a_knock_is_good_once_from_wherever_it_comes() -> None:
    hears, data = listener(), knocks(START + 1)
    hears.receive(data, FROM, 0.0, START + SECOND)

    elsewhere = Address.of("198.51.100.66", 4000)
    assert hears.receive(data, FROM, 1.0, START + SECOND) is Refusal.FORGED
    assert hears.receive(data, elsewhere, 2.0, START + 2 * SECOND) is Refusal.FORGED


def test_two_knocks_may_overtake_each_other() -> None:
    hears = listener()
    first, second = knocks(START + 1), knocks(START + 2)

    assert hears.receive(second, FROM, 0.0, START + SECOND) == MEMBER.public
    assert hears.receive(first, FROM, 0.0, START + SECOND) == MEMBER.public


def test_what_is_forgotten_is_refused() -> None:
    hears = listener()
    for number in range(KEPT + 1):
        heard = hears.receive(knocks(START + 10 + number), FROM, 100.0 * number, START + SECOND)
        assert heard == MEMBER.public

    assert hears.receive(knocks(START + 10), FROM, 1e6, START + SECOND) is Refusal.FORGED
    assert hears.receive(knocks(START + 5), FROM, 1e6, START + SECOND) is Refusal.FORGED


@pytest.mark.parametrize("off", [NEAR + 1, -NEAR - 1])
def test_a_clock_that_is_far_off_opens_nothing(off: int) -> None:
    hears = listener(since=START - 10 * NEAR)

    assert hears.receive(knocks(START + off), FROM, 0.0, START) is Refusal.FORGED
    assert hears.receive(knocks(START + off - off // abs(off)), FROM, 0.0, START) == MEMBER.public


def test_what_was_made_before_the_host_began_to_listen_is_refused() -> None:
    assert listener().receive(knocks(START - 1), FROM, 0.0, START + SECOND) is Refusal.FORGED


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    hears = listener()
    assert hears.receive(knocks(START + 1), FROM, 0.0, START + SECOND) == MEMBER.public
    back = START - 100 * NEAR

    assert hears.receive(knocks(back), FROM, 10.0, back) == MEMBER.public
    assert hears.receive(knocks(back), FROM, 20.0, back) is Refusal.FORGED


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (knocks(START + 1, static=STRANGER), Refusal.STRANGER),
        (knocks(START + 1, host=OTHER), Refusal.MAC),
        (knocks(START + 1, network="another"), Refusal.FORGED),
        (knocks(START + 1)[:-1], Refusal.LENGTH),
        (knocks(START + 1) + b"\0", Refusal.LENGTH),
        (b"", Refusal.FOREIGN),
    ],
)
def test_others_are_refused(data: bytes, why: Refusal) -> None:
    assert listener().receive(data, FROM, 0.0, START + SECOND) is why


def test_another_key_under_a_members_name_is_no_member() -> None:
    """The first key agreement says who knocks, the second proves it."""
    data = bytearray(knocks(START + 1))
    data[-20] ^= 1  # of what only the member's key can seal
    data[-16:] = knock._mac(HOST.public, bytes(data[:-16]))

    assert listener().receive(bytes(data), FROM, 0.0, START + SECOND) is Refusal.FORGED


def test_who_leaves_the_network_is_heard_no_more() -> None:
    hears = listener()
    hears.admit({OTHER.public: "other"})

    assert hears.receive(knocks(START + 1), FROM, 0.0, START + SECOND) is Refusal.STRANGER


def test_a_member_and_a_source_and_all_together_are_bounded() -> None:
    hears = listener()
    heard = [hears.receive(knocks(START + 1 + n), FROM, 0.0, START + SECOND) for n in range(KNOCKS + 4)]
    assert heard.count(MEMBER.public) == KNOCKS and heard[-1] is Refusal.BUSY

    others = [Address.of(f"198.51.100.{n}", 4000) for n in range(1, 100)]
    again = [hears.receive(knocks(START + 99 + n), one, 0.0, START + SECOND) for n, one in enumerate(others)]
    assert set(again) == {Refusal.BUSY}
    assert hears.receive(knocks(START + 500, OTHER), others[0], 0.0, START + SECOND) is Refusal.BUSY  # ALL is used up
    assert KNOCKS + len(others) > ALL
    assert hears.receive(knocks(START + 501, OTHER), others[0], 5.0, START + SECOND) == OTHER.public


# --- whatever comes ------------------------------------------------------------------------------------------


@given(st.binary(max_size=2 * LENGTH))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = knock.parse(data)

    assert isinstance(found, Refusal) or packet.header(knock.Knock) + found.body() == data


@settings(deadline=None)
@given(st.data())
def test_no_mutation_of_a_knock_opens_anything(draw: st.DataObject) -> None:
    data = knocks(START + 1)
    other = draw.draw(mutated(data))

    heard = listener().receive(other, FROM, 0.0, START + SECOND)
    assert isinstance(heard, Refusal) or other == data


def test_a_flood_of_forgeries_leaves_nothing_behind() -> None:
    """Each has the right code, so each may cost key agreements; sources are all different."""
    hears, chance = listener(), random.Random(7)
    bodies = [packet.header(knock.Knock) + chance.randbytes(LENGTH - 24) for _ in range(200)]
    flood = [body + knock._mac(HOST.public, body) for body in bodies]

    def wave(since: float) -> None:
        for number in range(6000):
            place = Address.of(f"10.{number >> 8 & 255}.{number & 255}.{number % 250 + 1}", 9)
            assert hears.receive(flood[number % 200], place, since + number / 1000, START) is not MEMBER.public

    wave(0.0)
    tracemalloc.start()
    wave(10.0)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 1_000_000
    assert hears.receive(knocks(START + 1), FROM, 1000.0, START + SECOND) == MEMBER.public
