"""Packets and messages of every kind, for tests that want one of each; and how hypothesis draws them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import strategies as st

from warren.proto import packet
from warren.proto.address import Address, Candidate, Origin, may_be_probed
from warren.proto.codec import (
    MAX_CANDIDATES,
    AddressCodec,
    CandidatesCodec,
    Laid,
    Number,
    Raw,
    Rest,
    layout,
)
from warren.proto.message import TO_HOST, TO_PEER, TO_SERVER, Message

MESSAGES: tuple[type[Message], ...] = TO_SERVER + TO_HOST + TO_PEER

ips = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address))
addresses = st.builds(Address, ips, st.integers(1, 65535))
candidates = st.builds(Candidate, st.sampled_from(Origin), addresses.filter(may_be_probed))


def values(codec: object) -> st.SearchStrategy[Any]:
    """Every value that a field may have."""
    match codec:
        case Number(size, most):
            return st.integers(0, 2 ** (8 * size) - 1 if most is None else most)
        case Raw(size):
            return st.binary(min_size=size, max_size=size)
        case Rest(least, step):
            return st.integers(0, 8).flatmap(lambda n: st.binary(min_size=least + n * step, max_size=least + n * step))
        case AddressCodec():
            return addresses
        case CandidatesCodec():
            return st.lists(candidates, max_size=MAX_CANDIDATES).map(tuple)
    raise AssertionError(codec)


def made(of: type[Laid]) -> st.SearchStrategy[Any]:
    """Every packet or message of a type."""
    return st.builds(of, **{name: values(codec) for name, codec in layout(of)})


packets: st.SearchStrategy[packet.Packet] = st.one_of([made(of) for of in packet.PACKETS])
messages: st.SearchStrategy[Message] = st.one_of([made(of) for of in MESSAGES])


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Something near to these bytes: cut, longer, a bit turned, a piece twice, a number at its edge."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 4)):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = draw(st.binary(max_size=40))
            case 2 if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case 4:
                edge = draw(st.sampled_from([b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff", b"\x80"]))
                data[at : at + len(edge)] = edge
    return bytes(data)
