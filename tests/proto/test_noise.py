"""The handshake against published vectors, a real program's bytes, two other implementations, and whoever lies."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from tests.proto import plain_noise
from warren.proto.noise import PROTOCOL, Initiator, KeyPair, NoiseError, Responder, Transport, seal, unseal
from warren.proto.window import MAX_COUNTER, WIDTH, Window

# vectors/cacophony.txt of github.com/haskell-cryptography/cacophony, entry Noise_IK_25519_ChaChaPoly_BLAKE2s.
CACOPHONY = {
    "prologue": "4a6f686e2047616c74",
    "init_static": "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    "init_ephemeral": "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    "init_remote_static": "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
    "resp_static": "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    "resp_ephemeral": "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
}
CACOPHONY_MESSAGES = (
    (
        "4c756477696720766f6e204d69736573",
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac"
        "8f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d896f543be02c996ab2b86b76",
    ),
    (
        "4d757272617920526f746862617264",
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561f42e691ac8404efd"
        "6fbd6308b6a27c",
    ),
    ("462e20412e20486179656b", "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b"),
    ("4361726c204d656e676572", "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3"),
    ("4a65616e2d426170746973746520536179", "a9c068ca5d8babf72560652d8e851adbfac35c8a66e810d560863173e96adf4cfe"),
    (
        "457567656e2042f6686d20766f6e2042617765726b",
        "2a09d8f459e5927e40fdd2eddc99bdafb04e13a26f145cb5cfe9e6ba34c94331ebc17d5156",
    ),
)

# A handshake that a real natpunch-go server (github.com/malcolmseyd/natpunch-go, 1d4be15) accepted and answered.
NATPUNCH = (
    "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d484660806c371c2f5b89e49d5c606b01d6586a9712bf580bcfb3a"
    "6c2d1d66cc5a95916adee4ce9cc0fc27ca15dfa8a7f6dd451baaca02a91495ea2b6f3b21023f2618b7995ead1ca181c2",
    "244fe3b963e899dd295baffce248d3530f3a9a7479ba063002680ebfe7adad49f1137928e141e955cc5ce79496a20e95",
    "8315ea5317ce6ec0eb6aacee01dae034bebc088b3dab0415c2fa3239d0ebf4d4dda0bfcc57d43a4ffa9bd532bdcdbae089647870c09faabe"
    "95c0d132d8ec8a9f95624794a12478d225113540d42e16be",
    "ada0710597b8730fa7779f7cdd9e9b34d2d635dce188",
)

keys = st.binary(min_size=32, max_size=32)


def unhex(name: str) -> bytes:
    return bytes.fromhex(CACOPHONY[name])


def shake(
    i: bytes, ie: bytes, r: bytes, re: bytes, prologue: bytes, payloads: tuple[bytes, bytes]
) -> tuple[bytes, bytes, Transport, Transport]:
    """Run a whole handshake and see that each side heard what the other said."""
    initiator = Initiator(KeyPair.of(i), KeyPair.of(r).public, KeyPair.of(ie), prologue)
    responder = Responder(KeyPair.of(r), prologue)
    first = initiator.write(payloads[0])
    assert responder.read(first) == KeyPair.of(i).public
    assert responder.accept() == payloads[0]
    second, theirs = responder.write(KeyPair.of(re), payloads[1])
    heard, ours = initiator.read(second)
    assert heard == payloads[1]
    return first, second, ours, theirs


def test_the_published_vector() -> None:
    said = [bytes.fromhex(payload) for payload, _ in CACOPHONY_MESSAGES]
    expected = [bytes.fromhex(ciphertext) for _, ciphertext in CACOPHONY_MESSAGES]
    assert KeyPair.of(unhex("resp_static")).public == unhex("init_remote_static")

    *messages, ours, theirs = shake(
        unhex("init_static"),
        unhex("init_ephemeral"),
        unhex("resp_static"),
        unhex("resp_ephemeral"),
        unhex("prologue"),
        (said[0], said[1]),
    )

    assert messages == expected[:2]
    assert [side.seal(text)[1] for side, text in zip([ours, theirs] * 2, said[2:], strict=True)] == expected[2:]


def test_what_a_real_program_accepted() -> None:
    server, client, i_ephemeral, r_ephemeral = (bytes(range(n, n + 32)) for n in (1, 33, 65, 97))
    timestamp = (1_700_000_000_000_000_000).to_bytes(8)

    first, second, ours, theirs = shake(
        client, i_ephemeral, server, r_ephemeral, b"natpunch-go is the best :)", (timestamp, b"")
    )
    asked = ours.seal(KeyPair.of(client).public + KeyPair.of(server).public)
    answered = theirs.seal(bytes([198, 51, 100, 7]) + (51820).to_bytes(2))

    assert (first.hex(), second.hex(), asked[1].hex(), answered[1].hex()) == NATPUNCH


@settings(max_examples=12, deadline=None)
@given(keys, keys, keys, keys, st.binary(max_size=40), st.tuples(st.binary(max_size=200), st.binary(max_size=70)))
def test_a_plain_second_implementation_computes_the_same(
    i: bytes, ie: bytes, r: bytes, re: bytes, prologue: bytes, payloads: tuple[bytes, bytes]
) -> None:
    first, second, ours, theirs = shake(i, ie, r, re, prologue, payloads)

    plain_first, plain_second, there, back = plain_noise.handshake(i, ie, r, re, prologue, payloads)

    assert (first, second) == (plain_first, plain_second)
    assert ours.seal(b"there", b"bound") == (0, plain_noise.encrypt(there, 0, b"bound", b"there"))
    assert theirs.seal(b"back") == (0, plain_noise.encrypt(back, 0, b"", b"back"))


@settings(max_examples=15, deadline=None)
@given(keys, keys, keys, st.binary(max_size=40), st.tuples(st.binary(max_size=200), st.binary(max_size=70)))
def test_somebody_elses_implementation_understands_both_roles(
    i: bytes, r: bytes, ephemeral: bytes, prologue: bytes, payloads: tuple[bytes, bytes]
) -> None:
    """The package noiseprotocol, which draws its own ephemeral keys."""
    us, them = KeyPair.of(i), KeyPair.of(r)
    theirs = other_side(prologue)
    theirs.set_as_responder()
    theirs.set_keypair_from_private_bytes(Keypair.STATIC, r)
    theirs.start_handshake()
    initiator = Initiator(us, them.public, KeyPair.of(ephemeral), prologue)
    assert theirs.read_message(initiator.write(payloads[0])) == payloads[0]
    heard, transport = initiator.read(bytes(theirs.write_message(payloads[1])))
    assert heard == payloads[1]
    assert theirs.decrypt(transport.seal(b"there")[1]) == b"there"
    assert transport.open(0, bytes(theirs.encrypt(b"back"))) == b"back"

    theirs = other_side(prologue)
    theirs.set_as_initiator()
    theirs.set_keypair_from_private_bytes(Keypair.STATIC, r)
    theirs.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, us.public)
    theirs.start_handshake()
    responder = Responder(us, prologue)
    assert responder.read(bytes(theirs.write_message(payloads[0]))) == them.public
    assert responder.accept() == payloads[0]
    second, transport = responder.write(KeyPair.of(ephemeral), payloads[1])
    assert theirs.read_message(second) == payloads[1]
    assert transport.open(0, bytes(theirs.encrypt(b"there"))) == b"there"


def other_side(prologue: bytes) -> NoiseConnection:
    theirs = NoiseConnection.from_name(PROTOCOL)
    theirs.set_prologue(prologue)
    return theirs


def test_every_flipped_bit_is_refused_and_ends_nothing() -> None:
    i, ie, r, re = (KeyPair.of(bytes([n]) * 32) for n in (1, 2, 3, 4))
    initiator = Initiator(i, r.public, ie, b"")
    first = initiator.write(b"who I am")
    for at in range(len(first)):
        with pytest.raises(NoiseError):
            forged = Responder(r, b"")
            forged.read(first[:at] + bytes([first[at] ^ 4]) + first[at + 1 :])
            forged.accept()
    responder = Responder(r, b"")
    responder.read(first)
    responder.accept()
    second, theirs = responder.write(re, b"yes")
    for at in range(len(second)):
        with pytest.raises(NoiseError):
            initiator.read(second[:at] + bytes([second[at] ^ 4]) + second[at + 1 :])
    for length in range(len(second)):
        with pytest.raises(NoiseError):
            initiator.read(second[:length])

    heard, ours = initiator.read(second)  # after all these lies the truth is still believed
    counter, sealed = theirs.seal(b"hello")

    assert heard == b"yes" and ours.open(counter, sealed) == b"hello"


def test_a_key_of_small_order_shares_nothing() -> None:
    with pytest.raises(NoiseError):
        KeyPair.of(bytes(range(32))).agree(bytes(32))


def test_another_prologue_or_another_responder_is_refused() -> None:
    i, ie, r, other = (KeyPair.of(bytes([n]) * 32) for n in (1, 2, 3, 4))
    first = Initiator(i, r.public, ie, b"one").write()
    for responder in (Responder(r, b"two"), Responder(other, b"one")):
        with pytest.raises(NoiseError):
            responder.read(first)


def test_private_keys_do_not_print() -> None:
    assert repr(bytes([7]) * 32) not in repr(KeyPair.of(bytes([7]) * 32))


# --- packets after it ---------------------------------------------------------------------------------------


def test_packets_come_in_any_order_and_none_twice() -> None:
    there, back = bytes([1]) * 32, bytes([2]) * 32
    ours, theirs = Transport(there, back), Transport(back, there)
    packets = [ours.seal(str(n).encode(), b"bound") for n in range(5)]

    for counter, sealed in reversed(packets):
        assert theirs.open(counter, sealed, b"bound") == str(counter).encode()
        with pytest.raises(NoiseError):
            theirs.open(counter, sealed, b"bound")


def test_a_forged_packet_closes_no_door() -> None:
    there, back = bytes([1]) * 32, bytes([2]) * 32
    ours, theirs = Transport(there, back), Transport(back, there)
    counter, sealed = ours.seal(b"true")
    for forged in (counter, 10**6, MAX_COUNTER, MAX_COUNTER + 1):
        with pytest.raises(NoiseError):
            theirs.open(forged, bytes(len(sealed)))

    assert theirs.open(counter, sealed) == b"true"


def test_no_counter_is_used_twice() -> None:
    worn = Transport(bytes(32), bytes(32))
    worn.sent = MAX_COUNTER
    worn.seal(b"the last one")

    with pytest.raises(NoiseError):
        worn.seal(b"one more")
    assert unseal(bytes(32), 3, seal(bytes(32), 3, b"x")) == b"x"


@given(st.lists(st.integers(0, 3 * WIDTH) | st.integers(0, 2**64 - 1), max_size=80))
def test_the_window_agrees_with_a_set(counters: list[int]) -> None:
    """The naive twin remembers everything."""
    window, seen = Window(), set[int]()
    for counter in counters:
        new = counter not in seen and counter > max(seen, default=-1) - WIDTH and counter <= MAX_COUNTER
        assert window.accepts(counter) == new
        if new:
            window.note(counter)
            seen.add(counter)
