"""What is said inside sealed packets: kind (1 byte), number (4), the fields, zeros up to a multiple of 32.

Kinds 1 to 15 go from a host to a server, 16 to 31 from a server to a host, 32 on between two hosts. The number of a
question is that of its answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from warren.proto.codec import Candidates, Flag, Index, Key, Laid, Long, Malformed, Number, Place, read_body
from warren.proto.packet import BLOCK
from warren.proto.refusal import Refusal

# --- from a host to a server ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Register(Laid):
    """Here I am, in this run (`epoch`), and there I may be reached. Answered by Observed."""

    TYPE = 1
    epoch: Long
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class KeepAlive(Laid):
    """I am still here; `proof` is the last that Observed brought. Answered by Observed."""

    TYPE = 2
    proof: Long


@dataclass(frozen=True, slots=True)
class Call(Laid):
    """Call-me-maybe: tell this peer to send to me now."""

    TYPE = 3
    peer: Key


@dataclass(frozen=True, slots=True)
class WantRelay(Laid):
    """Give me and this peer a relay. Answered by Grant, to both."""

    TYPE = 4
    peer: Key


@dataclass(frozen=True, slots=True)
class Acknowledge(Laid):
    """The Introduce or Grant of this number has come."""

    TYPE = 5


# --- from a server to a host ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Observed(Laid):
    """You came from there. Whoever says `proof` back receives at that address."""

    TYPE = 16
    address: Place
    proof: Long


@dataclass(frozen=True, slots=True)
class Introduce(Laid):
    """A peer is in this run and may be reached there; epoch 0: it has gone. `urgent`: it calls, send to it now."""

    TYPE = 17
    peer: Key
    epoch: Long
    urgent: Flag
    candidates: Candidates


@dataclass(frozen=True, slots=True)
class Grant(Laid):
    """A relay for you and this peer: where, under which number and secret, and for how many seconds."""

    TYPE = 18
    peer: Key
    relay: Place
    grant: Long
    secret: Key
    lifetime: Index


# --- between two hosts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe(Laid):
    """Does this arrive? Answered by Pong, to where it came from. `generation`: the direct path in use, 0 if none."""

    TYPE = 32
    generation: Index


@dataclass(frozen=True, slots=True)
class Pong(Laid):
    """It did, and it came from there."""

    TYPE = 33
    seen: Place


@dataclass(frozen=True, slots=True)
class Switch(Laid):
    """Let us go over to this path: you send to `mine`, I to `yours`. `direct` 0: back to the relay, and no question.

    Only a greater `generation` than the last counts, so that a late packet takes nobody back.
    """

    TYPE = 34
    generation: Index
    direct: Flag
    mine: Place
    yours: Place


@dataclass(frozen=True, slots=True)
class Agree(Laid):
    """I have gone over."""

    TYPE = 35
    generation: Index


@dataclass(frozen=True, slots=True)
class Guess(Laid):
    """Only the relay works: let us meet by many ports. A server sees me at `seen`, and my NAT's mapping is `mapping`.

    0: the same port for everybody, 1: another for each address, 2: another for each port of it. `step`: how far apart
    the ports are that it gives one after the other, `seen` the last of them; 0: in no order; 65535: it keeps the host's
    own. Answered by the like, with the same `attempt`; then both begin.
    """

    TYPE = 36
    attempt: Index
    mapping: Annotated[int, Number(1, 2)]
    step: Annotated[int, Number(2)]
    seen: Place


Message = (
    Register
    | KeepAlive
    | Call
    | WantRelay
    | Acknowledge
    | Observed
    | Introduce
    | Grant
    | Probe
    | Pong
    | Switch
    | Agree
    | Guess
)
TO_SERVER: tuple[type[Message], ...] = (Register, KeepAlive, Call, WantRelay, Acknowledge)
TO_HOST: tuple[type[Message], ...] = (Observed, Introduce, Grant)
TO_PEER: tuple[type[Message], ...] = (Probe, Pong, Switch, Agree, Guess)
LEAD = 5  # bytes of kind and number


def write(message: Message, number: int) -> bytes:
    """Give the plaintext to seal."""
    plain = bytes([message.TYPE]) + number.to_bytes(4) + message.body()
    return plain.ljust(-(-len(plain) // BLOCK) * BLOCK, b"\0")


def parse(plain: bytes, expected: Iterable[type[Message]]) -> tuple[Message, int] | Refusal:
    """Take what was sealed apart: the message and its number. It is authentic, and may still be nonsense."""
    if len(plain) < LEAD:
        return Refusal.LENGTH
    of = next((one for one in expected if plain[0] == one.TYPE), None)
    if of is None:
        return Refusal.UNEXPECTED
    try:
        message, end = read_body(of, plain, LEAD)
    except Malformed as error:
        return error.refusal
    if len(plain) != -(-end // BLOCK) * BLOCK:
        return Refusal.LENGTH
    return (message, int.from_bytes(plain[1:LEAD])) if not any(plain[end:]) else Refusal.RESERVED
